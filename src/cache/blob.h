/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this module share. */
#ifndef CACHE_BLOB_H
#define CACHE_BLOB_H

#include <stdbool.h>

#include "ckptfs/cache.h"
#include "ckptfs/host.h"
#include "ckptfs/lock.h"

#define BLOB_DIRS 256
#define BLOB_TAG_XATTR "user.ckptfs.tag"
#define BLOB_ROOT "blobs"
#define BLOB_LOST CACHE_LOST

/* Folders that gained or lost a name since the last sync. */
struct blob_dirty {
	bool top, root, lost; /* "", blobs, lost+found */
	bool dir[BLOB_DIRS];
};

struct cache {
	const struct host *host;
	uint64_t epoch;
	struct lock lock; /* guards the rest */
	uint64_t last; /* number of the last blob made in this epoch */
	bool made[BLOB_DIRS]; /* folders known to exist */
	struct blob_dirty dirty;
	bool untagged; /* a failed xattr has been told of */
	int failed; /* a failed sync is final */
};

#endif
