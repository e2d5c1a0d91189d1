/* SPDX-License-Identifier: Apache-2.0 */
/* The check of a cache as a whole, and of its database (ckptfs/fsck.h). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fsck.h"

#define LOG_MODULE "fsck"

#define BALLAST (UINT64_C(64) << 20)

void fsck_found(struct fsck *f, bool mended, const char *fmt, ...)
{
	char text[META_KEY_MAX + 512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->sums->found++;
	f->sums->mended += mended;
	f->opts->found(f->opts->arg, text, mended);
}

int fsck_open(struct fsck *f, bool rebuild, uint32_t epoch_above)
{
	struct meta_opts mo = { .source = f->opts->source,
				.check = fs_check_version,
				.check_arg = f->cache,
				.ballast = BALLAST,
				.epoch_above = epoch_above,
				.rebuild = rebuild };
	struct meta_report report;
	int r = meta_open(f->host, &mo, &f->meta, &report);

	if (r == 0 && report.cut && report.frames_dropped)
		fsck_found(f, true,
			   "the disk had not all that the log spoke of: back "
			   "at the last barrier, without what came later");
	return r;
}

int fsck_settle(struct fsck *f)
{
	struct meta_mark mark;
	int r = disk_syncfs(f->host->disk);

	if (r == 0)
		r = cache_sync_names(f->cache);
	if (r == 0)
		r = meta_mark(f->meta, &mark);
	return r < 0 ? r : meta_barrier(f->meta, &mark);
}

int fsck_each_blob(struct fsck *f, cache_blob_fn *fn, void *arg)
{
	return cache_blob_each(f->cache, fn, arg);
}

int64_t fsck_blob_size(struct fsck *f, uint64_t blob)
{
	struct disk_stat st;
	int fd = cache_blob_open(f->cache, blob, O_RDONLY), r;

	if (fd < 0)
		return fd;
	r = disk_stat(f->host->disk, fd, &st);
	cache_blob_close(f->cache, fd);
	return r < 0 ? r : (int64_t)st.size;
}

/* ---- the database */

struct faults {
	struct fsck *f;
	bool damaged, mend;
	unsigned left; /* what mending is to mend */
};

static int on_fault(void *arg, enum meta_fault kind, uint64_t n,
		    const char *text)
{
	struct faults *a = arg;
	const char *line = strchr(text, '\n'); /* behind a headline */

	line = line ? line + 1 : text;
	if (kind == META_FAULT_DAMAGE) {
		if (!a->damaged)
			fsck_found(a->f, a->f->opts->fix,
				   "the database is damaged: %.*s",
				   (int)strcspn(line, "\n"), line);
		a->damaged = true;
		return 0;
	}
	a->left++;
	if (a->mend)
		return 0; /* told when it is known whether it helped */
	fsck_found(a->f, false,
		   kind == META_FAULT_NAME ?
			   "the name %s leads to no file (%llu)" :
		   kind == META_FAULT_CONTENT ?
			   "the file %s shows a version that is not there "
			   "(%llu)" :
			   "the file %s is in no folder (%llu)",
		   text, (unsigned long long)n);
	return 0;
}

static int check_rows(struct fsck *f, struct faults *a)
{
	int r = meta_begin(f->meta);

	if (r < 0)
		return r;
	r = meta_check(f->meta, on_fault, a);
	if (r == 0 && a->mend && a->left)
		r = meta_mend(f->meta);
	if (r == 0)
		r = meta_commit(f->meta);
	meta_end(f->meta);
	return r;
}

/* Whether the rows agree; *ret: the file itself is damaged. */
static int check_database(struct fsck *f, bool *ret)
{
	struct faults a = { .f = f, .mend = f->opts->fix };
	unsigned were;
	int r = check_rows(f, &a);

	*ret = a.damaged || r == -EIO;
	if (r == -EIO && !a.damaged)
		fsck_found(f, f->opts->fix, "the database cannot be read");
	were = a.left;
	if (r < 0 || a.damaged || !were || !f->opts->fix)
		return r == -EIO ? 0 : r;
	a.mend = false; /* what is left now is told */
	a.left = 0;
	r = check_rows(f, &a);
	if (r == 0 && a.left < were)
		fsck_found(f, true, "%u rows did not agree with each other",
			   were - a.left);
	return r;
}

bool fsck_is_there(struct fsck *f, const char *path)
{
	int fd = disk_open(f->host->disk, path, O_RDONLY, 0);

	disk_close(f->host->disk, fd);
	return fd >= 0;
}

static int any_blob(void *arg, uint64_t blob)
{
	(void)blob;
	*(bool *)arg = true;
	return 1;
}

int fsck_is_lost(const struct host *host, bool *ret)
{
	struct cache *c = NULL;
	int fd = disk_open(host->disk, "db", O_RDONLY, 0), r;

	*ret = false;
	disk_close(host->disk, fd);
	if (fd != -ENOENT)
		return fd < 0 ? fd : 0;
	r = cache_open(host, 0, &c);
	if (r == 0)
		r = cache_blob_each(c, any_blob, ret);
	cache_close(c);
	return r < 0 ? r : 0;
}

/* 1: there is a database, and f->meta is it; 0: it has to be rebuilt. */
static int open_database(struct fsck *f)
{
	bool rebuild = false;
	int r = fsck_is_lost(f->host, &rebuild);

	if (r == 0 && rebuild)
		fsck_found(f, f->opts->fix, "the database is lost");
	if (r < 0 || rebuild)
		return r;
	r = fsck_open(f, false, 0);
	if (r == -EIO) {
		fsck_found(f, f->opts->fix,
			   "the database cannot be opened, or is not what the "
			   "last barrier left");
		return 0;
	}
	if (r == 0)
		r = check_database(f, &rebuild);
	if (r < 0 || !rebuild)
		return r < 0 ? r : 1;
	meta_close(f->meta);
	f->meta = NULL;
	return 0;
}

int fsck_cache(const struct host *host, const struct fsck_opts *opts,
	       struct fsck_sums *ret)
{
	struct fsck f = { .host = host, .opts = opts, .sums = ret };
	int r;

	memset(ret, 0, sizeof(*ret));
	r = cache_open(host, 0, &f.cache);
	if (r < 0)
		return r;
	r = open_database(&f);
	if (r == 0 && opts->fix)
		r = fsck_rebuild(&f);
	if (r >= 0 && f.meta)
		r = fsck_blobs(&f);
	meta_close(f.meta);
	cache_close(f.cache);
	return r < 0 ? r : 0;
}
