/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of fsck share (ckptfs/fsck.h).  One thread, no file system. */
#ifndef FS_FSCK_H
#define FS_FSCK_H

#include "ckptfs/fsck.h"

#include "internal.h"

struct fsck {
	const struct host *host;
	const struct fsck_opts *opts;
	struct fsck_sums *sums;
	struct meta *meta;
	struct cache *cache;
};

/* Tell a finding. */
void fsck_found(struct fsck *f, bool mended, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
/* Open the database; rebuild: which is made, above that epoch. */
int fsck_open(struct fsck *f, bool rebuild, uint32_t epoch_above);
bool fsck_is_there(struct fsck *f, const char *path);
/* What was committed is power-safe. */
int fsck_settle(struct fsck *f);
int fsck_each_blob(struct fsck *f, cache_blob_fn *fn, void *arg);
/* Its length, or a negative errno. */
int64_t fsck_blob_size(struct fsck *f, uint64_t blob);

/* fsck_blobs.c: versions against blobs, blobs against rows. */
int fsck_blobs(struct fsck *f);
/* fsck_rebuild.c: put a database that is lost or damaged aside, and make one
 * from the blobs; f->meta is open then. */
int fsck_rebuild(struct fsck *f);

#endif
