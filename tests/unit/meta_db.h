/* SPDX-License-Identifier: Apache-2.0 */
/* A database on a simulated disk, for the tests of its rows.  Names are short:
 * few files include this. */
#ifndef TEST_META_DB_H
#define TEST_META_DB_H

#include <stdint.h>

#include "ckptfs/meta.h"

#include "sim.h"

extern struct sim *sim;
extern struct meta *m;
extern struct meta_report report;
/* Bytes no name should have, but may. */
extern const char odd[11];
/* Rows as text, so that loops over them are compared at once. */
extern char seen[4096];

/* Fixture: a new database, in a transaction. */
void setup(void);
void teardown(void);
/* The process dies and opens the database again. */
void reopen(void);
void begin(void);
void commit(void);
/* Commit, die, come back in a transaction. */
void over_a_crash(void);
/* Append "s:n " to seen. */
void note(const char *s, uint64_t n);

#endif
