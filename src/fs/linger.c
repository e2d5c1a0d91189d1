/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "internal.h"
#include "linger.h"

#define LOG_MODULE "fs"

#define LINGER_NS (30 * NS_PER_S)
#define LINGER_MAX 256 /* each has two descriptors */
#define REST_MAX (UINT64_C(8) << 20) /* a request: comes after the last close */

static void set_until(struct fs *fs, struct inode *in, int64_t until)
{
	unsigned n;

	lock_acquire(&fs->ns); /* whoever evicts looks at it */
	n = (until != 0) - (in->live->linger_until != 0);
	in->live->linger_until = until;
	lock_release(&fs->ns);
	lock_acquire(&fs->count_lock);
	fs->lingering += n;
	lock_release(&fs->count_lock);
}

static bool too_many(struct fs *fs)
{
	bool yes;

	lock_acquire(&fs->count_lock);
	yes = fs->lingering >= LINGER_MAX;
	lock_release(&fs->count_lock);
	return yes;
}

void linger_end(struct fs *fs, struct inode *in)
{
	if (in->live->linger_until)
		set_until(fs, in, 0);
}

void linger_begin(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;

	if (l->linger_until || is_watched(fs, in->ino))
		return;
	if (l->ver.size - fetch_progress(l->fetch) <= REST_MAX) {
		fetch_want_all(l->fetch, true);
		return; /* the janitor is told */
	}
	if (too_many(fs)) {
		linger_give_up(fs, in);
		return;
	}
	set_until(fs, in, clk_mono(fs->host->clk) + LINGER_NS);
	attn_add(fs, in);
}

int64_t linger_look(struct fs *fs, struct inode *in)
{
	int64_t now = clk_mono(fs->host->clk);

	if (!in->live || !in->live->linger_until)
		return CLK_NEVER;
	if (now < in->live->linger_until)
		return in->live->linger_until - now;
	linger_give_up(fs, in);
	return CLK_NEVER;
}

void linger_give_up(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;

	if (!l || l->nopen || l->writing || !l->fetch || l->ver.complete ||
	    is_watched(fs, in->ino))
		return;
	live_drop(fs, in);
	/* One that was unlinked is the janitor's. */
	if (in->parent && evict_one(fs, in) < 0)
		log_debug("a download given up leaves its blob");
}

uint64_t reader_of(const struct fs_file *file)
{
	return (uint64_t)(uintptr_t)file;
}

void reader_leave(const struct fs_file *file)
{
	const struct live *l = file->in->live;

	if (l->fetch)
		fetch_leave(l->fetch, reader_of(file));
}

void reader_flush(struct fs *fs, const struct fs_ctx *ctx,
		  const struct fs_file *file)
{
	struct fs_who who = { .tgid = ctx->pid };
	struct live *l;

	/* a process that was made since closes what it inherited */
	if (fs->kernel.who)
		fs->kernel.who(fs->kernel.arg, ctx->pid, &who);
	if (!who.tgid || who.tgid != file->tgid)
		return;
	busy_begin(fs, file->in);
	l = file->in->live;
	if (l->fetch && !fetch_settled(l->fetch))
		reader_leave(file);
	busy_end(fs, file->in);
}
