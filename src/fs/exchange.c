/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RENAME_EXCHANGE.  Here both names change in one transaction.  In the line it
 * is three renames, one of them by way of a name that no mount shows, in a
 * window of their own: with what is queued before, nothing folds into them, so
 * the bucket has what was there before, or both in their new places.  In
 * between it has each of them somewhere; and of two files neither name is ever
 * missing, for the renames leave the old names to what comes there.
 *
 * What the bucket has not heard of needs no rename: its seal will speak of the
 * name it has by then.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rename.h"

#define ASIDE STORE_HIDDEN "/swap/"

struct side {
	struct inode *dir, *in;
	const char *name; /* as it was */
	char key[META_KEY_MAX + 1];
	char *newname; /* owned, until it is the inode's */
	struct dentry *d; /* the same */
	bool moves; /* the bucket hears of it */
	uint64_t seq; /* the place that its new name gave it; 0: none */
	struct held below; /* the same of what is below a folder */
};

struct exchange {
	struct fs *fs;
	struct side a, b; /* a is the one to go aside */
	uint64_t bound; /* of the renames */
	int64_t now;
};

static bool is_folder(const struct side *s)
{
	return s->in->kind == META_DIR;
}

static int side_find(struct exchange *x, struct side *s)
{
	struct dentry *d = dentry_find(s->dir, s->name);

	s->in = d ? inode_get(x->fs, d->ino) : NULL;
	return s->in ? key_of(x->fs, s->dir, s->name, s->key) : -ENOENT;
}

/* Memory now: it cannot fail once committed. */
static int side_alloc(struct side *s, const struct side *other)
{
	s->newname = strdup(other->name);
	s->d = dentry_new(other->name, s->in->ino);
	return s->newname && s->d ? 0 : -ENOMEM;
}

static void side_release(struct fs *fs, struct side *s)
{
	held_release(&s->below);
	free(s->newname);
	free(s->d);
	inode_put(fs, s->in);
}

static bool is_temporary(const struct exchange *x, const char *key)
{
	return transfer_name_is_temporary(key_path(x->fs, key));
}

/* ---- the line ---- */

static int row(struct exchange *x, const struct inode *in, const char *from,
	       const char *to, bool keep)
{
	bool folder = in->kind == META_DIR;
	struct meta_op op = {
		.kind = folder ? META_OP_RENAME_DIR : META_OP_RENAME,
		.ino = in->ino,
		.vid = in->kind == META_FILE && in->seal_seq ? in->vid : 0,
		.bound = x->bound,
		.final = true,
		.cut = true,
		.keep = keep,
	};
	int r = folder ? transfer_owed_moved(x->fs->transfer, from, to) : 0;

	memcpy(op.key, from, strlen(from));
	memcpy(op.to, to, strlen(to));
	if (r == 0)
		r = meta_op_add(x->fs->meta, &op);
	if (!x->bound)
		x->bound = op.seq;
	return r;
}

/* This one goes to where the bucket has nothing of the other. */
static int move_one(struct exchange *x, const struct side *s,
		    const struct side *other)
{
	bool keep = !is_folder(s) && !is_local_kind(other->in->kind) &&
		    !is_temporary(x, s->key);
	int r = row(x, s->in, s->key, other->key, keep);

	/* What it leaves may be a folder without a name that the bucket has. */
	if (r == 0 && is_local_kind(other->in->kind) && s->dir != other->dir)
		r = marker_due(x->fs, s->dir);
	return r;
}

static int move_both(struct exchange *x)
{
	bool keep = !is_folder(&x->a) && !is_folder(&x->b);
	struct fs *fs = x->fs;
	char aside[META_KEY_MAX + 1];
	int n = snprintf(aside, sizeof(aside), "%s" ASIDE "%s-%" PRIx32
			 "-%" PRIx64, fs->prefix, fs->opts.cache_id,
			 fs->opts.epoch, x->a.in->ino);
	int r = n < (int)sizeof(aside) ? 0 : -ENAMETOOLONG;

	if (r == 0)
		r = rename_check_keys(fs, x->a.in, x->a.key, aside);
	if (r == 0)
		r = row(x, x->a.in, x->a.key, aside, keep);
	if (r == 0)
		r = row(x, x->b.in, x->b.key, x->a.key, keep);
	if (r == 0)
		r = row(x, x->a.in, aside, x->b.key, false);
	return r;
}

/* What was held back under a temporary name gets its place. */
static int let_go(struct exchange *x, struct side *s, const char *newkey)
{
	struct meta_version v;
	int r;

	if (is_folder(s))
		return held_place(x->fs, s->key, newkey, &s->below);
	if (s->in->kind != META_FILE || !s->in->held || is_temporary(x, newkey))
		return 0;
	r = meta_version_get(x->fs->meta, s->in->vid, &v);
	if (r < 0)
		return r;
	v.held = false;
	r = meta_version_set(x->fs->meta, &v);
	return r < 0 ? r : op_put(x->fs, s->in, &v, newkey, 0, &s->seq);
}

static int side_later(struct exchange *x, const struct side *s)
{
	return s->moves || is_local_kind(s->in->kind) ?
		       0 :
		       rename_later(x->fs, s->in, s->key);
}

/* Where this one goes. */
static int room(struct exchange *x, const struct side *s,
		const struct side *other)
{
	return transfer_make_room(x->fs->transfer, other->key, is_folder(s),
				  other->moves ? 0 : other->in->ino);
}

static int ops(struct exchange *x)
{
	struct side *a = &x->a, *b = &x->b;
	int r = side_later(x, a);

	if (r == 0)
		r = side_later(x, b);
	if (r == 0)
		r = room(x, a, b);
	if (r == 0)
		r = room(x, b, a);
	if (r == 0 && a->moves && b->moves)
		r = move_both(x);
	else if (r == 0 && a->moves)
		r = move_one(x, a, b);
	else if (r == 0 && b->moves)
		r = move_one(x, b, a);
	if (r == 0)
		r = let_go(x, a, b->key);
	if (r == 0)
		r = let_go(x, b, a->key);
	return r;
}

/* ---- names ---- */

static bool does_move(struct fs *fs, const struct side *s)
{
	if (is_local_kind(s->in->kind))
		return false;
	if (is_folder(s))
		return true;
	return !(s->in->kind == META_FILE && s->in->held) &&
	       rename_in_line(fs, s->in, s->key);
}

static int check(struct exchange *x)
{
	struct fs *fs = x->fs;
	int r;

	if (rename_is_below(fs, x->a.dir, x->b.in->ino) ||
	    rename_is_below(fs, x->b.dir, x->a.in->ino))
		return -EINVAL;
	r = rename_check_keys(fs, x->a.in, x->a.key, x->b.key);
	return r < 0 ? r : rename_check_keys(fs, x->b.in, x->b.key, x->a.key);
}

static int side_rows(struct exchange *x, const struct side *s,
		     const struct side *other)
{
	struct meta_inode row;
	int r = meta_name_add(x->fs->meta, other->dir->ino, other->name,
			      s->in->ino);

	if (r < 0)
		return r;
	inode_to_row(s->in, &row);
	row.parent = other->dir->ino;
	memset(row.name, 0, sizeof(row.name));
	memcpy(row.name, other->name, strlen(other->name));
	row.ctime_ns = x->now;
	return meta_inode_set(x->fs->meta, &row);
}

static int side_settle(struct exchange *x, const struct side *s)
{
	int r = s->seq ? transfer_settle(x->fs->transfer, s->in->ino,
					 s->in->vid) :
			 0;

	return r < 0 ? r : held_settle(x->fs, &s->below);
}

static int rows(struct exchange *x)
{
	struct fs *fs = x->fs;
	int r = meta_name_del(fs->meta, x->a.dir->ino, x->a.name);

	if (r == 0)
		r = meta_name_del(fs->meta, x->b.dir->ino, x->b.name);
	if (r == 0)
		r = side_rows(x, &x->a, &x->b);
	if (r == 0)
		r = side_rows(x, &x->b, &x->a);
	if (r == 0)
		r = dir_touch(fs, x->a.dir);
	if (r == 0 && x->a.dir != x->b.dir)
		r = dir_touch(fs, x->b.dir);
	if (r == 0)
		r = side_settle(x, &x->a);
	return r < 0 ? r : side_settle(x, &x->b);
}

/* ns held; the names are out of both folders. */
static void side_memory(struct exchange *x, struct side *s, struct inode *dir)
{
	dentry_link(dir, s->d);
	free(s->in->name);
	s->in->name = s->newname;
	s->in->parent = dir->ino;
	s->in->ctime_ns = x->now;
	if (s->seq)
		inode_let_go(s->in, s->seq);
	held_let_go(&s->below);
	s->d = NULL;
	s->newname = NULL;
}

static void memory(struct exchange *x)
{
	dentry_del(x->fs, x->a.dir, x->a.name);
	dentry_del(x->fs, x->b.dir, x->b.name);
	lock_acquire(&x->fs->ns);
	side_memory(x, &x->a, x->b.dir);
	side_memory(x, &x->b, x->a.dir);
	lock_release(&x->fs->ns);
}

/* The one that costs less to be copied twice. */
static void choose(struct exchange *x)
{
	bool swap = is_folder(&x->a) != is_folder(&x->b) ?
			    is_folder(&x->a) :
			    x->b.in->size < x->a.in->size;
	struct side s = x->a;

	if (!swap)
		return;
	x->a = x->b;
	x->b = s;
}

int exchange(struct fs *fs, struct inode *from, const char *name,
	     struct inode *to, const char *newname)
{
	struct exchange x = { .fs = fs,
			      .a = { .dir = from, .name = name },
			      .b = { .dir = to, .name = newname },
			      .now = clk_real(fs->host->clk) };
	bool same = false;
	int r = side_find(&x, &x.a);

	if (r == 0)
		r = side_find(&x, &x.b);
	if (r == 0)
		same = x.a.in == x.b.in;
	if (r == 0 && !same) {
		choose(&x);
		r = check(&x);
	}
	if (r == 0 && !same)
		r = side_alloc(&x.a, &x.b);
	if (r == 0 && !same)
		r = side_alloc(&x.b, &x.a);
	if (r == 0 && !same) {
		x.a.moves = does_move(fs, &x.a);
		x.b.moves = does_move(fs, &x.b);
		r = ops(&x);
	}
	if (r == 0 && !same)
		r = rows(&x);
	r = tx_commit(fs, r);
	if (r == 0 && !same)
		memory(&x);
	r = tx_close(fs, r, 0, !same);
	side_release(fs, &x.a);
	side_release(fs, &x.b);
	return r;
}
