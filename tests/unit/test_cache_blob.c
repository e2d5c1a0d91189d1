/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "ckptfs/cache.h"
#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/host.h"
#include "ckptfs/rng.h"
#include "ckptfs/thr.h"

#include "harness.h"
#include "sim.h"

#define EPOCH 5
#define FIRST ((uint64_t)EPOCH << 40 | 1)

static const struct cache_tag tag = { .ino = 18, .parent = 1, .name = "a b" };
static struct host host;
static struct cache *cache;

static void open_it(void)
{
	host.clk = &clk_system;
	host.rng = &rng_system;
	host.thr = &thr_system;
	ck_assert_int_eq(disk_system_open(harness_tmpdir(), &host.disk), 0);
	ck_assert_int_eq(cache_open(&host, EPOCH, &cache), 0);
}

static void close_it(void)
{
	cache_close(cache);
	disk_free(host.disk);
}

/* A closed blob with these bytes. */
static uint64_t make(const char *bytes)
{
	uint64_t blob = 0;
	int fd = -1;

	ck_assert_int_eq(cache_blob_new(cache, &tag, O_RDWR, &blob, &fd), 0);
	ck_assert_int_eq(disk_pwrite(host.disk, fd, bytes, strlen(bytes), 0),
			 0);
	cache_blob_close(cache, fd);
	return blob;
}

static void ck_holds(int fd, uint64_t off, const char *bytes)
{
	char got[64] = "";
	size_t n = strlen(bytes);

	ck_assert_uint_lt(n, sizeof(got));
	ck_assert_int_eq(disk_pread(host.disk, fd, got, n, off), (ssize_t)n);
	ck_assert_str_eq(got, bytes);
}

START_TEST(numbers_rise_within_an_epoch_and_name_the_file)
{
	struct disk_stat st;
	uint64_t a = make("one"), b = make("two");
	int fd;

	ck_assert_uint_eq(a, FIRST);
	ck_assert_uint_eq(b, FIRST + 1);
	fd = disk_open(host.disk, "blobs/00/0000050000000002", O_RDONLY, 0);
	ck_assert_int_ge(fd, 0);
	ck_holds(fd, 0, "two");
	ck_assert_int_eq(disk_stat(host.disk, fd, &st), 0);
	ck_assert_uint_eq(st.size, 3);
	disk_close(host.disk, fd);
}
END_TEST

START_TEST(a_number_on_the_disk_already_is_passed_over)
{
	struct cache *again = NULL;
	uint64_t blob = make("first"), other = 0;
	int fd = -1;

	ck_assert_int_eq(cache_open(&host, EPOCH, &again), 0);
	ck_assert_int_eq(cache_blob_new(again, &tag, O_RDWR, &other, &fd), 0);
	ck_assert_uint_eq(other, blob + 1);
	cache_blob_close(again, fd);
	cache_close(again);
	fd = cache_blob_open(cache, blob, O_RDONLY);
	ck_holds(fd, 0, "first");
	cache_blob_close(cache, fd);
}
END_TEST

START_TEST(a_blob_tells_whose_it_was)
{
	char v[64] = "";
	int fd = cache_blob_open(cache, make(""), O_RDONLY);
	ssize_t n = disk_get_xattr(host.disk, fd, "user.ckptfs.tag", v,
				   sizeof(v) - 1);

	/* A disk without xattr is served all the same. */
	if (n != -EOPNOTSUPP)
		ck_assert_str_eq(v, "12 1 a b");
	cache_blob_close(cache, fd);
}
END_TEST

START_TEST(a_blob_is_opened_and_unlinked_by_number)
{
	uint64_t blob = make("x");
	int fd;

	ck_assert_int_eq(cache_blob_open(cache, blob + 1, O_RDONLY), -ENOENT);
	ck_assert_int_eq(cache_blob_open(cache, blob + 4096, O_RDONLY),
			 -ENOENT);
	fd = cache_blob_open(cache, blob, O_RDWR);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(disk_pwrite(host.disk, fd, "y", 1, 1), 0);
	ck_assert_int_eq(cache_blob_unlink(cache, blob), 0);
	ck_holds(fd, 0, "xy");
	cache_blob_close(cache, fd);
	ck_assert_int_eq(cache_blob_open(cache, blob, O_RDONLY), -ENOENT);
	ck_assert_int_eq(cache_blob_unlink(cache, blob), 0);
	ck_assert_int_eq(cache_blob_unlink(cache, blob + 4096), 0);
}
END_TEST

struct seen {
	uint64_t blob[1024];
	unsigned n, stop_after;
	bool lose;
};

static int see(void *arg, uint64_t blob)
{
	struct seen *s = arg;

	s->blob[s->n++] = blob;
	if (s->lose)
		ck_assert_int_eq(cache_blob_lose(cache, blob), 0);
	return s->n == s->stop_after ? 7 : 0;
}

static void touch(const char *path)
{
	int fd = disk_open(host.disk, path, O_WRONLY | O_CREAT, 0600);

	ck_assert_int_ge(fd, 0);
	disk_close(host.disk, fd);
}

START_TEST(each_blob_is_visited_and_nothing_else)
{
	struct seen s = { .stop_after = 0 };
	unsigned i;

	for (i = 0; i < 600; i++)
		ck_assert_uint_eq(make(""), FIRST + i);
	touch("blobs/README");
	touch("blobs/00/0000050000000FFF");
	touch("blobs/00/0000050000000f");
	touch("blobs/00/0000050000000100");
	ck_assert_int_eq(disk_mkdir(host.disk, "blobs/zz", 0700), 0);
	ck_assert_int_eq(
		disk_mkdir(host.disk, "blobs/00/0000000000000001", 0700), 0);
	ck_assert_int_eq(cache_blob_each(cache, see, &s), 0);
	ck_assert_uint_eq(s.n, 600);
	for (i = 0; i < 600; i++)
		ck_assert_uint_eq(s.blob[i], FIRST + i);
	s = (struct seen){ .stop_after = 3 };
	ck_assert_int_eq(cache_blob_each(cache, see, &s), 7);
	ck_assert_uint_eq(s.n, 3);
}
END_TEST

START_TEST(a_lost_blob_moves_out_of_the_way)
{
	struct seen s = { .lose = true };
	uint64_t blob = make("bytes");
	int fd;

	make("more");
	ck_assert_int_eq(cache_blob_each(cache, see, &s), 0);
	ck_assert_uint_eq(s.n, 2);
	ck_assert_int_eq(cache_blob_open(cache, blob, O_RDONLY), -ENOENT);
	fd = disk_open(host.disk, "lost+found/0000050000000001", O_RDONLY, 0);
	ck_assert_int_ge(fd, 0);
	ck_holds(fd, 0, "bytes");
	disk_close(host.disk, fd);
	ck_assert_int_eq(cache_blob_lose(cache, blob), -ENOENT);
	s = (struct seen){ .lose = false };
	ck_assert_int_eq(cache_blob_each(cache, see, &s), 0);
	ck_assert_uint_eq(s.n, 0);
}
END_TEST

START_TEST(a_copy_ends_where_it_is_told_to)
{
	uint64_t from = make("the quick brown fox"), copy = 0;
	int from_fd = cache_blob_open(cache, from, O_RDONLY), fd = -1;
	struct disk_stat st;

	ck_assert_int_eq(cache_blob_copy(cache, from_fd, 9, &tag, &copy, &fd),
			 0);
	ck_assert_uint_ne(copy, from);
	ck_assert_int_eq(disk_stat(host.disk, fd, &st), 0);
	ck_assert_uint_eq(st.size, 9);
	ck_holds(fd, 0, "the quick");
	ck_assert_int_eq(disk_pwrite(host.disk, fd, "a", 1, 0), 0);
	ck_holds(from_fd, 0, "the quick brown");
	cache_blob_close(cache, fd);
	ck_assert_int_eq(cache_blob_copy(cache, from_fd, 0, &tag, &copy, &fd),
			 0);
	ck_assert_int_eq(disk_stat(host.disk, fd, &st), 0);
	ck_assert_uint_eq(st.size, 0);
	cache_blob_close(cache, fd);
	cache_blob_close(cache, from_fd);
}
END_TEST

START_TEST(a_copy_keeps_holes)
{
	const uint64_t mib = UINT64_C(1) << 20, size = 40 * mib;
	uint64_t from = make("head"), copy = 0;
	int from_fd = cache_blob_open(cache, from, O_RDWR), fd = -1;
	struct disk_stat st;

	ck_assert_int_eq(disk_pwrite(host.disk, from_fd, "middle", 6, 20 * mib),
			 0);
	ck_assert_int_eq(disk_truncate(host.disk, from_fd, size), 0);
	ck_assert_int_eq(
		cache_blob_copy(cache, from_fd, size, &tag, &copy, &fd), 0);
	ck_assert_int_eq(disk_stat(host.disk, fd, &st), 0);
	ck_assert_uint_eq(st.size, size);
	ck_assert_uint_le(st.alloc, 2 * mib);
	ck_holds(fd, 0, "head");
	ck_holds(fd, 20 * mib, "middle");
	cache_blob_close(cache, fd);
	cache_blob_close(cache, from_fd);
}
END_TEST

START_TEST(a_copy_of_more_than_there_is_leaves_nothing)
{
	uint64_t from = make("short"), copy = 77;
	int from_fd = cache_blob_open(cache, from, O_RDONLY), fd = 77;
	struct seen s = { .stop_after = 0 };

	ck_assert_int_eq(cache_blob_copy(cache, from_fd, 6, &tag, &copy, &fd),
			 -EIO);
	ck_assert_uint_eq(copy, 77);
	ck_assert_int_eq(fd, 77);
	cache_blob_close(cache, from_fd);
	ck_assert_int_eq(cache_blob_each(cache, see, &s), 0);
	ck_assert_uint_eq(s.n, 1);
}
END_TEST

START_TEST(a_check_finds_what_is_missing)
{
	uint64_t blob = make("12345"), holey = make("1");
	int fd = cache_blob_open(cache, holey, O_RDWR);

	ck_assert_int_eq(cache_blob_check(cache, blob, 0, false), 0);
	ck_assert_int_eq(cache_blob_check(cache, blob, 4, false), 0);
	ck_assert_int_eq(cache_blob_check(cache, blob, 5, false), 0);
	ck_assert_int_eq(cache_blob_check(cache, blob, 6, false), -ENODATA);
	ck_assert_int_eq(cache_blob_check(cache, blob + 9, 0, false), -ENODATA);
	ck_assert_int_eq(disk_truncate(host.disk, fd, 1 << 20), 0);
	cache_blob_close(cache, fd);
	ck_assert_int_eq(cache_blob_check(cache, holey, 1, false), 0);
	ck_assert_int_eq(cache_blob_check(cache, holey, 1 << 20, false),
			 -ENODATA);
	ck_assert_int_eq(cache_blob_check(cache, holey, 1 << 20, true), 0);
	ck_assert_int_eq(cache_blob_check(cache, holey, 1 << 30, true),
			 -ENODATA);
}
END_TEST

START_TEST(names_are_synced_also_when_nothing_changed)
{
	make("x");
	ck_assert_int_eq(cache_sync_names(cache), 0);
	ck_assert_int_eq(cache_sync_names(cache), 0);
}
END_TEST

/* ---- over the simulated disk */

static void open_sim(unsigned lacks)
{
	close_it();
	host.disk = simdisk_new(&clk_system, 1);
	simdisk_set_lacks(host.disk, lacks);
	ck_assert_int_eq(cache_open(&host, EPOCH, &cache), 0);
}

static const unsigned lacks[] = { 0, SIM_NO_CLONE, SIM_NO_XATTR };

START_TEST(a_copy_is_the_same_with_and_without_clones)
{
	const uint64_t mib = UINT64_C(1) << 20;
	uint64_t from, copy = 0;
	int from_fd, fd = -1;
	struct disk_stat st;

	open_sim(lacks[_i]);
	from = make("head");
	from_fd = cache_blob_open(cache, from, O_RDWR);
	ck_assert_int_eq(disk_pwrite(host.disk, from_fd, "tail", 4, 9 * mib),
			 0);
	ck_assert_int_eq(
		cache_blob_copy(cache, from_fd, 9 * mib + 2, &tag, &copy, &fd),
		0);
	ck_assert_int_eq(disk_stat(host.disk, fd, &st), 0);
	ck_assert_uint_eq(st.size, 9 * mib + 2);
	ck_assert_uint_lt(st.alloc, mib);
	ck_holds(fd, 0, "head");
	ck_holds(fd, 9 * mib, "ta");
	cache_blob_close(cache, fd);
	cache_blob_close(cache, from_fd);
	ck_assert_uint_eq(simdisk_open_handles(host.disk), 0);
}
END_TEST

START_TEST(a_copy_that_fails_anywhere_leaves_nothing)
{
	uint64_t from, copy = 0;
	unsigned long n = 0;
	int from_fd, fd, r;

	open_sim(SIM_NO_CLONE);
	from = make("the bytes");
	from_fd = cache_blob_open(cache, from, O_RDONLY);
	do {
		struct seen s = { .stop_after = 0 };

		/* That a disk refuses an xattr, or to unlink, fails no copy. */
		simdisk_fail(host.disk, SIM_ANY, ++n, -ENOSPC, false);
		r = cache_blob_copy(cache, from_fd, 9, &tag, &copy, &fd);
		simdisk_heal(host.disk);
		ck_assert(r == 0 || r == -ENOSPC);
		if (r == 0) {
			ck_holds(fd, 0, "the bytes");
			cache_blob_close(cache, fd);
			ck_assert_int_eq(cache_blob_unlink(cache, copy), 0);
		}
		ck_assert_uint_eq(simdisk_open_handles(host.disk), 1);
		ck_assert_int_eq(cache_blob_each(cache, see, &s), 0);
		ck_assert_uint_eq(s.n, 1);
	} while (n < 20);
	cache_blob_close(cache, from_fd);
}
END_TEST

START_TEST(f10_names_survive_a_power_cut_once_synced)
{
	uint64_t blob[600], late;
	unsigned i;
	int fd;

	open_sim(0);
	for (i = 0; i < 600; i++)
		blob[i] = make("");
	ck_assert_int_eq(cache_sync_names(cache), 0);
	late = make("");
	simdisk_power_cut(host.disk, 0);
	for (i = 0; i < 600; i++) {
		fd = cache_blob_open(cache, blob[i], O_RDONLY);
		ck_assert_int_ge(fd, 0);
		cache_blob_close(cache, fd);
	}
	ck_assert_int_eq(cache_blob_open(cache, late, O_RDONLY), -ENOENT);
}
END_TEST

START_TEST(names_of_an_earlier_process_are_synced_too)
{
	uint64_t blob;
	int fd;

	open_sim(0);
	blob = make("");
	cache_close(cache);
	simdisk_crash(host.disk);
	ck_assert_int_eq(cache_open(&host, EPOCH + 1, &cache), 0);
	ck_assert_int_eq(cache_sync_names(cache), 0);
	simdisk_power_cut(host.disk, 0);
	fd = cache_blob_open(cache, blob, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	cache_blob_close(cache, fd);
}
END_TEST

START_TEST(a_failed_sync_of_names_is_final)
{
	unsigned long calls;

	open_sim(0);
	ck_assert_int_eq(cache_sync_names(cache), 0);
	calls = simdisk_calls(host.disk, SIM_SYNC_DIR);
	ck_assert_int_eq(cache_sync_names(cache), 0);
	ck_assert_uint_eq(simdisk_calls(host.disk, SIM_SYNC_DIR), calls);
	make("");
	simdisk_fail(host.disk, SIM_SYNC_DIR, 1, -EIO, false);
	ck_assert_int_eq(cache_sync_names(cache), -EIO);
	ck_assert_int_eq(cache_sync_names(cache), -EIO);
	make("");
	ck_assert_int_eq(cache_sync_names(cache), -EIO);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, open_it, close_it);
	tcase_add_test(c, numbers_rise_within_an_epoch_and_name_the_file);
	tcase_add_test(c, a_number_on_the_disk_already_is_passed_over);
	tcase_add_test(c, a_blob_tells_whose_it_was);
	tcase_add_test(c, a_blob_is_opened_and_unlinked_by_number);
	tcase_add_test(c, each_blob_is_visited_and_nothing_else);
	tcase_add_test(c, a_lost_blob_moves_out_of_the_way);
	tcase_add_test(c, a_copy_ends_where_it_is_told_to);
	tcase_add_test(c, a_copy_keeps_holes);
	tcase_add_test(c, a_copy_of_more_than_there_is_leaves_nothing);
	tcase_add_test(c, a_check_finds_what_is_missing);
	tcase_add_test(c, names_are_synced_also_when_nothing_changed);
	tcase_add_loop_test(c, a_copy_is_the_same_with_and_without_clones, 0,
			    ARRAY_SIZE(lacks));
	tcase_add_test(c, a_copy_that_fails_anywhere_leaves_nothing);
	tcase_add_test(c, f10_names_survive_a_power_cut_once_synced);
	tcase_add_test(c, names_of_an_earlier_process_are_synced_too);
	tcase_add_test(c, a_failed_sync_of_names_is_final);
}

int main(void)
{
	return harness_run("cache_blob", add);
}
