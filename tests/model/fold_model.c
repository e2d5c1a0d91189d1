/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fold_mount.h"
#include "line_whole.h"

#define DEPTH 96
#define NEXT_MAX 64

const char *const bad_name[BAD_N] = { "SRC",	"DANGLE", "STALE", "LITERAL",
				      "EXACT",	"QUIET",  "STUCK", "KEEP",
				      "FROZEN", "CLASH",  "DOOMED", "OLDER" };

struct run {
	struct model *m;
	struct seen seen;
	bool walking;
	uint64_t rng;
	unsigned depth;
	char label[DEPTH][24];
	const struct tree *mount; /* of the state at hand: after each op */
	bool stop;
	size_t steps; /* from the state at hand, new operations aside */
	/* while walking: successors */
	struct state next[NEXT_MAX];
	char next_label[NEXT_MAX][24];
	size_t n_next;
};

/* ---- the promises ---- */

static void report(struct run *r, enum bad bad)
{
	struct model *m = r->m;
	size_t at = 0;

	if (m->found[bad]++ == 0) {
		char *t = m->trace[bad];

		at += (size_t)snprintf(t, sizeof(m->trace[0]),
				       "start={%s}:", m->start);
		for (unsigned i = 0; i < r->depth; i++)
			if (at < sizeof(m->trace[0]))
				at += (size_t)snprintf(t + at,
						       sizeof(m->trace[0]) - at,
						       " %s;", r->label[i]);
	}
	if (m->stop_at & 1U << bad)
		r->stop = true;
}

static bool same(struct shown x, struct shown y)
{
	return x.v == y.v && x.b == y.b;
}

/* The mount showed this under name n, without name n2. */
static bool was_without(const struct run *r, const struct state *s, size_t n,
			struct shown z, size_t n2)
{
	for (int t = z.b > 0 ? z.b : 0; t <= s->n_hist; t++)
		if (same(r->mount[t].at[n], z) && !r->mount[t].at[n2].v)
			return true;
	return false;
}

static void check_pair(struct run *r, const struct state *s,
		       const struct tree *end, bool puts_done, size_t n,
		       size_t n2)
{
	struct shown z = s->bucket.at[n], now = s->bucket.at[n2];
	struct shown then = r->mount[z.b > 0 ? z.b : 0].at[n2];

	if (!then.v || then.b >= z.b || (now.v && now.b >= then.b) ||
	    was_without(r, s, n, z, n2))
		return;
	if (!now.v)
		report(r, !end->at[n].v && puts_done ? BAD_DOOMED : BAD_DANGLE);
	else if (same(now, s->before.at[n2]) && end->at[n2].b > z.b)
		report(r, BAD_OLDER);
	else
		report(r, BAD_STALE);
}

/* end: what the bucket will show when the present window is done. */
static void check(struct run *r, const struct state *s, const struct tree *end)
{
	size_t n = name_count(r->m);
	bool puts_done = true;

	for (size_t i = 0; i < n; i++)
		puts_done &= !end->at[i].v || same(end->at[i], s->bucket.at[i]);
	for (size_t i = 0; i < n; i++) {
		struct shown z = s->bucket.at[i];

		if (!z.v || name_is_aside(r->m, i))
			continue;
		for (size_t k = 0; k < n; k++)
			if (k != i)
				check_pair(r, s, end, puts_done, i, k);
		if (same(z, s->before.at[i]))
			continue;
		for (size_t k = 0; k < n; k++)
			if (end->at[k].v && end->at[k].b < z.b &&
			    (!s->bucket.at[k].v ||
			     s->bucket.at[k].b < end->at[k].b))
				report(r, BAD_LITERAL);
	}
}

static void check_clash(struct run *r, const struct tree *t)
{
	for (size_t i = 0; r->m->one_name && r->m->names[i]; i++)
		if (t->at[i].v && mount_clashes(r->m, t, i))
			report(r, BAD_CLASH);
}

static bool was_mounted(const struct run *r, const struct state *s,
			const struct tree *t)
{
	for (int i = 0; i <= s->n_hist; i++)
		if (memcmp(&r->mount[i], t, sizeof(*t)) == 0)
			return true;
	return false;
}

/* ---- steps ---- */

static void explore(struct run *r, const struct state *s);

static void push(struct run *r, const char *what, int n)
{
	char label[24];

	if (r->depth == DEPTH)
		abort();
	snprintf(label, sizeof(label), n < 0 ? "%s" : "%s %d", what, n);
	memcpy(r->label[r->depth++], label, sizeof(label));
}

/* The step last pushed leads to s. */
static void go(struct run *r, struct state *s)
{
	const struct tree *mount = r->mount;
	size_t steps = r->steps;
	bool begun = false;

	for (size_t i = 0; i < s->n_rows; i++)
		begun |= (s->row[i].flags & BEGUN) != 0;
	if (!begun)
		s->before = s->bucket;
	if (r->walking) {
		if (r->n_next == NEXT_MAX)
			abort();
		r->next[r->n_next] = *s;
		memcpy(r->next_label[r->n_next++], r->label[r->depth - 1],
		       sizeof(r->label[0]));
	} else if (!r->stop && seen_note(&r->seen, s)) {
		explore(r, s);
	}
	r->depth--;
	r->mount = mount;
	r->steps = steps + 1;
}

static bool first_by_place(const struct line_op *a, const struct line_op *b)
{
	return a->bound != b->bound ? a->bound < b->bound : a->seq < b->seq;
}

/* The oldest put under way that is certain and not about to commit. */
static const struct line_op *oldest_put(const struct line_op *ops, size_t n)
{
	const struct line_op *old = NULL;
	uint64_t begun = 0;

	for (size_t i = 0; i < n; i++)
		if (ops[i].begun && ops[i].bound > begun)
			begun = ops[i].bound;
	for (size_t i = 0; i < n; i++)
		if (ops[i].kind == LINE_PUT && ops[i].underway &&
		    ops[i].final && ops[i].bound > begun &&
		    (!old || first_by_place(&ops[i], old)))
			old = &ops[i];
	return old;
}

/* Bound of the last row of the begun window, which is the first; or 0. */
static unsigned begun_end(const struct state *s)
{
	unsigned end = 0;
	bool begun = false;

	for (size_t i = 0; i < s->n_rows; i++) {
		const struct row *row = &s->row[i];

		begun |= (row->flags & BEGUN) != 0;
		if (row->flags & CUT && (!end || row->bound < end))
			end = row->bound;
	}
	return begun ? end : 0;
}

static void check_fold(struct run *r, const struct state *s,
		       const struct line_op *ops, size_t n,
		       const struct line_change *c)
{
	const struct line_op *old = oldest_put(ops, n);
	unsigned end = begun_end(s);

	for (size_t e = 0; e < c->n; e++) {
		uint64_t seq = c->edit[e].row.seq;

		if (old && seq == old->seq &&
		    (c->edit[e].drop || strcmp(c->edit[e].row.key, old->key)))
			report(r, BAD_KEEP);
		for (size_t i = 0; i < s->n_rows; i++)
			if (s->row[i].seq == seq && s->row[i].bound <= end)
				report(r, BAD_FROZEN);
	}
}

/* Fold; false if that changes nothing. */
static bool fold(struct run *r, struct state *s)
{
	struct line_op ops[ROWS];
	struct asked asked = { r->m, s };
	struct line_env env = env_of(r->m, &asked);
	struct line_change c;
	size_t n = rows_load(r->m, s, ops);
	bool changed;

	if (line_fold(ops, n, &env, &c))
		abort();
	if (r->m->order == LINE_STRICT)
		check_fold(r, s, ops, n, &c);
	changed = c.n > 0;
	rows_apply(r->m, s, &c);
	return changed;
}

static void fold_if_due(struct run *r, struct state *s, uint64_t seq)
{
	struct line_op ops[ROWS];

	if (r->m->any_time)
		return;
	if (line_fold_due(ops, rows_load(r->m, s, ops), seq))
		fold(r, s);
}

static void step_verbs(struct run *r, const struct state *s)
{
	static const char *const word[] = { "", "put", "del", "ren", "rd" };
	const struct model *m = r->m;
	const struct tree *now = &r->mount[s->n_hist];
	bool full = hist_count(s) >= m->ops;

	for (size_t i = 0; !full && i < m->n_verbs; i++) {
		const struct verb *v = &m->verbs[i];
		bool both = v->kind == MODEL_EXCHANGE;
		struct state t = *s;
		char label[24];

		if (s->n_hist + (both ? 3 : 1) > MODEL_OPS ||
		    !mount_allows(m, now, v))
			continue;
		hist_add(m, now, &t, i);
		snprintf(label, sizeof(label), "%s %s %s",
			 both ? "xch" : word[v->kind], v->key,
			 v->to ? v->to : "");
		push(r, label, -1);
		for (unsigned k = s->n_hist; k < t.n_hist; k++)
			fold_if_due(r, &t, k + 1);
		go(r, &t);
		r->steps--;
	}
}

static void step_bodies(struct run *r, const struct state *s)
{
	for (size_t i = 0; i < s->n_rows; i++) {
		struct state t = *s;
		bool begun = s->row[i].flags & UNDERWAY;

		if (s->row[i].kind != LINE_PUT || s->row[i].flags & SENT)
			continue;
		t.row[i].flags |= begun ? SENT : UNDERWAY;
		push(r, begun ? "sent" : "begin", s->row[i].vid - VID);
		go(r, &t);
	}
}

static void step_seals(struct run *r, const struct state *s)
{
	for (size_t i = 0; i < s->n_rows; i++) {
		struct line_op ops[ROWS];
		struct asked asked = { r->m, s };
		struct line_env env = env_of(r->m, &asked);
		struct line_change c;
		struct state t = *s;
		unsigned char seq = s->row[i].seq;

		if (s->row[i].flags & FINAL)
			continue;
		t.row[i].flags |= FINAL;
		push(r, "final", seq);
		fold_if_due(r, &t, seq);
		go(r, &t);

		t = *s;
		if (line_withdraw(ops, rows_load(r->m, s, ops), &env, seq,
				  &c))
			abort();
		rows_apply(r->m, &t, &c);
		t.hist[seq - 1].gone = 1;
		push(r, "withdraw", seq);
		go(r, &t);
	}
}

/* ---- commits ---- */

/* What the bucket shows once the begun window is done: the first one. */
static struct tree window_end(struct run *r, const struct state *s)
{
	struct tree t = s->bucket;
	unsigned end = begun_end(s);
	bool lost;

	for (size_t i = 0; i < s->n_rows; i++)
		while (s->row[i].bound <= end &&
		       !bucket_show(r->m, &t, &s->row[i], &lost))
			continue;
	return t;
}

static void commit(struct run *r, const struct state *s, size_t i)
{
	struct line_op ops[ROWS];
	struct line_change c;
	struct state t = *s;
	struct tree end;
	bool lost = false;

	push(r, "commit", s->row[i].seq);
	if (bucket_show(r->m, &t.bucket, &s->row[i], &lost)) {
		if (line_done(ops, rows_load(r->m, s, ops), s->row[i].seq, &c))
			abort();
		rows_apply(r->m, &t, &c);
	}
	if (lost)
		report(r, BAD_SRC);
	end = window_end(r, &t);
	check_clash(r, &t.bucket);
	if (r->m->order == LINE_STRICT) {
		check(r, &t, &end);
		if (!was_mounted(r, s, &end))
			report(r, BAD_EXACT);
	}
	go(r, &t);
}

/* The store refuses row seq, which was handed out. */
static void park(struct run *r, const struct state *s, uint64_t seq)
{
	struct line_op ops[ROWS];
	struct line_change c;
	struct state t = *s;

	if (line_park(ops, rows_load(r->m, s, ops), seq, &c))
		abort();
	rows_apply(r->m, &t, &c);
	push(r, "park", (int)seq);
	go(r, &t);
}

static void step_retries(struct run *r, const struct state *s)
{
	for (size_t i = 0; i < s->n_rows; i++) {
		struct state t = *s;

		if (!(s->row[i].flags & PARKED))
			continue;
		t.row[i].flags &= (unsigned char)~PARKED;
		push(r, "retry", s->row[i].seq);
		go(r, &t);
	}
}

static void step_commits(struct run *r, const struct state *s)
{
	struct line_op ops[ROWS];
	struct asked asked = { r->m, s };
	struct line_env env = env_of(r->m, &asked);
	size_t may[ROWS], n = rows_load(r->m, s, ops), k = 0;

	if (line_next(ops, n, &env, may, ROWS, &k))
		abort();
	for (size_t i = 0; i < k; i++) {
		struct line_change c;
		struct state t = *s;

		if (line_begin(ops, n, ops[may[i]].seq, &c))
			abort();
		if (c.n == 0) {
			line_change_release(&c);
			commit(r, s, may[i]);
			if (r->m->park)
				park(r, s, ops[may[i]].seq);
			continue;
		}
		rows_apply(r->m, &t, &c);
		push(r, "start", (int)ops[may[i]].seq);
		go(r, &t);
	}
}

static void explore(struct run *r, const struct state *s)
{
	struct tree mount[MODEL_OPS + 1];
	struct state t = *s;

	r->m->states++;
	mount_all(r->m, s, mount);
	r->mount = mount;
	r->steps = 0;
	step_commits(r, s);
	step_bodies(r, s);
	step_seals(r, s);
	step_retries(r, s);
	if (s->n_rows > 0 && r->steps == 0)
		report(r, BAD_STUCK);
	if (s->n_rows == 0 &&
	    memcmp(&s->bucket, &mount[s->n_hist], sizeof(s->bucket)) != 0)
		report(r, BAD_QUIET);
	if (r->m->any_time) {
		push(r, "fold", -1);
		if (fold(r, &t))
			go(r, &t);
		else
			r->depth--;
	}
	step_verbs(r, s);
}

static struct run *run_new(struct model *m)
{
	struct run *r = calloc(1, sizeof(*r));

	m->states = 0;
	memset(m->found, 0, sizeof(m->found));
	memset(m->trace, 0, sizeof(m->trace));
	if (r)
		r->m = m;
	return r;
}

static struct state state_start(const struct model *m)
{
	struct state s;

	memset(&s, 0, sizeof(s));
	s.bucket = s.before = mount_start(m);
	return s;
}

int model_explore(struct model *m)
{
	struct run *r = run_new(m);
	struct state s = state_start(m);

	if (!r)
		return -ENOMEM;
	explore(r, &s);
	free(r->seen.at);
	free(r);
	return 0;
}

static uint64_t draw(struct run *r, uint64_t n)
{
	r->rng ^= r->rng << 13;
	r->rng ^= r->rng >> 7;
	r->rng ^= r->rng << 17;
	return r->rng % n;
}

/* First a kind of step, by its first letter, then one of that kind. */
static size_t choose(struct run *r)
{
	char kinds[NEXT_MAX + 1] = "";
	size_t n = 0, pick;
	char kind;

	for (size_t i = 0; i < r->n_next; i++) {
		if (strchr(kinds, r->next_label[i][0]))
			continue;
		kinds[n++] = r->next_label[i][0];
		kinds[n] = '\0';
	}
	kind = kinds[draw(r, n)];
	do {
		pick = draw(r, r->n_next);
	} while (r->next_label[pick][0] != kind);
	return pick;
}

int model_walk(struct model *m, uint64_t seed, unsigned walks, unsigned steps)
{
	struct run *r = run_new(m);

	if (!r)
		return -ENOMEM;
	r->walking = true;
	r->rng = seed;
	for (unsigned w = 0; w < walks && !r->stop; w++) {
		struct state s = state_start(m);

		r->depth = 0;
		for (unsigned i = 0; i < steps; i++) {
			size_t pick;

			r->n_next = 0;
			explore(r, &s);
			if (r->n_next == 0)
				break;
			pick = choose(r);
			s = r->next[pick];
			push(r, r->next_label[pick], -1);
		}
	}
	free(r);
	return 0;
}
