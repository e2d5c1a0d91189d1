/* SPDX-License-Identifier: Apache-2.0 */
/* Names: lookup, making and removing. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "unshown.h"

#define LOG_MODULE "fs"

/* Names that no store could hold, or that are ours. */
static int check_name(struct fs *fs, const struct inode *dir, const char *name)
{
	size_t n = strlen(name);

	if (n == 0)
		return -ENOENT;
	if (n > META_NAME_MAX ||
	    (fs->store->limits.name_max && n > fs->store->limits.name_max))
		return -ENAMETOOLONG;
	if (dir->ino == FS_ROOT_INO && strcmp(name, STORE_HIDDEN) == 0)
		return -EPERM;
	return 0;
}

/* A name about to be given: one that others will see as it is.  No listing
 * shows a folder of the hidden one's name, at whatever depth: that of another
 * mount is none of this one's. */
int name_check_new(struct fs *fs, const struct inode *dir, const char *name)
{
	int r = check_name(fs, dir, name);

	if (r == 0 && strcmp(name, STORE_HIDDEN) == 0)
		return -EPERM;
	return r || store_holds_name(fs->store, name) ? r : -EILSEQ;
}

struct inode *child_pinned(struct fs *fs, struct inode *dir, const char *name)
{
	struct inode *in = NULL;
	struct dentry *d;

	lock_acquire(&fs->ns);
	dir->looked_ns = clk_mono(fs->host->clk);
	d = dentry_find(dir, name);
	if (d)
		HASH_FIND(hh, fs->inodes, &d->ino, sizeof(d->ino), in);
	if (in)
		in->pins++;
	lock_release(&fs->ns);
	return in;
}

static bool is_loaded(struct fs *fs, const struct inode *dir)
{
	bool yes;

	lock_acquire(&fs->ns);
	yes = dir->loaded;
	lock_release(&fs->ns);
	return yes;
}

int fs_lookup(struct fs *fs, uint64_t parent, const char *name,
	      struct fs_entry *ret)
{
	struct inode *dir = inode_get(fs, parent), *in = NULL;
	int r = 0;

	if (!dir)
		return -ENOENT;
	if (dir->kind != META_DIR)
		r = -ENOTDIR;
	if (r == 0 && strlen(name) > META_NAME_MAX)
		r = -ENAMETOOLONG;
	if (r == 0 && !is_loaded(fs, dir)) {
		r = tx_begin(fs);
		if (r == 0)
			r = tx_end(fs, dir_load(fs, dir), 0, false);
	}
	if (r == 0)
		in = child_pinned(fs, dir, name);
	if (r == 0) {
		/* A name we have answers at once; the listing is renewed
		 * beside it.  One we do not have may be new in the bucket. */
		r = in ? dir_refresh(fs, dir, false) :
			 dir_refresh_missing(fs, dir);
		if (in)
			r = 0;
		else if (r == 0)
			in = child_pinned(fs, dir, name);
	}
	if (r == 0 && !in)
		r = -ENOENT;
	if (r == 0 && in->kind == META_FILE)
		r = meta_look(fs, in);
	if (r == 0) {
		entry_fill(fs, in, ret);
		fs_ref(fs, in->ino);
	}
	inode_put(fs, in);
	inode_put(fs, dir);
	return r;
}

/* The folder changed: its times move, and a marker may be due. */
int dir_touch(struct fs *fs, struct inode *dir)
{
	lock_acquire(&fs->ns);
	dir->mtime_ns = dir->ctime_ns = clk_real(fs->host->clk);
	lock_release(&fs->ns);
	return inode_save(fs, dir);
}

int child_add(struct fs *fs, const struct fs_ctx *ctx, struct inode *dir,
	      const char *name, struct meta_inode *row, struct inode **ret)
{
	struct inode *in;
	int r;

	row->parent = dir->ino;
	memcpy(row->name, name, strlen(name) + 1);
	row->uid = ctx->uid;
	row->gid = dir->mode & 02000 ? dir->gid : ctx->gid;
	if (row->kind == META_DIR)
		row->mode |= dir->mode & 02000;
	row->mtime_ns = row->ctime_ns = clk_real(fs->host->clk);
	row->meta_known = true;
	r = meta_inode_add(fs->meta, row);
	if (r == 0)
		r = meta_name_add(fs->meta, dir->ino, name, row->ino);
	if (r < 0)
		return r;
	r = inode_from_row(fs, row, &in);
	if (r < 0)
		return r;
	r = dentry_add(fs, dir, name, in->ino);
	if (r < 0) {
		inode_drop_memory(fs, in);
		return r;
	}
	*ret = in;
	return 0;
}

void child_undo(struct fs *fs, struct inode *dir, const char *name,
		struct inode *in)
{
	dentry_del(fs, dir, name);
	inode_drop_memory(fs, in);
}

int dir_begin(struct fs *fs, uint64_t parent, const char *name,
	      struct inode **ret)
{
	struct inode *dir = inode_get(fs, parent);
	int r;

	if (!dir)
		return -ENOENT;
	r = fs->opts.ro ? -EROFS : 0;
	if (r == 0 && dir->kind != META_DIR)
		r = -ENOTDIR;
	if (r == 0)
		r = check_name(fs, dir, name);
	if (r == 0)
		r = tx_begin(fs);
	if (r == 0) {
		r = dir->parent || dir->ino == FS_ROOT_INO ? 0 : -ENOENT;
		if (r == 0)
			r = dir_load(fs, dir);
		if (r < 0)
			(void)tx_end(fs, r, 0, false);
	}
	if (r < 0) {
		inode_put(fs, dir);
		return r;
	}
	*ret = dir;
	return 0;
}

static int make(struct fs *fs, const struct fs_ctx *ctx, uint64_t parent,
		const char *name, struct meta_inode *row, struct fs_entry *ret)
{
	char key[META_KEY_MAX + 1];
	struct inode *dir, *in = NULL;
	int r = dir_begin(fs, parent, name, &dir);

	if (r < 0)
		return r;
	r = name_check_new(fs, dir, name);
	if (r == 0 && dentry_find(dir, name))
		r = -EEXIST;
	if (r == 0)
		r = key_of(fs, dir, name, key);
	if (r == 0 && row->kind == META_DIR) {
		if (strlen(key) + 1 > META_KEY_MAX)
			r = -ENAMETOOLONG;
		else
			memcpy(key + strlen(key), "/", 2);
	}
	if (r == 0)
		r = child_add(fs, ctx, dir, name, row, &in);
	if (r == 0)
		r = dir_touch(fs, dir);
	if (r == 0 && !is_local_kind(row->kind))
		r = op_add(fs,
			   row->kind == META_DIR ? META_OP_MARKER :
						   META_OP_SYMLINK,
			   in->ino, 0, key,
			   row->kind == META_DIR ? NULL : row->target, true,
			   &in->seal_seq);
	r = tx_commit(fs, r);
	if (r < 0 && in)
		child_undo(fs, dir, name, in);
	if (r == 0) {
		lock_acquire(&fs->ns);
		in->own = in->loaded = in->kind == META_DIR;
		lock_release(&fs->ns);
		entry_fill(fs, in, ret);
		fs_ref(fs, in->ino);
	}
	r = tx_close(fs, r, 0, true);
	inode_put(fs, dir);
	return r;
}

int fs_mkdir(struct fs *fs, const struct fs_ctx *ctx, uint64_t parent,
	     const char *name, mode_t mode, struct fs_entry *ret)
{
	struct meta_inode row = { .kind = META_DIR,
				  .mode = mode & ~ctx->umask & 07777 };

	return make(fs, ctx, parent, name, &row, ret);
}

int fs_mknod(struct fs *fs, const struct fs_ctx *ctx, uint64_t parent,
	     const char *name, mode_t mode, struct fs_entry *ret)
{
	struct meta_inode row = { .kind = S_ISFIFO(mode) ? META_FIFO :
							   META_SOCKET,
				  .mode = mode & ~ctx->umask & 07777 };

	if (!S_ISFIFO(mode) && !S_ISSOCK(mode))
		return -EPERM;
	return make(fs, ctx, parent, name, &row, ret);
}

int fs_symlink(struct fs *fs, const struct fs_ctx *ctx, const char *target,
	       uint64_t parent, const char *name, struct fs_entry *ret)
{
	struct meta_inode row = { .kind = META_SYMLINK, .mode = 0777 };

	if (strlen(target) > META_KEY_MAX)
		return -ENAMETOOLONG;
	if (!*target)
		return -ENOENT;
	memcpy(row.target, target, strlen(target) + 1);
	return make(fs, ctx, parent, name, &row, ret);
}

/*
 * Take a name away, in a transaction.  The inode's row stays, without a
 * parent, while it is open; else it goes, with its versions that no operation
 * speaks of (those in the line go when the line is done with them).  For what
 * is kept of it the row stays in any case, with the name's key in it.
 */
int unlink_rows(struct fs *fs, struct inode *dir, struct inode *in,
		bool superseded)
{
	struct meta_version v;
	int r = meta_name_del(fs->meta, dir->ino, in->name);
	bool is_live;

	if (r == 0)
		r = kept_note_key(fs, in, superseded);
	if (r < 0)
		return r;
	lock_acquire(&fs->ns);
	is_live = in->live != NULL;
	lock_release(&fs->ns);
	if (is_live) {
		struct meta_inode row;

		inode_to_row(in, &row);
		row.parent = 0;
		row.ctime_ns = clk_real(fs->host->clk);
		in->orphaned = true;
		return meta_inode_set(fs->meta, &row);
	}
	if (in->vid && !in->seal_seq) {
		r = meta_version_get(fs->meta, in->vid, &v);
		if (r == 0)
			r = kept_let_go(fs, &v, superseded);
	}
	return r < 0 ? r : kept_inode_del(fs, in);
}

int unlink_inode(struct fs *fs, struct inode *dir, struct inode *in,
		 bool superseded)
{
	int r = unlink_rows(fs, dir, in, superseded);

	return r < 0 ? r : transfer_settle(fs->transfer, in->ino, 0);
}

/* The memory's side of it, once committed. */
void unlink_done(struct fs *fs, struct inode *dir, struct inode *in)
{
	dentry_del(fs, dir, in->name);
	if (in->kind == META_DIR)
		unshown_note(fs, in->ino, 0);
	lock_acquire(&fs->ns);
	in->parent = 0;
	in->ctime_ns = clk_real(fs->host->clk);
	lock_release(&fs->ns);
	/* Its last close may be under way and have seen a name still. */
	if (in->orphaned)
		attn_add(fs, in);
}

/* In a folder, of what the bucket is to have: none, one, or more (2). */
static unsigned few_shown(struct fs *fs, const struct inode *dir)
{
	struct dentry *d, *tmp;
	unsigned n = 0;

	HASH_ITER(hh, dir->children, d, tmp) {
		const struct inode *in = inode_find(fs, d->ino);

		if ((!in || !is_local_kind(in->kind)) && ++n == 2)
			break;
	}
	return n;
}

/* An emptied folder may want its marker again. */
int marker_due(struct fs *fs, struct inode *dir)
{
	char key[META_KEY_MAX + 1];
	struct meta_object o;
	size_t n;

	if (dir->ino == FS_ROOT_INO || few_shown(fs, dir) != 1 ||
	    key_of_inode(fs, dir, key) < 0)
		return 0;
	n = strlen(key);
	if (n + 1 > META_KEY_MAX)
		return 0;
	memcpy(key + n, "/", 2);
	/* One that was on its way while it was needless may be there, with its
	 * delete behind it. */
	if (dir->marker && !transfer_marker_goes(fs->transfer, dir->ino, key))
		return 0;
	/* Another writer's serves as well. */
	if (meta_object_get(fs->meta, key, &o) == 0 && !o.ino)
		return 0;
	return op_add(fs, META_OP_MARKER, dir->ino, 0, key, NULL, true, NULL);
}

int marker_check(struct fs *fs, struct inode *dir)
{
	char key[META_KEY_MAX + 1];
	struct meta_object o;
	int r = key_of_inode(fs, dir, key);

	if (unshown_in(fs, dir->ino))
		return -ENOTEMPTY;
	if (r < 0 || strlen(key) + 1 > META_KEY_MAX)
		return 0;
	memcpy(key + strlen(key), "/", 2);
	if (meta_object_get(fs->meta, key, &o) < 0 || o.size == 0)
		return 0;
	log_warn("%s: the object of this name holds %llu bytes, which a mount "
		 "cannot show: the folder is not removed",
		 key, (unsigned long long)o.size);
	return -ENOTEMPTY;
}

static int remove_name(struct fs *fs, uint64_t parent, const char *name,
		       bool want_dir)
{
	char key[META_KEY_MAX + 1];
	struct inode *dir, *in = NULL;
	int r = dir_begin(fs, parent, name, &dir);

	if (r < 0)
		return r;
	in = child_pinned(fs, dir, name);
	if (!in)
		r = -ENOENT;
	else if (want_dir != (in->kind == META_DIR))
		r = want_dir ? -ENOTDIR : -EISDIR;
	else if (want_dir)
		r = dir_load(fs, in);
	if (r == 0 && want_dir)
		r = dir_is_empty(in) ? marker_check(fs, in) : -ENOTEMPTY;
	if (r == 0)
		r = key_of(fs, dir, name, key);
	if (r == 0 && want_dir)
		memcpy(key + strlen(key), "/", 2);
	if (r == 0 && needs_delete(fs, in, key))
		r = op_add(fs, META_OP_DEL, in->ino, 0, key, NULL, true, NULL);
	if (r == 0 && !is_local_kind(in->kind))
		r = marker_due(fs, dir);
	if (r == 0)
		r = unlink_inode(fs, dir, in, false);
	if (r == 0)
		r = dir_touch(fs, dir);
	r = tx_commit(fs, r);
	if (r == 0)
		unlink_done(fs, dir, in);
	r = tx_close(fs, r, 0, true);
	inode_put(fs, in);
	inode_put(fs, dir);
	return r;
}

int fs_unlink(struct fs *fs, uint64_t parent, const char *name)
{
	return remove_name(fs, parent, name, false);
}

int fs_rmdir(struct fs *fs, uint64_t parent, const char *name)
{
	struct inode *in;
	struct inode *dir = inode_get(fs, parent);

	if (!dir)
		return -ENOENT;
	/* Whether it is empty is for the bucket to say, too. */
	in = dir->kind == META_DIR ? child_pinned(fs, dir, name) : NULL;
	if (in && in->kind == META_DIR)
		(void)dir_refresh(fs, in, true);
	inode_put(fs, in);
	inode_put(fs, dir);
	return remove_name(fs, parent, name, true);
}
