/* SPDX-License-Identifier: Apache-2.0 */
/* What listings do not tell is asked ahead of who walks through a folder, once
 * for each file, and of nobody else. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "kept_rig.h"

static struct fs_bulk how;
static struct fs_bulk_sums sums;

/* A folder of theirs with so many files, f000 and so on. */
static void make(unsigned n)
{
	char key[16];
	unsigned i;

	for (i = 0; i < n; i++) {
		(void)snprintf(key, sizeof(key), "d/f%03u", i);
		foreign(key, "x");
	}
	sim_advance(sim, 20 * NS_PER_S);
	ck_assert_uint_ne(ino_of("d"), 0);
}

static void setup(void)
{
	rig_begin(1);
	how.deadline_mono_ns = CLK_NEVER;
}

static void teardown(void)
{
	rig_end();
}

/* How often the bucket was asked of these files, or of one. */
static unsigned heads(const char *name)
{
	char *log = store_fault_log(bucket), *at;
	unsigned n = 0;

	ck_assert_ptr_nonnull(log);
	for (at = log; (at = strstr(at, "head run/d/")) != NULL; at++)
		n += strncmp(at + strlen("head run/d/"), name,
			     strlen(name)) == 0;
	free(log);
	return n;
}

/* stat(2), and whoever has something to do then does it. */
static void look(unsigned i)
{
	char path[16];

	(void)snprintf(path, sizeof(path), "d/f%03u", i);
	ck_assert_uint_ne(ino_of(path), 0);
	(void)sim_run(sim);
}

START_TEST(who_walks_finds_what_was_asked_ahead)
{
	unsigned i;

	make(200);
	look(0);
	ck_assert_uint_eq(heads("f"), 1);
	look(1);
	ck_assert_uint_eq(heads("f"), 2 + 4);
	for (i = 2; i < 6; i++)
		look(i);
	ck_assert_uint_eq(heads("f"), 6);
	look(6);
	ck_assert_uint_eq(heads("f"), 7 + 16);
	for (i = 7; i < 200; i++)
		look(i);
	for (i = 0; i < 200; i++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "f%03u", i);
		ck_assert_uint_eq(heads(name), 1);
	}
}
END_TEST

START_TEST(who_looks_here_and_there_costs_what_he_looks_at)
{
	static const unsigned order[] = { 10, 30, 20, 21, 23, 5, 40, 39 };
	unsigned i;

	make(50);
	for (i = 0; i < ARRAY_SIZE(order); i++)
		look(order[i]);
	/* 20 and then 21 is a walk. */
	ck_assert_uint_eq(heads("f"), ARRAY_SIZE(order) + 4 - 1);
	ck_assert_uint_eq(heads("f000"), 0);
	ck_assert_uint_eq(heads("f026"), 0);
}
END_TEST

/* Of a long folder the rest is as the listing told it, as without a walk. */
START_TEST(a_walk_costs_no_more_than_so_many)
{
	unsigned i;

	make(400);
	for (i = 0; i < 400; i++)
		look(i);
	ck_assert_uint_le(heads("f"), 256);
	ck_assert_uint_ge(heads("f"), 200);
}
END_TEST

START_TEST(what_could_not_be_asked_ahead_is_asked_again)
{
	const struct store_fault f = { .method = "head",
				       .key = "f003",
				       .err = -EIO,
				       .count = 1,
				       .act = STORE_FAULT_BEFORE };
	unsigned i;

	make(10);
	ck_assert_int_eq(store_fault_set(bucket, &f, 1), 0);
	for (i = 0; i < 10; i++)
		look(i);
	ck_assert_uint_eq(heads("f003"), 2);
	ck_assert_uint_eq(heads("f"), 11);
}
END_TEST

START_TEST(a_prefetch_asks_once_of_each)
{
	char name[8];
	unsigned i;

	make(150);
	ck_assert_int_eq(fs_prefetch(fs, "d", &how, &sums), 0);
	ck_assert_uint_eq(sums.done_files, 150);
	for (i = 0; i < 150; i++) {
		(void)snprintf(name, sizeof(name), "f%03u", i);
		ck_assert_uint_eq(heads(name), 1);
	}
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, who_walks_finds_what_was_asked_ahead);
	tcase_add_test(c, who_looks_here_and_there_costs_what_he_looks_at);
	tcase_add_test(c, a_walk_costs_no_more_than_so_many);
	tcase_add_test(c, what_could_not_be_asked_ahead_is_asked_again);
	tcase_add_test(c, a_prefetch_asks_once_of_each);
}

int main(void)
{
	return harness_run("sim_ahead", add);
}
