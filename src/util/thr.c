/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ckptfs/clock.h"
#include "ckptfs/thr.h"

/* m is no struct lock: a kick may come with any lock held. */
struct worker {
	struct thr_worker base;
	const char *name;
	thr_step_fn *step;
	void *arg;
	pthread_t tid;
	pthread_mutex_t m; /* guards the rest */
	pthread_cond_t c;
	bool kicked, stopping;
};

static void must(int err)
{
	if (err != 0)
		abort();
}

static void cond_init(pthread_cond_t *c)
{
	pthread_condattr_t a;

	must(pthread_condattr_init(&a));
	must(pthread_condattr_setclock(&a, CLOCK_MONOTONIC));
	must(pthread_cond_init(c, &a));
	must(pthread_condattr_destroy(&a));
}

/* 0, or -ETIMEDOUT. */
static int cond_wait(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline_ns)
{
	struct timespec t;
	int err;

	if (deadline_ns == CLK_NEVER) {
		must(pthread_cond_wait(c, m));
		return 0;
	}
	if (deadline_ns < 0)
		deadline_ns = 0;
	t.tv_sec = (time_t)(deadline_ns / NS_PER_S);
	t.tv_nsec = (long)(deadline_ns % NS_PER_S);
	err = pthread_cond_timedwait(c, m, &t);
	if (err == ETIMEDOUT)
		return -ETIMEDOUT;
	must(err);
	return 0;
}

static int64_t deadline_after(int64_t delay_ns)
{
	int64_t now = clk_mono(&clk_system);

	return delay_ns > CLK_NEVER - now ? CLK_NEVER : now + delay_ns;
}

static void *worker_main(void *p)
{
	struct worker *w = p;
	int64_t delay_ns, deadline_ns;

	(void)pthread_setname_np(pthread_self(), w->name);
	must(pthread_mutex_lock(&w->m));
	while (!w->stopping) {
		w->kicked = false;
		must(pthread_mutex_unlock(&w->m));
		delay_ns = w->step(w->arg);
		lock_assert_none(w->name);
		deadline_ns = deadline_after(delay_ns);
		must(pthread_mutex_lock(&w->m));
		while (delay_ns > 0 && !w->kicked && !w->stopping)
			if (cond_wait(&w->c, &w->m, deadline_ns) < 0)
				break;
	}
	must(pthread_mutex_unlock(&w->m));
	return NULL;
}

static void worker_free(struct worker *w)
{
	must(pthread_cond_destroy(&w->c));
	must(pthread_mutex_destroy(&w->m));
	free(w);
}

static int system_start(struct thr *t, const char *name, thr_step_fn *step,
			void *arg, struct thr_worker **ret)
{
	struct worker *w = calloc(1, sizeof(*w));
	sigset_t all, old;
	int err;

	if (!w)
		return -ENOMEM;
	w->base.ops = t->ops;
	w->name = name;
	w->step = step;
	w->arg = arg;
	must(pthread_mutex_init(&w->m, NULL));
	cond_init(&w->c);
	sigfillset(&all);
	must(pthread_sigmask(SIG_SETMASK, &all, &old));
	err = pthread_create(&w->tid, NULL, worker_main, w);
	must(pthread_sigmask(SIG_SETMASK, &old, NULL));
	if (err != 0) {
		worker_free(w);
		return -err;
	}
	*ret = &w->base;
	return 0;
}

static void system_kick(struct thr_worker *base)
{
	struct worker *w = (struct worker *)base;

	must(pthread_mutex_lock(&w->m));
	w->kicked = true;
	must(pthread_cond_signal(&w->c));
	must(pthread_mutex_unlock(&w->m));
}

static void system_stop(struct thr_worker *base)
{
	struct worker *w = (struct worker *)base;

	if (pthread_equal(w->tid, pthread_self())) {
		fprintf(stderr, "ckptfs: thr: %s stops itself\n", w->name);
		abort();
	}
	must(pthread_mutex_lock(&w->m));
	w->stopping = true;
	must(pthread_cond_signal(&w->c));
	must(pthread_mutex_unlock(&w->m));
	must(pthread_join(w->tid, NULL));
	worker_free(w);
}

static int system_wait(struct thr *t, struct lock *l, struct thr_cond *c,
		       int64_t deadline_mono_ns)
{
	return cond_wait(&c->c, &l->m, deadline_mono_ns);
}

static const struct thr_ops system_ops = {
	.start = system_start,
	.kick = system_kick,
	.stop = system_stop,
	.wait = system_wait,
};

struct thr thr_system = { .ops = &system_ops };

int thr_start(struct thr *t, const char *name, thr_step_fn *step, void *arg,
	      struct thr_worker **ret)
{
	return t->ops->start(t, name, step, arg, ret);
}

void thr_kick(struct thr_worker *w)
{
	w->ops->kick(w);
}

void thr_stop(struct thr_worker *w)
{
	if (!w)
		return;
	lock_assert_none("thr_stop");
	w->ops->stop(w);
}

void thr_cond_init(struct thr_cond *c)
{
	cond_init(&c->c);
	c->wakes = 0;
}

void thr_cond_fini(struct thr_cond *c)
{
	must(pthread_cond_destroy(&c->c));
}

int thr_wait(struct thr *t, struct lock *l, struct thr_cond *c,
	     int64_t deadline_mono_ns)
{
	int r;

	if (l->rank != LOCK_LEAF) {
		fprintf(stderr, "ckptfs: thr: wait with %s, no leaf\n",
			l->name);
		abort();
	}
	lock_note_release(l);
	lock_assert_none("thr_wait");
	r = t->ops->wait(t, l, c, deadline_mono_ns);
	lock_note_acquire(l);
	return r;
}

void thr_wake(struct thr_cond *c)
{
	c->wakes++;
	must(pthread_cond_broadcast(&c->c));
}
