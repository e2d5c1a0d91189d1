/* SPDX-License-Identifier: Apache-2.0 */
/* A commit of many like steps, by several workers. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "internal.h"

/* One that takes long is not overtaken by more. */
#define AHEAD_MOST 16

static bool is_far_ahead(const struct crew *c)
{
	for (unsigned i = 0; i < COPY_SLOTS; i++)
		if (c->slots & UINT64_C(1) << i &&
		    c->at - c->in_slot[i] >= AHEAD_MOST)
			return true;
	return false;
}

/* With the lock: the next step, if it may be taken now. */
static bool take(struct crew *c, struct crew_step *ret)
{
	bool alone;

	if (c->err || c->at == c->n || c->alone || is_far_ahead(c))
		return false;
	alone = c->goes_alone(c->arg, c->at);
	if (alone && c->going)
		return false;
	ret->crew = c;
	ret->i = c->at++;
	ret->slot = (unsigned)__builtin_ctzll(~c->slots);
	c->slots |= UINT64_C(1) << ret->slot;
	c->in_slot[ret->slot] = ret->i;
	c->going++;
	c->alone = alone;
	return true;
}

bool crew_take(struct transfer *t, struct crew_step *ret)
{
	struct crew *c;

	/* One has the commit itself, and one is left for all else. */
	LL_FOREACH(t->crews, c)
	{
		if (c->going + 1 < t->nworkers && take(c, ret))
			return true;
	}
	return false;
}

void crew_do(struct transfer *t, const struct crew_step *s)
{
	struct crew *c = s->crew;
	int r = c->step(c->arg, s->i, s->slot);

	lock_acquire(&t->lock);
	if (r < 0 && !c->err) {
		c->err = r;
		(void)snprintf(c->words, sizeof(c->words), "%s",
			       store_last_error());
	}
	c->slots &= ~(UINT64_C(1) << s->slot);
	c->going--;
	c->alone = false;
	wake_one(t);
	thr_wake(&t->cond);
	lock_release(&t->lock);
}

int crew_run(struct transfer *t, struct crew *c)
{
	struct crew_step s;
	bool mine;

	lock_acquire(&t->lock);
	LL_APPEND(t->crews, c);
	for (;;) {
		if (t->stopping && !c->err)
			c->err = -ECANCELED;
		mine = take(c, &s);
		if (!mine && !c->going)
			break;
		if (!mine) {
			(void)thr_wait(t->host->thr, &t->lock, &t->cond,
				       CLK_NEVER);
			continue;
		}
		wake_one(t);
		lock_release(&t->lock);
		crew_do(t, &s);
		lock_acquire(&t->lock);
	}
	LL_DELETE(t->crews, c);
	lock_release(&t->lock);
	if (c->err)
		store_set_error("%s", c->words);
	return c->err;
}
