/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletes that were owed when the daemon stopped (ckptfs/transfer.h).  What
 * they wait for may never come: the inode is gone, or shows its earlier
 * version again, and then the object goes where the name is.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "fs"

struct debtors {
	uint64_t *ino;
	size_t n, cap;
};

static int note(void *arg, const char *key, uint64_t ino)
{
	struct debtors *d = arg;
	size_t i;

	(void)key;
	for (i = 0; i < d->n; i++)
		if (d->ino[i] == ino)
			return 0;
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 16;
		uint64_t *p = realloc(d->ino, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		d->ino = p;
		d->cap = cap;
	}
	d->ino[d->n++] = ino;
	return 0;
}

int key_of_row(struct fs *fs, const struct meta_inode *row,
	       char ret[META_KEY_MAX + 1])
{
	struct inode *dir = NULL, *in;
	struct meta_inode up;
	uint64_t ino = row->parent;
	int r = 0;

	while (r == 0 && ino) {
		r = meta_inode_get(fs->meta, ino, &up);
		if (r == 0)
			r = inode_from_row(fs, &up, &in);
		if (r == 0 && !dir)
			dir = in;
		ino = r == 0 ? up.parent : 0;
	}
	if (r < 0 || !dir)
		return r < 0 ? r : -ENOENT;
	return key_of(fs, dir, row->name, ret);
}

/* What it shows is in the bucket, or in the line: not bytes that are yet to
 * be sealed. */
static int shows_published(struct fs *fs, const struct meta_inode *row,
			   bool *ret)
{
	struct meta_version v;
	int r;

	if (!row->vid) {
		*ret = row->key[0] != '\0';
		return 0;
	}
	r = meta_version_get(fs->meta, row->vid, &v);
	if (r == 0)
		*ret = v.state == META_PUBLISHED ||
		       (v.state == META_SEALED && !v.held);
	return r;
}

/* It gets to this key by the place it has in the line. */
static int comes_by_itself(struct fs *fs, uint64_t vid, const char *key,
			   bool *ret)
{
	struct meta_op op;
	uint64_t seq = 0;
	int r = transfer_place(fs->transfer, vid, &seq);

	*ret = true;
	if (r == 0 && seq)
		r = meta_op_get(fs->meta, seq, &op);
	if (r == 0 && seq)
		*ret = strcmp(op.key, key) == 0;
	return r;
}

/*
 * It waits in the line under a name that another file takes from it once it is
 * there.  Its commit may be under way, so its place stays as it is: the same
 * bytes are a new version, which gets to where the name is.
 */
static int put_beside(struct fs *fs, const struct meta_inode *row,
		      const struct meta_version *old, const char *key)
{
	struct meta_version v = *old;
	struct meta_inode in = *row;
	bool comes;
	int r = comes_by_itself(fs, old->vid, key, &comes);

	if (r < 0 || comes || old->held)
		return r;
	v.seal_ctime_ns = 0; /* nobody has it open any more */
	r = version_add(fs, &v);
	in.vid = v.vid;
	if (r == 0)
		r = meta_inode_set(fs->meta, &in);
	if (r == 0)
		r = op_add(fs, META_OP_PUT, row->ino, v.vid, key, NULL, true,
			   NULL);
	return r < 0 ? r : transfer_settle(fs->transfer, row->ino, v.vid);
}

/*
 * The object of what it shows is gone, or about to: another file took the name
 * it was under.  It is published again from here.
 */
int publish_again(struct fs *fs, const struct meta_inode *row,
			 const char *key)
{
	struct meta_version v = { .vid = 0 };
	int r = row->vid ? meta_version_get(fs->meta, row->vid, &v) : 0;

	if (r < 0)
		return r;
	if (v.state == META_SEALED)
		return put_beside(fs, row, &v, key);
	if (!v.blob || !v.complete) {
		log_warn("%s: its last finished version was replaced in the "
			 "bucket, and is not here",
			 key_path(fs, key));
		return 0;
	}
	v.state = META_SEALED;
	v.seal_ctime_ns = 0; /* nobody has it open any more */
	r = meta_version_set(fs->meta, &v);
	if (r == 0)
		r = op_add(fs, META_OP_PUT, row->ino, v.vid, key, NULL, true,
			   NULL);
	return r < 0 ? r : transfer_settle(fs->transfer, row->ino, v.vid);
}

static int settle_one(struct fs *fs, uint64_t ino)
{
	char key[META_KEY_MAX + 1];
	struct meta_inode row;
	bool back = false;
	int r = meta_inode_get(fs->meta, ino, &row);

	if (r == -ENOENT)
		return transfer_settle(fs->transfer, ino, 0);
	if (r == 0)
		r = shows_published(fs, &row, &back);
	if (r < 0 || !back)
		return r;
	r = key_of_row(fs, &row, key);
	if (r == 0)
		r = transfer_follow(fs->transfer, ino, key);
	return r == -ESTALE ? publish_again(fs, &row, key) : r;
}

int owed_stepped_back(struct fs *fs, const struct meta_inode *row)
{
	char key[META_KEY_MAX + 1];
	int r = key_of_row(fs, row, key);

	if (r == 0)
		r = transfer_stands(fs->transfer, row->ino, key);
	return r == -ESTALE ? publish_again(fs, row, key) : r;
}

struct debtor {
	uint64_t ino;
	bool owes;
};

static int find_debtor(void *arg, const char *key, uint64_t ino)
{
	struct debtor *d = arg;

	(void)key;
	d->owes |= ino == d->ino;
	return d->owes;
}

int owed_set_back(struct fs *fs, uint64_t ino)
{
	struct debtor d = { .ino = ino };
	int r = meta_owed_any(fs->meta) ?
			meta_owed_each(fs->meta, find_debtor, &d) :
			0;

	return r < 0 || !d.owes ? r : settle_one(fs, ino);
}

int recover_owed(struct fs *fs)
{
	struct debtors d = { 0 };
	size_t i;
	int r = 0;

	if (!meta_owed_any(fs->meta))
		return 0;
	r = meta_owed_each(fs->meta, note, &d);
	for (i = 0; r == 0 && i < d.n; i++)
		r = settle_one(fs, d.ino[i]);
	free(d.ino);
	return r;
}
