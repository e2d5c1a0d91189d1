/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The publication engine: carries the line of operations (line.h) from the
 * database to the bucket.
 *
 * The rows are the truth: fs appends and changes op and version rows in its
 * own transactions and then calls transfer_kick().  Workers are dumb: each
 * asks for one action (a body part, a visible commit, a delete, …), performs
 * it with nothing locked, and records the result.  A crash at any point is
 * resumed from the rows and from what the store says it has.
 *
 * Threads: any.
 */
#ifndef CKPTFS_TRANSFER_H
#define CKPTFS_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckptfs/compiler.h"

struct cache;
struct host;
struct meta;
struct meta_inode;
struct store;
struct transfer;

enum transfer_order { TRANSFER_STRICT, TRANSFER_OPEN, TRANSFER_NONE };

struct transfer_opts {
	const char *prefix; /* of the mount in the bucket: "" or "a/b/" */
	char cache_id[17]; /* for write-ids */
	uint32_t epoch; /* of this mount */
	enum transfer_order order;
	unsigned max_uploads; /* workers; 1 .. 64 */
	uint64_t part_size; /* bytes, 0: grows by itself from 8 MiB */
	uint64_t upload_limit; /* bytes per second; 0: none; at first */
	int64_t upload_delay_ns; /* from the first close to the put's begin */
	int64_t upload_interval_ns; /* least time between puts of a live log */
	int64_t upload_max_delay_ns; /* temporary names are held this long */
	bool overwrite; /* conflict=overwrite */
	/* The power may have gone: of what is queued uploads may have been
	 * begun that no row speaks of any more. */
	bool forgotten;
};

/* What transfer tells fs; called with no lock held. */
struct transfer_events {
	/* A version is in the bucket (or was dropped from the line by folding:
	 * published false); its row says so already. */
	void (*version_done)(void *arg, uint64_t ino, uint64_t vid,
			     bool published);
	/* This row says that the object of an inode has another key, or that
	 * its marker came or went: in the transaction, once it is committed,
	 * for whoever has a copy of it must not write back the old one. */
	void (*inode_row)(void *arg, const struct meta_inode *row);
	/* So it was, and its operation is done. */
	void (*inode_moved)(void *arg, uint64_t ino);
	/* Blob no row needs any more: its row is in the dead table. */
	void (*blob_dead)(void *arg, uint64_t blob);
	/* A transaction was committed: a barrier is due. */
	void (*committed)(void *arg);
	/* Wait until the first so many commits (meta_commits()) are safe from
	 * a power cut.  An error: they will never be. */
	int (*make_durable)(void *arg, uint64_t commits);
	/* Whether an empty folder still wants its marker object. */
	bool (*marker_wanted)(void *arg, uint64_t ino);
	/* Right before the visible commit of a version: 0 if its bytes are
	 * still those that were sealed, -EAGAIN if the seal was withdrawn. */
	int (*still_sealed)(void *arg, uint64_t ino, uint64_t vid);
	/* A commit is about to remove or replace this object: hydrate local
	 * readers first.  0 when that is so, -EAGAIN: ask again later. */
	int (*before_replace)(void *arg, const char *key);
	/*
	 * Others deleted the object of this inode before it could be renamed
	 * from key to `to`.  1: its bytes are here, and are published as new, in
	 * the place of the rename (seq) or, with seq 0, in one of their own; 0:
	 * they are not.
	 */
	int (*renamed_gone)(void *arg, uint64_t ino, const char *key,
			    const char *to, uint64_t seq);
	void *arg;
};

/* Load the line; no worker runs yet, rows may still be put right. */
int transfer_new(const struct host *host, struct meta *meta,
		 struct cache *cache, struct store *store,
		 const struct transfer_opts *opts,
		 const struct transfer_events *events, struct transfer **ret)
	NONNULL(1, 2, 3, 4, 5, 6, 7) MUST_USE;
/* Resume what was under way. */
int transfer_start(struct transfer *t) NONNULL(1) MUST_USE;
/* Stop the workers (store_shutdown() first makes that quick); rows can still be
 * taken out of the line.  NULL allowed, here and below. */
void transfer_stop(struct transfer *t);
void transfer_free(struct transfer *t);

/* Ops or versions changed: look at the rows again.  seq: one that was changed
 * or deleted in place, 0 if there are only new ones.  Call after the commit;
 * any lock may be held. */
void transfer_kick(struct transfer *t, uint64_t seq) NONNULL(1);
/* The same of a put, which upload_delay holds up in any case: what comes within
 * some milliseconds is looked at together, unless somebody waits. */
void transfer_kick_soon(struct transfer *t, uint64_t seq) NONNULL(1);

/* In a transaction of the caller's: a put leaves the line, as if it had never
 * been sealed, and what renames of it took from the mount is owed (meta.h).
 * transfer_kick() after the commit.  Not in the line: 0. */
int transfer_withdraw(struct transfer *t, uint64_t seq) NONNULL(1) MUST_USE;

/* A parked operation is tried again, as if for the first time.  No lock held.
 * -ENOENT: it is not parked, or gone. */
int transfer_retry(struct transfer *t, uint64_t seq) NONNULL(1) MUST_USE;

/* A parked delete, or a folder's parked marker, is given up: the bucket keeps,
 * or lacks, that object.  As above; -EOPNOTSUPP: it is another operation. */
int transfer_give_up(struct transfer *t, uint64_t seq) NONNULL(1) MUST_USE;

/*
 * Owed deletes; all in a transaction of the caller's, with the rows of names as
 * they are to be.
 *
 * settle: behind the put of version vid of this inode, or with vid 0 when there
 * will be none: what it owes is deleted now that its successor is in the line.
 * A key that is a name of the mount again is left to that name.
 */
int transfer_settle(struct transfer *t, uint64_t ino, uint64_t vid) NONNULL(1)
	MUST_USE;
/* A name whose object the bucket holds was taken from the mount by a rename
 * that has no place in the line: the put of this inode will be it. */
int transfer_owe(struct transfer *t, uint64_t ino, const char *key)
	NONNULL(1, 3) MUST_USE;
/* The inode shows an earlier version again, under this key: the bucket's object
 * follows from the key that is owed; the rest is settled.  -ESTALE: no owed key
 * holds it any longer, or not for long. */
int transfer_follow(struct transfer *t, uint64_t ino, const char *key)
	NONNULL(1, 3) MUST_USE;
/* The inode shows a published version again, under this key: whether the bucket
 * has it there, will have it, or has it where it is owed.  -ESTALE: it has not.
 */
int transfer_stands(struct transfer *t, uint64_t ino, const char *key)
	NONNULL(1, 3) MUST_USE;
/* A folder was renamed: so will what is owed below it. */
int transfer_owed_moved(struct transfer *t, const char *from, const char *to)
	NONNULL(1, 2, 3) MUST_USE;
/* Before an operation is added that has the bucket show something under this key
 * (a folder's: with a slash at its end) or, with tree, also below it: where a
 * file and a folder of one name cannot be in the bucket at once, what is owed and
 * in the way goes first.  leaves: an inode (0: none) whose name the rows still
 * have, and which leaves it without an operation that speaks of the key. */
int transfer_make_room(struct transfer *t, const char *key, bool tree,
		       uint64_t leaves)
	NONNULL(1, 2) MUST_USE;
/* Whether a delete of this key is owed (in doubt: yes). */
bool transfer_owed(struct transfer *t, const char *key) NONNULL(1, 2);

/*
 * The losing side of a conflict, kept here and published beside the user's
 * objects (src/transfer/beside.c); all but the first in a transaction of the
 * caller's.
 *
 * The rest of such a key, PATH/WRITE-ID; NULL: it is none.
 */
const char *transfer_beside(const struct transfer *t, const char *key)
	NONNULL(1, 2);
struct transfer_beside {
	char key[1025];
	bool is_there; /* the bucket has it; else it is on its way */
	uint64_t seq; /* its place, if it is on its way */
	bool parked; /* the store refuses it */
	char why[160]; /* then: what it said */
};
/* Where the object of a version in conflict is, or will be.  -ENOENT: nowhere. */
int transfer_beside_of(struct transfer *t, uint64_t vid,
		       struct transfer_beside *ret) NONNULL(1, 3) MUST_USE;
/* Have a version be published so, whose key is this.  -ENODATA: it has no
 * bytes; -ENAMETOOLONG: it can have no such key.  transfer_kick() after the
 * commit. */
struct meta_version;
int transfer_beside_add(struct transfer *t, const struct meta_version *v,
			const char *key) NONNULL(1, 2, 3) MUST_USE;

/* Whether a version's body upload has begun: then it is no longer folded for
 * free.  For status and tests. */
bool transfer_underway(struct transfer *t, uint64_t vid) NONNULL(1);

/* Whether its commit was handed out, perhaps by an earlier life, or may be at any
 * time: whatever becomes of it, the bucket may have it.  In doubt: yes. */
bool transfer_begun(struct transfer *t, uint64_t vid) NONNULL(1);

/* In a transaction: the number of the operation that publishes a version; 0:
 * none does. */
int transfer_place(struct transfer *t, uint64_t vid, uint64_t *ret_seq)
	NONNULL(1, 3) MUST_USE;

/* In a transaction: whether the marker of a folder, that has this key by now, is
 * about to be deleted, though one may come after it (in doubt: yes). */
bool transfer_marker_goes(struct transfer *t, uint64_t ino, const char *key)
	NONNULL(1, 3);
/* Another upload_limit, from now on: bytes per second; 0: none. */
void transfer_set_limit(struct transfer *t, uint64_t limit) NONNULL(1);

/*
 * Wait until nothing numbered up to seq is left in the line whose key is
 * prefix or lies under it ("": all).  0; -ETIMEDOUT; -EIO when one of them is
 * parked or otherwise cannot finish by itself; -ECANCELED at shutdown.  Hurries
 * delays along (upload_delay does not apply to what somebody waits for).
 */
int transfer_wait(struct transfer *t, const char *prefix, uint64_t seq,
		  int64_t deadline_mono_ns) NONNULL(1, 2) MUST_USE;

/* In a transaction that has added no operation yet: whether a queued one speaks
 * of this key, or of a folder above it (in doubt: yes). */
bool transfer_queued(struct transfer *t, const char *key) NONNULL(1, 2);
/* The same, or its delete is owed, or ended at since_mono_ns or later: then a
 * listing that began at that time says nothing about it. */
bool transfer_covers(struct transfer *t, const char *key, int64_t since_mono_ns)
	NONNULL(1, 2);
/* The same of anything below a folder (no slash at the end): then it says
 * nothing about the folder's being there. */
bool transfer_covers_below(struct transfer *t, const char *dir,
			   int64_t since_mono_ns) NONNULL(1, 2);

enum transfer_why {
	TRANSFER_WHY_UPLOADING,
	TRANSFER_WHY_COMMITTING,
	TRANSFER_WHY_QUEUED, /* a worker will take it */
	TRANSFER_WHY_DELAY, /* upload_delay, upload_interval */
	TRANSFER_WHY_ORDER, /* waits for what was finished before it */
	TRANSFER_WHY_SEAL, /* its seal is not final: still open or mapped */
	TRANSFER_WHY_RETRY, /* the store refused or did not answer */
	TRANSFER_WHY_PARKED,
};
const char *transfer_why_text(enum transfer_why why);

/* One waiting operation, for status. */
struct transfer_item {
	uint64_t seq, ino, vid;
	const char *verb; /* "put" "delete" "rename" "symlink" "mkdir" */
	const char *key, *to;
	uint64_t size, sent; /* bytes */
	int64_t since_real_ns; /* sealed or queued */
	enum transfer_why why;
	int64_t retry_mono_ns; /* next try, when RETRY */
	const char *error; /* in words, "" if none */
	uint64_t waits_for; /* seq that blocks it, when ORDER; else 0 */
};
typedef int transfer_item_fn(void *arg, const struct transfer_item *item);
/* In order of the line; non-zero stops.  The strings live during the call.  If
 * the rows cannot be read: those last read, and then why. */
int transfer_each(struct transfer *t, transfer_item_fn *fn, void *arg)
	NONNULL(1, 2) MUST_USE;

struct transfer_stats {
	uint64_t bytes_sent, bytes_copied; /* since the mount */
	uint64_t puts, deletes, copies, renames; /* committed */
	uint64_t retries, folded; /* calls tried again; ops never sent */
	uint64_t rate; /* bytes per second, lately */
	unsigned at_once, at_once_most; /* requests: now, and max_uploads */
	uint64_t limit; /* bytes per second; 0: none */
	uint64_t queued_ops, queued_bytes;
	int64_t oldest_real_ns; /* of what is queued; 0: nothing is */
	/* the work of it: times that all of a line was looked through, rows
	 * looked at in all */
	uint64_t scans, visited;
	bool can_drain; /* some of it will go without anybody's help */
	char last_error[160]; /* "" after a success */
};
void transfer_stats(struct transfer *t, struct transfer_stats *ret)
	NONNULL(1, 2);

/* Whether a name is one that is not published until renamed or old: pure. */
bool transfer_name_is_temporary(const char *path) NONNULL(1);
/* Whether a name is a log that is published while open: pure.  globs: patterns
 * of at most so many bytes, with colons in between.  One with a slash is of the
 * path below the mount, any other of the last name. */
#define TRANSFER_GLOB_MAX 255
#define TRANSFER_LIVE "events.out.tfevents.*:*.log:*.out:*.err:*.jsonl"
bool transfer_name_is_live(const char *globs, const char *path) NONNULL(1, 2);
/* How long after a put of a log of this size comes the next: so that all that is
 * sent of it (copied: copied by the server) grows with time, and not with the
 * square of it.  Pure. */
int64_t transfer_log_interval(int64_t interval, uint64_t size, bool copied);
/* The same for the log of this key in this bucket.  No lock held. */
int64_t transfer_log_pause(struct transfer *t, const char *key, uint64_t size)
	NONNULL(1, 2);

#endif
