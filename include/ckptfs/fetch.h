/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The download engine: one object version into one sparse blob, in parallel
 * ranges, shared by all who have the file open.
 *
 * A fetch runs from fetch_start() until everything is here or fetch_drop().
 * The range somebody waits for goes first; then, for formats that are read
 * from their end, the tail; then the rest from the front.  All ranges carry
 * the pinned etag, so bytes of two versions are never mixed.
 *
 * Threads: any.
 */
#ifndef CKPTFS_FETCH_H
#define CKPTFS_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "ckptfs/compiler.h"

struct fetch;
struct fetch_engine;
struct host;
struct store;

struct fetch_opts {
	unsigned max_downloads; /* workers; 0: 16 */
	uint64_t limit; /* bytes per second; 0: none */
};

int fetch_engine_new(const struct host *host, struct store *store,
		     const struct fetch_opts *opts, struct fetch_engine **ret)
	NONNULL(1, 2, 3, 4) MUST_USE;
/* Every fetch was dropped before.  NULL is allowed. */
void fetch_engine_free(struct fetch_engine *e);
/* Bytes received since the start. */
uint64_t fetch_engine_bytes(struct fetch_engine *e) NONNULL(1);

struct fetch_spec {
	const char *key, *etag; /* copied */
	uint64_t size;
	bool has_crc64;
	uint64_t crc64; /* of the whole; verified when all is here */
	int fd; /* of the blob, writable; borrowed until fetch_drop() */
	const char *name; /* tells the format by its ending */
	/* All is here and verified (err 0), or it can never be (err < 0).  On a
	 * worker, nothing held. */
	void (*done)(void *arg, int err, uint64_t id);
	void *done_arg;
	uint64_t done_id;
};

int fetch_start(struct fetch_engine *e, const struct fetch_spec *spec,
		struct fetch **ret) NONNULL(1, 2, 3) MUST_USE;
/* Wait until [off, off + len) is in the blob.  0; -ESTALE: the version is gone
 * from the store; -EBADMSG: wrong checksum; -EIO; -ETIMEDOUT; -ECANCELED.
 * While the store does not answer, it is asked again. */
int fetch_wait(struct fetch *f, uint64_t off, uint64_t len,
	       int64_t deadline_mono_ns) NONNULL(1) MUST_USE;
bool fetch_complete(struct fetch *f) NONNULL(1);
/* Complete, or failed for good. */
bool fetch_settled(struct fetch *f) NONNULL(1);
/* Stop and forget; waits for the ranges under way.  Nobody waits in
 * fetch_wait(). */
void fetch_drop(struct fetch *f) NONNULL(1);

#endif
