/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/store.h"

#include "harness.h"

static char root[256];
static int64_t ahead_ns; /* how far the store's clock is ahead */

static int64_t late_real(const struct clk *c)
{
	(void)c;
	return clk_real(&clk_system) + ahead_ns;
}

static int64_t late_mono(const struct clk *c)
{
	(void)c;
	return clk_mono(&clk_system) + ahead_ns;
}

static const struct clk late = { late_mono, late_real };

static const char *at(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *p = paths[next++ % 4];

	snprintf(p, sizeof(paths[0]), "%s/%s", root, name);
	return p;
}

static struct store *open_store(void)
{
	struct store *s = NULL;

	ck_assert_int_eq(store_dir_new(root, &late, &s), 0);
	ck_assert_int_eq(store_probe(s, "", false), 0);
	return s;
}

static void setup(void)
{
	ahead_ns = 0;
	snprintf(root, sizeof(root), "%s", harness_tmpdir());
}

/* What another program does. */
static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(at(name), "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static unsigned entries_of(const char *name)
{
	DIR *dir = opendir(at(name));
	unsigned n = 0;
	struct dirent *e;

	ck_assert_ptr_nonnull(dir);
	while ((e = readdir(dir)))
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

static ssize_t read_text(void *arg, uint64_t off, void *p, size_t n)
{
	memcpy(p, (const char *)arg + off, n);
	return (ssize_t)n;
}

static int put(struct store *s, const char *key, const char *text,
	       const struct store_cond *cond, struct store_obj *ret)
{
	char copy[64];
	struct store_src src = { .read = read_text, .arg = copy };
	struct store_meta m = { .write_id = "mine" };

	src.len = (uint64_t)snprintf(copy, sizeof(copy), "%s", text);
	return store_put(s, key, &src, &m, cond, ret);
}

static struct store_obj head(struct store *s, const char *key)
{
	struct store_obj obj;
	int r = store_head(s, key, &obj);

	ck_assert_msg(!r, "head %s: %d", key, r);
	return obj;
}

/* Appends text to the string in arg. */
static int collect(void *arg, const void *p, size_t n)
{
	char *end = (char *)arg + strlen(arg);

	memcpy(end, p, n);
	end[n] = '\0';
	return 0;
}

static int list_key(void *arg, const char *key, const struct store_obj *obj)
{
	(void)collect(arg, key, strlen(key));
	return collect(arg, obj ? " " : "* ", obj ? 1 : 2);
}

static void expect_list(struct store *s, const char *prefix, bool delimited,
			const char *want)
{
	char out[1024] = "";

	ck_assert_int_eq(store_list(s, prefix, NULL, delimited, list_key, out),
			 0);
	ck_assert_str_eq(out, want);
}

START_TEST(an_object_is_a_file)
{
	struct store *s = open_store();
	char text[64] = "";
	struct store_obj obj;
	struct stat st;
	FILE *f;

	ck_assert_int_eq(put(s, "a/b.pt", "bytes", NULL, &obj), 0);
	f = fopen(at("a/b.pt"), "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), f));
	fclose(f);
	ck_assert_str_eq(text, "bytes");
	ck_assert_int_eq(stat(at("a/b.pt"), &st), 0);
	ck_assert_int_eq(st.st_mtim.tv_nsec, obj.mtime_ns % NS_PER_S);
	ck_assert_uint_eq(entries_of(".ckptfs/tmp"), 0);
	store_free(s);
}
END_TEST

START_TEST(a_changed_file_is_another_version)
{
	struct store *s = open_store();
	struct store_obj ours, theirs;
	char out[64] = "";

	ck_assert_int_eq(put(s, "f", "old bytes", NULL, &ours), 0);
	ck_assert(ours.has_crc64);
	write_file("f", "new bytes");
	theirs = head(s, "f");
	ck_assert_str_ne(theirs.etag, ours.etag);
	/* what we wrote beside the old bytes says nothing of the new */
	ck_assert_str_eq(theirs.meta.write_id, "");
	ck_assert(!theirs.has_crc64);
	ck_assert_int_eq(
		store_get(s, "f", ours.etag, 0, 99, collect, out, NULL),
		-ESTALE);
	ck_assert_int_eq(
		store_get(s, "f", theirs.etag, 0, 99, collect, out, NULL), 0);
	ck_assert_str_eq(out, "new bytes");
	store_free(s);
}
END_TEST

START_TEST(a_chmod_is_seen_and_keeps_the_rest)
{
	struct store *s = open_store();
	struct store_obj obj;

	ck_assert_int_eq(put(s, "f", "x", NULL, &obj), 0);
	ck_assert_int_eq(chmod(at("f"), 0640), 0);
	obj = head(s, "f");
	ck_assert_uint_eq(obj.meta.mode, S_IFREG | 0640);
	ck_assert_str_eq(obj.meta.write_id, "mine");
	ck_assert(obj.has_crc64);
	store_free(s);
}
END_TEST

struct change {
	const char *name;
	bool in_place;
	bool done;
	char got[64];
};

static int change_it(void *arg, const void *p, size_t n)
{
	struct change *c = arg;

	if (!c->done && c->in_place) {
		ck_assert_int_eq(truncate(at(c->name), 3), 0);
	} else if (!c->done) {
		write_file("other", "0123");
		ck_assert_int_eq(rename(at("other"), at(c->name)), 0);
	}
	c->done = true;
	return collect(c->got, p, n);
}

START_TEST(a_file_changed_while_it_is_read_is_stale)
{
	struct store *s = open_store();
	struct change c = { .name = "f", .in_place = true };
	struct store_obj obj;

	ck_assert_int_eq(put(s, "f", "0123456789", NULL, &obj), 0);
	ck_assert_int_eq(
		store_get(s, "f", obj.etag, 0, 99, change_it, &c, NULL),
		-ESTALE);
	c.done = false;
	ck_assert_int_eq(store_get(s, "f", NULL, 0, 99, change_it, &c, NULL),
			 -EAGAIN);
	store_free(s);
}
END_TEST

START_TEST(a_file_replaced_while_it_is_read_is_read_whole)
{
	struct store *s = open_store();
	struct change c = { .name = "f" };
	struct store_obj obj;

	ck_assert_int_eq(put(s, "f", "abcdefghij", NULL, &obj), 0);
	ck_assert_int_eq(
		store_get(s, "f", obj.etag, 0, 99, change_it, &c, NULL), 0);
	ck_assert_str_eq(c.got, "abcdefghij");
	store_free(s);
}
END_TEST

static const char *const impossible[] = {
	"a//b",
	"/a",
	"a/../b",
	"..",
	".",
	"a/.",
	"./a",
	"a/b//",
	".ckptfs/lock",
	".ckptfs/tmp/x",
	".ckptfs/uploads/x",
	".ckptfs/meta",
	".ckptfs",
};

START_TEST(names_no_file_can_have_are_refused)
{
	struct store *s = open_store();
	const char *key = impossible[_i];
	struct store_cond cond = { .if_match = "\"x\"" };
	struct store_obj obj;
	char out[64] = "";

	ck_assert_int_eq(put(s, key, "", NULL, &obj), -EINVAL);
	ck_assert_int_eq(store_head(s, key, &obj), -ENOENT);
	ck_assert_int_eq(store_get(s, key, NULL, 0, 9, collect, out, NULL),
			 -ENOENT);
	ck_assert_int_eq(store_del(s, key, NULL), 0);
	ck_assert_int_eq(store_del(s, key, &cond), -ESTALE);
	store_free(s);
}
END_TEST

START_TEST(links_are_objects_and_never_followed)
{
	struct store *s = open_store();
	struct store_obj obj;
	char out[64] = "";

	ck_assert_int_eq(mkdir(at("real"), 0755), 0);
	write_file("real/x", "secret");
	ck_assert_int_eq(symlink("real", at("link")), 0);
	ck_assert_int_eq(store_head(s, "link/x", &obj), -ENOENT);
	ck_assert_int_eq(put(s, "link/y", "x", NULL, &obj), -EINVAL);
	ck_assert_int_eq(store_del(s, "link/x", NULL), 0);
	ck_assert_int_eq(access(at("real/x"), F_OK), 0);
	obj = head(s, "link");
	ck_assert(S_ISLNK(obj.meta.mode));
	ck_assert_uint_eq(obj.size, 4);
	ck_assert_int_eq(
		store_get(s, "link", obj.etag, 0, 9, collect, out, NULL), 0);
	ck_assert_str_eq(out, "real");
	expect_list(s, "", false, "link real/ real/x ");
	store_free(s);
}
END_TEST

START_TEST(a_link_object_is_a_link)
{
	char target[] = "some/where";
	struct store_src src = { .read = read_text,
				 .arg = target,
				 .len = sizeof(target) - 1 };
	struct store_meta m = { .has_mode = true,
				.mode = S_IFLNK | 0777,
				.write_id = "w" };
	struct store *s = open_store();
	struct store_obj obj;
	char buf[64] = "";

	ck_assert_int_eq(store_put(s, "d/l", &src, &m, NULL, &obj), 0);
	ck_assert_int_eq(readlink(at("d/l"), buf, sizeof(buf)), 10);
	ck_assert_str_eq(buf, target);
	ck_assert_str_eq(head(s, "d/l").meta.write_id, "w");
	ck_assert_int_eq(store_rename(s, "d/l", "e/m", &obj), 0);
	ck_assert_str_eq(head(s, "e/m").meta.write_id, "w");
	ck_assert_uint_eq(entries_of(".ckptfs/meta"), 1);
	ck_assert_int_eq(store_del(s, "e/m", NULL), 0);
	ck_assert_uint_eq(entries_of(".ckptfs/meta"), 0);
	src.len = 0;
	ck_assert_int_eq(store_put(s, "l", &src, &m, NULL, &obj), -EINVAL);
	store_free(s);
}
END_TEST

START_TEST(folders_of_others_are_markers)
{
	struct store *s = open_store();
	struct store_obj obj;

	ck_assert_int_eq(mkdir(at("theirs"), 0755), 0);
	expect_list(s, "", true, "theirs/* ");
	expect_list(s, "", false, "theirs/ ");
	ck_assert_int_eq(put(s, "theirs/x", "1", NULL, &obj), 0);
	ck_assert_int_eq(put(s, "ours/x", "1", NULL, &obj), 0);
	ck_assert_int_eq(store_del(s, "theirs/x", NULL), 0);
	ck_assert_int_eq(store_del(s, "ours/x", NULL), 0);
	expect_list(s, "", false, "theirs/ ");
	ck_assert_int_eq(access(at("ours"), F_OK), -1);
	store_free(s);
}
END_TEST

START_TEST(pipes_and_sockets_are_not_seen)
{
	struct store *s = open_store();
	struct store_obj obj;

	ck_assert_int_eq(mkfifo(at("pipe"), 0600), 0);
	expect_list(s, "", false, "");
	ck_assert_int_eq(store_head(s, "pipe", &obj), -ENOENT);
	ck_assert_int_eq(put(s, "pipe", "now a file", NULL, &obj), 0);
	ck_assert_uint_eq(head(s, "pipe").size, 10);
	store_free(s);
}
END_TEST

START_TEST(an_empty_folder_of_a_crash_gives_way)
{
	struct store *s = open_store();
	struct store_obj obj;

	/* as after a crash between mkdir and rename */
	ck_assert_int_eq(put(s, "a/b/c", "1", NULL, &obj), 0);
	ck_assert_int_eq(unlink(at("a/b/c")), 0);
	ck_assert_int_eq(put(s, "a/b", "2", NULL, &obj), 0);
	ck_assert_uint_eq(head(s, "a/b").size, 1);
	/* a marker does not */
	ck_assert_int_eq(put(s, "m/", "", NULL, &obj), 0);
	ck_assert_int_eq(put(s, "m", "2", NULL, &obj), -EINVAL);
	store_free(s);
}
END_TEST

START_TEST(a_delete_that_was_cut_short_is_finished)
{
	struct store *s = open_store();
	struct store_cond cond = { .if_match = "gone" };
	struct store_obj obj;

	/* as after a crash between unlink and rmdir */
	ck_assert_int_eq(put(s, "a/b/c", "1", NULL, &obj), 0);
	ck_assert_int_eq(put(s, "d/e", "1", NULL, &obj), 0);
	ck_assert_int_eq(unlink(at("a/b/c")), 0);
	ck_assert_int_eq(unlink(at("d/e")), 0);
	ck_assert_int_eq(store_del(s, "a/b/c", NULL), 0);
	ck_assert_int_ne(access(at("a"), F_OK), 0);
	ck_assert_int_eq(store_del(s, "d/e", &cond), -ESTALE);
	ck_assert_int_ne(access(at("d"), F_OK), 0);
	store_free(s);
}
END_TEST

START_TEST(old_debris_is_swept_young_is_not)
{
	struct store *s = open_store();
	struct store_obj obj;

	ck_assert_int_eq(put(s, "f", "1", NULL, &obj), 0);
	write_file(".ckptfs/tmp/leftover", "x");
	ck_assert_int_eq(mkdir(at(".ckptfs/tmp/upload"), 0755), 0);
	write_file(".ckptfs/tmp/upload/info", "x");
	ahead_ns = 23 * 3600 * NS_PER_S;
	ck_assert_int_eq(store_probe(s, "", false), 0);
	ck_assert_uint_eq(entries_of(".ckptfs/tmp"), 2);
	ahead_ns = 25 * 3600 * NS_PER_S;
	ck_assert_int_eq(store_probe(s, "", true), 0);
	ck_assert_uint_eq(entries_of(".ckptfs/tmp"), 2);
	ck_assert_int_eq(store_probe(s, "", false), 0);
	ck_assert_uint_eq(entries_of(".ckptfs/tmp"), 0);
	ck_assert_uint_eq(head(s, "f").size, 1);
	store_free(s);
}
END_TEST

START_TEST(a_read_only_probe_writes_nothing)
{
	struct store *s = NULL;
	struct store_obj obj;

	write_file("f", "abc");
	ck_assert_int_eq(store_dir_new(root, &late, &s), 0);
	ck_assert_int_eq(store_probe(s, "", true), 0);
	obj = head(s, "f");
	ck_assert_uint_eq(obj.size, 3);
	expect_list(s, "", false, "f ");
	ck_assert_int_eq(access(at(".ckptfs"), F_OK), -1);
	store_free(s);
}
END_TEST

START_TEST(conditions_hold_between_two_mounts)
{
	struct store *a = open_store(), *b = open_store();
	struct store_cond cond = { .if_absent = true };
	struct store_obj one, two, obj;

	ck_assert_int_eq(put(a, "f", "1", &cond, &one), 0);
	ck_assert_int_eq(put(b, "f", "2", &cond, &obj), -EEXIST);
	cond = (struct store_cond){ .if_match = one.etag };
	ck_assert_int_eq(put(b, "f", "2", &cond, &two), 0);
	ck_assert_int_eq(put(a, "f", "3", &cond, &obj), -ESTALE);
	ck_assert_str_eq(head(a, "f").etag, two.etag);
	store_free(a);
	store_free(b);
}
END_TEST

START_TEST(an_upload_id_is_no_path)
{
	static const char *const ids[] = { "../../x", "..", "0",
					   "0123456789abcdef0123456789abcde/" };
	struct store *s = open_store();
	struct store_meta m = { .write_id = "" };
	struct store_part part = { .number = 1 };
	char id[STORE_UPLOAD_ID_MAX];
	struct store_obj obj;

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		memcpy(part.etag, "x", 2);
		ck_assert_int_eq(store_mpu_commit(s, "k", ids[i], &part, 1, &m,
						  NULL, &obj),
				 -ENOENT);
		ck_assert_int_eq(store_mpu_abort(s, "k", ids[i]), 0);
	}
	ck_assert_int_eq(store_mpu_begin(s, "k", &m, false, id), 0);
	memcpy(part.etag, "\"x/../../../../f/././././././././\"", 34);
	ck_assert_int_eq(store_mpu_commit(s, "k", id, &part, 1, &m, NULL, &obj),
			 -EINVAL);
	ck_assert_int_eq(store_mpu_abort(s, "other key", id), 0);
	ck_assert_uint_eq(entries_of(".ckptfs/uploads"), 1);
	ck_assert_int_eq(store_mpu_abort(s, "k", id), 0);
	ck_assert_uint_eq(entries_of(".ckptfs/uploads"), 0);
	ck_assert_uint_eq(entries_of(".ckptfs/tmp"), 0);
	store_free(s);
}
END_TEST

START_TEST(a_missing_folder_is_said)
{
	struct store *s = NULL;

	ck_assert_int_eq(store_dir_new(at("none"), &late, &s), -ENOENT);
	write_file("file", "");
	ck_assert_int_eq(store_dir_new(at("file"), &late, &s), -EINVAL);
	ck_assert_ptr_null(s);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_add_test(c, an_object_is_a_file);
	tcase_add_test(c, a_changed_file_is_another_version);
	tcase_add_test(c, a_chmod_is_seen_and_keeps_the_rest);
	tcase_add_test(c, a_file_changed_while_it_is_read_is_stale);
	tcase_add_test(c, a_file_replaced_while_it_is_read_is_read_whole);
	tcase_add_loop_test(c, names_no_file_can_have_are_refused, 0,
			    (int)ARRAY_SIZE(impossible));
	tcase_add_test(c, links_are_objects_and_never_followed);
	tcase_add_test(c, a_link_object_is_a_link);
	tcase_add_test(c, folders_of_others_are_markers);
	tcase_add_test(c, pipes_and_sockets_are_not_seen);
	tcase_add_test(c, an_empty_folder_of_a_crash_gives_way);
	tcase_add_test(c, a_delete_that_was_cut_short_is_finished);
	tcase_add_test(c, old_debris_is_swept_young_is_not);
	tcase_add_test(c, a_read_only_probe_writes_nothing);
	tcase_add_test(c, conditions_hold_between_two_mounts);
	tcase_add_test(c, an_upload_id_is_no_path);
	tcase_add_test(c, a_missing_folder_is_said);
}

int main(void)
{
	return harness_run("dir", add);
}
