/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache disk that records nothing any more, and then the power gone: what was
 * sent in between is in the bucket, and its rows are lost.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs_rig.h"
#include "harness.h"

static void setup(void)
{
	rig_machine(1);
	rig_opts.metadata_ttl_ns = NS_PER_S;
	ck_assert_int_eq(rig_open(), 0);
	(void)sim_run_for(sim, 2 * NS_PER_S);
}

static void teardown(void)
{
	rig_end();
}

/* Nothing reaches the bucket, or all does. */
static void hold(bool yes)
{
	const struct store_fault down[] = {
		{ .method = "put", .err = -EAGAIN, .act = STORE_FAULT_BEFORE },
		{ .method = "del", .err = -EAGAIN, .act = STORE_FAULT_BEFORE },
		{ .method = "copy", .err = -EAGAIN, .act = STORE_FAULT_BEFORE },
		{ .method = "list", .err = -EAGAIN, .act = STORE_FAULT_BEFORE },
	};

	ck_assert_int_eq(store_fault_set(bucket, down, yes ? 4 : 0), 0);
}

static void rename_to(const char *from, const char *to)
{
	ck_assert_int_eq(
		fs_rename(fs, FS_ROOT_INO, from, FS_ROOT_INO, to, 0), 0);
}

/* All that was done is safe from a power cut, and none of it in the bucket. */
static void all_is_safe(void)
{
	(void)sim_run_for(sim, 2 * NS_PER_S);
}

/* From now on blobs are written, but for the log. */
static void lose_the_log(unsigned blobs)
{
	simdisk_fail(disk, SIM_FDATASYNC, blobs + 1, -EIO, true);
}

/* What is queued is sent; then the power goes, and the disk is mended. */
static void send_and_cut(void)
{
	hold(false);
	ck_assert(settle(600 * NS_PER_S));
	rig_cut(0);
	simdisk_heal(disk);
}

static void mount_again(void)
{
	ck_assert_int_eq(rig_open(), 0);
}

/* Drained, and each name was looked at since. */
static void assert_rest(const char *names)
{
	ck_assert(settle(600 * NS_PER_S));
	(void)sim_run_for(sim, 5 * NS_PER_S);
	(void)ino_of("a");
	(void)sim_run_for(sim, 5 * NS_PER_S);
	ck_assert_str_eq(names_in_bucket(), names);
	ck_assert_str_eq(names_in_mount(), names);
}

static void assert_both(const char *name, const char *text)
{
	assert_text(object_of(name), text);
	assert_text(text_of(name), text);
	ck_assert_str_ne(state_of(name), "conflict");
}

START_TEST(a_later_version_is_adopted)
{
	hold(true);
	ck_assert_int_eq(put_file("a", "one"), 0);
	all_is_safe();
	lose_the_log(1);
	ck_assert_int_eq(put_file("a", "later"), 0);
	send_and_cut();
	mount_again();
	assert_rest(" a ");
	assert_both("a", "later");
}
END_TEST

/* The later life deleted it, and made another one. */
START_TEST(a_delete_spares_what_was_put_later)
{
	hold(true);
	ck_assert_int_eq(put_file("a", "one"), 0);
	ck_assert_int_eq(put_file("b", "two"), 0);
	hold(false);
	ck_assert(settle(60 * NS_PER_S));
	hold(true);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	all_is_safe();
	lose_the_log(1);
	ck_assert_int_eq(put_file("a", "later"), 0);
	send_and_cut();
	mount_again();
	assert_rest(" a b ");
	assert_both("a", "later");
}
END_TEST

START_TEST(a_rename_gives_way_to_what_was_put_later)
{
	hold(true);
	ck_assert_int_eq(put_file("b", "one"), 0);
	hold(false);
	ck_assert(settle(60 * NS_PER_S));
	hold(true);
	rename_to("b", "a");
	all_is_safe();
	lose_the_log(1);
	ck_assert_int_eq(put_file("a", "later"), 0);
	send_and_cut();
	mount_again();
	assert_rest(" a ");
	assert_both("a", "later");
}
END_TEST

/* What is done after the loss comes after all that was lost, in this mount or in
 * a later one: ours replaces it. */
START_TEST(what_is_done_since_is_not_behind)
{
	hold(true);
	ck_assert_int_eq(put_file("c", "older"), 0);
	if (_i & 2)
		ck_assert_int_eq(put_file("a", "one"), 0);
	all_is_safe();
	lose_the_log(1);
	ck_assert_int_eq(put_file("a", "later"), 0);
	send_and_cut();
	hold(true);
	mount_again();
	rename_to("c", "a");
	if (_i & 1) {
		all_is_safe();
		rig_die();
		mount_again();
	}
	hold(false);
	assert_rest(" a ");
	assert_both("a", "older");
}
END_TEST

/* The rows know the version, and it is here: the mount's state is published. */
START_TEST(what_the_rows_know_is_put_in_its_place)
{
	hold(true);
	ck_assert_int_eq(put_file("a", "one"), 0);
	ck_assert_int_eq(put_file("c", "known"), 0);
	all_is_safe();
	lose_the_log(0);
	rename_to("c", "a");
	send_and_cut();
	assert_text(object_of("a"), "known");
	mount_again();
	assert_rest(" a c ");
	assert_both("a", "one");
	assert_both("c", "known");
}
END_TEST

static ssize_t read_text(void *arg, uint64_t off, void *p, size_t n)
{
	memcpy(p, (const char *)arg + off, n);
	return (ssize_t)n;
}

/* The epoch of a mount that is still to come: that of a copy of this cache. */
START_TEST(a_copy_of_the_cache_is_another_writer)
{
	char text[] = "theirs";
	struct store_src src = { .read = read_text, .arg = text, .len = 6 };
	struct store_meta m = { .has_mode = true, .mode = 0100644 };
	struct store_obj o;

	ck_assert_int_eq(put_file("b", "two"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(object_head("b", &o), 0);
	(void)snprintf(m.write_id, sizeof(m.write_id), "%.16s-%08x-%016x",
		       o.meta.write_id, 0x7f, 1U);
	hold(true);
	ck_assert_int_eq(put_file("a", "one"), 0);
	all_is_safe();
	hold(false);
	ck_assert_int_eq(store_put(bucket, "run/a", &src, &m, NULL, &o), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "theirs");
	ck_assert_str_eq(state_of("a"), "conflict");
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_later_version_is_adopted);
	tcase_add_test(c, a_delete_spares_what_was_put_later);
	tcase_add_test(c, a_rename_gives_way_to_what_was_put_later);
	tcase_add_loop_test(c, what_is_done_since_is_not_behind, 0, 4);
	tcase_add_test(c, what_the_rows_know_is_put_in_its_place);
	tcase_add_test(c, a_copy_of_the_cache_is_another_writer);
}

int main(void)
{
	return harness_run("sim_later", add);
}
