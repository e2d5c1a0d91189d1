/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is closed and then replaced before the kernel let go of it: it has its
 * place in the line and keeps it, over a simulated machine.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "ckptfs/thr.h"

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

/* Somebody has the blob of a file open for writing for a while. */
static struct {
	struct thr_worker *w;
	int64_t end;
	int ext;
} holder;

static int64_t holder_step(void *arg)
{
	(void)arg;
	if (sim_now(sim) < holder.end)
		return holder.end - sim_now(sim);
	if (holder.ext >= 0)
		simdisk_external_close(disk, holder.ext);
	holder.ext = -1;
	return CLK_NEVER;
}

static void put_held(const char *name, const char *text, int64_t ns)
{
	struct file f;

	ck_assert_int_eq(f_create(&f, name, O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, text, 0), 0);
	holder.ext = intrude(f.ino);
	ck_assert_int_ge(holder.ext, 0);
	holder.end = sim_now(sim) + ns;
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(thr_start(sim_host(sim)->thr, "holder", holder_step,
				   NULL, &holder.w),
			 0);
}

static void let_go(void)
{
	holder.end = 0;
	(void)holder_step(NULL);
	thr_stop(holder.w);
}

/* A marker was closed after the file it names: never without it. */
static void assert_in_order(const char *file, const char *marker)
{
	ck_assert_uint_ne(call_of(file), 0);
	ck_assert_uint_ne(call_of(marker), 0);
	ck_assert_uint_lt(call_of(file), call_of(marker));
}

START_TEST(a_truncating_open_waits_for_the_last_word)
{
	struct file f;

	put_held("f", "one", 20 * NS_PER_MS);
	ck_assert_int_eq(put_file("marker", "f"), 0);
	ck_assert_int_eq(f_open(&f, "f", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "two", 0), 0);
	(void)sim_run_for(sim, 30 * NS_PER_S);
	assert_in_order("put f", "put marker");
	assert_text(object_of("f"), "one");
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(30 * NS_PER_S));
	assert_text(object_of("f"), "two");
	let_go();
}
END_TEST

START_TEST(what_was_closed_outlives_a_crash_in_the_next)
{
	struct file f;

	put_held("f", "one", 20 * NS_PER_MS);
	ck_assert_int_eq(f_open(&f, "f", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, "tw", 0), 0);
	rig_die();
	let_go();
	ck_assert_int_eq(rig_open(), 0);
	assert_text(text_of("f"), "one");
	ck_assert(settle(30 * NS_PER_S));
	assert_text(object_of("f"), "one");
}
END_TEST

/* A mapping may last: who opens the file anew does not wait for ever. */
START_TEST(a_mapping_is_not_waited_for_long)
{
	int64_t began;
	struct file f;

	put_held("f", "one", 3600 * NS_PER_S);
	began = sim_now(sim);
	ck_assert_int_eq(f_open(&f, "f", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_le(sim_now(sim) - began, NS_PER_S);
	ck_assert_int_eq(f_write(&f, "two", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(30 * NS_PER_S));
	assert_text(object_of("f"), "two");
	let_go();
}
END_TEST

static void replace(const char *name, const char *text)
{
	ck_assert_int_eq(put_file("new", text), 0);
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, "new", FS_ROOT_INO, name,
				   0),
			 0);
}

START_TEST(what_a_rename_replaces_keeps_its_place)
{
	put_held("f", "one", 20 * NS_PER_MS);
	ck_assert_int_eq(put_file("marker", "f"), 0);
	replace("f", "two");
	ck_assert(settle(30 * NS_PER_S));
	assert_in_order("put f", "put marker");
	assert_text(object_of("f"), "two");
	ck_assert_str_eq(names_in_bucket(), " f marker ");
	let_go();
}
END_TEST

START_TEST(unless_it_stays_mapped)
{
	put_held("f", "one", 3600 * NS_PER_S);
	replace("f", "two");
	ck_assert(settle(30 * NS_PER_S));
	assert_text(object_of("f"), "two");
	let_go();
}
END_TEST

/* Nobody is to see it any more: it is not waited for at all. */
START_TEST(what_is_deleted_leaves_at_once)
{
	put_held("f", "one", 3600 * NS_PER_S);
	ck_assert_int_eq(put_file("marker", "x"), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "f"), 0);
	ck_assert(settle(3 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " marker ");
	let_go();
}
END_TEST

/* Held back under a temporary name, and not final when it was renamed: the
 * final seal must not put it back, or the next life knows no place of it. */
START_TEST(a_rename_before_the_last_word_is_kept)
{
	static const struct store_fault down = { .method = "put",
						 .err = -ETIMEDOUT };

	ck_assert_int_eq(store_fault_set(bucket, &down, 1), 0);
	put_held("f.tmp", "one", 20 * NS_PER_MS);
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, "f.tmp", FS_ROOT_INO, "f",
				   0),
			 0);
	(void)sim_run_for(sim, 10 * NS_PER_S);
	ck_assert_uint_ne(call_of("put f"), 0);
	rig_die();
	let_go();
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "f"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " ");
}
END_TEST

/* ---- names that go while a close is under way */

static const struct disk_ops *plain;

/* close(2) asks the disk between looking for a name and sealing. */
static int stat_and_unlink(struct disk *d, int fd, struct disk_stat *ret)
{
	d->ops = plain;
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	return disk_stat(d, fd, ret);
}

static void unlink_in_the_close(void)
{
	static struct disk_ops ops;

	plain = disk->ops;
	ops = *plain;
	ops.stat = stat_and_unlink;
	disk->ops = &ops;
}

START_TEST(a_close_succeeds_when_its_name_goes_meanwhile)
{
	struct file f;

	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	unlink_in_the_close();
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_ptr_eq(disk->ops, plain);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " ");
}
END_TEST

START_TEST(a_close_waits_for_no_bucket_when_its_name_goes_meanwhile)
{
	struct store_fault down = { .method = "put", .err = -ETIMEDOUT };
	struct file f;

	rig_unmount();
	rig_opts.close_mode = FS_REMOTE;
	rig_opts.remote_timeout_ns = 10 * NS_PER_S;
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(store_fault_set(bucket, &down, 1), 0);
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_flush(&f), -EIO); /* the bucket has it not */
	unlink_in_the_close();
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_ptr_eq(disk->ops, plain);
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " ");
}
END_TEST

static void put_below(uint64_t dir, const char *name, const char *text)
{
	struct file f;

	ck_assert_int_eq(f_create_in(&f, dir, name, O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, text, 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	(void)sim_run(sim);
}

/* Its folder moves before that in the line: nobody has ever asked the bucket for
 * what would come with it. */
START_TEST(the_first_of_a_name_in_a_renamed_folder_is_not_folded)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry d;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, FS_ROOT_INO, "d", 0777, &d), 0);
	ck_assert(settle(30 * NS_PER_S));
	ck_assert_int_eq(put_file("before", "it waits for a second"), 0);
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, "d", FS_ROOT_INO, "e", 0),
			 0);
	put_below(d.attr.ino, "f", "one");
	ck_assert_int_eq(put_file("marker", "f"), 0);
	put_below(d.attr.ino, "f", "two");
	ck_assert(settle(30 * NS_PER_S));
	assert_in_order("put e/f", "put marker");
	assert_text(object_of("e/f"), "two");
}
END_TEST

static bool was_sent(void *arg)
{
	return call_of("put a") || arg;
}

/* What was sent is nowhere any more; whether it arrived the bucket tells. */
START_TEST(what_goes_on_after_a_commit_without_an_answer_is_the_next_version)
{
	static const struct store_fault lost[] = {
		{ .method = "put",
		  .count = 1,
		  .err = -ETIMEDOUT,
		  .act = STORE_FAULT_AFTER },
		{ .method = "head",
		  .count = 1,
		  .err = -ETIMEDOUT,
		  .act = STORE_FAULT_BEFORE },
	};
	struct file f;

	ck_assert_int_eq(store_fault_set(bucket, lost, 2), 0);
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	ck_assert(sim_run_until(sim, was_sent, NULL, 60 * NS_PER_S));
	ck_assert_int_eq(f_write(&f, "second", 0), 0);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(600 * NS_PER_S));
	assert_text(object_of("a"), "second");
	ck_assert_str_eq(state_of("a"), "published");
}
END_TEST

static uint64_t sent_of(const char *key)
{
	struct store_obj o;

	return object_head(key, &o) == 0 ? o.size : 0;
}

/* Where the store copies no parts it takes longer until the next time the more of
 * it is sent; but its close is not made to wait for that. */
START_TEST(a_large_log_that_stays_open_is_sent_less_often)
{
	uint64_t size = UINT64_C(32) << 20; /* sent each 5 * 30 s */
	struct file f;

	bucket->caps &= ~(unsigned)STORE_CAP_COPY_PART;
	ck_assert_int_eq(f_create(&f, "train.log", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "x", size - 1), 0);
	sim_run_for(sim, 40 * NS_PER_S);
	ck_assert_uint_eq(sent_of("train.log"), size);
	ck_assert_int_eq(f_write(&f, "x", size), 0);
	sim_run_for(sim, 90 * NS_PER_S);
	ck_assert_uint_eq(sent_of("train.log"), size);
	sim_run_for(sim, 90 * NS_PER_S);
	ck_assert_uint_eq(sent_of("train.log"), size + 1);
	ck_assert_int_eq(f_write(&f, "x", size + 1), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(200 * NS_PER_S));
	ck_assert_uint_eq(sent_of("train.log"), size + 2);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_large_log_that_stays_open_is_sent_less_often);
	tcase_add_test(c, a_truncating_open_waits_for_the_last_word);
	tcase_add_test(c, what_was_closed_outlives_a_crash_in_the_next);
	tcase_add_test(c, a_mapping_is_not_waited_for_long);
	tcase_add_test(c, what_a_rename_replaces_keeps_its_place);
	tcase_add_test(c, unless_it_stays_mapped);
	tcase_add_test(c, what_is_deleted_leaves_at_once);
	tcase_add_test(c, a_rename_before_the_last_word_is_kept);
	tcase_add_test(c, a_close_succeeds_when_its_name_goes_meanwhile);
	tcase_add_test(
		c, a_close_waits_for_no_bucket_when_its_name_goes_meanwhile);
	tcase_add_test(c,
		       the_first_of_a_name_in_a_renamed_folder_is_not_folded);
	tcase_add_test(
		c,
		what_goes_on_after_a_commit_without_an_answer_is_the_next_version);
}

int main(void)
{
	return harness_run("sim_seal", add);
}
