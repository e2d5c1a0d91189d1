/* SPDX-License-Identifier: Apache-2.0 */
/* The commands: all of the program but main(). */
#ifndef CKPTFS_CLI_H
#define CKPTFS_CLI_H

#include "ckptfs/compiler.h"

/* Exit statuses of every command. */
enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1, /* or something is not in the bucket */
	CLI_USAGE = 2,
	CLI_TIMEOUT = 3,
};

/* Run the command argv names; an exit status. */
int cli_main(int argc, char **argv) NONNULL(2);

#endif
