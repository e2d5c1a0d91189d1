/* SPDX-License-Identifier: Apache-2.0 */
/* Letting go of what somebody names. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "bulk.h"

#define LOG_MODULE "fs"

/* A close(2) has returned before the daemon hears of it: for all of them
 * together so long. */
#define GRACE_NS NS_PER_S
#define ASK_AGAIN_NS (10 * NS_PER_MS)

static const char *const in_use = "open";
static const char *const mapped = "mapped by a process";

/* Why its bytes cannot be done without; NULL: they can.  busy is held. */
static const char *why_not(struct fs *fs, const struct inode *in)
{
	const char *why;
	bool at_risk;

	if (in->live && in->live->nopen)
		return in_use;
	if (in->live && in->live->writing)
		return mapped;
	if (is_watched(fs, in->ino))
		return "being prefetched";
	if (in->state == META_PUBLISHED && in->key)
		return NULL;
	if (loose_state(in, &why, &at_risk))
		return why;
	return "not in the bucket yet: 'ckptfs sync' waits for it";
}

/* NULL: nothing of it is here (any more). */
static const char *let_go(struct fs *fs, struct inode *in, uint64_t *ret_bytes)
{
	const char *why;
	uint64_t bytes = in->size;
	int r;

	*ret_bytes = 0;
	if (!in->parent || !in->vid)
		return NULL;
	why = why_not(fs, in);
	if (why)
		return why;
	if (in->live) { /* a download that nobody reads any more */
		if (in->live->fetch)
			bytes = fetch_progress(in->live->fetch);
		live_drop(fs, in);
	}
	r = evict_one(fs, in);
	if (r == -EAGAIN)
		return mapped;
	if (r == -EBUSY) /* what settled just now left it unpublished */
		return in_use;
	if (r < 0)
		return strerror(-r);
	*ret_bytes = bytes;
	return NULL;
}

static bool may_end_by_itself(const char *why)
{
	return why == in_use || why == mapped;
}

static void pause_until(struct fs *fs, int64_t end)
{
	lock_acquire(&fs->busy_lock);
	while (thr_wait(fs->host->thr, &fs->busy_lock, &fs->busy_cond, end) ==
	       0)
		;
	lock_release(&fs->busy_lock);
}

/* Until grace_end who has just closed it is waited for. */
static const char *evict_file(struct fs *fs, struct inode *in,
			      int64_t grace_end, uint64_t *ret_bytes)
{
	const char *why;
	int64_t now;

	for (;;) {
		why = in_use;
		if (busy_begin_until(fs, in, grace_end)) {
			why = let_go(fs, in, ret_bytes);
			busy_end(fs, in);
		}
		now = clk_mono(fs->host->clk);
		if (!why || !may_end_by_itself(why) || now >= grace_end)
			return why;
		pause_until(fs, now + ASK_AGAIN_NS);
	}
}

/* Those with nothing here need not be looked at. */
static void count(struct bulk *b)
{
	struct inode *in;
	size_t i, n = 0;

	for (i = 0; i < b->n; i++) {
		in = inode_get(b->fs, b->ino[i]);
		if (!in)
			continue;
		lock_acquire(&b->fs->ns);
		if (in->vid) {
			b->ino[n++] = in->ino;
			b->sums->files++;
			b->sums->bytes += in->size;
		}
		lock_release(&b->fs->ns);
		inode_put(b->fs, in);
	}
	b->n = n;
}

static int evict_all(struct bulk *b)
{
	int64_t grace_end = clk_mono(b->fs->host->clk) + GRACE_NS;
	const char *why;
	struct inode *in;
	uint64_t bytes = 0;
	size_t i;
	int r = 0;

	for (i = 0; i < b->n; i++) {
		r = bulk_tick(b);
		if (r < 0)
			break;
		in = inode_get(b->fs, b->ino[i]);
		if (!in)
			continue;
		why = evict_file(b->fs, in, grace_end, &bytes);
		if (why)
			bulk_refuse(b, in, why);
		b->sums->done_files += !why;
		b->sums->done_bytes += why ? 0 : bytes;
		inode_put(b->fs, in);
	}
	return r;
}

int fs_evict(struct fs *fs, const char *path, const struct fs_bulk *how,
	     struct fs_bulk_sums *ret)
{
	struct bulk b;
	int r, e = 0;

	bulk_begin(&b, fs, how, ret);
	r = bulk_walk(&b, path, false);
	if (r == 0) {
		count(&b);
		r = evict_all(&b);
	}
	/* The space is free when this returns. */
	if (ret->done_files)
		e = barrier_bury_now(fs->barrier, CLK_NEVER);
	bulk_end(&b);
	return r < 0 ? r : e;
}
