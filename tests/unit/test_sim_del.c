/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many files are deleted: by one request where they stand in a row, over a
 * simulated machine.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs_rig.h"
#include "harness.h"

#define MANY 40

static void setup(void)
{
	rig_begin(1);
}

static void teardown(void)
{
	rig_end();
}

static const char *name_of(unsigned i)
{
	static char name[16];

	(void)snprintf(name, sizeof(name), "f%03u", i);
	return name;
}

static void make(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(put_file(name_of(i), "x"), 0);
	ck_assert(settle(60 * NS_PER_S));
}

static void unlink_some(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, name_of(i)), 0);
}

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

static void fault(const char *method, unsigned skip, unsigned count, int err,
		  enum store_fault_act act)
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

static void assert_drained(const char *names)
{
	ck_assert(settle(600 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), names);
	ck_assert_str_eq(names_in_mount(), names);
}

START_TEST(many_in_a_row_are_one_request)
{
	make(MANY);
	unlink_some(0, MANY);
	assert_drained(" ");
	ck_assert_uint_eq(calls("del_many "), 1);
	ck_assert_uint_eq(calls("del "), 0);
}
END_TEST

START_TEST(few_go_in_their_order)
{
	make(MANY);
	unlink_some(0, 15);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_uint_eq(calls("del_many "), 0);
	ck_assert_uint_eq(calls("del "), 15);
	for (unsigned i = 1; i < 15; i++) {
		char a[32], b[32];

		(void)snprintf(a, sizeof(a), "del %s", name_of(i - 1));
		(void)snprintf(b, sizeof(b), "del %s", name_of(i));
		ck_assert_uint_lt(call_of(a), call_of(b));
	}
}
END_TEST

START_TEST(what_comes_between_stays_between)
{
	make(MANY);
	unlink_some(0, 20);
	ck_assert_int_eq(put_file("new", "x"), 0);
	unlink_some(20, MANY);
	assert_drained(" new ");
	ck_assert_uint_eq(calls("del_many "), 2);
	ck_assert_uint_ne(call_of("put new"), 0);
	ck_assert_uint_lt(call_of("del_many f000"), call_of("put new"));
	ck_assert_uint_gt(call_of("del_many f020"), call_of("put new"));
}
END_TEST

static ssize_t theirs_read(void *arg, uint64_t off, void *p, size_t n)
{
	memcpy(p, (const char *)arg + off, n);
	return (ssize_t)n;
}

START_TEST(what_another_writer_put_there_stays)
{
	static char text[] = "theirs";
	struct store_src src = { .read = theirs_read, .arg = text, .len = 6 };
	struct store_meta m = { .write_id = "" };
	struct store_obj o;

	make(MANY);
	ck_assert_int_eq(store_put(bucket, "run/f007", &src, &m, NULL, &o), 0);
	unlink_some(0, MANY);
	ck_assert(settle(600 * NS_PER_S));
	ck_assert_uint_eq(calls("del_many "), 1);
	ck_assert_str_eq(names_in_bucket(), " f007 ");
	assert_text(object_of("f007"), "theirs");
}
END_TEST

/* No condition is given up for it. */
START_TEST(without_conditions_of_many_each_has_its_own)
{
	bucket->caps &= ~(unsigned)STORE_CAP_DEL_MANY_COND;
	if (_i == 1)
		bucket->caps &= ~(unsigned)STORE_CAP_DEL_COND;
	make(MANY);
	if (_i == 2) {
		rig_unmount();
		rig_opts.transfer.overwrite = true;
		ck_assert_int_eq(rig_open(), 0);
	}
	unlink_some(0, MANY);
	assert_drained(" ");
	ck_assert_uint_eq(calls("del_many "), _i ? 1 : 0);
	ck_assert_uint_eq(calls("del "), _i ? 0 : MANY);
}
END_TEST

START_TEST(a_request_that_fails_is_made_again)
{
	static const struct {
		int err;
		enum store_fault_act act;
	} ways[] = {
		{ -ETIMEDOUT, STORE_FAULT_AFTER },
		{ -ETIMEDOUT, STORE_FAULT_BEFORE },
		{ -EACCES, STORE_FAULT_BEFORE },
		{ -EOPNOTSUPP, STORE_FAULT_BEFORE },
	};

	make(MANY);
	fault("del_many", 0, 1, ways[_i].err, ways[_i].act);
	unlink_some(0, MANY);
	assert_drained(" ");
	ck_assert_uint_eq(calls("del_many "), 2); /* but for the first */
	ck_assert_uint_ge(calls("del "), 1);
	/* what was gone already is looked at by itself */
	ck_assert_uint_le(calls("del "),
			  ways[_i].act == STORE_FAULT_AFTER ? MANY : 1);
}
END_TEST

static bool die_at(unsigned n, enum store_fault_act act, bool cut)
{
	unsigned before;
	bool hit;

	make(MANY);
	unlink_some(0, 20);
	ck_assert_int_eq(put_file("new", "x"), 0);
	unlink_some(20, MANY);
	before = calls("del") + calls("put");
	fault(NULL, n, 0, -ETIMEDOUT, act);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	hit = calls("del") + calls("put") > before;
	if (cut)
		rig_cut(0);
	else
		rig_die();
	heal();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert(settle(600 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), names_in_mount());
	if (!cut)
		ck_assert_str_eq(names_in_bucket(), " new ");
	return hit && n < 8;
}

START_TEST(a_run_that_was_cut_short_is_taken_up)
{
	enum store_fault_act acts[] = { STORE_FAULT_BEFORE, STORE_FAULT_AFTER };

	for (size_t i = 0; i < 2; i++)
		for (unsigned n = 0; die_at(n, acts[i], _i); n++) {
			teardown();
			setup();
		}
}
END_TEST

static ssize_t read_one(void *arg, uint64_t off, void *p, size_t n)
{
	(void)arg, (void)off;
	memset(p, '1', n);
	return (ssize_t)n;
}

/* In the place of "a", which was published, of a write-id that differs from its
 * in one letter. */
static void replace_a(size_t letter)
{
	struct store_src src = { .read = read_one, .len = 1 };
	struct store_obj o;
	struct store_meta m;
	char key[64];

	ck_assert_int_eq(put_file("a", "x"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(object_head("a", &o), 0);
	ck_assert(o.has_meta);
	m = o.meta;
	ck_assert_uint_gt(strlen(m.write_id), letter);
	m.write_id[letter] = m.write_id[letter] == '7' ? '8' : '7';
	(void)snprintf(key, sizeof(key), "%sa", rig_opts.prefix);
	ck_assert_int_eq(store_put(bucket, key, &src, &m, NULL, &o), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	ck_assert(settle(600 * NS_PER_S));
}

/* Its record was lost, and its seal taken back. */
START_TEST(a_put_of_ours_that_no_row_knows_goes_too)
{
	replace_a(16 + 1 + 8 + 1 + 15);
	ck_assert_str_eq(names_in_bucket(), " ");
}
END_TEST

START_TEST(what_another_cache_put_stays)
{
	replace_a(0);
	ck_assert_str_eq(names_in_bucket(), " a ");
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, many_in_a_row_are_one_request);
	tcase_add_test(c, a_put_of_ours_that_no_row_knows_goes_too);
	tcase_add_test(c, what_another_cache_put_stays);
	tcase_add_test(c, few_go_in_their_order);
	tcase_add_test(c, what_comes_between_stays_between);
	tcase_add_test(c, what_another_writer_put_there_stays);
	tcase_add_loop_test(c, without_conditions_of_many_each_has_its_own, 0,
			    3);
	tcase_add_loop_test(c, a_request_that_fails_is_made_again, 0, 4);
	tcase_add_loop_test(c, a_run_that_was_cut_short_is_taken_up, 0, 2);
}

int main(void)
{
	return harness_run("sim_del", add);
}
