/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/cache.h"
#include "ckptfs/disk.h"
#include "ckptfs/host.h"

#include "harness.h"

/* A disk of one file that can only be read. */
static unsigned char file[256 << 10];
static size_t size;

static ssize_t file_pread(struct disk *d, int fd, void *p, size_t n,
			  uint64_t off)
{
	(void)d;
	(void)fd;
	if (off >= size)
		return 0;
	if (n > size - off)
		n = size - off;
	memcpy(p, file + off, n);
	return (ssize_t)n;
}

static const struct disk_ops file_ops = { .name = "file", .pread = file_pread };
static struct disk disk = { .ops = &file_ops };
static const struct host host = { .disk = &disk };

static int check(const char *name)
{
	return cache_format_check(&host, 3, name, size);
}

static void put(const void *p, size_t n)
{
	ck_assert_uint_le(size + n, sizeof(file));
	memcpy(file + size, p, n);
	size += n;
}

static void le(uint64_t v, unsigned bytes)
{
	unsigned char c;

	for (; bytes > 0; bytes--, v >>= 8) {
		c = v & 255;
		put(&c, 1);
	}
}

/* ---- zip archives, members stored as torch and numpy do */

struct opts {
	const char *before; /* bytes before the archive */
	const char *comment;
	bool zip64; /* the end record and its locator, fields saturated */
	bool wide; /* … they are there, but nothing is saturated */
	unsigned members;
};

static void member(unsigned i, bool central, size_t at)
{
	char name[32];
	int n = snprintf(name, sizeof(name), "archive/data/%u", i);

	put(central ? "PK\1\2" : "PK\3\4", 4);
	if (central)
		le(20, 2);
	le(20, 2);
	le(0, 2 + 2 + 2 + 2 + 4);
	le(64, 4);
	le(64, 4);
	le((unsigned)n, 2);
	le(0, 2);
	if (central) {
		le(0, 2 + 2 + 2 + 4);
		le(at, 4);
	}
	put(name, (size_t)n);
	if (!central)
		put("sixty-four bytes, as records of tensors are aligned to in "
		    "them.....",
		    64);
}

static void end64(const struct opts *o, size_t dir, size_t dir_len, size_t base)
{
	size_t at = size - base;

	put("PK\6\6", 4);
	le(44, 8);
	le(45, 2);
	le(45, 2);
	le(0, 8);
	le(o->members, 8);
	le(o->members, 8);
	le(dir_len, 8);
	le(dir, 8);
	put("PK\6\7", 4);
	le(0, 4);
	le(at, 8);
	le(1, 4);
}

static void zip(const struct opts *o)
{
	size_t at[16], base, dir, dir_len;
	unsigned i;

	put(o->before ? o->before : "", o->before ? strlen(o->before) : 0);
	base = size;
	for (i = 0; i < o->members; i++) {
		at[i] = size - base;
		member(i, false, 0);
	}
	dir = size - base;
	for (i = 0; i < o->members; i++)
		member(i, true, at[i]);
	dir_len = size - base - dir;
	if (o->zip64 || o->wide)
		end64(o, dir, dir_len, base);
	put("PK\5\6", 4);
	le(0, 4);
	le(o->zip64 ? 0xffff : o->members, 2);
	le(o->zip64 ? 0xffff : o->members, 2);
	le(o->zip64 ? 0xffffffff : dir_len, 4);
	le(o->zip64 ? 0xffffffff : dir, 4);
	le(o->comment ? strlen(o->comment) : 0, 2);
	put(o->comment ? o->comment : "", o->comment ? strlen(o->comment) : 0);
}

static const struct opts zips[] = {
	{ .members = 1 },
	{ .members = 5 },
	{ .members = 3, .comment = "PK\5\6 is in the comment too" },
	{ .members = 4, .zip64 = true },
	{ .members = 4, .wide = true },
	{ .members = 2, .zip64 = true, .comment = "with a comment" },
};

START_TEST(a_whole_zip_passes_and_each_cut_is_seen)
{
	size_t whole;

	zip(&zips[_i]);
	ck_assert_int_eq(check("epoch=3.ckpt"), 0);
	whole = size;
	for (size = 4; size < whole; size++)
		ck_assert_msg(check("a.npz") == -EBADMSG, "%zu of %zu", size,
			      whole);
}
END_TEST

START_TEST(an_archive_behind_another_passes)
{
	struct opts o = { .members = 2 };
	size_t first;

	zip(&o);
	first = size;
	o.zip64 = _i == 1;
	zip(&o);
	ck_assert_int_eq(check("two.pt"), 0);
	/* The first one's end is too far off to be taken for the file's. */
	memmove(file + first + 70000, file + first, size - first);
	size += 70000;
	ck_assert_int_eq(check("two.pt"), 0);
	size -= 1;
	ck_assert_int_eq(check("two.pt"), -EBADMSG);
}
END_TEST

START_TEST(bytes_behind_an_archive_do_no_harm)
{
	struct opts o = { .members = 2 };

	zip(&o);
	put("a pickle", 8);
	ck_assert_int_eq(check("a.pt"), 0);
}
END_TEST

START_TEST(an_end_record_that_points_nowhere_is_refused)
{
	struct opts o = { .members = 3 };
	size_t len = 22 + 3 * (46 + 14);

	zip(&o);
	memset(file + size - len, 0, 4);
	ck_assert_int_eq(check("a.pt"), -EBADMSG);
}
END_TEST

START_TEST(a_byte_lost_on_the_way_is_seen)
{
	struct opts o = { .members = 3 };

	zip(&o);
	size--;
	memmove(file + 10, file + 11, size - 10);
	ck_assert_int_eq(check("a.pt"), -EBADMSG);
}
END_TEST

START_TEST(an_archive_without_its_members_is_refused)
{
	struct opts o = { .members = 0 };

	put("PK\3\4", 4);
	zip(&o);
	ck_assert_int_eq(check("a.pt"), -EBADMSG);
}
END_TEST

START_TEST(an_empty_zip_passes)
{
	struct opts o = { .members = 0 };

	zip(&o);
	ck_assert_uint_eq(size, 22);
	ck_assert_int_eq(check("empty.npz"), 0);
}
END_TEST

static const struct {
	const char *name, *bytes;
} unknown[] = {
	{ "legacy.pt", "\200\2}q" }, { "empty.pt", "" },
	{ "short.ckpt", "PK" },	     { "a.log", "PK\3\4 cut short" },
	{ ".zip", "PK\3\4 cut" },    { "zip", "PK\3\4 cut" },
	{ "step.distcp", "PK\3\4" }, { "x.safetensors.index.json", "{}" },
};

START_TEST(what_is_of_no_known_kind_passes)
{
	put(unknown[_i].bytes, strlen(unknown[_i].bytes));
	ck_assert_int_eq(check(unknown[_i].name), 0);
}
END_TEST

START_TEST(the_case_of_a_suffix_does_not_matter)
{
	put("PK\3\4 cut", 8);
	ck_assert_int_eq(check("MODEL.PT"), -EBADMSG);
}
END_TEST

/* ---- safetensors */

static const struct {
	const char *header;
	unsigned data;
	int want;
} tensors[] = {
	{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
	  "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[8,11]}}",
	  11, 0 },
	{ "{\"b\":{\"data_offsets\":[8,11]},\"a\":{\"data_offsets\":[0,8]}}  ",
	  11, 0 },
	{ "{\"b\":{\"data_offsets\":[8,11]},\"a\":{\"data_offsets\":[0,8]}}",
	  10, -EBADMSG },
	{ "{\"b\":{\"data_offsets\":[8,11]},\"a\":{\"data_offsets\":[0,8]}}",
	  12, -EBADMSG },
	{ "{\"__metadata__\":{\"format\":\"pt\"}}", 0, 0 },
	{ "{}", 0, 0 },
	{ "{}", 1, -EBADMSG },
	{ "{\"a\":{\"data_offsets\":[0]}}", 0, -EBADMSG },
	{ "{\"a\":{\"data_offsets\":[0,-1]}}", 0, -EBADMSG },
	{ "{\"a\":{}}", 0, -EBADMSG },
	{ "{\"a\":{\"data_offsets\":[0,8", 8, -EBADMSG },
};

static void safetensors(const char *header, size_t data)
{
	le(strlen(header), 8);
	put(header, strlen(header));
	memset(file + size, 7, data);
	size += data;
}

START_TEST(a_header_must_account_for_the_file)
{
	safetensors(tensors[_i].header, tensors[_i].data);
	ck_assert_int_eq(check("model.safetensors"), tensors[_i].want);
}
END_TEST

START_TEST(safetensors_cut_anywhere_are_seen)
{
	size_t whole;

	safetensors(tensors[0].header, tensors[0].data);
	whole = size;
	for (size = 0; size < whole; size++)
		ck_assert_int_eq(check("a.safetensors"), -EBADMSG);
	ck_assert_int_eq(check("a.safetensors"), 0);
	memset(file, 0, whole);
	ck_assert_int_eq(check("a.safetensors"), -EBADMSG);
	/* No header is that long: this is some other file. */
	memset(file, 255, whole);
	ck_assert_int_eq(check("a.safetensors"), 0);
}
END_TEST

static void clear(void)
{
	memset(file, 0, sizeof(file));
	size = 0;
}

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, clear, NULL);
	tcase_add_loop_test(c, a_whole_zip_passes_and_each_cut_is_seen, 0,
			    ARRAY_SIZE(zips));
	tcase_add_loop_test(c, an_archive_behind_another_passes, 0, 2);
	tcase_add_test(c, bytes_behind_an_archive_do_no_harm);
	tcase_add_test(c, an_end_record_that_points_nowhere_is_refused);
	tcase_add_test(c, a_byte_lost_on_the_way_is_seen);
	tcase_add_test(c, an_archive_without_its_members_is_refused);
	tcase_add_test(c, an_empty_zip_passes);
	tcase_add_loop_test(c, what_is_of_no_known_kind_passes, 0,
			    ARRAY_SIZE(unknown));
	tcase_add_test(c, the_case_of_a_suffix_does_not_matter);
	tcase_add_loop_test(c, a_header_must_account_for_the_file, 0,
			    ARRAY_SIZE(tensors));
	tcase_add_test(c, safetensors_cut_anywhere_are_seen);
}

int main(void)
{
	return harness_run("cache_format", add);
}
