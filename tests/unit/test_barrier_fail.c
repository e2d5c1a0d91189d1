/* SPDX-License-Identifier: Apache-2.0 */
/* What fails in a barrier, and what dies around it. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "ckptfs/cache.h"
#include "ckptfs/meta.h"

#include "barrier_fake.h"
#include "harness.h"

START_TEST(a_blob_that_cannot_be_opened_is_covered_by_a_syncfs)
{
	start_settled();
	fail_open = true;
	seal(1);
	ck_now(0);
	ck_calls("m s b ");
	fail_syncfs = true;
	seal(1);
	ck_now(-EIO);
	/* Nobody to poison: no later barrier may pretend. */
	ck_calls("m s! ");
	change();
	pass(NS_PER_S);
	ck_calls("");
	stop();
}
END_TEST

START_TEST(a_failed_sync_poisons_the_blob_before_the_log_is_marked)
{
	start_settled();
	seal(1);
	seal(2);
	seal(3);
	fail_sync = 2;
	ck_assert_int_eq(barrier_failed(b), 0);
	ck_now(-EIO);
	ck_calls("m w1 w2 w3 f1 f2! P2 f3 m b ");
	ck_assert_uint_eq(db.durable, 4);
	ck_assert_int_eq(barrier_failed(b), -EIO);
	/* It would succeed now, and mean nothing. */
	fail_sync = 0;
	seal(2);
	ck_now(-EIO);
	ck_calls("");
	pass(NS_PER_S);
	ck_calls("m b ");
	/* What others recorded is as safe as ever. */
	change();
	ck_assert_int_eq(barrier_cover(b, db.commits), 0);
	ck_calls("m b ");
	stop();
}
END_TEST

START_TEST(a_failed_syncfs_poisons_all_it_covered)
{
	unsigned i, n = 0;
	const char *p;

	start_settled();
	for (i = 1; i <= BARRIER_EACH_MAX + 6; i++)
		seal(i);
	fail_syncfs = true;
	ck_now(-EIO);
	for (p = calls; (p = strchr(p, 'P')); p++)
		n++;
	ck_assert_uint_eq(n, BARRIER_EACH_MAX + 6);
	ck_assert_int_eq(strncmp(calls, "m s! P1 P2 ", 11), 0);
	ck_assert_ptr_nonnull(strstr(calls, "P70 m b "));
	stop();
}
END_TEST

START_TEST(what_no_row_can_say_is_lost_is_not_believed_again)
{
	start_settled();
	seal(1);
	seal(2);
	fail_sync = 1;
	fail_poison = true;
	ck_now(-EIO);
	ck_calls("m w1 w2 f1! P1! x ");
	fail_sync = 0;
	fail_poison = false;
	change();
	pass(NS_PER_S);
	ck_calls("");
	stop();
}
END_TEST

static const struct {
	const char *calls;
	bool log, names;
} broken[] = {
	{ "m f1 b! ", true, false },
	{ "m f1 n! ", false, true },
};

START_TEST(f18_a_failed_log_ends_all_barriers)
{
	start_settled();
	seal(1);
	bury(2);
	db.fail_barrier = broken[_i].log;
	fail_names = broken[_i].names;
	if (fail_names)
		ck_assert_int_eq(cache_blob_unlink(cache, 77), 0);
	calls[0] = '\0';
	ck_now(-EIO);
	ck_calls(broken[_i].calls);
	db.fail_barrier = fail_names = false;
	change();
	ck_now(-EIO);
	ck_assert_int_eq(barrier_cover(b, db.commits), -EIO);
	ck_assert_int_eq(barrier_cover(b, db.durable), 0);
	pass(NS_PER_S);
	ck_calls("");
	stop();
}
END_TEST

START_TEST(a_dead_blob_is_unlinked_after_the_barrier_that_covers_it)
{
	start_settled();
	bury(5);
	work();
	ck_calls("");
	ck_now(0);
	work();
	ck_calls("m b u5 ");
	/* Its folder is synced before the log that forgets it. */
	tell_names = true;
	change();
	ck_now(0);
	ck_calls("d5 m n b ");
	stop();
}
END_TEST

static void bury_once(unsigned blob)
{
	(void)blob;
	in_sync = NULL;
	bury(5);
}

START_TEST(a_blob_that_dies_during_a_barrier_outlives_it)
{
	start_settled();
	seal(1);
	in_sync = bury_once;
	ck_now(0);
	work();
	ck_calls("m f1 b ");
	pass(NS_PER_S);
	ck_calls("m b u5 ");
	stop();
}
END_TEST

START_TEST(a_dead_blob_is_not_synced)
{
	start_settled();
	seal(1);
	seal(2);
	bury(1);
	ck_now(0);
	work();
	ck_calls("m f2 b u1 ");
	stop();
}
END_TEST

static void bury_late(void)
{
	after_mark = NULL;
	bury(1);
}

START_TEST(a_blob_that_dies_after_the_mark_is_synced)
{
	start_settled();
	seal(1);
	after_mark = bury_late;
	ck_now(0);
	work();
	ck_calls("m f1 b ");
	stop();
}
END_TEST

START_TEST(f40_dead_blobs_of_an_earlier_mount_are_unlinked)
{
	unsigned i;

	db = (struct meta){ .dead = { 3, 4 }, .ndead = 2, .commits = 1 };
	start();
	work();
	ck_calls("");
	pass(NS_PER_S);
	ck_calls("m s b u3 u4 ");
	db.fail_begin = true;
	for (i = 0; i < 2; i++) {
		change();
		ck_now(0);
		ck_calls("m b ");
	}
	db.fail_begin = false;
	change();
	ck_now(0);
	ck_calls("d3 d4 m b ");
	stop();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, a_blob_that_cannot_be_opened_is_covered_by_a_syncfs);
	tcase_add_test(c,
		       a_failed_sync_poisons_the_blob_before_the_log_is_marked);
	tcase_add_test(c, a_failed_syncfs_poisons_all_it_covered);
	tcase_add_test(c, what_no_row_can_say_is_lost_is_not_believed_again);
	tcase_add_loop_test(c, f18_a_failed_log_ends_all_barriers, 0,
			    ARRAY_SIZE(broken));
	tcase_add_test(
		c, a_dead_blob_is_unlinked_after_the_barrier_that_covers_it);
	tcase_add_test(c, a_blob_that_dies_during_a_barrier_outlives_it);
	tcase_add_test(c, a_dead_blob_is_not_synced);
	tcase_add_test(c, a_blob_that_dies_after_the_mark_is_synced);
	tcase_add_test(c, f40_dead_blobs_of_an_earlier_mount_are_unlinked);
}

int main(void)
{
	return harness_run("barrier_fail", add);
}
