/* SPDX-License-Identifier: Apache-2.0 */
/* Open files. */
#include "internal.h"

#include <errno.h>
#include <string.h>

#define LOG_MODULE "fuse"

static struct fs_file *file_of(const struct fuse_file_info *fi)
{
	return (struct fs_file *)(uintptr_t)fi->fh;
}

static void fill_open(const struct fs_opened *o, struct fuse_file_info *fi)
{
	fi->fh = (uintptr_t)o->file;
	fi->keep_cache = o->keep_cache;
	fi->direct_io = o->io == FS_IO_DIRECT;
#ifdef FUSE_CAP_PASSTHROUGH
	if (o->io == FS_IO_PASSTHROUGH)
		fi->backing_id = o->backing_id;
#endif
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_ctx ctx = ctx_of(req);
	struct fs *fs = fs_of(req);
	struct fs_opened o;
	int r = fs_open(fs, &ctx, ino, fi->flags, &o);

	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	fill_open(&o, fi);
	if (fuse_reply_open(req, fi) == -ENOENT)
		fs_release(fs, o.file); /* the caller was killed */
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct fs_ctx ctx = ctx_of(req);
	struct fs *fs = fs_of(req);
	struct fuse_entry_param p;
	struct fs_opened o;
	struct fs_entry e;
	int r = fs_create(fs, &ctx, parent, name, mode, fi->flags, &e, &o);

	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	entry_param(&e, &p);
	fill_open(&o, fi);
	if (fuse_reply_create(req, &p, fi) == -ENOENT) {
		fs_release(fs, o.file);
		fs_forget(fs, e.attr.ino, 1);
	}
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t n, off_t off,
	     struct fuse_file_info *fi)
{
	struct fuse_bufvec b = FUSE_BUFVEC_INIT(0);
	size_t got;
	int fd, r;

	(void)ino;
	r = fs_read_from(fs_of(req), file_of(fi), (uint64_t)off, n, &fd, &got);
	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	b.buf[0].size = got;
	b.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	b.buf[0].fd = fd;
	b.buf[0].pos = off;
	(void)fuse_reply_data(req, &b, FUSE_BUF_SPLICE_MOVE);
}

void op_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *in,
		  off_t off, struct fuse_file_info *fi)
{
	struct fuse_bufvec out = FUSE_BUFVEC_INIT(fuse_buf_size(in));
	uint64_t at = (uint64_t)off;
	ssize_t n;
	int fd, r;

	(void)ino;
	r = fs_write_begin(fs_of(req), file_of(fi), &at, fuse_buf_size(in),
			   &fd);
	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	out.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	out.buf[0].fd = fd;
	out.buf[0].pos = (off_t)at;
	n = fuse_buf_copy(&out, in, 0);
	fs_write_end(fs_of(req), file_of(fi), at, n);
	if (n < 0)
		(void)fuse_reply_err(req, (int)-n);
	else
		(void)fuse_reply_write(req, (size_t)n);
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_ctx ctx = ctx_of(req);

	(void)ino;
	(void)fuse_reply_err(req, -fs_flush(fs_of(req), &ctx, file_of(fi)));
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fs_release(fs_of(req), file_of(fi));
	(void)fuse_reply_err(req, 0);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
	      struct fuse_file_info *fi)
{
	(void)ino;
	(void)fuse_reply_err(req,
			     -fs_fsync(fs_of(req), file_of(fi), datasync != 0));
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
		  off_t len, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fuse_reply_err(req, -fs_fallocate(fs_of(req), file_of(fi), mode,
						(uint64_t)off, (uint64_t)len));
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
	      struct fuse_file_info *fi)
{
	uint64_t at;
	int r = fs_lseek(fs_of(req), file_of(fi), (uint64_t)off, whence, &at);

	(void)ino;
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_lseek(req, (off_t)at);
}

void op_copy(fuse_req_t req, fuse_ino_t in, off_t in_off,
	     struct fuse_file_info *in_fi, fuse_ino_t out, off_t out_off,
	     struct fuse_file_info *out_fi, size_t n, int flags)
{
	ssize_t done;

	(void)in;
	(void)out;
	(void)flags;
	done = fs_copy_range(fs_of(req), file_of(in_fi), (uint64_t)in_off,
			     file_of(out_fi), (uint64_t)out_off, n);
	if (done < 0)
		(void)fuse_reply_err(req, (int)-done);
	else
		(void)fuse_reply_write(req, (size_t)done);
}
