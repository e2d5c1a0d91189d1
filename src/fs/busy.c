/* SPDX-License-Identifier: Apache-2.0 */
/* The busy flag: a lock on one inode's open state that may be held while the
 * disk or the store is waited for. */
#include "config.h"

#include "internal.h"

void busy_begin(struct fs *fs, struct inode *in)
{
	lock_acquire(&fs->busy_lock);
	while (in->busy)
		(void)thr_wait(fs->host->thr, &fs->busy_lock, &fs->busy_cond,
			       CLK_NEVER);
	in->busy = true;
	lock_release(&fs->busy_lock);
}

bool busy_begin_until(struct fs *fs, struct inode *in, int64_t end)
{
	bool got;

	lock_acquire(&fs->busy_lock);
	while (in->busy && thr_wait(fs->host->thr, &fs->busy_lock,
				    &fs->busy_cond, end) == 0)
		;
	got = !in->busy;
	if (got)
		in->busy = true;
	lock_release(&fs->busy_lock);
	return got;
}

bool busy_try(struct fs *fs, struct inode *in)
{
	bool got;

	lock_acquire(&fs->busy_lock);
	got = !in->busy;
	if (got)
		in->busy = true;
	lock_release(&fs->busy_lock);
	return got;
}

void busy_end(struct fs *fs, struct inode *in)
{
	lock_acquire(&fs->busy_lock);
	in->busy = false;
	thr_wake(&fs->busy_cond);
	lock_release(&fs->busy_lock);
}

void busy_pause(struct fs *fs, struct inode *in, int64_t end)
{
	lock_acquire(&fs->busy_lock);
	in->busy = false;
	thr_wake(&fs->busy_cond);
	(void)thr_wait(fs->host->thr, &fs->busy_lock, &fs->busy_cond, end);
	lock_release(&fs->busy_lock);
	busy_begin(fs, in);
}

/* So long may wait what nobody waits for: then one look is for many. */
#define SOON_NS (10 * NS_PER_MS)

static void push_locked(struct fs *fs, struct inode *in) REQUIRES(fs->ns)
{
	struct inode **list = in->kind == META_DIR ? &fs->stale : &fs->attn;

	if (in->on_attn)
		return;
	in->on_attn = true;
	in->next_attn = *list;
	*list = in;
}

void attn_add(struct fs *fs, struct inode *in)
{
	struct thr_worker *w;

	lock_acquire(&fs->ns);
	/* One that is on the list already may be there for much later. */
	push_locked(fs, in);
	w = in->kind == META_DIR ? fs->lister : fs->janitor;
	if (in->kind != META_DIR)
		fs->attn_at = 0;
	if (w)
		thr_kick(w);
	lock_release(&fs->ns);
}

void attn_add_soon(struct fs *fs, struct inode *in)
{
	int64_t at = clk_mono(fs->host->clk) + SOON_NS;

	lock_acquire(&fs->ns);
	push_locked(fs, in);
	if (at < fs->attn_at)
		fs->attn_at = at;
	if (at < fs->attn_wake && fs->janitor)
		thr_kick(fs->janitor);
	lock_release(&fs->ns);
}

void attn_keep(struct fs *fs, struct inode *in)
{
	lock_acquire(&fs->ns);
	push_locked(fs, in);
	lock_release(&fs->ns);
}

/* How long the janitor sleeps, which kept something that is due after next
 * (CLK_NEVER: nothing). */
int64_t attn_left(struct fs *fs, int64_t next)
{
	int64_t now = clk_mono(fs->host->clk), left;

	lock_acquire(&fs->ns);
	if (next < CLK_NEVER - now && now + next < fs->attn_at)
		fs->attn_at = now + next;
	left = fs->attn_at == CLK_NEVER ? CLK_NEVER :
	       fs->attn_at > now	? fs->attn_at - now :
					  0;
	fs->attn_wake = left ? fs->attn_at : 0;
	lock_release(&fs->ns);
	return left;
}

/* Each is pinned; the taker puts it back by inode_put(). */
struct inode *attn_take(struct fs *fs, bool folders)
{
	struct inode **list = folders ? &fs->stale : &fs->attn, *all, *in;

	lock_acquire(&fs->ns);
	if (!folders)
		fs->attn_at = CLK_NEVER;
	all = *list;
	*list = NULL;
	for (in = all; in; in = in->next_attn) {
		in->on_attn = false;
		in->next_taken = in->next_attn;
		in->pins++;
	}
	lock_release(&fs->ns);
	return all;
}
