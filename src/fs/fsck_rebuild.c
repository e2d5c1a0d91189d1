/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A database from nothing but blobs (ckptfs/fsck.h).
 *
 * A blob tells the name its file had when it was made, and the number of the
 * folder; folders leave no trace but their numbers.  So what was in the root
 * gets its path back, all else is listed in lost+found/NUMBER/.
 * Nothing of it shows in the mount before somebody says so: the bucket may have
 * it, or a later one.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsck.h"

#define LOG_MODULE "fsck"

struct found {
	uint64_t blob, size;
	int64_t mtime_ns;
	bool named;
	struct cache_owner owner;
};

struct rebuild {
	struct fsck *f;
	struct found *p;
	size_t n, cap;
	uint32_t epoch; /* the latest of all */
};

static int take_blob(void *arg, uint64_t blob)
{
	struct rebuild *b = arg;
	struct disk_stat st;
	struct found *o;
	int fd, r;

	if (b->n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 64;
		struct found *p = reallocarray(b->p, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		b->p = p;
		b->cap = cap;
	}
	if (cache_blob_epoch(blob) > b->epoch)
		b->epoch = cache_blob_epoch(blob);
	fd = cache_blob_open(b->f->cache, blob, O_RDONLY);
	r = fd < 0 ? fd : disk_stat(b->f->host->disk, fd, &st);
	cache_blob_close(b->f->cache, fd);
	if (r < 0 || st.size == 0) /* no bytes: the check puts it aside */
		return r;
	o = &b->p[b->n++];
	*o = (struct found){ .blob = blob,
			     .size = st.size,
			     .mtime_ns = st.mtime_ns };
	o->named = cache_blob_owner(b->f->cache, blob, &o->owner) == 0;
	return 0;
}

/* ---- the old one */

static int aside(struct fsck *f, const char *name, int64_t stamp)
{
	char to[64];
	int r;

	do /* nothing that was put aside before is lost by it */
		(void)snprintf(to, sizeof(to), CACHE_LOST "/%s.%" PRId64, name,
			       stamp++);
	while (fsck_is_there(f, to));
	r = disk_rename(f->host->disk, name, to);
	return r == -ENOENT ? 0 : r;
}

/* From here on nobody but another repair opens what is there. */
static int begin(struct fsck *f)
{
	int fd = disk_open(f->host->disk, META_REBUILD, O_RDWR | O_CREAT,
			   0600);

	if (fd < 0)
		return fd;
	disk_close(f->host->disk, fd);
	return disk_sync_dir(f->host->disk, "");
}

static int end(struct fsck *f)
{
	int r = disk_unlink(f->host->disk, META_REBUILD);

	return r < 0 ? r : disk_sync_dir(f->host->disk, "");
}

static int put_aside(struct fsck *f)
{
	static const char *const names[] = { "barrier", "db", "db-wal",
					     "db-journal" };
	int64_t stamp = clk_real(f->host->clk) / NS_PER_S;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
		r = aside(f, names[i], stamp);
	if (r == 0)
		r = disk_sync_dir(f->host->disk, CACHE_LOST);
	return r < 0 ? r : disk_sync_dir(f->host->disk, "");
}

/* ---- the new one */

static int add_file(struct fsck *f, const struct found *o, uint64_t *ret_ino)
{
	struct meta_inode row = { .kind = META_FILE,
				  .mode = 0644,
				  .mtime_ns = o->mtime_ns,
				  .ctime_ns = o->mtime_ns,
				  .size = o->size,
				  .meta_known = true };
	const struct cache_owner *w = &o->owner;
	int n, r;

	if (!o->named)
		n = snprintf(row.target, sizeof(row.target),
			     "%s" CACHE_LOST "/blob-%016" PRIx64,
			     f->opts->prefix, o->blob);
	else if (w->parent == META_ROOT_INO)
		n = snprintf(row.target, sizeof(row.target), "%s%s",
			     f->opts->prefix, w->name);
	else
		n = snprintf(row.target, sizeof(row.target),
			     "%s" CACHE_LOST "/%" PRIx64 "/%s",
			     f->opts->prefix, w->parent, w->name);
	if (n >= (int)sizeof(row.target))
		return -ENAMETOOLONG;
	(void)snprintf(row.name, sizeof(row.name), "%s",
		       o->named ? w->name : "blob");
	r = meta_inode_add(f->meta, &row);
	*ret_ino = row.ino;
	return r;
}

static int add_version(struct fsck *f, const struct found *o, uint64_t ino,
		       uint32_t epoch)
{
	struct meta_version v = { .epoch = epoch,
				  .ino = ino,
				  .state = META_UNFINISHED,
				  .blob = o->blob,
				  .complete = true,
				  .passthrough = true, /* it may have been */
				  .size = o->size,
				  .mtime_ns = o->mtime_ns,
				  .sealed_real_ns = o->mtime_ns,
				  .mode = 0644 };

	return meta_version_add(f->meta, &v);
}

static int fill(struct rebuild *b)
{
	uint64_t ino = 0;
	size_t i;
	int r = meta_begin(b->f->meta);

	if (r < 0)
		return r;
	for (i = 0; r == 0 && i < b->n; i++) {
		r = add_file(b->f, &b->p[i], &ino);
		if (r == 0)
			r = add_version(b->f, &b->p[i], ino, b->epoch + 1);
	}
	if (r == 0)
		r = meta_commit(b->f->meta);
	meta_end(b->f->meta);
	return r;
}

int fsck_rebuild(struct fsck *f)
{
	struct rebuild b = { .f = f };
	int r = fsck_each_blob(f, take_blob, &b);

	if (r == 0)
		r = begin(f);
	if (r == 0)
		r = put_aside(f);
	if (r == 0)
		r = fsck_open(f, true, b.epoch);
	if (r == 0)
		r = fill(&b);
	if (r == 0)
		r = fsck_settle(f);
	if (r == 0)
		r = end(f);
	if (r == 0)
		fsck_found(f, true,
			   "a new database has %zu versions: 'ckptfs recover "
			   "list' has them; what was there of the old one is "
			   "in " CACHE_LOST,
			   b.n);
	free(b.p);
	return r;
}
