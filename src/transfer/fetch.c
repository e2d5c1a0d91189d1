/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The download engine: workers, the life of a fetch.
 *
 * All workers are alike and each does one request at a time: of the oldest
 * want that is not yet under way, else of the oldest fetch that is not yet
 * all claimed.  One of them takes wants only, so a reader never waits for a
 * whole background request to end before its own begins.
 *
 * A fetch is on the engine's list until its last reference is gone and no
 * worker is busy with it; whoever sees that last frees it.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/cache.h"
#include "ckptfs/clock.h"
#include "ckptfs/host.h"

#include "fetch_int.h"

#define WORKERS 16
#define CHUNK_LEAST (UINT64_C(8) << 20)

void fetch_kick_locked(struct fetch_engine *e)
{
	for (unsigned i = 0; i < e->n_workers; i++)
		if (e->workers[i].thr)
			thr_kick(e->workers[i].thr);
}

static void fetch_free(struct fetch *f)
{
	if (f->spec.released)
		f->spec.released(f->spec.done_arg, f->spec.done_id);
	thr_cond_fini(&f->cond);
	cache_ranges_free(f->have);
	free((char *)(uintptr_t)f->spec.key);
	free((char *)(uintptr_t)f->spec.etag);
	free(f->pieces);
	free(f);
}

/* Take f off the list if nothing needs it; then it is the caller's to free. */
static bool take_off_locked(struct fetch_engine *e, struct fetch *f)
	REQUIRES(e->lock)
{
	struct fetch **p = &e->fetches;

	if (f->refs || f->busy || f->dropping)
		return false;
	while (*p != f)
		p = &(*p)->next;
	*p = f->next;
	return true;
}

static bool is_due_locked(struct fetch_engine *e, const struct fetch *f,
			  int64_t now, int64_t *next) REQUIRES(e->lock)
{
	if (f->state != FETCH_RUNNING || !f->refs)
		return false;
	if (f->retry_ns <= now)
		return true;
	if (f->retry_ns < *next)
		*next = f->retry_ns;
	return false;
}

size_t fetch_wishes_locked(struct fetch_engine *e, const struct fetch *f,
			   bool all, struct fetch_ahead ret[FETCH_WISHES_MAX])
{
	struct fetch_wish w = { .size = f->spec.size,
				.chunk = f->chunk,
				.least = e->chunk,
				.have = cache_ranges_sum(f->have),
				.tail_first = f->tail_first,
				.opening = f->opening,
				.all = all || f->all,
				.pattern = &f->pattern };

	return fetch_plan_wishes(&w, ret);
}

/* The next request of f: of what want asks for, or of anything. */
static bool plan_locked(struct fetch_engine *e, struct fetch *f,
			const struct fetch_want *want, struct fetch_job *job)
	REQUIRES(e->lock)
{
	struct fetch_range jobs[FETCH_JOBS_MAX], next;
	struct fetch_ahead wishes[FETCH_WISHES_MAX];
	struct fetch_plan p = { .have = f->have,
				.jobs = jobs,
				.size = f->spec.size,
				.chunk = f->chunk,
				.wishes = wishes };
	bool all = want && want->len == p.size;

	p.n_wishes = fetch_wishes_locked(e, f, all, wishes);
	for (struct fetch_job *j = f->jobs; j; j = j->next)
		jobs[p.n_jobs++] = (struct fetch_range){ j->pos, j->end };
	/* who waits for all of it has no range to prefer */
	if (all)
		want = NULL;
	if (!fetch_plan_next(&p, want ? want->off : 0, want ? want->len : 0,
			     &next))
		return false;
	job->f = f;
	job->start = job->pos = job->busy = next.off;
	job->end = next.end;
	return true;
}

/* Find a job and put it on.  *next: when to look again if there is none. */
static bool pick_locked(struct fetch_engine *e, bool wants_only,
			struct fetch_job *job, int64_t *next) REQUIRES(e->lock)
{
	int64_t now = clk_mono(e->host->clk);
	bool found = false;

	*next = CLK_NEVER;
	for (struct fetch_want *w = e->wants; w && !found; w = w->next)
		found = is_due_locked(e, w->f, now, next) &&
			plan_locked(e, w->f, w, job);
	if (!wants_only)
		for (struct fetch *f = e->fetches; f && !found; f = f->next)
			found = is_due_locked(e, f, now, next) &&
				plan_locked(e, f, NULL, job);
	if (found && fetch_job_begin_locked(e, job)) {
		*next = now + fetch_plan_backoff_ns(0, 0);
		return false;
	}
	return found;
}

/* A fetch whose bytes are all there, or whose end is not yet told. */
static struct fetch *ended_locked(struct fetch_engine *e) REQUIRES(e->lock)
{
	for (struct fetch *f = e->fetches; f; f = f->next)
		if (f->state != FETCH_RUNNING && !f->told && f->refs) {
			f->told = true;
			f->busy++;
			return f;
		}
	return NULL;
}

/* Verify it and tell its owner. */
static void finish(struct fetch_engine *e, struct fetch *f)
{
	int err = f->state == FETCH_GONE ? -ESTALE : fetch_verify(f);
	bool gone;

	lock_acquire(&e->lock);
	if (!err)
		f->state = FETCH_DONE;
	if (err == -EBADMSG)
		f->state = FETCH_WRONG;
	thr_wake(&f->cond);
	lock_release(&e->lock);
	if (f->spec.done)
		f->spec.done(f->spec.done_arg, err, f->spec.done_id);
	lock_acquire(&e->lock);
	f->busy--;
	thr_wake(&f->cond);
	gone = take_off_locked(e, f);
	lock_release(&e->lock);
	if (gone)
		fetch_free(f);
}

/* A reader never waits for others' requests. */
static bool may_ask_locked(struct fetch_engine *e, const struct fetch_worker *w)
	REQUIRES(e->lock)
{
	return w->wants_only || e->going < e->flow.now;
}

/* A request is over; others may have waited for that. */
static void asked_locked(struct fetch_engine *e, const struct fetch_job *job,
			 bool throttled) REQUIRES(e->lock)
{
	bool waited = e->going >= e->flow.now && e->flow.now < e->flow.most;

	e->going--;
	waited |= flow_ends(&e->flow, job->began_ns, clk_mono(e->host->clk),
			    e->stats.bytes + e->stats.requests * FLOW_REQUEST,
			    throttled);
	if (waited)
		fetch_kick_locked(e);
}

static int64_t step(void *arg)
{
	struct fetch_worker *w = arg;
	struct fetch_engine *e = w->e;
	struct fetch *f = NULL;
	struct fetch_job job = { .gathered = w->gather };
	uint64_t throttled = store_throttled();
	int64_t next = CLK_NEVER, now;
	bool found = false, gone;
	int r;

	lock_acquire(&e->lock);
	if (!e->stopping) {
		f = ended_locked(e);
		if (!f && may_ask_locked(e, w))
			found = pick_locked(e, w->wants_only, &job, &next);
		if (found)
			flow_begins(&e->flow, e->going++);
	}
	lock_release(&e->lock);
	if (f) {
		finish(e, f);
		return 0;
	}
	if (!found) {
		now = clk_mono(e->host->clk);
		if (next == CLK_NEVER)
			return CLK_NEVER;
		return next > now ? next - now : 0;
	}
	f = job.f;
	r = fetch_run(e, &job);
	lock_acquire(&e->lock);
	fetch_job_end_locked(e, &job, r);
	asked_locked(e, &job, store_throttled() != throttled);
	/* a failure frees a range that others may take, after a while */
	if (job.pos != job.end || f->state != FETCH_RUNNING)
		fetch_kick_locked(e);
	gone = take_off_locked(e, f);
	lock_release(&e->lock);
	if (gone)
		fetch_free(f);
	return 0;
}

static int copy_spec(struct fetch *f, const struct fetch_spec *spec)
{
	f->spec = *spec;
	f->spec.key = strdup(spec->key);
	f->spec.etag = strdup(spec->etag);
	f->spec.name = NULL;
	/* not to be called for a fetch that never was */
	if (f->spec.key && f->spec.etag)
		return 0;
	f->spec.released = NULL;
	return -ENOMEM;
}

int fetch_start(struct fetch_engine *e, const struct fetch_spec *spec,
		struct fetch **ret)
{
	struct fetch *f = calloc(1, sizeof(*f)), **end;
	int r;

	if (!f)
		return -ENOMEM;
	thr_cond_init(&f->cond);
	f->e = e;
	f->refs = 1;
	f->opening = true;
	f->tail_first = fetch_plan_tail_first(spec->name);
	f->chunk = fetch_plan_chunk(spec->size, e->n_workers, e->chunk);
	f->state = spec->size ? FETCH_RUNNING : FETCH_WHOLE;
	r = copy_spec(f, spec);
	if (!r)
		r = cache_ranges_new(&f->have);
	if (r) {
		f->spec.released = NULL;
		fetch_free(f);
		return r;
	}
	lock_acquire(&e->lock);
	for (end = &e->fetches; *end; end = &(*end)->next)
		;
	*end = f;
	fetch_kick_locked(e);
	lock_release(&e->lock);
	*ret = f;
	return 0;
}

struct fetch *fetch_ref(struct fetch *f)
{
	lock_acquire(&f->e->lock);
	assert(f->refs);
	f->refs++;
	lock_release(&f->e->lock);
	return f;
}

void fetch_drop(struct fetch *f)
{
	struct fetch_engine *e;
	bool gone;

	if (!f)
		return;
	e = f->e;
	lock_acquire(&e->lock);
	assert(f->refs);
	f->refs--;
	if (!f->refs) {
		thr_wake(&e->pace_cond);
		f->dropping = !f->spec.released;
		while (f->dropping && f->busy)
			(void)thr_wait(e->host->thr, &e->lock, &f->cond,
				       CLK_NEVER);
		f->dropping = false;
	}
	gone = take_off_locked(e, f);
	lock_release(&e->lock);
	if (gone)
		fetch_free(f);
}

static int start_workers(struct fetch_engine *e)
{
	for (unsigned i = 0; i < e->n_workers; i++) {
		struct fetch_worker *w = &e->workers[i];
		struct thr_worker *thr = NULL;
		int r;

		w->e = e;
		w->gather = malloc(FETCH_GATHER);
		if (!w->gather)
			return -ENOMEM;
		w->wants_only = !i && e->n_workers > 1;
		r = thr_start(e->host->thr, "fetch", step, w, &thr);
		if (r)
			return r;
		/* the other workers look at all of them to kick them */
		lock_acquire(&e->lock);
		w->thr = thr;
		lock_release(&e->lock);
	}
	return 0;
}

int fetch_engine_new(const struct host *host, struct store *store,
		     const struct fetch_opts *opts, struct fetch_engine **ret)
{
	struct fetch_engine *e = calloc(1, sizeof(*e));
	unsigned n = opts->max_downloads ? opts->max_downloads : WORKERS;
	int r = -ENOMEM;

	assert(n <= FETCH_JOBS_MAX);
	if (!e)
		return -ENOMEM;
	lock_init(&e->lock, LOCK_LEAF, "fetch engine");
	thr_cond_init(&e->pace_cond);
	e->host = host;
	e->store = store;
	e->limit = opts->limit;
	flow_init(&e->flow, n);
	e->chunk = opts->chunk ? opts->chunk : CHUNK_LEAST;
	e->wants_end = &e->wants;
	e->workers = calloc(n, sizeof(*e->workers));
	if (e->workers) {
		e->n_workers = n;
		r = start_workers(e);
	}
	if (r) {
		fetch_engine_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

void fetch_engine_set_limit(struct fetch_engine *e, uint64_t limit)
{
	lock_acquire(&e->lock);
	e->limit = limit;
	e->limits++;
	e->paced_ns = 0;
	thr_wake(&e->pace_cond);
	lock_release(&e->lock);
}

void fetch_engine_stop(struct fetch_engine *e)
{
	lock_acquire(&e->lock);
	e->stopping = true;
	thr_wake(&e->pace_cond);
	for (struct fetch *f = e->fetches; f; f = f->next)
		thr_wake(&f->cond);
	lock_release(&e->lock);
}

void fetch_engine_free(struct fetch_engine *e)
{
	if (!e)
		return;
	fetch_engine_stop(e);
	for (unsigned i = 0; i < e->n_workers; i++) {
		struct thr_worker *thr;

		/* those still running must not kick it any more */
		lock_acquire(&e->lock);
		thr = e->workers[i].thr;
		e->workers[i].thr = NULL;
		lock_release(&e->lock);
		thr_stop(thr);
		free(e->workers[i].gather);
	}
	assert(!e->fetches && !e->wants);
	thr_cond_fini(&e->pace_cond);
	lock_fini(&e->lock);
	free(e->workers);
	free(e);
}
