/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk and a database that only write down what is asked of them, and a
 * worker that runs when somebody waits.  One letter a call:
 *
 *	m mark  w writeback  f fdatasync  s syncfs  n folder  b barrier
 *	u unlink  d dead row dropped  P poisoned  c checkpoint
 *	x nobody is to believe the log
 *
 * w, f, u, d and P are followed by the blob, "!" says that the call failed.
 */
#ifndef BARRIER_FAKE_H
#define BARRIER_FAKE_H

#include <pthread.h>

#include "ckptfs/barrier.h"
#include "ckptfs/host.h"
#include "ckptfs/thr.h"

extern char calls[4096];
extern pthread_mutex_t fake_m; /* guards calls and the counts of db */
void call(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Compare and clear. */
void ck_calls(const char *want);

/* The disk. */
extern unsigned fail_sync; /* this blob's fdatasync fails */
extern bool fail_syncfs, fail_names, fail_open;
extern bool tell_names; /* write down folders synced */
extern int open_files;
extern void (*in_sync)(unsigned blob); /* called by each fdatasync */

/* The database. */
extern bool fail_poison; /* no row says what was lost */
/* Called by each mark, before and after it looks. */
extern void (*in_mark)(void), (*after_mark)(void);
struct meta {
	uint64_t commits, durable;
	bool fail_barrier, fail_begin;
	unsigned due; /* checkpoints wanted */
	unsigned again; /* so many of them meet a longer log */
	uint64_t dead[8];
	unsigned ndead;
};
extern struct meta db;
void commit(void);

/* Time passes only by pass(), or in a wait that nobody ends. */
extern int64_t now;
extern bool stuck; /* the worker never gets to run */
/* The worker does all that is to be done now. */
void work(void);
void pass(int64_t ns);

extern struct host host;
extern struct cache *cache;
extern struct barrier_deps deps;
extern struct barrier *b;
void start(void);
void start_settled(void); /* and past the first barrier */
void stop(void);
/* What the file system does: commit, seal a blob, delete one's row. */
void change(void);
void seal(uint64_t blob);
void bury(uint64_t blob);

#define ck_now(want) ck_assert_int_eq(barrier_now(b, CLK_NEVER), want)

#endif
