/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "ckptfs/clock.h"
#include "ckptfs/store.h"

#include "fetch_rig.h"
#include "harness.h"

START_TEST(a_whole_file_is_fetched_and_verified)
{
	struct rig_told t = { .done = 0 };
	struct fetch *f;

	rig_use_sim(20 * MIB + 5, 4, 0);
	f = rig_start(&t);
	ck_assert(!fetch_has(f, 0, 1));
	ck_assert(!fetch_complete(f));
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), 0);
	ck_assert_int_eq(t.done, 1);
	ck_assert_int_eq(t.err, 0);
	ck_assert(fetch_complete(f));
	ck_assert(fetch_has(f, 0, UINT64_MAX));
	ck_assert_uint_eq(fetch_progress(f), 20 * MIB + 5);
	ck_assert_uint_eq(rig_bytes_fetched(), 20 * MIB + 5);
	ck_assert(rig_blob_is_right(0, 20 * MIB + 5));
	ck_assert_int_eq(t.released, 0);
	fetch_drop(f);
	ck_assert_int_eq(t.released, 1);
	rig_teardown();
}
END_TEST

START_TEST(an_empty_file_is_done_at_once)
{
	struct rig_told t = { .done = 0 };
	struct fetch *f;

	rig_use_sim(0, 2, 0);
	f = rig_start(&t);
	ck_assert_int_eq(fetch_wait(f, 0, 10, SOON), 0);
	(void)sim_run(rig.sim);
	ck_assert(fetch_complete(f));
	ck_assert_int_eq(t.done, 1);
	fetch_drop(f);
	rig_teardown();
}
END_TEST

START_TEST(a_wanted_page_jumps_the_queue)
{
	struct rig_told t = { .done = 0 };
	struct fetch *f;

	rig_use_sim(40 * MIB, 1, 0);
	f = rig_start(&t);
	ck_assert_int_eq(fetch_wait(f, 30 * MIB + 7, 4096, SOON), 0);
	ck_assert(rig_blob_is_right(30 * MIB + 7, 4096));
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), 0);
	/* 8 MiB at a time, the wanted one first, then from the front */
	rig_expect_log("get k 31457287+8388608\nget k 0+8388608\n"
		       "get k 8388608+8388608\n");
	fetch_drop(f);
	rig_teardown();
}
END_TEST

START_TEST(the_tail_comes_first_where_asked)
{
	struct rig_told t = { .done = 0 };
	struct fetch_spec spec;
	struct fetch *f = NULL;

	rig_use_sim(10 * MIB, 1, 0);
	spec = rig_spec_of(&t);
	spec.name = "model.PTH";
	ck_assert_int_eq(fetch_start(rig.engine, &spec, &f), 0);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), 0);
	rig_expect_log("get k 9437184+1048576\nget k 0+2621440\n");
	ck_assert_int_eq(t.err, 0);
	fetch_drop(f);
	rig_teardown();
}
END_TEST

START_TEST(a_reader_does_not_wait_for_the_end_of_a_long_request)
{
	struct rig_told t = { .done = 0 };
	struct fetch *f;
	int64_t began;

	/* one background request of 8 MiB at 1 MiB/s, and one for readers */
	rig_use_sim(32 * MIB, 2, MIB);
	f = rig_start(&t);
	sim_run_for(rig.sim, NS_PER_S);
	ck_assert_uint_lt(fetch_progress(f), 2 * MIB);
	began = sim_now(rig.sim);
	ck_assert_int_eq(fetch_wait(f, 7 * MIB, 4096, SOON), 0);
	ck_assert_int_lt(sim_now(rig.sim) - began, NS_PER_S);
	ck_assert_int_eq(fetch_wait(f, 31 * MIB, 4096, SOON), 0);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), 0);
	ck_assert_int_eq(t.err, 0);
	/* nothing came twice though a request was cut */
	ck_assert_uint_eq(rig_bytes_fetched(), 32 * MIB);
	ck_assert(rig_blob_is_right(0, 32 * MIB));
	fetch_drop(f);
	rig_teardown();
}
END_TEST

START_TEST(bytes_are_gathered_unless_somebody_waits_for_them)
{
	struct rig_told t = { .done = 0 };
	unsigned long writes;
	struct fetch *f;

	rig_use_sim(9 * MIB, 1, MIB);
	f = rig_start(&t);
	ck_assert_int_eq(fetch_wait(f, MIB, 1, SOON), 0);
	ck_assert_uint_lt(fetch_progress(f), MIB / 4); /* that came first */
	writes = simdisk_calls(rig.host->disk, SIM_PWRITE);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), 0);
	writes = simdisk_calls(rig.host->disk, SIM_PWRITE) - writes;
	ck_assert_uint_le(writes, 9 * 4);
	ck_assert(rig_blob_is_right(0, 9 * MIB));
	fetch_drop(f);
	rig_teardown();
}
END_TEST

/* A store that hands over a quarter of a MiB at a time, as one over the network
 * does whose first piece began behind the answer's headers. */
#define PIECE (MIB / 4)
#define HEADERS 1234

struct pieces {
	store_sink_fn *sink;
	void *arg;
	unsigned char buf[PIECE];
	size_t n, full;
};

static int in_pieces(void *arg, const void *p, size_t n)
{
	const unsigned char *at = p;
	struct pieces *s = arg;
	int r = 0;

	while (n && !r) {
		size_t some = s->full - s->n < n ? s->full - s->n : n;

		memcpy(s->buf + s->n, at, some);
		s->n += some;
		at += some;
		n -= some;
		if (s->n < s->full)
			continue;
		r = s->sink(s->arg, s->buf, s->n);
		s->n = 0;
		s->full = PIECE;
	}
	return r;
}

static const struct store_ops *fault_ops;

static int get_in_pieces(struct store *s, const char *key, const char *if_match,
			 uint64_t off, uint64_t len, store_sink_fn *sink,
			 void *arg, struct store_obj *ret)
{
	struct pieces *p = calloc(1, sizeof(*p));
	int r;

	ck_assert_ptr_nonnull(p);
	p->sink = sink;
	p->arg = arg;
	p->full = PIECE - HEADERS;
	r = fault_ops->get(s, key, if_match, off, len, in_pieces, p, ret);
	if (r == 0 && p->n)
		r = sink(arg, p->buf, p->n);
	free(p);
	return r;
}

/* Whole pages as they come, and what lies between two of them; the end may be
 * anywhere. */
START_TEST(long_pieces_are_written_as_they_come)
{
	struct rig_told t = { .done = 0 };
	struct store_ops ops;
	unsigned long writes;
	struct fetch *f;

	rig_use_sim(9 * MIB + 17, 2, 0);
	fault_ops = rig.store->ops;
	ops = *fault_ops;
	ops.get = get_in_pieces;
	rig.store->ops = &ops;
	writes = simdisk_calls(rig.host->disk, SIM_PWRITE);
	f = rig_start(&t);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), 0);
	ck_assert_int_eq(t.err, 0);
	writes = simdisk_calls(rig.host->disk, SIM_PWRITE) - writes;
	ck_assert_uint_le(writes, 10 * 4 * 2); /* a piece, and a page between */
	ck_assert(rig_blob_is_right(0, 9 * MIB + 17));
	fetch_drop(f);
	rig.store->ops = fault_ops;
	rig_teardown();
}
END_TEST

/* Once each request, not with each write; a disk that can't do it is written
 * to as ever. */
START_TEST(a_request_finds_its_blocks_reserved)
{
	struct rig_told t = { .done = 0 };
	unsigned long before;
	struct fetch *f;

	rig_use_sim(17 * MIB, 1, MIB);
	before = simdisk_calls(rig.host->disk, SIM_ALLOCATE);
	if (_i)
		simdisk_fail(rig.host->disk, SIM_ALLOCATE, 1, -EOPNOTSUPP,
			     true);
	f = rig_start(&t);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), 0);
	ck_assert_uint_eq(
		simdisk_calls(rig.host->disk, SIM_ALLOCATE) - before, 4);
	ck_assert_int_eq(t.err, 0);
	ck_assert(rig_blob_is_right(0, 17 * MIB));
	fetch_drop(f);
	rig_teardown();
}
END_TEST

START_TEST(the_limit_is_kept)
{
	struct rig_told t = { .done = 0 };
	struct fetch *f;
	int64_t began;

	rig_use_sim(10 * MIB, 4, MIB);
	began = sim_now(rig.sim);
	f = rig_start(&t);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), 0);
	ck_assert_int_ge(sim_now(rig.sim) - began, 9 * NS_PER_S);
	ck_assert_int_le(sim_now(rig.sim) - began, 11 * NS_PER_S);
	fetch_drop(f);
	rig_teardown();
}
END_TEST

START_TEST(a_dropped_fetch_is_given_up)
{
	struct rig_told t = { .done = 0 };
	struct fetch *f;
	uint64_t bytes;

	rig_use_sim(32 * MIB, 2, MIB);
	f = fetch_ref(rig_start(&t));
	sim_run_for(rig.sim, NS_PER_S);
	fetch_drop(f);
	sim_run_for(rig.sim, NS_PER_S);
	bytes = rig_bytes_fetched();
	ck_assert_uint_gt(bytes, MIB);
	fetch_drop(f);
	/* a request is under way: it may still use the blob */
	ck_assert_int_eq(t.released, 0);
	sim_run_for(rig.sim, 10 * NS_PER_S);
	ck_assert_int_eq(t.released, 1);
	ck_assert_int_eq(t.done, 0);
	ck_assert_uint_eq(rig_bytes_fetched(), bytes);
	rig_teardown();
}
END_TEST

START_TEST(a_drop_waits_where_nobody_is_told)
{
	struct rig_told t = { .done = 0 };
	struct fetch_spec spec;
	struct fetch *f = NULL;
	uint64_t bytes;

	rig_use_sim(32 * MIB, 3, MIB);
	spec = rig_spec_of(&t);
	spec.released = NULL;
	ck_assert_int_eq(fetch_start(rig.engine, &spec, &f), 0);
	sim_run_for(rig.sim, NS_PER_S);
	fetch_drop(f);
	bytes = rig_bytes_fetched();
	sim_run_for(rig.sim, 10 * NS_PER_S);
	ck_assert_uint_eq(rig_bytes_fetched(), bytes);
	ck_assert_int_eq(t.done, 0);
	rig_teardown();
}
END_TEST

START_TEST(fetches_share_the_workers_in_order)
{
	struct rig_told t1 = { .done = 0 }, t2 = { .done = 0 };
	struct fetch *one, *two;

	rig_use_sim(2 * MIB, 1, 0);
	one = rig_start(&t1);
	two = rig_start(&t2);
	ck_assert_int_eq(fetch_wait(one, 0, UINT64_MAX, SOON), 0);
	ck_assert_int_eq(t2.done, 0);
	ck_assert_int_eq(fetch_wait(two, 0, UINT64_MAX, SOON), 0);
	fetch_drop(one);
	fetch_drop(two);
	rig_teardown();
}
END_TEST

START_TEST(a_stopped_engine_cancels_waits)
{
	struct rig_told t = { .done = 0 };
	struct fetch *f;

	rig_use_sim(32 * MIB, 2, MIB);
	f = rig_start(&t);
	sim_run_for(rig.sim, NS_PER_S);
	fetch_engine_stop(rig.engine);
	ck_assert_int_eq(fetch_wait(f, 20 * MIB, 1, SOON), -ECANCELED);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), -ECANCELED);
	ck_assert_int_eq(fetch_wait(f, 0, 1, SOON), 0);
	fetch_drop(f);
	rig_teardown();
}
END_TEST

/* ---- with real threads ---- */

struct reader {
	pthread_t tid;
	struct fetch *f;
	unsigned seed;
	unsigned bad;
};

static void *read_about(void *arg)
{
	struct reader *me = arg;
	uint64_t x = me->seed;

	for (unsigned i = 0; i < 50; i++) {
		uint64_t off, len;

		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		off = (x >> 16) % (rig.object.size - 70000);
		len = (x >> 8) % 70000;
		if (fetch_wait(me->f, off, len, CLK_NEVER) ||
		    !rig_blob_is_right(off, len))
			me->bad++;
	}
	return NULL;
}

START_TEST(many_readers_share_one_download)
{
	struct rig_told t = { .done = 0 };
	struct reader readers[8];
	struct fetch *f;

	rig_use_threads(64 * MIB + 123, 6, 0);
	rig_arm("get", 2, 3, -ETIMEDOUT, STORE_FAULT_HALF);
	f = rig_start(&t);
	for (unsigned i = 0; i < ARRAY_SIZE(readers); i++) {
		readers[i] = (struct reader){ .f = f, .seed = i + 1 };
		ck_assert_int_eq(pthread_create(&readers[i].tid, NULL,
						read_about, &readers[i]),
				 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(readers); i++) {
		pthread_join(readers[i].tid, NULL);
		ck_assert_uint_eq(readers[i].bad, 0);
	}
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, CLK_NEVER), 0);
	ck_assert_uint_le(rig_bytes_fetched(), rig.object.size * 105 / 100);
	ck_assert(rig_blob_is_right(0, rig.object.size));
	fetch_drop(f);
	rig_teardown();
	ck_assert_int_eq(t.done, 1);
	ck_assert_int_eq(t.err, 0);
	ck_assert_int_eq(t.released, 1);
}
END_TEST

static void *wait_far(void *arg)
{
	struct reader *me = arg;

	me->bad = fetch_wait(me->f, rig.object.size - 1, 1, CLK_NEVER) !=
		  -ECANCELED;
	return NULL;
}

START_TEST(who_waits_is_woken_by_the_stop)
{
	struct rig_told t = { .done = 0 };
	struct reader r = { .bad = 1 };

	rig_use_threads(MIB, 2, 0);
	rig_arm("get", 0, 0, -EAGAIN, STORE_FAULT_BEFORE);
	r.f = rig_start(&t);
	ck_assert_int_eq(pthread_create(&r.tid, NULL, wait_far, &r), 0);
	fetch_engine_stop(rig.engine);
	store_shutdown(rig.store);
	pthread_join(r.tid, NULL);
	ck_assert_uint_eq(r.bad, 0);
	fetch_drop(r.f);
	rig_teardown();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, a_whole_file_is_fetched_and_verified);
	tcase_add_test(c, an_empty_file_is_done_at_once);
	tcase_add_test(c, a_wanted_page_jumps_the_queue);
	tcase_add_test(c, the_tail_comes_first_where_asked);
	tcase_add_test(c, a_reader_does_not_wait_for_the_end_of_a_long_request);
	tcase_add_test(c, bytes_are_gathered_unless_somebody_waits_for_them);
	tcase_add_test(c, long_pieces_are_written_as_they_come);
	tcase_add_loop_test(c, a_request_finds_its_blocks_reserved, 0, 2);
	tcase_add_test(c, the_limit_is_kept);
	tcase_add_test(c, a_dropped_fetch_is_given_up);
	tcase_add_test(c, a_drop_waits_where_nobody_is_told);
	tcase_add_test(c, fetches_share_the_workers_in_order);
	tcase_add_test(c, a_stopped_engine_cancels_waits);
	tcase_add_test(c, many_readers_share_one_download);
	tcase_add_test(c, who_waits_is_woken_by_the_stop);
}

int main(void)
{
	return harness_run("fetch", add);
}
