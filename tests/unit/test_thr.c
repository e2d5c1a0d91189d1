/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "ckptfs/clock.h"
#include "ckptfs/rng.h"
#include "ckptfs/thr.h"

#include "harness.h"

struct counter {
	struct lock l; /* guards the rest */
	struct thr_cond c;
	unsigned steps;
	unsigned hold_until; /* a step waits until steps reaches this */
	int64_t delay_ns;
	bool signals_blocked;
};

static void counter_init(struct counter *k, int64_t delay_ns)
{
	lock_init(&k->l, LOCK_LEAF, "counter");
	thr_cond_init(&k->c);
	k->steps = 0;
	k->hold_until = 0;
	k->delay_ns = delay_ns;
}

static void counter_fini(struct counter *k)
{
	thr_cond_fini(&k->c);
	lock_fini(&k->l);
}

static int64_t count(void *arg)
{
	struct counter *k = arg;
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	lock_acquire(&k->l);
	k->signals_blocked = sigismember(&set, SIGTERM) == 1 &&
			     sigismember(&set, SIGIO) == 1;
	k->steps++;
	thr_wake(&k->c);
	while (k->hold_until > k->steps)
		(void)thr_wait(&thr_system, &k->l, &k->c, CLK_NEVER);
	lock_release(&k->l);
	return k->delay_ns;
}

static void await(struct counter *k, unsigned steps)
{
	lock_acquire(&k->l);
	while (k->steps < steps)
		ck_assert_int_eq(
			thr_wait(&thr_system, &k->l, &k->c,
				 clk_mono(&clk_system) + 30 * NS_PER_S),
			0);
	lock_release(&k->l);
}

START_TEST(a_worker_is_called_at_once_with_signals_blocked)
{
	struct counter k;
	struct thr_worker *w;

	counter_init(&k, CLK_NEVER);
	ck_assert_int_eq(thr_start(&thr_system, "count", count, &k, &w), 0);
	await(&k, 1);
	thr_stop(w);
	ck_assert(k.signals_blocked);
	ck_assert_uint_eq(k.steps, 1);
	counter_fini(&k);
}
END_TEST

START_TEST(a_kick_calls_a_sleeping_worker)
{
	struct counter k;
	struct thr_worker *w;
	unsigned i;

	counter_init(&k, CLK_NEVER);
	ck_assert_int_eq(thr_start(&thr_system, "count", count, &k, &w), 0);
	for (i = 1; i < 200; i++) {
		await(&k, i);
		thr_kick(w);
	}
	await(&k, i);
	thr_stop(w);
	/* And once only. */
	ck_assert_uint_eq(k.steps, 200);
	counter_fini(&k);
}
END_TEST

START_TEST(a_kick_during_a_step_is_not_lost)
{
	struct counter k;
	struct thr_worker *w;

	counter_init(&k, CLK_NEVER);
	k.hold_until = 2;
	ck_assert_int_eq(thr_start(&thr_system, "count", count, &k, &w), 0);
	await(&k, 1);
	/* The step is inside; only the kick can bring the second one. */
	lock_acquire(&k.l);
	thr_kick(w);
	k.hold_until = 0;
	thr_wake(&k.c);
	lock_release(&k.l);
	await(&k, 2);
	thr_stop(w);
	counter_fini(&k);
}
END_TEST

static const int64_t delays[] = { 0, 1, NS_PER_MS };

START_TEST(a_worker_is_called_again_after_its_delay)
{
	struct counter k;
	struct thr_worker *w;

	counter_init(&k, delays[_i]);
	ck_assert_int_eq(thr_start(&thr_system, "count", count, &k, &w), 0);
	await(&k, 5);
	thr_stop(w);
	counter_fini(&k);
}
END_TEST

START_TEST(a_wait_ends_at_its_deadline)
{
	struct counter k;
	int64_t past[] = { 0, -1, 1, clk_mono(&clk_system) + NS_PER_MS };
	unsigned i;

	counter_init(&k, 0);
	lock_acquire(&k.l);
	for (i = 0; i < ARRAY_SIZE(past); i++) {
		while (thr_wait(&thr_system, &k.l, &k.c, past[i]) == 0)
			;
		ck_assert_int_ge(clk_mono(&clk_system), past[i]);
	}
	lock_assert_held(&k.l);
	lock_release(&k.l);
	counter_fini(&k);
}
END_TEST

START_TEST(stopping_nobody_is_allowed)
{
	thr_stop(NULL);
}
END_TEST

static struct thr_worker *self;

static int64_t stop_self(void *arg)
{
	struct counter *k = arg;

	await(k, 1);
	thr_stop(self);
	return 0;
}

START_TEST(a_worker_that_stops_itself_aborts)
{
	struct counter k;

	counter_init(&k, 0);
	ck_assert_int_eq(thr_start(&thr_system, "self", stop_self, &k, &self),
			 0);
	(void)count(&k);
	await(&k, 2);
}
END_TEST

NO_TSA static int64_t keep_lock(void *arg)
{
	struct counter *k = arg;

	lock_acquire(&k->l);
	return 0;
}

START_TEST(a_step_that_keeps_a_lock_aborts)
{
	struct counter k, other;
	struct thr_worker *w;

	counter_init(&k, 0);
	counter_init(&other, 0);
	ck_assert_int_eq(thr_start(&thr_system, "keep", keep_lock, &k, &w), 0);
	await(&other, 1);
}
END_TEST

NO_TSA static void wait_with_ns(void)
{
	struct counter k;
	struct lock ns;

	counter_init(&k, 0);
	lock_init(&ns, LOCK_NS, "ns");
	lock_acquire(&ns);
	lock_acquire(&k.l);
	(void)thr_wait(&thr_system, &k.l, &k.c, 0);
}

START_TEST(a_wait_with_another_lock_held_aborts)
{
	wait_with_ns();
}
END_TEST

START_TEST(the_system_clock_moves_and_randomness_differs)
{
	int64_t a = clk_mono(&clk_system);

	ck_assert_int_ge(clk_mono(&clk_system), a);
	ck_assert_int_gt(clk_real(&clk_system), INT64_C(1700000000) * NS_PER_S);
	ck_assert_uint_ne(rng_u64(&rng_system), rng_u64(&rng_system));
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, a_worker_is_called_at_once_with_signals_blocked);
	tcase_add_test(c, a_kick_calls_a_sleeping_worker);
	tcase_add_test(c, a_kick_during_a_step_is_not_lost);
	tcase_add_loop_test(c, a_worker_is_called_again_after_its_delay, 0,
			    ARRAY_SIZE(delays));
	tcase_add_test(c, a_wait_ends_at_its_deadline);
	tcase_add_test(c, stopping_nobody_is_allowed);
	harness_add_abort(c, a_worker_that_stops_itself_aborts, 0, 1);
	harness_add_abort(c, a_step_that_keeps_a_lock_aborts, 0, 1);
	harness_add_abort(c, a_wait_with_another_lock_held_aborts, 0, 1);
	tcase_add_test(c, the_system_clock_moves_and_randomness_differs);
}

int main(void)
{
	return harness_run("thr", add);
}
