/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover discard and export: what goes, what the name shows then, that the
 * bytes are gone for good and nothing else is.
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

static int discard(const char *path)
{
	return act(FS_RECOVER_DISCARD, path);
}

/* Files with bytes in the cache; what is dead goes with the next barrier. */
static uint64_t blobs(void)
{
	struct fs_stats st;

	run(3);
	fs_stats(fs, &st);
	return st.cache_files;
}

/* Mount and bucket have this under the name, now and after a death; NULL:
 * nothing. */
static void assert_all(const char *name, const char *text)
{
	int i;

	for (i = 0; i < 2; i++) {
		ck_assert(settle(60 * NS_PER_S));
		if (text) {
			assert_text(text_of(name), text);
			assert_text(object_of(name), text);
			ck_assert_str_eq(state_of(name), "published");
		} else {
			ck_assert_uint_eq(ino_of(name), 0);
			ck_assert_ptr_null(object_of(name));
		}
		ck_assert_str_eq(kept(), " ");
		remount();
	}
}

START_TEST(a_new_unfinished_file_goes_with_its_name)
{
	leave_unfinished("a", "half", true);
	ck_assert_str_eq(then_of("a"), "its name goes, too");
	ck_assert_int_eq(discard("a"), 0);
	ck_assert_str_eq(names_in_mount(), " ");
	ck_assert_uint_eq(blobs(), 0);
	assert_all("a", NULL);
	publish("a", "new"); /* the name is free */
}
END_TEST

START_TEST(what_lies_beside_goes_alone)
{
	publish("a", "whole");
	leave_unfinished("a", "half", false);
	ck_assert_str_eq(then_of("a"), "what its name shows is not touched");
	ck_assert_int_eq(discard("a"), 0);
	ck_assert_uint_eq(blobs(), 1);
	assert_all("a", "whole");
}
END_TEST

START_TEST(the_name_shows_the_version_before)
{
	struct fs_attr a;

	publish("a.pt", "whole");
	tear("a.pt", TORN);
	ck_assert_str_eq(then_of("a.pt"),
			 "its name shows the version before it again");
	ck_assert_int_eq(discard("a.pt"), 0);
	ck_assert_int_eq(fs_getattr(fs, ino_of("a.pt"), NULL, &a), 0);
	ck_assert_uint_eq(a.size, 5);
	ck_assert_uint_eq(blobs(), 1);
	assert_all("a.pt", "whole");
}
END_TEST

/* ... which is in the line yet, and goes on. */
START_TEST(the_version_before_is_still_sent)
{
	struct store_fault slow = { .method = "put",
				    .err = -EAGAIN,
				    .act = STORE_FAULT_BEFORE };

	ck_assert_int_eq(store_fault_set(bucket, &slow, 1), 0);
	ck_assert_int_eq(put_file("a.pt", "whole"), 0);
	run(3);
	tear("a.pt", TORN);
	ck_assert_int_eq(discard("a.pt"), 0);
	ck_assert_str_eq(state_of("a.pt"), "queued");
	assert_text(text_of("a.pt"), "whole");
	take_all();
	assert_all("a.pt", "whole");
}
END_TEST

/* The version before was evicted, or changed where it was. */
START_TEST(the_name_shows_what_the_bucket_has)
{
	struct fs_bulk how = { .deadline_mono_ns = CLK_NEVER };
	struct fs_bulk_sums sums;
	struct file r, f;

	publish("a.pt", "whole");
	if (_i == 0) {
		ck_assert_int_eq(fs_evict(fs, "a.pt", &how, &sums), 0);
		tear("a.pt", TORN);
	} else {
		ck_assert_int_eq(f_open(&r, "a.pt", O_RDONLY), 0);
		ck_assert_int_eq(f_open(&f, "a.pt", O_RDWR), 0);
		ck_assert_int_eq(f_write(&f, "PK\003\004", 0), 0);
		ck_assert_int_eq(f_close(&f), 0);
		ck_assert_int_eq(f_close(&r), 0);
		run(1);
	}
	ck_assert_str_eq(kept(), " a.pt=torn ");
	ck_assert_str_eq(then_of("a.pt"),
			 "its name shows what the bucket has");
	ck_assert_int_eq(discard("a.pt"), 0);
	ck_assert_uint_eq(blobs(), 0);
	assert_all("a.pt", "whole");
}
END_TEST

START_TEST(theirs_shows_once_ours_is_gone)
{
	publish("a", "first");
	foreign("a", "theirs");
	rewrite("a", "ours");
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(kept(), " a=conflict ");
	ck_assert_int_eq(discard("a"), 0);
	run(20);
	assert_all("a", "theirs");
}
END_TEST

START_TEST(what_is_refused_leaves_the_line)
{
	if (_i)
		publish("a", "first");
	refuse("run/a");
	if (_i)
		rewrite("a", "refused");
	else
		ck_assert_int_eq(put_file("a", "refused"), 0);
	ck_assert_int_eq(put_file("b", "y"), 0);
	run(120);
	ck_assert_str_eq(kept(), " a=parked ");
	ck_assert_ptr_null(object_of("b"));
	ck_assert_int_eq(discard("a"), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("b"), "y");
	ck_assert_uint_eq(blobs(), _i ? 2 : 1);
	assert_all("a", _i ? "first" : NULL);
}
END_TEST

START_TEST(a_refused_marker_and_delete_are_given_up)
{
	struct store_fault no = { .method = "del",
				  .err = -EACCES,
				  .act = STORE_FAULT_BEFORE };
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	refuse("run/d/");
	ck_assert_int_eq(fs_mkdir(fs, &ctx, FS_ROOT_INO, "d", 0755, &e), 0);
	run(120);
	ck_assert_str_eq(kept(), " d/=parked ");
	ck_assert_int_eq(discard("d"), 0);
	ck_assert_str_eq(kept(), " ");
	run(20);
	(void)ino_of("d"); /* has the root listed */
	run(1);
	ck_assert_uint_eq(ino_of("d"), 0);
	publish("a", "x");
	ck_assert_int_eq(store_fault_set(bucket, &no, 1), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	run(120);
	ck_assert_str_eq(kept(), " a=parked ");
	ck_assert_str_eq(then_of("a"), "the object stays in the bucket");
	ck_assert_int_eq(discard("a"), 0);
	run(20);
	take_all();
	assert_all("a", "x");
}
END_TEST

START_TEST(a_refused_link_is_undone_in_the_mount)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	refuse("run/l");
	ck_assert_int_eq(fs_symlink(fs, &ctx, "there", FS_ROOT_INO, "l", &e),
			 0);
	run(120);
	ck_assert_str_eq(kept(), " l=parked ");
	ck_assert_int_eq(discard("l"), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(said(), "delete the link"));
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "l"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(kept(), " ");
}
END_TEST

START_TEST(what_is_open_or_on_its_way_is_not_thrown_away)
{
	struct file f;

	publish("a", "whole");
	leave_unfinished("a", "half", false);
	ck_assert_int_eq(f_open(&f, "a", O_RDONLY), 0);
	ck_assert_int_eq(discard("a"), -EBUSY);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(put_file("q", "x"), 0);
	ck_assert_int_eq(discard("q"), -ENOENT);
	ck_assert_int_eq(discard("a"), 0);
}
END_TEST

START_TEST(each_of_several_goes_by_its_id)
{
	char one[32];

	leave_unfinished("a", "one", true);
	leave_unfinished("a", "two", false);
	ck_assert_int_eq(discard("a"), -ENOTUNIQ);
	(void)strncpy(one, id_of("a", 0), sizeof(one) - 1);
	one[sizeof(one) - 1] = '\0';
	ck_assert_int_eq(act_id(FS_RECOVER_DISCARD, id_of("a", 1)), 0);
	ck_assert_str_eq(kept(), " a=unfinished ");
	assert_text(text_of("a"), "one");
	ck_assert_int_eq(act_id(FS_RECOVER_DISCARD, one), 0);
	assert_all("a", NULL);
}
END_TEST

static int count(void *arg, const struct meta_inode *row)
{
	unsigned *n = arg;

	(void)row;
	++*n;
	return 0;
}

static unsigned nameless(void)
{
	unsigned n = 0;

	ck_assert_int_eq(meta_begin(meta), 0);
	ck_assert_int_eq(meta_inode_each_unlinked(meta, count, &n), 0);
	meta_end(meta);
	return n;
}

/* A file without a name: its row goes with the last version. */
START_TEST(what_has_no_name_leaves_nothing)
{
	tear("a.pt", TORN);
	ck_assert_int_eq(put_file("b", "good"), 0);
	ck_assert_int_eq(rename_to("b", "a.pt"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(kept(), " a.pt=torn* ");
	ck_assert_uint_eq(nameless(), 1);
	ck_assert_int_eq(discard("a.pt"), 0);
	ck_assert_uint_eq(nameless(), 0);
	ck_assert_uint_eq(blobs(), 1);
	assert_all("a.pt", "good");
}
END_TEST

/* Renamed while it was written in place: the bucket has it under its old name
 * still, and the object follows. */
START_TEST(an_owed_object_follows_what_is_shown_again)
{
	struct file r, f;

	publish("a", "one");
	ck_assert_int_eq(f_open(&r, "a", O_RDONLY), 0);
	ck_assert_int_eq(move_on(&f, "a", "b", O_RDWR), 0);
	run(4);
	crash(&f, 0);
	ck_assert_str_eq(kept(), " b=unfinished ");
	assert_text(object_of("a"), "one");
	ck_assert_int_eq(discard("b"), 0);
	assert_all("b", "one");
	ck_assert_str_eq(names_in_bucket(), " b ");
}
END_TEST

START_TEST(one_out_of_the_middle_takes_nothing_with_it)
{
	struct store_fault slow = { .method = "put",
				    .err = -EAGAIN,
				    .act = STORE_FAULT_BEFORE };

	publish("a.pt", "old");
	tear("a.pt", TORN);
	ck_assert_int_eq(store_fault_set(bucket, &slow, 1), 0);
	rewrite("a.pt", "good");
	ck_assert_str_eq(kept(), " a.pt=torn* ");
	ck_assert_int_eq(discard("a.pt"), 0);
	ck_assert_uint_eq(blobs(), 2);
	take_all();
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_uint_eq(blobs(), 1);
	assert_all("a.pt", "good");
}
END_TEST

/* Appended to what is not in the bucket yet, in the same blob. */
START_TEST(a_prefix_that_is_on_its_way_is_waited_for)
{
	struct store_fault slow = { .method = "put",
				    .err = -EAGAIN,
				    .act = STORE_FAULT_BEFORE };
	struct file f;

	ck_assert_int_eq(store_fault_set(bucket, &slow, 1), 0);
	ck_assert_int_eq(f_create(&f, "a.csv", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	run(3);
	ck_assert_int_eq(f_open(&f, "a.csv", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, "two", 3), 0);
	rig_die();
	simdisk_external_close(disk, f.ext);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_str_eq(kept(), " a.csv=unfinished ");
	ck_assert_int_eq(discard("a.csv"), -EBUSY);
	take_all();
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(discard("a.csv"), 0);
	assert_all("a.csv", "one");
}
END_TEST

START_TEST(the_bytes_to_copy_are_where_it_is_said)
{
	char got[64] = "";
	int fd;

	publish("a", "whole");
	leave_unfinished("a", "half", false);
	ck_assert_int_eq(put_file("q", "queued"), 0);
	fd = disk_open(disk, where_of("a"), O_RDONLY, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(disk_pread(disk, fd, got, sizeof(got), 0), 4);
	ck_assert_str_eq(got, "half");
	disk_close(disk, fd);
	fd = disk_open(disk, where_of("q"), O_RDONLY, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(disk_pread(disk, fd, got, sizeof(got), 0), 6);
	disk_close(disk, fd);
	ck_assert_int_eq(act(FS_RECOVER_EXPORT, "b"), -ENOENT);
	ck_assert_int_eq(act(FS_RECOVER_EXPORT, ""), -ENOENT);
}
END_TEST

/* It was held back under the name before, and torn under this one. */
START_TEST(what_was_held_before_is_sent)
{
	struct file f;

	ck_assert_int_eq(put_file("a.tmp", "held"), 0);
	ck_assert_int_eq(f_open(&f, "a.tmp", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, "a.tmp", FS_ROOT_INO,
				   "a.pt", 0),
			 0);
	ck_assert_int_eq(f_write(&f, TORN, 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_str_eq(kept(), " a.pt=torn ");
	ck_assert_int_eq(discard("a.pt"), 0);
	assert_all("a.pt", "held");
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_new_unfinished_file_goes_with_its_name);
	tcase_add_test(c, what_lies_beside_goes_alone);
	tcase_add_test(c, the_name_shows_the_version_before);
	tcase_add_test(c, the_version_before_is_still_sent);
	tcase_add_loop_test(c, the_name_shows_what_the_bucket_has, 0, 2);
	tcase_add_test(c, theirs_shows_once_ours_is_gone);
	tcase_add_loop_test(c, what_is_refused_leaves_the_line, 0, 2);
	tcase_add_test(c, a_refused_marker_and_delete_are_given_up);
	tcase_add_test(c, a_refused_link_is_undone_in_the_mount);
	tcase_add_test(c, what_is_open_or_on_its_way_is_not_thrown_away);
	tcase_add_test(c, each_of_several_goes_by_its_id);
	tcase_add_test(c, what_has_no_name_leaves_nothing);
	tcase_add_test(c, an_owed_object_follows_what_is_shown_again);
	tcase_add_test(c, one_out_of_the_middle_takes_nothing_with_it);
	tcase_add_test(c, a_prefix_that_is_on_its_way_is_waited_for);
	tcase_add_test(c, the_bytes_to_copy_are_where_it_is_said);
	tcase_add_test(c, what_was_held_before_is_sent);
}

int main(void)
{
	return harness_run("sim_discard", add);
}
