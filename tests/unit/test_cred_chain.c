/* SPDX-License-Identifier: Apache-2.0 */
/* The cache in front of a source: when it asks, and what it hands out. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"

#include "harness.h"

#define MINUTE (60 * NS_PER_S)

static char why[CRED_WHY_MAX];

/* A source that gives what the test wants, and counts. */
struct fake {
	struct cred_source source;
	int err;
	int64_t expiry_ns;
	unsigned calls;
	bool has_changed;
	unsigned looks;
	bool is_freed;
	/* The fetch waits in between, if they are set. */
	sem_t *begun, *go_on;
};

static struct fake fake;
static int64_t now_ns;

static int64_t fake_now(const struct clk *c)
{
	return now_ns;
}

static const struct clk clk = { fake_now, fake_now };

static int fake_fetch(struct cred_source *s, char w[CRED_WHY_MAX],
		      struct cred **ret)
{
	char key[32];

	fake.calls++;
	if (fake.begun) {
		ck_assert_int_eq(sem_post(fake.begun), 0);
		ck_assert_int_eq(sem_wait(fake.go_on), 0);
	}
	snprintf(w, CRED_WHY_MAX, "not now");
	if (fake.err)
		return fake.err;
	snprintf(key, sizeof(key), "key%u", fake.calls);
	return cred_new(key, "s", NULL, fake.expiry_ns, ret);
}

static bool fake_has_changed(struct cred_source *s)
{
	fake.looks++;
	return fake.has_changed;
}

static void fake_free(struct cred_source *s)
{
	fake.is_freed = true;
}

static struct cred_chain *fake_chain(void)
{
	static const struct cred_source_ops ops = {
		.fetch = fake_fetch,
		.has_changed = fake_has_changed,
		.free = fake_free,
	};
	struct cred_chain *c = NULL;

	memset(&fake, 0, sizeof(fake));
	fake.source.ops = &ops;
	fake.expiry_ns = INT64_MAX;
	now_ns = 1000 * NS_PER_S;
	ck_assert_int_eq(cred_chain_new(&fake.source, &clk, &c), 0);
	return c;
}

static void expect_key(struct cred_chain *chain, const char *key)
{
	char mine[CRED_WHY_MAX];
	struct cred *c = NULL;
	int r = cred_get(chain, mine, &c);

	ck_assert_msg(r == 0, "%d %s", r, mine);
	ck_assert_str_eq(cred_key_id(c), key);
	cred_drop(c);
}

START_TEST(what_lasts_is_asked_for_once)
{
	struct cred_chain *chain = fake_chain();

	expect_key(chain, "key1");
	now_ns += 1000000 * NS_PER_S;
	expect_key(chain, "key1");
	cred_chain_free(chain);
	ck_assert(fake.is_freed);
}
END_TEST

START_TEST(f48_what_expires_is_renewed_ahead_and_kept_meanwhile)
{
	struct cred_chain *chain = fake_chain();
	struct cred *c = NULL;

	fake.expiry_ns = now_ns + 3600 * NS_PER_S;
	expect_key(chain, "key1");
	now_ns += 50 * 60 * NS_PER_S;
	fake.err = -EACCES;
	expect_key(chain, "key1");
	ck_assert_uint_eq(fake.calls, 2);
	/* Not at each call. */
	expect_key(chain, "key1");
	ck_assert_uint_eq(fake.calls, 2);
	now_ns += 61 * NS_PER_S;
	fake.err = 0;
	fake.expiry_ns = now_ns + 3600 * NS_PER_S;
	expect_key(chain, "key3");
	now_ns = fake.expiry_ns;
	fake.err = -EACCES;
	ck_assert_int_eq(cred_get(chain, why, &c), -EACCES);
	ck_assert_str_eq(why, "not now");
	cred_chain_free(chain);
}
END_TEST

START_TEST(what_the_store_refuses_is_asked_for_again)
{
	struct cred_chain *chain = fake_chain();
	struct cred *c = NULL;

	ck_assert_int_eq(cred_get(chain, why, &c), 0);
	cred_refuse(chain, c);
	expect_key(chain, "key2");
	/* The same refusal, late: somebody else has seen to it. */
	cred_refuse(chain, c);
	expect_key(chain, "key2");
	cred_drop(c);
	cred_chain_free(chain);
}
END_TEST

static void *get_one(void *arg)
{
	expect_key(arg, "key1");
	return NULL;
}

START_TEST(many_askers_make_one_request)
{
	struct cred_chain *chain = fake_chain();
	pthread_t t[8];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, get_one, chain),
				 0);
	for (i = 0; i < ARRAY_SIZE(t); i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_eq(fake.calls, 1);
	cred_chain_free(chain);
}
END_TEST

static void expect_failure(struct cred_chain *chain, int err, const char *word)
{
	struct cred *c = NULL;

	ck_assert_int_eq(cred_get(chain, why, &c), err);
	ck_assert_ptr_null(c);
	ck_assert_msg(strstr(why, word), "no \"%s\" in: %s", word, why);
}

START_TEST(the_old_one_is_used_to_its_very_end)
{
	struct cred_chain *chain = fake_chain();
	int64_t end = now_ns + 60 * MINUTE;

	fake.expiry_ns = end;
	expect_key(chain, "key1");
	fake.err = -EAGAIN;
	now_ns = end - NS_PER_S / 2; /* when one would wait for a new one */
	expect_key(chain, "key1");
	ck_assert_uint_eq(fake.calls, 2);
	now_ns = end;
	expect_failure(chain, -EAGAIN, "not now");
	cred_chain_free(chain);
}
END_TEST

START_TEST(a_failure_is_not_repeated_by_each_request)
{
	struct cred_chain *chain = fake_chain();

	fake.err = -EAGAIN;
	expect_failure(chain, -EAGAIN, "not now");
	expect_failure(chain, -EAGAIN, "not now");
	ck_assert_uint_eq(fake.calls, 1);
	now_ns += NS_PER_S;
	fake.err = 0;
	expect_key(chain, "key2");
	cred_chain_free(chain);
}
END_TEST

/* The pause after a failure is over with the success. */
START_TEST(a_refusal_right_after_a_success_asks_again)
{
	struct cred_chain *chain = fake_chain();
	struct cred *c = NULL;

	fake.err = -EACCES;
	expect_failure(chain, -EACCES, "not now");
	now_ns += NS_PER_S;
	fake.err = 0;
	ck_assert_int_eq(cred_get(chain, why, &c), 0);
	cred_refuse(chain, c);
	cred_drop(c);
	expect_key(chain, "key3");
	cred_chain_free(chain);
}
END_TEST

START_TEST(a_short_life_is_renewed_after_two_thirds_of_it)
{
	struct cred_chain *chain = fake_chain();

	fake.expiry_ns = now_ns + 15 * MINUTE;
	expect_key(chain, "key1");
	now_ns += 9 * MINUTE;
	expect_key(chain, "key1");
	now_ns += 2 * MINUTE;
	fake.expiry_ns = now_ns + 15 * MINUTE;
	expect_key(chain, "key2");
	cred_chain_free(chain);
}
END_TEST

START_TEST(what_comes_expired_does_not_replace_what_is_good)
{
	struct cred_chain *chain = fake_chain();

	fake.expiry_ns = now_ns + 60 * MINUTE;
	expect_key(chain, "key1");
	now_ns += 50 * MINUTE;
	fake.expiry_ns = now_ns - 1;
	expect_key(chain, "key1");
	ck_assert_uint_eq(fake.calls, 2);
	now_ns += 10 * MINUTE;
	fake.expiry_ns = now_ns;
	expect_failure(chain, -EACCES, "expired already");
	cred_chain_free(chain);
}
END_TEST

START_TEST(rotated_files_are_noticed)
{
	struct cred_chain *chain = fake_chain();

	expect_key(chain, "key1");
	fake.has_changed = true;
	now_ns += 4 * NS_PER_S;
	expect_key(chain, "key1");
	ck_assert_uint_eq(fake.looks, 0); /* not at each request */
	now_ns += 2 * NS_PER_S;
	expect_key(chain, "key2");
	fake.has_changed = false;
	now_ns += 6 * NS_PER_S;
	expect_key(chain, "key2");
	ck_assert_uint_eq(fake.looks, 2);
	cred_chain_free(chain);
}
END_TEST

/* As it is while somebody writes it. */
START_TEST(a_broken_file_leaves_the_old_keys_until_it_is_mended)
{
	struct cred_chain *chain = fake_chain();

	expect_key(chain, "key1");
	fake.has_changed = true;
	fake.err = -EACCES;
	now_ns += 6 * NS_PER_S;
	expect_key(chain, "key1");
	ck_assert_uint_eq(fake.calls, 2);
	fake.has_changed = false;
	now_ns += 6 * NS_PER_S;
	expect_key(chain, "key1");
	ck_assert_uint_eq(fake.calls, 2);
	fake.has_changed = true;
	fake.err = 0;
	now_ns += 6 * NS_PER_S;
	expect_key(chain, "key3");
	cred_chain_free(chain);
}
END_TEST

static void *renew_one(void *arg)
{
	expect_key(arg, "key2");
	return NULL;
}

START_TEST(others_go_on_while_one_renews)
{
	struct cred_chain *chain = fake_chain();
	sem_t begun, go_on;
	pthread_t t;

	ck_assert_int_eq(sem_init(&begun, 0, 0), 0);
	ck_assert_int_eq(sem_init(&go_on, 0, 0), 0);
	fake.expiry_ns = now_ns + 60 * MINUTE;
	expect_key(chain, "key1");
	now_ns += 50 * MINUTE;
	fake.expiry_ns = now_ns + 60 * MINUTE;
	fake.begun = &begun;
	fake.go_on = &go_on;
	ck_assert_int_eq(pthread_create(&t, NULL, renew_one, chain), 0);
	ck_assert_int_eq(sem_wait(&begun), 0);
	expect_key(chain, "key1");
	ck_assert_int_eq(sem_post(&go_on), 0);
	pthread_join(t, NULL);
	expect_key(chain, "key2");
	ck_assert_uint_eq(fake.calls, 2);
	cred_chain_free(chain);
}
END_TEST

START_TEST(what_is_in_use_can_be_looked_at)
{
	struct cred_chain *chain = fake_chain();
	struct cred_info info;

	cred_look(chain, &info);
	ck_assert_str_eq(info.from, "");
	fake.expiry_ns = now_ns + MINUTE;
	expect_key(chain, "key1");
	cred_look(chain, &info);
	ck_assert_str_eq(info.from, "not now");
	ck_assert_str_eq(info.key_tail, ""); /* too short for only its tail */
	ck_assert_int_eq(info.expiry_ns, fake.expiry_ns);
	cred_chain_free(chain);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, what_lasts_is_asked_for_once);
	tcase_add_test(c, f48_what_expires_is_renewed_ahead_and_kept_meanwhile);
	tcase_add_test(c, what_the_store_refuses_is_asked_for_again);
	tcase_add_test(c, many_askers_make_one_request);
	tcase_add_test(c, the_old_one_is_used_to_its_very_end);
	tcase_add_test(c, a_failure_is_not_repeated_by_each_request);
	tcase_add_test(c, a_refusal_right_after_a_success_asks_again);
	tcase_add_test(c, a_short_life_is_renewed_after_two_thirds_of_it);
	tcase_add_test(c, what_comes_expired_does_not_replace_what_is_good);
	tcase_add_test(c, rotated_files_are_noticed);
	tcase_add_test(c, a_broken_file_leaves_the_old_keys_until_it_is_mended);
	tcase_add_test(c, others_go_on_while_one_renews);
	tcase_add_test(c, what_is_in_use_can_be_looked_at);
}

int main(void)
{
	return harness_run("cred_chain", add);
}
