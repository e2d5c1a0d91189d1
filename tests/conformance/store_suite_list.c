/* SPDX-License-Identifier: Apache-2.0 */
/* Listings. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_suite.h"

/* Entries of a listing, one a line, without the test's prefix. */
struct lines {
	char *text;
	size_t len, entries;
	unsigned stop_after; /* 0: never */
	char last[2048];
	size_t skip; /* length of the test's prefix */
	bool out_of_order;
};

static int add_line(void *arg, const char *key, const struct store_obj *obj)
{
	struct lines *l = arg;
	size_t n = strlen(key) - l->skip;

	l->text = realloc(l->text, l->len + n + 2);
	ck_assert_ptr_nonnull(l->text);
	memcpy(l->text + l->len, key + l->skip, n);
	l->len += n;
	l->text[l->len++] = '\n';
	l->text[l->len] = '\0';
	if (!obj)
		ck_assert_int_eq(key[strlen(key) - 1], '/');
	if (strcmp(key, l->last) <= 0)
		l->out_of_order = true;
	snprintf(l->last, sizeof(l->last), "%s", key);
	l->entries++;
	return l->stop_after && l->entries == l->stop_after ? 42 : 0;
}

static void expect_list(struct store *s, const char *prefix, const char *after,
			bool delimited, const char *want)
{
	struct lines l = { .skip = strlen(k("")) };
	int r = store_list(s, k(prefix), after ? k(after) : NULL, delimited,
			   add_line, &l);

	ck_assert_msg(!r, "list: %d %s", r, store_last_error());
	ck_assert(!l.out_of_order);
	ck_assert_str_eq(l.text ? l.text : "", want);
	free(l.text);
}

static void have_tree(struct store *s)
{
	static const char *const names[] = { "b/2", "a",     "b/1",
					     "b-x", "c/d/e", "b/3/x",
					     "Z",   "b.y",   "\303\251" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		suite_have(s, k(names[i]), i, i);
}

START_TEST(a_listing_is_in_byte_order)
{
	struct store *s = suite_open(_i);

	expect_list(s, "", NULL, false, "");
	have_tree(s);
	expect_list(s, "", NULL, false,
		    "Z\na\nb-x\nb.y\nb/1\nb/2\nb/3/x\nc/d/e\n\303\251\n");
	expect_list(s, "b", NULL, false, "b-x\nb.y\nb/1\nb/2\nb/3/x\n");
	expect_list(s, "b/", NULL, false, "b/1\nb/2\nb/3/x\n");
	expect_list(s, "b/3/x", NULL, false, "b/3/x\n");
	expect_list(s, "nothing", NULL, false, "");
	expect_list(s, "nothing/here/", NULL, false, "");
	expect_list(s, "a/", NULL, false, "");
	suite_close(s);
}
END_TEST

START_TEST(a_delimited_listing_folds_folders)
{
	struct store *s = suite_open(_i);

	have_tree(s);
	expect_list(s, "", NULL, true, "Z\na\nb-x\nb.y\nb/\nc/\n\303\251\n");
	expect_list(s, "b", NULL, true, "b-x\nb.y\nb/\n");
	expect_list(s, "b/", NULL, true, "b/1\nb/2\nb/3/\n");
	expect_list(s, "c/", NULL, true, "c/d/\n");
	expect_list(s, "c/d/", NULL, true, "c/d/e\n");
	expect_list(s, "c/d/e", NULL, true, "c/d/e\n");
	suite_close(s);
}
END_TEST

START_TEST(a_listing_resumes_after_any_entry)
{
	struct store *s = suite_open(_i);

	have_tree(s);
	expect_list(s, "", "b/1", false, "b/2\nb/3/x\nc/d/e\n\303\251\n");
	expect_list(s, "", "b/2x", false, "b/3/x\nc/d/e\n\303\251\n");
	expect_list(s, "b/", "a", false, "b/1\nb/2\nb/3/x\n");
	expect_list(s, "b/", "c", false, "");
	expect_list(s, "", "b-x", true, "b.y\nb/\nc/\n\303\251\n");
	expect_list(s, "", "b/", true, "c/\n\303\251\n");
	expect_list(s, "b/", "b/2", true, "b/3/\n");
	expect_list(s, "", "\303\251", false, "");
	suite_close(s);
}
END_TEST

START_TEST(a_listing_may_be_stopped)
{
	struct store *s = suite_open(_i);
	struct lines l = { .stop_after = 2, .skip = strlen(k("")) };

	have_tree(s);
	ck_assert_int_eq(store_list(s, k(""), NULL, false, add_line, &l), 42);
	ck_assert_uint_eq(l.entries, 2);
	ck_assert_str_eq(l.text, "Z\na\n");
	free(l.text);
	suite_close(s);
}
END_TEST

static int find_obj(void *arg, const char *key, const struct store_obj *obj)
{
	struct store_obj *ret = arg;

	(void)key;
	*ret = *obj;
	return 0;
}

START_TEST(a_listing_tells_what_head_tells)
{
	struct store *s = suite_open(_i);
	struct store_obj listed = { .size = 0 }, head;

	suite_have(s, k("o"), 1234, 1);
	ck_assert_int_eq(store_list(s, k("o"), NULL, false, find_obj, &listed),
			 0);
	ck_assert_int_eq(store_head(s, k("o"), &head), 0);
	ck_assert_uint_eq(listed.size, 1234);
	ck_assert_str_eq(listed.etag, head.etag);
	ck_assert_int_gt(listed.mtime_ns, 0);
	ck_assert(!listed.has_meta);
	suite_close(s);
}
END_TEST

START_TEST(what_is_ours_is_hidden)
{
	struct store *s = suite_open(_i);

	suite_have(s, k("a/x"), 1, 1);
	suite_have(s, k(".ckptfs/conflicts/y"), 1, 1);
	suite_have(s, k("a/.ckptfs/y"), 1, 1);
	suite_have(s, k("b.ckptfs/z"), 1, 1);
	suite_have(s, k(".ckptfsx"), 1, 1);
	expect_list(s, "", NULL, false, ".ckptfsx\na/x\nb.ckptfs/z\n");
	expect_list(s, "", NULL, true, ".ckptfsx\na/\nb.ckptfs/\n");
	expect_list(s, "a/", NULL, true, "a/x\n");
	expect_list(s, ".ckptfs/", NULL, false, ".ckptfs/conflicts/y\n");
	expect_list(s, ".ckptfs/", NULL, true, ".ckptfs/conflicts/\n");
	expect_list(s, "a/.ckptfs/", NULL, true, "a/.ckptfs/y\n");
	suite_close(s);
}
END_TEST

START_TEST(a_marker_keeps_its_folder)
{
	struct store *s = suite_open(_i);
	struct store_obj obj;

	obj = suite_have(s, k("m/"), 0, 0);
	ck_assert_uint_eq(obj.size, 0);
	ck_assert_int_eq(suite_head(s, k("m/")), 0);
	expect_list(s, "", NULL, false, "m/\n");
	expect_list(s, "", NULL, true, "m/\n");
	expect_list(s, "m/", NULL, true, "m/\n");
	suite_have(s, k("m/x"), 1, 1);
	expect_list(s, "", NULL, false, "m/\nm/x\n");
	expect_list(s, "m/", NULL, true, "m/\nm/x\n");
	ck_assert_int_eq(store_del(s, k("m/x"), NULL), 0);
	expect_list(s, "", NULL, false, "m/\n");
	suite_have(s, k("m/sub/"), 0, 0);
	suite_have(s, k("m/y"), 1, 1);
	ck_assert_int_eq(store_del(s, k("m/"), NULL), 0);
	suite_expect_none(s, k("m/"));
	expect_list(s, "", NULL, false, "m/sub/\nm/y\n");
	ck_assert_int_eq(store_del(s, k("m/sub/"), NULL), 0);
	ck_assert_int_eq(store_del(s, k("m/y"), NULL), 0);
	expect_list(s, "", NULL, true, "");
	ck_assert_int_eq(store_del(s, k("m/"), NULL), 0);
	suite_close(s);
}
END_TEST

START_TEST(a_folder_made_by_a_file_goes_with_it)
{
	struct store *s = suite_open(_i);

	suite_have(s, k("p/q/r/s"), 1, 1);
	suite_have(s, k("p/t"), 1, 1);
	ck_assert_int_eq(store_del(s, k("p/q/r/s"), NULL), 0);
	expect_list(s, "p/", NULL, true, "p/t\n");
	ck_assert_int_eq(store_del(s, k("p/t"), NULL), 0);
	expect_list(s, "", NULL, true, "");
	suite_close(s);
}
END_TEST

START_TEST(long_listings_are_whole)
{
	struct store *s = suite_open(_i);
	struct lines l = { .skip = strlen(k("")) };
	char name[32];

	for (unsigned i = 0; i < suite_backend->many; i++) {
		snprintf(name, sizeof(name), "n%u/a+ %%2B%05u", i % 3, i);
		suite_have(s, k(name), 1, 1);
	}
	ck_assert_int_eq(store_list(s, k(""), NULL, false, add_line, &l), 0);
	ck_assert_uint_eq(l.entries, suite_backend->many);
	ck_assert(!l.out_of_order);
	free(l.text);
	expect_list(s, "", NULL, true, "n0/\nn1/\nn2/\n");
	suite_close(s);
}
END_TEST

void store_suite_add_list(TCase *c, int n)
{
	tcase_add_loop_test(c, a_listing_is_in_byte_order, 0, n);
	tcase_add_loop_test(c, a_delimited_listing_folds_folders, 0, n);
	tcase_add_loop_test(c, a_listing_resumes_after_any_entry, 0, n);
	tcase_add_loop_test(c, a_listing_may_be_stopped, 0, n);
	tcase_add_loop_test(c, a_listing_tells_what_head_tells, 0, n);
	tcase_add_loop_test(c, what_is_ours_is_hidden, 0, n);
	tcase_add_loop_test(c, a_marker_keeps_its_folder, 0, n);
	tcase_add_loop_test(c, a_folder_made_by_a_file_goes_with_it, 0, n);
	tcase_add_loop_test(c, long_listings_are_whole, 0, n);
}
