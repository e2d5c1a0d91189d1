/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this module share. */
#ifndef META_INTERNAL_H
#define META_INTERNAL_H

#include <sqlite3.h>

#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/host.h"
#include "ckptfs/log.h"
#include "ckptfs/meta.h"
#include "ckptfs/rng.h"

#define META_PAGE 4096
#define WAL_HEADER 32
#define WAL_FRAME (24 + META_PAGE)
#define META_SCHEMA 1

/* The rules of recovery, so that a test can break each and see that it is
 * needed.  Nobody else passes other than the defaults. */
struct meta_rules {
	bool no_cut; /* the log counts whole, whatever happened */
	bool checkpoint_any; /* also when the log is longer than the mark */
};

enum stmt {
	S_BEGIN,
	S_COMMIT,
	S_ROLLBACK,
	S_KV_GET,
	S_KV_SET,
	S_INODE_ADD,
	S_INODE_SET,
	S_INODE_GET,
	S_INODE_DEL,
	S_INODE_UNLINKED,
	S_NAME_ADD,
	S_NAME_DEL,
	S_NAME_GET,
	S_NAME_EACH,
	S_VERSION_ADD,
	S_VERSION_SET,
	S_VERSION_GET,
	S_VERSION_DEL,
	S_VERSION_EACH,
	S_VERSION_SINCE,
	S_OP_ADD,
	S_OP_SET,
	S_OP_GET,
	S_OP_DEL,
	S_OP_EACH,
	S_OBJECT_SET,
	S_OBJECT_GET,
	S_OBJECT_DEL,
	S_OBJECT_EACH,
	S_UPLOAD_SET,
	S_UPLOAD_GET,
	S_UPLOAD_DEL,
	S_UPLOAD_EACH,
	S_PART_SET,
	S_PART_EACH,
	S_PART_DEL,
	S_DEAD_ADD,
	S_DEAD_DEL,
	S_DEAD_EACH,
	S_COUNT
};

/* The record of the last barrier: one slot of the file. */
struct meta_slot {
	char magic[8];
	uint64_t counter;
	uint64_t stamp; /* change number the mark covers */
	uint32_t frames;
	unsigned char salt[8];
	char boot[40];
	uint32_t pad;
	uint64_t crc;
};

struct meta {
	const struct host *host;
	struct meta_rules rules;
	struct lock lock; /* LOCK_META; guards the connection and the rest */
	sqlite3 *db;
	sqlite3_stmt *stmt[S_COUNT];
	sqlite3_vfs vfs;
	char vfs_name[40];
	int wal_fd; /* -1: not open */
	bool begun;
	bool broken; /* this transaction can only be ended */
	uint32_t frames; /* in the log, after the last commit */
	uint32_t epoch;
	uint64_t commits, durable; /* since the open */
	uint64_t log_limit;
	int barrier_fd;
	struct meta_slot slot; /* the last one recorded */
	bool failed; /* a sync failed: for ever */
	bool ballast;
	uint64_t ballast_size;
	/* for status: read without the lock */
	_Atomic uint64_t commits_seen, durable_seen;
	_Atomic uint32_t frames_seen;
};

/* vfs.c */
int vfs_register(struct meta *m);
void vfs_unregister(struct meta *m);

/* db.c */
int db_open(struct meta *m);
int db_schema(struct meta *m);
void db_close(struct meta *m);
int db_error(struct meta *m, int rc, const char *what);
/* A prepared statement, reset and ready to be bound. */
int stmt_get(struct meta *m, enum stmt s, sqlite3_stmt **ret);
/* Step to the end: 0, or an error.  -EEXIST: a key is taken. */
int stmt_run(struct meta *m, sqlite3_stmt *st);
/* 1 a row, 0 no more. */
int stmt_row(struct meta *m, sqlite3_stmt *st);
int stmt_changed(struct meta *m); /* -ENOENT when the last touched no row */
int kv_get(struct meta *m, const char *k, int64_t *ret);
int kv_set(struct meta *m, const char *k, int64_t v);
int kv_get_text(struct meta *m, const char *k, char *ret, size_t size);
int kv_set_text(struct meta *m, const char *k, const char *v);
void ballast_drop(struct meta *m);
void ballast_make(struct meta *m);

/* rows_line.c: versions changed after a change number */
int versions_since(struct meta *m, uint64_t since, meta_version_fn *fn,
		   void *arg);

/* recover.c */
int slots_read(struct meta *m, bool *ret_any, bool *ret_file);
int slot_write(struct meta *m, const struct meta_slot *slot);
int log_cut(struct meta *m, bool have_slot, uint64_t *ret_dropped);
int wal_salt(struct meta *m, int fd, unsigned char ret[8]);

int meta_open_rules(const struct host *host, const struct meta_opts *opts,
		    const struct meta_rules *rules, struct meta **ret,
		    struct meta_report *ret_report);

#endif
