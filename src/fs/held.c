/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was held back under a temporary name gets its place in the line: one
 * file, or all below a folder whose rename gives it another name, as Orbax
 * saves, and so does who writes into tmp-checkpoint-N.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

int held_put(struct fs *fs, uint64_t ino, struct meta_version *v,
	     const char *key, uint64_t *ret_seq)
{
	struct meta_op op = { .kind = META_OP_PUT,
			      .ino = ino,
			      .vid = v->vid,
			      .final = !v->provisional,
			      .cut = true };
	int r;

	v->held = false;
	memcpy(op.key, key, strlen(key) + 1);
	op.unordered = key_is_live(fs, key);
	r = meta_version_set(fs->meta, v);
	if (r == 0)
		r = transfer_make_room(fs->transfer, key, false, 0);
	if (r == 0)
		r = meta_op_add(fs->meta, &op);
	if (r == 0)
		r = transfer_settle(fs->transfer, ino, v->vid);
	if (r == 0)
		*ret_seq = op.seq;
	return r;
}

int held_shown(struct fs *fs, uint64_t ino, struct meta_version *v,
	       const char *key, uint64_t *ret_seq)
{
	if (v->state != META_SEALED || !v->held ||
	    transfer_name_is_temporary(key_path(fs, key)))
		return 0;
	return held_put(fs, ino, v, key, ret_seq);
}

struct held_file {
	struct inode *in;
	uint64_t seq;
	char *key; /* as it is to be */
};

static bool is_temporary_folder(struct fs *fs, const char *key)
{
	char file[META_KEY_MAX + 3];

	(void)snprintf(file, sizeof(file), "%s/f", key_path(fs, key));
	return transfer_name_is_temporary(file);
}

static int add(struct held *h, struct inode *in, const char *dir,
	       const char *rest)
{
	struct held_file *f;
	size_t n = strlen(dir);

	if (n + strlen(rest) > META_KEY_MAX)
		return -ENAMETOOLONG;
	if (h->n == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : 64;

		f = realloc(h->v, cap * sizeof(*f));
		if (!f)
			return -ENOMEM;
		h->v = f;
		h->cap = cap;
	}
	f = &h->v[h->n];
	*f = (struct held_file){ .in = in, .key = malloc(n + strlen(rest) + 1) };
	if (!f->key)
		return -ENOMEM;
	memcpy(f->key, dir, n);
	memcpy(f->key + n, rest, strlen(rest) + 1);
	h->n++;
	return 0;
}

/* With ns: what is held below the folder `from`, and need not be below `to`. */
static int gather(struct fs *fs, const char *from, const char *to,
		  struct held *h)
{
	char key[META_KEY_MAX + 1];
	size_t n = strlen(from);
	struct inode *in, *tmp;
	int r = 0;

	HASH_ITER(hh, fs->inodes, in, tmp) {
		if (r < 0 || in->kind != META_FILE || !in->held ||
		    !in->parent || key_of_inode_locked(fs, in, key) < 0 ||
		    strncmp(key, from, n) != 0 || key[n] != '/')
			continue;
		r = add(h, in, to, key + n);
		if (r == 0 && transfer_name_is_temporary(
				      key_path(fs, h->v[h->n - 1].key)))
			free(h->v[--h->n].key);
	}
	return r;
}

static int by_seal(const void *x, const void *y)
{
	const struct inode *a = ((const struct held_file *)x)->in;
	const struct inode *b = ((const struct held_file *)y)->in;

	if (a->sealed_real_ns != b->sealed_real_ns)
		return a->sealed_real_ns < b->sealed_real_ns ? -1 : 1;
	return (a->vid > b->vid) - (a->vid < b->vid);
}

/* One place for all of them: that of the first. */
static int place(struct fs *fs, struct held_file *f, uint64_t bound)
{
	struct meta_op op = { .kind = META_OP_PUT,
			      .ino = f->in->ino,
			      .vid = f->in->vid,
			      .bound = bound,
			      .cut = true };
	struct meta_version v;
	int r = meta_version_get(fs->meta, f->in->vid, &v);

	if (r < 0)
		return r == -ENOENT ? -EIO : r;
	v.held = false;
	op.final = !v.provisional;
	memcpy(op.key, f->key, strlen(f->key) + 1);
	op.unordered = key_is_live(fs, f->key);
	r = meta_version_set(fs->meta, &v);
	if (r == 0)
		r = meta_op_add(fs->meta, &op);
	f->seq = op.seq;
	return r;
}

int held_place(struct fs *fs, const char *from, const char *to, struct held *h)
{
	size_t i;
	int r;

	if (!is_temporary_folder(fs, from) || is_temporary_folder(fs, to))
		return 0;
	lock_acquire(&fs->ns);
	r = gather(fs, from, to, h);
	lock_release(&fs->ns);
	if (h->n)
		qsort(h->v, h->n, sizeof(*h->v), by_seal);
	for (i = 0; r == 0 && i < h->n; i++)
		r = place(fs, &h->v[i], i ? h->v[0].seq : 0);
	return r;
}

int held_settle(struct fs *fs, const struct held *h)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < h->n; i++)
		r = transfer_settle(fs->transfer, h->v[i].in->ino,
				    h->v[i].in->vid);
	return r;
}

void held_let_go(const struct held *h)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		inode_let_go(h->v[i].in, h->v[i].seq);
}

void held_release(struct held *h)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		free(h->v[i].key);
	free(h->v);
}
