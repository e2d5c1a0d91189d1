/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What POSIX says of times, folders, holes and setuid bits, and programs see on
 * any local disk.  On the simulated machine.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

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

static struct fs_attr attr_of(uint64_t ino)
{
	struct fs_attr a;

	ck_assert_int_eq(fs_getattr(fs, ino, NULL, &a), 0);
	return a;
}

static void set_mode(uint64_t ino, mode_t mode)
{
	struct fs_attr want = { .mode = mode }, got;
	struct fs_ctx ctx = ctx_of();

	ck_assert_int_eq(
		fs_setattr(fs, &ctx, ino, &want, FS_SET_MODE, NULL, &got), 0);
}

/* ---- times */

enum { PUBLISHED, QUEUED, BESIDE_A_READER, OPENS };

START_TEST(an_open_for_writing_alone_moves_no_time)
{
	struct fs_attr before, now;
	struct file f, reader;

	ck_assert_int_eq(put_file("a", "one"), 0);
	if (_i != QUEUED)
		ck_assert(settle(5 * NS_PER_S));
	if (_i == BESIDE_A_READER)
		ck_assert_int_eq(f_open(&reader, "a", O_RDONLY), 0);
	before = attr_of(ino_of("a"));
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(f_open(&f, "a", O_RDWR), 0);
	now = attr_of(f.ino);
	ck_assert_int_eq(now.mtime_ns, before.mtime_ns);
	ck_assert_int_eq(now.ctime_ns, before.ctime_ns);
	ck_assert_int_eq(f_close(&f), 0);
	if (_i == BESIDE_A_READER)
		ck_assert_int_eq(f_close(&reader), 0);
	now = attr_of(f.ino);
	ck_assert_int_eq(now.mtime_ns, before.mtime_ns);
	ck_assert_int_eq(now.ctime_ns, before.ctime_ns);
}
END_TEST

START_TEST(a_write_moves_both_and_they_stay_at_the_close)
{
	struct fs_attr before, now;
	struct file f;

	ck_assert_int_eq(put_file("a", "one"), 0);
	ck_assert(settle(5 * NS_PER_S));
	before = attr_of(ino_of("a"));
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(f_open(&f, "a", O_RDWR), 0);
	ck_assert_int_eq(f_write(&f, "two", 0), 0);
	now = attr_of(f.ino);
	ck_assert_int_gt(now.mtime_ns, before.mtime_ns);
	ck_assert_int_gt(now.ctime_ns, before.ctime_ns);
	before = now;
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(f_close(&f), 0);
	now = attr_of(f.ino);
	ck_assert_int_eq(now.mtime_ns, before.mtime_ns);
	ck_assert_int_eq(now.ctime_ns, before.ctime_ns);
}
END_TEST

START_TEST(what_was_set_while_open_does_not_go_back_at_the_close)
{
	struct fs_attr before;
	struct file f;

	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	sim_advance(sim, NS_PER_S);
	set_mode(f.ino, 0600);
	before = attr_of(f.ino);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(attr_of(f.ino).ctime_ns, before.ctime_ns);
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(attr_of(ino_of("a")).ctime_ns, before.ctime_ns);
}
END_TEST

START_TEST(to_lose_its_name_moves_the_ctime_of_an_open_file)
{
	struct fs_attr before, now;
	struct file f;

	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	before = attr_of(f.ino);
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	now = attr_of(f.ino);
	ck_assert_uint_eq(now.nlink, 0);
	ck_assert_int_gt(now.ctime_ns, before.ctime_ns);
	ck_assert_int_eq(now.mtime_ns, before.mtime_ns);
	ck_assert_int_eq(f_close(&f), 0);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, an_open_for_writing_alone_moves_no_time, 0,
			    OPENS);
	tcase_add_test(c, a_write_moves_both_and_they_stay_at_the_close);
	tcase_add_test(c, what_was_set_while_open_does_not_go_back_at_the_close);
	tcase_add_test(c, to_lose_its_name_moves_the_ctime_of_an_open_file);
}

int main(void)
{
	return harness_run("sim_posix", add);
}
