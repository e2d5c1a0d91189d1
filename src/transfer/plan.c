/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker does next.  With the lock held; chooses, changes nothing but
 * the choice of bodies. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "transfer"

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
	for (o = op + 1; o < t->ops + t->nops; o++) {
		if (o->unordered || o->parked || strcmp(o->key, op->key) == 0)
			continue;
		it = item_find(t, o->seq);
		if (it && !it->v.append_only)
			return true;
	}
	return false;
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
	if (p && p->mono + t->opts.upload_interval_ns > at &&
	    !is_waited_for(t, op))
		at = p->mono + t->opts.upload_interval_ns;
	return at;
}

static const struct line_op *op_of(struct transfer *t, uint64_t seq)
{
	size_t i;

	for (i = 0; i < t->nops; i++)
		if (t->ops[i].seq == seq)
			return &t->ops[i];
	return NULL;
}

static void note_wait(int64_t at, int64_t now, int64_t *wait)
{
	if (at != CLK_NEVER && at - now < *wait)
		*wait = at > now ? at - now : 0;
}

/* The same name was closed again a moment ago and that seal is about to be
 * final: what is sent now would be superseded before it arrives. */
static bool superseded_soon(struct transfer *t, size_t i, int64_t now,
			    int64_t *wait)
{
	const struct titem *it;
	size_t k;

	if (t->ops[i].kind != LINE_PUT)
		return false;
	for (k = i + 1; k < t->nops; k++) {
		if (t->ops[k].final || strcmp(t->ops[k].key, t->ops[i].key))
			continue;
		it = item_find(t, t->ops[k].seq);
		if (!it || now - it->queued_mono > 100 * NS_PER_MS)
			continue;
		note_wait(it->queued_mono + 100 * NS_PER_MS, now, wait);
		return true;
	}
	return false;
}

static bool plan_commit(struct transfer *t, struct action *a, int64_t *wait)
{
	int64_t now = clk_mono(t->host->clk), at;
	struct line_env env;
	size_t next[16], n = 0, i;

	line_env_fill(t, &env);
	if (line_next(t->ops, t->nops, &env, next, 16, &n) < 0)
		return false;
	for (i = 0; i < n; i++) {
		struct line_op *op = &t->ops[next[i]];
		struct titem *it = item_find(t, op->seq);

		if (!it || it->busy || op->flying)
			continue;
		if (op->big && it->body != BODY_SENT)
			continue;
		at = not_before(t, it, op);
		if (at > now) {
			note_wait(at, now, wait);
			continue;
		}
		if (superseded_soon(t, next[i], now, wait))
			continue;
		op->flying = true;
		it->busy = true;
		it->pins++;
		*a = (struct action){ .act = ACT_COMMIT, .it = it };
		return true;
	}
	return false;
}

static void choose_bodies(struct transfer *t)
{
	struct line_env env;
	size_t idx[64], n = 0, i;

	line_env_fill(t, &env);
	t->nbodies = 0;
	if (line_bodies(t->ops, t->nops, &env, idx, 64, &n) < 0)
		return;
	for (i = 0; i < n; i++)
		t->bodies[t->nbodies++] = t->ops[idx[i]].seq;
	t->bodies_stale = false;
}

static bool plan_body(struct transfer *t, struct action *a, int64_t *wait)
{
	int64_t now = clk_mono(t->host->clk), at;
	size_t i;
	unsigned k;

	if (t->bodies_stale)
		choose_bodies(t);
	for (i = 0; i < t->nbodies; i++) {
		struct titem *it = item_find(t, t->bodies[i]);
		const struct line_op *op = op_of(t, t->bodies[i]);

		if (!it || !op || it->busy || !op->final || it->parked)
			continue;
		at = not_before(t, it, op);
		if (at > now) {
			note_wait(at, now, wait);
			continue;
		}
		if (it->body == BODY_NONE) {
			it->body = BODY_BEGINNING;
			it->busy = true;
			it->pins++;
			*a = (struct action){ .act = ACT_BEGIN, .it = it };
			return true;
		}
		if (it->body != BODY_SENDING)
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

struct action plan_next(struct transfer *t, int64_t *wait)
{
	struct action a = { .act = ACT_NONE };

	*wait = CLK_NEVER;
	if (t->fold_wanted) {
		a.act = ACT_FOLD;
		return a;
	}
	if (plan_commit(t, &a, wait) || plan_body(t, &a, wait))
		return a;
	if (t->orphans) {
		a.act = ACT_ABORT;
		a.orphan = t->orphans;
		t->orphans = t->orphans->next;
	}
	return a;
}
