/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/lock.h"
#include "ckptfs/log.h"
#include "ckptfs/text.h"
#include "ckptfs/thr.h"

#include "cred_priv.h"

#define LOG_MODULE "cred"

/* Renew when this little is left, or a third of its life; and wait for the
 * renewal when there is less than that, or a tenth. */
#define RENEW_AHEAD (15 * 60 * NS_PER_S)
#define LAST_MOMENT (1 * 60 * NS_PER_S)
/* After a failed renewal of what is still good, wait before the next; and
 * when nothing is good, so that not each of many requests asks by itself. */
#define RENEW_PAUSE (60 * NS_PER_S)
#define FAIL_PAUSE (1 * NS_PER_S)
/* How often files are looked at. */
#define LOOK_PAUSE (5 * NS_PER_S)

struct cred_chain {
	struct cred_source *src;
	const struct clk *clk;

	struct lock lock; /* guards the rest */
	struct thr_cond done;
	bool is_asking; /* a thread is with the source */
	bool is_refused; /* now: the store did not want it */
	bool is_stale; /* now: files say something else */
	struct cred *now; /* NULL: none yet */
	int64_t life_ns; /* of now, when it came */
	char from[CRED_WHY_MAX]; /* where it came from */
	int64_t not_before_ns; /* mono: no renewal ahead of time before then */
	int64_t look_ns; /* mono: when to look at files again */
	int err; /* the last answer, if it was a failure, and why */
	char why[CRED_WHY_MAX];
	int64_t err_until_ns; /* mono: it stands for that long */
};

int cred_chain_new(struct cred_source *src, const struct clk *clk,
		   struct cred_chain **ret)
{
	struct cred_chain *c = calloc(1, sizeof(*c));

	if (!c) {
		src->ops->free(src);
		return -ENOMEM;
	}
	c->src = src;
	c->clk = clk;
	c->look_ns = clk_mono(clk) + LOOK_PAUSE;
	lock_init(&c->lock, LOCK_LEAF, "cred");
	thr_cond_init(&c->done);
	*ret = c;
	return 0;
}

void cred_chain_free(struct cred_chain *c)
{
	if (!c)
		return;
	c->src->ops->free(c->src);
	cred_drop(c->now);
	thr_cond_fini(&c->done);
	lock_fini(&c->lock);
	free(c);
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

enum state { GOOD, TIRED, BAD };

static enum state state_locked(const struct cred_chain *c) REQUIRES(c->lock)
{
	int64_t left;

	if (!c->now || c->is_refused)
		return BAD;
	if (cred_expiry_ns(c->now) == INT64_MAX)
		return c->is_stale ? TIRED : GOOD;
	left = cred_expiry_ns(c->now) - clk_real(c->clk);
	if (left <= least(LAST_MOMENT, c->life_ns / 10))
		return BAD;
	if (left <= least(RENEW_AHEAD, c->life_ns / 3))
		return TIRED;
	return c->is_stale ? TIRED : GOOD;
}

/* Better than nothing: to its very end. */
static bool is_usable_locked(const struct cred_chain *c) REQUIRES(c->lock)
{
	return c->now && !c->is_refused &&
	       cred_expiry_ns(c->now) > clk_real(c->clk);
}

/* Should this thread go and ask the source? */
static bool must_ask_locked(struct cred_chain *c) REQUIRES(c->lock)
{
	for (;;) {
		enum state s = state_locked(c);
		int64_t mono = clk_mono(c->clk);

		if (s == GOOD)
			return false;
		if (s == TIRED)
			return !c->is_asking && mono >= c->not_before_ns;
		if (!c->is_asking)
			return mono >= c->err_until_ns;
		thr_wait(&thr_system, &c->lock, &c->done, CLK_NEVER);
	}
}

static void tell(const struct cred *fresh, const char *from)
{
	char until[TEXT_DATE_LEN];

	if (cred_expiry_ns(fresh) == INT64_MAX) {
		log_info("credentials from %s", from);
		return;
	}
	text_iso_date(cred_expiry_ns(fresh), 0, until);
	log_info("credentials from %s, good until %s", from, until);
}

static bool is_news_locked(const struct cred_chain *c, const struct cred *fresh)
	REQUIRES(c->lock)
{
	return !c->now ||
	       strcmp(cred_key_id(c->now), cred_key_id(fresh)) != 0 ||
	       cred_expiry_ns(c->now) != cred_expiry_ns(fresh);
}

static void fail_locked(struct cred_chain *c, int r, const char *say)
	REQUIRES(c->lock)
{
	c->err = r;
	c->err_until_ns = clk_mono(c->clk) + FAIL_PAUSE;
	snprintf(c->why, sizeof(c->why), "%s", say);
	if (is_usable_locked(c))
		log_warn("credentials cannot be renewed, the old ones stay in "
			 "use: %s",
			 say);
}

static void install_locked(struct cred_chain *c, int r, struct cred *fresh,
			   char say[CRED_WHY_MAX]) REQUIRES(c->lock)
{
	char from[CRED_WHY_MAX];

	c->is_asking = false;
	c->not_before_ns = clk_mono(c->clk) + RENEW_PAUSE;
	thr_wake(&c->done);
	if (r == 0 && cred_expiry_ns(fresh) <= clk_real(c->clk)) {
		cred_drop(fresh);
		snprintf(from, sizeof(from), "%s", say);
		r = cred_why(say,
			     "the credentials from %s have expired already, or "
			     "this machine's clock is wrong",
			     from);
	}
	if (r) {
		fail_locked(c, r, say);
		return;
	}
	if (is_news_locked(c, fresh))
		tell(fresh, say);
	cred_drop(c->now);
	c->now = fresh;
	c->is_refused = c->is_stale = false;
	c->life_ns = cred_expiry_ns(fresh) - clk_real(c->clk);
	snprintf(c->from, sizeof(c->from), "%s", say);
	c->err_until_ns = clk_mono(c->clk);
}

/* Now and then one thread looks whether files have changed. */
static void look_at_files(struct cred_chain *c)
{
	bool has_changed;

	lock_acquire(&c->lock);
	if (!c->src->ops->has_changed || c->is_asking || !c->now ||
	    clk_mono(c->clk) < c->look_ns) {
		lock_release(&c->lock);
		return;
	}
	c->look_ns = clk_mono(c->clk) + LOOK_PAUSE;
	c->is_asking = true; /* it is with the source */
	lock_release(&c->lock);
	has_changed = c->src->ops->has_changed(c->src);
	lock_acquire(&c->lock);
	c->is_asking = false;
	if (has_changed) {
		c->is_stale = true;
		c->not_before_ns = clk_mono(c->clk);
	}
	thr_wake(&c->done);
	lock_release(&c->lock);
}

int cred_get(struct cred_chain *c, char why[CRED_WHY_MAX], struct cred **ret)
{
	char say[CRED_WHY_MAX] = "";
	struct cred *fresh = NULL;
	int r = 0;

	lock_assert_none("cred_get");
	why[0] = '\0';
	look_at_files(c);
	lock_acquire(&c->lock);
	if (must_ask_locked(c)) {
		c->is_asking = true;
		lock_release(&c->lock);
		r = c->src->ops->fetch(c->src, say, &fresh);
		lock_acquire(&c->lock);
		install_locked(c, r, fresh, say);
	}
	/* What is still good stays in use while it cannot be renewed. */
	if (is_usable_locked(c)) {
		*ret = cred_hold(c->now);
		r = 0;
	} else {
		r = c->err;
		snprintf(why, CRED_WHY_MAX, "%s", c->why);
	}
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

void cred_look(struct cred_chain *c, struct cred_info *ret)
{
	const char *id;
	size_t n;

	memset(ret, 0, sizeof(*ret));
	lock_acquire(&c->lock);
	if (c->now) {
		id = cred_key_id(c->now);
		n = strlen(id);
		snprintf(ret->from, sizeof(ret->from), "%s", c->from);
		snprintf(ret->key_tail, sizeof(ret->key_tail), "%s",
			 n > 8 ? id + n - 4 : "");
		ret->expiry_ns = cred_expiry_ns(c->now);
	}
	lock_release(&c->lock);
}
