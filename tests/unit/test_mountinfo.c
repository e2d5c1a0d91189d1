/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/mountinfo.h"
#include "harness.h"

static const struct {
	const char *line;
	int r;
	const char *point, *type, *source;
	uid_t user;
} t[] = {
	{ "36 35 98:0 / /mnt/a rw,noatime master:1 - ext4 /dev/root rw,x\n", 0,
	  "/mnt/a", "ext4", "/dev/root", (uid_t)-1 },
	{ "36 35 0:50 / /mnt/a\\040b\\134c rw shared:1 master:2 - fuse.ckptfs "
	  "s3://b/a\\040x rw,user_id=1000,group_id=0\n",
	  0, "/mnt/a b\\c", "fuse.ckptfs", "s3://b/a x", 1000 },
	{ "36 35 0:50 / /m rw - fuse.ckptfs s3://b rw,user_id=0", 0, "/m",
	  "fuse.ckptfs", "s3://b", 0 },
	{ "36 35 0:50 / /m rw shared:1", -EBADMSG, NULL, NULL, NULL, 0 },
	{ "36 35", -EBADMSG, NULL, NULL, NULL, 0 },
	{ "", -EBADMSG, NULL, NULL, NULL, 0 },
};

START_TEST(lines_are_cut_where_the_kernel_means_it)
{
	struct mount_entry e;

	ck_assert_int_eq(mountinfo_parse(t[_i].line, &e), t[_i].r);
	if (t[_i].r < 0)
		return;
	ck_assert_str_eq(e.point, t[_i].point);
	ck_assert_str_eq(e.type, t[_i].type);
	ck_assert_str_eq(e.source, t[_i].source);
	ck_assert_uint_eq(e.user, t[_i].user);
	mount_entry_clear(&e);
}
END_TEST

/* Not "/": in a chroot it need not be a mount, but what is read here is. */
START_TEST(proc_is_a_mount_and_a_missing_folder_is_none)
{
	struct mount_entry e;

	ck_assert_int_eq(mountinfo_at("/proc", &e), 0);
	ck_assert_str_eq(e.point, "/proc");
	ck_assert_str_eq(e.type, "proc");
	mount_entry_clear(&e);
	ck_assert_int_eq(mountinfo_at("/no/such/point", &e), -ENOENT);
}
END_TEST

START_TEST(paths_are_resolved_as_realpath_does)
{
	const char *dir = harness_tmpdir();
	char path[512], link[256];
	char *got = NULL, *want;
	size_t point = 1;

	ck_assert_int_eq(chdir(dir), 0);
	ck_assert_int_eq(mkdir("a", 0700), 0);
	ck_assert_int_eq(mkdir("a/b", 0700), 0);
	(void)snprintf(link, sizeof(link), "%s/a", dir);
	ck_assert_int_eq(symlink(link, "abs"), 0);
	ck_assert_int_eq(symlink("../a/./b", "a/rel"), 0);
	ck_assert_int_eq(symlink("loop", "loop"), 0);
	ck_assert_int_eq(mountinfo_resolve("abs/rel/..//b/", &got, &point), 0);
	(void)snprintf(path, sizeof(path), "%s/a/b", dir);
	want = realpath(path, NULL);
	ck_assert_str_eq(got, want);
	ck_assert_uint_eq(point, 0);
	free(got);
	free(want);
	ck_assert_int_eq(mountinfo_resolve("no/such", &got, &point), -ENOENT);
	ck_assert_int_eq(mountinfo_resolve("loop", &got, &point), -ELOOP);
	ck_assert_int_eq(mountinfo_resolve("", &got, &point), -ENOENT);
	ck_assert_int_eq(mountinfo_resolve("/../..", &got, &point), 0);
	ck_assert_str_eq(got, "/");
	free(got);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, lines_are_cut_where_the_kernel_means_it, 0,
			    (int)ARRAY_SIZE(t));
	tcase_add_test(c, proc_is_a_mount_and_a_missing_folder_is_none);
	tcase_add_test(c, paths_are_resolved_as_realpath_does);
}

int main(void)
{
	return harness_run("mountinfo", add);
}
