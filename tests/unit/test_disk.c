/* SPDX-License-Identifier: Apache-2.0 */
/* What holds for the files of every disk, the system's and the simulated one.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "ckptfs/disk.h"

#include "disks.h"
#include "harness.h"

static unsigned char block[4096];

START_TEST(open_flags_mean_what_they_say)
{
	char c;
	int fd;

	disks_begin(_i);
	ck_assert_int_eq(disk_open(d, "f", O_RDWR, 0), -ENOENT);
	fd = disks_make("f", "abc");
	ck_assert_int_eq(disk_open(d, "f", O_RDWR | O_CREAT | O_EXCL, 0600),
			 -EEXIST);
	disk_close(d, fd);
	fd = disk_open(d, "f", O_RDONLY, 0);
	ck_assert_int_eq(disk_pwrite(d, fd, "x", 1, 0), -EBADF);
	ck_assert_int_lt(disk_truncate(d, fd, 0), 0);
	disks_assert_bytes(fd, "abc");
	disk_close(d, fd);
	fd = disk_open(d, "f", O_WRONLY, 0);
	ck_assert_int_eq(disk_pread(d, fd, &c, 1, 0), -EBADF);
	disk_close(d, fd);
	fd = disk_open(d, "f", O_WRONLY | O_TRUNC, 0);
	ck_assert_uint_eq(disks_size_of(fd), 0);
	disk_close(d, fd);
	ck_assert_int_eq(disk_open(d, "f", O_RDWR | O_APPEND, 0), -EINVAL);
	disk_close(d, -1);
	disks_end();
}
END_TEST

START_TEST(a_closed_number_is_bad)
{
	struct disk_stat st;
	int fd;
	char c;

	disks_begin(_i);
	fd = disks_make("f", "abc");
	disk_close(d, fd);
	ck_assert_int_eq(disk_pread(d, fd, &c, 1, 0), -EBADF);
	ck_assert_int_eq(disk_stat(d, fd, &st), -EBADF);
	ck_assert_int_eq(disk_fdatasync(d, fd), -EBADF);
	ck_assert_int_eq(disk_lease(d, fd, DISK_LEASE_READ), -EBADF);
	disks_end();
}
END_TEST

START_TEST(reads_are_short_only_at_the_end)
{
	char got[16];
	int fd;

	disks_begin(_i);
	fd = disks_make("f", "0123456789");
	ck_assert_int_eq(disk_pread(d, fd, got, 4, 8), 2);
	ck_assert_mem_eq(got, "89", 2);
	ck_assert_int_eq(disk_pread(d, fd, got, 4, 10), 0);
	ck_assert_int_eq(disk_pread(d, fd, got, 4, 1000), 0);
	ck_assert_int_eq(disk_pread(d, fd, got, 0, 0), 0);
	ck_assert_int_eq(disk_pwrite(d, fd, "xy", 2, 20), 0);
	ck_assert_int_eq(disk_pread(d, fd, got, 16, 8), 14);
	ck_assert_mem_eq(got, "89\0\0\0\0\0\0\0\0\0\0xy", 14);
	disk_close(d, fd);
	disks_end();
}
END_TEST

START_TEST(truncation_gives_zeros_back)
{
	char got[10];
	int fd;

	disks_begin(_i);
	fd = disks_make("f", "0123456789");
	ck_assert_int_eq(disk_truncate(d, fd, 4), 0);
	ck_assert_uint_eq(disks_size_of(fd), 4);
	ck_assert_int_eq(disk_truncate(d, fd, 10), 0);
	ck_assert_int_eq(disk_pread(d, fd, got, 10, 0), 10);
	ck_assert_mem_eq(got, "0123\0\0\0\0\0\0", 10);
	ck_assert_int_eq(disk_truncate(d, fd, UINT64_C(1) << 40), 0);
	ck_assert_uint_eq(disks_size_of(fd), UINT64_C(1) << 40);
	ck_assert_int_eq(disk_truncate(d, fd, 0), 0);
	disks_assert_bytes(fd, "");
	disk_close(d, fd);
	disks_end();
}
END_TEST

START_TEST(holes_and_data_are_told_apart)
{
	const uint64_t mib = 1 << 20;
	int fd;

	disks_begin(_i);
	fd = disks_make("f", "");
	ck_assert_int_eq(disk_seek_data(d, fd, 0), -ENXIO);
	ck_assert_int_eq(disk_seek_hole(d, fd, 0), -ENXIO);
	memset(block, 'x', sizeof(block));
	ck_assert_int_eq(disk_pwrite(d, fd, block, 4096, 0), 0);
	ck_assert_int_eq(disk_pwrite(d, fd, "y", 1, mib + 5000), 0);
	ck_assert_int_eq(disk_seek_data(d, fd, 0), 0);
	ck_assert_int_eq(disk_seek_data(d, fd, 7), 7);
	ck_assert_int_eq(disk_seek_hole(d, fd, 0), 4096);
	ck_assert_int_eq(disk_seek_hole(d, fd, 5000), 5000);
	ck_assert_int_eq(disk_seek_data(d, fd, 4096), (int64_t)mib + 4096);
	ck_assert_int_eq(disk_seek_hole(d, fd, mib + 4096),
			 (int64_t)mib + 5001);
	ck_assert_int_eq(disk_seek_data(d, fd, mib + 5001), -ENXIO);
	ck_assert_int_eq(disk_truncate(d, fd, 2 * mib), 0);
	ck_assert_int_eq(disk_seek_hole(d, fd, mib + 4096),
			 (int64_t)mib + 8192);
	ck_assert_int_eq(disk_seek_data(d, fd, mib + 8192), -ENXIO);
	disk_close(d, fd);
	disks_end();
}
END_TEST

START_TEST(punching_makes_a_hole_and_keeps_the_size)
{
	struct disk_stat before, after;
	unsigned char got[3 * 4096];
	unsigned i;
	int fd;

	disks_begin(_i);
	fd = disks_make("f", "");
	memset(block, 'x', sizeof(block));
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(disk_pwrite(d, fd, block, 4096, i * 4096), 0);
	ck_assert_int_eq(disk_fdatasync(d, fd), 0);
	ck_assert_int_eq(disk_stat(d, fd, &before), 0);
	ck_assert_int_eq(disk_punch(d, fd, 4000, 4200), 0);
	ck_assert_int_eq(disk_stat(d, fd, &after), 0);
	ck_assert_uint_eq(after.size, 3 * 4096);
	ck_assert_uint_eq(before.alloc - after.alloc, 4096);
	ck_assert_int_eq(disk_pread(d, fd, got, sizeof(got), 0), sizeof(got));
	for (i = 0; i < sizeof(got); i++)
		ck_assert_int_eq(got[i], i >= 4000 && i < 8200 ? 0 : 'x');
	ck_assert_int_eq(disk_seek_hole(d, fd, 0), 4096);
	ck_assert_int_eq(disk_seek_data(d, fd, 4096), 8192);
	ck_assert_int_eq(disk_punch(d, fd, 8192, 1 << 20), 0);
	ck_assert_uint_eq(disks_size_of(fd), 3 * 4096);
	ck_assert_int_eq(disk_punch(d, fd, 0, 0), -EINVAL);
	disk_close(d, fd);
	disks_end();
}
END_TEST

START_TEST(reserved_space_is_no_data_and_no_size)
{
	struct disk_stat st;
	int fd;

	disks_begin(_i);
	fd = disks_make("f", "abc");
	ck_assert_int_eq(disk_allocate(d, fd, 0, 1 << 20), 0);
	ck_assert_int_eq(disk_stat(d, fd, &st), 0);
	ck_assert_uint_eq(st.size, 3);
	ck_assert_uint_ge(st.alloc, 1 << 20);
	disks_assert_bytes(fd, "abc");
	ck_assert_int_eq(disk_pwrite(d, fd, "z", 1, 9000), 0);
	ck_assert_int_eq(disk_seek_hole(d, fd, 0), 4096);
	ck_assert_int_eq(disk_seek_data(d, fd, 4096), 8192);
	ck_assert_int_eq(disk_allocate(d, fd, 0, 0), -EINVAL);
	disk_close(d, fd);
	disks_end();
}
END_TEST

START_TEST(every_change_moves_ctime_but_no_look_does)
{
	struct disk_stat a, b;
	char c[4];
	int fd, ext;

	disks_begin(_i);
	fd = disks_make("f", "abc");
	ext = disks_external_open("f");
	ck_assert_int_ge(ext, 0);
	ck_assert_int_eq(disk_stat(d, fd, &a), 0);
	ck_assert_int_eq(disk_pread(d, fd, c, 3, 0), 3);
	ck_assert_int_eq(disk_fdatasync(d, fd), 0);
	ck_assert_int_eq(disk_writeback(d, fd, 0, 3), 0);
	ck_assert_int_eq(disk_lease(d, fd, DISK_LEASE_READ), -EAGAIN);
	ck_assert_int_eq(disk_stat(d, fd, &b), 0);
	ck_assert_int_eq(b.ctime_ns, a.ctime_ns);
	/* A real clock may tick coarsely: change until it has moved. */
	do {
		disks_external_write(ext, "x", 0);
		ck_assert_int_eq(disk_stat(d, fd, &b), 0);
		ck_assert_uint_eq(b.size, 3);
	} while (b.ctime_ns == a.ctime_ns && disks_kind != KIND_SIM);
	ck_assert_int_gt(b.ctime_ns, a.ctime_ns);
	ck_assert_int_gt(b.mtime_ns, a.mtime_ns);
	do {
		ck_assert_int_eq(disk_truncate(d, fd, 3), 0);
		ck_assert_int_eq(disk_stat(d, fd, &a), 0);
	} while (b.ctime_ns == a.ctime_ns && disks_kind != KIND_SIM);
	ck_assert_int_gt(a.ctime_ns, b.ctime_ns);
	disks_external_close(ext);
	disk_close(d, fd);
	disks_end();
}
END_TEST

START_TEST(xattrs_are_kept)
{
	char got[8] = "";
	int fd;

	disks_begin(_i);
	fd = disks_make("f", "");
	ck_assert_int_eq(disk_get_xattr(d, fd, "user.x", got, 8), -ENODATA);
	ck_assert_int_eq(disk_set_xattr(d, fd, "user.x", "abcd", 4), 0);
	ck_assert_int_eq(disk_set_xattr(d, fd, "user.y", "", 0), 0);
	ck_assert_int_eq(disk_get_xattr(d, fd, "user.x", got, 8), 4);
	ck_assert_mem_eq(got, "abcd", 4);
	ck_assert_int_eq(disk_get_xattr(d, fd, "user.x", got, 0), 4);
	ck_assert_int_eq(disk_get_xattr(d, fd, "user.x", got, 3), -ERANGE);
	ck_assert_int_eq(disk_get_xattr(d, fd, "user.y", got, 8), 0);
	ck_assert_int_eq(disk_set_xattr(d, fd, "user.x", "z", 1), 0);
	ck_assert_int_eq(disk_get_xattr(d, fd, "user.x", got, 8), 1);
	disk_close(d, fd);
	disks_end();
}
END_TEST

START_TEST(a_clone_is_a_copy_of_its_own)
{
	int a, b, r;

	disks_begin(_i);
	a = disks_make("a", "hello");
	b = disks_make("b", "");
	r = disk_clone(d, a, b);
	if (disks_kind != KIND_SIM && r == -EOPNOTSUPP) {
		disks_end();
		return;
	}
	ck_assert_int_eq(r, 0);
	disks_assert_bytes(b, "hello");
	ck_assert_int_eq(disk_pwrite(d, a, "J", 1, 0), 0);
	disks_assert_bytes(a, "Jello");
	disks_assert_bytes(b, "hello");
	disk_close(d, b);
	b = disk_open(d, "b", O_RDONLY, 0);
	ck_assert_int_eq(disk_clone(d, a, b), -EBADF);
	disk_close(d, a);
	disk_close(d, b);
	disks_end();
}
END_TEST

START_TEST(a_range_is_copied_inside_the_disk)
{
	int a, b;

	disks_begin(_i);
	a = disks_make("a", "hello");
	b = disks_make("b", "12345678");
	ck_assert_int_eq(disk_copy(d, a, 1, b, 3, 3), 3);
	disks_assert_bytes(b, "123ell78");
	ck_assert_int_eq(disk_copy(d, a, 3, b, 6, 100), 2);
	disks_assert_bytes(b, "123elllo");
	ck_assert_int_eq(disk_copy(d, a, 0, b, 8, 5), 5);
	disks_assert_bytes(b, "123elllohello");
	ck_assert_int_eq(disk_copy(d, a, 5, b, 0, 5), 0);
	ck_assert_int_eq(disk_copy(d, b, 0, b, 1, 3), -EOPNOTSUPP);
	ck_assert_int_eq(disk_pwrite(d, a, "J", 1, 0), 0);
	disks_assert_bytes(b, "123elllohello");
	disk_close(d, b);
	b = disk_open(d, "b", O_RDONLY, 0);
	ck_assert_int_eq(disk_copy(d, a, 0, b, 0, 5), -EBADF);
	disk_close(d, a);
	disk_close(d, b);
	disks_end();
}
END_TEST

START_TEST(a_lease_is_refused_while_somebody_writes)
{
	int w, r, r2, ext;

	disks_begin(_i);
	w = disks_make("f", "abc");
	r = disk_open(d, "f", O_RDONLY, 0);
	ck_assert_int_eq(disk_lease(d, r, DISK_LEASE_READ), -EAGAIN);
	ck_assert_int_eq(disk_lease(d, r, DISK_LEASE_WRITE), -EAGAIN);
	disk_close(d, w);
	ck_assert_int_eq(disk_lease(d, r, DISK_LEASE_READ), 0);
	ck_assert_int_eq(disk_lease(d, r, DISK_LEASE_WRITE), 0);
	ext = disks_external_open("f");
	ck_assert_int_ge(ext, 0);
	ck_assert_int_eq(disk_lease(d, r, DISK_LEASE_READ), -EAGAIN);
	disks_external_write(ext, "x", 0);
	ck_assert_int_eq(disk_unlink(d, "f"), 0);
	ck_assert_int_eq(disk_lease(d, r, DISK_LEASE_READ), -EAGAIN);
	disks_external_close(ext);
	ck_assert_int_eq(disk_lease(d, r, DISK_LEASE_READ), 0);
	disk_close(d, disks_make("g", ""));
	disk_close(d, r);
	r = disk_open(d, "g", O_RDONLY, 0);
	r2 = disk_open(d, "g", O_RDONLY, 0);
	ck_assert_int_eq(disk_lease(d, r, DISK_LEASE_READ), 0);
	/* A lease given back does not stand in the way. */
	w = disk_open(d, "g", O_WRONLY, 0);
	ck_assert_int_ge(w, 0);
	disk_close(d, w);
	disk_close(d, r2);
	disk_close(d, r);
	disks_end();
}
END_TEST

START_TEST(a_write_lease_is_refused_while_somebody_reads)
{
	int r, r2;

	disks_begin(_i);
	disk_close(d, disks_make("f", "abc"));
	r = disk_open(d, "f", O_RDONLY, 0);
	r2 = disk_open(d, "f", O_RDONLY, 0);
	ck_assert_int_eq(disk_lease(d, r, DISK_LEASE_WRITE), -EAGAIN);
	disk_close(d, r2);
	ck_assert_int_eq(disk_lease(d, r, DISK_LEASE_WRITE), 0);
	disk_close(d, r);
	disks_end();
}
END_TEST

/* A disk that takes a few bytes at a time, and at some point no more. */
static struct {
	char text[64];
	uint64_t room;
	ssize_t then;
} stingy;

static ssize_t write_few(struct disk *disk, int fd, const void *p, size_t n,
			 uint64_t off)
{
	(void)disk;
	(void)fd;
	if (off >= stingy.room)
		return stingy.then;
	if (n > 7)
		n = 7;
	if (n > stingy.room - off)
		n = (size_t)(stingy.room - off);
	memcpy(stingy.text + off, p, n);
	return (ssize_t)n;
}

static const struct {
	uint64_t room;
	ssize_t then;
	int want;
} shorts[] = {
	{ 64, 0, 0 },
	{ 26, 0, 0 },
	{ 25, -ENOSPC, -ENOSPC },
	{ 7, -EIO, -EIO },
	{ 10, 0, -EIO },
};

START_TEST(f20_a_short_write_is_finished_or_an_error)
{
	static const struct disk_ops ops = { .name = "stingy",
					     .pwrite = write_few };
	static const char all[] = "abcdefghijklmnopqrstuvwxyz";
	struct disk disk = { .ops = &ops };

	memset(&stingy, 0, sizeof(stingy));
	stingy.room = shorts[_i].room;
	stingy.then = shorts[_i].then;
	ck_assert_int_eq(disk_pwrite(&disk, 3, all, 26, 0), shorts[_i].want);
	if (shorts[_i].want == 0)
		ck_assert_str_eq(stingy.text, all);
}
END_TEST

static void add(TCase *c)
{
	const TTest *const all[] = {
		open_flags_mean_what_they_say,
		a_closed_number_is_bad,
		reads_are_short_only_at_the_end,
		truncation_gives_zeros_back,
		holes_and_data_are_told_apart,
		punching_makes_a_hole_and_keeps_the_size,
		reserved_space_is_no_data_and_no_size,
		every_change_moves_ctime_but_no_look_does,
		xattrs_are_kept,
		a_clone_is_a_copy_of_its_own,
		a_range_is_copied_inside_the_disk,
		a_lease_is_refused_while_somebody_writes,
		a_write_lease_is_refused_while_somebody_reads,
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		tcase_add_loop_test(c, all[i], 0, DISKS_KINDS);
	tcase_add_loop_test(c, f20_a_short_write_is_finished_or_an_error, 0,
			    ARRAY_SIZE(shorts));
}

int main(void)
{
	return harness_run("disk", add);
}
