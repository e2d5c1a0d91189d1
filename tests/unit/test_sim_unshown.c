/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of others that are no path of a mount: not shown, not followed, left
 * alone, and counted. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs_owe.h"
#include "harness.h"
#include "kept_rig.h"

static void setup(void)
{
	rig_begin(1);
}

static void teardown(void)
{
	rig_end();
}

static int take(void *arg, const char *name, const struct fs_attr *a,
		uint64_t next)
{
	char *list = arg;
	size_t n = strlen(list);

	(void)a;
	(void)next;
	if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		(void)snprintf(list + n, 512 - n, "%s ", name);
	return 0;
}

/* Read anew, by readdir(3). */
static const char *list(const char *path)
{
	static char names[512];
	struct fs_dir *d;

	run(11);
	(void)snprintf(names, sizeof(names), " ");
	ck_assert_int_eq(fs_opendir(fs, *path ? ino_of(path) : FS_ROOT_INO, &d),
			 0);
	ck_assert_int_eq(fs_readdir(fs, d, 0, take, names), 0);
	fs_closedir(fs, d);
	return names;
}

static uint64_t unshown(void)
{
	struct fs_stats st;

	fs_stats(fs, &st);
	return st.unshown;
}

/* Of the root, and of the folder d. */
static const char *const in_root[] = { "/x", "../x", "./x", ".", ".." };
static const char *const in_d[] = { "d//x", "d/../../x", "d/./x", "d/.." };

static void put_all(const char *const *keys, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		foreign(keys[i], "theirs");
}

START_TEST(keys_that_are_no_path_are_left_alone_and_counted)
{
	char longest[300], too_long[300];

	memset(longest, 'n', 256);
	longest[255] = '\0';
	memset(too_long, 'n', 256);
	too_long[256] = '\0';
	foreign("d/seen", "seen");
	foreign(longest, "longest");
	ck_assert_ptr_nonnull(strstr(list(""), " d "));
	ck_assert_uint_eq(unshown(), 0);
	put_all(in_root, ARRAY_SIZE(in_root));
	put_all(in_d, ARRAY_SIZE(in_d));
	foreign(too_long, "theirs");
	ck_assert_uint_eq(strlen(list("")), 1 + 2 + 256);
	/* "." and "./" are one name, and so are ".." and "../" */
	ck_assert_uint_ge(unshown(), 4);
	ck_assert_uint_eq(ino_of("x"), 0);
	ck_assert_str_eq(list("d"), " seen ");
	ck_assert_uint_ge(unshown(), 7);
	assert_text(text_of("d/seen"), "seen");
	/* What is done to the folder leaves them where they are. */
	ck_assert_int_eq(fs_unlink(fs, ino_of("d"), "seen"), 0);
	ck_assert_int_eq(fs_rmdir(fs, FS_ROOT_INO, "d"), -ENOTEMPTY);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("d//x"), "theirs");
	assert_text(object_of("d/../../x"), "theirs");
	assert_text(object_of("../x"), "theirs");
}
END_TEST

START_TEST(what_is_gone_is_counted_no_more)
{
	foreign("d/a", "x");
	foreign("d//x", "x");
	foreign("f", "file");
	foreign("f/x", "below it");
	ck_assert_str_eq(list("d"), " a ");
	(void)list("");
	ck_assert_uint_eq(unshown(), 2);
	ck_assert_int_eq(store_del(bucket, "run/f", NULL), 0);
	(void)list("");
	ck_assert_uint_eq(unshown(), 1);
	ck_assert_int_eq(store_del(bucket, "run/d//x", NULL), 0);
	ck_assert_str_eq(list("d"), " a ");
	ck_assert_uint_eq(unshown(), 0);
}
END_TEST

/* Bytes that are no text, or that a terminal would obey, as they are. */
START_TEST(bytes_of_any_kind_are_shown_as_they_are)
{
	static const char name[] = "c\x01\x1b[1m\xff\n";

	foreign(name, "theirs");
	ck_assert_ptr_nonnull(strstr(list(""), name));
	ck_assert_uint_eq(unshown(), 0);
	assert_text(text_of(name), "theirs");
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, keys_that_are_no_path_are_left_alone_and_counted);
	tcase_add_test(c, what_is_gone_is_counted_no_more);
	tcase_add_test(c, bytes_of_any_kind_are_shown_as_they_are);
}

int main(void)
{
	return harness_run("sim_unshown", add);
}
