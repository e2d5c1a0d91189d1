/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only a daemon knew that was killed: the next one finds it in the rows,
 * over a simulated machine.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fs/internal.h"
#include "transfer/internal.h"

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

static uint64_t make_dir(const char *name)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, FS_ROOT_INO, name, 0777, &e), 0);
	return e.attr.ino;
}

static void put_in(uint64_t dir, const char *name, const char *text)
{
	struct file f;

	ck_assert_int_eq(f_create_in(&f, dir, name, O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, text, 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
}

static void again(void)
{
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
}

START_TEST(an_emptied_folder_gets_its_marker)
{
	uint64_t dir = make_dir("d");

	put_in(dir, "a", "x");
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_ptr_null(object_of("d/"));
	ck_assert_int_eq(fs_unlink(fs, dir, "a"), 0);
	again();
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " d/ ");
}
END_TEST

START_TEST(a_folder_with_names_gets_none)
{
	uint64_t dir = make_dir("d");

	put_in(dir, "a", "x");
	put_in(dir, "b", "y");
	again();
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " d/a d/b ");
	ck_assert_uint_eq(call_of("put d/"), 0);
}
END_TEST

/* The marker is in the bucket, which nobody here knows; then it is no longer
 * wanted, for the folder has a file. */
START_TEST(a_marker_that_was_put_and_not_recorded_goes)
{
	static const struct store_fault lost[] = {
		{ .method = "put",
		  .err = -ETIMEDOUT,
		  .act = STORE_FAULT_AFTER },
		{ .method = "head", .err = -ETIMEDOUT },
	};
	uint64_t dir = make_dir("d");

	ck_assert_int_eq(store_fault_set(bucket, lost, 2), 0);
	(void)sim_run_for(sim, 10 * NS_PER_S);
	rig_die();
	ck_assert_str_eq(names_in_bucket(), " d/ ");
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	ck_assert_int_eq(rig_open(), 0);
	put_in(dir, "x", "x");
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(fs_unlink(fs, dir, "x"), 0);
	ck_assert_int_eq(fs_rmdir(fs, FS_ROOT_INO, "d"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " ");
}
END_TEST

/*
 * Another worker folds at the very moment at which a put is on record and its
 * row has gone: it must know the object, or it drops the delete behind it.
 */
static struct {
	void (*committed)(void *arg);
	enum { PUT_WAITS, DELETE_WAITS, FOLDED } is;
} race;

static const struct line_op *put_row(void)
{
	struct line *l = &fs->transfer->line;
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->ops[i].kind == LINE_PUT)
			return &l->ops[i];
	return NULL;
}

static void on_committed(void *arg)
{
	const struct line_op *put = put_row();

	race.committed(arg);
	if (race.is == PUT_WAITS && put && put->begun) {
		race.is = DELETE_WAITS;
		/* b is gained by a fold that spans a */
		ck_assert_int_eq(put_file("b", "y"), 0);
		ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
		ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "b"), 0);
	} else if (race.is == DELETE_WAITS && (!put || !put->begun)) {
		race.is = FOLDED;
		fs->transfer->fold_wanted = true;
		ck_assert_int_eq(fold_apply(fs->transfer), 0);
	}
}

START_TEST(a_fold_knows_what_was_just_put)
{
	race.committed = fs->transfer->ev.committed;
	race.is = PUT_WAITS;
	fs->transfer->ev.committed = on_committed;
	ck_assert_int_eq(put_file("a", "x"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(race.is, FOLDED);
	ck_assert_uint_ne(call_of("put a"), 0);
	ck_assert_str_eq(names_in_bucket(), " ");
}
END_TEST

static ssize_t one_byte(void *arg, uint64_t off, void *p, size_t n)
{
	(void)arg;
	(void)off;
	memset(p, 'z', n);
	return (ssize_t)n;
}

/* A key that was deleted once, and that another writer made anew. */
START_TEST(a_fold_knows_what_a_listing_found)
{
	struct store_src src = { .read = one_byte, .len = 1 };
	struct store_meta m = { .write_id = "" };
	struct store_obj o;

	ck_assert_int_eq(put_file("a", "x"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(store_put(bucket, "run/a", &src, &m, NULL, &o), 0);
	sim_advance(sim, 60 * NS_PER_S);
	ck_assert_str_eq(names_in_mount(), " a ");
	ck_assert_int_eq(put_file("b", "y"), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "b"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " ");
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, an_emptied_folder_gets_its_marker);
	tcase_add_test(c, a_folder_with_names_gets_none);
	tcase_add_test(c, a_marker_that_was_put_and_not_recorded_goes);
	tcase_add_test(c, a_fold_knows_what_was_just_put);
	tcase_add_test(c, a_fold_knows_what_a_listing_found);
}

int main(void)
{
	return harness_run("sim_kill", add);
}
