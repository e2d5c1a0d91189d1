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
#define LOG_AT_ONCE FIRST_PART /* sent of a log in each upload_interval */

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

int64_t transfer_log_interval(int64_t interval, uint64_t size)
{
	uint64_t times = 1 + size / LOG_AT_ONCE;

	if (times > INT64_MAX / 2 || interval > INT64_MAX / 2 / (int64_t)times)
		return INT64_MAX / 2;
	return interval * (int64_t)times;
}
