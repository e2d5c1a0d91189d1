/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to be done later: asking for leases again, making a quiet open
 * file's seal final, publishing what kept a temporary name too long, finished
 * downloads, snapshots of logs.  And, on a worker of its own because
 * it waits for the store: listing folders again.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "internal.h"
#include "linger.h"

#define LOG_MODULE "fs"

static int64_t min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/*
 * A seal whose handles stay open, as a shell's redirection leaves them: final
 * if they can only write and do not for long enough; withdrawn soon after
 * they do, since all that came later waits for it.
 */
static int64_t settle_held_open(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;
	int64_t now = clk_mono(fs->host->clk), due;
	struct disk_stat st;

	if (!in->provisional || !l->nwrite)
		return CLK_NEVER;
	if (live_stat(fs, in, &st) < 0)
		return CLK_NEVER;
	if (st.size != l->clean_size || st.ctime_ns != l->clean_ctime) {
		/* It moved: nobody is to wait for it. */
		l->clean_size = st.size;
		l->clean_ctime = st.ctime_ns;
		l->fresh = true;
		(void)seal_withdraw(fs, in);
		return CLK_NEVER;
	}
	due = l->still_since + fs->opts.held_open_delay_ns;
	if (l->not_wronly || now < due)
		return l->not_wronly ? NS_PER_S : min64(due - now, NS_PER_S);
	(void)seal_final(fs, in);
	return CLK_NEVER;
}

/* A log that stays open is published as a prefix, now and then. */
static int64_t snapshot(struct fs *fs, struct inode *in)
{
	char key[META_KEY_MAX + 1];
	struct live *l = in->live;
	int64_t now = clk_mono(fs->host->clk), due;
	struct disk_stat st;

	if (!l->writing || !l->nwrite || !inode_parent(fs, in) ||
	    key_of_inode(fs, in, key) < 0 ||
	    (l->not_append && !key_is_live(fs, key)))
		return CLK_NEVER;
	due = l->snapped_at +
	      transfer_log_pause(fs->transfer, key, l->clean_size);
	if (now < due)
		return due - now;
	l->snapped_at = now;
	if (live_stat(fs, in, &st) == 0 && st.size > 0 &&
	    (l->fresh || st.size != l->clean_size ||
	     st.ctime_ns != l->clean_ctime))
		(void)seal_file(fs, in, true);
	return fs->opts.transfer.upload_interval_ns;
}

/* How much longer it is held back under a temporary name; CLK_NEVER: it is
 * not. */
static int64_t held_for(struct fs *fs, const struct inode *in)
{
	int64_t left = CLK_NEVER;

	lock_acquire(&fs->ns);
	if (in->held && in->parent)
		left = in->sealed_real_ns +
		       fs->opts.transfer.upload_max_delay_ns -
		       clk_real(fs->host->clk);
	lock_release(&fs->ns);
	return left;
}

/* A temporary name that nobody renamed is published after all. */
static int64_t release_held(struct fs *fs, struct inode *in)
{
	char key[META_KEY_MAX + 1];
	struct meta_version v;
	int64_t left = held_for(fs, in);
	uint64_t seq = 0;
	int r;

	if (left > 0)
		return left;
	r = tx_begin(fs);
	if (r < 0)
		return NS_PER_S;
	if (held_for(fs, in) == CLK_NEVER) /* renamed just now */
		return tx_end(fs, 0, 0, false) < 0 ? NS_PER_S : CLK_NEVER;
	r = meta_version_get(fs->meta, in->vid, &v);
	if (r == 0)
		r = key_of_inode(fs, in, key);
	if (r == 0)
		r = held_put(fs, in->ino, &v, key, &seq);
	r = tx_commit(fs, r);
	if (r == 0) {
		lock_acquire(&fs->ns);
		inode_let_go(in, seq);
		lock_release(&fs->ns);
	}
	r = tx_close(fs, r, 0, true);
	return r < 0 ? NS_PER_S : CLK_NEVER;
}

/* A download that has ended is made durable, and who waits for it is told. */
static void settle_download(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;
	int r = live_complete(fs, in);

	if (r < 0)
		log_warn("a download could not be made durable: it will be "
			 "fetched again");
	if (l->fetch && fetch_settled(l->fetch))
		watch_tell(fs, in->ino,
			   r < 0 ? -EIO : fetch_outcome(l->fetch));
}

/* How long until this one wants to be looked at again. */
static int64_t look(struct fs *fs, struct inode *in)
{
	int64_t now = clk_mono(fs->host->clk), next = CLK_NEVER;
	struct live *l = in->live;

	if (!l && !inode_parent(fs, in))
		return seal_settle(fs, in) < 0 ? NS_PER_S : CLK_NEVER;
	if (l && !l->writing)
		settle_download(fs, in);
	if (l && l->nopen == 0) {
		if (l->asking && now < l->ask_at)
			return l->ask_at - now;
		if (seal_settle(fs, in) < 0 && in->live)
			ask_later(fs, in);
		if (in->live && in->live->asking)
			next = in->live->ask_at - now;
		next = min64(next, linger_look(fs, in));
	} else if (l) {
		next = min64(settle_held_open(fs, in), snapshot(fs, in));
		next = min64(next, rest_settle(fs, in));
	}
	return min64(next, release_held(fs, in));
}

int64_t janitor_step(void *arg)
{
	struct fs *fs = arg;
	int64_t next = attn_left(fs, CLK_NEVER), t;
	struct inode *in, *rest;

	if (next > 0)
		return next;
	next = CLK_NEVER;
	for (in = attn_take(fs, false); in; in = rest) {
		rest = in->next_taken;
		t = NS_PER_MS;
		if (busy_try(fs, in)) {
			t = look(fs, in);
			busy_end(fs, in);
		}
		if (t != CLK_NEVER)
			attn_keep(fs, in);
		next = min64(next, t < 100000 ? 100000 : t);
		inode_put(fs, in);
	}
	return attn_left(fs, next);
}

int64_t lister_step(void *arg)
{
	struct fs *fs = arg;
	struct inode *in = attn_take(fs, true), *rest;

	for (; in; in = rest) {
		rest = in->next_taken;
		if (inode_parent(fs, in) || in->ino == FS_ROOT_INO)
			(void)dir_refresh_now(fs, in);
		inode_put(fs, in);
	}
	return names_trim(fs);
}
