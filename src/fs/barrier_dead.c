/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dead blobs: no row speaks of them, but the recorded barrier may still be one
 * whose rows did.  Queued, unlinked once the deletion is power-safe, then
 * their dead rows are dropped by the next barrier before its mark: it syncs
 * the folder they left before the log that forgets them, so that a power cut
 * cannot bring a blob back that no row knows.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "ckptfs/cache.h"
#include "ckptfs/log.h"
#include "ckptfs/meta.h"

#include "barrier.h"

#define LOG_MODULE "barrier"

#define BURY_AT_ONCE 16
#define FORGET_AT_ONCE 1024

static int queue_dead(struct barrier *b, uint64_t blob, uint64_t commits)
{
	struct dead *d = malloc(sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->blob = blob;
	d->commits = commits;
	lock_acquire(&b->lock);
	DL_APPEND(b->dead, d);
	lock_release(&b->lock);
	return 0;
}

struct load {
	struct barrier *b;
	uint64_t commits;
};

static int load_one(void *arg, uint64_t blob)
{
	struct load *l = arg;

	return queue_dead(l->b, blob, l->commits);
}

int barrier_load_dead(struct barrier *b)
{
	struct load l = { .b = b };
	int r;

	r = meta_begin(b->deps.meta);
	if (r < 0)
		return r;
	l.commits = meta_commits(b->deps.meta);
	r = meta_dead_each(b->deps.meta, load_one, &l);
	meta_end(b->deps.meta);
	return r;
}

void barrier_dead(struct barrier *b, uint64_t blob)
{
	/* Without memory for it the next mount unlinks it. */
	if (queue_dead(b, blob, meta_commits(b->deps.meta)) < 0)
		log_warn("blob %016llx stays till the next mount",
			 (unsigned long long)blob);
	barrier_note_change(b);
}

void barrier_skip_dead(struct barrier *b, struct batch *t, uint64_t commits)
{
	struct due *skip = NULL, *u;
	struct dead *d;

	lock_acquire(&b->lock);
	DL_FOREACH(b->dead, d)
	{
		if (d->commits > commits)
			continue;
		HASH_FIND(hh, t->due, &d->blob, sizeof(d->blob), u);
		if (!u)
			continue;
		HASH_DEL(t->due, u);
		LL_PREPEND(skip, u);
	}
	lock_release(&b->lock);
	barrier_due_list_free(b, skip);
}

/* The next dead blob that may go, out of the queue. */
static struct dead *next_dead(struct barrier *b)
{
	struct dead *d;

	lock_acquire(&b->lock);
	d = b->dead;
	if (d && (d->commits > b->durable || b->broken))
		d = NULL;
	if (d)
		DL_DELETE(b->dead, d);
	b->burying = d != NULL;
	if (!d)
		thr_wake(&b->ended_cond);
	lock_release(&b->lock);
	return d;
}

bool barrier_has_dead(const struct barrier *b, uint64_t commits)
{
	return b->burying || (b->dead && b->dead->commits <= commits);
}

bool barrier_bury(struct barrier *b)
{
	struct dead *d;
	unsigned i;
	int r;

	for (i = 0; i < BURY_AT_ONCE; i++) {
		d = next_dead(b);
		if (!d)
			return false;
		r = cache_blob_unlink(b->deps.cache, d->blob);
		if (r < 0) {
			/* Its row stays: the next mount tries again. */
			(void)log_err(r, "unlink blob %016llx",
				      (unsigned long long)d->blob);
			free(d);
			continue;
		}
		lock_acquire(&b->lock);
		DL_APPEND(b->buried, d);
		lock_release(&b->lock);
	}
	return true;
}

/* One transaction: the rows of up to n of the list. */
static int forget(struct meta *m, const struct dead *list, unsigned n)
{
	const struct dead *d;
	int r;

	r = meta_begin(m);
	if (r < 0)
		return r;
	for (d = list; d && n > 0 && r == 0; d = d->next, n--) {
		r = meta_dead_del(m, d->blob);
		if (r == -ENOENT)
			r = 0;
	}
	if (r == 0)
		r = meta_commit(m);
	meta_end(m);
	return r;
}

void barrier_forget_buried(struct barrier *b)
{
	struct dead *list, *d;
	unsigned i;
	int r = 0;

	lock_acquire(&b->lock);
	list = b->buried;
	b->buried = NULL;
	lock_release(&b->lock);
	while (list && r == 0) {
		r = forget(b->deps.meta, list, FORGET_AT_ONCE);
		for (i = 0; r == 0 && list && i < FORGET_AT_ONCE; i++) {
			d = list;
			DL_DELETE(list, d);
			free(d);
		}
	}
	if (!list)
		return;
	/* A full disk, perhaps; no row of a blob that is gone does harm. */
	(void)log_err(r, "forget unlinked blobs");
	lock_acquire(&b->lock);
	DL_CONCAT(b->buried, list);
	lock_release(&b->lock);
}

static void list_free(struct dead *list)
{
	struct dead *d, *next;

	DL_FOREACH_SAFE(list, d, next)
	free(d);
}

void barrier_dead_free(struct barrier *b)
{
	list_free(b->dead);
	list_free(b->buried);
}
