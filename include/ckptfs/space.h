/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room in the cache: what to evict, and who has to wait.  Pure choices and the
 * little that must be remembered between two looks at the disk; whoever owns
 * the state asks, evicts and lets others wait.
 *
 * Two limits hold at once: cache_size for the bytes kept, and cache_min_free
 * for what the disk has left.  Passthrough writers go past the daemon, so
 * while one is open the disk is looked at often and room for a second of their
 * rate is made ahead.
 *
 * Threads: one at a time for each struct.
 */
#ifndef CKPTFS_SPACE_H
#define CKPTFS_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "ckptfs/compiler.h"

/* Less than this on the disk, and nothing to evict: it is full. */
#define SPACE_FLOOR (UINT64_C(64) << 20)

/* What is so now; bytes. */
struct space_now {
	uint64_t total, avail; /* of the disk: disk_space() */
	uint64_t cache_size; /* limit for all that is kept; 0: none */
	uint64_t min_free; /* cache_min_free; 0: the default */
	uint64_t clean; /* kept, and may be evicted */
	uint64_t dirty; /* kept, and only the uploader can let it go */
	uint64_t in_use; /* kept, in the bucket, and open: until it is closed;
			    no reason to hold up a writer */
	uint64_t going; /* unlinked, but not free before the next barrier */
	uint64_t rate; /* per second, of passthrough writers; space_rate() */
	unsigned writers; /* open passthrough writers */
	bool may_upload; /* something dirty can be published now */
	bool full_enospc; /* option full=enospc */
};

enum space_verdict {
	SPACE_GO,
	SPACE_WAIT, /* the uploader, or eviction, will make room */
	SPACE_FULL, /* -ENOSPC */
};

struct space_choice {
	uint64_t evict; /* bytes to evict now; at most clean */
	bool ordinary; /* new opens for writing take the ordinary path */
	enum space_verdict open; /* for an open for writing: both limits */
	enum space_verdict write; /* on the ordinary path: the disk's end alone,
				     cache_size does not stop what is begun */
	int64_t again_ns; /* look again after */
};

void space_choose(const struct space_now *now, struct space_choice *ret)
	NONNULL(1, 2);
/*
 * Bytes that may come from the bucket, for which all of clean and nothing else
 * would be evicted; writers and rate do not count.
 */
uint64_t space_more(const struct space_now *now) NONNULL(1);
/* cache_min_free where none is given: the larger of 5 % and 2 GiB. */
uint64_t space_min_free(uint64_t given, uint64_t total);

/* How fast the disk fills: rises at once, forgets half in a second. */
struct space_rate {
	int64_t last_ns;
	uint64_t last_avail;
	uint64_t rate; /* bytes per second */
	bool known;
};
/* avail now; freed: what we ourselves gave back since the last call. */
uint64_t space_rate(struct space_rate *r, int64_t now_ns, uint64_t avail,
		    uint64_t freed) NONNULL(1);

#endif
