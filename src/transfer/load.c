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
	ret->to = op->to[0] ? strdup(op->to) : NULL;
	if (!ret->key || (op->to[0] && !ret->to)) {
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
	return it->kind == META_OP_PUT &&
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

/* What the bucket has under the keys an operation speaks of. */
static int learn_key(struct transfer *t, const char *key)
{
	struct meta_object o;
	bool known;
	int r;

	lock_acquire(&t->lock);
	known = have_find(t, key) != NULL;
	lock_release(&t->lock);
	if (known)
		return 0;
	r = meta_object_get(t->meta, key, &o);
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

	if (r == 0 && op->to[0])
		r = learn_key(t, op->to);
	if (r == 0 && op->kind == META_OP_RENAME_DIR) {
		size_t n = strlen(op->key);

		memcpy(dir, op->key, n);
		memcpy(dir + n, "/", 2);
		r = meta_object_each(t->meta, dir, have_below_row, t);
	}
	return r;
}

static struct line_op *op_find(struct transfer *t, uint64_t seq)
{
	size_t lo = 0, hi = t->nops;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->ops[mid].seq < seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->nops && t->ops[lo].seq == seq ? &t->ops[lo] : NULL;
}

static int grow(struct transfer *t)
{
	size_t cap = t->cap_ops ? t->cap_ops * 2 : 64;
	struct line_op *p;

	if (t->nops < t->cap_ops)
		return 0;
	p = realloc(t->ops, cap * sizeof(*p));
	if (!p)
		return -ENOMEM;
	t->ops = p;
	t->cap_ops = cap;
	return 0;
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
	r = grow(t);
	if (r == 0) {
		t->ops[t->nops++] = lo;
		HASH_ADD(hh, t->items, seq, sizeof(it->seq), it);
		if (line_fold_due(t->ops, t->nops, lo.seq))
			t->fold_wanted = true;
		t->bodies_stale = true;
	}
	lock_release(&t->lock);
	if (r < 0) {
		item_free(it);
		line_op_release(&lo);
	}
	return r;
}

/* A commit under way has its upload; a begin under way will have left one. */
static void leave_line(struct transfer *t, struct titem *it)
{
	HASH_DEL(t->items, it);
	it->gone = true;
	it->abandoned = !it->busy || it->body == BODY_BEGINNING;
	it->pins++;
	item_unpin(t, it);
}

static void remove_row(struct transfer *t, uint64_t seq)
{
	struct line_op *op;
	struct titem *it;

	lock_acquire(&t->lock);
	op = op_find(t, seq);
	it = item_find(t, seq);
	if (op) {
		size_t i = (size_t)(op - t->ops);

		line_op_release(op);
		memmove(op, op + 1, (t->nops - i - 1) * sizeof(*op));
		t->nops--;
	}
	if (it)
		leave_line(t, it);
	t->bodies_stale = true;
	thr_wake(&t->cond);
	lock_release(&t->lock);
}

/* The row was changed in place: by a seal becoming final, by a fold. */
static int change_row(struct transfer *t, const struct meta_op *op)
{
	struct line_op lo, *was;
	struct titem *it, *fresh = NULL;
	bool same;
	int r = learn(t, op);

	if (r == 0)
		r = item_from(t, op, &fresh);
	if (r == 0)
		r = to_line(op, &lo);
	if (r < 0) {
		item_free(fresh);
		return r;
	}
	lock_acquire(&t->lock);
	was = op_find(t, op->seq);
	it = item_find(t, op->seq);
	same = was && it && it->vid == op->vid && it->kind == op->kind &&
	       strcmp(it->key, op->key) == 0;
	if (same) {
		lo.underway = was->underway;
		lo.sent = was->sent;
		lo.flying = was->flying;
		it->v = fresh->v;
		it->bound = op->bound;
		it->parked = op->parked;
		if (!op->parked && it->attempts && it->retry_at == CLK_NEVER)
			it->retry_at = 0;
	} else if (it) {
		fresh->queued_mono = it->queued_mono;
		leave_line(t, it);
	}
	if (!same) {
		HASH_ADD(hh, t->items, seq, sizeof(fresh->seq), fresh);
		it = fresh;
		fresh = NULL;
	}
	lo.big = is_big(t, it);
	if (was) {
		line_op_release(was);
		*was = lo;
	} else {
		line_op_release(&lo);
	}
	if (op->final && line_fold_due(t->ops, t->nops, op->seq))
		t->fold_wanted = true;
	t->bodies_stale = true;
	lock_release(&t->lock);
	item_free(fresh);
	return 0;
}

struct rows {
	struct meta_op *op;
	size_t n, cap;
};

static int take(void *arg, const struct meta_op *row)
{
	struct rows *a = arg;

	if (a->n == a->cap) {
		size_t cap = a->cap ? a->cap * 2 : 16;
		struct meta_op *p = realloc(a->op, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		a->op = p;
		a->cap = cap;
	}
	a->op[a->n++] = *row;
	return 0;
}

static int reread(struct transfer *t, uint64_t seq)
{
	struct meta_op op;
	bool have;
	int r = meta_op_get(t->meta, seq, &op);

	lock_acquire(&t->lock);
	have = op_find(t, seq) != NULL;
	lock_release(&t->lock);
	if (!have)
		return r == -ENOENT ? 0 : r; /* new: read with the others */
	if (r == -ENOENT) {
		remove_row(t, seq);
		return 0;
	}
	return r < 0 ? r : change_row(t, &op);
}

int line_refresh(struct transfer *t)
{
	struct rows a = { 0 };
	uint64_t *touched;
	size_t n, i;
	int r = 0;

	meta_assert_begun(t->meta);
	lock_acquire(&t->lock);
	touched = t->touched;
	n = t->ntouched;
	t->touched = NULL;
	t->ntouched = t->cap_touched = 0;
	t->stale = false;
	lock_release(&t->lock);
	for (i = 0; r == 0 && i < n; i++)
		r = reread(t, touched[i]);
	free(touched);
	if (r == 0)
		r = meta_op_each(t->meta, t->last_seq, take, &a);
	for (i = 0; r == 0 && i < a.n; i++) {
		r = add_row(t, &a.op[i]);
		if (r == 0)
			t->last_seq = a.op[i].seq;
	}
	free(a.op);
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

int line_tx_end(struct transfer *t, int r)
{
	if (r == 0)
		r = meta_commit(t->meta);
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
	if (t->ntouched == t->cap_touched) {
		size_t cap = t->cap_touched ? t->cap_touched * 2 : 16;
		uint64_t *p = realloc(t->touched, cap * sizeof(*p));

		if (!p)
			abort(); /* the copy would no longer be one */
		t->touched = p;
		t->cap_touched = cap;
	}
	t->touched[t->ntouched++] = seq;
	t->stale = true;
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
	memset(op.to, 0, sizeof(op.to));
	memcpy(op.key, l->key, strlen(l->key));
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
	r = line_done(t->ops, t->nops, seq, &c);
	lock_release(&t->lock);
	if (r == 0)
		r = line_write(t, &c);
	line_change_release(&c);
	return r;
}

void transfer_kick(struct transfer *t, uint64_t seq)
{
	if (seq)
		touch(t, seq);
	lock_acquire(&t->lock);
	t->stale = true;
	lock_release(&t->lock);
	kick_all(t);
}
