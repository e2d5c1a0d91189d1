/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the check of a bucket share. */
#ifndef FS_FSCK_BUCKET_H
#define FS_FSCK_BUCKET_H

#include "ckptfs/fsck.h"
#include "ckptfs/host.h"
#include "ckptfs/store.h"

struct fsck_reading;

struct fsck_b {
	struct store *store;
	const struct host *host;
	const struct fsck_bucket_opts *opts;
	struct fsck_bucket_sums *sums;
	struct fsck_reading *reading; /* NULL: bytes are not read */
};

/* Count it, and tell. */
void fsck_b_tell(struct fsck_b *b, enum fsck_word word, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/*
 * fsck_data.c: objects read whole by several readers, against the checksum that
 * the store has of them.
 */
int fsck_reading_begin(struct fsck_b *b) NONNULL(1) MUST_USE;
/* One more; waits while enough are under way. */
int fsck_reading_add(struct fsck_b *b, const char *key,
		     const struct store_obj *obj) NONNULL(1, 2, 3) MUST_USE;
/* Wait for the last one, tell what is left to tell, and free it.  After an
 * error (err < 0) what has not begun is not read any more. */
void fsck_reading_end(struct fsck_b *b, int err) NONNULL(1);

/* fsck_keys.c: whether a mount shows this key (relative to its top), told if
 * not. */
bool fsck_key_shows(struct fsck_b *b, const char *key, const char *name)
	NONNULL(1, 2, 3);

/* fsck_versions.c: tell what the bucket keeps beside what a mount shows. */
int fsck_versions(struct fsck_b *b) NONNULL(1) MUST_USE;

/* Keys in byte order, to find those that are both a file and a folder. */
struct fsck_above {
	struct fsck_above *up;
	bool told;
	size_t n;
	char key[];
};
int fsck_above_next(struct fsck_b *b, struct fsck_above **top, const char *key)
	NONNULL(1, 2, 3) MUST_USE;
void fsck_above_free(struct fsck_above *top);

#endif
