/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File-system semantics, with no FUSE type in sight: src/fuse translates, and
 * tests drive these functions without a mount.
 *
 * Every function returns 0 or a negative errno that POSIX allows for the call.
 * Threads: any.  No call is made with a lock held.
 *
 * Numbers: an inode's number is for ever, never reused, and is what the kernel
 * gets as node id and st_ino.  A lookup, create, mkdir or symlink that succeeds
 * counts one reference, given back by fs_forget().
 */
#ifndef CKPTFS_FS_H
#define CKPTFS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ckptfs/compiler.h"
#include "ckptfs/fetch.h"
#include "ckptfs/transfer.h"

#define FS_ROOT_INO 1

struct cache;
struct fetch_engine;
struct fs;
struct fs_dir;
struct fs_file;
struct host;
struct meta;
struct store;

enum fs_passthrough { FS_PT_AUTO, FS_PT_ON, FS_PT_OFF };
enum fs_durability { FS_ASYNC, FS_LOCAL, FS_REMOTE };

struct fs_opts {
	const char *prefix; /* as transfer_opts.prefix */
	char cache_id[17];
	uint32_t epoch;
	bool same_boot; /* as meta_open() reported */
	uid_t uid; /* owner of foreign objects */
	gid_t gid;
	mode_t file_mode, dir_mode; /* of foreign objects */
	bool ro, noatime;
	enum fs_passthrough passthrough;
	enum fs_durability close_mode; /* ASYNC, LOCAL or REMOTE */
	bool fsync_remote;
	int64_t remote_timeout_ns; /* CLK_NEVER: none */
	bool full_enospc; /* full=enospc */
	uint64_t cache_size; /* bytes kept */
	uint64_t cache_min_free; /* bytes; 0: the default */
	int64_t metadata_ttl_ns;
	int64_t negative_ttl_ns;
	int64_t held_open_delay_ns;
	/* Which names are logs, as transfer_name_is_live() takes it; outlives
	 * the file system; NULL: the usual ones. */
	const char *live;
	size_t names_max; /* in memory, of those that nobody uses; 0: all */
	unsigned max_downloads;
	uint64_t download_limit; /* bytes per second; 0: none */
	uint64_t download_chunk; /* bytes of the smallest request; 0: 8 MiB */
	struct transfer_opts transfer;
};

struct fs_who {
	pid_t tgid;
	bool exiting, signaled;
};

/* What the kernel side does for fs; any may be NULL; set before the first open. */
struct fs_kernel {
	/* Register a descriptor for passthrough: its id (> 0), or a negative
	 * errno (-EPERM: not allowed to; -ENOSYS: this mount has none, which
	 * was said at the mount). */
	int (*backing_open)(void *arg, int fd);
	void (*backing_close)(void *arg, int id);
	/* Whether what one handle writes past the page cache (FS_IO_DIRECT)
	 * is seen by readers through it; NULL: it is not. */
	bool (*direct_writes)(void *arg);
	/* Drop what the kernel remembers of a name or an inode. */
	void (*forget_entry)(void *arg, uint64_t parent, const char *name);
	void (*forget_inode)(void *arg, uint64_t ino);
	/* The process a thread belongs to (0: unknown), and whether it is on
	 * its way out, by a signal. */
	void (*who)(void *arg, pid_t tid, struct fs_who *ret);
	void *arg;
};

/* Who asks. */
struct fs_ctx {
	pid_t pid; /* a thread's id; 0: unknown (another pid namespace) */
	uid_t uid;
	gid_t gid;
	mode_t umask;
};

struct fs_attr {
	uint64_t ino;
	mode_t mode; /* with type bits */
	unsigned nlink;
	uid_t uid;
	gid_t gid;
	uint64_t size, blocks; /* blocks of 512 bytes */
	int64_t atime_ns, mtime_ns, ctime_ns; /* atime: of this mount alone */
	int64_t ttl_ns; /* how long the kernel may believe it */
};

struct fs_entry {
	struct fs_attr attr;
	int64_t ttl_ns;
};

enum fs_set {
	FS_SET_MODE = 1 << 0,
	FS_SET_UID = 1 << 1,
	FS_SET_GID = 1 << 2,
	FS_SET_SIZE = 1 << 3,
	FS_SET_ATIME = 1 << 4,
	FS_SET_MTIME = 1 << 5,
	FS_SET_ATIME_NOW = 1 << 6,
	FS_SET_MTIME_NOW = 1 << 7,
};

/* ---- life ---- */

/*
 * Put the parts together: fs makes the transfer engine, the download engine
 * and the barrier over what it is given (borrowed, outlives fs), recovers open
 * versions, and starts its workers.
 */
int fs_new(const struct host *host, struct meta *meta, struct cache *cache,
	   struct store *store, const struct fs_opts *opts, struct fs **ret)
	NONNULL(1, 2, 3, 4, 5, 6) MUST_USE;
/* What recovery asks of each version (ckptfs/meta.h: a meta_check_fn); its
 * argument is a struct cache. */
struct meta_version;
int fs_check_version(void *cache, const struct meta_version *v) NONNULL(1, 2)
	MUST_USE;
void fs_set_kernel(struct fs *fs, const struct fs_kernel *k) NONNULL(1, 2);
/* A last barrier, then stop everything; what is not published stays for the
 * next mount.  NULL is allowed. */
void fs_free(struct fs *fs);

/* ---- names ---- */

int fs_lookup(struct fs *fs, uint64_t parent, const char *name,
	      struct fs_entry *ret) NONNULL(1, 3, 4) MUST_USE;
void fs_forget(struct fs *fs, uint64_t ino, uint64_t n) NONNULL(1);
/* file may be NULL. */
int fs_getattr(struct fs *fs, uint64_t ino, struct fs_file *file,
	       struct fs_attr *ret) NONNULL(1, 4) MUST_USE;
/* set: enum fs_set; values are taken from *want. */
int fs_setattr(struct fs *fs, const struct fs_ctx *ctx, uint64_t ino,
	       const struct fs_attr *want, unsigned set, struct fs_file *file,
	       struct fs_attr *ret) NONNULL(1, 2, 4, 7) MUST_USE;
/* The target, NUL-terminated, at most 1024 bytes and the NUL. */
int fs_readlink(struct fs *fs, uint64_t ino, char ret[1025])
	NONNULL(1, 3) MUST_USE;
int fs_mkdir(struct fs *fs, const struct fs_ctx *ctx, uint64_t parent,
	     const char *name, mode_t mode, struct fs_entry *ret)
	NONNULL(1, 2, 4, 6) MUST_USE;
/* A fifo or a socket, by the type bits of mode; of other types -EPERM. */
int fs_mknod(struct fs *fs, const struct fs_ctx *ctx, uint64_t parent,
	     const char *name, mode_t mode, struct fs_entry *ret)
	NONNULL(1, 2, 4, 6) MUST_USE;
int fs_symlink(struct fs *fs, const struct fs_ctx *ctx, const char *target,
	       uint64_t parent, const char *name, struct fs_entry *ret)
	NONNULL(1, 2, 3, 5, 6) MUST_USE;
int fs_unlink(struct fs *fs, uint64_t parent, const char *name)
	NONNULL(1, 3) MUST_USE;
int fs_rmdir(struct fs *fs, uint64_t parent, const char *name)
	NONNULL(1, 3) MUST_USE;
/* flags: 0, RENAME_NOREPLACE or RENAME_EXCHANGE; others -EINVAL. */
int fs_rename(struct fs *fs, uint64_t parent, const char *name,
	      uint64_t newparent, const char *newname, unsigned flags)
	NONNULL(1, 3, 5) MUST_USE;

int fs_opendir(struct fs *fs, uint64_t ino, struct fs_dir **ret)
	NONNULL(1, 3) MUST_USE;
/* Entries from cookie on ("." and ".." included); fn returns non-zero when it
 * can take no more, that one is then given again.  next: the cookie to go on
 * after this entry.  From 0 on again, as after rewinddir(3), they are those
 * that there are by then.  One call for d at a time. */
typedef int fs_dir_fn(void *arg, const char *name, const struct fs_attr *attr,
		      uint64_t next);
int fs_readdir(struct fs *fs, struct fs_dir *d, uint64_t cookie, fs_dir_fn *fn,
	       void *arg) NONNULL(1, 2, 4) MUST_USE;
/* For readdirplus: count the reference a given entry carries. */
void fs_ref(struct fs *fs, uint64_t ino) NONNULL(1);
void fs_closedir(struct fs *fs, struct fs_dir *d) NONNULL(1, 2);
int fs_fsyncdir(struct fs *fs, uint64_t ino) NONNULL(1) MUST_USE;

struct fs_statfs {
	uint64_t block, blocks, avail; /* block in bytes */
	uint64_t files, files_free;
	unsigned name_max;
};
int fs_statfs(struct fs *fs, struct fs_statfs *ret) NONNULL(1, 2) MUST_USE;

/* ---- open files ---- */

/* DIRECT: on the ordinary path, past the page cache; for handles that can only
 * write, beside others of the inode that are CACHED. */
enum fs_io { FS_IO_CACHED, FS_IO_PASSTHROUGH, FS_IO_DIRECT };

struct fs_opened {
	struct fs_file *file; /* until fs_release() */
	enum fs_io io; /* what the kernel must be told */
	int backing_id; /* with FS_IO_PASSTHROUGH */
	bool keep_cache;
};

/* flags as open(2) gave them. */
int fs_open(struct fs *fs, const struct fs_ctx *ctx, uint64_t ino, int flags,
	    struct fs_opened *ret) NONNULL(1, 2, 5) MUST_USE;
int fs_create(struct fs *fs, const struct fs_ctx *ctx, uint64_t parent,
	      const char *name, mode_t mode, int flags, struct fs_entry *ret,
	      struct fs_opened *ret_open) NONNULL(1, 2, 4, 7, 8) MUST_USE;

/*
 * Reading on the ordinary path: make [off, off + n) readable (fetching what is
 * missing) and say from which descriptor; *ret_n is less than n only at the end
 * of the file.  The descriptor stays good until fs_release().
 */
int fs_read_from(struct fs *fs, struct fs_file *file, uint64_t off, size_t n,
		 int *ret_fd, size_t *ret_n) NONNULL(1, 2, 5, 6) MUST_USE;
/* Writing n bytes on the ordinary path: to which descriptor, and with O_APPEND
 * also at which offset.  May wait for room in the cache, or say -ENOSPC. */
int fs_write_to(struct fs *fs, struct fs_file *file, uint64_t *off, size_t n,
		   int *ret_fd) NONNULL(1, 2, 3, 5) MUST_USE;
/* Of what was stored to a mapping, which lies where it lies, whatever handle
 * the kernel sends it by. */
int fs_write_page_to(struct fs *fs, struct fs_file *file, uint64_t off,
		     size_t n, int *ret_fd) NONNULL(1, 2, 5) MUST_USE;
/* Before a write, by whom: where writes go past the kernel's page cache (FS_IO_DIRECT)
 * it does not clear setuid bits itself. */
int fs_writes_direct(struct fs *fs, const struct fs_ctx *ctx,
		     struct fs_file *file) NONNULL(1, 2, 3) MUST_USE;
/* mode: 0 or FALLOC_FL_KEEP_SIZE, either of them with FALLOC_FL_ZERO_RANGE, or
 * FALLOC_FL_PUNCH_HOLE with the latter; others -EOPNOTSUPP. */
int fs_fallocate(struct fs *fs, struct fs_file *file, int mode, uint64_t off,
		 uint64_t len) NONNULL(1, 2) MUST_USE;
/* whence SEEK_DATA or SEEK_HOLE. */
int fs_lseek(struct fs *fs, struct fs_file *file, uint64_t off, int whence,
	     uint64_t *ret) NONNULL(1, 2, 5) MUST_USE;
ssize_t fs_copy_range(struct fs *fs, struct fs_file *in, uint64_t in_off,
		      struct fs_file *out, uint64_t out_off, size_t n)
	NONNULL(1, 2, 4) MUST_USE;
/* A close(2) of one descriptor; may come often. */
int fs_flush(struct fs *fs, const struct fs_ctx *ctx, struct fs_file *file)
	NONNULL(1, 2, 3) MUST_USE;
int fs_fsync(struct fs *fs, struct fs_file *file, bool datasync)
	NONNULL(1, 2) MUST_USE;
void fs_release(struct fs *fs, struct fs_file *file) NONNULL(1, 2);
/* The kernel will say nothing more: it was unmounted, or the connection broken
 * off, and not every release was told.  What is open is released: its last close
 * counts if nothing moved since, else it is unfinished. */
void fs_kernel_gone(struct fs *fs) NONNULL(1);

/* ---- control ---- */

/*
 * L3 of everything under path (relative to the mount, "" for all) up to *upto,
 * an operation's number; 0: up to now, and *upto is set, so that a long wait
 * may be cut into short ones.  0; -ETIMEDOUT; -EIO: something cannot get there
 * by itself.  Either way fs_each_pending() lists what is missing.
 */
int fs_sync(struct fs *fs, const char *path, uint64_t *upto,
	    int64_t deadline_mono_ns) NONNULL(1, 2, 3) MUST_USE;

/* Something that is not in the bucket (yet). */
struct fs_pending {
	const char *path; /* in the mount, as it is now */
	const char *state; /* "open" "queued" "uploading" "temporary"
			      "unfinished" "torn" "parked" "conflict"
			      "poisoned" "deleting" … */
	const char *why; /* in words */
	uint64_t size, sent;
	int64_t since_real_ns;
	bool at_risk; /* its bytes are on this machine alone, and not merely
			 because its name is temporary */
	bool missing; /* counts for exit statuses: the bucket has not this
			 under its name; at risk or not */
	const char *beside; /* of a conflict, as in struct fs_kept; else "" */
	bool held; /* waits for whoever has it open or mapped */
	uint64_t seq; /* its place in the line; 0: it has none */
};
/* Non-zero stops.  A negative result of the whole says that not all could be
 * read; what memory has was told all the same. */
typedef int fs_pending_fn(void *arg, const struct fs_pending *p);
int fs_each_pending(struct fs *fs, const char *path, fs_pending_fn *fn,
		    void *arg) NONNULL(1, 2, 3) MUST_USE;

/* One file, or a folder with all that is known below it, for status PATH. */
struct fs_file_info {
	char state[32]; /* "published", "cold", "local", or as above */
	char why[160];
	uint64_t size, cached; /* bytes; those here */
	uint64_t files, cached_files; /* a file is 1; here whole */
	char key[1025], etag[129];
	char beside[1025]; /* of a conflict, as in struct fs_kept */
	bool is_dir;
};
int fs_path_info(struct fs *fs, const char *path, struct fs_file_info *ret)
	NONNULL(1, 2, 3) MUST_USE;

/* How far an evict or prefetch has come. */
struct fs_bulk_sums {
	uint64_t files, bytes; /* to let go of, or to fetch; 0 while it looks */
	uint64_t done_files, done_bytes;
	uint64_t refused; /* files, and folders that could not be listed */
	uint64_t room; /* prefetch, -ENOSPC: bytes there is room for */
};

struct fs_bulk {
	int64_t deadline_mono_ns; /* CLK_NEVER: none */
	/* About twice a second; non-zero: stop.  May be NULL, as refused. */
	int (*progress)(void *arg, const struct fs_bulk_sums *s);
	/* A path below the mount that stays here, or is not fetched, and why
	 * in words. */
	void (*refused)(void *arg, const char *path, const char *why);
	void *arg; /* of both, which are called with nothing held */
};

/*
 * Let go of the local bytes of every file at and below path that the bucket
 * has, too, and that nobody has open or mapped; the others are refused.  Their
 * space is free on return; a reader fetches them again.  What was closed just
 * now is waited for, a second at most.  0; -ETIMEDOUT; -ECANCELED: progress
 * said so; errors of the path.
 */
int fs_evict(struct fs *fs, const char *path, const struct fs_bulk *how,
	     struct fs_bulk_sums *ret) NONNULL(1, 2, 3, 4) MUST_USE;
/*
 * Fetch what is missing of every file at and below path, which is listed
 * first, and wait until it is here, verified and durable.  To make room only
 * what was not used since the call is evicted; -ENOSPC: that is not enough for
 * all of it (nothing was begun), or no longer for the rest.  Else as
 * fs_evict().  A download that was begun and is no longer wanted is given up.
 */
int fs_prefetch(struct fs *fs, const char *path, const struct fs_bulk *how,
		struct fs_bulk_sums *ret) NONNULL(1, 2, 3, 4) MUST_USE;

/* ---- recover: versions that wait for somebody's word ---- */

enum fs_recover {
	FS_RECOVER_LIST,
	FS_RECOVER_PUBLISH, /* it becomes what its name shows, and is sent */
	FS_RECOVER_RETRY, /* what the store refused is offered once more */
	FS_RECOVER_DISCARD, /* it is thrown away */
	FS_RECOVER_EXPORT, /* nothing: the caller copies it, from `where` */
};

/* One of them; the strings live during the call. */
struct fs_kept {
	const char *id; /* "v12"; "o34": an operation, without a version */
	const char *path; /* in the mount; the last one, if it is gone */
	const char *state; /* "unfinished" "torn" "parked" "conflict"
			      "poisoned" "orphan-held"; if all were asked for
			      also "queued" "temporary" */
	const char *why; /* in words */
	uint64_t size;
	int64_t since_real_ns;
	bool shown; /* its name shows it; else something else, or is gone */
	const char *then; /* what a discard leads to, in words */
	const char *where; /* its bytes, below the cache folder; "": none */
	const char *beside; /* of a conflict: the key of ours in the bucket,
			       or to be; "": none */
	mode_t mode; /* permission bits */
	int64_t mtime_ns;
};
/* err 0: it is listed, or done.  Else words say why not, and what to do. */
typedef void fs_kept_fn(void *arg, const struct fs_kept *k, int err,
			const char *words);

struct fs_recover_what {
	const char *path; /* at and below it; "": everything */
	const char *id; /* this one alone; NULL: any */
	bool all; /* also what is on its way by itself */
};
/*
 * Do one thing to every kept version selected, and tell fn of each, with
 * nothing held.  Of a name with several, one must be named by its id.  0;
 * -ENOENT: nothing was selected; -ENOMEM, -EIO.
 */
int fs_recover(struct fs *fs, enum fs_recover act,
	       const struct fs_recover_what *what, fs_kept_fn *fn, void *arg)
	NONNULL(1, 3, 4) MUST_USE;

struct fs_stats {
	uint64_t cache_used, cache_dirty; /* bytes */
	uint64_t cache_files; /* that have any here */
	uint64_t disk_avail;
	uint64_t opens_passthrough, opens_cached; /* since the mount */
	uint64_t open_files;
	uint64_t names; /* in memory, folders too */
	uint64_t unshown; /* names in listed folders of the bucket that a mount
			     cannot show */
	bool failed; /* the cache disk failed: no new dirty data */
	bool through_refused; /* the kernel gave no passthrough when asked */
	bool unseen_writers; /* some are in a pid namespace beside ours */
	struct fetch_stats fetch;
	struct transfer_stats transfer;
};
void fs_stats(struct fs *fs, struct fs_stats *ret) NONNULL(1, 2);

/* Other limits, from now on until the end of the mount: bytes per second; 0:
 * none. */
void fs_set_upload_limit(struct fs *fs, uint64_t limit) NONNULL(1);
void fs_set_download_limit(struct fs *fs, uint64_t limit) NONNULL(1);

#endif
