/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a tree, known here or listed in the bucket. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bulk.h"

#define LOG_MODULE "fs"

struct inos {
	uint64_t *p;
	size_t n, cap;
};

static int push(struct inos *s, uint64_t ino)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		uint64_t *p = reallocarray(s->p, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		s->p = p;
		s->cap = cap;
	}
	s->p[s->n++] = ino;
	return 0;
}

void bulk_begin(struct bulk *b, struct fs *fs, const struct fs_bulk *how,
		struct fs_bulk_sums *sums)
{
	memset(b, 0, sizeof(*b));
	memset(sums, 0, sizeof(*sums));
	b->fs = fs;
	b->how = how;
	b->sums = sums;
	b->tick_ns = clk_mono(fs->host->clk) + BULK_TICK_NS;
}

void bulk_end(struct bulk *b)
{
	free(b->ino);
	b->ino = NULL;
	b->n = b->cap = 0;
}

int bulk_tick(struct bulk *b)
{
	int64_t now = clk_mono(b->fs->host->clk);

	if (!b->how)
		return 0;
	if (now >= b->how->deadline_mono_ns)
		return -ETIMEDOUT;
	if (now < b->tick_ns)
		return 0;
	b->tick_ns = now + BULK_TICK_NS;
	if (b->how->progress && b->how->progress(b->how->arg, b->sums))
		return -ECANCELED;
	return 0;
}

int64_t bulk_wait_end(const struct bulk *b)
{
	if (!b->how || b->tick_ns < b->how->deadline_mono_ns)
		return b->tick_ns;
	return b->how->deadline_mono_ns;
}

void bulk_refuse(struct bulk *b, const struct inode *in, const char *why)
{
	char key[META_KEY_MAX + 1];

	if (key_of_inode(b->fs, in, key) < 0)
		return; /* unlinked meanwhile: nothing to be sorry for */
	b->sums->refused++;
	if (b->how && b->how->refused)
		b->how->refused(b->how->arg, key_path(b->fs, key), why);
}

static bool is_gone(struct fs *fs, const struct inode *in)
{
	bool gone;

	lock_acquire(&fs->ns);
	gone = !in->parent && in->ino != FS_ROOT_INO;
	lock_release(&fs->ns);
	return gone;
}

/* Have it listed, by the worker that does so, and wait for it. */
static int list_dir(struct bulk *b, struct inode *dir)
{
	int64_t since = clk_mono(b->fs->host->clk);
	int r = -ETIMEDOUT;

	attn_add(b->fs, dir);
	while (r == -ETIMEDOUT && !is_gone(b->fs, dir)) {
		r = bulk_tick(b);
		if (r < 0)
			return r;
		r = dir_listed_since(b->fs, dir, since, bulk_wait_end(b));
	}
	if (r == -EIO)
		bulk_refuse(b, dir, "the bucket could not be listed");
	return 0;
}

static int children_of(struct fs *fs, struct inode *dir, struct inos *ret)
{
	struct dentry *d, *tmp;
	int r = tx_begin(fs);

	if (r == 0)
		r = tx_end(fs, dir_load(fs, dir), 0, false);
	if (r < 0)
		return r;
	lock_acquire(&fs->ns);
	HASH_ITER(hh, dir->children, d, tmp) {
		if (r == 0)
			r = push(ret, d->ino);
	}
	lock_release(&fs->ns);
	return r;
}

/* A file is found, a folder is for later; links are left to what they name. */
static int sort_in(struct bulk *b, struct inos *dirs, const struct inode *in)
{
	struct inos files = { b->ino, b->n, b->cap };
	int r = 0;

	if (in->kind == META_DIR)
		return push(dirs, in->ino);
	if (in->kind == META_FILE)
		r = push(&files, in->ino);
	b->ino = files.p;
	b->n = files.n;
	b->cap = files.cap;
	return r;
}

static int walk_dir(struct bulk *b, struct inode *dir, struct inos *dirs,
		    bool list)
{
	struct inos found = { .n = 0 };
	struct inode *in;
	size_t i;
	int r = list ? list_dir(b, dir) : 0;

	if (r == 0)
		r = children_of(b->fs, dir, &found);
	for (i = 0; r == 0 && i < found.n; i++) {
		in = inode_get_row(b->fs, found.p[i]);
		if (in)
			r = sort_in(b, dirs, in);
		inode_put(b->fs, in);
	}
	free(found.p);
	return r;
}

int bulk_walk(struct bulk *b, const char *path, bool list)
{
	struct inos dirs = { .n = 0 };
	struct inode *in;
	int r = path_resolve(b->fs, path, &in);

	if (r < 0)
		return r;
	if (in->kind == META_SYMLINK)
		bulk_refuse(b, in,
			    "a symbolic link: name the file it leads to");
	else
		r = sort_in(b, &dirs, in);
	inode_put(b->fs, in);
	while (r == 0 && dirs.n) {
		in = inode_get(b->fs, dirs.p[--dirs.n]);
		r = bulk_tick(b);
		if (r == 0 && in)
			r = walk_dir(b, in, &dirs, list);
		inode_put(b->fs, in);
	}
	free(dirs.p);
	return r;
}
