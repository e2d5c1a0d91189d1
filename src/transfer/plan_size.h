/* SPDX-License-Identifier: Apache-2.0 */
/* Part sizes and back-off: functions of values. */
#ifndef PLAN_SIZE_H
#define PLAN_SIZE_H

#include <stdint.h>

struct store_limits;

/* The size of every part but the last of a file; fixed 0: chosen. */
uint64_t plan_part_size(uint64_t size, uint64_t fixed,
			const struct store_limits *limits);
/*
 * How a body is divided.  The first `copied` bytes the server copies, in parts
 * that are larger where that can be, the last of which has what is left of
 * them, too; the others are sent in parts of part_size, the last is smaller.
 * With copied a multiple of part_size all are of that size.
 */
struct plan_lay {
	uint64_t size, part_size, copied;
};
/* So many of the bytes `there`, in the bucket, are to be copied; 0: none.
 * fixed: all parts are to be equal. */
uint64_t plan_copied(uint64_t there, uint64_t part_size, uint64_t fixed,
		     const struct store_limits *limits);
unsigned plan_copies(const struct plan_lay *lay);
/* All parts, copies included. */
unsigned plan_parts(const struct plan_lay *lay);
void plan_part(const struct plan_lay *lay, unsigned i, uint64_t *ret_off,
	       uint64_t *ret_len);
/* How long to wait after the n-th failure in a row (from 1), given a random
 * number. */
int64_t plan_backoff(unsigned attempts, uint64_t random);

#endif
