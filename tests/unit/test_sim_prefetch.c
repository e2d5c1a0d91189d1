/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetching trees before they are read: what comes, what does not and why, and
 * what others do meanwhile.  On the simulated machine.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "prefetch_rig.h"

static int stop(void *arg, const struct fs_bulk_sums *s)
{
	(void)arg;
	return s->done_bytes > 0;
}

/* ---- tests */

START_TEST(a_tree_comes_with_folders_never_listed)
{
	make_tree();
	ck_assert_int_eq(prefetch("d"), 0);
	ck_assert_str_eq(said, "");
	ck_assert_uint_eq(sums.files, 3);
	ck_assert_uint_eq(sums.done_files, 3);
	ck_assert_uint_eq(sums.bytes, 300);
	ck_assert_uint_eq(sums.done_bytes, 300);
	ck_assert_uint_eq(fetched(), 300);
	ck_assert_uint_eq(here("d"), 300);
	ck_assert_uint_eq(here("z"), 0);
	/* Nothing of it needs the store, nor would after a power cut. */
	fault("get", NULL, -EIO, STORE_FAULT_BEFORE);
	rig_cut(0);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_uint_eq(strlen(text_of("d/e/f/c")), 100);
	ck_assert_int_eq(prefetch("d"), 0);
	ck_assert_uint_eq(sums.files, 0);
}
END_TEST

START_TEST(a_file_that_is_here_is_not_fetched)
{
	ck_assert_int_eq(put_file("own", "text"), 0);
	ck_assert_int_eq(put_file("x.tmp", "text"), 0);
	ck_assert_int_eq(prefetch(""), 0);
	ck_assert_uint_eq(sums.files, 0);
	ck_assert_uint_eq(fetched(), 0);
	ck_assert_int_eq(prefetch("none"), -ENOENT);
}
END_TEST

START_TEST(a_folder_of_ours_is_listed_too)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry d;
	struct file f;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, FS_ROOT_INO, "d", 0755, &d), 0);
	ck_assert_int_eq(f_create_in(&f, d.attr.ino, "ours", O_WRONLY), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	put_foreign("run/d/theirs", 100);
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(prefetch(""), 0);
	ck_assert_uint_eq(here("d/theirs"), 100);
}
END_TEST

START_TEST(one_that_does_not_come_keeps_no_other)
{
	static const struct {
		int err;
		enum store_fault_act act;
		const char *said;
	} t[] = {
		{ -EACCES, STORE_FAULT_BEFORE,
		  "d/e/b: the store refuses to give it;" },
		{ -EIO, STORE_FAULT_BEFORE,
		  "d/e/b: it cannot be read: the log says more;" },
		{ -ENOENT, STORE_FAULT_BEFORE,
		  "d/e/b: another writer replaced or deleted it meanwhile;" },
		{ -ESTALE, STORE_FAULT_BEFORE,
		  "d/e/b: another writer replaced or deleted it meanwhile;" },
		{ 0, STORE_FAULT_FLIP,
		  "d/e/b: its bytes do not match their checksum;" },
	};

	int64_t began;

	make_tree();
	fault("get", "e/b", t[_i].err, t[_i].act);
	began = sim_now(sim);
	ck_assert_int_eq(prefetch("d"), 0);
	ck_assert_str_eq(said, t[_i].said);
	/* What is for good is known at once. */
	if (_i >= 2)
		ck_assert_int_lt(sim_now(sim) - began, 400 * NS_PER_MS);
	ck_assert_uint_eq(sums.refused, 1);
	ck_assert_uint_eq(sums.files, 2);
	ck_assert_uint_eq(sums.done_files, 2);
	ck_assert_uint_eq(sums.done_bytes, 200);
	ck_assert_uint_eq(here("d"), 200);
	/* It comes once the store is well again. */
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	(void)sim_run_for(sim, 20 * NS_PER_S);
	ck_assert_int_eq(prefetch("d"), 0);
	ck_assert_str_eq(said, "");
	ck_assert_uint_eq(here("d"), 300);
}
END_TEST

START_TEST(what_the_store_does_not_describe_does_not_come)
{
	make_tree();
	fault("head", "e/b", -EACCES, STORE_FAULT_BEFORE);
	ck_assert_int_eq(prefetch("d"), 0);
	ck_assert_str_eq(said, "d/e/b: it cannot be read: the log says more;");
	ck_assert_uint_eq(here("d"), 200);
}
END_TEST

START_TEST(a_folder_that_cannot_be_listed_is_told)
{
	make_tree();
	fault("list", "d/e/", -EACCES, STORE_FAULT_BEFORE);
	ck_assert_int_eq(prefetch("d"), 0);
	ck_assert_str_eq(said, "d/e: the bucket could not be listed;");
	ck_assert_uint_eq(sums.refused, 1);
	ck_assert_uint_eq(here("d"), 100);
}
END_TEST

START_TEST(a_short_outage_is_waited_out)
{
	const struct store_fault f = { .method = "get",
				       .key = "e/b",
				       .count = 5,
				       .err = -ETIMEDOUT,
				       .act = STORE_FAULT_BEFORE };

	make_tree();
	ck_assert_int_eq(store_fault_set(bucket, &f, 1), 0);
	ck_assert_int_eq(prefetch("d"), 0);
	ck_assert_str_eq(said, "");
	ck_assert_uint_eq(here("d"), 300);
}
END_TEST

START_TEST(one_refusal_among_what_comes_is_no_failure)
{
	const struct store_fault f = { .method = "get",
				       .key = "b",
				       .skip = 1,
				       .count = 1,
				       .err = -EIO,
				       .act = STORE_FAULT_BEFORE };

	rig_opts.download_limit = 4 * MIB;
	put_foreign("run/b", 24 * MIB);
	reopen();
	ck_assert_int_eq(store_fault_set(bucket, &f, 1), 0);
	ck_assert_int_eq(prefetch("b"), 0);
	ck_assert_str_eq(said, "");
	ck_assert_uint_eq(here("b"), 24 * MIB);
}
END_TEST

START_TEST(a_disk_that_fails_is_told)
{
	static const enum simdisk_op op[] = { SIM_PWRITE, SIM_FDATASYNC };

	make_tree();
	ck_assert_uint_eq(here("z"), 0);
	(void)sim_run_for(sim, 5 * NS_PER_S);
	simdisk_fail(disk, op[_i], 1, _i ? -EIO : -ENOSPC, _i == 0);
	ck_assert_int_eq(prefetch("z"), 0);
	simdisk_heal(disk);
	ck_assert_str_eq(said, _i ? "z: it cannot be read: the log says more;"
				  : "z: the cache disk is full;");
	ck_assert_uint_eq(here("z"), 0);
	ck_assert_int_eq(prefetch("z"), 0);
	ck_assert_uint_eq(here("z"), 100);
}
END_TEST

/* A second sync would succeed, and mean nothing. */
START_TEST(what_was_lost_once_is_not_believed)
{
	struct file f;
	uint64_t n;

	make_tree();
	ck_assert_uint_eq(here("z"), 0);
	(void)sim_run_for(sim, 5 * NS_PER_S);
	/* Its only bytes are the last: it is all here as the open returns, or the
	 * janitor has come before, and it is fetched once more. */
	simdisk_fail(disk, SIM_FDATASYNC, 1, -EIO, true);
	ck_assert_int_eq(f_open(&f, "z", O_RDONLY), 0);
	(void)sim_run_for(sim, 10 * NS_PER_MS);
	simdisk_heal(disk);
	(void)sim_run(sim);
	ck_assert_int_eq(prefetch("z"), 0);
	ck_assert_str_eq(said, "z: it cannot be read: the log says more;");
	ck_assert_int_eq(f_close(&f), 0);
	n = fetched();
	ck_assert_int_eq(prefetch("z"), 0);
	ck_assert_str_eq(said, "");
	ck_assert_uint_eq(fetched(), n + 100);
}
END_TEST

/* ---- the end */

START_TEST(it_gives_up_what_has_not_come)
{
	int64_t began;

	make_slow();
	began = sim_now(sim);
	if (_i == 0) {
		how.deadline_mono_ns = began + 6 * NS_PER_S;
		ck_assert_int_eq(prefetch(""), -ETIMEDOUT);
		ck_assert_int_eq(sim_now(sim), how.deadline_mono_ns);
		ck_assert_uint_eq(sums.done_files, 1);
	} else {
		how.progress = stop;
		ck_assert_int_eq(prefetch(""), -ECANCELED);
		ck_assert_int_lt(sim_now(sim), began + 2 * NS_PER_S);
		ck_assert_uint_eq(sums.done_files, 0);
	}
	ck_assert_uint_eq(used(), sums.done_files * 4 * MIB);
	began = (int64_t)fetched();
	(void)sim_run_for(sim, 10 * NS_PER_S);
	ck_assert_uint_eq(fetched(), (uint64_t)began);
	/* Again, and it comes. */
	how.deadline_mono_ns = CLK_NEVER;
	how.progress = NULL;
	ck_assert_int_eq(prefetch(""), 0);
	ck_assert_uint_eq(here(""), 12 * MIB);
}
END_TEST

START_TEST(a_store_that_never_answers_ends_in_time)
{
	make_tree();
	fault("get", NULL, -ETIMEDOUT, STORE_FAULT_BEFORE);
	how.deadline_mono_ns = sim_now(sim) + 3 * NS_PER_S;
	ck_assert_int_eq(prefetch("d"), -ETIMEDOUT);
	ck_assert_int_eq(sim_now(sim), how.deadline_mono_ns);
	ck_assert_uint_eq(used(), 0);
}
END_TEST

static struct file reader;

static void open_all(void)
{
	unsigned i, n = 0;
	char name[2] = "a";

	for (i = 0; i < 3 && !n; i++, name[0]++)
		if (here(name) > 0 && here(name) < 4 * MIB) {
			ck_assert_int_eq(f_open(&reader, name, O_RDONLY), 0);
			n++;
		}
	ck_assert_uint_eq(n, 1);
	how.deadline_mono_ns = sim_now(sim) + NS_PER_S;
}

START_TEST(a_reader_keeps_the_download_that_was_begun)
{
	size_t n;
	int fd;

	make_slow();
	meanwhile = open_all;
	ck_assert_int_eq(prefetch(""), -ETIMEDOUT);
	ck_assert_int_eq(fs_read_from(fs, reader.o.file, 3 * MIB, MIB, &fd, &n),
			 0);
	ck_assert_uint_eq(n, MIB);
	ck_assert_int_eq(f_close(&reader), 0);
	(void)sim_run_for(sim, 10 * NS_PER_S);
	ck_assert_uint_eq(used(), 4 * MIB);
}
END_TEST

/* ---- meanwhile */

static void overwrite_all(void)
{
	ck_assert_int_eq(put_file("a", "new"), 0);
	ck_assert_int_eq(put_file("b", "new"), 0);
	ck_assert_int_eq(put_file("c", "new"), 0);
}

static void unlink_all(void)
{
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "b"), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "c"), 0);
}

START_TEST(what_is_overwritten_or_deleted_meanwhile_is_no_failure)
{
	make_slow();
	meanwhile = _i ? unlink_all : overwrite_all;
	ck_assert_int_eq(prefetch(""), 0);
	ck_assert_ptr_null(meanwhile);
	ck_assert_str_eq(said, "");
	ck_assert(settle(60 * NS_PER_S));
	if (_i) {
		ck_assert_uint_eq(ino_of("a"), 0);
		ck_assert_uint_eq(used(), 0);
		ck_assert_str_eq(names_in_bucket(), " ");
		return;
	}
	assert_text(text_of("a"), "new");
	assert_text(text_of("b"), "new");
	assert_text(object_of("c"), "new");
}
END_TEST

static char evict_said[1024];

static void evict_all(void)
{
	struct fs_bulk e = { .deadline_mono_ns = CLK_NEVER,
			     .refused = how.refused };
	struct fs_bulk_sums s;

	ck_assert_int_eq(fs_evict(fs, "", &e, &s), 0);
	memcpy(evict_said, said, sizeof(said));
	said[0] = '\0';
}

START_TEST(an_evict_leaves_what_is_on_its_way)
{
	make_slow();
	meanwhile = evict_all;
	ck_assert_int_eq(prefetch(""), 0);
	ck_assert_ptr_null(meanwhile);
	ck_assert_ptr_nonnull(strstr(evict_said, ": being prefetched;"));
	ck_assert_uint_eq(here(""), 12 * MIB);
}
END_TEST

static void prefetch_too(void)
{
	struct fs_bulk h = { .deadline_mono_ns = CLK_NEVER };
	struct fs_bulk_sums s;

	ck_assert_int_eq(fs_prefetch(fs, "", &h, &s), 0);
	ck_assert_uint_eq(here(""), 12 * MIB);
}

START_TEST(two_of_them_share_the_downloads)
{
	make_slow();
	meanwhile = prefetch_too;
	ck_assert_int_eq(prefetch(""), 0);
	ck_assert_ptr_null(meanwhile);
	ck_assert_uint_eq(fetched(), 12 * MIB);
	ck_assert_uint_eq(sums.done_files, 3);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, prefetch_begin, rig_end);
	tcase_add_test(c, a_tree_comes_with_folders_never_listed);
	tcase_add_test(c, a_file_that_is_here_is_not_fetched);
	tcase_add_test(c, a_folder_of_ours_is_listed_too);
	tcase_add_loop_test(c, one_that_does_not_come_keeps_no_other, 0, 5);
	tcase_add_test(c, what_the_store_does_not_describe_does_not_come);
	tcase_add_test(c, a_folder_that_cannot_be_listed_is_told);
	tcase_add_test(c, a_short_outage_is_waited_out);
	tcase_add_test(c, one_refusal_among_what_comes_is_no_failure);
	tcase_add_loop_test(c, a_disk_that_fails_is_told, 0, 2);
	tcase_add_test(c, what_was_lost_once_is_not_believed);
	tcase_add_loop_test(c, it_gives_up_what_has_not_come, 0, 2);
	tcase_add_test(c, a_store_that_never_answers_ends_in_time);
	tcase_add_test(c, a_reader_keeps_the_download_that_was_begun);
	tcase_add_loop_test(
		c, what_is_overwritten_or_deleted_meanwhile_is_no_failure, 0,
		2);
	tcase_add_test(c, an_evict_leaves_what_is_on_its_way);
	tcase_add_test(c, two_of_them_share_the_downloads);
}

int main(void)
{
	return harness_run("sim_prefetch", add);
}
