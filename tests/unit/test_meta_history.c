/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random histories of commits, barriers, checkpoints, failing disks, crashes
 * and power cuts: after each reopening the state must be one that is promised.
 * With a rule of recovery broken, the same histories must find it out.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/disk.h"

#include "harness.h"
#include "meta_model.h"

#define HISTORIES 300
#define STEPS 60

static const struct meta_rules all_rules;

/* What is wrong after one history, NULL if nothing is. */
static const char *history(uint64_t number, struct meta_rules r)
{
	unsigned i;
	int err;

	begin(number, r);
	for (i = 0; !wrong && i < STEPS; i++) {
		if (draw(8) == 0)
			simdisk_halt_after(disk, draw(60));
		err = last + 8 < STATES ? step() : -EIO;
		if (!err && draw(10) && !simdisk_halted(disk))
			continue;
		/* A halted disk fails the rest of this life. */
		if (!simdisk_halted(disk) || draw(2))
			simdisk_heal(disk);
		if (draw(2))
			crash();
		else
			cut();
		simdisk_heal(disk);
	}
	end();
	return wrong;
}

START_TEST(a_history_ends_in_a_state_that_was_promised)
{
	const char *found = history((uint64_t)_i, all_rules);

	ck_assert_msg(!found, "history %d: %s", _i, found);
}
END_TEST

static const struct meta_rules broken[] = {
	{ .no_cut = true },
	{ .checkpoint_any = true },
};

START_TEST(histories_find_out_a_broken_rule)
{
	unsigned i, found = 0;

	for (i = 0; i < HISTORIES && !found; i++)
		found += history(i, broken[_i]) != NULL;
	ck_assert_uint_gt(found, 0);
}
END_TEST

static void add(TCase *c)
{
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, a_history_ends_in_a_state_that_was_promised, 0,
			    harness_loops(HISTORIES));
	tcase_add_loop_test(c, histories_find_out_a_broken_rule, 0,
			    sizeof(broken) / sizeof(broken[0]));
}

int main(void)
{
	return harness_run("meta_history", add);
}
