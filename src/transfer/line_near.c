/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views of some windows.  A bound is no less than the number of its row, and a
 * window is a run of places: so the rows of one are found from any of its
 * places, and the first windows from the first place, without the rest.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transfer/line_index.h"
#include "transfer/line_view.h"

/* Windows are gathered into a view. */
struct gather {
	struct line *l;
	struct line_view *v;
	size_t cap;
	size_t hint; /* where the next row probably is */
};

static const struct line_op *op_at(struct gather *g, size_t i)
{
	const struct line *l = g->l;
	uint64_t seq = l->place[i].seq;
	const struct line_op *op;

	g->l->visited++;
	if (g->hint < l->n && l->ops[g->hint].seq == seq) {
		g->hint++;
		return &l->ops[g->hint - 1];
	}
	op = line_find(l, seq);
	g->hint = (size_t)(op - l->ops) + 1;
	return op;
}

static int add_row(struct gather *g, const struct line_op *op)
{
	struct line_view *v = g->v;

	if (v->n == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 16;
		const struct line_op **p =
			realloc(v->row, cap * sizeof(const struct line_op *));

		if (!p)
			return -ENOMEM;
		v->row = p;
		g->cap = cap;
	}
	v->row[v->n++] = op;
	return 0;
}

/* Whole windows from place i on (where one begins), until there are `want`
 * rows; *ret_end: behind them. */
static int add_windows(struct gather *g, size_t i, size_t want, size_t *ret_end)
{
	const struct line *l = g->l;
	bool cut = false, any = false;
	uint64_t bound = 0;
	size_t n = 0;

	for (; i < l->n_place; i++) {
		const struct line_op *op = op_at(g, i);
		bool same = any && l->place[i].bound == bound;
		int r;

		if (line_is_loner(l, op))
			continue;
		if (any && cut && !same && n >= want)
			break;
		r = add_row(g, op);
		if (r)
			return r;
		n++;
		cut = op->cut || (cut && same);
		bound = l->place[i].bound;
		any = true;
	}
	*ret_end = i;
	return 0;
}

/* The nearest row of the line before place i; LINE_NOWHERE: none. */
static size_t before(struct gather *g, size_t i, const struct line_op **ret)
{
	while (i-- > 0) {
		*ret = op_at(g, i);
		if (!line_is_loner(g->l, *ret))
			return i;
	}
	return LINE_NOWHERE;
}

/* Where the window of the row at place i begins: behind the nearest bound of
 * which a row has a cut. */
static size_t window_start(struct gather *g, size_t i)
{
	const struct line_place *place = g->l->place;
	const struct line_op *op = NULL;
	uint64_t own = place[i].bound;
	size_t start = i, from = LINE_NOWHERE;

	for (;;) {
		i = before(g, i, &op);
		if (i == LINE_NOWHERE)
			return from == LINE_NOWHERE ? start : from;
		if (place[i].bound == own) {
			if (from == LINE_NOWHERE)
				start = i;
			else if (op->cut)
				return start;
			else
				from = i;
			continue;
		}
		/* Another bound: what came before it belongs together. */
		if (from != LINE_NOWHERE)
			start = from;
		if (op->cut)
			return start;
		own = place[i].bound;
		from = i;
	}
}

static int settle_view(struct line_view *v)
{
	v->win = calloc(v->n + 1, sizeof(*v->win));
	v->start = calloc(v->n + 1, sizeof(*v->start));
	if (!v->win || !v->start)
		return -ENOMEM;
	line_view_divide(v);
	return 0;
}

static int end(struct line_view *v, int r)
{
	if (r == 0)
		r = settle_view(v);
	if (r)
		line_view_release(v);
	return r;
}

static int by_start(const void *a, const void *b)
{
	const size_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static size_t place_find(const struct line *l, const struct line_op *op)
{
	uint64_t bound = line_bound(op);
	size_t lo = 0, hi = l->n_place;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct line_place *p = &l->place[mid];

		if (p->bound < bound || (p->bound == bound && p->seq < op->seq))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The windows of these rows, and those of them that are loners. */
static int view_near(struct line_view *v, struct line *l, const uint64_t *seq,
		     size_t n)
{
	struct gather g = { .l = l, .v = v };
	size_t *at = calloc(n + 1, sizeof(*at)), k = 0, end_at = 0;
	int r = line_settle(l);

	memset(v, 0, sizeof(*v));
	v->loner = calloc(n + 1, sizeof(const struct line_op *));
	if (!at || !v->loner)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct line_op *op = line_find(l, seq[i]);

		if (op && line_is_loner(l, op))
			v->loner[v->n_loner++] = op;
		else if (op)
			at[k++] = window_start(&g, place_find(l, op));
	}
	if (r == 0)
		qsort(at, k, sizeof(*at), by_start);
	for (size_t i = 0; r == 0 && i < k; i++)
		if (at[i] >= end_at)
			r = add_windows(&g, at[i], 1, &end_at);
	free(at);
	return end(v, r);
}

/* The first windows, of so many rows or a window more, and all loners. */
static int view_head(struct line_view *v, struct line *l, size_t want,
		     bool *ret_all)
{
	struct gather g = { .l = l, .v = v };
	size_t end_at = 0;
	int r = line_settle(l);

	memset(v, 0, sizeof(*v));
	v->loner = calloc(l->apart.n + 1, sizeof(const struct line_op *));
	if (!v->loner)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < l->apart.n; i++) {
		const struct line_op *op = line_find(l, l->apart.seq[i]);

		l->visited++;
		if (line_is_loner(l, op))
			v->loner[v->n_loner++] = op;
	}
	if (r == 0)
		r = add_windows(&g, 0, want, &end_at);
	*ret_all = end_at == l->n_place;
	return end(v, r);
}

/* ---- what comes next ---- */

int line_next_near(struct line *l, const struct line_env *env, size_t look,
		   size_t *ret, size_t max, size_t *ret_n, bool *ret_end,
		   bool *ret_cut)
{
	bool in_line = env->order == LINE_STRICT || env->order == LINE_EXACT;
	size_t want = in_line ? 1 : look;
	bool all, more;
	int r;

	for (;;) {
		struct line_view v;

		r = view_head(&v, l, want, &all);
		if (r)
			return r;
		r = line_next_in(&v, l->ops, env, ret, max, ret_n, &more);
		line_view_release(&v);
		if (r || !more || all || want >= look)
			break;
		want = want * 4 < look ? want * 4 : look;
	}
	if (r == 0) {
		*ret_end = all && more;
		*ret_cut = !all && more;
	}
	return r;
}

/* A delete that nothing of its window goes with. */
static bool is_lone_delete(const struct line_view *v, size_t w)
{
	const struct line_op *op = v->row[v->start[w]];

	return v->start[w + 1] - v->start[w] == 1 && op->kind == LINE_DEL &&
	       !op->parked && !op->flying;
}

int line_deletes_near(struct line *l, uint64_t seq, uint64_t *ret, size_t max,
		      size_t *ret_n)
{
	struct line_view v;
	size_t n = 0;
	bool all;
	int r = view_head(&v, l, max, &all);

	if (r)
		return r;
	for (size_t w = 0; w < v.n_win && n < max && is_lone_delete(&v, w); w++)
		ret[n++] = v.row[v.start[w]]->seq;
	line_view_release(&v);
	*ret_n = n && ret[0] == seq ? n : 0;
	return 0;
}

/* ---- the life of a commit ---- */

typedef int life_fn(const struct line_view *v, uint64_t seq,
		    struct line_change *ret);

static int of_near(struct line *l, uint64_t seq, life_fn *fn,
		   struct line_change *ret)
{
	struct line_view v;
	int r = view_near(&v, l, &seq, 1);

	if (r)
		return r;
	r = fn(&v, seq, ret);
	line_view_release(&v);
	return r;
}

int line_begin_near(struct line *l, uint64_t seq, struct line_change *ret)
{
	return of_near(l, seq, line_begin_in, ret);
}

int line_done_near(struct line *l, uint64_t seq, struct line_change *ret)
{
	return of_near(l, seq, line_done_in, ret);
}

int line_park_near(struct line *l, uint64_t seq, struct line_change *ret)
{
	return of_near(l, seq, line_park_in, ret);
}

int line_withdraw_near(struct line *l, const struct line_env *env, uint64_t seq,
		       struct line_change *ret)
{
	const struct line_op *op = line_find(l, seq);
	const struct line_seqs *rows =
		op && op->vid ? line_of_version(l, op->vid) : NULL;
	struct line_view v;
	int r;

	if (!op)
		return -ENOENT;
	r = rows ? view_near(&v, l, rows->seq, rows->n) :
		   view_near(&v, l, &seq, 1);
	if (r)
		return r;
	r = line_withdraw_in(&v, l->ops, l->n, env, seq, ret);
	line_view_release(&v);
	return r;
}
