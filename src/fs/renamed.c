/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that was renamed, and whose object others deleted before the bucket
 * heard of that.  What we change after such a delete is published as new; so is
 * what we only rename, from its bytes here: they may be the last there are.
 * Sealed again, it is nothing that eviction or a listing may take away.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "internal.h"

/* What is published of it, and all here; -ENOENT: not that. */
static int find_whole(struct fs *fs, uint64_t ino, const char *key,
		      struct meta_inode *row, struct meta_version *v)
{
	int r = meta_inode_get(fs->meta, ino, row);

	if (r == 0 && (!row->parent || !row->vid || strcmp(row->key, key) != 0))
		r = -ENOENT;
	if (r == 0)
		r = meta_version_get(fs->meta, row->vid, v);
	return r == 0 && (v->state != META_PUBLISHED || !v->complete ||
			  !v->blob) ?
		       -ENOENT :
		       r;
}

/* Its version goes to the new name as if it had been closed just now. */
static int again_rows(struct fs *fs, struct meta_inode *row,
		      struct meta_version *v, const char *to, uint64_t *seq)
{
	struct meta_op op = { .kind = META_OP_PUT, .cut = true };
	int r = *seq ? meta_op_get(fs->meta, *seq, &op) : 0;

	op.kind = META_OP_PUT;
	op.ino = row->ino;
	op.vid = v->vid;
	op.final = true;
	op.begun = false;
	memset(op.key, 0, sizeof(op.key));
	memset(op.to, 0, sizeof(op.to));
	memcpy(op.key, to, strlen(to));
	if (r == 0)
		r = *seq ? meta_op_set(fs->meta, &op) :
			   meta_op_add(fs->meta, &op);
	*seq = op.seq;
	v->state = META_SEALED;
	v->seal_ctime_ns = 0; /* who opens it for writing parts from it first */
	v->mode = row->mode;
	v->mtime_ns = row->mtime_ns;
	if (r == 0)
		r = meta_version_set(fs->meta, v);
	if (r == 0)
		r = meta_object_del(fs->meta, row->key);
	memset(row->key, 0, sizeof(row->key));
	return r == 0 || r == -ENOENT ? meta_inode_set(fs->meta, row) : r;
}

int renamed_gone(void *arg, uint64_t ino, const char *key, const char *to,
		 uint64_t seq)
{
	struct fs *fs = arg;
	struct inode *in = inode_get(fs, ino);
	struct meta_version v;
	struct meta_inode row;
	int r;

	if (in)
		busy_begin(fs, in);
	r = tx_begin(fs);
	if (r == 0) {
		r = find_whole(fs, ino, key, &row, &v);
		if (r == 0)
			r = again_rows(fs, &row, &v, to, &seq);
		r = tx_commit(fs, r);
		if (r == 0 && in) {
			lock_acquire(&fs->ns);
			inode_show_version(in, &v, seq);
			(void)inode_set_str(&in->key, NULL);
			if (in->live && in->live->ver.vid == v.vid)
				in->live->ver = v;
			lock_release(&fs->ns);
		}
		r = tx_close(fs, r, seq, true);
	}
	if (in)
		busy_end(fs, in);
	inode_put(fs, in);
	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}
