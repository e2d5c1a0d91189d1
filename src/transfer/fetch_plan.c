/* SPDX-License-Identifier: Apache-2.0 */
/* The choices of the download engine: functions of values. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "ckptfs/cache.h"
#include "ckptfs/clock.h"

#include "fetch_int.h"

#define TAIL (UINT64_C(1) << 20) /* holds a zip's directory, or most of it */
#define ROUNDS 4 /* requests per worker that a large file is cut into */
#define GROWTH 8 /* how many times the least request may grow */
#define BACKOFF_BASE (100 * NS_PER_MS)
#define BACKOFF_CAP (10 * NS_PER_S)
#define BURST (100 * NS_PER_MS)

bool fetch_plan_tail_first(const char *name)
{
	/* zip archives by several names, and what may be mapped as a whole */
	static const char *const ends[] = { ".ckpt", ".keras", ".npz",
					    ".pt",   ".pth",   ".safetensors",
					    ".zip" };
	size_t n = name ? strlen(name) : 0;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t len = strlen(ends[i]);

		if (n > len && !strcasecmp(name + n - len, ends[i]))
			return true;
	}
	return false;
}

uint64_t fetch_plan_chunk(uint64_t size, unsigned workers, uint64_t least)
{
	uint64_t chunk = size / (ROUNDS * workers);

	if (chunk < least)
		return least;
	return chunk > GROWTH * least ? GROWTH * least : chunk;
}

/* The first gap in [off, end) that no job is about to fill. */
static bool gap(const struct fetch_plan *p, uint64_t off, uint64_t end,
		struct fetch_range *ret)
{
	struct fetch_range g;
	uint64_t len;
	size_t i = 0;

	if (off >= end ||
	    !cache_ranges_gap(p->have, off, end - off, &g.off, &len))
		return false;
	g.end = g.off + len;
	while (i < p->n_jobs) {
		const struct fetch_range *j = &p->jobs[i++];

		if (j->off >= g.end || j->end <= g.off)
			continue;
		if (j->off <= g.off) /* begins in it: look behind it */
			return gap(p, j->end, end, ret);
		g.end = j->off;
	}
	*ret = g;
	return true;
}

bool fetch_plan_next(const struct fetch_plan *p, uint64_t want_off,
		     uint64_t want_len, struct fetch_range *ret)
{
	uint64_t tail = p->size < TAIL ? p->size : TAIL;
	struct fetch_range g;

	if (want_len) {
		if (!gap(p, want_off, want_off + want_len, &g))
			return false;
		/* whoever reads here will most likely read on */
		if (!gap(p, g.off, p->size, &g))
			return false;
	} else if (p->tail_first && gap(p, p->size - tail, p->size, &g)) {
		*ret = g;
		return true;
	} else if (!gap(p, 0, p->size, &g)) {
		return false;
	}
	ret->off = g.off;
	ret->end = g.end - g.off < p->chunk ? g.end : g.off + p->chunk;
	return true;
}

int64_t fetch_plan_backoff_ns(unsigned n, uint64_t random)
{
	int64_t top = BACKOFF_BASE;

	while (n-- && top < BACKOFF_CAP)
		top *= 2;
	if (top > BACKOFF_CAP)
		top = BACKOFF_CAP;
	/* never at once: this counts on top of the store's own retries */
	return top / 2 + (int64_t)(random % ((uint64_t)top / 2 + 1));
}

enum fetch_verdict fetch_plan_verdict(int err, int *ret_err)
{
	switch (err) {
	case -ESTALE:
	case -ENOENT:
		return FETCH_VANISHED;
	case -EAGAIN:
	case -ETIMEDOUT:
	case -ENETUNREACH:
	case -EPROTO:
	case -ENOMEM:
	case -ECANCELED:
		return FETCH_AGAIN;
	case -EACCES:
	case -ENOSPC:
		*ret_err = err;
		return FETCH_REFUSED;
	default:
		*ret_err = -EIO;
		return FETCH_REFUSED;
	}
}

int64_t fetch_plan_pace_ns(int64_t *paced_ns, int64_t now_ns, uint64_t limit,
			   uint64_t n)
{
	int64_t wait;

	if (!limit)
		return 0;
	if (*paced_ns < now_ns - BURST)
		*paced_ns = now_ns - BURST;
	wait = *paced_ns - now_ns;
	*paced_ns += (int64_t)((double)n * (double)NS_PER_S / (double)limit);
	return wait > 0 ? wait : 0;
}
