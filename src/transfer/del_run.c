/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletes that stand in a row at the front of the line go by one request: one row
 * says that all are begun, one barrier covers it, and one transaction records
 * what is gone.  Which of them the store does first is open, so few go one by
 * one.  Where a delete of one has a condition, so has each of many, or they are
 * not sent so.  What fails of them goes alone, by the rules of that.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "transfer"

#define RUN_MIN 16
#define RUN_MAX 1000 /* what store_del_many() takes */

static bool is_conditional(const struct transfer *t)
{
	return (t->store->caps & STORE_CAP_DEL_COND) && !t->opts.overwrite;
}

static bool may_run(const struct transfer *t, const struct titem *it)
{
	if (!(t->store->caps & STORE_CAP_DEL_MANY))
		return false;
	if (is_conditional(t) && !(t->store->caps & STORE_CAP_DEL_MANY_COND))
		return false;
	return t->opts.order != TRANSFER_NONE && !it->alone;
}

static bool may_go(const struct transfer *t, const struct titem *it)
{
	size_t n = it ? strlen(it->key) : 0;

	/* A folder's marker: some stores want what is below to be gone. */
	return n && it->key[n - 1] != '/' && !it->busy && !it->alone &&
	       it->retry_at <= clk_mono(t->host->clk);
}

struct del_run *del_run_take(struct transfer *t, struct titem *it)
{
	struct del_run *run = NULL;
	uint64_t *seq;
	size_t n = 0, i;

	if (!may_run(t, it) || t->line.n < RUN_MIN)
		return NULL;
	seq = calloc(RUN_MAX, sizeof(*seq));
	if (!seq)
		return NULL;
	/* Its own row is flying already. */
	line_find(&t->line, it->seq)->flying = false;
	if (line_deletes_near(&t->line, it->seq, seq, RUN_MAX, &n) == 0 &&
	    n >= RUN_MIN)
		run = calloc(1, sizeof(*run) + n * sizeof(run->one[0]));
	line_find(&t->line, it->seq)->flying = true;
	for (i = 0; run && i < n; i++) {
		struct titem *o = item_find(t, seq[i]);

		if (i && !may_go(t, o))
			break;
		if (i) {
			line_find(&t->line, o->seq)->flying = true;
			o->busy = true;
			o->pins++;
		}
		run->one[run->n++].it = o;
	}
	free(seq);
	return run;
}

/* ---- rows ---- */

/* So many rows by one transaction: others want to change names, too. */
#define RUN_CHUNK 64

static int begin_one(struct transfer *t, struct del_one *o, bool *ret_first)
{
	struct line_change c = { 0 };
	int r;

	lock_acquire(&t->lock);
	o->left = o->it->gone;
	r = o->left ? 0 : line_begin_near(&t->line, o->it->seq, &c);
	if (!o->left)
		o->it->again = r == 0 && c.n == 0;
	lock_release(&t->lock);
	*ret_first |= r == 0 && c.n > 0;
	if (r == 0)
		r = line_write(t, &c);
	line_change_release(&c);
	return r;
}

static int run_begun(struct transfer *t, struct del_run *run)
{
	uint64_t commits = 0;
	size_t i = 0, end;
	int r = 0;

	while (r == 0 && i < run->n) {
		bool first = false;

		r = line_tx(t);
		if (r < 0)
			return r;
		end = i + RUN_CHUNK < run->n ? i + RUN_CHUNK : run->n;
		for (; r == 0 && i < end; i++)
			r = begin_one(t, &run->one[i], &first);
		r = line_tx_end(t, r);
		lock_acquire(&t->lock);
		if (r == 0 && first)
			t->begun = meta_commits(t->meta);
		commits = t->begun;
		lock_release(&t->lock);
	}
	if (r == 0)
		record_durable(t, commits);
	return r;
}

static int done_one(struct transfer *t, const struct del_one *o)
{
	int r = 0;

	if (!o->gone)
		return 0;
	if (o->known) {
		have_goes(t, o->it->key);
		r = meta_object_del(t->meta, o->it->key);
	}
	if (r == 0 || r == -ENOENT)
		r = line_row_done(t, o->it->seq);
	if (o->known)
		have_tell(t, o->it->key, false, 0, 0);
	return r;
}

static void run_told(struct transfer *t, const struct del_one *o, size_t n,
		     int err)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (!o[i].gone)
			continue;
		if (err < 0 && o[i].known)
			have_tell(t, o[i].it->key, true, 0, 0);
		if (err < 0)
			continue;
		lock_acquire(&t->lock);
		t->stats.deletes++;
		t->stats.last_error[0] = '\0';
		lock_release(&t->lock);
		if (t->ev.inode_moved)
			t->ev.inode_moved(t->ev.arg, o[i].it->ino);
	}
}

static int run_done(struct transfer *t, struct del_run *run)
{
	size_t i, n, k;
	int r = 0;

	for (i = 0; r == 0 && i < run->n; i += n) {
		n = run->n - i < RUN_CHUNK ? run->n - i : RUN_CHUNK;
		r = line_tx(t);
		if (r < 0)
			return r;
		for (k = 0; r == 0 && k < n; k++)
			r = done_one(t, &run->one[i + k]);
		r = line_tx_end(t, r);
		run_told(t, run->one + i, n, r);
	}
	return r;
}

/* ---- with nothing locked ---- */

struct del_work {
	struct store_del *dels;
	char (*etags)[STORE_ETAG_MAX];
	struct del_one **of; /* whose they are */
	int *errs;
	size_t n;
};

static void work_free(struct del_work *w)
{
	free(w->dels);
	free(w->etags);
	free(w->of);
	free(w->errs);
}

static int work_new(size_t n, struct del_work *ret)
{
	*ret = (struct del_work){ .n = 0 };
	ret->dels = calloc(n, sizeof(*ret->dels));
	ret->etags = calloc(n, sizeof(*ret->etags));
	ret->of = calloc(n, sizeof(struct del_one *));
	ret->errs = calloc(n, sizeof(*ret->errs));
	if (ret->dels && ret->etags && ret->of && ret->errs)
		return 0;
	work_free(ret);
	return -ENOMEM;
}

/* Of those that the bucket is known to have. */
static int look_up(struct transfer *t, struct del_run *run, struct del_work *w)
{
	struct meta_object obj;
	size_t i;
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	for (i = 0; r == 0 && i < run->n; i++) {
		struct del_one *o = &run->one[i];

		if (o->left)
			continue;
		r = meta_object_get(t->meta, o->it->key, &obj);
		o->known = r == 0;
		o->gone = r == -ENOENT;
		if (r == -ENOENT)
			r = 0;
		if (!o->known)
			continue;
		memcpy(w->etags[w->n], obj.etag, sizeof(w->etags[0]));
		w->dels[w->n].key = o->it->key;
		w->of[w->n++] = o;
	}
	meta_end(t->meta);
	return r;
}

/* Who reads one of them has it whole by then, or it stays for now. */
static int ask(struct transfer *t, struct del_work *w)
{
	size_t i, n = 0;
	int r;

	for (i = 0; i < w->n; i++) {
		if (t->ev.before_replace &&
		    t->ev.before_replace(t->ev.arg, w->dels[i].key) < 0)
			continue;
		w->dels[n] = w->dels[i];
		w->of[n] = w->of[i];
		if (is_conditional(t))
			w->dels[n].if_match = w->etags[i];
		n++;
	}
	r = n ? store_del_many(t->store, w->dels, n, w->errs) : 0;
	for (i = 0; r == 0 && i < n; i++)
		w->of[i]->gone = w->errs[i] == 0;
	return r;
}

/* Those that are left in the line.  Of a request that failed as a whole the first
 * goes alone, to find out why. */
static void give_back(struct transfer *t, struct del_run *run, bool failed)
{
	struct line_op *op;
	size_t i;

	lock_acquire(&t->lock);
	for (i = 0; i < run->n; i++) {
		struct titem *it = run->one[i].it;

		op = it->gone ? NULL : line_find(&t->line, it->seq);
		if (op)
			op->flying = false;
		it->busy = false;
		it->alone = failed ? i == 0 : !run->one[i].gone;
		if (i) /* the worker unpins the one it was handed */
			item_unpin(t, it);
	}
	t->next_stale = true;
	thr_wake(&t->cond);
	lock_release(&t->lock);
}

void del_run_commit(struct transfer *t, struct del_run *run)
{
	struct del_work w;
	int r = work_new(run->n, &w);

	if (r == 0) {
		r = run_begun(t, run);
		if (r == 0)
			r = look_up(t, run, &w);
		if (r == 0)
			r = ask(t, &w);
		if (r == 0)
			r = run_done(t, run);
		work_free(&w);
	}
	if (r < 0)
		log_info("%s and %zu more are not deleted by one request: %s",
			 run->one[0].it->key, run->n - 1, strerror(-r));
	give_back(t, run, r < 0);
	free(run);
}
