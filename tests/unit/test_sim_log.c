/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log that grows: of what the bucket has of it already the server makes a copy,
 * and only its end is sent, over a simulated machine.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transfer/plan_size.h"

#include "fs_rig.h"
#include "harness.h"

#define MIB (UINT64_C(1) << 20)
/* Eight parts of it, and what comes behind. */
#define OLD "0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ+"
#define NEW "more"

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

static void append(const char *text, uint64_t at)
{
	struct file f;

	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, text, at), 0);
	ck_assert_int_eq(f_close(&f), 0);
}

static void send_log(void)
{
	ck_assert_int_eq(put_file("a", OLD), 0);
	ck_assert(settle(60 * NS_PER_S));
}

static unsigned all_calls(void)
{
	char *log = store_fault_log(bucket), *p;
	unsigned n = 0;

	ck_assert_ptr_nonnull(log);
	for (p = log; *p; p++)
		n += *p == '\n';
	free(log);
	return n;
}

/* Calls that begin so. */
static unsigned calls(const char *begin)
{
	char *log = store_fault_log(bucket), *p = log;
	unsigned n = 0;

	ck_assert_ptr_nonnull(log);
	while ((p = strstr(p, begin)) != NULL) {
		n += p == log || p[-1] == '\n';
		p++;
	}
	free(log);
	return n;
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

static void assert_published(const char *text)
{
	unsigned n = 0;

	ck_assert(settle(600 * NS_PER_S));
	(void)sim_run_for(sim, 60 * NS_PER_S);
	assert_text(object_of("a"), text);
	assert_text(text_of("a"), text);
	ck_assert_int_eq(store_mpu_list(bucket, "run/", count_one, &n), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_str_eq(names_in_bucket(), " a ");
}

static void break_call(const char *method, unsigned skip, unsigned count,
		       int err, enum store_fault_act act)
{
	struct store_fault f = { .method = method,
				 .skip = skip,
				 .count = count,
				 .err = err,
				 .act = act };

	ck_assert_int_eq(store_fault_set(bucket, &f, 1), 0);
}

static void heal(void)
{
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
}

START_TEST(only_the_end_of_a_log_is_sent)
{
	send_log();
	ck_assert_uint_eq(calls("mpu_part "), 8);
	append(NEW, 64);
	assert_published(OLD NEW);
	ck_assert_uint_eq(calls("mpu_part "), 9);
	ck_assert_uint_eq(calls("mpu_copy_part "), 8);
	ck_assert_uint_ne(call_of("mpu_part a 9"), 0);
	/* The part that was not full goes again, of those that are equal. */
	append(NEW, 68);
	assert_published(OLD NEW NEW);
	ck_assert_uint_eq(calls("mpu_part "), 10);
	ck_assert_uint_eq(calls("mpu_copy_part "), 16);
}
END_TEST

START_TEST(a_file_that_was_written_anew_is_sent_whole)
{
	struct file f;

	send_log();
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, OLD NEW, 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	assert_published(OLD NEW);
	ck_assert_uint_eq(calls("mpu_copy_part "), 0);
}
END_TEST

/* Past the daemon, which knows nothing of it. */
START_TEST(a_log_whose_beginning_is_another_is_sent_whole)
{
	send_log();
	rot_blob("a", _i ? 63 : 0);
	append(NEW, 64);
	ck_assert(settle(600 * NS_PER_S));
	ck_assert_str_ne(object_of("a"), OLD NEW);
	assert_published(text_of("a"));
	ck_assert_uint_eq(calls("mpu_copy_part "), 0);
	/* From then on it is copied again. */
	append(NEW, 68);
	assert_published(text_of("a"));
	ck_assert_uint_eq(calls("mpu_copy_part "), 8);
}
END_TEST

static ssize_t theirs_read(void *arg, uint64_t off, void *p, size_t n)
{
	memcpy(p, (const char *)arg + off, n);
	return (ssize_t)n;
}

START_TEST(nothing_is_copied_from_another_writer)
{
	static char text[] = "theirs, and as long as ours was when it was sent"
			     "; no, longer.";
	struct store_src src = { .read = theirs_read,
				 .arg = text,
				 .len = strlen(text) };
	struct store_meta m = { .write_id = "" };
	struct store_obj o;

	send_log();
	ck_assert_int_eq(store_put(bucket, "run/a", &src, &m, NULL, &o), 0);
	append(NEW, 64);
	ck_assert(settle(600 * NS_PER_S));
	assert_text(object_of("a"), text);
	assert_text(text_of("a"), OLD NEW);
	ck_assert_str_eq(state_of("a"), "conflict");
}
END_TEST

START_TEST(what_the_server_does_not_copy_is_sent)
{
	static const struct {
		const char *method;
		unsigned skip;
		int err;
	} ways[] = {
		{ "mpu_copy_part", 0, -EOPNOTSUPP },
		{ "mpu_copy_part", 3, -EINVAL },
		{ "mpu_copy_part", 7, -EACCES },
		{ "mpu_copy_part", 7, -ESTALE },
		{ "mpu_copy_part", 2, -EBADMSG },
		{ "mpu_commit", 0, -EINVAL },
	};

	send_log();
	break_call(ways[_i].method, ways[_i].skip, 1, ways[_i].err,
	     STORE_FAULT_BEFORE);
	append(NEW, 64);
	assert_published(OLD NEW);
	ck_assert_uint_eq(calls("mpu_begin "), 3);
	ck_assert_uint_eq(calls("mpu_abort "), 1);
	ck_assert_uint_ge(calls("mpu_part "), 8 + 9);
	heal();
}
END_TEST

/* The machine's process dies when so many calls were made. */
static bool die_at(unsigned n, enum store_fault_act act)
{
	unsigned before;
	bool hit;

	send_log();
	before = all_calls();
	break_call(NULL, n, 0, -ETIMEDOUT, act);
	append(NEW, 64);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	hit = all_calls() > before + n;
	rig_die();
	heal();
	ck_assert_int_eq(rig_open(), 0);
	assert_published(OLD NEW);
	return hit;
}

START_TEST(a_copy_that_was_cut_short_is_taken_up)
{
	enum store_fault_act act = _i ? STORE_FAULT_AFTER : STORE_FAULT_BEFORE;
	unsigned n = 0;

	while (die_at(n++, act)) {
		ck_assert_uint_eq(calls("mpu_part run/a 1\n"), 1);
		ck_assert_uint_eq(calls("mpu_part run/a 8\n"), 1);
		teardown();
		setup();
	}
	ck_assert_uint_gt(n, 10);
}
END_TEST

/* In between it was overwritten: what rows say is to be copied is another's. */
START_TEST(a_copy_of_an_earlier_life_looks_at_its_source_again)
{
	static char text[] = OLD;
	struct store_src src = { .read = theirs_read, .arg = text, .len = 64 };
	struct store_meta m = { .write_id = "" };
	struct store_obj o;

	send_log();
	break_call("mpu_copy_part", 4, 0, -ETIMEDOUT, STORE_FAULT_BEFORE);
	append(NEW, 64);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	rig_die();
	heal();
	text[0] = '!';
	ck_assert_int_eq(store_put(bucket, "run/a", &src, &m, NULL, &o), 0);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert(settle(600 * NS_PER_S));
	assert_text(object_of("a"), text);
	assert_text(text_of("a"), OLD NEW);
}
END_TEST

/* ---- how it is divided */

START_TEST(a_body_is_divided)
{
	static const struct {
		struct plan_lay lay;
		unsigned copies, parts;
		uint64_t at[3]; /* where the second part begins, the third, … */
	} rows[] = {
		{ { 20, 8, 0 }, 0, 3, { 8, 16, 0 } },
		{ { 16, 8, 0 }, 0, 2, { 8, 0, 0 } },
		/* equal parts */
		{ { 20, 8, 8 }, 1, 3, { 8, 16, 0 } },
		{ { 20, 8, 16 }, 2, 3, { 8, 16, 0 } },
		{ { 16, 8, 16 }, 2, 2, { 8, 0, 0 } },
		/* as much as there is */
		{ { 9 * MIB, 8 * MIB, 6 * MIB }, 1, 2, { 6 * MIB, 0, 0 } },
		{ { 90 * MIB, 8 * MIB, 81 * MIB },
		  1,
		  3,
		  { 81 * MIB, 89 * MIB, 0 } },
		{ { 300 * MIB, 8 * MIB, 299 * MIB },
		  4,
		  5,
		  { 64 * MIB, 128 * MIB, 192 * MIB } },
		{ { 299 * MIB, 128 * MIB, 299 * MIB },
		  2,
		  2,
		  { 128 * MIB, 0, 0 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct plan_lay *lay = &rows[i].lay;
		uint64_t off, len, end = 0;

		ck_assert_uint_eq(plan_copies(lay), rows[i].copies);
		ck_assert_uint_eq(plan_parts(lay), rows[i].parts);
		for (unsigned k = 0; k < rows[i].parts; k++) {
			plan_part(lay, k, &off, &len);
			ck_assert_uint_eq(off, end);
			ck_assert_uint_gt(len, 0);
			if (k > 0 && k < 4)
				ck_assert_uint_eq(off, rows[i].at[k - 1]);
			end = off + len;
			if (k + 1 == rows[i].copies)
				ck_assert_uint_eq(end, lay->copied);
		}
		ck_assert_uint_eq(end, lay->size);
	}
}
END_TEST

START_TEST(so_much_is_copied)
{
	const struct store_limits s3 = { .part_min = 5 * MIB,
					 .part_max = 5120 * MIB,
					 .parts_max = 10000 };
	static const struct {
		uint64_t there, part_size, fixed, copied;
	} rows[] = {
		{ 5 * MIB, 8 * MIB, 0, 0 },
		{ 5 * MIB + 1, 8 * MIB, 0, 5 * MIB + 1 },
		{ 100 * MIB + 7, 8 * MIB, 0, 100 * MIB + 7 },
		{ 100 * MIB + 7, 8 * MIB, 8 * MIB, 96 * MIB },
		{ 7 * MIB, 8 * MIB, 8 * MIB, 0 },
		{ 6000 * MIB, 2048 * MIB, 0, 4096 * MIB },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ck_assert_uint_eq(plan_copied(rows[i].there, rows[i].part_size,
					      rows[i].fixed, &s3),
				  rows[i].copied);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, only_the_end_of_a_log_is_sent);
	tcase_add_test(c, a_file_that_was_written_anew_is_sent_whole);
	tcase_add_loop_test(c, a_log_whose_beginning_is_another_is_sent_whole,
			    0, 2);
	tcase_add_test(c, nothing_is_copied_from_another_writer);
	tcase_add_loop_test(c, what_the_server_does_not_copy_is_sent, 0, 6);
	tcase_add_loop_test(c, a_copy_that_was_cut_short_is_taken_up, 0, 2);
	tcase_add_test(c, a_copy_of_an_earlier_life_looks_at_its_source_again);
	tcase_add_test(c, a_body_is_divided);
	tcase_add_test(c, so_much_is_copied);
}

int main(void)
{
	return harness_run("sim_log", add);
}
