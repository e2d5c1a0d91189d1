/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owed deletes that are in the way; and markers that are on their way out.
 *
 * What is owed under a name stays in the bucket until the file that owes it has
 * a successor there.  By then the mount may have a folder of that name, or a
 * file that has the name of its folder; and where the two cannot be in the
 * bucket at once, the successor itself may be behind them.  So what is owed goes
 * first: if it is what that file last had in the bucket, after the file, and
 * else for good.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "line_view.h"

static bool is_one_name(const struct transfer *t)
{
	return !(t->store->caps & STORE_CAP_FILE_AND_DIR);
}

/* The key of a file by its rows; -ENOENT: it has none. */
static int key_now(struct transfer *t, uint64_t ino, char ret[META_KEY_MAX + 1])
{
	size_t at = META_KEY_MAX, n, p = strlen(t->prefix);
	struct meta_inode in;
	int r;

	ret[at] = '\0';
	for (;;) {
		r = meta_inode_get(t->meta, ino, &in);
		if (r < 0)
			return r;
		n = strlen(in.name);
		if (!in.parent || n + 1 + p > at)
			return -ENOENT;
		at -= n;
		memcpy(ret + at, in.name, n);
		if (in.parent == META_ROOT_INO)
			break;
		ret[--at] = '/';
		ino = in.parent;
	}
	memmove(ret + p, ret + at, META_KEY_MAX + 1 - at);
	memcpy(ret, t->prefix, p);
	return 0;
}

static int make_way(struct transfer *t, const char *owed, uint64_t leaves)
{
	char key[META_KEY_MAX + 1];
	uint64_t ino;
	int r = meta_owed_get(t->meta, owed, &ino);

	if (r == 0)
		r = key_now(t, ino, key);
	if (r == 0) {
		r = owed_follow(t, ino, owed, key);
		/* It may get another name, with its successor, just now. */
		if (r == 0)
			r = transfer_owe(t, ino, key);
	} else if (r == -ENOENT)
		r = -ESTALE;
	return r == -ESTALE ? owed_pay(t, owed, ino, 0, leaves) : r;
}

struct ways {
	const char *key;
	bool tree; /* all below it counts, too */
	struct owed_key *all;
};

static int gather(void *arg, const char *owed, uint64_t ino)
{
	struct ways *w = arg;
	struct owed_key *k;

	(void)ino;
	if (!path_clashes(owed, w->key) &&
	    !(w->tree && path_is_below(owed, w->key)))
		return 0;
	k = malloc(sizeof(*k) + strlen(owed) + 1);
	if (!k)
		return -ENOMEM;
	memcpy(k->key, owed, strlen(owed) + 1);
	k->next = w->all;
	w->all = k;
	return 0;
}

int transfer_make_room(struct transfer *t, const char *key, bool tree,
		       uint64_t leaves)
{
	struct ways w = { .key = key, .tree = tree };
	struct owed_key *k;
	int r;

	if (!meta_owed_any(t->meta) || !is_one_name(t))
		return 0;
	r = meta_owed_each(t->meta, gather, &w);
	if (r == 0 && w.all)
		r = line_refresh(t);
	while ((k = w.all) != NULL) {
		w.all = k->next;
		if (r == 0)
			r = make_way(t, k->key, leaves);
		free(k);
	}
	return r;
}

/* ---- markers */

struct find_del {
	uint64_t ino;
	bool found;
};

static int match_del(void *arg, const struct meta_op *op)
{
	struct find_del *f = arg;

	f->found |= op->kind == META_OP_DEL && op->ino == f->ino;
	return f->found;
}

/* From the copy, of which the rows may be ahead, by those that came since. */
bool transfer_marker_goes(struct transfer *t, uint64_t ino, const char *key)
{
	struct find_del f = { .ino = ino };
	struct titem *it, *tmp;

	meta_assert_begun(t->meta);
	lock_acquire(&t->lock);
	if (line_speaks_of(&t->line, key))
		HASH_ITER(hh, t->items, it, tmp)
			f.found |= it->kind == META_OP_DEL && it->ino == ino;
	lock_release(&t->lock);
	return f.found ||
	       meta_op_each(t->meta, t->last_seq, match_del, &f) < 0 || f.found;
}
