/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache disk comes to its end, or the cache to its size: who is let go,
 * who waits, who is told.  On simulated disks, with writers past the daemon.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/space.h"

#include "fs_rig.h"
#include "harness.h"

#define MIB (UINT64_C(1) << 20)
#define PAGE 4096U

static char *block; /* 1 MiB */

static void setup(void)
{
	block = calloc(1, MIB);
	ck_assert_ptr_nonnull(block);
	rig_begin(1);
}

static void teardown(void)
{
	rig_end();
	free(block);
}

static void reopen(void)
{
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
}

/* So much is free from now on. */
static void leave(uint64_t bytes)
{
	struct disk_space sp;

	ck_assert_int_eq(disk_space(disk, &sp), 0);
	simdisk_set_capacity(disk, sp.total - sp.avail + bytes);
}

static uint64_t avail(void)
{
	struct disk_space sp;

	ck_assert_int_eq(disk_space(disk, &sp), 0);
	return sp.avail;
}

/* n MiB at an offset in MiB, on whichever path; 0 or the error. */
static int pour(struct file *f, unsigned at, unsigned n)
{
	unsigned i;
	int r = 0, fd;

	for (i = at; r == 0 && i < at + n; i++) {
		uint64_t off = i * MIB;

		if (f->o.io == FS_IO_PASSTHROUGH) {
			r = simdisk_external_write(disk, f->ext, block, MIB,
						   off);
			continue;
		}
		r = fs_write_to(fs, f->o.file, &off, MIB, &fd);
		if (r < 0)
			break;
		r = disk_pwrite(disk, fd, block, MIB, off);
	}
	return r;
}

static int put_large(const char *name, unsigned n)
{
	struct file f;
	int r = f_create(&f, name, O_WRONLY), e;

	if (r < 0)
		return r;
	r = pour(&f, 0, n);
	e = f_close(&f);
	return r < 0 ? r : e;
}

static void published(unsigned files, unsigned each)
{
	char name[16];
	unsigned i;

	for (i = 0; i < files; i++) {
		(void)snprintf(name, sizeof(name), "old%u", i);
		ck_assert_int_eq(put_large(name, each), 0);
		sim_advance(sim, NS_PER_S);
	}
	ck_assert(settle(60 * NS_PER_S));
}

START_TEST(room_is_made_ahead_of_a_writer_past_the_daemon)
{
	struct file f;
	unsigned i;

	rig_opts.cache_min_free = 16 * MIB;
	reopen();
	published(6, 16);
	leave(80 * MIB);
	ck_assert_int_eq(f_create(&f, "new", O_WRONLY), 0);
	ck_assert_int_eq(f.o.io, FS_IO_PASSTHROUGH);
	/* Between two looks more than is kept free. */
	for (i = 0; i < 2; i++) {
		ck_assert_msg(pour(&f, i * 72, 72) == 0, "no room after %u MiB",
			      i * 72);
		(void)sim_run_for(sim, 100 * NS_PER_MS);
	}
	ck_assert_str_eq(state_of("old0"), "cold");
	ck_assert_int_eq(f_close(&f), 0);
}
END_TEST

START_TEST(least_recently_used_goes_first_and_mapped_stays)
{
	int mapped;

	published(3, 8);
	mapped = intrude(ino_of("old0"));
	ck_assert_int_ge(mapped, 0);
	rig_opts.cache_size = 16 * MIB;
	reopen();
	(void)sim_run_for(sim, 3 * NS_PER_S);
	ck_assert_str_eq(state_of("old0"), "published");
	ck_assert_str_eq(state_of("old1"), "cold");
	ck_assert_str_eq(state_of("old2"), "published");
	simdisk_external_close(disk, mapped);
}
END_TEST

static void use(const char *name)
{
	struct file f;

	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(f_open(&f, name, O_RDONLY), 0);
	ck_assert_int_eq(f.o.io, FS_IO_PASSTHROUGH);
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(f_close(&f), 0);
}

/* Another mount, whose cache is smaller. */
static void shrink(unsigned mib, bool killed)
{
	rig_opts.cache_size = mib * MIB;
	if (killed)
		rig_die();
	else
		rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	(void)sim_run_for(sim, 3 * NS_PER_S);
}

static void assert_cold(const char *cold)
{
	char name[16];
	unsigned i;

	for (i = 0; cold[i]; i++) {
		(void)snprintf(name, sizeof(name), "old%u", i);
		ck_assert_msg(strcmp(state_of(name), cold[i] == 'c' ?
						     "cold" : "published") == 0,
			      "%s is %s", name, state_of(name));
	}
}

/* Which is read past the daemon: opens and closes tell. */
START_TEST(what_was_used_last_is_kept_after_a_remount)
{
	bool killed = _i == 1;
	struct file f;

	published(4, 8);
	ck_assert_int_eq(f_open(&f, "old1", O_RDONLY), 0);
	use("old2");
	use("old0");
	/* Its close was the last use of all. */
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(f_close(&f), 0);
	if (killed)
		(void)sim_run_for(sim, 62 * NS_PER_S);
	shrink(24, killed);
	assert_cold("...c");
	/* What is recorded stays so, used in between or not. */
	shrink(16, killed);
	assert_cold("..cc");
	shrink(8, killed);
	assert_cold("c.cc");
}
END_TEST

START_TEST(a_time_that_is_set_is_no_use)
{
	struct fs_attr a = { .mtime_ns = INT64_C(4000000000) * NS_PER_S };
	struct fs_ctx ctx = ctx_of();

	published(3, 8);
	ck_assert_int_eq(fs_setattr(fs, &ctx, ino_of("old0"), &a, FS_SET_MTIME,
				    NULL, &a), 0);
	use("old1");
	use("old2");
	ck_assert(settle(60 * NS_PER_S));
	shrink(16, _i == 1);
	assert_cold("c..");
}
END_TEST

/* A thousand readers are one transaction, a minute later. */
START_TEST(an_open_for_reading_costs_no_transaction)
{
	uint64_t before;
	unsigned i;

	published(2, 1);
	use("old0"); /* the blob's first time past the daemon is a row */
	(void)sim_run_for(sim, 62 * NS_PER_S);
	before = meta_commits(meta);
	for (i = 0; i < 10; i++) {
		use("old0");
		use("old1");
	}
	ck_assert_uint_eq(meta_commits(meta), before);
	(void)sim_run_for(sim, 62 * NS_PER_S);
	ck_assert_uint_eq(meta_commits(meta), before + 1);
	(void)sim_run_for(sim, 300 * NS_PER_S);
	ck_assert_uint_eq(meta_commits(meta), before + 1);
}
END_TEST

START_TEST(what_lies_in_folders_counts_after_a_remount)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry d, e;
	struct fs_stats st;
	struct file f;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, FS_ROOT_INO, "d", 0755, &d), 0);
	ck_assert_int_eq(fs_mkdir(fs, &ctx, d.attr.ino, "e", 0755, &e), 0);
	ck_assert_int_eq(f_create_in(&f, e.attr.ino, "f", O_WRONLY), 0);
	ck_assert_int_eq(pour(&f, 0, 8), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(f_create_in(&f, e.attr.ino, "g.tmp", O_WRONLY), 0);
	ck_assert_int_eq(pour(&f, 0, 2), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	rig_opts.cache_size = 4 * MIB;
	reopen();
	fs_stats(fs, &st);
	ck_assert_uint_eq(st.cache_used, 10 * MIB);
	ck_assert_uint_eq(st.cache_dirty, 2 * MIB);
	(void)sim_run_for(sim, 3 * NS_PER_S);
	fs_stats(fs, &st);
	ck_assert_uint_eq(st.cache_used, 2 * MIB);
	/* A temporary name's clock runs on, too. */
	(void)sim_run_for(sim, 660 * NS_PER_S);
	ck_assert_str_eq(state_of("d/e/g.tmp"), "published");
	ck_assert_str_eq(state_of("d/e/f"), "cold");
}
END_TEST

START_TEST(with_little_left_new_writers_take_the_ordinary_path)
{
	struct file before, after;

	rig_opts.cache_min_free = 200 * MIB;
	reopen();
	ck_assert_int_eq(f_create(&before, "before", O_WRONLY), 0);
	ck_assert_int_eq(before.o.io, FS_IO_PASSTHROUGH);
	leave(150 * MIB);
	(void)sim_run_for(sim, NS_PER_S);
	ck_assert_int_eq(f_create(&after, "after", O_WRONLY), 0);
	ck_assert_int_eq(after.o.io, FS_IO_CACHED);
	/* There is room, only less than one likes: nobody is stopped. */
	ck_assert_int_eq(pour(&after, 0, 8), 0);
	ck_assert_int_eq(f_close(&after), 0);
	ck_assert_int_eq(f_close(&before), 0);
	ck_assert(settle(60 * NS_PER_S));
}
END_TEST

START_TEST(at_the_end_of_the_disk_nothing_can_be_done_about)
{
	struct file f;

	rig_passthrough = false;
	rig_opts.cache_min_free = MIB;
	reopen();
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(pour(&f, 0, 1), 0);
	leave(SPACE_FLOOR + 8 * MIB);
	ck_assert_int_eq(pour(&f, 1, 32), -ENOSPC);
	/* The error came before the disk was full: the rest is for us. */
	ck_assert_uint_ge(avail(), SPACE_FLOOR / 2);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	ck_assert_int_eq(f_close(&f), 0);
}
END_TEST

START_TEST(a_writer_waits_for_what_eviction_frees)
{
	struct file f;

	rig_passthrough = false;
	rig_opts.cache_min_free = MIB;
	reopen();
	published(1, 64);
	ck_assert_int_eq(f_create(&f, "new", O_WRONLY), 0);
	leave(SPACE_FLOOR + 4 * MIB);
	ck_assert_int_eq(pour(&f, 0, 32), 0);
	ck_assert_str_eq(state_of("old0"), "cold");
	ck_assert_int_eq(f_close(&f), 0);
}
END_TEST

START_TEST(a_cache_full_of_unsent_data_waits_for_the_bucket)
{
	struct store_obj o;

	rig_opts.cache_size = 8 * MIB;
	rig_opts.full_enospc = _i == 1;
	reopen();
	ck_assert_int_eq(put_large("a", 8), 0);
	ck_assert_int_eq(object_head("a", &o), -ENOENT);
	if (_i == 1) {
		ck_assert_int_eq(put_large("b", 1), -ENOSPC);
		ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
		return;
	}
	ck_assert_int_eq(put_large("b", 1), 0);
	ck_assert_int_eq(object_head("a", &o), 0);
}
END_TEST

START_TEST(what_is_begun_may_exceed_the_size_of_the_cache)
{
	rig_passthrough = false;
	rig_opts.cache_size = 8 * MIB;
	reopen();
	ck_assert_int_eq(put_large("a", 40), 0);
	ck_assert(settle(60 * NS_PER_S));
}
END_TEST

START_TEST(a_parked_file_is_no_reason_to_wait)
{
	static const struct store_fault no = { .key = "big",
					       .err = -EACCES,
					       .act = STORE_FAULT_BEFORE };

	rig_opts.cache_size = 8 * MIB;
	reopen();
	ck_assert_int_eq(store_fault_set(bucket, &no, 1), 0);
	ck_assert_int_eq(put_large("big", 8), 0);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_str_eq(state_of("big"), "parked");
	ck_assert_int_eq(put_large("b", 1), -ENOSPC);
}
END_TEST

/* It is in the bucket: nobody has to be told that the cache is full. */
START_TEST(what_a_reader_has_open_stops_no_writer)
{
	struct file f;

	rig_opts.cache_size = 8 * MIB;
	reopen();
	published(1, 8);
	ck_assert_int_eq(f_open(&f, "old0", O_RDONLY), 0);
	ck_assert_int_eq(put_large("b", 1), 0);
	ck_assert_str_eq(state_of("old0"), "published");
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
}
END_TEST

START_TEST(unsent_data_that_cannot_go_is_no_reason_to_wait)
{
	rig_opts.cache_size = 8 * MIB;
	reopen();
	ck_assert_int_eq(put_large("a.tmp", 8), 0); /* held back by its name */
	(void)sim_run_for(sim, 2 * NS_PER_S);
	ck_assert_int_eq(put_large("b", 1), -ENOSPC);
}
END_TEST

START_TEST(f16_after_a_failed_barrier_nothing_new_is_taken)
{
	struct file f, g;

	rig_passthrough = false;
	ck_assert_int_eq(f_create(&f, "a", O_RDWR), 0);
	ck_assert_int_eq(pour(&f, 0, 1), 0);
	ck_assert(sim_run_for(sim, 2 * NS_PER_S) > 0);
	/* The log's sync, not a blob's. */
	ck_assert_int_eq(fs_fsync(fs, f.o.file, false), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "none"), -ENOENT);
	ck_assert_int_eq(f_create(&g, "b", O_WRONLY), 0);
	simdisk_fail(disk, SIM_FDATASYNC, 1, -EIO, true);
	(void)sim_run_for(sim, 3 * NS_PER_S);
	simdisk_heal(disk);
	ck_assert_int_eq(pour(&f, 1, 1), -EIO);
	ck_assert_int_eq(pour(&g, 0, 1), -EIO);
	ck_assert_int_eq(put_large("c", 1), -EIO);
	(void)!f_close(&g);
	(void)!f_close(&f);
}
END_TEST

START_TEST(a_disk_that_never_tells_its_room_is_asked_now_and_then)
{
	unsigned long before;

	rig_unmount();
	simdisk_fail(disk, SIM_SPACE, 1, -EIO, true);
	ck_assert_int_eq(rig_open(), 0);
	before = simdisk_calls(disk, SIM_SPACE);
	(void)sim_run_for(sim, 10 * NS_PER_S);
	ck_assert_uint_lt(simdisk_calls(disk, SIM_SPACE) - before, 50);
	simdisk_heal(disk);
}
END_TEST

/* It was full when it was last asked; now it does not say, and never will. */
START_TEST(a_disk_that_tells_its_room_no_more_is_not_waited_for)
{
	static const struct store_fault down = { .key = "a",
						 .err = -ETIMEDOUT,
						 .act = STORE_FAULT_BEFORE };
	struct file f;

	rig_passthrough = false;
	reopen();
	ck_assert_int_eq(store_fault_set(bucket, &down, 1), 0);
	ck_assert_int_eq(put_large("a", 1), 0);
	ck_assert_int_eq(f_create(&f, "b", O_WRONLY), 0);
	simdisk_set_capacity(disk, 8 * MIB);
	(void)sim_run_for(sim, 2 * NS_PER_S); /* the keeper has looked */
	simdisk_fail(disk, SIM_SPACE, 1, -EIO, true);
	ck_assert_int_eq(pour(&f, 0, 1), 0);
	simdisk_heal(disk);
	ck_assert_int_eq(f_close(&f), 0);
}
END_TEST

/* Another byte of it, whichever way it comes: the file ends there. */
static void grow_to(struct file *f, uint64_t size)
{
	uint64_t off = size - 1;
	int fd;

	if (f->o.io == FS_IO_PASSTHROUGH) {
		ck_assert_int_eq(
			simdisk_external_write(disk, f->ext, "x", 1, off), 0);
		return;
	}
	ck_assert_int_eq(fs_write_to(fs, f->o.file, &off, 1, &fd), 0);
	ck_assert_int_eq(disk_pwrite(disk, fd, "x", 1, off), 0);
}

static uint64_t blocks_of(const struct file *f)
{
	struct fs_attr a;

	ck_assert_int_eq(fs_getattr(fs, f->ino, f->o.file, &a), 0);
	return a.blocks * 512;
}

/* From 64 MiB on, 8 MiB at a time, for who goes on where he ended. */
START_TEST(a_large_file_finds_its_blocks_reserved)
{
	const uint64_t from = 64 * MIB, ahead = 8 * MIB;
	unsigned long before;
	struct file f;

	rig_passthrough = false;
	ck_assert_int_eq(f_create(&f, "big", O_WRONLY), 0);
	before = simdisk_calls(disk, SIM_ALLOCATE);
	grow_to(&f, from - 1);
	grow_to(&f, from + 1); /* not where the last one ended */
	grow_to(&f, 2 * from);
	ck_assert_uint_eq(simdisk_calls(disk, SIM_ALLOCATE), before);
	ck_assert_uint_eq(blocks_of(&f), 3 * PAGE);
	grow_to(&f, 2 * from + 1);
	grow_to(&f, 2 * from + 2);
	ck_assert_uint_eq(simdisk_calls(disk, SIM_ALLOCATE), before + 1);
	ck_assert_uint_eq(blocks_of(&f), 3 * PAGE + ahead);
	ck_assert_int_eq(pour(&f, 128, 8), 0);
	grow_to(&f, 2 * from + ahead + 1);
	ck_assert_uint_eq(simdisk_calls(disk, SIM_ALLOCATE), before + 2);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "big"), 0);
}
END_TEST

/* A disk that can't reserve, or is too full to, is written to as ever. */
START_TEST(nothing_is_reserved_where_there_is_no_room)
{
	unsigned long before;
	struct file f;

	rig_passthrough = false;
	rig_opts.cache_min_free = 200 * MIB;
	reopen();
	before = simdisk_calls(disk, SIM_ALLOCATE);
	ck_assert_int_eq(f_create(&f, "big", O_WRONLY), 0);
	grow_to(&f, 64 * MIB);
	if (_i == 0)
		simdisk_fail(disk, SIM_ALLOCATE, 1, -EOPNOTSUPP, false);
	else
		leave(150 * MIB);
	(void)sim_run_for(sim, NS_PER_S);
	grow_to(&f, 64 * MIB + 1);
	ck_assert_uint_eq(simdisk_calls(disk, SIM_ALLOCATE) - before, _i == 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "big"), 0);
	ck_assert_int_eq(f_close(&f), 0);
}
END_TEST

/* What grows is written out each 256 MiB but for the newest 4 GiB, and once. */
START_TEST(a_growing_file_is_written_out)
{
	const uint64_t piece = 256 * MIB, newest = 4096 * MIB;
	unsigned long before, i;
	struct file f;

	rig_passthrough = _i != 0;
	ck_assert_int_eq(f_create(&f, "big", O_WRONLY), 0);
	ck_assert_int_eq(f.o.io == FS_IO_PASSTHROUGH, _i != 0);
	before = simdisk_calls(disk, SIM_WRITEBACK);
	grow_to(&f, newest + piece - 1);
	(void)sim_run_for(sim, 3 * NS_PER_S);
	ck_assert_uint_eq(simdisk_calls(disk, SIM_WRITEBACK), before);
	for (i = 1; i <= 3; i++) {
		grow_to(&f, newest + i * piece);
		(void)sim_run_for(sim, 3 * NS_PER_S);
		ck_assert_uint_eq(simdisk_calls(disk, SIM_WRITEBACK) - before,
				  i);
	}
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "big"), 0);
	ck_assert_int_eq(f_close(&f), 0);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, room_is_made_ahead_of_a_writer_past_the_daemon);
	tcase_add_test(c, least_recently_used_goes_first_and_mapped_stays);
	tcase_add_loop_test(c, what_was_used_last_is_kept_after_a_remount, 0,
			    2);
	tcase_add_loop_test(c, a_time_that_is_set_is_no_use, 0, 2);
	tcase_add_test(c, an_open_for_reading_costs_no_transaction);
	tcase_add_test(c, what_lies_in_folders_counts_after_a_remount);
	tcase_add_test(c, with_little_left_new_writers_take_the_ordinary_path);
	tcase_add_test(c, at_the_end_of_the_disk_nothing_can_be_done_about);
	tcase_add_test(c, a_writer_waits_for_what_eviction_frees);
	tcase_add_loop_test(c, a_cache_full_of_unsent_data_waits_for_the_bucket,
			    0, 2);
	tcase_add_test(c, what_is_begun_may_exceed_the_size_of_the_cache);
	tcase_add_test(c, a_parked_file_is_no_reason_to_wait);
	tcase_add_test(c, what_a_reader_has_open_stops_no_writer);
	tcase_add_test(c, unsent_data_that_cannot_go_is_no_reason_to_wait);
	tcase_add_test(c, f16_after_a_failed_barrier_nothing_new_is_taken);
	tcase_add_test(c,
		       a_disk_that_never_tells_its_room_is_asked_now_and_then);
	tcase_add_test(c,
		       a_disk_that_tells_its_room_no_more_is_not_waited_for);
	tcase_add_test(c, a_large_file_finds_its_blocks_reserved);
	tcase_add_loop_test(c, nothing_is_reserved_where_there_is_no_room, 0,
			    2);
	tcase_add_loop_test(c, a_growing_file_is_written_out, 0, 2);
}

int main(void)
{
	return harness_run("sim_room", add);
}
