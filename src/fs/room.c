/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room on the cache disk: who may write, who waits.  The choice is
 * space_choose()'s; one worker, the keeper, looks at the disk now and then,
 * evicts, and leaves its verdict for the others, so that a write costs a
 * comparison.  Who may not go on looks again by himself.
 */
#include "config.h"

#include <errno.h>

#include "internal.h"
#include "used.h"

#define LOG_MODULE "fs"

#define OPEN_BELIEVES_NS (100 * NS_PER_MS)
#define STEP_MOST (UINT64_C(16) << 20)
#define WAIT_NS (20 * NS_PER_MS)

/* Bytes that are only here. */
uint64_t dirty_bytes(struct fs *fs)
{
	struct inode *in, *tmp;
	uint64_t sum = 0;

	lock_acquire(&fs->ns);
	HASH_ITER(hh, fs->inodes, in, tmp) {
		if (in->kind == META_FILE && in->vid &&
		    in->state != META_PUBLISHED)
			sum += in->size;
	}
	lock_release(&fs->ns);
	return sum;
}

/* Something is on its way to the bucket, so waiting makes sense. */
static bool can_drain(struct fs *fs)
{
	struct transfer_stats ts;

	transfer_stats(fs->transfer, &ts);
	return ts.can_drain;
}

/* Look at the disk and choose; nothing held.  An error: it does not say, and
 * what was chosen last stands. */
static int look(struct fs *fs)
{
	struct space_now now = { .cache_size = fs->opts.cache_size,
				 .min_free = fs->opts.cache_min_free,
				 .full_enospc = fs->opts.full_enospc };
	struct space_choice choice;
	struct disk_space sp;
	uint64_t kept, step;
	int r = disk_space(fs->host->disk, &sp);

	if (r < 0)
		return r;
	now.total = sp.total;
	now.avail = sp.avail;
	lock_acquire(&fs->count_lock);
	now.clean = kept = fs->room.kept;
	now.writers = fs->room.writers ? fs->room.writers : fs->room.lately;
	now.rate = fs->room.rate;
	now.going = fs->room.going;
	lock_release(&fs->count_lock);
	space_choose(&now, &choice);
	if (choice.evict || choice.open != SPACE_GO ||
	    (now.cache_size && kept >= now.cache_size)) {
		/* Now it matters what of it is clean. */
		now.clean = evictable(fs, INT64_MAX);
		now.in_use = bytes_in_use(fs);
		now.dirty = kept > now.clean ? kept - now.clean : 0;
		now.dirty -= now.in_use < now.dirty ? now.in_use : now.dirty;
		now.may_upload = can_drain(fs);
		space_choose(&now, &choice);
	}
	step = now.avail > SPACE_FLOOR ? (now.avail - SPACE_FLOOR) / 8 : 0;
	lock_acquire(&fs->count_lock);
	fs->room.choice = choice;
	fs->room.looked_ns = clk_mono(fs->host->clk);
	fs->room.unseen = 0;
	fs->room.step = step < STEP_MOST ? step : STEP_MOST;
	lock_release(&fs->count_lock);
	return 0;
}

enum what { TO_OPEN, TO_WRITE };

static enum space_verdict verdict(struct fs *fs, enum what what)
{
	enum space_verdict v;

	lock_acquire(&fs->count_lock);
	v = what == TO_OPEN ? fs->room.choice.open : fs->room.choice.write;
	lock_release(&fs->count_lock);
	return v;
}

/* Once, until there is room again. */
static void say_full(struct fs *fs, bool full)
{
	bool say;

	lock_acquire(&fs->count_lock);
	say = full && !fs->room.said_full;
	fs->room.said_full = full;
	lock_release(&fs->count_lock);
	if (say)
		log_warn("the cache is full of data that is not in the bucket "
			 "yet: writers get ENOSPC; see 'ckptfs status'");
}

static int wait_for_room(struct fs *fs, enum what what)
{
	enum space_verdict v;
	int64_t end;
	bool stopping;

	for (;;) {
		if (look(fs) < 0)
			return 0; /* it will tell who writes */
		v = verdict(fs, what);
		say_full(fs, v == SPACE_FULL);
		if (v != SPACE_WAIT)
			return v == SPACE_FULL ? -ENOSPC : 0;
		thr_kick(fs->keeper);
		end = clk_mono(fs->host->clk) + WAIT_NS;
		lock_acquire(&fs->busy_lock);
		/* Much else wakes this one: the time is up, or nothing is. */
		do {
			stopping = fs->stopping;
		} while (!stopping &&
			 thr_wait(fs->host->thr, &fs->busy_lock, &fs->busy_cond,
				  end) == 0);
		lock_release(&fs->busy_lock);
		if (stopping)
			return -EIO;
	}
}

int room_for_open(struct fs *fs)
{
	int64_t now = clk_mono(fs->host->clk);
	bool go;

	lock_acquire(&fs->count_lock);
	go = fs->room.choice.open == SPACE_GO && fs->room.looked_ns &&
	     now - fs->room.looked_ns < OPEN_BELIEVES_NS &&
	     (!fs->opts.cache_size || fs->room.kept < fs->opts.cache_size);
	lock_release(&fs->count_lock);
	return go ? 0 : wait_for_room(fs, TO_OPEN);
}

int room_for_bytes(struct fs *fs, size_t n)
{
	bool go;

	lock_acquire(&fs->count_lock);
	fs->room.unseen += n;
	go = fs->room.choice.write == SPACE_GO &&
	     fs->room.unseen <= fs->room.step;
	lock_release(&fs->count_lock);
	return go ? 0 : wait_for_room(fs, TO_WRITE);
}

bool room_is_ample(struct fs *fs)
{
	bool ample;

	lock_acquire(&fs->count_lock);
	ample = !fs->room.choice.ordinary;
	lock_release(&fs->count_lock);
	return ample;
}

void room_writer(struct fs *fs, int delta)
{
	bool first;

	lock_acquire(&fs->count_lock);
	fs->room.writers += (unsigned)delta;
	first = delta > 0 && fs->room.writers == 1 && !fs->room.lately;
	fs->room.came |= delta > 0;
	lock_release(&fs->count_lock);
	if (first)
		thr_kick(fs->keeper); /* it looks more often now */
}

static void measure(struct fs *fs, uint64_t freed)
{
	struct disk_space sp;
	uint64_t rate;

	if (disk_space(fs->host->disk, &sp) < 0)
		return;
	rate = space_rate(&fs->rate, clk_mono(fs->host->clk), sp.avail, freed);
	lock_acquire(&fs->count_lock);
	fs->room.rate = rate;
	lock_release(&fs->count_lock);
}

/* What the barrier lets go of now is free from here on. */
static uint64_t let_go(struct fs *fs, uint64_t need, int64_t before)
{
	uint64_t got = evict(fs, need, before);

	if (!got)
		return 0;
	lock_acquire(&fs->count_lock);
	fs->room.going += got;
	lock_release(&fs->count_lock);
	if (barrier_bury_now(fs->barrier, CLK_NEVER) < 0)
		log_debug("evicted space is not free yet");
	return got;
}

/* How things stand for n bytes from the bucket: true if they just fit. */
static bool room_now(struct fs *fs, uint64_t n, int64_t before,
		     struct space_now *now)
{
	struct disk_space sp = { .total = 0 };

	*now = (struct space_now){ .cache_size = fs->opts.cache_size,
				   .min_free = fs->opts.cache_min_free };
	if (disk_space(fs->host->disk, &sp) < 0)
		return true; /* who writes them will see */
	now->total = sp.total;
	now->avail = sp.avail;
	lock_acquire(&fs->count_lock);
	now->dirty = fs->room.kept;
	now->going = fs->room.going;
	lock_release(&fs->count_lock);
	if (n <= space_more(now))
		return true;
	now->clean = evictable(fs, before);
	now->dirty -= now->clean < now->dirty ? now->clean : now->dirty;
	return false;
}

bool room_fits(struct fs *fs, uint64_t n, int64_t before, uint64_t *ret_most)
{
	struct space_now now;

	if (room_now(fs, n, before, &now))
		return true;
	*ret_most = space_more(&now);
	return n <= *ret_most;
}

int room_make(struct fs *fs, uint64_t n, int64_t before, uint64_t *ret_most)
{
	struct space_choice choice;
	struct space_now now;
	uint64_t most;

	if (room_now(fs, n, before, &now))
		return 0;
	most = space_more(&now);
	if (n <= most) {
		now.writers = 1;
		now.rate = n;
		space_choose(&now, &choice);
		if (let_go(fs, choice.evict, before) >= choice.evict)
			return 0;
		most = 0; /* what could go is in use */
	}
	*ret_most = most;
	return -ENOSPC;
}

int64_t keeper_step(void *arg)
{
	struct fs *fs = arg;
	uint64_t freed, need;
	int64_t again;

	lock_acquire(&fs->count_lock);
	freed = fs->room.going;
	fs->room.going = 0;
	fs->room.lately = fs->room.came || fs->room.writers;
	fs->room.came = false;
	lock_release(&fs->count_lock);
	measure(fs, freed);
	(void)!look(fs);
	lock_acquire(&fs->count_lock);
	need = fs->room.choice.evict;
	again = fs->room.choice.again_ns;
	lock_release(&fs->count_lock);
	if (need)
		(void)let_go(fs, need, INT64_MAX);
	used_write_due(fs);
	return again ? again : NS_PER_S; /* the disk has never said */
}
