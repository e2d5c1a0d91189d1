/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/fuse: the session, and what differs between libfuse versions. */
#ifndef CKPTFS_FUSE_GLUE_H
#define CKPTFS_FUSE_GLUE_H

/* 3.17 knows passthrough; 3.14 mounts. */
#ifdef HAVE_FUSE_317
#define FUSE_USE_VERSION 317
#else
#define FUSE_USE_VERSION 314
#endif
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "ckptfs/fs.h"
#include "ckptfs/fuse.h"

struct notices;

/*
 * The kernel asks for nothing by a handle before the reply that gave it away,
 * and releases it once all that was asked by it is answered.  It orders that
 * by the device, of which C knows nothing: here the threads say it to each
 * other (glue_file(), glue_handle_out(), glue_handle_done()).  The handles of
 * one slot are ordered together, which is more than is needed, and they are not
 * many.  Not in the handle: that would have to be reached first.
 */
#define GLUE_ORDERS 256
struct glue_order {
	unsigned out, done; /* __atomic; counted, never looked at */
};

struct fusefs {
	struct fs *fs;
	struct fuse_session *se;
	struct fusefs_opts opts;
	bool passthrough; /* the kernel agreed */
	bool direct_writes; /* it keeps its cache in order beside them */
	bool mounted;
	bool exiting; /* __atomic */
	bool looping; /* __atomic */
	pthread_t loop_thread;
	struct notices *notices;
	struct glue_order order[GLUE_ORDERS];
};

extern const struct fuse_lowlevel_ops glue_ops;

/* The features we want of those the kernel offers; sets f->passthrough, and
 * *ret_lacks as fusefs_opts.ready() has it. */
void glue_negotiate(struct fusefs *f, struct fuse_conn_info *c,
		    const char **ret_lacks);

/* Bytes.  With 512 KiB a cold file is read with 14 % less processor time than
 * with the kernel's 128; 1 MiB gains nothing more. */
#define GLUE_READAHEAD (512U << 10)
/* Of a mount that was just made.  Where that may not be nothing happens. */
void glue_raise_readahead(const char *mountpoint);

/* ---- translation, for the op tables */

struct fusefs *glue_of(fuse_req_t req);
void glue_ctx(fuse_req_t req, struct fs_ctx *ret);
double glue_seconds(int64_t ns);
void glue_stat(const struct fs_attr *a, struct stat *ret);
void glue_entry(const struct fs_entry *e, struct fuse_entry_param *ret);
void glue_opened(const struct fs_opened *o, struct fuse_file_info *fi);
/* err: 0 or a negative errno. */
void glue_reply(fuse_req_t req, int err);
void glue_reply_entry(fuse_req_t req, int err, const struct fs_entry *e);

/* The handle an operation is asked for by; may be used until the reply. */
struct fs_file *glue_file(fuse_req_t req, const struct fuse_file_info *fi);
struct fs_dir *glue_dir(fuse_req_t req, const struct fuse_file_info *fi);
/* Before the reply that gives fi's handle away. */
void glue_handle_out(fuse_req_t req, const struct fuse_file_info *fi);
/* Before the reply to any other operation but its release. */
void glue_handle_done(fuse_req_t req, const struct fuse_file_info *fi);
/* The handle, for its release: all else that was asked by it is over. */
struct fs_file *glue_last_file(fuse_req_t req, const struct fuse_file_info *fi);
struct fs_dir *glue_last_dir(fuse_req_t req, const struct fuse_file_info *fi);

/* ---- one file of operations each; names as in struct fuse_lowlevel_ops */

void glue_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void glue_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		  struct fuse_file_info *fi);
void glue_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		      struct fuse_file_info *fi);
void glue_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void glue_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		   struct fuse_file_info *fi);

void glue_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void glue_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		 mode_t mode, struct fuse_file_info *fi);
void glue_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	       struct fuse_file_info *fi);
void glue_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *in,
		    off_t off, struct fuse_file_info *fi);
void glue_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void glue_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void glue_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		struct fuse_file_info *fi);
void glue_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
		    off_t len, struct fuse_file_info *fi);
void glue_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		struct fuse_file_info *fi);
void glue_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			  struct fuse_file_info *fi_in, fuse_ino_t ino_out,
			  off_t off_out, struct fuse_file_info *fi_out,
			  size_t len, int flags);

/* ---- struct fs_kernel */

void glue_kernel(struct fusefs *f, struct fs_kernel *ret);
/* What the kernel shall forget is told from a thread of its own: told from
 * within a call it could wait for that very call. */
int notices_start(struct fusefs *f);
/* Tell no more.  Called before the device is closed, so that nothing is
 * written to whatever gets its number next; a notice that waits for an answer
 * nobody will give ends with the device.  NULL is allowed. */
void notices_end(struct notices *n);
void notices_free(struct notices *n);
void notices_add(struct notices *n, uint64_t ino, const char *name);

/* A line "…) S 1 …" of /proc/PID/stat: whether it is on its way out,
 * and its status as wait(2) gives it (0 also where that is not told).
 * -EBADMSG. */
int who_parse_stat(const char *line, struct fs_who *ret, int *ret_status);
/* The text of /proc/TID/status: the process's id, 0 if it does not tell. */
pid_t who_parse_tgid(const char *text);
/* The same text: whether it has memory, which one that dies has not. */
bool who_has_memory(const char *text);
/* The text of /proc/TID/statm: the same. */
bool who_statm_has_memory(const char *text);
void who_find(pid_t tid, struct fs_who *ret);

#endif
