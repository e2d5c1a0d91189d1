/* SPDX-License-Identifier: Apache-2.0 */
/* The database module's inside. */
#ifndef META_INTERNAL_H
#define META_INTERNAL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckptfs/host.h"
#include "ckptfs/lock.h"
#include "ckptfs/meta.h"

#define META_DB "db"
#define META_WAL "db-wal"
#define META_JOURNAL "db-journal" /* only while the database is made */
#define META_BARRIER "barrier"
#define META_BALLAST "ballast"
#define META_SCHEMA 1 /* user_version */
#define META_PAGE 4096U

/* The rules that make a power cut harmless, so that a test can break each and
 * see that it would notice.  Nobody else passes other than zeros. */
struct meta_rules {
	bool no_cut; /* the log counts whole, whatever happened */
	bool checkpoint_any; /* also when the log is longer than the mark */
	bool no_check; /* blobs are not looked for */
	bool no_rewrite; /* what failed to sync is believed */
};

int meta_open_rules(const struct host *host, const struct meta_opts *opts,
		    const struct meta_rules *rules, struct meta **ret,
		    struct meta_report *ret_report) NONNULL(1, 2, 3, 4, 5)
	MUST_USE;

/* ---- SQL (sql.c) ---- */

enum query {
	Q_BEGIN,
	Q_COMMIT,
	Q_ROLLBACK,
	Q_INODE_ADD,
	Q_INODE_SET,
	Q_INODE_GET,
	Q_INODE_DEL,
	Q_INODE_UNLINKED,
	Q_INODE_MAX,
	Q_NAME_ADD,
	Q_NAME_DEL,
	Q_NAME_GET,
	Q_NAME_EACH,
	Q_VERSION_ADD,
	Q_VERSION_SET,
	Q_VERSION_USED,
	Q_VERSION_GET,
	Q_VERSION_DEL,
	Q_VERSION_EACH,
	Q_VERSION_CHANGED,
	Q_VERSION_MAX,
	Q_OP_ADD,
	Q_OP_SET,
	Q_OP_GET,
	Q_OP_DEL,
	Q_OP_EACH,
	Q_OP_MAX,
	Q_OBJECT_SET,
	Q_OBJECT_GET,
	Q_OBJECT_DEL,
	Q_OBJECT_EACH,
	Q_UPLOAD_SET,
	Q_UPLOAD_GET,
	Q_UPLOAD_DEL,
	Q_UPLOAD_EACH,
	Q_PART_SET,
	Q_PART_EACH,
	Q_PART_DEL_ALL,
	Q_DEAD_ADD,
	Q_DEAD_DEL,
	Q_DEAD_EACH,
	Q_OWED_SET,
	Q_OWED_GET,
	Q_OWED_DEL,
	Q_OWED_EACH,
	Q_OWED_COUNT,
	Q_KV_SET,
	Q_KV_GET,
	Q_USER_VERSION,
	Q_CHECK_DAMAGE,
	Q_CHECK_NAME,
	Q_CHECK_CONTENT,
	Q_CHECK_NAMELESS,
	Q_MEND_NAME,
	Q_MEND_CONTENT,
	Q_MEND_NAMELESS,
	QUERIES
};

extern const char *const meta_sql[QUERIES];
extern const char meta_schema[];

/* Numbers that are given once: the newest given, and what the database says
 * of it apart from the rows themselves. */
enum counter { COUNT_INO, COUNT_VID, COUNT_SEQ, COUNTERS };

struct counts {
	uint64_t last[COUNTERS];
	uint64_t kept[COUNTERS]; /* in kv */
	uint64_t owed; /* rows there are */
};

/* ---- the log and the barrier file ---- */

/* What the log says of itself. */
struct wal_info {
	bool there; /* a file long enough for a header */
	bool present; /* the header is good */
	unsigned char salt[8];
	uint32_t page;
	uint32_t frames; /* up to the last commit that is whole */
};

enum slot_kind { SLOT_NONE, SLOT_CREATING, SLOT_RECORD };

/* What one slot of the barrier file says. */
struct slot {
	enum slot_kind kind;
	uint64_t counter; /* the greater is the later */
	char boot[40]; /* "": unknown, equal to none */
	unsigned char salt[8];
	uint32_t frames;
	uint64_t chg; /* version rows above it are not covered */
};

struct slots {
	bool present; /* the file is there, with something in it */
	struct slot newest; /* kind SLOT_NONE: neither can be read */
	unsigned at; /* which one that is */
};

int slots_read(struct disk *d, struct slots *ret) NONNULL(1, 2) MUST_USE;
/* Write s to slot `at` (0, 1) of the open barrier file and make it durable. */
int slot_write(struct disk *d, int fd, unsigned at, const struct slot *s)
	NONNULL(1, 4) MUST_USE;

int wal_read(struct disk *d, struct wal_info *ret) NONNULL(1, 2) MUST_USE;
/* Keep so many frames; 0 keeps the header, so that its salts still tell. */
int wal_cut(struct disk *d, const struct wal_info *w, uint32_t frames)
	NONNULL(1, 2) MUST_USE;
/* Write the bytes after so many frames once more: a sync that failed once
 * leaves pages that no other sync would write. */
int wal_rewrite(struct disk *d, const struct wal_info *w, uint32_t from)
	NONNULL(1, 2) MUST_USE;

/* ---- what to do with what is found (plan.c, pure) ---- */

enum plan_kind {
	PLAN_FRESH, /* make a new one, throw away what is half made */
	PLAN_WHOLE, /* the log counts as it is, if the blobs are there */
	PLAN_CUT, /* keep plan.frames of it */
	PLAN_REFUSE, /* why: for the log */
};

struct found {
	bool db; /* the database file is there and not empty */
	const struct slots *slots;
	const struct wal_info *wal;
	const char *boot; /* of now; "": unknown */
};

struct plan {
	enum plan_kind kind;
	uint32_t frames;
	bool uncovered; /* WHOLE: it says more than the barrier covers */
	const char *why;
};

void plan_recovery(const struct found *f, struct plan *ret) NONNULL(1, 2);
/* The same, when the page cache turned out to be lost. */
void plan_cut(const struct found *f, struct plan *ret) NONNULL(1, 2);

/* ---- the database ---- */

struct vfs; /* vfs.c */

struct meta {
	struct host host;
	struct meta_rules rules;
	struct vfs *vfs;
	sqlite3 *db;
	sqlite3_stmt *stmt[QUERIES];
	uint64_t busy; /* statements in use: the cached one is stepped */
	uint64_t log_limit, ballast_size;
	bool has_ballast; /* guarded by lock, once open */
	uint32_t epoch;
	char boot[40];
	int barrier_fd;

	struct lock lock; /* LOCK_META, guards what follows */
	bool begun; /* between begin and end */
	bool open; /* and not committed yet */
	int tx_error; /* after it the transaction can only be ended */
	struct counts counts, counts_before;
	uint32_t frames; /* of the log, committed; atomic */
	bool checkpointed; /* all of them are in the database file; atomic */

	struct lock rec_lock; /* a leaf: what the barrier file says */
	struct slot rec;
	unsigned rec_at;
	bool failed; /* a sync failed: nothing is promised any more */

	uint64_t commits, durable; /* atomic */
};

/* db.c: open the connection to the files as they are. */
int db_open(struct meta *m) NONNULL(1) MUST_USE;
void db_close(struct meta *m) NONNULL(1);
/* The schema and the first rows, in an empty database. */
int db_create(struct meta *m, const struct meta_opts *opts,
	      const char cache_id[17]) NONNULL(1, 2) MUST_USE;
/* Look at schema and source, read the counters. */
int db_load(struct meta *m, const struct meta_opts *opts, char ret_cache_id[17])
	NONNULL(1, 2) MUST_USE;
/* The next epoch, as a commit of its own; it remembers another boot until
 * meta_boot_settled(), and same_boot is cleared as long. */
int db_begin_epoch(struct meta *m, bool fresh, bool *same_boot) NONNULL(1) MUST_USE;
int kv_set(struct meta *m, const char *key, uint64_t value) NONNULL(1, 2)
	MUST_USE;
/* -ENOENT, silently. */
int kv_get(struct meta *m, const char *key, uint64_t *ret) NONNULL(1, 2, 3)
	MUST_USE;
/* The first column of a query without parameters; 0 for NULL. */
int query_u64(struct meta *m, enum query q, uint64_t *ret) NONNULL(1, 3)
	MUST_USE;

/* recover.c: bring the files into the state of plan, and open them. */
int recover_open(struct meta *m, const struct meta_opts *opts,
		 struct meta_report *report) NONNULL(1, 2, 3) MUST_USE;

/* vfs.c: one per database; all names are in the cache folder. */
int vfs_new(const struct host *host, struct vfs **ret) NONNULL(1, 2) MUST_USE;
void vfs_free(struct vfs *v);
const char *vfs_name(const struct vfs *v) NONNULL(1);
/* Called when the disk is full; true: there is room now, try again. */
void vfs_on_full(struct vfs *v, bool (*fn)(void *arg), void *arg) NONNULL(1);
/* The log's descriptor, -1 before SQLite opened it; and the salts of its
 * header, false before SQLite wrote one. */
int vfs_wal_fd(const struct vfs *v) NONNULL(1);
void vfs_wal_salt(const struct vfs *v, unsigned char ret[8]) NONNULL(1, 2);
void vfs_set_wal_salt(struct vfs *v, const unsigned char salt[8]) NONNULL(1, 2);

/* ballast.c */
void ballast_make(struct meta *m) NONNULL(1);
bool ballast_drop(void *m);

/* barrier.c: record s in the other slot; its counter and kind are set. */
int record_write(struct meta *m, const struct slot *s) NONNULL(1, 2) MUST_USE;

/* ---- statements (stmt.c) ---- */

/* An errno for what SQLite said; logs what is not an ordinary outcome. */
int meta_errno(struct meta *m, int rc, const char *what) NONNULL(1, 3);

/*
 * One run of a statement: what is bound, then stepped, then given back.  The
 * first error is kept and every later call does nothing, so that only the
 * last one has to be looked at.
 */
struct run {
	struct meta *m;
	sqlite3_stmt *s;
	enum query q;
	bool own; /* the cached one was busy */
	int err;
	int col;
};

void run_begin(struct run *r, struct meta *m, enum query q) NONNULL(1, 2);
/* Bind the next parameter.  Bytes are borrowed until run_end(). */
void bind_u64(struct run *r, uint64_t v) NONNULL(1);
void bind_i64(struct run *r, int64_t v) NONNULL(1);
void bind_str(struct run *r, const char *s, size_t max) NONNULL(1, 2);
void bind_text(struct run *r, const char *s) NONNULL(1, 2);
/* 1: a row, 0: none (any more), else an error. */
int run_step(struct run *r) NONNULL(1) MUST_USE;
/* The next column of the row. */
uint64_t col_u64(struct run *r) NONNULL(1);
int64_t col_i64(struct run *r) NONNULL(1);
/* room: of ret, with the NUL; longer bytes are an error of the run. */
void col_str(struct run *r, char *ret, size_t room) NONNULL(1, 2);
bool col_is(struct run *r, const char *s) NONNULL(1, 2);
/* Gives the statement back; the run's error, after which the transaction can
 * only be ended unless it is -ENOENT or -EEXIST. */
int run_end(struct run *r) NONNULL(1) MUST_USE;
/* Step once, expect no row, end.  changed: -ENOENT if no row was. */
int run_do(struct run *r, bool changed) NONNULL(1) MUST_USE;
/* Step once, -ENOENT if there is no row; then columns may be read. */
int run_one(struct run *r) NONNULL(1) MUST_USE;
/* What begins a run in a transaction: asserts that there is one. */
void row_begin(struct run *r, struct meta *m, enum query q) NONNULL(1, 2);

/* A number never given before.  Counters are put back by a rollback. */
uint64_t count_next(struct meta *m, enum counter c) NONNULL(1);
/* The row of that number is about to go. */
int count_drop(struct meta *m, enum counter c, uint64_t n) NONNULL(1) MUST_USE;

/* tx.c */
int tx_committed(void *meta, sqlite3 *db, const char *name, int frames);
int counts_load(struct meta *m) NONNULL(1) MUST_USE;

/* What a version row of that commit has as its chg. */
uint64_t chg_of(const struct meta *m, uint64_t commits) NONNULL(1);
/* What a version row changed in this transaction gets as its chg: rises for
 * ever, also over mounts. */
uint64_t chg_next(const struct meta *m) NONNULL(1);

/* row_inode.c, row_version.c */
int inode_insert(struct meta *m, const struct meta_inode *row) NONNULL(1, 2)
	MUST_USE;
/* Versions changed after chg whose bytes may be lost. */
int version_each_changed(struct meta *m, uint64_t chg, meta_version_fn *fn,
			 void *arg) NONNULL(1, 3) MUST_USE;

#endif
