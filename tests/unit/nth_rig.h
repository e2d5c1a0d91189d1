/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs in which something fails at the n-th call, for n from 1 until the
 * program runs through; and what must hold afterwards, recovered and drained:
 * what was acknowledged is in the mount and in the bucket, or status says why
 * not; what was not is as it was before or as it would be, and nothing is torn.
 */
#ifndef TEST_NTH_RIG_H
#define TEST_NTH_RIG_H

#include <stdbool.h>

enum nth_program {
	NTH_NEW_FILE,
	NTH_OVERWRITE_WHILE_UPLOADING,
	NTH_RENAME_OVER,
	NTH_DELETE_PENDING,
	NTH_EVICT,
	NTH_MOUNT, /* after a crash: recovery, and what it finds goes on */
	NTH_RECOVER, /* its commands */
	NTH_PROGRAMS,
};

const char *nth_name(enum nth_program p);
/* A machine with what the program finds there, published and durable. */
void nth_begin(enum nth_program p);
/* Run it, and half a minute after it.  for_ever: so does what fails.  It may be
 * that nothing is mounted then. */
void nth_run(enum nth_program p, bool for_ever);
/* Nothing fails any more: mounted again (unless it lives on) and drained, all is
 * as promised.  what: for messages. */
void nth_check(enum nth_program p, bool lives_on, const char *what);
void nth_end(void);

/* fn(arg) in a process that goes on from here and ends with what it returns
 * (below 100), which is returned: a machine is set up once for all its ends.  If
 * it ends in any other way the test fails.  what: for messages. */
int nth_fork(int (*fn)(void *arg), void *arg, const char *what);
/* End such a process at once, as if fn had returned this. */
void nth_leave(int ret) __attribute__((noreturn));

#endif
