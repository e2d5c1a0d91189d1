/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that fetch ahead of readers: who asks, and what there is to fetch.
 * Names are short: few files include this. */
#ifndef TEST_PREFETCH_RIG_H
#define TEST_PREFETCH_RIG_H

#include "fs_rig.h"

#define MIB (UINT64_C(1) << 20)

/* rig_begin(), and nobody has asked for anything yet. */
void prefetch_begin(void);

extern struct fs_bulk how; /* of the next call; no deadline at first */
int prefetch(const char *path);
extern char said[1024]; /* what was refused, "path: why;" each */
extern struct fs_bulk_sums sums;
/* Done once, at the first word on progress after some bytes have come. */
extern void (*meanwhile)(void);

/* As another writer does it. */
void put_foreign(const char *key, uint64_t size);
/* A tree of theirs that was never listed: d/a, d/e/b, d/e/f/c and z, of a
 * hundred bytes each. */
void make_tree(void);
/* a, b and c of 4 MiB each, that come at 1 MiB a second, one after the other.
 */
void make_slow(void);
/* Such a call of the store fails from now on. */
void fault(const char *method, const char *key, int err,
	   enum store_fault_act act);

void reopen(void);
uint64_t used(void); /* bytes the cache holds, as status tells */
uint64_t fetched(void); /* bytes from the bucket since the mount */
uint64_t here(const char *path);

#endif
