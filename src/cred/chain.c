/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/lock.h"
#include "ckptfs/thr.h"

#include "cred_priv.h"

/* Renew when this little is left; and do not use what has less than that. */
#define RENEW_AHEAD (15 * 60 * NS_PER_S)
#define LAST_MOMENT (1 * 60 * NS_PER_S)
/* After a failed renewal of what is still good, wait before the next. */
#define RENEW_PAUSE (60 * NS_PER_S)

struct cred_chain {
	struct cred_source **srcs;
	unsigned n;
	const struct clk *clk;

	struct lock lock; /* guards the rest */
	struct thr_cond done;
	bool is_asking; /* a thread is with the sources */
	bool is_refused; /* now: the store did not want it */
	struct cred *now; /* NULL: none yet */
	int64_t not_before_ns; /* no renewal ahead of time before then */
};

static void free_sources(struct cred_source **srcs, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (srcs[i])
			srcs[i]->ops->free(srcs[i]);
}

int cred_chain_new(struct cred_source **srcs, unsigned n, const struct clk *clk,
		   struct cred_chain **ret)
{
	struct cred_chain *c = calloc(1, sizeof(*c));
	struct cred_source **copy = calloc(n ? n : 1, sizeof(*copy));

	if (!c || !copy) {
		free_sources(srcs, n);
		free(copy);
		free(c);
		return -ENOMEM;
	}
	memcpy(copy, srcs, n * sizeof(*copy));
	c->srcs = copy;
	c->n = n;
	c->clk = clk;
	lock_init(&c->lock, LOCK_LEAF, "cred");
	thr_cond_init(&c->done);
	*ret = c;
	return 0;
}

void cred_chain_free(struct cred_chain *c)
{
	if (!c)
		return;
	free_sources(c->srcs, c->n);
	free(c->srcs);
	cred_drop(c->now);
	thr_cond_fini(&c->done);
	lock_fini(&c->lock);
	free(c);
}

/* Nothing is locked: sources may block. */
static int ask(struct cred_chain *c, char why[CRED_WHY_MAX], struct cred **ret)
{
	size_t at;
	unsigned i;

	at = (size_t)snprintf(why, CRED_WHY_MAX, "no credentials found:");
	for (i = 0; i < c->n; i++) {
		struct cred_source *s = c->srcs[i];
		char one[CRED_WHY_MAX] = "";
		int r = s->ops->fetch(s, one, ret);

		if (r == 0)
			return 0;
		if (r != -ENOENT) {
			cred_why(why, "%s: %s", s->ops->name, one);
			return r;
		}
		if (at < CRED_WHY_MAX)
			at += (size_t)snprintf(why + at, CRED_WHY_MAX - at,
					       "%s %s: %s", i ? ";" : "",
					       s->ops->name, one);
	}
	return -ENOENT;
}

enum state { GOOD, TIRED, BAD };

static enum state state_locked(const struct cred_chain *c) REQUIRES(c->lock)
{
	int64_t now = clk_real(c->clk), end;

	if (!c->now || c->is_refused)
		return BAD;
	end = cred_expiry_ns(c->now);
	if (end == INT64_MAX || end - now > RENEW_AHEAD)
		return GOOD;
	return end - now > LAST_MOMENT ? TIRED : BAD;
}

/* Should this thread go and ask the sources? */
static bool must_ask_locked(struct cred_chain *c) REQUIRES(c->lock)
{
	for (;;) {
		enum state s = state_locked(c);

		if (s == GOOD)
			return false;
		if (s == TIRED)
			return !c->is_asking &&
			       clk_real(c->clk) >= c->not_before_ns;
		if (!c->is_asking)
			return true;
		thr_wait(&thr_system, &c->lock, &c->done, CLK_NEVER);
	}
}

static void install_locked(struct cred_chain *c, int r, struct cred *fresh)
	REQUIRES(c->lock)
{
	if (r == 0) {
		cred_drop(c->now);
		c->now = fresh;
		c->is_refused = false;
	}
	c->not_before_ns = clk_real(c->clk) + RENEW_PAUSE;
	c->is_asking = false;
	thr_wake(&c->done);
}

int cred_get(struct cred_chain *c, char why[CRED_WHY_MAX], struct cred **ret)
{
	struct cred *fresh = NULL;
	bool must;
	int r = 0;

	lock_assert_none("cred_get");
	why[0] = '\0';
	lock_acquire(&c->lock);
	must = must_ask_locked(c);
	if (must) {
		c->is_asking = true;
		lock_release(&c->lock);
		r = ask(c, why, &fresh);
		lock_acquire(&c->lock);
		install_locked(c, r, fresh);
	}
	/* What is still good stays in use while it cannot be renewed. */
	if (state_locked(c) != BAD)
		r = 0;
	else if (r == 0)
		r = cred_why(why, "the credentials found have expired");
	if (r == 0)
		*ret = cred_hold(c->now);
	lock_release(&c->lock);
	return r;
}

void cred_refuse(struct cred_chain *c, const struct cred *bad)
{
	lock_acquire(&c->lock);
	if (c->now == bad)
		c->is_refused = true;
	lock_release(&c->lock);
}
