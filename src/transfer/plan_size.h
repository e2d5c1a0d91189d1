/* SPDX-License-Identifier: Apache-2.0 */
/* Part sizes and back-off: functions of values. */
#ifndef PLAN_SIZE_H
#define PLAN_SIZE_H

#include <stdint.h>

struct store_limits;

/* The size of every part but the last of a file; fixed 0: chosen. */
uint64_t plan_part_size(uint64_t size, uint64_t fixed,
			const struct store_limits *limits);
/* How long to wait after the n-th failure in a row (from 1), given a random
 * number. */
int64_t plan_backoff(unsigned attempts, uint64_t random);

#endif
