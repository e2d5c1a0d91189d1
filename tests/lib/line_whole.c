/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "line_whole.h"
#include "transfer/line_view.h"

/* ---- changes ---- */

static int by_seq(const void *a, const void *b)
{
	const struct line_edit *x = a, *y = b;

	return (x->row.seq > y->row.seq) - (x->row.seq < y->row.seq);
}

void line_apply(struct line_op *ops, size_t *n, struct line_change *c)
{
	size_t kept = 0, e = 0;

	if (c->n > 1)
		qsort(c->edit, c->n, sizeof(*c->edit), by_seq);
	for (size_t i = 0; i < *n; i++) {
		while (e < c->n && c->edit[e].row.seq < ops[i].seq)
			e++;
		if (e == c->n || c->edit[e].row.seq != ops[i].seq) {
			ops[kept++] = ops[i];
			continue;
		}
		line_op_release(&ops[i]);
		if (c->edit[e].drop)
			continue;
		ops[kept++] = c->edit[e].row;
		c->edit[e].row.key = c->edit[e].row.to = NULL;
	}
	*n = kept;
}

/* ---- when to fold ---- */

bool line_fold_due(const struct line_op *ops, size_t n, uint64_t seq)
{
	const struct line_op *op = NULL;

	for (size_t i = 0; i < n; i++)
		if (ops[i].seq == seq)
			op = &ops[i];
	if (!op || !line_is_final(op))
		return false;
	for (size_t i = 0; i < n; i++)
		if (ops[i].seq < seq
			    ? line_undoes(&ops[i], op)
			    : ops[i].seq > seq && line_undoes(op, &ops[i]))
			return true;
	return false;
}

/* ---- renames ---- */

struct moved_at {
	const struct line_moved *m;
	size_t index;
};

static int by_age(const void *a, const void *b)
{
	const struct line_moved *x = ((const struct moved_at *)a)->m;
	const struct line_moved *y = ((const struct moved_at *)b)->m;

	if (x->bound != y->bound)
		return x->bound < y->bound ? -1 : 1;
	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return strcmp(x->key, y->key);
}

int line_rename_plan(const struct line_moved *keys, size_t n,
		     struct line_step *ret, size_t *ret_n)
{
	struct moved_at *at = calloc(n + 1, sizeof(*at));
	size_t k = 0;

	if (!at)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		at[i] = (struct moved_at){ &keys[i], i };
	qsort(at, n, sizeof(*at), by_age);
	for (size_t i = 0; i < n; i++)
		if (!at[i].m->copied && !at[i].m->deleted)
			ret[k++] = (struct line_step){ at[i].index, false };
	for (size_t i = n; i-- > 0;)
		if (!at[i].m->deleted)
			ret[k++] = (struct line_step){ at[i].index, true };
	*ret_n = k;
	free(at);
	return 0;
}

/* ---- the life of a commit ---- */

typedef int life_fn(const struct line_view *v, uint64_t seq,
		    struct line_change *ret);

static int of_all(const struct line_op *ops, size_t n, uint64_t seq,
		  life_fn *fn, struct line_change *ret)
{
	struct line_view v;
	int r = line_view_init(&v, ops, n);

	if (r)
		return r;
	r = fn(&v, seq, ret);
	line_view_release(&v);
	return r;
}

int line_begin(const struct line_op *ops, size_t n, uint64_t seq,
	       struct line_change *ret)
{
	return of_all(ops, n, seq, line_begin_in, ret);
}

int line_park(const struct line_op *ops, size_t n, uint64_t seq,
	      struct line_change *ret)
{
	return of_all(ops, n, seq, line_park_in, ret);
}

int line_done(const struct line_op *ops, size_t n, uint64_t seq,
	      struct line_change *ret)
{
	return of_all(ops, n, seq, line_done_in, ret);
}

int line_withdraw(const struct line_op *ops, size_t n,
		  const struct line_env *env, uint64_t seq,
		  struct line_change *ret)
{
	struct line_view v;
	int r = line_view_init(&v, ops, n);

	if (r)
		return r;
	r = line_withdraw_in(&v, ops, n, env, seq, ret);
	line_view_release(&v);
	return r;
}

int line_next(const struct line_op *ops, size_t n, const struct line_env *env,
	      size_t *ret, size_t max, size_t *ret_n)
{
	struct line_view v;
	bool more;
	int r = line_view_init(&v, ops, n);

	if (r)
		return r;
	r = line_next_in(&v, ops, env, ret, max, ret_n, &more);
	line_view_release(&v);
	return r;
}
