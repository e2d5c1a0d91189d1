/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of versions, operations, objects, uploads and parts. */
#include "config.h"

#include <errno.h>
#include <stdio.h>

#include "bind.h"

static int start(struct meta *m, enum stmt s, struct bind *b)
{
	meta_assert_begun(m);
	b->i = 0;
	return stmt_get(m, s, &b->st);
}

static int finish(struct meta *m, struct bind *b, bool must_change)
{
	int r = stmt_run(m, b->st);

	return r < 0 || !must_change ? r : stmt_changed(m);
}

static int del_by(struct meta *m, enum stmt s, uint64_t id)
{
	struct bind b;
	int r = start(m, s, &b);

	if (r < 0)
		return r;
	put_u64(&b, id);
	return finish(m, &b, true);
}

/* One row by number, or the end: 1, -ENOENT, an error. */
static int find(struct meta *m, enum stmt s, uint64_t id, struct bind *b)
{
	int r = start(m, s, b);

	if (r < 0)
		return r;
	put_u64(b, id);
	r = stmt_row(m, b->st);
	b->i = 0;
	return r == 0 ? -ENOENT : r;
}

/* A change number, so that recovery knows what came after the last barrier. */
static uint64_t stamp(const struct meta *m)
{
	return (uint64_t)m->epoch << 32 | (m->commits + 1);
}

static void bind_version(struct meta *m, struct bind *b,
			 const struct meta_version *v)
{
	put_int(b, v->epoch);
	put_u64(b, v->ino);
	put_int(b, v->state);
	put_u64(b, v->blob);
	put_int(b, v->complete | v->passthrough << 1 | v->provisional << 2 |
			   v->held << 3 | v->append_only << 4 | v->sparse << 5);
	put_u64(b, v->size);
	put_int(b, v->mtime_ns);
	put_int(b, v->seal_ctime_ns);
	put_int(b, v->sealed_real_ns);
	put_int(b, v->mode);
	put_u64(b, v->crc64);
	put_u64(b, v->replaces);
	put_int(b, v->used_real_ns);
	put_u64(b, stamp(m));
}

static void read_version(sqlite3_stmt *st, struct meta_version *v)
{
	struct bind b = { .st = st };
	int64_t f;

	memset(v, 0, sizeof(*v));
	v->vid = take_u64(&b);
	v->epoch = (uint32_t)take_int(&b);
	v->ino = take_u64(&b);
	v->state = (enum meta_state)take_int(&b);
	v->blob = take_u64(&b);
	f = take_int(&b);
	v->complete = flag(f, 0);
	v->passthrough = flag(f, 1);
	v->provisional = flag(f, 2);
	v->held = flag(f, 3);
	v->append_only = flag(f, 4);
	v->sparse = flag(f, 5);
	v->size = take_u64(&b);
	v->mtime_ns = take_int(&b);
	v->seal_ctime_ns = take_int(&b);
	v->sealed_real_ns = take_int(&b);
	v->mode = (uint32_t)take_int(&b);
	v->crc64 = take_u64(&b);
	v->replaces = take_u64(&b);
	v->used_real_ns = take_int(&b);
}

int meta_version_add(struct meta *m, struct meta_version *row)
{
	struct bind b;
	int r = start(m, S_VERSION_ADD, &b);

	if (r < 0)
		return r;
	bind_version(m, &b, row);
	r = finish(m, &b, false);
	if (r == 0)
		row->vid = (uint64_t)sqlite3_last_insert_rowid(m->db);
	return r;
}

int meta_version_set(struct meta *m, const struct meta_version *row)
{
	struct bind b;
	int r = start(m, S_VERSION_SET, &b);

	if (r < 0)
		return r;
	bind_version(m, &b, row);
	put_u64(&b, row->vid);
	return finish(m, &b, true);
}

int meta_version_get(struct meta *m, uint64_t vid, struct meta_version *ret)
{
	struct bind b;
	int r = find(m, S_VERSION_GET, vid, &b);

	if (r < 0)
		return r;
	read_version(b.st, ret);
	(void)sqlite3_reset(b.st);
	return 0;
}

int meta_version_del(struct meta *m, uint64_t vid)
{
	int r = meta_part_del_all(m, vid);

	return r < 0 ? r : del_by(m, S_VERSION_DEL, vid);
}

int meta_version_each(struct meta *m, meta_version_fn *fn, void *arg)
{
	struct meta_version row;
	struct bind b;
	int r = start(m, S_VERSION_EACH, &b);

	while (r == 0 && (r = stmt_row(m, b.st)) == 1) {
		read_version(b.st, &row);
		r = fn(arg, &row);
		if (r != 0)
			(void)sqlite3_reset(b.st);
	}
	return r;
}

/* Versions changed after a change number, for recovery. */
int versions_since(struct meta *m, uint64_t since, meta_version_fn *fn,
		   void *arg)
{
	struct meta_version row;
	struct bind b;
	int r = start(m, S_VERSION_SINCE, &b);

	if (r == 0)
		put_u64(&b, since);
	while (r == 0 && (r = stmt_row(m, b.st)) == 1) {
		read_version(b.st, &row);
		r = fn(arg, &row);
		if (r != 0)
			(void)sqlite3_reset(b.st);
	}
	return r;
}

static void bind_op(struct bind *b, const struct meta_op *o)
{
	put_int(b, o->kind);
	put_u64(b, o->ino);
	put_u64(b, o->vid);
	put_u64(b, o->bound);
	put_u64(b, o->open_seq);
	put_bytes(b, o->key);
	put_bytes(b, o->to);
	put_int(b, o->final | o->cut << 1 | o->begun << 2 | o->unordered << 3 |
			   o->parked << 4);
	put_text(b, o->why);
}

static void read_op(sqlite3_stmt *st, struct meta_op *o)
{
	struct bind b = { .st = st };
	const unsigned char *why;
	int64_t f;

	memset(o, 0, sizeof(*o));
	o->seq = take_u64(&b);
	o->kind = (enum meta_op_kind)take_int(&b);
	o->ino = take_u64(&b);
	o->vid = take_u64(&b);
	o->bound = take_u64(&b);
	o->open_seq = take_u64(&b);
	take_bytes(&b, o->key, sizeof(o->key));
	take_bytes(&b, o->to, sizeof(o->to));
	f = take_int(&b);
	o->final = flag(f, 0);
	o->cut = flag(f, 1);
	o->begun = flag(f, 2);
	o->unordered = flag(f, 3);
	o->parked = flag(f, 4);
	why = sqlite3_column_text(st, b.i);
	(void)snprintf(o->why, sizeof(o->why), "%s",
		       why ? (const char *)why : "");
}

int meta_op_add(struct meta *m, struct meta_op *row)
{
	struct bind b;
	int r = start(m, S_OP_ADD, &b);

	if (r < 0)
		return r;
	bind_op(&b, row);
	r = finish(m, &b, false);
	if (r == 0)
		row->seq = (uint64_t)sqlite3_last_insert_rowid(m->db);
	return r;
}

int meta_op_set(struct meta *m, const struct meta_op *row)
{
	struct bind b;
	int r = start(m, S_OP_SET, &b);

	if (r < 0)
		return r;
	bind_op(&b, row);
	put_u64(&b, row->seq);
	return finish(m, &b, true);
}

int meta_op_get(struct meta *m, uint64_t seq, struct meta_op *ret)
{
	struct bind b;
	int r = find(m, S_OP_GET, seq, &b);

	if (r < 0)
		return r;
	read_op(b.st, ret);
	(void)sqlite3_reset(b.st);
	return 0;
}

int meta_op_del(struct meta *m, uint64_t seq)
{
	return del_by(m, S_OP_DEL, seq);
}

int meta_op_each(struct meta *m, uint64_t after, meta_op_fn *fn, void *arg)
{
	struct meta_op row;
	struct bind b;
	int r = start(m, S_OP_EACH, &b);

	if (r == 0)
		put_u64(&b, after);
	while (r == 0 && (r = stmt_row(m, b.st)) == 1) {
		read_op(b.st, &row);
		r = fn(arg, &row);
		if (r != 0)
			(void)sqlite3_reset(b.st);
	}
	return r;
}

int meta_op_last(struct meta *m, uint64_t *ret_seq)
{
	sqlite3_stmt *st = NULL;
	int rc;

	meta_assert_begun(m);
	rc = sqlite3_prepare_v2(m->db,
				"SELECT seq FROM sqlite_sequence"
				" WHERE name='op'",
				-1, &st, NULL);
	if (rc != SQLITE_OK)
		return db_error(m, rc, "newest operation");
	*ret_seq = sqlite3_step(st) == SQLITE_ROW ?
			   (uint64_t)sqlite3_column_int64(st, 0) :
			   0;
	sqlite3_finalize(st);
	return 0;
}

static void read_object(sqlite3_stmt *st, struct meta_object *o)
{
	struct bind b = { .st = st };

	memset(o, 0, sizeof(*o));
	take_bytes(&b, o->key, sizeof(o->key));
	o->ino = take_u64(&b);
	o->vid = take_u64(&b);
	o->bound = take_u64(&b);
	take_bytes(&b, o->etag, sizeof(o->etag));
	o->size = take_u64(&b);
	o->mtime_ns = take_int(&b);
	o->has_crc64 = take_int(&b) != 0;
	o->crc64 = take_u64(&b);
	o->commit_end_ns = take_int(&b);
}

int meta_object_set(struct meta *m, const struct meta_object *o)
{
	struct bind b;
	int r = start(m, S_OBJECT_SET, &b);

	if (r < 0)
		return r;
	put_bytes(&b, o->key);
	put_u64(&b, o->ino);
	put_u64(&b, o->vid);
	put_u64(&b, o->bound);
	put_bytes(&b, o->etag);
	put_u64(&b, o->size);
	put_int(&b, o->mtime_ns);
	put_int(&b, o->has_crc64);
	put_u64(&b, o->crc64);
	put_int(&b, o->commit_end_ns);
	return finish(m, &b, false);
}

int meta_object_get(struct meta *m, const char *key, struct meta_object *ret)
{
	struct bind b;
	int r = start(m, S_OBJECT_GET, &b);

	if (r < 0)
		return r;
	put_bytes(&b, key);
	r = stmt_row(m, b.st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	read_object(b.st, ret);
	(void)sqlite3_reset(b.st);
	return 0;
}

int meta_object_del(struct meta *m, const char *key)
{
	struct bind b;
	int r = start(m, S_OBJECT_DEL, &b);

	if (r < 0)
		return r;
	put_bytes(&b, key);
	return finish(m, &b, true);
}

int meta_object_each(struct meta *m, const char *prefix, meta_object_fn *fn,
		     void *arg)
{
	struct meta_object row;
	size_t n = strlen(prefix);
	struct bind b;
	int r = start(m, S_OBJECT_EACH, &b);

	if (r == 0)
		put_bytes(&b, prefix);
	while (r == 0 && (r = stmt_row(m, b.st)) == 1) {
		read_object(b.st, &row);
		if (strncmp(row.key, prefix, n) != 0) {
			(void)sqlite3_reset(b.st);
			return 0;
		}
		r = fn(arg, &row);
		if (r != 0)
			(void)sqlite3_reset(b.st);
	}
	return r;
}

static void read_upload(sqlite3_stmt *st, struct meta_upload *u)
{
	struct bind b = { .st = st };

	memset(u, 0, sizeof(*u));
	u->vid = take_u64(&b);
	take_bytes(&b, u->key, sizeof(u->key));
	take_bytes(&b, u->id, sizeof(u->id));
	u->begun_real_ns = take_int(&b);
	u->part_size = take_u64(&b);
}

int meta_upload_set(struct meta *m, const struct meta_upload *u)
{
	struct bind b;
	int r = start(m, S_UPLOAD_SET, &b);

	if (r < 0)
		return r;
	put_u64(&b, u->vid);
	put_bytes(&b, u->key);
	put_bytes(&b, u->id);
	put_int(&b, u->begun_real_ns);
	put_u64(&b, u->part_size);
	return finish(m, &b, false);
}

int meta_upload_get(struct meta *m, uint64_t vid, struct meta_upload *ret)
{
	struct bind b;
	int r = find(m, S_UPLOAD_GET, vid, &b);

	if (r < 0)
		return r;
	read_upload(b.st, ret);
	(void)sqlite3_reset(b.st);
	return 0;
}

int meta_upload_del(struct meta *m, uint64_t vid)
{
	return del_by(m, S_UPLOAD_DEL, vid);
}

int meta_upload_each(struct meta *m, meta_upload_fn *fn, void *arg)
{
	struct meta_upload row;
	struct bind b;
	int r = start(m, S_UPLOAD_EACH, &b);

	while (r == 0 && (r = stmt_row(m, b.st)) == 1) {
		read_upload(b.st, &row);
		r = fn(arg, &row);
		if (r != 0)
			(void)sqlite3_reset(b.st);
	}
	return r;
}

int meta_part_set(struct meta *m, const struct meta_part *p)
{
	struct bind b;
	int r = start(m, S_PART_SET, &b);

	if (r < 0)
		return r;
	put_u64(&b, p->vid);
	put_int(&b, p->number);
	put_u64(&b, p->off);
	put_u64(&b, p->len);
	put_u64(&b, p->crc64);
	put_u64(&b, p->xxh_lo);
	put_u64(&b, p->xxh_hi);
	put_bytes(&b, p->etag);
	return finish(m, &b, false);
}

int meta_part_each(struct meta *m, uint64_t vid, meta_part_fn *fn, void *arg)
{
	struct meta_part row;
	struct bind b;
	int r = start(m, S_PART_EACH, &b);

	if (r == 0)
		put_u64(&b, vid);
	while (r == 0 && (r = stmt_row(m, b.st)) == 1) {
		struct bind c = { .st = b.st };

		memset(&row, 0, sizeof(row));
		row.vid = take_u64(&c);
		row.number = (unsigned)take_int(&c);
		row.off = take_u64(&c);
		row.len = take_u64(&c);
		row.crc64 = take_u64(&c);
		row.xxh_lo = take_u64(&c);
		row.xxh_hi = take_u64(&c);
		take_bytes(&c, row.etag, sizeof(row.etag));
		r = fn(arg, &row);
		if (r != 0)
			(void)sqlite3_reset(b.st);
	}
	return r;
}

int meta_part_del_all(struct meta *m, uint64_t vid)
{
	int r = del_by(m, S_PART_DEL, vid);

	return r == -ENOENT ? 0 : r;
}
