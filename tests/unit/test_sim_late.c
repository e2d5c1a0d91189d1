/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker chose what to do, and before it does anything the line changes
 * beneath it: between the two there is no call that a simulated machine could
 * interrupt, so the worker's steps are taken one by one.
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
	rig_machine(1);
	rig_opts.transfer.upload_delay_ns = 0;
	ck_assert_int_eq(rig_open(), 0);
}

static void teardown(void)
{
	rig_end();
}

static struct action choose(void)
{
	struct transfer *t = fs->transfer;
	struct action a;
	int64_t wait = 0;

	ck_assert_int_eq(line_tx(t), 0);
	meta_end(t->meta);
	lock_acquire(&t->lock);
	a = plan_next(t, &wait);
	lock_release(&t->lock);
	return a;
}

/* The put of a small file, chosen by a worker and not yet begun. */
static struct titem *chosen(const char *name)
{
	struct action a;

	ck_assert_int_eq(put_file(name, "x"), 0);
	a = choose();
	ck_assert_int_eq(a.act, ACT_COMMIT);
	ck_assert_str_eq(a.it->key + strlen("run/"), name);
	return a.it;
}

/* Another worker folds it into the put: the row has the same number under the
 * new name. */
static void rename_and_fold(const char *from, const char *to)
{
	ck_assert_int_eq(
		fs_rename(fs, FS_ROOT_INO, from, FS_ROOT_INO, to, 0), 0);
	ck_assert_int_eq(choose().act, ACT_FOLD);
	ck_assert_int_eq(fold_apply(fs->transfer), 0);
}

static void leave(struct titem *it)
{
	struct transfer *t = fs->transfer;

	lock_acquire(&t->lock);
	it->busy = false;
	item_unpin(t, it);
	lock_release(&t->lock);
}

START_TEST(a_put_whose_file_was_renamed_is_not_begun)
{
	struct titem *it = chosen("a");

	rename_and_fold("a", "b");
	ck_assert_int_eq(record_begun(fs->transfer, it), -ECANCELED);
	leave(it);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " b ");
	ck_assert_uint_eq(call_of("put a"), 0);
}
END_TEST

/* What the store said of the old name is no word about the new one. */
START_TEST(a_put_whose_file_was_renamed_is_not_parked)
{
	struct titem *it = chosen("a");

	rename_and_fold("a", "b");
	ck_assert_int_eq(record_park(fs->transfer, it, "not here"), 0);
	leave(it);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " b ");
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_put_whose_file_was_renamed_is_not_begun);
	tcase_add_test(c, a_put_whose_file_was_renamed_is_not_parked);
}

int main(void)
{
	return harness_run("sim_late", add);
}
