/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fold.  Old windows are its units: it walks over them in order, joins as
 * many as it may, and walks again until no rule asks for another cut.  Cuts
 * only ever grow, so that ends.  Then it parts again what it gains nothing by
 * joining, and what is left of the rows is what the last walk finds.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transfer/fold_names.h"

/* Each round divides further; past this many, do not join what is unsettled. */
#define ROUNDS_MAX 24

const struct line_rules line_rules_default = {
	.split = LINE_SPLIT_NEW,
	.keep_oldest = true,
	.rename_cuts = true,
	.final_only = true,
	.freeze_begun = true,
	.deletes_last = true,
	.clash_cuts = true,
};

/* What a window leaves of a row. */
struct rest {
	const struct name *content; /* its content is this name's */
	bool del; /* it is the delete of its key */
};

struct fold {
	const struct line_rules *rules;
	struct line_view view;
	struct names names;
	struct name **key, **to; /* per row */
	size_t *rank; /* per row: its bound, counted without gaps */
	size_t *stays; /* per rank, within one window */
	struct rest *rest; /* per row */
	bool *cut; /* per unit: the new window ends behind it */
	size_t *glue; /* per unit: names that need it and the next together */
	enum { SETTLE, PART, EMIT } phase;
	unsigned rounds;
	bool unsettled; /* this round made a cut it had not known before */
	struct line_change *change;
};

static bool is_unsure(const struct fold *f, const struct line_op *op)
{
	return op->parked || (f->rules->final_only && !line_is_final(op));
}

/* ---- one row ---- */

static int bind(struct fold *f, struct name *nm, size_t content, size_t place,
		bool unsure)
{
	int r = names_touch(&f->names, nm);

	if (r)
		return r;
	/* A parked first version is not waited for once there is another. */
	if (nm->now == GONE || nm->first == LINE_NOWHERE ||
	    f->view.row[nm->first_bind]->parked) {
		nm->first = place;
		nm->first_bind = content;
	}
	nm->bind = content;
	nm->place = place;
	nm->unsure = unsure;
	if (!unsure)
		nm->now = THERE;
	else if (nm->now == GONE)
		nm->now = MAYBE;
	return 0;
}

static int unbind(struct fold *f, struct name *nm, size_t place)
{
	int r = names_touch(&f->names, nm);

	if (r)
		return r;
	if (nm->now != GONE)
		nm->del = place;
	nm->now = GONE;
	nm->unsure = false;
	nm->bind = nm->place = nm->first = nm->first_bind = LINE_NOWHERE;
	return 0;
}

static bool is_new(const struct fold *f, const struct name *nm)
{
	return name_is_new(&f->names, nm);
}

static int rename_file(struct fold *f, size_t p)
{
	const struct line_op *op = f->view.row[p];
	struct name *from = f->key[p], *to = f->to[p];
	bool was_new = is_new(f, from), unsure;
	size_t content = was_new ? from->bind : p;
	int r = names_touch(&f->names, from);

	if (r)
		return r;
	unsure = from->unsure || (!was_new && op->parked);
	r = bind(f, to, content, p, unsure);
	if (!r)
		r = unbind(f, from, p);
	if (!r && !was_new && unsure)
		from->now = MAYBE;
	if (!r && op->keep && from->base != GONE) {
		from->now = MAYBE;
		from->del = LINE_NOWHERE;
	}
	return r;
}

struct dir_rename {
	struct fold *f;
	const struct line_op *op;
	size_t place;
	bool fixed;
};

static int move_new(void *arg, struct names *ns, struct name *nm)
{
	const struct dir_rename *d = arg;
	size_t content = nm->bind;
	bool unsure = nm->unsure;
	struct name *dst;
	char *key;
	int r;

	if (nm->now == GONE)
		return 0;
	r = names_moved_key(nm->key, d->op->key, d->op->to, &key);
	if (!r)
		r = names_get(ns, key, key, &dst);
	if (!r)
		r = bind(d->f, dst, content, d->place, unsure);
	if (!r)
		r = unbind(d->f, nm, d->place);
	return r;
}

static int look_fixed(void *arg, struct names *ns, struct name *nm)
{
	struct dir_rename *d = arg;

	(void)ns;
	/* A name that must be deleted here and put there is more than the
	 * rows can say. */
	if (nm->now != GONE && (!is_new(d->f, nm) || nm->base != GONE))
		d->fixed = true;
	return 0;
}

/* Whether row p renames something that the bucket holds by then. */
static int row_is_fixed(struct fold *f, size_t p, bool *ret)
{
	const struct line_op *op = f->view.row[p];
	struct dir_rename d = { f, op, p, false };
	int r = 0;

	if (op->kind == LINE_RENAME)
		d.fixed = f->rules->rename_cuts && !is_new(f, f->key[p]);
	if (op->kind == LINE_RENAME_DIR) {
		r = names_bucket_below(&f->names, op->key, &d.fixed);
		if (!r && !d.fixed)
			r = names_each_below(&f->names, op->key, look_fixed,
					     &d);
	}
	if (!r)
		*ret = d.fixed;
	return r;
}

static int pass_row(struct fold *f, size_t p, bool fixed)
{
	const struct line_op *op = f->view.row[p];
	struct dir_rename d = { f, op, p, false };

	switch (op->kind) {
	case LINE_PUT:
		return bind(f, f->key[p], p, p, is_unsure(f, op));
	case LINE_DEL:
		return unbind(f, f->key[p], p);
	case LINE_RENAME:
		return rename_file(f, p);
	case LINE_RENAME_DIR:
		if (fixed)
			return names_move_dir(&f->names, op);
		return names_each_below(&f->names, op->key, move_new, &d);
	}
	return 0;
}

/* ---- the rules, for the window of units a to b ---- */

static void cut_behind(struct fold *f, size_t unit)
{
	if (!f->cut[unit])
		f->unsettled = true;
	f->cut[unit] = true;
}

static void isolate(struct fold *f, size_t a, size_t b, size_t unit)
{
	if (unit > a)
		cut_behind(f, unit - 1);
	if (unit < b)
		cut_behind(f, unit);
}

/* What may not share a window with others, if something of it is left. */
static void rule_unsure(struct fold *f, size_t a, size_t b)
{
	const struct line_view *v = &f->view;

	for (struct name *nm = f->names.touched; nm; nm = nm->next) {
		const struct line_op *op;

		if (is_new(f, nm)) {
			op = v->row[nm->bind];
			/* Under another key the store may take it. */
			if ((op->parked && f->key[nm->bind] == nm) ||
			    (f->rules->final_only && !line_is_final(op)))
				isolate(f, a, b, v->win[nm->bind]);
		} else if (name_goes(nm)) {
			op = v->row[nm->del];
			if (op->parked && op->kind == LINE_DEL)
				isolate(f, a, b, v->win[nm->del]);
		}
	}
}

/*
 * The first version of a name new to the bucket is wanted, if it is
 * overwritten while something that stays lies between: that could name it.
 */
static void rule_first(struct fold *f, size_t a, size_t b)
{
	const struct line_view *v = &f->view;
	size_t lo = f->rank[v->start[a]], hi = f->rank[v->start[b + 1] - 1];

	if (f->rules->split == LINE_SPLIT_NONE)
		return;
	memset(f->stays + lo, 0, (hi - lo + 1) * sizeof(*f->stays));
	for (struct name *nm = f->names.touched; nm; nm = nm->next)
		if (is_new(f, nm))
			f->stays[f->rank[nm->place]] = 1;
	for (size_t k = lo; k < hi; k++)
		f->stays[k + 1] += f->stays[k];
	for (struct name *nm = f->names.touched; nm; nm = nm->next) {
		size_t y, z;

		if (!is_new(f, nm) ||
		    (f->rules->split == LINE_SPLIT_NEW && nm->base == THERE))
			continue;
		y = f->rank[nm->first];
		z = f->rank[nm->place];
		if (y + 1 < z && f->stays[z - 1] > f->stays[y] &&
		    v->win[nm->first] < b)
			cut_behind(f, v->win[nm->first]);
	}
}

/* ---- what a window leaves ---- */

static int emit_row(struct fold *f, size_t p, bool last)
{
	const struct line_op *op = f->view.row[p];
	const struct rest *rest = &f->rest[p];
	const char *key = rest->content ? rest->content->key : op->key;
	uint64_t bound = line_bound(op);
	bool moved, turned = !rest->content && op->kind != LINE_DEL;
	struct line_op *row;
	char *name;
	int r;

	if (rest->content)
		bound = line_bound(f->view.row[rest->content->place]);
	moved = rest->content &&
		strcmp(key, op->kind == LINE_PUT ? op->key : op->to) != 0;
	if (op->cut == last && bound == line_bound(op) && !moved && !turned)
		return 0;
	r = line_change_row(f->change, op, &row);
	if (r)
		return r;
	row->cut = last;
	row->bound = bound;
	if (turned) {
		free(row->to);
		row->to = NULL;
		row->kind = LINE_DEL;
		row->parked = false;
	}
	if (!moved)
		return 0;
	name = strdup(key);
	if (!name)
		return -ENOMEM;
	if (op->kind == LINE_PUT) {
		free(row->key);
		row->key = name;
		row->underway = row->sent = row->parked = false;
	} else {
		free(row->to);
		row->to = name;
	}
	return 0;
}

static uint64_t rest_bound(const struct fold *f, size_t p)
{
	const struct name *nm = f->rest[p].content;

	return line_bound(f->view.row[nm ? nm->place : p]);
}

static int emit(struct fold *f, size_t a, size_t b)
{
	const struct line_view *v = &f->view;
	size_t from = v->start[a], end = v->start[b + 1];
	size_t last = LINE_NOWHERE;

	memset(f->rest + from, 0, (end - from) * sizeof(*f->rest));
	for (struct name *nm = f->names.touched; nm; nm = nm->next) {
		if (is_new(f, nm))
			f->rest[nm->bind].content = nm;
		else if (name_goes(nm))
			f->rest[nm->del].del = true;
	}
	for (size_t p = from; p < end; p++) {
		if (!f->rest[p].content && !f->rest[p].del)
			continue;
		if (last == LINE_NOWHERE ||
		    rest_bound(f, p) > rest_bound(f, last) ||
		    (rest_bound(f, p) == rest_bound(f, last) &&
		     v->row[p]->seq > v->row[last]->seq))
			last = p;
	}
	for (size_t p = from; p < end; p++) {
		int r = 0;

		if (f->rest[p].content || f->rest[p].del)
			r = emit_row(f, p, p == last);
		else
			line_change_drop(f->change, v->row[p]->seq);
		if (r)
			return r;
	}
	return 0;
}

/*
 * Units that no name binds together commit as they came: sooner, and in the
 * very order of the mount.
 */
static void part(struct fold *f, size_t a, size_t b)
{
	size_t held = 0;

	/* Counted up where a name begins to bind, down (modulo) where it
	 * ends. */
	memset(f->glue + a, 0, (b - a + 1) * sizeof(*f->glue));
	for (struct name *nm = f->names.touched; nm; nm = nm->next) {
		f->glue[nm->unit_from]++;
		f->glue[nm->unit_to]--;
	}
	for (size_t u = a; u < b; u++) {
		held += f->glue[u];
		if (held == 0)
			f->cut[u] = true;
	}
}

/* ---- the walk ---- */

static int close_window(struct fold *f, size_t a, size_t b)
{
	const struct line_view *v = &f->view;
	int r = 0;

	if (a == b) {
		/* A parked delete may never happen. */
		for (size_t p = v->start[a]; p < v->start[a + 1]; p++)
			if (v->row[p]->parked && v->row[p]->kind == LINE_DEL)
				f->key[p]->now = MAYBE;
	} else if (f->phase == EMIT) {
		r = emit(f, a, b);
	} else if (f->phase == PART) {
		part(f, a, b);
	} else {
		bool before = f->unsettled;

		f->unsettled = false;
		rule_unsure(f, a, b);
		rule_first(f, a, b);
		if (f->rules->clash_cuts && f->names.env->one_name)
			r = names_cut_clashes(&f->names, v->win, f->cut,
					      &f->unsettled);
		if (f->unsettled && f->rounds >= ROUNDS_MAX)
			for (size_t u = a; u < b; u++)
				f->cut[u] = true;
		f->unsettled |= before;
	}
	names_begin_window(&f->names);
	return r;
}

/* Whether the unit, taken next, renames what the bucket holds by then. */
static int unit_is_fixed(struct fold *f, size_t unit, bool *ret)
{
	const struct line_view *v = &f->view;
	bool fixed = false;
	int r = 0;

	for (size_t p = v->start[unit]; !r && !fixed && p < v->start[unit + 1];
	     p++)
		r = row_is_fixed(f, p, &fixed);
	if (!r)
		*ret = fixed;
	return r;
}

static int pass_unit(struct fold *f, size_t *a, size_t unit)
{
	const struct line_view *v = &f->view;
	bool fixed = false;
	int r;

	f->names.unit = unit;
	r = unit_is_fixed(f, unit, &fixed);

	if (!r && fixed && unit > *a) {
		f->cut[unit - 1] = true;
		r = close_window(f, *a, unit - 1);
		*a = unit;
	}
	for (size_t p = v->start[unit]; !r && p < v->start[unit + 1]; p++)
		r = pass_row(f, p, fixed);
	if (fixed)
		f->cut[unit] = true;
	if (!r && (f->cut[unit] || unit + 1 == v->n_win)) {
		r = close_window(f, *a, unit);
		*a = unit + 1;
	}
	return r;
}

static int walk(struct fold *f)
{
	size_t a = 0;
	int r = 0;

	f->rounds++;
	f->unsettled = false;
	names_begin_round(&f->names);
	for (size_t u = 0; !r && u < f->view.n_win; u++)
		r = pass_unit(f, &a, u);
	return r;
}

/* ---- before and after ---- */

static bool is_solid(const struct fold *f, size_t unit)
{
	const struct line_view *v = &f->view;
	size_t from = v->start[unit], end = v->start[unit + 1];

	if (f->rules->freeze_begun && line_view_is_begun(v, unit))
		return true;
	for (size_t p = from; p < end && end - from > 1; p++)
		if (v->row[p]->kind == LINE_RENAME ||
		    v->row[p]->kind == LINE_RENAME_DIR)
			return true;
	return false;
}

static void cut_first(struct fold *f)
{
	const struct line_view *v = &f->view;
	size_t oldest = LINE_NOWHERE;

	for (size_t u = 0; u < v->n_win; u++)
		if (is_solid(f, u))
			isolate(f, 0, v->n_win - 1, u);
	for (size_t p = 0; p < v->n && oldest == LINE_NOWHERE; p++)
		if (v->row[p]->kind == LINE_PUT && v->row[p]->underway &&
		    !is_unsure(f, v->row[p]) &&
		    !line_view_is_begun(v, v->win[p]))
			oldest = p;
	if (oldest != LINE_NOWHERE && f->rules->keep_oldest)
		f->cut[v->win[oldest]] = true;
}

static int fold_init(struct fold *f, const struct line_env *env)
{
	const struct line_view *v = &f->view;
	int r = 0;

	f->names.env = env;
	f->key = calloc(v->n + 1, sizeof(*f->key));
	f->to = calloc(v->n + 1, sizeof(*f->to));
	f->rank = calloc(v->n + 1, sizeof(*f->rank));
	f->stays = calloc(v->n + 1, sizeof(*f->stays));
	f->rest = calloc(v->n + 1, sizeof(*f->rest));
	f->cut = calloc(v->n_win + 1, sizeof(*f->cut));
	f->glue = calloc(v->n_win + 1, sizeof(*f->glue));
	if (!f->key || !f->to || !f->rank || !f->stays || !f->rest || !f->cut ||
	    !f->glue)
		return -ENOMEM;
	for (size_t p = 0; !r && p < v->n; p++) {
		if (v->row[p]->kind != LINE_RENAME_DIR)
			continue;
		r = names_watch(&f->names, v->row[p]->key);
		if (!r)
			r = names_watch(&f->names, v->row[p]->to);
	}
	for (size_t p = 0; !r && p < v->n; p++) {
		const struct line_op *op = v->row[p];

		if (p > 0)
			f->rank[p] =
				f->rank[p - 1] +
				(line_bound(op) != line_bound(v->row[p - 1]));
		if (op->kind == LINE_RENAME_DIR)
			continue;
		r = names_get(&f->names, op->key, NULL, &f->key[p]);
		if (!r && op->kind == LINE_RENAME)
			r = names_get(&f->names, op->to, NULL, &f->to[p]);
	}
	return r;
}

static void fold_release(struct fold *f)
{
	names_release(&f->names);
	line_view_release(&f->view);
	free(f->key);
	free(f->to);
	free(f->rank);
	free(f->stays);
	free(f->rest);
	free(f->cut);
	free(f->glue);
}

int line_fold(const struct line_op *ops, size_t n, const struct line_env *env,
	      struct line_change *ret)
{
	struct line_change c = { 0 };
	struct fold f = { 0 };
	int r;

	f.rules = env->rules ? env->rules : &line_rules_default;
	r = line_change_init(&c, n);
	if (r || env->order == LINE_EXACT)
		goto out;
	f.change = &c;
	r = line_view_init(&f.view, ops, n);
	if (!r)
		r = line_fold_loners(&f.view, &c);
	if (r || f.view.n_win < 2)
		goto out;
	r = fold_init(&f, env);
	if (r)
		goto out;
	cut_first(&f);
	do {
		r = walk(&f);
	} while (!r && f.unsettled);
	f.phase = PART;
	if (!r)
		r = walk(&f);
	f.phase = EMIT;
	if (!r)
		r = walk(&f);
out:
	fold_release(&f);
	if (r)
		line_change_release(&c);
	else
		*ret = c;
	return r;
}
