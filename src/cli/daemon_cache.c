/* SPDX-License-Identifier: Apache-2.0 */
/* The cache folder of a source, and what lies in it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/cache.h"
#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/fsck.h"
#include "ckptfs/meta.h"
#include "ckptfs/rng.h"
#include "ckptfs/text.h"
#include "ckptfs/thr.h"

#include "cmd.h"
#include "daemon.h"

#define PATH_MOST 4096
#define BALLAST (UINT64_C(64) << 20)

/* What a mount needs at least, or its first write would wait for ever. */
#define LEAST_SIZE (1U << 20)

static char *default_dir(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	struct buf b = BUF_INIT(PATH_MOST);
	int r;

	if (geteuid() == 0)
		r = buf_addf(&b, "/var/lib/ckptfs");
	else if (state && *state == '/')
		r = buf_addf(&b, "%s/ckptfs", state);
	else if (home && *home == '/')
		r = buf_addf(&b, "%s/.local/state/ckptfs", home);
	else
		r = -ENOENT;
	return r == 0 ? buf_take(&b, NULL) : NULL;
}

int daemon_find_cache(struct daemon *d)
{
	char *base = d->o->cache_dir ? strdup(d->o->cache_dir) : default_dir();
	struct buf b = BUF_INIT(PATH_MOST);
	char hash[17];
	int r;

	if (!base)
		return say_error(&d->say, CLI_USAGE,
				 "where shall the cache be? neither HOME nor "
				 "cache_dir says");
	source_hash(d->normal, hash);
	r = buf_addf(&b, "%s/%s", base, hash);
	free(base);
	if (r == 0)
		d->cache_path = buf_take(&b, NULL);
	if (!d->cache_path)
		return say_error(&d->say, CLI_FAILED, "out of memory");
	return CLI_DONE;
}

/* A cache that a reboot, or another machine, takes away breaks the promises. */
static int check_kind(struct daemon *d, unsigned long magic)
{
	const char *name = "?";
	enum cache_fs_kind kind = cache_fs_kind(magic, &name);
	const char *why = kind == CACHE_FS_VOLATILE
				  ? "which a reboot empties"
				  : "which another machine can change or take "
				    "away, and which has no leases to rely on";

	if (kind == CACHE_FS_OVERLAY)
		daemon_warn(d,
			    "the cache lies in a container's own layer "
			    "(%s): what is not uploaded goes with the "
			    "container",
			    name);
	if (kind == CACHE_FS_GOOD || kind == CACHE_FS_OVERLAY)
		return CLI_DONE;
	if (d->o->volatile_cache == OPT_VOLATILE_OK) {
		daemon_warn(d,
			    "the cache lies on %s, %s: unpublished data "
			    "does not survive a power cut",
			    name, why);
		return CLI_DONE;
	}
	return say_error(&d->say, CLI_FAILED,
			 "the cache %s lies on %s, %s; unpublished data would "
			 "not be safe there: give cache_dir= on a local disk, "
			 "or accept the loss with volatile_cache=ok",
			 d->cache_path, name, why);
}

/* The bytes blobs take now; an int for nftw's sake is not enough. */
static uint64_t blob_bytes;

static int add_blocks(const char *path, const struct stat *st, int flag,
		      struct FTW *ftw)
{
	(void)path;
	(void)ftw;
	if (flag == FTW_F)
		blob_bytes += (uint64_t)st->st_blocks * 512;
	return 0;
}

static void find_size(struct daemon *d, const struct disk_space *sp)
{
	char blobs[PATH_MOST];

	d->cache_size = d->o->cache_size;
	if (d->cache_size == 0) {
		(void)snprintf(blobs, sizeof(blobs), "%s/blobs", d->cache_path);
		blob_bytes = 0;
		(void)nftw(blobs, add_blocks, 16, FTW_PHYS | FTW_MOUNT);
		d->cache_size = (sp->avail + blob_bytes) / 5 * 4;
	}
	if (d->cache_size < LEAST_SIZE)
		d->cache_size = LEAST_SIZE;
}

/* For people who look into the folder. */
static void write_source(struct daemon *d)
{
	char path[PATH_MOST];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/source", d->cache_path);
	f = daemon_create(path);
	if (!f)
		return;
	(void)fprintf(f, "%s\n", d->normal);
	(void)fclose(f);
}

int daemon_open_cache(struct daemon *d)
{
	struct disk_space sp;
	int r = d->cache_path ? CLI_DONE : daemon_find_cache(d);

	if (r != CLI_DONE)
		return r;
	r = disk_system_open(d->cache_path, &d->host.disk);
	if (r == 0)
		r = disk_space(d->host.disk, &sp);
	if (r == -EPERM)
		return say_error(&d->say, CLI_FAILED,
				 "the cache %s is not this user's alone: give "
				 "another cache_dir, or see to it that it is "
				 "(chown, chmod 700) if nobody can have put "
				 "anything into it",
				 d->cache_path);
	if (r < 0)
		return say_error(&d->say, CLI_FAILED,
				 "the cache %s cannot be opened: %s",
				 d->cache_path, strerror(-r));
	d->host.clk = &clk_system;
	d->host.rng = &rng_system;
	d->host.thr = &thr_system;
	r = check_kind(d, sp.fs_magic);
	if (r == CLI_DONE)
		r = daemon_lock(d);
	if (r != CLI_DONE)
		return r;
	write_source(d);
	find_size(d, &sp);
	return CLI_DONE;
}

static int meta_failed(struct daemon *d, int r)
{
	if (r == -EBUSY)
		return say_error(&d->say, CLI_FAILED,
				 "the cache %s belongs to another source",
				 d->cache_path);
	if (r == -ENOTSUP)
		return say_error(&d->say, CLI_FAILED,
				 "the cache %s was made by a newer ckptfs: "
				 "mount with that one, or give another "
				 "cache_dir=",
				 d->cache_path);
	if (r == -ENOSPC)
		return say_error(&d->say, CLI_FAILED,
				 "the disk of the cache %s is full: make room "
				 "there, or give another cache_dir=",
				 d->cache_path);
	return say_error(&d->say, CLI_FAILED,
			 "the state in %s cannot be opened: %s%s", d->cache_path,
			 strerror(-r),
			 r == -EIO ? "; 'ckptfs fsck --cache SOURCE' tells more, "
				     "and mends it with --fix" :
				     "");
}

/* A new one would know none of the bytes that are there. */
static int check_lost(struct daemon *d)
{
	bool lost;
	int r = fsck_is_lost(&d->host, &lost);

	if (r < 0)
		return meta_failed(d, r);
	if (!lost)
		return CLI_DONE;
	return say_error(&d->say, CLI_FAILED,
			 "the database in %s is lost, and files are there: "
			 "'ckptfs fsck --cache SOURCE --fix' makes it anew from "
			 "them",
			 d->cache_path);
}

int daemon_open_meta(struct daemon *d, struct fs_opts *ret)
{
	struct cache *checker = NULL;
	struct meta_opts opts = { .source = d->normal,
				  .check = fs_check_version,
				  .ballast = BALLAST };
	struct meta_report report;
	int r = check_lost(d);

	if (r != CLI_DONE)
		return r;
	r = cache_open(&d->host, 0, &checker);
	if (r == 0) {
		opts.check_arg = checker;
		r = meta_open(&d->host, &opts, &d->meta, &report);
		cache_close(checker);
	}
	if (r == 0)
		r = cache_open(&d->host, report.epoch, &d->cache);
	if (r < 0)
		return meta_failed(d, r);
	if (report.cut && report.frames_dropped > 0)
		daemon_warn(d,
			    "the machine lost power: the state is that of "
			    "the last barrier, %llu changes younger than "
			    "that are gone",
			    (unsigned long long)report.frames_dropped);
	memcpy(ret->cache_id, report.cache_id, sizeof(ret->cache_id));
	ret->epoch = report.epoch;
	ret->same_boot = report.same_boot;
	return CLI_DONE;
}
