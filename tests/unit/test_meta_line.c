/* SPDX-License-Identifier: Apache-2.0 */
/* Versions, parts, uploads, operations: what goes in comes out, also after the
 * process died. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/disk.h"
#include "ckptfs/host.h"
#include "ckptfs/meta.h"

#include "harness.h"
#include "meta_db.h"

static int note_version(void *arg, const struct meta_version *row)
{
	(void)arg;
	note("v", row->vid);
	return 0;
}

static int note_op(void *arg, const struct meta_op *row)
{
	(void)arg;
	note(row->key, row->seq);
	return 0;
}

static int note_upload(void *arg, const struct meta_upload *row)
{
	(void)arg;
	note(row->id, row->vid);
	return 0;
}

static int note_part(void *arg, const struct meta_part *row)
{
	(void)arg;
	note(row->etag, row->number);
	return 0;
}

/* ---- versions, uploads, parts */

static struct meta_version a_version(void)
{
	return (struct meta_version){
		.epoch = UINT32_MAX,
		.ino = UINT64_MAX,
		.state = META_PARKED,
		.blob = UINT64_C(1) << 63,
		.size = INT64_MAX - 2,
		.mtime_ns = INT64_MIN,
		.seal_ctime_ns = -7,
		.sealed_real_ns = 8,
		.mode = 0777,
		.crc64 = UINT64_MAX,
		.replaces = 9,
		.used_real_ns = 10,
	};
}

static void assert_same_version(const struct meta_version *a,
				const struct meta_version *b)
{
	ck_assert_uint_eq(a->vid, b->vid);
	ck_assert_uint_eq(a->epoch, b->epoch);
	ck_assert_uint_eq(a->ino, b->ino);
	ck_assert_int_eq(a->state, b->state);
	ck_assert_uint_eq(a->blob, b->blob);
	ck_assert_int_eq(a->complete, b->complete);
	ck_assert_int_eq(a->passthrough, b->passthrough);
	ck_assert_int_eq(a->provisional, b->provisional);
	ck_assert_int_eq(a->held, b->held);
	ck_assert_int_eq(a->append_only, b->append_only);
	ck_assert_int_eq(a->sparse, b->sparse);
	ck_assert_int_eq(a->summed, b->summed);
	ck_assert_uint_eq(a->size, b->size);
	ck_assert_int_eq(a->mtime_ns, b->mtime_ns);
	ck_assert_int_eq(a->seal_ctime_ns, b->seal_ctime_ns);
	ck_assert_int_eq(a->sealed_real_ns, b->sealed_real_ns);
	ck_assert_uint_eq(a->mode, b->mode);
	ck_assert_uint_eq(a->crc64, b->crc64);
	ck_assert_uint_eq(a->replaces, b->replaces);
	ck_assert_int_eq(a->used_real_ns, b->used_real_ns);
}

START_TEST(a_version_comes_back_as_it_was)
{
	struct meta_version v = a_version(), got;

	/* Each flag by itself, then all. */
	v.complete = _i == 0 || _i == 7;
	v.passthrough = _i == 1 || _i == 7;
	v.provisional = _i == 2 || _i == 7;
	v.held = _i == 3 || _i == 7;
	v.append_only = _i == 4 || _i == 7;
	v.sparse = _i == 5 || _i == 7;
	v.summed = _i == 6 || _i == 7;
	ck_assert_int_eq(meta_version_add(m, &v), 0);
	over_a_crash();
	memset(&got, 0x55, sizeof(got));
	ck_assert_int_eq(meta_version_get(m, v.vid, &got), 0);
	assert_same_version(&got, &v);
	v.state = META_UNFINISHED;
	v.held = !v.held;
	v.blob = 1;
	v.used_real_ns = 11;
	ck_assert_int_eq(meta_version_set(m, &v), 0);
	ck_assert_int_eq(meta_version_get(m, v.vid, &got), 0);
	v.used_real_ns = 10; /* that goes by itself */
	assert_same_version(&got, &v);
	ck_assert_int_eq(meta_version_used(m, v.vid, 12), 0);
	ck_assert_int_eq(meta_version_get(m, v.vid, &got), 0);
	v.used_real_ns = 12;
	assert_same_version(&got, &v);
	v.vid++;
	ck_assert_int_eq(meta_version_set(m, &v), -ENOENT);
	ck_assert_int_eq(meta_version_used(m, v.vid, 1), -ENOENT);
	ck_assert_int_eq(meta_version_get(m, v.vid, &got), -ENOENT);
	ck_assert_int_eq(meta_version_del(m, v.vid), -ENOENT);
	commit();
}
END_TEST

START_TEST(versions_come_by_number)
{
	struct meta_version v = a_version();

	ck_assert_int_eq(meta_version_add(m, &v), 0);
	ck_assert_int_eq(meta_version_add(m, &v), 0);
	ck_assert_int_eq(meta_version_add(m, &v), 0);
	ck_assert_int_eq(meta_version_del(m, v.vid - 1), 0);
	seen[0] = '\0';
	ck_assert_int_eq(meta_version_each(m, note_version, NULL), 0);
	ck_assert_str_eq(seen, "v:1 v:3 ");
	commit();
}
END_TEST

static struct meta_part a_part(uint64_t vid, unsigned number, const char *etag)
{
	struct meta_part p = { .vid = vid,
			       .number = number,
			       .off = UINT64_MAX,
			       .len = 1,
			       .crc64 = UINT64_MAX - 1,
			       .xxh_lo = UINT64_MAX - 3,
			       .xxh_hi = UINT64_MAX - 4 };

	memcpy(p.etag, etag, strlen(etag) + 1);
	return p;
}

static int keep_part(void *arg, const struct meta_part *row)
{
	*(struct meta_part *)arg = *row;
	return 3;
}

START_TEST(parts_come_by_number_and_go_with_their_version)
{
	struct meta_version v = a_version();
	struct meta_part p, got;
	uint64_t vid;

	ck_assert_int_eq(meta_version_add(m, &v), 0);
	vid = v.vid;
	p = a_part(vid, 2, "two");
	ck_assert_int_eq(meta_part_set(m, &p), 0);
	p = a_part(vid, 10000, "");
	ck_assert_int_eq(meta_part_set(m, &p), 0);
	p = a_part(vid, 1, "one");
	ck_assert_int_eq(meta_part_set(m, &p), 0);
	p = a_part(vid + 1, 1, "another's");
	ck_assert_int_eq(meta_part_set(m, &p), 0);
	p = a_part(vid, 10000, "now sent");
	ck_assert_int_eq(meta_part_set(m, &p), 0);
	over_a_crash();
	seen[0] = '\0';
	ck_assert_int_eq(meta_part_each(m, vid, note_part, NULL), 0);
	ck_assert_str_eq(seen, "one:1 two:2 now sent:10000 ");
	ck_assert_int_eq(meta_part_each(m, vid, keep_part, &got), 3);
	ck_assert_uint_eq(got.vid, vid);
	ck_assert_uint_eq(got.off, UINT64_MAX);
	ck_assert_uint_eq(got.len, 1);
	ck_assert_uint_eq(got.crc64, UINT64_MAX - 1);
	ck_assert_uint_eq(got.xxh_lo, UINT64_MAX - 3);
	ck_assert_uint_eq(got.xxh_hi, UINT64_MAX - 4);
	ck_assert_int_eq(meta_version_del(m, vid), 0);
	seen[0] = '\0';
	ck_assert_int_eq(meta_part_each(m, vid, note_part, NULL), 0);
	ck_assert_str_eq(seen, "");
	ck_assert_int_eq(meta_part_each(m, vid + 1, note_part, NULL), 0);
	ck_assert_str_eq(seen, "another's:1 ");
	ck_assert_int_eq(meta_part_del_all(m, vid + 1), 0);
	ck_assert_int_eq(meta_part_del_all(m, vid + 1), 0);
	commit();
}
END_TEST

START_TEST(an_upload_outlives_its_version_until_it_is_aborted)
{
	struct meta_version v = a_version();
	struct meta_upload u = { .begun_real_ns = -3, .part_size = 1 }, got;

	ck_assert_int_eq(meta_version_add(m, &v), 0);
	u.vid = v.vid;
	memcpy(u.key, odd, sizeof(odd));
	ck_assert_int_eq(meta_upload_set(m, &u), 0);
	memset(u.id, 'x', sizeof(u.id) - 1);
	ck_assert_int_eq(meta_upload_set(m, &u), 0);
	over_a_crash();
	ck_assert_int_eq(meta_upload_get(m, v.vid, &got), 0);
	ck_assert_uint_eq(got.vid, v.vid);
	ck_assert_str_eq(got.key, odd);
	ck_assert_str_eq(got.id, u.id);
	ck_assert_int_eq(got.begun_real_ns, -3);
	ck_assert_uint_eq(got.part_size, 1);
	u.vid = 400;
	memcpy(u.id, "y", 2);
	ck_assert_int_eq(meta_upload_set(m, &u), 0);
	ck_assert_int_eq(meta_upload_del(m, v.vid), 0);
	ck_assert_int_eq(meta_upload_del(m, v.vid), -ENOENT);
	ck_assert_int_eq(meta_upload_get(m, v.vid, &got), -ENOENT);
	seen[0] = '\0';
	ck_assert_int_eq(meta_upload_each(m, note_upload, NULL), 0);
	ck_assert_str_eq(seen, "y:400 ");
	commit();
}
END_TEST

/* ---- the line */

START_TEST(an_operation_comes_back_as_it_was)
{
	struct meta_op o = { .kind = META_OP_RENAME_DIR,
			     .ino = UINT64_MAX,
			     .vid = UINT64_MAX - 1,
			     .bound = 3,
			     .open_seq = 4,
			     .why = "it's \"no\"" },
		       got;

	memset(o.key, 0xff, META_KEY_MAX);
	memcpy(o.to, odd, sizeof(odd));
	o.final = _i == 0 || _i == 5;
	o.cut = _i == 1 || _i == 5;
	o.begun = _i == 2 || _i == 5;
	o.unordered = _i == 3 || _i == 5;
	o.parked = _i == 4 || _i == 5;
	ck_assert_int_eq(meta_op_add(m, &o), 0);
	over_a_crash();
	memset(&got, 0x55, sizeof(got));
	ck_assert_int_eq(meta_op_get(m, o.seq, &got), 0);
	ck_assert_uint_eq(got.seq, o.seq);
	ck_assert_int_eq(got.kind, o.kind);
	ck_assert_uint_eq(got.ino, o.ino);
	ck_assert_uint_eq(got.vid, o.vid);
	ck_assert_uint_eq(got.bound, o.bound);
	ck_assert_uint_eq(got.open_seq, o.open_seq);
	ck_assert_str_eq(got.key, o.key);
	ck_assert_str_eq(got.to, o.to);
	ck_assert_str_eq(got.why, o.why);
	ck_assert_int_eq(got.final, o.final);
	ck_assert_int_eq(got.cut, o.cut);
	ck_assert_int_eq(got.begun, o.begun);
	ck_assert_int_eq(got.unordered, o.unordered);
	ck_assert_int_eq(got.parked, o.parked);
	o.kind = META_OP_PUT;
	o.final = !o.final;
	memcpy(o.key, "k", 2);
	ck_assert_int_eq(meta_op_set(m, &o), 0);
	ck_assert_int_eq(meta_op_get(m, o.seq, &got), 0);
	ck_assert_int_eq(got.kind, META_OP_PUT);
	ck_assert_int_eq(got.final, o.final);
	ck_assert_str_eq(got.key, "k");
	o.seq++;
	ck_assert_int_eq(meta_op_set(m, &o), -ENOENT);
	ck_assert_int_eq(meta_op_get(m, o.seq, &got), -ENOENT);
	ck_assert_int_eq(meta_op_del(m, o.seq), -ENOENT);
	commit();
}
END_TEST

START_TEST(operations_come_in_order_from_where_one_asks)
{
	struct meta_op o = { .kind = META_OP_DEL };
	uint64_t last;
	int i;

	for (i = 0; i < 5; i++) {
		o.key[0] = (char)('a' + i);
		ck_assert_int_eq(meta_op_add(m, &o), 0);
	}
	ck_assert_int_eq(meta_op_del(m, 2), 0);
	ck_assert_int_eq(meta_op_del(m, 5), 0);
	seen[0] = '\0';
	ck_assert_int_eq(meta_op_each(m, 0, note_op, NULL), 0);
	ck_assert_str_eq(seen, "a:1 c:3 d:4 ");
	seen[0] = '\0';
	ck_assert_int_eq(meta_op_each(m, 3, note_op, NULL), 0);
	ck_assert_str_eq(seen, "d:4 ");
	ck_assert_int_eq(meta_op_last(m, &last), 0);
	ck_assert_uint_eq(last, 5);
	commit();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, a_version_comes_back_as_it_was, 0, 8);
	tcase_add_test(c, versions_come_by_number);
	tcase_add_test(c, parts_come_by_number_and_go_with_their_version);
	tcase_add_test(c, an_upload_outlives_its_version_until_it_is_aborted);
	tcase_add_loop_test(c, an_operation_comes_back_as_it_was, 0, 6);
	tcase_add_test(c, operations_come_in_order_from_where_one_asks);
}

int main(void)
{
	return harness_run("meta_line", add);
}
