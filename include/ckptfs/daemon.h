/* SPDX-License-Identifier: Apache-2.0 */
/* One mount, from opening its cache to closing it. */
#ifndef CKPTFS_DAEMON_H
#define CKPTFS_DAEMON_H

#include <stdbool.h>

#include "ckptfs/compiler.h"

struct options;
struct source;

struct daemon_args {
	const struct options *opts;
	const struct source *source;
	const char *mountpoint; /* absolute */
	bool foreground;
	int ready_fd; /* told "ok\n" or "error WORDS\n" once; -1: nobody asks */
};

/* Runs until unmounted and drained, or told to end.  The process's exit
 * status: 0, or 1 when it failed or something is not in the bucket. */
int daemon_run(const struct daemon_args *a) NONNULL(1);

#endif
