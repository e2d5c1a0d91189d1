/* SPDX-License-Identifier: Apache-2.0 */
/* What is found after a crash and after a power cut, one case at a time. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/disk.h"

#include "harness.h"
#include "meta_model.h"

static const struct meta_rules all_rules;

static void commit_one(void)
{
	ck_assert_int_eq(step_commit(false), 0);
}

static void barrier(void)
{
	ck_assert_int_eq(blobs_sync(), 0);
	ck_assert_int_eq(step_barrier(), 0);
}

START_TEST(a_crash_keeps_every_commit)
{
	unsigned at;

	begin(1, all_rules);
	commit_one();
	barrier();
	commit_one();
	commit_one();
	at = last;
	meta_close(m);
	simdisk_crash(disk);
	look(at, at);
	ck_assert_ptr_null(wrong);
	ck_assert(report.same_boot && !report.cut);
	end();
}
END_TEST

START_TEST(a_power_cut_goes_back_to_the_barrier)
{
	unsigned at;

	begin(2, all_rules);
	commit_one();
	barrier();
	at = durable;
	commit_one();
	commit_one();
	meta_close(m);
	simdisk_power_cut(disk, 100); /* all is there: it counts no more */
	look(at, at);
	ck_assert_ptr_null(wrong);
	ck_assert(!report.same_boot && report.cut);
	ck_assert_uint_gt(report.frames_dropped, 0);
	end();
}
END_TEST

/* fsck opens the database, and does not do what a mount does; a mount may die
 * before it is done. */
START_TEST(another_boot_is_told_until_it_is_settled)
{
	unsigned at;

	begin(3, all_rules);
	commit_one();
	barrier();
	at = durable;
	meta_close(m);
	simdisk_power_cut(disk, 100);
	look(at, at);
	ck_assert(report.cut && !report.same_boot);
	meta_close(m);
	look(at, at);
	ck_assert(!report.cut && !report.same_boot);
	ck_assert_int_eq(meta_begin(m), 0);
	ck_assert_int_eq(meta_boot_settled(m), 0);
	ck_assert_int_eq(meta_commit(m), 0);
	meta_end(m);
	meta_close(m);
	look(at, at);
	ck_assert(!report.cut && report.same_boot);
	ck_assert_ptr_null(wrong);
	end();
}
END_TEST

static const struct {
	bool missing; /* else: short */
	bool covered; /* by a barrier */
} misses[] = { { true, false }, { false, false }, { true, true } };

/* The boot is the same and yet bytes are lost: a virtual machine brought back,
 * a disk taken off and on. */
START_TEST(a_missing_blob_tells_that_the_page_cache_was_lost)
{
	char path[32];
	unsigned at, checks;
	int fd;

	begin(3, all_rules);
	commit_one();
	barrier();
	at = durable;
	while (next_blob < 20)
		commit_one();
	if (misses[_i].covered) {
		barrier();
		at = durable;
	}
	blob_path(states[last].row[0].vid ? states[last].row[0].blob
					  : next_blob - 1,
		  path);
	if (misses[_i].missing) {
		ck_assert_int_eq(disk_unlink(disk, path), 0);
	} else {
		fd = disk_open(disk, path, O_RDWR, 0);
		ck_assert_int_eq(disk_truncate(disk, fd, 0), 0);
		disk_close(disk, fd);
	}
	meta_close(m);
	simdisk_crash(disk);
	ck_assert_int_eq(open_again(&checks), 0);
	/* Rows from before the barrier are not even looked at. */
	ck_assert_int_eq(report.cut, !misses[_i].covered);
	ck_assert_int_eq(checks > 0, !misses[_i].covered);
	ck_assert(matches(&states[at]));
	end();
}
END_TEST

START_TEST(a_check_that_fails_otherwise_ends_the_open)
{
	unsigned checks;

	begin(4, all_rules);
	commit_one();
	meta_close(m);
	m = NULL;
	simdisk_crash(disk);
	simdisk_fail(disk, SIM_STAT, 1, -EIO, true);
	ck_assert_int_ne(open_again(&checks), 0);
	simdisk_heal(disk);
	ck_assert_ptr_null(m);
	look(last, last);
	ck_assert_ptr_null(wrong);
	end();
}
END_TEST

/* kill -9, mount, power cut: the mount's own barrier covers rows whose bytes
 * only the page cache had. */
START_TEST(a_mount_makes_durable_what_a_dead_process_left)
{
	begin(5, all_rules);
	commit_one();
	commit_one();
	crash();
	ck_assert_ptr_null(wrong);
	meta_close(m);
	m = NULL;
	simdisk_power_cut(disk, 0);
	look(0, 0);
	ck_assert_ptr_null(wrong);
	ck_assert_uint_eq(states[0].serial, 2);
	end();
}
END_TEST

/* Each call to the disk during the opening may be the last one. */
START_TEST(an_opening_may_be_killed_anywhere)
{
	unsigned long n;
	unsigned checks;
	bool done = false;

	for (n = 0; !done; n += harness_step()) {
		begin(6, all_rules);
		commit_one();
		barrier();
		commit_one();
		meta_close(m);
		m = NULL;
		if (_i)
			simdisk_power_cut(disk, 50);
		else
			simdisk_crash(disk);
		simdisk_halt_after(disk, n);
		done = open_again(&checks) == 0;
		ck_assert_int_eq(done, !simdisk_halted(disk));
		meta_close(m);
		m = NULL;
		/* On the second time: the power, on the way up. */
		simdisk_power_cut(disk, 50);
		look(durable, _i ? durable : last);
		ck_assert_msg(!wrong, "call %lu: %s", n, wrong);
		end();
		ck_assert_uint_lt(n, 1000);
	}
	ck_assert_uint_gt(n, 10);
}
END_TEST

/* Both slots say what the newer one does, but for the boot. */
static void forge_boot(void)
{
	struct slots s;
	int fd;

	ck_assert_int_eq(slots_read(disk, &s), 0);
	memcpy(s.newest.boot, "another", 8);
	fd = disk_open(disk, "barrier", O_RDWR, 0);
	ck_assert_int_eq(slot_write(disk, fd, 0, &s.newest), 0);
	ck_assert_int_eq(slot_write(disk, fd, 1, &s.newest), 0);
	disk_close(disk, fd);
}

START_TEST(a_forged_boot_id_is_another_boot)
{
	unsigned at;

	begin(7, all_rules);
	commit_one();
	barrier();
	at = durable;
	commit_one();
	meta_close(m);
	m = NULL;
	simdisk_crash(disk);
	forge_boot();
	look(at, at);
	ck_assert_ptr_null(wrong);
	ck_assert(!report.same_boot && report.cut);
	end();
}
END_TEST

START_TEST(a_failed_sync_of_the_log_is_final)
{
	struct meta_mark mark;

	begin(8, all_rules);
	commit_one();
	ck_assert_int_eq(meta_mark(m, &mark), 0);
	simdisk_fail(disk, SIM_FDATASYNC, 1 + (unsigned long)_i, -EIO, false);
	ck_assert_int_eq(meta_barrier(m, &mark), -EIO);
	ck_assert_int_eq(meta_barrier(m, &mark), -EIO);
	ck_assert_uint_lt(meta_commits_durable(m), meta_commits(m));
	/* What uploads and deletes have to say is still written down. */
	ck_assert_int_eq(step_commit(false), 0);
	end();
}
END_TEST

START_TEST(a_checkpoint_waits_for_its_barrier)
{
	begin(9, all_rules);
	commit_one();
	ck_assert_int_eq(meta_checkpoint(m), -EAGAIN);
	ck_assert_int_eq(blobs_sync(), 0);
	do
		barrier();
	while (durable != last);
	ck_assert_int_eq(meta_checkpoint(m), 0);
	commit_one();
	ck_assert_int_eq(meta_checkpoint(m), -EAGAIN);
	cut();
	ck_assert_ptr_null(wrong);
	end();
}
END_TEST

START_TEST(the_reserve_is_there_for_a_full_disk)
{
	struct meta_opts opts = { .source = "mem://", .ballast = 1 << 20 };
	struct disk_space sp;
	unsigned i;

	begin(10, all_rules);
	meta_close(m);
	simdisk_crash(disk);
	ck_assert_int_eq(meta_open(sim_host(sim), &opts, &m, &report), 0);
	ck_assert_int_eq(disk_space(disk, &sp), 0);
	simdisk_set_capacity(disk, sp.total - sp.avail + 64 * 1024);
	for (i = 0; i < 5; i++) {
		struct meta_object o = { .ino = 1 };
		unsigned k;

		ck_assert_int_eq(meta_begin(m), 0);
		for (k = 0; k < 40; k++) {
			memset(o.key, 'a', 1000);
			(void)snprintf(o.key, 9, "%8u", i * 100 + k);
			o.key[8] = 'b';
			ck_assert_int_eq(meta_object_set(m, &o), 0);
		}
		ck_assert_int_eq(meta_commit(m), 0);
		meta_end(m);
	}
	ck_assert_int_eq(disk_open(disk, "ballast", O_RDONLY, 0), -ENOENT);
	end();
}
END_TEST

static void add(TCase *c)
{
	tcase_set_timeout(c, 120);
	tcase_add_test(c, a_crash_keeps_every_commit);
	tcase_add_test(c, a_power_cut_goes_back_to_the_barrier);
	tcase_add_test(c, another_boot_is_told_until_it_is_settled);
	tcase_add_loop_test(c,
			    a_missing_blob_tells_that_the_page_cache_was_lost,
			    0, sizeof(misses) / sizeof(misses[0]));
	tcase_add_test(c, a_check_that_fails_otherwise_ends_the_open);
	tcase_add_test(c, a_mount_makes_durable_what_a_dead_process_left);
	tcase_add_loop_test(c, an_opening_may_be_killed_anywhere, 0, 2);
	tcase_add_test(c, a_forged_boot_id_is_another_boot);
	tcase_add_loop_test(c, a_failed_sync_of_the_log_is_final, 0, 2);
	tcase_add_test(c, a_checkpoint_waits_for_its_barrier);
	tcase_add_test(c, the_reserve_is_there_for_a_full_disk);
}

int main(void)
{
	return harness_run("meta_recover", add);
}
