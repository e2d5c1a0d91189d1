/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker does next.  With the lock held; chooses, changes nothing but
 * the choice of bodies. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "transfer"
#define LOG_PART_MAX (UINT64_C(8) << 20)

static struct put_time *put_time(struct transfer *t, const char *key)
{
	struct put_time *p;

	HASH_FIND(hh, t->put_times, key, strlen(key), p);
	return p;
}

/* Something that is no log either stands behind it in the line. */
static bool is_waited_for(struct transfer *t, const struct line_op *op)
{
	const struct line_op *o;
	const struct titem *it;

	if (op->unordered)
		return false;
	for (o = op + 1; o < t->line.ops + t->line.n; o++) {
		if (o->unordered || o->parked || strcmp(o->key, op->key) == 0)
			continue;
		it = item_find(t, o->seq);
		if (it && !it->v.append_only)
			return true;
	}
	return false;
}

/* With the lock. */
static int64_t log_pause(const struct transfer *t, const struct put_time *p,
			 uint64_t size)
{
	/* Equal parts that are large: so much is sent each time. */
	bool copied = (t->store->caps & STORE_CAP_COPY_PART) &&
		      t->opts.part_size <= LOG_PART_MAX && !(p && p->changed);

	return transfer_log_interval(t->opts.upload_interval_ns, size, copied);
}

int64_t transfer_log_pause(struct transfer *t, const char *key, uint64_t size)
{
	int64_t ns;

	lock_acquire(&t->lock);
	ns = log_pause(t, put_time(t, key), size);
	lock_release(&t->lock);
	return ns;
}

/* It may be closed for good: that is not to be as far off as the next look at
 * one that is open. */
static int64_t log_interval(const struct transfer *t, const struct put_time *p,
			    const struct titem *it)
{
	int64_t least = t->opts.upload_interval_ns, most = least, ns;

	if (t->opts.upload_max_delay_ns > most)
		most = t->opts.upload_max_delay_ns;
	ns = log_pause(t, p, it->v.size);
	return ns < most ? ns : most;
}

/* When an item may be begun at the earliest: 0, now. */
static int64_t not_before(struct transfer *t, const struct titem *it,
			  const struct line_op *op)
{
	int64_t at = it->retry_at;
	struct put_time *p;

	if (t->waiters || op->kind == LINE_DEL || op->kind == LINE_RENAME ||
	    op->kind == LINE_RENAME_DIR)
		return at;
	if (it->queued_mono + t->opts.upload_delay_ns > at)
		at = it->queued_mono + t->opts.upload_delay_ns;
	p = op->unordered || it->v.append_only ? put_time(t, it->key) : NULL;
	if (p && p->mono + log_interval(t, p, it) > at &&
	    !is_waited_for(t, op))
		at = p->mono + log_interval(t, p, it);
	return at;
}

static void note_wait(int64_t at, int64_t now, int64_t *wait)
{
	if (at != CLK_NEVER && at - now < *wait)
		*wait = at > now ? at - now : 0;
}

/* When to ask again; what could not be answered now (no memory), later. */
static int64_t again_at(int64_t at, int64_t now)
{
	return at > now ? at : now + NS_PER_S;
}

/* The same name was closed again a moment ago and that seal is about to be
 * final: what is sent now would be superseded before it arrives. */
static bool superseded_soon(struct transfer *t, const struct line_op *op,
			    int64_t now, int64_t *wait)
{
	const struct line_seqs *rows = line_at(&t->line, op->key);
	size_t i;

	for (i = 0; op->kind == LINE_PUT && rows && i < rows->n; i++) {
		const struct line_op *o = line_find(&t->line, rows->seq[i]);
		const struct titem *it = item_find(t, rows->seq[i]);

		if (o->seq <= op->seq || o->final ||
		    strcmp(o->key, op->key) != 0 || !it ||
		    now - it->queued_mono >= 100 * NS_PER_MS)
			continue;
		note_wait(it->queued_mono + 100 * NS_PER_MS, now, wait);
		return true;
	}
	return false;
}

/*
 * Those near the front mostly have what may go.  Where they have not, since
 * they wait for something, it is looked for in all the line, now and then.
 */
static void choose_next(struct transfer *t, int64_t now)
{
	uint64_t before = t->line.visited;
	size_t idx[NEXT_MAX], n = 0, i;
	struct line_env env;
	bool cut;

	line_env_fill(t, &env);
	if (line_next_near(&t->line, &env, LINE_SHORT, idx, NEXT_MAX, &n,
			   &t->next_end, &cut) < 0)
		return;
	if (cut && n == 0 && now >= t->far_from) {
		if (line_next_near(&t->line, &env, t->line.n, idx, NEXT_MAX, &n,
				   &t->next_end, &cut) < 0)
			return;
		t->far_from =
			line_pause(t, (size_t)(t->line.visited - before));
		t->stats.scans++;
	}
	/* What is flying may be all there is near the front. */
	t->next_stale = cut && n == 0;
	t->n_next = n;
	for (i = 0; i < n; i++)
		t->next[i] = t->line.ops[idx[i]].seq;
}

static bool plan_one(struct transfer *t, uint64_t seq, struct action *a,
		     int64_t *wait)
{
	int64_t now = clk_mono(t->host->clk), at;
	struct line_op *op = line_find(&t->line, seq);
	struct titem *it = item_find(t, seq);

	if (!it || !op || it->busy || op->flying)
		return false;
	if (op->big && it->body != BODY_SENT)
		return false;
	at = not_before(t, it, op);
	if (at > now) {
		note_wait(at, now, wait);
		return false;
	}
	if (superseded_soon(t, op, now, wait))
		return false;
	op->flying = true;
	it->busy = true;
	it->pins++;
	*a = (struct action){ .act = ACT_COMMIT, .it = it };
	if (op->kind == LINE_DEL)
		a->run = del_run_take(t, it);
	return true;
}

static bool plan_commit(struct transfer *t, struct action *a, int64_t *wait)
{
	int64_t now = clk_mono(t->host->clk);
	size_t i;

	if (t->next_stale)
		choose_next(t, now);
	if (t->next_stale)
		note_wait(again_at(t->far_from, now), now, wait);
	for (i = 0; i < t->n_next; i++) {
		if (!plan_one(t, t->next[i], a, wait))
			continue;
		/* As many as were asked for: there may be more. */
		t->next_stale |= t->n_next == NEXT_MAX;
		return true;
	}
	return false;
}

/* A body costs a fold to choose. */
static void choose_bodies(struct transfer *t)
{
	struct line_env env;
	size_t idx[BODIES_MAX], n = 0, i;
	bool fold;

	if (t->n_big) {
		line_env_fill(t, &env);
		if (line_bodies(t->line.ops, t->line.n, &env, idx, BODIES_MAX,
				&n, &fold) < 0)
			return;
		t->fold_wanted |= fold;
		t->line.visited += t->line.n;
		t->stats.scans++;
		t->bodies_from = line_pause(t, t->line.n);
	}
	t->n_bodies = n;
	for (i = 0; i < n; i++)
		t->bodies[i] = t->line.ops[idx[i]].seq;
	t->bodies_stale = false;
}

static bool plan_body(struct transfer *t, struct action *a, int64_t *wait)
{
	int64_t now = clk_mono(t->host->clk), at;
	size_t i;
	unsigned k;

	if (t->bodies_stale && (now >= t->bodies_from || !t->n_big))
		choose_bodies(t);
	if (t->bodies_stale)
		note_wait(again_at(t->bodies_from, now), now, wait);
	for (i = 0; i < t->n_bodies; i++) {
		const struct line_op *op = line_find(&t->line, t->bodies[i]);
		struct titem *it = item_find(t, t->bodies[i]);

		if (!it || !op || it->busy || !op->final || it->parked ||
		    !op->big || op->sent)
			continue;
		at = not_before(t, it, op);
		if (at > now) {
			note_wait(at, now, wait);
			continue;
		}
		if (it->body == BODY_NONE) {
			if (upload_leaves(t, it->vid))
				continue;
			it->body = BODY_BEGINNING;
			it->busy = it->has_upload = true;
			it->pins++;
			*a = (struct action){ .act = ACT_BEGIN, .it = it };
			return true;
		}
		if (it->body != BODY_SENDING || copies_failed(it))
			continue;
		for (k = 0; k < it->nparts; k++) {
			if (it->parts[k].state != PART_TODO)
				continue;
			it->parts[k].state = PART_SENDING;
			it->parts_going++;
			it->pins++;
			*a = (struct action){ .act = ACT_PART,
					      .it = it,
					      .part = k };
			return true;
		}
	}
	return false;
}

static bool plan_abort(struct transfer *t, struct action *a, int64_t *wait)
{
	int64_t now = clk_mono(t->host->clk);
	struct orphan *o;

	for (o = t->orphans; o; o = o->next) {
		if (o->taken)
			continue;
		if (o->retry_at > now) {
			note_wait(o->retry_at, now, wait);
			continue;
		}
		o->taken = true;
		*a = (struct action){ .act = ACT_ABORT, .orphan = o };
		return true;
	}
	return false;
}

/* One commit goes beside whatever else does: others may wait for it. */
static bool may_ask(const struct transfer *t, bool commit)
{
	return t->going < t->flow.now || (commit && !t->committing);
}

/* Everything in the line waits for that commit. */
static bool plan_crew(struct transfer *t, struct action *a)
{
	if (!crew_take(t, &a->crew))
		return false;
	a->act = ACT_CREW;
	return true;
}

struct action plan_next(struct transfer *t, int64_t *wait)
{
	struct action a = { .act = ACT_NONE };
	int64_t now = clk_mono(t->host->clk), at;

	*wait = CLK_NEVER;
	if (t->fold_wanted && now >= t->fold_from) {
		a.act = ACT_FOLD;
		return a;
	}
	/* A body may wait for an abort, which is short. */
	if (!(may_ask(t, true) && plan_commit(t, &a, wait)) &&
	    !plan_abort(t, &a, wait) && !(may_ask(t, false) && plan_crew(t, &a)) &&
	    !(may_ask(t, false) && plan_body(t, &a, wait)) &&
	    !plan_sum(t, &a, &at))
		note_wait(at, now, wait);
	if (t->fold_wanted) /* since before, or as the bodies were chosen */
		note_wait(t->fold_from, now, wait);
	return a;
}
