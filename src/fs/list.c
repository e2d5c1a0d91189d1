/* SPDX-License-Identifier: Apache-2.0 */
/* When a folder is listed: once per metadata_ttl, one listing at a time, and
 * what waits for it. */
#include "config.h"

#include <errno.h>

#include "internal.h"

/* For so long nobody waits again for a store that let one wait in vain. */
#define SLOW_NS (10 * NS_PER_S)

static int list_now(struct fs *fs, struct inode *dir)
{
	int64_t began = clk_mono(fs->host->clk);
	int tries = 0, r;

	do {
		r = tries++ < 4 ? list_once(fs, dir) : -EAGAIN;
	} while (r == 0);
	lock_acquire(&fs->busy_lock);
	dir->tried_ns = began;
	if (r > 0) {
		dir->listed_ns = began;
		dir->listing_ns = clk_mono(fs->host->clk) - began;
	}
	fs->list_down_until = r < 0 && r != -ESTALE ?
				      clk_mono(fs->host->clk) +
					      fs->opts.metadata_ttl_ns :
				      0;
	lock_release(&fs->busy_lock);
	return r < 0 ? r : 0;
}

/* One listing of a folder at a time; whoever comes meanwhile shares it. */
int dir_refresh_now(struct fs *fs, struct inode *dir)
{
	int64_t now = clk_mono(fs->host->clk);
	bool due;
	int r = 0;

	lock_acquire(&fs->busy_lock);
	while (dir->listing)
		(void)thr_wait(fs->host->thr, &fs->busy_lock, &fs->busy_cond,
			       CLK_NEVER);
	dir->listing = true;
	due = !dir->listed_ns || dir->listed_ns < now;
	lock_release(&fs->busy_lock);
	if (due)
		r = list_now(fs, dir);
	lock_acquire(&fs->busy_lock);
	dir->listing = false;
	thr_wake(&fs->busy_cond);
	lock_release(&fs->busy_lock);
	return r;
}

int dir_listed_since(struct fs *fs, struct inode *dir, int64_t since,
		     int64_t end)
{
	int r = -ETIMEDOUT;

	lock_acquire(&fs->busy_lock);
	while ((dir->listing || dir->tried_ns < since) &&
	       thr_wait(fs->host->thr, &fs->busy_lock, &fs->busy_cond, end) == 0)
		;
	if (dir->listed_ns >= since)
		r = 0;
	else if (dir->tried_ns >= since)
		r = -EIO;
	lock_release(&fs->busy_lock);
	return r;
}

/* A listing that is known is waited for a moment only, and not at all while
 * the store does not answer, or did not in the last such moment: the job never
 * waits for the cloud. */
static void await_listing(struct fs *fs, struct inode *dir, int64_t now)
{
	int64_t end = now + NS_PER_S;
	bool done;

	attn_add(fs, dir);
	lock_acquire(&fs->busy_lock);
	do {
		done = dir->listed_ns >= now || fs->list_down_until > now;
	} while (!done && thr_wait(fs->host->thr, &fs->busy_lock,
				   &fs->busy_cond, end) == 0);
	if (!done && dir->listed_ns < now)
		fs->list_down_until = clk_mono(fs->host->clk) + SLOW_NS;
	lock_release(&fs->busy_lock);
}

/* A listing as old as ttl_ns is renewed; must: and waited for. */
static int refresh(struct fs *fs, struct inode *dir, bool must, int64_t ttl_ns)
{
	int64_t now = clk_mono(fs->host->clk);
	bool fresh, known;
	int r = 0;

	lock_acquire(&fs->busy_lock);
	known = dir->listed_ns != 0;
	fresh = known && now - dir->listed_ns < ttl_ns;
	lock_release(&fs->busy_lock);
	if (fresh)
		return 0;
	if (!must || dir->own) {
		attn_add(fs, dir);
		return 0;
	}
	if (known) {
		await_listing(fs, dir, now);
		return 0;
	}
	r = dir_refresh_now(fs, dir);
	return r == 0 || r == -ENOMEM ? r : -EIO;
}

/*
 * must: the caller needs names it may not have.  A folder made here is never
 * waited for: its listing is renewed beside.  Where the store does not answer,
 * what is known stands; only a folder never listed is an error.
 */
int dir_refresh(struct fs *fs, struct inode *dir, bool must)
{
	return refresh(fs, dir, must, fs->opts.metadata_ttl_ns);
}

/*
 * The same for a name that is not there, as before each file that a job makes.
 * Those of a folder made here are ours, and so are those that are not.  A
 * listing that takes long is asked for the less often: else a job that makes
 * files in a large folder would do nothing but wait for it.
 */
int dir_refresh_missing(struct fs *fs, struct inode *dir)
{
	int64_t ttl = fs->opts.negative_ttl_ns, seldom;

	lock_acquire(&fs->busy_lock);
	seldom = 10 * dir->listing_ns;
	lock_release(&fs->busy_lock);
	if (seldom > fs->opts.metadata_ttl_ns)
		seldom = fs->opts.metadata_ttl_ns;
	if (dir->own)
		ttl = fs->opts.metadata_ttl_ns;
	else if (ttl && ttl < seldom)
		ttl = seldom;
	return refresh(fs, dir, true, ttl);
}
