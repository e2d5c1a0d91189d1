/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder as the bucket: what its files share.
 *
 * Object "a/b" is the file a/b of the folder.  What is ours lies in .ckptfs of
 * the folder: tmp/ (files being written, each renamed to its place when whole
 * and on the disk), uploads/ (parts), meta/ (records that cannot be extended
 * attributes), and the file lock, held by flock(2) while names change, so that
 * checking a condition and acting on it are one step among all ckptfs
 * processes.
 *
 * A folder made because an object needed it is marked implicit and goes with
 * its last entry.  All others, also those made by other programs, are marker
 * objects ("a/").
 *
 * Within these files errors are plain negative errno; dir_err() narrows them
 * to those of store.h at the edge.
 */
#ifndef STORE_DIR_H
#define STORE_DIR_H

#include <errno.h>
#include <sys/stat.h>

#include "ckptfs/lock.h"

#include "store_int.h"

#define DIR_NAME_MAX 255
#define DIR_TMP_NAME 40 /* a random name with suffix and NUL */

struct clk;

enum dir_folder { DIR_TMP, DIR_UPLOADS, DIR_META, DIR_FOLDERS };

struct dir_store {
	struct store store;
	const struct clk *clk;
	int root;
	mode_t default_mode; /* of files without one: what the umask leaves */
	bool no_xattrs; /* for tests: as on a file system without them */
	bool stopped; /* atomic */
	struct lock lock; /* guards the rest */
	int folder[DIR_FOLDERS]; /* below .ckptfs; -1 until needed */
};

/* Where an object is, or would be. */
struct dir_place {
	int parent; /* its folder, open; -1: nothing to close */
	char name[DIR_NAME_MAX + 1];
	struct stat st;
};

/* What ckptfs knows of a file besides its bytes.  Believed only while size
 * and mtime are those seen when it was written. */
struct dir_record {
	char kind; /* 'f'ile, 'l'ink, 'd'ir, 'i'mplicit dir */
	uint64_t size;
	int64_t seen_mtime_ns;
	bool has_crc64;
	uint64_t crc64;
	struct store_meta meta;
};

/* ---- dir_path.c: names and folders ---- */

/* The last system call's error.  -ESTALE and -ENOENT mean something here: a
 * network file system's lost handle does not mean it. */
static inline int dir_sys(void)
{
	return errno == ESTALE ? -ETIMEDOUT : -errno;
}
/* To the errors of store.h; reading: a missing or strange path is -ENOENT. */
int dir_err(int r, bool reading) MUST_USE;
/* 0, or -ECANCELED after shutdown. */
int dir_check(struct dir_store *d) MUST_USE;
/* -EINVAL for keys that no file can have, and for those that are ours. */
int dir_key_check(const char *key) MUST_USE;
bool dir_key_is_marker(const char *key);
/* The folder path[0, len) below the root; make: with what is missing. */
int dir_walk(struct dir_store *d, const char *path, size_t len, bool make,
	     int *ret_fd) MUST_USE;
/* The folder of a key and its last name; the caller closes p->parent. */
int dir_place(struct dir_store *d, const char *key, bool make,
	      struct dir_place *p) MUST_USE;
/* The same and its stat: -ENOENT unless it is a file, a link, or for a marker
 * a folder that is not implicit. */
int dir_find(struct dir_store *d, const char *key, struct dir_place *p)
	MUST_USE;
void dir_place_close(struct dir_place *p);
/* Remove the folders above key that are empty and implicit; fsync the first
 * that stays. */
int dir_prune(struct dir_store *d, const char *key) MUST_USE;
/* Remove the folder key[0, len) if it is empty and implicit; else
 * -ENOTEMPTY. */
int dir_prune_one(struct dir_store *d, const char *key, size_t len) MUST_USE;
/* A folder of ours: the number, or a negative errno.  Stays open. */
int dir_folder(struct dir_store *d, enum dir_folder which, bool make);
/* Hold .ckptfs/lock until the number is closed. */
int dir_lock(struct dir_store *d) MUST_USE;
void dir_close(int fd);
void dir_random_name(char ret[DIR_TMP_NAME]);
/* Remove a file or a folder with the files in it. */
int dir_remove_tree(int parent, const char *name);

/* ---- dir_meta.c: records and etags ---- */

void dir_etag(const struct stat *st, char ret[STORE_ETAG_MAX]);
int64_t dir_ns(const struct timespec *t);
/* fd: the open file or folder; -1: a link.  ino is that of the file, which may
 * still be elsewhere.  key names the sidecar where one is needed. */
int dir_record_write(struct dir_store *d, int fd, const char *key, ino_t ino,
		     const struct dir_record *rec) MUST_USE;
int dir_record_read(struct dir_store *d, int fd, const char *key, ino_t ino,
		    struct dir_record *ret) MUST_USE;
/* Forget the sidecar of key's former file, if there is one. */
void dir_record_drop(struct dir_store *d, const char *key, ino_t ino);
/* All that head tells.  fd: as above. */
void dir_obj(struct dir_store *d, int fd, const char *key,
	     const struct stat *st, struct store_obj *ret);
/* Only what a listing tells. */
void dir_obj_listed(const struct stat *st, struct store_obj *ret);

/* ---- dir_write.c: making an object visible ---- */

/* A file being made below .ckptfs/tmp. */
struct dir_new {
	char name[DIR_TMP_NAME]; /* "": none */
	int fd; /* -1 for a link */
	uint64_t len, crc64;
	bool has_crc64;
};

#define DIR_NEW_INIT                                                           \
	{                                                                      \
		.fd = -1                                                       \
	}

/* The bytes of a source, checksum verified. */
int dir_new_from_src(struct dir_store *d, const struct store_src *src,
		     bool is_link, struct dir_new *n) MUST_USE;
int dir_new_open(struct dir_store *d, struct dir_new *n) MUST_USE;
/* Append len bytes of a file; verifies nothing. */
int dir_new_append(struct dir_store *d, struct dir_new *n, int from,
		   uint64_t off, uint64_t len) MUST_USE;
int dir_new_link(struct dir_store *d, const char *target, struct dir_new *n)
	MUST_USE;
/* Give it the metadata, bring it to the disk and into place if cond holds.
 * upload: its folder must exist and is taken away with the same step; NULL:
 * none. */
int dir_publish(struct dir_store *d, struct dir_new *n, const char *key,
		const struct store_meta *meta, const struct store_cond *cond,
		const char *upload, struct store_obj *ret) MUST_USE;
/* Drop what was not published. */
void dir_new_drop(struct dir_store *d, struct dir_new *n);

/* ---- the methods, by file ---- */

int dir_head(struct store *s, const char *key, struct store_obj *ret);
int dir_list(struct store *s, const char *prefix, const char *after,
	     bool delimited, store_list_fn *fn, void *arg);
int dir_put(struct store *s, const char *key, const struct store_src *src,
	    const struct store_meta *meta, const struct store_cond *cond,
	    struct store_obj *ret);
int dir_copy(struct store *s, const char *from, const char *from_etag,
	     const char *to, const struct store_meta *meta,
	     const struct store_cond *cond, struct store_obj *ret);
int dir_rename(struct store *s, const char *from, const char *to,
	       struct store_obj *ret);
int dir_del(struct store *s, const char *key, const struct store_cond *cond);
int dir_mpu_begin(struct store *s, const char *key,
		  const struct store_meta *meta, bool copies,
		  char ret_id[STORE_UPLOAD_ID_MAX]);
int dir_mpu_part(struct store *s, const char *key, const char *id,
		 unsigned number, const struct store_src *src,
		 struct store_part *ret);
int dir_mpu_copy_part(struct store *s, const char *key, const char *id,
		      unsigned number, const char *from, const char *from_etag,
		      uint64_t off, uint64_t len, struct store_part *ret);
int dir_mpu_list_parts(struct store *s, const char *key, const char *id,
		       store_part_fn *fn, void *arg);
int dir_mpu_list(struct store *s, const char *prefix, store_upload_fn *fn,
		 void *arg);
int dir_mpu_commit(struct store *s, const char *key, const char *id,
		   const struct store_part *parts, size_t n,
		   const struct store_meta *meta, const struct store_cond *cond,
		   struct store_obj *ret);
int dir_mpu_abort(struct store *s, const char *key, const char *id);

/* An object opened for reading at one version. */
struct dir_reader {
	int fd; /* -1: a link */
	char *target;
	struct stat st;
	struct store_obj obj;
};

#define DIR_READER_INIT                                                        \
	{                                                                      \
		.fd = -1                                                       \
	}

/* -ENOENT, or -ESTALE when if_match is given and differs; key must be no
 * marker. */
int dir_reader_open(struct dir_store *d, const char *key, const char *if_match,
		    struct dir_reader *r) MUST_USE;
/* 0 if the bytes cannot have changed since it was opened; else -ESTALE. */
int dir_reader_check(const struct dir_reader *r) MUST_USE;
void dir_reader_close(struct dir_reader *r);

#endif
