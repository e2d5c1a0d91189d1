/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FUSE_INTERNAL_H
#define FUSE_INTERNAL_H

#include "config.h"

/* libfuse 3.17 brought passthrough; 3.14 mounts without it. */
#ifdef HAVE_FUSE_317
#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 17)
#else
#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#endif
#include <fuse_lowlevel.h>

#include "ckptfs/fs.h"
#include "ckptfs/fuse.h"
#include "ckptfs/log.h"

struct fuse_mount {
	struct fs *fs;
	struct fuse_mount_opts opts;
	struct fuse_session *se;
	bool mounted;
	bool passthrough;
};

extern const struct fuse_lowlevel_ops fuse_ops_table;

/* Reply for what an entry or attribute is. */
void fill_stat(const struct fs_attr *a, struct stat *st);
struct fs_ctx ctx_of(fuse_req_t req);
struct fs *fs_of(fuse_req_t req);

/* file_ops.c */
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t n, off_t off,
	     struct fuse_file_info *fi);
void op_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *in,
		  off_t off, struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
	      struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
		  off_t len, struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
	      struct fuse_file_info *fi);
void op_copy(fuse_req_t req, fuse_ino_t in, off_t in_off,
	     struct fuse_file_info *in_fi, fuse_ino_t out, off_t out_off,
	     struct fuse_file_info *out_fi, size_t n, int flags);
void entry_param(const struct fs_entry *e, struct fuse_entry_param *ret);

/* dir_ops.c */
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t n, off_t off,
		struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t n, off_t off,
		    struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		 struct fuse_file_info *fi);

/* kernel.c: what fs asks of the kernel side */
void kernel_fill(struct fuse_mount *m, struct fs_kernel *ret);

#endif
