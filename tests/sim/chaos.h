/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network between the daemon and its bucket, as a decorator of a store:
 * requests and answers take their time (so that everybody else's steps come in
 * between), get lost, come twice, are refused for a while; and a
 * process that died sends nothing any more, though what it sent may arrive.
 */
#ifndef SIM_CHAOS_H
#define SIM_CHAOS_H

#include <stdbool.h>
#include <stdint.h>

#include "ckptfs/store.h"

struct disk;
struct host;

/* inner is owned.  changed(arg, key): an object under a user's name was
 * changed, just now. */
struct store *chaos_new(struct store *inner, const struct host *host,
			struct disk *disk, uint64_t seed,
			void (*changed)(void *arg, const char *key), void *arg);

/* The process is dead: new requests do nothing; those on their way arrive or
 * do not. */
void chaos_kill(struct store *s);
void chaos_revive(struct store *s);

/* Whether what a dead process sent may still arrive: where nothing is said of
 * what is to be there it would undo what came after it. */
void chaos_set_late(struct store *s, bool late);

/* Whether anything users see was to be changed without a condition (A4). */
bool chaos_was_bare(struct store *s);

/* The most a request and its answer take, each; 0: no time. */
void chaos_set_latency(struct store *s, int64_t ns);

enum chaos_kind {
	CHAOS_THROTTLE, /* refused: 503, 429 */
	CHAOS_LOST, /* the request never arrives */
	CHAOS_AMBIGUOUS, /* it does, the answer never comes */
	CHAOS_GARBLED, /* 200, and then an error in the body */
	CHAOS_TWICE, /* carried out twice, the second answer comes */
	CHAOS_REFUSED, /* a change is: 403, once and for all */
	CHAOS_KINDS
};
/* Of a hundred requests so many fail so, until told otherwise; like an outage,
 * for ten minutes after the last change at most. */
void chaos_set_rate(struct store *s, enum chaos_kind kind, unsigned percent);
/* Say each request on stderr. */
void chaos_set_trace(struct store *s, bool trace);
/* Nobody answers. */
/* Its troubles are as if over, for who looks from outside. */
void chaos_hold(struct store *s, bool held);
void chaos_set_down(struct store *s, bool down);

#endif
