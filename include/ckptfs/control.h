/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of a mount: a client asks in one line of JSON, the daemon
 * answers in lines of JSON, the last of which has "exit".
 *
 * It lies in /run/ckptfs (root), $XDG_RUNTIME_DIR/ckptfs or /tmp/ckptfs-UID,
 * named by the mount point, never inside the mount; only the same user and
 * root are let in.
 */
#ifndef CKPTFS_CONTROL_H
#define CKPTFS_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "ckptfs/compiler.h"

struct control;
struct json;

/* Send one line (without its newline); false: the client is gone. */
typedef bool control_say_fn(void *client, const char *line);
/* Answer one request; on a thread of its own. */
typedef void control_fn(void *arg, const struct json *request,
			control_say_fn *say, void *client);

int control_start(const char *mountpoint, control_fn *fn, void *arg,
		  struct control **ret) NONNULL(1, 2, 4) MUST_USE;
/* No new requests; waits for those under way.  NULL is allowed. */
void control_stop(struct control *c);

/* Ask the daemon of a mount; line() for each line, non-zero ends the call and
 * is returned.  -ENOENT, -ECONNREFUSED: no daemon; -EPROTO: it ended early. */
typedef int control_line_fn(void *arg, const char *line, size_t n);
int control_call(const char *mountpoint, const char *request,
		 control_line_fn *line, void *arg) NONNULL(1, 2, 3) MUST_USE;

#endif
