/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ckptfs/clock.h"
#include "ckptfs/space.h"

#include "harness.h"

#define M (UINT64_C(1) << 20)
#define G (UINT64_C(1) << 30)
#define S NS_PER_S
#define OFTEN (100 * NS_PER_MS)

static const struct {
	const char *name;
	struct space_now now;
	struct space_choice want;
} choices[] = {
	{ "plenty",
	  { .total = 100 * G, .avail = 50 * G, .clean = 9 * G, .dirty = G },
	  { 0, false, SPACE_GO, SPACE_GO, S } },
	{ "exactly the least that must be free",
	  { .total = 100 * G, .avail = 5 * G, .clean = 9 * G },
	  { 0, false, SPACE_GO, SPACE_GO, S } },
	{ "one byte less than must be free",
	  { .total = 100 * G, .avail = 5 * G - 1, .clean = 9 * G },
	  { 1, true, SPACE_GO, SPACE_GO, S } },
	{ "a small disk keeps 2 GiB",
	  { .total = 20 * G, .avail = G, .clean = 9 * G },
	  { G, true, SPACE_GO, SPACE_GO, S } },
	{ "the least free as given",
	  { .total = 20 * G, .avail = G, .min_free = 512 * M, .clean = G },
	  { 0, false, SPACE_GO, SPACE_GO, S } },
	{ "but enough that nobody has to wait",
	  { .total = 20 * G, .avail = 60 * M, .min_free = M, .clean = G },
	  { 4 * M, true, SPACE_WAIT, SPACE_WAIT, S } },
	{ "not more than there is to evict",
	  { .total = 100 * G, .avail = G, .clean = 100 * M },
	  { 100 * M, true, SPACE_GO, SPACE_GO, S } },
	{ "what is on its way out is not evicted twice",
	  { .total = 100 * G, .avail = 4 * G, .going = G, .clean = 9 * G },
	  { 0, true, SPACE_GO, SPACE_GO, S } },
	{ "over the size of the cache",
	  { .total = 900 * G,
	    .avail = 500 * G,
	    .cache_size = 10 * G,
	    .clean = 8 * G,
	    .dirty = 3 * G },
	  { G, false, SPACE_GO, SPACE_GO, S } },
	{ "the larger of both shortages",
	  { .total = 100 * G,
	    .avail = 2 * G,
	    .cache_size = 10 * G,
	    .clean = 8 * G,
	    .dirty = 3 * G },
	  { 3 * G, true, SPACE_GO, SPACE_GO, S } },
	{ "a second of a passthrough writer ahead, on the disk",
	  { .total = 100 * G,
	    .avail = 6 * G,
	    .clean = 20 * G,
	    .writers = 1,
	    .rate = 3 * G },
	  { 2 * G, false, SPACE_GO, SPACE_GO, OFTEN } },
	{ "and in the cache",
	  { .total = 900 * G,
	    .avail = 500 * G,
	    .cache_size = 10 * G,
	    .clean = 9 * G,
	    .dirty = G,
	    .writers = 2,
	    .rate = 3 * G },
	  { 3 * G, false, SPACE_GO, SPACE_GO, OFTEN } },
	{ "a rate nobody writes at counts for nothing",
	  { .total = 100 * G, .avail = 6 * G, .clean = 20 * G, .rate = 3 * G },
	  { 0, false, SPACE_GO, SPACE_GO, S } },
	{ "full of dirty bytes that can be published",
	  { .total = 900 * G,
	    .avail = 500 * G,
	    .cache_size = 10 * G,
	    .dirty = 10 * G,
	    .may_upload = true },
	  { 0, false, SPACE_WAIT, SPACE_GO, S } },
	{ "full of dirty bytes that cannot",
	  { .total = 900 * G,
	    .avail = 500 * G,
	    .cache_size = 10 * G,
	    .dirty = 10 * G },
	  { 0, false, SPACE_FULL, SPACE_GO, S } },
	{ "full of what readers have open",
	  { .total = 900 * G,
	    .avail = 500 * G,
	    .cache_size = 10 * G,
	    .clean = 2 * G,
	    .dirty = G,
	    .in_use = 20 * G },
	  { 2 * G, false, SPACE_GO, SPACE_GO, S } },
	{ "what is open counts, and is not evicted",
	  { .total = 900 * G,
	    .avail = 500 * G,
	    .cache_size = 10 * G,
	    .clean = 8 * G,
	    .in_use = 3 * G },
	  { G, false, SPACE_GO, SPACE_GO, S } },
	{ "full=enospc never waits for the uploader",
	  { .total = 900 * G,
	    .avail = 500 * G,
	    .cache_size = 10 * G,
	    .dirty = 10 * G,
	    .may_upload = true,
	    .full_enospc = true },
	  { 0, false, SPACE_FULL, SPACE_GO, S } },
	{ "a full disk, nothing clean",
	  { .total = 100 * G, .avail = M, .dirty = 90 * G, .may_upload = true },
	  { 0, true, SPACE_WAIT, SPACE_WAIT, S } },
	{ "a full disk, nothing to publish",
	  { .total = 100 * G, .avail = M, .dirty = 90 * G },
	  { 0, true, SPACE_FULL, SPACE_FULL, S } },
	{ "a full disk, but eviction will make room, full=enospc or not",
	  { .total = 100 * G, .avail = M, .clean = G, .full_enospc = true },
	  { G, true, SPACE_WAIT, SPACE_WAIT, S } },
	{ "a full disk, but room is on its way",
	  { .total = 100 * G, .avail = M, .going = 9 * G },
	  { 0, true, SPACE_WAIT, SPACE_WAIT, S } },
	{ "no number is too large",
	  { .total = UINT64_MAX,
	    .avail = UINT64_MAX,
	    .clean = UINT64_MAX,
	    .dirty = UINT64_MAX,
	    .going = UINT64_MAX,
	    .rate = UINT64_MAX,
	    .writers = 1 },
	  { 0, false, SPACE_GO, SPACE_GO, OFTEN } },
};

START_TEST(the_choice_is_as_the_table_says)
{
	const struct space_choice *want = &choices[_i].want;
	struct space_choice got;

	space_choose(&choices[_i].now, &got);
	ck_assert_msg(got.evict == want->evict &&
			      got.ordinary == want->ordinary &&
			      got.open == want->open &&
			      got.write == want->write &&
			      got.again_ns == want->again_ns,
		      "%s: evict %llu ordinary %d open %d write %d again %lld",
		      choices[_i].name, (unsigned long long)got.evict,
		      got.ordinary, (int)got.open, (int)got.write,
		      (long long)got.again_ns);
}
END_TEST

static const struct {
	const char *name;
	struct space_now now;
	uint64_t want;
} more[] = {
	{ "an empty cache",
	  { .total = 900 * G, .avail = 500 * G, .cache_size = 10 * G },
	  10 * G },
	{ "clean bytes make way, dirty ones do not",
	  { .total = 900 * G,
	    .avail = 500 * G,
	    .cache_size = 10 * G,
	    .clean = 5 * G,
	    .dirty = 3 * G },
	  7 * G },
	{ "more that is dirty than it may keep",
	  { .total = 900 * G,
	    .avail = 500 * G,
	    .cache_size = 10 * G,
	    .dirty = 11 * G },
	  0 },
	{ "no size: the disk alone, and of it not the last",
	  { .total = 100 * G, .avail = 20 * G, .clean = 3 * G, .going = G },
	  19 * G },
	{ "the disk ends before the cache does",
	  { .total = 900 * G,
	    .avail = 12 * G,
	    .min_free = 10 * G,
	    .cache_size = 10 * G },
	  2 * G },
	{ "a disk that has too little already",
	  { .total = 900 * G, .avail = 9 * G, .min_free = 10 * G },
	  0 },
	{ "never less than writers need",
	  { .total = 900 * G, .avail = G, .min_free = 1 },
	  G - SPACE_FLOOR },
	{ "no number is too large",
	  { .total = UINT64_MAX,
	    .avail = UINT64_MAX,
	    .clean = UINT64_MAX,
	    .going = UINT64_MAX,
	    .min_free = G },
	  UINT64_MAX - G },
};

START_TEST(what_may_come_is_as_the_table_says)
{
	uint64_t got = space_more(&more[_i].now);

	ck_assert_msg(got == more[_i].want, "%s: %llu", more[_i].name,
		      (unsigned long long)got);
}
END_TEST

START_TEST(the_rate_rises_at_once_and_halves_in_a_second)
{
	struct space_rate r = { .known = false };

	ck_assert_uint_eq(space_rate(&r, 5 * S, 10 * G, 0), 0);
	ck_assert_uint_eq(space_rate(&r, 5 * S + OFTEN, 9 * G, 0), 10 * G);
	/* The same moment again tells nothing new. */
	ck_assert_uint_eq(space_rate(&r, 5 * S + OFTEN, 8 * G, 0), 10 * G);
	ck_assert_uint_eq(space_rate(&r, 6 * S + OFTEN, 9 * G, 0), 5 * G);
	ck_assert_uint_eq(space_rate(&r, 9 * S, 9 * G, 0), 0);
}
END_TEST

START_TEST(what_we_freed_hides_no_writer)
{
	struct space_rate r = { .known = false };

	ck_assert_uint_eq(space_rate(&r, 0, 10 * G, 0), 0);
	ck_assert_uint_eq(space_rate(&r, S, 10 * G, 2 * G), 2 * G);
	ck_assert_uint_eq(space_rate(&r, 2 * S, 14 * G, 0), G);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, the_choice_is_as_the_table_says, 0,
			    ARRAY_SIZE(choices));
	tcase_add_loop_test(c, what_may_come_is_as_the_table_says, 0,
			    ARRAY_SIZE(more));
	tcase_add_test(c, the_rate_rises_at_once_and_halves_in_a_second);
	tcase_add_test(c, what_we_freed_hides_no_writer);
}

int main(void)
{
	return harness_run("space", add);
}
