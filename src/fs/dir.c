/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a folder: the names are taken down when it is read from its start, so
 * that none is told twice, or left out, because others come and go. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "fs"

struct fs_dir {
	struct inode *in;
	size_t n;
	char **names;
};

static int by_name(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static void drop_names(struct fs_dir *d)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		free(d->names[i]);
	free(d->names);
	d->names = NULL;
	d->n = 0;
}

static int take_down(struct fs *fs, struct fs_dir *d)
{
	struct dentry *e, *tmp;
	int r = 0;

	drop_names(d);
	lock_acquire(&fs->ns);
	d->in->looked_ns = clk_mono(fs->host->clk);
	d->names = calloc(HASH_COUNT(d->in->children) + 1, sizeof(*d->names));
	if (!d->names)
		r = -ENOMEM;
	HASH_ITER(hh, d->in->children, e, tmp) {
		if (r < 0)
			break;
		d->names[d->n] = strdup(e->name);
		if (!d->names[d->n])
			r = -ENOMEM;
		else
			d->n++;
	}
	lock_release(&fs->ns);
	if (r == 0)
		qsort(d->names, d->n, sizeof(*d->names), by_name);
	return r;
}

static int look(struct fs *fs, struct inode *in)
{
	int r = tx_begin(fs);

	if (r == 0)
		r = tx_end(fs, dir_load(fs, in), 0, false);
	return r < 0 ? r : dir_refresh(fs, in, true);
}

int fs_opendir(struct fs *fs, uint64_t ino, struct fs_dir **ret)
{
	struct fs_dir *d;
	struct inode *in = inode_get(fs, ino);
	int r;

	if (!in)
		return -ENOENT;
	d = calloc(1, sizeof(*d));
	if (!d) {
		inode_put(fs, in);
		return -ENOMEM;
	}
	d->in = in;
	r = in->kind == META_DIR ? look(fs, in) : -ENOTDIR;
	if (r < 0) {
		fs_closedir(fs, d);
		return r;
	}
	*ret = d;
	return 0;
}

/* Who has the name by now: the kernel, which lets no name change meanwhile,
 * would take it for his.  Pinned; NULL: nobody. */
static struct inode *named_now(struct fs *fs, const struct fs_dir *d,
			       const char *name)
{
	const struct dentry *e;
	uint64_t ino;

	lock_acquire(&fs->ns);
	e = dentry_find(d->in, name);
	ino = e ? e->ino : 0;
	lock_release(&fs->ns);
	return ino ? inode_get(fs, ino) : NULL;
}

/* Cookies: 0 is ".", 1 "..", then the names. */
int fs_readdir(struct fs *fs, struct fs_dir *d, uint64_t cookie, fs_dir_fn *fn,
	       void *arg)
{
	struct fs_attr a;
	struct inode *in;
	uint64_t ino;
	int r = 0;

	if (cookie == 0 && d->names)
		r = look(fs, d->in); /* rewinddir(3) */
	if (r == 0 && (cookie == 0 || !d->names))
		r = take_down(fs, d);
	if (r < 0)
		return r;
	for (; cookie < 2; cookie++) {
		ino = cookie == 0 ? 0 : inode_parent(fs, d->in);
		in = inode_get(fs, ino ? ino : d->in->ino);
		if (!in)
			continue;
		attr_fill(fs, in, &a);
		inode_put(fs, in);
		if (fn(arg, cookie == 0 ? "." : "..", &a, cookie + 1))
			return 0;
	}
	for (; cookie - 2 < d->n; cookie++) {
		in = named_now(fs, d, d->names[cookie - 2]);
		if (!in)
			continue; /* removed since */
		if (!inode_parent(fs, in)) {
			inode_put(fs, in);
			continue;
		}
		attr_fill(fs, in, &a);
		inode_put(fs, in);
		if (fn(arg, d->names[cookie - 2], &a, cookie + 1))
			return 0;
	}
	return 0;
}

void fs_closedir(struct fs *fs, struct fs_dir *d)
{
	drop_names(d);
	inode_put(fs, d->in);
	free(d);
}

int fs_fsyncdir(struct fs *fs, uint64_t ino)
{
	char key[META_KEY_MAX + 1];
	struct inode *in;
	uint64_t seq = 0;
	int r = barrier_now(fs->barrier, CLK_NEVER);

	if (r < 0 || !fs->opts.fsync_remote)
		return r;
	in = inode_get(fs, ino);
	if (!in)
		return -ENOENT;
	r = tx_begin(fs);
	if (r == 0) {
		r = meta_op_last(fs->meta, &seq);
		if (r == 0)
			r = key_of_inode(fs, in, key);
		r = tx_end(fs, r, 0, false);
	}
	inode_put(fs, in);
	if (r == 0)
		r = transfer_wait(fs->transfer, key, seq,
				  fs->opts.remote_timeout_ns == CLK_NEVER ?
					  CLK_NEVER :
					  clk_mono(fs->host->clk) +
						  fs->opts.remote_timeout_ns);
	return r == -ETIMEDOUT ? -EIO : r;
}
