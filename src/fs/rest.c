/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that only readers have open any more is at rest, too.
 *
 * Who waits for its last close would wait as long as somebody reads it, and
 * with him everything that came later in the line.  Whether a mapping still
 * writes the lease tells: readers, and what the kernel reads by, are none.
 */
#include "config.h"

#include <errno.h>

#include "internal.h"

#define LOG_MODULE "fs"

int rest_ask(struct fs *fs, struct inode *in, struct disk_stat *ret)
{
	struct live *l = in->live;
	int r;

	cache_blob_close(fs->cache, l->wfd);
	l->wfd = -1;
	r = live_open_blob(fs, in, false);
	if (r == 0 && l->ver.passthrough)
		r = disk_lease(fs->host->disk, l->rfd, DISK_LEASE_READ);
	if (r == -EOPNOTSUPP)
		r = 0;
	return r < 0 ? r : disk_stat(fs->host->disk, l->rfd, ret);
}

static bool has_moved(const struct live *l, const struct disk_stat *st)
{
	return l->fresh || st->size != l->clean_size ||
	       st->ctime_ns != l->clean_ctime;
}

static int seal(struct fs *fs, struct inode *in, const struct disk_stat *st)
{
	struct live *l = in->live;
	int r = 0;

	if (has_moved(l, st))
		r = seal_file(fs, in, true);
	else if (l->ver.provisional)
		r = seal_final(fs, in);
	else if (l->ver.state == META_UNFINISHED)
		return 0; /* as it was: the last close goes back to that */
	if (r < 0)
		return r;
	/* The next writer is the first again, and parts from what is sealed. */
	lock_acquire(&fs->ns);
	l->writing = false;
	lock_release(&fs->ns);
	return 0;
}

int64_t rest_settle(struct fs *fs, struct inode *in)
{
	int64_t now = clk_mono(fs->host->clk);
	struct live *l = in->live;
	struct disk_stat st;
	int r;

	/* While readers may ask a download, the file is not let go of. */
	if (!l->writing || l->nwrite || l->fetch || !inode_parent(fs, in))
		return CLK_NEVER;
	if (l->asking && now < l->ask_at)
		return l->ask_at - now;
	r = rest_ask(fs, in, &st);
	if (r == 0) {
		l->asking = false;
		r = seal(fs, in, &st);
	}
	if (r == 0)
		return CLK_NEVER;
	ask_later(fs, in);
	return l->ask_at - now;
}

int rest_word(struct fs *fs, struct inode *in)
{
	const struct live *l = in->live;
	struct disk_stat st;

	if (!l->writing || l->nwrite || l->fetch || !inode_parent(fs, in) ||
	    l->ver.state != META_SEALED || !l->ver.provisional)
		return 0;
	/* Mapped still, or changed: it goes on as what it is. */
	if (rest_ask(fs, in, &st) < 0 || has_moved(l, &st))
		return 0;
	return seal(fs, in, &st);
}
