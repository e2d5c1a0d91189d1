/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is torn, unfinished or refused is superseded by a good version of its
 * name, by a rename over it, or the name goes: it is kept all the same, until
 * somebody says otherwise, and leaves no room taken then.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "harness.h"
#include "kept_rig.h"

#define TORN "PK\003\004 and no end"

static void setup(void)
{
	rig_begin(1);
}

static void teardown(void)
{
	rig_end();
}

static void remount(void)
{
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
}

/* Still there, now and after a death, and published under its name. */
static void assert_kept(const char *list, const char *name, const char *now,
			const char *text)
{
	ck_assert_str_eq(kept(), list);
	remount();
	ck_assert_str_eq(kept(), list);
	remount();
	ck_assert_str_eq(kept(), list);
	if (now)
		assert_text(text_of(name), now);
	else
		ck_assert_uint_eq(ino_of(name), 0);
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, name), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of(name), text);
	assert_text(text_of(name), text);
	ck_assert_str_eq(kept(), " ");
}

START_TEST(a_good_version_does_not_drop_a_torn_one)
{
	tear("a.pt", TORN);
	rewrite("a.pt", "good");
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a.pt"), "good");
	assert_kept(" a.pt=torn* ", "a.pt", "good", TORN);
}
END_TEST

START_TEST(a_good_version_does_not_drop_an_unfinished_one)
{
	leave_unfinished("a", "half", true);
	rewrite("a", "good");
	ck_assert(settle(60 * NS_PER_S));
	assert_kept(" a=unfinished* ", "a", "good", "half");
}
END_TEST

START_TEST(nor_does_one_whose_own_writer_died)
{
	leave_unfinished("a", "one", true);
	leave_unfinished("a", "two", false);
	ck_assert_str_eq(kept(), " a=unfinished a=unfinished* ");
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a"), -ENOTUNIQ);
	ck_assert_ptr_nonnull(strstr(said(), "--id"));
	ck_assert_int_eq(act_id(FS_RECOVER_PUBLISH, id_of("a", 1)), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "two");
	assert_kept(" a=unfinished* ", "a", "two", "one");
}
END_TEST

START_TEST(a_rename_over_it_keeps_a_torn_file)
{
	struct file f;

	tear("a.pt", TORN);
	if (_i)
		ck_assert_int_eq(f_open(&f, "a.pt", O_RDONLY), 0);
	ck_assert_int_eq(put_file("b", "good"), 0);
	ck_assert_int_eq(rename_to("b", "a.pt"), 0);
	if (_i)
		ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a.pt"), "good");
	assert_kept(" a.pt=torn* ", "a.pt", "good", TORN);
}
END_TEST

START_TEST(a_rename_over_it_keeps_what_lies_beside)
{
	publish("a", "old");
	leave_unfinished("a", "half", false);
	ck_assert_int_eq(put_file("b", "good"), 0);
	ck_assert_int_eq(rename_to("b", "a"), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_kept(" a=unfinished* ", "a", "good", "half");
}
END_TEST

/* Whoever deletes a file says so of what its name shows, and of no more. */
START_TEST(deleting_the_name_is_a_word)
{
	tear("a.pt", TORN);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a.pt"), 0);
	ck_assert_str_eq(kept(), " ");
	remount();
	ck_assert_str_eq(kept(), " ");
	publish("a", "old");
	leave_unfinished("a", "half", false);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_ptr_null(object_of("a"));
	assert_kept(" a=unfinished* ", "a", NULL, "half");
}
END_TEST

/* Torn, written anew, deleted before that was published. */
START_TEST(what_was_superseded_outlives_the_deletion)
{
	struct store_fault no = { .method = "put",
				  .err = -EAGAIN,
				  .act = STORE_FAULT_BEFORE };

	ck_assert_int_eq(store_fault_set(bucket, &no, 1), 0);
	tear("a.pt", TORN);
	rewrite("a.pt", "good");
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a.pt"), 0);
	take_all();
	ck_assert(settle(60 * NS_PER_S));
	assert_kept(" a.pt=torn* ", "a.pt", NULL, TORN);
}
END_TEST

START_TEST(a_refused_version_is_superseded_and_kept)
{
	refuse("run/a");
	ck_assert_int_eq(put_file("a", "refused"), 0);
	(void)sim_run_for(sim, 120 * NS_PER_S);
	ck_assert_str_eq(kept(), " a=parked ");
	take_all();
	if (_i) {
		ck_assert_int_eq(put_file("b", "good"), 0);
		ck_assert_int_eq(rename_to("b", "a"), 0);
	} else {
		rewrite("a", "good");
	}
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "good");
	assert_kept(" a=parked* ", "a", "good", "refused");
}
END_TEST

START_TEST(a_name_whose_folder_is_gone_is_not_made)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry d;
	struct file f;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, FS_ROOT_INO, "d", 0755, &d), 0);
	ck_assert_int_eq(f_create_in(&f, d.attr.ino, "a.pt", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, TORN, 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	rewrite("d/a.pt", "good");
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(fs_unlink(fs, d.attr.ino, "a.pt"), 0);
	ck_assert_int_eq(fs_rmdir(fs, FS_ROOT_INO, "d"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(kept(), " d/a.pt=torn* ");
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "d"), -ENOENT);
	ck_assert_ptr_nonnull(strstr(said(), "folder it was in is gone"));
	ck_assert_int_eq(fs_mkdir(fs, &ctx, FS_ROOT_INO, "d", 0755, &d), 0);
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "d"), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("d/a.pt"), TORN);
}
END_TEST

/* Published versions and what nobody will miss still leave nothing behind. */
START_TEST(nothing_else_is_kept)
{
	struct fs_stats st;

	publish("a", "one");
	rewrite("a", "two");
	rewrite("a", "three");
	ck_assert_int_eq(put_file("b", "four"), 0);
	ck_assert_int_eq(rename_to("b", "a"), 0);
	ck_assert(settle(60 * NS_PER_S));
	(void)sim_run_for(sim, 5 * NS_PER_S);
	ck_assert_str_eq(kept_in("", true), " ");
	fs_stats(fs, &st);
	ck_assert_uint_eq(st.cache_files, 1);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_good_version_does_not_drop_a_torn_one);
	tcase_add_test(c, a_good_version_does_not_drop_an_unfinished_one);
	tcase_add_test(c, nor_does_one_whose_own_writer_died);
	tcase_add_loop_test(c, a_rename_over_it_keeps_a_torn_file, 0, 2);
	tcase_add_test(c, a_rename_over_it_keeps_what_lies_beside);
	tcase_add_test(c, deleting_the_name_is_a_word);
	tcase_add_test(c, what_was_superseded_outlives_the_deletion);
	tcase_add_loop_test(c, a_refused_version_is_superseded_and_kept, 0, 2);
	tcase_add_test(c, a_name_whose_folder_is_gone_is_not_made);
	tcase_add_test(c, nothing_else_is_kept);
}

int main(void)
{
	return harness_run("sim_kept", add);
}
