/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transfer/line_view.h"

/* ---- the view ---- */

static int by_place(const void *a, const void *b)
{
	const struct line_op *x = *(const struct line_op *const *)a;
	const struct line_op *y = *(const struct line_op *const *)b;
	uint64_t xb = line_bound(x), yb = line_bound(y);

	if (xb != yb)
		return xb < yb ? -1 : 1;
	return (x->seq > y->seq) - (x->seq < y->seq);
}

/* Divide the rows into those in the line and the loners. */
static int sort_out(struct line_view *v, const struct line_op *ops, size_t n)
{
	struct path_set ordered = { 0 };
	bool any = false, sorted = true;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		any |= ops[i].unordered && ops[i].kind == LINE_PUT;
	for (size_t i = 0; any && i < n; i++) {
		if (ops[i].unordered && ops[i].kind == LINE_PUT)
			continue;
		r = path_set_add_op(&ordered, &ops[i]);
		if (r)
			goto out;
	}
	for (size_t i = 0; i < n; i++) {
		if (any && ops[i].unordered && ops[i].kind == LINE_PUT &&
		    !path_set_has_op(&ordered, &ops[i])) {
			v->loner[v->n_loner++] = &ops[i];
			continue;
		}
		v->row[v->n] = &ops[i];
		if (v->n > 0 && by_place(&v->row[v->n - 1], &v->row[v->n]) > 0)
			sorted = false;
		v->n++;
	}
	if (!sorted)
		qsort(v->row, v->n, sizeof(const struct line_op *), by_place);
out:
	path_set_release(&ordered);
	return r;
}

void line_view_divide(struct line_view *v)
{
	bool cut = false;

	v->n_win = 0;
	for (size_t i = 0; i < v->n; i++) {
		bool same = i > 0 &&
			    line_bound(v->row[i]) == line_bound(v->row[i - 1]);

		if (i == 0 || (cut && !same))
			v->start[v->n_win++] = i;
		cut = v->row[i]->cut || (cut && same);
		v->win[i] = v->n_win - 1;
	}
	v->start[v->n_win] = v->n;
}

int line_view_init(struct line_view *v, const struct line_op *ops, size_t n)
{
	memset(v, 0, sizeof(*v));
	v->row = calloc(n + 1, sizeof(const struct line_op *));
	v->loner = calloc(n + 1, sizeof(const struct line_op *));
	v->win = calloc(n + 1, sizeof(*v->win));
	v->start = calloc(n + 1, sizeof(*v->start));
	if (!v->row || !v->loner || !v->win || !v->start ||
	    sort_out(v, ops, n)) {
		line_view_release(v);
		return -ENOMEM;
	}
	line_view_divide(v);
	return 0;
}

void line_view_release(struct line_view *v)
{
	free(v->row);
	free(v->loner);
	free(v->win);
	free(v->start);
	memset(v, 0, sizeof(*v));
}

size_t line_view_find(const struct line_view *v, uint64_t seq)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->row[i]->seq == seq)
			return i;
	return LINE_NOWHERE;
}

bool line_view_is_begun(const struct line_view *v, size_t win)
{
	for (size_t i = v->start[win]; i < v->start[win + 1]; i++)
		if (v->row[i]->begun)
			return true;
	return false;
}

/* ---- changes ---- */

void line_op_release(struct line_op *op)
{
	if (!op)
		return;
	free(op->key);
	free(op->to);
	op->key = op->to = NULL;
}

void line_change_release(struct line_change *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++)
		line_op_release(&c->edit[i].row);
	for (size_t i = 0; i < c->n_owed; i++)
		free(c->owed[i]);
	free(c->edit);
	free(c->owed);
	memset(c, 0, sizeof(*c));
}

int line_change_init(struct line_change *c, size_t n)
{
	memset(c, 0, sizeof(*c));
	c->edit = calloc(n + 1, sizeof(*c->edit));
	c->owed = calloc(n + 1, sizeof(*c->owed));
	if (!c->edit || !c->owed) {
		line_change_release(c);
		return -ENOMEM;
	}
	return 0;
}

void line_change_drop(struct line_change *c, uint64_t seq)
{
	c->edit[c->n].drop = true;
	c->edit[c->n].row.seq = seq;
	c->n++;
}

int line_change_row(struct line_change *c, const struct line_op *op,
		    struct line_op **ret)
{
	struct line_op *row = &c->edit[c->n].row;
	char *key = strdup(op->key);
	char *to = op->to ? strdup(op->to) : NULL;

	if (!key || (op->to && !to)) {
		free(key);
		free(to);
		return -ENOMEM;
	}
	*row = *op;
	row->key = key;
	row->to = to;
	c->n++;
	*ret = row;
	return 0;
}

/* ---- when to fold ---- */

static bool touches_name(const struct line_op *op, const char *name)
{
	if (op->kind == LINE_RENAME_DIR)
		return path_is_below(name, op->key) ||
		       path_is_below(name, op->to);
	return strcmp(op->key, name) == 0 ||
	       (op->to && strcmp(op->to, name) == 0);
}

bool line_undoes(const struct line_op *a, const struct line_op *b)
{
	switch (a->kind) {
	case LINE_PUT:
		return touches_name(b, a->key);
	case LINE_RENAME:
		return touches_name(b, a->to);
	case LINE_RENAME_DIR:
		return path_is_below(b->key, a->to) ||
		       (b->to && path_is_below(b->to, a->to)) ||
		       (b->kind == LINE_RENAME_DIR &&
			(path_is_below(a->to, b->key) ||
			 path_is_below(a->to, b->to)));
	case LINE_DEL:
		break;
	}
	return false;
}
