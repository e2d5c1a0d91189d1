/* SPDX-License-Identifier: Apache-2.0 */
/* What a mount that is being made tells its user: through a pipe to the
 * command that waits for it, or on stderr with -f. */
#ifndef CKPTFS_CLI_SAY_H
#define CKPTFS_CLI_SAY_H

#include "ckptfs/compiler.h"

struct say {
	int fd; /* -1: stderr */
};

void say_info(struct say *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Why there will be no mount, and what to do; status is that of the command.
 * Returns status. */
int say_error(struct say *s, int status, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
/* The mount is usable: the command may end. */
void say_ready(struct say *s);

/* The waiting side: repeat what is said until ready (CLI_DONE), an error (its
 * status) or the other's end (-EPIPE). */
int say_listen(int fd);

#endif
