/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ckptfs/clock.h"
#include "ckptfs/space.h"

#define MIN_FREE (UINT64_C(2) << 30)
#define LOOK_NS NS_PER_S
#define LOOK_OFTEN_NS (100 * NS_PER_MS)

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t more(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

uint64_t space_min_free(uint64_t given, uint64_t total)
{
	if (given)
		return given;
	return total / 20 > MIN_FREE ? total / 20 : MIN_FREE;
}

/* Full of what only the uploader can let go. */
static enum space_verdict stuck(const struct space_now *now)
{
	return now->may_upload && !now->full_enospc ? SPACE_WAIT : SPACE_FULL;
}

static enum space_verdict on_disk(const struct space_now *now)
{
	if (more(more(now->avail, now->clean), now->going) < SPACE_FLOOR)
		return stuck(now);
	return now->avail < SPACE_FLOOR ? SPACE_WAIT : SPACE_GO;
}

void space_choose(const struct space_now *now, struct space_choice *ret)
{
	uint64_t min_free = space_min_free(now->min_free, now->total);
	uint64_t ahead = now->writers ? now->rate : 0;
	uint64_t short_disk, short_cache = 0;

	if (min_free < SPACE_FLOOR)
		min_free = SPACE_FLOOR; /* or writers would wait for nothing */
	short_disk = less(more(min_free, ahead), more(now->avail, now->going));
	if (now->cache_size)
		short_cache = less(more(more(more(now->clean, now->dirty),
					     now->in_use),
					ahead),
				   now->cache_size);
	ret->evict = short_disk > short_cache ? short_disk : short_cache;
	if (ret->evict > now->clean)
		ret->evict = now->clean;
	ret->ordinary = now->avail < min_free;
	ret->write = ret->open = on_disk(now);
	if (now->cache_size && now->dirty >= now->cache_size)
		ret->open = stuck(now);
	ret->again_ns = now->writers ? LOOK_OFTEN_NS : LOOK_NS;
}

uint64_t space_more(const struct space_now *now)
{
	uint64_t min_free = space_min_free(now->min_free, now->total);
	uint64_t disk, cache = UINT64_MAX;

	if (min_free < SPACE_FLOOR)
		min_free = SPACE_FLOOR;
	disk = less(more(more(now->avail, now->going), now->clean), min_free);
	if (now->cache_size)
		cache = less(now->cache_size, more(now->dirty, now->in_use));
	return disk < cache ? disk : cache;
}

uint64_t space_rate(struct space_rate *r, int64_t now_ns, uint64_t avail,
		    uint64_t freed)
{
	int64_t dt = now_ns - r->last_ns;
	double seen, kept;

	if (r->known && dt <= 0)
		return r->rate;
	if (r->known) {
		seen = (double)less(more(r->last_avail, freed), avail) *
		       (double)NS_PER_S / (double)dt;
		kept = (double)r->rate * (1 - (double)dt / (2.0 * NS_PER_S));
		r->rate = (uint64_t)(seen > kept ? seen : kept);
	}
	r->known = true;
	r->last_ns = now_ns;
	r->last_avail = avail;
	return r->rate;
}
