/* SPDX-License-Identifier: Apache-2.0 */
/* What may commit, and what may be sent, now; and the loners' own rules. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transfer/line_view.h"

struct next {
	const struct line_env *env;
	const struct line_op *ops;
	const struct line_rules *rules;
	const struct line_view *view;
	bool *aside; /* per row: parked, or waits for a parked one */
	bool exact; /* names must be compared, not places only */
	struct path_set parked; /* folders of parked rows passed so far */
	struct path_set stuck; /* names of the rows aside */
	struct path_set names; /* of all rows passed so far */
	bool pending; /* a row that others wait for was passed */
	uint64_t pending_min; /* least seq of those */
	size_t *ret;
	size_t max, n;
};

static int add_folder(struct path_set *s, const char *key, bool whole)
{
	return path_set_cover(s, key, whole ? strlen(key) : path_dir_len(key));
}

static bool folder_touches(const struct path_set *s, const char *key,
			   bool whole)
{
	size_t len = whole ? strlen(key) : path_dir_len(key);

	/* The top folder contains all others. */
	return s->root || path_set_touches(s, key, len);
}

/* Waits for a parked row: their folders are one, or one contains the other. */
static bool meets_parked(const struct next *x, const struct line_op *op)
{
	bool whole = op->kind == LINE_RENAME_DIR;

	return x->parked.any &&
	       (folder_touches(&x->parked, op->key, whole) ||
		(op->to && folder_touches(&x->parked, op->to, whole)));
}

static int park(struct next *x, const struct line_op *op)
{
	bool whole = op->kind == LINE_RENAME_DIR;
	int r = add_folder(&x->parked, op->key, whole);

	if (!r && op->to)
		r = add_folder(&x->parked, op->to, whole);
	return r;
}

static bool is_ready(const struct line_op *op)
{
	return line_is_final(op) &&
	       (op->kind != LINE_PUT || !op->big || op->sent);
}

/* A row passed before speaks of a folder of this name, or of what is below it. */
static bool meets_folder(const struct next *x, const struct line_op *op)
{
	return x->env->one_name &&
	       (path_set_touches(&x->names, op->key, strlen(op->key)) ||
		(op->to &&
		 path_set_touches(&x->names, op->to, strlen(op->to))));
}

/* The same the other way round: what is below a file waits for it. */
static int add_file(struct next *x, const struct line_op *op)
{
	int r = path_set_cover(&x->names, op->key, strlen(op->key));

	return r || !op->to ? r :
			      path_set_cover(&x->names, op->to, strlen(op->to));
}

/* Whether rows passed before stand in the way of this one. */
static bool waits(const struct next *x, const struct line_op *op)
{
	if (x->exact &&
	    (path_set_has_op(&x->names, op) || meets_folder(x, op)))
		return true;
	if (x->env->order == LINE_NONE || !x->pending)
		return false;
	if (x->env->order == LINE_OPEN && op->kind == LINE_PUT)
		return x->pending_min <= op->open_seq;
	return true;
}

static void give(struct next *x, const struct line_op *op)
{
	if (!op->flying && x->n < x->max)
		x->ret[x->n++] = (size_t)(op - x->ops);
}

static int passed(struct next *x, size_t p)
{
	const struct line_op *op = x->view->row[p];
	int r;

	if (!x->aside[p]) {
		if (!x->pending || op->seq < x->pending_min)
			x->pending_min = op->seq;
		x->pending = true;
	}
	if (!x->exact)
		return 0;
	r = path_set_add_op(&x->names, op);
	return r || !x->env->one_name ? r : add_file(x, op);
}

/* The puts from p on that one folder rename made visible together. */
static size_t group_end(const struct next *x, size_t p, size_t end, bool dels)
{
	size_t q = p + 1;

	if (dels)
		return q;
	while (q < end && x->view->row[q]->kind == LINE_PUT &&
	       line_bound(x->view->row[q]) == line_bound(x->view->row[p]))
		q++;
	return q;
}

static int pass_group(struct next *x, size_t p, size_t q, bool ready)
{
	const struct line_view *v = x->view;
	bool alone = q - p == 1;
	int r = 0;

	for (size_t i = p; i < q; i++) {
		const struct line_op *op = v->row[i];

		if (x->aside[i] || waits(x, op))
			continue;
		/* The newest-sealed goes alone; rows are in order of seal. */
		if (!alone && i + 1 == q)
			continue;
		if (x->env->order == LINE_NONE ? is_ready(op) : ready)
			give(x, op);
	}
	for (size_t i = p; !r && i < q; i++)
		r = passed(x, i);
	return r;
}

static int pass_phase(struct next *x, size_t w, bool dels, bool ready)
{
	const struct line_view *v = x->view;
	size_t end = v->start[w + 1], q;
	int r = 0;

	for (size_t p = v->start[w]; !r && p < end; p = q) {
		q = p + 1;
		if ((v->row[p]->kind == LINE_DEL) != dels)
			continue;
		q = group_end(x, p, end, dels);
		r = pass_group(x, p, q, ready);
	}
	return r;
}

static int pass_window(struct next *x, size_t w)
{
	const struct line_view *v = x->view;
	bool ready = true, dels_first = !x->rules->deletes_last;
	int r = 0;

	for (size_t p = v->start[w]; !r && p < v->start[w + 1]; p++) {
		const struct line_op *op = v->row[p];

		x->aside[p] = op->parked || meets_parked(x, op) ||
			      path_set_has_op(&x->stuck, op);
		if (op->parked)
			r = park(x, op);
		if (!r && x->aside[p])
			r = path_set_add_op(&x->stuck, op);
		ready &= x->aside[p] || is_ready(op);
	}
	if (!r)
		r = pass_phase(x, w, dels_first, ready);
	if (!r)
		r = pass_phase(x, w, !dels_first, ready);
	return r;
}

/* Outside the line only an older version of the same name is waited for, and what
 * it cannot be in the bucket beside. */
static int pass_loners(struct next *x)
{
	struct path_set older = { 0 };
	int r = 0;

	for (size_t i = 0; !r && i < x->view->n_loner; i++) {
		const struct line_op *op = x->view->loner[i];
		size_t len = strlen(op->key);

		if (!op->parked && is_ready(op) &&
		    !path_set_has(&older, op->key, len) &&
		    !(x->env->in_the_way &&
		      x->env->in_the_way(x->env->arg, op)))
			give(x, op);
		r = path_set_add(&older, op->key, len);
	}
	path_set_release(&older);
	return r;
}

/*
 * Outside the line only the newest version of a name counts, and what is
 * under way: by name, newest first.
 */
int line_fold_loners(const struct line_view *v, struct line_change *c)
{
	struct path_set newer = { 0 };
	size_t oldest = LINE_NOWHERE;
	int r = 0;

	for (size_t i = 0; i < v->n_loner && oldest == LINE_NOWHERE; i++)
		if (v->loner[i]->underway && !v->loner[i]->begun)
			oldest = i;
	for (size_t i = v->n_loner; !r && i-- > 0;) {
		const struct line_op *op = v->loner[i];
		size_t len = strlen(op->key);

		if (i != oldest && !op->begun && !op->flying &&
		    path_set_has(&newer, op->key, len))
			line_change_drop(c, op->seq);
		else if (op->final && !op->parked)
			r = path_set_add(&newer, op->key, len);
	}
	path_set_release(&newer);
	return r;
}

int line_next_in(const struct line_view *v, const struct line_op *ops,
		 const struct line_env *env, size_t *ret, size_t max,
		 size_t *ret_n, bool *ret_more)
{
	struct next x = {
		.env = env, .ops = ops, .view = v, .ret = ret, .max = max
	};
	bool in_line = env->order == LINE_STRICT || env->order == LINE_EXACT;
	size_t w;
	int r;

	x.rules = env->rules ? env->rules : &line_rules_default;
	x.exact = !in_line;
	x.aside = calloc(v->n + 1, sizeof(*x.aside));
	r = x.aside ? pass_loners(&x) : -ENOMEM;
	for (w = 0; !r && w < v->n_win && x.n < max; w++) {
		if (in_line && x.pending)
			break;
		r = pass_window(&x, w);
	}
	if (!r) {
		*ret_n = x.n;
		*ret_more = x.n < max && !(in_line && x.pending);
	}
	path_set_release(&x.parked);
	path_set_release(&x.stuck);
	path_set_release(&x.names);
	free(x.aside);
	return r;
}

static int by_seq(const void *a, const void *b)
{
	const struct line_edit *x = a, *y = b;

	return (x->row.seq > y->row.seq) - (x->row.seq < y->row.seq);
}

struct bodies {
	const struct line_op *ops;
	const struct line_change *change; /* of a fold, by number */
	size_t *ret;
	size_t max, n;
	bool fold;
};

/* A body worth sending: no fold would drop this row or give it another key. */
static void want_body(struct bodies *b, const struct line_op *op)
{
	const struct line_change *c = b->change;
	struct line_edit want = { .row.seq = op->seq }, *e;

	if (op->kind != LINE_PUT || !op->big || op->sent || op->parked)
		return;
	e = bsearch(&want, c->edit, c->n, sizeof(want), by_seq);
	if (e && (e->drop || strcmp(e->row.key, op->key) != 0))
		b->fold = true;
	else if (b->n < b->max)
		b->ret[b->n++] = (size_t)(op - b->ops);
}

int line_bodies(const struct line_op *ops, size_t n, const struct line_env *env,
		size_t *ret, size_t max, size_t *ret_n, bool *ret_fold)
{
	struct line_change c = { 0 };
	struct bodies b = { .ops = ops, .change = &c, .ret = ret, .max = max };
	struct line_view v;
	int r = line_view_init(&v, ops, n);

	if (r)
		return r;
	r = line_fold(ops, n, env, &c);
	if (!r)
		qsort(c.edit, c.n, sizeof(*c.edit), by_seq);
	for (size_t i = 0; !r && i < v.n; i++)
		want_body(&b, v.row[i]);
	for (size_t i = 0; !r && i < v.n_loner; i++)
		want_body(&b, v.loner[i]);
	if (!r) {
		*ret_n = b.n;
		*ret_fold = b.fold;
	}
	line_change_release(&c);
	line_view_release(&v);
	return r;
}
