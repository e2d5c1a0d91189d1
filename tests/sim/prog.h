/* SPDX-License-Identifier: Apache-2.0 */
/* Programs: what a job, a network, a disk and fate do, one after the other;
 * drawn from a seed, or read from text, a line each: "rename d1/a d2/a 0". */
#ifndef SIM_PROG_H
#define SIM_PROG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum verb {
	V_PUT, /* path size: create or rewrite, close */
	V_SAVE, /* path form size: as V_PUT, by a framework */
	V_OPEN, /* path handle how */
	V_WRITE, /* handle off len */
	V_TRUNCATE, /* path size */
	V_FSYNC, /* handle */
	V_FLUSH, /* handle: a close(2) of a copy of it */
	V_CLOSE, /* handle */
	V_READ, /* path */
	V_UNLINK, /* path */
	V_RENAME, /* path path noreplace */
	V_RENAME_DIR, /* dir dir */
	V_MKDIR, /* dir */
	V_RMDIR, /* dir */
	V_LINK, /* path */
	V_CHMOD, /* path mode */
	V_LIST, /* dir */
	V_SYNC_DIR, /* dir */
	V_SYNC, /* ms: all to the bucket, so long at most */
	V_RECOVER, /* path act: of what waits for a word there, or anywhere */
	V_PREFETCH, /* path ms */
	V_PEEK, /* path: opened, and closed at once */
	V_RUN, /* ms */
	V_SETTLE, /* ms */
	V_EVICT, /* path */
	V_REMOUNT,
	V_KILL, /* calls: the process dies after so many to the disk */
	V_CUT, /* calls keep */
	V_LATENCY, /* ms */
	V_NET, /* kind percent */
	V_REFUSE, /* percent: of changes, for good */
	V_DOWN, /* yes */
	V_DISK, /* call n errno for-ever */
	V_FULL, /* pages left */
	V_MEMORY, /* whose n for-ever: an allocation fails */
	V_ROWS, /* n full for-ever: the database does not answer */
	V_OPTION, /* which value: of the next mount */
	V_HEAL, /* the disk, and it has room */
	V_CLOCK, /* seconds */
	V_FOREIGN, /* path size: another writer puts */
	V_FOREIGN_DEL, /* path */
	V_TURNS, /* percent: of a hundred times that it may lose its turn */
	V_STALL, /* n ms: the n-th to have one from now on loses it so long */
	V_CALM, /* all faults are over */
	V_COUNT
};

#define OP_ARGS 4
struct op {
	enum verb verb;
	int arg[OP_ARGS];
};

#define PROG_MOST 512
struct prog {
	uint64_t seed; /* of the machine */
	unsigned n;
	struct op op[PROG_MOST];
};

/* What is drawn from. */
enum {
	PROG_STORE = 1, /* faults of the store */
	PROG_DISK = 2, /* of the disk */
	PROG_CUTS = 4, /* power cuts; crashes are always */
	PROG_FOREIGN = 8, /* other writers */
	PROG_CLOCK = 16, /* the wall clock is set back */
	PROG_TURNS = 32, /* threads are interrupted wherever they may be */
	PROG_MEMORY = 64, /* allocations fail */
	PROG_OPTIONS = 128, /* other options than the usual ones */
	PROG_REFUSE = 256, /* the store refuses changes for good */
	PROG_ROWS = 512, /* the database fails */
	PROG_KEPT = 1024, /* recover, prefetch */
	PROG_NAMES = 2048, /* more names, files and folders of one name */
	PROG_ALL = 4095,
	PROG_SWARM = 1 << 16, /* some of them, others for each seed */
};
/* 'p': argument i is a path; 'd', 'e': a folder; else neither. */
char op_kind(const struct op *op, int i);
void prog_draw(struct prog *p, uint64_t seed, unsigned what);
void prog_print(const struct prog *p, FILE *to);
void op_print(const struct op *op, FILE *to);
/* False: not understood; the line's number is in p->n. */
bool prog_read(struct prog *p, FILE *from);

#endif
