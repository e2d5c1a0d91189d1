/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a commit: what it changes in its own window, and beside. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transfer/line_view.h"

/* ---- the life of a commit ---- */

static const struct line_op *find_loner(const struct line_view *v, uint64_t seq)
{
	for (size_t i = 0; i < v->n_loner; i++)
		if (v->loner[i]->seq == seq)
			return v->loner[i];
	return NULL;
}

static int mark_begun(struct line_change *c, const struct line_op *op)
{
	struct line_op *row;
	int r;

	if (op->begun)
		return 0;
	r = line_change_row(c, op, &row);
	if (r)
		return r;
	row->begun = true;
	return 0;
}

static int end(struct line_change *c, int r, struct line_change *ret)
{
	if (r)
		line_change_release(c);
	else
		*ret = *c;
	return r;
}

int line_begin_in(const struct line_view *v, uint64_t seq,
		  struct line_change *ret)
{
	const struct line_op *op = find_loner(v, seq);
	size_t at = line_view_find(v, seq), w;
	struct line_change c = { 0 };
	int r = line_change_init(&c, 1);

	if (r)
		return r;
	if (at == LINE_NOWHERE)
		return end(&c, op ? mark_begun(&c, op) : -ENOENT, ret);
	w = v->win[at];
	if (!line_view_is_begun(v, w))
		r = mark_begun(&c, v->row[v->start[w + 1] - 1]);
	return end(&c, r, ret);
}

static int park_row(const struct line_view *v, size_t at, struct line_change *c)
{
	const struct line_op *op = v->row[at];
	size_t w = v->win[at];
	struct line_op *row;
	int r = line_change_row(c, op, &row);

	if (r)
		return r;
	row->parked = true;
	row->flying = false;
	if (v->start[w + 1] - v->start[w] == 1)
		row->begun = false;
	return 0;
}

int line_park_in(const struct line_view *v, uint64_t seq,
		 struct line_change *ret)
{
	const struct line_op *op = find_loner(v, seq);
	size_t at = line_view_find(v, seq);
	struct line_change c = { 0 };
	struct line_op *row;
	int r = line_change_init(&c, 1);

	if (r)
		return r;
	if (at != LINE_NOWHERE) {
		r = park_row(v, at, &c);
	} else if (op) {
		r = line_change_row(&c, op, &row);
		if (!r) {
			row->parked = true;
			row->begun = row->flying = false;
		}
	} else {
		r = -ENOENT;
	}
	return end(&c, r, ret);
}

/* What becomes of a row: a rename may turn into the delete of its old name. */
enum leaves { STAYS, GOES, TURNS };

struct all_rows {
	const struct line_op *ops;
	size_t n;
	bool one_name;
};

/*
 * Rows go; the last one of a window that stays carries the end of the window,
 * and that it is begun.
 */
static int leave(const struct line_view *v, const enum leaves *gone,
		 struct line_change *c)
{
	for (size_t w = 0; w < v->n_win; w++) {
		const struct line_op *heir = NULL;
		bool begun = line_view_is_begun(v, w), any = false;
		bool alone = true; /* whoever stays */
		struct line_op *row;
		int r;

		for (size_t i = v->start[w]; i < v->start[w + 1]; i++) {
			any |= gone[i] == GOES;
			if (gone[i] == GOES) {
				line_change_drop(c, v->row[i]->seq);
				continue;
			}
			alone = !heir;
			heir = v->row[i];
		}
		if (!any || !heir)
			continue;
		/* Nothing of a parked row is on its way. */
		if (alone && heir->parked)
			begun = false;
		if (heir->cut && heir->begun == begun)
			continue;
		r = line_change_row(c, heir, &row);
		if (r)
			return r;
		row->cut = true;
		row->begun = begun;
	}
	return 0;
}

/*
 * Whether row op is a consequence of moving the content of put p: a rename of
 * it, or the delete that such a rename left when it was folded.  A delete that
 * is begun says so of its window, of which the put goes first.
 */
static bool moved_it(const struct line_op *op, const struct line_op *p)
{
	return p->vid != 0 && op->vid == p->vid && !op->flying &&
	       (op->kind == LINE_DEL ||
		(op->kind == LINE_RENAME && !op->begun));
}

char *line_moved_key(const struct line_op *ops, size_t n, uint64_t seq,
		     const char *at)
{
	char *key = strdup(at), *to;

	if (!key)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t len, rest;

		if (ops[i].seq < seq || ops[i].kind != LINE_RENAME_DIR ||
		    !path_is_below(key, ops[i].key))
			continue;
		len = strlen(ops[i].to);
		rest = strlen(key) - strlen(ops[i].key);
		to = malloc(len + rest + 1);
		if (to) {
			memcpy(to, ops[i].to, len);
			memcpy(to + len, key + strlen(ops[i].key), rest + 1);
		}
		free(key);
		key = to;
		if (!key)
			break;
	}
	return key;
}

/* The rows from seq on have the bucket show something that `at` is in the way
 * of. */
static int is_in_the_way(const struct all_rows *all, uint64_t seq,
			 const char *at, bool *ret)
{
	for (size_t i = 0; i < all->n && !*ret; i++) {
		const struct line_op *op = &all->ops[i];
		const char *to = op->to ? op->to : op->key;
		bool dir = op->kind == LINE_RENAME_DIR;
		char *key;

		if (op->seq <= seq || op->kind == LINE_DEL)
			continue;
		/* As the folder renames before it leave it. */
		key = line_moved_key(all->ops, i, seq, at);
		if (!key)
			return -ENOMEM;
		*ret = path_clashes(to, key) || (dir && path_is_below(key, to));
		*ret &= !dir || !path_is_below(key, op->key);
		free(key);
	}
	return 0;
}

/* To be rewritten, perhaps once more. */
static int edit(struct line_change *c, const struct line_op *op,
		struct line_op **ret)
{
	for (size_t i = 0; i < c->n; i++) {
		if (c->edit[i].row.seq == op->seq) {
			*ret = &c->edit[i].row;
			return 0;
		}
	}
	return line_change_row(c, op, ret);
}

/* Nothing of the window of row i waits for what comes behind it in there: it is
 * what is left of an exchange. */
static int divide(const struct line_view *v, const enum leaves *gone, size_t i,
		  struct line_change *c)
{
	uint64_t bound = line_bound(v->row[i]), then = 0;
	struct line_op *row;
	int r;

	for (size_t k = i; k < v->n && line_bound(v->row[k]) == bound; k++) {
		if (gone[k] == GOES)
			continue;
		if (k > i && !then)
			then = v->row[k]->seq;
		r = edit(c, v->row[k], &row);
		if (r)
			return r;
		row->bound = k == i ? row->seq : then;
	}
	return 0;
}

/* The old name goes in its own place, and not behind the put that comes, nor
 * behind what takes that name in the same exchange. */
static int go_at_once(const struct line_view *v, const enum leaves *gone,
		      size_t i, struct line_change *c)
{
	struct line_op *row;
	int r = divide(v, gone, i, c);

	if (r == 0)
		r = edit(c, v->row[i], &row);
	if (r)
		return r;
	row->kind = LINE_DEL;
	row->vid = 0;
	row->parked = false;
	free(row->to);
	row->to = NULL;
	return 0;
}

static int leave_owing(const struct line_view *v, const struct all_rows *all,
		       const struct line_op *put, enum leaves *gone,
		       struct line_change *c)
{
	for (size_t i = 0; i < v->n; i++) {
		bool at_once = false;
		int r = 0;

		if (!moved_it(v->row[i], put))
			continue;
		if (all->one_name)
			r = is_in_the_way(all, v->row[i]->seq, v->row[i]->key,
					  &at_once);
		if (r)
			return r;
		gone[i] = at_once ? TURNS : GOES;
		if (at_once)
			continue;
		c->owed[c->n_owed] = line_moved_key(all->ops, all->n,
						   v->row[i]->seq,
						   v->row[i]->key);
		if (!c->owed[c->n_owed])
			return -ENOMEM;
		c->n_owed++;
	}
	return 0;
}

/* Row seq goes; if it is withdrawn (all: every row), with what moved it. */
static int take_out(const struct line_view *v, const struct all_rows *all,
		    uint64_t seq, struct line_change *ret)
{
	size_t at = line_view_find(v, seq);
	const struct line_op *op = at != LINE_NOWHERE ? v->row[at] :
							find_loner(v, seq);
	struct line_change c = { 0 };
	enum leaves *gone;
	int r;

	if (!op || (all && op->kind != LINE_PUT))
		return -ENOENT;
	r = line_change_init(&c, all ? 2 * v->n + 1 : 2);
	if (r)
		return r;
	gone = calloc(v->n + 1, sizeof(*gone));
	if (!gone)
		return end(&c, -ENOMEM, ret);
	if (at != LINE_NOWHERE)
		gone[at] = GOES;
	else
		line_change_drop(&c, seq);
	if (all)
		r = leave_owing(v, all, op, gone, &c);
	if (!r)
		r = leave(v, gone, &c);
	for (size_t i = 0; !r && i < v->n; i++)
		if (gone[i] == TURNS)
			r = go_at_once(v, gone, i, &c);
	free(gone);
	return end(&c, r, ret);
}

int line_done_in(const struct line_view *v, uint64_t seq,
		 struct line_change *ret)
{
	return take_out(v, NULL, seq, ret);
}

int line_withdraw_in(const struct line_view *v, const struct line_op *ops,
		     size_t n, const struct line_env *env, uint64_t seq,
		     struct line_change *ret)
{
	const struct all_rows all = { ops, n, env->one_name };

	return take_out(v, &all, seq, ret);
}
