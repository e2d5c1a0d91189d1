/* SPDX-License-Identifier: Apache-2.0 */
/* Folding: what need never become visible leaves the line, in one
 * transaction. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "transfer"

struct lost {
	uint64_t ino, vid;
};

static bool still_there(const struct transfer *t, uint64_t vid)
{
	const struct line_seqs *rows = line_of_version(&t->line, vid);
	size_t i;

	for (i = 0; rows && i < rows->n; i++)
		if (line_find(&t->line, rows->seq[i])->kind == LINE_PUT)
			return true;
	return false;
}

/* Puts that the change may take away. */
static int candidates(struct transfer *t, const struct line_change *c,
		      struct lost **ret, size_t *ret_n)
{
	struct lost *l = calloc(c->n + 1, sizeof(*l));
	struct titem *it;
	size_t i, n = 0;

	if (!l)
		return -ENOMEM;
	for (i = 0; i < c->n; i++) {
		it = item_find(t, c->edit[i].row.seq);
		if (it && it->kind == META_OP_PUT)
			l[n++] = (struct lost){ it->ino, it->vid };
	}
	*ret = l;
	*ret_n = n;
	return 0;
}

/* The oldest put of a name that goes. */
struct clock_of {
	UT_hash_handle hh;
	const char *key;
	int64_t mono;
};

static void pass_on(struct transfer *t, const struct clock_of *c)
{
	const struct line_seqs *rows = line_at(&t->line, c->key);
	struct titem *it;
	size_t i;

	for (i = 0; rows && i < rows->n; i++) {
		it = item_find(t, rows->seq[i]);
		if (it && it->kind == META_OP_PUT &&
		    strcmp(it->key, c->key) == 0 && it->queued_mono > c->mono)
			it->queued_mono = c->mono;
	}
}

/* A name's clock runs from the first close that no put has covered: the put
 * that stays inherits it, or a name rewritten often would never be sent. */
static void inherit_clock(struct transfer *t, const struct line_change *c)
{
	struct clock_of *all = NULL, *of, *tmp;
	struct titem *gone;
	size_t i;

	for (i = 0; i < c->n; i++) {
		gone = item_find(t, c->edit[i].row.seq);
		if (!c->edit[i].drop || !gone || gone->kind != META_OP_PUT)
			continue;
		HASH_FIND(hh, all, gone->key, strlen(gone->key), of);
		if (!of) {
			of = calloc(1, sizeof(*of));
			if (!of)
				break; /* it waits a little longer */
			of->key = gone->key;
			of->mono = gone->queued_mono;
			HASH_ADD_KEYPTR(hh, all, of->key, strlen(of->key), of);
		}
		if (gone->queued_mono < of->mono)
			of->mono = gone->queued_mono;
	}
	HASH_ITER(hh, all, of, tmp) {
		pass_on(t, of);
		HASH_DEL(all, of);
		free(of);
	}
}

/* Another row publishes it, or will by this change. */
static bool goes_on(const struct transfer *t, const struct line_change *c,
		    const struct titem *it)
{
	const struct line_seqs *rows = line_of_version(&t->line, it->vid);
	size_t i;

	for (i = 0; i < c->n; i++)
		if (!c->edit[i].drop && c->edit[i].row.kind == LINE_PUT &&
		    c->edit[i].row.vid == it->vid)
			return true;
	for (i = 0; rows && i < rows->n; i++)
		if (rows->seq[i] != it->seq &&
		    line_find(&t->line, rows->seq[i])->kind == LINE_PUT)
			return true;
	return false;
}

/* What the store refused is superseded: it leaves the line, and is kept. */
static int keep_parked(struct transfer *t, const struct line_change *c)
{
	struct meta_version v;
	struct titem *it;
	uint64_t vid;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < c->n; i++) {
		lock_acquire(&t->lock);
		it = item_find(t, c->edit[i].row.seq);
		vid = c->edit[i].drop && it && it->parked &&
				      it->kind == META_OP_PUT &&
				      !transfer_beside(t, it->key) &&
				      !goes_on(t, c, it) ?
			      it->vid :
			      0;
		lock_release(&t->lock);
		if (!vid)
			continue;
		r = meta_version_get(t->meta, vid, &v);
		v.state = META_PARKED;
		if (r == 0)
			r = meta_version_set(t->meta, &v);
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

static int apply(struct transfer *t, struct line_change *c)
{
	struct lost *l = NULL;
	size_t n = 0, i, dropped = 0;
	int r;

	lock_acquire(&t->lock);
	r = candidates(t, c, &l, &n);
	inherit_clock(t, c);
	lock_release(&t->lock);
	if (r == 0)
		r = keep_parked(t, c);
	for (i = 0; i < c->n; i++)
		dropped += c->edit[i].drop;
	if (r == 0)
		r = line_write(t, c);
	r = line_tx_end(t, r);
	lock_acquire(&t->lock);
	for (i = 0; r == 0 && i < n; i++)
		if (still_there(t, l[i].vid))
			l[i].vid = 0;
	if (r == 0)
		t->stats.folded += dropped;
	lock_release(&t->lock);
	for (i = 0; r == 0 && i < n; i++)
		if (l[i].vid && t->ev.version_done)
			t->ev.version_done(t->ev.arg, l[i].ino, l[i].vid,
					   false);
	free(l);
	return r;
}

int fold_apply(struct transfer *t)
{
	struct line_change c = { 0 };
	struct line_env env;
	int r = line_tx(t);

	if (r < 0)
		return r;
	line_env_fill(t, &env);
	lock_acquire(&t->lock);
	if (t->fold_wanted) { /* else another worker was here first */
		r = line_fold(t->line.ops, t->line.n, &env, &c);
		t->line.visited += t->line.n;
		t->stats.scans++;
		t->fold_wanted = false;
		t->fold_from = line_pause(t, t->line.n);
	}
	lock_release(&t->lock);
	r = r == 0 && c.n ? apply(t, &c) : line_tx_end(t, r);
	line_change_release(&c);
	return r;
}
