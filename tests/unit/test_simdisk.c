/* SPDX-License-Identifier: Apache-2.0 */
/* What only the simulated disk does: losing power, failing, filling up. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/disk.h"

#include "harness.h"
#include "sim.h"

static struct disk *d;

static void setup(void)
{
	d = simdisk_new(&clk_system, 5);
}

static void teardown(void)
{
	disk_free(d);
}

static int make(const char *path, const char *bytes)
{
	int fd = disk_open(d, path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(disk_pwrite(d, fd, bytes, strlen(bytes), 0), 0);
	return fd;
}

/* A file with these bytes and this name, both durable. */
static int make_durable(const char *path, const char *bytes)
{
	int fd = make(path, bytes);

	ck_assert_int_eq(disk_fdatasync(d, fd), 0);
	ck_assert_int_eq(disk_sync_dir(d, ""), 0);
	return fd;
}

static bool exists(const char *path)
{
	int fd = disk_open(d, path, O_RDONLY, 0);

	disk_close(d, fd);
	return fd >= 0;
}

static void assert_file(const char *path, const char *want)
{
	char got[256];
	ssize_t n;
	int fd = disk_open(d, path, O_RDONLY, 0);

	ck_assert_int_ge(fd, 0);
	n = disk_pread(d, fd, got, sizeof(got), 0);
	ck_assert_int_eq(n, (int)strlen(want));
	ck_assert_mem_eq(got, want, strlen(want));
	disk_close(d, fd);
}

START_TEST(a_power_cut_keeps_what_was_synced)
{
	char before[40], after[40];
	int fd;

	ck_assert_int_eq(disk_boot_id(d, before), 0);
	fd = make_durable("f", "old");
	ck_assert_int_eq(disk_set_xattr(d, fd, "user.a", "1", 1), 0);
	ck_assert_int_eq(disk_fdatasync(d, fd), 0);
	ck_assert_int_eq(disk_set_xattr(d, fd, "user.b", "2", 1), 0);
	ck_assert_int_eq(disk_pwrite(d, fd, "newer", 5, 0), 0);
	make("g", "x");
	simdisk_power_cut(d, 0);
	assert_file("f", "old");
	ck_assert(!exists("g"));
	ck_assert_uint_eq(simdisk_open_handles(d), 0);
	ck_assert_int_eq(disk_pwrite(d, fd, "x", 1, 0), -EBADF);
	ck_assert_int_eq(disk_boot_id(d, after), 0);
	ck_assert_str_ne(before, after);
	fd = disk_open(d, "f", O_RDONLY, 0);
	ck_assert_int_eq(disk_get_xattr(d, fd, "user.a", after, 8), 1);
	ck_assert_int_eq(disk_get_xattr(d, fd, "user.b", after, 8), -ENODATA);
}
END_TEST

START_TEST(bytes_and_names_are_synced_apart)
{
	int fd = make("bytes", "abc");

	ck_assert_int_eq(disk_fdatasync(d, fd), 0);
	simdisk_power_cut(d, 0);
	ck_assert(!exists("bytes"));
	make("name", "abc");
	ck_assert_int_eq(disk_sync_dir(d, ""), 0);
	simdisk_power_cut(d, 0);
	assert_file("name", "");
}
END_TEST

START_TEST(syncfs_makes_all_durable)
{
	ck_assert_int_eq(disk_mkdir(d, "a", 0700), 0);
	make("a/f", "abc");
	make("g", "xyz");
	ck_assert_int_eq(disk_syncfs(d), 0);
	simdisk_power_cut(d, 0);
	assert_file("a/f", "abc");
	assert_file("g", "xyz");
}
END_TEST

START_TEST(names_not_synced_come_back_and_go)
{
	make_durable("gone", "1");
	make_durable("from", "2");
	make_durable("over", "3");
	make_durable("kept", "4");
	ck_assert_int_eq(disk_unlink(d, "gone"), 0);
	ck_assert_int_eq(disk_rename(d, "from", "over"), 0);
	ck_assert_int_eq(disk_rename(d, "kept", "moved"), 0);
	simdisk_power_cut(d, 0);
	assert_file("gone", "1");
	assert_file("from", "2");
	assert_file("over", "3");
	assert_file("kept", "4");
	ck_assert(!exists("moved"));
	ck_assert_int_eq(disk_rename(d, "from", "over"), 0);
	ck_assert_int_eq(disk_unlink(d, "gone"), 0);
	ck_assert_int_eq(disk_sync_dir(d, ""), 0);
	simdisk_power_cut(d, 0);
	assert_file("over", "2");
	ck_assert(!exists("from") && !exists("gone"));
}
END_TEST

START_TEST(a_folder_is_synced_for_itself)
{
	int fd;

	ck_assert_int_eq(disk_mkdir(d, "a", 0700), 0);
	ck_assert_int_eq(disk_mkdir(d, "b", 0700), 0);
	ck_assert_int_eq(disk_sync_dir(d, ""), 0);
	fd = make("a/f", "1");
	ck_assert_int_eq(disk_fdatasync(d, fd), 0);
	make("b/g", "2");
	ck_assert_int_eq(disk_sync_dir(d, "a"), 0);
	simdisk_power_cut(d, 0);
	assert_file("a/f", "1");
	ck_assert(!exists("b/g"));
	/* A move between folders is one change, with what led to it. */
	make("b/h", "");
	ck_assert_int_eq(disk_rename(d, "a/f", "b/h"), 0);
	ck_assert_int_eq(disk_sync_dir(d, "a"), 0);
	ck_assert_int_eq(disk_sync_dir(d, "b"), 0);
	simdisk_power_cut(d, 0);
	assert_file("b/h", "1");
	ck_assert(!exists("a/f"));
	/* A name in a folder that is not durable is lost with it. */
	ck_assert_int_eq(disk_mkdir(d, "c", 0700), 0);
	make("c/f", "");
	ck_assert_int_eq(disk_sync_dir(d, "c"), 0);
	simdisk_power_cut(d, 0);
	ck_assert(!exists("c/f"));
	ck_assert_int_eq(disk_mkdir(d, "c", 0700), 0);
	ck_assert(!exists("c/f"));
}
END_TEST

START_TEST(truncation_and_punching_are_undone)
{
	int fd = make_durable("f", "0123456789");

	ck_assert_int_eq(disk_truncate(d, fd, 3), 0);
	simdisk_power_cut(d, 0);
	assert_file("f", "0123456789");
	fd = disk_open(d, "f", O_RDWR, 0);
	ck_assert_int_eq(disk_punch(d, fd, 0, 4096), 0);
	simdisk_power_cut(d, 0);
	assert_file("f", "0123456789");
	disk_close(d, disk_open(d, "f", O_RDWR | O_TRUNC, 0));
	simdisk_power_cut(d, 0);
	assert_file("f", "0123456789");
	fd = disk_open(d, "f", O_RDWR, 0);
	ck_assert_int_eq(disk_truncate(d, fd, 3), 0);
	ck_assert_int_eq(disk_fdatasync(d, fd), 0);
	simdisk_power_cut(d, 0);
	assert_file("f", "012");
}
END_TEST

START_TEST(all_may_survive)
{
	make_durable("a", "1");
	make("b", "2");
	ck_assert_int_eq(disk_rename(d, "a", "c"), 0);
	simdisk_power_cut(d, 100);
	assert_file("b", "2");
	assert_file("c", "1");
	ck_assert(!exists("a"));
	/* And it is durable then. */
	simdisk_power_cut(d, 0);
	assert_file("b", "2");
	assert_file("c", "1");
}
END_TEST

START_TEST(of_the_rest_some_pages_and_a_prefix_of_names_survive)
{
	unsigned cuts, pages[3] = { 0 }, names[4] = { 0 };

	for (cuts = 0; cuts < 300; cuts++) {
		char two[8192], got[8192];
		unsigned n = 0, k = 0;
		int fd = disk_open(d, "f", O_RDWR | O_CREAT, 0600);

		memset(two, 'o', sizeof(two));
		ck_assert_int_eq(disk_pwrite(d, fd, two, 8192, 0), 0);
		ck_assert_int_eq(disk_syncfs(d), 0);
		memset(two, 'n', sizeof(two));
		ck_assert_int_eq(disk_pwrite(d, fd, two, 8192, 0), 0);
		make("1", "");
		make("2", "");
		make("3", "");
		simdisk_power_cut(d, 50);
		fd = disk_open(d, "f", O_RDONLY, 0);
		ck_assert_int_eq(disk_pread(d, fd, got, 8192, 0), 8192);
		disk_close(d, fd);
		for (k = 0; k < 2; k++) {
			/* A page is whole. */
			n += got[k * 4096] == 'n';
			ck_assert_int_eq(got[k * 4096], got[k * 4096 + 4095]);
		}
		pages[n]++;
		ck_assert(exists("1") || !exists("2"));
		ck_assert(exists("2") || !exists("3"));
		k = exists("1") + exists("2") + exists("3");
		names[k]++;
		for (; k > 0; k--)
			ck_assert_int_eq(disk_unlink(d, k == 1	 ? "1"
							: k == 2 ? "2"
								 : "3"),
					 0);
	}
	for (cuts = 0; cuts < 4; cuts++) {
		ck_assert_uint_gt(names[cuts], 20);
		ck_assert(cuts == 3 || pages[cuts] > 20);
	}
}
END_TEST

START_TEST(a_crash_of_the_process_loses_nothing)
{
	char before[40], after[40];
	int ext, fd;

	ck_assert_int_eq(disk_boot_id(d, before), 0);
	ck_assert_int_ge(disk_lock(d, "lock"), 0);
	make("f", "abc");
	ext = simdisk_external_open(d, "f");
	simdisk_crash(d);
	ck_assert_uint_eq(simdisk_open_handles(d), 0);
	ck_assert_int_eq(disk_boot_id(d, after), 0);
	ck_assert_str_eq(before, after);
	assert_file("f", "abc");
	/* The other process does not notice. */
	fd = disk_open(d, "f", O_RDONLY, 0);
	ck_assert_int_eq(disk_lease(d, fd, DISK_LEASE_READ), -EAGAIN);
	ck_assert_int_eq(simdisk_external_write(d, ext, "xyz1", 4, 0), 0);
	assert_file("f", "xyz1");
	simdisk_external_close(d, ext);
	ck_assert_int_eq(disk_lease(d, fd, DISK_LEASE_READ), 0);
	ck_assert_int_ge(disk_lock(d, "lock"), 0);
	/* Nobody outlives a power cut. */
	ext = simdisk_external_open(d, "f");
	simdisk_power_cut(d, 100);
	ck_assert_int_eq(simdisk_external_write(d, ext, "x", 1, 0), -EBADF);
}
END_TEST

START_TEST(the_nth_call_fails_once_or_for_ever)
{
	int fd = make("f", "");

	simdisk_fail(d, SIM_PWRITE, 2, -EIO, false);
	ck_assert_int_eq(disk_pwrite(d, fd, "a", 1, 0), 0);
	ck_assert_int_eq(disk_pwrite(d, fd, "b", 1, 0), -EIO);
	ck_assert_int_eq(disk_pwrite(d, fd, "c", 1, 1), 0);
	assert_file("f", "ac");
	simdisk_heal(d);
	simdisk_fail(d, SIM_ANY, 2, -ENOSPC, true);
	ck_assert_int_eq(disk_mkdir(d, "a", 0700), 0);
	ck_assert_int_eq(disk_mkdir(d, "b", 0700), -ENOSPC);
	ck_assert_int_eq(disk_unlink(d, "f"), -ENOSPC);
	ck_assert_int_eq(disk_open(d, "f", O_RDONLY, 0), -ENOSPC);
	simdisk_heal(d);
	ck_assert(exists("f"));
	ck_assert(!exists("b"));
	ck_assert_uint_eq(simdisk_calls(d, SIM_MKDIR), 2);
}
END_TEST

START_TEST(a_failed_sync_loses_what_it_covered_for_good)
{
	int fd = make_durable("f", "old");
	unsigned syncfs = (unsigned)_i;

	ck_assert_int_eq(disk_pwrite(d, fd, "new", 3, 0), 0);
	simdisk_fail(d, syncfs ? SIM_SYNCFS : SIM_FDATASYNC, 1, -EIO, false);
	ck_assert_int_eq(syncfs ? disk_syncfs(d) : disk_fdatasync(d, fd), -EIO);
	assert_file("f", "new");
	ck_assert_int_eq(disk_fdatasync(d, fd), 0);
	ck_assert_int_eq(disk_syncfs(d), 0);
	assert_file("f", "new");
	simdisk_power_cut(d, 100);
	assert_file("f", "old");
	/* A size alone can be lost too. */
	fd = disk_open(d, "f", O_RDWR, 0);
	ck_assert_int_eq(disk_truncate(d, fd, 5), 0);
	simdisk_fail(d, syncfs ? SIM_SYNCFS : SIM_FDATASYNC, 1, -EIO, false);
	ck_assert_int_eq(syncfs ? disk_syncfs(d) : disk_fdatasync(d, fd), -EIO);
	ck_assert_int_eq(disk_fdatasync(d, fd), 0);
	simdisk_power_cut(d, 100);
	assert_file("f", "old");
	/* What is written again is saved again. */
	fd = disk_open(d, "f", O_RDWR, 0);
	ck_assert_int_eq(disk_pwrite(d, fd, "nex", 3, 0), 0);
	ck_assert_int_eq(disk_fdatasync(d, fd), 0);
	simdisk_power_cut(d, 0);
	assert_file("f", "nex");
}
END_TEST

START_TEST(a_halted_disk_does_nothing_until_the_crash)
{
	int fd = make("f", "abc");

	simdisk_halt_after(d, 1);
	ck_assert_int_eq(disk_pwrite(d, fd, "d", 1, 3), 0);
	ck_assert(!simdisk_halted(d));
	ck_assert_int_eq(disk_pwrite(d, fd, "e", 1, 4), -EIO);
	ck_assert(simdisk_halted(d));
	ck_assert_int_eq(disk_fdatasync(d, fd), -EIO);
	ck_assert_int_eq(disk_unlink(d, "f"), -EIO);
	disk_close(d, fd);
	ck_assert_uint_eq(simdisk_open_handles(d), 0);
	simdisk_crash(d);
	ck_assert(!simdisk_halted(d));
	assert_file("f", "abcd");
	/* The sync that was not made has lost nothing either. */
	fd = disk_open(d, "f", O_RDWR, 0);
	ck_assert_int_eq(disk_fdatasync(d, fd), 0);
	ck_assert_int_eq(disk_sync_dir(d, ""), 0);
	simdisk_power_cut(d, 0);
	assert_file("f", "abcd");
	simdisk_halt_after(d, 0);
	ck_assert_int_eq(disk_open(d, "f", O_RDONLY, 0), -EIO);
}
END_TEST

static uint64_t avail(void)
{
	struct disk_space sp;

	ck_assert_int_eq(disk_space(d, &sp), 0);
	return sp.avail;
}

START_TEST(a_full_disk_refuses_bytes_and_takes_deletes)
{
	static char big[16384];
	int fd, held;

	simdisk_set_capacity(d, 16384);
	ck_assert_uint_eq(avail(), 16384);
	memset(big, 'x', sizeof(big));
	fd = make("f", "");
	ck_assert_int_eq(disk_pwrite(d, fd, big, 12288, 0), 0);
	ck_assert_uint_eq(avail(), 4096);
	held = make("g", "");
	ck_assert_int_eq(disk_pwrite(d, held, big, 8192, 0), -ENOSPC);
	ck_assert_uint_eq(avail(), 0);
	/* Overwriting needs nothing. */
	ck_assert_int_eq(disk_pwrite(d, fd, big, 12288, 0), 0);
	ck_assert_int_eq(disk_pwrite(d, fd, "y", 1, 12288), -ENOSPC);
	ck_assert_int_eq(disk_allocate(d, fd, 0, 16384), -ENOSPC);
	disk_close(d, make("empty", ""));
	ck_assert_int_eq(disk_unlink(d, "g"), 0);
	ck_assert_uint_eq(avail(), 0);
	disk_close(d, held);
	ck_assert_uint_eq(avail(), 4096);
	ck_assert_int_eq(disk_allocate(d, fd, 0, 16384), 0);
	ck_assert_uint_eq(avail(), 0);
	/* Reserved space takes the write. */
	ck_assert_int_eq(disk_pwrite(d, fd, big, 4096, 12288), 0);
	ck_assert_int_eq(disk_punch(d, fd, 0, 8192), 0);
	ck_assert_uint_eq(avail(), 8192);
	ck_assert_int_eq(disk_truncate(d, fd, 0), 0);
	ck_assert_uint_eq(avail(), 16384);
}
END_TEST

START_TEST(space_is_counted_right_after_a_cut)
{
	static char page[4096];
	unsigned i;
	int fd;

	simdisk_set_capacity(d, 100 * 4096);
	for (i = 0; i < 200; i++) {
		char name[2] = { (char)('1' + i % 7), '\0' };

		ck_assert_int_eq(disk_open(d, "d", O_RDONLY, 0) < 0
					 ? disk_mkdir(d, "d", 0700)
					 : 0,
				 0);
		fd = disk_open(d, name, O_RDWR | O_CREAT, 0600);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(disk_pwrite(d, fd, page, 4096, (i % 5) * 4096),
				 0);
		if (i % 3 == 0)
			ck_assert_int_eq(disk_fdatasync(d, fd), 0);
		if (i % 4 == 0)
			ck_assert_int_eq(disk_sync_dir(d, ""), 0);
		if (i % 5 == 0)
			ck_assert_int_eq(disk_rename(d, name, "d/x"), 0);
		if (i % 6 == 0)
			ck_assert_int_eq(disk_truncate(d, fd, 100), 0);
		if (i % 9 == 0)
			simdisk_power_cut(d, i % 2 ? 50 : 0);
	}
	simdisk_power_cut(d, 0);
	for (i = 0; i < 7; i++) {
		char name[2] = { (char)('1' + i), '\0' };

		(void)!disk_unlink(d, name);
	}
	(void)!disk_unlink(d, "d/x");
	ck_assert_uint_eq(avail(), 100 * 4096);
}
END_TEST

START_TEST(a_file_system_may_lack_things)
{
	char c;
	int a = make("a", "x"), b = make("b", "y");

	simdisk_set_lacks(d, SIM_NO_LEASE | SIM_NO_CLONE | SIM_NO_XATTR |
				     SIM_NO_PUNCH);
	ck_assert_int_eq(disk_lease(d, a, DISK_LEASE_READ), -EOPNOTSUPP);
	ck_assert_int_eq(disk_clone(d, a, b), -EOPNOTSUPP);
	ck_assert_int_eq(disk_set_xattr(d, a, "user.x", "1", 1), -EOPNOTSUPP);
	ck_assert_int_eq(disk_get_xattr(d, a, "user.x", &c, 1), -EOPNOTSUPP);
	ck_assert_int_eq(disk_punch(d, a, 0, 4096), -EOPNOTSUPP);
}
END_TEST

/* A random run against a model of whole files. */
START_TEST(random_writes_match_a_model)
{
	enum { SIZE = 40000 };
	static unsigned char model[SIZE], got[SIZE], bytes[9000];
	uint64_t seed = (uint64_t)_i, size = 0;
	int fd = make("f", "");
	unsigned step;

	memset(model, 0, sizeof(model));
	srandom((unsigned)seed + 1);
	for (step = 0; step < 300; step++) {
		uint64_t off = (uint64_t)random() % (SIZE - 9000);
		size_t n = (size_t)random() % 9000;

		switch (random() % 4) {
		case 0:
			ck_assert_int_eq(disk_truncate(d, fd, off), 0);
			if (off < size)
				memset(model + off, 0, SIZE - off);
			size = off;
			break;
		case 1:
			if (n == 0)
				break;
			ck_assert_int_eq(disk_punch(d, fd, off, n), 0);
			memset(model + off, 0, n);
			break;
		default:
			memset(bytes, (int)(random() % 255) + 1, n);
			ck_assert_int_eq(disk_pwrite(d, fd, bytes, n, off), 0);
			memcpy(model + off, bytes, n);
			if (n > 0 && off + n > size)
				size = off + n;
		}
		ck_assert_int_eq(disk_pread(d, fd, got, SIZE, 0), (int)size);
		ck_assert_mem_eq(got, model, size);
		if (step % 50 == 0)
			ck_assert_int_eq(disk_fdatasync(d, fd), 0);
	}
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_power_cut_keeps_what_was_synced);
	tcase_add_test(c, bytes_and_names_are_synced_apart);
	tcase_add_test(c, syncfs_makes_all_durable);
	tcase_add_test(c, names_not_synced_come_back_and_go);
	tcase_add_test(c, a_folder_is_synced_for_itself);
	tcase_add_test(c, truncation_and_punching_are_undone);
	tcase_add_test(c, all_may_survive);
	tcase_add_test(c, of_the_rest_some_pages_and_a_prefix_of_names_survive);
	tcase_add_test(c, a_crash_of_the_process_loses_nothing);
	tcase_add_test(c, the_nth_call_fails_once_or_for_ever);
	tcase_add_loop_test(c, a_failed_sync_loses_what_it_covered_for_good, 0,
			    2);
	tcase_add_test(c, a_halted_disk_does_nothing_until_the_crash);
	tcase_add_test(c, a_full_disk_refuses_bytes_and_takes_deletes);
	tcase_add_test(c, space_is_counted_right_after_a_cut);
	tcase_add_test(c, a_file_system_may_lack_things);
	tcase_add_loop_test(c, random_writes_match_a_model, 0, 10);
}

int main(void)
{
	return harness_run("simdisk", add);
}
