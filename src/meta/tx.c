/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions, and the numbers that are given once. */
#include "config.h"

#include <assert.h>
#include <errno.h>

#include "ckptfs/log.h"

#include "meta/internal.h"

#define LOG_MODULE "meta"

static const char *const counter_key[COUNTERS] = {
	[COUNT_INO] = "last_ino",
	[COUNT_VID] = "last_vid",
	[COUNT_SEQ] = "last_seq",
};

static int run_plain(struct meta *m, enum query q)
{
	struct run r;

	run_begin(&r, m, q);
	return run_do(&r, false);
}

/* ---- transactions ---- */

NO_TSA int meta_begin(struct meta *m)
{
	int r;

	lock_acquire(&m->lock);
	assert(!m->begun);
	r = run_plain(m, Q_BEGIN);
	if (r < 0) {
		lock_release(&m->lock);
		return r;
	}
	m->begun = m->open = true;
	m->tx_error = 0;
	m->counts_before = m->counts;
	return 0;
}

int meta_commit(struct meta *m)
{
	int r;

	meta_assert_begun(m);
	assert(m->open);
	r = m->tx_error;
	if (r == 0)
		r = run_plain(m, Q_COMMIT);
	if (r == 0)
		m->open = false;
	return r;
}

static void roll_back(struct meta *m)
{
	m->counts = m->counts_before;
	m->open = false;
	/* Some errors have made SQLite do it by itself. */
	if (!sqlite3_get_autocommit(m->db) && run_plain(m, Q_ROLLBACK) < 0)
		log_warn("a transaction cannot be rolled back");
}

NO_TSA void meta_end(struct meta *m)
{
	meta_assert_begun(m);
	if (m->open)
		roll_back(m);
	m->begun = false;
	lock_release(&m->lock);
}

void meta_assert_begun(const struct meta *m)
{
	lock_assert_held(&m->lock);
	assert(m->begun);
}

/* Called by SQLite for each commit that wrote to the log. */
int tx_committed(void *arg, sqlite3 *db, const char *name, int frames)
{
	struct meta *m = arg;

	(void)db;
	(void)name;
	__atomic_store_n(&m->frames, (uint32_t)frames, __ATOMIC_RELAXED);
	__atomic_store_n(&m->checkpointed, false, __ATOMIC_RELAXED);
	__atomic_add_fetch(&m->commits, 1, __ATOMIC_RELEASE);
	return SQLITE_OK;
}

uint64_t meta_commits(const struct meta *m)
{
	return __atomic_load_n(&m->commits, __ATOMIC_ACQUIRE);
}

uint64_t meta_commits_durable(const struct meta *m)
{
	return __atomic_load_n(&m->durable, __ATOMIC_ACQUIRE);
}

/* ---- numbers ---- */

uint64_t chg_of(const struct meta *m, uint64_t commits)
{
	return (uint64_t)m->epoch << 32 | (uint32_t)commits;
}

uint64_t chg_next(const struct meta *m)
{
	return chg_of(m, meta_commits(m) + 1);
}

uint64_t count_next(struct meta *m, enum counter c)
{
	return ++m->counts.last[c];
}

/*
 * The newest number given is the greatest of the rows, or what kv says if
 * that row is gone: so giving one costs nothing, and taking back the newest
 * costs a row.
 */
int count_drop(struct meta *m, enum counter c, uint64_t n)
{
	int r;

	meta_assert_begun(m);
	if (n != m->counts.last[c] || n == m->counts.kept[c])
		return m->tx_error;
	r = kv_set(m, counter_key[c], n);
	if (r == 0)
		m->counts.kept[c] = n;
	return r;
}

int counts_load(struct meta *m)
{
	static const enum query max[COUNTERS] = {
		[COUNT_INO] = Q_INODE_MAX,
		[COUNT_VID] = Q_VERSION_MAX,
		[COUNT_SEQ] = Q_OP_MAX,
	};
	uint64_t kept, row;
	unsigned c;
	int r;

	for (c = 0; c < COUNTERS; c++) {
		kept = row = 0;
		r = kv_get(m, counter_key[c], &kept);
		if (r == 0 || r == -ENOENT)
			r = query_u64(m, max[c], &row);
		if (r < 0)
			return r;
		m->counts.kept[c] = kept;
		m->counts.last[c] = kept > row ? kept : row;
	}
	return query_u64(m, Q_OWED_COUNT, &m->counts.owed);
}
