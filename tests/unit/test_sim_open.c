/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that stay open, writers the daemon does not see, and logs: what of
 * them is published, and when.  On the simulated machine.
 */
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

START_TEST(bytes_that_move_between_flush_and_release_count)
{
	struct file f;

	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	sim_run_for(sim, 3 * NS_PER_S);
	ck_assert_ptr_null(object_of("a"));
	ck_assert_int_eq(f_write(&f, "two, really", 0), 0);
	f_release(&f);
	ck_assert(settle(10 * NS_PER_S));
	assert_text(object_of("a"), "two, really");
}
END_TEST

START_TEST(a_file_held_open_and_still_is_published)
{
	struct file f;

	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0); /* of a duplicate */
	ck_assert(settle(30 * NS_PER_S));
	assert_text(object_of("a"), "one");
	/* It goes on all the same. */
	ck_assert_int_eq(f_write(&f, "oneone", 0), 0);
	sim_run_for(sim, 30 * NS_PER_S);
	assert_text(object_of("a"), "one");
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(10 * NS_PER_S));
	assert_text(object_of("a"), "oneone");
}
END_TEST

START_TEST(a_seal_that_moves_on_lets_others_pass)
{
	static const int flags[] = { O_WRONLY, O_RDWR };
	struct file f;

	rig_opts.held_open_delay_ns = 60 * NS_PER_S;
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(f_create(&f, "out", flags[_i]), 0);
	ck_assert_int_eq(f_flush(&f), 0); /* the shell's, after its dup2(2) */
	ck_assert_int_eq(put_file("latest", "x"), 0);
	ck_assert_int_eq(f_write(&f, "half", 0), 0);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("latest"), "x");
	ck_assert_ptr_null(object_of("out"));
	ck_assert_str_eq(state_of("out"), "open");
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("out"), "half");
}
END_TEST

START_TEST(a_file_kept_open_is_not_published)
{
	struct file f;

	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	sim_run_for(sim, 600 * NS_PER_S);
	ck_assert_ptr_null(object_of("a"));
	ck_assert_str_eq(state_of("a"), "open");
	ck_assert_int_eq(f_close(&f), 0);
}
END_TEST

START_TEST(a_log_kept_open_is_published_now_and_then)
{
	struct file f;

	ck_assert_int_eq(f_create(&f, "train.log", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, "one ", 0), 0);
	sim_run_for(sim, 70 * NS_PER_S);
	assert_text(object_of("train.log"), "one ");
	ck_assert_int_eq(f_write(&f, "two", 4), 0);
	sim_run_for(sim, 70 * NS_PER_S);
	assert_text(object_of("train.log"), "one two");
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("train.log"), "one two");
}
END_TEST

START_TEST(a_log_is_at_rest_soon_after_its_close)
{
	struct file f;
	int ext;

	ck_assert_int_eq(f_create(&f, "train.log", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	sim_run_for(sim, 100 * NS_PER_MS); /* a snapshot; the next in 30 s */
	ck_assert_int_eq(f_write(&f, "two", 3), 0);
	ext = intrude(f.ino); /* the kernel lets go a little late */
	ck_assert_int_eq(f_close(&f), 0);
	simdisk_external_close(disk, ext);
	ck_assert_int_eq(fs_sync(fs, "", &(uint64_t){ 0 },
				 sim_now(sim) + 3 * NS_PER_S),
			 0);
	assert_text(object_of("train.log"), "onetwo");
}
END_TEST

static void append(const char *name, const char *text, uint64_t at)
{
	struct file f;

	ck_assert_int_eq(f_open(&f, name, O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, text, at), 0);
	ck_assert_int_eq(f_close(&f), 0);
}

START_TEST(an_appended_file_is_sent_now_and_then_unless_others_wait)
{
	ck_assert_int_eq(put_file("metrics.csv", "1,"), 0);
	ck_assert(settle(5 * NS_PER_S));
	append("metrics.csv", "2,", 2);
	append("metrics.csv", "3,", 4);
	ck_assert(!settle(5 * NS_PER_S)); /* not for so little */
	assert_text(object_of("metrics.csv"), "1,");
	ck_assert_int_eq(put_file("ckpt", "x"), 0);
	ck_assert(settle(5 * NS_PER_S)); /* but nothing waits for it */
	assert_text(object_of("metrics.csv"), "1,2,3,");
	assert_text(object_of("ckpt"), "x");
	append("metrics.csv", "4,", 6);
	ck_assert(!settle(5 * NS_PER_S));
	ck_assert(settle(40 * NS_PER_S));
	assert_text(object_of("metrics.csv"), "1,2,3,4,");
}
END_TEST

START_TEST(what_was_appended_is_sent_though_the_log_stays_open)
{
	struct file f;

	ck_assert_int_eq(f_create(&f, "train.log", O_WRONLY | O_APPEND), 0);
	sim_run_for(sim, 100 * NS_PER_MS);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0); /* of a duplicate, as in a shell */
	ck_assert_int_eq(fs_sync(fs, "", &(uint64_t){ 0 },
				 sim_now(sim) + NS_PER_S),
			 0);
	assert_text(object_of("train.log"), "one");
	ck_assert_int_eq(f_write(&f, "two", 3), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("train.log"), "onetwo");
}
END_TEST

/* Its blob is that of what was published before, too, which was longer. */
START_TEST(a_log_that_was_cut_short_keeps_its_seal_over_a_power_cut)
{
	struct file log, f;

	ck_assert_int_eq(put_file("a", "a long line"), 0);
	ck_assert(settle(30 * NS_PER_S));
	ck_assert_int_eq(f_open(&log, "a", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_open(&f, "a", O_RDWR | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	(void)sim_run_for(sim, 3 * NS_PER_S);
	ck_assert_int_eq(f_write(&log, "two", 3), 0);
	rig_cut(100);
	ck_assert_int_eq(rig_open(), 0);
	assert_text(text_of("a"), "one");
	ck_assert(settle(30 * NS_PER_S));
	assert_text(object_of("a"), "one");
}
END_TEST

/* What it holds up waits no longer than until somebody looks, whether it is
 * still open or its writer died with the daemon. */
START_TEST(a_large_file_that_moves_after_its_seal_holds_nobody_up)
{
	static const struct store_fault down = { .err = -ENETUNREACH };
	char text[20001];
	struct file f;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	rig_opts.transfer.part_size = 8192;
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(store_fault_set(bucket, &down, 1), 0);
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, text, 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	(void)sim_run_for(sim, 30 * NS_PER_S); /* it is final */
	ck_assert_int_eq(f_write(&f, "y", 0), 0);
	if (_i == 1) {
		rig_die();
		ck_assert_int_eq(rig_open(), 0);
	}
	ck_assert_int_eq(put_file("b", "after"), 0);
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	ck_assert(settle(600 * NS_PER_S));
	assert_text(object_of("b"), "after");
	ck_assert_ptr_null(object_of("a"));
	ck_assert_str_eq(state_of("a"), "open");
	if (_i == 0)
		ck_assert_int_eq(f_close(&f), 0);
	if (_i == 0)
		ck_assert(settle(60 * NS_PER_S));
	text[0] = 'y';
	ck_assert(strncmp(text_of("a"), text, 4000) == 0);
}
END_TEST

/* A master file that names others is opened before they are written. */
START_TEST(what_was_open_first_and_is_closed_last_shows_last)
{
	static const struct store_fault broken = { .method = "put",
						   .key = "shard",
						   .err = -EAGAIN,
						   .act = STORE_FAULT_BEFORE };
	struct file f;

	ck_assert_int_eq(f_create(&f, "index", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "shard", 0), 0);
	ck_assert_int_eq(store_fault_set(bucket, &broken, 1), 0);
	ck_assert_int_eq(put_file("shard", "x"), 0);
	ck_assert_int_eq(f_close(&f), 0);
	sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_str_eq(names_in_bucket(), " ");
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	ck_assert(settle(600 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " index shard ");
	ck_assert_uint_lt(call_of("put shard"), call_of("put index"));
}
END_TEST

/* Bytes that are due for the disk are much; who opens a file to append to it, or
 * a small one to change it, does not wait for them. */
START_TEST(a_logger_does_not_wait_for_a_checkpoints_bytes)
{
	static const int flags[] = { O_WRONLY | O_APPEND, O_RDWR, O_RDWR };
	struct file reader, f;
	unsigned long before;

	ck_assert_int_eq(put_file("metrics.csv", "step\n"), 0);
	ck_assert(settle(60 * NS_PER_S));
	sim_run_for(sim, 3 * NS_PER_S);
	if (_i == 2) /* then it changes in place, behind a barrier */
		ck_assert_int_eq(f_open(&reader, "metrics.csv", O_RDONLY), 0);
	ck_assert_int_eq(put_file("large.ckpt", "much"), 0);
	before = simdisk_calls(disk, SIM_FDATASYNC) +
		 simdisk_calls(disk, SIM_SYNCFS);
	ck_assert_int_eq(f_open(&f, "metrics.csv", flags[_i]), 0);
	ck_assert_int_eq(simdisk_calls(disk, SIM_FDATASYNC) +
					 simdisk_calls(disk, SIM_SYNCFS) >
				 before,
			 _i == 2);
	ck_assert_int_eq(f_write(&f, "1\n", 5), 0);
	ck_assert_int_eq(f_close(&f), 0);
	if (_i == 2)
		f_release(&reader);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("metrics.csv"), "step\n1\n");
}
END_TEST

/* What was closed is published as it was, whoever truncates it while another
 * reads it. */
START_TEST(a_truncation_beside_a_reader_leaves_what_was_closed)
{
	static const struct store_fault broken = { .err = -EAGAIN,
						   .act = STORE_FAULT_BEFORE };
	struct file reader, f;
	char text[16];

	ck_assert_int_eq(store_fault_set(bucket, &broken, 1), 0);
	ck_assert_int_eq(put_file("a", "one"), 0);
	ck_assert_int_eq(f_open(&reader, "a", O_RDONLY), 0);
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_read(&reader, text, sizeof(text)), 0);
	ck_assert_int_eq(f_write(&f, "second", 0), 0);
	ck_assert_int_eq(f_read(&reader, text, sizeof(text)), 6);
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	sim_run_for(sim, 60 * NS_PER_S);
	assert_text(object_of("a"), "one");
	ck_assert_int_eq(f_close(&f), 0);
	f_release(&reader);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "second");
}
END_TEST

START_TEST(who_reads_a_file_does_not_hold_it_back)
{
	char text[8];
	struct file f, reader;

	rig_passthrough = _i < 2;
	ck_assert_int_eq(f_create(&f, "a", O_RDWR), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_open(&reader, "a", O_RDONLY), 0);
	if (_i % 2 == 0) { /* closed, and RELEASE comes later */
		ck_assert_int_eq(f_close(&f), 0);
	} else { /* the bytes move in between */
		ck_assert_int_eq(f_flush(&f), 0);
		ck_assert_int_eq(f_write(&f, "one", 0), 0);
		f_release(&f);
	}
	ck_assert_int_eq(put_file("latest", "x"), 0);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("a"), "one");
	assert_text(object_of("latest"), "x");
	ck_assert_str_eq(state_of("a"), "published");
	/* The next writer changes what he sees, and nothing that is sealed. */
	ck_assert_int_eq(f_open(&f, "a", O_RDWR), 0);
	ck_assert_int_eq(f_write(&f, "two", 0), 0);
	ck_assert_int_eq(f_read(&reader, text, sizeof(text)), 3);
	ck_assert_mem_eq(text, "two", 3);
	sim_run_for(sim, 30 * NS_PER_S);
	assert_text(object_of("a"), "one");
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("a"), "two");
	ck_assert_int_eq(f_close(&reader), 0);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("a"), "two");
}
END_TEST

START_TEST(nor_if_its_writer_went_without_a_word)
{
	struct file f, reader;

	ck_assert_int_eq(f_create(&f, "a", O_RDWR), 0);
	ck_assert_int_eq(f_open(&reader, "a", O_RDONLY), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	sim_run_for(sim, 60 * NS_PER_S);
	f_release(&f); /* its FLUSH was a stranger's */
	ck_assert(settle(5 * NS_PER_S));
	sim_run_for(sim, 5 * NS_PER_S);
	assert_text(object_of("a"), "one");
	ck_assert_int_eq(f_close(&reader), 0);
}
END_TEST

START_TEST(beside_readers_a_writer_parts_from_what_is_queued)
{
	struct file f, reader;

	ck_assert_int_eq(f_create(&f, "a", O_RDWR), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_open(&reader, "a", O_RDONLY), 0);
	ck_assert_int_eq(f_close(&f), 0);
	sim_run_for(sim, 100 * NS_PER_MS);
	ck_assert_ptr_null(object_of("a"));
	ck_assert_int_eq(f_open(&f, "a", O_RDWR), 0);
	ck_assert_int_eq(f_write(&f, "two", 0), 0);
	ck_assert(settle(30 * NS_PER_S));
	assert_text(object_of("a"), "one");
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("a"), "two");
	ck_assert_int_eq(f_close(&reader), 0);
}
END_TEST

START_TEST(a_mapping_holds_a_file_back_whoever_reads_it)
{
	struct file f, reader;
	int fd;

	ck_assert_int_eq(f_create(&f, "a", O_RDWR), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_open(&reader, "a", O_RDONLY), 0);
	fd = intrude(f.ino);
	ck_assert_int_eq(f_close(&f), 0);
	sim_run_for(sim, 30 * NS_PER_S);
	ck_assert_ptr_null(object_of("a"));
	simdisk_external_close(disk, fd);
	ck_assert(settle(5 * NS_PER_S));
	assert_text(object_of("a"), "one");
	ck_assert_int_eq(f_close(&reader), 0);
}
END_TEST

/* It is given back as it was closed, or not at all. */
START_TEST(what_moved_after_its_seal_is_not_kept_in_a_copy)
{
	static const struct store_fault down = { .err = -ENETUNREACH };
	struct file f, other;

	ck_assert_int_eq(store_fault_set(bucket, &down, 1), 0);
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	(void)sim_run_for(sim, 30 * NS_PER_S); /* it is final */
	ck_assert_int_eq(f_write(&f, "two", 0), 0);
	if (_i == 1) /* then a row speaks of what came later */
		ck_assert_int_eq(fs_fsync(fs, f.o.file, false), 0);
	ck_assert_int_eq(f_open(&other, "a", O_RDWR | O_TRUNC), 0);
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_ptr_null(object_of("a"));
	ck_assert_int_eq(f_write(&other, "three", 0), 0);
	ck_assert_int_eq(f_close(&other), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "three");
}
END_TEST

/* By its length alone an appended version is judged: whoever comes with another
 * mind leaves it its bytes, sent or not. */
START_TEST(who_overwrites_a_log_leaves_what_was_sealed_of_it)
{
	static const struct store_fault down = { .err = -ENETUNREACH };
	struct file f, other;

	ck_assert_int_eq(store_fault_set(bucket, &down, 1), 0);
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	if (_i == 1) {
		ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
		ck_assert(settle(60 * NS_PER_S));
	}
	(void)sim_run_for(sim, 3 * NS_PER_S);
	ck_assert_int_eq(f_open(&other, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&other, "X", 0), 0);
	if (_i == 1)
		ck_assert_str_ne(state_of("a"), "published");
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "one");
	ck_assert_int_eq(f_close(&other), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "Xne");
}
END_TEST

/* The connection ends with files open: read, written and closed, written on
 * since, opened and left alone. */
START_TEST(the_kernel_goes_without_a_release)
{
	struct file read, closed, on, alone;

	ck_assert_int_eq(put_file("read", "r"), 0);
	ck_assert_int_eq(put_file("alone", "a"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(f_open(&read, "read", O_RDONLY), 0);
	ck_assert_int_eq(f_create(&closed, "closed", O_RDWR), 0);
	ck_assert_int_eq(f_write(&closed, "whole", 0), 0);
	ck_assert_int_eq(f_flush(&closed), 0);
	ck_assert_int_eq(f_create(&on, "on", O_RDWR), 0);
	ck_assert_int_eq(f_write(&on, "half", 0), 0);
	if (_i & 1)
		ck_assert_int_eq(f_flush(&on), 0);
	ck_assert_int_eq(f_write(&on, "half of it", 0), 0);
	ck_assert_int_eq(f_open(&alone, "alone", O_WRONLY), 0);
	if (_i & 2)
		sim_run_for(sim, NS_PER_S);
	simdisk_external_close(disk, closed.ext);
	simdisk_external_close(disk, on.ext);
	simdisk_external_close(disk, alone.ext);
	fs_kernel_gone(fs);
	ck_assert_int_eq(fs_sync(fs, "", &(uint64_t){ 0 },
				 sim_now(sim) + 60 * NS_PER_S),
			 -EIO);
	ck_assert_str_eq(names_in_bucket(), " alone closed read ");
	assert_text(object_of("closed"), "whole");
	ck_assert_str_eq(state_of("on"), "unfinished");
	ck_assert_str_eq(state_of("alone"), "published");
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_str_eq(state_of("on"), "unfinished");
	assert_text(text_of("on"), "half of it");
}
END_TEST

/* Sealed, queued or published, and appended to; another opens it to write, and
 * does not. */
START_TEST(what_was_appended_since_the_seal_stays_beside_another_writer)
{
	static const struct store_fault broken = { .err = -EAGAIN,
						   .act = STORE_FAULT_BEFORE };
	struct file f, other;

	if (_i < 2)
		ck_assert_int_eq(store_fault_set(bucket, &broken, 1), 0);
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	if (_i == 2)
		ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(f_write(&f, "two", 3), 0);
	ck_assert_int_eq(f_open(&other, "a", _i ? O_RDWR : O_WRONLY), 0);
	ck_assert_int_eq(f_close(&other), 0);
	ck_assert_int_eq(f_close(&f), 0);
	assert_text(text_of("a"), "onetwo");
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(text_of("a"), "onetwo");
	assert_text(object_of("a"), "onetwo");
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, bytes_that_move_between_flush_and_release_count);
	tcase_add_test(c, a_file_held_open_and_still_is_published);
	tcase_add_loop_test(c, who_reads_a_file_does_not_hold_it_back, 0, 4);
	tcase_add_test(c, nor_if_its_writer_went_without_a_word);
	tcase_add_test(c, beside_readers_a_writer_parts_from_what_is_queued);
	tcase_add_test(c, a_mapping_holds_a_file_back_whoever_reads_it);
	tcase_add_loop_test(c, a_seal_that_moves_on_lets_others_pass, 0, 2);
	tcase_add_test(c, a_file_kept_open_is_not_published);
	tcase_add_loop_test(
		c, what_was_appended_since_the_seal_stays_beside_another_writer,
		0, 3);
	tcase_add_loop_test(c, the_kernel_goes_without_a_release, 0, 4);
	tcase_add_test(c, what_was_open_first_and_is_closed_last_shows_last);
	tcase_add_loop_test(c, a_logger_does_not_wait_for_a_checkpoints_bytes,
			    0, 3);
	tcase_add_test(c, a_truncation_beside_a_reader_leaves_what_was_closed);
	tcase_add_test(c, a_log_kept_open_is_published_now_and_then);
	tcase_add_test(c, a_log_is_at_rest_soon_after_its_close);
	tcase_add_test(
		c, an_appended_file_is_sent_now_and_then_unless_others_wait);
	tcase_add_test(c, what_was_appended_is_sent_though_the_log_stays_open);
	tcase_add_test(c,
		       a_log_that_was_cut_short_keeps_its_seal_over_a_power_cut);
	tcase_add_loop_test(
		c, a_large_file_that_moves_after_its_seal_holds_nobody_up, 0,
		2);
	tcase_add_loop_test(
		c, what_moved_after_its_seal_is_not_kept_in_a_copy, 0, 2);
	tcase_add_test(c, what_moved_after_its_seal_is_not_kept_in_a_copy);
	tcase_add_loop_test(
		c, who_overwrites_a_log_leaves_what_was_sealed_of_it, 0, 2);
}

int main(void)
{
	return harness_run("sim_open", add);
}
