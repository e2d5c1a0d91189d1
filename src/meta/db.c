/* SPDX-License-Identifier: Apache-2.0 */
/* The connection, the schema, the rows that say what this database is. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/log.h"

#include "meta/internal.h"

#define LOG_MODULE "meta"

/* ---- connection ---- */

static int exec(struct meta *m, const char *sql)
{
	return meta_errno(m, sqlite3_exec(m->db, sql, NULL, NULL, NULL), sql);
}

static int pragmas(struct meta *m)
{
	static const char *const sql[] = {
		"PRAGMA page_size=4096",	"PRAGMA locking_mode=EXCLUSIVE",
		"PRAGMA synchronous=NORMAL",	"PRAGMA temp_store=MEMORY",
		"PRAGMA cache_size=-16384",	"PRAGMA journal_mode=WAL",
		"PRAGMA journal_size_limit=-1", "PRAGMA wal_autocheckpoint=0",
	};
	unsigned i;
	int r = 0;

	for (i = 0; i < ARRAY_SIZE(sql) && r == 0; i++)
		r = exec(m, sql[i]);
	return r;
}

static int configure(struct meta *m)
{
	int rc;

	(void)sqlite3_extended_result_codes(m->db, 1);
	rc = sqlite3_db_config(m->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
			       NULL);
	return meta_errno(m, rc, "configure");
}

int db_open(struct meta *m)
{
	int rc, r;

	rc = sqlite3_open_v2(META_DB, &m->db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
				     SQLITE_OPEN_NOMUTEX,
			     vfs_name(m->vfs));
	r = meta_errno(m, rc, "open the database");
	if (r == 0)
		r = configure(m);
	if (r == 0)
		r = pragmas(m);
	if (r < 0) {
		db_close(m);
		return r;
	}
	/* After the pragma: both use the same hook. */
	(void)sqlite3_wal_hook(m->db, tx_committed, m);
	return 0;
}

void db_close(struct meta *m)
{
	unsigned i;

	for (i = 0; i < QUERIES; i++) {
		(void)sqlite3_finalize(m->stmt[i]);
		m->stmt[i] = NULL;
	}
	m->busy = 0;
	(void)sqlite3_close(m->db);
	m->db = NULL;
}

/* ---- kv ---- */

/* This boot's record is not the one before, and nobody has looked yet what that
 * means for the rows. */
#define BOOT_DUE "boot_due"

int kv_set(struct meta *m, const char *key, uint64_t value)
{
	struct run r;

	row_begin(&r, m, Q_KV_SET);
	bind_text(&r, key);
	bind_u64(&r, value);
	return run_do(&r, false);
}

static int kv_set_text(struct meta *m, const char *key, const char *value)
{
	struct run r;

	row_begin(&r, m, Q_KV_SET);
	bind_text(&r, key);
	bind_text(&r, value);
	return run_do(&r, false);
}

int kv_get(struct meta *m, const char *key, uint64_t *ret)
{
	struct run r;

	run_begin(&r, m, Q_KV_GET);
	bind_text(&r, key);
	if (run_one(&r) == 0)
		*ret = col_u64(&r);
	return run_end(&r);
}

static int kv_get_text(struct meta *m, const char *key, char *ret, size_t room)
{
	struct run r;

	run_begin(&r, m, Q_KV_GET);
	bind_text(&r, key);
	if (run_one(&r) == 0)
		col_str(&r, ret, room);
	return run_end(&r);
}

/* Whether kv has exactly this text. */
static int kv_compare(struct meta *m, const char *key, const char *want,
		      bool *ret)
{
	struct run r;

	run_begin(&r, m, Q_KV_GET);
	bind_text(&r, key);
	if (run_one(&r) == 0)
		*ret = col_is(&r, want);
	return run_end(&r);
}

int query_u64(struct meta *m, enum query q, uint64_t *ret)
{
	struct run r;

	run_begin(&r, m, q);
	if (run_one(&r) == 0)
		*ret = col_u64(&r);
	return run_end(&r);
}

/* ---- making ---- */

static int first_rows(struct meta *m, const struct meta_opts *opts,
		      const char cache_id[17])
{
	int64_t now = clk_real(m->host.clk);
	struct meta_inode root = {
		.ino = META_ROOT_INO,
		.kind = META_DIR,
		.mode = 0755,
		.mtime_ns = now,
		.ctime_ns = now,
		.meta_known = true,
	};
	int r;

	r = kv_set_text(m, "source", opts->source);
	if (r == 0)
		r = kv_set_text(m, "cache_id", cache_id);
	if (r == 0)
		r = kv_set(m, "epoch", opts->epoch_above);
	if (r == 0)
		r = inode_insert(m, &root);
	return r;
}

int db_create(struct meta *m, const struct meta_opts *opts,
	      const char cache_id[17])
{
	char version[40];
	int r;

	snprintf(version, sizeof(version), "PRAGMA user_version=%d",
		 META_SCHEMA);
	r = meta_begin(m);
	if (r < 0)
		return r;
	r = exec(m, meta_schema);
	if (r == 0)
		r = exec(m, version);
	if (r == 0)
		r = first_rows(m, opts, cache_id);
	if (r == 0)
		r = meta_commit(m);
	meta_end(m);
	return r;
}

/* ---- opening ---- */

static int check_version(struct meta *m)
{
	uint64_t have = 0;
	int r = query_u64(m, Q_USER_VERSION, &have);

	if (r < 0)
		return r;
	if (have > META_SCHEMA)
		return log_err(-ENOTSUP,
			       "the cache is of schema %" PRIu64
			       ", made by a newer ckptfs; this one knows %d",
			       have, META_SCHEMA);
	if (have < META_SCHEMA)
		return log_err(-EIO, "the cache is of schema %" PRIu64, have);
	return 0;
}

static int check_source(struct meta *m, const char *source)
{
	bool same = false;
	int r = kv_compare(m, "source", source, &same);

	if (r == 0 && !same)
		r = log_err(-EBUSY, "the cache belongs to another source");
	return r;
}

int db_load(struct meta *m, const struct meta_opts *opts, char ret_cache_id[17])
{
	uint64_t epoch = 0;
	int r;

	r = check_version(m);
	if (r == 0)
		r = check_source(m, opts->source);
	if (r == 0)
		r = kv_get(m, "epoch", &epoch);
	if (r == 0)
		r = kv_get_text(m, "cache_id", ret_cache_id, 17);
	if (r == 0)
		r = counts_load(m);
	if (r == -ENOENT)
		return log_err(-EIO, "the database lacks a row it began with");
	m->epoch = (uint32_t)epoch;
	return r;
}

/* See struct meta_lost. */
#define LOST_EPOCH "lost_epoch"
#define LOST_VID "lost_vid"
#define LOST_SEQ "lost_seq"

static int lost_set(struct meta *m)
{
	int r = kv_set(m, LOST_EPOCH, m->epoch);

	if (r == 0)
		r = kv_set(m, LOST_VID, m->counts.last[COUNT_VID]);
	return r == 0 ? kv_set(m, LOST_SEQ, m->counts.last[COUNT_SEQ]) : r;
}

int meta_lost_get(struct meta *m, struct meta_lost *ret)
{
	struct meta_lost lost = { 0 };
	uint64_t epoch = 0;
	int r = kv_get(m, LOST_EPOCH, &epoch);

	if (r == 0)
		r = kv_get(m, LOST_VID, &lost.vid);
	if (r == 0)
		r = kv_get(m, LOST_SEQ, &lost.seq);
	if (r < 0 && r != -ENOENT)
		return r;
	lost.epoch = (uint32_t)epoch;
	*ret = lost;
	return 0;
}

int db_begin_epoch(struct meta *m, bool fresh, bool *same_boot)
{
	uint64_t due = 0;
	int r = meta_begin(m);

	if (r < 0)
		return r;
	r = kv_get(m, BOOT_DUE, &due);
	if (r == -ENOENT)
		r = 0;
	if (r == 0 && !due && !*same_boot && !fresh)
		r = kv_set(m, BOOT_DUE, 1);
	m->epoch++;
	if (r == 0 && !*same_boot)
		r = lost_set(m);
	if (due)
		*same_boot = false;
	if (r == 0)
		r = kv_set(m, "epoch", m->epoch);
	if (r == 0)
		r = meta_commit(m);
	meta_end(m);
	return r;
}

int meta_boot_settled(struct meta *m)
{
	return kv_set(m, BOOT_DUE, 0);
}
