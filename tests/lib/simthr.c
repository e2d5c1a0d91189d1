/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated clock, randomness and workers.
 *
 * Each worker has a stack of its own and runs until its step ends or waits;
 * then whoever is to go on next is drawn from those that can.  All of it
 * happens on one thread, and no lock is held at a switch, so nobody is ever
 * interrupted within what a lock protects.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/rng.h"
#include "ckptfs/thr.h"

#include "fiber.h"
#include "simdisk_impl.h"

#define STEPS_MOST 10000000UL

enum task_state {
	TASK_IDLE, /* a worker between two steps */
	TASK_WAIT, /* in thr_wait */
	TASK_JOIN, /* in thr_stop, for the step of another to end */
	TASK_LAST, /* in sim_run_for: when no other can go on */
};

/* A worker, or whoever drives the simulation (main). */
struct task {
	struct thr_worker base;
	struct sim *sim;
	const char *name;
	thr_step_fn *step;
	void *arg;
	enum task_state state;
	int64_t deadline_ns;
	const struct thr_cond *cond;
	unsigned long wakes; /* of cond, when the wait began */
	const struct task *joined;
	bool kicked, in_step;
	struct fiber fiber;
	struct task *prev, *next;
};

struct sim {
	struct host host;
	struct clk clk;
	struct rng rng;
	struct thr thr;
	int64_t mono_ns, real_offset_ns;
	uint64_t random; /* for the host */
	uint64_t order; /* for the choice of who goes on */
	unsigned long steps;
	struct task main, *tasks, *running;
	bool (*done)(void *arg); /* of sim_run_until(), or NULL */
	void *done_arg;
};

static struct sim *sim_of_clk(const struct clk *c)
{
	return (struct sim *)(uintptr_t)((const char *)c -
					 offsetof(struct sim, clk));
}

static int64_t sim_mono_ns(const struct clk *c)
{
	return sim_of_clk(c)->mono_ns;
}

static int64_t sim_real_ns(const struct clk *c)
{
	return sim_of_clk(c)->mono_ns + sim_of_clk(c)->real_offset_ns;
}

static void sim_fill(struct rng *r, void *p, size_t n)
{
	struct sim *s =
		(struct sim *)(void *)((char *)r - offsetof(struct sim, rng));
	unsigned char *at = p;

	while (n-- > 0)
		*at++ = (unsigned char)(sim_random(&s->random) >> 32);
}

/* ---- switching */

static void switch_to(struct sim *s, struct task *to)
{
	struct task *from = s->running;

	s->running = to;
	if (from != to)
		fiber_switch(&from->fiber, &to->fiber, &s->main.fiber);
}

static int64_t after(const struct sim *s, int64_t delay_ns)
{
	return delay_ns > CLK_NEVER - s->mono_ns ? CLK_NEVER
						 : s->mono_ns + delay_ns;
}

static bool is_due(const struct task *t)
{
	return t->deadline_ns != CLK_NEVER && t->sim->mono_ns >= t->deadline_ns;
}

static bool can_go_on(const struct task *t)
{
	switch (t->state) {
	case TASK_IDLE:
		return t->kicked || is_due(t);
	case TASK_WAIT:
		return t->cond->wakes != t->wakes || is_due(t);
	case TASK_JOIN:
		return !t->joined->in_step;
	case TASK_LAST:
		return false;
	}
	return false;
}

static const char *const state_names[] = { "idle", "waits", "joins", "drives" };

static void give_up(const struct sim *s, const char *why)
{
	const struct task *t;

	fprintf(stderr, "sim: %s at %lld ns after %lu steps:\n", why,
		(long long)s->mono_ns, s->steps);
	for (t = s->tasks; t; t = t->next)
		fprintf(stderr, "  %s %s%s until %lld\n", t->name,
			state_names[t->state], t->in_step ? " (in step)" : "",
			(long long)t->deadline_ns);
	abort();
}

/* One of those that can go on now, or NULL. */
static struct task *draw(struct sim *s)
{
	struct task *t;
	uint64_t n = 0, i;

	for (t = s->tasks; t; t = t->next)
		n += can_go_on(t);
	if (n == 0)
		return NULL;
	i = sim_random(&s->order) % n;
	for (t = s->tasks; t; t = t->next)
		if (can_go_on(t) && i-- == 0)
			break;
	return t;
}

/* Who goes on; the clock moves when it must. */
static struct task *next_task(struct sim *s)
{
	struct task *t, *best;

	for (;;) {
		if (s->done && s->done(s->done_arg))
			return &s->main;
		t = draw(s);
		if (t)
			return t;
		best = &s->main;
		for (t = s->tasks; t; t = t->next)
			if (t->deadline_ns < best->deadline_ns)
				best = t;
		if (best->deadline_ns == CLK_NEVER)
			give_up(s, "all wait for each other");
		if (best->deadline_ns > s->mono_ns)
			s->mono_ns = best->deadline_ns;
		else if (best->state == TASK_LAST)
			return best;
	}
}

/* The running task cannot go on: its state says why. */
static void park(struct sim *s)
{
	switch_to(s, next_task(s));
}

static void worker_main(void *arg)
{
	struct task *t = arg;
	struct sim *s = t->sim;

	for (;;) {
		int64_t delay_ns;

		t->kicked = false;
		t->in_step = true;
		if (++s->steps > STEPS_MOST)
			give_up(s, "no end in sight");
		delay_ns = t->step(t->arg);
		lock_assert_none(t->name);
		t->in_step = false;
		t->state = TASK_IDLE;
		t->deadline_ns = after(s, delay_ns);
		park(s);
	}
}

/* ---- the thread operations */

static struct sim *sim_of_thr(struct thr *t)
{
	return (struct sim *)(void *)((char *)t - offsetof(struct sim, thr));
}

static int sim_start(struct thr *thr, const char *name, thr_step_fn *step,
		     void *arg, struct thr_worker **ret)
{
	struct task *t = sim_alloc(sizeof(*t));
	struct sim *s = sim_of_thr(thr);

	t->base.ops = thr->ops;
	t->sim = s;
	t->name = name;
	t->step = step;
	t->arg = arg;
	t->kicked = true;
	t->deadline_ns = CLK_NEVER;
	fiber_init(&t->fiber, worker_main, t);
	DL_APPEND(s->tasks, t);
	*ret = &t->base;
	return 0;
}

static void sim_kick(struct thr_worker *w)
{
	((struct task *)w)->kicked = true;
}

static void sim_stop(struct thr_worker *w)
{
	struct task *t = (struct task *)w, *me = t->sim->running;

	if (t == me)
		give_up(t->sim, "a worker stops itself");
	if (t->in_step) {
		me->state = TASK_JOIN;
		me->deadline_ns = CLK_NEVER;
		me->joined = t;
		park(t->sim);
	}
	DL_DELETE(t->sim->tasks, t);
	fiber_fini(&t->fiber);
	free(t);
}

static int sim_wait(struct thr *thr, struct lock *l, struct thr_cond *c,
		    int64_t deadline_ns)
{
	struct sim *s = sim_of_thr(thr);
	struct task *me = s->running;
	bool woken;

	me->state = TASK_WAIT;
	me->deadline_ns = deadline_ns;
	me->cond = c;
	me->wakes = c->wakes;
	if (pthread_mutex_unlock(&l->m) != 0)
		abort();
	park(s);
	if (pthread_mutex_lock(&l->m) != 0)
		abort();
	woken = c->wakes != me->wakes;
	me->deadline_ns = CLK_NEVER;
	return woken ? 0 : -ETIMEDOUT;
}

static const struct thr_ops sim_thr_ops = {
	.start = sim_start,
	.kick = sim_kick,
	.stop = sim_stop,
	.wait = sim_wait,
};

/* ---- driving */

struct sim *sim_new(uint64_t seed)
{
	struct sim *s = sim_alloc(sizeof(*s));
	uint64_t state = seed;

	s->clk.mono_ns = sim_mono_ns;
	s->clk.real_ns = sim_real_ns;
	s->rng.fill = sim_fill;
	s->thr.ops = &sim_thr_ops;
	s->mono_ns = 1000 * NS_PER_S;
	s->real_offset_ns = INT64_C(1700000000) * NS_PER_S - s->mono_ns;
	s->random = sim_random(&state);
	s->order = sim_random(&state);
	fiber_init_main(&s->main.fiber);
	s->main.sim = s;
	s->main.name = "main";
	s->main.state = TASK_LAST;
	s->main.deadline_ns = CLK_NEVER;
	s->running = &s->main;
	DL_APPEND(s->tasks, &s->main);
	s->host = (struct host){
		.clk = &s->clk,
		.rng = &s->rng,
		.thr = &s->thr,
		.disk = simdisk_new(&s->clk, sim_random(&state)),
	};
	return s;
}

void sim_free(struct sim *s)
{
	if (!s)
		return;
	if (s->tasks->next)
		give_up(s, "freed with workers left");
	disk_free(s->host.disk);
	free(s);
}

const struct host *sim_host(struct sim *s)
{
	return &s->host;
}

int64_t sim_now(const struct sim *s)
{
	return s->mono_ns;
}

void sim_advance(struct sim *s, int64_t ns)
{
	s->mono_ns += ns;
}

void sim_shift_real(struct sim *s, int64_t ns)
{
	s->real_offset_ns += ns;
}

unsigned sim_run_for(struct sim *s, int64_t ns)
{
	unsigned long before = s->steps;
	struct task *me = s->running;

	lock_assert_none("sim_run");
	me->state = TASK_LAST;
	me->deadline_ns = after(s, ns);
	park(s);
	me->deadline_ns = CLK_NEVER;
	return (unsigned)(s->steps - before);
}

void sim_yield(struct sim *s, int64_t ns)
{
	static const struct thr_cond nothing;
	struct task *me = s->running;

	me->state = TASK_WAIT;
	me->deadline_ns = after(s, ns);
	me->cond = &nothing;
	me->wakes = nothing.wakes;
	park(s);
	me->deadline_ns = CLK_NEVER;
}

unsigned sim_run(struct sim *s)
{
	return sim_run_for(s, 0);
}

bool sim_run_until(struct sim *s, bool (*done)(void *arg), void *arg,
		   int64_t ns)
{
	if (s->running != &s->main)
		abort();
	s->done = done;
	s->done_arg = arg;
	(void)sim_run_for(s, ns);
	s->done = NULL;
	return done(arg);
}
