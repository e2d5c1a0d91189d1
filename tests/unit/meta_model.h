/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model beside the database, for tests of recovery: rows with blobs, one
 * state a commit, and the steps of a mount's life.  Names are short: few files
 * include this.
 */
#ifndef TEST_META_MODEL_H
#define TEST_META_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "meta/internal.h"
#include "sim.h"

#define ROWS 24
#define STATES 256
#define OWED 6

struct row {
	uint64_t vid; /* 0: none */
	uint64_t blob, size;
};

struct state {
	struct row row[ROWS];
	uint64_t owed[OWED]; /* an inode by key "0", "1", …; 0: none */
	uint64_t serial; /* the root's size says which state this is */
};

extern struct sim *sim;
extern struct disk *disk;
extern struct meta *m;
extern struct meta_report report;
extern struct state states[STATES]; /* of each commit of this life */
extern unsigned last; /* the newest */
extern unsigned durable; /* the newest a recorded barrier covers */
extern uint64_t next_blob;
extern const char *wrong; /* what was found to be so; NULL: nothing */

/* A new machine and a new database, with its own random numbers. */
void begin(uint64_t number, struct meta_rules r);
void end(void);
/* Below n. */
unsigned draw(unsigned n);
/* The name of a blob's file. */
void blob_path(uint64_t blob, char ret[32]);

/* Steps: 0, or the error after which there is only death. */
int step_commit(bool roll_back);
int step_barrier(void);
int blobs_sync(void);
/* A commit, a barrier or a checkpoint. */
int step(void);

/* Deaths; open again and look for a state that was promised. */
void crash(void);
void cut(void);
/* Open and look for one of these. */
void look(unsigned lo, unsigned hi);
/* Open only.  checks: versions whose bytes were asked for. */
int open_again(unsigned *checks);
/* What is in the database is this. */
bool matches(const struct state *s);

#endif
