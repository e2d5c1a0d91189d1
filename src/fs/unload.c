/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of folders that nobody has looked at for long leave the memory:
 * they are rows, and loaded again when somebody looks.  What is open, waits for
 * the bucket or has bytes here stays, and so do folders: a path is made of
 * those above.  The kernel is asked to forget first; what it does not forget
 * stays, too.
 */
#include "config.h"

#include <stdlib.h>

#include "internal.h"

#define LOG_MODULE "fs"
#define PAUSE_NS NS_PER_S

struct old {
	uint64_t ino;
	int64_t looked_ns;
};

static int by_age(const void *a, const void *b)
{
	const struct old *x = a, *y = b;

	return x->looked_ns < y->looked_ns ? -1 : x->looked_ns > y->looked_ns;
}

/* Nothing but its row says anything of it; fs->ns held. */
static bool is_idle(const struct inode *in, const struct inode *dir)
{
	return (in->kind == META_FILE || in->kind == META_SYMLINK) &&
	       in->parent == dir->ino && !in->pins && !in->live &&
	       !in->on_attn && !in->vid && !in->seal_seq && !in->held &&
	       !in->provisional && !in->kept && !in->orphaned &&
	       !in->replaced && !in->said_both &&
	       in->atime_ns == in->mtime_ns;
}

/* How many of a folder's names could go, and have the kernel forget those that
 * only it remembers. */
static size_t count_idle(struct fs *fs, struct inode *dir, bool ask)
{
	struct dentry *d, *tmp;
	struct inode *in;
	size_t n = 0;

	lock_acquire(&fs->ns);
	HASH_ITER(hh, dir->children, d, tmp) {
		HASH_FIND(hh, fs->inodes, &d->ino, sizeof(d->ino), in);
		if (!in || !is_idle(in, dir))
			continue;
		if (!in->nlookup)
			n++;
		else if (ask && fs->kernel.forget_entry)
			fs->kernel.forget_entry(fs->kernel.arg, dir->ino,
						d->name);
	}
	lock_release(&fs->ns);
	return n;
}

/* META is held: nobody is about to use what he found by its number. */
static size_t drop_names(struct fs *fs, struct inode *dir)
{
	struct dentry *d, *tmp;
	struct inode *in;
	size_t n = 0;

	lock_acquire(&fs->ns);
	/* Whoever works in it has it pinned, as we have. */
	if (dir->pins > 1 || !dir->loaded)
		goto out;
	dir->loaded = false;
	HASH_ITER(hh, dir->children, d, tmp) {
		HASH_FIND(hh, fs->inodes, &d->ino, sizeof(d->ino), in);
		HASH_DEL(dir->children, d);
		free(d);
		if (!in || in->nlookup || !is_idle(in, dir))
			continue;
		HASH_DEL(fs->inodes, in);
		inode_free(in);
		n++;
	}
out:
	lock_release(&fs->ns);
	return n;
}

static size_t unload(struct fs *fs, uint64_t ino)
{
	struct inode *dir = inode_get(fs, ino);
	size_t all, n = 0;

	if (!dir)
		return 0;
	lock_acquire(&fs->ns);
	all = HASH_COUNT(dir->children);
	lock_release(&fs->ns);
	/* What would be loaded again for a few is better left. */
	if (count_idle(fs, dir, true) >= all - all / 4 && tx_begin(fs) == 0) {
		n = drop_names(fs, dir);
		(void)tx_end(fs, 0, 0, false);
	}
	inode_put(fs, dir);
	return n;
}

struct inode *inode_get_row(struct fs *fs, uint64_t ino)
{
	struct inode *in = inode_get(fs, ino);
	struct meta_inode row;
	int r;

	if (in || tx_begin(fs) < 0)
		return in;
	r = meta_inode_get(fs->meta, ino, &row);
	if (r == 0 && row.parent)
		r = inode_from_row(fs, &row, &in);
	if (r == 0 && in)
		r = inode_load_version(fs, in);
	in = r == 0 && in ? inode_get(fs, ino) : NULL;
	(void)tx_end(fs, 0, 0, false);
	return in;
}

/* The folders whose names are here, those not looked at for longest first. */
static struct old *folders_by_age(struct fs *fs, size_t *ret_n)
{
	struct inode *in, *tmp;
	struct old *v = NULL;
	size_t n = 0, cap = 0;

	lock_acquire(&fs->ns);
	HASH_ITER(hh, fs->inodes, in, tmp) {
		if (in->kind != META_DIR || !in->children || in->pins)
			continue;
		if (n == cap) {
			struct old *p;

			cap = cap ? cap * 2 : 256;
			p = realloc(v, cap * sizeof(*p));
			if (!p)
				break; /* those will do */
			v = p;
		}
		v[n++] = (struct old){ in->ino, in->looked_ns };
	}
	lock_release(&fs->ns);
	if (n)
		qsort(v, n, sizeof(*v), by_age);
	*ret_n = n;
	return v;
}

static size_t count_names(struct fs *fs)
{
	size_t n;

	lock_acquire(&fs->ns);
	n = HASH_COUNT(fs->inodes);
	lock_release(&fs->ns);
	return n;
}

void names_note(struct fs *fs)
{
	lock_acquire(&fs->ns);
	if (fs->opts.names_max && HASH_COUNT(fs->inodes) > fs->opts.names_max &&
	    fs->lister)
		thr_kick(fs->lister);
	lock_release(&fs->ns);
}

int64_t names_trim(struct fs *fs)
{
	int64_t now = clk_mono(fs->host->clk);
	size_t n = count_names(fs), most = fs->opts.names_max, i, nold;
	struct old *old;

	if (!most || n <= most)
		return CLK_NEVER;
	if (fs->trimmed_ns && now - fs->trimmed_ns < PAUSE_NS)
		return fs->trimmed_ns + PAUSE_NS - now;
	fs->trimmed_ns = now;
	most -= most / 4;
	old = folders_by_age(fs, &nold);
	for (i = 0; i < nold && n > most; i++)
		n -= unload(fs, old[i].ino);
	free(old);
	log_debug("%zu names stay in memory", n);
	/* What the kernel forgets by then goes then. */
	return count_names(fs) > fs->opts.names_max ? PAUSE_NS : CLK_NEVER;
}
