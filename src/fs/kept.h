/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions that wait for somebody's word: what `ckptfs recover` lists, and
 * what it does to one of them.
 *
 *	unfinished	it was open when the daemon stopped
 *	torn		its writer was killed, or the file is cut short
 *	conflict	another writer changed the object meanwhile
 *	poisoned	the cache disk failed to write it
 *	parked		the store refuses it for good
 *	orphan-held	closed, but somebody still has it mapped or open
 *
 * Each is shown by its name, or lies beside what the name shows, or its name
 * is gone (kept_gone.c).  Nothing here is called with a lock or a busy flag
 * held.  Where a call fails, *why has words for it, or stays NULL.
 */
#ifndef FS_KEPT_H
#define FS_KEPT_H

#include "internal.h"

struct kept {
	uint64_t vid; /* 0: an operation that has no version */
	uint64_t seq; /* its place in the line; 0: none */
	uint64_t ino, blob;
	enum meta_state row_state; /* of its row */
	char id[24];
	char *path; /* owned */
	const char *state;
	char why[256];
	uint64_t size;
	int64_t since_real_ns;
	const char *then; /* what throwing it away leads to */
	char where[CACHE_BLOB_PATH_MAX]; /* of its bytes; "": it has none */
	uint32_t mode;
	int64_t mtime_ns;
	bool shown, parked, held_open;
	struct transfer_beside beside; /* conflict: where its object is */
};

/* What a name shows once the version it shows now is thrown away. */
enum kept_fall_kind {
	KEPT_STAYS, /* it shows something else already */
	KEPT_EARLIER, /* the version that one was opened over */
	KEPT_BUCKET, /* the object of the bucket */
	KEPT_GOES, /* nothing: there is no such name then */
	KEPT_BLOCKED, /* the earlier one has to be published first */
};
struct kept_fall {
	enum kept_fall_kind kind;
	bool has_v;
	struct meta_version v; /* the earlier version, if there is one */
	uint64_t size;
	int64_t mtime_ns;
};
/* In a transaction: of a version and its inode's row. */
int kept_find_fall(struct fs *fs, const struct meta_inode *row,
		   const struct meta_version *v, struct kept_fall *ret);
const char *kept_fall_words(enum kept_fall_kind kind);

struct kept_list {
	struct kept *p;
	size_t n, cap;
};

/* Those at and below a path, by path; all: also what is on its way by
 * itself. */
int kept_gather(struct fs *fs, const char *path, bool all,
		struct kept_list *ret);
void kept_release(struct kept_list *l);

/*
 * It becomes what its name shows, as it is, and gets a place in the line.  A
 * name that is gone is made again in the folder it was in.  What stood there
 * stays until this one is published, and is kept then if it was kept before.
 */
int kept_publish(struct fs *fs, const struct kept *k, const char **why);
/* It is thrown away, and its name falls back. */
int kept_discard(struct fs *fs, const struct kept *k, const char **why);
/* What the store refused is offered once more. */
int kept_retry(struct fs *fs, const struct kept *k, const char **why);

#endif
