/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the database share: one database on a simulated disk. */
#ifndef TEST_METABED_H
#define TEST_METABED_H

#include "ckptfs/meta.h"

#include "sim.h"

extern struct sim *bed_sim;
extern struct meta *bed_meta;

/* A checked fixture: a fresh database; closed, and no handle left open. */
void bed_setup(void);
void bed_teardown(void);
/* As if the process had died and was started again. */
void bed_reopen(void);

void bed_begin(void);
void bed_commit(void);
/* As a mount does that looked what another boot means for the rows. */
void bed_settle_boot(void);

/* An operation with nothing in it but a key; its number. */
uint64_t bed_add_op(const char *key);

/* What a walk over rows saw. */
struct seen {
	unsigned n;
	unsigned stop_at; /* return 7 at this row; 0: never */
	char names[512]; /* each with a comma behind it */
};

int bed_see(struct seen *s, const char *name);

#endif
