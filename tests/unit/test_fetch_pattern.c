/* SPDX-License-Identifier: Apache-2.0 */
/* What is brought ahead of readers: bytes that would come of a file, counted for
 * readers of many kinds, if each request ended at once. */
#include "config.h"

#include <stdlib.h>

#include "ckptfs/cache.h"

#include "harness.h"
#include "transfer/fetch_int.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define LEAST (8 * MIB)
#define CHUNK (64 * MIB)

static struct fetch_pattern pattern;
static struct cache_ranges *have;
static unsigned requests;
static uint64_t size;
static bool opening, tail_first;
static unsigned misses; /* reads that had to wait */

static void begin(uint64_t n)
{
	memset(&pattern, 0, sizeof(pattern));
	ck_assert_int_eq(cache_ranges_new(&have), 0);
	size = n;
	requests = misses = 0;
	opening = true;
	tail_first = false;
}

static void end(void)
{
	cache_ranges_free(have);
	have = NULL;
}

static bool one_request(uint64_t off, uint64_t len)
{
	struct fetch_ahead wishes[FETCH_WISHES_MAX];
	struct fetch_wish w = { .size = size,
				.chunk = CHUNK,
				.least = LEAST,
				.have = cache_ranges_sum(have),
				.opening = opening,
				.tail_first = tail_first,
				.pattern = &pattern };
	struct fetch_plan p = { .have = have,
				.size = size,
				.chunk = CHUNK,
				.wishes = wishes };
	struct fetch_range r;

	p.n_wishes = fetch_plan_wishes(&w, wishes);
	ck_assert_uint_le(p.n_wishes, FETCH_WISHES_MAX);
	if (!fetch_plan_next(&p, off, len, &r))
		return false;
	ck_assert_uint_lt(r.off, r.end);
	ck_assert_uint_le(r.end, size);
	ck_assert_uint_le(r.end - r.off, CHUNK);
	ck_assert_int_eq(cache_ranges_add(have, r.off, r.end - r.off), 0);
	requests++;
	return true;
}

static void settle(void)
{
	while (one_request(0, 0))
		;
}

static void read_at(uint64_t who, uint64_t off, uint64_t len)
{
	(void)fetch_pattern_read(&pattern, who, off, len, size,
				 fetch_plan_ahead_most(16, CHUNK));
	misses += !cache_ranges_has(have, off, len);
	while (!cache_ranges_has(have, off, len))
		ck_assert(one_request(off, len));
	settle();
}

static uint64_t brought(void)
{
	return cache_ranges_sum(have);
}

START_TEST(who_reads_on_waits_seldom)
{
	begin(10 * GIB);
	for (uint64_t at = 0; at < 2 * GIB; at += 512 * KIB)
		read_at(1, at, 512 * KIB);
	ck_assert_uint_le(misses, 2);
	ck_assert_uint_le(brought(), 2 * GIB + 2 * 16 * CHUNK);
	/* large requests, once it is known */
	ck_assert_uint_le(requests, 200);
	end();
}
END_TEST

START_TEST(what_is_brought_ahead_is_twice_what_was_read)
{
	begin(10 * GIB);
	for (uint64_t at = 0; at < 4 * MIB; at += 128 * KIB)
		read_at(1, at, 128 * KIB);
	ck_assert_uint_le(brought(), 12 * MIB);
	ck_assert_uint_ge(brought(), 8 * MIB);
	end();
}
END_TEST

START_TEST(backwards_is_a_direction_too)
{
	begin(10 * GIB);
	for (uint64_t n = 0; n < 256 * MIB; n += 512 * KIB)
		read_at(1, size - n - 512 * KIB, 512 * KIB);
	ck_assert_uint_le(misses, 2);
	ck_assert_uint_le(brought(), 3 * 256 * MIB);
	ck_assert_uint_le(requests, 60);
	end();
}
END_TEST

/* In blocks, each read from its begin on. */
START_TEST(blocks_may_go_backwards)
{
	begin(10 * GIB);
	for (uint64_t b = 1; b <= 64; b++)
		for (uint64_t at = 0; at < 4 * MIB; at += 512 * KIB)
			read_at(1, size - b * 4 * MIB + at, 512 * KIB);
	ck_assert_uint_le(brought(), 2 * 64 * 4 * MIB);
	ck_assert_uint_le(misses, 8);
	end();
}
END_TEST

static const struct {
	uint64_t block, stride;
} strides[] = {
	{ MIB, 16 * MIB },
	{ 4 * MIB, 128 * MIB },
	{ 64 * KIB, 10 * MIB },
	{ 16 * MIB, 100 * MIB },
};

START_TEST(strides_cost_what_is_read)
{
	uint64_t block = strides[_i].block, step = strides[_i].stride;

	begin(10 * GIB);
	for (uint64_t b = 0; b < 64; b++)
		for (uint64_t at = 0; at < block; at += 512 * KIB)
			read_at(1, b * step + at,
				block < 512 * KIB ? block : 512 * KIB);
	/* and what is ahead when it ends */
	ck_assert_uint_le(brought(), (64 + FETCH_STRIDES) * block + 3 * block +
					     2 * MIB);
	ck_assert_uint_le(misses, 4);
	end();
}
END_TEST

START_TEST(random_reads_cost_little)
{
	uint64_t x = 1;

	begin(10 * GIB);
	for (unsigned i = 0; i < 1000; i++) {
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		read_at(1, (x >> 16) % (size - 4 * KIB), 4 * KIB);
	}
	ck_assert_uint_le(brought(), 2 * MIB + 1000 * 64 * KIB);
	ck_assert_uint_le(requests, 1001);
	end();
}
END_TEST

START_TEST(many_readers_each_have_their_own)
{
	begin(10 * GIB);
	for (uint64_t at = 0; at < 64 * MIB; at += 512 * KIB)
		for (uint64_t who = 1; who <= 8; who++)
			read_at(who, who * GIB + at, 512 * KIB);
	ck_assert_uint_le(misses, 8 * 2);
	ck_assert_uint_le(brought(), 8 * 3 * 64 * MIB + 2 * MIB);
	end();
}
END_TEST

START_TEST(who_has_gone_wants_nothing)
{
	begin(10 * GIB);
	(void)fetch_pattern_read(&pattern, 1, 0, 8 * MIB, size, 16 * CHUNK);
	(void)fetch_pattern_read(&pattern, 2, GIB, MIB, size, 16 * CHUNK);
	opening = false;
	fetch_pattern_leave(&pattern, 1);
	settle();
	ck_assert(cache_ranges_has(have, GIB + MIB, 2 * MIB));
	ck_assert_uint_eq(brought(), 2 * MIB);
	fetch_pattern_leave(&pattern, 2);
	ck_assert(!fetch_pattern_any(&pattern));
	end();
}
END_TEST

START_TEST(a_small_file_comes_whole)
{
	begin(LEAST);
	settle();
	ck_assert_uint_eq(brought(), LEAST);
	ck_assert_uint_eq(requests, 1);
	end();
}
END_TEST

START_TEST(the_rest_comes_with_the_first_half)
{
	begin(GIB);
	for (uint64_t n = 0; n < GIB / 2; n += MIB)
		ck_assert_int_eq(cache_ranges_add(have, 2 * n, MIB), 0);
	settle();
	ck_assert_uint_eq(brought(), GIB);
	end();
}
END_TEST

START_TEST(what_is_opened_begins_at_both_ends)
{
	begin(10 * GIB);
	tail_first = true;
	settle();
	ck_assert(cache_ranges_has(have, size - MIB, MIB));
	ck_assert(cache_ranges_has(have, 0, MIB));
	ck_assert_uint_eq(brought(), 2 * MIB);
	end();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, who_reads_on_waits_seldom);
	tcase_add_test(c, what_is_brought_ahead_is_twice_what_was_read);
	tcase_add_test(c, backwards_is_a_direction_too);
	tcase_add_test(c, blocks_may_go_backwards);
	tcase_add_loop_test(c, strides_cost_what_is_read, 0,
			    (int)ARRAY_SIZE(strides));
	tcase_add_test(c, random_reads_cost_little);
	tcase_add_test(c, many_readers_each_have_their_own);
	tcase_add_test(c, who_has_gone_wants_nothing);
	tcase_add_test(c, a_small_file_comes_whole);
	tcase_add_test(c, the_rest_comes_with_the_first_half);
	tcase_add_test(c, what_is_opened_begins_at_both_ends);
}

int main(void)
{
	return harness_run("fetch_pattern", add);
}
