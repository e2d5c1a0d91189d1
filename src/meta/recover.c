/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery: before SQLite may look at the files, the log is given the length
 * at which it says no more than what is on the disk.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/disk.h"
#include "ckptfs/log.h"
#include "ckptfs/rng.h"

#include "meta/internal.h"

#define LOG_MODULE "meta"

struct recovery {
	struct slots slots;
	struct wal_info wal;
	struct found found;
	struct plan plan;
};

static int db_exists(struct disk *d, bool *ret)
{
	struct disk_stat st = { .size = 0 };
	int fd = disk_open(d, META_DB, O_RDONLY, 0), r;

	*ret = false;
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return log_err(fd, "open %s", META_DB);
	r = disk_stat(d, fd, &st);
	disk_close(d, fd);
	*ret = st.size > 0;
	return r;
}

static int look(struct meta *m, struct recovery *rc)
{
	struct disk *d = m->host.disk;
	int r;

	memset(rc, 0, sizeof(*rc));
	if (disk_boot_id(d, m->boot) < 0)
		m->boot[0] = '\0';
	r = slots_read(d, &rc->slots);
	if (r == 0)
		r = wal_read(d, &rc->wal);
	if (r == 0)
		r = db_exists(d, &rc->found.db);
	rc->found.slots = &rc->slots;
	rc->found.wal = &rc->wal;
	rc->found.boot = m->boot;
	return r;
}

/* ---- a new one ---- */

static int drop(struct disk *d, const char *path)
{
	int r = disk_unlink(d, path);

	return r == 0 || r == -ENOENT ? 0 : log_err(r, "unlink %s", path);
}

/* As long as the first record is not there, all of it may be thrown away. */
static int begin_making(struct meta *m)
{
	struct disk *d = m->host.disk;
	int r;

	/* Both, so that the file has its size for ever. */
	m->rec = (struct slot){ .kind = SLOT_CREATING, .counter = 1 };
	m->rec_at = 0;
	r = slot_write(d, m->barrier_fd, 1, &m->rec);
	if (r == 0)
		r = slot_write(d, m->barrier_fd, 0, &m->rec);
	if (r == 0)
		r = disk_sync_dir(d, "");
	if (r == 0)
		r = drop(d, META_DB);
	if (r == 0)
		r = drop(d, META_WAL);
	if (r == 0)
		r = drop(d, META_JOURNAL);
	return r;
}

static int make_fresh(struct meta *m, const struct meta_opts *opts,
		      struct meta_report *report)
{
	int r;

	report->fresh = true;
	snprintf(report->cache_id, sizeof(report->cache_id), "%016" PRIx64,
		 rng_u64(m->host.rng));
	r = begin_making(m);
	if (r == 0)
		r = db_open(m);
	if (r == 0)
		r = db_create(m, opts, report->cache_id);
	if (r == 0)
		r = db_load(m, opts, report->cache_id);
	return r;
}

/* ---- an old one ---- */

static int cut_log(struct recovery *rc, struct meta *m,
		   struct meta_report *report)
{
	uint32_t keep = rc->plan.frames;

	report->frames_dropped = rc->wal.frames - keep;
	report->cut = true;
	if (report->frames_dropped > 0)
		log_warn("cut %" PRIu64 " frames off the log, back to the last "
			 "barrier",
			 report->frames_dropped);
	m->frames = keep;
	return wal_cut(m->host.disk, &rc->wal, keep);
}

static int open_old(struct meta *m, const struct meta_opts *opts,
		    struct meta_report *report)
{
	int r = db_open(m);

	return r == 0 ? db_load(m, opts, report->cache_id) : r;
}

static int check_one(void *arg, const struct meta_version *v)
{
	const struct meta_opts *opts = arg;

	if (v->state == META_UNFINISHED || v->state == META_POISONED)
		return 0;
	return opts->check(opts->check_arg, v);
}

/* The rows no barrier covers are true only if their bytes are there. */
static int check_blobs(struct meta *m, const struct meta_opts *opts)
{
	struct meta_opts copy = *opts;

	if (!opts->check || m->rules.no_check)
		return 0;
	return version_each_changed(m, m->rec.chg, check_one, &copy);
}

/*
 * What an earlier process left in the page cache becomes durable before the
 * first barrier of this one calls it so.  If that fails nobody may believe the
 * log any more: a record without a boot id says that.
 */
static int make_durable(struct meta *m)
{
	int r = disk_syncfs(m->host.disk);

	if (r == 0)
		return 0;
	(void)log_err(r, "sync the cache folder");
	if (meta_disbelieve(m) < 0)
		log_warn("and the barrier file cannot say so");
	return -EIO;
}

/*
 * The last process may have died because a sync failed: then the page cache
 * has what the disk has not, and no sync will ever write it unless it is
 * written again.
 */
static int rewrite(struct recovery *rc, struct meta *m)
{
	int r;

	if (m->rules.no_rewrite)
		return 0;
	r = slot_write(m->host.disk, m->barrier_fd, m->rec_at, &m->rec);
	if (r == 0 && rc->plan.uncovered)
		r = wal_rewrite(m->host.disk, &rc->wal, rc->plan.frames);
	return r;
}

static int open_whole(struct recovery *rc, struct meta *m,
		      const struct meta_opts *opts, struct meta_report *report)
{
	int r = rewrite(rc, m);

	m->frames = rc->wal.frames;
	if (r == 0)
		r = open_old(m, opts, report);
	if (r < 0 || !rc->plan.uncovered)
		return r;
	r = check_blobs(m, opts);
	if (r == 0)
		return make_durable(m);
	if (r != -ENODATA)
		return r;
	log_warn("a blob has lost its bytes: what was not power-safe is gone");
	db_close(m);
	report->same_boot = false;
	plan_cut(&rc->found, &rc->plan);
	r = cut_log(rc, m, report);
	return r == 0 ? open_old(m, opts, report) : r;
}

static int open_found(struct recovery *rc, struct meta *m,
		      const struct meta_opts *opts, struct meta_report *report)
{
	int r;

	m->rec = rc->slots.newest;
	m->rec_at = rc->slots.at;
	vfs_set_wal_salt(m->vfs, rc->wal.salt);
	if (rc->plan.kind == PLAN_WHOLE)
		return open_whole(rc, m, opts, report);
	r = cut_log(rc, m, report);
	return r == 0 ? open_old(m, opts, report) : r;
}

/* Half of a rebuilt one would look like a cache that lost the rest. */
static int check_rebuild(struct disk *d)
{
	int fd = disk_open(d, META_REBUILD, O_RDONLY, 0);

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	disk_close(d, fd);
	return log_err(-EIO, "making the database anew was cut short: "
			     "'ckptfs fsck --cache SOURCE --fix' ends it");
}

int recover_open(struct meta *m, const struct meta_opts *opts,
		 struct meta_report *report)
{
	struct recovery rc;
	int r;

	r = opts->rebuild ? 0 : check_rebuild(m->host.disk);
	if (r == 0)
		r = look(m, &rc);
	if (r < 0)
		return r;
	plan_recovery(&rc.found, &rc.plan);
	if (rc.plan.kind == PLAN_CUT && m->rules.no_cut)
		rc.plan.kind = PLAN_WHOLE;
	report->same_boot = rc.plan.kind == PLAN_WHOLE;
	if (rc.plan.kind == PLAN_REFUSE)
		return log_err(-EIO, "%s", rc.plan.why);
	m->barrier_fd =
		disk_open(m->host.disk, META_BARRIER, O_RDWR | O_CREAT, 0600);
	if (m->barrier_fd < 0)
		return log_err(m->barrier_fd, "open %s", META_BARRIER);
	if (rc.plan.kind == PLAN_FRESH)
		return make_fresh(m, opts, report);
	return open_found(&rc, m, opts, report);
}
