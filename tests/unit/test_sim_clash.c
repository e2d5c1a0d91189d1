/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket that is a folder, or a server over one, cannot have a file and a
 * folder of one name at once.  The mount never does; but what goes from the
 * bucket later than from the mount must not be in the way.
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/compiler.h"

#include "fs_owe.h"
#include "harness.h"

static void begin(void)
{
	rig_tree = true;
	rig_begin(1);
}

static void end(void)
{
	rig_end();
	rig_tree = false;
}

static uint64_t make_folder(uint64_t parent, const char *name)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, parent, name, 0755, &e), 0);
	return e.attr.ino;
}

static int put_in(uint64_t dir, const char *name, const char *text)
{
	struct file f;
	int r = f_create_in(&f, dir, name, O_WRONLY);

	if (r == 0)
		r = f_write(&f, text, 0);
	return r == 0 ? f_close(&f) : r;
}

static void assert_published(const char *names)
{
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), names);
}

/* ---- in one window of a fold */

START_TEST(a_file_takes_the_name_of_a_folder)
{
	uint64_t d;

	begin();
	d = make_folder(FS_ROOT_INO, "d");
	if (_i)
		ck_assert_int_eq(put_in(d, "x", "one"), 0);
	assert_published(_i ? " d/x " : " d/ ");
	ck_assert_int_eq(put_file("b", "two"), 0);
	if (_i)
		ck_assert_int_eq(fs_unlink(fs, d, "x"), 0);
	ck_assert_int_eq(fs_rmdir(fs, FS_ROOT_INO, "d"), 0);
	ck_assert_int_eq(rename_to("b", "d"), 0);
	assert_published(" d ");
	assert_both("d", "two");
	end();
}
END_TEST

START_TEST(a_folder_takes_the_name_of_a_file)
{
	uint64_t d;

	begin();
	publish("d", "one");
	ck_assert_int_eq(put_file("b", "two"), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "d"), 0);
	d = make_folder(FS_ROOT_INO, "d");
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, "b", d, "x", 0), 0);
	assert_published(" d/x ");
	assert_both("d/x", "two");
	end();
}
END_TEST

START_TEST(a_log_waits_for_a_file_of_its_folders_name)
{
	struct file f;
	uint64_t d;

	begin();
	publish("e", "one");
	ck_assert_int_eq(f_create(&f, "h", O_RDWR), 0);
	ck_assert_int_eq(f_write(&f, "two", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0); /* the line waits for its last word */
	if (_i)
		ck_assert_int_eq(rename_to("e", "g"), 0);
	else
		ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "e"), 0);
	d = make_folder(FS_ROOT_INO, "e");
	ck_assert_int_eq(put_in(d, "x.log", "three"), 0);
	run(4);
	ck_assert_int_eq(f_close(&f), 0);
	assert_published(_i ? " e/x.log g h " : " e/x.log h ");
	end();
}
END_TEST

/* ---- what is owed */

/* "a" ("one") is in the bucket and owed by what the mount has as "b", open. */
static void owe_in_tree(struct file *f, bool noticed)
{
	begin();
	publish("a", "one");
	ck_assert_int_eq(move_on(f, "a", "b", TRUNCATED), 0);
	if (noticed)
		run(4);
}

START_TEST(a_folder_takes_a_name_that_is_owed)
{
	struct file f;
	uint64_t d;

	owe_in_tree(&f, _i & 1);
	d = make_folder(FS_ROOT_INO, "a");
	ck_assert_int_eq(put_in(d, "x", "other"), 0);
	run(30);
	if (_i & 1) { /* the object went after its file */
		ck_assert(is(object_of("b"), "one"));
		ck_assert(is(object_of("a/x"), "other"));
	}
	if (_i & 2)
		crash(&f, 0);
	else
		ck_assert_int_eq(f_close(&f), 0);
	assert_published(" a/x b ");
	assert_both("b", _i & 2 ? "one" : "three");
	end();
}
END_TEST

START_TEST(a_folder_that_has_the_file_itself_takes_its_name)
{
	struct file f;
	uint64_t d;

	owe_in_tree(&f, _i);
	d = make_folder(FS_ROOT_INO, "e");
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, "b", d, "n", 0), 0);
	ck_assert_int_eq(rename_to("e", "a"), 0);
	run(30);
	ck_assert_int_eq(f_close(&f), 0);
	assert_published(" a/n ");
	assert_both("a/n", "three");
	end();
}
END_TEST

START_TEST(a_file_takes_the_name_of_a_folder_that_is_owed_of)
{
	struct file f;
	uint64_t d;

	begin();
	d = make_folder(FS_ROOT_INO, "d");
	ck_assert_int_eq(put_in(d, "a", "one"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(f_open(&f, "d/a", TRUNCATED), 0);
	ck_assert_int_eq(f_write(&f, "two", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	ck_assert_int_eq(fs_rename(fs, d, "a", FS_ROOT_INO, "b", 0), 0);
	ck_assert_int_eq(f_write(&f, "three", 0), 0);
	if (_i)
		run(4);
	ck_assert_int_eq(fs_rmdir(fs, FS_ROOT_INO, "d"), 0);
	ck_assert_int_eq(put_file("d", "other"), 0);
	run(30);
	ck_assert_int_eq(f_close(&f), 0);
	assert_published(" b d ");
	assert_both("b", "three");
	assert_both("d", "other");
	end();
}
END_TEST

/* The object is of a file that another, still open, took the name of. */
START_TEST(another_files_object_goes)
{
	struct file f;
	uint64_t d;

	begin();
	publish("c", "one");
	ck_assert_int_eq(f_create(&f, "t", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "two", 0), 0);
	ck_assert_int_eq(rename_to("t", "c"), 0);
	if (_i) /* sealed, with its place in the line */
		ck_assert_int_eq(f_flush(&f), 0);
	ck_assert_int_eq(rename_to("c", "x"), 0);
	d = make_folder(FS_ROOT_INO, "c");
	ck_assert_int_eq(put_in(d, "y", "other"), 0);
	ck_assert_int_eq(f_write(&f, "three", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	assert_published(" c/y x ");
	assert_both("x", "three");
	end();
}
END_TEST

/* ---- whatever is moved over what */

static const char *const paths[] = { "a", "d", "a/a", "d/a", "a/n", "d/n" };
static uint64_t draws;

static unsigned draw(unsigned n)
{
	draws = draws * UINT64_C(6364136223846793005) +
		UINT64_C(1442695040888963407);
	return (unsigned)(draws >> 33) % n;
}

/* A name in its folder; 0: there is none. */
static uint64_t parent_of(const char *path, const char **ret_name)
{
	char dir[8] = "";
	const char *slash = strchr(path, '/');

	*ret_name = slash ? slash + 1 : path;
	if (slash)
		memcpy(dir, path, (size_t)(slash - path));
	return ino_of(dir);
}

static void move_any(void)
{
	const char *from, *to;
	uint64_t a = parent_of(paths[draw(ARRAY_SIZE(paths))], &from);
	uint64_t b = parent_of(paths[draw(ARRAY_SIZE(paths))], &to);

	if (a && b)
		(void)!fs_rename(fs, a, from, b, to, 0);
}

static void name_any(unsigned what)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;
	const char *name;
	uint64_t dir = parent_of(paths[draw(ARRAY_SIZE(paths))], &name);

	if (!dir)
		return;
	if (what == 0)
		(void)!fs_mkdir(fs, &ctx, dir, name, 0755, &e);
	else if (what == 1)
		(void)!fs_rmdir(fs, dir, name);
	else
		(void)!fs_unlink(fs, dir, name);
}

static void open_any(struct file *f, int flags)
{
	const char *path = paths[draw(ARRAY_SIZE(paths))], *name;
	uint64_t dir = parent_of(path, &name);
	int r;

	if (!dir)
		return;
	r = ino_of(path) ? f_open(f, path, flags) :
			   f_create_in(f, dir, name, flags);
	f->open = r == 0;
}

static void write_any(struct file *f)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", draw(1000000));
	if (f->open)
		(void)!f_write(f, text, 0);
}

static void step_any(struct file f[3])
{
	struct file *one = &f[draw(3)], put = { .open = false };

	switch (draw(16)) {
	case 0:
	case 1:
		if (!one->open)
			open_any(one, draw(2) ? O_RDWR : O_RDWR | O_TRUNC);
		break;
	case 2:
	case 3:
		write_any(one);
		break;
	case 4:
		if (one->open)
			(void)!f_flush(one);
		break;
	case 5:
		if (one->open)
			(void)!f_close(one);
		one->open = false;
		break;
	case 6:
	case 14:
	case 15:
		(void)sim_run_for(sim, draw(4000) * NS_PER_MS);
		break;
	case 7:
	case 8:
		name_any(0);
		break;
	case 9:
		name_any(1 + draw(2));
		break;
	case 10:
	case 11:
		open_any(&put, O_WRONLY | O_TRUNC);
		write_any(&put);
		if (put.open)
			(void)!f_close(&put);
		break;
	default:
		move_any();
	}
}

static bool is_same_in_both(const char *path)
{
	const char *text = text_of(path), *object = object_of(path);

	return text && object ? strcmp(text, object) == 0 : !text && !object;
}

START_TEST(whatever_moves_comes_to_the_bucket)
{
	struct file f[3] = { 0 };

	rig_tree = _i % 4 != 3;
	rig_begin((uint64_t)_i);
	draws = (uint64_t)_i;
	for (int i = 0; i < 100; i++)
		step_any(f);
	for (int i = 0; i < 3; i++)
		if (f[i].open)
			ck_assert_int_eq(f_close(&f[i]), 0);
	ck_assert_msg(settle(120 * NS_PER_S), "bucket:%s", names_in_bucket());
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		ck_assert_msg(is_same_in_both(paths[i]),
			      "%s is \"%s\", in the bucket:%s", paths[i],
			      text_of(paths[i]), names_in_bucket());
	end();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, whatever_moves_comes_to_the_bucket, 0,
			    harness_loops(200));
	tcase_add_loop_test(c, a_file_takes_the_name_of_a_folder, 0, 2);
	tcase_add_test(c, a_folder_takes_the_name_of_a_file);
	tcase_add_loop_test(c, a_log_waits_for_a_file_of_its_folders_name, 0,
			    2);
	tcase_add_loop_test(c, a_folder_takes_a_name_that_is_owed, 0, 4);
	tcase_add_loop_test(c, a_folder_that_has_the_file_itself_takes_its_name,
			    0, 2);
	tcase_add_loop_test(
		c, a_file_takes_the_name_of_a_folder_that_is_owed_of, 0, 2);
	tcase_add_loop_test(c, another_files_object_goes, 0, 2);
}

int main(void)
{
	return harness_run("sim_clash", add);
}
