/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on names and attributes, and the table of all.
 *
 * getxattr, setxattr, listxattr and removexattr are missing on purpose:
 * libfuse then answers ENOSYS, which the kernel remembers for the whole mount.
 * Else it would ask for security.capability before every write, on both I/O
 * paths.  Locks are missing so that the kernel keeps them itself.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "ckptfs/clock.h"

#include "glue.h"

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fusefs *f = userdata;
	const char *lacks;

	glue_negotiate(f, conn, &lacks);
	if (f->opts.ready)
		f->opts.ready(f->opts.arg, f->passthrough, lacks);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs_entry e;
	int r;

	memset(&e, 0, sizeof(e));
	r = fs_lookup(glue_of(req)->fs, parent, name, &e);
	glue_reply_entry(req, r, &e);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	fs_forget(glue_of(req)->fs, ino, n);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count,
			    struct fuse_forget_data *all)
{
	size_t i;

	for (i = 0; i < count; i++)
		fs_forget(glue_of(req)->fs, all[i].ino, all[i].nlookup);
	fuse_reply_none(req);
}

static void reply_attr(fuse_req_t req, int err, const struct fs_attr *a)
{
	struct stat st;

	if (err < 0) {
		glue_reply(req, err);
		return;
	}
	glue_stat(a, &st);
	(void)fuse_reply_attr(req, &st, glue_seconds(a->ttl_ns));
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct fs_attr a;
	int r;

	memset(&a, 0, sizeof(a));
	r = fs_getattr(glue_of(req)->fs, ino, fi ? glue_file(req, fi) : NULL,
		       &a);
	if (fi)
		glue_handle_done(req, fi);
	reply_attr(req, r, &a);
}

static int64_t ns_of(const struct timespec *t)
{
	return (int64_t)t->tv_sec * NS_PER_S + t->tv_nsec;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st,
		       int to_set, struct fuse_file_info *fi)
{
	static const struct {
		int theirs;
		unsigned ours;
	} flags[] = {
		{ FUSE_SET_ATTR_MODE, FS_SET_MODE },
		{ FUSE_SET_ATTR_UID, FS_SET_UID },
		{ FUSE_SET_ATTR_GID, FS_SET_GID },
		{ FUSE_SET_ATTR_SIZE, FS_SET_SIZE },
		{ FUSE_SET_ATTR_ATIME, FS_SET_ATIME },
		{ FUSE_SET_ATTR_MTIME, FS_SET_MTIME },
		{ FUSE_SET_ATTR_ATIME_NOW, FS_SET_ATIME_NOW },
		{ FUSE_SET_ATTR_MTIME_NOW, FS_SET_MTIME_NOW },
	};
	struct fs_attr attr = { .mode = st->st_mode,
				.uid = st->st_uid,
				.gid = st->st_gid,
				.size = (uint64_t)st->st_size,
				.atime_ns = ns_of(&st->st_atim),
				.mtime_ns = ns_of(&st->st_mtim) };
	struct fs_attr out;
	struct fs_ctx ctx;
	unsigned set = 0;
	size_t i;
	int r;

	for (i = 0; i < ARRAY_SIZE(flags); i++)
		if (to_set & flags[i].theirs)
			set |= flags[i].ours;
	memset(&out, 0, sizeof(out));
	glue_ctx(req, &ctx);
	r = fs_setattr(glue_of(req)->fs, &ctx, ino, &attr, set,
		       fi ? glue_file(req, fi) : NULL, &out);
	if (fi)
		glue_handle_done(req, fi);
	reply_attr(req, r, &out);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[1025];
	int r = fs_readlink(glue_of(req)->fs, ino, target);

	if (r < 0)
		glue_reply(req, r);
	else
		(void)fuse_reply_readlink(req, target);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode)
{
	struct fs_entry e;
	struct fs_ctx ctx;
	int r;

	memset(&e, 0, sizeof(e));
	glue_ctx(req, &ctx);
	r = fs_mkdir(glue_of(req)->fs, &ctx, parent, name, mode, &e);
	glue_reply_entry(req, r, &e);
}

/* Devices there are none: the mount would not let them be opened. */
static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, dev_t rdev)
{
	struct fs *fs = glue_of(req)->fs;
	struct fs_opened o;
	struct fs_entry e;
	struct fs_ctx ctx;
	int r;

	(void)rdev;
	memset(&e, 0, sizeof(e));
	glue_ctx(req, &ctx);
	if (!S_ISREG(mode)) {
		r = fs_mknod(fs, &ctx, parent, name, mode, &e);
	} else {
		r = fs_create(fs, &ctx, parent, name, mode,
			      O_CREAT | O_EXCL | O_WRONLY, &e, &o);
		if (r == 0) {
			r = fs_flush(fs, &ctx, o.file);
			fs_release(fs, o.file);
			if (r < 0)
				fs_forget(fs, e.attr.ino, 1);
		}
	}
	glue_reply_entry(req, r, &e);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		       const char *name)
{
	struct fs_entry e;
	struct fs_ctx ctx;
	int r;

	memset(&e, 0, sizeof(e));
	glue_ctx(req, &ctx);
	r = fs_symlink(glue_of(req)->fs, &ctx, target, parent, name, &e);
	glue_reply_entry(req, r, &e);
}

/* EPERM is link(2)'s word for a file system without hard links. */
static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent,
		    const char *newname)
{
	(void)ino;
	(void)newparent;
	(void)newname;
	glue_reply(req, -EPERM);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	glue_reply(req, fs_unlink(glue_of(req)->fs, parent, name));
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	glue_reply(req, fs_rmdir(glue_of(req)->fs, parent, name));
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t newparent, const char *newname, unsigned flags)
{
	glue_reply(req, fs_rename(glue_of(req)->fs, parent, name, newparent,
				  newname, flags));
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs_statfs s;
	struct statvfs v;
	int r;

	(void)ino;
	memset(&s, 0, sizeof(s));
	memset(&v, 0, sizeof(v));
	r = fs_statfs(glue_of(req)->fs, &s);
	if (r < 0) {
		glue_reply(req, r);
		return;
	}
	v.f_bsize = s.block;
	v.f_frsize = s.block;
	v.f_blocks = s.blocks;
	v.f_bfree = s.avail;
	v.f_bavail = s.avail;
	v.f_files = s.files;
	v.f_ffree = s.files_free;
	v.f_favail = s.files_free;
	v.f_namemax = s.name_max;
	(void)fuse_reply_statfs(req, &v);
}

const struct fuse_lowlevel_ops glue_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.statfs = op_statfs,
	.open = glue_open,
	.create = glue_create,
	.read = glue_read,
	.write_buf = glue_write_buf,
	.flush = glue_flush,
	.release = glue_release,
	.fsync = glue_fsync,
	.fallocate = glue_fallocate,
	.lseek = glue_lseek,
	.copy_file_range = glue_copy_file_range,
	.opendir = glue_opendir,
	.readdir = glue_readdir,
	.readdirplus = glue_readdirplus,
	.releasedir = glue_releasedir,
	.fsyncdir = glue_fsyncdir,
};
