/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seams of the machine, as one parcel: what fs, meta, cache and transfer
 * may know of clock, randomness, threads and disk.  main fills it in with the
 * system's, tests with their own.  Borrowed: it outlives whoever gets it.
 */
#ifndef CKPTFS_HOST_H
#define CKPTFS_HOST_H

struct clk;
struct disk;
struct rng;
struct thr;

struct host {
	const struct clk *clk;
	struct rng *rng;
	struct thr *thr;
	struct disk *disk;
};

#endif
