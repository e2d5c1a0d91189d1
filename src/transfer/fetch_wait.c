/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for bytes, and questions about a fetch. */
#include "config.h"

#include <assert.h>
#include <errno.h>

#include "ckptfs/cache.h"
#include "ckptfs/clock.h"
#include "ckptfs/host.h"

#include "fetch_int.h"

/* A request that is this far from a wanted byte is cut off before it. */
#define CUT_AHEAD (UINT64_C(4) << 20)

/* What comes last is nobody's before the whole is verified: so nobody has read
 * all of it who was not told that it is wrong. */
static bool has_locked(struct fetch_engine *e, const struct fetch *f,
		       uint64_t off, uint64_t len) REQUIRES(e->lock)
{
	if (f->state == FETCH_WRONG)
		return false;
	if (len && cache_ranges_sum(f->have) == f->spec.size)
		return f->state == FETCH_DONE;
	return !len || (len < f->spec.size &&
			cache_ranges_has(f->have, off, len));
}

/* What ends a wait for a range that is not there; 0: nothing does. */
static int verdict_locked(struct fetch_engine *e, const struct fetch *f,
			  unsigned refusals) REQUIRES(e->lock)
{
	if (f->state == FETCH_WRONG)
		return -EBADMSG;
	if (f->state == FETCH_GONE)
		return -ESTALE;
	if (e->stopping)
		return -ECANCELED;
	if (f->refusals != refusals)
		return f->refused;
	return 0;
}

/* The wanted byte may be at the far end of a long request: let somebody else
 * fetch it now. */
static void cut_locked(struct fetch_engine *e, struct fetch *f, uint64_t off)
	REQUIRES(e->lock)
{
	for (struct fetch_job *j = f->jobs; j; j = j->next)
		if (off < j->end && off > j->busy && off - j->busy >= CUT_AHEAD)
			j->end = off;
}

static void want_locked(struct fetch_engine *e, struct fetch_want *w)
	REQUIRES(e->lock)
{
	*e->wants_end = w;
	e->wants_end = &w->next;
	cut_locked(e, w->f, w->off);
	/* a reader is patient enough already: no back-off for a new one */
	if (!w->f->waiters && w->f->refusals)
		w->f->retry_ns = 0;
	fetch_kick_locked(e);
}

static void unwant_locked(struct fetch_engine *e, struct fetch_want *w)
	REQUIRES(e->lock)
{
	struct fetch_want **p = &e->wants;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	if (e->wants_end == &w->next)
		e->wants_end = p;
}

static int wait_locked(struct fetch_engine *e, struct fetch *f,
		       int64_t deadline_ns) REQUIRES(e->lock)
{
	const struct host *host = e->host;

	if (clk_mono(host->clk) >= deadline_ns)
		return -ETIMEDOUT;
	/* whether the bytes came just in time is looked at first */
	(void)thr_wait(host->thr, &e->lock, &f->cond, deadline_ns);
	return 0;
}

/* A read, and what it tells of the next. */
static void note_read_locked(struct fetch_engine *e, struct fetch *f,
			     uint64_t reader, uint64_t off, uint64_t len)
	REQUIRES(e->lock)
{
	if (fetch_pattern_read(&f->pattern, reader, off, len, f->spec.size,
			       fetch_plan_ahead_most(e->n_workers, f->chunk)) &&
	    f->state == FETCH_RUNNING)
		fetch_kick_locked(e);
}

/* reader 0: nobody that would read on. */
static int await(struct fetch *f, uint64_t reader, uint64_t off, uint64_t len,
		 int64_t deadline_ns)
{
	struct fetch_want w = { .f = f, .off = off, .len = len };
	struct fetch_engine *e = f->e;
	bool wanted = false;
	unsigned refusals;
	int r = 0;

	if (off >= f->spec.size)
		len = 0;
	else if (len > f->spec.size - off)
		len = f->spec.size - off;
	w.len = len;
	lock_acquire(&e->lock);
	if (reader && len)
		note_read_locked(e, f, reader, off, len);
	refusals = f->refusals;
	while (!has_locked(e, f, off, len)) {
		r = verdict_locked(e, f, refusals);
		if (!r && !wanted) {
			want_locked(e, &w);
			f->waiters++;
			wanted = true;
		}
		if (!r)
			r = wait_locked(e, f, deadline_ns);
		if (r)
			break;
	}
	if (wanted) {
		f->waiters--;
		unwant_locked(e, &w);
	}
	lock_release(&e->lock);
	return r;
}

int fetch_wait(struct fetch *f, uint64_t off, uint64_t len, int64_t deadline_ns)
{
	return await(f, 0, off, len, deadline_ns);
}

int fetch_read(struct fetch *f, uint64_t reader, uint64_t off, uint64_t len,
	       int64_t deadline_ns)
{
	return await(f, reader, off, len, deadline_ns);
}

int fetch_prove(struct fetch *f, int64_t since_ns, int64_t deadline_ns)
{
	struct fetch_engine *e = f->e;
	uint64_t off = 0, len = 0;
	bool due;

	lock_acquire(&e->lock);
	due = f->proved_ns < since_ns &&
	      cache_ranges_gap(f->have, 0, f->spec.size, &off, &len);
	lock_release(&e->lock);
	return due ? fetch_wait(f, off, 1, deadline_ns) : 0;
}

/* Does anybody still wish for what this request has not brought? */
static bool is_of_use_locked(struct fetch_engine *e, const struct fetch_job *j,
			     const struct fetch_ahead *wishes, size_t n)
	REQUIRES(e->lock)
{
	for (size_t i = 0; i < n; i++)
		if (wishes[i].off < j->end && j->busy < wishes[i].end)
			return true;
	for (const struct fetch_want *w = e->wants; w; w = w->next)
		if (w->f == j->f && w->off < j->end &&
		    j->busy < w->off + w->len)
			return true;
	return false;
}

static void cut_useless_locked(struct fetch_engine *e, struct fetch *f)
	REQUIRES(e->lock)
{
	struct fetch_ahead wishes[FETCH_WISHES_MAX];
	size_t n = fetch_wishes_locked(e, f, false, wishes);

	for (struct fetch_job *j = f->jobs; j; j = j->next)
		if (!is_of_use_locked(e, j, wishes, n))
			j->end = j->busy;
}

void fetch_leave(struct fetch *f, uint64_t reader)
{
	struct fetch_engine *e = f->e;

	lock_acquire(&e->lock);
	fetch_pattern_leave(&f->pattern, reader);
	f->opening = false;
	cut_useless_locked(e, f);
	thr_wake(&e->pace_cond);
	lock_release(&e->lock);
}

void fetch_want_all(struct fetch *f, bool all)
{
	struct fetch_engine *e = f->e;

	lock_acquire(&e->lock);
	f->all = all;
	if (all)
		fetch_kick_locked(e);
	else
		cut_useless_locked(e, f);
	lock_release(&e->lock);
}

bool fetch_has(struct fetch *f, uint64_t off, uint64_t len)
{
	struct fetch_engine *e = f->e;
	bool has;

	if (off >= f->spec.size)
		return true;
	if (len > f->spec.size - off)
		len = f->spec.size - off;
	lock_acquire(&e->lock);
	has = has_locked(e, f, off, len);
	lock_release(&e->lock);
	return has;
}

static enum fetch_state state_of(struct fetch *f)
{
	enum fetch_state state;

	lock_acquire(&f->e->lock);
	state = f->state;
	lock_release(&f->e->lock);
	return state;
}

bool fetch_complete(struct fetch *f)
{
	return state_of(f) == FETCH_DONE;
}

bool fetch_settled(struct fetch *f)
{
	enum fetch_state state = state_of(f);

	return state != FETCH_RUNNING && state != FETCH_WHOLE;
}

int fetch_outcome(struct fetch *f)
{
	int r = -EINPROGRESS;

	lock_acquire(&f->e->lock);
	if (f->state == FETCH_DONE)
		r = 0;
	else if (f->state == FETCH_WRONG)
		r = -EBADMSG;
	else if (f->state == FETCH_GONE)
		r = -ESTALE;
	else if (f->trouble)
		r = f->trouble;
	lock_release(&f->e->lock);
	return r;
}

uint64_t fetch_progress(struct fetch *f)
{
	uint64_t sum;

	lock_acquire(&f->e->lock);
	sum = f->state == FETCH_WRONG ? 0 : cache_ranges_sum(f->have);
	lock_release(&f->e->lock);
	return sum;
}

static bool is_active_locked(struct fetch_engine *e, const struct fetch *f)
	REQUIRES(e->lock)
{
	(void)e;
	return f->state == FETCH_WHOLE ||
	       (f->state == FETCH_RUNNING &&
		(f->n_jobs || f->waiters || f->all || f->opening ||
		 fetch_pattern_any(&f->pattern)));
}

void fetch_stats(struct fetch_engine *e, struct fetch_stats *ret)
{
	struct fetch_stats st;

	lock_acquire(&e->lock);
	st = e->stats;
	st.at_once = e->flow.now;
	st.at_once_most = e->flow.most;
	st.limit = e->limit;
	st.active = 0;
	for (struct fetch *f = e->fetches; f; f = f->next)
		st.active += is_active_locked(e, f);
	lock_release(&e->lock);
	*ret = st;
}
