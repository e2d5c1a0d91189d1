/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The download engine: brings versions of objects into blobs.
 *
 * A fetch is one download of one version (key and etag) into one open blob,
 * shared by all who read it; the caller keeps one per inode.  Ranges are got
 * side by side, those somebody waits for first, and can be read as soon as
 * their bytes are written, but for those that come last: they wait for the
 * checksum of the whole, so whoever has read all of it without an error has
 * read what was put.  Which ranges are present is memory only.
 *
 * What comes: the beginning, and the end of formats that are read from their
 * end; what somebody waits for; what readers will read next, as far as their
 * reads show; and all the rest if half of it is here and somebody reads, if it
 * is no more than the smallest request, if somebody waits for all of it, or if
 * fetch_want_all() says so.
 *
 * Threads: any.  No lock of a higher rank may be held, and none at all where
 * it says "waits".  Callbacks are called with no lock held, from a worker or
 * from within a call of this module.
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
	unsigned max_downloads; /* requests at once, at most 256; 0: 16 */
	uint64_t limit; /* bytes per second; 0: none; at first */
	uint64_t chunk; /* bytes of the smallest request; 0: 8 MiB */
};

/* host and store are borrowed.  Starts the workers. */
int fetch_engine_new(const struct host *host, struct store *store,
		     const struct fetch_opts *opts, struct fetch_engine **ret)
	NONNULL(1, 2, 3, 4) MUST_USE;
/* Another limit, from now on. */
void fetch_engine_set_limit(struct fetch_engine *e, uint64_t limit) NONNULL(1);
/* Have every wait, present and to come, return -ECANCELED, and no request
 * begin; does not wait. */
void fetch_engine_stop(struct fetch_engine *e) NONNULL(1);
/* Stop, then wait for the workers (store_shutdown() first makes that quick).
 * Every fetch was dropped.  NULL is allowed. */
void fetch_engine_free(struct fetch_engine *e);

struct fetch_spec {
	const char *key, *etag; /* of the version; copied */
	uint64_t size;
	int fd; /* of the blob, by host's disk, writable; borrowed */
	/* Of the whole, as head told it; neither: what the store says with the
	 * bytes, if it does. */
	bool has_crc64, has_crc32c;
	uint64_t crc64; /* CRC-64/NVME */
	uint32_t crc32c; /* CRC-32C; unless the other is known */
	const char *name; /* tells by its ending what is read from its end;
			     not kept, NULL: unknown */
	/*
	 * Called once: with 0 when all is there and the checksum is right (or
	 * unknown), where the caller makes it durable and records it; with
	 * -EBADMSG when the checksum is wrong, with -ESTALE when the store has
	 * that version no more.  Never after the last drop has returned or
	 * released was called.  May be NULL.
	 */
	void (*done)(void *arg, int err, uint64_t id);
	/*
	 * The last call: fd is not used any more.  NULL: then the last drop
	 * waits for that instead.
	 */
	void (*released)(void *arg, uint64_t id);
	void *done_arg; /* of both */
	uint64_t done_id;
};

/* Begin the download; the caller has one reference.  Until the first
 * fetch_leave() somebody is about to read. */
int fetch_start(struct fetch_engine *e, const struct fetch_spec *spec,
		struct fetch **ret) NONNULL(1, 2, 3) MUST_USE;
struct fetch *fetch_ref(struct fetch *f) NONNULL(1);
/*
 * Give one reference back.  With the last the download is given up and what
 * is under way cancelled, which without released is waited for (so not from
 * done, then): it ends with the next bytes or the request's own time limit.
 * NULL is allowed.
 */
void fetch_drop(struct fetch *f);

/*
 * Wait until [off, off + len), cut at the end of the file, is in the blob.
 * A wait for the whole file is one for its checksum, too.
 * 0; -EBADMSG: the bytes were wrong, for good; -ESTALE: that version is gone,
 * for good, and the range is not among what was got before; -ETIMEDOUT: the
 * deadline passed; -ECANCELED: the engine was stopped; -EACCES, -EIO or
 * -ENOSPC (of the cache disk): refused just now, a later wait tries again.
 * Transient errors are tried again for ever.
 */
int fetch_wait(struct fetch *f, uint64_t off, uint64_t len,
	       int64_t deadline_mono_ns) NONNULL(1) MUST_USE;
/*
 * The same for a reader (not 0, the caller's): what he is likely to read next is
 * brought ahead.
 */
int fetch_read(struct fetch *f, uint64_t reader, uint64_t off, uint64_t len,
	       int64_t deadline_mono_ns) NONNULL(1) MUST_USE;
/* He reads no more: requests for what he alone wanted are cancelled.  Whoever
 * waits goes on waiting. */
void fetch_leave(struct fetch *f, uint64_t reader) NONNULL(1);
/*
 * Wait for a byte that is not here if the store has not given any since then
 * (mono): it has that version, or it had then.  As fetch_wait().
 */
int fetch_prove(struct fetch *f, int64_t since_mono_ns,
		int64_t deadline_mono_ns) NONNULL(1) MUST_USE;
/* All of it is to come, whoever reads; or no longer. */
void fetch_want_all(struct fetch *f, bool all) NONNULL(1);
/* Whether the range is there; waits for nothing. */
bool fetch_has(struct fetch *f, uint64_t off, uint64_t len) NONNULL(1);
/* All of it is there and verified. */
bool fetch_complete(struct fetch *f) NONNULL(1);
/* Complete, or never to be. */
bool fetch_settled(struct fetch *f) NONNULL(1);
/*
 * How it stands: 0 complete; -EBADMSG, -ESTALE: as fetch_wait(), for good;
 * -EACCES, -EIO, -ENOSPC: the last request was refused, and will be made
 * again; -EINPROGRESS.
 */
int fetch_outcome(struct fetch *f) NONNULL(1) MUST_USE;
/* Bytes in the blob. */
uint64_t fetch_progress(struct fetch *f) NONNULL(1);

struct fetch_stats {
	uint64_t bytes; /* written to blobs, since the start */
	uint64_t requests, retries;
	unsigned active; /* fetches of which something is to come */
	unsigned at_once, at_once_most; /* requests: now, and max_downloads */
	uint64_t limit; /* bytes per second; 0: none */
};
void fetch_stats(struct fetch_engine *e, struct fetch_stats *ret)
	NONNULL(1, 2);

#endif
