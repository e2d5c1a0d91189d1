/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody does to a mount by hand: recover, prefetch.
 *
 * What waits for a word is listed, its bytes are where it says, and they are
 * some that a job wrote.  Published, they are what the name shows, and get to
 * the bucket.  Thrown away, the name shows what it was told to fall back on.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/cache.h"

#include "drive.h"

struct kept_one {
	bool any, shown;
	char id[24], state[16];
	const struct bytes *b; /* its own; NULL: they cannot be read */
	const struct bytes *falls; /* what its name shows without it */
	bool goes, stays; /* its name does; it shows something else */
	bool falls_kept; /* what it falls back on waits for a word, too */
	int err; /* of what was done to it */
	struct drive *d;
};

const struct bytes *drive_bytes_at(struct drive *d, const char *where)
{
	struct disk_stat st;
	ssize_t n = -EIO;
	int fd = disk_open(d->w.disk, where, O_RDONLY, 0);

	if (fd < 0)
		return NULL;
	if (disk_stat(d->w.disk, fd, &st) == 0 && st.size <= sizeof(d->buf))
		n = disk_pread(d->w.disk, fd, d->buf, (size_t)st.size, 0);
	disk_close(d->w.disk, fd);
	return n < 0 ? NULL : model_keep(&d->m, d->buf, (size_t)n);
}

/* The version it was opened over, by the rows. */
static const struct bytes *earlier_bytes(struct drive *d, const char *id,
					 bool *ret_kept)
{
	struct meta_version v = { .vid = strtoull(id + 1, NULL, 10) };
	char where[CACHE_BLOB_PATH_MAX] = "";
	const struct bytes *b;

	if (meta_begin(d->w.meta) < 0)
		return NULL;
	if (meta_version_get(d->w.meta, v.vid, &v) == 0 && v.replaces &&
	    meta_version_get(d->w.meta, v.replaces, &v) == 0)
		cache_blob_path(v.blob, where);
	*ret_kept = v.state != META_SEALED && v.state != META_PUBLISHED;
	meta_end(d->w.meta);
	b = where[0] ? drive_bytes_at(d, where) : NULL;
	return b && b->n == v.size ? b : NULL;
}

static void on_kept(void *arg, const struct fs_kept *k, int err,
		    const char *words)
{
	struct kept_one *one = arg;
	struct drive *d = one->d;

	one->err = err;
	if (d->trace)
		fprintf(stderr, "    %s %s, %s: %d %s; %s\n", k->id, k->path,
			k->state, err, words ? words : "", k->then);
	if (one->any || path_of(k->path) < 0)
		return;
	one->any = true;
	one->shown = k->shown;
	(void)snprintf(one->id, sizeof(one->id), "%s", k->id);
	(void)snprintf(one->state, sizeof(one->state), "%s", k->state);
	one->b = k->where[0] ? drive_bytes_at(d, k->where) : NULL;
	one->goes = strcmp(k->then, "its name goes, too") == 0;
	one->stays = strcmp(k->then, "what its name shows is not touched") == 0;
	if (strcmp(k->then, "its name shows the version before it again") == 0)
		one->falls = earlier_bytes(d, k->id, &one->falls_kept);
}

static void find_one(struct drive *d, int path, struct kept_one *ret)
{
	struct fs_recover_what what = { .path = path_text(path) };
	const struct item *e = &d->m.now->at[path];
	int r;

	*ret = (struct kept_one){ .d = d };
	drive_hold_faults(d);
	r = fs_recover(d->w.fs, FS_RECOVER_LIST, &what, on_kept, ret);
	drive_go_on(d);
	if (world_is_halted(&d->w))
		return;
	if (e->torn && !e->opens && !d->was_faulty && !d->m.alien[path] &&
	    (r < 0 || !ret->any))
		drive_fail(d, "%s is torn, and not listed: %s", path_text(path),
			   strerror(-r));
	/* a power cut leaves anything of what was not closed */
	if (ret->any && ret->b && ret->b->sealed && !d->was_cut &&
	    !d->was_faulty && !ret->b->shown && ret->shown &&
	    !same_bytes(ret->b, e->cur))
		drive_fail(d, "%s: other bytes are kept", path_text(path));
}

static int do_it(struct drive *d, int path, enum fs_recover act,
		 struct kept_one *one)
{
	struct fs_recover_what what = { .path = path_text(path),
					.id = one->id };
	int r = fs_recover(d->w.fs, act, &what, on_kept, one);

	return r < 0 ? r : one->err;
}

/* Of a well mount nothing stands in the way of it. */
static bool may_refuse(struct drive *d, int path)
{
	return d->was_faulty || d->aliens || d->refused || d->faulty_net ||
	       d->m.now->at[path].opens || !d->m.now->dir[path_dir(path)];
}

static void finish(struct drive *d, int path, int r, const char *what)
{
	if (world_is_halted(&d->w))
		return;
	if (r < 0) {
		model_undo(&d->m, drive_now(d));
		if (!may_refuse(d, path) && r != -EBUSY)
			drive_fail(d, "%s: %s: %s", path_text(path), what,
				   strerror(-r));
	}
	model_ack(&d->m);
}

static void publish(struct drive *d, int path, struct kept_one *one)
{
	if (!one->b || d->m.alien[path])
		return;
	model_kept(&d->m, drive_now(d), path, one->b, true);
	finish(d, path, do_it(d, path, FS_RECOVER_PUBLISH, one), "publish");
}

static void discard(struct drive *d, int path, struct kept_one *one)
{
	const struct item *e = &d->m.now->at[path];

	/* What it replaced stays in the bucket, and shows once it is listed. */
	if (one->goes && (e->over || e->owes))
		return;
	if (d->m.alien[path] || !(one->goes || one->stays || one->falls))
		return;
	if (one->stays)
		model_same(&d->m, drive_now(d), path);
	else
		model_kept(&d->m, drive_now(d), path,
			   one->goes ? NULL : one->falls, false);
	if (one->falls && one->falls_kept)
		drive_doubt(d, &d->m.now->at[path]);
	finish(d, path, do_it(d, path, FS_RECOVER_DISCARD, one), "discard");
}

static void on_any(void *arg, const struct fs_kept *k, int err,
		   const char *words)
{
	int *path = arg;

	(void)err;
	(void)words;
	if (*path < 0)
		*path = path_of(k->path);
}

static int any_kept(struct drive *d)
{
	struct fs_recover_what all = { .path = "" };
	int path = -1;

	drive_hold_faults(d);
	(void)!fs_recover(d->w.fs, FS_RECOVER_LIST, &all, on_any, &path);
	drive_go_on(d);
	return path;
}

void drive_recover(struct drive *d, int path, int act)
{
	struct fs_recover_what what = { .path = path_text(path) };
	struct kept_one one;

	if (d->m.now->at[path].kind == LINK)
		return;
	find_one(d, path, &one);
	if (!one.any && !drive_failed(d)) {
		path = any_kept(d);
		if (path < 0 || d->m.now->at[path].kind == LINK)
			return;
		find_one(d, path, &one);
	}
	if (!one.any || world_is_halted(&d->w) || drive_failed(d))
		return;
	d->unfinished = true; /* its blob may stay as long as it is kept */
	switch (act % 3) {
	case 0:
		publish(d, path, &one);
		break;
	case 1:
		discard(d, path, &one);
		break;
	default:
		(void)!fs_recover(d->w.fs, FS_RECOVER_RETRY, &what, on_kept,
				  &one);
	}
}

/* ---- prefetch */

static void check_here(struct drive *d, int path)
{
	struct fs_file_info i;

	if (d->m.now->at[path].kind != REGULAR || d->w.in_force.cache_size ||
	    d->m.alien[path] || fs_path_info(d->w.fs, path_text(path), &i) < 0)
		return;
	if (i.cached_files != i.files)
		drive_fail(d, "%s is fetched, and not here", path_text(path));
}

void drive_prefetch(struct drive *d, int path, int ms)
{
	struct fs_bulk how = { .deadline_mono_ns =
				       drive_now(d) + ms * NS_PER_MS };
	const struct item *e = &d->m.now->at[path];
	struct fs_bulk_sums sums;
	int r = fs_prefetch(d->w.fs, path_text(path), &how, &sums);

	if (world_is_halted(&d->w) || d->m.alien[path] || d->was_faulty)
		return;
	if (!d->m.now->dir[path_dir(path)] || !e->kind) {
		if (r == 0 && !d->aliens)
			drive_fail(d, "%s is not there, and fetched",
				   path_text(path));
	} else if (r == 0 && sums.refused == 0) {
		check_here(d, path);
	} else if (r < 0 && r != -ETIMEDOUT && !d->faulty_net &&
		   !d->w.in_force.cache_size && !d->aliens) {
		drive_fail(d, "%s: prefetch: %s", path_text(path),
			   strerror(-r));
	}
}

/* What is fetched for it is given up. */
void drive_peek(struct drive *d, int path)
{
	const struct item *e = &d->m.now->at[path];
	struct wfile f;
	int r;

	if (e->kind == LINK)
		return;
	r = world_open(&d->w, path_text(path), O_RDONLY, &f);
	if (r == 0)
		world_release(&d->w, &f);
	if (world_is_halted(&d->w) || d->m.alien[path] || d->faulty_net ||
	    (r < 0 && drive_is_excused(d, r)))
		return;
	if (r == -EIO && drive_lost_bytes(d, path) && drive_is_short(d, path))
		return;
	if ((r == 0) != (e->kind && d->m.now->dir[path_dir(path)]))
		drive_fail(d, "%s: open: %s", path_text(path), strerror(-r));
}
