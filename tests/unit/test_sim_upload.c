/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uploads in parts that are given up: by a rename, a crash, a delete, another
 * writer, a lost answer.  None is left behind, over a simulated machine.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs_rig.h"
#include "harness.h"

/* Eight parts of it. */
#define TEXT "0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ+"

static void setup(void)
{
	rig_begin(1);
	rig_unmount();
	rig_opts.transfer.part_size = 8;
	ck_assert_int_eq(rig_open(), 0);
}

static void teardown(void)
{
	rig_end();
}

static void broken(const char *method, const char *key,
		   enum store_fault_act act, unsigned count)
{
	struct store_fault f = { .method = method,
				 .key = key,
				 .count = count,
				 .err = -ETIMEDOUT,
				 .act = act };

	ck_assert_int_eq(store_fault_set(bucket, &f, 1), 0);
}

static void heal(void)
{
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
}

static int count_one(void *arg, const char *key, const char *id, int64_t begun)
{
	unsigned *n = arg;

	(void)key;
	(void)id;
	(void)begun;
	++*n;
	return 0;
}

static unsigned uploads(void)
{
	unsigned n = 0;

	ck_assert_int_eq(store_mpu_list(bucket, "run/", count_one, &n), 0);
	return n;
}

/* Such calls the store saw. */
static unsigned calls(const char *line)
{
	char *log = store_fault_log(bucket), *p = log;
	unsigned n = 0;

	ck_assert_ptr_nonnull(log);
	while ((p = strstr(p, line)) != NULL) {
		n += p[strlen(line)] == '\n' && (p == log || p[-1] == '\n');
		p++;
	}
	free(log);
	return n;
}

/* All parts of a are there, and its commit waits for what was closed before. */
static void send_body(void)
{
	broken("put", "first", STORE_FAULT_BEFORE, 0);
	ck_assert_int_eq(put_file("first", "x"), 0);
	ck_assert_int_eq(put_file("a", TEXT), 0);
	(void)sim_run_for(sim, 10 * NS_PER_S);
	ck_assert_uint_eq(call_of("mpu_commit a"), 0);
	ck_assert_uint_eq(uploads(), 1);
}

static void again(void)
{
	rig_die();
	heal();
	ck_assert_int_eq(rig_open(), 0);
}

/* All is published, and what is given up goes soon. */
static void assert_drained(const char *names)
{
	ck_assert(settle(600 * NS_PER_S));
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_str_eq(names_in_bucket(), names);
	ck_assert_uint_eq(uploads(), 0);
}

static void rename_to(const char *from, const char *to)
{
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, from, FS_ROOT_INO, to, 0),
			 0);
}

START_TEST(a_renamed_body_is_begun_once_the_old_one_is_gone)
{
	/* The oldest under way would stay, and be renamed in the bucket. */
	send_body();
	ck_assert_int_eq(put_file("c", TEXT), 0);
	(void)sim_run_for(sim, 10 * NS_PER_S);
	rename_to("c", "b");
	(void)sim_run_for(sim, 10 * NS_PER_S);
	ck_assert_uint_ne(call_of("mpu_begin c"), 0);
	ck_assert_uint_ne(call_of("mpu_begin b"), 0);
	ck_assert_uint_eq(uploads(), 2);
	again();
	assert_drained(" a b first ");
	assert_text(object_of("b"), TEXT);
	ck_assert_uint_eq(calls("mpu_begin run/b"), 1); /* and taken up */
}
END_TEST

START_TEST(a_body_of_an_earlier_life_goes_with_its_file)
{
	send_body();
	again();
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	assert_drained(" first ");
}
END_TEST

START_TEST(a_body_of_an_earlier_life_goes_with_its_name)
{
	send_body();
	again();
	rename_to("a", "b");
	assert_drained(" b first ");
}
END_TEST

/* With larger parts there are none: the file goes as a whole. */
START_TEST(a_body_of_an_earlier_life_goes_when_it_is_not_needed)
{
	send_body();
	rig_opts.transfer.part_size = 1 << 20;
	again();
	assert_drained(" a first ");
	ck_assert_uint_eq(call_of("mpu_commit a"), 0);
}
END_TEST

/* The body of c is sent, beside that of the oldest under way, which stays; no
 * upload can be aborted. */
static void send_two(int err)
{
	struct store_fault down[] = {
		{ .method = "put", .key = "first", .err = -ETIMEDOUT },
		{ .method = "mpu_abort", .err = err },
	};

	send_body();
	ck_assert_int_eq(put_file("c", TEXT), 0);
	(void)sim_run_for(sim, 10 * NS_PER_S);
	ck_assert_uint_eq(uploads(), 2);
	ck_assert_int_eq(store_fault_set(bucket, down, 2), 0);
}

START_TEST(an_abort_is_tried_again_until_it_is_heard)
{
	unsigned n;

	send_two(-ETIMEDOUT);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "c"), 0);
	(void)sim_run_for(sim, 600 * NS_PER_S);
	n = calls("mpu_abort run/c");
	ck_assert_uint_ge(n, 10);
	ck_assert_uint_le(n, 100); /* less and less often */
	ck_assert_uint_eq(uploads(), 2);
	heal();
	assert_drained(" a first ");
}
END_TEST

START_TEST(a_body_under_its_new_name_waits_for_the_abort)
{
	send_two(-ETIMEDOUT);
	rename_to("c", "b");
	(void)sim_run_for(sim, 600 * NS_PER_S);
	ck_assert_uint_eq(call_of("mpu_begin b"), 0);
	heal();
	assert_drained(" a b first ");
	assert_text(object_of("b"), TEXT);
}
END_TEST

START_TEST(a_body_under_its_new_name_waits_for_no_refused_abort)
{
	send_two(-EACCES);
	rename_to("c", "b");
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_uint_ne(calls("mpu_abort run/c"), 0);
	ck_assert_uint_eq(calls("mpu_begin run/b"), 1);
	heal();
	ck_assert(settle(600 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " a b first ");
	assert_text(object_of("b"), TEXT);
}
END_TEST

static void on_kept(void *arg, const struct fs_kept *k, int err,
		    const char *text)
{
	(void)arg;
	(void)k;
	(void)text;
	ck_assert_int_eq(err, 0);
}

static ssize_t theirs_read(void *arg, uint64_t off, void *p, size_t n)
{
	(void)off;
	memcpy(p, arg, n);
	return (ssize_t)n;
}

START_TEST(a_body_that_loses_to_another_writer_goes)
{
	static char text[] = "theirs";
	struct store_src src = { .read = theirs_read, .arg = text, .len = 6 };
	struct store_meta m = { .write_id = "" };
	struct store_obj o;

	send_body();
	ck_assert_int_eq(store_put(bucket, "run/a", &src, &m, NULL, &o), 0);
	heal();
	assert_drained(" a first ");
	assert_text(object_of("a"), "theirs");
}
END_TEST

START_TEST(a_lost_begin_takes_no_other_with_it)
{
	struct file f;

	send_body();
	broken("mpu_begin", "a", STORE_FAULT_AFTER, 1);
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "and " TEXT, 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	(void)sim_run_for(sim, 10 * NS_PER_S);
	ck_assert_uint_eq(calls("mpu_begin run/a"), 3);
	ck_assert_uint_eq(calls("mpu_abort run/a"), 1);
	assert_drained(" a first ");
	assert_text(object_of("a"), "and " TEXT);
}
END_TEST

/* Without an order what stands between may be under way when a file is deleted,
 * and no fold reaches over it; once it is gone one does. */
START_TEST(a_body_that_a_later_fold_drops_holds_up_nobody)
{
	static const struct store_fault down[] = {
		{ .method = "mpu_begin", .err = -ETIMEDOUT },
		{ .method = "put", .key = "b", .err = -ETIMEDOUT },
	};

	rig_unmount();
	rig_opts.transfer.order = TRANSFER_NONE;
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(store_fault_set(bucket, down, 2), 0);
	ck_assert_int_eq(put_file("a", TEXT), 0);
	ck_assert_int_eq(put_file("b", "x"), 0);
	(void)sim_run_for(sim, 10 * NS_PER_S);
	ck_assert_uint_ne(call_of("put b"), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	(void)sim_run_for(sim, 10 * NS_PER_S);
	ck_assert_int_eq(store_fault_set(bucket, down, 1), 0);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	heal();
	assert_drained(" b ");
}
END_TEST

/* Part 3 of the upload of a is another's by now, as of a request that was late. */
static int spoil(void *arg, const char *key, const char *id, int64_t begun)
{
	static char text[] = "spoiled!";
	struct store_src src = { .read = theirs_read, .arg = text, .len = 8 };
	struct store_part got;

	(void)arg;
	(void)begun;
	ck_assert_int_eq(store_mpu_part(bucket, key, id, 3, &src, &got), 0);
	return 0;
}

static void spoil_a_part(void)
{
	ck_assert_int_eq(store_mpu_list(bucket, "run/a", spoil, NULL), 0);
}

START_TEST(a_part_that_is_another_by_now_is_sent_again)
{
	send_body();
	spoil_a_part();
	heal();
	assert_drained(" a first ");
	assert_text(object_of("a"), TEXT);
	ck_assert_uint_eq(calls("mpu_begin run/a"), 1);
	ck_assert_uint_eq(calls("mpu_part run/a 3"), 3); /* ours twice */
	ck_assert_uint_eq(calls("mpu_part run/a 4"), 1);
}
END_TEST

/* Whoever has it tried again has its parts looked at again. */
START_TEST(a_retry_looks_at_the_parts_again)
{
	const struct fs_recover_what what = { .path = "a" };
	struct store_fault f = { .method = "mpu_commit",
				 .count = 2,
				 .err = -EINVAL };

	send_body();
	ck_assert_int_eq(store_fault_set(bucket, &f, 1), 0);
	ck_assert(!settle(60 * NS_PER_S));
	ck_assert_str_eq(state_of("a"), "parked");
	spoil_a_part();
	ck_assert_int_eq(fs_recover(fs, FS_RECOVER_RETRY, &what, on_kept, NULL),
			 0);
	assert_drained(" a first ");
	assert_text(object_of("a"), TEXT);
}
END_TEST

static void live(uint64_t part_size)
{
	rig_die();
	heal();
	rig_opts.transfer.part_size = part_size;
	ck_assert_int_eq(rig_open(), 0);
}

/* The n-th request that changes the bucket is not answered, and the process dies
 * of it; so in a second life that sends it in other parts, or in none. */
static bool die_twice(unsigned n, unsigned m, const uint64_t sizes[5],
		      enum store_fault_act act)
{
	struct store_fault f[] = {
		{ .method = "head", .err = -ETIMEDOUT, .act = act },
		{ .skip = n, .err = -ETIMEDOUT, .act = act },
	};
	bool hit;

	ck_assert_int_eq(put_file("a", TEXT), 0);
	ck_assert_int_eq(store_fault_set(bucket, f, 2), 0);
	hit = !settle(20 * NS_PER_S);
	live(sizes[1]);
	f[1].skip = m;
	ck_assert_int_eq(store_fault_set(bucket, f, 2), 0);
	hit &= !settle(20 * NS_PER_S);
	live(sizes[2]);
	assert_drained(" a ");
	assert_text(object_of("a"), TEXT);
	return hit;
}

START_TEST(no_upload_is_left_when_lives_send_it_in_other_parts)
{
	static const uint64_t sizes[] = { 8, 64, 16, 8, 64 };
	unsigned n, m;

	for (n = 0; n < 24; n++)
		for (m = 0; m < 24; m++) {
			teardown();
			setup();
			live(sizes[_i % 3]);
			if (!die_twice(n, m, &sizes[_i % 3],
				       _i / 3 ? STORE_FAULT_AFTER :
						STORE_FAULT_BEFORE))
				break;
		}
}
END_TEST

/* The put of a process that died arrives once the next one, with smaller parts,
 * has sent them; or has died, too, and a third one takes them up. */
START_TEST(an_upload_goes_when_a_put_arrives_late)
{
	static char text[] = TEXT;
	struct store_src src = { .read = theirs_read,
				 .arg = text,
				 .len = sizeof(text) - 1 };
	const struct store_fault f[] = {
		{ .method = "put", .key = "a", .act = STORE_FAULT_AFTER,
		  .err = -ETIMEDOUT },
		{ .method = "head", .err = -ETIMEDOUT },
		{ .method = "mpu_commit", .err = -ETIMEDOUT },
	};
	struct store_obj o;

	live(64);
	ck_assert_int_eq(store_fault_set(bucket, f, 2), 0);
	ck_assert_int_eq(put_file("a", TEXT), 0);
	ck_assert(!settle(10 * NS_PER_S));
	rig_die();
	rig_opts.transfer.part_size = 8;
	heal();
	ck_assert_int_eq(object_head("a", &o), 0);
	ck_assert_int_eq(store_del(bucket, "run/a", NULL), 0); /* not yet */
	ck_assert_int_eq(store_fault_set(bucket, &f[2], 1), 0);
	ck_assert_int_eq(rig_open(), 0);
	(void)sim_run_for(sim, 10 * NS_PER_S);
	ck_assert_uint_eq(uploads(), 1);
	ck_assert_int_eq(store_put(bucket, "run/a", &src, &o.meta, NULL, &o),
			 0);
	if (_i)
		live(_i == 1 ? 8 : _i == 2 ? 16 : 64);
	heal();
	assert_drained(" a ");
	assert_text(object_of("a"), TEXT);
}
END_TEST

/* ---- copies, which a store may make of an upload in parts */

static void begin_upload(const char *key)
{
	struct store_meta m = { .write_id = "" };
	char id[STORE_UPLOAD_ID_MAX];

	ck_assert_int_eq(store_mpu_begin(bucket, key, &m, false, id), 0);
}

/* A copy is under way, and has begun an upload. */
static void cut_copy(void)
{
	ck_assert_int_eq(put_file("a", TEXT), 0);
	ck_assert(settle(60 * NS_PER_S));
	begin_upload("run/b"); /* somebody else's, and long ago */
	sim_advance(sim, 300 * NS_PER_S);
	broken("copy", "a", STORE_FAULT_BEFORE, 0);
	rename_to("a", "b");
	(void)sim_run_for(sim, 10 * NS_PER_S);
	ck_assert_uint_ne(call_of("copy a run/b"), 0);
	begin_upload("run/b");
	ck_assert_uint_eq(uploads(), 2);
}

static void assert_copied(void)
{
	ck_assert(settle(600 * NS_PER_S));
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_str_eq(names_in_bucket(), " b ");
	assert_text(object_of("b"), TEXT);
	ck_assert_uint_eq(uploads(), 1);
}

START_TEST(the_upload_of_a_copy_is_found_again)
{
	cut_copy();
	heal();
	assert_copied();
}
END_TEST

START_TEST(the_upload_of_a_copy_is_found_by_the_next_life)
{
	cut_copy();
	again();
	assert_copied();
}
END_TEST

START_TEST(a_copy_whose_answer_was_lost_is_ours)
{
	ck_assert_int_eq(put_file("a", TEXT), 0);
	ck_assert(settle(60 * NS_PER_S));
	broken("copy", "a", STORE_FAULT_AFTER, 1);
	rename_to("a", "b");
	assert_drained(" b ");
	ck_assert_str_eq(state_of("b"), "published");
}
END_TEST

/* The seal was on the disk, the row of the begin not yet. */
START_TEST(a_begin_that_went_with_the_power_is_swept)
{
	(void)sim_run_for(sim, 2 * NS_PER_S);
	broken("mpu_part", "a", STORE_FAULT_BEFORE, 0);
	ck_assert_int_eq(put_file("a", TEXT), 0);
	(void)sim_run_for(sim, 1200 * NS_PER_MS);
	ck_assert_uint_eq(calls("mpu_begin run/a"), 1);
	rig_cut(0);
	heal();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert(ino_of("a"));
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), TEXT);
	ck_assert_uint_eq(calls("mpu_begin run/a"), 2);
	ck_assert_uint_eq(uploads(), 0);
}
END_TEST

/* Closed for good, and yet it is touched: it is sealed anew, and not tried for
 * ever. */
START_TEST(a_body_whose_blob_is_touched_is_sealed_anew)
{
	/* The part that is touched has been sent. */
	static const struct store_fault faults[] = {
		{ .method = "mpu_part",
		  .skip = 2,
		  .err = -EAGAIN,
		  .act = STORE_FAULT_BEFORE },
		{ .method = "mpu_abort",
		  .err = -EAGAIN,
		  .act = STORE_FAULT_BEFORE },
	};
	int ext;

	ck_assert_int_eq(store_fault_set(bucket, faults, 2), 0);
	ck_assert_int_eq(put_file("a", TEXT), 0);
	(void)sim_run_for(sim, (_i & 1 ? 60 : 3) * NS_PER_S);
	ext = intrude(ino_of("a"));
	ck_assert_int_eq(simdisk_external_write(disk, ext, "!", 1, 9), 0);
	simdisk_external_close(disk, ext);
	(void)sim_run_for(sim, 10 * NS_PER_S);
	if (_i & 2)
		again();
	heal();
	ck_assert(settle(600 * NS_PER_S));
	(void)sim_run_for(sim, 60 * NS_PER_S);
	assert_text(object_of("a"),
		    "012345678!abcdefghijklmnopqrstuvwxyz-"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ+");
	ck_assert_uint_eq(uploads(), 0);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(
		c, no_upload_is_left_when_lives_send_it_in_other_parts, 0, 6);
	tcase_add_loop_test(c, an_upload_goes_when_a_put_arrives_late, 0, 4);
	tcase_add_test(c, a_part_that_is_another_by_now_is_sent_again);
	tcase_add_test(c, a_retry_looks_at_the_parts_again);
	tcase_add_test(c, a_begin_that_went_with_the_power_is_swept);
	tcase_add_test(c, a_renamed_body_is_begun_once_the_old_one_is_gone);
	tcase_add_test(c, a_body_of_an_earlier_life_goes_with_its_file);
	tcase_add_test(c, a_body_of_an_earlier_life_goes_with_its_name);
	tcase_add_test(c, a_body_of_an_earlier_life_goes_when_it_is_not_needed);
	tcase_add_test(c, an_abort_is_tried_again_until_it_is_heard);
	tcase_add_test(c, a_body_under_its_new_name_waits_for_the_abort);
	tcase_add_test(c, a_body_under_its_new_name_waits_for_no_refused_abort);
	tcase_add_test(c, a_body_that_loses_to_another_writer_goes);
	tcase_add_test(c, a_lost_begin_takes_no_other_with_it);
	tcase_add_test(c, a_body_that_a_later_fold_drops_holds_up_nobody);
	tcase_add_test(c, the_upload_of_a_copy_is_found_again);
	tcase_add_test(c, the_upload_of_a_copy_is_found_by_the_next_life);
	tcase_add_test(c, a_copy_whose_answer_was_lost_is_ours);
	tcase_add_loop_test(c, a_body_whose_blob_is_touched_is_sealed_anew, 0,
			    4);
}

int main(void)
{
	return harness_run("sim_upload", add);
}
