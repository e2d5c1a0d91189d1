/* SPDX-License-Identifier: Apache-2.0 */
/* How the workers learn that there is something new, and when. */
#include "config.h"

#include <stdlib.h>

#include "internal.h"

void line_touch(struct transfer *t, uint64_t seq)
{
	if (t->ntouched == t->cap_touched) {
		size_t cap = t->cap_touched ? t->cap_touched * 2 : 16;
		uint64_t *p = realloc(t->touched, cap * sizeof(*p));

		if (!p)
			abort(); /* the copy would no longer be one */
		t->touched = p;
		t->cap_touched = cap;
	}
	t->touched[t->ntouched++] = seq;
	t->stale = true;
}

int64_t line_stale_in(const struct transfer *t)
{
	int64_t left;

	if (!t->stale)
		return CLK_NEVER;
	if (!t->lazy || t->waiters)
		return 0;
	left = t->lazy_until - clk_mono(t->host->clk);
	return left > 0 ? left : 0;
}

void wake_one(struct transfer *t)
{
	unsigned i;

	for (i = 0; i < t->nworkers; i++) {
		struct uploader *u = &t->workers[i];

		if (!u->idle || !u->w)
			continue;
		u->idle = false;
		thr_kick(u->w);
		return;
	}
}

void kick_one(struct transfer *t)
{
	lock_acquire(&t->lock);
	wake_one(t);
	lock_release(&t->lock);
}

void transfer_kick(struct transfer *t, uint64_t seq)
{
	lock_acquire(&t->lock);
	if (seq)
		line_touch(t, seq);
	t->stale = true;
	t->lazy = false;
	lock_release(&t->lock);
	kick_one(t);
}

/* Files closed within some milliseconds are read together: to wake a worker for
 * each, which waits for the transaction of the next, costs more than to make
 * it.  Whoever is woken for the first of them sleeps until then. */
#define LAZY_NS (10 * NS_PER_MS)

void transfer_kick_soon(struct transfer *t, uint64_t seq)
{
	bool wake;

	lock_acquire(&t->lock);
	wake = !t->lazy;
	if (!t->stale && !t->waiters && t->opts.upload_delay_ns >= LAZY_NS) {
		t->lazy = true;
		t->lazy_until = clk_mono(t->host->clk) + LAZY_NS;
	}
	if (seq)
		line_touch(t, seq);
	else if (t->lazy)
		t->n_unread++;
	t->stale = true;
	lock_release(&t->lock);
	if (wake)
		kick_one(t);
}
