/* SPDX-License-Identifier: Apache-2.0 */
/* What holds for the names of every disk, the system's and the simulated one.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ckptfs/disk.h"
#include "ckptfs/lock.h"

#include "disks.h"
#include "harness.h"

START_TEST(paths_that_could_lead_out_are_refused)
{
	static const char *const bad[] = { "",	  "/",	  "/etc/passwd",
					   "..",  ".",	  "a/../../b",
					   "a/.", "a//b", "a/" };
	unsigned i;

	disks_begin(_i);
	ck_assert_int_eq(disk_mkdir(d, "a", 0700), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(disk_open(d, bad[i], O_RDONLY, 0), -EINVAL);
		ck_assert_int_eq(disk_mkdir(d, bad[i], 0700), -EINVAL);
		ck_assert_int_eq(disk_unlink(d, bad[i]), -EINVAL);
		ck_assert_int_eq(disk_rename(d, bad[i], "x"), -EINVAL);
		ck_assert_int_eq(disk_rename(d, "a", bad[i]), -EINVAL);
		ck_assert_int_eq(disk_lock(d, bad[i]), -EINVAL);
		if (*bad[i])
			ck_assert_int_eq(disk_sync_dir(d, bad[i]), -EINVAL);
	}
	disks_end();
}
END_TEST

START_TEST(folders_are_walked)
{
	struct disk_stat st;
	int fd;

	disks_begin(_i);
	ck_assert_int_eq(disk_open(d, "a/f", O_RDWR | O_CREAT, 0600), -ENOENT);
	ck_assert_int_eq(disk_mkdir(d, "a/b", 0700), -ENOENT);
	ck_assert_int_eq(disk_mkdir(d, "a", 0700), 0);
	ck_assert_int_eq(disk_mkdir(d, "a", 0700), -EEXIST);
	ck_assert_int_eq(disk_mkdir(d, "a/b", 0700), 0);
	disk_close(d, disks_make("a/b/f", "deep"));
	disks_assert_file("a/b/f", "deep");
	disk_close(d, disks_make("f", "x"));
	ck_assert_int_eq(disk_open(d, "f/x", O_RDONLY, 0), -ENOTDIR);
	ck_assert_int_eq(disk_unlink(d, "f/x"), -ENOTDIR);
	ck_assert_int_eq(disk_open(d, "a", O_RDWR, 0), -EISDIR);
	ck_assert_int_eq(disk_unlink(d, "a"), -EISDIR);
	fd = disk_open(d, "a", O_RDONLY, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(disk_stat(d, fd, &st), 0);
	ck_assert(st.is_dir);
	disk_close(d, fd);
	disks_end();
}
END_TEST

START_TEST(an_unlinked_file_lives_until_it_is_closed)
{
	int fd;

	disks_begin(_i);
	ck_assert_int_eq(disk_unlink(d, "f"), -ENOENT);
	fd = disks_make("f", "abc");
	ck_assert_int_eq(disk_unlink(d, "f"), 0);
	ck_assert_int_eq(disk_open(d, "f", O_RDONLY, 0), -ENOENT);
	ck_assert_int_eq(disk_pwrite(d, fd, "d", 1, 3), 0);
	disks_assert_bytes(fd, "abcd");
	disk_close(d, disks_make("f", "new"));
	disks_assert_bytes(fd, "abcd");
	disks_assert_file("f", "new");
	disk_close(d, fd);
	disks_end();
}
END_TEST

START_TEST(rename_replaces_in_one_step)
{
	int a, b;

	disks_begin(_i);
	a = disks_make("a", "A");
	b = disks_make("b", "B");
	ck_assert_int_eq(disk_mkdir(d, "dir", 0700), 0);
	ck_assert_int_eq(disk_rename(d, "a", "b"), 0);
	disks_assert_file("b", "A");
	disks_assert_bytes(b, "B");
	ck_assert_int_eq(disk_open(d, "a", O_RDONLY, 0), -ENOENT);
	ck_assert_int_eq(disk_rename(d, "a", "b"), -ENOENT);
	ck_assert_int_eq(disk_rename(d, "b", "dir"), -EISDIR);
	ck_assert_int_eq(disk_rename(d, "dir", "b"), -ENOTDIR);
	ck_assert_int_eq(disk_rename(d, "b", "dir/c"), 0);
	disks_assert_file("dir/c", "A");
	ck_assert_int_eq(disk_rename(d, "dir", "dir/sub"), -EINVAL);
	ck_assert_int_eq(disk_mkdir(d, "empty", 0700), 0);
	ck_assert_int_eq(disk_rename(d, "empty", "dir"), -ENOTEMPTY);
	ck_assert_int_eq(disk_rename(d, "dir", "empty"), 0);
	disks_assert_file("empty/c", "A");
	ck_assert_int_eq(disk_rename(d, "empty/c", "empty/c"), 0);
	disks_assert_bytes(a, "A");
	disk_close(d, a);
	disk_close(d, b);
	disks_end();
}
END_TEST

static int collect(void *arg, const char *name, bool is_dir)
{
	unsigned *seen = arg;

	ck_assert_uint_eq(strlen(name), 1);
	ck_assert_int_eq(is_dir, name[0] == 'd');
	*seen |= 1U << (name[0] - 'a');
	return 0;
}

static int stop(void *arg, const char *name, bool is_dir)
{
	++*(unsigned *)arg;
	return -EDOM;
}

START_TEST(a_folder_lists_what_is_in_it)
{
	unsigned seen = 0, n = 0;

	disks_begin(_i);
	ck_assert_int_eq(disk_list(d, "", collect, &seen), 0);
	ck_assert_uint_eq(seen, 0);
	disk_close(d, disks_make("a", ""));
	disk_close(d, disks_make("b", ""));
	disk_close(d, disks_make("c", ""));
	ck_assert_int_eq(disk_mkdir(d, "d", 0700), 0);
	disk_close(d, disks_make("d/f", ""));
	ck_assert_int_eq(disk_unlink(d, "b"), 0);
	ck_assert_int_eq(disk_list(d, "", collect, &seen), 0);
	ck_assert_uint_eq(seen, 1 << 0 | 1 << 2 | 1 << 3);
	seen = 0;
	ck_assert_int_eq(disk_list(d, "d", collect, &seen), 0);
	ck_assert_uint_eq(seen, 1 << 5);
	ck_assert_int_eq(disk_list(d, "", stop, &n), -EDOM);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(disk_list(d, "none", stop, &n), -ENOENT);
	ck_assert_int_eq(disk_list(d, "a", stop, &n), -ENOTDIR);
	disks_end();
}
END_TEST

START_TEST(syncs_succeed_where_there_is_something)
{
	int fd;

	disks_begin(_i);
	fd = disks_make("f", "abc");
	ck_assert_int_eq(disk_mkdir(d, "a", 0700), 0);
	ck_assert_int_eq(disk_fdatasync(d, fd), 0);
	ck_assert_int_eq(disk_writeback(d, fd, 0, 3), 0);
	ck_assert_int_eq(disk_sync_dir(d, ""), 0);
	ck_assert_int_eq(disk_sync_dir(d, "a"), 0);
	ck_assert_int_eq(disk_sync_dir(d, "none"), -ENOENT);
	ck_assert_int_eq(disk_sync_dir(d, "f"), -ENOTDIR);
	ck_assert_int_eq(disk_syncfs(d), 0);
	disk_close(d, fd);
	/* Also through a descriptor that cannot write. */
	fd = disk_open(d, "f", O_RDONLY, 0);
	ck_assert_int_eq(disk_fdatasync(d, fd), 0);
	disk_close(d, fd);
	disks_end();
}
END_TEST

START_TEST(only_one_holds_the_lock)
{
	int a, b;

	disks_begin(_i);
	a = disk_lock(d, "lock");
	ck_assert_int_ge(a, 0);
	ck_assert_int_eq(disk_lock(d, "lock"), -EWOULDBLOCK);
	b = disk_lock(d, "other");
	ck_assert_int_ge(b, 0);
	/* The holder may write into it who it is. */
	ck_assert_int_eq(disk_pwrite(d, a, "me", 2, 0), 0);
	disks_assert_file("lock", "me");
	disk_close(d, a);
	a = disk_lock(d, "lock");
	ck_assert_int_ge(a, 0);
	disk_close(d, a);
	disk_close(d, b);
	disks_end();
}
END_TEST

START_TEST(space_and_boot_are_known)
{
	struct disk_space sp;
	char a[40], b[40];

	disks_begin(_i);
	ck_assert_int_eq(disk_space(d, &sp), 0);
	ck_assert_uint_gt(sp.total, 0);
	ck_assert_uint_le(sp.avail, sp.total);
	ck_assert_uint_ne(sp.fs_magic, 0);
	ck_assert_int_eq(disk_boot_id(d, a), 0);
	ck_assert_int_eq(disk_boot_id(d, b), 0);
	ck_assert_uint_eq(strlen(a), 36);
	ck_assert_str_eq(a, b);
	disks_end();
}
END_TEST

START_TEST(a_link_is_not_followed)
{
	char at[256];

	disks_begin(_i);
	if (disks_kind == KIND_SIM) {
		disks_end();
		return;
	}
	ck_assert_int_eq(disk_mkdir(d, "real", 0700), 0);
	disk_close(d, disks_make("real/f", "abc"));
	snprintf(at, sizeof(at), "%s/dir", disks_folder);
	ck_assert_int_eq(symlink("real", at), 0);
	snprintf(at, sizeof(at), "%s/file", disks_folder);
	ck_assert_int_eq(symlink("real/f", at), 0);
	ck_assert_int_eq(disk_open(d, "file", O_RDONLY, 0), -ELOOP);
	ck_assert_int_lt(disk_open(d, "dir/f", O_RDONLY, 0), 0);
	ck_assert_int_lt(disk_unlink(d, "dir/f"), 0);
	ck_assert_int_lt(disk_mkdir(d, "dir/x", 0700), 0);
	ck_assert_int_lt(disk_rename(d, "real/f", "dir/g"), 0);
	ck_assert_int_lt(disk_rename(d, "dir/f", "g"), 0);
	ck_assert_int_lt(disk_sync_dir(d, "dir"), 0);
	ck_assert_int_lt(disk_open(d, "dir/new", O_WRONLY | O_CREAT, 0600), 0);
	ck_assert_int_lt(disk_lock(d, "file"), 0);
	disks_assert_file("real/f", "abc");
	disks_end();
}
END_TEST

START_TEST(the_folder_is_made_private_with_its_parents)
{
	char path[256];
	struct disk *other;
	struct stat st;

	disks_begin(KIND_SYSTEM);
	snprintf(path, sizeof(path), "%s/x/y/z", disks_folder);
	ck_assert_int_eq(disk_system_open(path, &other), 0);
	disk_free(other);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(disk_system_open(path, &other), 0);
	disk_free(other);
	snprintf(path, sizeof(path), "%s/f", disks_folder);
	disk_close(d, disks_make("f", ""));
	ck_assert_int_eq(disk_system_open(path, &other), -ENOTDIR);
	snprintf(path, sizeof(path), "%s/f/g", disks_folder);
	ck_assert_int_eq(disk_system_open(path, &other), -ENOTDIR);
	disk_free(NULL);
	disks_end();
}
END_TEST

START_TEST(s05_a_folder_that_others_may_enter_is_refused)
{
	static const mode_t wide[] = { 0701, 0710, 0720, 0770, 0777, 01777 };
	char path[256], link[256];
	struct disk *other;
	size_t i;

	disks_begin(KIND_SYSTEM);
	snprintf(path, sizeof(path), "%s/x", disks_folder);
	snprintf(link, sizeof(link), "%s/link", disks_folder);
	ck_assert_int_eq(disk_system_open(path, &other), 0);
	disk_free(other);
	for (i = 0; i < ARRAY_SIZE(wide); i++) {
		ck_assert_int_eq(chmod(path, wide[i]), 0);
		ck_assert_int_eq(disk_system_open(path, &other), -EPERM);
	}
	ck_assert_int_eq(chmod(path, 0700), 0);
	ck_assert_int_eq(symlink(path, link), 0);
	ck_assert_int_eq(disk_system_open(link, &other), -ENOTDIR);
	ck_assert_int_eq(disk_system_open(path, &other), 0);
	disk_free(other);
	/* Another user's, if we may give it away. */
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(path, 65534, 65534), 0);
		ck_assert_int_eq(disk_system_open(path, &other), -EPERM);
	}
	disks_end();
}
END_TEST

NO_TSA static void sync_with_lock(void)
{
	struct lock l;

	lock_init(&l, LOCK_NS, "ns");
	lock_acquire(&l);
	(void)!disk_syncfs(d);
}

START_TEST(a_sync_with_a_lock_held_aborts)
{
	disks_begin(_i);
	sync_with_lock();
}
END_TEST

static void add(TCase *c)
{
	const TTest *const all[] = {
		paths_that_could_lead_out_are_refused,
		folders_are_walked,
		an_unlinked_file_lives_until_it_is_closed,
		rename_replaces_in_one_step,
		a_folder_lists_what_is_in_it,
		syncs_succeed_where_there_is_something,
		only_one_holds_the_lock,
		space_and_boot_are_known,
		a_link_is_not_followed,
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		tcase_add_loop_test(c, all[i], 0, DISKS_KINDS);
	tcase_add_test(c, the_folder_is_made_private_with_its_parents);
	tcase_add_test(c,
		       s05_a_folder_that_others_may_enter_is_refused);
	harness_add_abort(c, a_sync_with_a_lock_held_aborts, 0, 1);
}

int main(void)
{
	return harness_run("disk_names", add);
}
