/* SPDX-License-Identifier: Apache-2.0 */
/* The download engine: what its files share. */
#ifndef TRANSFER_FETCH_INT_H
#define TRANSFER_FETCH_INT_H

#include "ckptfs/fetch.h"
#include "ckptfs/lock.h"
#include "ckptfs/store.h"
#include "ckptfs/thr.h"

#include "fetch_pattern.h"
#include "flow.h"

struct cache_ranges;

/* What a reader waits for; on its stack, in the engine's line. */
struct fetch_want {
	struct fetch_want *next;
	struct fetch *f;
	uint64_t off, len;
};

/* One request under way; on its worker's stack. */
struct fetch_job {
	struct fetch_job *next; /* of the same fetch */
	struct fetch *f;
	uint64_t start, pos; /* [start, pos) is in the blob */
	uint64_t busy; /* [pos, busy) is gathered, or being written */
	uint64_t end; /* may be moved down, never below busy */
	uint64_t crc; /* of [start, pos) */
	int64_t began_ns; /* mono */
	int disk_err;
	unsigned char *gathered; /* FETCH_GATHER bytes, the worker's */
	size_t n_gathered; /* its job's alone */
};

/* The library hands over 16 KiB at a time: to write so little costs more in
 * calls than in bytes. */
#define FETCH_GATHER (256U << 10)
/* So much at once is worth a call of its own. */
#define FETCH_DIRECT (192U << 10)
#define FETCH_PAGE 4096U

#define FETCH_JOBS_MAX 256

struct fetch_range {
	uint64_t off, end;
};

/* Bytes got by one request, for the checksum of the whole. */
struct fetch_piece {
	uint64_t off, len, crc;
};

enum fetch_state {
	FETCH_RUNNING, /* by fetch_start() */
	FETCH_WHOLE, /* all bytes there; by the job that brought the last */
	FETCH_DONE, /* verified; by finish() */
	FETCH_WRONG, /* checksum mismatch; by finish() */
	FETCH_GONE, /* version vanished; by a job */
};

/* Guarded by the engine's lock, but for what never changes. */
struct fetch {
	struct fetch_engine *e;
	struct fetch_spec spec; /* key and etag are owned; constant, but for
				   the checksum */
	uint64_t chunk; /* constant */
	bool tail_first; /* constant */
	bool opening; /* somebody is about to read */
	bool all; /* fetch_want_all() */
	struct fetch_pattern pattern;
	struct fetch *next; /* of the engine's, in order of start */
	unsigned refs, busy; /* busy: workers in a job or callback */
	bool dropping; /* the last drop waits; frees it then */
	enum fetch_state state;
	bool told; /* done() was called, or is about to be */
	struct cache_ranges *have; /* in the blob */
	struct fetch_job *jobs;
	unsigned n_jobs;
	struct fetch_piece *pieces; /* room for one more a job */
	size_t n_pieces, cap_pieces;
	unsigned waiters;
	int64_t proved_ns; /* the store had this version */
	unsigned failures; /* in a row */
	int64_t retry_ns; /* no request before; 0: at once */
	unsigned refusals; /* counts; so a waiter knows of a new one */
	int refused; /* the last one's error */
	int trouble; /* the same, until a request has brought something */
	struct thr_cond cond; /* any of the above changed */
};

struct fetch_worker {
	struct fetch_engine *e;
	struct thr_worker *thr;
	unsigned char *gather; /* FETCH_GATHER bytes */
	bool wants_only; /* keeps a connection free for who waits */
};

struct fetch_engine {
	const struct host *host;
	struct store *store;
	unsigned n_workers;
	struct fetch_worker *workers;
	uint64_t chunk;
	struct lock lock; /* guards the rest */
	uint64_t limit; /* bytes per second; 0: none */
	unsigned limits; /* how many there were: a wait by an old one ends */
	struct flow flow; /* how many workers ask the store at once */
	unsigned going; /* that do now */
	bool stopping;
	struct fetch *fetches;
	struct fetch_want *wants, **wants_end;
	int64_t paced_ns; /* when the bytes taken so far are paid for */
	struct thr_cond pace_cond; /* stopping, or a fetch was given up */
	struct fetch_stats stats;
};

/* ---- fetch_plan.c: pure ---- */

/* Whether what has this name is read from its end first. */
bool fetch_plan_tail_first(const char *name);
/* Bytes a request of a file of this size asks for. */
uint64_t fetch_plan_chunk(uint64_t size, unsigned workers, uint64_t least);
/* What is to come of a file unless somebody waits for more: what comes first is
 * first. */
struct fetch_wish {
	uint64_t size, chunk; /* size above 0; the most a request is for */
	uint64_t least; /* of any file: its smallest request */
	uint64_t have; /* so much is here */
	bool tail_first, opening, all;
	const struct fetch_pattern *pattern;
};
#define FETCH_WISHES_MAX (FETCH_AHEAD_MAX + 3)
size_t fetch_plan_wishes(const struct fetch_wish *w,
			 struct fetch_ahead ret[FETCH_WISHES_MAX]);
struct fetch_plan {
	const struct cache_ranges *have;
	const struct fetch_range *jobs; /* what is under way, in any order */
	size_t n_jobs;
	uint64_t size, chunk;
	const struct fetch_ahead *wishes;
	size_t n_wishes;
};
/*
 * The next range to request: of what is wanted (len 0: nothing is) and is
 * likely to be read after it, else of the wishes.  False: all of that is there
 * or under way.
 */
bool fetch_plan_next(const struct fetch_plan *p, uint64_t want_off,
		     uint64_t want_len, struct fetch_range *ret);
/* The most to be brought ahead of one reader. */
uint64_t fetch_plan_ahead_most(unsigned workers, uint64_t chunk);
/* How long to wait after n + 1 failures in a row. */
int64_t fetch_plan_backoff_ns(unsigned n, uint64_t random);
enum fetch_verdict {
	FETCH_AGAIN, /* after a back-off */
	FETCH_REFUSED, /* tell who waits; *ret_err says what */
	FETCH_VANISHED,
};
enum fetch_verdict fetch_plan_verdict(int err, int *ret_err);
/* How long the bytes up to now plus n must wait at limit bytes a second;
 * *paced_ns is the state. */
int64_t fetch_plan_pace_ns(int64_t *paced_ns, int64_t now_ns, uint64_t limit,
			   uint64_t n);

/* ---- fetch_run.c: one request ---- */

/* Put the job on; -ENOMEM: not done. */
int fetch_job_begin_locked(struct fetch_engine *e, struct fetch_job *job)
	REQUIRES(e->lock) MUST_USE;
/* Perform it; -ECANCELED when it was cut or the fetch given up. */
int fetch_run(struct fetch_engine *e, struct fetch_job *job);
/* Take job off and record what it brought; r: what fetch_run() returned. */
void fetch_job_end_locked(struct fetch_engine *e, struct fetch_job *job, int r)
	REQUIRES(e->lock);
/* The checksum of the pieces.  -EBADMSG if it is not the expected one. */
int fetch_verify(struct fetch *f) MUST_USE;

/* ---- fetch.c ---- */

void fetch_kick_locked(struct fetch_engine *e) REQUIRES(e->lock);
/* What is to come of f if nobody waits; all: somebody waits for all of it. */
size_t fetch_wishes_locked(struct fetch_engine *e, const struct fetch *f,
			   bool all, struct fetch_ahead ret[FETCH_WISHES_MAX])
	REQUIRES(e->lock);

#endif
