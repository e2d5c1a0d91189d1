/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The delete that is owed for a renamed file (fs_owe.h), and what else becomes
 * of the names meanwhile: mount and bucket agree in the end, and nothing is
 * deleted that is another's.
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

/* ---- the old name lives on */

START_TEST(a_new_file_under_the_old_name_stays)
{
	struct file f, g;

	owe(&f);
	if (_i == 0) { /* published meanwhile */
		publish("a", "new");
		ck_assert_int_eq(f_close(&f), 0);
	} else if (_i == 1) { /* queued */
		ck_assert_int_eq(put_file("a", "new"), 0);
		ck_assert_int_eq(f_close(&f), 0);
	} else { /* open */
		ck_assert_int_eq(f_create(&g, "a", O_WRONLY), 0);
		ck_assert_int_eq(f_write(&g, "new", 0), 0);
		ck_assert_int_eq(f_close(&f), 0);
		ck_assert(settle(60 * NS_PER_S));
		ck_assert_int_eq(f_close(&g), 0);
	}
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" a b ");
	assert_both("a", "new");
	assert_both("b", "three");
	rig_end();
}
END_TEST

START_TEST(a_new_file_that_goes_again_takes_nothing_along)
{
	struct file f, g;

	owe(&f);
	ck_assert_int_eq(f_create(&g, "a", O_WRONLY), 0);
	if (_i)
		ck_assert_int_eq(rename_to("a", "c"), 0);
	else
		ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	run(30);
	ck_assert_str_eq(names_in_bucket(), " a "); /* b is not there yet */
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " b ");
	ck_assert_int_eq(f_close(&g), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_names(_i ? " b c " : " b ");
	assert_both("b", "three");
	rig_end();
}
END_TEST

START_TEST(renamed_back_it_is_not_deleted)
{
	struct file f;

	owe(&f);
	ck_assert_int_eq(rename_to("b", "a"), 0);
	run(2);
	if (_i)
		crash(&f, _i - 1);
	else
		ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" a ");
	assert_both("a", _i ? "one" : "three");
	rig_end();
}
END_TEST

/* It owes the very name it is replaced under, which is the other's now. */
START_TEST(what_replaces_it_where_it_was_is_not_deleted)
{
	struct file f;

	owe(&f);
	ck_assert_int_eq(rename_to("b", "a"), 0);
	if (_i == 0)
		publish("c", "new");
	else
		ck_assert_int_eq(put_file("c", "new"), 0);
	ck_assert_int_eq(rename_to("c", "a"), 0);
	if (_i == 2)
		crash(&f, 0);
	else
		ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" a ");
	assert_both("a", "new");
	rig_end();
}
END_TEST

/* The name was taken, and then the file that owes is set back to a version
 * the bucket has no more. */
START_TEST(what_the_bucket_lost_is_published_again)
{
	struct file f;

	owe(&f);
	if (_i == 0)
		publish("a", "new");
	else
		ck_assert_int_eq(put_file("a", "new"), 0);
	crash(&f, 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" a b ");
	assert_both("a", "new");
	assert_both("b", "one");
	rig_end();
}
END_TEST

/* The name was taken, and what is owed paid by a seal that was withdrawn: the
 * version before is nowhere in the bucket. */
START_TEST(what_lost_its_place_to_another_is_published_again)
{
	struct file f, g;

	owe(&f);
	ck_assert_int_eq(put_file("a", "new"), 0);
	ck_assert_int_eq(f_open(&g, "b", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&g, "fours", 0), 0);
	ck_assert_int_eq(f_close(&g), 0);
	run(2);
	assert_text(object_of("a"), "new");
	ck_assert_int_eq(f_write(&f, "fives", 0), 0);
	crash(&f, 0);
	assert_text(text_of("b"), "one");
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" a b ");
	assert_both("a", "new");
	assert_both("b", "one");
	rig_end();
}
END_TEST

/* ---- sealed, and withdrawn once more */

START_TEST(the_old_one_does_not_go_before_the_new_one_came)
{
	struct file f;

	owe(&f);
	ck_assert_int_eq(f_flush(&f), 0); /* sealed as b, the delete behind */
	ck_assert_int_eq(f_write(&f, "four!!", 0), 0);
	run(60);
	ck_assert_str_eq(names_in_bucket(), " a ");
	if (_i)
		crash(&f, _i - 1);
	else
		ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" b ");
	assert_both("b", _i ? "one" : "four!!");
	rig_end();
}
END_TEST

/* A final seal is looked at once more right before its commit. */
START_TEST(what_moves_at_the_last_moment_keeps_its_old_object)
{
	struct file f;
	int ext;

	rig_begin(1);
	publish("a", "one");
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "two", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ext = intrude(f.ino);
	ck_assert_int_eq(rename_to("a", "b"), 0);
	ck_assert_int_eq(simdisk_external_write(disk, ext, "three", 5, 0), 0);
	run(60);
	ck_assert_str_eq(names_in_bucket(), " a ");
	if (_i) {
		rig_die();
		simdisk_external_close(disk, ext);
		ck_assert_int_eq(rig_open(), 0);
	} else {
		simdisk_external_close(disk, ext);
	}
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" b ");
	assert_both("b", _i ? "one" : "three");
	rig_end();
}
END_TEST

/* An older version leaves the line from between, with the rename of it, when
 * the newer one has its place already. */
START_TEST(a_successor_that_is_in_the_line_pays_at_once)
{
	struct store_fault no = { .method = "put",
				  .err = -EAGAIN,
				  .act = STORE_FAULT_BEFORE };
	struct file f;
	int ext;

	rig_begin(1);
	rig_opts.held_open_delay_ns = 600 * NS_PER_S; /* not final yet */
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	publish("a", "one");
	ck_assert_int_eq(store_fault_set(bucket, &no, 1), 0);
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "two", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ext = intrude(f.ino);
	ck_assert_int_eq(rename_to("a", "b"), 0);
	run(2);
	ck_assert_int_eq(f_open(&f, "b", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "three", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	ck_assert_int_eq(simdisk_external_write(disk, ext, "x", 1, 0), 0);
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	run(100);
	simdisk_external_close(disk, ext);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" b ");
	assert_both("b", "three");
	rig_end();
}
END_TEST

/* ---- folders */

START_TEST(what_is_owed_moves_with_its_folder)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry d;
	struct file f;
	uint64_t ino;

	rig_begin(1);
	ck_assert_int_eq(fs_mkdir(fs, &ctx, 1, "D", 0777, &d), 0);
	ino = d.attr.ino;
	ck_assert_int_eq(f_create_in(&f, ino, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(f_open(&f, "D/a", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "two", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	ck_assert_int_eq(fs_rename(fs, ino, "a", ino, "b", 0), 0);
	ck_assert_int_eq(f_write(&f, "three", 0), 0);
	if (_i & 1) /* withdrawn before the folder moves, or after it */
		run(4);
	ck_assert_int_eq(rename_to("D", "E"), 0);
	if (!(_i & 4)) /* the folder's objects have moved, or wait */
		run(4);
	if (_i & 2)
		crash(&f, 0);
	else
		ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	run(30);
	ck_assert_uint_eq(ino_of("E/a"), 0);
	ck_assert_str_eq(names_in_bucket(), " E/b ");
	assert_both("E/b", _i & 2 ? "one" : "three");
	if (_i & 2) /* moved, not sent again */
		ck_assert_uint_eq(call_of("put E/b"), 0);
	rig_end();
}
END_TEST

/* ---- renames that have no place in the line */

START_TEST(an_open_file_that_replaced_another_and_moved_on)
{
	struct file f;

	rig_begin(1);
	publish("a", "one");
	ck_assert_int_eq(f_create(&f, "x", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "two", 0), 0);
	ck_assert_int_eq(rename_to("x", "a"), 0);
	ck_assert_int_eq(rename_to("a", "b"), 0);
	run(30);
	ck_assert_uint_eq(ino_of("a"), 0);
	ck_assert_msg(is(object_of("a"), "one"), "gone before its successor");
	if (_i)
		crash(&f, 0);
	if (_i) {
		ck_assert_str_eq(state_of("b"), "unfinished");
		ck_assert_int_eq(f_open(&f, "b", O_WRONLY), 0);
		ck_assert_int_eq(f_write(&f, "two", 0), 0);
	}
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" b ");
	assert_both("b", "two");
	rig_end();
}
END_TEST

START_TEST(what_it_replaced_and_left_again_is_not_its_own)
{
	struct file f;

	rig_begin(1);
	publish("a", "one");
	publish("b", "other");
	ck_assert_int_eq(move_on(&f, "a", "b", TRUNCATED), 0);
	run(4);
	ck_assert_int_eq(rename_to("b", "c"), 0);
	run(30);
	ck_assert_str_eq(names_in_bucket(), " a b ");
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" c ");
	assert_both("c", "three");
	rig_end();
}
END_TEST

START_TEST(a_temporary_name_that_was_published_late)
{
	struct file f;

	rig_begin(1);
	ck_assert_int_eq(put_file("x.tmp", "one"), 0);
	run(700);
	ck_assert_str_eq(names_in_bucket(), " x.tmp ");
	ck_assert_int_eq(f_open(&f, "x.tmp", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "two", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	if (_i)
		ck_assert_int_eq(rename_to("x.tmp", "y.tmp"), 0);
	ck_assert_int_eq(rename_to(_i ? "y.tmp" : "x.tmp", "y"), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_names(" y ");
	assert_both("y", "two");
	rig_end();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, a_new_file_under_the_old_name_stays, 0, 3);
	tcase_add_loop_test(c, a_new_file_that_goes_again_takes_nothing_along,
			    0, 2);
	tcase_add_loop_test(c, renamed_back_it_is_not_deleted, 0, 5);
	tcase_add_loop_test(c, what_the_bucket_lost_is_published_again, 0, 2);
	tcase_add_loop_test(c, the_old_one_does_not_go_before_the_new_one_came,
			    0, 5);
	tcase_add_loop_test(
		c, what_moves_at_the_last_moment_keeps_its_old_object, 0, 2);
	tcase_add_test(c, a_successor_that_is_in_the_line_pays_at_once);
	tcase_add_test(c, what_lost_its_place_to_another_is_published_again);
	tcase_add_loop_test(c, what_replaces_it_where_it_was_is_not_deleted, 0,
			    3);
	tcase_add_loop_test(c, what_is_owed_moves_with_its_folder, 0, 8);
	tcase_add_loop_test(c, an_open_file_that_replaced_another_and_moved_on,
			    0, 2);
	tcase_add_test(c, what_it_replaced_and_left_again_is_not_its_own);
	tcase_add_loop_test(c, a_temporary_name_that_was_published_late, 0, 2);
}

int main(void)
{
	return harness_run("sim_owed_names", add);
}
