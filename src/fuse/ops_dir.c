/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "glue.h"

void glue_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = glue_of(req)->fs;
	struct fs_dir *d = NULL;
	int r = fs_opendir(fs, ino, &d);

	if (r < 0) {
		glue_reply(req, r);
		return;
	}
	fi->fh = (uint64_t)(uintptr_t)d;
	glue_handle_out(req, fi);
	if (fuse_reply_open(req, fi) < 0)
		fs_closedir(fs, d);
}

struct fill {
	fuse_req_t req;
	char *p;
	size_t n, size;
	bool plus;
};

static int add_entry(void *arg, const char *name, const struct fs_attr *attr,
		     uint64_t next)
{
	struct fill *fill = arg;
	bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
	struct fs_entry e = { .attr = *attr, .ttl_ns = attr->ttl_ns };
	struct fuse_entry_param p;
	struct stat st;
	size_t room = fill->size - fill->n, n;

	if (fill->plus) {
		glue_entry(&e, &p);
		/* Zero: not looked up, only a name with a type. */
		if (dots)
			p.ino = 0;
		n = fuse_add_direntry_plus(fill->req, fill->p + fill->n, room,
					   name, &p, (off_t)next);
	} else {
		glue_stat(attr, &st);
		n = fuse_add_direntry(fill->req, fill->p + fill->n, room, name,
				      &st, (off_t)next);
	}
	if (n > room)
		return 1;
	fill->n += n;
	if (fill->plus && !dots)
		fs_ref(glue_of(fill->req)->fs, attr->ino);
	return 0;
}

static void read_dir(fuse_req_t req, size_t size, off_t off,
		     const struct fuse_file_info *fi, bool plus)
{
	struct fs_dir *d = glue_dir(req, fi);
	struct fill fill = { .req = req, .size = size, .plus = plus };
	int r = -ENOMEM;

	fill.p = malloc(size);
	if (fill.p)
		r = fs_readdir(glue_of(req)->fs, d, (uint64_t)off, add_entry,
			       &fill);
	glue_handle_done(req, fi);
	/* What was added carries references: it must go out. */
	if (r < 0 && fill.n == 0)
		glue_reply(req, r);
	else
		(void)fuse_reply_buf(req, fill.p, fill.n);
	free(fill.p);
}

void glue_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		  struct fuse_file_info *fi)
{
	(void)ino;
	read_dir(req, size, off, fi, false);
}

void glue_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		      struct fuse_file_info *fi)
{
	(void)ino;
	read_dir(req, size, off, fi, true);
}

void glue_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fs_closedir(glue_of(req)->fs, glue_last_dir(req, fi));
	glue_reply(req, 0);
}

void glue_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		   struct fuse_file_info *fi)
{
	(void)datasync;
	(void)fi;
	glue_reply(req, fs_fsyncdir(glue_of(req)->fs, ino));
}
