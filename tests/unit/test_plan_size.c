/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ckptfs/store.h"

#include "harness.h"
#include "transfer/plan_size.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define STREAMS 8

static const struct store_limits s3 = {
	.put_max = 5 * GIB,
	.part_min = 5 * MIB,
	.part_max = 5 * GIB,
	.parts_max = 10000,
};

static const struct {
	uint64_t size, fixed, want;
} plans[] = {
	{ 0, 0, 8 * MIB },
	{ 100 * MIB, 0, 8 * MIB },
	{ GIB - 1, 0, 8 * MIB },
	{ GIB, 0, 16 * MIB },
	{ 2 * GIB, 0, 32 * MIB },
	{ 31 * GIB, 0, 32 * MIB },
	{ 32 * GIB, 0, 64 * MIB },
	{ 2 * GIB, 8 * MIB, 8 * MIB },
	{ 2 * GIB, MIB, 5 * MIB },
	{ 200 * GIB, 8 * MIB, 32 * MIB },
};

START_TEST(parts_grow_with_the_file)
{
	ck_assert_uint_eq(plan_part_size(plans[_i].size, plans[_i].fixed, &s3),
			  plans[_i].want);
}
END_TEST

/* Whatever the size: enough parts for every stream, and none too many. */
START_TEST(no_file_has_too_few_parts_or_too_many)
{
	uint64_t size, part;

	for (size = 64 * 8 * MIB; size < 40 * 1024 * GIB; size += size / 7) {
		part = plan_part_size(size, 0, &s3);
		ck_assert_uint_ge(size / part, (uint64_t)8 * STREAMS);
		ck_assert_uint_le(size / part, s3.parts_max - 1);
	}
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, parts_grow_with_the_file, 0,
			    (int)ARRAY_SIZE(plans));
	tcase_add_test(c, no_file_has_too_few_parts_or_too_many);
}

int main(void)
{
	return harness_run("plan_size", add);
}
