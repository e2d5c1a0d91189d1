/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a daemon tells of itself, as JSON (docs/status.md has the fields), and
 * the same for people.  Pure.
 */
#ifndef CKPTFS_CLI_STATUS_H
#define CKPTFS_CLI_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "ckptfs/compiler.h"
#include "ckptfs/fs.h"
#include "ckptfs/json.h"

struct buf;

struct status_facts {
	pid_t pid;
	const char *mountpoint, *source, *cache_dir;
	const char *state; /* "mounted", "draining" */
	bool passthrough;
	int64_t now_real_ns, since_real_ns;
	uint64_t cache_size; /* bytes */
	const char *const *warnings;
	size_t nwarnings;
	bool queue_incomplete; /* the cache disk did not give all of it; set
				  before status_end() */
	struct fs_stats stats;
};

/* Sums over what is pending. */
struct status_sums {
	uint64_t files, bytes, sent; /* on their way, or stuck */
	uint64_t risk_files, risk_bytes;
	uint64_t temporary;
	int64_t oldest_real_ns; /* at risk; 0: nothing is */
};

/* A document being written: begin, one item each, end. */
struct status_doc {
	struct json_w w;
	int64_t now_real_ns;
	struct status_sums sums;
};

void status_begin(struct status_doc *d, struct buf *b,
		  const struct status_facts *f) NONNULL(1, 2, 3);
void status_item(struct status_doc *d, const struct fs_pending *p)
	NONNULL(1, 2);
int status_end(struct status_doc *d, const struct status_facts *f) NONNULL(1, 2)
	MUST_USE;

/* Count one without writing it. */
void status_sum(struct status_sums *s, const struct fs_pending *p)
	NONNULL(1, 2);
/* Seconds until all is sent, rounded up; -1: nobody knows. */
int64_t status_eta_s(const struct status_sums *s, uint64_t rate) NONNULL(1);
/* {"progress": {…}} */
int status_progress(struct buf *b, const struct status_sums *s, uint64_t rate)
	NONNULL(1, 2) MUST_USE;
/* The same of an evict or prefetch, which has files done, too. */
int status_bulk_progress(struct buf *b, const struct fs_bulk_sums *s,
			 uint64_t rate) NONNULL(1, 2) MUST_USE;
/* An element of "queue" or "missing". */
void status_write_item(struct json_w *w, const struct fs_pending *p,
		       int64_t now_real_ns) NONNULL(1, 2);

/* Whether an item of that state waits for somebody to do something. */
bool status_is_stuck(const char *state) NONNULL(1) MUST_USE;
/*
 * For scripts, from the document of a mount and for what lies at and below top
 * ("" for all of it): CLI_DONE, everything is in the bucket; CLI_TIMEOUT, the
 * rest is on its way; CLI_FAILED, something is stuck.  f: what is not there is
 * listed; NULL: it is not.
 */
int status_verdict(FILE *f, const struct json *doc, const char *top)
	NONNULL(2, 3) MUST_USE;

/* ---- for people */

/* The document of a mount; at most `most` files are listed (0: all). */
void status_print(FILE *f, const struct json *doc, size_t most) NONNULL(1, 2);
/* The state of one file. */
void status_print_path(FILE *f, const struct json *doc) NONNULL(1, 2);
/* One item that is not in the bucket, in a line. */
void status_print_left(FILE *f, const struct json *item) NONNULL(1, 2);
/* What a sync or umount left behind ("missing" of its answer). */
void status_print_missing(FILE *f, const struct json *answer) NONNULL(1, 2);
/* What an evict or prefetch left as it was ("refused" of its answer), and how
 * much it did. */
void status_print_refused(FILE *f, const struct json *answer) NONNULL(1, 2);
void status_print_bulk(FILE *f, const char *did, const struct json *answer)
	NONNULL(1, 2, 3);
/* "[####------]  40%", 18 bytes wide. */
void status_bar(uint64_t done, uint64_t all, char ret[32]) NONNULL(3);
#define STATUS_LINE_MAX 192
/* One line, of at most 78 bytes with numbers that occur: a progress bar with
 * rate and time left. */
void status_progress_line(const struct json *progress,
			  char ret[STATUS_LINE_MAX]) NONNULL(2);

#endif
