/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <xxhash.h>

#include "ckptfs/hash.h"

/* struct xxh is never completed: it is the library's state. */
static XXH3_state_t *state(struct xxh *x)
{
	return (XXH3_state_t *)x;
}

int xxh_new(struct xxh **ret)
{
	XXH3_state_t *s = XXH3_createState();

	if (!s)
		return -ENOMEM;
	*ret = (struct xxh *)s;
	xxh_reset(*ret);
	return 0;
}

void xxh_free(struct xxh *x)
{
	(void)XXH3_freeState(state(x));
}

void xxh_reset(struct xxh *x)
{
	(void)XXH3_128bits_reset(state(x));
}

void xxh_add(struct xxh *x, const void *p, size_t n)
{
	(void)XXH3_128bits_update(state(x), p, n);
}

struct hash128 xxh_digest(const struct xxh *x)
{
	const XXH3_state_t *s = (const void *)x;
	XXH128_hash_t h = XXH3_128bits_digest(s);

	return (struct hash128){ .lo = h.low64, .hi = h.high64 };
}
