/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A database that does not answer: the step of a statement fails as it does
 * where SQLite cannot read a page, or has no room for one.  The simulator is
 * linked with sqlite3_step() as __wrap_sqlite3_step().
 */
#ifndef SIM_ROWS_H
#define SIM_ROWS_H

#include <stdbool.h>

/* The n-th step from now on fails, or all from that one on; but a rollback
 * always succeeds, as SQLite's own do.  full: for want of room. */
void rows_fail(unsigned long n, bool full, bool for_ever);
void rows_heal(void);
/* Meanwhile none fails, nor is counted; nests. */
void rows_hold(void);
void rows_go_on(void);

#endif
