/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that others make in the bucket: a key that is a file and a folder, one
 * that becomes the other, folders' markers; over a simulated machine.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ckptfs/thr.h"

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

static ssize_t text_read(void *arg, uint64_t off, void *p, size_t n)
{
	memcpy(p, (const char *)arg + off, n);
	return (ssize_t)n;
}

static void theirs(const char *key, const char *text)
{
	char full[64], body[64];
	struct store_src src = { .read = text_read,
				 .arg = body,
				 .len = strlen(text) };
	struct store_meta m = { .write_id = "" };
	struct store_obj o;

	(void)snprintf(full, sizeof(full), "run/%s", key);
	(void)snprintf(body, sizeof(body), "%s", text);
	ck_assert_int_eq(store_put(bucket, full, &src, &m, NULL, &o), 0);
}

static void gone(const char *key)
{
	char full[64];

	(void)snprintf(full, sizeof(full), "run/%s", key);
	ck_assert_int_eq(store_del(bucket, full, NULL), 0);
}

static int count(void *arg, const char *name, const struct fs_attr *a,
		 uint64_t next)
{
	unsigned *n = arg;

	(void)a;
	(void)next;
	*n += strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
	return 0;
}

/* Entries of a folder, by a listing no older than now. */
static unsigned list(const char *path)
{
	struct fs_dir *d;
	unsigned n = 0;

	sim_advance(sim, 20 * NS_PER_S);
	ck_assert_int_eq(fs_opendir(fs, ino_of(path), &d), 0);
	ck_assert_int_eq(fs_readdir(fs, d, 0, count, &n), 0);
	fs_closedir(fs, d);
	return n;
}

static bool is_dir(const char *path)
{
	struct fs_attr a;
	uint64_t ino = ino_of(path);

	ck_assert_msg(ino, "no %s", path);
	ck_assert_int_eq(fs_getattr(fs, ino, NULL, &a), 0);
	return S_ISDIR(a.mode);
}

static int put_in(const char *dir, const char *name)
{
	struct file f;
	int r = f_create_in(&f, ino_of(dir), name, O_WRONLY);

	return r < 0 ? r : f_close(&f);
}

START_TEST(of_a_file_and_a_folder_the_folder_shows)
{
	theirs("f", "file");
	theirs("f/x", "below");
	ck_assert_uint_eq(list(""), 1);
	ck_assert(is_dir("f"));
	assert_text(text_of("f/x"), "below");
	/* What is done to the folder leaves the object alone, ... */
	ck_assert_int_eq(fs_rename(fs, 1, "f", 1, "g", 0), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("f"), "file");
	assert_text(object_of("g/x"), "below");
	ck_assert_ptr_null(object_of("f/x"));
	/* ... and without it the object shows. */
	ck_assert_uint_eq(list(""), 2);
	assert_text(text_of("f"), "file");
}
END_TEST

START_TEST(a_file_stays_when_a_folder_of_its_name_comes)
{
	struct file f;

	ck_assert_int_eq(put_file("f", "ours"), 0);
	ck_assert(settle(60 * NS_PER_S));
	theirs("f/x", "below");
	ck_assert_uint_eq(list(""), 1);
	ck_assert(!is_dir("f"));
	ck_assert_int_eq(f_open(&f, "f", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "OURS", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("f"), "OURS");
	/* Replaced by others it is a file still. */
	theirs("f", "theirs");
	ck_assert_uint_eq(list(""), 1);
	assert_text(text_of("f"), "theirs");
	ck_assert_int_eq(fs_unlink(fs, 1, "f"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_uint_eq(list(""), 1);
	ck_assert(is_dir("f"));
	assert_text(text_of("f/x"), "below");
}
END_TEST

START_TEST(a_file_becomes_a_folder_and_a_folder_a_file)
{
	theirs("f", "file");
	theirs("d/e/x", "below");
	ck_assert_uint_eq(list(""), 2);
	assert_text(text_of("d/e/x"), "below");
	gone("f");
	gone("d/e/x");
	theirs("f/x", "now below");
	theirs("d", "now a file");
	/* From the inside to the outside, a listing each. */
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(list(""), 2);
		(void)sim_run(sim);
	}
	assert_text(text_of("f/x"), "now below");
	assert_text(text_of("d"), "now a file");
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("d"), "now a file");
	/* Also the other way, and after a restart. */
	gone("d");
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_uint_eq(list(""), 1);
}
END_TEST

START_TEST(a_folder_with_something_of_ours_stays)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;
	struct file f;

	theirs("d/x", "x");
	ck_assert_uint_eq(list(""), 1);
	ck_assert_int_eq(f_create_in(&f, ino_of("d"), "ours", O_WRONLY), 0);
	ck_assert_int_eq(fs_mkdir(fs, &ctx, 1, "new", 0777, &e), 0);
	gone("d/x");
	ck_assert_uint_eq(list("d"), 1);
	ck_assert_uint_eq(list(""), 2);
	ck_assert_int_eq(f_write(&f, "y", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_uint_eq(list(""), 2);
	assert_text(object_of("d/ours"), "y");
	/* Only a marker keeps this one: others take it away. */
	assert_text(object_of("new/"), "");
	gone("new/");
	ck_assert_uint_eq(list(""), 1);
}
END_TEST

START_TEST(markers_of_others_go_with_their_folder_only)
{
	theirs("d/", "");
	theirs("e/", "");
	ck_assert_uint_eq(list(""), 2);
	ck_assert_uint_eq(list("e"), 0);
	ck_assert_int_eq(put_in("e", "x"), 0);
	ck_assert_int_eq(fs_rmdir(fs, 1, "d"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_ptr_null(object_of("d/"));
	assert_text(object_of("e/"), "");
	ck_assert_uint_eq(list(""), 1);
	ck_assert_int_eq(fs_unlink(fs, ino_of("e"), "x"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(fs_rmdir(fs, 1, "e"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_ptr_null(object_of("e/"));
}
END_TEST

START_TEST(bytes_in_a_marker_are_not_lost)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	theirs("d/", "data");
	theirs("d/x", "x");
	ck_assert_uint_eq(list(""), 1);
	ck_assert_uint_eq(list("d"), 1);
	ck_assert_int_eq(fs_unlink(fs, ino_of("d"), "x"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(fs_rmdir(fs, 1, "d"), -ENOTEMPTY);
	ck_assert_int_eq(fs_mkdir(fs, &ctx, 1, "e", 0777, &e), 0);
	ck_assert_int_eq(fs_rename(fs, 1, "e", 1, "d", 0), -ENOTEMPTY);
	ck_assert_int_eq(put_in("d", "y"), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("d/"), "data");
	ck_assert_int_eq(fs_rename(fs, 1, "d", 1, "g", 0), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("g/"), "data");
	ck_assert_ptr_null(object_of("d/"));
}
END_TEST

START_TEST(a_folder_whose_marker_waits_stays)
{
	static const struct store_fault down = { .method = "put",
						 .err = -EAGAIN };
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	ck_assert_int_eq(store_fault_set(bucket, &down, 1), 0);
	ck_assert_int_eq(fs_mkdir(fs, &ctx, 1, "d", 0777, &e), 0);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(list(""), 1);
		(void)sim_run(sim);
	}
	/* Another one serves as well, and stays theirs. */
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	theirs("d/", "data");
	ck_assert(settle(120 * NS_PER_S));
	assert_text(object_of("d/"), "data");
	ck_assert_int_eq(put_in("d", "x"), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("d/"), "data");
}
END_TEST

/* Its objects are there until the line gets to them. */
START_TEST(a_deleted_folder_does_not_come_back)
{
	static const struct store_fault down = { .method = "del",
						 .err = -EAGAIN };
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, 1, "d", 0777, &e), 0);
	ck_assert_int_eq(put_in("d", "x"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(store_fault_set(bucket, &down, 1), 0);
	ck_assert_int_eq(fs_unlink(fs, e.attr.ino, "x"), 0);
	ck_assert_int_eq(fs_rmdir(fs, 1, "d"), 0);
	ck_assert_uint_eq(list(""), 0);
	ck_assert_uint_eq(list(""), 0);
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	ck_assert(settle(120 * NS_PER_S));
	ck_assert_uint_eq(list(""), 0);
	ck_assert_str_eq(names_in_bucket(), " ");
}
END_TEST

START_TEST(a_folder_is_moved_without_what_others_deleted)
{
	theirs("d/a", "a");
	theirs("d/b", "b");
	theirs("d/c", "c");
	ck_assert_uint_eq(list("d"), 3);
	gone("d/b");
	ck_assert_int_eq(fs_rename(fs, 1, "d", 1, "g", 0), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " g/a g/c ");
	ck_assert_uint_eq(list("g"), 2);
	assert_text(text_of("g/a"), "a");
}
END_TEST

/* No listing shows what lies below such a folder: it would be gone from here
 * as soon as it is published. */
START_TEST(the_hidden_folder_s_name_is_nobody_s_at_any_depth)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e, sub;
	struct file f;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, 1, "d", 0777, &e), 0);
	ck_assert_int_eq(put_file("plain", "x"), 0);
	ck_assert_int_eq(fs_mkdir(fs, &ctx, e.attr.ino, ".ckptfs", 0777, &sub),
			 -EPERM);
	ck_assert_int_eq(f_create_in(&f, e.attr.ino, ".ckptfs", O_WRONLY),
			 -EPERM);
	ck_assert_int_eq(fs_symlink(fs, &ctx, "x", e.attr.ino, ".ckptfs", &sub),
			 -EPERM);
	ck_assert_int_eq(fs_rename(fs, 1, "plain", e.attr.ino, ".ckptfs", 0),
			 -EPERM);
}
END_TEST

/* What a listing would spoil never gets there. */
START_TEST(names_the_store_cannot_hold_are_refused)
{
	static const char *const names[] = { "a\001", "a\r", "a\xef\xbf\xbf",
					     "lat\xfcin" };
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;
	struct file f;

	ck_assert_int_eq(put_file("plain", "x"), 0);
	bucket->caps &= ~(unsigned)(STORE_CAP_CONTROL | STORE_CAP_ANY_BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		ck_assert_int_eq(f_create(&f, names[i], O_WRONLY), -EILSEQ);
		ck_assert_int_eq(fs_mkdir(fs, &ctx, 1, names[i], 0777, &e),
				 -EILSEQ);
		ck_assert_int_eq(fs_symlink(fs, &ctx, "x", 1, names[i], &e),
				 -EILSEQ);
		ck_assert_int_eq(fs_rename(fs, 1, "plain", 1, names[i], 0),
				 -EILSEQ);
	}
	ck_assert_int_eq(fs_rename(fs, 1, "plain", 1, ".ckptfs", 0), -EPERM);
	ck_assert_int_eq(put_file("tab\tlf\n\303\274\177", "x"), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("tab\tlf\n\303\274\177"), "x");
	assert_text(object_of("plain"), "x");
}
END_TEST

/* ---- reading a folder */

struct listed {
	char text[256];
};

static int on_entry(void *arg, const char *name, const struct fs_attr *a,
		    uint64_t next)
{
	struct listed *l = arg;
	size_t n = strlen(l->text);

	(void)next;
	if (name[0] != '.')
		(void)snprintf(l->text + n, sizeof(l->text) - n, "%s:%llu ",
			       name, (unsigned long long)a->ino);
	return 0;
}

/* The kernel keeps what it is shown: a name that has moved on since the open
 * must not lead to the file that had it. */
START_TEST(what_moved_since_the_folder_was_opened_shows_as_it_is)
{
	struct listed l = { "" };
	char want[256];
	struct fs_dir *d;
	uint64_t a, b, e;

	ck_assert_int_eq(put_file("a", "one"), 0);
	ck_assert_int_eq(put_file("b", "two"), 0);
	ck_assert_int_eq(put_file("c", "three"), 0);
	ck_assert_int_eq(put_file("d", "four"), 0);
	a = ino_of("a");
	b = ino_of("b");
	ck_assert_int_eq(fs_opendir(fs, FS_ROOT_INO, &d), 0);
	ck_assert_int_eq(fs_rename(fs, 1, "a", 1, "b", 0), 0);
	ck_assert_int_eq(fs_unlink(fs, 1, "c"), 0);
	ck_assert_int_eq(fs_unlink(fs, 1, "d"), 0);
	ck_assert_int_eq(put_file("d", "new"), 0);
	e = ino_of("d");
	ck_assert_int_eq(fs_readdir(fs, d, 0, on_entry, &l), 0);
	fs_closedir(fs, d);
	(void)snprintf(want, sizeof(want), "b:%llu d:%llu ",
		       (unsigned long long)a, (unsigned long long)e);
	ck_assert_uint_ne(a, b);
	ck_assert_str_eq(l.text, want);
}
END_TEST

/* ---- a listing that comes late */

static const struct store_ops *in_time;

static int late_list(struct store *s, const char *prefix, const char *after,
		     bool delimited, store_list_fn *fn, void *arg)
{
	const struct host *host = sim_host(sim);
	int64_t end = clk_mono(host->clk) + 30 * NS_PER_S;
	int r = in_time->list(s, prefix, after, delimited, fn, arg);
	struct thr_cond never;
	struct lock l;

	lock_init(&l, LOCK_LEAF, "late");
	thr_cond_init(&never);
	lock_acquire(&l);
	while (thr_wait(host->thr, &l, &never, end) == 0)
		;
	lock_release(&l);
	thr_cond_fini(&never);
	lock_fini(&l);
	return r;
}

/* What it saw has been deleted since, by us. */
START_TEST(a_late_listing_brings_nothing_back)
{
	struct fs_ctx ctx = ctx_of();
	struct store_ops late;
	struct fs_entry e;

	ck_assert_int_eq(put_file("a", "x"), 0);
	ck_assert_int_eq(fs_mkdir(fs, &ctx, 1, "d", 0777, &e), 0);
	ck_assert_int_eq(put_in("d", "x"), 0);
	ck_assert_int_eq(put_file("b", "x"), 0);
	ck_assert(settle(60 * NS_PER_S));
	in_time = bucket->ops;
	late = *in_time;
	late.list = late_list;
	bucket->ops = &late;
	sim_advance(sim, 20 * NS_PER_S);
	ck_assert_uint_eq(ino_of("none"), 0); /* begins it */
	ck_assert_int_eq(fs_unlink(fs, 1, "a"), 0);
	ck_assert_int_eq(fs_unlink(fs, e.attr.ino, "x"), 0);
	ck_assert_int_eq(fs_rmdir(fs, 1, "d"), 0);
	ck_assert_int_eq(fs_rename(fs, 1, "b", 1, "c", 0), 0);
	ck_assert(settle(20 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " c ");
	(void)sim_run_for(sim, 20 * NS_PER_S);
	/* These begin the next one, and do not wait for it. */
	ck_assert_uint_eq(ino_of("a"), 0);
	ck_assert_uint_eq(ino_of("b"), 0);
	ck_assert_uint_eq(ino_of("d"), 0);
	ck_assert_uint_ne(ino_of("c"), 0);
	bucket->ops = in_time;
}
END_TEST

/* What was published meanwhile, it did not see; and by the clock that was before
 * or after it, as the clock was set. */
START_TEST(a_late_listing_takes_nothing_away_when_the_clock_is_set_back)
{
	struct store_ops late;
	uint64_t ino;

	in_time = bucket->ops;
	late = *in_time;
	late.list = late_list;
	bucket->ops = &late;
	sim_advance(sim, 20 * NS_PER_S);
	ck_assert_uint_eq(ino_of("none"), 0); /* begins it */
	ck_assert_int_eq(put_file("a", "x"), 0);
	ck_assert(settle(20 * NS_PER_S));
	ino = ino_of("a");
	sim_shift_real(sim, -70 * NS_PER_S);
	(void)sim_run_for(sim, 40 * NS_PER_S);
	ck_assert_uint_eq(ino_of("a"), ino);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_uint_eq(ino_of("a"), ino);
	bucket->ops = in_time;
}
END_TEST

/* What it saw is on its way out of the folder's old name, and is not to come
 * along under the new one. */
START_TEST(a_late_listing_of_a_moved_folder_brings_nothing_along)
{
	static const struct store_fault stuck[] = {
		{ .method = "rename", .err = -ETIMEDOUT },
		{ .method = "copy", .err = -ETIMEDOUT },
	};
	struct fs_ctx ctx = ctx_of();
	struct store_ops late;
	struct fs_entry e;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, 1, "d", 0777, &e), 0);
	ck_assert_int_eq(put_in("d", "x"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(store_fault_set(bucket, stuck, 2), 0);
	ck_assert_int_eq(fs_rename(fs, 1, "d", 1, "e", 0), 0);
	ck_assert_int_eq(fs_mkdir(fs, &ctx, 1, "d", 0777, &e), 0);
	in_time = bucket->ops;
	late = *in_time;
	late.list = late_list;
	bucket->ops = &late;
	ck_assert_uint_eq(ino_of("d/none"), 0); /* begins it */
	(void)sim_run_for(sim, NS_PER_S);
	ck_assert_int_eq(fs_rename(fs, 1, "d", 1, "f", 0), 0);
	(void)sim_run_for(sim, 100 * NS_PER_S);
	bucket->ops = in_time;
	ck_assert_uint_eq(ino_of("f/x"), 0);
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	ck_assert(settle(600 * NS_PER_S));
	ck_assert_uint_eq(list("f"), 0);
	ck_assert_uint_ne(ino_of("e/x"), 0);
}
END_TEST

/* Whose copy it is, nobody can tell for a moment. */
START_TEST(a_copy_whose_answer_is_lost_is_no_conflict)
{
	static const struct store_fault faults[] = {
		{ .method = "copy",
		  .count = 1,
		  .err = -ETIMEDOUT,
		  .act = STORE_FAULT_AFTER },
		{ .method = "head",
		  .count = 1,
		  .err = -ETIMEDOUT,
		  .act = STORE_FAULT_BEFORE },
	};

	ck_assert_int_eq(put_file("a", "x"), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(store_fault_set(bucket, faults, 2), 0);
	ck_assert_int_eq(fs_rename(fs, 1, "a", 1, "b", 0), 0);
	ck_assert(settle(600 * NS_PER_S));
	assert_text(object_of("b"), "x");
	ck_assert_ptr_null(object_of("a"));
}
END_TEST

static bool is_moved(void *arg)
{
	return object_of("e/a") || arg;
}

/* A rename of its folder moves the link, gone by then, not the file before it. */
START_TEST(what_a_deleted_link_had_replaced_does_not_move)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;
	struct file f;
	uint64_t dir;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, 1, "d", 0777, &e), 0);
	dir = e.attr.ino;
	ck_assert_int_eq(f_create_in(&f, dir, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(fs_unlink(fs, dir, "a"), 0);
	ck_assert_int_eq(fs_symlink(fs, &ctx, "b", dir, "a", &e), 0);
	ck_assert_int_eq(fs_rename(fs, 1, "d", 1, "e", 0), 0);
	ck_assert_int_eq(fs_unlink(fs, dir, "a"), 0);
	ck_assert(sim_run_until(sim, is_moved, NULL, 60 * NS_PER_S));
	assert_text(object_of("e/a"), "b");
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " e/ ");
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_copy_whose_answer_is_lost_is_no_conflict);
	tcase_add_test(c, what_a_deleted_link_had_replaced_does_not_move);
	tcase_add_test(c, of_a_file_and_a_folder_the_folder_shows);
	tcase_add_test(c, a_file_stays_when_a_folder_of_its_name_comes);
	tcase_add_test(c, a_file_becomes_a_folder_and_a_folder_a_file);
	tcase_add_test(c, a_folder_with_something_of_ours_stays);
	tcase_add_test(c, markers_of_others_go_with_their_folder_only);
	tcase_add_test(c, bytes_in_a_marker_are_not_lost);
	tcase_add_test(c, a_folder_whose_marker_waits_stays);
	tcase_add_test(c, a_deleted_folder_does_not_come_back);
	tcase_add_test(c, a_folder_is_moved_without_what_others_deleted);
	tcase_add_test(c, the_hidden_folder_s_name_is_nobody_s_at_any_depth);
	tcase_add_test(c, names_the_store_cannot_hold_are_refused);
	tcase_add_test(c, a_late_listing_brings_nothing_back);
	tcase_add_test(c,
		       a_late_listing_of_a_moved_folder_brings_nothing_along);
	tcase_add_test(
		c,
		a_late_listing_takes_nothing_away_when_the_clock_is_set_back);
	tcase_add_test(c,
		       what_moved_since_the_folder_was_opened_shows_as_it_is);
}

int main(void)
{
	return harness_run("sim_names", add);
}
