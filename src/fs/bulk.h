/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What evict and prefetch share: the files of a tree, and telling how far it
 * has come.  One thread; no lock and no busy flag held in any call.
 */
#ifndef FS_BULK_H
#define FS_BULK_H

#include "internal.h"

#define BULK_TICK_NS (500 * NS_PER_MS)

struct bulk {
	struct fs *fs;
	const struct fs_bulk *how; /* NULL: nobody is told, no end */
	struct fs_bulk_sums *sums;
	int64_t tick_ns; /* mono, of the next word on progress */
	uint64_t *ino; /* of the files found; freed by bulk_end() */
	size_t n, cap;
};

void bulk_begin(struct bulk *b, struct fs *fs, const struct fs_bulk *how,
		struct fs_bulk_sums *sums);
void bulk_end(struct bulk *b);
/* Between two steps: 0, -ETIMEDOUT or -ECANCELED. */
int bulk_tick(struct bulk *b);
/* Mono: no single wait is to go on beyond it. */
int64_t bulk_wait_end(const struct bulk *b);
/* This one stays, or does not come. */
void bulk_refuse(struct bulk *b, const struct inode *in, const char *why);
/*
 * Find the files at and below a path.  list: folders are listed in the bucket
 * first, one that cannot be is refused, and what is known of it counts;
 * else what is known is all that counts.
 */
int bulk_walk(struct bulk *b, const char *path, bool list);

/* watch.c: the end of a download, for who waits for it without reading.  All
 * guarded by fs->busy_lock, and so are the fields. */
struct watch {
	struct watch *next;
	uint64_t ino;
	bool ended;
	int err; /* once ended: 0 here, verified and durable */
};
void watch_add(struct fs *fs, struct watch *w);
void watch_del(struct fs *fs, struct watch *w);

#endif
