/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ckptfs/clock.h"

#include "harness.h"
#include "transfer/flow.h"

#define MIB (UINT64_C(1) << 20)

static struct flow f;
static int64_t now;
static uint64_t work;

static void begin(unsigned most)
{
	flow_init(&f, most);
	now = 100 * NS_PER_S;
	work = 0;
}

/* Requests at once for so long, by which so much a second is done. */
static void seconds(unsigned n, unsigned going, uint64_t rate)
{
	while (n--) {
		int64_t began = now;

		flow_begins(&f, going - 1);
		now += NS_PER_S;
		work += rate;
		(void)flow_ends(&f, began, now, work, false);
	}
}

static void throttle(void)
{
	now += NS_PER_S;
	(void)flow_ends(&f, now, now, work, true);
}

START_TEST(without_a_word_of_the_store_all_go)
{
	begin(8);
	ck_assert_uint_eq(f.now, 8);
	seconds(100, 8, MIB);
	ck_assert_uint_eq(f.now, 8);
}
END_TEST

START_TEST(each_word_halves_them_down_to_one)
{
	static const unsigned want[] = { 8, 4, 2, 1, 1 };
	size_t i;

	begin(16);
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		throttle();
		ck_assert_uint_eq(f.now, want[i]);
	}
	begin(0);
	throttle();
	ck_assert_uint_eq(f.now, 1);
}
END_TEST

/* All sixteen hear it. */
START_TEST(what_was_under_way_then_says_nothing_new)
{
	int64_t began;
	unsigned i;

	begin(16);
	began = now;
	for (i = 0; i < 16; i++) {
		now += NS_PER_MS;
		ck_assert(!flow_ends(&f, began, now, work, true));
	}
	ck_assert_uint_eq(f.now, 8);
	ck_assert(!flow_ends(&f, now, now, work, true));
	ck_assert_uint_eq(f.now, 4);
}
END_TEST

START_TEST(one_more_each_second_while_more_is_done)
{
	unsigned i;

	begin(8);
	throttle();
	throttle();
	throttle();
	ck_assert_uint_eq(f.now, 1);
	for (i = 1; i < 8; i++) {
		ck_assert_uint_eq(f.now, i);
		seconds(1, f.now, f.now * MIB);
	}
	ck_assert_uint_eq(f.now, 8);
	seconds(10, 8, 8 * MIB);
	ck_assert_uint_eq(f.now, 8);
}
END_TEST

START_TEST(no_more_while_no_more_is_done_by_it)
{
	begin(8);
	throttle();
	ck_assert_uint_eq(f.now, 4);
	seconds(1, 4, 4 * MIB);
	ck_assert_uint_eq(f.now, 5);
	seconds(10, 5, 4 * MIB);
	ck_assert_uint_eq(f.now, 5);
	/* tried again, later */
	seconds(1, 5, 4 * MIB);
	ck_assert_uint_eq(f.now, 6);
}
END_TEST

/* Who did not use what he had needs no more. */
START_TEST(no_more_than_is_used)
{
	begin(8);
	throttle();
	seconds(60, 3, 64 * MIB);
	ck_assert_uint_eq(f.now, 4);
}
END_TEST

START_TEST(a_word_is_forgotten_in_a_second_at_the_earliest)
{
	begin(2);
	throttle();
	flow_begins(&f, 0);
	ck_assert(!flow_ends(&f, now, now + NS_PER_S - 1, MIB, false));
	ck_assert_uint_eq(f.now, 1);
	ck_assert(flow_ends(&f, now, now + NS_PER_S, MIB, false));
	ck_assert_uint_eq(f.now, 2);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, without_a_word_of_the_store_all_go);
	tcase_add_test(c, each_word_halves_them_down_to_one);
	tcase_add_test(c, what_was_under_way_then_says_nothing_new);
	tcase_add_test(c, one_more_each_second_while_more_is_done);
	tcase_add_test(c, no_more_while_no_more_is_done_by_it);
	tcase_add_test(c, no_more_than_is_used);
	tcase_add_test(c, a_word_is_forgotten_in_a_second_at_the_earliest);
}

int main(void)
{
	return harness_run("flow", add);
}
