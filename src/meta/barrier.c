/* SPDX-License-Identifier: Apache-2.0 */
/* Marks, the record of the barrier, and the checkpoint it allows. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "ckptfs/disk.h"
#include "ckptfs/log.h"

#include "meta/internal.h"

#define LOG_MODULE "meta"

#define LOG_LIMIT (UINT64_C(64) << 20)
#define FRAME 24U

static void set_failed(struct meta *m)
{
	lock_acquire(&m->rec_lock);
	m->failed = true;
	lock_release(&m->rec_lock);
}

/* The record as it is; whether a sync has failed. */
static bool get_record(struct meta *m, struct slot *ret, unsigned *ret_at)
{
	bool failed;

	lock_acquire(&m->rec_lock);
	*ret = m->rec;
	*ret_at = m->rec_at;
	failed = m->failed;
	lock_release(&m->rec_lock);
	return failed;
}

int meta_version_each_unsafe(struct meta *m, meta_version_fn *fn, void *arg)
{
	struct slot rec;
	unsigned at;

	meta_assert_begun(m);
	(void)get_record(m, &rec, &at);
	return version_each_changed(m, rec.chg, fn, arg);
}

int record_write(struct meta *m, const struct slot *s)
{
	struct slot next = *s, old;
	unsigned at;
	int r;

	if (get_record(m, &old, &at))
		return -EIO;
	next.kind = SLOT_RECORD;
	next.counter = old.counter + 1;
	r = slot_write(m->host.disk, m->barrier_fd, 1 - at, &next);
	if (r < 0) {
		set_failed(m);
		return -EIO;
	}
	lock_acquire(&m->rec_lock);
	m->rec = next;
	m->rec_at = 1 - at;
	lock_release(&m->rec_lock);
	return 0;
}

int meta_disbelieve(struct meta *m)
{
	struct slot s;
	unsigned at;

	(void)get_record(m, &s, &at);
	memset(s.boot, 0, sizeof(s.boot));
	return record_write(m, &s);
}

static void mark_locked(struct meta *m, struct meta_mark *ret)
{
	ret->frames = m->frames;
	vfs_wal_salt(m->vfs, ret->salt);
	ret->commits = meta_commits(m);
}

NO_TSA int meta_mark(struct meta *m, struct meta_mark *ret)
{
	bool mine = lock_is_held(&m->lock);

	if (!mine)
		lock_acquire(&m->lock);
	mark_locked(m, ret);
	if (!mine)
		lock_release(&m->lock);
	return 0;
}

/* Syncing what has no name any more succeeds, and means nothing. */
static bool is_deleted(struct meta *m)
{
	int fd = disk_open(m->host.disk, META_BARRIER, O_RDONLY, 0);

	if (fd >= 0)
		disk_close(m->host.disk, fd);
	return fd == -ENOENT;
}

int meta_barrier(struct meta *m, const struct meta_mark *mark)
{
	struct slot s;
	unsigned at;
	int r;

	lock_assert_none("meta_barrier");
	if (get_record(m, &s, &at))
		return -EIO;
	if (mark->commits <= meta_commits_durable(m))
		return 0;
	if (is_deleted(m)) {
		set_failed(m);
		return log_err(-EIO, "the cache folder was deleted");
	}
	r = disk_fdatasync(m->host.disk, vfs_wal_fd(m->vfs));
	if (r < 0) {
		set_failed(m);
		(void)log_err(r, "sync the log");
		return -EIO;
	}
	memcpy(s.boot, m->boot, sizeof(s.boot));
	memcpy(s.salt, mark->salt, sizeof(s.salt));
	s.frames = mark->frames;
	s.chg = chg_of(m, mark->commits);
	r = record_write(m, &s);
	if (r == 0)
		__atomic_store_n(&m->durable, mark->commits, __ATOMIC_RELEASE);
	return r;
}

bool meta_checkpoint_due(const struct meta *m)
{
	uint64_t limit = m->log_limit ? m->log_limit : LOG_LIMIT;
	uint64_t frames = __atomic_load_n(&m->frames, __ATOMIC_RELAXED);

	return frames * (FRAME + META_PAGE) >= limit &&
	       !__atomic_load_n(&m->checkpointed, __ATOMIC_RELAXED);
}

/* Every error but a lack of room or memory may be that of a sync. */
static int run_checkpoint(struct meta *m)
{
	int log = 0, done = 0, r;

	r = meta_errno(m,
		       sqlite3_wal_checkpoint_v2(m->db, "main",
						 SQLITE_CHECKPOINT_PASSIVE,
						 &log, &done),
		       "checkpoint");
	if (r == -EIO)
		set_failed(m);
	if (r < 0)
		return r;
	return done < log ? -EAGAIN : 0;
}

static int checkpoint_locked(struct meta *m)
{
	struct meta_mark now;
	struct slot rec;
	unsigned at;
	int r;

	if (get_record(m, &rec, &at))
		return -EIO;
	mark_locked(m, &now);
	if (!m->rules.checkpoint_any &&
	    (now.frames != rec.frames ||
	     memcmp(now.salt, rec.salt, sizeof(rec.salt)) != 0))
		return -EAGAIN;
	/* From here on an older barrier would be wrong: let no slot hold one,
	 * so that damage to one of them loses nothing. */
	r = record_write(m, &rec);
	if (r == 0)
		r = run_checkpoint(m);
	if (r < 0)
		return r;
	__atomic_store_n(&m->checkpointed, true, __ATOMIC_RELAXED);
	ballast_make(m);
	return 0;
}

int meta_checkpoint(struct meta *m)
{
	int r;

	lock_assert_none("meta_checkpoint");
	lock_acquire(&m->lock);
	r = checkpoint_locked(m);
	lock_release(&m->lock);
	return r;
}
