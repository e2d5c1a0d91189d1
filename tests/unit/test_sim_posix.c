/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What POSIX says of times, folders, holes and setuid bits, and programs see on
 * any local disk.  On the simulated machine.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
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
}

int main(void)
{
	return harness_run("sim_posix", add);
}
