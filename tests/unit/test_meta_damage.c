/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/disk.h"
#include "ckptfs/meta.h"

#include "harness.h"
#include "meta/internal.h"
#include "metabed.h"

/* ---- helpers ---- */

static struct disk *disk(void)
{
	return sim_host(bed_sim)->disk;
}

/* The blobs asked for, and what is said of them. */
static struct {
	uint64_t asked[8];
	unsigned n;
	uint64_t missing;
	int err;
} checks;

static int check(void *arg, const struct meta_version *v)
{
	ck_assert_ptr_eq(arg, &checks);
	ck_assert_uint_lt(checks.n, ARRAY_SIZE(checks.asked));
	checks.asked[checks.n++] = v->blob;
	if (v->blob == checks.missing)
		return -ENODATA;
	return checks.err;
}

static int try_open(struct meta_report *ret)
{
	static const struct meta_opts opts = { .source = "mem://a",
					       .check = check,
					       .check_arg = &checks };

	memset(ret, 0, sizeof(*ret));
	return meta_open(sim_host(bed_sim), &opts, &bed_meta, ret);
}

static struct meta_report reopen(void)
{
	struct meta_report report;

	ck_assert_int_eq(try_open(&report), 0);
	return report;
}

static void stop(void)
{
	meta_close(bed_meta);
	bed_meta = NULL;
}

static void cut_power(void)
{
	stop();
	simdisk_power_cut(disk(), 100);
}

static void add_op(const char *key)
{
	bed_begin();
	(void)bed_add_op(key);
	bed_commit();
}

static uint64_t last_op(void)
{
	uint64_t seq;

	bed_begin();
	ck_assert_int_eq(meta_op_last(bed_meta, &seq), 0);
	meta_end(bed_meta);
	return seq;
}

static int barrier(void)
{
	struct meta_mark mark;

	ck_assert_int_eq(meta_mark(bed_meta, &mark), 0);
	return meta_barrier(bed_meta, &mark);
}

static void add_version(enum meta_state state, uint64_t blob)
{
	struct meta_version v = { .state = state, .blob = blob, .size = 1 };

	bed_begin();
	ck_assert_int_eq(meta_version_add(bed_meta, &v), 0);
	bed_commit();
}

static void scribble(const char *path, uint64_t off)
{
	int fd = disk_open(disk(), path, O_RDWR, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(disk_pwrite(disk(), fd, "rot", 3, off), 0);
	disk_close(disk(), fd);
}

static void shorten(const char *path, uint64_t size)
{
	int fd = disk_open(disk(), path, O_RDWR, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(disk_truncate(disk(), fd, size), 0);
	disk_close(disk(), fd);
}

static uint64_t size_of(const char *path)
{
	struct disk_stat st = { .size = 0 };
	int fd = disk_open(disk(), path, O_RDONLY, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(disk_stat(disk(), fd, &st), 0);
	disk_close(disk(), fd);
	return st.size;
}

/* ---- what is reported ---- */

START_TEST(each_open_is_a_new_epoch_of_one_cache)
{
	struct meta_report a, b, c;

	stop();
	simdisk_power_cut(disk(), 0);
	a = reopen();
	bed_settle_boot();
	stop();
	b = reopen();
	cut_power();
	c = reopen();
	ck_assert_uint_eq(strlen(a.cache_id), 16);
	ck_assert_str_eq(a.cache_id, b.cache_id);
	ck_assert_str_eq(a.cache_id, c.cache_id);
	ck_assert_uint_gt(b.epoch, a.epoch);
	ck_assert_uint_gt(c.epoch, b.epoch);
	ck_assert(!a.fresh && !b.fresh && !c.fresh);
	ck_assert(b.same_boot && !b.cut && !c.same_boot && c.cut);
	ck_assert_uint_eq(c.frames_dropped, 0);
}
END_TEST

START_TEST(commits_are_counted_from_the_open)
{
	uint64_t was = meta_commits(bed_meta);

	ck_assert_uint_eq(meta_commits_durable(bed_meta), was);
	add_op("a");
	ck_assert_uint_eq(meta_commits(bed_meta), was + 1);
	ck_assert_uint_eq(meta_commits_durable(bed_meta), was);
	ck_assert_int_eq(barrier(), 0);
	ck_assert_uint_eq(meta_commits_durable(bed_meta), was + 1);
}
END_TEST

START_TEST(a_mark_in_a_transaction_covers_what_was_committed)
{
	struct meta_mark before, within;

	ck_assert_int_eq(meta_mark(bed_meta, &before), 0);
	bed_begin();
	(void)bed_add_op("a");
	ck_assert_int_eq(meta_mark(bed_meta, &within), 0);
	ck_assert_uint_eq(before.frames, within.frames);
	ck_assert_uint_eq(before.commits, within.commits);
	ck_assert_mem_eq(before.salt, within.salt, sizeof(before.salt));
	bed_commit();
}
END_TEST

START_TEST(another_source_is_refused)
{
	struct meta_opts opts = { .source = "mem://b" };
	struct meta_report report;

	stop();
	ck_assert_int_eq(
		meta_open(sim_host(bed_sim), &opts, &bed_meta, &report),
		-EBUSY);
	ck_assert_ptr_null(bed_meta);
	reopen();
}
END_TEST

START_TEST(a_newer_schema_is_refused)
{
	struct meta_report report;

	bed_begin();
	ck_assert_int_eq(sqlite3_exec(bed_meta->db, "PRAGMA user_version=99",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	bed_commit();
	stop();
	ck_assert_int_eq(try_open(&report), -ENOTSUP);
	ck_assert_ptr_null(bed_meta);
}
END_TEST

/* ---- the cut ---- */

START_TEST(after_a_power_cut_the_last_barrier_counts)
{
	struct meta_report report;

	add_op("a");
	ck_assert_int_eq(barrier(), 0);
	add_op("b");
	cut_power();
	report = reopen();
	ck_assert(report.cut && !report.same_boot);
	ck_assert_uint_gt(report.frames_dropped, 0);
	ck_assert_uint_eq(last_op(), 1);
}
END_TEST

START_TEST(after_a_crash_of_the_process_everything_counts)
{
	struct meta_report report;

	add_op("a");
	stop();
	simdisk_crash(disk());
	report = reopen();
	ck_assert(report.same_boot && !report.cut);
	ck_assert_uint_eq(last_op(), 1);
	/* The open has made it durable. */
	cut_power();
	report = reopen();
	ck_assert_uint_eq(report.frames_dropped, 0);
	ck_assert_uint_eq(last_op(), 1);
}
END_TEST

/* The boot id the disk tells. */
static char forged[40];

static int forged_boot_id(struct disk *d, char ret[40])
{
	(void)d;
	memcpy(ret, forged, sizeof(forged));
	return 0;
}

static void forge(const char *boot)
{
	static struct disk_ops ops;

	ops = *disk()->ops;
	ops.boot_id = forged_boot_id;
	disk()->ops = &ops;
	snprintf(forged, sizeof(forged), "%s", boot);
}

START_TEST(an_unknown_boot_counts_as_another)
{
	struct meta_report report;

	forge("");
	stop();
	reopen();
	add_op("a");
	stop();
	report = reopen();
	ck_assert(report.cut && !report.same_boot);
	ck_assert_uint_eq(last_op(), 0);
}
END_TEST

START_TEST(a_forged_boot_id_shows_a_prefix_all_the_same)
{
	struct meta_report report;
	uint64_t last;

	forge("the same for ever");
	stop();
	reopen();
	bed_settle_boot();
	add_op("a");
	ck_assert_int_eq(barrier(), 0);
	add_op("b");
	add_op("c");
	stop();
	simdisk_power_cut(disk(), 50);
	report = reopen();
	ck_assert(report.same_boot);
	last = last_op();
	ck_assert(last >= 1 && last <= 3);
}
END_TEST

/* ---- blobs ---- */

START_TEST(a_missing_blob_takes_back_what_no_barrier_covers)
{
	struct meta_report report;

	add_version(META_SEALED, 1);
	ck_assert_int_eq(barrier(), 0);
	add_version(META_SEALED, 2);
	add_op("a");
	stop();
	checks.missing = 2;
	report = reopen();
	ck_assert(report.cut && !report.same_boot);
	ck_assert_uint_eq(last_op(), 0);
	ck_assert_uint_eq(checks.n, 1);
	bed_settle_boot();
	stop();
	/* What is left is covered, so nobody asks again. */
	report = reopen();
	ck_assert(!report.cut && report.same_boot);
	ck_assert_uint_eq(checks.n, 1);
}
END_TEST

START_TEST(only_blobs_that_may_be_lost_are_looked_for)
{
	struct meta_version v;

	add_version(META_SEALED, 1);
	add_version(META_PUBLISHED, 2);
	ck_assert_int_eq(barrier(), 0);
	add_version(META_UNFINISHED, 3);
	add_version(META_POISONED, 4);
	add_version(META_PUBLISHED, 0);
	add_version(META_SEALED, 5);
	add_version(META_TORN, 6);
	bed_begin();
	ck_assert_int_eq(meta_version_get(bed_meta, 2, &v), 0);
	ck_assert_int_eq(meta_version_set(bed_meta, &v), 0);
	bed_commit();
	stop();
	reopen();
	ck_assert_uint_eq(checks.n, 3);
	ck_assert_uint_eq(checks.asked[0], 2);
	ck_assert_uint_eq(checks.asked[1], 5);
	ck_assert_uint_eq(checks.asked[2], 6);
}
END_TEST

START_TEST(a_check_that_cannot_be_made_ends_the_open)
{
	struct meta_report report;

	add_version(META_SEALED, 1);
	stop();
	checks.err = -EACCES;
	ck_assert_int_eq(try_open(&report), -EACCES);
	checks.err = 0;
	report = reopen();
	ck_assert(!report.cut);
}
END_TEST

START_TEST(what_a_dead_process_left_must_sync_or_goes)
{
	struct meta_report report;

	add_op("a");
	stop();
	simdisk_fail(disk(), SIM_SYNCFS, 1, -EIO, false);
	ck_assert_int_eq(try_open(&report), -EIO);
	report = reopen();
	ck_assert(report.cut && !report.same_boot);
	ck_assert_uint_eq(last_op(), 0);
}
END_TEST

/* ---- damage ---- */

START_TEST(one_damaged_slot_loses_nothing_that_is_in_the_other)
{
	unsigned slot;

	for (slot = 0; slot < 2; slot++) {
		add_op("a");
		ck_assert_int_eq(barrier(), 0);
		ck_assert_int_eq(meta_checkpoint(bed_meta), 0);
		cut_power();
		scribble("barrier", slot * 4096 + 20);
		reopen();
		ck_assert_uint_eq(last_op(), slot + 1);
	}
}
END_TEST

START_TEST(what_cannot_be_told_is_refused_and_left_alone)
{
	static const struct {
		const char *path; /* damaged; cut to at if cut is set */
		uint64_t at;
		bool cut, gone;
	} cases[] = {
		{ "barrier", 0, true, false },
		{ "barrier", 0, false, true },
		{ "barrier", 50, true, false },
		{ "db", 0, false, true },
		{ "db", 0, true, false },
		{ "db-wal", 0, false, true },
		{ "db-wal", 31, true, false },
		{ "db-wal", 5000, true, false },
		{ "db-wal", 4200, false, false },
	};
	struct meta_report report;
	uint64_t size;

	add_op("a");
	ck_assert_int_eq(barrier(), 0);
	stop();
	if (cases[_i].gone) {
		ck_assert_int_eq(disk_unlink(disk(), cases[_i].path), 0);
	} else if (cases[_i].cut) {
		shorten(cases[_i].path, cases[_i].at);
	} else {
		scribble(cases[_i].path, cases[_i].at);
	}
	size = strcmp(cases[_i].path, "db-wal") != 0 ? size_of("db-wal") : 0;
	ck_assert_int_eq(try_open(&report), -EIO);
	ck_assert_int_eq(try_open(&report), -EIO);
	if (size > 0)
		ck_assert_uint_eq(size_of("db-wal"), size);
}
END_TEST

/* The page of the table's rows that hold a and b, -1 if it is none. */
static int64_t page_with(const char *path, const char *a, const char *b,
			 unsigned char page[META_PAGE])
{
	uint64_t at, size = size_of(path);
	int fd = disk_open(disk(), path, O_RDONLY, 0);
	bool found = false;

	ck_assert_int_ge(fd, 0);
	for (at = META_PAGE; at < size && !found; at += META_PAGE) {
		ck_assert_int_eq(disk_pread(disk(), fd, page, META_PAGE, at),
				 META_PAGE);
		found = page[0] == 0x0d &&
			memmem(page, META_PAGE, a, strlen(a)) &&
			memmem(page, META_PAGE, b, strlen(b));
	}
	disk_close(disk(), fd);
	return found ? (int64_t)(at - META_PAGE) : -1;
}

static int pass(void *arg, const struct meta_op *op)
{
	return 0;
}

/* The line finds its rows by their order.  SQLite does not look at it. */
START_TEST(operations_out_of_order_are_refused)
{
	unsigned char page[META_PAGE], first[2];
	int64_t at;
	int fd;

	add_op("the first one");
	add_op("the second one");
	ck_assert_int_eq(barrier(), 0);
	ck_assert_int_eq(meta_checkpoint(bed_meta), 0);
	add_version(META_PUBLISHED, 0); /* a new log, without that page */
	ck_assert_int_eq(barrier(), 0);
	stop();
	at = page_with("db", "the first one", "the second one", page);
	ck_assert_int_ge(at, 0);
	/* The places of the first two cells. */
	memcpy(first, page + 8, 2);
	memmove(page + 8, page + 10, 2);
	memcpy(page + 10, first, 2);
	fd = disk_open(disk(), "db", O_RDWR, 0);
	ck_assert_int_eq(disk_pwrite(disk(), fd, page, META_PAGE, (uint64_t)at),
			 0);
	disk_close(disk(), fd);
	reopen();
	bed_begin();
	ck_assert_int_eq(meta_op_each(bed_meta, 0, pass, NULL), -EIO);
	meta_end(bed_meta);
}
END_TEST

/* Rot, or an end, at any 512 bytes of the log: what the barrier covers is
 * there or refused; what came later goes as a whole. */
START_TEST(f12_a_log_damaged_anywhere_is_cut_or_refused)
{
	struct meta_report report;
	uint64_t covered = 0, whole = 1, at;

	stop();
	for (at = 0; at < whole; at += 512) {
		sim_free(bed_sim);
		bed_sim = sim_new(at);
		reopen();
		add_op("a");
		ck_assert_int_eq(barrier(), 0);
		covered = size_of("db-wal");
		add_op("b");
		whole = size_of("db-wal");
		stop();
		if (_i == 0)
			scribble("db-wal", at);
		else
			shorten("db-wal", at);
		if (at < covered) {
			ck_assert_int_eq(try_open(&report), -EIO);
			continue;
		}
		ck_assert_int_eq(try_open(&report), 0);
		ck_assert_uint_eq(last_op(), 1);
		stop();
	}
	ck_assert_uint_gt(whole, covered);
}
END_TEST

/* ---- the making ---- */

START_TEST(a_making_cut_short_is_made_anew)
{
	struct meta_report report;
	unsigned long n;
	bool made;

	stop();
	for (n = 0, made = false; !made; n++) {
		sim_free(bed_sim);
		bed_sim = sim_new(n);
		simdisk_halt_after(disk(), n);
		made = try_open(&report) == 0;
		stop();
		simdisk_heal(disk());
		if (n % 2)
			simdisk_power_cut(disk(), 50);
		else
			simdisk_crash(disk());
		reopen();
		add_op("a");
		ck_assert_int_eq(barrier(), 0);
		cut_power();
		reopen();
		ck_assert_uint_eq(last_op(), 1);
		stop();
	}
	ck_assert_uint_gt(n, 20);
}
END_TEST

/* ---- list ---- */

static void setup(void)
{
	memset(&checks, 0, sizeof(checks));
	bed_setup();
}

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, bed_teardown);
	tcase_add_test(c, each_open_is_a_new_epoch_of_one_cache);
	tcase_add_test(c, commits_are_counted_from_the_open);
	tcase_add_test(c, a_mark_in_a_transaction_covers_what_was_committed);
	tcase_add_test(c, another_source_is_refused);
	tcase_add_test(c, a_newer_schema_is_refused);
	tcase_add_test(c, after_a_power_cut_the_last_barrier_counts);
	tcase_add_test(c, after_a_crash_of_the_process_everything_counts);
	tcase_add_test(c, an_unknown_boot_counts_as_another);
	tcase_add_test(c, a_forged_boot_id_shows_a_prefix_all_the_same);
	tcase_add_test(c, a_missing_blob_takes_back_what_no_barrier_covers);
	tcase_add_test(c, only_blobs_that_may_be_lost_are_looked_for);
	tcase_add_test(c, a_check_that_cannot_be_made_ends_the_open);
	tcase_add_test(c, what_a_dead_process_left_must_sync_or_goes);
	tcase_add_test(c, one_damaged_slot_loses_nothing_that_is_in_the_other);
	tcase_add_loop_test(c, what_cannot_be_told_is_refused_and_left_alone, 0,
			    9);
	tcase_add_test(c, operations_out_of_order_are_refused);
	tcase_add_loop_test(c, f12_a_log_damaged_anywhere_is_cut_or_refused, 0,
			    2);
	tcase_add_test(c, a_making_cut_short_is_made_anew);
}

int main(void)
{
	return harness_run("meta damage", add);
}
