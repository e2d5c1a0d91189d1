/* SPDX-License-Identifier: Apache-2.0 */
/* Life, recovery and the barrier. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "meta"


static int open_db(struct meta *m)
{
	int r = db_open(m);

	if (r == 0)
		r = db_schema(m);
	return r;
}

/* Same boot: what came after the last barrier counts, if its bytes are there.
 * -ENODATA: the page cache was lost after all. */
static int check_recent(struct meta *m, const struct meta_opts *opts)
{
	int r;

	if (!opts->check)
		return 0;
	r = meta_begin(m);
	if (r < 0)
		return r;
	r = versions_since(m, m->slot.stamp, opts->check, opts->check_arg);
	meta_end(m);
	return r;
}

static int check_source(struct meta *m, const struct meta_opts *opts)
{
	char was[2048];
	int r = kv_get_text(m, "source", was, sizeof(was));

	if (r == -ENOENT)
		return kv_set_text(m, "source", opts->source);
	if (r == 0 && strcmp(was, opts->source) != 0)
		return log_err(-EBUSY, "this cache belongs to %s, not to %s",
			       was, opts->source);
	return r;
}

/* A new mount begins: its number is on the disk before it is used. */
static int begin_epoch(struct meta *m, const struct meta_opts *opts,
		       struct meta_report *rep)
{
	struct meta_mark mark;
	int64_t epoch = 0;
	int r = meta_begin(m);

	if (r < 0)
		return r;
	r = check_source(m, opts);
	if (r == 0)
		r = kv_get(m, "epoch", &epoch);
	rep->fresh = r == -ENOENT;
	if (r == 0 || r == -ENOENT)
		r = kv_set(m, "epoch", ++epoch);
	m->epoch = (uint32_t)epoch;
	if (r == 0)
		r = kv_get_text(m, "cache_id", rep->cache_id,
				sizeof(rep->cache_id));
	if (r == -ENOENT) {
		(void)snprintf(rep->cache_id, sizeof(rep->cache_id), "%016llx",
			       (unsigned long long)rng_u64(m->host->rng));
		r = kv_set_text(m, "cache_id", rep->cache_id);
	}
	if (r == 0)
		r = meta_commit(m);
	meta_end(m);
	rep->epoch = m->epoch;
	if (r == 0)
		r = meta_mark(m, &mark);
	if (r == 0)
		r = disk_syncfs(m->host->disk);
	if (r == 0)
		r = meta_barrier(m, &mark);
	return r;
}

static int recover(struct meta *m, const struct meta_opts *opts,
		   struct meta_report *rep)
{
	char boot[40];
	bool any, file;
	int r = disk_boot_id(m->host->disk, boot);

	if (r == 0)
		r = slots_read(m, &any, &file);
	if (r < 0)
		return r;
	rep->same_boot = any && boot[0] && strcmp(boot, m->slot.boot) == 0;
	memcpy(m->slot.boot, boot, sizeof(boot));
	if (!any)
		memset(m->slot.salt, 0, sizeof(m->slot.salt));
	if (!rep->same_boot && !m->rules.no_cut) {
		r = log_cut(m, any, &rep->frames_dropped);
		rep->cut = true;
	}
	if (r == 0)
		r = open_db(m);
	if (r == 0 && rep->same_boot) {
		r = check_recent(m, opts);
		if (r == -ENODATA) {
			log_warn("the cache disk lost what was written after "
				 "the last barrier: going back to that");
			db_close(m);
			rep->same_boot = false;
			rep->cut = true;
			r = log_cut(m, any, &rep->frames_dropped);
			if (r == 0)
				r = open_db(m);
		}
	}
	return r;
}

int meta_open_rules(const struct host *host, const struct meta_opts *opts,
		    const struct meta_rules *rules, struct meta **ret,
		    struct meta_report *ret_report)
{
	struct meta *m = calloc(1, sizeof(*m));
	struct meta_report rep;
	int r;

	if (!m)
		return -ENOMEM;
	memset(&rep, 0, sizeof(rep));
	m->host = host;
	m->rules = *rules;
	m->wal_fd = m->barrier_fd = -1;
	m->log_limit = opts->log_limit ? opts->log_limit : UINT64_C(64) << 20;
	m->ballast_size = opts->ballast;
	lock_init(&m->lock, LOCK_META, "database");
	r = vfs_register(m);
	if (r == 0) {
		r = recover(m, opts, &rep);
		if (r == 0)
			r = begin_epoch(m, opts, &rep);
	}
	if (r < 0) {
		meta_close(m);
		return r;
	}
	ballast_make(m);
	*ret_report = rep;
	*ret = m;
	return 0;
}

int meta_open(const struct host *host, const struct meta_opts *opts,
	      struct meta **ret, struct meta_report *ret_report)
{
	static const struct meta_rules rules;

	return meta_open_rules(host, opts, &rules, ret, ret_report);
}

void meta_close(struct meta *m)
{
	if (!m)
		return;
	db_close(m);
	vfs_unregister(m);
	disk_close(m->host->disk, m->barrier_fd);
	lock_fini(&m->lock);
	free(m);
}

/* ---- the barrier ---- */

int meta_mark(struct meta *m, struct meta_mark *ret)
{
	bool mine = lock_is_held(&m->lock);
	int r = 0;

	if (!mine)
		lock_acquire(&m->lock);
	ret->frames = m->frames;
	ret->commits = m->commits;
	memset(ret->salt, 0, sizeof(ret->salt));
	if (m->frames && m->wal_fd >= 0)
		r = wal_salt(m, m->wal_fd, ret->salt);
	if (!mine)
		lock_release(&m->lock);
	return r;
}

int meta_barrier(struct meta *m, const struct meta_mark *mark)
{
	struct meta_slot s = m->slot;
	int r = m->failed ? -EIO : 0;

	/* The descriptor stays open as long as the connection does. */
	if (r == 0 && m->wal_fd >= 0)
		r = disk_fdatasync(m->host->disk, m->wal_fd);
	s.counter++;
	s.frames = mark->frames;
	s.stamp = (uint64_t)m->epoch << 32 | mark->commits;
	memcpy(s.salt, mark->salt, sizeof(s.salt));
	if (r == 0)
		r = slot_write(m, &s);
	if (r < 0) {
		m->failed = true;
		return log_err(-EIO, "the barrier failed: the cache disk does "
			       "not keep what is written to it");
	}
	lock_acquire(&m->lock);
	m->slot = s;
	m->durable_seen = m->durable = mark->commits;
	lock_release(&m->lock);
	return 0;
}

uint64_t meta_commits(const struct meta *m)
{
	return m->commits_seen;
}

uint64_t meta_commits_durable(const struct meta *m)
{
	return m->durable_seen;
}

bool meta_checkpoint_due(const struct meta *m)
{
	return (uint64_t)m->frames_seen * WAL_FRAME > m->log_limit;
}

int meta_checkpoint(struct meta *m)
{
	unsigned char salt[8];
	int log = 0, done = 0, rc, r = 0;

	lock_acquire(&m->lock);
	if (m->wal_fd >= 0)
		r = wal_salt(m, m->wal_fd, salt);
	if (r == 0 && !m->rules.checkpoint_any &&
	    (m->frames != m->slot.frames || m->wal_fd < 0 ||
	     memcmp(salt, m->slot.salt, sizeof(salt)) != 0))
		r = -EAGAIN;
	if (r == 0) {
		rc = sqlite3_wal_checkpoint_v2(m->db, NULL,
					       SQLITE_CHECKPOINT_PASSIVE, &log,
					       &done);
		if (rc != SQLITE_OK)
			r = db_error(m, rc, "checkpoint");
		m->broken = false;
		if (m->failed)
			r = -EIO;
		if (r == 0 && log == done)
			m->frames_seen = 0; /* the next commit starts anew */
	}
	if (r == 0)
		ballast_make(m);
	lock_release(&m->lock);
	return r;
}
