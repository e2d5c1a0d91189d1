/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranked mutexes.
 *
 * A thread takes locks in rising rank, at most one of each: the database
 * transaction (which also serialises every change of the namespace), the
 * in-memory namespace, one inode, one leaf.  A leaf is private to a module,
 * which calls no other module while it holds it.  No lock of any rank is
 * held across a network call, an fsync, or a wait for one; the one exception
 * is the database checkpoint, which fsyncs under LOCK_META by design and
 * which lookups never wait for.  A breach aborts and names both locks.
 */
#ifndef CKPTFS_LOCK_H
#define CKPTFS_LOCK_H

#include <pthread.h>
#include <stdbool.h>

#include "ckptfs/compiler.h"

enum lock_rank {
	LOCK_META = 1, /* the database connection */
	LOCK_NS, /* the in-memory inode table and directory entries */
	LOCK_INODE, /* one inode's open state */
	LOCK_LEAF, /* private to a module */
};

struct CAPABILITY("mutex") lock {
	pthread_mutex_t m;
	enum lock_rank rank;
	const char *name; /* static string, for the abort message */
};

void lock_init(struct lock *l, enum lock_rank rank, const char *name)
	NONNULL(1, 3);
void lock_fini(struct lock *l) NONNULL(1);
void lock_acquire(struct lock *l) NONNULL(1) ACQUIRES(*l);
void lock_release(struct lock *l) NONNULL(1) RELEASES(*l);

/* Tell the checker that l is let go of and taken again around a wait done
 * elsewhere (thr.h); nothing else calls these. */
void lock_note_release(const struct lock *l) NONNULL(1);
void lock_note_acquire(const struct lock *l) NONNULL(1);

/* Whether this thread holds nothing. */
bool lock_holds_none(void);
/* This thread holds nothing: called before anything that may block on the
 * network or the disk. */
void lock_assert_none(const char *what) NONNULL(1);
/* This thread holds nothing of a rank above this one. */
void lock_assert_upto(enum lock_rank rank, const char *what) NONNULL(2);
/* Whether this thread holds l. */
bool lock_is_held(const struct lock *l) NONNULL(1);
/* This thread holds l. */
void lock_assert_held(const struct lock *l) NONNULL(1);

#endif
