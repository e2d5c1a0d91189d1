/* SPDX-License-Identifier: Apache-2.0 */
/* Room on the cache disk: who may write, what is let go. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "fs"

static uint64_t min_free(const struct fs *fs, const struct disk_space *sp)
{
	uint64_t floor = UINT64_C(2) << 30, five = sp->total / 20;

	if (fs->opts.cache_min_free)
		return fs->opts.cache_min_free;
	return five > floor ? five : floor;
}

static bool below_min(struct fs *fs)
{
	struct disk_space sp;

	return disk_space(fs->host->disk, &sp) == 0 &&
	       sp.avail < min_free(fs, &sp);
}

bool space_passthrough_ok(struct fs *fs)
{
	return !below_min(fs);
}

/* Something is on its way to the bucket, so waiting makes sense. */
static bool can_drain(struct fs *fs)
{
	struct transfer_stats ts;

	transfer_stats(fs->transfer, &ts);
	return ts.queued_bytes > 0;
}

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

/* Full of dirty data: wait for the uploader, or say so. */
static int wait_room(struct fs *fs, bool (*full)(struct fs *))
{
	int r = 0;

	while (full(fs)) {
		evict(fs);
		if (!full(fs))
			break;
		if (fs->opts.full_enospc || !can_drain(fs)) {
			log_warn("the cache is full of data that is not in the "
				 "bucket yet: writers get ENOSPC; see 'ckptfs "
				 "status'");
			return -ENOSPC;
		}
		lock_acquire(&fs->busy_lock);
		r = fs->stopping ? -EIO : 0;
		(void)thr_wait(fs->host->thr, &fs->busy_lock, &fs->busy_cond,
			       clk_mono(fs->host->clk) + 100 * NS_PER_MS);
		lock_release(&fs->busy_lock);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool dirty_full(struct fs *fs)
{
	return fs->opts.cache_size && dirty_bytes(fs) >= fs->opts.cache_size;
}

int space_for_write(struct fs *fs)
{
	return wait_room(fs, dirty_full);
}

int space_for_bytes(struct fs *fs, size_t n)
{
	(void)n;
	return below_min(fs) ? wait_room(fs, below_min) : 0;
}

struct pick {
	struct cache_candidate *c;
	size_t n;
	uint64_t used;
};

static int gather(struct fs *fs, struct pick *p)
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
		if (in->kind != META_FILE || !in->vid)
			continue;
		p->used += in->size;
		p->c[p->n++] = (struct cache_candidate){
			.id = in->ino,
			.bytes = in->size,
			.used_ns = in->atime_ns > in->mtime_ns ? in->atime_ns :
								 in->mtime_ns,
			.evictable = in->state == META_PUBLISHED && !in->live &&
				     in->key,
		};
	}
	lock_release(&fs->ns);
	return r;
}

/* Let go of one published, closed file's local bytes. */
static int evict_one(struct fs *fs, struct inode *in)
{
	struct meta_version v;
	int r = 0, fd;

	if (in->live || in->state != META_PUBLISHED || !in->vid || !in->key)
		return -EBUSY;
	r = tx_begin(fs);
	if (r < 0)
		return r;
	r = meta_version_get(fs->meta, in->vid, &v);
	if (r == 0 && v.passthrough) {
		fd = cache_blob_open(fs->cache, v.blob, O_RDONLY);
		if (fd >= 0)
			r = disk_lease(fs->host->disk, fd, DISK_LEASE_WRITE);
		cache_blob_close(fs->cache, fd);
		if (r == -EOPNOTSUPP)
			r = 0;
	}
	if (r == 0) {
		uint64_t was = in->vid;

		in->vid = 0;
		r = inode_save(fs, in);
		if (r == 0)
			r = version_drop(fs, &v);
		if (r < 0)
			in->vid = was;
	}
	r = tx_end(fs, r, 0, false);
	if (r == 0) {
		lock_acquire(&fs->ns);
		in->vid = 0;
		in->state = 0;
		lock_release(&fs->ns);
	}
	return r;
}

void evict(struct fs *fs)
{
	struct pick p = { .n = 0 };
	struct disk_space sp;
	uint64_t need = 0;
	size_t i, n;

	if (gather(fs, &p) < 0)
		return;
	if (fs->opts.cache_size && p.used > fs->opts.cache_size)
		need = p.used - fs->opts.cache_size;
	if (disk_space(fs->host->disk, &sp) == 0 &&
	    sp.avail < min_free(fs, &sp) && min_free(fs, &sp) - sp.avail > need)
		need = min_free(fs, &sp) - sp.avail;
	if (need) {
		cache_evict_choose(p.c, p.n, need, &n);
		for (i = 0; i < n; i++) {
			struct inode *in = inode_get(fs, p.c[i].id);

			if (in && busy_try(fs, in)) {
				(void)evict_one(fs, in);
				busy_end(fs, in);
			}
			inode_put(fs, in);
		}
		if (n && barrier_now(fs->barrier, CLK_NEVER) < 0)
			log_debug("evicted space is not free yet");
	}
	free(p.c);
}
