/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other writers in the bucket: what they do, and how the mount comes to show
 * it.  What it shows is taken over before each thing a job does; and what they
 * put may go only by the hand of somebody to whom it was shown.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "drive.h"
#include "rows.h"

/* A listing is believed for so long; then who looks has it done again. */
#define LISTED_NS (11 * NS_PER_S)

/* ---- what they do */

struct body {
	const struct bytes *b;
};

static ssize_t read_body(void *arg, uint64_t off, void *p, size_t n)
{
	const struct body *body = arg;

	memcpy(p, body->b->p + off, n);
	return (ssize_t)n;
}

static void key_of(int path, char ret[64])
{
	(void)snprintf(ret, 64, WORLD_PREFIX "%s", path_text(path));
}

/* As another instant of the bucket's history: not the mount's doing. */
static void look(struct drive *d)
{
	bucket_look(d->w.bucket, &d->m, d->bucket);
	drive_note_shown(d);
}

/* What is there may be moved on by what is under way already, or be in the way
 * of it. */
static void spread(struct drive *d, int path)
{
	int i, k, from;

	d->aliens = true;
	alien_was_at(&d->m, path);
	for (i = 1; path_dir(path) && i < DIRS; i++)
		alien_was_at(&d->m, i * NAMES + path % NAMES);
	for (k = 0; k < d->m.n; k++) {
		from = d->m.s[k]->at[path].from;
		if (d->m.s[k]->at[path].kind && from >= 0)
			alien_was_at(&d->m, from);
		for (i = 0; i < PATHS; i++)
			if (d->m.s[k]->at[i].kind &&
			    d->m.s[k]->at[i].from == path)
				alien_was_at(&d->m, i);
	}
}

/* So it is at what others do. */
static void taint(struct drive *d, int path)
{
	int k;

	d->others = true;
	for (k = 0; d->bucket[path].there && k < d->m.n; k++)
		d->m.s[k]->at[path].taken = true;
	spread(d, path);
}

void drive_foreign_put(struct drive *d, int path, unsigned size)
{
	struct body body = { model_theirs(&d->m, size) };
	struct store_src src = { .read = read_body, .arg = &body, .len = size };
	struct store_meta meta = { .mode = 0 };
	struct store_obj obj;
	char key[64];

	d->w.looks++;
	key_of(path, key);
	if (store_put(d->w.bucket, key, &src, &meta, NULL, &obj) == 0) {
		taint(d, path);
		look(d);
		d->foreign[path] = body.b;
	}
	d->w.looks--;
}

void drive_foreign_del(struct drive *d, int path)
{
	char key[64];

	d->w.looks++;
	key_of(path, key);
	if (store_del(d->w.bucket, key, NULL) == 0) {
		taint(d, path);
		look(d);
		d->foreign[path] = NULL;
	}
	d->w.looks--;
}

static void on_kept(void *arg, const struct fs_kept *k, int err,
		    const char *words)
{
	const struct drive *d = arg;

	if (d->trace)
		fprintf(stderr, "    recover %s (%s): %d %s\n", k->path,
			k->state, err, words ? words : "");
}

/* What a life whose rows are lost made of a folder that is none now: where a file
 * of its name cannot be beside it, it waits as theirs does. */
static void clear_folder(struct drive *d, int dir)
{
	char key[64];
	int i;

	(void)snprintf(key, sizeof(key), WORLD_PREFIX "%s/", dir_text(dir));
	d->w.looks++;
	(void)!store_del(d->w.bucket, key, NULL);
	d->w.looks--;
	for (i = dir * NAMES; i < (dir + 1) * NAMES; i++)
		if (d->bucket[i].there)
			drive_foreign_del(d, i);
}

/* A rename or a link that theirs is in the way of waits for somebody's word: it
 * is taken out of the way, and tried once more.  So is what was refused. */
bool drive_clear_the_way(struct drive *d)
{
	struct fs_recover_what all = { .path = "" };
	int i;

	if (!d->aliens && !d->refused)
		return false;
	for (i = 0; i < PATHS; i++)
		if (d->bucket[i].b && d->bucket[i].b->theirs)
			drive_foreign_del(d, i);
	if (d->m.alien_dir[CLASH_DIR] && d->m.now->at[CLASH].kind)
		clear_folder(d, CLASH_DIR);
	memset(d->foreign, 0, sizeof(d->foreign));
	(void)!fs_recover(d->w.fs, FS_RECOVER_RETRY, &all, on_kept, d);
	return true;
}

/* ---- what the mount sent that its rows may not know */

void drive_note_shown(struct drive *d)
{
	int i;

	for (i = 0; i < PATHS; i++)
		if (d->bucket[i].b)
			model_shown(&d->m, d->bucket[i].b);
}

static bool is_anywhere(const struct shown now[PATHS], const struct bytes *b)
{
	int i;

	for (i = 0; i < PATHS; i++)
		if (now[i].there && same_bytes(now[i].b, b))
			return true;
	return false;
}

static int is_parked(void *arg, const struct meta_op *op)
{
	bool *ret = arg;

	*ret |= op->parked;
	return *ret;
}

/* Theirs is in the way of something: what has nothing to do with its folder
 * passes, until the next rest. */
static void note_parked(struct drive *d)
{
	bool parked = false;

	if (!d->aliens || !d->w.meta || world_is_halted(&d->w))
		return;
	rows_hold();
	if (meta_begin(d->w.meta) == 0) {
		(void)!meta_op_each(d->w.meta, 0, is_parked, &parked);
		meta_end(d->w.meta);
	}
	rows_go_on();
	d->o.off |= parked;
}

static int marker_of(const char *key)
{
	char text[64];
	size_t n;

	(void)snprintf(text, sizeof(text), "%s", key + strlen(WORLD_PREFIX));
	n = strlen(text);
	if (n == 0 || text[n - 1] != '/')
		return -1;
	text[n - 1] = '\0';
	return dir_of(text);
}

void drive_bucket_changed(struct drive *d, const char *key,
			  const struct shown now[PATHS])
{
	bool ahead = d->was_faulty && drive_disk_is_bad(d);
	int i = marker_of(key);

	note_parked(d);
	if (i > 0)
		d->ahead_dir[i] |= ahead;
	for (i = 0; i < PATHS; i++) {
		if (d->foreign[i] && !is_anywhere(now, d->foreign[i]) &&
		    !d->no_conditions) {
			drive_fail(d, "what another writer put at %s is gone",
				   path_text(i));
			d->foreign[i] = NULL;
		}
		if (now[i].there != d->bucket[i].there ||
		    !same_bytes(now[i].b, d->bucket[i].b))
			d->ahead[i] |= ahead;
	}
	memcpy(d->bucket, now, sizeof(d->bucket));
	drive_note_shown(d);
}

void drive_note_ahead(struct drive *d)
{
	int i;

	for (i = 0; i < PATHS; i++)
		if (d->ahead[i]) {
			alien_ahead_at(&d->m, i);
			spread(d, i); /* a folder may take it along again */
			d->o.off = true;
		}
	for (i = 0; i < DIRS; i++)
		if (d->ahead_dir[i])
			d->m.alien_dir[i] = d->left_dir[i] = d->aliens = true;
}

/* ---- how it shows */

static void adopt_dir(struct drive *d, int dir)
{
	int i, r = 0;
	bool there = world_is_dir(&d->w, dir_text(dir), &r);

	if (world_is_halted(&d->w) || (!there && r != -ENOENT))
		return;
	d->m.now->dir[dir] = there;
	for (i = 0; !there && i < NAMES; i++)
		if (d->m.now->at[dir * NAMES + i].kind)
			alien_adopt(&d->m, dir * NAMES + i,
				    &(struct found){ .kind = NONE });
}

void drive_adopt_found(struct drive *d, int path, const struct found *f)
{
	struct item *e = &d->m.now->at[path];
	int i;

	for (i = 0; i < PATHS; i++) /* its folder may have been moved */
		if (d->foreign[i] && same_bytes(f->b, d->foreign[i]))
			d->foreign[i] = NULL; /* it was seen */
	if (f->kind == e->kind && same_bytes(f->b, e->cur)) {
		if (f->kind == REGULAR && !e->open && !e->dirty) {
			e->mode = f->mode;
			e->mtime_ns = f->mtime_ns;
		}
		return;
	}
	if (!alien_allows(e, f))
		drive_fail(d, "%s: neither ours nor theirs (%d bytes, not %d)",
			   path_text(path), f->b ? (int)f->b->n : -1,
			   e->cur ? (int)e->cur->n : -1);
	else
		alien_adopt(&d->m, path, f);
}

/* The mount is asked about each name at which others were. */
void drive_adopt(struct drive *d)
{
	struct found f;
	int i;

	if (!d->aliens)
		return;
	drive_hold_faults(d);
	for (i = 1; i < DIRS; i++)
		if (d->m.alien_dir[i] && !drive_failed(d))
			adopt_dir(d, i);
	for (i = 0; i < PATHS; i++) {
		if (!d->m.alien[i] || !d->m.now->dir[path_dir(i)] ||
		    drive_failed(d))
			continue;
		drive_look_at(d, i, &f);
		if (world_is_halted(&d->w))
			break;
		if (f.unknown) /* but its name is there */
			d->foreign[i] = NULL;
		else
			drive_adopt_found(d, i, &f);
	}
	drive_go_on(d);
}

bool drive_made_in_theirs(struct drive *d, int path, uint64_t ino)
{
	struct fs_attr a;
	bool yes;

	drive_hold_faults(d);
	adopt_dir(d, path_dir(path));
	yes = d->m.now->dir[path_dir(path)] &&
	      fs_getattr(d->w.fs, ino, NULL, &a) == 0 && a.size == 0;
	drive_go_on(d);
	if (yes)
		alien_was_at(&d->m, path);
	return yes;
}

/* What a job did to a name that had just been listed it did to what is there.
 */
void drive_note_listed(struct drive *d)
{
	struct meta_object row;
	struct store_obj now;
	char key[64];
	int i;

	if (!d->aliens || !d->w.fs || world_is_halted(&d->w))
		return;
	drive_hold_faults(d);
	for (i = 0; i < PATHS; i++) {
		if (!d->foreign[i])
			continue;
		key_of(i, key);
		if (store_head(d->w.bucket, key, &now) < 0 ||
		    meta_begin(d->w.meta) < 0)
			continue;
		if (meta_object_get(d->w.meta, key, &row) == 0 && row.ino &&
		    strcmp(now.etag, row.etag) == 0)
			d->foreign[i] = NULL;
		meta_end(d->w.meta);
	}
	drive_go_on(d);
}

/* Until all that the bucket has can be seen. */
void drive_await_listings(struct drive *d)
{
	int i;

	for (i = 0; i < 3 && d->aliens && !world_is_halted(&d->w); i++) {
		drive_adopt(d);
		(void)sim_run_for(d->w.sim, LISTED_NS);
	}
	drive_adopt(d);
}
