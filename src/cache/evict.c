/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdlib.h>

#include "ckptfs/cache.h"

static bool may_go(const struct cache_candidate *c)
{
	return c->evictable && c->bytes > 0;
}

static int first_to_go(const void *a, const void *b)
{
	const struct cache_candidate *x = a, *y = b;

	if (may_go(x) != may_go(y))
		return may_go(x) ? -1 : 1;
	if (x->used_ns != y->used_ns)
		return x->used_ns < y->used_ns ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

void cache_evict_choose(struct cache_candidate *c, size_t n, uint64_t need,
			size_t *ret_n)
{
	size_t i;

	if (n > 0)
		qsort(c, n, sizeof(*c), first_to_go);
	for (i = 0; i < n && need > 0 && may_go(&c[i]); i++)
		need -= c[i].bytes < need ? c[i].bytes : need;
	*ret_n = i;
}
