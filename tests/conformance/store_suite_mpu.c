/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads in parts. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "ckptfs/hash.h"

#include "store_suite.h"

/* An upload of key with n parts of the size of the back end, part i of seed
 * i; begun with meta. */
struct up {
	const char *key;
	char id[STORE_UPLOAD_ID_MAX];
	bool copies;
	struct store_meta meta;
	struct store_part parts[4];
	size_t n;
};

static void up_begin_as(struct store *s, struct up *u, const char *key,
			bool copies)
{
	int r;

	*u = (struct up){ .key = key, .copies = copies, .meta = suite_meta() };
	r = store_mpu_begin(s, key, &u->meta, copies, u->id);
	ck_assert_msg(!r, "begin: %d %s", r, store_last_error());
	ck_assert_str_ne(u->id, "");
}

static void up_begin(struct store *s, struct up *u, const char *key)
{
	up_begin_as(s, u, key, false);
}

static void up_part(struct store *s, struct up *u, unsigned number,
		    uint64_t len, uint64_t seed)
{
	struct store_part *p = &u->parts[u->n++];
	int r = suite_part_as(s, u->key, u->id, number, len, seed, u->copies,
			      p);

	ck_assert_msg(!r, "part: %d %s", r, store_last_error());
	ck_assert_uint_eq(p->number, number);
	ck_assert_uint_eq(p->size, len);
	ck_assert_str_ne(p->etag, "");
	ck_assert(!p->has_crc64 || p->crc64 == suite_crc(seed, len));
	ck_assert(!p->has_crc32c || p->crc32c == suite_crc32c(seed, len));
	ck_assert(p->has_crc32c || u->copies ||
		  !(s->caps & STORE_CAP_PARTS_CRC32C));
}

static int up_commit(struct store *s, struct up *u,
		     const struct store_cond *cond, struct store_obj *ret)
{
	return store_mpu_commit(s, u->key, u->id, u->parts, u->n, &u->meta,
				cond, ret);
}

/* The bytes of an object made of parts. */
struct joint {
	struct suite_sink part[4];
	uint64_t size[4];
	size_t i;
};

static int joint_sink(void *arg, const void *p, size_t n)
{
	struct joint *j = arg;
	const char *c = p;

	while (n) {
		struct suite_sink *s = &j->part[j->i];
		uint64_t left = j->size[j->i] - s->n;
		size_t take = left < n ? left : n;

		if (!left) {
			ck_assert_uint_lt(++j->i, ARRAY_SIZE(j->part));
			continue;
		}
		suite_sink(s, c, take);
		c += take;
		n -= take;
	}
	return 0;
}

static void expect_crcs(const struct store *s, const struct store_obj *obj,
			uint64_t crc, uint32_t crc32, bool copied)
{
	if (copied) {
		ck_assert(obj->has_crc64 || !(s->caps & STORE_CAP_COPY_CRC64));
		ck_assert(!obj->has_crc32c);
	} else if (s->caps & STORE_CAP_PARTS_CRC32C) {
		ck_assert(obj->has_crc32c);
	} else if (s->caps & STORE_CAP_CRC64) {
		ck_assert(obj->has_crc64);
	}
	ck_assert(!obj->has_crc64 || obj->crc64 == crc);
	ck_assert(!obj->has_crc32c || obj->crc32c == crc32);
}

static void expect_joint(struct store *s, const char *key, const uint64_t *seed,
			 const uint64_t *size, size_t n, bool copied)
{
	struct joint j = { .i = 0 };
	struct store_obj obj;
	uint64_t total = 0, crc = 0;
	uint32_t crc32 = 0;

	for (size_t i = 0; i < n; i++) {
		j.part[i].seed = seed[i];
		j.size[i] = size[i];
		total += size[i];
		crc = crc64nvme_combine(crc, suite_crc(seed[i], size[i]),
					size[i]);
		crc32 = crc32c_combine(crc32, suite_crc32c(seed[i], size[i]),
				       size[i]);
	}
	ck_assert_int_eq(store_head(s, key, &obj), 0);
	ck_assert_uint_eq(obj.size, total);
	expect_crcs(s, &obj, crc, crc32, copied);
	ck_assert_int_eq(
		store_get(s, key, obj.etag, 0, total, joint_sink, &j, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_eq(j.part[i].n, size[i]);
		ck_assert(!j.part[i].wrong);
	}
}

START_TEST(parts_become_one_object_at_commit)
{
	struct store *s = suite_open(_i);
	const uint64_t part = suite_backend->part;
	struct store_obj obj, head;
	struct up u;

	up_begin(s, &u, k("big file"));
	up_part(s, &u, 1, part, 1);
	suite_expect_none(s, k("big file"));
	up_part(s, &u, 2, part, 2);
	up_part(s, &u, 3, 100, 3);
	suite_expect_none(s, k("big file"));
	ck_assert_int_eq(up_commit(s, &u, NULL, &obj), 0);
	expect_joint(s, k("big file"), (uint64_t[]){ 1, 2, 3 },
		     (uint64_t[]){ part, part, 100 }, 3, false);
	ck_assert_int_eq(store_head(s, k("big file"), &head), 0);
	ck_assert_str_eq(head.etag, obj.etag);
	if (s->caps & STORE_CAP_META)
		ck_assert_str_eq(head.meta.write_id, u.meta.write_id);
	suite_close(s);
}
END_TEST

START_TEST(parts_come_in_any_order_and_again)
{
	struct store *s = suite_open(_i);
	const uint64_t part = suite_backend->part;
	struct store_part again;
	struct store_obj obj;
	struct up u;

	up_begin(s, &u, k("o"));
	up_part(s, &u, 7, 10, 7);
	up_part(s, &u, 2, part, 1);
	ck_assert_int_eq(suite_part(s, u.key, u.id, 2, part, 9, &again), 0);
	u.parts[1] = u.parts[0];
	u.parts[0] = again;
	ck_assert_int_eq(up_commit(s, &u, NULL, &obj), 0);
	expect_joint(s, k("o"), (uint64_t[]){ 9, 7 }, (uint64_t[]){ part, 10 },
		     2, false);
	suite_close(s);
}
END_TEST

START_TEST(one_small_part_is_enough)
{
	struct store *s = suite_open(_i);
	struct store_obj obj;
	struct up u;

	suite_have(s, k("o"), 50, 1);
	up_begin(s, &u, k("o"));
	up_part(s, &u, 1, 3, 2);
	suite_expect(s, k("o"), 50, 1);
	ck_assert_int_eq(up_commit(s, &u, NULL, &obj), 0);
	suite_expect(s, k("o"), 3, 2);
	suite_close(s);
}
END_TEST

struct seen {
	struct store_part part[4];
	size_t n;
};

static int see_part(void *arg, const struct store_part *part)
{
	struct seen *seen = arg;

	ck_assert_uint_lt(seen->n, ARRAY_SIZE(seen->part));
	seen->part[seen->n++] = *part;
	return 0;
}

START_TEST(parts_held_are_listed)
{
	struct store *s = suite_open(_i);
	struct seen seen = { .n = 0 };
	struct up u;

	up_begin(s, &u, k("o&p"));
	ck_assert_int_eq(store_mpu_list_parts(s, u.key, u.id, see_part, &seen),
			 0);
	ck_assert_uint_eq(seen.n, 0);
	up_part(s, &u, 5, 10, 1);
	up_part(s, &u, 3, 20, 2);
	ck_assert_int_eq(store_mpu_list_parts(s, u.key, u.id, see_part, &seen),
			 0);
	ck_assert_uint_eq(seen.n, 2);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(seen.part[i].number, u.parts[1 - i].number);
		ck_assert_uint_eq(seen.part[i].size, u.parts[1 - i].size);
		ck_assert_str_eq(seen.part[i].etag, u.parts[1 - i].etag);
		ck_assert(!seen.part[i].has_crc64 ||
			  seen.part[i].crc64 == suite_crc(2 - i, 20 - 10 * i));
	}
	suite_abort(s, u.key, u.id);
	ck_assert_int_eq(store_mpu_list_parts(s, u.key, u.id, see_part, &seen),
			 -ENOENT);
	suite_close(s);
}
END_TEST

struct seen_uploads {
	const char *want_key, *want_id;
	unsigned n, found;
	int64_t begun_ns;
};

static int see_upload(void *arg, const char *key, const char *id,
		      int64_t begun_ns)
{
	struct seen_uploads *seen = arg;

	seen->n++;
	if (!strcmp(key, seen->want_key) && !strcmp(id, seen->want_id)) {
		seen->found++;
		seen->begun_ns = begun_ns;
	}
	return 0;
}

START_TEST(uploads_under_way_are_listed)
{
	struct store *s = suite_open(_i);
	/* Two found where that is promised, none or two where it is not. */
	const bool by_prefix = s->caps & STORE_CAP_MPU_PREFIX;
	struct seen_uploads seen = { .n = 0 };
	struct up a, b, c;

	up_begin(s, &a, k("d/o n"));
	up_begin(s, &b, k("d/o n"));
	up_begin(s, &c, k("e"));
	ck_assert_str_ne(a.id, b.id);
	seen.want_key = b.key;
	seen.want_id = b.id;
	ck_assert_int_eq(store_mpu_list(s, b.key, see_upload, &seen), 0);
	ck_assert_uint_eq(seen.n, 2);
	ck_assert_uint_eq(seen.found, 1);
	ck_assert_int_gt(seen.begun_ns, 0);
	seen.n = seen.found = 0;
	ck_assert_int_eq(store_mpu_list(s, k("d/"), see_upload, &seen), 0);
	ck_assert(seen.n == 2 || (seen.n == 0 && !by_prefix));
	ck_assert_uint_eq(seen.found, seen.n / 2);
	suite_abort(s, b.key, b.id);
	seen.n = seen.found = 0;
	ck_assert_int_eq(store_mpu_list(s, k(""), see_upload, &seen), 0);
	ck_assert(seen.n == 2 || (seen.n == 0 && !by_prefix));
	ck_assert_uint_eq(seen.found, 0);
	seen.n = 0;
	ck_assert_int_eq(store_mpu_list(s, a.key, see_upload, &seen), 0);
	ck_assert_uint_eq(seen.n, 1);
	suite_abort(s, a.key, a.id);
	suite_abort(s, c.key, c.id);
	suite_close(s);
}
END_TEST

START_TEST(a_commit_names_the_parts_it_has)
{
	struct store *s = suite_open(_i);
	const uint64_t part = suite_backend->part;
	struct store_obj obj;
	struct store_part good;
	struct up u;

	up_begin(s, &u, k("o"));
	up_part(s, &u, 1, part, 1);
	up_part(s, &u, 2, 10, 2);
	good = u.parts[1];
	memcpy(u.parts[1].etag, u.parts[0].etag, sizeof(good.etag));
	ck_assert_int_eq(up_commit(s, &u, NULL, &obj), -EINVAL);
	u.parts[1] = good;
	u.parts[1].number = 3;
	ck_assert_int_eq(up_commit(s, &u, NULL, &obj), -EINVAL);
	suite_expect_none(s, k("o"));
	u.parts[1] = good;
	ck_assert_int_eq(up_commit(s, &u, NULL, &obj), 0);
	expect_joint(s, k("o"), (uint64_t[]){ 1, 2 }, (uint64_t[]){ part, 10 },
		     2, false);
	suite_close(s);
}
END_TEST

START_TEST(an_upload_ends_once)
{
	struct store *s = suite_open(_i);
	struct store_obj obj;
	struct store_part part;
	struct up u;
	int r;

	up_begin(s, &u, k("o"));
	up_part(s, &u, 1, 10, 1);
	ck_assert_int_eq(up_commit(s, &u, NULL, &obj), 0);
	r = up_commit(s, &u, NULL, &obj);
	ck_assert(r == -ENOENT || r == 0);
	suite_abort(s, u.key, u.id);
	suite_expect(s, k("o"), 10, 1);
	up_begin(s, &u, k("p"));
	up_part(s, &u, 1, 10, 1);
	suite_abort(s, u.key, u.id);
	suite_abort(s, u.key, u.id);
	u.meta = suite_meta();
	ck_assert_int_eq(up_commit(s, &u, NULL, &obj), -ENOENT);
	ck_assert_int_eq(suite_part(s, u.key, u.id, 2, 10, 1, &part), -ENOENT);
	suite_expect_none(s, k("p"));
	suite_close(s);
}
END_TEST

START_TEST(a_refused_commit_keeps_the_upload)
{
	struct store *s = suite_open(_i);
	struct store_obj old = suite_have(s, k("o"), 5, 1), now, obj;
	struct store_cond cond = { .if_absent = true };
	struct up u;
	int r;

	up_begin(s, &u, k("o"));
	up_part(s, &u, 1, 10, 2);
	r = up_commit(s, &u, &cond, &obj);
	if (!(s->caps & STORE_CAP_PUT_COND)) {
		ck_assert_int_eq(r, -EOPNOTSUPP);
		suite_close(s);
		return;
	}
	ck_assert_int_eq(r, -EEXIST);
	now = suite_have(s, k("o"), 6, 3);
	cond = (struct store_cond){ .if_match = old.etag };
	ck_assert_int_eq(up_commit(s, &u, &cond, &obj), -ESTALE);
	suite_expect(s, k("o"), 6, 3);
	cond.if_match = now.etag;
	ck_assert_int_eq(up_commit(s, &u, &cond, &obj), 0);
	suite_expect(s, k("o"), 10, 2);
	suite_close(s);
}
END_TEST

START_TEST(a_part_with_a_wrong_checksum_is_refused)
{
	struct store *s = suite_open(_i);
	struct pattern p = { .seed = 5 };
	struct store_src src = suite_src(&p, 5000);
	struct store_part part;
	struct store_obj obj;
	struct up u;

	up_begin(s, &u, k("o"));
	up_part(s, &u, 1, 10, 2);
	src.has_crc64 = true;
	src.crc64 = suite_crc(5, 5000) ^ 8;
	ck_assert_int_eq(store_mpu_part(s, u.key, u.id, 1, &src, &part),
			 -EBADMSG);
	src.has_crc64 = false;
	if (s->caps & STORE_CAP_PARTS_CRC32C) {
		src.has_crc64 = src.has_crc32c = true;
		src.crc64 ^= 8;
		src.crc32c = suite_crc32c(5, 5000) ^ 8;
		ck_assert_int_eq(store_mpu_part(s, u.key, u.id, 1, &src, &part),
				 -EBADMSG);
		src.has_crc64 = src.has_crc32c = false;
	}
	p.err = -EIO;
	ck_assert_int_eq(store_mpu_part(s, u.key, u.id, 1, &src, &part), -EIO);
	ck_assert_int_eq(up_commit(s, &u, NULL, &obj), 0);
	suite_expect(s, k("o"), 10, 2);
	suite_close(s);
}
END_TEST

START_TEST(parts_are_copied_from_objects)
{
	struct store *s = suite_open(_i);
	const uint64_t part = suite_backend->part;
	struct store_obj src = suite_have(s, k("s rc"), part + 500, 4), obj;
	struct up u;
	int r;

	up_begin_as(s, &u, k("o"), true);
	r = store_mpu_copy_part(s, u.key, u.id, 1, k("s rc"), src.etag, 0, part,
				&u.parts[0]);
	if (!(s->caps & STORE_CAP_COPY_PART)) {
		ck_assert_int_eq(r, -EOPNOTSUPP);
		suite_close(s);
		return;
	}
	ck_assert_msg(!r, "copy part: %d %s", r, store_last_error());
	ck_assert_uint_eq(u.parts[0].size, part);
	u.n = 1;
	up_part(s, &u, 2, 10, 5);
	ck_assert_int_eq(up_commit(s, &u, NULL, &obj), 0);
	expect_joint(s, k("o"), (uint64_t[]){ 4, 5 }, (uint64_t[]){ part, 10 },
		     2, true);
	suite_close(s);
}
END_TEST

/* The old whole copied onto its own key, and what came since behind it: twice,
 * so that the second takes from one that was made so. */
START_TEST(an_object_grows_by_a_part_behind_its_copy)
{
	struct store *s = suite_open(_i);
	const uint64_t part = suite_backend->part;
	struct store_obj obj = suite_have(s, k("log"), part, 1), head;
	struct store_cond cond = { 0 };
	uint64_t seeds[] = { 1, 2, 3 }, sizes[] = { part, part + 7, 5 }, len;
	struct up u;

	len = part;
	for (unsigned i = 1; i < 3 && s->caps & STORE_CAP_COPY_PART; i++) {
		int r;

		up_begin_as(s, &u, k("log"), true);
		r = store_mpu_copy_part(s, u.key, u.id, 1, k("log"), obj.etag,
					0, len, &u.parts[0]);
		ck_assert_msg(!r, "copy part: %d %s", r, store_last_error());
		u.n = 1;
		up_part(s, &u, 2, sizes[i], seeds[i]);
		if (s->caps & STORE_CAP_PUT_COND)
			cond.if_match = obj.etag;
		ck_assert_int_eq(up_commit(s, &u, &cond, &head), 0);
		obj = head;
		len += sizes[i];
		expect_joint(s, k("log"), seeds, sizes, i + 1, true);
	}
	suite_close(s);
}
END_TEST

START_TEST(a_copied_part_names_its_source_version)
{
	struct store *s = suite_open(_i);
	struct store_obj old = suite_have(s, k("src"), 1000, 4), now;
	struct store_part part;
	struct up u;

	now = suite_have(s, k("src"), 1000, 5);
	if (!(s->caps & STORE_CAP_COPY_PART)) {
		suite_close(s);
		return;
	}
	up_begin_as(s, &u, k("o"), true);
	ck_assert_int_eq(store_mpu_copy_part(s, u.key, u.id, 1, k("src"),
					     old.etag, 0, 10, &part),
			 -ESTALE);
	ck_assert_int_eq(store_mpu_copy_part(s, u.key, u.id, 1, k("gone"),
					     old.etag, 0, 10, &part),
			 -ESTALE);
	ck_assert_int_eq(store_mpu_copy_part(s, u.key, u.id, 1, k("src"),
					     now.etag, 995, 10, &part),
			 -EINVAL);
	suite_close(s);
}
END_TEST

START_TEST(metadata_of_an_upload)
{
	struct store *s = suite_open(_i);
	struct store_meta at_commit = suite_meta();
	struct store_obj obj;
	struct up u;

	up_begin(s, &u, k("o"));
	up_part(s, &u, 1, 10, 1);
	suite_abort(s, u.key, u.id);
	u.meta.has_mtime = true;
	u.meta.mtime_ns = INT64_C(1500000000987654321);
	u.meta.has_mode = true;
	u.meta.mode = S_IFREG | 0604;
	u.n = 0;
	ck_assert_int_eq(store_mpu_begin(s, u.key, &u.meta, false, u.id), 0);
	up_part(s, &u, 1, 10, 1);
	if (s->caps & STORE_CAP_COMMIT_META) {
		at_commit.has_mtime = true;
		at_commit.mtime_ns = 7;
		at_commit.has_mode = true;
		at_commit.mode = S_IFREG | 0444;
		u.meta = at_commit;
	}
	ck_assert_int_eq(up_commit(s, &u, NULL, &obj), 0);
	ck_assert_int_eq(store_head(s, k("o"), &obj), 0);
	if (s->caps & STORE_CAP_META) {
		ck_assert_str_eq(obj.meta.write_id, u.meta.write_id);
		ck_assert_int_eq(obj.meta.mtime_ns, u.meta.mtime_ns);
		ck_assert_uint_eq(obj.meta.mode, u.meta.mode);
	}
	suite_close(s);
}
END_TEST

void store_suite_add_mpu(TCase *c, int n)
{
	tcase_add_loop_test(c, parts_become_one_object_at_commit, 0, n);
	tcase_add_loop_test(c, parts_come_in_any_order_and_again, 0, n);
	tcase_add_loop_test(c, one_small_part_is_enough, 0, n);
	tcase_add_loop_test(c, parts_held_are_listed, 0, n);
	tcase_add_loop_test(c, uploads_under_way_are_listed, 0, n);
	tcase_add_loop_test(c, a_commit_names_the_parts_it_has, 0, n);
	tcase_add_loop_test(c, an_upload_ends_once, 0, n);
	tcase_add_loop_test(c, a_refused_commit_keeps_the_upload, 0, n);
	tcase_add_loop_test(c, a_part_with_a_wrong_checksum_is_refused, 0, n);
	tcase_add_loop_test(c, parts_are_copied_from_objects, 0, n);
	tcase_add_loop_test(c, an_object_grows_by_a_part_behind_its_copy, 0, n);
	tcase_add_loop_test(c, a_copied_part_names_its_source_version, 0, n);
	tcase_add_loop_test(c, metadata_of_an_upload, 0, n);
}
