/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated machine: a clock moved by hand, seeded randomness, workers that
 * take turns on one thread in an order drawn from the seed, and a disk in
 * memory that can lose power.  The same seed gives the same run.
 */
#ifndef TEST_SIM_H
#define TEST_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckptfs/host.h"

struct sim;

/* Aborts when out of memory, as all of this file. */
struct sim *sim_new(uint64_t seed);
/* All workers were stopped. */
void sim_free(struct sim *s);
/* Valid until sim_free(). */
const struct host *sim_host(struct sim *s);

/* ---- time: starts at 1000 s monotonic, and at 2023-11-14T22:13:20Z */

int64_t sim_now(const struct sim *s); /* monotonic */
/* Move both clocks; runs nobody. */
void sim_advance(struct sim *s, int64_t ns);
/* Set the wall clock ahead or back, as an operator does. */
void sim_shift_real(struct sim *s, int64_t ns);

/* ---- workers
 *
 * They run while somebody is in thr_wait(), thr_stop() or one of these, one
 * at a time; a step may itself wait.  Whenever nobody can go on, the clock
 * jumps to the nearest deadline.  When there is none either, all are waiting
 * for each other: aborts with a list of who waits for what.  So does a run
 * of ten million steps.
 */

/* Until no worker has anything to do now; the clock does not move.  The number
 * of steps begun. */
unsigned sim_run(struct sim *s);
/* The same, up to and including what falls due within ns. */
unsigned sim_run_for(struct sim *s, int64_t ns);
/* Until done(arg), asked between steps: true; false after ns. */
bool sim_run_until(struct sim *s, bool (*done)(void *arg), void *arg,
		   int64_t ns);

/* The running one, which holds no lock, loses its turn for so long: for points
 * where a thread may be interrupted.  0: others may go on before it. */
void sim_yield(struct sim *s, int64_t ns);

/* ---- disk
 *
 * Pages of 4 KiB.  What is written is in the page cache; fdatasync of the file
 * makes its bytes, size and xattrs durable, sync_dir the names in that folder,
 * syncfs everything.  A sync that fails (by simdisk_fail) loses what it
 * covered: it can be read until the power goes, and no later sync saves it
 * (names it does).
 * Cloned pages count as used twice.  Any thread.
 */

struct clk;
struct disk;

/* Also usable without a struct sim.  Freed by disk_free(). */
struct disk *simdisk_new(const struct clk *clk, uint64_t seed);

/*
 * The power goes: handles, locks and external writers are gone, the boot id is
 * another, ctimes are somewhat older, and of what was not durable each page survives with a probability
 * of keep percent.  Names are changed in order, as a journal does: with keep
 * above 0 a prefix, of a length drawn from the seed, of the changes not
 * yet durable survives; with 100 everything.
 */
void simdisk_power_cut(struct disk *d, unsigned keep);
/* The process dies: its handles and locks are gone, every byte and name and
 * the external writers stay. */
void simdisk_crash(struct disk *d);

/* The calls counted and made to fail. */
enum simdisk_op {
	SIM_OPEN,
	SIM_PREAD,
	SIM_PWRITE,
	SIM_TRUNCATE,
	SIM_ALLOCATE,
	SIM_PUNCH,
	SIM_STAT,
	SIM_SEEK,
	SIM_FDATASYNC,
	SIM_SYNCFS,
	SIM_WRITEBACK,
	SIM_CLONE,
	SIM_LEASE,
	SIM_SET_XATTR,
	SIM_GET_XATTR,
	SIM_MKDIR,
	SIM_RENAME,
	SIM_UNLINK,
	SIM_SYNC_DIR,
	SIM_LIST,
	SIM_LOCK,
	SIM_SPACE,
	SIM_ANY, /* each of the above */
};

/* Calls of this kind so far, failed ones too. */
unsigned long simdisk_calls(const struct disk *d, enum simdisk_op op);
/* Fail the n-th (from 1) call of op from now on with err (negative), once or
 * from then on.  Up to 8 at a time. */
void simdisk_fail(struct disk *d, enum simdisk_op op, unsigned long n, int err,
		  bool for_ever);
/* Drop all of them. */
void simdisk_heal(struct disk *d);
/*
 * After n more calls the process is as good as dead: each call fails with -EIO
 * and does nothing, until simdisk_crash(), simdisk_power_cut() or
 * simdisk_heal().  Walk n upwards to try every point of a crash.
 */
void simdisk_halt_after(struct disk *d, unsigned long n);
bool simdisk_halted(const struct disk *d);

/* A bit of the file is another one from now on, and nothing tells of it.  It is
 * there. */
void simdisk_rot(struct disk *d, const char *path, uint64_t off);

/* Bytes on the disk; a multiple of 4 KiB.  At first 1 TiB. */
void simdisk_set_capacity(struct disk *d, uint64_t bytes);

/* What the file system lacks; at first nothing. */
enum {
	SIM_NO_LEASE = 1,
	SIM_NO_CLONE = 2,
	SIM_NO_XATTR = 4,
	SIM_NO_PUNCH = 8,
};
void simdisk_set_lacks(struct disk *d, unsigned lacks);

/*
 * A writer the daemon does not see: another process with the file open for
 * writing or mapped.  It holds off leases and moves size, mtime and ctime; no
 * fault rule counts it.  open: a number, or a negative errno; it follows the
 * file, not the name.
 */
int simdisk_external_open(struct disk *d, const char *path);
int simdisk_external_write(struct disk *d, int ext, const void *p, size_t n,
			   uint64_t off);
void simdisk_external_close(struct disk *d, int ext);

/* Handles open now, external ones not counted: for leak checks. */
unsigned simdisk_open_handles(const struct disk *d);

#endif
