/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint written into a folder of a temporary name, which the last rename
 * makes visible, over a simulated machine.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fs_rig.h"
#include "harness.h"

#define TEMPORARY "1.orbax-checkpoint-tmp-7"

static void setup(void)
{
	rig_begin(1);
}

static void teardown(void)
{
	rig_end();
}

static uint64_t make_dir(uint64_t parent, const char *name)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, parent, name, 0777, &e), 0);
	return e.attr.ino;
}

static void put_in(uint64_t dir, const char *name, const char *text)
{
	struct file f;

	ck_assert_int_eq(f_create_in(&f, dir, name, O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, text, 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	sim_advance(sim, NS_PER_MS);
}

static void rename_to(const char *from, const char *to)
{
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, from, FS_ROOT_INO, to, 0),
			 0);
}

/* z, then a, then the metadata; and one that is temporary by itself. */
static void save(void)
{
	uint64_t dir = make_dir(FS_ROOT_INO, TEMPORARY);
	uint64_t sub = make_dir(dir, "d");

	put_in(sub, "z", "zz");
	put_in(dir, "a", "aa");
	put_in(dir, "b.tmp", "bb");
	put_in(dir, "_METADATA", "m");
	(void)sim_run_for(sim, 30 * NS_PER_S);
	ck_assert_str_eq(names_in_bucket(), " ");
}

static void assert_saved(void)
{
	assert_text(object_of("1/d/z"), "zz");
	assert_text(object_of("1/a"), "aa");
	assert_text(object_of("1/_METADATA"), "m");
	ck_assert_str_eq(names_in_bucket(), " 1/_METADATA 1/a 1/d/z ");
	ck_assert_str_eq(state_of("1/a"), "published");
	ck_assert_str_eq(state_of("1/b.tmp"), "temporary");
}

START_TEST(a_folders_last_name_makes_it_visible)
{
	save();
	rename_to(TEMPORARY, "1");
	ck_assert(settle(30 * NS_PER_S));
	assert_saved();
	/* The newest comes alone, when all others are there. */
	ck_assert_uint_lt(call_of("put 1/d/z"), call_of("put 1/_METADATA"));
	ck_assert_uint_lt(call_of("put 1/a"), call_of("put 1/_METADATA"));
}
END_TEST

START_TEST(and_over_a_crash)
{
	save();
	rename_to(TEMPORARY, "1");
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert(settle(30 * NS_PER_S));
	assert_saved();
}
END_TEST

START_TEST(what_was_closed_later_waits_for_it)
{
	save();
	rename_to(TEMPORARY, "1");
	ck_assert_int_eq(put_file("latest", "1"), 0);
	ck_assert(settle(30 * NS_PER_S));
	ck_assert_uint_ne(call_of("put 1/_METADATA"), 0);
	ck_assert_uint_lt(call_of("put 1/_METADATA"), call_of("put latest"));
}
END_TEST

START_TEST(another_temporary_name_is_none)
{
	save();
	rename_to(TEMPORARY, "2.orbax-checkpoint-tmp-8");
	(void)sim_run_for(sim, 30 * NS_PER_S);
	ck_assert_str_eq(names_in_bucket(), " ");
	rename_to("2.orbax-checkpoint-tmp-8", "1");
	ck_assert(settle(30 * NS_PER_S));
	assert_saved();
}
END_TEST

START_TEST(deleted_after_that_it_is_gone)
{
	save();
	rename_to(TEMPORARY, "1");
	ck_assert_int_eq(fs_unlink(fs, ino_of("1"), "a"), 0);
	ck_assert(settle(30 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " 1/_METADATA 1/d/z ");
}
END_TEST

static void assert_moved(const char *from, const char *to)
{
	char first[64], last[64], gone_first[64], gone_last[64];

	(void)snprintf(first, sizeof(first), "copy %s/z run/%s/z", from, to);
	(void)snprintf(last, sizeof(last), "copy %s/a run/%s/a", from, to);
	(void)snprintf(gone_first, sizeof(first), "del %s/a", from);
	(void)snprintf(gone_last, sizeof(last), "del %s/z", from);
	ck_assert_uint_ne(call_of(first), 0);
	ck_assert_uint_lt(call_of(first), call_of(last));
	ck_assert_uint_lt(call_of(last), call_of(gone_first));
	ck_assert_uint_lt(call_of(gone_first), call_of(gone_last));
}

/* Copied oldest first and deleted newest first, also when all of it has the
 * place of one rename. */
START_TEST(what_was_made_visible_together_keeps_its_order)
{
	uint64_t dir = make_dir(FS_ROOT_INO, TEMPORARY);

	put_in(dir, "z", "zz");
	put_in(dir, "a", "aa");
	rename_to(TEMPORARY, "1");
	ck_assert(settle(30 * NS_PER_S));
	rename_to("1", "2");
	ck_assert(settle(30 * NS_PER_S));
	assert_moved("1", "2");
	rename_to("2", "3");
	ck_assert(settle(30 * NS_PER_S));
	assert_moved("2", "3");
	ck_assert_str_eq(names_in_bucket(), " 3/a 3/z ");
}
END_TEST

/* Opened, renamed while it is, and as it was at the close, or the death: what
 * was held under the old name is what the new one shows. */
START_TEST(renamed_while_open_it_is_held_no_more)
{
	int how = _i & 1 ? O_WRONLY | O_TRUNC : O_WRONLY;
	struct file f;

	ck_assert_int_eq(put_file("a.tmp", "held"), 0);
	(void)sim_run_for(sim, 30 * NS_PER_S);
	ck_assert_int_eq(f_open(&f, "a.tmp", how), 0);
	rename_to("a.tmp", "a");
	if (_i == 0) {
		ck_assert_int_eq(f_close(&f), 0);
	} else {
		(void)sim_run_for(sim, 2 * NS_PER_S);
		rig_die();
		ck_assert_int_eq(rig_open(), 0);
	}
	ck_assert_str_eq(state_of("a"), "queued");
	ck_assert(settle(30 * NS_PER_S));
	assert_text(text_of("a"), "held");
	ck_assert_str_eq(names_in_bucket(), " a ");
	assert_text(object_of("a"), "held");
	ck_assert_str_eq(state_of("a"), "published");
}
END_TEST

/* The one that is published has replaced them; the daemon dies at any call of
 * its publication. */
START_TEST(all_that_was_replaced_goes_after_a_crash)
{
	struct fs_stats st;

	ck_assert_int_eq(put_file("t.tmp", "one"), 0);
	ck_assert_int_eq(put_file("t.tmp", "two"), 0);
	ck_assert_int_eq(put_file("t.tmp", "three"), 0);
	rename_to("t.tmp", "b");
	simdisk_halt_after(disk, 1 + (unsigned long)_i * harness_step());
	(void)settle(10 * NS_PER_S);
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert(settle(60 * NS_PER_S));
	(void)sim_run_for(sim, 3 * NS_PER_S);
	assert_text(object_of("b"), "three");
	fs_stats(fs, &st);
	ck_assert_uint_eq(st.cache_files, 1);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_folders_last_name_makes_it_visible);
	tcase_add_test(c, and_over_a_crash);
	tcase_add_test(c, what_was_closed_later_waits_for_it);
	tcase_add_test(c, another_temporary_name_is_none);
	tcase_add_test(c, deleted_after_that_it_is_gone);
	tcase_add_test(c, what_was_made_visible_together_keeps_its_order);
	tcase_add_loop_test(c, renamed_while_open_it_is_held_no_more, 0, 3);
	tcase_add_loop_test(c, all_that_was_replaced_goes_after_a_crash, 0,
			    harness_loops(399));
}

int main(void)
{
	return harness_run("sim_held", add);
}
