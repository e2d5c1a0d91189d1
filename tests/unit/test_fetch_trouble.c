/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>

#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/store.h"

#include "fetch_rig.h"
#include "harness.h"

/* What may go wrong. */

START_TEST(a_version_that_vanished_is_stale)
{
	struct rig_told t = { .done = 0 };
	struct fetch *f;

	rig_use_sim(10 * MIB, 1, 0);
	f = rig_start(&t);
	ck_assert_int_eq(fetch_wait(f, 0, 1, SOON), 0);
	rig_have_object(10 * MIB); /* another version under the name */
	ck_assert_int_eq(fetch_wait(f, 9 * MIB, 1, SOON), -ESTALE);
	/* what came before is still that version's */
	ck_assert_int_eq(fetch_wait(f, 0, 4096, SOON), 0);
	ck_assert_int_eq(fetch_wait(f, 0, 10 * MIB, SOON), -ESTALE);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), -ESTALE);
	(void)sim_run(rig.sim);
	ck_assert_int_eq(t.done, 1);
	ck_assert_int_eq(t.err, -ESTALE);
	fetch_drop(f);
	rig_teardown();
}
END_TEST

START_TEST(a_wrong_byte_is_an_error_for_all_of_it)
{
	struct rig_told t = { .done = 0 };
	struct fetch *f;

	rig_use_sim(10 * MIB, 2, 0);
	rig_arm("get", 1, 1, 0, STORE_FAULT_FLIP);
	f = rig_start(&t);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), -EBADMSG);
	ck_assert_int_eq(t.done, 1);
	ck_assert_int_eq(t.err, -EBADMSG);
	ck_assert(!fetch_complete(f));
	ck_assert(!fetch_has(f, 0, 1));
	ck_assert_uint_eq(fetch_progress(f), 0);
	ck_assert_int_eq(fetch_wait(f, 0, 1, SOON), -EBADMSG);
	fetch_drop(f);
	rig_teardown();
}
END_TEST

/* A wrong byte at the beginning, which whoever reads from there on has long
 * been given: he does not come to the end. */
START_TEST(who_reads_all_of_it_is_told_of_a_wrong_byte)
{
	struct rig_told t = { .done = 0 };
	struct fetch_spec spec;
	struct fetch *f = NULL;
	uint64_t off;
	int r = 0;

	rig.seed = (uint64_t)_i;
	rig_use_sim(10 * MIB, 3, 0);
	spec = rig_spec_of(&t);
	spec.has_crc64 = _i % 2; /* else it is learnt with the bytes */
	rig_arm("get", 0, 1, 0, STORE_FAULT_FLIP);
	ck_assert_int_eq(fetch_start(rig.engine, &spec, &f), 0);
	for (off = 0; !r && off < spec.size; off += 64 << 10)
		r = fetch_read(f, 1, off, 64 << 10, SOON);
	ck_assert_int_eq(r, -EBADMSG);
	fetch_drop(f);
	rig_teardown();
}
END_TEST

static unsigned at_once(void)
{
	struct fetch_stats st;

	fetch_stats(rig.engine, &st);
	ck_assert_uint_eq(st.at_once_most, 8);
	return st.at_once;
}

START_TEST(a_store_that_asks_for_less_is_asked_less)
{
	struct rig_told t = { .done = 0 };
	struct fetch *f;

	rig_use_sim(64 * MIB, 8, 4 * MIB);
	ck_assert_uint_eq(at_once(), 8);
	rig_arm("get", 0, 1, -EAGAIN, STORE_FAULT_BEFORE);
	f = rig_start(&t);
	ck_assert_int_eq(fetch_wait(f, 0, 1, SOON), 0);
	ck_assert_uint_eq(at_once(), 4);
	/* and, by and by, for more again */
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), 0);
	ck_assert_uint_gt(at_once(), 4);
	ck_assert(rig_blob_is_right(0, 64 * MIB));
	fetch_drop(f);
	rig_teardown();
}
END_TEST

/* A limit that is changed while bytes wait for it. */
START_TEST(another_limit_counts_at_once)
{
	struct rig_told t = { .done = 0 };
	int64_t began;
	struct fetch *f;

	rig_use_sim(64 * MIB, 8, 64 * 1024);
	f = rig_start(&t);
	began = clk_mono(rig.host->clk);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, began + NS_PER_S),
			 -ETIMEDOUT);
	fetch_engine_set_limit(rig.engine, 0);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), 0);
	ck_assert_int_lt(clk_mono(rig.host->clk) - began, 2 * NS_PER_S);
	fetch_drop(f);
	rig_teardown();
}
END_TEST

START_TEST(the_checksum_is_learnt_from_the_answer)
{
	struct rig_told t = { .done = 0 };
	struct fetch_spec spec;
	struct fetch *f = NULL;

	rig_use_sim(3 * MIB, 2, 0);
	spec = rig_spec_of(&t);
	spec.has_crc64 = false;
	rig_arm("get", 1, 1, 0, STORE_FAULT_FLIP);
	ck_assert_int_eq(fetch_start(rig.engine, &spec, &f), 0);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), -EBADMSG);
	fetch_drop(f);
	rig_teardown();
}
END_TEST

/* Of an object whose parts were sent so. */
START_TEST(a_crc32c_tells_as_well)
{
	struct rig_told t = { .done = 0 };
	struct fetch_spec spec;
	struct fetch *f = NULL;

	rig_use_sim(3 * MIB + 5, 2, 0);
	spec = rig_spec_of(&t);
	spec.has_crc64 = false;
	spec.has_crc32c = true;
	spec.crc32c = rig_crc32c();
	if (_i)
		rig_arm("get", 1, 1, 0, STORE_FAULT_FLIP);
	ck_assert_int_eq(fetch_start(rig.engine, &spec, &f), 0);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON),
			 _i ? -EBADMSG : 0);
	fetch_drop(f);
	rig_teardown();
}
END_TEST

START_TEST(transient_errors_are_tried_for_ever)
{
	struct rig_told t = { .done = 0 };
	struct fetch *f;

	rig_use_sim(3 * MIB, 2, 0);
	rig_arm("get", 0, 50, -EAGAIN, STORE_FAULT_BEFORE);
	f = rig_start(&t);
	ck_assert_int_eq(fetch_wait(f, 0, 1, SOON), 0);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), 0);
	ck_assert_int_eq(t.err, 0);
	fetch_drop(f);
	rig_teardown();
}
END_TEST

START_TEST(a_broken_request_keeps_what_it_brought)
{
	struct rig_told t = { .done = 0 };
	struct fetch *f;

	rig_use_sim(12 * MIB, 3, 0);
	rig_arm("get", 0, 6, -ETIMEDOUT, STORE_FAULT_HALF);
	f = rig_start(&t);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), 0);
	ck_assert_int_eq(t.err, 0);
	ck_assert_uint_eq(rig_bytes_fetched(), 12 * MIB);
	ck_assert(rig_blob_is_right(0, 12 * MIB));
	fetch_drop(f);
	rig_teardown();
}
END_TEST

START_TEST(a_deadline_ends_the_wait_only)
{
	struct rig_told t = { .done = 0 };
	struct fetch *f;
	int64_t began;

	rig_use_sim(3 * MIB, 2, 0);
	rig_arm("get", 0, 0, -ENETUNREACH, STORE_FAULT_BEFORE);
	f = rig_start(&t);
	began = sim_now(rig.sim);
	ck_assert_int_eq(fetch_wait(f, 0, 1, began + 60 * NS_PER_S),
			 -ETIMEDOUT);
	ck_assert_int_eq(sim_now(rig.sim), began + 60 * NS_PER_S);
	rig_heal();
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), 0);
	fetch_drop(f);
	rig_teardown();
}
END_TEST

static const struct {
	int err, told;
} refusals[] = {
	{ -EACCES, -EACCES },
	{ -EINVAL, -EIO },
	{ -EBADMSG, -EIO },
};

START_TEST(a_refusal_is_told_and_tried_again_later)
{
	struct rig_told t = { .done = 0 };
	struct fetch *f;

	rig_use_sim(3 * MIB, 2, 0);
	rig_arm("get", 0, 0, refusals[_i].err, STORE_FAULT_BEFORE);
	f = rig_start(&t);
	ck_assert_int_eq(fetch_wait(f, 0, 1, SOON), refusals[_i].told);
	ck_assert_int_eq(fetch_wait(f, 0, 1, SOON), refusals[_i].told);
	rig_heal();
	ck_assert_int_eq(fetch_wait(f, 0, 1, SOON), 0);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), 0);
	ck_assert_int_eq(t.done, 1);
	fetch_drop(f);
	rig_teardown();
}
END_TEST

START_TEST(a_full_cache_disk_is_told_and_tried_again_later)
{
	struct rig_told t = { .done = 0 };
	struct fetch *f;

	rig_use_sim(3 * MIB, 1, 0);
	simdisk_fail(rig.host->disk, SIM_PWRITE, 3, -ENOSPC, false);
	f = rig_start(&t);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), -ENOSPC);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), 0);
	ck_assert(rig_blob_is_right(0, 3 * MIB));
	fetch_drop(f);
	rig_teardown();
}
END_TEST

START_TEST(an_object_shorter_than_its_row_is_an_error)
{
	struct rig_told t = { .done = 0 };
	struct fetch_spec spec;
	struct fetch *f = NULL;

	rig_use_sim(3 * MIB, 1, 0);
	spec = rig_spec_of(&t);
	spec.size += 10;
	ck_assert_int_eq(fetch_start(rig.engine, &spec, &f), 0);
	ck_assert_int_eq(fetch_wait(f, 0, UINT64_MAX, SOON), -EIO);
	ck_assert_int_eq(fetch_wait(f, 0, 1, SOON), 0);
	fetch_drop(f);
	rig_teardown();
}
END_TEST

/* Whatever fails and whoever runs first, no byte is wrong or comes twice. */
START_TEST(any_order_of_events_gives_the_same_file)
{
	static const int errs[] = { -EAGAIN, -ETIMEDOUT, -EPROTO, -EACCES };
	struct store_fault plan[6];
	struct rig_told t = { .done = 0 };
	struct fetch *f;
	int r;

	rig.seed = (uint64_t)_i;
	rig_use_sim(9 * MIB + rig.seed, 1 + (unsigned)_i % 5, _i % 2 ? MIB : 0);
	for (unsigned i = 0; i < ARRAY_SIZE(plan); i++)
		plan[i] = (struct store_fault){
			.method = "get",
			.skip = (unsigned)_i % (i + 2),
			.count = 1,
			.err = errs[((unsigned)_i + i) % ARRAY_SIZE(errs)],
			.act = (i + (unsigned)_i) % 3
		};
	ck_assert_int_eq(store_fault_set(rig.store, plan, ARRAY_SIZE(plan)), 0);
	f = rig_start(&t);
	for (uint64_t i = 0; i < 20; i++) {
		uint64_t off = (i * 7 + rig.seed) * 311111 % (9 * MIB - 50000);

		r = fetch_wait(f, off, 50000, SOON);
		ck_assert(r == 0 || r == -EACCES);
		ck_assert(r || rig_blob_is_right(off, 50000));
	}
	do {
		r = fetch_wait(f, 0, UINT64_MAX, SOON);
	} while (r == -EACCES);
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(t.err, 0);
	ck_assert_uint_eq(rig_bytes_fetched(), rig.object.size);
	ck_assert(rig_blob_is_right(0, rig.object.size));
	fetch_drop(f);
	rig_teardown();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, a_version_that_vanished_is_stale);
	tcase_add_test(c, a_wrong_byte_is_an_error_for_all_of_it);
	tcase_add_loop_test(c, who_reads_all_of_it_is_told_of_a_wrong_byte, 0,
			    40);
	tcase_add_test(c, a_store_that_asks_for_less_is_asked_less);
	tcase_add_test(c, another_limit_counts_at_once);
	tcase_add_test(c, the_checksum_is_learnt_from_the_answer);
	tcase_add_loop_test(c, a_crc32c_tells_as_well, 0, 2);
	tcase_add_test(c, transient_errors_are_tried_for_ever);
	tcase_add_test(c, a_broken_request_keeps_what_it_brought);
	tcase_add_test(c, a_deadline_ends_the_wait_only);
	tcase_add_loop_test(c, a_refusal_is_told_and_tried_again_later, 0,
			    (int)ARRAY_SIZE(refusals));
	tcase_add_test(c, a_full_cache_disk_is_told_and_tried_again_later);
	tcase_add_test(c, an_object_shorter_than_its_row_is_an_error);
	tcase_add_loop_test(c, any_order_of_events_gives_the_same_file, 0,
			    harness_loops(60));
}

int main(void)
{
	return harness_run("fetch_trouble", add);
}
