/* SPDX-License-Identifier: Apache-2.0 */
/* The cache disk lost a file's bytes: it is said, and nothing else waits. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fs_rig.h"
#include "harness.h"

static void setup(void)
{
	rig_begin(1);
}

static void teardown(void)
{
	rig_end();
}

/* A failed fsync: status says so at once, not after the next mount. */
START_TEST(a_poisoned_version_is_shown_as_such)
{
	struct file f;

	ck_assert_int_eq(put_file("first", "x"), 0);
	ck_assert(settle(60 * NS_PER_S));
	(void)sim_run_for(sim, 2 * NS_PER_S); /* past the first barrier */
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "bytes", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	if (_i)
		f_release(&f);
	simdisk_fail(disk, SIM_FDATASYNC, 1, -EIO, false);
	ck_assert_int_eq(fs_fsyncdir(fs, FS_ROOT_INO), -EIO);
	ck_assert_str_eq(state_of("a"), "poisoned");
	simdisk_heal(disk);
	if (!_i)
		f_release(&f);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_str_eq(state_of("a"), "poisoned");
	ck_assert_ptr_null(object_of("a"));
	ck_assert_int_eq(fs_sync(fs, "", &(uint64_t){ 0 }, CLK_NEVER), -EIO);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, a_poisoned_version_is_shown_as_such, 0, 2);
}

int main(void)
{
	return harness_run("sim_lost", add);
}
