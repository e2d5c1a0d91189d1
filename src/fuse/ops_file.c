/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on open files. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "glue.h"

void glue_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = glue_of(req)->fs;
	struct fs_opened o;
	struct fs_ctx ctx;
	int r;

	memset(&o, 0, sizeof(o));
	glue_ctx(req, &ctx);
	r = fs_open(fs, &ctx, ino, fi->flags, &o);
	if (r < 0) {
		glue_reply(req, r);
		return;
	}
	glue_opened(&o, fi);
	glue_handle_out(req, fi);
	/* The caller was killed: the kernel will not release it. */
	if (fuse_reply_open(req, fi) < 0)
		fs_release(fs, o.file);
}

void glue_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		 mode_t mode, struct fuse_file_info *fi)
{
	struct fs *fs = glue_of(req)->fs;
	struct fuse_entry_param p;
	struct fs_opened o;
	struct fs_entry e;
	struct fs_ctx ctx;
	int r;

	memset(&o, 0, sizeof(o));
	memset(&e, 0, sizeof(e));
	glue_ctx(req, &ctx);
	r = fs_create(fs, &ctx, parent, name, mode, fi->flags, &e, &o);
	if (r < 0) {
		glue_reply(req, r);
		return;
	}
	glue_opened(&o, fi);
	glue_handle_out(req, fi);
	glue_entry(&e, &p);
	if (fuse_reply_create(req, &p, fi) < 0) {
		fs_release(fs, o.file);
		fs_forget(fs, e.attr.ino, 1);
	}
}

void glue_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	       struct fuse_file_info *fi)
{
	struct fuse_bufvec b = FUSE_BUFVEC_INIT(0);
	size_t n = 0;
	int fd = -1;
	int r = fs_read_from(glue_of(req)->fs, glue_file(req, fi),
			     (uint64_t)off, size, &fd, &n);

	(void)ino;
	glue_handle_done(req, fi); /* but for fd: the reply reads from it */
	if (r < 0) {
		glue_reply(req, r);
		return;
	}
	b.buf[0].size = n;
	b.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	b.buf[0].fd = fd;
	b.buf[0].pos = off;
	(void)fuse_reply_data(req, &b, 0);
}

void glue_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *in,
		    off_t off, struct fuse_file_info *fi)
{
	struct fs *fs = glue_of(req)->fs;
	struct fs_file *file = glue_file(req, fi);
	size_t n = fuse_buf_size(in);
	struct fuse_bufvec out = FUSE_BUFVEC_INIT(n);
	uint64_t at = (uint64_t)off;
	struct fs_ctx ctx;
	ssize_t done;
	int fd = -1, r;

	(void)ino;
	glue_ctx(req, &ctx);
	r = fi->writepage ? 0 : fs_writes_direct(fs, &ctx, file);
	if (r == 0)
		r = fi->writepage ? fs_write_page_to(fs, file, at, n, &fd) :
				    fs_write_to(fs, file, &at, n, &fd);
	if (r < 0) {
		glue_handle_done(req, fi);
		glue_reply(req, r);
		return;
	}
	out.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	out.buf[0].fd = fd;
	out.buf[0].pos = (off_t)at;
	done = fuse_buf_copy(&out, in, 0);
	glue_handle_done(req, fi);
	if (done < 0)
		glue_reply(req, (int)done);
	else
		(void)fuse_reply_write(req, (size_t)done);
}

void glue_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_ctx ctx;
	int r;

	(void)ino;
	glue_ctx(req, &ctx);
	r = fs_flush(glue_of(req)->fs, &ctx, glue_file(req, fi));
	glue_handle_done(req, fi);
	glue_reply(req, r);
}

void glue_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fs_release(glue_of(req)->fs, glue_last_file(req, fi));
	glue_reply(req, 0);
}

void glue_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		struct fuse_file_info *fi)
{
	int r = fs_fsync(glue_of(req)->fs, glue_file(req, fi), datasync != 0);

	(void)ino;
	glue_handle_done(req, fi);
	glue_reply(req, r);
}

void glue_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
		    off_t len, struct fuse_file_info *fi)
{
	int r = fs_fallocate(glue_of(req)->fs, glue_file(req, fi), mode,
			     (uint64_t)off, (uint64_t)len);

	(void)ino;
	glue_handle_done(req, fi);
	glue_reply(req, r);
}

void glue_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		struct fuse_file_info *fi)
{
	uint64_t at = 0;
	int r = fs_lseek(glue_of(req)->fs, glue_file(req, fi), (uint64_t)off,
			 whence, &at);

	(void)ino;
	glue_handle_done(req, fi);
	if (r < 0)
		glue_reply(req, r);
	else
		(void)fuse_reply_lseek(req, (off_t)at);
}

void glue_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			  struct fuse_file_info *fi_in, fuse_ino_t ino_out,
			  off_t off_out, struct fuse_file_info *fi_out,
			  size_t len, int flags)
{
	ssize_t n;

	(void)ino_in;
	(void)ino_out;
	if (flags != 0) {
		glue_reply(req, -EINVAL);
		return;
	}
	n = fs_copy_range(glue_of(req)->fs, glue_file(req, fi_in),
			  (uint64_t)off_in, glue_file(req, fi_out),
			  (uint64_t)off_out, len);
	glue_handle_done(req, fi_in);
	glue_handle_done(req, fi_out);
	if (n < 0)
		glue_reply(req, (int)n);
	else
		(void)fuse_reply_write(req, (size_t)n);
}
