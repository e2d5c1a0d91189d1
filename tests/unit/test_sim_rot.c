/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache disk gives back other bytes than it was given, and nothing tells of
 * it: what waited for the bucket is not published then, over a simulated
 * machine.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs_rig.h"
#include "harness.h"

/* Four parts of it. */
#define TEXT "0123456789abcdefghijklmnopqrstuv"
#define WORDS "the cache disk damaged its bytes"

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

static void broken(const char *method, const char *key, unsigned skip)
{
	struct store_fault f = { .method = method,
				 .key = key,
				 .skip = skip,
				 .err = -EAGAIN,
				 .act = STORE_FAULT_BEFORE };

	ck_assert_int_eq(store_fault_set(bucket, &f, 1), 0);
}

static void heal(void)
{
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
}

static void again(void)
{
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
}

static int find_why(void *arg, const struct fs_pending *p)
{
	char *why = arg;

	(void)strncpy(why, p->why, 159);
	return 1;
}

static void assert_damaged(const char *name)
{
	char why[160] = "";

	ck_assert_str_eq(state_of(name), "parked");
	ck_assert_int_eq(fs_each_pending(fs, name, find_why, why), 1);
	ck_assert_msg(strstr(why, WORDS), "%s: %s", name, why);
	ck_assert_ptr_null(object_of(name));
	ck_assert_int_eq(fs_sync(fs, name, &(uint64_t){ 0 }, CLK_NEVER), -EIO);
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

/* A good one supersedes it, and of the damaged one nothing is left. */
static void write_anew(const char *name)
{
	ck_assert_int_eq(put_file(name, "again, and whole"), 0);
	ck_assert(settle(60 * NS_PER_S));
	(void)sim_run_for(sim, 60 * NS_PER_S);
	assert_text(object_of(name), "again, and whole");
	ck_assert_uint_eq(uploads(), 0);
}

/* In one request or in parts; of the same life or the next. */
START_TEST(f14_what_rots_while_it_waits_is_not_published)
{
	const char *text = _i % 2 ? TEXT : "short";

	broken(NULL, "a", 0);
	ck_assert_int_eq(put_file("a", text), 0);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	rot_blob("a", strlen(text) - 1);
	if (_i >= 2)
		again();
	heal();
	(void)sim_run_for(sim, 600 * NS_PER_S);
	assert_damaged("a");
	/* Nor if it is tried again. */
	again();
	(void)sim_run_for(sim, 600 * NS_PER_S);
	assert_damaged("a");
	write_anew("a");
}
END_TEST

/* What nobody tried to send: another stands before it in the line. */
START_TEST(f14_what_rots_behind_another_is_not_published)
{
	broken("put", "first", 0);
	ck_assert_int_eq(put_file("first", "x"), 0);
	ck_assert_int_eq(put_file("a", "short"), 0);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_uint_eq(call_of("put a"), 0);
	rot_blob("a", 2);
	heal();
	(void)sim_run_for(sim, 600 * NS_PER_S);
	assert_text(object_of("first"), "x");
	assert_damaged("a");
	write_anew("a");
}
END_TEST

static bool two_parts(void *arg)
{
	char *log = store_fault_log(bucket), *p = log;
	unsigned n = 0;

	(void)arg;
	ck_assert_ptr_nonnull(log);
	while ((p = strstr(p, "mpu_part ")) != NULL) {
		n++;
		p++;
	}
	free(log);
	return n >= 2;
}

/* It dies with two parts in the bucket: they were read for that, and none of it
 * a second time. */
START_TEST(f14_a_part_that_rots_is_not_sent_again)
{
	unsigned off;

	ck_assert_int_eq(put_file("a", TEXT), 0);
	ck_assert(sim_run_until(sim, two_parts, NULL, 60 * NS_PER_S));
	ck_assert_uint_eq(uploads(), 1);
	for (off = 0; off < strlen(TEXT); off += 8)
		rot_blob("a", off);
	again();
	(void)sim_run_for(sim, 600 * NS_PER_S);
	assert_damaged("a");
	write_anew("a");
}
END_TEST

/* All parts are in the bucket, as they were when they were sent, which was after
 * the damage. */
START_TEST(f14_parts_of_rotten_bytes_are_not_put_together)
{
	broken("mpu_begin", "a", 0);
	ck_assert_int_eq(put_file("a", TEXT), 0);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	rot_blob("a", 9);
	heal();
	(void)sim_run_for(sim, 600 * NS_PER_S);
	ck_assert_uint_eq(call_of("mpu_commit a"), 0);
	assert_damaged("a");
	write_anew("a");
}
END_TEST

/* Whoever goes on writing after the close has not damaged it. */
START_TEST(what_is_written_on_while_it_waits_is_sealed_anew)
{
	struct file f;

	broken(NULL, "a", 0);
	ck_assert_int_eq(put_file("a", _i ? TEXT : "short"), 0);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "LON", 1), 0);
	ck_assert_int_eq(f_close(&f), 0);
	(void)sim_run_for(sim, _i ? 60 * NS_PER_S : NS_PER_S);
	heal();
	ck_assert(settle(600 * NS_PER_S));
	assert_text(object_of("a"),
		    _i ? "0LON456789abcdefghijklmnopqrstuv" : "sLONt");
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, f14_what_rots_while_it_waits_is_not_published, 0,
			    4);
	tcase_add_test(c, f14_what_rots_behind_another_is_not_published);
	tcase_add_test(c, f14_a_part_that_rots_is_not_sent_again);
	tcase_add_test(c, f14_parts_of_rotten_bytes_are_not_put_together);
	tcase_add_loop_test(c, what_is_written_on_while_it_waits_is_sealed_anew,
			    0, 2);
}

int main(void)
{
	return harness_run("sim_rot", add);
}
