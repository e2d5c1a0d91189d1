/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsck: what it finds of a cache that was harmed between two mounts, what it
 * mends, and that no byte is lost by that.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/fsck.h"

#include "cache/blob.h"
#include "harness.h"
#include "kept_rig.h"

#define TORN "PK\003\004 and no end"

static char said_of[4096];
static struct fsck_sums sums;

static void setup(void)
{
	rig_begin(1);
}

static void teardown(void)
{
	rig_end();
}

static void on_found(void *arg, const char *text, bool mended)
{
	size_t n = strlen(said_of);

	(void)arg;
	(void)snprintf(said_of + n, sizeof(said_of) - n, "%s%s\n",
		       mended ? "+" : "-", text);
}

static int fsck(bool fix)
{
	const struct fsck_opts o = { .source = "mem://",
				     .prefix = rig_opts.prefix,
				     .fix = fix,
				     .found = on_found };

	said_of[0] = '\0';
	return fsck_cache(sim_host(sim), &o, &sums);
}

/* Nothing is wrong (any more). */
static void assert_clean(void)
{
	ck_assert_int_eq(fsck(false), 0);
	ck_assert_str_eq(said_of, "");
	ck_assert_uint_eq(sums.found, 0);
}

/* Exactly this is found, and mended (all: nothing is left). */
static void assert_found(const char *what, bool all)
{
	ck_assert_int_eq(fsck(false), 0);
	ck_assert_msg(strstr(said_of, what), "not \"%s\" but: %s", what,
		      said_of);
	ck_assert_uint_eq(sums.mended, 0);
	ck_assert_uint_gt(sums.found, 0);
	ck_assert_int_eq(fsck(true), 0);
	ck_assert_msg(strstr(said_of, what), "not \"%s\" but: %s", what,
		      said_of);
	ck_assert_int_eq(sums.found == sums.mended, all);
	if (all)
		assert_clean();
}

static unsigned lost_files;

static int count_lost(void *arg, const char *name, bool is_dir)
{
	(void)arg;
	(void)name;
	lost_files += !is_dir;
	return 0;
}

static unsigned lost(void)
{
	lost_files = 0;
	ck_assert_int_eq(disk_list(disk, CACHE_LOST, count_lost, NULL), 0);
	return lost_files;
}

static void remount(void)
{
	ck_assert_int_eq(rig_open(), 0);
}

/* In each state there is. */
static void fill(void)
{
	publish("published", "here");
	publish("evicted", "there");
	ck_assert_int_eq(
		fs_evict(fs, "evicted",
			 &(struct fs_bulk){ .deadline_mono_ns = CLK_NEVER },
			 &(struct fs_bulk_sums){ 0 }),
		0);
	tear("torn.pt", TORN);
	leave_unfinished("unfinished", "half", true);
	ck_assert_int_eq(put_file("queued", "soon"), 0);
	ck_assert_int_eq(put_file("later.tmp", "kept"), 0);
}

START_TEST(a_cache_that_is_whole_is_left_alone)
{
	fill();
	tear("gone.pt", TORN);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "gone.pt"), 0);
	rig_die(); /* it recovers, too; a blob has yet to go */
	assert_clean();
	ck_assert_uint_eq(sums.versions, 5);
	ck_assert_uint_eq(sums.blobs, 6);
	ck_assert_uint_gt(sums.bytes, 10);
	ck_assert_int_eq(fsck(true), 0);
	ck_assert_uint_eq(sums.found, 0);
	ck_assert_uint_eq(lost(), 0);
	remount();
	ck_assert_str_eq(kept(), " torn.pt=torn unfinished=unfinished ");
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("queued"), "soon");
	assert_text(text_of("later.tmp"), "kept");
	assert_text(text_of("evicted"), "there");
}
END_TEST

static void cut(const char *path, uint64_t size)
{
	int fd = disk_open(disk, path, O_RDWR, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(disk_truncate(disk, fd, size), 0);
	disk_close(disk, fd);
}

static const char *blob_of_name(const char *name)
{
	static char path[CACHE_BLOB_PATH_MAX];
	struct meta_inode in = { 0 };
	struct meta_version v = { 0 };
	uint64_t ino = ino_of(name);

	ck_assert_int_eq(meta_begin(meta), 0);
	ck_assert_int_eq(meta_inode_get(meta, ino, &in), 0);
	ck_assert_int_eq(meta_version_get(meta, in.vid, &v), 0);
	meta_end(meta);
	cache_blob_path(v.blob, path);
	return path;
}

/* Gone, or cut short: the bucket has it. */
/* After a power cut: what the next boot means for the rows is still to be done
 * by the mount behind it. */
START_TEST(a_check_takes_nothing_from_the_mount_behind_it)
{
	ck_assert_int_eq(put_file("a", "in parts, of eight bytes each"), 0);
	ck_assert_int_eq(fs_fsyncdir(fs, FS_ROOT_INO), 0);
	rig_cut(100);
	assert_clean();
	rig_opts.transfer.part_size = 8;
	ck_assert_int_eq(rig_open(), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "in parts, of eight bytes each");
	ck_assert_uint_eq(call_of("mpu_part a"), call_of("mpu_part a"));
}
END_TEST

START_TEST(a_lost_copy_is_fetched_again)
{
	const char *path;

	publish("a", "precious");
	(void)sim_run_for(sim, 3 * NS_PER_S);
	path = blob_of_name("a");
	if (_i)
		cut(path, 3);
	else
		lose_blob("a");
	rig_unmount();
	assert_found(_i ? "a: only 3 of its 8 bytes are there; the bucket has "
			  "it, it is fetched again" :
			  "a: its bytes are gone from the cache; the bucket "
			  "has it",
		     true);
	ck_assert_uint_eq(lost(), _i ? 1 : 0);
	remount();
	assert_text(text_of("a"), "precious");
	ck_assert_str_eq(state_of("a"), "published");
}
END_TEST

/* Nobody else has it: that cannot be mended, and is not hidden. */
START_TEST(a_lost_version_is_told_and_left)
{
	struct store_fault slow = { .method = "put",
				    .err = -EAGAIN,
				    .act = STORE_FAULT_BEFORE };

	publish("torn.pt", "whole");
	ck_assert_int_eq(store_fault_set(bucket, &slow, 1), 0);
	ck_assert_int_eq(put_file("queued", "soon"), 0);
	tear("torn.pt", TORN);
	(void)sim_run_for(sim, 3 * NS_PER_S);
	lose_blob("queued");
	cut(blob_of_name("torn.pt"), 4);
	rig_unmount();
	assert_found("queued: its bytes are gone from the cache; nobody else "
		     "has it",
		     false);
	ck_assert_ptr_nonnull(strstr(said_of, "-torn.pt: only 4 of its 15"));
	ck_assert_uint_eq(sums.found, 2);
	ck_assert_uint_eq(lost(), 0);
	take_all();
	remount();
	(void)sim_run_for(sim, 120 * NS_PER_S);
	ck_assert_str_eq(kept(), " queued=parked torn.pt=torn ");
	ck_assert_int_eq(act(FS_RECOVER_DISCARD, ""), 0);
	(void)sim_run_for(sim, 3 * NS_PER_S);
	rig_unmount();
	assert_clean();
}
END_TEST

/* What was appended to it, and is not sealed, lies in the same blob. */
START_TEST(what_another_version_lies_in_stays)
{
	char blob[64];
	struct file f;

	publish("log", "0123456789");
	ck_assert_int_eq(f_open(&f, "log", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, "more", 10), 0);
	(void)snprintf(blob, sizeof(blob), "%s", blob_of_name("log"));
	rig_die();
	cut(blob, 8);
	ck_assert_int_eq(fsck(true), 0);
	ck_assert_ptr_nonnull(strstr(said_of, "log: only 8 of its 10 bytes"));
	ck_assert_uint_eq(lost(), 0);
	remount();
	ck_assert_str_eq(kept(), " log=unfinished* ");
	assert_text(text_of("log"), "0123456789"); /* fetched */
	rig_unmount();
	assert_clean(); /* its bytes are there for who publishes it */
}
END_TEST

START_TEST(a_blob_that_no_row_knows_is_put_aside)
{
	struct cache_tag tag = { 7, 1, "model.pt" };
	struct cache *c;
	uint64_t blob;
	int fd;

	publish("a", "x");
	rig_unmount();
	ck_assert_int_eq(cache_open(sim_host(sim), 9, &c), 0);
	ck_assert_int_eq(cache_blob_new(c, &tag, O_RDWR, &blob, &fd), 0);
	ck_assert_int_eq(disk_pwrite(disk, fd, "bytes", 5, 0), 0);
	cache_blob_close(c, fd);
	cache_close(c);
	assert_found("once of model.pt is known to no row", true);
	ck_assert_uint_eq(lost(), 1);
	remount();
	assert_text(text_of("a"), "x");
}
END_TEST

/* ---- rows that cannot be */

static void harm_row(int how)
{
	struct meta_inode in;
	uint64_t ino = ino_of("a");

	ck_assert_int_eq(meta_begin(meta), 0);
	ck_assert_int_eq(meta_inode_get(meta, ino, &in), 0);
	if (how == 0) {
		in.vid = 4711;
		ck_assert_int_eq(meta_inode_set(meta, &in), 0);
	} else if (how == 1) {
		ck_assert_int_eq(meta_name_add(meta, 1, "ghost", 4711), 0);
	} else {
		ck_assert_int_eq(meta_name_del(meta, 1, "a"), 0);
	}
	ck_assert_int_eq(meta_commit(meta), 0);
	meta_end(meta);
}

START_TEST(rows_that_disagree_are_mended)
{
	static const char *const words[] = {
		"the file a shows a version that is not there",
		"the name ghost leads to no file",
		"the file a is in no folder",
	};

	publish("a", "x");
	publish("b", "y");
	(void)sim_run_for(sim, 3 * NS_PER_S);
	harm_row(_i);
	rig_unmount();
	ck_assert_int_eq(fsck(false), 0);
	ck_assert_msg(strstr(said_of, words[_i]), "%s", said_of);
	ck_assert_int_eq(fsck(true), 0);
	ck_assert_uint_eq(sums.found, sums.mended);
	ck_assert_ptr_nonnull(strstr(said_of, "+1 rows did not agree"));
	assert_clean();
	remount();
	assert_text(text_of("a"), "x");
	assert_text(text_of("b"), "y");
	ck_assert_uint_eq(ino_of("ghost"), 0);
}
END_TEST

/* ---- no database */

static void damage(int how)
{
	static const char junk[8192] = "not a database";
	int fd;

	switch (how) {
	case 0: /* all of it */
		ck_assert_int_eq(disk_unlink(disk, "db"), 0);
		(void)!disk_unlink(disk, "db-wal");
		(void)!disk_unlink(disk, "barrier");
		break;
	case 1: /* the file the barrier speaks of */
		ck_assert_int_eq(disk_unlink(disk, "db"), 0);
		break;
	case 2:
		ck_assert_int_eq(disk_unlink(disk, "barrier"), 0);
		break;
	case 3: /* its end: no row of what is read here */
		fd = disk_open(disk, "db", O_RDWR, 0);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(disk_pwrite(disk, fd, junk, 8, 6 * 4096 + 8),
				 0);
		disk_close(disk, fd);
		break;
	default: /* pages overwritten */
		fd = disk_open(disk, "db", O_RDWR, 0);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(disk_pwrite(disk, fd, junk, sizeof(junk),
					     how == 4 ? 0 : 3 * 4096),
				 0);
		disk_close(disk, fd);
	}
	ck_assert_int_eq(disk_sync_dir(disk, ""), 0);
}

static void checkpoint(void)
{
	struct meta_mark m;

	ck_assert_int_eq(meta_mark(meta, &m), 0);
	ck_assert_int_eq(meta_barrier(meta, &m), 0);
	ck_assert_int_eq(meta_checkpoint(meta), 0);
	/* The log begins anew: the file alone has the rows. */
	ck_assert_int_eq(meta_begin(meta), 0);
	ck_assert_int_eq(meta_dead_add(meta, 4711), 0);
	ck_assert_int_eq(meta_commit(meta), 0);
	meta_end(meta);
}

static void make_deep(void)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry d;
	struct file f;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, FS_ROOT_INO, "d", 0755, &d), 0);
	ck_assert_int_eq(f_create_in(&f, d.attr.ino, "deep", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "far down", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
}

/* Everything with bytes here is had again, under the name it was made by; none
 * of it is believed without a word. */
START_TEST(a_database_is_made_anew_from_the_blobs)
{
	publish("published", "here");
	tear("torn.pt", TORN);
	ck_assert_int_eq(put_file("first", "renamed"), 0);
	ck_assert_int_eq(rename_to("first", "second"), 0);
	make_deep();
	ck_assert(settle(60 * NS_PER_S));
	(void)sim_run_for(sim, 3 * NS_PER_S);
	checkpoint();
	rig_unmount();
	damage(_i);
	ck_assert_int_eq(fsck(false), 0);
	ck_assert_uint_eq(sums.found, 1);
	ck_assert_msg(_i != 3 || (strstr(said_of, "database is damaged: ") &&
				  strstr(said_of, "page 7")),
		      "%s", said_of);
	ck_assert_int_eq(fsck(true), 0);
	ck_assert_uint_eq(sums.found, sums.mended);
	ck_assert_msg(strstr(said_of, "a new database has 4 versions"), "%s",
		      said_of);
	assert_clean();
	remount();
	ck_assert_str_eq(names_in_mount(), " d published second ");
	ck_assert_str_eq(kept(), " first=unfinished* "
				 "lost+found/5/deep=unfinished* "
				 "published=unfinished* torn.pt=unfinished* ");
	assert_text(text_of("second"), "renamed");
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "torn.pt"), 0);
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "lost+found"), -ENOENT);
	ck_assert_int_eq(act(FS_RECOVER_DISCARD, "lost+found"), 0);
	ck_assert_int_eq(act(FS_RECOVER_DISCARD, "first"), 0);
	ck_assert_int_eq(act(FS_RECOVER_DISCARD, "published"), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("torn.pt"), TORN);
	ck_assert_str_eq(kept(), " ");
	rig_unmount();
	assert_clean();
}
END_TEST

/* New blobs and write-ids are above the old ones. */
START_TEST(the_new_epoch_is_above_the_old)
{
	uint32_t before;

	rig_unmount();
	remount();
	rig_unmount();
	remount();
	before = rig_report.epoch;
	publish("a", "x");
	publish("empty", ""); /* no bytes to keep */
	rig_unmount();
	damage(0);
	ck_assert_int_eq(fsck(true), 0);
	ck_assert_ptr_nonnull(strstr(said_of, "a new database has 1 versions"));
	remount();
	ck_assert_uint_gt(rig_report.epoch, before + 1);
	publish("b", "y");
}
END_TEST

START_TEST(what_was_put_aside_stays_there)
{
	publish("a", "x");
	rig_unmount();
	damage(2);
	ck_assert_int_eq(fsck(true), 0);
	ck_assert_uint_eq(lost(), 2); /* the database and its log */
	damage(2); /* within the same second */
	ck_assert_int_eq(fsck(true), 0);
	ck_assert_uint_eq(lost(), 4);
}
END_TEST

/* The machine dies at any call of a repair: the next one ends it. */
START_TEST(a_repair_that_is_cut_short_is_done_again)
{
	unsigned long n;
	bool hit = true;
	int r;

	for (n = 1; hit; n += harness_step()) {
		rig_end();
		rig_begin(n);
		tear("torn.pt", TORN);
		ck_assert_int_eq(put_file("a", "precious"), 0);
		(void)sim_run_for(sim, 20 * NS_PER_S);
		rig_unmount();
		damage(_i);
		simdisk_halt_after(disk, n);
		r = fsck(true);
		hit = simdisk_halted(disk);
		ck_assert_msg(hit || r == 0, "call %lu: %d", n, r);
		simdisk_power_cut(disk, 50);
		ck_assert_msg(fsck(true) == 0, "call %lu: %s", n, said_of);
		assert_clean();
		remount();
		ck_assert_msg(is(kept(), " a=unfinished* torn.pt=unfinished* "),
			      "call %lu:%s", n, kept());
	}
	ck_assert_uint_gt(n, 20);
}
END_TEST

static void add(TCase *c)
{
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_cache_that_is_whole_is_left_alone);
	tcase_add_test(c, a_check_takes_nothing_from_the_mount_behind_it);
	tcase_add_loop_test(c, a_lost_copy_is_fetched_again, 0, 2);
	tcase_add_test(c, a_lost_version_is_told_and_left);
	tcase_add_test(c, what_another_version_lies_in_stays);
	tcase_add_test(c, a_blob_that_no_row_knows_is_put_aside);
	tcase_add_loop_test(c, rows_that_disagree_are_mended, 0, 3);
	tcase_add_loop_test(c, a_database_is_made_anew_from_the_blobs, 0, 6);
	tcase_add_test(c, the_new_epoch_is_above_the_old);
	tcase_add_test(c, what_was_put_aside_stays_there);
	tcase_add_loop_test(c, a_repair_that_is_cut_short_is_done_again, 0, 2);
}

int main(void)
{
	return harness_run("sim_fsck", add);
}
