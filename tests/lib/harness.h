/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test program shares: a runner and throw-away folders. */
#ifndef TEST_HARNESS_H
#define TEST_HARNESS_H

#include <check.h>

/* Run one suite holding one case; returns main()'s exit status. */
int harness_run(const char *name, void (*add)(TCase *c));

/* Add a loop test that must abort; left out where tests do not fork (under
 * valgrind). */
void harness_add_abort(TCase *c, const TTest *t, int from, int to);

/*
 * A walk through all moments (each call to the disk, each seed) looks at each
 * n-th, n being this: CKPTFS_TEST_STEP, else 1.  For programs that run many
 * times slower than they were written for; what is found is told with the
 * moment's number, as ever.
 */
unsigned harness_step(void);

/* How many of n such moments, of which each is a test of its own, those are. */
int harness_loops(int n);

/*
 * A new empty folder for the running test, removed when the test program
 * ends.  The name is valid until the next call.
 */
const char *harness_tmpdir(void);

#endif
