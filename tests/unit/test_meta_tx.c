/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/disk.h"
#include "ckptfs/meta.h"

#include "harness.h"
#include "meta/internal.h"
#include "metabed.h"

static struct meta_inode inode_of(uint64_t parent)
{
	struct meta_inode row = { .kind = META_FILE,
				  .parent = parent,
				  .name = "n" };

	return row;
}

START_TEST(what_is_not_committed_is_rolled_back)
{
	struct meta_inode row = inode_of(1), got;
	uint64_t commits, n, last;

	bed_begin();
	n = bed_add_op("kept");
	bed_commit();
	commits = meta_commits(bed_meta);
	bed_begin();
	ck_assert_int_eq(meta_inode_add(bed_meta, &row), 0);
	ck_assert_int_eq(meta_name_add(bed_meta, 1, "n", row.ino), 0);
	ck_assert_int_eq(meta_op_del(bed_meta, n), 0);
	bed_add_op("dropped");
	meta_end(bed_meta);
	ck_assert_uint_eq(meta_commits(bed_meta), commits);
	bed_begin();
	ck_assert_int_eq(meta_inode_get(bed_meta, row.ino, &got), -ENOENT);
	ck_assert_int_eq(meta_name_get(bed_meta, 1, "n", &n), -ENOENT);
	ck_assert_int_eq(meta_op_last(bed_meta, &last), 0);
	ck_assert_uint_eq(last, 1);
	meta_end(bed_meta);
}
END_TEST

START_TEST(rows_are_read_between_commit_and_end)
{
	struct meta_op op;
	uint64_t seq;

	bed_begin();
	seq = bed_add_op("a");
	ck_assert_int_eq(meta_commit(bed_meta), 0);
	ck_assert_int_eq(meta_op_get(bed_meta, seq, &op), 0);
	ck_assert_str_eq(op.key, "a");
	meta_end(bed_meta);
}
END_TEST

START_TEST(a_transaction_that_only_reads_is_no_commit)
{
	struct meta_inode root;
	uint64_t commits = meta_commits(bed_meta);

	bed_begin();
	ck_assert_int_eq(meta_inode_get(bed_meta, META_ROOT_INO, &root), 0);
	bed_commit();
	ck_assert_uint_eq(meta_commits(bed_meta), commits);
	bed_begin();
	bed_add_op("x");
	bed_commit();
	ck_assert_uint_eq(meta_commits(bed_meta), commits + 1);
}
END_TEST

/* Numbers of each kind, the newest deleted by delete. */
static void take_numbers(uint64_t ret[3])
{
	struct meta_inode in = inode_of(0);
	struct meta_version v = { .state = META_SEALED };

	bed_begin();
	ck_assert_int_eq(meta_inode_add(bed_meta, &in), 0);
	ck_assert_int_eq(meta_version_add(bed_meta, &v), 0);
	ret[0] = in.ino;
	ret[1] = v.vid;
	ret[2] = bed_add_op("n");
	bed_commit();
}

static void drop_numbers(const uint64_t n[3])
{
	bed_begin();
	ck_assert_int_eq(meta_inode_del(bed_meta, n[0]), 0);
	ck_assert_int_eq(meta_version_del(bed_meta, n[1]), 0);
	ck_assert_int_eq(meta_op_del(bed_meta, n[2]), 0);
	bed_commit();
}

START_TEST(no_number_is_given_twice)
{
	uint64_t was[3] = { 0 }, now[3] = { 0 };
	unsigned i, round;

	for (round = 0; round < 20; round++) {
		take_numbers(now);
		for (i = 0; i < 3; i++)
			ck_assert_uint_eq(now[i], was[i] ? was[i] + 1 : now[i]);
		/* Some newest rows stay, some go; before them, after them. */
		if (round % 3 == 0)
			drop_numbers(now);
		if (round % 3 == 2)
			drop_numbers(was);
		if (round % 2 == 0)
			bed_reopen();
		memcpy(was, now, sizeof(was));
	}
}
END_TEST

START_TEST(a_failed_write_ends_the_transaction)
{
	struct disk *d = sim_host(bed_sim)->disk;
	struct meta_object o = { .key = "k" }, got;
	unsigned i;
	int r = 0;

	bed_begin();
	simdisk_fail(d, SIM_PWRITE, 1, -EIO, true);
	/* More than the page cache holds: some of it must be written. */
	memset(o.key, 'k', 900);
	for (i = 0; i < 40000 && r == 0; i++) {
		snprintf(o.key + 900, 100, "%u", i);
		r = meta_object_set(bed_meta, &o);
	}
	ck_assert_int_eq(r, -EIO);
	simdisk_heal(d);
	ck_assert_int_eq(meta_object_get(bed_meta, "k", &got), -EIO);
	ck_assert_int_eq(meta_commit(bed_meta), -EIO);
	meta_end(bed_meta);
	bed_begin();
	ck_assert_int_eq(meta_object_get(bed_meta, o.key, &got), -ENOENT);
	bed_commit();
}
END_TEST

START_TEST(a_commit_that_cannot_be_written_did_not_happen)
{
	struct disk *d = sim_host(bed_sim)->disk;
	uint64_t last;

	bed_begin();
	bed_add_op("a");
	simdisk_fail(d, SIM_PWRITE, 1, -EIO, false);
	ck_assert_int_eq(meta_commit(bed_meta), -EIO);
	meta_end(bed_meta);
	bed_begin();
	ck_assert_int_eq(meta_op_last(bed_meta, &last), 0);
	ck_assert_uint_eq(last, 0);
	bed_add_op("b");
	bed_commit();
	bed_reopen();
	bed_begin();
	ck_assert_int_eq(meta_op_last(bed_meta, &last), 0);
	ck_assert_uint_eq(last, 1);
	bed_commit();
}
END_TEST

/* Its frames: SQLite has two calls for each. */
START_TEST(a_commit_is_written_at_once)
{
	struct disk *d = sim_host(bed_sim)->disk;
	struct meta_inode row = inode_of(1);
	struct meta_version v = { .state = META_SEALED };
	unsigned long before;

	bed_begin(); /* with which the log begins */
	bed_add_op("first");
	bed_commit();
	before = simdisk_calls(d, SIM_PWRITE);
	bed_begin();
	ck_assert_int_eq(meta_inode_add(bed_meta, &row), 0);
	ck_assert_int_eq(meta_name_add(bed_meta, 1, "n", row.ino), 0);
	ck_assert_int_eq(meta_version_add(bed_meta, &v), 0);
	bed_add_op("n");
	bed_commit();
	ck_assert_uint_eq(simdisk_calls(d, SIM_PWRITE) - before, 1);
	bed_reopen();
	bed_begin();
	ck_assert_int_eq(meta_inode_get(bed_meta, row.ino, &row), 0);
	meta_end(bed_meta);
}
END_TEST

static unsigned count_ops(void)
{
	uint64_t last;
	unsigned n = 0;
	struct meta_op op;

	bed_begin();
	ck_assert_int_eq(meta_op_last(bed_meta, &last), 0);
	for (uint64_t i = 1; i <= last; i++)
		n += meta_op_get(bed_meta, i, &op) == 0;
	meta_end(bed_meta);
	return n;
}

/* So that pages go to the log before their commit, are read from there, and
 * change again. */
static void add_many(unsigned n)
{
	struct meta_op op;
	uint64_t first = 0;
	char key[800];

	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	for (unsigned i = 0; i < n; i++) {
		uint64_t seq = bed_add_op(key);

		if (!first)
			first = seq;
		if (i % 7)
			continue;
		ck_assert_int_eq(meta_op_get(bed_meta, first + i / 2, &op), 0);
		op.open_seq = i;
		ck_assert_int_eq(meta_op_set(bed_meta, &op), 0);
	}
}

START_TEST(what_does_not_fit_the_memory_is_committed_whole)
{
	bed_begin();
	bed_add_op("first");
	bed_commit();
	ck_assert_int_eq(sqlite3_exec(bed_meta->db, "PRAGMA cache_size=4", NULL,
				      NULL, NULL),
			 SQLITE_OK);
	bed_begin();
	add_many(300);
	meta_end(bed_meta); /* not committed */
	ck_assert_uint_eq(count_ops(), 1);
	bed_begin();
	add_many(300);
	bed_commit();
	/* The process dies: what counts is what the log has. */
	simdisk_crash(sim_host(bed_sim)->disk);
	bed_reopen();
	ck_assert_uint_eq(count_ops(), 301);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, bed_setup, bed_teardown);
	tcase_add_test(c, what_is_not_committed_is_rolled_back);
	tcase_add_test(c, rows_are_read_between_commit_and_end);
	tcase_add_test(c, a_transaction_that_only_reads_is_no_commit);
	tcase_add_test(c, no_number_is_given_twice);
	tcase_add_test(c, a_failed_write_ends_the_transaction);
	tcase_add_test(c, a_commit_that_cannot_be_written_did_not_happen);
	tcase_add_test(c, a_commit_is_written_at_once);
	tcase_add_test(c, what_does_not_fit_the_memory_is_committed_whole);
}

int main(void)
{
	return harness_run("meta tx", add);
}
