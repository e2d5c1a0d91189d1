/* SPDX-License-Identifier: Apache-2.0 */
/* Names that nobody looks at leave the memory, and are as they were when
 * somebody does. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/thr.h"

#include "fs_rig.h"
#include "harness.h"

#define EACH 20

static void teardown(void)
{
	rig_end();
}

static ssize_t text_read(void *arg, uint64_t off, void *p, size_t n)
{
	memcpy(p, (const char *)arg + off, n);
	return (ssize_t)n;
}

/* A folder that others filled; the text of each file is its name. */
static void fill(const char *dir)
{
	char key[64], name[16];
	unsigned i;

	for (i = 0; i < EACH; i++) {
		struct store_src src = { .read = text_read, .arg = name };
		struct store_meta m = { .write_id = "" };
		struct store_obj o;

		(void)snprintf(name, sizeof(name), "f%02u", i);
		(void)snprintf(key, sizeof(key), "run/%s/%s", dir, name);
		src.len = strlen(name);
		ck_assert_int_eq(store_put(bucket, key, &src, &m, NULL, &o), 0);
	}
}

static void setup(void)
{
	rig_machine(1);
	fill("a");
	fill("b");
	rig_opts.names_max = EACH;
	rig_opts.metadata_ttl_ns = 3600 * NS_PER_S;
	ck_assert_int_eq(rig_open(), 0);
}

static int count(void *arg, const char *name, const struct fs_attr *a,
		 uint64_t next)
{
	unsigned *n = arg;

	(void)a;
	(void)next;
	*n += name[0] != '.';
	return 0;
}

static unsigned list(const char *path)
{
	struct fs_dir *d;
	unsigned n = 0;

	ck_assert_int_eq(fs_opendir(fs, ino_of(path), &d), 0);
	ck_assert_int_eq(fs_readdir(fs, d, 0, count, &n), 0);
	fs_closedir(fs, d);
	return n;
}

static uint64_t in_memory(void)
{
	struct fs_stats st;

	fs_stats(fs, &st);
	return st.names;
}

START_TEST(names_come_back_as_they_were)
{
	uint64_t ino;

	ino = ino_of("a/f07");
	ck_assert_uint_ne(ino, 0);
	ck_assert_uint_eq(list("a"), EACH);
	ck_assert_uint_eq(list("b"), EACH);
	ck_assert(settle(10 * NS_PER_S));
	/* The root and both folders, and the names of one at most. */
	ck_assert_uint_le(in_memory(), 3 + EACH);
	ck_assert_uint_eq(list("a"), EACH);
	ck_assert_uint_eq(list("b"), EACH);
	ck_assert_uint_eq(ino_of("a/f07"), ino);
	assert_text(text_of("a/f07"), "f07");
}
END_TEST

/* What is not in the bucket, is open, or known to the kernel. */
START_TEST(what_somebody_needs_stays)
{
	struct fs_entry e;
	struct file f, g;
	uint64_t dir;

	dir = ino_of("a");
	ck_assert_int_eq(f_create_in(&f, dir, "open", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "half", 0), 0);
	ck_assert_int_eq(f_create_in(&g, dir, "made", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&g, "made", 0), 0);
	ck_assert_int_eq(f_close(&g), 0);
	fs_forget(fs, g.ino, 1);
	ck_assert_int_eq(fs_lookup(fs, dir, "f03", &e), 0);
	ck_assert_uint_eq(list("b"), EACH);
	(void)settle(10 * NS_PER_S);
	ck_assert_uint_le(in_memory(), 3 + EACH + 3);
	ck_assert_uint_eq(list("a"), EACH + 2);
	ck_assert_uint_eq(ino_of("a/f03"), e.attr.ino);
	fs_forget(fs, e.attr.ino, 1);
	ck_assert_int_eq(f_write(&f, "whole", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a/made"), "made");
	assert_text(object_of("a/open"), "whole");
	ck_assert_uint_eq(list("b"), EACH);
	(void)settle(10 * NS_PER_S);
	assert_text(text_of("a/made"), "made");
}
END_TEST

/* Nobody who reads a folder is told less because others were looked at. */
START_TEST(a_folder_that_is_read_stays)
{
	struct fs_dir *d;
	unsigned n = 0;

	ck_assert_int_eq(fs_opendir(fs, ino_of("a"), &d), 0);
	ck_assert_int_eq(fs_readdir(fs, d, EACH + 2, count, &n), 0);
	ck_assert_uint_eq(list("b"), EACH);
	ck_assert(settle(10 * NS_PER_S));
	ck_assert_int_eq(fs_readdir(fs, d, 2, count, &n), 0);
	ck_assert_uint_eq(n, EACH);
	fs_closedir(fs, d);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, names_come_back_as_they_were);
	tcase_add_test(c, what_somebody_needs_stays);
	tcase_add_test(c, a_folder_that_is_read_stays);
}

int main(void)
{
	return harness_run("sim_unload", add);
}
