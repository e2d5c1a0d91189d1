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
	bool shown, parked, held_open;
};

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
/* What the store refused is offered once more. */
int kept_retry(struct fs *fs, const struct kept *k, const char **why);

#endif
