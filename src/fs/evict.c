/* SPDX-License-Identifier: Apache-2.0 */
/* Letting go of what the bucket has, too. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "internal.h"

#define LOG_MODULE "fs"

struct pick {
	struct cache_candidate *c;
	size_t n;
};

static bool may_go(const struct inode *in)
{
	return in->kind == META_FILE && in->vid && in->key &&
	       (!in->live || in->live->linger_until) &&
	       in->state == META_PUBLISHED;
}

uint64_t evictable(struct fs *fs, int64_t before)
{
	struct inode *in, *tmp;
	uint64_t sum = 0;

	lock_acquire(&fs->ns);
	HASH_ITER(hh, fs->inodes, in, tmp) {
		if (may_go(in) && in->used_ns < before)
			sum += in->size;
	}
	lock_release(&fs->ns);
	return sum;
}

uint64_t bytes_in_use(struct fs *fs)
{
	struct inode *in, *tmp;
	uint64_t sum = 0;

	lock_acquire(&fs->ns);
	HASH_ITER(hh, fs->inodes, in, tmp) {
		if (in->kind == META_FILE && in->vid && in->live &&
		    in->state == META_PUBLISHED && !may_go(in))
			sum += in->size;
	}
	lock_release(&fs->ns);
	return sum;
}

static int gather(struct fs *fs, struct pick *p, int64_t before)
{
	struct inode *in, *tmp;
	int r = 0;

	lock_acquire(&fs->ns);
	p->c = calloc(HASH_COUNT(fs->inodes) + 1, sizeof(*p->c));
	if (!p->c)
		r = -ENOMEM;
	HASH_ITER(hh, fs->inodes, in, tmp) {
		if (r < 0)
			break;
		if (!may_go(in) || in->used_ns >= before)
			continue;
		p->c[p->n++] = (struct cache_candidate){
			.id = in->ino,
			.bytes = in->size,
			.used_ns = in->used_ns,
			.evictable = true,
		};
	}
	lock_release(&fs->ns);
	return r;
}

/* A mapping of what the kernel was given keeps its bytes, and their space. */
static int nobody_has_it(struct fs *fs, const struct meta_version *v)
{
	int r = 0, fd;

	if (!v->passthrough)
		return 0;
	fd = cache_blob_open(fs->cache, v->blob, O_RDONLY);
	if (fd >= 0)
		r = disk_lease(fs->host->disk, fd, DISK_LEASE_WRITE);
	cache_blob_close(fs->cache, fd);
	return r == -EOPNOTSUPP ? 0 : r;
}

int evict_one(struct fs *fs, struct inode *in)
{
	struct meta_version v, none = { .vid = 0 };
	int r;

	if (!may_go(in))
		return -EBUSY;
	if (in->live)
		live_drop(fs, in);
	r = tx_begin(fs);
	if (r < 0)
		return r;
	r = meta_version_get(fs->meta, in->vid, &v);
	if (r == 0)
		r = nobody_has_it(fs, &v);
	if (r == 0)
		r = inode_save_vid(fs, in, 0);
	if (r == 0)
		r = version_drop(fs, &v);
	r = tx_commit(fs, r);
	if (r == 0) {
		lock_acquire(&fs->ns);
		inode_show_version(in, &none, 0);
		lock_release(&fs->ns);
	}
	return tx_close(fs, r, 0, false);
}

uint64_t evict(struct fs *fs, uint64_t need, int64_t before)
{
	struct pick p = { .n = 0 };
	uint64_t got = 0;
	size_t i;

	if (gather(fs, &p, before) < 0)
		return 0;
	/* In order, all of them: one that is mapped makes way for the next. */
	cache_evict_choose(p.c, p.n, UINT64_MAX, &p.n);
	for (i = 0; i < p.n && got < need; i++) {
		struct inode *in = inode_get(fs, p.c[i].id);

		if (in && busy_try(fs, in)) {
			if (evict_one(fs, in) == 0)
				got += p.c[i].bytes;
			busy_end(fs, in);
		}
		inode_put(fs, in);
	}
	free(p.c);
	return got;
}
