/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "ckptfs/cache.h"
#include "ckptfs/clock.h"

#include "harness.h"
#include "transfer/fetch_int.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static const struct {
	uint64_t size;
	unsigned workers;
	uint64_t want;
} chunks[] = {
	{ 0, 16, 8 * MIB },	     { 1, 16, 8 * MIB },
	{ 512 * MIB, 16, 8 * MIB },  { GIB, 16, 16 * MIB },
	{ 100 * GIB, 16, 64 * MIB }, { 100 * MIB, 1, 25 * MIB },
};

START_TEST(requests_grow_with_the_file)
{
	ck_assert_uint_eq(
		fetch_plan_chunk(chunks[_i].size, chunks[_i].workers, 8 * MIB),
		chunks[_i].want);
}
END_TEST

#define NONE                                                                   \
	{                                                                      \
		0, 0                                                           \
	}

/* A file of 100 MiB, in MiB; requests of 8. */
static const struct {
	struct fetch_range have[3], jobs[3]; /* {0,0} ends */
	bool tail_first;
	uint64_t want_off, want_len;
	struct fetch_range next; /* {0,0}: nothing */
} plans[] = {
	/* from the front */
	{ { NONE }, { NONE }, false, 0, 0, { 0, 8 } },
	{ { { 0, 8 } }, { NONE }, false, 0, 0, { 8, 16 } },
	{ { { 0, 8 } }, { { 8, 16 } }, false, 0, 0, { 16, 24 } },
	{ { { 8, 16 } }, { { 16, 24 } }, false, 0, 0, { 0, 8 } },
	{ { { 4, 16 } }, { { 2, 4 } }, false, 0, 0, { 0, 2 } },
	{ { { 0, 97 } }, { NONE }, false, 0, 0, { 97, 100 } },
	{ { { 0, 100 } }, { NONE }, false, 0, 0, NONE },
	{ { { 0, 50 } }, { { 80, 100 }, { 50, 80 } }, false, 0, 0, NONE },
	{ { { 10, 20 } },
	  { { 20, 30 }, { 0, 10 }, { 35, 40 } },
	  false,
	  0,
	  0,
	  { 30, 35 } },
	/* the tail first */
	{ { NONE }, { NONE }, true, 0, 0, { 99, 100 } },
	{ { NONE }, { { 99, 100 } }, true, 0, 0, { 0, 8 } },
	{ { { 99, 100 } }, { { 0, 8 } }, true, 0, 0, { 8, 16 } },
	/* what is wanted, and a request's length from there */
	{ { NONE }, { NONE }, false, 50, 1, { 50, 58 } },
	{ { NONE }, { NONE }, true, 50, 1, { 50, 58 } },
	{ { { 50, 52 } }, { NONE }, false, 50, 1, NONE },
	{ { NONE }, { { 50, 58 } }, false, 50, 1, NONE },
	{ { { 50, 52 } }, { { 52, 53 } }, false, 50, 5, { 53, 61 } },
	{ { { 55, 56 } }, { NONE }, false, 50, 1, { 50, 55 } },
	{ { NONE }, { { 53, 60 } }, false, 50, 10, { 50, 53 } },
	{ { NONE }, { NONE }, false, 98, 2, { 98, 100 } },
};

START_TEST(the_next_range_is_the_one_most_needed)
{
	struct fetch_range jobs[3], got = NONE;
	struct cache_ranges *have = NULL;
	static const struct fetch_pattern nobody;
	struct fetch_ahead wishes[FETCH_WISHES_MAX];
	struct fetch_wish w = { .size = 100 * MIB,
				.chunk = 8 * MIB,
				.least = 8 * MIB,
				.all = true,
				.tail_first = plans[_i].tail_first,
				.pattern = &nobody };
	struct fetch_plan p = { .jobs = jobs,
				.size = w.size,
				.chunk = w.chunk,
				.wishes = wishes };
	bool any;

	ck_assert_int_eq(cache_ranges_new(&have), 0);
	for (int i = 0; i < 3 && plans[_i].have[i].end; i++)
		ck_assert_int_eq(cache_ranges_add(have,
						  plans[_i].have[i].off * MIB,
						  (plans[_i].have[i].end -
						   plans[_i].have[i].off) *
							  MIB),
				 0);
	for (int i = 0; i < 3 && plans[_i].jobs[i].end; i++)
		jobs[p.n_jobs++] =
			(struct fetch_range){ plans[_i].jobs[i].off * MIB,
					      plans[_i].jobs[i].end * MIB };
	p.have = have;
	p.n_wishes = fetch_plan_wishes(&w, wishes);
	any = fetch_plan_next(&p, plans[_i].want_off * MIB,
			      plans[_i].want_len * MIB, &got);
	ck_assert_int_eq(any, plans[_i].next.end != 0);
	ck_assert_uint_eq(got.off, plans[_i].next.off * MIB);
	ck_assert_uint_eq(got.end, plans[_i].next.end * MIB);
	cache_ranges_free(have);
}
END_TEST

static const struct {
	const char *name;
	bool tail;
} names[] = {
	{ "last.ckpt", true },
	{ "model.safetensors", true },
	{ "rng_state_0.PTH", true },
	{ "arrays.npz", true },
	{ ".pt", false },
	{ "events.out.tfevents.1", false },
	{ "pt", false },
	{ "", false },
	{ NULL, false },
	{ "model.pt.json", false },
};

START_TEST(the_name_tells_what_is_read_from_its_end)
{
	ck_assert_int_eq(fetch_plan_tail_first(names[_i].name), names[_i].tail);
}
END_TEST

START_TEST(the_back_off_grows_to_a_cap_and_is_never_nothing)
{
	ck_assert_int_eq(fetch_plan_backoff_ns(0, 0), 50 * NS_PER_MS);
	ck_assert_int_eq(fetch_plan_backoff_ns(0, 50 * NS_PER_MS),
			 100 * NS_PER_MS);
	ck_assert_int_eq(fetch_plan_backoff_ns(3, 0), 400 * NS_PER_MS);
	ck_assert_int_eq(fetch_plan_backoff_ns(4000000000, 0), 5 * NS_PER_S);
	ck_assert_int_le(fetch_plan_backoff_ns(4000000000, UINT64_MAX),
			 10 * NS_PER_S);
}
END_TEST

static const struct {
	int err;
	enum fetch_verdict verdict;
	int told;
} verdicts[] = {
	{ -ESTALE, FETCH_VANISHED, 0 },
	{ -ENOENT, FETCH_VANISHED, 0 },
	{ -EAGAIN, FETCH_AGAIN, 0 },
	{ -ETIMEDOUT, FETCH_AGAIN, 0 },
	{ -ENETUNREACH, FETCH_AGAIN, 0 },
	{ -EPROTO, FETCH_AGAIN, 0 },
	{ -ENOMEM, FETCH_AGAIN, 0 },
	{ -ECANCELED, FETCH_AGAIN, 0 },
	{ -EACCES, FETCH_REFUSED, -EACCES },
	{ -ENOSPC, FETCH_REFUSED, -ENOSPC },
	{ -EIO, FETCH_REFUSED, -EIO },
	{ -EBADMSG, FETCH_REFUSED, -EIO },
	{ -EINVAL, FETCH_REFUSED, -EIO },
	{ -EOPNOTSUPP, FETCH_REFUSED, -EIO },
};

START_TEST(every_error_has_its_verdict)
{
	int told = 0;

	ck_assert_int_eq(fetch_plan_verdict(verdicts[_i].err, &told),
			 verdicts[_i].verdict);
	ck_assert_int_eq(told, verdicts[_i].told);
}
END_TEST

START_TEST(the_pace_is_kept_after_a_short_burst)
{
	int64_t paced = 0, now = 1000 * NS_PER_S;
	int64_t waited = 0;

	ck_assert_int_eq(fetch_plan_pace_ns(&paced, now, 0, GIB), 0);
	for (int i = 0; i < 10; i++) {
		int64_t wait = fetch_plan_pace_ns(&paced, now, MIB, MIB / 2);

		now += wait;
		waited += wait;
	}
	/* 5 MiB at 1 MiB a second, less the burst and the last one's own */
	ck_assert_int_eq(waited / NS_PER_MS, 4400);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, requests_grow_with_the_file, 0,
			    (int)ARRAY_SIZE(chunks));
	tcase_add_loop_test(c, the_next_range_is_the_one_most_needed, 0,
			    (int)ARRAY_SIZE(plans));
	tcase_add_loop_test(c, the_name_tells_what_is_read_from_its_end, 0,
			    (int)ARRAY_SIZE(names));
	tcase_add_test(c, the_back_off_grows_to_a_cap_and_is_never_nothing);
	tcase_add_loop_test(c, every_error_has_its_verdict, 0,
			    (int)ARRAY_SIZE(verdicts));
	tcase_add_test(c, the_pace_is_kept_after_a_short_burst);
}

int main(void)
{
	return harness_run("fetch_plan", add);
}
