/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bucket shows the disk knows: a job does one thing after the other,
 * each as soon as the bucket has the one before, sooner than a barrier begins
 * by itself; the power goes at any call to the disk.  Before each there is a
 * file under a temporary name, which no bucket ever gives back.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/barrier.h"

#include "fs_rig.h"
#include "harness.h"

static uint64_t dir_of(const char *name)
{
	uint64_t ino = ino_of(name);

	return ino ? ino : FS_ROOT_INO;
}

static int make(void)
{
	return put_file("a", "one");
}

static int move(void)
{
	return fs_rename(fs, FS_ROOT_INO, "a", FS_ROOT_INO, "b", 0);
}

static int make_below(void)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry d;
	struct file f;
	int r = fs_mkdir(fs, &ctx, FS_ROOT_INO, "d", 0755, &d);

	if (r == 0)
		r = f_create_in(&f, dir_of("d"), "e", O_WRONLY);
	if (r < 0)
		return r;
	r = f_write(&f, "below", 0);
	return f_close(&f) < 0 ? -EIO : r;
}

static int move_folder(void)
{
	return fs_rename(fs, FS_ROOT_INO, "d", FS_ROOT_INO, "g", 0);
}

static int change(void)
{
	struct file f;
	int r = f_open(&f, "b", O_WRONLY | O_TRUNC);

	if (r < 0)
		return r;
	r = f_write(&f, "two", 0);
	return f_close(&f) < 0 ? -EIO : r;
}

static int replace(void)
{
	int r = put_file("c", "three");

	return r < 0 ? r : fs_rename(fs, FS_ROOT_INO, "c", FS_ROOT_INO, "b", 0);
}

static int drop(void)
{
	return fs_unlink(fs, FS_ROOT_INO, "b");
}

static const struct {
	int (*act)(void);
	const char *call; /* the first by which the bucket shows it */
} steps[] = {
	{ make, "put a" },
	{ move, "copy a run/b" },
	{ make_below, "put d/e" },
	{ move_folder, "copy d/e run/g/e" },
	{ change, "put b" },
	{ replace, NULL }, /* under c or under b */
	{ drop, "del b" },
};

static const char *const names[] = { "a", "b", "c", "d/e", "g/e" };

static const char *temporary(size_t step)
{
	static char name[32];

	(void)snprintf(name, sizeof(name), "%zu.tmp", step);
	return name;
}

static void work(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(steps); i++)
		if (put_file(temporary(i), "kept") < 0 || steps[i].act() < 0 ||
		    !settle(100 * NS_PER_MS))
			return;
}

static bool is(const char *got, const char *want)
{
	return got && strcmp(got, want) == 0;
}

/* No later one without the earlier ones. */
static void assert_prefix(unsigned long n)
{
	size_t i, k, shown = 0;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		if (steps[i].call && call_of(steps[i].call))
			shown = i + 1;
		if (ino_of(temporary(i)))
			for (k = 0; k < i; k++)
				ck_assert_msg(is(text_of(temporary(k)), "kept"),
					      "call %lu: %zu without %zu", n, i,
					      k);
	}
	for (i = 0; i < shown; i++)
		ck_assert_msg(is(text_of(temporary(i)), "kept"),
			      "call %lu: the bucket shows step %zu, the disk "
			      "forgot what was before step %zu",
			      n, shown - 1, i);
}

/* By its row the object is one that we made, and not another writer's. */
static bool is_known(const char *name)
{
	struct meta_object o = { 0 };
	char key[32];

	(void)snprintf(key, sizeof(key), "run/%s", name);
	ck_assert_int_eq(meta_begin(meta), 0);
	(void)!meta_object_get(meta, key, &o);
	meta_end(meta);
	return o.bound != 0;
}

static void assert_same(unsigned long n, const char *name)
{
	const char *here = text_of(name);
	char text[16] = "";

	if (here && is(state_of(name), "unfinished"))
		here = NULL;
	if (here)
		(void)snprintf(text, sizeof(text), "%s", here);
	ck_assert_msg(here ? is(object_of(name), text) : !object_of(name),
		      "call %lu: %s is \"%s\" here and \"%s\" in the bucket", n,
		      name, here ? text : "(none)",
		      object_of(name) ? object_of(name) : "(none)");
	ck_assert_msg(!here || is_known(name),
		      "call %lu: %s is taken for another writer's", n, name);
}

static bool cut_after(unsigned long n, unsigned keep)
{
	bool hit;
	size_t i;

	rig_begin(n);
	(void)sim_run_for(sim, 2 * NS_PER_S);
	rig_unmount();
	rig_opts.transfer.upload_delay_ns = 0;
	ck_assert_int_eq(rig_open(), 0);
	(void)sim_run_for(sim, 2 * NS_PER_S);
	simdisk_halt_after(disk, n);
	work();
	hit = simdisk_halted(disk);
	rig_cut(keep);
	ck_assert_int_eq(rig_open(), 0);
	assert_prefix(n);
	ck_assert_msg(settle(60 * NS_PER_S), "call %lu: never drained", n);
	(void)sim_run_for(sim, 30 * NS_PER_S);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		(void)ino_of(names[i]); /* listed again */
	(void)sim_run_for(sim, NS_PER_S);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		assert_same(n, names[i]);
	rig_end();
	return hit;
}

START_TEST(the_power_goes_at_any_call)
{
	static const unsigned keeps[] = { 0, 50, 100 };
	unsigned long n = ((unsigned)_i + 1) % harness_step();

	while (cut_after(n, keeps[_i]))
		n += harness_step();
	ck_assert_uint_gt(n, 200); /* it was a walk through all of it */
}
END_TEST

/* The cache disk has failed: what it still has is better off in the bucket. */
START_TEST(a_disk_that_records_nothing_more_holds_nothing_back)
{
	rig_begin(1);
	(void)sim_run_for(sim, 2 * NS_PER_S);
	ck_assert_int_eq(put_file("a", "one"), 0);
	(void)sim_run_for(sim, BARRIER_DELAY_NS); /* its bytes are safe */
	ck_assert_ptr_null(object_of("a"));
	simdisk_fail(disk, SIM_FDATASYNC, 1, -EIO, true);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "one");
	rig_end();
}
END_TEST

static void add(TCase *c)
{
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, the_power_goes_at_any_call, 0, 3);
	tcase_add_test(c, a_disk_that_records_nothing_more_holds_nothing_back);
}

int main(void)
{
	return harness_run("sim_cut", add);
}
