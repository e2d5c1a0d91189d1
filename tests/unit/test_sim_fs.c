/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Create, write, close, publish: through the seams, on one thread.  The disk
 * has leases, ctimes, holes and an end; the bytes are written by somebody the
 * daemon does not see.  Crashes are in test_sim_crash.c.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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

/* ---- the straight way */

static void publish_one(void)
{
	struct fs_attr a;
	struct store_obj o;
	struct file f;

	ck_assert_int_eq(f_create(&f, "a.bin", O_WRONLY), 0);
	ck_assert_int_eq(f.o.io,
			 rig_passthrough ? FS_IO_PASSTHROUGH : FS_IO_CACHED);
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(f_write(&f, "hello", 0), 0);
	ck_assert_int_eq(fs_getattr(fs, f.ino, f.o.file, &a), 0);
	ck_assert_uint_eq(a.size, 5);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_ptr_null(object_of("a.bin"));
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("a.bin"), "hello");
	ck_assert_int_eq(object_head("a.bin", &o), 0);
	ck_assert_int_eq(fs_getattr(fs, f.ino, NULL, &a), 0);
	ck_assert_uint_eq(a.size, 5);
	ck_assert_uint_eq(a.mode, S_IFREG | 0644);
	ck_assert(o.meta.has_mtime && o.meta.has_mode);
	ck_assert_int_eq(o.meta.mtime_ns, a.mtime_ns);
	ck_assert_uint_eq(o.meta.mode, S_IFREG | 0644);
	ck_assert_str_eq(state_of("a.bin"), "published");
	assert_text(text_of("a.bin"), "hello");
}

START_TEST(a_closed_file_is_published_as_it_is)
{
	publish_one();
	rig_unmount();
}
END_TEST

START_TEST(without_passthrough_too)
{
	struct fs_stats s;

	fs_stats(fs, &s);
	ck_assert(!s.through_refused);
	rig_passthrough = false;
	publish_one();
	fs_stats(fs, &s);
	ck_assert(s.through_refused);
	rig_unmount();
}
END_TEST

START_TEST(an_empty_file_is_published)
{
	ck_assert_int_eq(put_file("empty", ""), 0);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("empty"), "");
}
END_TEST

START_TEST(what_is_set_after_the_close_rides_along)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_attr want = { .mode = 0600, .mtime_ns = 123456789 }, got;
	struct store_obj o;

	ck_assert_int_eq(put_file("a", "x"), 0);
	ck_assert_int_eq(fs_setattr(fs, &ctx, ino_of("a"), &want,
				    FS_SET_MODE | FS_SET_MTIME, NULL, &got),
			 0);
	ck_assert_int_eq(got.mtime_ns, 123456789);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_int_eq(object_head("a", &o), 0);
	ck_assert_int_eq(o.meta.mtime_ns, 123456789);
	ck_assert_uint_eq(o.meta.mode, S_IFREG | 0600);
}
END_TEST

START_TEST(a_rewrite_replaces_the_object)
{
	struct file f;

	ck_assert_int_eq(put_file("a", "one"), 0);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "second", 0), 0);
	sim_run_for(sim, 60 * NS_PER_S);
	assert_text(object_of("a"), "one"); /* whole until the new one is */
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("a"), "second");
	assert_text(text_of("a"), "second");
}
END_TEST

START_TEST(a_change_in_the_middle_is_published_whole)
{
	struct file f;

	ck_assert_int_eq(put_file("a", "one two"), 0);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_int_eq(f_open(&f, "a", O_RDWR), 0);
	ck_assert_int_eq(f_write(&f, "TWO", 4), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("a"), "one TWO");
}
END_TEST

START_TEST(opened_for_writing_and_left_alone_is_sent_no_more)
{
	struct file f;
	struct store_obj was, now;

	ck_assert_int_eq(put_file("a", "one"), 0);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_int_eq(object_head("a", &was), 0);
	ck_assert_int_eq(f_open(&f, "a", O_RDWR), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_int_eq(object_head("a", &now), 0);
	ck_assert_str_eq(now.etag, was.etag);
	ck_assert_str_eq(state_of("a"), "published");
}
END_TEST

START_TEST(an_appended_log_is_published_again)
{
	struct file f;

	ck_assert_int_eq(put_file("a.csv", "one,"), 0);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_int_eq(f_open(&f, "a.csv", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, "two", 4), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a.csv"), "one,two");
}
END_TEST

/* ---- names */

START_TEST(a_rename_follows_into_the_bucket)
{
	ck_assert_int_eq(put_file("a", "x"), 0);
	if (_i)
		ck_assert(settle(5 * NS_PER_S));
	ck_assert_int_eq(fs_rename(fs, 1, "a", 1, "b", 0), 0);
	ck_assert_uint_eq(ino_of("a"), 0);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("b"), "x");
	ck_assert_ptr_null(object_of("a"));
	assert_text(text_of("b"), "x");
	ck_assert_str_eq(state_of("b"), "published");
}
END_TEST

START_TEST(a_temporary_name_is_published_when_it_is_renamed)
{
	ck_assert_int_eq(put_file("a.tmp", "x"), 0);
	ck_assert(settle(5 * NS_PER_S));
	sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_ptr_null(object_of("a.tmp"));
	ck_assert_str_eq(state_of("a.tmp"), "temporary");
	ck_assert_int_eq(fs_rename(fs, 1, "a.tmp", 1, "a", 0), 0);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("a"), "x");
	ck_assert_ptr_null(object_of("a.tmp"));
	ck_assert_uint_eq(call_of("put a.tmp"), 0);
}
END_TEST

START_TEST(a_temporary_name_nobody_renames_is_published_late)
{
	ck_assert_int_eq(put_file("a.tmp", "x"), 0);
	sim_run_for(sim, 590 * NS_PER_S);
	ck_assert_ptr_null(object_of("a.tmp"));
	sim_run_for(sim, 20 * NS_PER_S);
	assert_text(object_of("a.tmp"), "x");
}
END_TEST

START_TEST(a_file_moved_over_another_takes_its_place)
{
	ck_assert_int_eq(put_file("last", "old"), 0);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_int_eq(put_file("last.tmp", "new"), 0);
	ck_assert_int_eq(fs_rename(fs, 1, "last.tmp", 1, "last", 0), 0);
	assert_text(text_of("last"), "new");
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("last"), "new");
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	assert_text(text_of("last"), "new");
}
END_TEST

START_TEST(a_deleted_file_leaves_the_bucket)
{
	ck_assert_int_eq(put_file("a", "x"), 0);
	if (_i)
		ck_assert(settle(5 * NS_PER_S));
	ck_assert_int_eq(fs_unlink(fs, 1, "a"), 0);
	ck_assert_uint_eq(ino_of("a"), 0);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_ptr_null(object_of("a"));
	if (!_i) /* never sent at all */
		ck_assert_uint_eq(call_of("put a"), 0);
	sim_run_for(sim, 30 * NS_PER_S);
	ck_assert_uint_eq(ino_of("a"), 0);
}
END_TEST

START_TEST(an_unlinked_open_file_lives_until_its_close)
{
	char text[20];
	struct file f;

	ck_assert_int_eq(f_create(&f, "a", O_RDWR), 0);
	ck_assert_int_eq(f_write(&f, "xyz", 0), 0);
	ck_assert_int_eq(fs_unlink(fs, 1, "a"), 0);
	ck_assert_int_eq(put_file("a", "other"), 0);
	ck_assert_int_eq(f_read(&f, text, sizeof(text)), 3);
	ck_assert_str_eq(text, "xyz");
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("a"), "other");
}
END_TEST

START_TEST(a_folder_shows_when_it_stays_empty)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;
	struct file f;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, 1, "d", 0777, &e), 0);
	ck_assert_int_eq(fs_mkdir(fs, &ctx, 1, "e", 0777, &e), 0);
	ck_assert_int_eq(f_create_in(&f, e.attr.ino, "f", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "x", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("d/"), "");
	ck_assert_ptr_null(object_of("e/"));
	assert_text(object_of("e/f"), "x");
	ck_assert_int_eq(fs_rmdir(fs, 1, "e"), -ENOTEMPTY);
	ck_assert_int_eq(fs_rmdir(fs, 1, "d"), 0);
	ck_assert_int_eq(fs_rename(fs, 1, "e", 1, "g", 0), 0);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_ptr_null(object_of("d/"));
	ck_assert_ptr_null(object_of("e/f"));
	assert_text(object_of("g/f"), "x");
	assert_text(text_of("g/f"), "x");
}
END_TEST

START_TEST(a_link_is_an_object_that_says_so)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;
	struct store_obj o;
	char target[1025];

	ck_assert_int_eq(fs_symlink(fs, &ctx, "a/b", 1, "l", &e), 0);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("l"), "a/b");
	ck_assert_int_eq(object_head("l", &o), 0);
	ck_assert(S_ISLNK(o.meta.mode));
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(fs_readlink(fs, ino_of("l"), target), 0);
	ck_assert_str_eq(target, "a/b");
}
END_TEST

/* ---- order */

START_TEST(the_marker_comes_after_its_shards)
{
	ck_assert_int_eq(put_file("shard1", "1"), 0);
	ck_assert_int_eq(put_file("shard2", "2"), 0);
	ck_assert_int_eq(put_file("latest", "12"), 0);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_uint_gt(call_of("put shard1"), 0);
	ck_assert_uint_gt(call_of("put shard2"), call_of("put shard1"));
	ck_assert_uint_gt(call_of("put latest"), call_of("put shard2"));
}
END_TEST

START_TEST(the_old_one_goes_after_the_new_one_came)
{
	ck_assert_int_eq(put_file("old", "1"), 0);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_int_eq(put_file("new", "2"), 0);
	ck_assert_int_eq(fs_unlink(fs, 1, "old"), 0);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_ptr_null(object_of("old"));
	ck_assert_uint_gt(call_of("del old"), call_of("put new"));
}
END_TEST

START_TEST(a_shard_still_held_keeps_the_marker_back)
{
	struct file f;
	int ext;

	ck_assert_int_eq(f_create(&f, "shard", O_RDWR), 0);
	ck_assert_int_eq(f_write(&f, "half", 0), 0);
	ext = intrude(f.ino); /* a mapping outlives the close */
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(put_file("latest", "x"), 0);
	sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_ptr_null(object_of("shard"));
	ck_assert_ptr_null(object_of("latest"));
	ck_assert_int_eq(simdisk_external_write(disk, ext, "whole", 5, 0), 0);
	simdisk_external_close(disk, ext);
	ck_assert(settle(10 * NS_PER_S));
	assert_text(object_of("shard"), "whole");
	assert_text(object_of("latest"), "x");
}
END_TEST

/* ---- the store says no */

START_TEST(f43_an_outage_is_waited_out)
{
	struct store_fault no = { .err = -EAGAIN, .act = STORE_FAULT_BEFORE };

	ck_assert_int_eq(store_fault_set(bucket, &no, 1), 0);
	ck_assert_int_eq(put_file("a", "x"), 0);
	ck_assert(!settle(24 * 3600 * NS_PER_S));
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "x");
}
END_TEST

START_TEST(a_lost_answer_is_no_conflict)
{
	struct store_fault lost = { .method = "put",
				    .key = "a",
				    .count = 1,
				    .err = -EAGAIN,
				    .act = STORE_FAULT_AFTER };

	ck_assert_int_eq(store_fault_set(bucket, &lost, 1), 0);
	ck_assert_int_eq(put_file("a", "x"), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "x");
	ck_assert_str_eq(state_of("a"), "published");
}
END_TEST

START_TEST(anothers_object_stays_and_ours_is_kept)
{
	ck_assert_int_eq(put_file("a", "ours"), 0);
	{
		static const char theirs[] = "theirs";
		struct store_meta m = { .write_id = "x" };
		struct store_obj o;
		struct store_src s = { .len = 0 };

		(void)theirs;
		ck_assert_int_eq(store_put(bucket, "run/a", &s, &m, NULL, &o),
				 0);
	}
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "");
	ck_assert_str_eq(state_of("a"), "conflict");
	assert_text(text_of("a"), "ours");
}
END_TEST

/* ---- what is kept */

static uint64_t kept(void)
{
	struct fs_stats st;

	fs_stats(fs, &st);
	return st.cache_used;
}

START_TEST(older_versions_leave_no_bytes)
{
	ck_assert_int_eq(put_file("a", "first"), 0);
	ck_assert(settle(60 * NS_PER_S));
	/* None of these but the last is ever sent. */
	ck_assert_int_eq(put_file("a", "second one"), 0);
	ck_assert_int_eq(put_file("a", "third"), 0);
	ck_assert_int_eq(put_file("a", "fourth is last"), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "fourth is last");
	ck_assert_uint_eq(kept(), 14);
}
END_TEST

START_TEST(older_versions_leave_no_bytes_with_their_name)
{
	struct file f;

	ck_assert_int_eq(put_file("a", "first"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(put_file("a", "second"), 0);
	if (_i == 0) {
		ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	} else {
		ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_TRUNC), 0);
		ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
		ck_assert_int_eq(f_close(&f), 0);
	}
	ck_assert(settle(60 * NS_PER_S));
	(void)sim_run_for(sim, NS_PER_S);
	ck_assert_ptr_null(object_of("a"));
	ck_assert_uint_eq(kept(), 0);
}
END_TEST

/* ---- what only the bucket has */

static ssize_t theirs(void *arg, uint64_t off, void *p, size_t n)
{
	(void)arg;
	(void)off;
	memset(p, 't', n);
	return (ssize_t)n;
}

static uint64_t fetched(void)
{
	struct fs_stats st;

	fs_stats(fs, &st);
	return st.fetch.bytes;
}

START_TEST(what_was_read_and_closed_at_once_is_kept)
{
	struct store_src src = { .read = theirs, .len = 4 };
	struct store_meta m = { .write_id = "x" };
	struct store_obj o;

	ck_assert_int_eq(store_put(bucket, "run/a", &src, &m, NULL, &o), 0);
	sim_advance(sim, 20 * NS_PER_S);
	assert_text(text_of("a"), "tttt");
	(void)sim_run_for(sim, NS_PER_S);
	assert_text(text_of("a"), "tttt");
	ck_assert_uint_eq(fetched(), 4);
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	assert_text(text_of("a"), "tttt");
	ck_assert_uint_eq(fetched(), 0);
}
END_TEST

START_TEST(what_could_not_be_made_durable_is_fetched_again)
{
	struct store_src src = { .read = theirs, .len = 4 };
	struct store_meta m = { .write_id = "x" };
	struct store_obj o;
	struct file f;

	ck_assert_int_eq(store_put(bucket, "run/a", &src, &m, NULL, &o), 0);
	sim_advance(sim, 20 * NS_PER_S);
	/* Looked up, so that nothing else is to be synced. */
	ck_assert_uint_ne(ino_of("a"), 0);
	(void)sim_run_for(sim, 5 * NS_PER_S);
	/* Whether the janitor comes while the open has the file, or after. */
	simdisk_fail(disk, SIM_FDATASYNC, 1, -EIO, false);
	ck_assert_int_eq(f_open(&f, "a", O_RDONLY), 0);
	(void)sim_run_for(sim, 10 * NS_PER_MS);
	simdisk_heal(disk);
	(void)sim_run_for(sim, NS_PER_S);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_uint_eq(fetched(), 4);
	assert_text(text_of("a"), "tttt");
	(void)sim_run_for(sim, NS_PER_S);
	ck_assert_uint_eq(fetched(), 8);
	assert_text(text_of("a"), "tttt");
	ck_assert_uint_eq(fetched(), 8);
}
END_TEST

/* ---- the disk says no */

START_TEST(a_disk_that_is_full_says_so)
{
	struct disk_space sp;
	struct file f;

	rig_passthrough = false;
	rig_opts.cache_min_free = 1 << 20;
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(put_file("a", "x"), 0);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_int_eq(disk_space(disk, &sp), 0);
	simdisk_set_capacity(disk, sp.total - sp.avail);
	ck_assert_int_lt(put_file("b", "y"), 0);
	assert_text(text_of("a"), "x");
	simdisk_set_capacity(disk, sp.total);
	ck_assert_int_eq(f_create(&f, "c", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "z", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("c"), "z");
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_closed_file_is_published_as_it_is);
	tcase_add_test(c, without_passthrough_too);
	tcase_add_test(c, an_empty_file_is_published);
	tcase_add_test(c, what_is_set_after_the_close_rides_along);
	tcase_add_test(c, a_rewrite_replaces_the_object);
	tcase_add_test(c, a_change_in_the_middle_is_published_whole);
	tcase_add_test(c, opened_for_writing_and_left_alone_is_sent_no_more);
	tcase_add_test(c, an_appended_log_is_published_again);
	tcase_add_loop_test(c, a_rename_follows_into_the_bucket, 0, 2);
	tcase_add_test(c, a_temporary_name_is_published_when_it_is_renamed);
	tcase_add_test(c, a_temporary_name_nobody_renames_is_published_late);
	tcase_add_test(c, a_file_moved_over_another_takes_its_place);
	tcase_add_loop_test(c, a_deleted_file_leaves_the_bucket, 0, 2);
	tcase_add_test(c, an_unlinked_open_file_lives_until_its_close);
	tcase_add_test(c, a_folder_shows_when_it_stays_empty);
	tcase_add_test(c, a_link_is_an_object_that_says_so);
	tcase_add_test(c, the_marker_comes_after_its_shards);
	tcase_add_test(c, the_old_one_goes_after_the_new_one_came);
	tcase_add_test(c, a_shard_still_held_keeps_the_marker_back);
	tcase_add_test(c, f43_an_outage_is_waited_out);
	tcase_add_test(c, a_lost_answer_is_no_conflict);
	tcase_add_test(c, anothers_object_stays_and_ours_is_kept);
	tcase_add_test(c, older_versions_leave_no_bytes);
	tcase_add_loop_test(c, older_versions_leave_no_bytes_with_their_name, 0,
			    2);
	tcase_add_test(c, what_was_read_and_closed_at_once_is_kept);
	tcase_add_test(c, what_could_not_be_made_durable_is_fetched_again);
	tcase_add_test(c, a_disk_that_is_full_says_so);
}

int main(void)
{
	return harness_run("sim_fs", add);
}
