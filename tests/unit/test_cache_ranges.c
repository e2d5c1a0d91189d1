/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/cache.h"

#include "harness.h"

#define BYTES 200

static unsigned seed;

static unsigned draw(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

/* Everything that can be asked, against one flag a byte. */
static void ck_same(const struct cache_ranges *r, const bool *want)
{
	uint64_t off, len, sum = 0, gap_off, gap_len;
	uint64_t want_off, want_end;
	bool gap;

	for (off = 0; off < BYTES; off++)
		sum += want[off];
	ck_assert_uint_eq(cache_ranges_sum(r), sum);
	for (off = 0; off < BYTES; off += 1 + draw(7)) {
		len = draw((unsigned)(BYTES - off) + 1);
		for (want_off = off; want_off < off + len; want_off++)
			if (!want[want_off])
				break;
		for (want_end = want_off; want_end < off + len; want_end++)
			if (want[want_end])
				break;
		gap = cache_ranges_gap(r, off, len, &gap_off, &gap_len);
		/* One for all: each ck_assert writes to a pipe. */
		ck_assert(gap == (want_off < off + len) &&
			  cache_ranges_has(r, off, len) == !gap &&
			  (!gap || (gap_off == want_off &&
				    gap_off + gap_len == want_end)));
	}
}

START_TEST(random_adds_agree_with_a_bitmap)
{
	bool want[BYTES] = { false };
	struct cache_ranges *r;
	unsigned i, off, len;

	seed = 1 + (unsigned)_i;
	ck_assert_int_eq(cache_ranges_new(&r), 0);
	for (i = 0; i < 100; i++) {
		off = draw(BYTES);
		len = draw(draw(8) ? 4 : 40);
		if (len > BYTES - off)
			len = BYTES - off;
		ck_assert_int_eq(cache_ranges_add(r, off, len), 0);
		memset(want + off, true, len);
		ck_same(r, want);
	}
	cache_ranges_free(r);
}
END_TEST

START_TEST(ranges_that_touch_become_one)
{
	struct cache_ranges *r;
	uint64_t off, len;

	ck_assert_int_eq(cache_ranges_new(&r), 0);
	ck_assert_int_eq(cache_ranges_add(r, 0, 10), 0);
	ck_assert_int_eq(cache_ranges_add(r, 20, 10), 0);
	ck_assert(!cache_ranges_has(r, 0, 30));
	ck_assert(cache_ranges_gap(r, 0, 30, &off, &len));
	ck_assert_uint_eq(off, 10);
	ck_assert_uint_eq(len, 10);
	ck_assert_int_eq(cache_ranges_add(r, 10, 10), 0);
	ck_assert(cache_ranges_has(r, 0, 30));
	ck_assert(!cache_ranges_has(r, 0, 31));
	ck_assert_uint_eq(cache_ranges_sum(r), 30);
	cache_ranges_free(r);
}
END_TEST

START_TEST(nothing_is_always_there)
{
	struct cache_ranges *r;

	ck_assert_int_eq(cache_ranges_new(&r), 0);
	ck_assert(cache_ranges_has(r, 7, 0));
	ck_assert_int_eq(cache_ranges_add(r, 7, 0), 0);
	ck_assert(!cache_ranges_has(r, 7, 1));
	ck_assert_uint_eq(cache_ranges_sum(r), 0);
	cache_ranges_free(r);
	cache_ranges_free(NULL);
}
END_TEST

START_TEST(a_range_past_the_end_of_all_numbers_is_refused)
{
	struct cache_ranges *r;

	ck_assert_int_eq(cache_ranges_new(&r), 0);
	ck_assert_int_eq(cache_ranges_add(r, UINT64_MAX, 2), -EINVAL);
	ck_assert_int_eq(cache_ranges_add(r, 1, UINT64_MAX - 1), 0);
	ck_assert(cache_ranges_has(r, 1, UINT64_MAX - 1));
	ck_assert_uint_eq(cache_ranges_sum(r), UINT64_MAX - 1);
	cache_ranges_free(r);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, random_adds_agree_with_a_bitmap, 0,
			    harness_loops(60));
	tcase_add_test(c, ranges_that_touch_become_one);
	tcase_add_test(c, nothing_is_always_there);
	tcase_add_test(c, a_range_past_the_end_of_all_numbers_is_refused);
}

int main(void)
{
	return harness_run("cache_ranges", add);
}
