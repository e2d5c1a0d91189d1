/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The barrier: what makes commits power-safe, in the one order that is safe.
 *
 *	mark	how long the database log is now
 *	bytes	fdatasync the blobs that are due; above 64 one syncfs
 *	names	fsync the blob folders that changed
 *	log	fdatasync the log and record the mark
 *	dead	unlink the blobs whose rows' deletion the mark covers
 *
 * A blob is due from barrier_note_blob() until a barrier has made its bytes
 * durable.  The caller notes it after the last byte its row will speak of was
 * written and before it commits that row; so whatever a mark covers is due
 * when the mark is taken, or durable already.
 *
 * A worker runs the barriers: when somebody waits for one, when many blobs are
 * due, and by itself within a second after the first commit that none covers.
 * The first one of a mount is a syncfs: it also covers what an earlier process
 * left in the page cache.
 *
 * Failure is final.  A blob whose sync failed is handed to poison() and never
 * synced again; one of the log, the names or a sync that nobody can be named
 * for (which poison_all() is told of) ends all barriers.  Either way barrier_failed() is -EIO from then on: the
 * mount takes no new dirty data.
 *
 * Threads: any.  barrier_now(), _bury_now(), _cover() and _free() wait; the
 * others may be called in a transaction and with any lock but a leaf held.
 */
#ifndef CKPTFS_BARRIER_H
#define CKPTFS_BARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include "ckptfs/clock.h"
#include "ckptfs/compiler.h"

/* From a commit to the barrier that covers it: the promise is one second. */
#define BARRIER_DELAY_NS (900 * NS_PER_MS)
/* More blobs than this are synced by one syncfs. */
#define BARRIER_EACH_MAX 64

struct barrier;
struct cache;
struct host;
struct meta;

/* Borrowed; they outlive the barrier. */
struct barrier_deps {
	const struct host *host;
	struct meta *meta;
	struct cache *cache;
	unsigned max_due; /* so many due blobs start a barrier (each holds a
			     descriptor); 0: 4096 */
	/*
	 * The bytes of this blob are lost: commit that its version is
	 * poisoned.  Called by the worker, no lock held; the barrier then
	 * takes its mark anew.  An error ends all barriers.
	 */
	int (*poison)(void *arg, uint64_t blob);
	/*
	 * The same of all bytes that no barrier covers, as far as rows speak
	 * of them: no barrier comes any more.  May be NULL.
	 */
	int (*poison_all)(void *arg);
	void *arg;
};

/* Take over the dead blobs the database knows, start the worker. */
int barrier_new(const struct barrier_deps *deps, struct barrier **ret)
	NONNULL(1, 2) MUST_USE;
/* Without a last barrier; nobody waits for one. */
void barrier_free(struct barrier *b);

/*
 * The bytes of blob are due at the next barrier: its version was sealed
 * (provisionally too) or fsynced.  fd: of the blob, becomes the barrier's;
 * negative: it opens its own, so that the blob may be closed and unlinked by others.
 * Cannot fail: what cannot be remembered is covered by a syncfs.
 */
void barrier_note_blob(struct barrier *b, uint64_t blob, int fd) NONNULL(1);
/* Something was committed: a barrier begins within the second. */
void barrier_note_change(struct barrier *b) NONNULL(1);
/* The deletion of blob's row, and its dead row, are committed: unlink it when
 * that is power-safe, then drop the dead row. */
void barrier_dead(struct barrier *b, uint64_t blob) NONNULL(1);

/*
 * Wait until all that was committed before the call is power-safe.  Callers
 * share barriers.  0; -EIO once anything has failed; -ETIMEDOUT (CLK_NEVER:
 * waits for ever), then it will still happen.  No lock held.
 */
int barrier_now(struct barrier *b, int64_t deadline_mono_ns) NONNULL(1)
	MUST_USE;
/* The same, and that every blob which was dead then is unlinked: its space is
 * free, unless somebody has it open. */
int barrier_bury_now(struct barrier *b, int64_t deadline_mono_ns) NONNULL(1)
	MUST_USE;
/*
 * Wait until the first so many commits (meta_commits()) are power-safe, which
 * most are by now: then it costs nothing.  Else a barrier begins at once.  A
 * poisoned blob is no hindrance; -EIO once no barrier can be recorded any more.
 */
int barrier_cover(struct barrier *b, uint64_t commits) NONNULL(1) MUST_USE;
/* 0, or -EIO for ever. */
int barrier_failed(struct barrier *b) NONNULL(1);
/* Blobs that wait for a barrier, for status. */
unsigned barrier_due(struct barrier *b) NONNULL(1);

#endif
