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
#define PAGE (UINT64_C(64) << 10) /* less is not faster */
#define FIRST 8 /* how many times less than the least comes first */
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

size_t fetch_plan_wishes(const struct fetch_wish *w,
			 struct fetch_ahead ret[FETCH_WISHES_MAX])
{
	uint64_t tail = w->size < TAIL ? w->size : TAIL;
	uint64_t first = w->least / FIRST;
	bool reads = w->opening || fetch_pattern_any(w->pattern);
	bool all = w->all || w->size <= w->least ||
		   (reads && w->have >= w->size / 2);
	size_t n = 0;

	if (w->tail_first && (w->opening || w->all))
		ret[n++] = (struct fetch_ahead){ w->size - tail, w->size,
						 w->chunk, false };
	if (w->opening && !all)
		ret[n++] = (struct fetch_ahead){ 0, first, w->chunk, false };
	if (reads)
		n += fetch_pattern_ahead(w->pattern, w->size, first, w->chunk,
					 ret + n);
	if (all)
		ret[n++] = (struct fetch_ahead){ 0, w->size, w->chunk, false };
	return n;
}

uint64_t fetch_plan_ahead_most(unsigned workers, uint64_t chunk)
{
	return 2 * workers * chunk;
}

/* The first piece of a wish; of one that is read backwards, the last. */
static bool piece(const struct fetch_plan *p, const struct fetch_ahead *a,
		  struct fetch_range *ret)
{
	uint64_t off, end = a->end;

	if (!a->back) {
		if (!gap(p, a->off, end, ret))
			return false;
		if (ret->end - ret->off > a->piece)
			ret->end = ret->off + a->piece;
		return true;
	}
	for (; end > a->off; end = off) {
		off = end - a->off > a->piece ? end - a->piece : a->off;
		if (gap(p, off, end, ret))
			return true;
	}
	return false;
}

/* How far a request from off on goes, of which what lies before end is waited
 * for: whoever reads there will most likely read on. */
static uint64_t reach(const struct fetch_plan *p, uint64_t off, uint64_t end)
{
	if (end < off + PAGE)
		end = off + PAGE;
	for (size_t i = 0; i < p->n_wishes; i++) {
		const struct fetch_ahead *a = &p->wishes[i];

		if (a->back || a->off > end || a->end <= end)
			continue;
		if (off + a->piece > end)
			end = off + a->piece < a->end ? off + a->piece : a->end;
		break;
	}
	if (end > off + p->chunk)
		end = off + p->chunk;
	return end < p->size ? end : p->size;
}

bool fetch_plan_next(const struct fetch_plan *p, uint64_t want_off,
		     uint64_t want_len, struct fetch_range *ret)
{
	struct fetch_range g;
	bool any = false;

	if (want_len) {
		if (!gap(p, want_off, want_off + want_len, &g))
			return false;
		return gap(p, g.off, reach(p, g.off, want_off + want_len), ret);
	}
	for (size_t i = 0; i < p->n_wishes && !any; i++)
		any = piece(p, &p->wishes[i], ret);
	return any;
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
