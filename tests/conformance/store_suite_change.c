/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions, checksums, deletes, copies. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "store_suite.h"

#define RACERS 8

static const struct store_cond if_absent = { .if_absent = true };

START_TEST(if_absent_creates_only)
{
	struct store *s = suite_open(_i);
	struct store_obj obj;
	int r = suite_put(s, k("c"), 10, 1, &if_absent, &obj);

	if (!(s->caps & STORE_CAP_PUT_COND)) {
		ck_assert_int_eq(r, -EOPNOTSUPP);
	} else {
		ck_assert_int_eq(r, 0);
		ck_assert_int_eq(suite_put(s, k("c"), 10, 2, &if_absent, &obj),
				 -EEXIST);
		suite_expect(s, k("c"), 10, 1);
		ck_assert_int_eq(store_del(s, k("c"), NULL), 0);
		ck_assert_int_eq(suite_put(s, k("c"), 10, 3, &if_absent, &obj),
				 0);
		suite_expect(s, k("c"), 10, 3);
	}
	suite_close(s);
}
END_TEST

START_TEST(if_match_replaces_that_version_only)
{
	struct store *s = suite_open(_i);
	struct store_obj one = suite_have(s, k("c"), 10, 1), two, obj;
	struct store_cond cond = { .if_match = one.etag };

	if (!(s->caps & STORE_CAP_PUT_COND)) {
		suite_close(s);
		return;
	}
	ck_assert_int_eq(suite_put(s, k("c"), 10, 2, &cond, &two), 0);
	ck_assert_int_eq(suite_put(s, k("c"), 10, 3, &cond, &obj), -ESTALE);
	suite_expect(s, k("c"), 10, 2);
	ck_assert_int_eq(suite_put(s, k("none"), 10, 3, &cond, &obj), -ESTALE);
	suite_expect_none(s, k("none"));
	cond.if_match = two.etag;
	ck_assert_int_eq(suite_put(s, k("c"), 10, 3, &cond, &obj), 0);
	suite_expect(s, k("c"), 10, 3);
	suite_close(s);
}
END_TEST

struct racer {
	pthread_t tid;
	struct store *s;
	const char *key;
	const struct store_cond *cond;
	uint64_t seed;
	pthread_barrier_t *start;
	int r;
};

static void *race(void *arg)
{
	struct racer *me = arg;
	struct store_obj obj;

	pthread_barrier_wait(me->start);
	me->r = suite_put(me->s, me->key, 70000, me->seed, me->cond, &obj);
	return NULL;
}

/* Exactly one racer may win; its bytes must be there. */
static void run_race(struct store *s, const char *key,
		     const struct store_cond *cond, int loser)
{
	struct racer racers[RACERS];
	pthread_barrier_t start;
	unsigned winners = 0;
	uint64_t seed = 0;

	pthread_barrier_init(&start, NULL, RACERS);
	for (unsigned i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){ .s = s,
					    .key = key,
					    .cond = cond,
					    .seed = 100 + i,
					    .start = &start };
		ck_assert_int_eq(
			pthread_create(&racers[i].tid, NULL, race, &racers[i]),
			0);
	}
	for (unsigned i = 0; i < RACERS; i++) {
		pthread_join(racers[i].tid, NULL);
		if (!racers[i].r) {
			winners++;
			seed = racers[i].seed;
		} else {
			ck_assert_int_eq(racers[i].r, loser);
		}
	}
	pthread_barrier_destroy(&start);
	ck_assert_uint_eq(winners, 1);
	suite_expect(s, key, 70000, seed);
}

START_TEST(of_many_creators_one_wins)
{
	struct store *s = suite_open(_i);
	struct store_cond cond = { .if_match = NULL };
	struct store_obj obj;

	if (!suite_backend->is_racy && (s->caps & STORE_CAP_PUT_COND)) {
		run_race(s, k("race/new"), &if_absent, -EEXIST);
		obj = suite_have(s, k("race/old"), 3, 1);
		cond.if_match = obj.etag;
		run_race(s, k("race/old"), &cond, -ESTALE);
	}
	suite_close(s);
}
END_TEST

START_TEST(a_wrong_checksum_is_refused)
{
	struct store *s = suite_open(_i);
	struct store_meta meta = suite_meta();
	struct pattern p = { .seed = 2 };
	struct store_src src = suite_src(&p, 50000);
	struct store_obj obj;

	suite_have(s, k("old"), 10, 1);
	src.has_crc64 = true;
	src.crc64 = suite_crc(2, 50000) ^ 1;
	ck_assert_int_eq(store_put(s, k("new"), &src, &meta, NULL, &obj),
			 -EBADMSG);
	suite_expect_none(s, k("new"));
	ck_assert_int_eq(store_put(s, k("old"), &src, &meta, NULL, &obj),
			 -EBADMSG);
	suite_expect(s, k("old"), 10, 1);
	src.crc64 ^= 1;
	ck_assert_int_eq(store_put(s, k("new"), &src, &meta, NULL, &obj), 0);
	suite_expect(s, k("new"), 50000, 2);
	suite_close(s);
}
END_TEST

START_TEST(a_failing_source_leaves_nothing)
{
	struct store *s = suite_open(_i);
	struct store_meta meta = suite_meta();
	struct pattern p = { .seed = 2, .err = -EIO, .err_at = 200000 };
	struct store_src src = suite_src(&p, 300000);
	struct store_obj obj;

	ck_assert_int_eq(store_put(s, k("n"), &src, &meta, NULL, &obj), -EIO);
	p.err = -ENODEV;
	ck_assert_int_eq(store_put(s, k("n"), &src, &meta, NULL, &obj), -EIO);
	p.err = -ECANCELED;
	ck_assert_int_eq(store_put(s, k("n"), &src, &meta, NULL, &obj),
			 -ECANCELED);
	suite_expect_none(s, k("n"));
	suite_close(s);
}
END_TEST

START_TEST(deletes_delete)
{
	struct store *s = suite_open(_i);
	struct store_obj obj = suite_have(s, k("a/b/c"), 5, 1);
	struct store_cond cond = { .if_match = "\"nothing\"" };

	suite_have(s, k("a/d"), 5, 2);
	if (s->caps & STORE_CAP_DEL_COND) {
		ck_assert_int_eq(store_del(s, k("a/b/c"), &cond), -ESTALE);
		suite_expect(s, k("a/b/c"), 5, 1);
		ck_assert_int_eq(store_del(s, k("gone"), &cond), -ESTALE);
		cond.if_match = obj.etag;
		ck_assert_int_eq(store_del(s, k("a/b/c"), &cond), 0);
		ck_assert_int_eq(store_del(s, k("a/b/c"), &cond), -ESTALE);
	} else {
		ck_assert_int_eq(store_del(s, k("a/b/c"), &cond), -EOPNOTSUPP);
		ck_assert_int_eq(store_del(s, k("a/b/c"), NULL), 0);
	}
	suite_expect_none(s, k("a/b/c"));
	suite_expect(s, k("a/d"), 5, 2);
	ck_assert_int_eq(store_del(s, k("a/b/c"), NULL), 0);
	suite_close(s);
}
END_TEST

static int del_many(struct store *s, const char *const *keys, size_t n,
		    int *ret_errs)
{
	struct store_del dels[16] = { { .if_match = NULL } };

	for (size_t i = 0; i < n; i++)
		dels[i].key = keys[i];
	return store_del_many(s, dels, n, ret_errs);
}

START_TEST(many_are_deleted_if_they_are_what_they_were)
{
	struct store *s = suite_open(_i);
	struct store_obj a = suite_have(s, k("a"), 5, 1);
	struct store_obj b = suite_have(s, k("b"), 5, 2);
	struct store_del dels[] = { { k("a"), a.etag }, { k("b"), b.etag } };
	int errs[2] = { 1, 1 };

	suite_have(s, k("b"), 6, 3);
	if (!(s->caps & STORE_CAP_DEL_MANY_COND)) {
		ck_assert_int_eq(store_del_many(s, dels, 2, errs),
				 -EOPNOTSUPP);
		suite_close(s);
		return;
	}
	ck_assert_int_eq(store_del_many(s, dels, 2, errs), 0);
	ck_assert_int_eq(errs[0], 0);
	ck_assert_int_eq(errs[1], -ESTALE);
	suite_expect_none(s, k("a"));
	suite_expect(s, k("b"), 6, 3);
	suite_close(s);
}
END_TEST

START_TEST(many_are_deleted_at_once)
{
	struct store *s = suite_open(_i);
	const char *keys[] = { k("none"),    k("one"),	    k("t w&o"),
			       k("d/three"), k("pl+us"),    k("per%20cent"),
			       k("lf\n"),    k("\303\274"), k("<l>\"]]>") };
	/* XML has no place for these: each has a request of its own. */
	const char *alone[] = { k("cr\r"), k("ctrl\001") };
	int errs[ARRAY_SIZE(keys)];

	for (size_t i = 1; i < ARRAY_SIZE(keys); i++)
		if (store_holds_name(s, keys[i]))
			suite_have(s, keys[i], 1, 1);
	for (size_t i = 0; i < ARRAY_SIZE(alone); i++)
		if (store_holds_name(s, alone[i]))
			suite_have(s, alone[i], 1, 1);
	suite_have(s, k("stays"), 1, 1);
	memset(errs, 1, sizeof(errs));
	ck_assert_int_eq(del_many(s, alone, ARRAY_SIZE(alone), errs), 0);
	for (size_t i = 0; i < ARRAY_SIZE(alone); i++) {
		if (!store_holds_name(s, alone[i]))
			continue;
		ck_assert_int_eq(errs[i], 0);
		suite_expect_none(s, alone[i]);
	}
	memset(errs, 1, sizeof(errs));
	ck_assert_int_eq(del_many(s, keys, ARRAY_SIZE(keys), errs), 0);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!store_holds_name(s, keys[i]))
			continue;
		ck_assert_int_eq(errs[i], 0);
		suite_expect_none(s, keys[i]);
	}
	suite_expect(s, k("stays"), 1, 1);
	suite_close(s);
}
END_TEST

static void copy_meta(struct store *s)
{
	struct pattern p = { .seed = 4 };
	struct store_src src = suite_src(&p, 40);
	struct store_meta meta = suite_meta(), other = suite_meta();
	struct store_obj obj;

	meta.has_mtime = true;
	meta.mtime_ns = 1234567890123456789;
	meta.has_mode = true;
	meta.mode = S_IFREG | 0600;
	other.has_mtime = true;
	other.mtime_ns = 42;
	ck_assert_int_eq(store_put(s, k("from"), &src, &meta, NULL, &obj), 0);
	ck_assert_int_eq(
		store_copy(s, k("from"), obj.etag, k("d/to"), NULL, NULL, &obj),
		0);
	suite_expect(s, k("d/to"), 40, 4);
	if (s->caps & STORE_CAP_META) {
		ck_assert_int_eq(store_head(s, k("d/to"), &obj), 0);
		ck_assert_str_eq(obj.meta.write_id, meta.write_id);
		ck_assert_int_eq(obj.meta.mtime_ns, meta.mtime_ns);
		ck_assert_uint_eq(obj.meta.mode, meta.mode);
	}
	ck_assert_int_eq(
		store_copy(s, k("from"), NULL, k("d/to"), &other, NULL, &obj),
		0);
	if (s->caps & STORE_CAP_META) {
		ck_assert_int_eq(store_head(s, k("d/to"), &obj), 0);
		ck_assert_str_eq(obj.meta.write_id, other.write_id);
		ck_assert_int_eq(obj.meta.mtime_ns, 42);
	}
	suite_expect(s, k("from"), 40, 4);
}

START_TEST(a_copy_is_the_same_bytes)
{
	struct store *s = suite_open(_i);
	struct store_obj obj;

	suite_have(s, k("x y&z"), 150000, 1);
	if (s->caps & STORE_CAP_COPY) {
		ck_assert_int_eq(store_copy(s, k("x y&z"), NULL, k("to %"),
					    NULL, NULL, &obj),
				 0);
		suite_expect(s, k("to %"), 150000, 1);
		copy_meta(s);
	} else {
		ck_assert_int_eq(store_copy(s, k("x y&z"), NULL, k("to"), NULL,
					    NULL, &obj),
				 -EOPNOTSUPP);
	}
	suite_close(s);
}
END_TEST

START_TEST(a_copy_names_its_source_version)
{
	struct store *s = suite_open(_i);
	struct store_obj old = suite_have(s, k("f"), 10, 1), obj;

	suite_have(s, k("f"), 10, 2);
	if (s->caps & STORE_CAP_COPY) {
		ck_assert_int_eq(store_copy(s, k("f"), old.etag, k("t"), NULL,
					    NULL, &obj),
				 -ESTALE);
		suite_expect_none(s, k("t"));
		ck_assert_int_eq(store_copy(s, k("gone"), NULL, k("t"), NULL,
					    NULL, &obj),
				 -ENOENT);
		ck_assert_int_eq(store_copy(s, k("gone"), old.etag, k("t"),
					    NULL, NULL, &obj),
				 -ESTALE);
	}
	suite_close(s);
}
END_TEST

START_TEST(a_marker_can_be_copied)
{
	struct store *s = suite_open(_i);
	struct store_cond absent = { .if_absent = true }, *cond = NULL;
	struct store_obj old, obj;

	if (s->caps & STORE_CAP_PUT_COND)
		cond = &absent;
	old = suite_have(s, k("m/"), 0, 1);
	if (s->caps & STORE_CAP_COPY) {
		ck_assert_int_eq(store_copy(s, k("m/"), old.etag, k("n/"), NULL,
					    cond, &obj),
				 0);
		ck_assert_int_eq(store_head(s, k("n/"), &obj), 0);
		ck_assert_uint_eq(obj.size, 0);
		ck_assert_int_eq(store_copy(s, k("m/"), "other", k("o/"), NULL,
					    NULL, &obj),
				 -ESTALE);
		suite_expect_none(s, k("o/"));
		ck_assert_int_eq(store_head(s, k("m/"), &obj), 0);
	}
	suite_close(s);
}
END_TEST

/* A copy with a condition on its destination is right or refused. */
START_TEST(a_copy_may_guard_its_destination)
{
	struct store *s = suite_open(_i);
	struct store_obj from = suite_have(s, k("f"), 10, 1), to, obj;
	struct store_meta meta = suite_meta();
	struct store_cond cond = { .if_match = from.etag };
	int r;

	if (!(s->caps & STORE_CAP_COPY)) {
		suite_close(s);
		return;
	}
	to = suite_have(s, k("t"), 11, 2);
	r = store_copy(s, k("f"), from.etag, k("t"), &meta, &if_absent, &obj);
	ck_assert(r == -EEXIST || r == -EOPNOTSUPP);
	suite_expect(s, k("t"), 11, 2);
	r = store_copy(s, k("f"), from.etag, k("t"), &meta, &cond, &obj);
	ck_assert(r == -ESTALE || r == -EOPNOTSUPP);
	suite_expect(s, k("t"), 11, 2);
	cond.if_match = to.etag;
	r = store_copy(s, k("f"), from.etag, k("t"), &meta, &cond, &obj);
	ck_assert(r == 0 || r == -EOPNOTSUPP);
	suite_expect_copied(s, k("t"), r ? 11 : 10, r ? 2 : 1);
	meta = suite_meta();
	r = store_copy(s, k("f"), NULL, k("new"), &meta, &if_absent, &obj);
	ck_assert(r == 0 || r == -EOPNOTSUPP);
	if (!r)
		suite_expect_copied(s, k("new"), 10, 1);
	suite_close(s);
}
END_TEST

START_TEST(a_rename_moves)
{
	struct store *s = suite_open(_i);
	struct store_obj obj, old = suite_have(s, k("f"), 10, 1);
	int r = store_rename(s, k("f"), k("e/t"), &obj);

	if (!(s->caps & STORE_CAP_RENAME)) {
		ck_assert_int_eq(r, -EOPNOTSUPP);
		suite_expect(s, k("f"), 10, 1);
		suite_close(s);
		return;
	}
	ck_assert_int_eq(r, 0);
	suite_expect_none(s, k("f"));
	suite_expect(s, k("e/t"), 10, 1);
	if (s->caps & STORE_CAP_META)
		ck_assert_str_eq(obj.meta.write_id, old.meta.write_id);
	suite_have(s, k("g"), 20, 2);
	ck_assert_int_eq(store_rename(s, k("g"), k("e/t"), &obj), 0);
	suite_expect(s, k("e/t"), 20, 2);
	ck_assert_int_eq(store_rename(s, k("e/t"), k("e/t"), &obj), 0);
	suite_expect(s, k("e/t"), 20, 2);
	ck_assert_int_eq(store_rename(s, k("gone"), k("e/t"), &obj), -ENOENT);
	suite_expect(s, k("e/t"), 20, 2);
	suite_close(s);
}
END_TEST

struct reader {
	struct store *s;
	const char *key;
	bool stop; /* atomic */
	unsigned reads, bad;
};

static void *read_again(void *arg)
{
	struct reader *me = arg;

	while (!__atomic_load_n(&me->stop, __ATOMIC_ACQUIRE)) {
		struct suite_sink one = { .seed = 1 }, two = { .seed = 2 };
		struct store_obj obj;
		struct suite_sink *sink;

		if (store_head(me->s, me->key, &obj)) {
			me->bad++;
			continue;
		}
		sink = obj.size == 200000 ? &one : &two;
		me->reads++;
		switch (store_get(me->s, me->key, obj.etag, 0, UINT64_MAX,
				  suite_sink, sink, NULL)) {
		case 0:
			me->bad += sink->wrong || sink->n != obj.size;
			break;
		case -ESTALE:
			break;
		default:
			me->bad++;
		}
	}
	return NULL;
}

START_TEST(readers_see_one_version_or_the_other)
{
	struct store *s = suite_open(_i);
	struct reader rd = { .s = s };
	char key[2048];
	pthread_t tid;

	snprintf(key, sizeof(key), "%s", k("v"));
	rd.key = key;
	suite_have(s, k("v"), 200000, 1);
	if (suite_backend->is_racy) {
		suite_close(s);
		return;
	}
	ck_assert_int_eq(pthread_create(&tid, NULL, read_again, &rd), 0);
	for (unsigned i = 0; i < 30; i++) {
		suite_have(s, k("v"), 300000, 2);
		suite_have(s, k("v"), 200000, 1);
	}
	__atomic_store_n(&rd.stop, true, __ATOMIC_RELEASE);
	pthread_join(tid, NULL);
	ck_assert_uint_eq(rd.bad, 0);
	suite_close(s);
}
END_TEST

void store_suite_add_change(TCase *c, int n)
{
	tcase_add_loop_test(c, if_absent_creates_only, 0, n);
	tcase_add_loop_test(c, if_match_replaces_that_version_only, 0, n);
	tcase_add_loop_test(c, of_many_creators_one_wins, 0, n);
	tcase_add_loop_test(c, a_wrong_checksum_is_refused, 0, n);
	tcase_add_loop_test(c, a_failing_source_leaves_nothing, 0, n);
	tcase_add_loop_test(c, deletes_delete, 0, n);
	tcase_add_loop_test(c, many_are_deleted_at_once, 0, n);
	tcase_add_loop_test(c, many_are_deleted_if_they_are_what_they_were, 0,
			    n);
	tcase_add_loop_test(c, a_copy_is_the_same_bytes, 0, n);
	tcase_add_loop_test(c, a_copy_names_its_source_version, 0, n);
	tcase_add_loop_test(c, a_marker_can_be_copied, 0, n);
	tcase_add_loop_test(c, a_copy_may_guard_its_destination, 0, n);
	tcase_add_loop_test(c, a_rename_moves, 0, n);
	tcase_add_loop_test(c, readers_see_one_version_or_the_other, 0, n);
}
