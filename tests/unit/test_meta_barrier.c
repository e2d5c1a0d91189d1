/* SPDX-License-Identifier: Apache-2.0 */
/* Failing barriers, checkpoints, the full disk. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/disk.h"
#include "ckptfs/meta.h"

#include "harness.h"
#include "meta/internal.h"
#include "metabed.h"

static struct disk *disk(void)
{
	return sim_host(bed_sim)->disk;
}

static void open_with(uint64_t log_limit, uint64_t ballast)
{
	const struct meta_opts opts = { .source = "mem://a",
					.log_limit = log_limit,
					.ballast = ballast };
	struct meta_report report;

	meta_close(bed_meta);
	bed_meta = NULL;
	ck_assert_int_eq(
		meta_open(sim_host(bed_sim), &opts, &bed_meta, &report), 0);
}

static int barrier(void)
{
	struct meta_mark mark;

	ck_assert_int_eq(meta_mark(bed_meta, &mark), 0);
	return meta_barrier(bed_meta, &mark);
}

/* A row of about a page. */
static int try_add_object(unsigned i)
{
	struct meta_object o = { .ino = 1 };
	int r;

	memset(o.key, 'k', 1000);
	snprintf(o.key + 1000, 12, "%u", i);
	memset(o.etag, 'e', sizeof(o.etag) - 1);
	r = meta_begin(bed_meta);
	if (r < 0)
		return r;
	r = meta_object_set(bed_meta, &o);
	if (r == 0)
		r = meta_commit(bed_meta);
	meta_end(bed_meta);
	return r;
}

static void add_objects(unsigned from, unsigned n)
{
	for (; n > 0; n--, from++)
		ck_assert_int_eq(try_add_object(from), 0);
}

static int count(void *arg, const struct meta_object *row)
{
	(void)row;
	++*(unsigned *)arg;
	return 0;
}

static unsigned objects(void)
{
	unsigned n = 0;

	bed_begin();
	ck_assert_int_eq(meta_object_each(bed_meta, "", count, &n), 0);
	bed_commit();
	return n;
}

static uint64_t size_of(const char *path)
{
	struct disk_stat st = { .size = 0 };
	int fd = disk_open(disk(), path, O_RDONLY, 0);

	if (fd == -ENOENT)
		return 0;
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(disk_stat(disk(), fd, &st), 0);
	disk_close(disk(), fd);
	return st.size;
}

/* ---- failure ---- */

START_TEST(a_barrier_that_failed_is_the_last)
{
	add_objects(0, 1);
	/* The log, or (later) the record. */
	simdisk_fail(disk(), SIM_FDATASYNC, (unsigned long)_i, -EIO, false);
	ck_assert_int_eq(barrier(), -EIO);
	ck_assert_int_eq(barrier(), -EIO);
	ck_assert_int_eq(meta_checkpoint(bed_meta), -EIO);
	ck_assert_uint_lt(meta_commits_durable(bed_meta),
			  meta_commits(bed_meta));
	add_objects(1, 1);
	ck_assert_uint_eq(objects(), 2);
}
END_TEST

START_TEST(what_failed_to_sync_is_whole_after_the_process_is_started_anew)
{
	add_objects(0, 30);
	simdisk_fail(disk(), SIM_FDATASYNC, (unsigned long)_i, -EIO, false);
	ck_assert_int_eq(barrier(), -EIO);
	bed_reopen();
	meta_close(bed_meta);
	bed_meta = NULL;
	simdisk_power_cut(disk(), 0);
	bed_reopen();
	ck_assert_uint_eq(objects(), 30);
}
END_TEST

/* Of the same boot, and without a power cut. */
START_TEST(what_is_not_believed_goes_as_in_a_power_cut)
{
	add_objects(0, 2);
	ck_assert_int_eq(barrier(), 0);
	add_objects(2, 3);
	if (_i)
		ck_assert_int_eq(meta_disbelieve(bed_meta), 0);
	add_objects(5, 1);
	bed_reopen();
	ck_assert_uint_eq(objects(), _i ? 2 : 6);
	/* It goes on from there. */
	add_objects(6, 1);
	bed_reopen();
	ck_assert_uint_eq(objects(), _i ? 3 : 7);
}
END_TEST

START_TEST(a_checkpoint_that_cannot_sync_is_the_end_of_barriers)
{
	add_objects(0, 5);
	ck_assert_int_eq(barrier(), 0);
	/* The second slot, the log, the database. */
	simdisk_fail(disk(), SIM_FDATASYNC, (unsigned long)_i, -EIO, false);
	ck_assert_int_eq(meta_checkpoint(bed_meta), -EIO);
	ck_assert_int_eq(barrier(), -EIO);
	meta_close(bed_meta);
	bed_meta = NULL;
	simdisk_power_cut(disk(), 30);
	bed_reopen();
	ck_assert_uint_eq(objects(), 5);
}
END_TEST

/* ---- checkpoint ---- */

START_TEST(only_a_log_as_long_as_the_barrier_is_checkpointed)
{
	add_objects(0, 1);
	ck_assert_int_eq(meta_checkpoint(bed_meta), -EAGAIN);
	ck_assert_int_eq(barrier(), 0);
	add_objects(1, 1);
	ck_assert_int_eq(meta_checkpoint(bed_meta), -EAGAIN);
	ck_assert_int_eq(barrier(), 0);
	ck_assert_int_eq(meta_checkpoint(bed_meta), 0);
	/* Nothing new: done already, and no harm. */
	ck_assert_int_eq(meta_checkpoint(bed_meta), 0);
}
END_TEST

START_TEST(a_checkpoint_is_due_by_length_and_the_log_is_used_again)
{
	struct meta_mark before, after;
	uint64_t size;

	open_with(100 * 4120, 0);
	ck_assert(!meta_checkpoint_due(bed_meta));
	add_objects(0, 100);
	ck_assert(meta_checkpoint_due(bed_meta));
	ck_assert_int_eq(barrier(), 0);
	ck_assert_int_eq(meta_checkpoint(bed_meta), 0);
	ck_assert(!meta_checkpoint_due(bed_meta));
	ck_assert_int_eq(meta_mark(bed_meta, &before), 0);
	size = size_of("db-wal");
	add_objects(100, 1);
	ck_assert_int_eq(meta_mark(bed_meta, &after), 0);
	ck_assert_uint_lt(after.frames, before.frames);
	ck_assert_int_ne(memcmp(before.salt, after.salt, sizeof(after.salt)),
			 0);
	ck_assert_uint_eq(size_of("db-wal"), size);
	ck_assert(!meta_checkpoint_due(bed_meta));
	ck_assert_uint_eq(objects(), 101);
}
END_TEST

START_TEST(an_older_mark_takes_nothing_back)
{
	struct meta_mark old;

	add_objects(0, 1);
	ck_assert_int_eq(meta_mark(bed_meta, &old), 0);
	add_objects(1, 1);
	ck_assert_int_eq(barrier(), 0);
	ck_assert_int_eq(meta_barrier(bed_meta, &old), 0);
	meta_close(bed_meta);
	bed_meta = NULL;
	simdisk_power_cut(disk(), 0);
	bed_reopen();
	ck_assert_uint_eq(objects(), 2);
}
END_TEST

static void *commit_many(void *arg)
{
	unsigned i;

	(void)arg;
	for (i = 0; i < 300; i++)
		ck_assert_int_eq(try_add_object(i), 0);
	return NULL;
}

/* -EAGAIN is what commits in between make of a checkpoint. */
START_TEST(commits_go_on_while_barriers_are_made)
{
	pthread_t other;
	unsigned i;
	int r;

	open_with(20 * 4120, 0);
	ck_assert_int_eq(pthread_create(&other, NULL, commit_many, NULL), 0);
	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(barrier(), 0);
		if (!meta_checkpoint_due(bed_meta))
			continue;
		r = meta_checkpoint(bed_meta);
		ck_assert(r == 0 || r == -EAGAIN);
	}
	ck_assert_int_eq(pthread_join(other, NULL), 0);
	ck_assert_int_eq(barrier(), 0);
	ck_assert_uint_eq(meta_commits_durable(bed_meta),
			  meta_commits(bed_meta));
	meta_close(bed_meta);
	bed_meta = NULL;
	simdisk_power_cut(disk(), 0);
	bed_reopen();
	ck_assert_uint_eq(objects(), 300);
}
END_TEST

/* ---- room ---- */

static void fill_disk(uint64_t but)
{
	struct disk_space space;

	ck_assert_int_eq(disk_space(disk(), &space), 0);
	simdisk_set_capacity(disk(), space.total - space.avail + but);
	ck_assert_int_eq(disk_space(disk(), &space), 0);
	ck_assert_uint_eq(space.avail, but);
}

START_TEST(f21_on_a_full_disk_the_ballast_keeps_the_database_going)
{
	unsigned i;
	int r = 0;

	open_with(0, 1 << 20);
	ck_assert_uint_eq(size_of("ballast"), 0);
	fill_disk(0);
	for (i = 0; i < 1000 && r == 0; i++)
		r = try_add_object(i);
	ck_assert_int_eq(r, -ENOSPC);
	ck_assert_uint_gt(i, 50);
	ck_assert_uint_eq(objects(), i - 1);
	/* Room again: the same goes on, and a checkpoint puts some by. */
	simdisk_set_capacity(disk(), UINT64_C(1) << 30);
	add_objects(i - 1, 10);
	ck_assert_int_eq(barrier(), 0);
	ck_assert(!bed_meta->has_ballast);
	ck_assert_int_eq(meta_checkpoint(bed_meta), 0);
	ck_assert(bed_meta->has_ballast);
	ck_assert_uint_eq(objects(), i + 9);
}
END_TEST

START_TEST(no_ballast_is_made_where_there_is_hardly_room)
{
	open_with(0, UINT64_C(1) << 40);
	ck_assert(!bed_meta->has_ballast);
	add_objects(0, 1);
}
END_TEST

START_TEST(a_ballast_that_is_there_is_kept)
{
	open_with(0, 1 << 20);
	ck_assert(bed_meta->has_ballast);
	fill_disk(1 << 16);
	open_with(0, 1 << 20);
	ck_assert(bed_meta->has_ballast);
}
END_TEST

START_TEST(a_checkpoint_without_room_can_be_made_later)
{
	unsigned i;

	open_with(0, 0);
	add_objects(0, 50);
	ck_assert_int_eq(barrier(), 0);
	fill_disk(0);
	ck_assert_int_eq(meta_checkpoint(bed_meta), -ENOSPC);
	ck_assert_uint_eq(objects(), 50);
	simdisk_set_capacity(disk(), UINT64_C(1) << 30);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(meta_checkpoint(bed_meta), 0);
		ck_assert_uint_eq(objects(), 50);
		bed_reopen();
		ck_assert_int_eq(barrier(), 0);
	}
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, bed_setup, bed_teardown);
	tcase_add_loop_test(c, a_barrier_that_failed_is_the_last, 1, 3);
	tcase_add_loop_test(
		c,
		what_failed_to_sync_is_whole_after_the_process_is_started_anew,
		1, 3);
	tcase_add_loop_test(c, what_is_not_believed_goes_as_in_a_power_cut, 0,
			    2);
	tcase_add_loop_test(
		c, a_checkpoint_that_cannot_sync_is_the_end_of_barriers, 1, 4);
	tcase_add_test(c, only_a_log_as_long_as_the_barrier_is_checkpointed);
	tcase_add_test(c,
		       a_checkpoint_is_due_by_length_and_the_log_is_used_again);
	tcase_add_test(c, an_older_mark_takes_nothing_back);
	tcase_add_test(c, commits_go_on_while_barriers_are_made);
	tcase_add_test(c,
		       f21_on_a_full_disk_the_ballast_keeps_the_database_going);
	tcase_add_test(c, no_ballast_is_made_where_there_is_hardly_room);
	tcase_add_test(c, a_ballast_that_is_there_is_kept);
	tcase_add_test(c, a_checkpoint_without_room_can_be_made_later);
}

int main(void)
{
	return harness_run("meta barrier", add);
}
