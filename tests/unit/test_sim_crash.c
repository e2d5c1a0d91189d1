/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job saves (a shard, an overwritten file, a marker, the old one deleted)
 * while the process or the machine dies at any call to the disk; then it is
 * mounted again and drained.  What was acknowledged is there, nothing is torn,
 * and the bucket never shows a marker without its shard.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs_rig.h"
#include "harness.h"

/* What the job was told: 0, or why not; 1: never got so far. */
struct told {
	int shard, last, synced, marker, gone;
};

static int rewrite(const char *name, const char *text)
{
	struct file f;
	int r = f_open(&f, name, O_WRONLY | O_TRUNC), e;

	if (r < 0)
		return r;
	r = f_write(&f, text, 0);
	e = f_close(&f);
	return r < 0 ? r : e;
}

static int sync_of(const char *name)
{
	struct file f;
	int r = f_open(&f, name, O_RDONLY);

	if (r < 0)
		return r;
	r = fs_fsync(fs, f.o.file, false);
	(void)!f_close(&f);
	return r;
}

static void save(struct told *t)
{
	t->shard = put_file("shard2", "shard two");
	(void)sim_run_for(sim, 3 * NS_PER_S); /* its body may be on its way */
	t->last = rewrite("last", "last two");
	t->synced = sync_of("shard2");
	if (t->shard == 0 && t->last == 0)
		t->marker = put_file("marker2", "shard2");
	if (t->marker == 0)
		t->gone = fs_unlink(fs, FS_ROOT_INO, "shard1");
	(void)sim_run_for(sim, 20 * NS_PER_S);
}

static void before(unsigned long seed)
{
	rig_begin(seed);
	ck_assert_int_eq(put_file("shard1", "shard one"), 0);
	ck_assert_int_eq(put_file("last", "last one"), 0);
	ck_assert(settle(60 * NS_PER_S));
	(void)sim_run_for(sim, 2 * NS_PER_S); /* and durable */
}

static bool is(const char *got, const char *want)
{
	return got && strcmp(got, want) == 0;
}

/* The bucket as others see it, at any moment. */
static void assert_order(unsigned long n)
{
	const char *marker = object_of("marker2");
	bool shown = marker != NULL;

	if (shown) {
		ck_assert_msg(is(marker, "shard2"), "call %lu: torn marker", n);
		ck_assert_msg(is(object_of("shard2"), "shard two"),
			      "call %lu: a marker without its shard", n);
		ck_assert_msg(is(object_of("last"), "last two"),
			      "call %lu: a marker before the file", n);
	}
	if (!object_of("shard1"))
		ck_assert_msg(shown, "call %lu: deleted before its successor",
			      n);
	ck_assert_msg(is(object_of("last"), "last one") ||
			      is(object_of("last"), "last two"),
		      "call %lu: torn", n);
}

/* A name in the mount and in the bucket: this text; or, unless it must be, not
 * there, or unfinished and not published. */
static void assert_both(unsigned long n, const char *name, const char *text,
			bool must)
{
	const char *here = text_of(name);
	char copy[64] = "";

	if (!must && (!here || strcmp(state_of(name), "unfinished") == 0)) {
		ck_assert_msg(!object_of(name), "call %lu: %s published", n,
			      name);
		return;
	}
	ck_assert_msg(here && strcmp(here, text) == 0,
		      "call %lu: %s is \"%s\" in the mount", n, name,
		      here ? here : "(none)");
	(void)snprintf(copy, sizeof(copy), "%s", here);
	ck_assert_msg(is(object_of(name), copy),
		      "call %lu: %s (%s) is not in the bucket", n, name,
		      state_of(name));
}

/* Mounted again: what was promised is there, and goes to the bucket. */
static void assert_kept(unsigned long n, const struct told *t, bool power)
{
	bool sure = !power || t->synced == 0;

	assert_order(n);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_msg(settle(600 * NS_PER_S), "call %lu: never drained", n);
	assert_order(n);
	assert_both(n, "shard2", "shard two", sure && t->shard == 0);
	if (sure && t->last == 0)
		assert_both(n, "last", "last two", true);
	assert_both(n, "marker2", "shard2", !power && t->marker == 0);
	if (!power && t->gone == 0) {
		ck_assert_msg(!ino_of("shard1"), "call %lu: back again", n);
		ck_assert_ptr_null(object_of("shard1"));
	}
	ck_assert_msg(call_of("mpu_begin shard2") == 0, "small files only");
}

/* One crash after n calls; whether the job was hit by it. */
static bool crash_after(unsigned long n, int keep)
{
	struct told t = { 1, 1, 1, 1, 1 };
	bool hit;

	before(n);
	simdisk_halt_after(disk, n);
	save(&t);
	hit = simdisk_halted(disk);
	if (keep < 0)
		rig_die();
	else
		rig_cut((unsigned)keep);
	assert_kept(n, &t, keep >= 0);
	rig_end();
	return hit;
}

static void at_any_call(unsigned long first, int keep)
{
	unsigned long n = first % harness_step();

	while (crash_after(n, keep))
		n += harness_step();
	ck_assert_uint_gt(n, 100); /* it was a walk through all of it */
}

START_TEST(f08_the_process_dies_at_any_call)
{
	at_any_call(0, -1);
}
END_TEST

START_TEST(f09_the_power_goes_at_any_call)
{
	static const int keeps[] = { 0, 50, 100 };

	at_any_call((unsigned)_i + 1, keeps[_i]);
}
END_TEST

/* ---- what was promised by one call */

static const int kept[] = { 0, 50, 100 };

/* The bucket takes nothing (count 0: it does again). */
static void refuse_all(unsigned count)
{
	static const struct store_fault no = { .err = -EAGAIN,
					       .act = STORE_FAULT_BEFORE };

	ck_assert_int_eq(store_fault_set(bucket, count ? &no : NULL, count), 0);
}

START_TEST(f06_what_was_synced_is_there_though_it_is_open)
{
	struct file f;

	rig_begin(1);
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "synced", 0), 0);
	ck_assert_int_eq(fs_fsync(fs, f.o.file, false), 0);
	ck_assert_int_eq(f_write(&f, " and not", 6), 0);
	rig_cut((unsigned)kept[_i]);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_str_eq(state_of("a"), "unfinished");
	ck_assert_int_eq(strncmp(text_of("a"), "synced", 6), 0);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_ptr_null(object_of("a"));
	rig_end();
}
END_TEST

/* With close=local at once, else once a barrier has come by itself. */
START_TEST(f07_what_was_closed_is_published_after_a_power_cut)
{
	bool local = _i % 2;

	rig_begin(1);
	rig_unmount();
	rig_opts.close_mode = local ? FS_LOCAL : FS_ASYNC;
	ck_assert_int_eq(rig_open(), 0);
	refuse_all(1);
	ck_assert_int_eq(put_file("a", "whole"), 0);
	if (!local)
		(void)sim_run_for(sim, 2 * NS_PER_S);
	rig_cut((unsigned)kept[_i / 2]);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert(is(text_of("a"), "whole"));
	refuse_all(0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert(is(object_of("a"), "whole"));
	rig_end();
}
END_TEST

START_TEST(f62_what_was_deleted_stays_so_after_a_power_cut)
{
	rig_begin(1);
	ck_assert_int_eq(put_file("a", "old"), 0);
	ck_assert(settle(60 * NS_PER_S));
	refuse_all(1);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	(void)sim_run_for(sim, 2 * NS_PER_S);
	rig_cut((unsigned)kept[_i]);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_uint_eq(ino_of("a"), 0);
	refuse_all(0);
	ck_assert(is(object_of("a"), "old"));
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_ptr_null(object_of("a"));
	ck_assert_uint_eq(ino_of("a"), 0);
	rig_end();
}
END_TEST

/* ---- what dies again while it recovers */

/* A save hit by a crash, then a mount that dies after n calls; whether it was
 * hit by that. */
static bool recovery_dies_after(unsigned long n, bool power)
{
	struct told t = { 1, 1, 1, 1, 1 };
	bool hit;
	int r;

	before(n);
	simdisk_halt_after(disk, 60 + n % 97);
	save(&t);
	ck_assert(simdisk_halted(disk));
	rig_die();
	simdisk_halt_after(disk, n);
	r = rig_open();
	hit = simdisk_halted(disk);
	ck_assert(hit || r == 0);
	if (power)
		rig_cut(50);
	else
		rig_die();
	assert_kept(n, &t, power);
	rig_end();
	return hit;
}

START_TEST(f66_the_recovery_dies_at_any_call)
{
	unsigned long n = 0;

	while (recovery_dies_after(n, _i == 1))
		n += harness_step();
	ck_assert_uint_gt(n, 20);
}
END_TEST

/* ---- what is open at a crash */

START_TEST(a_new_file_comes_back_unfinished)
{
	struct file f;

	rig_begin(1);
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "half", 0), 0);
	(void)sim_run_for(sim, 2 * NS_PER_S);
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_str_eq(state_of("a"), "unfinished");
	ck_assert(is(text_of("a"), "half"));
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_ptr_null(object_of("a"));
	rig_end();
}
END_TEST

START_TEST(f05_a_rewritten_file_shows_what_it_was)
{
	struct file f;

	rig_begin(1);
	ck_assert_int_eq(put_file("a", "whole"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "half", 0), 0);
	(void)sim_run_for(sim, 2 * NS_PER_S);
	if (_i == 0)
		rig_die();
	else
		rig_cut(50);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert(is(text_of("a"), "whole"));
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert(is(object_of("a"), "whole"));
	rig_end();
}
END_TEST

/* What it was is in the bucket alone: as long as it is there, not as what was
 * closed over it since. */
START_TEST(a_rewritten_file_shows_what_the_bucket_has)
{
	struct fs_bulk how = { .deadline_mono_ns = CLK_NEVER };
	struct fs_bulk_sums sums;
	struct fs_attr a, was;
	struct file f;

	rig_begin(1);
	ck_assert_int_eq(put_file("a", "the whole"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(fs_getattr(fs, ino_of("a"), NULL, &was), 0);
	ck_assert_int_eq(fs_evict(fs, "a", &how, &sums), 0);
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "ha", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	ck_assert_int_eq(f_write(&f, "lf", 2), 0);
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(fs_getattr(fs, ino_of("a"), NULL, &a), 0);
	ck_assert_uint_eq(a.size, strlen("the whole"));
	ck_assert_int_eq(a.mtime_ns, was.mtime_ns);
	assert_text(text_of("a"), "the whole");
	rig_end();
}
END_TEST

/* Nothing was closed over it: all that is known of it still is. */
START_TEST(a_rewritten_file_that_was_evicted_keeps_its_mode)
{
	struct fs_bulk how = { .deadline_mono_ns = CLK_NEVER };
	struct store_fault down = { .method = "head", .err = -ETIMEDOUT };
	struct fs_attr a = { .mode = 0600 }, was;
	struct fs_ctx ctx = ctx_of();
	struct fs_bulk_sums sums;
	struct file f;

	rig_begin(1);
	ck_assert_int_eq(put_file("a", "the whole"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(fs_setattr(fs, &ctx, ino_of("a"), &a, FS_SET_MODE,
				    NULL, &was),
			 0);
	ck_assert_int_eq(fs_evict(fs, "a", &how, &sums), 0);
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_TRUNC), 0);
	rig_die();
	ck_assert_int_eq(store_fault_set(bucket, &down, 1), 0);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(fs_getattr(fs, ino_of("a"), NULL, &a), 0);
	ck_assert_uint_eq(a.mode, was.mode);
	ck_assert_int_eq(a.mtime_ns, was.mtime_ns);
	assert_text(text_of("a"), "the whole");
	rig_end();
}
END_TEST

/* The job's process lives on, and so do its writes. */
START_TEST(a_writer_that_outlives_the_daemon_is_not_published)
{
	struct file f;

	rig_begin(1);
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0); /* a provisional seal */
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(simdisk_external_write(disk, f.ext, "two", 3, 3), 0);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_ptr_null(object_of("a"));
	simdisk_external_close(disk, f.ext);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_ptr_null(object_of("a"));
	ck_assert_str_eq(state_of("a"), "unfinished");
	rig_end();
}
END_TEST

/* Read by somebody: changed in place; mapped: the seal goes before its bytes. */
START_TEST(what_was_sealed_is_not_found_with_later_bytes)
{
	struct file reader, f;

	rig_begin(1);
	ck_assert_int_eq(put_file("a", "zero"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(f_open(&reader, "a", O_RDONLY), 0);
	(void)intrude(reader.ino);
	ck_assert_int_eq(rewrite("a", "one."), 0);
	(void)sim_run_for(sim, 2 * NS_PER_S);
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "half", 0), 0);
	rig_cut(100);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_str_eq(state_of("a"), "unfinished");
	(void)sim_run_for(sim, 60 * NS_PER_S);
	assert_text(object_of("a"), "zero");
	rig_end();
}
END_TEST

/* The job's bytes reached the disk, but no barrier did. */
START_TEST(what_was_appended_goes_with_its_row)
{
	struct file f;

	rig_begin(1);
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	if (_i == 0)
		ck_assert(settle(60 * NS_PER_S));
	(void)sim_run_for(sim, NS_PER_S / 2); /* or it is queued */
	ck_assert_int_eq(sync_of("a"), 0);
	ck_assert_int_eq(put_file("b", "before"), 0);
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, "two", 3), 0);
	ck_assert_int_eq(f_close(&f), 0);
	rig_cut(100);
	ck_assert_int_eq(rig_open(), 0);
	if (_i == 0)
		ck_assert_uint_eq(ino_of("b"), 0);
	if (!ino_of("b") || strcmp(state_of("a"), "unfinished") != 0)
		ck_assert_uint_eq(blob_size_of(ino_of("a")),
				  ino_of("b") ? 6 : 3);
	rig_end();
}
END_TEST

START_TEST(what_was_fsynced_after_a_seal_is_there)
{
	struct file f;

	rig_begin(1);
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	if (_i == 1)
		ck_assert(settle(60 * NS_PER_S));
	(void)sim_run_for(sim, NS_PER_S);
	ck_assert_int_eq(f_write(&f, "two", 3), 0);
	ck_assert_int_eq(fs_fsync(fs, f.o.file, false), 0);
	rig_cut(0);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_str_eq(state_of("a"), "unfinished");
	assert_text(text_of("a"), "onetwo");
	(void)sim_run_for(sim, 60 * NS_PER_S);
	assert_text(object_of("a"), "one"); /* that seal was final */
	rig_end();
}
END_TEST

/* Up to some line it is in the bucket; what came after is nobody's yet. */
START_TEST(a_log_that_grew_since_it_was_published_is_unfinished)
{
	struct file f;

	rig_begin(1);
	ck_assert_int_eq(f_create(&f, "a.csv", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, "one,", 0), 0);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	assert_text(object_of("a.csv"), "one,");
	ck_assert_int_eq(f_write(&f, "two", 4), 0);
	rig_die();
	simdisk_external_close(disk, f.ext);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_str_eq(state_of("a.csv"), "unfinished");
	assert_text(text_of("a.csv"), "one,two");
	assert_text(object_of("a.csv"), "one,");
	rig_end();
}
END_TEST

/* A log goes on from a file that waits, is sealed while open and at its close. */
static bool log_goes_on(unsigned long n)
{
	struct file f;
	bool hit;

	rig_machine(1);
	rig_opts.transfer.upload_interval_ns = 50 * NS_PER_MS;
	ck_assert(rig_open() == 0 && put_file("a", "one,") == 0);
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, "two,", 4), 0);
	(void)sim_run_for(sim, 100 * NS_PER_MS); /* a snapshot */
	ck_assert_str_eq(state_of("a"), "queued");
	ck_assert_int_eq(f_write(&f, "three", 8), 0);
	simdisk_halt_after(disk, n);
	(void)f_close(&f);
	hit = simdisk_halted(disk);
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	assert_text(text_of("a"), "one,two,three");
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_ptr_nonnull(object_of("a"));
	rig_end();
	return hit;
}

START_TEST(what_a_log_went_on_from_is_never_all_that_goes)
{
	unsigned long n;

	for (n = 0; log_goes_on(n); n++)
		;
	ck_assert_uint_gt(n, 4);
}
END_TEST

/* Its seal was final, so what it replaced is gone; then its bytes moved. */
START_TEST(what_lost_its_seal_is_shown_if_there_is_no_other)
{
	struct file f;

	rig_begin(1);
	rig_opts.transfer.upload_delay_ns = 60 * NS_PER_S;
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(put_file("a", "one,"), 0);
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "two,", 4), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	(void)sim_run_for(sim, 30 * NS_PER_S); /* held open, and final */
	ck_assert_int_eq(f_write(&f, "three", 8), 0);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	rig_die();
	simdisk_external_close(disk, f.ext);
	ck_assert_int_eq(rig_open(), 0);
	assert_text(text_of("a"), "one,two,three");
	ck_assert_str_eq(state_of("a"), "unfinished");
	rig_end();
}
END_TEST

static void add(TCase *c)
{
	tcase_set_timeout(c, 60);
	tcase_add_test(c, f08_the_process_dies_at_any_call);
	tcase_add_loop_test(c, f09_the_power_goes_at_any_call, 0, 3);
	tcase_add_loop_test(c,
			    f06_what_was_synced_is_there_though_it_is_open, 0,
			    3);
	tcase_add_loop_test(
		c, f07_what_was_closed_is_published_after_a_power_cut, 0, 6);
	tcase_add_loop_test(
		c, f62_what_was_deleted_stays_so_after_a_power_cut, 0, 3);
	tcase_add_loop_test(c, f66_the_recovery_dies_at_any_call, 0, 2);
	tcase_add_test(c, a_new_file_comes_back_unfinished);
	tcase_add_loop_test(c, what_was_appended_goes_with_its_row, 0, 2);
	tcase_add_loop_test(c, what_was_fsynced_after_a_seal_is_there, 0, 2);
	tcase_add_loop_test(c, f05_a_rewritten_file_shows_what_it_was, 0, 2);
	tcase_add_test(c, a_rewritten_file_shows_what_the_bucket_has);
	tcase_add_test(c, a_rewritten_file_that_was_evicted_keeps_its_mode);
	tcase_add_test(c, what_was_sealed_is_not_found_with_later_bytes);
	tcase_add_test(c, what_a_log_went_on_from_is_never_all_that_goes);
	tcase_add_test(c, what_lost_its_seal_is_shown_if_there_is_no_other);
	tcase_add_test(c, a_writer_that_outlives_the_daemon_is_not_published);
	tcase_add_test(c,
		       a_log_that_grew_since_it_was_published_is_unfinished);
}

int main(void)
{
	return harness_run("sim_crash", add);
}
