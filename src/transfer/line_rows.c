/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of the line, by number and by place.  Most come at the end and go
 * from the front, so there is room on both sides.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transfer/line_index.h"
#include "transfer/line_view.h"

/* So many rows at once, and their places are gathered again. */
#define MANY 16

static size_t lower_bound(const struct line *l, uint64_t seq)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->ops[mid].seq < seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct line_op *line_find(const struct line *l, uint64_t seq)
{
	size_t i = lower_bound(l, seq);

	return i < l->n && l->ops[i].seq == seq ? &l->ops[i] : NULL;
}

/* ---- room: at, of n elements in *room, which has cap */

static int room_for_one(void **room, size_t *cap, void **at, size_t n,
			size_t size)
{
	size_t first = *room ? (size_t)((char *)*at - (char *)*room) / size : 0;
	char *p;

	if (first + n < *cap)
		return 0;
	if (first > *cap / 2) {
		memmove(*room, *at, n * size);
		*at = *room;
		return 0;
	}
	p = realloc(*room, (*cap ? 2 * *cap : 64) * size);
	if (!p)
		return -ENOMEM;
	*room = p;
	*at = p + first * size;
	*cap = *cap ? 2 * *cap : 64;
	return 0;
}

static int ops_room(struct line *l)
{
	void *room = l->ops_room, *at = l->ops;
	int r = room_for_one(&room, &l->ops_cap, &at, l->n, sizeof(*l->ops));

	l->ops_room = room;
	l->ops = at;
	return r;
}

static int place_room(struct line *l)
{
	void *room = l->place_room, *at = l->place;
	int r = room_for_one(&room, &l->place_cap, &at, l->n_place,
			     sizeof(*l->place));

	l->place_room = room;
	l->place = at;
	return r;
}

/* ---- places */

static int cmp_place(const void *a, const void *b)
{
	const struct line_place *x = a, *y = b;

	if (x->bound != y->bound)
		return x->bound < y->bound ? -1 : 1;
	return (x->seq > y->seq) - (x->seq < y->seq);
}

static struct line_place place_of(const struct line_op *op)
{
	return (struct line_place){ line_bound(op), op->seq };
}

int line_settle(struct line *l)
{
	bool sorted = true;

	if (l->placed)
		return 0;
	l->place = l->place_room;
	l->n_place = 0;
	while (l->n_place < l->n) {
		int r = place_room(l);

		if (r < 0)
			return r;
		l->place[l->n_place] = place_of(&l->ops[l->n_place]);
		if (l->n_place && cmp_place(&l->place[l->n_place - 1],
					    &l->place[l->n_place]) > 0)
			sorted = false;
		l->n_place++;
	}
	l->visited += l->n;
	if (!sorted)
		qsort(l->place, l->n_place, sizeof(*l->place), cmp_place);
	l->placed = true;
	return 0;
}

static void place_del(struct line *l, const struct line_op *op)
{
	struct line_place want = place_of(op), *at;
	size_t i;

	if (!l->placed)
		return;
	at = bsearch(&want, l->place, l->n_place, sizeof(want), cmp_place);
	if (!at) {
		l->placed = false;
		return;
	}
	i = (size_t)(at - l->place);
	l->n_place--;
	if (i < l->n_place / 2) {
		memmove(l->place + 1, l->place, i * sizeof(*at));
		l->place++;
	} else {
		memmove(at, at + 1, (l->n_place - i) * sizeof(*at));
	}
}

/* ---- rows */

int line_push(struct line *l, const struct line_op *op)
{
	struct line_place at = place_of(op);
	int r = ops_room(l);

	if (r == 0)
		r = place_room(l);
	if (r == 0)
		r = line_index_add(l, op);
	if (r < 0)
		return r;
	l->visited++;
	if (l->n == 0) {
		l->n_place = 0;
		l->placed = true;
	}
	l->ops[l->n++] = *op;
	if (l->placed && l->n_place &&
	    cmp_place(&l->place[l->n_place - 1], &at) > 0)
		l->placed = false;
	if (l->placed)
		l->place[l->n_place++] = at;
	return 0;
}

int line_replace(struct line *l, const struct line_op *op)
{
	struct line_op *was = line_find(l, op->seq);
	int r;

	if (!was)
		return -ENOENT;
	l->visited++;
	/* Both are in for a moment, so nothing is lost without memory. */
	r = line_index_add(l, op);
	if (r < 0)
		return r;
	line_index_del(l, was);
	if (line_bound(was) != line_bound(op))
		l->placed = false;
	line_op_release(was);
	*was = *op;
	return 0;
}

void line_remove(struct line *l, const uint64_t *seq, size_t n)
{
	size_t lo = l->n, hi = 0, gone = 0, to;

	if (n > MANY)
		l->placed = false;
	for (size_t i = 0; i < n; i++) {
		struct line_op *op = line_find(l, seq[i]);
		size_t at;

		if (!op || !op->key)
			continue;
		at = (size_t)(op - l->ops);
		place_del(l, op);
		line_index_del(l, op);
		line_op_release(op);
		lo = at < lo ? at : lo;
		hi = at + 1;
		gone++;
	}
	if (gone == 0)
		return;
	l->visited += gone;
	if (hi < l->n - lo) { /* those before move up */
		to = hi;
		for (size_t i = hi; i-- > 0;)
			if (l->ops[i].key)
				l->ops[--to] = l->ops[i];
		l->ops += gone;
	} else { /* those behind move down */
		to = lo;
		for (size_t i = lo; i < l->n; i++)
			if (l->ops[i].key)
				l->ops[to++] = l->ops[i];
	}
	l->n -= gone;
}

void line_release(struct line *l)
{
	while (l->n > 0)
		line_op_release(&l->ops[--l->n]);
	line_index_release(l);
	free(l->ops_room);
	free(l->place_room);
	memset(l, 0, sizeof(*l));
}
