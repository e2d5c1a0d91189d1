/* SPDX-License-Identifier: Apache-2.0 */
/* What is left to do of a folder's rename. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "ckptfs/compiler.h"

#include "harness.h"
#include "line_whole.h"

START_TEST(a_moved_folder_is_copied_oldest_first_and_deleted_newest_first)
{
	static const struct {
		struct line_moved keys[3];
		const char *plan;
	} run[] = {
		{ { { "D/a", 7, 7, 0, 0 },
		    { "D/b", 5, 2, 0, 0 },
		    { "D/c", 5, 1, 0, 0 } },
		  "cba-a-b-c" },
		{ { { "D/a", 7, 7, 0, 0 },
		    { "D/b", 5, 2, 0, 0 },
		    { "D/c", 5, 1, 1, 0 } },
		  "ba-a-b-c" },
		{ { { "D/a", 7, 7, 1, 1 },
		    { "D/b", 5, 2, 1, 0 },
		    { "D/c", 5, 1, 1, 0 } },
		  "-b-c" },
		{ { { "D/a", 7, 7, 1, 1 },
		    { "D/b", 5, 2, 1, 1 },
		    { "D/c", 5, 1, 1, 1 } },
		  "" },
		{ { { "D/b", 5, 0, 0, 0 },
		    { "D/a", 5, 0, 0, 0 },
		    { "D/c", 4, 9, 0, 0 } },
		  "cab-b-a-c" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(run); i++) {
		struct line_step steps[6];
		char plan[16] = "";
		size_t n = 0, at = 0;

		ck_assert_int_eq(line_rename_plan(run[i].keys, 3, steps, &n),
				 0);
		for (size_t k = 0; k < n; k++) {
			if (steps[k].del)
				plan[at++] = '-';
			plan[at++] = run[i].keys[steps[k].index].key[2];
		}
		ck_assert_str_eq(plan, run[i].plan);
	}
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(
		c,
		a_moved_folder_is_copied_oldest_first_and_deleted_newest_first);
}

int main(void)
{
	return harness_run("line_rename", add);
}
