/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What POSIX says of times, folders, holes and setuid bits, and programs see on
 * any local disk.  On the simulated machine.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>

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

static struct fs_attr attr_of(uint64_t ino)
{
	struct fs_attr a;

	ck_assert_int_eq(fs_getattr(fs, ino, NULL, &a), 0);
	return a;
}

static void set_mode(uint64_t ino, mode_t mode)
{
	struct fs_attr want = { .mode = mode }, got;
	struct fs_ctx ctx = ctx_of();

	ck_assert_int_eq(
		fs_setattr(fs, &ctx, ino, &want, FS_SET_MODE, NULL, &got), 0);
}

/* ---- times */

enum { PUBLISHED, QUEUED, BESIDE_A_READER, OPENS };

START_TEST(an_open_for_writing_alone_moves_no_time)
{
	struct fs_attr before, now;
	struct file f, reader;

	ck_assert_int_eq(put_file("a", "one"), 0);
	if (_i != QUEUED)
		ck_assert(settle(5 * NS_PER_S));
	if (_i == BESIDE_A_READER)
		ck_assert_int_eq(f_open(&reader, "a", O_RDONLY), 0);
	before = attr_of(ino_of("a"));
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(f_open(&f, "a", O_RDWR), 0);
	now = attr_of(f.ino);
	ck_assert_int_eq(now.mtime_ns, before.mtime_ns);
	ck_assert_int_eq(now.ctime_ns, before.ctime_ns);
	ck_assert_int_eq(f_close(&f), 0);
	if (_i == BESIDE_A_READER)
		ck_assert_int_eq(f_close(&reader), 0);
	now = attr_of(f.ino);
	ck_assert_int_eq(now.mtime_ns, before.mtime_ns);
	ck_assert_int_eq(now.ctime_ns, before.ctime_ns);
}
END_TEST

START_TEST(a_write_moves_both_and_they_stay_at_the_close)
{
	struct fs_attr before, now;
	struct file f;

	ck_assert_int_eq(put_file("a", "one"), 0);
	ck_assert(settle(5 * NS_PER_S));
	before = attr_of(ino_of("a"));
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(f_open(&f, "a", O_RDWR), 0);
	ck_assert_int_eq(f_write(&f, "two", 0), 0);
	now = attr_of(f.ino);
	ck_assert_int_gt(now.mtime_ns, before.mtime_ns);
	ck_assert_int_gt(now.ctime_ns, before.ctime_ns);
	before = now;
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(f_close(&f), 0);
	now = attr_of(f.ino);
	ck_assert_int_eq(now.mtime_ns, before.mtime_ns);
	ck_assert_int_eq(now.ctime_ns, before.ctime_ns);
}
END_TEST

START_TEST(what_was_set_while_open_does_not_go_back_at_the_close)
{
	struct fs_attr before;
	struct file f;

	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "one", 0), 0);
	sim_advance(sim, NS_PER_S);
	set_mode(f.ino, 0600);
	before = attr_of(f.ino);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(attr_of(f.ino).ctime_ns, before.ctime_ns);
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(attr_of(ino_of("a")).ctime_ns, before.ctime_ns);
}
END_TEST

START_TEST(to_lose_its_name_moves_the_ctime_of_an_open_file)
{
	struct fs_attr before, now;
	struct file f;

	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	before = attr_of(f.ino);
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	now = attr_of(f.ino);
	ck_assert_uint_eq(now.nlink, 0);
	ck_assert_int_gt(now.ctime_ns, before.ctime_ns);
	ck_assert_int_eq(now.mtime_ns, before.mtime_ns);
	ck_assert_int_eq(f_close(&f), 0);
}
END_TEST

/* ---- folders */

static uint64_t make_dir(uint64_t parent, const char *name, mode_t mode)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, parent, name, mode, &e), 0);
	return e.attr.ino;
}

static char seen[200];

static int note(void *arg, const char *name, const struct fs_attr *attr,
		uint64_t next)
{
	(void)arg;
	(void)attr;
	(void)next;
	ck_assert_uint_lt(strlen(seen) + strlen(name) + 1, sizeof(seen));
	strncat(seen, name, sizeof(seen) - strlen(seen) - 1);
	strncat(seen, " ", sizeof(seen) - strlen(seen) - 1);
	return 0;
}

static const char *read_from(struct fs_dir *d, uint64_t cookie)
{
	seen[0] = '\0';
	ck_assert_int_eq(fs_readdir(fs, d, cookie, note, NULL), 0);
	return seen;
}

START_TEST(a_folder_is_told_as_it_is_when_it_is_read_from_its_start)
{
	struct fs_dir *d;

	ck_assert_int_eq(put_file("b", ""), 0);
	ck_assert_int_eq(fs_opendir(fs, FS_ROOT_INO, &d), 0);
	ck_assert_int_eq(put_file("a", ""), 0);
	ck_assert_str_eq(read_from(d, 0), ". .. a b ");
	/* What comes meanwhile moves nothing for who goes on. */
	ck_assert_int_eq(put_file("0", ""), 0);
	ck_assert_str_eq(read_from(d, 3), "b ");
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
	ck_assert_str_eq(read_from(d, 0), ". .. 0 b ");
	fs_closedir(fs, d);
}
END_TEST

START_TEST(a_folder_that_is_gone_is_empty_to_who_has_it_open)
{
	uint64_t ino = make_dir(FS_ROOT_INO, "d", 0755);
	struct fs_dir *d;

	ck_assert_uint_eq(attr_of(ino).nlink, 1);
	ck_assert_int_eq(fs_opendir(fs, ino, &d), 0);
	ck_assert_str_eq(read_from(d, 0), ". .. ");
	ck_assert_int_eq(fs_rmdir(fs, FS_ROOT_INO, "d"), 0);
	ck_assert_str_eq(read_from(d, 0), ". .. ");
	ck_assert_uint_eq(attr_of(ino).nlink, 0);
	fs_closedir(fs, d);
}
END_TEST

START_TEST(what_is_made_in_a_setgid_folder_gets_its_group)
{
	struct fs_attr want = { .mode = 02775, .gid = 77 }, got;
	uint64_t dir = make_dir(FS_ROOT_INO, "d", 0755), sub;
	struct fs_ctx ctx = ctx_of();
	struct file f;

	ck_assert_int_eq(fs_setattr(fs, &ctx, dir, &want,
				    FS_SET_MODE | FS_SET_GID, NULL, &got),
			 0);
	sub = make_dir(dir, "sub", 0755);
	ck_assert_uint_eq(attr_of(sub).mode, S_IFDIR | 02755);
	ck_assert_uint_eq(attr_of(sub).gid, 77);
	ck_assert_int_eq(f_create_in(&f, dir, "f", O_WRONLY), 0);
	ck_assert_uint_eq(attr_of(f.ino).mode, S_IFREG | 0644);
	ck_assert_uint_eq(attr_of(f.ino).gid, 77);
	ck_assert_int_eq(f_close(&f), 0);
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_uint_eq(attr_of(ino_of("d/sub")).mode, S_IFDIR | 02755);
}
END_TEST

/* ---- holes */

#define KEEP FALLOC_FL_KEEP_SIZE
#define PUNCH (FALLOC_FL_PUNCH_HOLE | KEEP)
#define ZERO FALLOC_FL_ZERO_RANGE

/* object_of() for bytes with zeros in them. */
static void assert_zeroed(const char *got, size_t from, size_t n, size_t size)
{
	char want[32] = "0123456789";

	ck_assert_ptr_nonnull(got);
	memset(want + from, 0, n);
	ck_assert_mem_eq(got, want, size);
}

START_TEST(bytes_are_cleared)
{
	static const struct {
		int mode;
		uint64_t off, len, size;
	} cases[] = { { PUNCH, 2, 3, 10 },     { PUNCH, 8, 100, 10 },
		      { PUNCH, 50, 10, 10 },   { ZERO, 2, 3, 10 },
		      { ZERO, 8, 10, 18 },     { ZERO | KEEP, 8, 10, 10 },
		      { 0, 8, 10, 18 },	       { KEEP, 8, 10, 10 } };
	bool clears = cases[_i].mode & (FALLOC_FL_PUNCH_HOLE | ZERO);
	uint64_t off = cases[_i].off, len = cases[_i].len;
	struct file f;

	ck_assert_int_eq(put_file("a", "0123456789"), 0);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_int_eq(f_open(&f, "a", O_RDWR), 0);
	ck_assert_int_eq(fs_fallocate(fs, f.o.file, cases[_i].mode, off, len),
			 0);
	ck_assert_uint_eq(attr_of(f.ino).size, cases[_i].size);
	assert_text(object_of("a"), "0123456789");
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(5 * NS_PER_S));
	if (!clears || off >= 10)
		len = 0;
	else if (len > 10 - off)
		len = 10 - off;
	assert_zeroed(object_of("a"), len ? off : 0, len, cases[_i].size);
}
END_TEST

START_TEST(what_is_cleared_stays_in_the_version_that_is_queued)
{
	int mode = _i ? ZERO : PUNCH;
	struct file f;

	/* What was appended is final at its flush. */
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_write(&f, "0123456789", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	ck_assert_int_eq(fs_fallocate(fs, f.o.file, mode, 2, 3), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "0123456789");
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_zeroed(object_of("a"), 2, 3, 10);
}
END_TEST

START_TEST(what_moves_bytes_is_refused)
{
	struct file f;

	ck_assert_int_eq(f_create(&f, "a", O_RDWR), 0);
	ck_assert_int_eq(fs_fallocate(fs, f.o.file, FALLOC_FL_COLLAPSE_RANGE, 0,
				      4096),
			 -EOPNOTSUPP);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(f_open(&f, "a", O_RDONLY), 0);
	ck_assert_int_eq(fs_fallocate(fs, f.o.file, PUNCH, 0, 1), -EBADF);
	ck_assert_int_eq(f_close(&f), 0);
}
END_TEST

/* ---- handles that cannot write */

START_TEST(a_close_by_who_made_or_emptied_it_counts)
{
	struct file f;

	if (_i == 0) {
		ck_assert_int_eq(f_create(&f, "a", O_RDONLY), 0);
	} else {
		ck_assert_int_eq(put_file("a", "old"), 0);
		ck_assert(settle(5 * NS_PER_S));
		ck_assert_int_eq(f_open(&f, "a", O_RDONLY | O_TRUNC), 0);
	}
	/* RELEASE comes after close(2) has returned: here it never does. */
	ck_assert_int_eq(f_flush(&f), 0);
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_str_eq(state_of("a"), "published");
	assert_text(object_of("a"), "");
}
END_TEST

START_TEST(who_let_go_of_a_mapping_is_not_said_to_hold_the_file)
{
	struct file f;
	int fd;

	ck_assert_int_eq(put_file("a", "one"), 0);
	ck_assert(settle(5 * NS_PER_S));
	ck_assert_int_eq(f_open(&f, "a", O_RDWR), 0);
	fd = intrude(f.ino);
	ck_assert_int_eq(f_close(&f), 0);
	sim_run_for(sim, 30 * NS_PER_S);
	ck_assert_int_eq(fs_sync(fs, "", &(uint64_t){ 0 },
				 sim_now(sim) + NS_PER_S),
			 -EIO);
	simdisk_external_close(disk, fd);
	ck_assert_int_eq(fs_sync(fs, "", &(uint64_t){ 0 },
				 sim_now(sim) + NS_PER_S),
			 0);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, an_open_for_writing_alone_moves_no_time, 0,
			    OPENS);
	tcase_add_test(c, a_write_moves_both_and_they_stay_at_the_close);
	tcase_add_test(c, what_was_set_while_open_does_not_go_back_at_the_close);
	tcase_add_test(c, to_lose_its_name_moves_the_ctime_of_an_open_file);
	tcase_add_test(
		c, a_folder_is_told_as_it_is_when_it_is_read_from_its_start);
	tcase_add_test(c, a_folder_that_is_gone_is_empty_to_who_has_it_open);
	tcase_add_test(c, what_is_made_in_a_setgid_folder_gets_its_group);
	tcase_add_loop_test(c, bytes_are_cleared, 0, 8);
	tcase_add_loop_test(
		c, what_is_cleared_stays_in_the_version_that_is_queued, 0, 2);
	tcase_add_test(c, what_moves_bytes_is_refused);
	tcase_add_loop_test(c, a_close_by_who_made_or_emptied_it_counts, 0, 2);
	tcase_add_test(
		c, who_let_go_of_a_mapping_is_not_said_to_hold_the_file);
}

int main(void)
{
	return harness_run("sim_posix", add);
}
