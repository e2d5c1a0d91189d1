/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The losing side of a conflict: kept on this machine, where its name shows it
 * until somebody decides, and published beside the objects
 * (src/transfer/beside.c).  Whatever is decided, what lies there goes.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "fs"

/* Its place in the line goes by the delete behind it: folded, or done first.
 * Until then it is a version that was superseded. */
static int leave_to_line(struct fs *fs, const struct meta_version *v)
{
	struct meta_version row;
	int r = meta_version_get(fs->meta, v->vid, &row);

	if (r < 0)
		return r;
	row.state = META_SEALED;
	row.provisional = row.held = false;
	row.replaces = 0;
	r = meta_version_set(fs->meta, &row);
	return r < 0 ? r : 1;
}

int conflict_drop(struct fs *fs, const struct meta_version *v)
{
	struct transfer_beside at;
	int r = -ENOENT;

	if (v->state != META_CONFLICT)
		return 0;
	r = transfer_beside_of(fs->transfer, v->vid, &at);
	if (r == 0)
		r = op_add(fs, META_OP_DEL, 0, 0, at.key, NULL, true, NULL);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	/* Whoever commits this does not know of the delete. */
	transfer_kick(fs->transfer, 0);
	return at.is_there ? 0 : leave_to_line(fs, v);
}

int conflict_supersede(struct fs *fs, struct meta_version *v)
{
	struct meta_version old;
	int r = 0;

	while (r == 0 && v->replaces) {
		r = meta_version_get(fs->meta, v->replaces, &old);
		if (r < 0 || old.state != META_CONFLICT || old.ino != v->ino)
			break;
		v->replaces = old.replaces;
		r = version_drop(fs, &old);
		if (r == 0)
			r = meta_version_set(fs->meta, v);
	}
	return r == -ENOENT ? 0 : r;
}

bool conflict_is(struct fs *fs, uint64_t vid)
{
	struct meta_version v;
	bool yes = false;

	if (!vid || tx_begin(fs) < 0)
		return false;
	yes = meta_version_get(fs->meta, vid, &v) == 0 &&
	      v.state == META_CONFLICT;
	(void)tx_end(fs, 0, 0, false);
	return yes;
}

struct all {
	struct meta_version *v;
	size_t n, cap;
};

static int take(void *arg, const struct meta_version *row)
{
	struct all *a = arg;

	if (row->state != META_CONFLICT)
		return 0;
	if (a->n == a->cap) {
		size_t cap = a->cap ? a->cap * 2 : 8;
		struct meta_version *p = reallocarray(a->v, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		a->v = p;
		a->cap = cap;
	}
	a->v[a->n++] = *row;
	return 0;
}

static int load_one(struct fs *fs, const struct meta_version *v)
{
	char key[META_KEY_MAX + 1];
	struct transfer_beside at;
	struct meta_inode row;
	int r = transfer_beside_of(fs->transfer, v->vid, &at);

	if (r != -ENOENT)
		return r;
	r = meta_inode_get(fs->meta, v->ino, &row);
	if (r == 0 && row.parent)
		r = key_of_row(fs, &row, key);
	else if (r == 0)
		memcpy(key, row.target, sizeof(key));
	if (r == 0 && key[0])
		r = transfer_beside_add(fs->transfer, v, key);
	return r == -ENOENT || r == -ENODATA || r == -ENAMETOOLONG ? 0 : r;
}

int conflict_load(struct fs *fs)
{
	struct all a = { 0 };
	size_t i;
	int r = meta_version_each(fs->meta, take, &a);

	for (i = 0; r == 0 && i < a.n; i++)
		r = load_one(fs, &a.v[i]);
	free(a.v);
	return r;
}
