/* SPDX-License-Identifier: Apache-2.0 */
/* The line in memory follows its rows. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "transfer"

static enum line_kind kind_of(enum meta_op_kind k)
{
	switch (k) {
	case META_OP_DEL:
		return LINE_DEL;
	case META_OP_RENAME:
		return LINE_RENAME;
	case META_OP_RENAME_DIR:
		return LINE_RENAME_DIR;
	case META_OP_PUT:
	case META_OP_SYMLINK:
	case META_OP_MARKER:
		break;
	}
	return LINE_PUT;
}

static uint64_t line_vid(const struct meta_op *op)
{
	if (op->kind == META_OP_SYMLINK)
		return VID_LINK | op->ino;
	if (op->kind == META_OP_MARKER)
		return VID_MARKER | op->ino;
	return op->vid;
}

/* The row as line.h sees it; strings are new. */
static int to_line(const struct meta_op *op, struct line_op *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->seq = op->seq;
	ret->kind = kind_of(op->kind);
	ret->key = strdup(op->key);
	ret->to = meta_op_renames(op->kind) ? strdup(op->to) : NULL;
	if (!ret->key || (meta_op_renames(op->kind) && !ret->to)) {
		line_op_release(ret);
		return -ENOMEM;
	}
	ret->vid = line_vid(op);
	ret->bound = op->bound;
	ret->open_seq = op->open_seq;
	ret->final = op->final;
	ret->cut = op->cut;
	ret->begun = op->begun;
	ret->unordered = op->unordered;
	ret->parked = op->parked;
	ret->keep = op->keep;
	return 0;
}

static int item_from(struct transfer *t, const struct meta_op *op,
		     struct titem **ret)
{
	struct titem *it = calloc(1, sizeof(*it));
	int r = -ENOMEM;

	if (!it)
		return r;
	it->seq = op->seq;
	it->kind = op->kind;
	it->ino = op->ino;
	it->vid = op->vid;
	it->bound = op->bound;
	it->parked = op->parked;
	it->keep = op->keep;
	it->key = strdup(op->key);
	it->to = strdup(op->to);
	it->error = op->parked ? strdup(op->why) : NULL;
	it->queued_mono = clk_mono(t->host->clk);
	if (!it->key || !it->to)
		goto out;
	r = 0;
	if (op->kind == META_OP_PUT)
		r = meta_version_get(t->meta, op->vid, &it->v);
	if (r == -ENOENT) {
		r = 0; /* an op without its version: done with at its commit */
		log_warn("%s: its version is gone", op->key);
	}
	if (r == 0) {
		*ret = it;
		return 0;
	}
out:
	item_free(it);
	return r;
}

static bool is_big(const struct transfer *t, const struct titem *it)
{
	return it->kind == META_OP_PUT && it->v.state != META_POISONED &&
	       it->v.size > plan_part_size(it->v.size, t->opts.part_size,
					   &t->store->limits);
}

static int have_below_row(void *arg, const struct meta_object *o)
{
	struct transfer *t = arg;

	lock_acquire(&t->lock);
	have_set(t, o->key, true, o->vid, o->bound);
	lock_release(&t->lock);
	return 0;
}

/* What the bucket has under the keys an operation speaks of: a listing may have
 * found more since, or less. */
static int learn_key(struct transfer *t, const char *key)
{
	struct meta_object o;
	int r = meta_object_get(t->meta, key, &o);

	if (r < 0 && r != -ENOENT)
		return r;
	lock_acquire(&t->lock);
	have_set(t, key, r == 0, r == 0 ? o.vid : 0, r == 0 ? o.bound : 0);
	lock_release(&t->lock);
	return 0;
}

static int learn(struct transfer *t, const struct meta_op *op)
{
	char dir[META_KEY_MAX + 2];
	int r = learn_key(t, op->key);

	if (r == 0 && meta_op_renames(op->kind))
		r = learn_key(t, op->to);
	if (r == 0 && op->kind == META_OP_RENAME_DIR) {
		size_t n = strlen(op->key);

		memcpy(dir, op->key, n);
		memcpy(dir + n, "/", 2);
		r = meta_object_each(t->meta, dir, have_below_row, t);
	}
	return r;
}

/* A fold may be due; and a body may be wanted, or no longer. */
static void note_due(struct transfer *t, uint64_t seq)
{
	if (!line_due(&t->line, seq))
		return;
	t->fold_wanted = true;
	t->bodies_stale = true;
}

/* A row at the end changes nothing for those before it unless it speaks of
 * their names. */
static void note_new(struct transfer *t, const struct line_op *op)
{
	if (t->next_end || t->line.apart.n)
		t->next_stale = true;
	note_due(t, op->seq);
	if (!op->big || t->bodies_stale)
		return;
	if (t->n_bodies < BODIES_MAX)
		t->bodies[t->n_bodies++] = op->seq;
	else
		t->bodies_stale = true;
}

static int add_row(struct transfer *t, const struct meta_op *op)
{
	struct titem *it = NULL;
	struct line_op lo;
	int r = learn(t, op);

	if (r == 0)
		r = item_from(t, op, &it);
	if (r < 0)
		return r;
	r = to_line(op, &lo);
	if (r < 0) {
		item_free(it);
		return r;
	}
	lo.big = is_big(t, it);
	lock_acquire(&t->lock);
	r = line_push(&t->line, &lo);
	if (r == 0) {
		HASH_ADD(hh, t->items, seq, sizeof(it->seq), it);
		item_count(t, it);
		t->n_big += lo.big;
		note_new(t, &lo);
	}
	lock_release(&t->lock);
	if (r < 0) {
		item_free(it);
		line_op_release(&lo);
	}
	return r;
}

static void leave_line(struct transfer *t, struct titem *it)
{
	HASH_DEL(t->items, it);
	item_leaves(t, it);
}

static void remove_rows(struct transfer *t, const uint64_t *seq, size_t n)
{
	size_t i;

	lock_acquire(&t->lock);
	for (i = 0; i < n; i++) {
		const struct line_op *op = line_find(&t->line, seq[i]);
		struct titem *it = item_find(t, seq[i]);

		if (it && op)
			t->n_big -= op->big;
		if (it)
			leave_line(t, it);
	}
	line_remove(&t->line, seq, n);
	t->next_stale = true;
	t->bodies_stale = true;
	thr_wake(&t->cond);
	lock_release(&t->lock);
}

/* What another row might be folded with has not changed. */
static bool folds_alike(const struct line_op *a, const struct line_op *b)
{
	return a->final == b->final && a->parked == b->parked &&
	       a->kind == b->kind && a->vid == b->vid &&
	       strcmp(a->key, b->key) == 0 &&
	       strcmp(a->to ? a->to : "", b->to ? b->to : "") == 0;
}

static bool is_same(const struct titem *it, const struct meta_op *op)
{
	return it && it->vid == op->vid && it->kind == op->kind &&
	       strcmp(it->key, op->key) == 0;
}

/* The item follows a changed row; fresh is taken. */
static void change_item(struct transfer *t, const struct meta_op *op,
			struct titem *fresh)
{
	struct titem *it = item_find(t, op->seq);

	if (is_same(it, op)) {
		it->v = fresh->v;
		it->bound = op->bound;
		it->parked = op->parked;
		if (!op->parked && it->attempts && it->retry_at == CLK_NEVER)
			it->retry_at = 0;
		item_free(fresh);
	} else {
		if (it) {
			fresh->queued_mono = it->queued_mono;
			leave_line(t, it);
		}
		it = fresh;
		HASH_ADD(hh, t->items, seq, sizeof(it->seq), it);
	}
	item_count(t, it);
}

/* With the lock; the strings of lo are taken if that succeeds. */
static int change_line(struct transfer *t, const struct meta_op *op,
		       struct line_op *lo)
{
	const struct line_op *was = line_find(&t->line, op->seq);
	bool alike = folds_alike(was, lo), was_big = was->big;
	int r;

	if (is_same(item_find(t, op->seq), op)) {
		lo->underway = was->underway;
		lo->sent = was->sent;
		lo->flying = was->flying;
	}
	r = line_replace(&t->line, lo);
	if (r < 0)
		return r;
	t->n_big += (size_t)lo->big - (size_t)was_big;
	t->next_stale = true;
	if (alike)
		return 0;
	t->bodies_stale = true;
	if (op->final)
		note_due(t, op->seq);
	return 0;
}

/* The row was changed in place: by a seal becoming final, by a fold. */
static int change_row(struct transfer *t, const struct meta_op *op)
{
	struct titem *fresh = NULL;
	struct line_op lo;
	int r = learn(t, op);

	if (r == 0)
		r = item_from(t, op, &fresh);
	if (r == 0)
		r = to_line(op, &lo);
	if (r < 0) {
		item_free(fresh);
		return r;
	}
	lo.big = is_big(t, fresh);
	lock_acquire(&t->lock);
	r = change_line(t, op, &lo);
	if (r == 0)
		change_item(t, op, fresh);
	lock_release(&t->lock);
	if (r < 0) {
		line_op_release(&lo);
		item_free(fresh);
	}
	return r;
}

/* Rows are read so many at a time. */
#define ROWS 16

struct rows {
	struct meta_op op[ROWS];
	size_t n;
};

static int take(void *arg, const struct meta_op *row)
{
	struct rows *a = arg;

	a->op[a->n++] = *row;
	return a->n == ROWS;
}

static int read_new(struct transfer *t)
{
	struct rows *a = malloc(sizeof(*a));
	size_t i;
	int r;

	if (!a)
		return -ENOMEM;
	do {
		a->n = 0;
		r = meta_op_each(t->meta, t->last_seq, take, a);
		for (i = 0; r >= 0 && i < a->n; i++) {
			r = add_row(t, &a->op[i]);
			if (r == 0)
				t->last_seq = a->op[i].seq;
		}
	} while (r >= 0 && a->n == ROWS);
	free(a);
	return r < 0 ? r : 0;
}

/* Read a row again; *gone: it is not there any more. */
static int reread(struct transfer *t, uint64_t seq, bool *gone)
{
	struct meta_op op;
	bool have;
	int r = meta_op_get(t->meta, seq, &op);

	lock_acquire(&t->lock);
	have = line_find(&t->line, seq) != NULL;
	lock_release(&t->lock);
	*gone = have && r == -ENOENT;
	if (!have || *gone)
		return r == -ENOENT ? 0 : r; /* new: read with the others */
	return r < 0 ? r : change_row(t, &op);
}

static int by_number(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return (a > b) - (a < b);
}

static void swap(uint64_t *a, uint64_t *b)
{
	uint64_t x = *a;

	*a = *b;
	*b = x;
}

/* What could not be read is read by the next who looks: else the line would go
 * on with rows that are gone, and without those that came.  In a transaction,
 * so nothing else was touched meanwhile. */
static void refresh_again(struct transfer *t, uint64_t *touched, size_t n)
{
	lock_acquire(&t->lock);
	t->touched = touched;
	t->ntouched = t->cap_touched = n;
	t->stale = true;
	t->lazy = false;
	lock_release(&t->lock);
}

int line_refresh(struct transfer *t)
{
	uint64_t *touched;
	size_t n, i, n_gone = 0;
	bool gone;
	int r = 0;

	meta_assert_begun(t->meta);
	lock_acquire(&t->lock);
	touched = t->touched;
	n = t->ntouched;
	t->touched = NULL;
	t->ntouched = t->cap_touched = 0;
	t->stale = t->lazy = false;
	t->n_unread = 0;
	lock_release(&t->lock);
	if (n > 1)
		qsort(touched, n, sizeof(*touched), by_number);
	for (i = 0; r == 0 && i < n; i++) {
		r = reread(t, touched[i], &gone);
		if (r == 0 && gone)
			swap(&touched[n_gone++], &touched[i]);
	}
	if (n_gone)
		remove_rows(t, touched, n_gone);
	if (r == 0)
		r = read_new(t);
	if (r < 0)
		refresh_again(t, touched, n);
	else
		free(touched);
	return r;
}

int line_tx(struct transfer *t)
{
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = line_refresh(t);
	if (r < 0)
		meta_end(t->meta);
	return r;
}

void tell_moved(struct transfer *t, const struct meta_inode *moved)
{
	if (moved && moved->ino && t->ev.inode_row)
		t->ev.inode_row(t->ev.arg, moved);
}

int line_tx_end(struct transfer *t, int r)
{
	return line_tx_end_moved(t, r, NULL);
}

int line_tx_end_moved(struct transfer *t, int r,
		      const struct meta_inode *moved)
{
	if (r == 0)
		r = meta_commit(t->meta);
	if (r == 0)
		tell_moved(t, moved);
	/* What was written shows in the copy before anybody else may look;
	 * what is rolled back is read again by the next to come. */
	if (r == 0 && line_refresh(t) < 0)
		(void)log_err(-EIO, "the line cannot be read");
	meta_end(t->meta);
	if (r == 0 && t->ev.committed)
		t->ev.committed(t->ev.arg);
	return r;
}

static void touch(struct transfer *t, uint64_t seq)
{
	lock_acquire(&t->lock);
	line_touch(t, seq);
	t->lazy = false;
	lock_release(&t->lock);
}

static int write_edit(struct transfer *t, const struct line_edit *e)
{
	const struct line_op *l = &e->row;
	struct meta_version v;
	struct meta_op op;
	int r = meta_op_get(t->meta, l->seq, &op);

	if (r < 0)
		return r;
	touch(t, l->seq);
	if (e->drop)
		return meta_op_del(t->meta, l->seq);
	memset(op.key, 0, sizeof(op.key));
	memcpy(op.key, l->key, strlen(l->key));
	if (l->kind != LINE_PUT)
		memset(op.to, 0, sizeof(op.to));
	if (l->to)
		memcpy(op.to, l->to, strlen(l->to));
	if (l->kind == LINE_PUT && (l->vid & VID_LINK)) {
		op.kind = META_OP_SYMLINK;
		op.ino = l->vid & VID_NUMBER;
	} else if (l->kind == LINE_PUT && (l->vid & VID_MARKER)) {
		op.kind = META_OP_MARKER;
		op.ino = l->vid & VID_NUMBER;
	} else if (l->kind == LINE_PUT) {
		op.kind = META_OP_PUT;
		op.vid = l->vid;
		if (meta_version_get(t->meta, l->vid, &v) == 0)
			op.ino = v.ino;
	} else {
		op.kind = l->kind == LINE_DEL	 ? META_OP_DEL :
			  l->kind == LINE_RENAME ? META_OP_RENAME :
						   META_OP_RENAME_DIR;
		op.vid = l->vid & (VID_LINK | VID_MARKER) ? 0 : l->vid;
	}
	op.bound = l->bound;
	op.open_seq = l->open_seq;
	op.final = l->final;
	op.cut = l->cut;
	op.begun = l->begun;
	op.unordered = l->unordered;
	op.parked = l->parked;
	op.keep = l->keep;
	return meta_op_set(t->meta, &op);
}

int line_write(struct transfer *t, struct line_change *c)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < c->n; i++)
		r = write_edit(t, &c->edit[i]);
	return r;
}

int line_row_done(struct transfer *t, uint64_t seq)
{
	struct line_change c = { 0 };
	int r;

	lock_acquire(&t->lock);
	r = line_done_near(&t->line, seq, &c);
	lock_release(&t->lock);
	if (r == 0)
		r = line_write(t, &c);
	line_change_release(&c);
	return r;
}
