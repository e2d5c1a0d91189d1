/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that fails: what it excuses, and what holds all the same.
 *
 *	Whatever is refused is refused with EIO or ENOSPC, and was not done;
 *	so it is with ENOMEM where memory cannot be had.
 *	What a write or a cut of a file has done in part is found out by
 *	reading: bytes of before or of after it.
 *	What was acknowledged stays.  A sync that failed takes from a file that
 *	no barrier covers no more than what status calls poisoned.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/thr.h"

#include "drive.h"
#include "memory.h"
#include "rows.h"
#include "simdisk_impl.h"

#define WHOLE_DISK (UINT64_C(1) << 40) /* as at first */

/* ---- the faults */

/* The mount takes nothing new, whether the disk is well again or not. */
static bool is_failed(struct drive *d)
{
	struct fs_stats st;

	if (!d->was_faulty || !d->w.fs)
		return false;
	fs_stats(d->w.fs, &st);
	return st.failed;
}

bool drive_disk_is_bad(struct drive *d)
{
	return d->faulty_disk || is_failed(d);
}

bool drive_is_excused(struct drive *d, int r)
{
	if (r == -ENOSPC && d->w.in_force.cache_size)
		return true; /* what waits to be sent fills it */
	return (r == -EIO || r == -ENOSPC || (r == -ENOMEM && d->no_memory)) &&
	       drive_disk_is_bad(d);
}

/* Who waits for room, or for bytes to be brought here, waits for a disk that is
 * well: after ten minutes it is. */
static int64_t watch_disk(void *arg)
{
	struct drive *d = arg;
	int64_t left = d->mend_ns - drive_now(d);

	if (!d->faulty_disk)
		return CLK_NEVER;
	if (left > 0)
		return left;
	drive_mend_disk(d);
	return CLK_NEVER;
}

static void begin_faults(struct drive *d)
{
	struct thr *thr = sim_host(d->w.sim)->thr;

	drive_note_durable(d);
	d->faulty_disk = d->was_faulty = d->doubtful = true;
	d->mend_ns = drive_now(d) + 600 * NS_PER_S;
	if (d->watcher)
		thr_kick(d->watcher);
	else if (thr_start(thr, "operator", watch_disk, d, &d->watcher) < 0)
		abort();
}

void drive_disk_end(struct drive *d)
{
	thr_stop(d->watcher);
	d->watcher = NULL;
}

void drive_break_disk(struct drive *d, const int *a)
{
	if (d->rules == SIM_RULES)
		return;
	begin_faults(d);
	d->rules++;
	/* one that does nothing any more is well after another boot only */
	simdisk_fail(d->w.disk, (enum simdisk_op)a[0], (unsigned long)a[1],
		     -a[2], a[3] && a[0] != SIM_ANY);
}

void drive_set_room(struct drive *d, int pages)
{
	struct disk_space sp;

	if (disk_space(d->w.disk, &sp) < 0)
		return;
	begin_faults(d);
	simdisk_set_capacity(d->w.disk, sp.total - sp.avail +
						(uint64_t)pages * SIM_PAGE);
}

void drive_break_memory(struct drive *d, const int *a)
{
	begin_faults(d);
	d->no_memory = true;
	memory_fail(a[0] ? MEMORY_SQLITE : MEMORY_LIBRARY, (unsigned long)a[1],
		    a[2]);
}

void drive_break_rows(struct drive *d, const int *a)
{
	begin_faults(d);
	rows_fail((unsigned long)a[0], a[1], a[2]);
}

/* It is still to die, if it was. */
void drive_mend_disk(struct drive *d)
{
	struct simdisk *disk = sim_of(d->w.disk);

	memset(disk->rules, 0, sizeof(disk->rules));
	simdisk_set_capacity(d->w.disk, WHOLE_DISK);
	memset(d->held.rules, 0, sizeof(d->held.rules));
	d->held.capacity = disk->capacity;
	memory_heal();
	rows_heal();
	d->rules = 0;
	d->faulty_disk = false;
	d->doubtful = d->was_faulty && (!d->w.fs || is_failed(d));
}

/* ---- looking through them */

void drive_hold_faults(struct drive *d)
{
	struct simdisk *disk = sim_of(d->w.disk);

	memory_hold();
	rows_hold();
	if (d->held.n++ > 0)
		return;
	memcpy(d->held.rules, disk->rules, sizeof(disk->rules));
	d->held.capacity = disk->capacity;
	memset(disk->rules, 0, sizeof(disk->rules));
	simdisk_set_capacity(d->w.disk, WHOLE_DISK);
}

void drive_go_on(struct drive *d)
{
	struct simdisk *disk = sim_of(d->w.disk);

	memory_go_on();
	rows_go_on();
	if (--d->held.n > 0)
		return;
	memcpy(disk->rules, d->held.rules, sizeof(disk->rules));
	disk->capacity = d->held.capacity;
}

/* ---- what is no more certain */

/* When, and whether, the bucket gets what it is. */
void drive_doubt(struct drive *d, struct item *e)
{
	unsigned id = e->id, was_at = 0;
	int i, k;

	e->loose = true;
	for (i = 0; i < d->m.n; i++)
		for (k = 0; k < PATHS; k++) {
			struct state *s = d->m.s[i];

			if (s->at[k].kind && s->at[k].id == id) {
				s->at[k].fuzzy = s->fuzzy[k] = true;
				was_at |= 1u << k;
			} else if (!s->at[k].kind && was_at & 1u << k) {
				s->fuzzy[k] = true;
			}
		}
	/* What the bucket has under a name it had stays for its successor. */
	e->owes |= was_at & ~(1u << (e - d->m.now->at));
}

void drive_not_sealed(struct drive *d, struct item *e)
{
	drive_doubt(d, e);
	(void)model_sealed(&d->m, e->cur); /* it may be, and nobody hears it */
	if (!e->open)
		e->before = e->cur;
	e->open = e->dirty = true;
	e->fresh = false;
}

/* Each byte is that of one or the other, and it is as long as one of them, or
 * of a length in between. */
static bool is_between(const struct bytes *b, const struct bytes *x,
		       const struct bytes *y)
{
	unsigned i;

	if ((b->n > x->n && b->n > y->n) || (b->n < x->n && b->n < y->n))
		return false;
	for (i = 0; i < b->n; i++)
		if ((i >= x->n || b->p[i] != x->p[i]) &&
		    (i >= y->n || b->p[i] != y->p[i]))
			return false;
	return true;
}

static void take_partial(struct drive *d, struct item *e,
			 const struct bytes *old, const struct bytes *new,
			 ssize_t n)
{
	const struct bytes *b;
	int path = (int)(e - d->m.now->at);

	if (world_is_halted(&d->w))
		return;
	if (n < 0) {
		drive_fail(d, "%s: a well disk is not read: %s",
			   path_text(path), strerror((int)-n));
		return;
	}
	b = model_keep(&d->m, d->buf, (size_t)n);
	if (!is_between(b, old, new))
		drive_fail(d, "%s: after a refusal other bytes (%u, not %u)",
			   path_text(path), b->n, old->n);
	drive_not_sealed(d, e);
	e->cur = b;
	model_ack(&d->m);
}

void drive_read_handle(struct drive *d, int handle, const struct bytes *old,
		       const struct bytes *new)
{
	struct item *e = model_entry(&d->m, handle);
	ssize_t n;

	if (!e || world_is_halted(&d->w) || drive_failed(d))
		return;
	drive_hold_faults(d);
	n = world_read(&d->w, &d->file[handle], d->buf, sizeof(d->buf));
	drive_go_on(d);
	take_partial(d, e, old, new, n);
}

static ssize_t read_all(struct drive *d, int path)
{
	struct wfile f;
	ssize_t n = world_open(&d->w, path_text(path), O_RDONLY, &f);

	if (n < 0)
		return n;
	n = world_read(&d->w, &f, d->buf, sizeof(d->buf));
	(void)!world_flush(&d->w, &f);
	world_release(&d->w, &f);
	return n;
}

/* Others took it away meanwhile, or put theirs there. */
static bool is_not_ours(struct drive *d, int path, ssize_t n,
			const struct bytes *old, const struct bytes *new)
{
	if (!d->m.alien[path] || (n < 0 && n != -ENOENT))
		return false;
	return n < 0 || !is_between(model_keep(&d->m, d->buf, (size_t)n), old,
				    new);
}

void drive_read_path(struct drive *d, int path, const struct bytes *old,
		     const struct bytes *new)
{
	struct item *e = &d->m.now->at[path];
	ssize_t n = -EIO;
	int tries;

	if (e->kind != REGULAR || world_is_halted(&d->w) || drive_failed(d))
		return;
	drive_hold_faults(d);
	/* Requests that met the full disk may come to their end only now. */
	for (tries = 0; tries < 4 && (n == -EIO || n == -ENOSPC); tries++)
		n = read_all(d, path);
	drive_go_on(d);
	if (n == -EIO && drive_refuses_poisoned(d, path))
		return;
	if (is_not_ours(d, path, n, old, new))
		drive_adopt(d);
	else
		take_partial(d, e, old, new, n);
}

/* ---- poisoned versions */

#define POISONED_MOST 32

struct poisoned {
	uint64_t ino[POISONED_MOST];
	unsigned n;
};

static int on_version(void *arg, const struct meta_version *v)
{
	struct poisoned *all = arg;

	if (v->state == META_POISONED && all->n < POISONED_MOST)
		all->ino[all->n++] = v->ino;
	return 0;
}

static int path_of_ino(struct drive *d, uint64_t ino)
{
	char text[2 * META_NAME_MAX + 3];
	struct meta_inode in, dir = { .name = "" };

	if (meta_inode_get(d->w.meta, ino, &in) < 0 || !in.parent)
		return -1;
	if (in.parent != FS_ROOT_INO &&
	    meta_inode_get(d->w.meta, in.parent, &dir) < 0)
		return -1;
	(void)snprintf(text, sizeof(text), "%s%s%s", dir.name,
		       dir.name[0] ? "/" : "", in.name);
	return path_of(text);
}

static bool has_name(const struct state *s, unsigned id)
{
	int k;

	for (k = 0; k < PATHS; k++)
		if (s->at[k].kind && s->at[k].id == id)
			return true;
	return false;
}

/* Nobody says what the disk lost of files that have no name any more, and of
 * which a barrier was to come. */
static void doubt_gone(struct drive *d)
{
	unsigned was_at = 0;
	int i, k;

	for (i = d->m.durable + 1; i < d->m.n; i++)
		for (k = 0; k < PATHS; k++) {
			struct state *s = d->m.s[i];

			if (s->at[k].kind == REGULAR &&
			    !has_name(d->m.now, s->at[k].id)) {
				s->fuzzy[k] = true;
				was_at |= 1u << k;
			} else if (!s->at[k].kind && was_at & 1u << k) {
				s->fuzzy[k] = true;
			}
		}
}

/* In the midst of others' work, or of a mount, too: by the rows alone. */
void drive_note_poisoned(struct drive *d)
{
	struct poisoned all = { .n = 0 };
	unsigned i;
	int path;

	if (!d->was_faulty || !d->w.meta || world_is_halted(&d->w))
		return;
	drive_hold_faults(d);
	d->w.looks++;
	if (is_failed(d))
		doubt_gone(d);
	d->w.looks--;
	if (meta_begin(d->w.meta) == 0) {
		(void)!meta_version_each(d->w.meta, on_version, &all);
		for (i = 0; i < all.n; i++) {
			path = path_of_ino(d, all.ino[i]);
			if (path >= 0 && d->m.now->at[path].kind == REGULAR)
				drive_doubt(d, &d->m.now->at[path]);
		}
		meta_end(d->w.meta);
	}
	drive_go_on(d);
}

/* The disk lost bytes of these, and status says so: in whatever state of the
 * mount they come back. */
void drive_excuse_poisoned(struct drive *d, const struct tree *t)
{
	int i, k;

	for (i = 0; d->was_faulty && i < d->m.n; i++)
		for (k = 0; k < PATHS; k++)
			if (t->at[k].poisoned &&
			    d->m.s[i]->at[k].kind == REGULAR)
				d->m.s[i]->at[k].loose =
					d->m.s[i]->fuzzy[k] = true;
}

bool drive_lost_bytes(struct drive *d, int path)
{
	bool yes;

	if (!d->was_faulty || world_is_halted(&d->w) || drive_failed(d))
		return false;
	drive_hold_faults(d);
	yes = strcmp(world_state(&d->w, path_text(path)), "poisoned") == 0;
	drive_go_on(d);
	return yes;
}

bool drive_is_short(struct drive *d, int path)
{
	struct meta_version v;
	struct meta_inode in;
	int r = 0;
	uint64_t ino;
	bool yes = false;

	drive_hold_faults(d);
	ino = world_ino(&d->w, path_text(path), &r);
	if (ino && meta_begin(d->w.meta) == 0) {
		yes = meta_inode_get(d->w.meta, ino, &in) == 0 &&
		      meta_version_get(d->w.meta, in.vid, &v) == 0 &&
		      drive_size_of_blob(d, v.blob) < (long long)v.size;
		meta_end(d->w.meta);
	}
	drive_go_on(d);
	return yes;
}

bool drive_may_refuse(struct drive *d, int path)
{
	return drive_refuses_poisoned(d, path) ||
	       (d->faulty_net && d->m.alien[path]);
}

bool drive_refuses_poisoned(struct drive *d, int path)
{
	return drive_lost_bytes(d, path) &&
	       (d->m.now->at[path].opens > 1 || drive_is_short(d, path));
}
