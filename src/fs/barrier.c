/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "ckptfs/cache.h"
#include "ckptfs/host.h"
#include "ckptfs/log.h"
#include "ckptfs/meta.h"

#include "barrier.h"

#define LOG_MODULE "barrier"

#define MAX_DUE 4096
#define CHECKPOINT_TRIES 3

static int64_t now_ns(const struct barrier *b)
{
	return clk_mono(b->deps.host->clk);
}

/* ---- one barrier ---- */

/* The mark first, then what is due: so that what the mark covers is in t. */
static int take(struct barrier *b, struct batch *t, struct meta_mark *ret_mark)
{
	int r;

	lock_acquire(&b->lock);
	b->changed = false;
	lock_release(&b->lock);
	r = meta_mark(b->deps.meta, ret_mark);
	if (r < 0)
		return log_err(r, "mark the log");
	lock_acquire(&b->lock);
	t->due = b->due;
	b->due = NULL;
	t->all = b->all;
	b->all = false;
	lock_release(&b->lock);
	barrier_skip_dead(b, t, ret_mark->commits);
	return 0;
}

/* Bytes first, and all that their failure makes others commit. */
static int make_durable(struct barrier *b)
{
	struct batch t = { .due = NULL };
	struct meta_mark mark;
	bool poisoned;
	int r;

	do {
		poisoned = false;
		r = take(b, &t, &mark);
		if (r == 0)
			r = barrier_sync_bytes(b, &t, &poisoned);
	} while (r == 0 && poisoned);
	if (r == 0)
		r = cache_sync_names(b->deps.cache);
	if (r == 0 && mark.commits != meta_commits_durable(b->deps.meta))
		r = meta_barrier(b->deps.meta, &mark);
	if (r < 0)
		return r;
	lock_acquire(&b->lock);
	b->durable = mark.commits;
	lock_release(&b->lock);
	return 0;
}

static void run(struct barrier *b)
{
	bool broken;
	int r = 0;

	lock_acquire(&b->lock);
	b->begun++;
	b->wanted = false;
	broken = b->broken;
	lock_release(&b->lock);
	if (!broken) {
		barrier_forget_buried(b);
		r = make_durable(b);
	}
	if (r < 0)
		(void)log_err(r, "the cache can promise nothing any more");
	lock_acquire(&b->lock);
	if (r < 0)
		b->broken = true;
	b->ended = b->begun;
	thr_wake(&b->ended_cond);
	lock_release(&b->lock);
}

/* Commits may come between a barrier and the checkpoint; then one more. */
static void checkpoint(struct barrier *b)
{
	struct meta *m = b->deps.meta;
	unsigned tries;
	int r = -EAGAIN;

	for (tries = 0; tries < CHECKPOINT_TRIES && r == -EAGAIN; tries++) {
		if (b->broken || !meta_checkpoint_due(m))
			return;
		r = meta_checkpoint(m);
		if (r == -EAGAIN)
			run(b);
	}
	if (r == 0 || r == -EAGAIN)
		return;
	(void)log_err(r, "checkpoint the database");
	if (r == -EIO) {
		lock_acquire(&b->lock);
		b->broken = true;
		lock_release(&b->lock);
	}
}

/* ---- the worker ---- */

static int64_t step(void *arg)
{
	struct barrier *b = arg;
	int64_t left = CLK_NEVER;
	bool go;

	lock_acquire(&b->lock);
	if (b->changed && !b->broken)
		left = b->first_ns + BARRIER_DELAY_NS - now_ns(b);
	go = b->wanted || left <= 0;
	lock_release(&b->lock);
	if (go) {
		run(b);
		checkpoint(b);
	}
	if (barrier_bury(b) || go)
		return 0;
	return left;
}

int barrier_new(const struct barrier_deps *deps, struct barrier **ret)
{
	struct barrier *b;
	int r;

	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->deps = *deps;
	if (b->deps.max_due == 0)
		b->deps.max_due = MAX_DUE;
	lock_init(&b->lock, LOCK_LEAF, "barrier");
	thr_cond_init(&b->ended_cond);
	b->all = b->changed = true;
	b->first_ns = now_ns(b);
	b->durable = meta_commits_durable(deps->meta);
	r = barrier_load_dead(b);
	if (r == 0)
		r = thr_start(deps->host->thr, "barrier", step, b, &b->worker);
	if (r < 0) {
		barrier_free(b);
		return log_err(r, "start the barrier");
	}
	*ret = b;
	return 0;
}

void barrier_free(struct barrier *b)
{
	if (!b)
		return;
	thr_stop(b->worker);
	barrier_due_free(b, &b->due);
	barrier_due_free(b, &b->lost);
	barrier_dead_free(b);
	thr_cond_fini(&b->ended_cond);
	lock_fini(&b->lock);
	free(b);
}

/* ---- callers ---- */

static bool is_noted_locked(const struct barrier *b, uint64_t blob)
	REQUIRES(b->lock)
{
	struct due *d;

	HASH_FIND(hh, b->due, &blob, sizeof(blob), d);
	if (!d)
		HASH_FIND(hh, b->lost, &blob, sizeof(blob), d);
	return d != NULL;
}

/* Takes d: true if the table does. */
static bool add_due(struct barrier *b, struct due *d)
{
	bool added = false, noted;

	lock_acquire(&b->lock);
	noted = is_noted_locked(b, d->blob);
	if (!noted) {
		HASH_ADD(hh, b->due, blob, sizeof(d->blob), d);
		added = d->hh.tbl != NULL;
		b->all |= !added;
	}
	if (added && HASH_COUNT(b->due) >= b->deps.max_due) {
		b->wanted = true;
		thr_kick(b->worker);
	}
	lock_release(&b->lock);
	return added;
}

void barrier_note_blob(struct barrier *b, uint64_t blob, int fd)
{
	struct cache *c = b->deps.cache;
	struct due *d = NULL;
	bool noted;

	lock_acquire(&b->lock);
	noted = is_noted_locked(b, blob);
	lock_release(&b->lock);
	if (!noted && fd < 0)
		fd = cache_blob_open(c, blob, O_RDONLY);
	if (noted || fd == -ENOENT)
		goto out;
	d = calloc(1, sizeof(*d));
	if (fd < 0 || !d) {
		lock_acquire(&b->lock);
		b->all = true;
		lock_release(&b->lock);
		goto out;
	}
	d->blob = blob;
	d->fd = fd;
	if (add_due(b, d))
		return;
out:
	cache_blob_close(c, fd);
	free(d);
}

void barrier_note_change(struct barrier *b)
{
	lock_acquire(&b->lock);
	if (!b->changed) {
		b->changed = true;
		b->first_ns = now_ns(b);
		thr_kick(b->worker);
	}
	lock_release(&b->lock);
}

int barrier_now(struct barrier *b, int64_t deadline_mono_ns)
{
	uint64_t ticket;
	int r = 0;

	lock_acquire(&b->lock);
	if (b->poisoned || b->broken)
		goto out;
	/* One that runs now may have taken its mark already. */
	ticket = b->begun + 1;
	b->wanted = true;
	thr_kick(b->worker);
	while (b->ended < ticket && r == 0)
		r = thr_wait(b->deps.host->thr, &b->lock, &b->ended_cond,
			     deadline_mono_ns);
	if (b->ended >= ticket)
		r = 0;
out:
	if (b->poisoned || b->broken)
		r = -EIO;
	lock_release(&b->lock);
	return r;
}

int barrier_bury_now(struct barrier *b, int64_t deadline_mono_ns)
{
	uint64_t upto;
	int r = barrier_now(b, deadline_mono_ns);

	if (r < 0)
		return r;
	lock_acquire(&b->lock);
	upto = b->durable;
	while (r == 0 && !b->broken && barrier_has_dead(b, upto))
		r = thr_wait(b->deps.host->thr, &b->lock, &b->ended_cond,
			     deadline_mono_ns);
	if (b->poisoned || b->broken)
		r = -EIO;
	lock_release(&b->lock);
	return r;
}

int barrier_cover(struct barrier *b, uint64_t commits)
{
	int r;

	lock_acquire(&b->lock);
	while (b->durable < commits && !b->broken) {
		/* One that runs may cover them. */
		if (b->begun == b->ended) {
			b->wanted = true;
			thr_kick(b->worker);
		}
		(void)thr_wait(b->deps.host->thr, &b->lock, &b->ended_cond,
			       CLK_NEVER);
	}
	r = b->durable < commits ? -EIO : 0;
	lock_release(&b->lock);
	return r;
}

int barrier_failed(struct barrier *b)
{
	int r;

	lock_acquire(&b->lock);
	r = b->poisoned || b->broken ? -EIO : 0;
	lock_release(&b->lock);
	return r;
}

unsigned barrier_due(struct barrier *b)
{
	unsigned n;

	lock_acquire(&b->lock);
	n = HASH_COUNT(b->due);
	lock_release(&b->lock);
	return n;
}
