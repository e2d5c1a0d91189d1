/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of operations, of objects and of deletes that are owed. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ckptfs/log.h"

#include "meta/internal.h"

#define LOG_MODULE "meta"

enum {
	OP_FINAL = 1,
	OP_CUT = 2,
	OP_BEGUN = 4,
	OP_UNORDERED = 8,
	OP_PARKED = 16,
	OP_KEEP = 32,
};

/* What the column crc64 holds; neither: nothing. */
enum { OBJECT_HAS_CRC64 = 1, OBJECT_HAS_CRC32C = 2 };

/* ---- op ---- */

static int64_t op_flags(const struct meta_op *op)
{
	return (op->final ? OP_FINAL : 0) | (op->cut ? OP_CUT : 0) |
	       (op->begun ? OP_BEGUN : 0) | (op->unordered ? OP_UNORDERED : 0) |
	       (op->parked ? OP_PARKED : 0) | (op->keep ? OP_KEEP : 0);
}

static void bind_op(struct run *r, const struct meta_op *op)
{
	bind_u64(r, op->seq);
	bind_i64(r, op->kind);
	bind_u64(r, op->ino);
	bind_u64(r, op->vid);
	bind_u64(r, op->bound);
	bind_u64(r, op->open_seq);
	bind_str(r, op->key, META_KEY_MAX);
	bind_str(r, op->to, META_KEY_MAX);
	bind_i64(r, op_flags(op));
	bind_str(r, op->why, sizeof(op->why) - 1);
}

static void read_op(struct run *r, struct meta_op *op)
{
	int64_t flags;

	op->seq = col_u64(r);
	op->kind = (enum meta_op_kind)col_i64(r);
	op->ino = col_u64(r);
	op->vid = col_u64(r);
	op->bound = col_u64(r);
	op->open_seq = col_u64(r);
	col_str(r, op->key, sizeof(op->key));
	col_str(r, op->to, sizeof(op->to));
	flags = col_i64(r);
	op->final = (flags & OP_FINAL) != 0;
	op->cut = (flags & OP_CUT) != 0;
	op->begun = (flags & OP_BEGUN) != 0;
	op->unordered = (flags & OP_UNORDERED) != 0;
	op->parked = (flags & OP_PARKED) != 0;
	op->keep = (flags & OP_KEEP) != 0;
	col_str(r, op->why, sizeof(op->why));
}

int meta_op_add(struct meta *m, struct meta_op *row)
{
	struct run r;
	int err;

	row_begin(&r, m, Q_OP_ADD);
	row->seq = count_next(m, COUNT_SEQ);
	bind_op(&r, row);
	err = run_do(&r, false);
	if (err < 0)
		row->seq = 0;
	return err;
}

int meta_op_set(struct meta *m, const struct meta_op *row)
{
	struct run r;

	row_begin(&r, m, Q_OP_SET);
	bind_op(&r, row);
	return run_do(&r, true);
}

int meta_op_get(struct meta *m, uint64_t seq, struct meta_op *ret)
{
	struct run r;

	row_begin(&r, m, Q_OP_GET);
	bind_u64(&r, seq);
	if (run_one(&r) == 0)
		read_op(&r, ret);
	return run_end(&r);
}

int meta_op_del(struct meta *m, uint64_t seq)
{
	struct run r;
	int err = count_drop(m, COUNT_SEQ, seq);

	if (err < 0)
		return err;
	row_begin(&r, m, Q_OP_DEL);
	bind_u64(&r, seq);
	return run_do(&r, true);
}

int meta_op_each(struct meta *m, uint64_t after, meta_op_fn *fn, void *arg)
{
	struct meta_op row;
	struct run r;
	int stop = 0, err;

	row_begin(&r, m, Q_OP_EACH);
	bind_u64(&r, after);
	while (stop == 0 && run_step(&r) == 1) {
		read_op(&r, &row);
		/* SQLite believes that a page is sorted. */
		if (r.err == 0 && row.seq <= after)
			r.err = log_err(-EIO, "operation %" PRIu64 " stands "
					"behind %" PRIu64 ": the database is "
					"damaged", row.seq, after);
		after = row.seq;
		if (r.err == 0)
			stop = fn(arg, &row);
	}
	err = run_end(&r);
	return err < 0 ? err : stop;
}

int meta_op_last(struct meta *m, uint64_t *ret_seq)
{
	meta_assert_begun(m);
	if (m->tx_error != 0)
		return m->tx_error;
	*ret_seq = m->counts.last[COUNT_SEQ];
	return 0;
}

/* ---- object ---- */

int meta_object_set(struct meta *m, const struct meta_object *row)
{
	struct run r;
	int64_t flags = 0;

	row_begin(&r, m, Q_OBJECT_SET);
	bind_str(&r, row->key, META_KEY_MAX);
	bind_u64(&r, row->ino);
	bind_u64(&r, row->vid);
	bind_u64(&r, row->bound);
	bind_str(&r, row->etag, sizeof(row->etag) - 1);
	bind_u64(&r, row->size);
	bind_i64(&r, row->mtime_ns);
	if (row->has_crc64)
		flags = OBJECT_HAS_CRC64;
	else if (row->has_crc32c)
		flags = OBJECT_HAS_CRC32C;
	bind_i64(&r, flags);
	bind_u64(&r, row->has_crc64 ? row->crc64 : row->crc32c);
	bind_i64(&r, row->commit_end_ns);
	return run_do(&r, false);
}

static void read_object(struct run *r, struct meta_object *row)
{
	int64_t flags;
	uint64_t crc;

	col_str(r, row->key, sizeof(row->key));
	row->ino = col_u64(r);
	row->vid = col_u64(r);
	row->bound = col_u64(r);
	col_str(r, row->etag, sizeof(row->etag));
	row->size = col_u64(r);
	row->mtime_ns = col_i64(r);
	flags = col_i64(r);
	row->has_crc64 = (flags & OBJECT_HAS_CRC64) != 0;
	row->has_crc32c = (flags & OBJECT_HAS_CRC32C) != 0;
	crc = col_u64(r);
	row->crc64 = row->has_crc64 ? crc : 0;
	row->crc32c = row->has_crc32c ? (uint32_t)crc : 0;
	row->commit_end_ns = col_i64(r);
}

int meta_object_get(struct meta *m, const char *key, struct meta_object *ret)
{
	struct run r;

	row_begin(&r, m, Q_OBJECT_GET);
	bind_str(&r, key, META_KEY_MAX);
	if (run_one(&r) == 0)
		read_object(&r, ret);
	return run_end(&r);
}

int meta_object_del(struct meta *m, const char *key)
{
	struct run r;

	row_begin(&r, m, Q_OBJECT_DEL);
	bind_str(&r, key, META_KEY_MAX);
	return run_do(&r, true);
}

int meta_object_each(struct meta *m, const char *prefix, meta_object_fn *fn,
		     void *arg)
{
	size_t n = strlen(prefix);
	struct meta_object row;
	struct run r;
	int stop = 0, err;

	row_begin(&r, m, Q_OBJECT_EACH);
	bind_str(&r, prefix, META_KEY_MAX);
	while (stop == 0 && run_step(&r) == 1) {
		read_object(&r, &row);
		if (r.err != 0 || strncmp(row.key, prefix, n) != 0)
			break;
		stop = fn(arg, &row);
	}
	err = run_end(&r);
	return err < 0 ? err : stop;
}

/* ---- owed ---- */

int meta_owed_set(struct meta *m, const char *key, uint64_t ino)
{
	uint64_t before;
	struct run r;
	int had = meta_owed_get(m, key, &before), err;

	if (had < 0 && had != -ENOENT)
		return had;
	row_begin(&r, m, Q_OWED_SET);
	bind_str(&r, key, META_KEY_MAX);
	bind_u64(&r, ino);
	err = run_do(&r, false);
	if (err == 0 && had == -ENOENT)
		m->counts.owed++;
	return err;
}

int meta_owed_get(struct meta *m, const char *key, uint64_t *ret_ino)
{
	struct run r;

	row_begin(&r, m, Q_OWED_GET);
	bind_str(&r, key, META_KEY_MAX);
	if (run_one(&r) == 0)
		*ret_ino = col_u64(&r);
	return run_end(&r);
}

int meta_owed_del(struct meta *m, const char *key)
{
	struct run r;
	int err;

	row_begin(&r, m, Q_OWED_DEL);
	bind_str(&r, key, META_KEY_MAX);
	err = run_do(&r, true);
	if (err == 0)
		m->counts.owed--;
	return err;
}

int meta_owed_each(struct meta *m, meta_owed_fn *fn, void *arg)
{
	char key[META_KEY_MAX + 1];
	struct run r;
	int stop = 0, err;
	uint64_t ino;

	row_begin(&r, m, Q_OWED_EACH);
	while (stop == 0 && run_step(&r) == 1) {
		col_str(&r, key, sizeof(key));
		ino = col_u64(&r);
		if (r.err == 0)
			stop = fn(arg, key, ino);
	}
	err = run_end(&r);
	return err < 0 ? err : stop;
}

bool meta_owed_any(const struct meta *m)
{
	meta_assert_begun(m);
	return m->counts.owed > 0;
}
