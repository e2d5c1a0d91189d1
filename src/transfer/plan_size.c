/* SPDX-License-Identifier: Apache-2.0 */
/* Part sizes and back-off: functions of values. */
#include "config.h"

#include "ckptfs/clock.h"
#include "ckptfs/store.h"
#include "ckptfs/transfer.h"

#include "plan_size.h"

#define FIRST_PART (UINT64_C(8) << 20)
#define LARGE_PART (UINT64_C(32) << 20)
#define ENOUGH_PARTS 64u /* eight for each of eight streams */
#define GOOD_PARTS 1000u
#define COPIED_PART (UINT64_C(64) << 20)
#define LOG_AT_ONCE FIRST_PART /* sent of a log in each upload_interval */
#define LOG_COPIED_AT_ONCE (UINT64_C(512) << 20) /* by the server, its time */

/*
 * Equal parts (some stores insist).  Small ones let much go side by side and
 * little be sent twice, but each is a request that costs both ends: so larger
 * ones where enough of them are left for every stream, and within a thousand;
 * above that, whatever the store's part count needs.
 */
uint64_t plan_part_size(uint64_t size, uint64_t fixed,
			const struct store_limits *limits)
{
	uint64_t ps = fixed ? fixed : FIRST_PART;
	uint64_t most = limits->parts_max ? limits->parts_max : 10000;

	if (ps < limits->part_min)
		ps = limits->part_min;
	while (!fixed && ps < LARGE_PART && size / ps >= 2 * ENOUGH_PARTS &&
	       ps < limits->part_max / 2)
		ps *= 2;
	while (!fixed && size / ps >= GOOD_PARTS && ps < limits->part_max / 2)
		ps *= 2;
	while (size / ps >= most && ps < limits->part_max / 2)
		ps *= 2;
	if (limits->part_max && ps > limits->part_max)
		ps = limits->part_max;
	return ps;
}

uint64_t plan_copied(uint64_t there, uint64_t part_size, uint64_t fixed,
		     const struct store_limits *limits)
{
	if (there <= limits->part_min)
		return 0;
	if (fixed || part_size > limits->part_max / 4)
		return there / part_size * part_size;
	return there;
}

/* Few requests, but some at once. */
static uint64_t copy_size(const struct plan_lay *lay)
{
	uint64_t ps = lay->part_size;

	if (lay->copied % ps == 0)
		return ps;
	return ps < COPIED_PART ? COPIED_PART / ps * ps : ps;
}

unsigned plan_copies(const struct plan_lay *lay)
{
	uint64_t n = lay->copied / copy_size(lay);

	return n || !lay->copied ? (unsigned)n : 1;
}

unsigned plan_parts(const struct plan_lay *lay)
{
	uint64_t rest = lay->size - lay->copied, ps = lay->part_size;

	return plan_copies(lay) + (unsigned)(rest / ps + (rest % ps != 0));
}

void plan_part(const struct plan_lay *lay, unsigned i, uint64_t *ret_off,
	       uint64_t *ret_len)
{
	unsigned n = plan_copies(lay);
	uint64_t size = i < n ? copy_size(lay) : lay->part_size, off, end;

	if (i < n) {
		off = size * i;
		end = i + 1 == n ? lay->copied : off + size;
	} else {
		off = lay->copied + size * (i - n);
		end = lay->size - off < size ? lay->size : off + size;
	}
	*ret_off = off;
	*ret_len = end - off;
}

/* Full jitter below 100 ms doubling up to 30 s. */
int64_t plan_backoff(unsigned attempts, uint64_t random)
{
	int64_t cap = 100 * NS_PER_MS;

	while (attempts-- > 1 && cap < 30 * NS_PER_S)
		cap *= 2;
	if (cap > 30 * NS_PER_S)
		cap = 30 * NS_PER_S;
	return cap / 10 + (int64_t)(random % (uint64_t)cap);
}

int64_t transfer_log_interval(int64_t interval, uint64_t size, bool copied)
{
	uint64_t times = 1 + size / (copied ? LOG_COPIED_AT_ONCE : LOG_AT_ONCE);

	if (times > INT64_MAX / 2 || interval > INT64_MAX / 2 / (int64_t)times)
		return INT64_MAX / 2;
	return interval * (int64_t)times;
}
