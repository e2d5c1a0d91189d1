/* SPDX-License-Identifier: Apache-2.0 */
/* Reading folders. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "fuse"

static struct fs_dir *dir_of(const struct fuse_file_info *fi)
{
	return (struct fs_dir *)(uintptr_t)fi->fh;
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct fs_dir *d;
	int r = fs_opendir(fs, ino, &d);

	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	fi->fh = (uintptr_t)d;
	if (fuse_reply_open(req, fi) == -ENOENT)
		fs_closedir(fs, d);
}

struct fill {
	fuse_req_t req;
	char *buf;
	size_t n, used;
	bool plus;
};

static int add(void *arg, const char *name, const struct fs_attr *a,
	       uint64_t next)
{
	struct fill *f = arg;
	struct fuse_entry_param p;
	struct stat st;
	size_t size;
	bool counted = f->plus && strcmp(name, ".") != 0 &&
		       strcmp(name, "..") != 0;

	if (f->plus) {
		struct fs_entry e = { .attr = *a, .ttl_ns = a->ttl_ns };

		entry_param(&e, &p);
		if (!counted)
			p.ino = 0; /* the kernel knows these */
		size = fuse_add_direntry_plus(f->req, f->buf + f->used,
					      f->n - f->used, name, &p,
					      (off_t)next);
	} else {
		fill_stat(a, &st);
		size = fuse_add_direntry(f->req, f->buf + f->used,
					 f->n - f->used, name, &st,
					 (off_t)next);
	}
	if (size > f->n - f->used)
		return 1;
	f->used += size;
	if (counted)
		fs_ref(fs_of(f->req), a->ino);
	return 0;
}

static void readdir_any(fuse_req_t req, size_t n, off_t off,
			struct fuse_file_info *fi, bool plus)
{
	struct fill f = { .req = req, .n = n, .plus = plus };
	int r;

	f.buf = malloc(n);
	r = f.buf ? fs_readdir(fs_of(req), dir_of(fi), (uint64_t)off, add, &f) :
		    -ENOMEM;
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_buf(req, f.buf, f.used);
	free(f.buf);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t n, off_t off,
		struct fuse_file_info *fi)
{
	(void)ino;
	readdir_any(req, n, off, fi, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t n, off_t off,
		    struct fuse_file_info *fi)
{
	(void)ino;
	readdir_any(req, n, off, fi, true);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fs_closedir(fs_of(req), dir_of(fi));
	(void)fuse_reply_err(req, 0);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		 struct fuse_file_info *fi)
{
	(void)datasync;
	(void)fi;
	(void)fuse_reply_err(req, -fs_fsyncdir(fs_of(req), ino));
}
