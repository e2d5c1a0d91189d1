/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line with its index against the line as a plain array: the same answers
 * on random histories; and how many rows are looked at for them.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/line.h"

#include "harness.h"
#include "line_whole.h"
#include "transfer/line_index.h"
#include "transfer/line_view.h"

#define ROWS_MAX 40
#define NEXT 16

/* ---- random lines */

static unsigned long seed;

static unsigned draw(unsigned n)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (unsigned)(seed >> 33) % n;
}

static const char *const names[] = { "a",     "b",     "d/x",	"d/y",
				     "d/e/z", "f/x",   "f/e/z", "d/",
				     "f/",    "d/e/", "log",	"d/log" };
static const char *const dirs[] = { "d", "f", "d/e", "g" };

static const char *name(void)
{
	return names[draw(sizeof(names) / sizeof(*names))];
}

static bool has(void *arg, const char *key)
{
	(void)arg;
	return key[0] == 'b' || strchr(key, 'z');
}

static bool has_below(void *arg, const char *dir)
{
	(void)arg;
	return strcmp(dir, "f") == 0 || strcmp(dir, "f/e") == 0;
}

static struct line_env env_of(enum line_order order)
{
	return (struct line_env){ .order = order,
				  .bucket_has = has,
				  .bucket_has_below = has_below };
}

static struct line_op random_row(uint64_t seq)
{
	struct line_op op = { .seq = seq,
			      .bound = seq,
			      .final = draw(8) != 0,
			      .cut = true,
			      .parked = draw(16) == 0,
			      .big = draw(4) == 0,
			      .open_seq = seq - draw(5) };
	unsigned k = draw(16);

	op.kind = k < 8	   ? LINE_PUT :
		  k < 11   ? LINE_DEL :
		  k < 14   ? LINE_RENAME :
			     LINE_RENAME_DIR;
	if (op.kind == LINE_RENAME_DIR) {
		unsigned from = draw(3); /* neither lies in the other */

		op.key = strdup(dirs[from]);
		op.to = strdup(from == 1 ? dirs[2 * draw(2)] : dirs[1 + 2 * draw(2)]);
	} else {
		op.key = strdup(name());
		op.to = op.kind == LINE_RENAME ? strdup(name()) : NULL;
	}
	if (op.kind == LINE_PUT) {
		op.unordered = draw(3) == 0;
		op.vid = seq;
		op.underway = op.sent = op.big && draw(2) == 0;
	} else {
		op.final = true;
		op.vid = draw(2) ? 1 + draw((unsigned)seq) : 0;
	}
	return op;
}

static struct line_op copy_of(const struct line_op *op)
{
	struct line_op c = *op;

	c.key = strdup(op->key);
	c.to = op->to ? strdup(op->to) : NULL;
	return c;
}

/* What the engine does with a change. */
static void apply(struct line *l, const struct line_change *c)
{
	uint64_t *gone = calloc(c->n + 1, sizeof(*gone));
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		for (size_t k = 0; k < c->n; k++)
			if (c->edit[k].drop &&
			    c->edit[k].row.seq == l->ops[i].seq)
				gone[n++] = l->ops[i].seq;
	for (size_t k = 0; k < c->n; k++) {
		struct line_op row;

		if (c->edit[k].drop)
			continue;
		row = copy_of(&c->edit[k].row);
		ck_assert_int_eq(line_replace(l, &row), 0);
	}
	line_remove(l, gone, n);
	free(gone);
}

static void assert_same_change(const struct line_change *a,
			       const struct line_change *b)
{
	ck_assert_uint_eq(a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		const struct line_op *x = &a->edit[i].row;
		const struct line_op *y = &b->edit[i].row;

		ck_assert_int_eq(a->edit[i].drop, b->edit[i].drop);
		ck_assert_uint_eq(x->seq, y->seq);
		if (a->edit[i].drop)
			continue;
		ck_assert_str_eq(x->key, y->key);
		ck_assert_uint_eq(x->bound, y->bound);
		ck_assert_int_eq(x->cut, y->cut);
		ck_assert_int_eq(x->begun, y->begun);
		ck_assert_int_eq(x->parked, y->parked);
	}
	ck_assert_uint_eq(a->n_owed, b->n_owed);
	for (size_t i = 0; i < a->n_owed; i++)
		ck_assert_str_eq(a->owed[i], b->owed[i]);
}

/* ---- the same answers */

static void same_next(struct line *l, enum line_order order)
{
	struct line_env env = env_of(order);
	size_t want[NEXT], got[NEXT], n, m;
	bool end, cut;

	ck_assert_int_eq(line_next(l->ops, l->n, &env, want, NEXT, &n), 0);
	ck_assert_int_eq(line_next_near(l, &env, l->n + 1, got, NEXT, &m, &end,
					&cut),
			 0);
	ck_assert_uint_eq(n, m);
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(want[i], got[i]);
	ck_assert(!cut);
	/* Of less than all, nothing that may not go. */
	ck_assert_int_eq(line_next_near(l, &env, 1 + draw(6), got, NEXT, &m,
					&end, &cut),
			 0);
	ck_assert(cut || m == n);
	for (size_t i = 0, k = 0; i < m; i++) {
		while (k < n && want[k] != got[i])
			k++;
		ck_assert_uint_lt(k, n);
	}
}

typedef int all_fn(const struct line_op *ops, size_t n, uint64_t seq,
		   struct line_change *ret);
typedef int near_fn(struct line *l, uint64_t seq, struct line_change *ret);

static const struct line_env tree = { .one_name = true };

static int withdraw(const struct line_op *ops, size_t n, uint64_t seq,
		    struct line_change *ret)
{
	return line_withdraw(ops, n, &tree, seq, ret);
}

static int withdraw_near(struct line *l, uint64_t seq, struct line_change *ret)
{
	return line_withdraw_near(l, &tree, seq, ret);
}

static void same_life(struct line *l, uint64_t seq)
{
	static all_fn *const all[] = { line_begin, line_done, line_park,
				       withdraw };
	static near_fn *const near[] = { line_begin_near, line_done_near,
					 line_park_near, withdraw_near };

	for (size_t i = 0; i < 4; i++) {
		struct line_change a = { 0 }, b = { 0 };
		int r = all[i](l->ops, l->n, seq, &a);

		ck_assert_int_eq(near[i](l, seq, &b), r);
		assert_same_change(&a, &b);
		line_change_release(&a);
		line_change_release(&b);
	}
}

static bool speaks_of(const struct line *l, const char *key, bool below)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct line_op *op = &l->ops[i];

		if (below ? path_is_below(op->key, key) ||
				    (op->to && path_is_below(op->to, key))
			  : strcmp(op->key, key) == 0 ||
				    (op->to && strcmp(op->to, key) == 0) ||
				    (op->kind == LINE_RENAME_DIR &&
				     (path_is_below(key, op->key) ||
				      path_is_below(key, op->to))))
			return true;
	}
	return false;
}

static void same_names(struct line *l)
{
	struct line_view v;
	size_t loners = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		ck_assert_int_eq(line_speaks_of(l, names[i]),
				 speaks_of(l, names[i], false));
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		ck_assert_int_eq(line_speaks_below(l, dirs[i]),
				 speaks_of(l, dirs[i], true));
	ck_assert_int_eq(line_view_init(&v, l->ops, l->n), 0);
	for (size_t i = 0; i < l->n; i++)
		loners += line_is_loner(l, &l->ops[i]);
	ck_assert_uint_eq(loners, v.n_loner);
	for (size_t i = 0; i < v.n_loner; i++)
		ck_assert(line_is_loner(l, v.loner[i]));
	line_view_release(&v);
	for (size_t i = 0; i < l->n; i++) {
		uint64_t seq = l->ops[i].seq;
		bool due = line_fold_due(l->ops, l->n, seq);

		ck_assert(line_due(l, seq) || !due);
		if (i + 1 == l->n || l->ops[i].kind != LINE_RENAME_DIR)
			ck_assert_int_eq(line_due(l, seq), due);
	}
}

static void fold(struct line *l)
{
	struct line_env env = env_of(LINE_STRICT);
	struct line_change c = { 0 };

	ck_assert_int_eq(line_fold(l->ops, l->n, &env, &c), 0);
	apply(l, &c);
	line_change_release(&c);
}

/* Two rows get one bound, as by the rename of a folder, cut wherever. */
static void bind(struct line *l)
{
	size_t to = draw((unsigned)l->n), at = draw((unsigned)to + 1);
	struct line_op row = copy_of(&l->ops[at]);

	row.bound = l->ops[to].bound;
	row.cut = draw(2);
	ck_assert_int_eq(line_replace(l, &row), 0);
}

/* The first that may go is begun, and perhaps done. */
static void commit(struct line *l)
{
	struct line_env env = env_of(LINE_STRICT);
	size_t next[1], n;
	struct line_change c = { 0 };
	uint64_t seq;

	ck_assert_int_eq(line_next(l->ops, l->n, &env, next, 1, &n), 0);
	if (n == 0)
		return;
	seq = l->ops[next[0]].seq;
	ck_assert_int_eq(line_begin_near(l, seq, &c), 0);
	apply(l, &c);
	line_change_release(&c);
	if (draw(3) == 0)
		return;
	ck_assert_int_eq(line_done_near(l, seq, &c), 0);
	apply(l, &c);
	line_change_release(&c);
}

START_TEST(it_answers_as_all_rows_do)
{
	struct line l = { 0 };
	uint64_t seq = 0;

	seed = (unsigned long)_i + 1;
	for (unsigned step = 0; step < 120; step++) {
		unsigned what = draw(9);

		if (what < 5 && l.n < ROWS_MAX) {
			struct line_op op = random_row(++seq);

			ck_assert_int_eq(line_push(&l, &op), 0);
		} else if (what == 5) {
			fold(&l);
		} else if (what == 6) {
			commit(&l);
		} else if (what == 7 && l.n) {
			bind(&l);
		} else if (l.n) {
			uint64_t gone = l.ops[draw((unsigned)l.n)].seq;

			line_remove(&l, &gone, 1);
		}
		same_names(&l);
		for (int o = LINE_STRICT; o <= LINE_NONE; o++)
			same_next(&l, (enum line_order)o);
		if (l.n)
			same_life(&l, l.ops[draw((unsigned)l.n)].seq);
		same_life(&l, seq + 1);
	}
	line_release(&l);
}
END_TEST

/* ---- the work */

static void push(struct line *l, enum line_kind kind, uint64_t seq,
		 const char *key)
{
	struct line_op op = { .seq = seq,
			      .bound = seq,
			      .kind = kind,
			      .key = strdup(key),
			      .vid = kind == LINE_PUT ? seq : 0,
			      .open_seq = seq - 1,
			      .final = true,
			      .cut = true };

	ck_assert_int_eq(line_push(l, &op), 0);
}

/* Puts of as many names as rows, in folders of 100, from number 1. */
static void fill(struct line *l, size_t n)
{
	char key[64];

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(key, sizeof(key), "run/d%zu/f%zu", i / 100, i);
		push(l, LINE_PUT, i + 1, key);
		ck_assert(!line_due(l, i + 1));
	}
}

START_TEST(a_row_costs_the_same_however_long_the_line)
{
	const size_t n = 20000;
	struct line l = { 0 };
	char key[64];

	fill(&l, n);
	ck_assert_uint_lt(l.visited, 4 * n);
	/* So does one that undoes another. */
	l.visited = 0;
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(key, sizeof(key), "run/d%zu/f%zu", i / 100, i);
		push(&l, LINE_DEL, n + i + 1, key);
		ck_assert(line_due(&l, n + i + 1));
	}
	ck_assert_uint_lt(l.visited, 4 * n);
	line_release(&l);
}
END_TEST

START_TEST(a_commit_costs_the_same_however_long_the_line)
{
	static const enum line_order orders[] = { LINE_STRICT, LINE_OPEN,
						  LINE_NONE };
	struct line_env env = env_of(orders[_i]);
	const size_t n = 5000, look = 64;
	size_t next[NEXT], k;
	struct line l = { 0 };
	bool end, cut;

	fill(&l, n);
	l.visited = 0;
	for (size_t i = 0; i < n; i++) {
		struct line_change c = { 0 };
		uint64_t seq;

		ck_assert_int_eq(line_next_near(&l, &env, look, next, NEXT, &k,
						&end, &cut),
				 0);
		ck_assert_uint_gt(k, 0);
		seq = l.ops[next[0]].seq;
		ck_assert_uint_eq(seq, i + 1);
		ck_assert_int_eq(line_begin_near(&l, seq, &c), 0);
		apply(&l, &c);
		line_change_release(&c);
		ck_assert_int_eq(line_done_near(&l, seq, &c), 0);
		ck_assert_uint_eq(c.n, 1);
		line_remove(&l, &seq, 1);
		line_change_release(&c);
	}
	ck_assert_uint_eq(l.n, 0);
	ck_assert_uint_lt(l.visited, n * (_i == 0 ? 10 : 10 + look));
	line_release(&l);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, it_answers_as_all_rows_do, 0,
			    harness_loops(200));
	tcase_add_test(c, a_row_costs_the_same_however_long_the_line);
	tcase_add_loop_test(c, a_commit_costs_the_same_however_long_the_line, 0,
			    3);
}

int main(void)
{
	return harness_run("line_index", add);
}
