/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads and waiting, as a seam.
 *
 * A worker is a step function called again and again; it never loops or
 * sleeps by itself.  The system implementation gives each worker a thread;
 * the one the tests use runs the steps of all workers on the caller's thread,
 * in an order drawn from a seed, whenever somebody waits: the simulator.
 *
 * So whoever waits must do so through thr_wait(), with nothing held but the
 * one leaf lock it names.
 */
#ifndef CKPTFS_THR_H
#define CKPTFS_THR_H

#include <pthread.h>
#include <stdint.h>

#include "ckptfs/compiler.h"
#include "ckptfs/lock.h"

struct thr;
struct thr_worker;

/*
 * Do one piece of work and return how many nanoseconds to wait before the
 * next call: 0 at once, CLK_NEVER only when kicked.  May block (network,
 * disk).  Holds no lock on entry and return.
 */
typedef int64_t thr_step_fn(void *arg);

struct thr_cond {
	pthread_cond_t c;
	unsigned long wakes; /* for the single-threaded implementation */
};

struct thr_ops {
	int (*start)(struct thr *t, const char *name, thr_step_fn *step,
		     void *arg, struct thr_worker **ret);
	void (*kick)(struct thr_worker *w);
	void (*stop)(struct thr_worker *w);
	int (*wait)(struct thr *t, struct lock *l, struct thr_cond *c,
		    int64_t deadline_mono_ns);
};

struct thr {
	const struct thr_ops *ops;
};

/* First member of an implementation's own worker. */
struct thr_worker {
	const struct thr_ops *ops;
};

/* One thread per worker, signals blocked, pthread conditions on the monotonic
 * clock. */
extern struct thr thr_system;

/* Start calling step(arg).  name: at most 15 bytes, static.  0, -EAGAIN or
 * -ENOMEM. */
int thr_start(struct thr *t, const char *name, thr_step_fn *step, void *arg,
	      struct thr_worker **ret) NONNULL(1, 2, 3, 5) MUST_USE;
/* Have the step called soon, also when it is running now (then once more).
 * Any lock may be held. */
void thr_kick(struct thr_worker *w) NONNULL(1);
/* No further step starts; waits for the running one; frees w.  NULL is
 * allowed.  No lock held; not from the worker itself. */
void thr_stop(struct thr_worker *w);

void thr_cond_init(struct thr_cond *c) NONNULL(1);
void thr_cond_fini(struct thr_cond *c) NONNULL(1);
/*
 * Give up l, sleep until woken or the deadline (CLK_NEVER: none), take l
 * again.  0, or -ETIMEDOUT.  May wake without cause: call it in a loop over
 * the condition.  l is a leaf and the only lock held.
 */
int thr_wait(struct thr *t, struct lock *l, struct thr_cond *c,
	     int64_t deadline_mono_ns) NONNULL(1, 2, 3) REQUIRES(*l);
/* Wake all that wait on c; the lock that guards the condition is held. */
void thr_wake(struct thr_cond *c) NONNULL(1);

#endif
