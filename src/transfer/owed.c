/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletes that are owed.
 *
 * A rename gives content that is not published yet another name.  If that
 * content leaves the line, the rename leaves with it, and the old name's
 * object stays until there is a successor: it must not go before, and it must
 * not be forgotten.  So it is a row, written in the transaction that takes the
 * rename out.  While the row is there no listing brings the name back.
 *
 * A name that is in the mount when the debt is paid has its object's fate in
 * its own hands: whatever put, rename or delete comes of it speaks of the key.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "line_view.h"

#define LOG_MODULE "transfer"

struct gather {
	uint64_t ino;
	const char *below; /* NULL: whatever the key */
	struct owed_key *all;
};

static int take(void *arg, const char *key, uint64_t ino)
{
	struct gather *g = arg;
	size_t n = strlen(key);
	struct owed_key *d;

	if (g->below ? !path_is_below(key, g->below) : ino != g->ino)
		return 0;
	d = malloc(sizeof(*d) + n + 1);
	if (!d)
		return -ENOMEM;
	memcpy(d->key, key, n + 1);
	d->next = g->all;
	g->all = d;
	return 0;
}

static void debts_free(struct owed_key *all)
{
	struct owed_key *d;

	while ((d = all) != NULL) {
		all = d->next;
		free(d);
	}
}

/* Those of an inode. */
static int debts_of(struct transfer *t, uint64_t ino, struct owed_key **ret)
{
	struct gather g = { .ino = ino };
	int r = meta_owed_any(t->meta) ? meta_owed_each(t->meta, take, &g) : 0;

	if (r < 0)
		debts_free(g.all);
	else
		*ret = g.all;
	return r;
}

/* Of a fifo the bucket hears nothing, nor of what it took the place of. */
int inode_at(struct transfer *t, const char *key, uint64_t *ret)
{
	const char *at = key + strlen(t->prefix);
	char name[META_NAME_MAX + 1];
	struct meta_inode in;
	uint64_t ino = META_ROOT_INO;
	int r = 0;

	while (r == 0 && *at) {
		size_t n = strcspn(at, "/");

		if (n > META_NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, at, n);
		name[n] = '\0';
		r = meta_name_get(t->meta, ino, name, &ino);
		at += n + (at[n] == '/');
	}
	if (r == 0)
		r = meta_inode_get(t->meta, ino, &in);
	if (r < 0 && r != -ENOENT)
		return r;
	*ret = r == 0 && (in.kind == META_FILE || in.kind == META_SYMLINK) ?
		       ino :
		       0;
	return 0;
}

int transfer_owe(struct transfer *t, uint64_t ino, const char *key)
{
	struct meta_object o;
	uint64_t by;
	int r = meta_owed_get(t->meta, key, &by);

	/* Whose content it is has to be safe before it goes. */
	if (r == 0 && by != ino)
		r = meta_object_get(t->meta, key, &o);
	if (r == 0 && by != ino && o.ino == by)
		return 0;
	return r == 0 || r == -ENOENT ? meta_owed_set(t->meta, key, ino) : r;
}

bool transfer_owed(struct transfer *t, const char *key)
{
	uint64_t by;

	/* In doubt: yes. */
	return meta_owed_any(t->meta) &&
	       meta_owed_get(t->meta, key, &by) != -ENOENT;
}

int transfer_owed_moved(struct transfer *t, const char *from, const char *to)
{
	struct gather g = { .below = from };
	size_t n = strlen(from), m = strlen(to), k;
	char key[META_KEY_MAX + 1];
	struct owed_key *d;
	uint64_t ino;
	int r;

	if (!meta_owed_any(t->meta))
		return 0;
	r = meta_owed_each(t->meta, take, &g);
	for (d = g.all; r == 0 && d; d = d->next) {
		r = meta_owed_get(t->meta, d->key, &ino);
		if (r == 0)
			r = meta_owed_del(t->meta, d->key);
		k = strlen(d->key + n);
		if (m + k > META_KEY_MAX)
			continue; /* nor can the object get there */
		memcpy(key, to, m);
		memcpy(key + m, d->key + n, k + 1);
		if (r == 0)
			r = meta_owed_set(t->meta, key, ino);
	}
	debts_free(g.all);
	return r;
}

int owed_pay(struct transfer *t, const char *key, uint64_t ino, uint64_t vid,
	     uint64_t leaves)
{
	struct meta_op op = { .kind = META_OP_DEL,
			      .ino = ino,
			      .vid = vid,
			      .final = true,
			      .cut = true };
	uint64_t there = 0;
	int r = meta_owed_del(t->meta, key);

	if (r == 0)
		r = inode_at(t, key, &there);
	if (r < 0 || (there && there != leaves))
		return r;
	memcpy(op.key, key, strlen(key));
	return meta_op_add(t->meta, &op);
}

int transfer_settle(struct transfer *t, uint64_t ino, uint64_t vid)
{
	struct owed_key *all = NULL, *d;
	int r = debts_of(t, ino, &all);

	for (d = all; r == 0 && d; d = d->next)
		r = owed_pay(t, d->key, ino, vid, 0);
	debts_free(all);
	return r;
}

/* A put of the inode that stands in the line behind this place; 0: none. */
static uint64_t put_behind(struct transfer *t, uint64_t ino, uint64_t seq)
{
	struct titem *it, *tmp;
	uint64_t vid = 0, at = seq;

	HASH_ITER(hh, t->items, it, tmp)
	{
		if (it->kind != META_OP_PUT || it->ino != ino || it->seq <= at)
			continue;
		at = it->seq;
		vid = it->vid;
	}
	return vid;
}

int transfer_withdraw(struct transfer *t, uint64_t seq)
{
	struct line_change c = { 0 };
	struct line_env env;
	struct meta_inode in;
	struct titem *it;
	uint64_t ino = 0, vid = 0, next = 0;
	size_t i;
	int r = line_refresh(t);

	if (r < 0)
		return r;
	line_env_fill(t, &env);
	lock_acquire(&t->lock);
	it = item_find(t, seq);
	if (it) {
		ino = it->ino;
		vid = it->vid;
	}
	r = line_withdraw_near(&t->line, &env, seq, &c);
	if (r == 0 && c.n_owed)
		next = put_behind(t, ino, seq);
	lock_release(&t->lock);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (i = 0; r == 0 && i < c.n_owed; i++)
		r = transfer_owe(t, ino, c.owed[i]);
	if (r == 0)
		r = line_write(t, &c);
	/* Of the bytes as they are next nothing is known. */
	if (r == 0 && vid)
		r = meta_part_del_all(t->meta, vid);
	if (r == 0 && c.n_owed) {
		/* Its successor is in the line, or there will be none? */
		r = meta_inode_get(t->meta, ino, &in);
		if (next || r == -ENOENT)
			r = transfer_settle(t, ino, next);
	}
	line_change_release(&c);
	return r;
}

/* Where it shows something of another inode, puts something, or deletes it;
 * NULL: nowhere. */
static const char *comes_to(const struct titem *it, uint64_t ino)
{
	if (it->kind == META_OP_RENAME)
		return it->ino != ino ? it->to : NULL;
	return it->kind != META_OP_RENAME_DIR ? it->key : NULL;
}

/* When the line is done there is at this key what it put, or renamed there from
 * another file, or nothing, as it deleted that; *ret: its version if it is this
 * inode's, else 0. */
static bool line_waits(struct transfer *t, const char *key, uint64_t ino,
		      uint64_t *ret)
{
	bool yes = false;
	size_t i;

	*ret = 0;
	lock_acquire(&t->lock);
	for (i = 0; i < t->line.n; i++) {
		const struct titem *it = item_find(t, t->line.ops[i].seq);
		const char *at = it ? comes_to(it, ino) : NULL;
		char *then;

		if (!at)
			continue;
		/* folders that are renamed later take it along */
		then = line_moved_key(t->line.ops, t->line.n, it->seq + 1, at);
		if (!then || strcmp(then, key) == 0) { /* in doubt: yes */
			yes = true;
			*ret = then && it->kind == META_OP_PUT &&
					       it->ino == ino ?
				       it->vid :
				       0;
		}
		free(then);
	}
	lock_release(&t->lock);
	return yes;
}

/* The line deletes what is at this key, as far as folders are not renamed later;
 * in doubt: yes.  With the lock. */
static bool del_waits(struct transfer *t, const char *key)
{
	const struct line_op *op = t->line.ops;
	bool yes = false;
	size_t i;

	for (i = 0; i < t->line.n && !yes; i++) {
		char *then;

		if (op[i].kind != LINE_DEL)
			continue;
		then = line_moved_key(op, t->line.n, op[i].seq + 1, op[i].key);
		yes = !then || strcmp(then, key) == 0;
		free(then);
	}
	return yes;
}

/* The bucket's object of this inode is under this key, or will be when what is
 * in the line is done; 0, else -ESTALE. */
static int is_at(struct transfer *t, const struct meta_inode *in,
		 const char *key)
{
	struct meta_object o;
	char *then;
	int r = meta_object_get(t->meta, in->key, &o);

	if (r < 0 || o.ino != in->ino)
		return r == 0 || r == -ENOENT ? -ESTALE : r;
	lock_acquire(&t->lock);
	then = line_moved_key(t->line.ops, t->line.n, 0, in->key);
	/* Another file had the name, which takes its own away from there. */
	r = !then ? -ENOMEM :
	    strcmp(then, key) == 0 && !del_waits(t, key) ? 0 :
							   -ESTALE;
	lock_release(&t->lock);
	free(then);
	return r;
}

int transfer_stands(struct transfer *t, uint64_t ino, const char *key)
{
	struct owed_key *all = NULL;
	struct meta_inode in;
	int r = line_refresh(t);

	if (r == 0)
		r = meta_inode_get(t->meta, ino, &in);
	if (r == 0)
		r = debts_of(t, ino, &all);
	if (r == 0 && !all)
		r = is_at(t, &in, key);
	debts_free(all);
	return r;
}

/* Rename what the inode shows from an owed key; -ESTALE: it is not there. */
static int follow_one(struct transfer *t, const struct meta_inode *in,
		      const char *from, const char *to)
{
	struct meta_op op = { .kind = META_OP_RENAME,
			      .ino = in->ino,
			      .final = true,
			      .cut = true };
	int r;

	if (line_waits(t, from, in->ino, &op.vid))
		r = op.vid && op.vid == in->vid ? 0 : -ESTALE;
	else
		r = is_at(t, in, from);
	if (r == 0)
		r = meta_owed_del(t->meta, from);
	if (r < 0 || strcmp(from, to) == 0)
		return r;
	memcpy(op.key, from, strlen(from));
	memcpy(op.to, to, strlen(to));
	return meta_op_add(t->meta, &op);
}

/* The same of what it showed last, whatever it is about to show. */
int owed_follow(struct transfer *t, uint64_t ino, const char *from,
		const char *to)
{
	struct meta_inode in;
	int r = meta_inode_get(t->meta, ino, &in);

	return r < 0 ? r : follow_one(t, &in, from, to);
}

int transfer_follow(struct transfer *t, uint64_t ino, const char *key)
{
	struct owed_key *all = NULL, *d;
	struct meta_inode in;
	bool found = false;
	int r = line_refresh(t);

	if (r == 0)
		r = meta_inode_get(t->meta, ino, &in);
	if (r == 0)
		r = debts_of(t, ino, &all);
	for (d = all; r == 0 && d && !found; d = d->next) {
		r = follow_one(t, &in, d->key, key);
		found = r == 0;
		if (r == -ESTALE)
			r = 0;
	}
	debts_free(all);
	if (r == 0 && found)
		r = transfer_settle(t, ino, 0);
	return r == 0 && !found ? -ESTALE : r;
}
