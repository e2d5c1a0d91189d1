/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The durable local state: one SQLite database, and the barrier that makes it
 * power-safe.  Everything that must survive is a row here; this module knows
 * rows, not what they mean together.
 *
 * One connection, one lock (LOCK_META), which meta_begin() takes and
 * meta_end() drops: a transaction also serialises every change of the
 * namespace.  A commit survives the death of the process.  It survives a power
 * cut once a barrier that covers it is recorded:
 *
 *	meta_mark(m, &mark)		under the lock: how long the log is
 *	  ... the caller makes the blobs those rows speak of durable ...
 *	meta_barrier(m, &mark)		no lock: log durable, mark recorded
 *
 * meta_open() recovers first: after a power cut the log is cut back to the
 * last recorded mark, so that the state found is that of the last barrier,
 * never a row whose bytes did not make it.
 *
 * Errors: -EIO (also a corrupt database), -ENOSPC, -ENOMEM, -ENOENT (no such
 * row: get, set and del of one row that has an "add", and every del of one
 * row), -EEXIST (the key is taken), -ENAMETOOLONG (a string longer than its
 * member).  After any other error than these last three the transaction can
 * only be ended: each call in it gives the same error again.
 *
 * Threads: any; functions marked "in a transaction" by the thread that began
 * it.
 */
#ifndef CKPTFS_META_H
#define CKPTFS_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckptfs/compiler.h"
#include "ckptfs/lock.h"

#define META_NAME_MAX 255
#define META_KEY_MAX 1024
#define META_ROOT_INO 1

/* While this file is in the cache folder its database is being made from the
 * blobs, and nobody else may open it. */
#define META_REBUILD "db-rebuild"

struct host;
struct meta;

/* Fifos and sockets are names in this cache alone: a bucket has no such thing. */
enum meta_kind {
	META_FILE = 1,
	META_DIR,
	META_SYMLINK,
	META_FIFO,
	META_SOCKET,
};

/* One file, folder, symbolic link and so on; its number is for ever. */
struct meta_inode {
	uint64_t ino;
	enum meta_kind kind;
	uint64_t parent; /* 0: unlinked, or the root */
	char name[META_NAME_MAX + 1];
	uint32_t mode; /* permission bits only */
	uint32_t uid, gid;
	int64_t mtime_ns; /* what getattr shows when nothing is open */
	int64_t ctime_ns;
	uint64_t size; /* of the current content */
	uint64_t vid; /* current local version; 0: cold, only in the bucket */
	char key[META_KEY_MAX + 1]; /* the object it was read from or published
				       as; "": none */
	char target[META_KEY_MAX + 1]; /* of a symlink; of a file without a
					  parent: the key it had, if versions
					  of it are kept for recover */
	bool meta_known; /* mode and mtime are exact, not from a listing */
	bool marker; /* a folder: the bucket holds its marker object */
};

enum meta_state {
	META_UNFINISHED = 1, /* open, or was when the daemon died */
	META_SEALED, /* immutable; its op is in the line, or it is held */
	META_PUBLISHED, /* the bucket has it */
	META_TORN, /* its writer died; waits for recover */
	META_CONFLICT, /* another writer's object stands; ours is kept */
	META_PARKED, /* the store refuses it for good */
	META_POISONED, /* its fsync failed */
};

/* One content of a file. */
struct meta_version {
	uint64_t vid;
	uint32_t epoch; /* of the mount that made it: with vid, the write-id */
	uint64_t ino;
	enum meta_state state;
	uint64_t blob; /* 0: no local bytes */
	bool complete; /* the blob holds every byte (a download: fdatasynced) */
	bool passthrough; /* the blob was handed to the kernel once */
	bool provisional; /* the seal may still be withdrawn */
	bool held; /* sealed under a temporary name: not in the line */
	bool append_only; /* all its writers were */
	bool sparse; /* it was sealed with holes: they are no loss */
	uint64_t size;
	int64_t mtime_ns; /* of the content */
	int64_t seal_ctime_ns; /* the blob's, at the seal; one boot only */
	int64_t sealed_real_ns; /* wall clock, for status and delays */
	uint32_t mode;
	bool summed; /* crc64 is that of the bytes that were sealed */
	uint64_t crc64; /* of the whole; valid if summed or published */
	uint64_t replaces; /* vid this one was opened over; 0: none */
	int64_t used_real_ns; /* last use, for eviction; 0: not known; what
				 meta_version_set() leaves as it is */
};

enum meta_op_kind { META_OP_PUT = 1, META_OP_DEL, META_OP_RENAME,
		    META_OP_RENAME_DIR, META_OP_SYMLINK, META_OP_MARKER };

static inline bool meta_op_renames(enum meta_op_kind kind)
{
	return kind == META_OP_RENAME || kind == META_OP_RENAME_DIR;
}

/* A place in the publication line; see line.h for what it all means. */
struct meta_op {
	uint64_t seq; /* its number; never reused within an epoch's history */
	enum meta_op_kind kind;
	uint64_t ino;
	uint64_t vid; /* put: the version */
	uint64_t bound; /* number that gave the content its key, after folding */
	uint64_t open_seq; /* newest number when the file was opened */
	char key[META_KEY_MAX + 1];
	char to[META_KEY_MAX + 1]; /* renames; of a symlink: its target, which
				      is sent though its inode be gone */
	bool final; /* its seal cannot be withdrawn */
	bool cut; /* a window ends here */
	bool begun; /* something of it is visible already */
	bool unordered; /* outside the line */
	bool parked;
	bool keep; /* a rename whose old name keeps its object */
	char why[160]; /* parked: what the store said */
};

/* What the bucket has under a key, as far as we know. */
struct meta_object {
	char key[META_KEY_MAX + 1];
	uint64_t ino; /* whose content it is; 0: unknown */
	uint64_t vid; /* if it is ours and the version row lives; else 0 */
	uint64_t bound; /* the op that put it there; 0: foreign */
	char etag[129];
	uint64_t size;
	int64_t mtime_ns; /* the store's */
	bool has_crc64, has_crc32c; /* one of them at most is kept */
	uint64_t crc64;
	uint32_t crc32c;
	int64_t commit_end_ns; /* real time our last commit of it ended */
};

/* An upload in parts, from before it is begun until committed or aborted. */
struct meta_upload {
	uint64_t vid;
	char key[META_KEY_MAX + 1];
	char id[1025]; /* "": begun or about to be, id not known */
	int64_t begun_real_ns;
	uint64_t part_size;
};

struct meta_part {
	uint64_t vid;
	unsigned number; /* from 1 */
	uint64_t off, len;
	uint64_t crc64;
	uint64_t xxh_lo, xxh_hi;
	char etag[129]; /* "": planned, not sent */
};

/* ---- life ---- */

/*
 * Called during recovery for a version with a blob that may have lost its
 * bytes, sealed or beyond and not poisoned: is the blob there, not shorter
 * than size, and, unless it is sparse, without a hole inside?
 * 0 yes, -ENODATA no, else an error that ends the open.  It may not call this
 * module.
 */
typedef int meta_check_fn(void *arg, const struct meta_version *v);

struct meta_opts {
	const char *source; /* normalised; another one's database is refused */
	meta_check_fn *check;
	void *check_arg;
	/* Bytes of log that make a checkpoint due; 0: 64 MiB. */
	uint64_t log_limit;
	/* Bytes kept back for the database on a full disk; 0: none. */
	uint64_t ballast;
	/* A database that is made begins with an epoch above this one. */
	uint32_t epoch_above;
	bool rebuild; /* the caller is who left META_REBUILD there */
};

struct meta_report {
	bool fresh; /* made just now */
	bool cut; /* back to the last barrier */
	bool same_boot; /* as the last barrier, nothing was lost since, and
			   meta_boot_settled() was said in it */
	uint64_t frames_dropped;
	uint32_t epoch; /* of this mount, already durable */
	char cache_id[17]; /* hex, made once per cache */
};

/*
 * Open or make the database in the host's cache folder ("db", "db-wal",
 * "barrier", "ballast"), recover, begin a new epoch and make that power-safe.
 * -EBUSY: made for another source.  -ENOTSUP: made by a newer ckptfs.
 *
 * Recovery goes by the newer readable slot of "barrier".  Same boot id: the
 * log counts as far as its checksums go, and opts->check is asked about each
 * version row no barrier covers; if it misses one, as after a power cut.
 * Then, or if the boot id is another or unknown: the log is cut back to the
 * recorded frame, or to nothing if it is another log.  What the log says beyond
 * the barrier is made durable (one syncfs) before the new epoch's barrier
 * says so.
 *
 * One unreadable slot loses nothing: it is the one that was being written, or
 * both say the same (see meta_checkpoint()).  No readable slot, or no
 * database beside one, or a log shorter than recorded: -EIO, said in the log,
 * and nothing is changed; for there is no telling what of it is true.  So with
 * META_REBUILD.  A database whose making was cut short is made anew.
 */
int meta_open(const struct host *host, const struct meta_opts *opts,
	      struct meta **ret, struct meta_report *ret_report)
	NONNULL(1, 2, 3, 4) MUST_USE;
/* In a transaction: what another boot means for the rows is done.  Whoever opens
 * the database for less, or dies before, leaves that to the next. */
int meta_boot_settled(struct meta *m) NONNULL(1) MUST_USE;
/*
 * Where the rows went back to, or may have, when last another boot or the loss
 * of the page cache was found: what carries a later number, and an epoch before
 * this one, was made after that, and its rows are gone.  Zeros: never.  In a
 * transaction.
 */
struct meta_lost {
	uint32_t epoch; /* of the mount that found it */
	uint64_t vid, seq; /* the last that the rows know */
};
int meta_lost_get(struct meta *m, struct meta_lost *ret) NONNULL(1, 2) MUST_USE;
/* Without a barrier or checkpoint: like the process dying.  NULL is allowed. */
void meta_close(struct meta *m);

/* ---- transactions ---- */

int meta_begin(struct meta *m) NONNULL(1) MUST_USE;
/* Until meta_end() rows can still be read. */
int meta_commit(struct meta *m) NONNULL(1) MUST_USE;
/* Always called after a begin that succeeded; rolls back what was not
 * committed and drops the lock. */
void meta_end(struct meta *m) NONNULL(1);
/* This thread is in a transaction. */
void meta_assert_begun(const struct meta *m) NONNULL(1);

/* ---- the barrier ---- */

struct meta_mark {
	uint32_t frames;
	unsigned char salt[8];
	uint64_t commits; /* since meta_open(): what the mark covers */
};

/* The log as it is now; takes and drops the lock unless in a transaction. */
int meta_mark(struct meta *m, struct meta_mark *ret) NONNULL(1, 2) MUST_USE;
/* Make everything up to the mark power-safe.  No lock held; one caller of this
 * and meta_checkpoint() at a time.  -EIO is final, as of all barriers and
 * checkpoints from then on: the mount must refuse new work.  Transactions
 * still work, process-safe. */
int meta_barrier(struct meta *m, const struct meta_mark *mark)
	NONNULL(1, 2) MUST_USE;
/* Commits since meta_open() that wrote something, and those a barrier
 * covers. */
uint64_t meta_commits(const struct meta *m) NONNULL(1);
uint64_t meta_commits_durable(const struct meta *m) NONNULL(1);
/* What no barrier covers is not to be believed any more, not by a later process
 * of this boot either: the next meta_open() takes it for lost, as in a power cut.
 * For who cannot say in rows what a failed sync lost.  No more barriers may
 * follow.  -EIO: nor can this be said. */
int meta_disbelieve(struct meta *m) NONNULL(1) MUST_USE;
/* Whether the log is long enough for a checkpoint. */
bool meta_checkpoint_due(const struct meta *m) NONNULL(1);
/* Checkpoint if the log is exactly as long as the recorded mark; -EAGAIN if
 * not: barrier again.  Takes the lock, and syncs while it has it.  Also makes
 * the ballast again if it was used up. */
int meta_checkpoint(struct meta *m) NONNULL(1) MUST_USE;

/*
 * ---- rows; all in a transaction ----
 *
 * Rows added or set by "set" alone (objects, uploads, parts, owed) replace one of the
 * same key.  A function called for each row may read and change rows of any
 * kind; whether rows it adds to those walked over are seen is open.
 */

/* A new inode (row->ino is set) or a changed one. */
int meta_inode_add(struct meta *m, struct meta_inode *row) NONNULL(1, 2) MUST_USE;
int meta_inode_set(struct meta *m, const struct meta_inode *row)
	NONNULL(1, 2) MUST_USE;
int meta_inode_get(struct meta *m, uint64_t ino, struct meta_inode *ret)
	NONNULL(1, 3) MUST_USE;
int meta_inode_del(struct meta *m, uint64_t ino) NONNULL(1) MUST_USE;
typedef int meta_inode_fn(void *arg, const struct meta_inode *row);
/* Inodes with parent 0 that are not the root: unlinked while open. */
int meta_inode_each_unlinked(struct meta *m, meta_inode_fn *fn, void *arg)
	NONNULL(1, 2) MUST_USE;

/* Directory entries.  -EEXIST when add finds the name taken. */
int meta_name_add(struct meta *m, uint64_t parent, const char *name,
		  uint64_t ino) NONNULL(1, 3) MUST_USE;
int meta_name_del(struct meta *m, uint64_t parent, const char *name)
	NONNULL(1, 3) MUST_USE;
int meta_name_get(struct meta *m, uint64_t parent, const char *name,
		  uint64_t *ret_ino) NONNULL(1, 3, 4) MUST_USE;
/* The inodes in a folder, in order of name; non-zero stops. */
int meta_name_each(struct meta *m, uint64_t parent, meta_inode_fn *fn,
		   void *arg) NONNULL(1, 3) MUST_USE;

/* The number that the next meta_version_add() gives. */
uint64_t meta_version_next(const struct meta *m) NONNULL(1);
int meta_version_add(struct meta *m, struct meta_version *row)
	NONNULL(1, 2) MUST_USE;
int meta_version_set(struct meta *m, const struct meta_version *row)
	NONNULL(1, 2) MUST_USE;
/* It was last used then.  Not a change of the version: nothing of it needs to
 * be looked at by recovery. */
int meta_version_used(struct meta *m, uint64_t vid, int64_t used_real_ns)
	NONNULL(1) MUST_USE;
int meta_version_get(struct meta *m, uint64_t vid, struct meta_version *ret)
	NONNULL(1, 3) MUST_USE;
/* Its parts go too; its upload row stays until the upload is aborted. */
int meta_version_del(struct meta *m, uint64_t vid) NONNULL(1) MUST_USE;
typedef int meta_version_fn(void *arg, const struct meta_version *row);
int meta_version_each(struct meta *m, meta_version_fn *fn, void *arg)
	NONNULL(1, 2) MUST_USE;
/* Those changed since the last barrier. */
int meta_version_each_unsafe(struct meta *m, meta_version_fn *fn, void *arg)
	NONNULL(1, 2) MUST_USE;

/* row->seq is set: greater than any before. */
int meta_op_add(struct meta *m, struct meta_op *row) NONNULL(1, 2) MUST_USE;
int meta_op_set(struct meta *m, const struct meta_op *row)
	NONNULL(1, 2) MUST_USE;
int meta_op_get(struct meta *m, uint64_t seq, struct meta_op *ret)
	NONNULL(1, 3) MUST_USE;
int meta_op_del(struct meta *m, uint64_t seq) NONNULL(1) MUST_USE;
typedef int meta_op_fn(void *arg, const struct meta_op *row);
/* Those numbered above `after`, in order. */
int meta_op_each(struct meta *m, uint64_t after, meta_op_fn *fn, void *arg)
	NONNULL(1, 3) MUST_USE;
/* The newest number given, 0 if none. */
int meta_op_last(struct meta *m, uint64_t *ret_seq) NONNULL(1, 2) MUST_USE;

int meta_object_set(struct meta *m, const struct meta_object *row)
	NONNULL(1, 2) MUST_USE;
int meta_object_get(struct meta *m, const char *key, struct meta_object *ret)
	NONNULL(1, 2, 3) MUST_USE;
int meta_object_del(struct meta *m, const char *key) NONNULL(1, 2) MUST_USE;
typedef int meta_object_fn(void *arg, const struct meta_object *row);
/* Keys that begin with prefix, in order. */
int meta_object_each(struct meta *m, const char *prefix, meta_object_fn *fn,
		     void *arg) NONNULL(1, 2, 3) MUST_USE;

int meta_upload_set(struct meta *m, const struct meta_upload *row)
	NONNULL(1, 2) MUST_USE;
int meta_upload_get(struct meta *m, uint64_t vid, struct meta_upload *ret)
	NONNULL(1, 3) MUST_USE;
int meta_upload_del(struct meta *m, uint64_t vid) NONNULL(1) MUST_USE;
typedef int meta_upload_fn(void *arg, const struct meta_upload *row);
/* Also those whose version is gone: to be aborted. */
int meta_upload_each(struct meta *m, meta_upload_fn *fn, void *arg)
	NONNULL(1, 2) MUST_USE;
int meta_part_set(struct meta *m, const struct meta_part *row)
	NONNULL(1, 2) MUST_USE;
typedef int meta_part_fn(void *arg, const struct meta_part *row);
int meta_part_each(struct meta *m, uint64_t vid, meta_part_fn *fn, void *arg)
	NONNULL(1, 3) MUST_USE;
int meta_part_del_all(struct meta *m, uint64_t vid) NONNULL(1) MUST_USE;

/* Blobs that no row needs any more: unlinked after the next barrier.  Adding
 * one again changes nothing. */
int meta_dead_add(struct meta *m, uint64_t blob) NONNULL(1) MUST_USE;
int meta_dead_del(struct meta *m, uint64_t blob) NONNULL(1) MUST_USE;
typedef int meta_dead_fn(void *arg, uint64_t blob);
int meta_dead_each(struct meta *m, meta_dead_fn *fn, void *arg)
	NONNULL(1, 2) MUST_USE;

/*
 * Owed deletes: a key whose object a rename took from the mount, while the
 * content that rename gave another name left the line again.  The object is
 * deleted behind the next content of that inode, or at once if there will be
 * none (transfer_settle()).  One inode a key: set replaces.
 */
int meta_owed_set(struct meta *m, const char *key, uint64_t ino)
	NONNULL(1, 2) MUST_USE;
int meta_owed_get(struct meta *m, const char *key, uint64_t *ret_ino)
	NONNULL(1, 2, 3) MUST_USE;
int meta_owed_del(struct meta *m, const char *key) NONNULL(1, 2) MUST_USE;
typedef int meta_owed_fn(void *arg, const char *key, uint64_t ino);
/* In order of the key; non-zero stops. */
int meta_owed_each(struct meta *m, meta_owed_fn *fn, void *arg)
	NONNULL(1, 2) MUST_USE;
/* Whether there are any, in a transaction: known without asking SQLite. */
bool meta_owed_any(const struct meta *m) NONNULL(1);

/* ---- for fsck; in a transaction ---- */

enum meta_fault {
	META_FAULT_DAMAGE, /* the file is damaged: text says where */
	META_FAULT_NAME, /* text is the name of inode n, which has no row */
	META_FAULT_CONTENT, /* inode n, named text, shows a version without
			       a row: its folder cannot be read */
	META_FAULT_NAMELESS, /* inode n is to be in a folder by that name, and
				is not */
};
typedef int meta_fault_fn(void *arg, enum meta_fault kind, uint64_t n,
			  const char *text);
/* What of the rows cannot be; non-zero from fn stops.  All of it is read. */
int meta_check(struct meta *m, meta_fault_fn *fn, void *arg) NONNULL(1, 2)
	MUST_USE;
/* Names without an inode go, content without a row is forgotten, an inode
 * gets its name back if that is free.  Damage stays. */
int meta_mend(struct meta *m) NONNULL(1) MUST_USE;

#endif
