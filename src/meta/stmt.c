/* SPDX-License-Identifier: Apache-2.0 */
/* Running a statement: binding, stepping, reading, errors. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "ckptfs/log.h"

#include "meta/internal.h"

#define LOG_MODULE "meta"

int meta_errno(struct meta *m, int rc, const char *what)
{
	int err;

	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		err = -ENOSPC;
		break;
	default:
		err = -EIO;
	}
	return log_err(err, "%s: %s (%d)", what,
		       m->db ? sqlite3_errmsg(m->db) : sqlite3_errstr(rc), rc);
}

static void run_fail(struct run *r, int rc)
{
	if (r->err == 0)
		r->err = meta_errno(r->m, rc, meta_sql[r->q]);
}

static int prepare(struct meta *m, enum query q, bool own, sqlite3_stmt **ret)
{
	return sqlite3_prepare_v3(m->db, meta_sql[q], -1,
				  own ? 0 : SQLITE_PREPARE_PERSISTENT, ret,
				  NULL);
}

void run_begin(struct run *r, struct meta *m, enum query q)
{
	uint64_t bit = UINT64_C(1) << q;
	int rc = SQLITE_OK;

	*r = (struct run){ .m = m, .q = q, .own = (m->busy & bit) != 0 };
	if (r->own) {
		rc = prepare(m, q, true, &r->s);
	} else {
		if (!m->stmt[q])
			rc = prepare(m, q, false, &m->stmt[q]);
		r->s = m->stmt[q];
		m->busy |= bit;
	}
	if (rc != SQLITE_OK)
		run_fail(r, rc);
}

void row_begin(struct run *r, struct meta *m, enum query q)
{
	meta_assert_begun(m);
	run_begin(r, m, q);
	/* Between commit and end rows can only be read. */
	assert(m->open || r->err != 0 || sqlite3_stmt_readonly(r->s));
	if (r->err == 0)
		r->err = m->tx_error;
}

void bind_i64(struct run *r, int64_t v)
{
	int rc;

	if (r->err != 0)
		return;
	rc = sqlite3_bind_int64(r->s, ++r->col, v);
	if (rc != SQLITE_OK)
		run_fail(r, rc);
}

void bind_u64(struct run *r, uint64_t v)
{
	bind_i64(r, (int64_t)v);
}

void bind_str(struct run *r, const char *s, size_t max)
{
	size_t n;
	int rc;

	if (r->err != 0)
		return;
	n = strnlen(s, max + 1);
	if (n > max) {
		r->err = -ENAMETOOLONG;
		return;
	}
	rc = sqlite3_bind_blob(r->s, ++r->col, s, (int)n, SQLITE_STATIC);
	if (rc != SQLITE_OK)
		run_fail(r, rc);
}

void bind_text(struct run *r, const char *s)
{
	int rc;

	if (r->err != 0)
		return;
	rc = sqlite3_bind_text(r->s, ++r->col, s, -1, SQLITE_STATIC);
	if (rc != SQLITE_OK)
		run_fail(r, rc);
}

int run_step(struct run *r)
{
	int rc;

	if (r->err != 0)
		return r->err;
	rc = sqlite3_step(r->s);
	r->col = 0;
	if (rc == SQLITE_ROW)
		return 1;
	if (rc != SQLITE_DONE)
		run_fail(r, rc);
	return r->err;
}

int64_t col_i64(struct run *r)
{
	return sqlite3_column_int64(r->s, r->col++);
}

uint64_t col_u64(struct run *r)
{
	return (uint64_t)col_i64(r);
}

void col_str(struct run *r, char *ret, size_t room)
{
	const void *p = sqlite3_column_blob(r->s, r->col);
	int n = sqlite3_column_bytes(r->s, r->col);

	ret[0] = '\0';
	if (n < 0 || (size_t)n >= room) {
		if (r->err == 0)
			r->err = log_err(-EIO, "%s: column %d of %d bytes",
					 meta_sql[r->q], r->col, n);
	} else if (n > 0 && p) {
		memcpy(ret, p, (size_t)n);
		ret[n] = '\0';
	} else if (n > 0 && r->err == 0) {
		r->err = -ENOMEM;
	}
	r->col++;
}

bool col_is(struct run *r, const char *s)
{
	const void *p = sqlite3_column_blob(r->s, r->col);
	int n = sqlite3_column_bytes(r->s, r->col++);

	return (size_t)n == strlen(s) &&
	       (n == 0 || memcmp(p, s, (size_t)n) == 0);
}

/* What leaves the transaction as it was. */
static bool is_harmless(int err)
{
	return err == 0 || err == -ENOENT || err == -EEXIST ||
	       err == -ENAMETOOLONG;
}

int run_end(struct run *r)
{
	if (r->own) {
		(void)sqlite3_finalize(r->s);
	} else {
		if (r->s)
			(void)sqlite3_reset(r->s);
		r->m->busy &= ~(UINT64_C(1) << r->q);
	}
	if (!is_harmless(r->err) && r->m->begun && r->m->tx_error == 0)
		r->m->tx_error = r->err;
	return r->err;
}

int run_do(struct run *r, bool changed)
{
	int got = run_step(r);

	if (got == 0 && changed && sqlite3_changes(r->m->db) == 0)
		r->err = -ENOENT;
	return run_end(r);
}

int run_one(struct run *r)
{
	int got = run_step(r);

	if (got == 0)
		r->err = -ENOENT;
	return r->err;
}
