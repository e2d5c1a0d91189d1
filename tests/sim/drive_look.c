/* SPDX-License-Identifier: Apache-2.0 */
/* What can be seen, against what the model says. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cache/blob.h"
#include "chaos.h"
#include "drive.h"

/* ---- the mount */

static void look_file(struct drive *d, int path, struct found *ret)
{
	struct wfile f;
	ssize_t n;
	int tries, r = -EIO;

	/* Requests that met a full disk may come to their end only now. */
	for (tries = d->was_faulty ? 0 : 3;
	     tries < 4 && (r == -EIO || r == -ENOSPC); tries++)
		r = world_open(&d->w, path_text(path), O_RDONLY, &f);
	if (r == -EIO && drive_lost_bytes(d, path) && drive_is_short(d, path)) {
		ret->kind = REGULAR; /* none of it can be read */
		ret->b = model_keep(&d->m, "", 0);
		return;
	}
	if (r < 0) {
		ret->unknown = true;
		if (d->trace)
			fprintf(stderr, "    %s: open: %s\n", path_text(path),
				strerror(-r));
		if (!world_is_halted(&d->w) && !d->faulty_net && !d->aliens)
			drive_fail(d, "%s: open: %s", path_text(path),
				   strerror(-r));
		return;
	}
	n = world_read(&d->w, &f, d->buf, sizeof(d->buf));
	(void)!world_flush(&d->w, &f);
	world_release(&d->w, &f);
	if (n >= 0) {
		ret->kind = REGULAR;
		ret->b = model_keep(&d->m, d->buf, (size_t)n);
	} else {
		ret->unknown = true;
		if (!world_is_halted(&d->w) && !d->aliens)
			drive_fail(d, "%s: read: %s", path_text(path),
			   strerror((int)-n));
	}
}

void drive_look_at(struct drive *d, int path, struct found *ret)
{
	const char *state;
	struct fs_attr a;
	char target[1025];
	int r = 0;
	uint64_t ino = world_ino(&d->w, path_text(path), &r);

	memset(ret, 0, sizeof(*ret));
	if (ino)
		r = fs_getattr(d->w.fs, ino, NULL, &a);
	ret->unknown = r < 0 && r != -ENOENT;
	if (!ino || r < 0 || S_ISDIR(a.mode))
		return;
	if (S_ISLNK(a.mode)) {
		if (fs_readlink(d->w.fs, ino, target) == 0) {
			ret->kind = LINK;
			ret->b = model_keep(&d->m, target, strlen(target));
		}
		return;
	}
	look_file(d, path, ret);
	state = world_state(&d->w, path_text(path));
	ret->poisoned = strcmp(state, "poisoned") == 0;
	ret->unfinished = ret->poisoned || strcmp(state, "unfinished") == 0 ||
			  strcmp(state, "torn") == 0;
	d->unfinished |= ret->unfinished;
	/* opening completes what a listing knows */
	if (fs_getattr(d->w.fs, ino, NULL, &a) == 0) {
		ret->mode = a.mode & 07777;
		ret->mtime_ns = a.mtime_ns;
	}
}

void drive_look(struct drive *d, struct tree *ret)
{
	int i, r = 0;

	memset(ret, 0, sizeof(*ret));
	for (i = 0; i < DIRS; i++)
		ret->dir[i] = world_is_dir(&d->w, dir_text(i), &r);
	for (i = 0; i < PATHS; i++)
		if (ret->dir[path_dir(i)])
			drive_look_at(d, i, &ret->at[i]);
}

struct listing {
	struct drive *d;
	int dir;
	unsigned seen;
};

static int on_entry(void *arg, const char *name, const struct fs_attr *a,
		    uint64_t next)
{
	struct listing *l = arg;
	const struct state *s = l->d->m.now;
	char text[300];
	int path;

	(void)a;
	(void)next;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (l->dir == 0 && dir_of(name) > 0 && s->dir[dir_of(name)])
		return 0;
	(void)snprintf(text, sizeof(text), "%s%s%s", dir_text(l->dir),
		       l->dir ? "/" : "", name);
	path = path_of(text);
	if (path < 0 || !s->at[path].kind)
		drive_fail(l->d, "%s is listed", text);
	l->seen++;
	return 0;
}

static void check_listing(struct drive *d, int dir)
{
	struct listing l = { .d = d, .dir = dir };
	struct fs_dir *h;
	unsigned want = 0;
	int i, r = 0;
	uint64_t ino = world_ino(&d->w, dir_text(dir), &r);

	if (!ino || fs_opendir(d->w.fs, ino, &h) < 0)
		return;
	r = fs_readdir(d->w.fs, h, 0, on_entry, &l);
	fs_closedir(d->w.fs, h);
	for (i = 0; i < NAMES; i++)
		want += d->m.now->at[dir * NAMES + i].kind != NONE;
	if (r == 0 && l.seen != want)
		drive_fail(d, "%s/ lists %u names, not %u", dir_text(dir),
			   l.seen, want);
}

static void check_one(struct drive *d, const struct tree *t, int path)
{
	const struct item *e = &d->m.now->at[path];
	const struct found *f = &t->at[path];

	if (d->m.alien[path]) {
		if (!f->unknown)
			drive_adopt_found(d, path, f);
		return;
	}
	if (e->kind != f->kind)
		drive_fail(d, "%s is %sthere", path_text(path),
			   f->kind ? "" : "not ");
	else if (e->kind && !same_bytes(e->cur, f->b))
		drive_fail(d, "%s: other bytes (%u, not %u)", path_text(path),
			   f->b ? f->b->n : 0, e->cur->n);
	else if (e->kind == REGULAR && e->mode != f->mode)
		drive_fail(d, "%s: mode %o, not %o", path_text(path), f->mode,
			   e->mode);
	else if (e->kind == REGULAR && e->has_times && !e->open &&
		 e->mtime_ns != f->mtime_ns)
		drive_fail(d, "%s: another mtime", path_text(path));
}

static void compare(struct drive *d, const struct tree *t)
{
	int i;

	for (i = 0; i < DIRS; i++)
		if (t->dir[i] != d->m.now->dir[i] && !d->m.alien_dir[i])
			drive_fail(d, "folder %s is %sthere", dir_text(i),
				   t->dir[i] ? "" : "not ");
	for (i = 0; i < PATHS; i++)
		check_one(d, t, i);
	for (i = 0; i < DIRS && !drive_failed(d); i++)
		if (t->dir[i] && !d->aliens)
			check_listing(d, i);
}

void drive_check_tree(struct drive *d)
{
	struct tree t;

	drive_hold_faults(d);
	drive_note_poisoned(d);
	drive_adopt(d);
	drive_look(d, &t);
	if (!world_is_halted(&d->w) && !drive_failed(d))
		compare(d, &t);
	drive_go_on(d);
}

/* ---- the bucket at rest */

static bool any_loose(const struct model *m)
{
	int i;

	for (i = 0; i < PATHS; i++)
		if (m->now->at[i].loose)
			return true;
	return false;
}

static void check_rest_one(struct drive *d, const struct shown *b, int path)
{
	struct item *e = &d->m.now->at[path];
	const char *state;

	if (e->loose || (!e->kind && b->there && any_loose(&d->m)))
		return; /* unfinished; or owed to one that is */
	if (e->held && e->fuzzy) { /* published under it, or never */
		e->pub = b->there ? b->b : NULL;
		return;
	}
	if (!e->pub) {
		if (b->there && !model_owed(&d->m, path) &&
		    !(d->m.alien[path] && e->held))
			drive_fail(d, "%s is left in the bucket",
				   path_text(path));
		return;
	}
	if (d->m.alien[path] && (e->held || e->kind == LINK))
		return;
	/* it was there, and others took it away, or what it was renamed from */
	if (d->m.alien[path] && e->pub->shown && !b->there)
		return;
	state = e->held ? "published" : world_state(&d->w, path_text(path));
	if (d->others && strcmp(state, "conflict") == 0)
		return; /* ours is kept, theirs stands */
	if (strcmp(state, "published") != 0 && strcmp(state, "cold") != 0)
		drive_fail(d, "%s is %s though all was sent", path_text(path),
			   state);
	else if (!b->there || !same_bytes(b->b, e->pub))
		drive_fail(d, "%s: the bucket has %s", path_text(path),
			   b->there ? "other bytes" : "nothing");
}

static int on_object(void *arg, const char *key, const struct store_obj *o)
{
	struct drive *d = arg;
	char text[64];
	size_t n;

	(void)o;
	(void)snprintf(text, sizeof(text), "%s", key + strlen(WORLD_PREFIX));
	n = strlen(text);
	if (n && text[n - 1] == '/') {
		text[n - 1] = '\0';
		/* of a life whose rows are lost, and in a file's shadow */
		if (dir_of(text) <= 0 || (!d->m.now->dir[dir_of(text)] &&
					  !d->left_dir[dir_of(text)]))
			drive_fail(d, "the bucket has a marker %s/", text);
	} else if (path_of(text) < 0) {
		drive_fail(d, "the bucket has %s", text);
	}
	return 0;
}

static int on_upload(void *arg, const char *key, const char *id, int64_t ns)
{
	const struct drive *d = arg;

	(void)id;
	(void)ns;
	if (!d->was_cut && !d->faulty_net) /* it may not be heard */
		drive_fail(arg, "an upload of %s is left in the bucket", key);
	return 0;
}

/* Where ours is in conflict with theirs, or held back, it stays so. */
static void rest_aliens(struct drive *d, const struct shown now[PATHS])
{
	bool still[PATHS], hidden;
	int i;

	hidden = d->m.alien_dir[CLASH_DIR] && d->m.now->at[CLASH].kind;
	for (i = 0; i < PATHS; i++)
		still[i] = d->m.alien[i] &&
			   (now[i].there != (d->m.now->at[i].kind != NONE) ||
			    !same_bytes(now[i].b, d->m.now->at[i].cur));
	alien_rest(&d->m);
	d->m.alien_dir[CLASH_DIR] = hidden;
	for (i = 0; i < PATHS; i++)
		if (still[i])
			alien_was_at(&d->m, i);
}

void drive_check_rest(struct drive *d)
{
	struct shown now[PATHS];
	int i;

	/* Uploads of no use are aborted when there is nothing else to do. */
	(void)sim_run_for(d->w.sim, 10 * NS_PER_S);
	if (d->m.held_ends && d->w.in_force.transfer.upload_max_delay_ns <
				      3600 * NS_PER_S) { /* what is held goes */
		(void)sim_run_for(d->w.sim, 60 * NS_PER_S);
		(void)world_settle(&d->w, 600 * NS_PER_S);
	}
	drive_await_listings(d);
	drive_check_tree(d);
	if (drive_failed(d) || world_is_halted(&d->w))
		return;
	bucket_look(d->w.bucket, &d->m, now);
	for (i = 0; i < PATHS; i++)
		check_rest_one(d, &now[i], i);
	if (store_list(d->w.bucket, WORLD_PREFIX, NULL, false, on_object, d) ||
	    store_mpu_list(d->w.bucket, WORLD_PREFIX, on_upload, d))
		abort();
	if (!d->no_conditions && chaos_was_bare(d->w.chaos))
		drive_fail(d, "a change without a condition");
	if (drive_failed(d))
		return;
	model_rest(&d->m, drive_now(d));
	order_rest(&d->o, now);
	rest_aliens(d, now);
}

/* ---- what is left */

struct count {
	struct drive *d;
	unsigned n;
};

static int on_blob(void *arg, const char *name, bool is_dir)
{
	struct count *c = arg;

	(void)name;
	c->n += !is_dir;
	return 0;
}

static int on_blob_dir(void *arg, const char *name, bool is_dir)
{
	struct count *c = arg;
	char path[64];

	if (!is_dir)
		return 0;
	(void)snprintf(path, sizeof(path), BLOB_ROOT "/%s", name);
	return disk_list(c->d->w.disk, path, on_blob, c);
}

void drive_check_leaks(struct drive *d)
{
	struct count c = { .d = d };
	unsigned files = 0;
	int i;

	(void)sim_run_for(d->w.sim, 5 * NS_PER_S); /* for the last barrier */
	world_unmount(&d->w);
	if (simdisk_open_handles(d->w.disk) > 0)
		drive_fail(d, "%u files are left open",
			   simdisk_open_handles(d->w.disk));
	if (disk_list(d->w.disk, BLOB_ROOT, on_blob_dir, &c) < 0)
		return;
	for (i = 0; i < PATHS; i++) {
		if (d->m.now->at[i].held)
			return; /* what it was before goes with its end */
		files += d->m.now->at[i].kind == REGULAR;
	}
	if (c.n > files && !d->unfinished && !d->was_faulty && !d->aliens)
		drive_fail(d, "%u blobs for %u files", c.n, files);
}
