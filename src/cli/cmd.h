/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share. */
#ifndef CKPTFS_CLI_CMD_H
#define CKPTFS_CLI_CMD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ckptfs/cli.h"
#include "ckptfs/compiler.h"

#include "control.h"

/* argv[0] is the command's name; each returns an exit status. */
int cmd_evict(int argc, char **argv) NONNULL(2);
int cmd_fsck(int argc, char **argv) NONNULL(2);
int cmd_limit(int argc, char **argv) NONNULL(2);
int cmd_mount(int argc, char **argv) NONNULL(2);
/* mount.ckptfs: returns an exit status of mount(8). */
int cmd_mount_helper(int argc, char **argv) NONNULL(2);
int cmd_probe(int argc, char **argv) NONNULL(2);
int cmd_recover(int argc, char **argv) NONNULL(2);
int cmd_prefetch(int argc, char **argv) NONNULL(2);
int cmd_status(int argc, char **argv) NONNULL(2);
int cmd_sync(int argc, char **argv) NONNULL(2);
int cmd_umount(int argc, char **argv) NONNULL(2);

/* What a terminal might take for an order, or the end of a line, becomes '?'. */
void cmd_put_safe(FILE *f, const char *s) NONNULL(1, 2);
/* "ckptfs: …" on stderr, made safe: servers have a say in it. */
void cmd_say(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* The same, and how to get help; CLI_USAGE. */
int cmd_usage(const char *command, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A time of --timeout; false (said so) if it is none. */
bool cmd_timeout(const char *command, const char *text, int64_t *ret_ns)
	NONNULL(1, 2, 3) MUST_USE;

/* The mount a path lies in. */
struct cmd_target {
	char *path; /* absolute */
	char *point; /* mount point, the beginning of path */
	const char *rest; /* of path, below it; "" for all of the mount */
	struct client *client; /* connected */
};
/* Find it and connect; CLI_DONE, or an exit status after having said why. */
int cmd_target_open(const char *path, struct cmd_target *ret) NONNULL(1, 2)
	MUST_USE;
void cmd_target_close(struct cmd_target *t) NONNULL(1);

/* Nanoseconds until a deadline (mono), at least 0; CLK_NEVER: there is none. */
int64_t cmd_left(int64_t deadline);
/*
 * Ask {"op": op, "path": path (unless NULL), "timeout_ns": …} and show
 * progress on a terminal.  CLI_DONE and the answer, to be freed; or an exit
 * status after having said why.
 */
struct json;
int cmd_ask(struct client *c, const char *op, const char *path,
	    int64_t timeout_ns, bool show, char **ret_line, struct json **ret)
	NONNULL(1, 2, 6, 7) MUST_USE;
/* The same with a request of one's own, a line of JSON. */
int cmd_ask_line(struct client *c, const char *request, char **ret_line,
		 struct json **ret) NONNULL(1, 2, 3, 4) MUST_USE;
/* The two halves of it. */
int cmd_send(struct client *c, const char *op, const char *path,
	     int64_t timeout_ns) NONNULL(1, 2) MUST_USE;
int cmd_answer(struct client *c, bool show, char **ret_line, struct json **ret)
	NONNULL(1, 3, 4) MUST_USE;
/* The "status" of an answer, its error said and what is missing listed. */
int cmd_verdict(const struct json *answer) NONNULL(1);

/* Processes that hold a mount busy, in words: "12 (python), 14 (bash)"; "" if
 * none can be seen.  Touches no mount. */
struct buf;
int cmd_holders(const char *point, struct buf *b) NONNULL(1, 2) MUST_USE;
/* The same of processes among whose mounts the file system of m is, told by its
 * number, type and source; no more than fit. */
struct mount_entry;
int cmd_elsewhere(const struct mount_entry *m, struct buf *b) NONNULL(1, 2)
	MUST_USE;

#endif
