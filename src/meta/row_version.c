/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of versions, of uploads and their parts, and of dead blobs. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "ckptfs/log.h"

#include "meta/internal.h"

#define LOG_MODULE "meta"

enum {
	VERSION_COMPLETE = 1,
	VERSION_PASSTHROUGH = 2,
	VERSION_PROVISIONAL = 4,
	VERSION_HELD = 8,
	VERSION_APPEND_ONLY = 16,
	VERSION_SPARSE = 32,
	VERSION_SUMMED = 64,
};

/* ---- version ---- */

static int64_t version_flags(const struct meta_version *v)
{
	return (v->complete ? VERSION_COMPLETE : 0) |
	       (v->passthrough ? VERSION_PASSTHROUGH : 0) |
	       (v->provisional ? VERSION_PROVISIONAL : 0) |
	       (v->held ? VERSION_HELD : 0) |
	       (v->append_only ? VERSION_APPEND_ONLY : 0) |
	       (v->sparse ? VERSION_SPARSE : 0) |
	       (v->summed ? VERSION_SUMMED : 0);
}

static void bind_version(struct run *r, const struct meta_version *v)
{
	bind_u64(r, v->vid);
	bind_u64(r, chg_next(r->m));
	bind_i64(r, v->epoch);
	bind_u64(r, v->ino);
	bind_i64(r, v->state);
	bind_u64(r, v->blob);
	bind_i64(r, version_flags(v));
	bind_u64(r, v->size);
	bind_i64(r, v->mtime_ns);
	bind_i64(r, v->seal_ctime_ns);
	bind_i64(r, v->sealed_real_ns);
	bind_i64(r, v->mode);
	bind_u64(r, v->crc64);
	bind_u64(r, v->replaces);
}

static void read_version(struct run *r, struct meta_version *v)
{
	int64_t flags;

	v->vid = col_u64(r);
	(void)col_u64(r); /* chg */
	v->epoch = (uint32_t)col_i64(r);
	v->ino = col_u64(r);
	v->state = (enum meta_state)col_i64(r);
	v->blob = col_u64(r);
	flags = col_i64(r);
	v->complete = (flags & VERSION_COMPLETE) != 0;
	v->passthrough = (flags & VERSION_PASSTHROUGH) != 0;
	v->provisional = (flags & VERSION_PROVISIONAL) != 0;
	v->held = (flags & VERSION_HELD) != 0;
	v->append_only = (flags & VERSION_APPEND_ONLY) != 0;
	v->sparse = (flags & VERSION_SPARSE) != 0;
	v->summed = (flags & VERSION_SUMMED) != 0;
	v->size = col_u64(r);
	v->mtime_ns = col_i64(r);
	v->seal_ctime_ns = col_i64(r);
	v->sealed_real_ns = col_i64(r);
	v->mode = (uint32_t)col_i64(r);
	v->crc64 = col_u64(r);
	v->replaces = col_u64(r);
	v->used_real_ns = col_i64(r);
	/* SQLite has no check of what is in a row. */
	if (v->size > INT64_MAX && r->err == 0)
		r->err = log_err(-EIO, "version %" PRIu64 " cannot be of %" PRIu64
				 " bytes: the database is damaged", v->vid,
				 v->size);
}

uint64_t meta_version_next(const struct meta *m)
{
	meta_assert_begun(m);
	return m->counts.last[COUNT_VID] + 1;
}

int meta_version_add(struct meta *m, struct meta_version *row)
{
	struct run r;
	int err;

	row_begin(&r, m, Q_VERSION_ADD);
	row->vid = count_next(m, COUNT_VID);
	bind_version(&r, row);
	bind_i64(&r, row->used_real_ns);
	err = run_do(&r, false);
	if (err < 0)
		row->vid = 0;
	return err;
}

int meta_version_set(struct meta *m, const struct meta_version *row)
{
	struct run r;

	row_begin(&r, m, Q_VERSION_SET);
	bind_version(&r, row);
	return run_do(&r, true);
}

int meta_version_used(struct meta *m, uint64_t vid, int64_t used_real_ns)
{
	struct run r;

	row_begin(&r, m, Q_VERSION_USED);
	bind_u64(&r, vid);
	bind_i64(&r, used_real_ns);
	return run_do(&r, true);
}

int meta_version_get(struct meta *m, uint64_t vid, struct meta_version *ret)
{
	struct run r;

	row_begin(&r, m, Q_VERSION_GET);
	bind_u64(&r, vid);
	if (run_one(&r) == 0)
		read_version(&r, ret);
	return run_end(&r);
}

static int do_with(struct meta *m, enum query q, uint64_t n)
{
	struct run r;

	row_begin(&r, m, q);
	bind_u64(&r, n);
	return run_do(&r, false);
}

int meta_version_del(struct meta *m, uint64_t vid)
{
	struct run r;
	int err = count_drop(m, COUNT_VID, vid);

	if (err < 0)
		return err;
	row_begin(&r, m, Q_VERSION_DEL);
	bind_u64(&r, vid);
	err = run_do(&r, true);
	return err < 0 ? err : do_with(m, Q_PART_DEL_ALL, vid);
}

static int each_version(struct run *r, meta_version_fn *fn, void *arg)
{
	struct meta_version row;
	int stop = 0, err;

	while (stop == 0 && run_step(r) == 1) {
		read_version(r, &row);
		if (r->err == 0)
			stop = fn(arg, &row);
	}
	err = run_end(r);
	return err < 0 ? err : stop;
}

int meta_version_each(struct meta *m, meta_version_fn *fn, void *arg)
{
	struct run r;

	row_begin(&r, m, Q_VERSION_EACH);
	return each_version(&r, fn, arg);
}

int version_each_changed(struct meta *m, uint64_t chg, meta_version_fn *fn,
			 void *arg)
{
	struct run r;

	run_begin(&r, m, Q_VERSION_CHANGED);
	bind_u64(&r, chg);
	return each_version(&r, fn, arg);
}

/* ---- upload ---- */

int meta_upload_set(struct meta *m, const struct meta_upload *row)
{
	struct run r;

	row_begin(&r, m, Q_UPLOAD_SET);
	bind_u64(&r, row->vid);
	bind_str(&r, row->key, META_KEY_MAX);
	bind_str(&r, row->id, sizeof(row->id) - 1);
	bind_i64(&r, row->begun_real_ns);
	bind_u64(&r, row->part_size);
	return run_do(&r, false);
}

static void read_upload(struct run *r, struct meta_upload *row)
{
	row->vid = col_u64(r);
	col_str(r, row->key, sizeof(row->key));
	col_str(r, row->id, sizeof(row->id));
	row->begun_real_ns = col_i64(r);
	row->part_size = col_u64(r);
}

int meta_upload_get(struct meta *m, uint64_t vid, struct meta_upload *ret)
{
	struct run r;

	row_begin(&r, m, Q_UPLOAD_GET);
	bind_u64(&r, vid);
	if (run_one(&r) == 0)
		read_upload(&r, ret);
	return run_end(&r);
}

int meta_upload_del(struct meta *m, uint64_t vid)
{
	struct run r;

	row_begin(&r, m, Q_UPLOAD_DEL);
	bind_u64(&r, vid);
	return run_do(&r, true);
}

int meta_upload_each(struct meta *m, meta_upload_fn *fn, void *arg)
{
	struct meta_upload row;
	struct run r;
	int stop = 0, err;

	row_begin(&r, m, Q_UPLOAD_EACH);
	while (stop == 0 && run_step(&r) == 1) {
		read_upload(&r, &row);
		if (r.err == 0)
			stop = fn(arg, &row);
	}
	err = run_end(&r);
	return err < 0 ? err : stop;
}

/* ---- part ---- */

int meta_part_set(struct meta *m, const struct meta_part *row)
{
	struct run r;

	row_begin(&r, m, Q_PART_SET);
	bind_u64(&r, row->vid);
	bind_i64(&r, row->number);
	bind_u64(&r, row->off);
	bind_u64(&r, row->len);
	bind_u64(&r, row->crc64);
	bind_u64(&r, row->xxh_lo);
	bind_u64(&r, row->xxh_hi);
	bind_str(&r, row->etag, sizeof(row->etag) - 1);
	return run_do(&r, false);
}

static void read_part(struct run *r, struct meta_part *row)
{
	row->vid = col_u64(r);
	row->number = (unsigned)col_i64(r);
	row->off = col_u64(r);
	row->len = col_u64(r);
	row->crc64 = col_u64(r);
	row->xxh_lo = col_u64(r);
	row->xxh_hi = col_u64(r);
	col_str(r, row->etag, sizeof(row->etag));
}

int meta_part_each(struct meta *m, uint64_t vid, meta_part_fn *fn, void *arg)
{
	struct meta_part row;
	struct run r;
	int stop = 0, err;

	row_begin(&r, m, Q_PART_EACH);
	bind_u64(&r, vid);
	while (stop == 0 && run_step(&r) == 1) {
		read_part(&r, &row);
		if (r.err == 0)
			stop = fn(arg, &row);
	}
	err = run_end(&r);
	return err < 0 ? err : stop;
}

int meta_part_del_all(struct meta *m, uint64_t vid)
{
	return do_with(m, Q_PART_DEL_ALL, vid);
}

/* ---- dead ---- */

int meta_dead_add(struct meta *m, uint64_t blob)
{
	return do_with(m, Q_DEAD_ADD, blob);
}

int meta_dead_del(struct meta *m, uint64_t blob)
{
	struct run r;

	row_begin(&r, m, Q_DEAD_DEL);
	bind_u64(&r, blob);
	return run_do(&r, true);
}

int meta_dead_each(struct meta *m, meta_dead_fn *fn, void *arg)
{
	struct run r;
	int stop = 0, err;

	row_begin(&r, m, Q_DEAD_EACH);
	while (stop == 0 && run_step(&r) == 1)
		stop = fn(arg, col_u64(&r));
	err = run_end(&r);
	return err < 0 ? err : stop;
}
