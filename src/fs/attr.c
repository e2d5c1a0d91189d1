/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

#define LOG_MODULE "fs"

#define ENTRY_TTL_LEAST (100 * NS_PER_MS)

static mode_t type_bits(enum meta_kind kind)
{
	switch (kind) {
	case META_DIR:
		return S_IFDIR;
	case META_SYMLINK:
		return S_IFLNK;
	case META_FIFO:
		return S_IFIFO;
	case META_SOCKET:
		return S_IFSOCK;
	case META_FILE:
		break;
	}
	return S_IFREG;
}

/* What the blob says wins while somebody may be writing to it. */
static void from_blob(struct inode *in, struct fs_attr *a,
		      const struct disk_stat *st)
{
	a->size = st->size;
	a->blocks = (st->alloc + 511) / 512;
	if (st->ctime_ns != in->live->taken_ctime &&
	    st->ctime_ns > a->ctime_ns)
		a->ctime_ns = st->ctime_ns;
	if (!in->time_set || st->size != in->time_size ||
	    st->mtime_ns != in->time_mtime)
		a->mtime_ns = st->mtime_ns;
	a->ttl_ns = 0;
}

/* Programs look for holes where the blocks are too few for the size.  A file
 * of which nothing is here has as many as its size: with none it would be taken
 * for a hole as a whole. */
static bool has_holes(const struct inode *in)
{
	return in->alloc_vid && in->alloc_vid == in->vid;
}

void attr_fill(struct fs *fs, struct inode *in, struct fs_attr *a)
{
	struct disk_stat st;
	int fd = -1;

	memset(a, 0, sizeof(*a));
	lock_acquire(&fs->ns);
	a->ino = in->ino;
	a->mode = type_bits(in->kind) | in->mode;
	/* Of a folder 1 says that its folders are not counted: who is told 2
	 * may take it that there are none (fts(3)). */
	a->nlink = in->parent || in->ino == FS_ROOT_INO ? 1 : 0;
	a->uid = in->uid;
	a->gid = in->gid;
	a->size = in->kind == META_SYMLINK && in->target ?
			  strlen(in->target) :
			  in->size;
	a->blocks = ((has_holes(in) ? in->alloc : a->size) + 511) / 512;
	a->mtime_ns = in->mtime_ns;
	a->ctime_ns = in->ctime_ns;
	a->atime_ns = in->atime_ns;
	a->ttl_ns = in->meta_known || in->kind == META_DIR ?
			    fs->opts.metadata_ttl_ns :
			    0;
	if (in->live && in->live->writing)
		fd = in->live->rfd;
	if (fd >= 0 && disk_stat(fs->host->disk, fd, &st) == 0)
		from_blob(in, a, &st);
	lock_release(&fs->ns);
}

/* As long as the listing it is from: what is believed for longer shows what
 * others did up to twice metadata_ttl late. */
static int64_t entry_ttl(struct fs *fs, const struct inode *in)
{
	int64_t ttl = fs->opts.metadata_ttl_ns, left;
	struct inode *dir = inode_get(fs, inode_parent(fs, in));

	if (!dir || dir->own) {
		inode_put(fs, dir);
		return ttl;
	}
	lock_acquire(&fs->busy_lock);
	left = dir->listed_ns + ttl - clk_mono(fs->host->clk);
	lock_release(&fs->busy_lock);
	inode_put(fs, dir);
	/* It is asked for again, and is there in a moment. */
	if (left < ENTRY_TTL_LEAST)
		left = ENTRY_TTL_LEAST;
	return left < ttl ? left : ttl;
}

void entry_fill(struct fs *fs, struct inode *in, struct fs_entry *ret)
{
	attr_fill(fs, in, &ret->attr);
	ret->ttl_ns = entry_ttl(fs, in);
}

int fs_getattr(struct fs *fs, uint64_t ino, struct fs_file *file,
	       struct fs_attr *ret)
{
	struct inode *in = inode_get(fs, ino);
	int r = 0;

	if (!in)
		return -ENOENT;
	if (in->kind == META_FILE)
		r = meta_look(fs, in);
	if (r == 0)
		attr_fill(fs, in, ret);
	inode_put(fs, in);
	return r;
}

int fs_readlink(struct fs *fs, uint64_t ino, char ret[1025])
{
	struct inode *in = inode_get(fs, ino);
	int r = -EINVAL;

	if (!in)
		return -ENOENT;
	if (in->kind == META_SYMLINK && in->target) {
		memcpy(ret, in->target, strlen(in->target) + 1);
		r = 0;
	}
	inode_put(fs, in);
	return r;
}

/* Change the size through the live blob; busy is held. */
static int set_size(struct fs *fs, struct inode *in, uint64_t size)
{
	bool was_live = in->live != NULL;
	int r = open_for_write(fs, in, size == 0 ? O_TRUNC | O_WRONLY : O_RDWR);

	if (r == 0)
		r = unshare_for_cut(fs, in);
	if (r == 0)
		r = live_open_blob(fs, in, true);
	if (r == 0)
		r = disk_truncate(fs->host->disk, in->live->wfd, size);
	if (r == 0 && in->live->nopen == 0)
		r = seal_settle(fs, in);
	if (r < 0 && in->live && !was_live)
		attn_add(fs, in);
	return r;
}

/* While a blob may change, a set mtime counts until its bytes move. */
static void note_time_set(struct fs *fs, struct inode *in, unsigned set)
{
	struct disk_stat st;

	if (!(set & (FS_SET_MTIME | FS_SET_MTIME_NOW)) || !in->live ||
	    !in->live->writing || live_stat(fs, in, &st) < 0)
		return;
	in->time_set = true;
	in->time_size = st.size;
	in->time_mtime = st.mtime_ns;
}

static void apply(struct meta_inode *row, const struct fs_attr *want,
		  unsigned set, int64_t now)
{
	if (set & FS_SET_MODE)
		row->mode = want->mode & 07777;
	if (set & FS_SET_UID)
		row->uid = want->uid;
	if (set & FS_SET_GID)
		row->gid = want->gid;
	if (set & FS_SET_MTIME)
		row->mtime_ns = want->mtime_ns;
	if (set & FS_SET_MTIME_NOW)
		row->mtime_ns = now;
	row->ctime_ns = now;
}

/* Mode and mtime set after the seal ride along with a put not yet begun. */
static int update_version(struct fs *fs, const struct inode *in,
			  const struct meta_inode *row)
{
	struct meta_version v;
	int r;

	if (!in->vid || in->state != META_SEALED)
		return 0;
	r = meta_version_get(fs->meta, in->vid, &v);
	if (r < 0)
		return r;
	v.mtime_ns = row->mtime_ns;
	v.mode = row->mode;
	return meta_version_set(fs->meta, &v);
}

static void follow(struct fs *fs, struct inode *in,
		   const struct meta_inode *row, const struct fs_attr *want,
		   unsigned set)
{
	lock_acquire(&fs->ns);
	in->mode = row->mode;
	in->uid = row->uid;
	in->gid = row->gid;
	in->mtime_ns = row->mtime_ns;
	in->ctime_ns = row->ctime_ns;
	if (set & FS_SET_ATIME)
		in->atime_ns = want->atime_ns;
	if (set & FS_SET_ATIME_NOW)
		in->atime_ns = row->ctime_ns;
	if (in->live && in->live->ver.vid == in->vid &&
	    in->state == META_SEALED) {
		in->live->ver.mtime_ns = row->mtime_ns;
		in->live->ver.mode = row->mode;
	}
	lock_release(&fs->ns);
}

/* All but the size; busy is held. */
static int set_rows(struct fs *fs, struct inode *in, const struct fs_attr *want,
		    unsigned set)
{
	struct meta_inode row;
	int r;

	note_time_set(fs, in, set);
	r = tx_begin(fs);
	if (r < 0)
		return r;
	inode_to_row(in, &row);
	apply(&row, want, set, clk_real(fs->host->clk));
	r = meta_inode_set(fs->meta, &row);
	if (r == -ENOENT && !in->parent)
		r = 0; /* without a name, nor anything that survives */
	if (r == 0)
		r = update_version(fs, in, &row);
	r = tx_commit(fs, r);
	if (r == 0)
		follow(fs, in, &row, want, set);
	return tx_close(fs, r, 0, false);
}

/* What is left of a mode once somebody has written: root is believed. */
static uint32_t mode_written(const struct fs_ctx *ctx, const struct inode *in)
{
	uint32_t drop = 0;

	if (ctx->uid != 0 && in->mode & S_ISUID)
		drop |= S_ISUID;
	/* Without execution it once meant locks; who is in the group may. */
	if (ctx->uid != 0 && in->mode & S_ISGID &&
	    (in->mode & S_IXGRP || ctx->gid != in->gid))
		drop |= S_ISGID;
	return in->mode & ~drop;
}

int attr_drop_setuid(struct fs *fs, const struct fs_ctx *ctx, struct inode *in)
{
	struct fs_attr want = { .mode = mode_written(ctx, in) };

	return want.mode == in->mode ? 0 :
				       set_rows(fs, in, &want, FS_SET_MODE);
}

int fs_writes_direct(struct fs *fs, const struct fs_ctx *ctx,
		     struct fs_file *file)
{
	struct inode *in = file->in;
	bool drops;
	int r;

	if (!file->direct)
		return 0;
	lock_acquire(&fs->ns);
	drops = mode_written(ctx, in) != in->mode;
	lock_release(&fs->ns);
	if (!drops)
		return 0;
	busy_begin(fs, in);
	r = attr_drop_setuid(fs, ctx, in);
	busy_end(fs, in);
	return r;
}

int fs_setattr(struct fs *fs, const struct fs_ctx *ctx, uint64_t ino,
	       const struct fs_attr *want, unsigned set, struct fs_file *file,
	       struct fs_attr *ret)
{
	struct inode *in = inode_get(fs, ino);
	int r = 0;

	if (!in)
		return -ENOENT;
	if (fs->opts.ro) {
		inode_put(fs, in);
		return -EROFS;
	}
	busy_begin(fs, in);
	if (set & FS_SET_SIZE)
		r = in->kind == META_FILE ? set_size(fs, in, want->size) :
					    -EINVAL;
	if (r == 0 && (set & ~(unsigned)FS_SET_SIZE))
		r = set_rows(fs, in, want, set);
	busy_end(fs, in);
	if (r == 0)
		attr_fill(fs, in, ret);
	inode_put(fs, in);
	return r;
}

int fs_statfs(struct fs *fs, struct fs_statfs *ret)
{
	struct disk_space sp;
	int r = disk_space(fs->host->disk, &sp);

	if (r < 0)
		return r;
	/* The bucket has no end.  What can be written now is what counts; as a
	 * part of anything larger it would look like a disk that is full, at
	 * which monitors cry and some programs refuse to write. */
	ret->block = 4096;
	ret->blocks = sp.total / 4096;
	ret->avail = sp.avail / 4096;
	ret->files = UINT64_C(1) << 40;
	ret->files_free = UINT64_C(1) << 40;
	ret->name_max = META_NAME_MAX;
	return 0;
}
