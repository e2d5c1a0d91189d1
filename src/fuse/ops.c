/* SPDX-License-Identifier: Apache-2.0 */
/* Names and attributes: requests in, fs.h calls, replies out. */
#include "internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_MODULE "fuse"
#define BLKSIZE (256 * 1024) /* Python's and stdio's buffer size */

struct fs *fs_of(fuse_req_t req)
{
	struct fuse_mount *m = fuse_req_userdata(req);

	return m->fs;
}

struct fs_ctx ctx_of(fuse_req_t req)
{
	const struct fuse_ctx *c = fuse_req_ctx(req);

	return (struct fs_ctx){ .pid = c->pid,
				.uid = c->uid,
				.gid = c->gid,
				.umask = c->umask };
}

static struct timespec to_ts(int64_t ns)
{
	struct timespec t = { .tv_sec = ns / 1000000000,
			      .tv_nsec = ns % 1000000000 };

	if (t.tv_nsec < 0) {
		t.tv_nsec += 1000000000;
		t.tv_sec--;
	}
	return t;
}

static int64_t to_ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void fill_stat(const struct fs_attr *a, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = a->ino;
	st->st_mode = a->mode;
	st->st_nlink = a->nlink;
	st->st_uid = a->uid;
	st->st_gid = a->gid;
	st->st_size = (off_t)a->size;
	st->st_blocks = (blkcnt_t)a->blocks;
	st->st_blksize = BLKSIZE;
	st->st_atim = to_ts(a->atime_ns);
	st->st_mtim = to_ts(a->mtime_ns);
	st->st_ctim = to_ts(a->ctime_ns);
}

static double to_s(int64_t ns)
{
	return (double)ns / 1e9;
}

void entry_param(const struct fs_entry *e, struct fuse_entry_param *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->ino = e->attr.ino;
	fill_stat(&e->attr, &ret->attr);
	ret->attr_timeout = to_s(e->attr.ttl_ns);
	ret->entry_timeout = to_s(e->ttl_ns);
}

static void reply_entry(fuse_req_t req, int r, const struct fs_entry *e)
{
	struct fuse_entry_param p;

	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	entry_param(e, &p);
	if (fuse_reply_entry(req, &p) == -ENOENT)
		fs_forget(fs_of(req), e->attr.ino, 1);
}

static void reply_attr(fuse_req_t req, int r, const struct fs_attr *a)
{
	struct stat st;

	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	fill_stat(a, &st);
	(void)fuse_reply_attr(req, &st, to_s(a->ttl_ns));
}

static struct fs_file *file_of(const struct fuse_file_info *fi)
{
	return fi ? (struct fs_file *)(uintptr_t)fi->fh : NULL;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs_entry e;

	reply_entry(req, fs_lookup(fs_of(req), parent, name, &e), &e);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	fs_forget(fs_of(req), ino, n);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t n,
			    struct fuse_forget_data *f)
{
	size_t i;

	for (i = 0; i < n; i++)
		fs_forget(fs_of(req), f[i].ino, f[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct fs_attr a;

	reply_attr(req, fs_getattr(fs_of(req), ino, file_of(fi), &a), &a);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to,
		       struct fuse_file_info *fi)
{
	static const struct {
		int fuse;
		unsigned fs;
	} map[] = {
		{ FUSE_SET_ATTR_MODE, FS_SET_MODE },
		{ FUSE_SET_ATTR_UID, FS_SET_UID },
		{ FUSE_SET_ATTR_GID, FS_SET_GID },
		{ FUSE_SET_ATTR_SIZE, FS_SET_SIZE },
		{ FUSE_SET_ATTR_ATIME, FS_SET_ATIME },
		{ FUSE_SET_ATTR_MTIME, FS_SET_MTIME },
		{ FUSE_SET_ATTR_ATIME_NOW, FS_SET_ATIME_NOW },
		{ FUSE_SET_ATTR_MTIME_NOW, FS_SET_MTIME_NOW },
	};
	struct fs_attr want = { .mode = st->st_mode,
				.uid = st->st_uid,
				.gid = st->st_gid,
				.size = (uint64_t)st->st_size,
				.atime_ns = to_ns(st->st_atim),
				.mtime_ns = to_ns(st->st_mtim) };
	struct fs_ctx ctx = ctx_of(req);
	struct fs_attr a;
	unsigned set = 0;
	size_t i;

	for (i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (to & map[i].fuse)
			set |= map[i].fs;
	reply_attr(req,
		   fs_setattr(fs_of(req), &ctx, ino, &want, set, file_of(fi),
			      &a),
		   &a);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[1025];
	int r = fs_readlink(fs_of(req), ino, target);

	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_readlink(req, target);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode)
{
	struct fs_ctx ctx = ctx_of(req);
	struct fs_entry e;

	reply_entry(req, fs_mkdir(fs_of(req), &ctx, parent, name, mode, &e),
		    &e);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		       const char *name)
{
	struct fs_ctx ctx = ctx_of(req);
	struct fs_entry e;

	reply_entry(req, fs_symlink(fs_of(req), &ctx, target, parent, name, &e),
		    &e);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)fuse_reply_err(req, -fs_unlink(fs_of(req), parent, name));
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)fuse_reply_err(req, -fs_rmdir(fs_of(req), parent, name));
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t newparent, const char *newname, unsigned flags)
{
	(void)fuse_reply_err(req, -fs_rename(fs_of(req), parent, name,
					     newparent, newname, flags));
}

/* As link(2) has it for a file system without hard links: cp, tar and rsync
 * then copy. */
static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent,
		    const char *newname)
{
	(void)ino;
	(void)newparent;
	(void)newname;
	(void)fuse_reply_err(req, EPERM);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, dev_t dev)
{
	struct fs_ctx ctx = ctx_of(req);
	struct fs_opened o;
	struct fs_entry e;
	int r;

	(void)dev;
	if (!S_ISREG(mode)) {
		(void)fuse_reply_err(req, EPERM);
		return;
	}
	r = fs_create(fs_of(req), &ctx, parent, name, mode, O_WRONLY | O_EXCL,
		      &e, &o);
	if (r == 0) {
		r = fs_flush(fs_of(req), &ctx, o.file);
		fs_release(fs_of(req), o.file);
	}
	reply_entry(req, r, &e);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs_statfs s;
	struct statvfs v;
	int r = fs_statfs(fs_of(req), &s);

	(void)ino;
	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	memset(&v, 0, sizeof(v));
	v.f_bsize = v.f_frsize = s.block;
	v.f_blocks = s.blocks;
	v.f_bfree = v.f_bavail = s.avail;
	v.f_files = s.files;
	v.f_ffree = v.f_favail = s.files_free;
	v.f_namemax = s.name_max;
	(void)fuse_reply_statfs(req, &v);
}

/* ENOSYS from the first call on: else the kernel asks before every write, on
 * both I/O paths. */
static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			size_t size)
{
	(void)ino;
	(void)name;
	(void)size;
	(void)fuse_reply_err(req, ENOSYS);
}

static void op_init(void *arg, struct fuse_conn_info *c)
{
	struct fuse_mount *m = arg;

	c->max_write = 1 << 20;
	c->max_readahead = 1 << 20;
	c->want &= ~(unsigned)FUSE_CAP_WRITEBACK_CACHE;
	if (c->capable & FUSE_CAP_ATOMIC_O_TRUNC)
		c->want |= FUSE_CAP_ATOMIC_O_TRUNC;
	if (c->capable & FUSE_CAP_PARALLEL_DIROPS)
		c->want |= FUSE_CAP_PARALLEL_DIROPS;
	if (c->capable & FUSE_CAP_SPLICE_READ)
		c->want |= FUSE_CAP_SPLICE_READ;
	if (c->capable & FUSE_CAP_SPLICE_WRITE)
		c->want |= FUSE_CAP_SPLICE_WRITE;
#ifdef FUSE_CAP_PASSTHROUGH
	if (m->opts.want_passthrough &&
	    fuse_set_feature_flag(c, FUSE_CAP_PASSTHROUGH)) {
		c->max_backing_stack_depth = 1;
		m->passthrough = true;
	}
#endif
	log_info("kernel FUSE %u.%u, passthrough %s", c->proto_major,
		 c->proto_minor, m->passthrough ? "offered" : "off");
}

const struct fuse_lowlevel_ops fuse_ops_table = {
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
	.open = op_open,
	.create = op_create,
	.read = op_read,
	.write_buf = op_write_buf,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.copy_file_range = op_copy,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
};
