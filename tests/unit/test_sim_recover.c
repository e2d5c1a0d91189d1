/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover: what it lists of each state, what publish and retry do, and what
 * they refuse.  What a later version or a rename supersedes is in
 * test_sim_kept.c.
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

/* ---- unfinished, torn */

START_TEST(what_goes_by_itself_is_listed_only_if_asked_for)
{
	struct file f;

	ck_assert_int_eq(f_create(&f, "open", O_WRONLY), 0);
	ck_assert_int_eq(put_file("a", "x"), 0);
	ck_assert_int_eq(put_file("b.tmp", "x"), 0);
	ck_assert_str_eq(kept(), " ");
	ck_assert_str_eq(kept_in("", true), " a=queued b.tmp=temporary ");
	ck_assert_str_eq(kept_in("a", true), " a=queued ");
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a"), -ENOENT);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(kept_in("", true), " b.tmp=temporary ");
}
END_TEST

START_TEST(an_unfinished_file_is_published_as_it_is)
{
	leave_unfinished("a", "half", true);
	ck_assert_str_eq(kept(), " a=unfinished ");
	ck_assert_str_eq(why_of("a"), "it was open when the daemon stopped");
	run(60);
	ck_assert_ptr_null(object_of("a"));
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a"), 0);
	ck_assert_str_eq(kept(), " ");
	ck_assert_str_eq(state_of("a"), "queued");
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "half");
	assert_text(text_of("a"), "half");
	rewrite("a", "whole");
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "whole");
}
END_TEST

/* The bytes lie beside what the name shows; the order survives a death. */
START_TEST(what_lies_beside_takes_the_names_place)
{
	struct fs_attr a;

	publish("a", "the whole");
	leave_unfinished("a", "half", false);
	assert_text(text_of("a"), "the whole");
	ck_assert_str_eq(kept(), " a=unfinished* ");
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a"), 0);
	assert_text(text_of("a"), "half");
	ck_assert_int_eq(fs_getattr(fs, ino_of("a"), NULL, &a), 0);
	ck_assert_uint_eq(a.size, 4);
	if (_i) {
		rig_die();
		ck_assert_int_eq(rig_open(), 0);
	}
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "half");
	assert_text(text_of("a"), "half");
	ck_assert_str_eq(kept(), " ");
}
END_TEST

START_TEST(a_torn_file_is_published_as_it_is)
{
	publish("a.pt", "whole");
	tear("a.pt", TORN);
	ck_assert_str_eq(kept(), " a.pt=torn ");
	run(60);
	assert_text(object_of("a.pt"), "whole");
	ck_assert_int_eq(act(FS_RECOVER_RETRY, "a.pt"), -EINVAL);
	ck_assert_str_eq(said(), "the store did not refuse it: publish it, or "
				 "discard it");
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "/a.pt"), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a.pt"), TORN);
	ck_assert_str_eq(kept(), " ");
}
END_TEST

START_TEST(who_has_it_open_is_waited_for)
{
	struct file f;

	publish("a", "whole");
	leave_unfinished("a", "half", false);
	ck_assert_int_eq(f_open(&f, "a", O_RDONLY), 0);
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a"), -EBUSY);
	ck_assert_str_eq(said(), "the file is open or mapped: close it first");
	assert_text(text_of("a"), "whole");
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a"), 0);
}
END_TEST

/* The job's process lives on, and so do its writes. */
START_TEST(what_a_process_still_holds_is_not_decided_about)
{
	struct file f;

	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	fs_release(fs, f.o.file); /* and it has it mapped still */
	run(2);
	ck_assert_int_eq(simdisk_external_write(disk, f.ext, "two", 3, 3), 0);
	run(60);
	ck_assert_str_eq(kept(), " a=orphan-held ");
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a"), -EBUSY);
	ck_assert_ptr_nonnull(strstr(said(), "published by itself"));
	simdisk_external_close(disk, f.ext);
	run(60);
	ck_assert_str_eq(kept(), " ");
	assert_text(object_of("a"), "onetwo");
}
END_TEST

/* Nobody asks a lease of what recovery found unfinished: publish does. */
START_TEST(a_writer_that_outlived_the_daemon_is_found_out)
{
	struct file f;

	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_str_eq(kept(), " a=unfinished ");
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a"), -EBUSY);
	ck_assert_str_eq(said(), "a process still has it mapped or open for "
				 "writing: end that first");
	simdisk_external_close(disk, f.ext);
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a"), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "one");
}
END_TEST

/* ---- conflict */

static void conflict(void)
{
	publish("a", "first");
	foreign("a", "theirs");
	rewrite("a", "ours");
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "theirs");
	ck_assert_str_eq(kept(), " a=conflict ");
	assert_text(text_of("a"), "ours");
}

START_TEST(the_losing_side_of_a_conflict_wins_by_order)
{
	conflict();
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a"), 0);
	if (_i == 0) {
		ck_assert(settle(60 * NS_PER_S));
		assert_text(object_of("a"), "ours");
		ck_assert_str_eq(kept(), " ");
		return;
	}
	/* What nobody had seen when that was ordered is not overwritten. */
	foreign("a", "theirs again");
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "theirs again");
	ck_assert_str_eq(kept(), " a=conflict ");
}
END_TEST

/* A rename, or a link, onto a key that is another writer's by now. */
START_TEST(a_rename_over_what_another_wrote_leaves_it)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	publish("a", "ours");
	publish("b", "old");
	if (_i == 1)
		ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "b"), 0);
	foreign("b", "theirs");
	if (_i == 0)
		ck_assert_int_eq(rename_to("a", "b"), 0);
	else
		ck_assert_int_eq(fs_symlink(fs, &ctx, "a", FS_ROOT_INO, "b",
					    &e),
				 0);
	run(600);
	assert_text(object_of("a"), "ours");
	assert_text(object_of("b"), "theirs");
	ck_assert_str_eq(kept(), " b=parked ");
	ck_assert_ptr_nonnull(strstr(why_of("b"), " is refused: another "
						  "writer's object is there "
						  "by now: theirs stays"));
	ck_assert_str_eq(names_in_mount(), _i == 0 ? " b " : " a b ");
	ck_assert_int_eq(act(FS_RECOVER_RETRY, "b"), 0);
	run(60);
	assert_text(object_of("b"), "theirs");
	ck_assert_str_eq(kept(), " b=parked ");
	/* Once theirs is gone it goes there. */
	ck_assert_int_eq(store_del(bucket, "run/b", NULL), 0);
	ck_assert_int_eq(act(FS_RECOVER_RETRY, "b"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(kept(), " ");
	ck_assert_str_eq(names_in_bucket(), _i == 0 ? " b " : " a b ");
	assert_text(object_of("b"), _i == 0 ? "ours" : "a");
}
END_TEST

START_TEST(a_conflict_with_what_is_gone_is_none)
{
	conflict();
	ck_assert_int_eq(store_del(bucket, "run/a", NULL), 0);
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a"), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "ours");
}
END_TEST

START_TEST(a_bucket_that_does_not_answer_decides_nothing)
{
	struct store_fault down = { .err = -ETIMEDOUT,
				    .act = STORE_FAULT_BEFORE };

	conflict();
	ck_assert_int_eq(store_fault_set(bucket, &down, 1), 0);
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a"), -EIO);
	ck_assert_ptr_nonnull(strstr(said(), "does not answer"));
	take_all();
	ck_assert_str_eq(kept(), " a=conflict ");
}
END_TEST

/* ---- parked */

static uint64_t make_dir(const char *name)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, FS_ROOT_INO, name, 0755, &e), 0);
	return e.attr.ino;
}

static void put_in(uint64_t dir, const char *name, const char *text)
{
	struct file f;

	ck_assert_int_eq(f_create_in(&f, dir, name, O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, text, 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
}

START_TEST(what_was_refused_is_offered_again)
{
	refuse("run/a");
	ck_assert_int_eq(put_file("a", "x"), 0);
	ck_assert_int_eq(put_file("b", "y"), 0);
	run(120);
	ck_assert_str_eq(kept(), " a=parked ");
	ck_assert_int_eq(act(FS_RECOVER_RETRY, "a"), 0);
	ck_assert_str_eq(kept(), " ");
	run(120); /* refused once more, and not for ever tried */
	ck_assert_str_eq(kept(), " a=parked ");
	ck_assert_ptr_null(object_of("b"));
	if (_i) {
		rig_die();
		ck_assert_int_eq(rig_open(), 0);
		ck_assert_str_eq(kept(), " a=parked ");
	}
	take_all();
	run(120);
	ck_assert_ptr_null(object_of("a"));
	ck_assert_int_eq(act(_i ? FS_RECOVER_PUBLISH : FS_RECOVER_RETRY, "a"),
			 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "x");
	assert_text(object_of("b"), "y");
}
END_TEST

START_TEST(what_is_offered_again_has_all_its_tries)
{
	struct store_fault twice = { .method = "put",
				     .count = 2,
				     .err = -EACCES,
				     .act = STORE_FAULT_BEFORE };

	refuse("run/a");
	ck_assert_int_eq(put_file("a", "x"), 0);
	run(120);
	ck_assert_int_eq(store_fault_set(bucket, &twice, 1), 0);
	ck_assert_int_eq(act(FS_RECOVER_RETRY, "a"), 0);
	ck_assert(settle(120 * NS_PER_S));
	assert_text(object_of("a"), "x");
}
END_TEST

START_TEST(a_folder_stands_for_what_is_below_it)
{
	uint64_t d = make_dir("d"), e = make_dir("e");

	refuse("/p");
	put_in(d, "p1", "x");
	put_in(e, "p2", "y");
	leave_unfinished("u", "half", true);
	run(120);
	ck_assert_str_eq(kept(), " d/p1=parked e/p2=parked u=unfinished ");
	take_all();
	ck_assert_int_eq(act(FS_RECOVER_RETRY, "d/"), 0);
	ck_assert_str_eq(kept(), " e/p2=parked u=unfinished ");
	ck_assert_int_eq(act(FS_RECOVER_RETRY, ""), 0);
	ck_assert_str_eq(kept(), " u=unfinished ");
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("e/p2"), "y");
}
END_TEST

START_TEST(a_refused_folder_marker_is_listed_and_tried_again)
{
	refuse("run/d/");
	(void)make_dir("d");
	run(120);
	ck_assert_str_eq(kept(), " d/=parked ");
	ck_assert_ptr_nonnull(strstr(why_of("d/"), "folder marker is refused"));
	take_all();
	ck_assert_int_eq(act(FS_RECOVER_RETRY, "d"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " d/ ");
}
END_TEST

/* ---- the disk lost something */

START_TEST(what_lost_its_bytes_is_parked_and_says_so)
{
	uint64_t d = make_dir("d");

	ck_assert_int_eq(put_file("a", "x"), 0);
	lose_blob("a");
	run(120);
	ck_assert_str_eq(kept(), " a=parked ");
	ck_assert_str_eq(why_of("a"),
			 "its bytes are gone from the cache disk");
	put_in(d, "b", "y"); /* does not wait for it */
	run(60);
	(void)d;
	ck_assert_int_eq(act(FS_RECOVER_RETRY, "a"), 0);
	run(120);
	ck_assert_str_eq(kept(), " a=parked ");
}
END_TEST

START_TEST(no_publishing_of_bytes_that_are_gone)
{
	tear("a.pt", TORN);
	lose_blob("a.pt");
	ck_assert_str_eq(why_of("a.pt"),
			 "its bytes are gone from the cache disk");
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a.pt"), -ENODATA);
	ck_assert_str_eq(kept(), " a.pt=torn ");
}
END_TEST

/* What the failed sync left in memory is written anew: it would not survive
 * otherwise, for all that its sync says. */
START_TEST(a_poisoned_file_is_published_from_a_copy)
{
	unsigned long clones;

	publish("first", "x");
	run(2);
	ck_assert_int_eq(put_file("a", "precious"), 0);
	simdisk_fail(disk, SIM_FDATASYNC, 1, -EIO, false);
	ck_assert_int_eq(fs_fsyncdir(fs, FS_ROOT_INO), -EIO);
	ck_assert_str_eq(kept(), " a=poisoned ");
	ck_assert_str_eq(state_of("a"), "poisoned");
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a"), -EIO);
	ck_assert_ptr_nonnull(strstr(said(), "mount again"));
	simdisk_heal(disk);
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_str_eq(kept(), " a=poisoned ");
	clones = simdisk_calls(disk, SIM_CLONE);
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a"), 0);
	/* it would share what the disk has */
	ck_assert_uint_eq(simdisk_calls(disk, SIM_CLONE), clones);
	run(2);
	rig_cut(0);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "precious");
	ck_assert_str_eq(kept(), " ");
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, what_goes_by_itself_is_listed_only_if_asked_for);
	tcase_add_test(c, an_unfinished_file_is_published_as_it_is);
	tcase_add_loop_test(c, what_lies_beside_takes_the_names_place, 0, 2);
	tcase_add_test(c, a_torn_file_is_published_as_it_is);
	tcase_add_test(c, who_has_it_open_is_waited_for);
	tcase_add_test(c, what_a_process_still_holds_is_not_decided_about);
	tcase_add_test(c, a_writer_that_outlived_the_daemon_is_found_out);
	tcase_add_loop_test(c, the_losing_side_of_a_conflict_wins_by_order, 0,
			    2);
	tcase_add_loop_test(c, a_rename_over_what_another_wrote_leaves_it, 0,
			    2);
	tcase_add_test(c, a_conflict_with_what_is_gone_is_none);
	tcase_add_test(c, a_bucket_that_does_not_answer_decides_nothing);
	tcase_add_loop_test(c, what_was_refused_is_offered_again, 0, 2);
	tcase_add_test(c, what_is_offered_again_has_all_its_tries);
	tcase_add_test(c, a_folder_stands_for_what_is_below_it);
	tcase_add_test(c, a_refused_folder_marker_is_listed_and_tried_again);
	tcase_add_test(c, what_lost_its_bytes_is_parked_and_says_so);
	tcase_add_test(c, no_publishing_of_bytes_that_are_gone);
	tcase_add_test(c, a_poisoned_file_is_published_from_a_copy);
}

int main(void)
{
	return harness_run("sim_recover", add);
}
