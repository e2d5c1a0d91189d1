/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the barrier share. */
#ifndef FS_BARRIER_H
#define FS_BARRIER_H

/* An entry that could not be added has hh.tbl NULL. */
#define HASH_NONFATAL_OOM 1

#include <uthash.h>
#include <utlist.h>

#include "ckptfs/barrier.h"
#include "ckptfs/lock.h"
#include "ckptfs/thr.h"

struct due {
	uint64_t blob;
	int fd;
	struct due *next; /* in a list, when in no table */
	UT_hash_handle hh;
};

struct dead {
	uint64_t blob;
	uint64_t commits; /* its row's deletion is one of so many */
	struct dead *prev, *next;
};

struct barrier {
	struct barrier_deps deps;
	struct thr_worker *worker;
	struct lock lock; /* guards the rest */
	struct thr_cond ended_cond;
	uint64_t begun, ended; /* barriers, counted */
	uint64_t durable; /* commits the last one covers */
	bool wanted; /* somebody waits, or enough is due */
	bool changed; /* since the last mark; first_ns: when first */
	int64_t first_ns;
	bool all; /* something is due that `due` does not hold */
	struct due *due; /* by blob */
	struct due *lost; /* poisoned, by blob; never synced again */
	struct dead *dead; /* to be unlinked, oldest first */
	bool burying; /* one of them is, and is in no list */
	struct dead *buried; /* unlinked; their rows are to go */
	bool poisoned; /* a blob's bytes were lost */
	bool broken; /* no barrier can be recorded any more */
};

/* What one barrier has to make durable, taken out of struct barrier. */
struct batch {
	struct due *due;
	bool all;
};

/* Sync the bytes of a batch and empty it.  Blobs that failed are told of by
 * deps.poison: *ret_poisoned is set.  An error ends all barriers. */
int barrier_sync_bytes(struct barrier *b, struct batch *t, bool *ret_poisoned)
	NONNULL(1, 2, 3) MUST_USE;
void barrier_due_free(struct barrier *b, struct due **due) NONNULL(1, 2);
void barrier_due_list_free(struct barrier *b, struct due *list) NONNULL(1);

/* Queue those the database knows. */
int barrier_load_dead(struct barrier *b) NONNULL(1) MUST_USE;
/* The first so many commits have no row of a dead blob: its bytes need not be
 * synced for them. */
void barrier_skip_dead(struct barrier *b, struct batch *t, uint64_t commits)
	NONNULL(1, 2);
/* Whether a dead blob is left that the first so many commits let go. */
bool barrier_has_dead(const struct barrier *b, uint64_t commits) NONNULL(1)
	REQUIRES(b->lock);
/* Unlink some that may go; true: there may be more. */
bool barrier_bury(struct barrier *b) NONNULL(1) MUST_USE;
/* Drop the rows of those unlinked. */
void barrier_forget_buried(struct barrier *b) NONNULL(1);
void barrier_dead_free(struct barrier *b) NONNULL(1);

#endif
