/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many requests are made at once: between one and as many as the options
 * allow.  Pure; the caller sees to the lock.
 *
 * It begins with all of them.  A store that asks for less gets half as many,
 * at once; then one more each second in which all were in use, as long as more
 * is done by it.  Where the last one brought nothing the next is tried later.
 */
#ifndef TRANSFER_FLOW_H
#define TRANSFER_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "ckptfs/compiler.h"

#define FLOW_REQUEST (UINT64_C(64) << 10) /* bytes that one costs as much as */

struct flow {
	unsigned most; /* constant, at least 1 */
	unsigned now; /* 1 .. most */
	bool full; /* as many as may be were under way, since `since` */
	int64_t since; /* mono: this measure began */
	int64_t cut_at; /* mono: the store asked for less; 0: never */
	int64_t grow_at; /* mono: no more than now before */
	uint64_t work_then; /* when this measure began */
	uint64_t rate; /* work per second before the last growth; 0: unknown */
};

void flow_init(struct flow *f, unsigned most) NONNULL(1);
/* One begins, beside `going` others. */
void flow_begins(struct flow *f, unsigned going) NONNULL(1);
/*
 * One that began at began_ns ends.  work: all that was done so far, in bytes,
 * with FLOW_REQUEST for each request; throttled: the store said that it is
 * asked too much.  True: more may be made at once than before.
 */
bool flow_ends(struct flow *f, int64_t began_ns, int64_t now_ns, uint64_t work,
	       bool throttled) NONNULL(1);

#endif
