/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local disk below one cache folder, as a seam.
 *
 * Everything the daemon keeps (database, blobs, barrier file) is reached
 * through a struct disk: the system one for a real folder, a simulated one in
 * the tests, which can cut the power, refuse a lease, run out of space, fail
 * the n-th call and write to a file behind the daemon's back.
 *
 * Paths are relative to the folder, have no ".." and follow no symbolic link.
 * A file is named by a small number as from open(2); for the system disk it is
 * the file descriptor, close-on-exec.
 *
 * Errors: every call returns 0 (or a count) or a negative errno as the system
 * call of the same name gives it.  A failed sync is final for the bytes it
 * covered: they may be gone though a second sync would succeed.
 *
 * Threads: any number at once.
 */
#ifndef CKPTFS_DISK_H
#define CKPTFS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ckptfs/compiler.h"

struct disk_stat {
	uint64_t size; /* bytes */
	uint64_t alloc; /* bytes on the disk */
	int64_t atime_ns, mtime_ns;
	int64_t ctime_ns; /* changes with every change of bytes or size; means
			     something within one boot only */
	bool is_dir;
};

struct disk_space {
	uint64_t total, avail; /* bytes; avail as for an ordinary user */
	unsigned long fs_magic; /* statfs f_type */
};

/* DISK_LEASE_READ is granted when nobody has the file open for writing or
 * mapped writable; DISK_LEASE_WRITE when nobody else has it open or mapped. */
enum disk_lease { DISK_LEASE_READ, DISK_LEASE_WRITE };

typedef int disk_list_fn(void *arg, const char *name, bool is_dir);

struct disk;

struct disk_ops {
	const char *name;
	int (*open)(struct disk *d, const char *path, int flags, mode_t mode);
	int (*dup)(struct disk *d, int fd);
	int (*close)(struct disk *d, int fd);
	ssize_t (*pread)(struct disk *d, int fd, void *p, size_t n,
			 uint64_t off);
	ssize_t (*pwrite)(struct disk *d, int fd, const void *p, size_t n,
			  uint64_t off);
	int (*truncate)(struct disk *d, int fd, uint64_t size);
	int (*allocate)(struct disk *d, int fd, uint64_t off, uint64_t len);
	int (*punch)(struct disk *d, int fd, uint64_t off, uint64_t len);
	int (*stat)(struct disk *d, int fd, struct disk_stat *ret);
	int64_t (*seek)(struct disk *d, int fd, uint64_t off, bool hole);
	int (*fdatasync)(struct disk *d, int fd);
	int (*syncfs)(struct disk *d);
	int (*writeback)(struct disk *d, int fd, uint64_t off, uint64_t len);
	int (*clone)(struct disk *d, int from, int to);
	ssize_t (*copy)(struct disk *d, int from, uint64_t from_off, int to,
			uint64_t to_off, size_t n);
	int (*lease)(struct disk *d, int fd, enum disk_lease kind);
	int (*set_xattr)(struct disk *d, int fd, const char *name,
			 const void *value, size_t len);
	ssize_t (*get_xattr)(struct disk *d, int fd, const char *name,
			     void *value, size_t len);
	int (*mkdir)(struct disk *d, const char *path, mode_t mode);
	int (*rename)(struct disk *d, const char *from, const char *to);
	int (*unlink)(struct disk *d, const char *path);
	int (*sync_dir)(struct disk *d, const char *path);
	int (*list)(struct disk *d, const char *path, disk_list_fn *fn,
		    void *arg);
	int (*lock)(struct disk *d, const char *path);
	int (*space)(struct disk *d, struct disk_space *ret);
	int (*boot_id)(struct disk *d, char ret[40]);
	void (*free)(struct disk *d);
};

struct disk {
	const struct disk_ops *ops;
};

/* The real folder at path, made (0700, parents too) if missing.  -ENOTDIR (a
 * link, too), -EPERM (another user's, or others may enter it), -EACCES, -ENOMEM
 * or what mkdir(2) and open(2) give.  SIGIO is ignored from then on (leases
 * send it). */
int disk_system_open(const char *path, struct disk **ret) NONNULL(1, 2) MUST_USE;
void disk_free(struct disk *d);

/* flags: O_RDONLY O_WRONLY O_RDWR O_CREAT O_EXCL O_TRUNC; O_CLOEXEC and
 * O_NOFOLLOW are added.  The number, or a negative errno. */
int disk_open(struct disk *d, const char *path, int flags, mode_t mode)
	NONNULL(1, 2) MUST_USE;
/* Another number of what is open, as by dup(2). */
int disk_dup(struct disk *d, int fd) NONNULL(1) MUST_USE;
/* fd < 0 does nothing. */
void disk_close(struct disk *d, int fd) NONNULL(1);
/* Short only at the end of the file. */
ssize_t disk_pread(struct disk *d, int fd, void *p, size_t n, uint64_t off)
	NONNULL(1, 3) MUST_USE;
/* All of it or an error (then an unknown prefix was written). */
int disk_pwrite(struct disk *d, int fd, const void *p, size_t n, uint64_t off)
	NONNULL(1) MUST_USE;
int disk_truncate(struct disk *d, int fd, uint64_t size) NONNULL(1) MUST_USE;
/* Reserve space; the size does not change. */
int disk_allocate(struct disk *d, int fd, uint64_t off, uint64_t len)
	NONNULL(1) MUST_USE;
int disk_punch(struct disk *d, int fd, uint64_t off, uint64_t len)
	NONNULL(1) MUST_USE;
int disk_stat(struct disk *d, int fd, struct disk_stat *ret)
	NONNULL(1, 3) MUST_USE;
/* SEEK_HOLE, SEEK_DATA: the offset, or -ENXIO at or past the end. */
int64_t disk_seek_hole(struct disk *d, int fd, uint64_t off) NONNULL(1);
int64_t disk_seek_data(struct disk *d, int fd, uint64_t off) NONNULL(1);
int disk_fdatasync(struct disk *d, int fd) NONNULL(1) MUST_USE;
int disk_syncfs(struct disk *d) NONNULL(1) MUST_USE;
/* Start writing a range out; promises nothing. */
int disk_writeback(struct disk *d, int fd, uint64_t off, uint64_t len)
	NONNULL(1);
/* Make to share all bytes of from (FICLONE); -EOPNOTSUPP where it can't. */
int disk_clone(struct disk *d, int from, int to) NONNULL(1) MUST_USE;
/* Copy a range inside the disk (copy_file_range(2)): blocks are shared where it
 * can.  How many bytes, at least one unless from ends there; -EOPNOTSUPP where it
 * can't, as of ranges of one file that overlap. */
ssize_t disk_copy(struct disk *d, int from, uint64_t from_off, int to,
		  uint64_t to_off, size_t n) NONNULL(1) MUST_USE;
/* Ask for a lease and give it back at once: 0 granted, -EAGAIN refused,
 * -EOPNOTSUPP the file system has none.  fd must be O_RDONLY. */
int disk_lease(struct disk *d, int fd, enum disk_lease kind) NONNULL(1) MUST_USE;
int disk_set_xattr(struct disk *d, int fd, const char *name, const void *value,
		   size_t len) NONNULL(1, 3, 4) MUST_USE;
ssize_t disk_get_xattr(struct disk *d, int fd, const char *name, void *value,
		       size_t len) NONNULL(1, 3, 4) MUST_USE;
int disk_mkdir(struct disk *d, const char *path, mode_t mode)
	NONNULL(1, 2) MUST_USE;
int disk_rename(struct disk *d, const char *from, const char *to)
	NONNULL(1, 2, 3) MUST_USE;
int disk_unlink(struct disk *d, const char *path) NONNULL(1, 2) MUST_USE;
/* fsync of a folder; "" is the cache folder itself. */
int disk_sync_dir(struct disk *d, const char *path) NONNULL(1, 2) MUST_USE;
/* Each entry but . and ..; non-zero from fn stops and is returned. */
int disk_list(struct disk *d, const char *path, disk_list_fn *fn, void *arg)
	NONNULL(1, 2, 3) MUST_USE;
/* flock(2) on path, made if missing, held until the number is closed:
 * -EWOULDBLOCK when another process holds it. */
int disk_lock(struct disk *d, const char *path) NONNULL(1, 2) MUST_USE;
int disk_space(struct disk *d, struct disk_space *ret) NONNULL(1, 2) MUST_USE;
/* The kernel's boot id; "" where it cannot be read (then every mount counts
 * as after a power cut). */
int disk_boot_id(struct disk *d, char ret[40]) NONNULL(1, 2) MUST_USE;

#endif
