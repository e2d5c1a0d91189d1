/* SPDX-License-Identifier: Apache-2.0 */
/*
 * At the mount: every file with bytes here comes into memory, whatever folder
 * it is in, and that others of its versions are kept.  Eviction, status and the clocks of temporary names look at memory
 * alone, while folders are loaded when somebody asks for them.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "internal.h"
#include "used.h"

#define LOG_MODULE "fs"

/* The place of a version in the line. */
struct place {
	uint64_t vid, seq;
};

struct known {
	struct meta_version *v;
	size_t n, cap;
	struct place *places; /* by vid */
	size_t nplaces, cap_places;
};

static int take_version(void *arg, const struct meta_version *row)
{
	struct known *k = arg;

	if (k->n == k->cap) {
		size_t cap = k->cap ? k->cap * 2 : 64;
		struct meta_version *p = realloc(k->v, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		k->v = p;
		k->cap = cap;
	}
	k->v[k->n++] = *row;
	return 0;
}

static int take_place(void *arg, const struct meta_op *op)
{
	struct known *k = arg;

	if (op->kind != META_OP_PUT)
		return 0;
	if (k->nplaces == k->cap_places) {
		size_t cap = k->cap_places ? k->cap_places * 2 : 64;
		struct place *p = realloc(k->places, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		k->places = p;
		k->cap_places = cap;
	}
	k->places[k->nplaces++] = (struct place){ op->vid, op->seq };
	return 0;
}

static int by_vid(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->vid < y->vid ? -1 : x->vid > y->vid;
}

static uint64_t place_of(const struct known *k, const struct meta_version *v)
{
	struct place key = { .vid = v->vid }, *p = NULL;

	if (v->state == META_SEALED && !v->held && k->nplaces)
		p = bsearch(&key, k->places, k->nplaces, sizeof(key), by_vid);
	return p ? p->seq : 0;
}

/* The folders above, up to one that is in memory: without them a file has no
 * path. */
static int folders_above(struct fs *fs, uint64_t ino)
{
	struct meta_inode row;
	struct inode *in;
	int r = 0;

	while (r == 0 && ino && !inode_find(fs, ino)) {
		r = meta_inode_get(fs->meta, ino, &row);
		if (r == 0)
			r = inode_from_row(fs, &row, &in);
		ino = row.parent;
	}
	return r;
}

static int show(struct fs *fs, const struct known *k,
		const struct meta_version *v)
{
	struct meta_inode row;
	struct inode *in;
	int r = meta_inode_get(fs->meta, v->ino, &row);
	bool shown;

	if (r < 0 || !row.parent)
		return r == -ENOENT ? 0 : r;
	shown = row.vid == v->vid;
	if (!shown && !version_is_kept(v->state))
		return 0;
	r = inode_from_row(fs, &row, &in);
	if (r == 0)
		r = folders_above(fs, row.parent);
	if (r < 0)
		return r == -ENOENT ? 0 : r; /* it has no path */
	if (!shown) {
		in->kept = true;
		return 0;
	}
	lock_acquire(&fs->ns);
	inode_show_version(in, v, place_of(k, v));
	used_load(in, v);
	lock_release(&fs->ns);
	/* Held back under a temporary name: its clock runs on. */
	if (v->held)
		attn_add(fs, in);
	return 0;
}

int known_load(struct fs *fs)
{
	struct known k = { .n = 0 };
	size_t i;
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	r = meta_version_each(fs->meta, take_version, &k);
	if (r == 0)
		r = meta_op_each(fs->meta, 0, take_place, &k);
	if (k.nplaces)
		qsort(k.places, k.nplaces, sizeof(*k.places), by_vid);
	for (i = 0; r == 0 && i < k.n; i++)
		r = show(fs, &k, &k.v[i]);
	free(k.v);
	free(k.places);
	return tx_end(fs, r, 0, false);
}
