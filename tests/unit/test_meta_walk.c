/* SPDX-License-Identifier: Apache-2.0 */
/* Walks over rows that walk and change rows; strings too long for a row. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/meta.h"

#include "harness.h"
#include "metabed.h"

/* A string of n bytes, each c. */
static const char *long_string(char c, size_t n)
{
	static char s[2048];

	ck_assert_uint_lt(n, sizeof(s));
	memset(s, c, n);
	s[n] = '\0';
	return s;
}

static struct meta_inode inode_of(uint64_t parent, const char *name)
{
	struct meta_inode row = { .kind = META_DIR, .parent = parent };

	snprintf(row.name, sizeof(row.name), "%s", name);
	return row;
}

static int see_inode(void *arg, const struct meta_inode *row)
{
	return bed_see(arg, row->name);
}

static void add_named(uint64_t parent, const char *name, uint64_t *ret_ino)
{
	struct meta_inode row = inode_of(parent, name);

	ck_assert_int_eq(meta_inode_add(bed_meta, &row), 0);
	ck_assert_int_eq(meta_name_add(bed_meta, parent, name, row.ino), 0);
	*ret_ino = row.ino;
}

static int walk(void *arg, const struct meta_inode *row)
{
	int r = see_inode(arg, row);

	return r != 0 ? r : meta_name_each(bed_meta, row->ino, walk, arg);
}

START_TEST(a_walk_may_walk)
{
	struct seen s = { .n = 0 };
	uint64_t a, b, c;

	bed_begin();
	add_named(1, "a", &a);
	add_named(a, "b", &b);
	add_named(b, "c", &c);
	add_named(1, "d", &c);
	ck_assert_int_eq(meta_name_each(bed_meta, 1, walk, &s), 0);
	ck_assert_str_eq(s.names, "a,b,c,d,");
	s = (struct seen){ .stop_at = 2 };
	ck_assert_int_eq(meta_name_each(bed_meta, 1, walk, &s), 7);
	ck_assert_uint_eq(s.n, 2);
	bed_commit();
}
END_TEST

static int take_away(void *arg, const struct meta_inode *row)
{
	int r = see_inode(arg, row);

	if (r == 0)
		r = meta_name_del(bed_meta, 1, row->name);
	return r == 0 ? meta_inode_del(bed_meta, row->ino) : r;
}

START_TEST(a_walk_may_take_away_what_it_sees)
{
	struct seen s = { .n = 0 }, left = { .n = 0 };
	uint64_t ino;

	bed_begin();
	add_named(1, "a", &ino);
	add_named(1, "b", &ino);
	add_named(1, "c", &ino);
	ck_assert_int_eq(meta_name_each(bed_meta, 1, take_away, &s), 0);
	ck_assert_str_eq(s.names, "a,b,c,");
	ck_assert_int_eq(meta_name_each(bed_meta, 1, see_inode, &left), 0);
	ck_assert_uint_eq(left.n, 0);
	bed_commit();
}
END_TEST

START_TEST(a_name_without_an_inode_is_an_error)
{
	struct seen s = { .n = 0 };

	bed_begin();
	ck_assert_int_eq(meta_name_add(bed_meta, 1, "a", 99), 0);
	ck_assert_int_eq(meta_name_each(bed_meta, 1, see_inode, &s), -EIO);
	ck_assert_uint_eq(s.n, 0);
	meta_end(bed_meta);
}
END_TEST

START_TEST(names_and_keys_are_refused_beyond_their_limit)
{
	struct meta_object o = { .ino = 1 }, got;
	uint64_t ino;

	bed_begin();
	ck_assert_int_eq(meta_name_add(bed_meta, 1, long_string('n', 255), 5),
			 0);
	ck_assert_int_eq(
		meta_name_get(bed_meta, 1, long_string('n', 255), &ino), 0);
	ck_assert_int_eq(meta_name_add(bed_meta, 1, long_string('n', 256), 5),
			 -ENAMETOOLONG);
	memset(o.key, 'k', META_KEY_MAX);
	ck_assert_int_eq(meta_object_set(bed_meta, &o), 0);
	ck_assert_int_eq(
		meta_object_get(bed_meta, long_string('k', 1024), &got), 0);
	ck_assert_str_eq(got.key, o.key);
	ck_assert_int_eq(
		meta_object_get(bed_meta, long_string('k', 1025), &got),
		-ENAMETOOLONG);
	bed_commit();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, bed_setup, bed_teardown);
	tcase_add_test(c, a_walk_may_walk);
	tcase_add_test(c, a_walk_may_take_away_what_it_sees);
	tcase_add_test(c, a_name_without_an_inode_is_an_error);
	tcase_add_test(c, names_and_keys_are_refused_beyond_their_limit);
}

int main(void)
{
	return harness_run("meta walk", add);
}
