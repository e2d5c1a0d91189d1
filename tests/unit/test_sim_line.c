/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many small files and a bucket that does not answer: the work for each stays
 * the same however many there are.  Over a simulated machine; work is counted
 * in rows looked at, not in time.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fs_rig.h"
#include "harness.h"

#define FILES 2000

static void setup(void)
{
	rig_begin(1);
}

static void teardown(void)
{
	rig_end();
}

static struct transfer_stats work(void)
{
	struct fs_stats st;

	fs_stats(fs, &st);
	return st.transfer;
}

static void bucket_answers(bool yes)
{
	static const struct store_fault down = { .err = -EIO };

	ck_assert_int_eq(store_fault_set(bucket, &down, yes ? 0 : 1), 0);
}

static uint64_t make_dir(const char *name)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, FS_ROOT_INO, name, 0777, &e), 0);
	return e.attr.ino;
}

/* Empty files, the daemon's threads running in between. */
static void fill(uint64_t dir, unsigned from, unsigned to)
{
	char name[16];
	struct file f;

	for (unsigned i = from; i < to; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		ck_assert_int_eq(f_create_in(&f, dir, name, O_WRONLY), 0);
		ck_assert_int_eq(f_close(&f), 0);
		(void)sim_run(sim);
	}
}

/* Rows looked at per step, and times that all were, since before. */
static void assert_work(const struct transfer_stats *before, unsigned steps,
			unsigned rows, unsigned scans)
{
	struct transfer_stats now = work();

	ck_assert_uint_le(now.scans - before->scans, scans);
	ck_assert_uint_le((now.visited - before->visited) / steps, rows);
}

START_TEST(a_file_more_looks_at_a_few_rows)
{
	struct transfer_stats before;
	uint64_t dir = make_dir("d");

	rig_opts.transfer.order = (enum transfer_order)_i;
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	dir = ino_of("d");
	bucket_answers(false);
	fill(dir, 0, FILES / 4);
	before = work();
	fill(dir, FILES / 4, FILES);
	assert_work(&before, FILES, 8, 2);
	ck_assert_uint_ge(work().queued_ops, FILES);

	/* So does each that goes, once it can: in the orders that let files
	 * pass each other, at those in front. */
	bucket_answers(true);
	before = work();
	ck_assert(settle(4000 * NS_PER_S));
	assert_work(&before, FILES, _i == TRANSFER_STRICT ? 16 : 512, 2);
}
END_TEST

/* While the clock stands, a long line is folded once at most; when it has gone
 * on for long enough, what was deleted leaves it. */
START_TEST(what_is_deleted_leaves_now_and_then)
{
	struct transfer_stats before;
	uint64_t dir = make_dir("d");
	char name[16];

	bucket_answers(false);
	fill(dir, 0, FILES);
	before = work();
	for (unsigned i = 0; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		ck_assert_int_eq(fs_unlink(fs, dir, name), 0);
		(void)sim_run(sim);
	}
	assert_work(&before, FILES, 16, 4);
	(void)sim_run_for(sim, NS_PER_S);
	ck_assert_uint_le(work().queued_ops, 8);
	ck_assert_uint_le(work().scans - before.scans, 8);
}
END_TEST

/* A file of zeros and, at its end, a byte. */
static void put_large(const char *name, uint64_t size)
{
	uint64_t off = size - 1;
	struct file f;
	int fd;

	ck_assert_int_eq(f_create(&f, name, O_WRONLY), 0);
	ck_assert_int_eq(fs_write_to(fs, f.o.file, &off, 1, &fd), 0);
	ck_assert_int_eq(disk_pwrite(disk, fd, "x", 1, off), 0);
	ck_assert_int_eq(f_close(&f), 0);
}

/* A body that waits costs a fold to choose, but not one for each new row. */
START_TEST(a_large_file_before_them_changes_nothing)
{
	struct transfer_stats before;
	char name[16];
	uint64_t dir;

	rig_passthrough = false;
	bucket_answers(false);
	put_large("big", UINT64_C(64) << 20);
	dir = make_dir("d");
	fill(dir, 0, FILES / 4);
	before = work();
	fill(dir, FILES / 4, FILES);
	assert_work(&before, FILES, 16, 4);
	/* Nor for each that might change the choice. */
	before = work();
	for (unsigned i = FILES / 2; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		ck_assert_int_eq(fs_unlink(fs, dir, name), 0);
		(void)sim_run(sim);
	}
	assert_work(&before, FILES / 2, 16, 4);
}
END_TEST

static int count_committing(void *arg, const struct fs_pending *p)
{
	unsigned *n = arg;

	*n += strcmp(p->why, "committing") == 0;
	return 0;
}

/* Who finds something to do wakes another before he does it. */
START_TEST(all_workers_find_their_work)
{
	unsigned n = 0;

	rig_opts.transfer.order = TRANSFER_NONE;
	rig_opts.transfer.upload_limit = 1000;
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	rig_passthrough = false;
	(void)sim_run(sim); /* all of them rest */
	for (unsigned i = 0; i < 3; i++) {
		put_large((const char *[]){ "a", "b", "c" }[i], 500000);
		(void)sim_run(sim);
	}
	(void)sim_run_for(sim, 5 * NS_PER_S);
	ck_assert_int_eq(fs_each_pending(fs, "", count_committing, &n), 0);
	ck_assert_uint_eq(n, 3);
}
END_TEST

static void add(TCase *c)
{
	tcase_set_timeout(c, 120);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, a_file_more_looks_at_a_few_rows, 0, 3);
	tcase_add_test(c, what_is_deleted_leaves_now_and_then);
	tcase_add_test(c, a_large_file_before_them_changes_nothing);
	tcase_add_test(c, all_workers_find_their_work);
}

int main(void)
{
	return harness_run("sim_line", add);
}
