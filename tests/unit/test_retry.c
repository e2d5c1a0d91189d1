/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/rng.h"
#include "ckptfs/thr.h"

#include "harness.h"
#include "store/retry.h"

/* A clock that moves only when somebody waits. */
struct still {
	struct clk clk;
	struct thr thr;
	struct rng rng;
	int64_t now_ns;
	uint64_t random;
	int waits;
};

static struct still still;

static int64_t still_now(const struct clk *c)
{
	(void)c;
	return still.now_ns;
}

static int still_wait(struct thr *t, struct lock *l, struct thr_cond *c,
		      int64_t deadline_ns)
{
	(void)t;
	(void)l;
	(void)c;
	still.waits++;
	still.now_ns = deadline_ns;
	return -ETIMEDOUT;
}

static void still_fill(struct rng *r, void *p, size_t n)
{
	(void)r;
	ck_assert_uint_eq(n, sizeof(still.random));
	memcpy(p, &still.random, n);
}

static const struct thr_ops still_thr = { .wait = still_wait };

static struct store *fault; /* inside the store under test */
static struct store *mem; /* inside fault */

static struct store *open_store(unsigned attempts)
{
	struct store_retry_policy policy = { .base_ns = 100 * NS_PER_MS,
					     .cap_ns = 10 * NS_PER_S,
					     .attempts = attempts };
	struct store *s;

	still = (struct still){ .clk = { still_now, still_now },
				.thr = { &still_thr },
				.rng = { still_fill },
				.now_ns = NS_PER_S };
	mem = store_mem_new(&clk_system);
	fault = store_fault_new(mem);
	s = store_retry_new(fault, &still.clk, &still.rng, &still.thr, &policy);
	ck_assert_ptr_nonnull(s);
	return s;
}

static void plan(const char *method, unsigned count, int err,
		 enum store_fault_act act)
{
	struct store_fault f = {
		.method = method, .count = count, .err = err, .act = act
	};

	ck_assert_int_eq(store_fault_set(fault, &f, 1), 0);
}

static unsigned calls(const char *line)
{
	char *log = store_fault_log(fault), *p = log;
	unsigned n = 0;

	while ((p = strstr(p, line))) {
		n++;
		p++;
	}
	free(log);
	return n;
}

static ssize_t read_text(void *arg, uint64_t off, void *p, size_t n)
{
	memcpy(p, (const char *)arg + off, n);
	return (ssize_t)n;
}

static char text[] = "0123456789abcdef";
static const struct store_src src = { .read = read_text,
				      .arg = text,
				      .len = sizeof(text) - 1 };

static struct store_meta meta_of(const char *id)
{
	struct store_meta m = { .has_mtime = false };

	memcpy(m.write_id, id, strlen(id) + 1);
	return m;
}

static int put(struct store *s, const char *key, const char *id,
	       const struct store_cond *cond)
{
	struct store_meta m = meta_of(id);
	struct store_obj obj;

	return store_put(s, key, &src, &m, cond, &obj);
}

static const struct {
	unsigned n;
	uint64_t random;
	int64_t asked_ms, want_ms;
} delays[] = {
	{ 0, 0, 0, 0 },
	{ 0, 100 * NS_PER_MS, 0, 100 },
	{ 0, 101 * NS_PER_MS, 0, 0 }, /* wraps to just under 1 ms */
	{ 3, 800 * NS_PER_MS, 0, 800 },
	{ 6, 6400 * NS_PER_MS, 0, 6400 },
	{ 7, 10000 * NS_PER_MS, 0, 10000 },
	{ 4000000000, 10000 * NS_PER_MS, 0, 10000 },
	{ 0, 50 * NS_PER_MS, 7000, 7000 },
	{ 7, 9000 * NS_PER_MS, 7000, 9000 },
	{ 0, 0, 86400000, 300000 },
};

START_TEST(the_delay_is_drawn_below_a_growing_ceiling)
{
	static const struct store_retry_policy p = { .base_ns = 100 * NS_PER_MS,
						     .cap_ns = 10 * NS_PER_S };
	int64_t got = retry_delay_ns(&p, delays[_i].n, delays[_i].random,
				     delays[_i].asked_ms * NS_PER_MS);

	ck_assert_int_eq(got / NS_PER_MS, delays[_i].want_ms);
}
END_TEST

static const struct {
	int err;
	bool again;
} classes[] = {
	{ -EAGAIN, true },     { -ETIMEDOUT, true },   { -ENETUNREACH, true },
	{ -EPROTO, true },     { -ENOENT, false },     { -EEXIST, false },
	{ -ESTALE, false },    { -EACCES, false },     { -EINVAL, false },
	{ -EBADMSG, false },   { -EOPNOTSUPP, false }, { -ENOSPC, false },
	{ -ECANCELED, false }, { -EIO, false },	       { -ENOMEM, false },
};

START_TEST(only_transient_errors_are_tried_again)
{
	struct store *s = open_store(0);

	plan("put", 3, classes[_i].err, STORE_FAULT_BEFORE);
	ck_assert_int_eq(store_err_is_transient(classes[_i].err),
			 classes[_i].again);
	ck_assert_int_eq(put(s, "a", "w1", NULL),
			 classes[_i].again ? 0 : classes[_i].err);
	ck_assert_uint_eq(calls("put a"), classes[_i].again ? 4 : 1);
	ck_assert_str_eq(store_last_error(),
			 classes[_i].again ? "" : "made to fail");
	store_free(s);
}
END_TEST

START_TEST(attempts_are_counted)
{
	struct store *s = open_store(3);

	plan("put", 0, -EAGAIN, STORE_FAULT_BEFORE);
	still.random = 100 * NS_PER_MS;
	ck_assert_int_eq(put(s, "a", "w1", NULL), -EAGAIN);
	ck_assert_uint_eq(calls("put a"), 3);
	ck_assert_int_eq(still.now_ns, NS_PER_S + 200 * NS_PER_MS);
	ck_assert_str_eq(store_last_error(), "made to fail");
	store_free(s);
}
END_TEST

START_TEST(a_spent_quota_fails_at_once)
{
	struct store *s = open_store(1000);
	unsigned spent;

	plan("put", 0, -EAGAIN, STORE_FAULT_BEFORE);
	ck_assert_int_eq(put(s, "a", "w1", NULL), -EAGAIN);
	spent = calls("put a");
	ck_assert_uint_eq(spent, 101);
	ck_assert_int_eq(put(s, "b", "w2", NULL), -EAGAIN);
	ck_assert_uint_eq(calls("put b"), 1);
	ck_assert_int_eq(store_fault_set(fault, NULL, 0), 0);
	for (int i = 0; i < 5; i++) /* each success gives a fifth back */
		ck_assert_int_eq(put(s, "c", "w3", NULL), 0);
	plan("put", 1, -EAGAIN, STORE_FAULT_BEFORE);
	ck_assert_int_eq(put(s, "d", "w4", NULL), 0);
	store_free(s);
}
END_TEST

START_TEST(without_a_limit_it_goes_on_at_the_cap)
{
	struct store *s = open_store(0);

	plan("put", 150, -EAGAIN, STORE_FAULT_BEFORE);
	ck_assert_int_eq(put(s, "a", "w1", NULL), 0);
	ck_assert_uint_eq(calls("put a"), 151);
	/* 100 retries of no delay (the drawn one is 0), 50 of the cap */
	ck_assert_int_eq(still.now_ns, NS_PER_S + 50 * 10 * NS_PER_S);
	store_free(s);
}
END_TEST

START_TEST(an_own_create_found_on_retry_is_success)
{
	static const struct store_cond absent = { .if_absent = true };
	struct store *s = open_store(0);

	plan("put", 1, -ETIMEDOUT, STORE_FAULT_AFTER);
	ck_assert_int_eq(put(s, "a", "mine", &absent), 0);
	/* looked for, not sent again */
	ck_assert_uint_eq(calls("put a"), 1);
	ck_assert_uint_eq(calls("head a"), 1);
	/* somebody else's is not */
	plan("put", 1, -ETIMEDOUT, STORE_FAULT_BEFORE);
	ck_assert_int_eq(put(s, "a", "other", &absent), -EEXIST);
	/* without a write-id nobody can tell */
	plan("put", 1, -ETIMEDOUT, STORE_FAULT_AFTER);
	ck_assert_int_eq(put(s, "b", "", &absent), -EEXIST);
	/* and a plain refusal is not looked into */
	ck_assert_int_eq(put(s, "a", "mine", &absent), -EEXIST);
	ck_assert_uint_eq(calls("head a"), 3);
	store_free(s);
}
END_TEST

START_TEST(an_own_replacement_found_on_retry_is_success)
{
	struct store *s = open_store(0);
	struct store_cond cond = { .if_match = NULL };
	struct store_obj obj;

	ck_assert_int_eq(put(s, "a", "one", NULL), 0);
	ck_assert_int_eq(store_head(s, "a", &obj), 0);
	cond.if_match = obj.etag;
	plan("put", 1, -EPROTO, STORE_FAULT_AFTER);
	ck_assert_int_eq(put(s, "a", "two", &cond), 0);
	plan("put", 1, -EPROTO, STORE_FAULT_AFTER);
	ck_assert_int_eq(put(s, "a", "three", &cond), -ESTALE);
	store_free(s);
}
END_TEST

/* The look at the object is retried like everything else. */
START_TEST(the_look_itself_may_fail)
{
	static const struct store_cond absent = { .if_absent = true };
	static const struct store_fault both[] = {
		{ .method = "put",
		  .count = 1,
		  .err = -ETIMEDOUT,
		  .act = STORE_FAULT_AFTER },
		{ .method = "head", .count = 2, .err = -EAGAIN },
		{ .method = "head", .count = 1, .skip = 1, .err = -EACCES },
	};
	struct store *s = open_store(0);

	ck_assert_int_eq(store_fault_set(fault, both, 3), 0);
	ck_assert_int_eq(put(s, "a", "mine", &absent), 0);
	ck_assert_uint_eq(calls("head a"), 3);
	store_free(s);
}
END_TEST

static int upload(struct store *s, const char *key, const char *id)
{
	char up[STORE_UPLOAD_ID_MAX];
	struct store_meta m = meta_of(id);
	struct store_part part;
	struct store_obj obj;

	ck_assert_int_eq(store_mpu_begin(s, key, &m, false, up), 0);
	ck_assert_int_eq(store_mpu_part(s, key, up, 1, &src, &part), 0);
	return store_mpu_commit(s, key, up, &part, 1, &m, NULL, &obj);
}

START_TEST(an_own_commit_found_on_retry_is_success)
{
	struct store *s = open_store(0);

	plan("mpu_commit", 1, -ETIMEDOUT, STORE_FAULT_AFTER);
	ck_assert_int_eq(upload(s, "a", "mine"), 0);
	ck_assert_uint_eq(calls("mpu_commit a"), 1);
	plan("mpu_commit", 1, -ETIMEDOUT, STORE_FAULT_AFTER);
	ck_assert_int_eq(upload(s, "b", ""), -ENOENT);
	store_free(s);
}
END_TEST

START_TEST(a_begin_is_left_to_its_caller)
{
	struct store *s = open_store(0);
	struct store_meta m = meta_of("w");
	char id[STORE_UPLOAD_ID_MAX];

	plan("mpu_begin", 1, -ETIMEDOUT, STORE_FAULT_AFTER);
	ck_assert_int_eq(store_mpu_begin(s, "a", &m, false, id), -ETIMEDOUT);
	ck_assert_uint_eq(calls("mpu_begin a"), 1);
	store_free(s);
}
END_TEST

START_TEST(a_copy_is_left_to_its_caller)
{
	struct store *s = open_store(0);
	struct store_obj obj;

	ck_assert_int_eq(put(s, "a", "one", NULL), 0);
	plan("copy", 1, -ETIMEDOUT, STORE_FAULT_AFTER);
	ck_assert_int_eq(store_copy(s, "a", NULL, "b", NULL, NULL, &obj),
			 -ETIMEDOUT);
	ck_assert_uint_eq(calls("copy a b"), 1);
	store_free(s);
}
END_TEST

START_TEST(an_own_delete_found_on_retry_is_success)
{
	struct store *s = open_store(0);
	struct store_cond cond = { .if_match = NULL };
	struct store_obj obj;

	ck_assert_int_eq(put(s, "a", "one", NULL), 0);
	ck_assert_int_eq(store_head(s, "a", &obj), 0);
	cond.if_match = obj.etag;
	plan("del", 1, -ETIMEDOUT, STORE_FAULT_AFTER);
	ck_assert_int_eq(store_del(s, "a", &cond), 0);
	ck_assert_uint_eq(calls("del a"), 1);
	ck_assert_int_eq(store_del(s, "a", &cond), -ESTALE);
	ck_assert_int_eq(put(s, "a", "two", NULL), 0);
	plan("del", 1, -ETIMEDOUT, STORE_FAULT_BEFORE);
	ck_assert_int_eq(store_del(s, "a", &cond), -ESTALE);
	store_free(s);
}
END_TEST

START_TEST(an_own_rename_found_on_retry_is_success)
{
	struct store *s = open_store(0);
	struct store_obj obj;

	ck_assert_int_eq(put(s, "a", "one", NULL), 0);
	plan("rename", 1, -ETIMEDOUT, STORE_FAULT_AFTER);
	ck_assert_int_eq(store_rename(s, "a", "b", &obj), 0);
	ck_assert_str_eq(obj.meta.write_id, "one");
	ck_assert_int_eq(store_rename(s, "a", "b", &obj), -ENOENT);
	store_free(s);
}
END_TEST

static int collect(void *arg, const void *p, size_t n)
{
	char *out = arg;

	memcpy(out + strlen(out), p, n);
	return 0;
}

START_TEST(a_broken_get_goes_on_where_it_stopped)
{
	struct store *s = open_store(0);
	struct store_obj obj;
	char out[64] = "";

	ck_assert_int_eq(put(s, "a", "one", NULL), 0);
	ck_assert_int_eq(store_head(s, "a", &obj), 0);
	plan("get", 2, -ETIMEDOUT, STORE_FAULT_HALF);
	ck_assert_int_eq(store_get(s, "a", obj.etag, 2, 12, collect, out, NULL),
			 0);
	ck_assert_str_eq(out, "23456789abcd");
	ck_assert_uint_eq(calls("get a 2+12\nget a 8+6\nget a 11+3\n"), 1);
	/* of an unnamed version the rest could be another's */
	memset(out, 0, sizeof(out));
	plan("get", 1, -ETIMEDOUT, STORE_FAULT_HALF);
	ck_assert_int_eq(store_get(s, "a", NULL, 0, 16, collect, out, NULL),
			 -ETIMEDOUT);
	plan("get", 1, -ETIMEDOUT, STORE_FAULT_BEFORE);
	memset(out, 0, sizeof(out));
	ck_assert_int_eq(store_get(s, "a", NULL, 0, 4, collect, out, NULL), 0);
	ck_assert_str_eq(out, "0123");
	store_free(s);
}
END_TEST

static int add_key(void *arg, const char *key, const struct store_obj *obj)
{
	(void)obj;
	return collect(arg, key, strlen(key));
}

START_TEST(a_broken_listing_repeats_nothing)
{
	struct store *s = open_store(0);
	char out[64] = "";

	ck_assert_int_eq(put(s, "a", "1", NULL), 0);
	ck_assert_int_eq(put(s, "b/c", "2", NULL), 0);
	ck_assert_int_eq(put(s, "d", "3", NULL), 0);
	plan("list", 2, -EPROTO, STORE_FAULT_AFTER);
	ck_assert_int_eq(store_list(s, "", NULL, true, add_key, out), 0);
	ck_assert_str_eq(out, "ab/d");
	store_free(s);
}
END_TEST

static void *shut_down(void *arg)
{
	store_shutdown(arg);
	return NULL;
}

START_TEST(shutdown_wakes_who_waits)
{
	static const struct store_retry_policy slow = {
		.base_ns = INT64_C(3600) * NS_PER_S,
		.cap_ns = INT64_C(3600) * NS_PER_S
	};
	pthread_t tid;
	struct store *s;

	fault = store_fault_new(store_mem_new(&clk_system));
	s = store_retry_new(fault, &clk_system, &rng_system, &thr_system,
			    &slow);
	plan("put", 0, -EAGAIN, STORE_FAULT_BEFORE);
	ck_assert_int_eq(pthread_create(&tid, NULL, shut_down, s), 0);
	ck_assert_int_eq(put(s, "a", "1", NULL), -ECANCELED);
	pthread_join(tid, NULL);
	ck_assert_int_eq(put(s, "a", "1", NULL), -ECANCELED);
	store_free(s);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, the_delay_is_drawn_below_a_growing_ceiling, 0,
			    (int)ARRAY_SIZE(delays));
	tcase_add_loop_test(c, only_transient_errors_are_tried_again, 0,
			    (int)ARRAY_SIZE(classes));
	tcase_add_test(c, attempts_are_counted);
	tcase_add_test(c, a_spent_quota_fails_at_once);
	tcase_add_test(c, without_a_limit_it_goes_on_at_the_cap);
	tcase_add_test(c, an_own_create_found_on_retry_is_success);
	tcase_add_test(c, an_own_replacement_found_on_retry_is_success);
	tcase_add_test(c, the_look_itself_may_fail);
	tcase_add_test(c, an_own_commit_found_on_retry_is_success);
	tcase_add_test(c, a_begin_is_left_to_its_caller);
	tcase_add_test(c, a_copy_is_left_to_its_caller);
	tcase_add_test(c, an_own_delete_found_on_retry_is_success);
	tcase_add_test(c, an_own_rename_found_on_retry_is_success);
	tcase_add_test(c, a_broken_get_goes_on_where_it_stopped);
	tcase_add_test(c, a_broken_listing_repeats_nothing);
	tcase_add_test(c, shutdown_wakes_who_waits);
}

int main(void)
{
	return harness_run("retry", add);
}
