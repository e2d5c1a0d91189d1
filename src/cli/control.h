/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: a line of JSON asks, lines of JSON answer.
 *
 * Lines with a member "progress" may come first, as often as the server likes;
 * the line without it is the answer, and the last.  A connection may then ask
 * again.  Only the daemon's own user and root are served.
 *
 * The socket is named after the mount point and lies in /run/ckptfs (root),
 * $XDG_RUNTIME_DIR/ckptfs or /tmp/ckptfs-UID, 0700.
 */
#ifndef CKPTFS_CLI_CONTROL_H
#define CKPTFS_CLI_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ckptfs/compiler.h"

#define CONTROL_PATH_MAX 108 /* of sun_path */
#define CONTROL_ERR_MAX 512
#define CONTROL_LINE_MAX (256U << 20)

struct buf;
struct json;

/* ---- where */

/*
 * The folder for this user's sockets.  which: 0 is where a daemon of that user
 * makes it, others where else it may be found; -ENOENT: no more of them.
 */
int control_dir(uid_t user, unsigned which, char ret[CONTROL_PATH_MAX])
	NONNULL(3) MUST_USE;
/* The socket of a mount point in a folder. */
int control_path(const char *dir, const char *point, char ret[CONTROL_PATH_MAX])
	NONNULL(1, 2, 3) MUST_USE;

/* ---- the daemon's side */

struct control;
struct control_conn;

/* Answer req by control_reply(); any number of threads at once. */
typedef void control_handle_fn(void *arg, const struct json *req,
			       struct control_conn *conn);

/* Listen for point; what a dead daemon left there is replaced. */
int control_start(const char *point, control_handle_fn *fn, void *arg,
		  struct control **ret) NONNULL(1, 2, 4) MUST_USE;
const char *control_socket(const struct control *c) NONNULL(1);
/* No new requests; waits until those under way have been answered, which
 * they should be soon once control_ending().  NULL is allowed. */
void control_stop(struct control *c);
/* Tell handlers to come to an end. */
void control_end(struct control *c) NONNULL(1);
bool control_ending(struct control_conn *conn) NONNULL(1);
/* Send one line (b without a newline).  Non-zero: the client is gone. */
int control_reply(struct control_conn *conn, const struct buf *b) NONNULL(1, 2);

/* ---- the commands' side */

struct client;

/* Connect to the daemon of a mount point that belongs to user (-1: unknown).
 * -ENOENT or -ECONNREFUSED: nobody there; -EACCES: not ours. */
int client_open(const char *point, uid_t user, struct client **ret)
	NONNULL(1, 3) MUST_USE;
int client_open_socket(const char *path, struct client **ret) NONNULL(1, 2)
	MUST_USE;
void client_close(struct client *c);
/* Wait so long for an answer at most: then -ETIMEDOUT. */
void client_limit(struct client *c, int timeout_ms) NONNULL(1);
/* The daemon's process; 0 if it cannot be told. */
pid_t client_pid(const struct client *c) NONNULL(1);

typedef void client_progress_fn(void *arg, const struct json *progress);
/*
 * Ask (one line, no newline) and wait for the answer: *ret_line as it came, to
 * be freed, and *ret its tree.  progress may be NULL.  -EPIPE: the daemon
 * ended; -EBADMSG; -ENOMEM.
 */
int client_ask(struct client *c, const char *request,
	       client_progress_fn *progress, void *arg, char **ret_line,
	       struct json **ret) NONNULL(1, 2, 5, 6) MUST_USE;
/* The two halves of it. */
int client_send(struct client *c, const char *request) NONNULL(1, 2) MUST_USE;
int client_answer(struct client *c, client_progress_fn *progress, void *arg,
		  char **ret_line, struct json **ret) NONNULL(1, 4, 5) MUST_USE;
/* Wait until the daemon's process has ended. 0 or -ETIMEDOUT. */
int client_wait_end(struct client *c, int64_t timeout_ms) NONNULL(1) MUST_USE;

#endif
