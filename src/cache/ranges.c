/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/cache.h"

struct range {
	uint64_t off, end; /* off < end */
};

/* v is sorted; ranges neither overlap nor touch. */
struct cache_ranges {
	struct range *v;
	size_t n, cap;
	uint64_t sum;
};

int cache_ranges_new(struct cache_ranges **ret)
{
	struct cache_ranges *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	*ret = r;
	return 0;
}

void cache_ranges_free(struct cache_ranges *r)
{
	if (!r)
		return;
	free(r->v);
	free(r);
}

/* The first range that ends at or after off (past it, if strict). */
static size_t find(const struct cache_ranges *r, uint64_t off, bool strict)
{
	size_t lo = 0, hi = r->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (strict ? r->v[mid].end <= off : r->v[mid].end < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int need_room(struct cache_ranges *r)
{
	size_t cap = r->cap ? 2 * r->cap : 16;
	struct range *v;

	if (r->n < r->cap)
		return 0;
	v = realloc(r->v, cap * sizeof(*v));
	if (!v)
		return -ENOMEM;
	r->v = v;
	r->cap = cap;
	return 0;
}

/* Put this one where n old ones begin at i; there is room. */
static void replace(struct cache_ranges *r, size_t i, size_t n,
		    const struct range *with)
{
	size_t j;

	for (j = i; j < i + n; j++)
		r->sum -= r->v[j].end - r->v[j].off;
	r->sum += with->end - with->off;
	memmove(r->v + i + 1, r->v + i + n, (r->n - i - n) * sizeof(*r->v));
	r->v[i] = *with;
	r->n = r->n - n + 1;
}

int cache_ranges_add(struct cache_ranges *r, uint64_t off, uint64_t len)
{
	struct range w = { .off = off, .end = off + len };
	size_t i, n = 0;
	int err;

	if (w.end < off)
		return -EINVAL;
	if (len == 0)
		return 0;
	err = need_room(r);
	if (err < 0)
		return err;
	i = find(r, off, false);
	while (i + n < r->n && r->v[i + n].off <= w.end)
		n++;
	if (n) {
		if (r->v[i].off < w.off)
			w.off = r->v[i].off;
		if (r->v[i + n - 1].end > w.end)
			w.end = r->v[i + n - 1].end;
	}
	replace(r, i, n, &w);
	return 0;
}

bool cache_ranges_gap(const struct cache_ranges *r, uint64_t off, uint64_t len,
		      uint64_t *ret_off, uint64_t *ret_len)
{
	uint64_t end = off + len < off ? UINT64_MAX : off + len;
	size_t i = find(r, off, true);

	if (i < r->n && r->v[i].off <= off)
		off = r->v[i++].end;
	if (off >= end)
		return false;
	if (i < r->n && r->v[i].off < end)
		end = r->v[i].off;
	*ret_off = off;
	*ret_len = end - off;
	return true;
}

bool cache_ranges_has(const struct cache_ranges *r, uint64_t off, uint64_t len)
{
	uint64_t gap_off, gap_len;

	return !cache_ranges_gap(r, off, len, &gap_off, &gap_len);
}

uint64_t cache_ranges_sum(const struct cache_ranges *r)
{
	return r->sum;
}
