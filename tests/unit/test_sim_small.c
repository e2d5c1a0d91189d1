/* SPDX-License-Identifier: Apache-2.0 */
/* What a small file costs the daemon, in calls and in threads woken: counted,
 * for times say little on a machine that others use. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>

#include "fs_rig.h"
#include "harness.h"

#define FILES 100

static struct {
	unsigned steps; /* of all workers */
	unsigned long opens, stats;
} cost;

/* Made, closed and at rest, one after the other; each takes 0.1 ms. */
static void make_files(void)
{
	unsigned long opens, stats;
	char name[16];

	(void)sim_run_for(sim, NS_PER_S); /* the mount's own beginnings */
	cost.steps = 0;
	opens = simdisk_calls(disk, SIM_OPEN);
	stats = simdisk_calls(disk, SIM_SPACE);
	for (unsigned i = 0; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		ck_assert_int_eq(put_file(name, "some bytes"), 0);
		cost.steps += sim_run_for(sim, NS_PER_MS / 10);
	}
	cost.opens = simdisk_calls(disk, SIM_OPEN) - opens;
	cost.stats = simdisk_calls(disk, SIM_SPACE) - stats;
}

/* One look at what came in some milliseconds, not one at each. */
START_TEST(nobody_is_woken_for_each)
{
	make_files();
	ck_assert_uint_lt(cost.steps, FILES / 2);
	ck_assert_uint_lt(cost.stats, 10);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("f0"), "some bytes");
	assert_text(object_of("f99"), "some bytes");
}
END_TEST

/* To be read and to be written; the first one shows whether the kernel writes
 * past the daemon, and its second descriptor is made in vain. */
START_TEST(its_blob_is_opened_twice)
{
	make_files();
	ck_assert_uint_le(cost.opens, 2 * FILES + 1);
}
END_TEST

/* Whoever asks what waits is told of it at once. */
START_TEST(what_was_closed_is_in_the_line)
{
	struct fs_stats st;

	ck_assert_int_eq(put_file("a", "1"), 0);
	ck_assert_int_eq(put_file("b", "2"), 0);
	fs_stats(fs, &st);
	ck_assert_uint_eq(st.transfer.queued_ops, 2);
	(void)sim_run_for(sim, 100 * NS_PER_MS);
	fs_stats(fs, &st);
	ck_assert_uint_eq(st.transfer.queued_ops, 2);
}
END_TEST

/* The kernel asks for what it was given, else. */
START_TEST(what_was_made_need_not_be_asked_for)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_opened o;
	struct fs_entry e;
	struct fs_attr a;

	ck_assert_int_eq(fs_create(fs, &ctx, FS_ROOT_INO, "a", 0666,
				   O_CREAT | O_WRONLY, &e, &o),
			 0);
	ck_assert_int_gt(e.attr.ttl_ns, 0);
	ck_assert_int_le(e.attr.ttl_ns, 10 * NS_PER_MS);
	/* It may be written to by now, past the daemon. */
	ck_assert_int_eq(fs_getattr(fs, e.attr.ino, o.file, &a), 0);
	ck_assert_int_eq(a.ttl_ns, 0);
	fs_release(fs, o.file);
}
END_TEST

static void setup(void)
{
	rig_begin(1);
}

static void teardown(void)
{
	rig_end();
}

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, nobody_is_woken_for_each);
	tcase_add_test(c, its_blob_is_opened_twice);
	tcase_add_test(c, what_was_closed_is_in_the_line);
	tcase_add_test(c, what_was_made_need_not_be_asked_for);
}

int main(void)
{
	return harness_run("sim small", add);
}
