/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs: the data files on the cache disk.
 *
 * A blob holds the bytes of one version.  Its number is (epoch << 40 | n) and
 * never comes back, its file name is derived from the number alone, and an
 * xattr written once at creation tells whose it was, for a rebuild without the
 * database.  This module knows nothing of names, versions or the store.
 *
 * Threads: any.  Errors: those of disk.h.
 */
#ifndef CKPTFS_CACHE_H
#define CKPTFS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ckptfs/compiler.h"

struct cache;
struct disk_stat;
struct host;

/* Make "blobs" and "lost+found" if missing.  epoch: of this mount. */
int cache_open(const struct host *host, uint32_t epoch, struct cache **ret)
	NONNULL(1, 3) MUST_USE;
void cache_close(struct cache *c);

/* Whose blob it is when it is made; for rebuilds only. */
struct cache_tag {
	uint64_t ino, parent;
	const char *name;
};

/* A new empty blob, open as flags say, O_RDONLY or O_RDWR; the caller closes
 * *ret_fd. */
int cache_blob_new(struct cache *c, const struct cache_tag *tag, int flags,
		   uint64_t *ret_blob, int *ret_fd) NONNULL(1, 2, 4, 5)
	MUST_USE;
/* flags O_RDONLY or O_RDWR.  The number, or a negative errno. */
int cache_blob_open(struct cache *c, uint64_t blob, int flags) NONNULL(1)
	MUST_USE;
void cache_blob_close(struct cache *c, int fd) NONNULL(1);
/* Where it lies, below the cache folder; for who reads it by himself. */
#define CACHE_BLOB_PATH_MAX 32
void cache_blob_path(uint64_t blob, char ret[CACHE_BLOB_PATH_MAX]) NONNULL(2);
/* Gone is success. */
int cache_blob_unlink(struct cache *c, uint64_t blob) NONNULL(1) MUST_USE;
/* A new blob with the first len bytes of another: reflinked where the disk
 * can, else copied (holes kept).  -EIO: the other is shorter, so bytes of
 * it are lost.  *ret_fd is O_RDWR. */
int cache_blob_copy(struct cache *c, int from_fd, uint64_t len,
		    const struct cache_tag *tag, uint64_t *ret_blob,
		    int *ret_fd) NONNULL(1, 4, 5, 6) MUST_USE;
/* The same, each byte read and written again: for a blob of which the disk may
 * not have what is read from it. */
int cache_blob_rewrite(struct cache *c, int from_fd, uint64_t len,
		       const struct cache_tag *tag, uint64_t *ret_blob,
		       int *ret_fd) NONNULL(1, 4, 5, 6) MUST_USE;
/* fsync the blob folders that gained or lost a name since the last call.  One
 * caller at a time.  A failure is final: it is given again for ever. */
int cache_sync_names(struct cache *c) NONNULL(1) MUST_USE;
/* Each blob on the disk; non-zero from fn stops.  fn may unlink and lose the
 * blob it is given. */
typedef int cache_blob_fn(void *arg, uint64_t blob);
int cache_blob_each(struct cache *c, cache_blob_fn *fn, void *arg) NONNULL(1, 2)
	MUST_USE;
/* Whose it was when it was made; -ENODATA: it does not say. */
struct cache_owner {
	uint64_t ino, parent;
	char name[256];
};
int cache_blob_owner(struct cache *c, uint64_t blob, struct cache_owner *ret)
	NONNULL(1, 3) MUST_USE;
/* The epoch of the mount that made it. */
uint32_t cache_blob_epoch(uint64_t blob);
#define CACHE_LOST "lost+found"
/* Move a blob no row knows to lost+found/. */
int cache_blob_lose(struct cache *c, uint64_t blob) NONNULL(1) MUST_USE;
/* 0 if the blob is there, at least size long and, unless it is sparse, without
 * a hole before size; -ENODATA if not. */
int cache_blob_check(struct cache *c, uint64_t blob, uint64_t size, bool sparse)
	NONNULL(1) MUST_USE;

/* ---- ranges present in a blob being downloaded: in memory, no lock ---- */

struct cache_ranges;
int cache_ranges_new(struct cache_ranges **ret) NONNULL(1) MUST_USE;
void cache_ranges_free(struct cache_ranges *r);
int cache_ranges_add(struct cache_ranges *r, uint64_t off, uint64_t len)
	NONNULL(1) MUST_USE;
bool cache_ranges_has(const struct cache_ranges *r, uint64_t off, uint64_t len)
	NONNULL(1);
/* The first gap in [off, off + len); false: none. */
bool cache_ranges_gap(const struct cache_ranges *r, uint64_t off, uint64_t len,
		      uint64_t *ret_off, uint64_t *ret_len) NONNULL(1, 4, 5);
uint64_t cache_ranges_sum(const struct cache_ranges *r) NONNULL(1);

/* ---- choices: pure ---- */

struct cache_candidate {
	uint64_t id; /* the caller's */
	uint64_t bytes;
	int64_t used_ns; /* last use */
	bool evictable; /* published, closed, not pinned */
};
/* Sort c so that the first *ret_n are to be evicted, least recently used
 * first, to free at least `need` bytes (or all that may go). */
void cache_evict_choose(struct cache_candidate *c, size_t n, uint64_t need,
			size_t *ret_n) NONNULL(4);

/* Whether a cache may live on a file system of this kind (statfs f_type). */
enum cache_fs_kind {
	CACHE_FS_GOOD,
	CACHE_FS_OVERLAY, /* goes with its container: warn */
	CACHE_FS_VOLATILE, /* tmpfs, ramfs */
	CACHE_FS_REMOTE, /* NFS, Lustre, SMB, FUSE … */
};
enum cache_fs_kind cache_fs_kind(unsigned long magic, const char **ret_name)
	NONNULL(2);

/*
 * Does a sealed file look whole?  By name: zip end record (.ckpt .pt .pth
 * .npz .keras …, only when the file begins as a zip), header length against
 * size (.safetensors).  0 whole or unknown kind, -EBADMSG cut short, else nobody
 * could look (-ENOMEM, -EIO).
 */
int cache_format_check(const struct host *host, int fd, const char *name,
		       uint64_t size) NONNULL(1, 3) MUST_USE;

#endif
