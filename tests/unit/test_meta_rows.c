/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes, names, objects, transactions: what goes in comes out, also after the
 * process died. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/disk.h"
#include "ckptfs/host.h"
#include "ckptfs/meta.h"

#include "harness.h"
#include "meta_db.h"

static int note_inode(void *arg, const struct meta_inode *row)
{
	(void)arg;
	note(row->name, row->ino);
	return 0;
}

static int note_object(void *arg, const struct meta_object *row)
{
	(void)arg;
	note(row->key, row->size);
	return 0;
}

static int note_dead(void *arg, uint64_t blob)
{
	(void)arg;
	note("b", blob);
	return 0;
}

static int stop_at_once(void *arg, uint64_t blob)
{
	(void)blob;
	return ++*(int *)arg;
}

/* ---- inodes and names */

static struct meta_inode an_inode(void)
{
	struct meta_inode i = {
		.kind = META_SYMLINK,
		.parent = META_ROOT_INO,
		.mode = 07654,
		.uid = 4294967295u,
		.gid = 4294967294u,
		.mtime_ns = -1,
		.ctime_ns = INT64_MAX,
		.size = UINT64_MAX,
		.vid = UINT64_MAX - 1,
		.meta_known = true,
		.marker = true,
	};

	memcpy(i.name, odd, sizeof(odd));
	memset(i.key, 0xfe, META_KEY_MAX);
	memset(i.target, 0x80, META_KEY_MAX);
	return i;
}

START_TEST(an_inode_comes_back_as_it_was)
{
	struct meta_inode i = an_inode(), got;

	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	ck_assert_uint_gt(i.ino, META_ROOT_INO);
	over_a_crash();
	memset(&got, 0x55, sizeof(got));
	ck_assert_int_eq(meta_inode_get(m, i.ino, &got), 0);
	ck_assert_uint_eq(got.ino, i.ino);
	ck_assert_int_eq(got.kind, i.kind);
	ck_assert_uint_eq(got.parent, i.parent);
	ck_assert_str_eq(got.name, i.name);
	ck_assert_uint_eq(got.mode, i.mode);
	ck_assert_uint_eq(got.uid, i.uid);
	ck_assert_uint_eq(got.gid, i.gid);
	ck_assert_int_eq(got.mtime_ns, i.mtime_ns);
	ck_assert_int_eq(got.ctime_ns, i.ctime_ns);
	ck_assert_uint_eq(got.size, i.size);
	ck_assert_uint_eq(got.vid, i.vid);
	ck_assert_str_eq(got.key, i.key);
	ck_assert_str_eq(got.target, i.target);
	ck_assert(got.meta_known && got.marker);
	i.marker = false;
	i.key[0] = '\0';
	i.kind = META_FILE;
	ck_assert_int_eq(meta_inode_set(m, &i), 0);
	ck_assert_int_eq(meta_inode_get(m, i.ino, &got), 0);
	ck_assert(got.meta_known && !got.marker);
	ck_assert_str_eq(got.key, "");
	ck_assert_int_eq(got.kind, META_FILE);
	commit();
}
END_TEST

START_TEST(the_root_is_there_from_the_beginning)
{
	struct meta_inode got;

	ck_assert_int_eq(meta_inode_get(m, META_ROOT_INO, &got), 0);
	ck_assert_int_eq(got.kind, META_DIR);
	ck_assert_uint_eq(got.parent, 0);
	got.size = 9;
	ck_assert_int_eq(meta_inode_set(m, &got), 0);
	over_a_crash();
	ck_assert_int_eq(meta_inode_get(m, META_ROOT_INO, &got), 0);
	ck_assert_uint_eq(got.size, 9);
	commit();
}
END_TEST

START_TEST(an_inode_that_is_not_there_is_said_so)
{
	struct meta_inode i = an_inode();

	i.ino = 77;
	ck_assert_int_eq(meta_inode_get(m, 77, &i), -ENOENT);
	ck_assert_int_eq(meta_inode_set(m, &i), -ENOENT);
	ck_assert_int_eq(meta_inode_del(m, 77), -ENOENT);
	commit(); /* none of that spoils the transaction */
}
END_TEST

START_TEST(a_number_never_comes_back)
{
	struct meta_inode i = an_inode();
	struct meta_version v = { .state = META_SEALED };
	struct meta_op o = { .kind = META_OP_DEL };
	uint64_t ino, vid, seq, last;

	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	ck_assert_int_eq(meta_version_add(m, &v), 0);
	ck_assert_int_eq(meta_op_last(m, &last), 0);
	ck_assert_uint_eq(last, 0);
	ck_assert_int_eq(meta_op_add(m, &o), 0);
	ino = i.ino;
	vid = v.vid;
	seq = o.seq;
	ck_assert_int_eq(meta_inode_del(m, ino), 0);
	ck_assert_int_eq(meta_version_del(m, vid), 0);
	ck_assert_int_eq(meta_op_del(m, seq), 0);
	over_a_crash();
	ck_assert_int_eq(meta_op_last(m, &last), 0);
	ck_assert_uint_eq(last, seq);
	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	ck_assert_int_eq(meta_version_add(m, &v), 0);
	ck_assert_int_eq(meta_op_add(m, &o), 0);
	ck_assert_uint_gt(i.ino, ino);
	ck_assert_uint_gt(v.vid, vid);
	ck_assert_uint_gt(o.seq, seq);
	commit();
}
END_TEST

START_TEST(names_are_bytes_and_come_in_order)
{
	static const char *const names[] = { "b", "a\xff", "a", "\x01", odd };
	struct meta_inode i = { .kind = META_FILE, .parent = 5 };
	uint64_t ino, first = 0;
	size_t k;

	for (k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		memcpy(i.name, names[k], strlen(names[k]) + 1);
		ck_assert_int_eq(meta_inode_add(m, &i), 0);
		first = first ? first : i.ino;
		ck_assert_int_eq(meta_name_add(m, 5, names[k], i.ino), 0);
	}
	ck_assert_int_eq(meta_name_add(m, 5, "a", 1), -EEXIST);
	ck_assert_int_eq(meta_name_add(m, 6, "a", first), 0);
	over_a_crash();
	ck_assert_int_eq(meta_name_get(m, 5, odd, &ino), 0);
	ck_assert_uint_eq(ino, first + 4);
	ck_assert_int_eq(meta_name_get(m, 5, "A", &ino), -ENOENT);
	seen[0] = '\0';
	ck_assert_int_eq(meta_name_each(m, 5, note_inode, NULL), 0);
	i.name[0] = '\0';
	{
		char want[200];
		unsigned long long f = first;

		(void)snprintf(want, sizeof(want),
			       "\x01:%llu %s:%llu a:%llu a\xff:%llu b:%llu ",
			       f + 3, odd, f + 4, f + 2, f + 1, f);
		ck_assert_str_eq(seen, want);
	}
	ck_assert_int_eq(meta_name_del(m, 5, odd), 0);
	ck_assert_int_eq(meta_name_del(m, 5, odd), -ENOENT);
	ck_assert_int_eq(meta_name_get(m, 5, odd, &ino), -ENOENT);
	commit();
}
END_TEST

START_TEST(unlinked_inodes_are_found)
{
	struct meta_inode i = an_inode();
	char want[600];

	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	i.parent = 0;
	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	seen[0] = '\0';
	ck_assert_int_eq(meta_inode_each_unlinked(m, note_inode, NULL), 0);
	(void)snprintf(want, sizeof(want), "%s:%llu ", odd,
		       (unsigned long long)i.ino);
	ck_assert_str_eq(seen, want);
	commit();
}
END_TEST

/* ---- objects and dead blobs */

START_TEST(an_object_comes_back_as_it_was)
{
	struct meta_object o = { .ino = UINT64_MAX,
				 .vid = 2,
				 .bound = 3,
				 .etag = "\"e'tag\"",
				 .size = UINT64_MAX,
				 .mtime_ns = -5,
				 .has_crc64 = _i == 1,
				 .crc64 = _i == 1 ? UINT64_MAX : 0,
				 .has_crc32c = _i == 2,
				 .crc32c = _i == 2 ? UINT32_MAX : 0,
				 .commit_end_ns = 6 },
			   got;

	memset(o.key, 0x81, META_KEY_MAX);
	ck_assert_int_eq(meta_object_set(m, &o), 0);
	over_a_crash();
	memset(&got, 0x55, sizeof(got));
	ck_assert_int_eq(meta_object_get(m, o.key, &got), 0);
	ck_assert_str_eq(got.key, o.key);
	ck_assert_uint_eq(got.ino, o.ino);
	ck_assert_uint_eq(got.vid, o.vid);
	ck_assert_uint_eq(got.bound, o.bound);
	ck_assert_str_eq(got.etag, o.etag);
	ck_assert_uint_eq(got.size, o.size);
	ck_assert_int_eq(got.mtime_ns, o.mtime_ns);
	ck_assert(got.has_crc64 == o.has_crc64);
	ck_assert_uint_eq(got.crc64, o.crc64);
	ck_assert(got.has_crc32c == o.has_crc32c);
	ck_assert_uint_eq(got.crc32c, o.crc32c);
	ck_assert_int_eq(got.commit_end_ns, 6);
	o.size = 1;
	ck_assert_int_eq(meta_object_set(m, &o), 0);
	ck_assert_int_eq(meta_object_get(m, o.key, &got), 0);
	ck_assert_uint_eq(got.size, 1);
	ck_assert_int_eq(meta_object_del(m, o.key), 0);
	ck_assert_int_eq(meta_object_del(m, o.key), -ENOENT);
	ck_assert_int_eq(meta_object_get(m, o.key, &got), -ENOENT);
	commit();
}
END_TEST

static const struct {
	const char *prefix, *want;
} prefixes[] = {
	{ "", "a:0 a!:1 a/:2 a/b:3 a/b/c:4 a0:5 \xff:6 \xff\xff:7 " },
	{ "a", "a:0 a!:1 a/:2 a/b:3 a/b/c:4 a0:5 " },
	{ "a/", "a/:2 a/b:3 a/b/c:4 " },
	{ "a/b/", "a/b/c:4 " },
	{ "\xff", "\xff:6 \xff\xff:7 " },
	{ "\xff\xff\xff", "" },
	{ "b", "" },
};

START_TEST(objects_come_by_prefix_in_order)
{
	static const char *const keys[] = { "a",     "a!", "a/",   "a/b",
					    "a/b/c", "a0", "\xff", "\xff\xff" };
	struct meta_object o = { .ino = 1 };
	size_t i;

	for (i = sizeof(keys) / sizeof(keys[0]); i-- > 0;) {
		memset(o.key, 0, sizeof(o.key));
		memcpy(o.key, keys[i], strlen(keys[i]));
		o.size = i;
		ck_assert_int_eq(meta_object_set(m, &o), 0);
	}
	seen[0] = '\0';
	ck_assert_int_eq(
		meta_object_each(m, prefixes[_i].prefix, note_object, NULL), 0);
	ck_assert_str_eq(seen, prefixes[_i].want);
	commit();
}
END_TEST

START_TEST(dead_blobs_are_a_set)
{
	int n = 0;

	ck_assert_int_eq(meta_dead_add(m, 5), 0);
	ck_assert_int_eq(meta_dead_add(m, 3), 0);
	ck_assert_int_eq(meta_dead_add(m, 5), 0);
	over_a_crash();
	seen[0] = '\0';
	ck_assert_int_eq(meta_dead_each(m, note_dead, NULL), 0);
	ck_assert_str_eq(seen, "b:3 b:5 ");
	ck_assert_int_eq(meta_dead_each(m, stop_at_once, &n), 1);
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(meta_dead_del(m, 3), 0);
	ck_assert_int_eq(meta_dead_del(m, 3), -ENOENT);
	seen[0] = '\0';
	ck_assert_int_eq(meta_dead_each(m, note_dead, NULL), 0);
	ck_assert_str_eq(seen, "b:5 ");
	commit();
}
END_TEST

static int note_owed(void *arg, const char *key, uint64_t ino)
{
	note(key, ino);
	return arg ? 4 : 0;
}

START_TEST(owed_deletes_are_by_key_and_counted)
{
	char longest[META_KEY_MAX + 1] = "";
	uint64_t ino = 0;

	memset(longest, 0xff, META_KEY_MAX);
	ck_assert(!meta_owed_any(m));
	ck_assert_int_eq(meta_owed_set(m, odd, UINT64_MAX), 0);
	ck_assert_int_eq(meta_owed_set(m, longest, 1), 0);
	ck_assert_int_eq(meta_owed_set(m, "a", 2), 0);
	ck_assert_int_eq(meta_owed_set(m, "a", 3), 0); /* another's now */
	over_a_crash();
	ck_assert(meta_owed_any(m));
	ck_assert_int_eq(meta_owed_get(m, odd, &ino), 0);
	ck_assert_uint_eq(ino, UINT64_MAX);
	ck_assert_int_eq(meta_owed_get(m, "b", &ino), -ENOENT);
	ck_assert_int_eq(meta_owed_del(m, "b"), -ENOENT);
	ck_assert_int_eq(meta_owed_del(m, odd), 0);
	ck_assert_int_eq(meta_owed_del(m, longest), 0);
	seen[0] = '\0';
	ck_assert_int_eq(meta_owed_each(m, note_owed, NULL), 0);
	ck_assert_str_eq(seen, "a:3 ");
	ck_assert_int_eq(meta_owed_each(m, note_owed, m), 4);
	ck_assert_int_eq(meta_owed_del(m, "a"), 0);
	ck_assert(!meta_owed_any(m));
	meta_end(m); /* rolled back: all three are there again */
	begin();
	ck_assert(meta_owed_any(m));
	ck_assert_int_eq(meta_owed_get(m, longest, &ino), 0);
	ck_assert_uint_eq(ino, 1);
	commit();
}
END_TEST

/* ---- transactions */

START_TEST(what_is_not_committed_is_gone)
{
	struct meta_inode i = an_inode(), got;
	struct meta_object o = { .key = "k" };
	uint64_t commits = meta_commits(m), ino;

	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	ck_assert_int_eq(meta_name_add(m, 1, "x", i.ino), 0);
	ck_assert_int_eq(meta_object_set(m, &o), 0);
	ck_assert_int_eq(meta_dead_add(m, 1), 0);
	meta_end(m);
	ck_assert_uint_eq(meta_commits(m), commits);
	begin();
	ck_assert_int_eq(meta_inode_get(m, i.ino, &got), -ENOENT);
	ck_assert_int_eq(meta_name_get(m, 1, "x", &ino), -ENOENT);
	ck_assert_int_eq(meta_object_get(m, "k", &o), -ENOENT);
	seen[0] = '\0';
	ck_assert_int_eq(meta_dead_each(m, note_dead, NULL), 0);
	ck_assert_str_eq(seen, "");
	/* Nothing was written: nothing a barrier has to cover. */
	commit();
	ck_assert_uint_eq(meta_commits(m), commits);
	begin();
	ck_assert_int_eq(meta_dead_add(m, 1), 0);
	commit();
	ck_assert_uint_eq(meta_commits(m), commits + 1);
}
END_TEST

START_TEST(a_taken_name_leaves_the_rest_of_the_transaction)
{
	struct meta_inode i = an_inode();
	uint64_t ino;

	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	ck_assert_int_eq(meta_name_add(m, 1, "x", i.ino), 0);
	ck_assert_int_eq(meta_name_add(m, 1, "x", 9), -EEXIST);
	ck_assert_int_eq(meta_name_add(m, 1, "y", i.ino), 0);
	over_a_crash();
	ck_assert_int_eq(meta_name_get(m, 1, "x", &ino), 0);
	ck_assert_uint_eq(ino, i.ino);
	ck_assert_int_eq(meta_name_get(m, 1, "y", &ino), 0);
	commit();
}
END_TEST

START_TEST(a_failed_write_spoils_one_transaction_only)
{
	struct disk *disk = sim_host(sim)->disk;
	struct meta_inode i = an_inode(), got;

	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	simdisk_fail(disk, SIM_PWRITE, 1, _i ? -ENOSPC : -EIO, true);
	ck_assert_int_eq(meta_commit(m), _i ? -ENOSPC : -EIO);
	meta_end(m);
	simdisk_heal(disk);
	begin();
	ck_assert_int_eq(meta_inode_get(m, i.ino, &got), -ENOENT);
	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	over_a_crash();
	ck_assert_int_eq(meta_inode_get(m, i.ino, &got), 0);
	commit();
}
END_TEST

/* ---- life */

START_TEST(another_source_is_refused)
{
	struct meta_opts other = { .source = "s3://other" };
	struct meta *m2 = NULL;
	struct meta_report rep;

	commit();
	meta_close(m);
	m = NULL;
	simdisk_crash(sim_host(sim)->disk);
	ck_assert_int_eq(meta_open(sim_host(sim), &other, &m2, &rep), -EBUSY);
	ck_assert_ptr_null(m2);
}
END_TEST

START_TEST(each_mount_is_an_epoch_of_one_cache)
{
	struct meta_report was = report;

	ck_assert(was.fresh);
	ck_assert_uint_eq(was.epoch, 1);
	ck_assert_uint_eq(strlen(was.cache_id), 16);
	commit();
	reopen();
	ck_assert(!report.fresh && report.same_boot && !report.cut);
	ck_assert_uint_eq(report.epoch, 2);
	ck_assert_str_eq(report.cache_id, was.cache_id);
	meta_close(m);
	m = NULL;
	simdisk_power_cut(sim_host(sim)->disk, 0);
	reopen();
	ck_assert(!report.fresh && !report.same_boot && report.cut);
	ck_assert_uint_eq(report.epoch, 3);
	ck_assert_str_eq(report.cache_id, was.cache_id);
}
END_TEST

START_TEST(a_size_that_no_file_has_is_refused)
{
	struct meta_version v = { .state = META_SEALED, .size = UINT64_MAX - 5 };

	ck_assert_int_eq(meta_version_add(m, &v), 0);
	ck_assert_int_eq(meta_version_get(m, v.vid, &v), -EIO);
	meta_end(m);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_size_that_no_file_has_is_refused);
	tcase_add_test(c, an_inode_comes_back_as_it_was);
	tcase_add_test(c, the_root_is_there_from_the_beginning);
	tcase_add_test(c, an_inode_that_is_not_there_is_said_so);
	tcase_add_test(c, a_number_never_comes_back);
	tcase_add_test(c, names_are_bytes_and_come_in_order);
	tcase_add_test(c, unlinked_inodes_are_found);
	tcase_add_loop_test(c, an_object_comes_back_as_it_was, 0, 3);
	tcase_add_loop_test(c, objects_come_by_prefix_in_order, 0,
			    sizeof(prefixes) / sizeof(prefixes[0]));
	tcase_add_test(c, dead_blobs_are_a_set);
	tcase_add_test(c, owed_deletes_are_by_key_and_counted);
	tcase_add_test(c, what_is_not_committed_is_gone);
	tcase_add_test(c, a_taken_name_leaves_the_rest_of_the_transaction);
	tcase_add_loop_test(c, a_failed_write_spoils_one_transaction_only, 0,
			    2);
	tcase_add_test(c, another_source_is_refused);
	tcase_add_test(c, each_mount_is_an_epoch_of_one_cache);
}

int main(void)
{
	return harness_run("meta_rows", add);
}
