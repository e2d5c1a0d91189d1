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

static int find_why(void *arg, const struct fs_pending *p)
{
	char *why = arg;

	(void)strncpy(why, p->why, 159);
	return 1;
}

/* In one request, in parts, or with its body half sent. */
START_TEST(a_version_without_its_blob_is_parked)
{
	static const uint64_t part_sizes[] = { 0, 4, 4 };
	struct store_fault slow = { .method = "mpu_part",
				    .skip = 1,
				    .err = -EAGAIN,
				    .act = STORE_FAULT_BEFORE };
	char why[160] = "";

	rig_unmount();
	rig_opts.transfer.part_size = part_sizes[_i];
	ck_assert_int_eq(rig_open(), 0);
	if (_i == 2)
		ck_assert_int_eq(store_fault_set(bucket, &slow, 1), 0);
	ck_assert_int_eq(put_file("a", "some text"), 0);
	if (_i == 2)
		(void)sim_run_for(sim, 10 * NS_PER_S);
	lose_blob("a");
	(void)sim_run_for(sim, 600 * NS_PER_S);
	ck_assert_str_eq(state_of("a"), "parked");
	ck_assert_int_eq(fs_each_pending(fs, "a", find_why, why), 1);
	ck_assert_ptr_nonnull(
		strstr(why, "its bytes are gone from the cache disk"));
	ck_assert_ptr_null(object_of("a"));
	ck_assert_int_eq(fs_sync(fs, "", &(uint64_t){ 0 }, CLK_NEVER), -EIO);
	/* A good one supersedes it. */
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	ck_assert_int_eq(put_file("a", "again"), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "again");
}
END_TEST

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

static int count_names(void *arg, const struct fs_pending *p)
{
	unsigned *seen = arg;

	*seen |= strcmp(p->path, "a") == 0 ? 1 : 0;
	*seen |= strcmp(p->path, "t.tmp") == 0 ? 2 : 0;
	return 0;
}

/* A transaction that the disk refuses takes the pages in memory along; then they
 * cannot be read. */
START_TEST(what_waits_is_told_though_the_rows_cannot_be_read)
{
	struct store_fault down = { .err = -ENETUNREACH,
				    .act = STORE_FAULT_BEFORE };
	unsigned seen = 0;

	ck_assert_int_eq(store_fault_set(bucket, &down, 1), 0);
	ck_assert_int_eq(put_file("a", "bytes"), 0);
	ck_assert_int_eq(put_file("t.tmp", "bytes"), 0);
	(void)sim_run_for(sim, 2 * NS_PER_S);
	simdisk_fail(disk, SIM_PWRITE, 1, -EIO, true);
	simdisk_fail(disk, SIM_PREAD, 1, -EIO, true);
	ck_assert_int_lt(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	ck_assert_int_eq(fs_each_pending(fs, "", count_names, &seen), -EIO);
	ck_assert_uint_eq(seen, 3);
	simdisk_heal(disk);
}
END_TEST

/* No later close makes it good, whatever was written since. */
START_TEST(a_poisoned_file_is_never_closed_well)
{
	int flags = O_WRONLY | (_i ? O_APPEND : 0);
	struct file f;

	(void)sim_run_for(sim, 2 * NS_PER_S); /* past the first barrier */
	ck_assert_int_eq(f_create(&f, "a", flags), 0);
	ck_assert_int_eq(f_write(&f, "bytes", 0), 0);
	simdisk_fail(disk, SIM_FDATASYNC, 1, -EIO, false);
	ck_assert_int_eq(fs_fsync(fs, f.o.file, false), -EIO);
	simdisk_heal(disk);
	if (f.o.io == FS_IO_PASSTHROUGH)
		ck_assert_int_eq(f_write(&f, "more", 5), 0);
	ck_assert_int_eq(f_flush(&f), -EIO);
	(void)sim_run_for(sim, 60 * NS_PER_S); /* a snapshot of a log */
	ck_assert_int_eq(f_close(&f), -EIO);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_ptr_null(object_of("a"));
}
END_TEST

/* The first sync of a mount is of everything: when it fails, nothing that no
 * barrier covers is sent, or believed by the next mount. */
START_TEST(what_the_first_sync_loses_is_poisoned)
{
	struct file f;

	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(f_create(&f, "open", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "more", 0), 0);
	ck_assert_int_eq(put_file("a", "bytes"), 0);
	simdisk_fail(disk, SIM_SYNCFS, 1, -EIO, false);
	ck_assert_int_eq(fs_fsyncdir(fs, FS_ROOT_INO), -EIO);
	simdisk_heal(disk);
	ck_assert_str_eq(state_of("a"), "poisoned");
	ck_assert_int_eq(f_flush(&f), -EIO);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_ptr_null(object_of("a"));
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_str_eq(state_of("a"), "poisoned");
	ck_assert_str_eq(state_of("open"), "poisoned");
	assert_text(text_of("a"), "bytes");
}
END_TEST

/* Its end went with the power: no reader is to take what is left for all. */
START_TEST(what_is_short_is_not_read)
{
	struct file f;

	ck_assert_int_eq(put_file("first", "x"), 0);
	(void)sim_run_for(sim, 2 * NS_PER_S); /* past the first barrier */
	ck_assert_int_eq(put_file("a", "bytes"), 0);
	simdisk_fail(disk, SIM_FDATASYNC, 1, -EIO, false);
	ck_assert_int_eq(fs_fsyncdir(fs, FS_ROOT_INO), -EIO);
	simdisk_heal(disk);
	(void)sim_run_for(sim, 2 * NS_PER_S); /* and its row is safe */
	rig_cut(0);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_str_eq(state_of("a"), "poisoned");
	ck_assert_int_eq(f_open(&f, "a", O_RDONLY), -EIO);
	ck_assert_int_eq(f_open(&f, "a", O_RDWR), -EIO);
	ck_assert_int_eq(put_file("a", "again"), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "again");
}
END_TEST

/* No row could say so: what no barrier covers is no more, and not believed. */
START_TEST(what_no_row_says_is_lost_is_gone_for_the_next_mount)
{
	ck_assert_int_eq(put_file("first", "x"), 0);
	(void)sim_run_for(sim, 2 * NS_PER_S);
	ck_assert_int_eq(put_file("a", "bytes"), 0);
	simdisk_fail(disk, SIM_FDATASYNC, 1, -EIO, false);
	simdisk_fail(disk, SIM_PWRITE, 1, -EIO, false);
	ck_assert_int_eq(fs_fsyncdir(fs, FS_ROOT_INO), -EIO);
	simdisk_heal(disk);
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_str_eq(state_of("a"), "gone");
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_ptr_null(object_of("a"));
	assert_text(text_of("first"), "x");
}
END_TEST

/* Closed, and cut once more while another has it open: the barrier before that
 * fails, so the cut is refused, and what was closed stays. */
START_TEST(what_a_refused_cut_leaves_is_sealed_again)
{
	struct file other, f;

	ck_assert_int_eq(put_file("a", "one"), 0);
	ck_assert(settle(60 * NS_PER_S));
	(void)sim_run_for(sim, 2 * NS_PER_S);
	ck_assert_int_eq(f_open(&other, "a", O_RDWR), 0);
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "closed", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(fs_fsyncdir(fs, FS_ROOT_INO), 0);
	simdisk_fail(disk, SIM_FDATASYNC, 1, -EIO, true); /* the log's */
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_TRUNC), -EIO);
	simdisk_heal(disk);
	ck_assert_int_eq(f_close(&other), 0);
	assert_text(text_of("a"), "closed");
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "closed");
}
END_TEST

/* The next mount's syncs would succeed and mean nothing.  A page that is written
 * to again is no matter. */
START_TEST(a_poisoned_log_goes_on_in_another_blob)
{
	char lost[4096 + 1] = "";
	struct file f;
	size_t i;

	for (i = 0; i < sizeof(lost) - 1; i++)
		lost[i] = (char)('a' + i % 26);

	(void)sim_run_for(sim, 2 * NS_PER_S); /* past the first barrier */
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, lost, 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	simdisk_fail(disk, SIM_FDATASYNC, 1, -EIO, false);
	ck_assert_int_eq(fs_fsyncdir(fs, FS_ROOT_INO), -EIO);
	simdisk_heal(disk);
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_str_eq(state_of("a"), "poisoned");
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, "two", sizeof(lost) - 1), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(fs_fsyncdir(fs, FS_ROOT_INO), 0);
	rig_cut(0);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_uint_eq(blob_size_of(ino_of("a")), sizeof(lost) + 2);
	ck_assert_int_eq(strncmp(text_of("a"), lost, 4000), 0);
}
END_TEST

/* The power goes after a log was cut short in place and closed, and appended to
 * once more: no row knows of those bytes, though they came to the disk and the
 * version before was longer. */
START_TEST(what_was_appended_after_a_cut_goes_with_its_row)
{
	struct file log, f;

	ck_assert_int_eq(put_file("a", "what was there at first"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(f_open(&log, "a", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "short", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(fs_fsyncdir(fs, FS_ROOT_INO), 0);
	ck_assert_int_eq(f_write(&log, ", and more", 5), 0);
	rig_cut(100);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_uint_eq(blob_size_of(ino_of("a")), 5);
	assert_text(text_of("a"), "short");
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "short");
}
END_TEST

/* Its bytes were touched after its last close, by nobody we know: it is sealed
 * again, and does not wait for its old bytes for ever. */
START_TEST(what_moved_before_its_parts_were_sent_is_sealed_again)
{
	static const struct store_fault down = { .key = "a",
						 .err = -ETIMEDOUT,
						 .act = STORE_FAULT_BEFORE };
	int ext;

	rig_unmount();
	rig_opts.transfer.part_size = _i ? 4 : 0;
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(store_fault_set(bucket, &down, 1), 0);
	ck_assert_int_eq(put_file("a", "more than a part"), 0);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ext = intrude(ino_of("a"));
	ck_assert_int_eq(simdisk_external_write(disk, ext, "M", 1, 0), 0);
	simdisk_external_close(disk, ext);
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	(void)sim_run_for(sim, 600 * NS_PER_S);
	assert_text(object_of("a"), "More than a part");
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, a_version_without_its_blob_is_parked, 0, 3);
	tcase_add_loop_test(c, a_poisoned_version_is_shown_as_such, 0, 2);
	tcase_add_test(c, what_waits_is_told_though_the_rows_cannot_be_read);
	tcase_add_loop_test(c, a_poisoned_file_is_never_closed_well, 0, 2);
	tcase_add_test(c, what_is_short_is_not_read);
	tcase_add_test(c, what_no_row_says_is_lost_is_gone_for_the_next_mount);
	tcase_add_test(c, what_the_first_sync_loses_is_poisoned);
	tcase_add_test(c, what_a_refused_cut_leaves_is_sealed_again);
	tcase_add_loop_test(
		c, what_moved_before_its_parts_were_sent_is_sealed_again, 0, 2);
	tcase_add_test(c, a_poisoned_log_goes_on_in_another_blob);
	tcase_add_test(c, what_was_appended_after_a_cut_goes_with_its_row);
}

int main(void)
{
	return harness_run("sim_lost", add);
}
