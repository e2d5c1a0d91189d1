/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions outlive their name: a file that is deleted, or that another one is
 * renamed over, may have bytes which nobody has decided about.  Its inode row
 * then stays without a parent, and has in `target` the key it had, so that
 * they can be listed, copied out, or published under that name again.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "fs"

static bool is_open_for_writing(struct fs *fs, const struct inode *in)
{
	bool yes;

	lock_acquire(&fs->ns);
	yes = in->live && in->live->writing;
	lock_release(&fs->ns);
	return yes;
}

static int is_parked(struct fs *fs, uint64_t seq, bool *ret)
{
	struct meta_op op;
	int r = seq ? meta_op_get(fs->meta, seq, &op) : -ENOENT;

	*ret = r == 0 && op.parked;
	return r == -ENOENT ? 0 : r;
}

/* Something it showed, or was opened over, waits for a word.  What it shows
 * counts only if it was superseded: else it was deleted by its name. */
static int has_kept(struct fs *fs, const struct inode *in, bool superseded,
		    bool *ret)
{
	struct meta_version v;
	uint64_t vid = in->vid;
	bool counts = superseded && !is_open_for_writing(fs, in);
	int r = 0;

	*ret = in->kept;
	if (!*ret && vid && counts && in->state == META_SEALED)
		r = is_parked(fs, in->seal_seq, ret);
	/* What is published was opened over nothing any more. */
	if (in->state == META_PUBLISHED)
		vid = 0;
	while (r == 0 && vid && !*ret) {
		r = meta_version_get(fs->meta, vid, &v);
		if (r == 0 && counts && version_is_kept(v.state))
			*ret = true;
		vid = v.replaces;
		counts = true;
	}
	return r == -ENOENT ? 0 : r;
}

int kept_note_key(struct fs *fs, struct inode *in, bool superseded)
{
	char key[META_KEY_MAX + 1];
	bool yes = false;
	int r;

	if (in->kind != META_FILE)
		return 0;
	r = has_kept(fs, in, superseded, &yes);
	if (r < 0 || !yes)
		return r;
	r = key_of_inode(fs, in, key);
	if (r < 0)
		return r;
	lock_acquire(&fs->ns);
	r = inode_set_str(&in->target, key);
	lock_release(&fs->ns);
	return r;
}

int kept_let_go(struct fs *fs, struct meta_version *v, bool superseded)
{
	int r;

	if (!superseded || !version_is_kept(v->state))
		return versions_drop(fs, v);
	r = version_drop_replaced(fs, v);
	return r < 0 ? r : version_keep(fs, v);
}

int kept_inode_del(struct fs *fs, const struct inode *in)
{
	struct meta_inode row;

	if (in->kind != META_FILE || !in->target)
		return meta_inode_del(fs->meta, in->ino);
	inode_to_row(in, &row);
	row.parent = 0;
	row.vid = 0;
	return meta_inode_set(fs->meta, &row);
}

bool kept_is_nameless(const struct meta_inode *row)
{
	return row->kind == META_FILE && !row->parent && row->target[0];
}

struct left {
	uint64_t ino, but;
	bool any;
};

static int find_left(void *arg, const struct meta_version *v)
{
	struct left *l = arg;

	l->any |= v->ino == l->ino && v->vid != l->but;
	return l->any;
}

int kept_left(struct fs *fs, uint64_t ino, uint64_t but)
{
	struct left l = { .ino = ino, .but = but };
	struct meta_inode row;
	int r = meta_inode_get(fs->meta, ino, &row);

	if (r < 0 || !kept_is_nameless(&row))
		return r == -ENOENT ? 0 : r;
	r = meta_version_each(fs->meta, find_left, &l);
	return r == 0 ? meta_inode_del(fs->meta, ino) : r < 0 ? r : 0;
}
