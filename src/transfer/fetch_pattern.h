/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What readers of a file that is not all here will read next, as far as their
 * reads so far show.  Values and functions of them; no lock, no clock.
 *
 * A stream is what one reader reads in a row, forwards or backwards.  As much
 * again is brought ahead of it as it has read already, twice that at its
 * beginning, so it is soon as fast as the network, and whoever stops has cost
 * not more than a few times what he read.  A reader that jumps begins another
 * stream: his last one tells how long that will be, and the same distance from
 * one to the next, twice, where those after it begin.
 */
#ifndef TRANSFER_FETCH_PATTERN_H
#define TRANSFER_FETCH_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads so far apart are still one after the other: the kernel's come in any
 * order. */
#define FETCH_NEAR (UINT64_C(512) << 10)
#define FETCH_STREAMS 32
#define FETCH_STRIDES 16

struct fetch_stream {
	uint64_t who; /* 0: the slot is free */
	uint64_t from, to; /* read so far */
	uint64_t lo, hi; /* brought ahead: [lo, from) and [to, hi) */
	uint64_t expect; /* how long it is likely to become; 0: unknown */
	int64_t stride; /* from the begin of his last stream to this one's */
	uint64_t start; /* where it began */
	unsigned strides; /* so many more are likely to follow */
	unsigned hits; /* so often was it this far */
	uint64_t used; /* order */
};

struct fetch_pattern {
	struct fetch_stream s[FETCH_STREAMS];
	uint64_t clock;
};

struct fetch_ahead {
	uint64_t off, end;
	uint64_t piece; /* the most of it that one request is for */
	bool back; /* its end first */
};
/* The most that fetch_pattern_ahead() gives. */
#define FETCH_AHEAD_MAX (2 * FETCH_STREAMS + FETCH_STRIDES)

/* who (not 0) reads [off, off + len) of a file of that size; most: the most
 * to be brought ahead of one stream.  True: there is more to be brought. */
bool fetch_pattern_read(struct fetch_pattern *p, uint64_t who, uint64_t off,
			uint64_t len, uint64_t size, uint64_t most);
/* He reads no more. */
void fetch_pattern_leave(struct fetch_pattern *p, uint64_t who);
/* Does anybody read? */
bool fetch_pattern_any(const struct fetch_pattern *p);
/* What is to be brought, that of the last reader first; in requests of least
 * to most bytes.  How many. */
size_t fetch_pattern_ahead(const struct fetch_pattern *p, uint64_t size,
			   uint64_t least, uint64_t most,
			   struct fetch_ahead ret[FETCH_AHEAD_MAX]);

#endif
