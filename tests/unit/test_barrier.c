/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a barrier, and who shares one. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "ckptfs/cache.h"
#include "ckptfs/meta.h"

#include "barrier_fake.h"
#include "harness.h"

START_TEST(the_first_barrier_covers_what_an_earlier_process_left)
{
	tell_names = true;
	start();
	change();
	ck_now(0);
	/* All folders too: "", blobs, lost+found and 256 more. */
	ck_assert_int_eq(strncmp(calls, "m s n n ", 8), 0);
	ck_assert_uint_eq(strlen(calls), strlen("m s b ") + 2 * 259);
	calls[0] = '\0';
	change();
	ck_now(0);
	ck_calls("m b ");
	stop();
}
END_TEST

START_TEST(bytes_names_and_log_are_synced_in_this_order)
{
	static const struct cache_tag tag = { .name = "x" };
	uint64_t blob;
	int fd;

	start_settled();
	tell_names = true;
	ck_assert_int_eq(cache_blob_new(cache, &tag, O_RDWR, &blob, &fd), 0);
	barrier_note_blob(b, blob, fd);
	barrier_note_blob(b, 7, -1);
	ck_assert_uint_eq(barrier_due(b), 2);
	change();
	ck_now(0);
	ck_calls("m w1 w7 f1 f7 n n b ");
	ck_assert_uint_eq(barrier_due(b), 0);
	ck_assert_uint_eq(db.durable, 1);
	stop();
}
END_TEST

START_TEST(a_blob_noted_again_is_synced_once)
{
	start_settled();
	seal(1);
	seal(1);
	open_files++;
	barrier_note_blob(b, 1, 101);
	ck_assert_int_eq(open_files, 1);
	ck_now(0);
	ck_calls("m f1 b ");
	seal(1);
	ck_now(0);
	ck_calls("m f1 b ");
	stop();
}
END_TEST

START_TEST(many_blobs_are_one_syncfs)
{
	unsigned i;

	start_settled();
	for (i = 1; i <= BARRIER_EACH_MAX; i++)
		seal(i);
	ck_now(0);
	ck_assert_ptr_nonnull(strstr(calls, "f64 "));
	ck_assert_ptr_null(strstr(calls, "s "));
	calls[0] = '\0';
	for (i = 1; i <= BARRIER_EACH_MAX + 1; i++)
		seal(i);
	ck_now(0);
	ck_calls("m s b ");
	stop();
}
END_TEST

START_TEST(a_quiet_mount_syncs_nothing)
{
	start_settled();
	ck_now(0);
	ck_calls("m ");
	pass(3600 * NS_PER_S);
	ck_calls("");
	stop();
}
END_TEST

START_TEST(a_barrier_begins_within_a_second_of_the_first_commit)
{
	start_settled();
	change();
	pass(NS_PER_S / 2);
	change();
	ck_calls("");
	pass(NS_PER_S / 2);
	ck_calls("m b ");
	ck_assert_uint_eq(db.durable, 2);
	pass(3600 * NS_PER_S);
	ck_calls("");
	change();
	pass(NS_PER_S);
	ck_calls("m b ");
	stop();
}
END_TEST

START_TEST(who_needs_some_commits_waits_for_no_others)
{
	uint64_t upto;

	start_settled();
	seal(1);
	upto = db.commits;
	ck_assert_int_eq(barrier_cover(b, upto), 0);
	ck_calls("m f1 b "); /* at once */
	change();
	ck_assert_int_eq(barrier_cover(b, upto), 0);
	ck_calls(""); /* they are safe, whatever came since */
	stop();
}
END_TEST

static void change_once(unsigned blob)
{
	(void)blob;
	in_sync = NULL;
	seal(9);
}

START_TEST(what_comes_during_a_barrier_waits_for_the_next)
{
	start_settled();
	seal(1);
	in_sync = change_once;
	ck_now(0);
	ck_calls("m f1 b ");
	ck_assert_uint_eq(db.durable, 1);
	pass(NS_PER_S);
	ck_calls("m f9 b ");
	ck_assert_uint_eq(db.durable, 2);
	stop();
}
END_TEST

static void seal_once(void)
{
	in_mark = NULL;
	seal(9);
}

START_TEST(what_the_mark_covers_is_synced)
{
	start_settled();
	seal(1);
	in_mark = seal_once;
	ck_now(0);
	ck_calls("m w1 w9 f1 f9 b ");
	ck_assert_uint_eq(db.durable, 2);
	stop();
}
END_TEST

START_TEST(many_due_blobs_start_a_barrier)
{
	deps.max_due = 3;
	start_settled();
	barrier_note_blob(b, 1, -1);
	barrier_note_blob(b, 2, -1);
	work();
	ck_calls("");
	barrier_note_blob(b, 3, -1);
	work();
	ck_calls("m w1 w2 w3 f1 f2 f3 ");
	stop();
}
END_TEST

START_TEST(a_checkpoint_follows_the_barrier_it_needs)
{
	start_settled();
	change();
	db.due = 1;
	ck_now(0);
	work();
	ck_calls("m b c ");
	change();
	db.due = 1;
	db.again = 1;
	ck_now(0);
	work();
	ck_calls("m b c! m b c ");
	/* Always commits in between: given up until the next barrier. */
	change();
	db.due = 1;
	db.again = 3;
	ck_now(0);
	work();
	ck_calls("m b c! m b c! m b c! m b ");
	change();
	ck_now(0);
	work();
	ck_calls("m b c ");
	stop();
}
END_TEST

START_TEST(a_caller_waits_no_longer_than_it_wants)
{
	start_settled();
	change();
	stuck = true;
	ck_assert_int_eq(barrier_now(b, now + NS_PER_S), -ETIMEDOUT);
	ck_calls("");
	stuck = false;
	work();
	ck_calls("m b ");
	stop();
}
END_TEST

/* ---- real threads: one barrier blocked, others arrive meanwhile */

#define CALLERS 8

static unsigned waiting; /* callers that do, or did: one may wait twice */
static _Thread_local bool is_counted;
static bool blocked, go_on;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;

static int counted_start(struct thr *t, const char *name, thr_step_fn *step,
			 void *arg, struct thr_worker **ret)
{
	(void)t;
	return thr_system.ops->start(&thr_system, name, step, arg, ret);
}

static int counted_wait(struct thr *t, struct lock *l, struct thr_cond *c,
			int64_t deadline_mono_ns)
{
	(void)t;
	pthread_mutex_lock(&fake_m);
	waiting += !is_counted;
	is_counted = true;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&fake_m);
	return thr_system.ops->wait(&thr_system, l, c, deadline_mono_ns);
}

static const struct thr_ops counted_ops = {
	.start = counted_start,
	.wait = counted_wait,
};
static struct thr counted = { .ops = &counted_ops };

static void block(unsigned blob)
{
	pthread_mutex_lock(&fake_m);
	if (blob == 1) {
		blocked = true;
		pthread_cond_broadcast(&moved);
		while (!go_on)
			pthread_cond_wait(&moved, &fake_m);
	}
	pthread_mutex_unlock(&fake_m);
}

static void *caller(void *arg)
{
	const uint64_t *blob = arg;
	uint64_t mine;

	barrier_note_blob(b, *blob, -1);
	commit();
	mine = meta_commits(&db);
	barrier_note_change(b);
	if (barrier_now(b, CLK_NEVER) != 0 || meta_commits_durable(&db) < mine)
		return arg;
	return NULL;
}

START_TEST(callers_that_arrive_during_a_barrier_share_the_next)
{
	uint64_t blob[CALLERS + 1];
	pthread_t t[CALLERS + 1];
	void *bad;
	unsigned i;

	host.thr = &counted;
	start();
	ck_now(0);
	calls[0] = '\0';
	in_sync = block;
	waiting = 0;
	for (i = 0; i <= CALLERS; i++) {
		blob[i] = i + 1;
		ck_assert_int_eq(pthread_create(&t[i], NULL, caller, &blob[i]),
				 0);
		pthread_mutex_lock(&fake_m);
		while (!blocked || waiting <= i)
			pthread_cond_wait(&moved, &fake_m);
		pthread_mutex_unlock(&fake_m);
	}
	pthread_mutex_lock(&fake_m);
	go_on = true;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&fake_m);
	for (i = 0; i <= CALLERS; i++) {
		ck_assert_int_eq(pthread_join(t[i], &bad), 0);
		ck_assert_ptr_null(bad);
	}
	ck_calls("m f1 b m w2 w3 w4 w5 w6 w7 w8 w9 f2 f3 f4 f5 f6 f7 f8 f9 b ");
	stop();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c,
		       the_first_barrier_covers_what_an_earlier_process_left);
	tcase_add_test(c, bytes_names_and_log_are_synced_in_this_order);
	tcase_add_test(c, a_blob_noted_again_is_synced_once);
	tcase_add_test(c, many_blobs_are_one_syncfs);
	tcase_add_test(c, a_quiet_mount_syncs_nothing);
	tcase_add_test(c, a_barrier_begins_within_a_second_of_the_first_commit);
	tcase_add_test(c, who_needs_some_commits_waits_for_no_others);
	tcase_add_test(c, what_comes_during_a_barrier_waits_for_the_next);
	tcase_add_test(c, what_the_mark_covers_is_synced);
	tcase_add_test(c, many_due_blobs_start_a_barrier);
	tcase_add_test(c, a_checkpoint_follows_the_barrier_it_needs);
	tcase_add_test(c, a_caller_waits_no_longer_than_it_wants);
	tcase_add_test(c, callers_that_arrive_during_a_barrier_share_the_next);
}

int main(void)
{
	return harness_run("barrier", add);
}
