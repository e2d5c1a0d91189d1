/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that serves a mount: it puts the parts together, serves, drains,
 * and takes them apart in reverse.
 *
 *	MOUNTED		fusefs_loop() runs
 *	DRAINING	the mount is gone, uploads go on
 *	ENDED		the last word (result) is written
 *
 * The main thread moves from one to the next; the signal thread and the
 * control socket only ask for it.
 */
#ifndef CKPTFS_CLI_DAEMON_H
#define CKPTFS_CLI_DAEMON_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ckptfs/buf.h"
#include "ckptfs/compiler.h"
#include "ckptfs/fs.h"
#include "ckptfs/host.h"
#include "ckptfs/options.h"

#include "say.h"
#include "source.h"

#define DAEMON_WARNINGS 8
#define DAEMON_SLICE_NS (500 * NS_PER_MS)

struct cache;
struct control;
struct control_conn;
struct cred_chain;
struct disk;
struct fusefs;
struct http;
struct json;
struct meta;
struct store;

enum daemon_phase { DAEMON_MOUNTED, DAEMON_DRAINING, DAEMON_ENDED };

struct daemon {
	struct options *o;
	struct source src;
	const char *point;
	struct say say;
	bool foreground;
	int null_fd; /* /dev/null, for stderr once ready; -1: stays */

	char *endpoint; /* NULL: the vendor's own */
	char *normal; /* source_normal() */
	char *cache_path; /* of this source */
	uint64_t cache_size;
	struct host host;
	int lock_fd;
	struct http *http;
	struct cred_chain *creds;
	struct store *store;
	struct store *s3; /* within store; NULL: it is another */
	struct store *gcs; /* the same of Google's */
	struct meta *meta;
	struct cache *cache;
	struct fs *fs;
	struct fusefs *fuse;
	struct control *control;
	pthread_t signal_thread;
	bool has_signal_thread;

	char warnings[DAEMON_WARNINGS][256];
	size_t nwarnings;
	bool passthrough;
	bool ready; /* the kernel has said hello */
	int64_t since_real_ns;

	pthread_mutex_t lock; /* guards the rest */
	enum daemon_phase phase;
	int64_t stop_at_mono_ns; /* draining ends then; CLK_NEVER */
	bool refused; /* passthrough=on, and there is none */
	struct buf result; /* the last word, for those who wait */
};

/* Serve until the end; an exit status.  No thread but this one exists. */
int daemon_run(struct daemon *d) NONNULL(1);
void daemon_warn(struct daemon *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
enum daemon_phase daemon_phase(struct daemon *d) NONNULL(1);

/* All of these: CLI_DONE, or an exit status after having said why. */
/* daemon_source.c: the options (dash_o as of options_load()) and the source,
 * its paths absolute.  command: who is told of wrong usage. */
int daemon_take_source(struct daemon *d, const char *command,
		       const char *source, const char *dash_o)
	NONNULL(1, 2, 3) MUST_USE;
/* daemon_cache.c */
/* Where it is, without looking whether it is there. */
int daemon_find_cache(struct daemon *d) NONNULL(1) MUST_USE;
int daemon_open_cache(struct daemon *d) NONNULL(1) MUST_USE;
int daemon_open_meta(struct daemon *d, struct fs_opts *ret) NONNULL(1, 2)
	MUST_USE;
/* daemon_hold.c: the lock of a cache, and who holds it. */
int daemon_lock(struct daemon *d) NONNULL(1) MUST_USE;
void daemon_tell_holder(struct daemon *d, const char *state) NONNULL(1, 2);
/* A new file of ours alone to write to; NULL: there is something of that name,
 * if only a link, or it cannot be made. */
FILE *daemon_create(const char *path) NONNULL(1);
/* daemon_s3.c: how a server is reached; and how objects are stored: key is for the one that an option names
 * a file of, and to be wiped. */
struct http_opts;
struct store_s3_opts;
void daemon_http_options(struct daemon *d, struct http_opts *ret) NONNULL(1, 2);
int daemon_s3_options(struct daemon *d, unsigned char *key,
		      struct store_s3_opts *ret) NONNULL(1, 2, 3) MUST_USE;
/* daemon_store.c */
void daemon_warn_in_clear(struct daemon *d, const char *endpoint)
	NONNULL(1, 2);
int daemon_find_endpoint(struct daemon *d) NONNULL(1) MUST_USE;
/* What credentials are asked for with; none are yet.  For S3; 0 or -errno. */
int daemon_open_creds(struct daemon *d) NONNULL(1) MUST_USE;
int daemon_open_store(struct daemon *d) NONNULL(1) MUST_USE;
/* The same in two steps, for who needs no cache: made, and not asked yet; and
 * what there is to say when it does not let us in (CLI_FAILED). */
int daemon_make_store(struct daemon *d) NONNULL(1) MUST_USE;
int daemon_say_unreached(struct daemon *d, int err) NONNULL(1);
/* What is missing of d->creds should be said now, not at the first upload. */
int daemon_try_credentials(struct daemon *d) NONNULL(1) MUST_USE;
/* Words for why a source cannot be used. */
const char *daemon_probe_hint(int err, bool is_dir, bool anonymous);

/* daemon_gcs.c: where a gs:// source is asked for, by whom (0, -ENOMEM), and
 * its back end. */
int daemon_find_gcs(struct daemon *d) NONNULL(1) MUST_USE;
int daemon_open_google(struct daemon *d) NONNULL(1) MUST_USE;
int daemon_make_gcs(struct daemon *d, struct store **ret) NONNULL(1, 2)
	MUST_USE;
/* Of options that are for s3:// alone. */
void daemon_warn_of_s3(struct daemon *d) NONNULL(1);
/* daemon_azure.c: likewise for a container of Azure, the account of which is
 * found, too. */
int daemon_find_azure(struct daemon *d) NONNULL(1) MUST_USE;
int daemon_open_azure(struct daemon *d) NONNULL(1) MUST_USE;
int daemon_make_azure(struct daemon *d, struct store **ret) NONNULL(1, 2)
	MUST_USE;

/* daemon_drain.c */
int daemon_start_signals(struct daemon *d) NONNULL(1) MUST_USE;
void daemon_stop_signals(struct daemon *d) NONNULL(1);
/* Wait until all is in the bucket or stop_at: 0, -ETIMEDOUT, or -EIO (what is
 * left cannot get there by itself). */
int daemon_drain(struct daemon *d) NONNULL(1) MUST_USE;
/* Draining shall end at that time if not before. */
void daemon_stop_at(struct daemon *d, int64_t mono_ns) NONNULL(1);
/* Whether anything is left that does not wait for its holder or for help. */
bool daemon_may_move(struct daemon *d) NONNULL(1);
/* {"status": …, "error": …, "missing": […]} of a wait that ended with r. */
int daemon_result(struct daemon *d, const char *path, int r, struct buf *b,
		  uint64_t *ret_missing) NONNULL(1, 2, 4) MUST_USE;

/* Each file that is not in the bucket, on the log. */
void daemon_log_missing(struct daemon *d) NONNULL(1);

/* daemon_bulk.c: evict or prefetch, with progress, and the answer. */
void daemon_bulk(struct daemon *d, bool prefetch, const char *path,
		 int64_t deadline, struct control_conn *conn) NONNULL(1, 3, 5);

/* daemon_serve.c: a control_handle_fn. */
void daemon_handle(void *arg, const struct json *req,
		   struct control_conn *conn);

#endif
