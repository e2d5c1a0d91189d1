/* SPDX-License-Identifier: Apache-2.0 */
/* What a job does, and what it is told. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "drive.h"

#define OWN (HANDLES - 1)

/* Others were there in the meantime: what came of it will be seen. */
static bool is_surprise(const struct drive *d, int r, int want)
{
	int other = want ? want : r;

	return alien_any(&d->m) &&
	       (other == -ENOENT || other == -EEXIST || other == -ENOTEMPTY ||
		other == -ESTALE || other == -EISDIR || other == -ENOTDIR);
}

/* The answer to an operation of which the model says want. */
static bool answered(struct drive *d, int r, int want)
{
	if (world_is_halted(&d->w))
		return r == 0; /* nobody heard it */
	if (r == want) {
		if (want == 0)
			model_ack(&d->m);
		return r == 0;
	}
	/* What it never heard of it may not know while nobody answers. */
	if (d->faulty_net && r == -EIO && want == -ENOENT)
		return false;
	if (drive_is_excused(d, r) || is_surprise(d, r, want)) {
		if (want == 0) {
			model_undo(&d->m, drive_now(d));
			model_ack(&d->m);
		}
		return false;
	}
	drive_fail(d, "answered %s, not %s", r ? strerror(-r) : "yes",
		   want ? strerror(-want) : "yes");
	return false;
}

static bool is_dying(const struct drive *d)
{
	return world_is_halted(&d->w) || drive_failed(d);
}

static int flags_of(int how)
{
	int flags = how & OPEN_APPEND  ? O_WRONLY | O_APPEND
		    : how & OPEN_ONLY  ? O_WRONLY
		    : how & OPEN_WRITE ? O_RDWR
				       : O_RDONLY;

	flags |= how & OPEN_CREATE ? O_CREAT : 0;
	return flags | (how & OPEN_TRUNC ? O_TRUNC : 0);
}

/* Others had deleted it, the mount saw that just now, and made it anew. */
static bool is_anew(struct drive *d, int path, int handle, int how)
{
	struct fs_attr a;

	return d->m.alien[path] && (how & OPEN_CREATE) && !is_dying(d) &&
	       d->m.now->at[path].cur->n > 0 &&
	       fs_getattr(d->w.fs, d->file[handle].ino, NULL, &a) == 0 &&
	       a.size == 0;
}

static bool open_as(struct drive *d, int path, int handle, int how)
{
	int want = model_open(&d->m, drive_now(d), path, handle, how), r;
	const struct bytes *after;

	after = d->m.now->at[path].cur;
	r = world_open(&d->w, path_text(path), flags_of(how), &d->file[handle]);
	if (r == -EIO && want == 0 && drive_may_refuse(d, path)) {
		model_undo(&d->m, drive_now(d));
		model_ack(&d->m);
		d->m.handle[handle].used = false;
		return false;
	}
	if (answered(d, r, want)) {
		if (is_anew(d, path, handle, how)) {
			alien_adopt(&d->m, path,
				    &(struct found){ .kind = NONE });
			(void)model_open(&d->m, drive_now(d), path, handle,
					 how);
		}
		return true;
	}
	if (r == 0 && want == -ENOENT && !is_dying(d) &&
	    (how & OPEN_CREATE) &&
	    drive_made_in_theirs(d, path, d->file[handle].ino)) {
		(void)model_open(&d->m, drive_now(d), path, handle, how);
		model_ack(&d->m);
		return true;
	}
	if (r == 0 && want != 0 && !is_dying(d)) {
		(void)!world_flush(&d->w, &d->file[handle]);
		world_release(&d->w, &d->file[handle]);
	}
	if (r != 0 || want != 0)
		d->m.handle[handle].used = false;
	if (r != 0 && want == 0 && (how & (OPEN_WRITE | OPEN_TRUNC)))
		drive_read_path(d, path, d->m.now->at[path].cur, after);
	return false;
}

/* Where the kernel has an appended write go. */
static unsigned end_of(struct drive *d, int handle)
{
	const struct item *e = model_entry(&d->m, handle);
	struct fs_attr a;

	if (e)
		return e->cur->n;
	if (fs_getattr(d->w.fs, d->file[handle].ino, NULL, &a) < 0)
		return SIZE_MOST;
	return (unsigned)a.size;
}

/* With close=remote another's close made its seal final, though this one has
 * the file open: what is written now has no row, and a kill makes it part of
 * what was closed.  Not yet mended, so not done. */
static bool has_no_row(const struct drive *d, const struct item *e)
{
	return d->w.in_force.close_mode == FS_REMOTE && e && e->flushed;
}

static void write_at(struct drive *d, int handle, unsigned off, unsigned len,
		     const struct bytes *all)
{
	static const unsigned char nothing[SIZE_MOST];
	const struct bytes *old;
	const struct open_file *h = &d->m.handle[handle];
	const struct item *e = model_entry(&d->m, handle);
	const unsigned char *p = nothing;
	int r;

	if (h->append)
		off = end_of(d, handle);
	if (off > SIZE_MOST || has_no_row(d, e))
		return;
	if (len > SIZE_MOST - off)
		len = SIZE_MOST - off;
	if (len == 0)
		return;
	old = e ? e->cur : NULL;
	model_write(&d->m, drive_now(d), handle, off, len, all);
	e = model_entry(&d->m, handle);
	if (e)
		p = e->cur->p + off;
	r = world_write(&d->w, &d->file[handle], p, len, off);
	if (r < 0 && (world_is_halted(&d->w) || drive_is_excused(d, r)))
		drive_read_handle(d, handle, old, e ? e->cur : NULL);
	else
		(void)answered(d, r, 0);
}

/* The time a file shows once it is closed is the one it keeps. */
static void note_times(struct drive *d, uint64_t ino, unsigned id)
{
	struct fs_attr a;
	int i;

	if (is_dying(d) || fs_getattr(d->w.fs, ino, NULL, &a) < 0)
		return;
	for (i = 0; i < PATHS; i++) {
		struct item *e = &d->m.now->at[i];

		if (e->kind != REGULAR || e->id != id || e->open)
			continue;
		e->mtime_ns = a.mtime_ns;
		e->has_times = !drive_disk_is_bad(d);
		if (a.size != e->cur->n && !drive_lost_bytes(d, i))
			drive_fail(d, "%s has %u bytes, shown as %llu",
				   path_text(i), e->cur->n,
				   (unsigned long long)a.size);
	}
}

/* Its close was refused: sealed it is not, but closed. */
static void close_refused(struct drive *d, unsigned id, const struct item *old)
{
	struct item *e;

	d->m.handle[OWN] = (struct open_file){ .id = id };
	e = model_entry(&d->m, OWN);
	if (e) {
		e->pub = old->pub;
		e->place = old->place;
		e->seal = old->seal;
		e->from = old->from;
		e->owes = old->owes;
		drive_not_sealed(d, e);
		e->before = old->before;
		e->flushed = e->cur; /* or it is, a moment later */
	}
	model_ack(&d->m);
}

/* What the disk lost of it is never to be taken for written. */
static bool is_poisoned(struct drive *d, int handle)
{
	const struct item *e = model_entry(&d->m, handle);
	const char *path;

	if (!d->was_faulty || !e || !d->m.handle[handle].writes)
		return false;
	path = path_text((int)(e - d->m.now->at));
	return strcmp(world_state(&d->w, path), "poisoned") == 0;
}

/* What a refused open left doubtful was torn, and nothing has changed since. */
static void note_torn(struct drive *d, int path)
{
	struct item *e = &d->m.now->at[path];

	if (d->was_faulty && !is_dying(d) && e->kind == REGULAR && !e->opens &&
	    strcmp(world_state(&d->w, path_text(path)), "torn") == 0)
		e->torn = e->open = e->loose = true;
}

static void close_it(struct drive *d, int handle)
{
	bool poisoned = is_poisoned(d, handle);
	const struct item *e = model_entry(&d->m, handle);
	struct item old = e ? *e : (struct item){ .kind = NONE };
	unsigned id = d->m.handle[handle].id;
	struct wfile *f = &d->file[handle];
	int path = e ? (int)(e - d->m.now->at) : -1, r;

	model_close(&d->m, drive_now(d), handle);
	r = world_flush(&d->w, f);
	world_release(&d->w, f);
	if (r < 0 && !world_is_halted(&d->w) && drive_is_excused(d, r))
		close_refused(d, id, &old);
	else if (r == 0 && poisoned)
		drive_fail(d, "closed, though the disk lost bytes of it");
	else if (drive_gave_up(d, r))
		(void)answered(d, 0, 0);
	else if (answered(d, r, 0)) {
		note_times(d, f->ino, id);
		if (path >= 0)
			note_torn(d, path);
		if (path >= 0 && old.dirty && old.opens == 1)
			drive_closed_well(d, path);
	}
}

static void put(struct drive *d, int path, unsigned size,
		const struct bytes *all)
{
	if (d->m.now->at[path].kind == LINK)
		return;
	if (!open_as(d, path, OWN, OPEN_CREATE | OPEN_WRITE | OPEN_TRUNC) ||
	    is_dying(d))
		return;
	write_at(d, OWN, 0, size, all);
	if (!is_dying(d))
		close_it(d, OWN);
}

static void open_one(struct drive *d, const struct op *op)
{
	int handle = op->arg[1];

	if (d->m.handle[handle].used || d->m.now->at[op->arg[0]].kind == LINK)
		return;
	(void)open_as(d, op->arg[0], handle, op->arg[2]);
}

static void truncate_one(struct drive *d, int path, unsigned size)
{
	struct fs_ctx ctx = world_ctx();
	struct fs_attr want = { .size = size }, got;
	const struct item *e = &d->m.now->at[path];
	const struct bytes *old = e->cur, *new;
	int r = 0;
	uint64_t ino;
	unsigned id = e->id;

	if (!d->m.now->dir[path_dir(path)] || e->kind != REGULAR ||
	    has_no_row(d, e))
		return;
	ino = world_ino(&d->w, path_text(path), &r);
	model_truncate(&d->m, drive_now(d), path, size);
	new = d->m.now->at[path].cur;
	if (ino)
		r = fs_setattr(d->w.fs, &ctx, ino, &want, FS_SET_SIZE, NULL,
			       &got);
	if (r == -EIO && drive_lost_bytes(d, path)) {
		model_undo(&d->m, drive_now(d));
		model_ack(&d->m);
	} else if (answered(d, r, 0))
		note_times(d, ino, id);
	else if (r < 0)
		drive_read_path(d, path, old, new);
}

static void read_one(struct drive *d, int path)
{
	const struct item *e = &d->m.now->at[path];
	struct wfile f;
	ssize_t n;
	int r;

	if (e->kind == LINK)
		return;
	r = world_open(&d->w, path_text(path), O_RDONLY, &f);
	if (!e->kind || !d->m.now->dir[path_dir(path)]) {
		if (!is_dying(d) && !d->m.alien[path] && r != -ENOENT &&
		    !(d->faulty_net && r == -EIO) && !drive_is_excused(d, r))
			drive_fail(d, "%s is there (%d)", path_text(path), r);
		if (r == 0)
			world_release(&d->w, &f);
		return;
	}
	n = r < 0 ? r : world_read(&d->w, &f, d->buf, sizeof(d->buf));
	if (r == 0) {
		(void)!world_flush(&d->w, &f);
		world_release(&d->w, &f);
	}
	if (d->m.alien[path] && !is_dying(d)) {
		struct found now = { .kind = REGULAR,
				     .mode = e->mode,
				     .mtime_ns = e->mtime_ns };

		if (n < 0)
			return;
		now.b = model_keep(&d->m, d->buf, (size_t)n);
		drive_adopt_found(d, path, &now);
		return;
	}
	if (is_dying(d) || drive_is_excused(d, (int)n) ||
	    (d->faulty_net && n == -EIO))
		return;
	if (n == -EIO && drive_lost_bytes(d, path))
		return;
	if (n < 0)
		drive_fail(d, "%s: read: %s", path_text(path),
			   strerror((int)-n));
	else if ((size_t)n != e->cur->n || memcmp(d->buf, e->cur->p, (size_t)n))
		drive_fail(d, "%s: other bytes (%zd, not %u)", path_text(path),
			   n, e->cur->n);
}

static void unlink_one(struct drive *d, int path)
{
	int want = model_unlink(&d->m, drive_now(d), path), r = 0;
	const char *last;
	uint64_t dir = world_parent(&d->w, path_text(path), &last, &r);

	if (dir)
		r = fs_unlink(d->w.fs, dir, last);
	(void)answered(d, r, want);
}

static int rename_names(struct drive *d, const char *from, const char *to,
			unsigned flags)
{
	const char *a, *b;
	uint64_t x, y;
	int r = 0;

	x = world_parent(&d->w, from, &a, &r);
	if (!x)
		return r;
	y = world_parent(&d->w, to, &b, &r);
	return y ? fs_rename(d->w.fs, x, a, y, b, flags) : r;
}

static void rename_one(struct drive *d, const struct op *op)
{
	int from = op->arg[0], to = op->arg[1], want, r;

	if (from == to)
		return;
	want = model_rename(&d->m, drive_now(d), from, to, op->arg[2]);
	r = rename_names(d, path_text(from), path_text(to), op->arg[2] ? 1 : 0);
	alien_moved(&d->m, from, to);
	(void)answered(d, r, want);
	if (r == 0 && want != 0 && d->aliens)
		alien_adopt(&d->m, to, &(struct found){ .kind = NONE });
}

static void rename_dir(struct drive *d, int from, int to)
{
	int want = model_rename_dir(&d->m, drive_now(d), from, to), r, i;

	r = rename_names(d, dir_text(from), dir_text(to), 0);
	for (i = 0; i < NAMES; i++)
		alien_moved(&d->m, from * NAMES + i, to * NAMES + i);
	(void)answered(d, r, want);
	for (i = 0; i < NAMES && r == 0 && want != 0 && d->aliens; i++)
		alien_adopt(&d->m, to * NAMES + i,
			    &(struct found){ .kind = NONE });
}

static void make_dir(struct drive *d, int dir)
{
	struct fs_ctx ctx = world_ctx();
	struct fs_entry e;
	int want = model_mkdir(&d->m, drive_now(d), dir);
	int r = fs_mkdir(d->w.fs, &ctx, FS_ROOT_INO, dir_text(dir), 0777, &e);

	if (r == 0)
		fs_forget(d->w.fs, e.attr.ino, 1);
	(void)answered(d, r, want);
}

static void link_one(struct drive *d, int path)
{
	struct fs_ctx ctx = world_ctx();
	struct fs_entry e;
	char target[32];
	const char *last;
	uint64_t dir;
	int want, r = 0;

	(void)snprintf(target, sizeof(target), "target-%d-%d", path, d->m.n);
	want = model_symlink(&d->m, drive_now(d), path, target);
	dir = world_parent(&d->w, path_text(path), &last, &r);
	if (dir)
		r = fs_symlink(d->w.fs, &ctx, target, dir, last, &e);
	if (r == 0)
		fs_forget(d->w.fs, e.attr.ino, 1);
	(void)answered(d, r, want);
}

static void chmod_one(struct drive *d, int path, unsigned mode)
{
	struct fs_ctx ctx = world_ctx();
	struct fs_attr a = { .mode = mode }, got;
	int want, r = 0;
	uint64_t ino;

	if (d->m.now->at[path].kind == LINK)
		return;
	want = model_chmod(&d->m, drive_now(d), path, mode);
	ino = world_ino(&d->w, path_text(path), &r);
	if (ino)
		r = fs_setattr(d->w.fs, &ctx, ino, &a, FS_SET_MODE, NULL, &got);
	(void)answered(d, r, want);
}

static void flush_it(struct drive *d, int handle)
{
	bool poisoned = is_poisoned(d, handle);
	struct item *e;
	int r;

	model_flush(&d->m, drive_now(d), handle);
	r = world_flush(&d->w, &d->file[handle]);
	if (r == 0 && poisoned)
		drive_fail(d, "closed, though the disk lost bytes of it");
	if (drive_gave_up(d, r))
		r = 0;
	if (answered(d, r, 0) || is_dying(d))
		return;
	e = model_entry(&d->m, handle);
	if (e)
		drive_not_sealed(d, e);
}

static void handle_op(struct drive *d, const struct op *op)
{
	int handle = op->arg[0], acked, r;
	const struct open_file *h = &d->m.handle[handle];

	if (!h->used)
		return;
	switch (op->verb) {
	case V_WRITE:
		if (h->writes)
			write_at(d, handle, (unsigned)op->arg[1],
				 (unsigned)op->arg[2], NULL);
		break;
	case V_FLUSH:
		flush_it(d, handle);
		break;
	case V_CLOSE:
		close_it(d, handle);
		break;
	default:
		acked = d->m.acked;
		r = fs_fsync(d->w.fs, d->file[handle].o.file, false);
		if (world_is_halted(&d->w) || drive_is_excused(d, r))
			break;
		if (r < 0 && !is_surprise(d, r, 0))
			drive_fail(d, "fsync: %s", strerror(-r));
		else if (r < 0)
			break;
		else
			d->m.durable = acked;
	}
}

void drive_close_all(struct drive *d)
{
	int i;

	for (i = 0; i < HANDLES && !is_dying(d); i++)
		if (d->m.handle[i].used)
			close_it(d, i);
}

static void remove_dir(struct drive *d, int dir)
{
	int want = model_rmdir(&d->m, drive_now(d), dir);

	(void)answered(d, fs_rmdir(d->w.fs, FS_ROOT_INO, dir_text(dir)), want);
}

static void evict_one(struct drive *d, int path)
{
	struct fs_bulk how = { .deadline_mono_ns = CLK_NEVER };
	struct fs_bulk_sums sums;

	(void)!fs_evict(d->w.fs, path_text(path), &how, &sums);
}

void drive_op(struct drive *d, const struct op *op)
{
	const struct bytes *all;
	const int *a = op->arg;

	switch (op->verb) {
	case V_PUT:
		put(d, a[0], (unsigned)a[1], NULL);
		break;
	case V_SAVE:
		all = model_saved(&d->m, (enum saved)(a[1] % SAVED_COUNT),
				  (unsigned)a[2]);
		put(d, a[0], all->n, all);
		break;
	case V_OPEN:
		open_one(d, op);
		break;
	case V_TRUNCATE:
		truncate_one(d, a[0], (unsigned)a[1]);
		break;
	case V_READ:
		read_one(d, a[0]);
		break;
	case V_UNLINK:
		unlink_one(d, a[0]);
		break;
	case V_RENAME:
		rename_one(d, op);
		break;
	case V_RENAME_DIR:
		rename_dir(d, a[0], a[1]);
		break;
	case V_MKDIR:
		make_dir(d, a[0]);
		break;
	case V_RMDIR:
		remove_dir(d, a[0]);
		break;
	case V_LINK:
		link_one(d, a[0]);
		break;
	case V_CHMOD:
		chmod_one(d, a[0], (unsigned)a[1]);
		break;
	case V_LIST:
		drive_check_tree(d);
		break;
	case V_SYNC_DIR:
		drive_sync_dir(d, a[0]);
		break;
	case V_SYNC:
		drive_sync_all(d, a[0]);
		break;
	case V_RECOVER:
		drive_recover(d, a[0], a[1]);
		break;
	case V_PREFETCH:
		drive_prefetch(d, a[0], a[1]);
		break;
	case V_PEEK:
		drive_peek(d, a[0]);
		break;
	case V_EVICT:
		evict_one(d, a[0]);
		break;
	default:
		handle_op(d, op);
	}
}
