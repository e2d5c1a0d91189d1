/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated clock, randomness and workers. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/rng.h"
#include "ckptfs/thr.h"

#include "harness.h"
#include "sim.h"

static struct sim *s;
static const struct host *h;
static struct lock l;
static struct thr_cond c;

/* What happened, as one letter each. */
static char trace[256];
static size_t traced;

static void note(char what)
{
	if (traced < sizeof(trace) - 1)
		trace[traced++] = what;
	trace[traced] = '\0';
}

static void begin(uint64_t seed)
{
	s = sim_new(seed);
	h = sim_host(s);
	lock_init(&l, LOCK_LEAF, "leaf");
	thr_cond_init(&c);
	traced = 0;
	trace[0] = '\0';
}

static void end(void)
{
	sim_free(s);
	thr_cond_fini(&c);
	lock_fini(&l);
}

struct job {
	char letter;
	int64_t delay_ns;
	unsigned left; /* steps until CLK_NEVER */
	struct thr_worker *w;
};

static int64_t work(void *arg)
{
	struct job *j = arg;

	note(j->letter);
	lock_acquire(&l);
	thr_wake(&c);
	lock_release(&l);
	return j->left > 0 && --j->left > 0 ? j->delay_ns : CLK_NEVER;
}

static void start(struct job *j)
{
	ck_assert_int_eq(thr_start(h->thr, "job", work, j, &j->w), 0);
}

START_TEST(nothing_runs_by_itself_and_then_once)
{
	struct job a = { 'a', 0, 1, NULL };

	begin(1);
	start(&a);
	ck_assert_str_eq(trace, "");
	ck_assert_uint_eq(sim_run(s), 1);
	ck_assert_str_eq(trace, "a");
	ck_assert_uint_eq(sim_run(s), 0);
	thr_kick(a.w);
	thr_kick(a.w);
	ck_assert_uint_eq(sim_run(s), 1);
	ck_assert_str_eq(trace, "aa");
	thr_stop(a.w);
	end();
}
END_TEST

START_TEST(the_clock_moves_only_by_hand_and_by_deadlines)
{
	struct job a = { 'a', NS_PER_S, 3, NULL };
	int64_t t0, r0;

	begin(1);
	t0 = clk_mono(h->clk);
	r0 = clk_real(h->clk);
	ck_assert_int_eq(t0, sim_now(s));
	start(&a);
	sim_run(s);
	ck_assert_int_eq(clk_mono(h->clk), t0);
	sim_advance(s, NS_PER_S - 1);
	ck_assert_uint_eq(sim_run(s), 0);
	sim_advance(s, 1);
	ck_assert_uint_eq(sim_run(s), 1);
	ck_assert_uint_eq(sim_run_for(s, NS_PER_S), 1);
	ck_assert_int_eq(clk_mono(h->clk), t0 + 2 * NS_PER_S);
	ck_assert_uint_eq(sim_run_for(s, 5 * NS_PER_S), 0);
	ck_assert_int_eq(clk_mono(h->clk), t0 + 7 * NS_PER_S);
	ck_assert_int_eq(clk_real(h->clk), r0 + 7 * NS_PER_S);
	sim_shift_real(s, -NS_PER_S);
	ck_assert_int_eq(clk_real(h->clk), r0 + 6 * NS_PER_S);
	ck_assert_int_eq(clk_mono(h->clk), t0 + 7 * NS_PER_S);
	thr_stop(a.w);
	end();
}
END_TEST

START_TEST(a_wait_runs_the_workers_until_it_is_woken)
{
	struct job a = { 'a', NS_PER_S, 100, NULL };
	int64_t t0;
	unsigned n = 0;

	begin(1);
	t0 = sim_now(s);
	start(&a);
	lock_acquire(&l);
	while (a.left > 90) {
		ck_assert_int_eq(thr_wait(h->thr, &l, &c, CLK_NEVER), 0);
		n++;
	}
	lock_assert_held(&l);
	lock_release(&l);
	ck_assert_uint_eq(n, 10);
	ck_assert_int_eq(sim_now(s), t0 + 9 * NS_PER_S);
	thr_stop(a.w);
	end();
}
END_TEST

START_TEST(a_wait_ends_at_its_deadline)
{
	int64_t t0;

	begin(1);
	t0 = sim_now(s);
	lock_acquire(&l);
	ck_assert_int_eq(thr_wait(h->thr, &l, &c, t0 + 5), -ETIMEDOUT);
	ck_assert_int_eq(sim_now(s), t0 + 5);
	ck_assert_int_eq(thr_wait(h->thr, &l, &c, 0), -ETIMEDOUT);
	ck_assert_int_eq(sim_now(s), t0 + 5);
	lock_release(&l);
	end();
}
END_TEST

/* Two that hand a token to each other, each waiting in mid-step. */
static int turn;

static int64_t ping(void *arg)
{
	int me = *(int *)arg;
	unsigned i;

	lock_acquire(&l);
	for (i = 0; i < 5; i++) {
		while (turn != me)
			(void)thr_wait(h->thr, &l, &c, CLK_NEVER);
		note((char)('0' + me));
		turn = 1 - me;
		thr_wake(&c);
	}
	lock_release(&l);
	return CLK_NEVER;
}

START_TEST(steps_that_wait_for_each_other_all_go_on)
{
	static int ids[2] = { 0, 1 };
	struct thr_worker *w[2];

	begin((uint64_t)_i);
	turn = 0;
	ck_assert_int_eq(thr_start(h->thr, "zero", ping, &ids[0], &w[0]), 0);
	ck_assert_int_eq(thr_start(h->thr, "one", ping, &ids[1], &w[1]), 0);
	sim_run(s);
	ck_assert_str_eq(trace, "0101010101");
	thr_stop(w[0]);
	thr_stop(w[1]);
	end();
}
END_TEST

static int64_t slow(void *arg)
{
	int64_t until = sim_now(s) + NS_PER_S;

	note('(');
	lock_acquire(&l);
	while (thr_wait(h->thr, &l, &c, until) == 0)
		;
	lock_release(&l);
	note(')');
	return 0;
}

START_TEST(stopping_waits_for_the_running_step)
{
	struct thr_worker *w;

	begin(1);
	ck_assert_int_eq(thr_start(h->thr, "slow", slow, NULL, &w), 0);
	sim_run(s);
	ck_assert_str_eq(trace, "(");
	thr_stop(w);
	ck_assert_str_eq(trace, "()");
	end();
}
END_TEST

START_TEST(a_kick_in_mid_step_brings_one_more)
{
	struct thr_worker *w;

	begin(1);
	ck_assert_int_eq(thr_start(h->thr, "slow", slow, NULL, &w), 0);
	sim_run(s);
	thr_kick(w);
	ck_assert_uint_eq(sim_run_for(s, NS_PER_S), 1);
	ck_assert_str_eq(trace, "()(");
	thr_stop(w);
	end();
}
END_TEST

static void run_three(uint64_t seed, char *ret, size_t n, uint64_t *ret_random)
{
	struct job j[3] = { { 'a', 0, 20, NULL },
			    { 'b', 0, 20, NULL },
			    { 'c', 0, 20, NULL } };
	unsigned i;

	begin(seed);
	for (i = 0; i < 3; i++)
		start(&j[i]);
	ck_assert_uint_eq(sim_run(s), 60);
	for (i = 0; i < 3; i++)
		thr_stop(j[i].w);
	*ret_random = rng_u64(h->rng);
	snprintf(ret, n, "%s", trace);
	end();
}

START_TEST(the_seed_decides_the_order)
{
	char first[256], again[256], other[256];
	uint64_t r1, r2, r3;

	run_three(7, first, sizeof(first), &r1);
	run_three(7, again, sizeof(again), &r2);
	run_three(8, other, sizeof(other), &r3);
	ck_assert_str_eq(first, again);
	ck_assert_uint_eq(r1, r2);
	ck_assert_str_ne(first, other);
	ck_assert_uint_ne(r1, r3);
}
END_TEST

static bool ten_left(void *arg)
{
	return ((struct job *)arg)->left == 10;
}

START_TEST(a_run_ends_when_the_condition_holds)
{
	struct job a = { 'a', NS_PER_S, 30, NULL };
	int64_t t0;

	begin(1);
	t0 = sim_now(s);
	start(&a);
	ck_assert(sim_run_until(s, ten_left, &a, 100 * NS_PER_S));
	ck_assert_int_eq(sim_now(s), t0 + 19 * NS_PER_S);
	ck_assert(sim_run_until(s, ten_left, &a, 0));
	ck_assert_uint_eq(sim_run_for(s, NS_PER_S), 1);
	ck_assert(!sim_run_until(s, ten_left, &a, 3 * NS_PER_S));
	ck_assert_int_eq(sim_now(s), t0 + 23 * NS_PER_S);
	thr_stop(a.w);
	end();
}
END_TEST

START_TEST(many_workers_come_and_go)
{
	struct job j[50];
	unsigned round, i;

	begin(3);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < ARRAY_SIZE(j); i++) {
			j[i] = (struct job){ 'x', (int64_t)i, 10, NULL };
			start(&j[i]);
		}
		ck_assert_uint_eq(sim_run_for(s, NS_PER_S), 10 * ARRAY_SIZE(j));
		for (i = 0; i < ARRAY_SIZE(j); i++)
			thr_stop(j[i].w);
	}
	end();
}
END_TEST

NO_TSA static void deadlock(void)
{
	lock_acquire(&l);
	(void)thr_wait(h->thr, &l, &c, CLK_NEVER);
}

static int64_t endless_step(void *arg)
{
	return 0;
}

static void endless(void)
{
	struct thr_worker *w;

	ck_assert_int_eq(thr_start(h->thr, "spin", endless_step, NULL, &w), 0);
	sim_run(s);
}

static void left_over(void)
{
	struct job a = { 'a', 0, 1, NULL };

	start(&a);
	sim_free(s);
}

NO_TSA static int64_t keep_step(void *arg)
{
	lock_acquire(&l);
	return 0;
}

static void keep_lock(void)
{
	struct thr_worker *w;

	ck_assert_int_eq(thr_start(h->thr, "keep", keep_step, NULL, &w), 0);
	sim_run(s);
}

static void (*const misuses[])(void) = { deadlock, endless, left_over,
					 keep_lock };

START_TEST(what_cannot_end_well_aborts)
{
	begin(1);
	misuses[_i]();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, nothing_runs_by_itself_and_then_once);
	tcase_add_test(tc, the_clock_moves_only_by_hand_and_by_deadlines);
	tcase_add_test(tc, a_wait_runs_the_workers_until_it_is_woken);
	tcase_add_test(tc, a_wait_ends_at_its_deadline);
	tcase_add_loop_test(tc, steps_that_wait_for_each_other_all_go_on, 0,
			    10);
	tcase_add_test(tc, stopping_waits_for_the_running_step);
	tcase_add_test(tc, a_kick_in_mid_step_brings_one_more);
	tcase_add_test(tc, the_seed_decides_the_order);
	tcase_add_test(tc, a_run_ends_when_the_condition_holds);
	tcase_add_test(tc, many_workers_come_and_go);
	harness_add_abort(tc, what_cannot_end_well_aborts, 0,
			  ARRAY_SIZE(misuses));
}

int main(void)
{
	return harness_run("sim", add);
}
