/* SPDX-License-Identifier: Apache-2.0 */
/* Every call to the disk fails, once and for ever: see nth_rig.h. */
#include "config.h"

#include <errno.h>
#include <stdio.h>

#include "fs_rig.h"
#include "harness.h"
#include "nth_rig.h"

static const struct way {
	int err;
	bool for_ever, lives_on;
} ways[] = {
	{ -EIO, false, false },	   { -EIO, false, true },
	{ -EIO, true, false },	   { -EIO, true, true },
	{ -ENOSPC, false, true }, { -ENOSPC, true, false },
};

/* Whether the n-th call was come to. */
static bool fail_nth(enum nth_program p, unsigned long n, const struct way *w)
{
	char what[128];
	unsigned long before;
	bool hit;

	(void)snprintf(what, sizeof(what), "%s, call %lu says %d %s%s",
		       nth_name(p), n, w->err, w->for_ever ? "for ever" : "once",
		       w->lives_on ? "" : ", then a crash");
	nth_begin(p);
	before = simdisk_calls(disk, SIM_ANY);
	simdisk_fail(disk, SIM_ANY, n, w->err, w->for_ever);
	nth_run(p, w->for_ever);
	hit = simdisk_calls(disk, SIM_ANY) >= before + n;
	simdisk_heal(disk);
	nth_check(p, w->lives_on, what);
	nth_end();
	return hit;
}

START_TEST(each_call_to_the_disk_fails)
{
	enum nth_program p = (enum nth_program)(_i / (int)ARRAY_SIZE(ways));
	const struct way *w = &ways[(unsigned)_i % ARRAY_SIZE(ways)];
	unsigned long n = 1;

	while (fail_nth(p, n, w))
		n += harness_step();
	ck_assert_uint_gt(n, 20);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, each_call_to_the_disk_fails, 0,
			    NTH_PROGRAMS * (int)ARRAY_SIZE(ways));
}

int main(void)
{
	return harness_run("nth_disk", add);
}
