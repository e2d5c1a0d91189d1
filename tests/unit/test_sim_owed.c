/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The delete that is owed for a renamed file (fs_owe.h), through deaths and
 * power cuts at any moment: it is not forgotten, and does not come too early.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs_owe.h"
#include "fs_rig.h"
#include "harness.h"

/* ---- crashes */

START_TEST(the_object_follows_a_file_that_is_set_back)
{
	struct file f;

	owe(&f);
	crash(&f, _i);
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" b ");
	assert_both("b", "one");
	ck_assert_uint_eq(call_of("put b"), 0); /* moved, not sent again */
	rig_end();
}
END_TEST

/* The daemon dies before it sees the bytes move: recovery does. */
START_TEST(recovery_withdraws_a_rename_with_its_seal)
{
	struct file f;

	rig_begin(1);
	publish("a", "one");
	ck_assert_int_eq(move_on(&f, "a", "b", TRUNCATED), 0);
	ck_assert_int_eq(f_write(&f, "three and more", 0), 0);
	crash(&f, 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" b ");
	assert_both("b", "one");
	rig_end();
}
END_TEST

/* The version it is set back to was not even sent when it was renamed. */
START_TEST(a_queued_version_follows_too)
{
	struct store_fault no = { .method = "put",
				  .err = -EAGAIN,
				  .act = STORE_FAULT_BEFORE };
	struct file f;

	rig_begin(1);
	ck_assert_int_eq(store_fault_set(bucket, &no, 1), 0);
	ck_assert_int_eq(put_file("a", "one"), 0);
	ck_assert_int_eq(move_on(&f, "a", "b", TRUNCATED), 0);
	run(4);
	crash(&f, _i);
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" b ");
	assert_both("b", "one");
	rig_end();
}
END_TEST

/* Changed in place: what is unfinished stays under the name. */
START_TEST(an_unfinished_file_stays_owing)
{
	struct file r, f;

	rig_begin(1);
	publish("a", "one");
	ck_assert_int_eq(f_open(&r, "a", O_RDONLY), 0); /* so: in place */
	ck_assert_int_eq(move_on(&f, "a", "b", O_RDWR), 0);
	run(4);
	crash(&f, _i);
	run(60);
	ck_assert_uint_eq(ino_of("a"), 0);
	ck_assert_str_eq(names_in_mount(), " b ");
	ck_assert_str_eq(state_of("b"), "unfinished");
	ck_assert_msg(is(object_of("a"), "one"), "gone before its successor");
	ck_assert_ptr_null(object_of("b"));
	ck_assert_int_eq(f_open(&f, "b", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "four", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" b ");
	assert_both("b", "four");
	ck_assert_uint_lt(call_of("put b"), call_of("del a"));
	rig_end();
}
END_TEST

/* Mount and bucket have the same one file.  A power cut may mix what was not
 * synced. */
static void assert_one(unsigned long n, bool mixed)
{
	bool a = is(names_in_mount(), " a ");
	const char *want = a ? " a " : " b ";
	char text[64] = "";

	ck_assert_msg(is(names_in_mount(), want), "call %lu: the mount has %s",
		      n, names_in_mount());
	ck_assert_msg(is(names_in_bucket(), want),
		      "call %lu: the bucket has %s, not %s", n,
		      names_in_bucket(), want);
	(void)snprintf(text, sizeof(text), "%s", text_of(a ? "a" : "b"));
	ck_assert_msg(is(object_of(a ? "a" : "b"), text),
		      "call %lu: %s in the mount only", n, text);
	ck_assert_msg(mixed || is(text, "one") || is(text, "two") ||
			      is(text, "three"),
		      "call %lu: torn: %s", n, text);
}

/* From the first open to the delete of the old object. */
static bool crash_after(unsigned long n, int how)
{
	struct file f = { .ext = -1 };
	bool hit;
	int r;

	rig_begin(n + 1);
	publish("a", "one");
	run(2);
	simdisk_halt_after(disk, n);
	r = move_on(&f, "a", "b", TRUNCATED);
	run(4);
	if (r == 0)
		r = f_close(&f);
	run(20);
	hit = simdisk_halted(disk);
	if (!hit)
		ck_assert_int_eq(r, 0);
	crash(&f, how);
	ck_assert_msg(settle(600 * NS_PER_S), "call %lu: never drained", n);
	run(30);
	(void)ino_of("none");
	run(5);
	assert_one(n, how > 0);
	rig_end();
	return hit;
}

START_TEST(at_any_call)
{
	unsigned long n = (unsigned)_i % harness_step();

	while (crash_after(n, _i))
		n += harness_step();
	ck_assert_uint_gt(n, 60);
}
END_TEST

START_TEST(the_delete_that_was_queued_is_sent)
{
	struct store_fault no = { .method = "del",
				  .err = -EAGAIN,
				  .act = STORE_FAULT_BEFORE };
	struct file f;

	owe(&f);
	ck_assert_int_eq(store_fault_set(bucket, &no, 1), 0);
	ck_assert_int_eq(f_close(&f), 0);
	run(20);
	ck_assert_str_eq(names_in_bucket(), " a b ");
	crash(&f, _i);
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	ck_assert(settle(600 * NS_PER_S));
	assert_names(" b ");
	assert_both("b", "three");
	rig_end();
}
END_TEST

/* ---- the new name goes before it is sealed */

enum { OPEN, OPEN_AND_CRASH, CRASH_BEFORE, UNFINISHED, UNLINKS };

START_TEST(unlinked_before_it_is_sealed_again)
{
	struct file r, f;

	rig_begin(1);
	publish("a", "one");
	if (_i == UNFINISHED) /* in place: it is not set back */
		ck_assert_int_eq(f_open(&r, "a", O_RDONLY), 0);
	ck_assert_int_eq(
		move_on(&f, "a", "b", _i == UNFINISHED ? O_RDWR : TRUNCATED),
		0);
	run(4);
	if (_i == CRASH_BEFORE || _i == UNFINISHED)
		crash(&f, 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "b"), 0);
	if (_i == OPEN_AND_CRASH)
		crash(&f, 0);
	if (_i == OPEN)
		ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" ");
	rig_end();
}
END_TEST

static void add(TCase *c)
{
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, the_object_follows_a_file_that_is_set_back, 0,
			    4);
	tcase_add_test(c, recovery_withdraws_a_rename_with_its_seal);
	tcase_add_loop_test(c, a_queued_version_follows_too, 0, 4);
	tcase_add_loop_test(c, an_unfinished_file_stays_owing, 0, 4);
	tcase_add_loop_test(c, at_any_call, 0, 4);
	tcase_add_loop_test(c, the_delete_that_was_queued_is_sent, 0, 4);
	tcase_add_loop_test(c, unlinked_before_it_is_sealed_again, 0, UNLINKS);
}

int main(void)
{
	return harness_run("sim_owed", add);
}
