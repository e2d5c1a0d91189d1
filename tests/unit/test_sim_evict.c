/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letting go of files by name: what goes, what stays and why, and who comes in
 * between.  On simulated disks, with writers past the daemon.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/thr.h"

#include "fs_rig.h"
#include "harness.h"

static char said[1024]; /* what was refused, "path: why;" each */
static struct fs_bulk_sums sums;

static void refused(void *arg, const char *path, const char *why)
{
	size_t n = strlen(said);

	(void)arg;
	(void)snprintf(said + n, sizeof(said) - n, "%s: %s;", path, why);
}

static int evict(const char *path)
{
	struct fs_bulk how = { .deadline_mono_ns = CLK_NEVER,
			       .refused = refused };

	said[0] = '\0';
	return fs_evict(fs, path, &how, &sums);
}

static uint64_t used(void)
{
	struct fs_stats st;

	fs_stats(fs, &st);
	ck_assert_uint_eq(st.cache_files > 0, st.cache_used > 0);
	return st.cache_used;
}

static uint64_t avail(void)
{
	struct disk_space sp;

	ck_assert_int_eq(disk_space(disk, &sp), 0);
	return sp.avail;
}

static void setup(void)
{
	rig_begin(1);
}

static void published(const char *name, const char *text)
{
	ck_assert_int_eq(put_file(name, text), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(state_of(name), "published");
}

START_TEST(a_file_goes_and_is_still_there)
{
	char *large = calloc(1, 1 << 20);
	struct fs_attr before, after;
	struct fs_file_info info;
	uint64_t full;

	ck_assert_ptr_nonnull(large);
	memset(large, 'x', (1 << 20) - 1);
	published("a", "text");
	published("b", large);
	free(large);
	ck_assert_int_eq(fs_getattr(fs, ino_of("b"), NULL, &before), 0);
	full = avail();
	ck_assert_int_eq(evict("b"), 0);
	ck_assert_uint_eq(sums.done_files, 1);
	ck_assert_uint_eq(sums.done_bytes, (1 << 20) - 1);
	ck_assert_uint_eq(sums.refused, 0);
	/* Its space is free now, not some time later. */
	ck_assert_uint_ge(avail(), full + (1 << 19));
	ck_assert_uint_eq(used(), 4);
	ck_assert_int_eq(fs_path_info(fs, "b", &info), 0);
	ck_assert_str_eq(info.state, "cold");
	ck_assert_uint_eq(info.cached, 0);
	ck_assert_uint_eq(info.cached_files, 0);
	ck_assert_uint_eq(info.files, 1);
	ck_assert_uint_eq(info.size, (1 << 20) - 1);
	ck_assert_int_eq(fs_getattr(fs, ino_of("b"), NULL, &after), 0);
	ck_assert_mem_eq(&before, &after, sizeof(before));
	/* The other was not asked for. */
	ck_assert_str_eq(state_of("a"), "published");
	/* Nothing of it is here any more, so nothing needs to be done. */
	ck_assert_int_eq(evict("b"), 0);
	ck_assert_uint_eq(sums.done_files, 0);
}
END_TEST

START_TEST(who_reads_it_fetches_it_again)
{
	struct fs_file_info info;

	published("a", "text");
	ck_assert_int_eq(evict("a"), 0);
	assert_text(text_of("a"), "text");
	(void)sim_run_for(sim, NS_PER_S);
	ck_assert_int_eq(fs_path_info(fs, "a", &info), 0);
	ck_assert_str_eq(info.state, "published");
	ck_assert_uint_eq(info.cached, 4);
	ck_assert_int_eq(evict("a"), 0);
	/* It can be overwritten and appended to as well. */
	ck_assert_int_eq(put_file("a", "more"), 0);
	assert_text(text_of("a"), "more");
}
END_TEST

START_TEST(f41_what_the_bucket_has_not_stays)
{
	static const struct store_fault no = { .key = "parked",
					       .err = -EACCES,
					       .act = STORE_FAULT_BEFORE };

	ck_assert_int_eq(put_file("new", "x"), 0);
	ck_assert_int_eq(evict("new"), 0);
	ck_assert_str_eq(said, "new: not in the bucket yet: 'ckptfs sync' "
			       "waits for it;");
	ck_assert_uint_eq(sums.refused, 1);
	ck_assert_uint_eq(sums.done_files, 0);
	ck_assert_int_eq(put_file("a.tmp", "x"), 0);
	ck_assert_int_eq(evict("a.tmp"), 0);
	ck_assert_str_eq(said, "a.tmp: kept local (temporary name);");
	ck_assert_int_eq(store_fault_set(bucket, &no, 1), 0);
	ck_assert_int_eq(put_file("parked", "x"), 0);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_int_eq(evict("parked"), 0);
	ck_assert_uint_eq(sums.refused, 1);
	assert_text(text_of("new"), "x");
	assert_text(text_of("a.tmp"), "x");
	assert_text(text_of("parked"), "x");
}
END_TEST

START_TEST(what_is_open_stays)
{
	static const int how[] = { O_RDONLY, O_WRONLY, O_WRONLY | O_APPEND };
	struct file f;

	rig_passthrough = _i < 3;
	published("a", "text");
	ck_assert_int_eq(f_open(&f, "a", how[_i % 3]), 0);
	ck_assert_int_eq(evict(""), 0);
	ck_assert_str_eq(said, "a: open;");
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(evict(""), 0);
	ck_assert_str_eq(said, "");
	ck_assert_str_eq(state_of("a"), "cold");
	assert_text(text_of("a"), "text");
}
END_TEST

START_TEST(what_is_mapped_stays_with_its_bytes)
{
	int mapped;

	published("a", "text");
	mapped = intrude(ino_of("a"));
	ck_assert_int_ge(mapped, 0);
	ck_assert_int_eq(evict("a"), 0);
	ck_assert_str_eq(said, "a: mapped by a process;");
	ck_assert_str_eq(state_of("a"), "published");
	simdisk_external_close(disk, mapped);
	ck_assert_int_eq(evict("a"), 0);
	ck_assert_str_eq(state_of("a"), "cold");
}
END_TEST

/* Closed and not yet at rest: what a mapping writes now is not published. */
START_TEST(what_is_mapped_after_a_snapshot_stays)
{
	struct file f;
	int mapped;

	rig_opts.transfer.upload_interval_ns = NS_PER_S;
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(f_create(&f, "a.log", O_RDWR), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	(void)sim_run_for(sim, 10 * NS_PER_S);
	assert_text(object_of("a.log"), "one");
	mapped = intrude(f.ino);
	f_release(&f);
	ck_assert_int_eq(evict("a.log"), 0);
	ck_assert_str_eq(said, "a.log: mapped by a process;");
	ck_assert_int_eq(simdisk_external_write(disk, mapped, "two", 3, 3), 0);
	simdisk_external_close(disk, mapped);
	(void)sim_run_for(sim, 10 * NS_PER_S);
	assert_text(object_of("a.log"), "onetwo");
}
END_TEST

static struct file late;
static int64_t late_at;

static int64_t close_late(void *arg)
{
	int64_t left = late_at - sim_now(sim);

	(void)arg;
	if (!late.open)
		return CLK_NEVER;
	if (left > 0)
		return left;
	ck_assert_int_eq(f_close(&late), 0);
	return CLK_NEVER;
}

/* The kernel tells of a close(2) after it has returned. */
START_TEST(what_was_closed_just_now_is_waited_for)
{
	struct thr_worker *w;

	published("a", "text");
	published("b", "text");
	ck_assert_int_eq(f_open(&late, "a", O_RDONLY), 0);
	late_at = sim_now(sim) + 300 * NS_PER_MS;
	ck_assert_int_eq(
		thr_start(sim_host(sim)->thr, "late", close_late, NULL, &w), 0);
	ck_assert_int_eq(evict(""), 0);
	ck_assert_str_eq(said, "");
	ck_assert_uint_eq(sums.done_files, 2);
	thr_stop(w);
}
END_TEST

START_TEST(the_wait_is_for_all_of_them_together)
{
	struct file f[20];
	char name[16];
	int64_t began;
	unsigned i;

	for (i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		ck_assert_int_eq(put_file(name, "x"), 0);
	}
	ck_assert(settle(60 * NS_PER_S));
	for (i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		ck_assert_int_eq(f_open(&f[i], name, O_RDONLY), 0);
	}
	began = sim_now(sim);
	ck_assert_int_eq(evict(""), 0);
	ck_assert_uint_eq(sums.refused, 20);
	ck_assert_int_lt(sim_now(sim) - began, 2 * NS_PER_S);
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(f_close(&f[i]), 0);
}
END_TEST

START_TEST(the_space_of_many_is_free_at_once)
{
	static char text[65536];
	char name[16];
	uint64_t full;
	unsigned i;

	memset(text, 'x', sizeof(text) - 1);
	for (i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		ck_assert_int_eq(put_file(name, text), 0);
	}
	ck_assert(settle(60 * NS_PER_S));
	(void)sim_run_for(sim, 5 * NS_PER_S);
	full = avail();
	ck_assert_int_eq(evict(""), 0);
	ck_assert_uint_eq(sums.done_files, 100);
	/* Less what the database has written meanwhile. */
	ck_assert_uint_ge(avail(), full + 50 * sizeof(text));
}
END_TEST

static void make_tree(void)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry d, e, l;
	struct file f;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, FS_ROOT_INO, "d", 0755, &d), 0);
	ck_assert_int_eq(fs_mkdir(fs, &ctx, d.attr.ino, "e", 0755, &e), 0);
	ck_assert_int_eq(fs_symlink(fs, &ctx, "e/y", d.attr.ino, "l", &l), 0);
	ck_assert_int_eq(f_create_in(&f, d.attr.ino, "x", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "text", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(f_create_in(&f, e.attr.ino, "y", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "deep", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(put_file("z", "stays"), 0);
	ck_assert(settle(60 * NS_PER_S));
}

START_TEST(a_tree_goes_by_what_is_known_here)
{
	static const struct store_fault no = { .method = "list",
					       .err = -EACCES,
					       .act = STORE_FAULT_BEFORE };
	struct fs_file_info info;

	make_tree();
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(fs_path_info(fs, "d", &info), 0);
	ck_assert(info.is_dir);
	ck_assert_uint_eq(info.files, 2);
	ck_assert_uint_eq(info.cached_files, 2);
	ck_assert_uint_eq(info.size, 8);
	ck_assert_uint_eq(info.cached, 8);
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(store_fault_set(bucket, &no, 1), 0);
	ck_assert_int_eq(evict("d"), 0);
	ck_assert_str_eq(said, "");
	ck_assert_uint_eq(sums.done_files, 2);
	ck_assert_uint_eq(used(), 5);
	ck_assert_int_eq(fs_path_info(fs, "d", &info), 0);
	ck_assert_uint_eq(info.cached_files, 0);
	ck_assert_uint_eq(info.cached, 0);
	assert_text(text_of("d/e/y"), "deep");
}
END_TEST

START_TEST(a_link_by_name_is_not_followed)
{
	make_tree();
	ck_assert_int_eq(evict("d/l"), 0);
	ck_assert_str_eq(said, "d/l: a symbolic link: name the file it leads "
			       "to;");
	ck_assert_uint_eq(used(), 13);
	ck_assert_int_eq(evict("none"), -ENOENT);
}
END_TEST

static int give_in(void *arg, const struct fs_bulk_sums *s)
{
	(void)arg;
	(void)s;
	return 1;
}

START_TEST(it_ends_when_told_or_in_time)
{
	struct fs_bulk how = { .deadline_mono_ns = sim_now(sim),
			       .refused = refused };
	struct file a, b;

	published("a", "text");
	published("b", "text");
	ck_assert_int_eq(fs_evict(fs, "", &how, &sums), -ETIMEDOUT);
	ck_assert_uint_eq(used(), 8);
	/* The first that is open is waited for, so that time passes. */
	ck_assert_int_eq(f_open(&a, "a", O_RDONLY), 0);
	ck_assert_int_eq(f_open(&b, "b", O_RDONLY), 0);
	how.deadline_mono_ns = CLK_NEVER;
	how.progress = give_in;
	ck_assert_int_eq(fs_evict(fs, "", &how, &sums), -ECANCELED);
	ck_assert_uint_eq(sums.refused, 1);
	ck_assert_int_eq(f_close(&a), 0);
	ck_assert_int_eq(f_close(&b), 0);
}
END_TEST

START_TEST(a_disk_that_fails_is_told)
{
	published("a", "text");
	simdisk_fail(disk, SIM_FDATASYNC, 1, -EIO, true);
	ck_assert_int_lt(evict("a"), 0);
	simdisk_heal(disk);
}
END_TEST

/* A power cut right after: the file is cold or here, and whole. */
START_TEST(a_power_cut_finds_it_here_or_cold)
{
	published("a", "text");
	simdisk_halt_after(disk, (unsigned long)_i);
	(void)!evict("a");
	simdisk_heal(disk);
	rig_cut(_i % 2 ? 50 : 0);
	ck_assert_int_eq(rig_open(), 0);
	assert_text(text_of("a"), "text");
}
END_TEST

/* ---- downloads */

#define MIB (UINT64_C(1) << 20)

static ssize_t stripes(void *arg, uint64_t off, void *p, size_t n)
{
	(void)arg;
	memset(p, 'a' + (int)(off / MIB % 26), n);
	return (ssize_t)n;
}

static void put_foreign(const char *key, uint64_t size)
{
	struct store_src src = { .read = stripes, .len = size };
	struct store_meta m = { .write_id = "x" };
	struct store_obj o;

	ck_assert_int_eq(store_put(bucket, key, &src, &m, NULL, &o), 0);
}

START_TEST(a_download_nobody_reads_any_more_goes)
{
	struct file f;
	struct fs_file_info info;

	rig_opts.download_limit = 4 * MIB;
	rig_unmount();
	put_foreign("run/big", 32 * MIB);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(f_open(&f, "big", O_RDONLY), 0);
	(void)sim_run_for(sim, NS_PER_S);
	ck_assert_int_eq(evict("big"), 0);
	ck_assert_str_eq(said, "big: open;");
	ck_assert_int_eq(fs_path_info(fs, "big", &info), 0);
	ck_assert_uint_gt(info.cached, 0);
	ck_assert_uint_lt(info.cached, 32 * MIB);
	ck_assert_uint_eq(info.cached_files, 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(evict("big"), 0);
	ck_assert_str_eq(said, "");
	ck_assert_uint_gt(sums.done_bytes, 0);
	ck_assert_uint_lt(sums.done_bytes, 32 * MIB);
	ck_assert_uint_eq(used(), 0);
	ck_assert_str_eq(state_of("big"), "cold");
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_uint_eq(used(), 0);
}
END_TEST

static unsigned reads;

static int64_t read_on(void *arg)
{
	const char *text = text_of("a");

	(void)arg;
	ck_assert_msg(text && strcmp(text, "text") == 0, "read %u: %s", reads,
		      text ? text : "nothing");
	return ++reads < 20 ? (int64_t)(reads % 3) * NS_PER_MS : CLK_NEVER;
}

START_TEST(who_opens_it_meanwhile_gets_all_of_it)
{
	struct thr_worker *w;
	unsigned i;

	rig_end();
	rig_begin((uint64_t)_i + 1);
	rig_passthrough = _i % 2;
	published("a", "text");
	reads = 0;
	ck_assert_int_eq(
		thr_start(sim_host(sim)->thr, "reader", read_on, NULL, &w), 0);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(evict("a"), 0);
	(void)sim_run_for(sim, NS_PER_S);
	ck_assert_uint_eq(reads, 20);
	thr_stop(w);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, rig_end);
	tcase_add_test(c, a_file_goes_and_is_still_there);
	tcase_add_test(c, who_reads_it_fetches_it_again);
	tcase_add_test(c, f41_what_the_bucket_has_not_stays);
	tcase_add_loop_test(c, what_is_open_stays, 0, 6);
	tcase_add_test(c, what_is_mapped_stays_with_its_bytes);
	tcase_add_test(c, what_is_mapped_after_a_snapshot_stays);
	tcase_add_test(c, what_was_closed_just_now_is_waited_for);
	tcase_add_test(c, the_wait_is_for_all_of_them_together);
	tcase_add_test(c, the_space_of_many_is_free_at_once);
	tcase_add_test(c, a_tree_goes_by_what_is_known_here);
	tcase_add_test(c, a_link_by_name_is_not_followed);
	tcase_add_test(c, it_ends_when_told_or_in_time);
	tcase_add_test(c, a_disk_that_fails_is_told);
	tcase_add_loop_test(c, a_power_cut_finds_it_here_or_cold, 0, 40);
	tcase_add_test(c, a_download_nobody_reads_any_more_goes);
	tcase_add_loop_test(c, who_opens_it_meanwhile_gets_all_of_it, 0, 20);
}

int main(void)
{
	return harness_run("sim_evict", add);
}
