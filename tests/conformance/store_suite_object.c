/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in, the same bytes out. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store_suite.h"

START_TEST(what_is_put_is_read_back)
{
	static const uint64_t sizes[] = { 0, 1, 4095, 131072, 1000003 };
	struct store *s = suite_open(_i);
	struct store_obj obj, head;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		obj = suite_have(s, k("file"), sizes[i], i);
		suite_expect(s, k("file"), sizes[i], i);
		ck_assert_int_eq(store_head(s, k("file"), &head), 0);
		ck_assert_str_eq(head.etag, obj.etag);
		ck_assert_int_gt(head.mtime_ns, 0);
		ck_assert(!obj.has_crc64 ||
			  obj.crc64 == suite_crc(i, sizes[i]));
	}
	suite_close(s);
}
END_TEST

START_TEST(ranges_are_cut_at_the_end)
{
	static const struct {
		uint64_t off, len, n;
	} rows[] = {
		{ 0, 1000, 1000 },	{ 0, 1, 1 },	   { 999, 1, 1 },
		{ 999, 5, 1 },		{ 1000, 1, 0 },	   { 5000, 10, 0 },
		{ 100, 0, 0 },		{ 100, 200, 200 }, { 0, 100000, 1000 },
		{ 7, UINT64_MAX, 993 },
	};
	struct store *s = suite_open(_i);
	struct store_obj obj = suite_have(s, k("r"), 1000, 7);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct suite_sink sink = { .seed = 7, .at = rows[i].off };

		ck_assert_int_eq(store_get(s, k("r"), obj.etag, rows[i].off,
					   rows[i].len, suite_sink, &sink,
					   NULL),
				 0);
		ck_assert_uint_eq(sink.n, rows[i].n);
		ck_assert(!sink.wrong);
	}
	suite_close(s);
}
END_TEST

START_TEST(a_range_of_an_empty_object_is_empty)
{
	struct store *s = suite_open(_i);
	struct store_obj obj = suite_have(s, k("empty"), 0, 0);
	struct suite_sink sink = { .n = 0 };

	ck_assert_int_eq(
		store_get(s, k("empty"), NULL, 0, 10, suite_sink, &sink, NULL),
		0);
	ck_assert_int_eq(store_get(s, k("empty"), obj.etag, 3, 10, suite_sink,
				   &sink, &obj),
			 0);
	ck_assert_uint_eq(sink.n, 0);
	ck_assert_uint_eq(obj.size, 0);
	suite_close(s);
}
END_TEST

START_TEST(what_is_not_there_is_not_found)
{
	struct store *s = suite_open(_i);
	struct suite_sink sink = { .n = 0 };

	suite_expect_none(s, k("no"));
	suite_expect_none(s, k("no/such/folder"));
	ck_assert_int_eq(
		store_get(s, k("no"), NULL, 0, 1, suite_sink, &sink, NULL),
		-ENOENT);
	ck_assert_int_eq(
		store_get(s, k("no"), "\"0\"", 0, 1, suite_sink, &sink, NULL),
		-ESTALE);
	ck_assert_int_eq(store_del(s, k("no"), NULL), 0);
	suite_have(s, k("d/x"), 1, 1);
	suite_expect_none(s, k("d"));
	suite_expect_none(s, k("d/"));
	suite_expect_none(s, k("d/x/y"));
	ck_assert_int_eq(store_del(s, k("d"), NULL), 0);
	suite_expect(s, k("d/x"), 1, 1);
	suite_close(s);
}
END_TEST

START_TEST(an_overwritten_version_is_stale)
{
	struct store *s = suite_open(_i);
	struct store_obj old = suite_have(s, k("v"), 1000, 1);
	struct store_obj now = suite_have(s, k("v"), 1000, 2);
	struct suite_sink sink = { .seed = 2 };

	ck_assert_str_ne(old.etag, now.etag);
	ck_assert_int_eq(
		store_get(s, k("v"), old.etag, 0, 10, suite_sink, &sink, NULL),
		-ESTALE);
	ck_assert_uint_eq(sink.n, 0);
	suite_expect(s, k("v"), 1000, 2);
	if (!suite_backend->etag_is_content)
		ck_assert_str_ne(suite_have(s, k("v"), 1000, 2).etag, now.etag);
	suite_close(s);
}
END_TEST

static const struct store_meta metas[] = {
	{ .has_mtime = true, .mtime_ns = INT64_C(1700000000123456789) },
	{ .has_mtime = true, .mtime_ns = 1 },
	{ .has_mode = true, .mode = S_IFREG | 0640 },
	{ .has_mode = true,
	  .mode = S_IFREG | 0755,
	  .has_mtime = true,
	  .mtime_ns = INT64_C(999999999) },
	{ .has_mode = true, .mode = S_IFREG | 0400 },
	{ .has_mode = true, .mode = S_IFLNK | 0777 },
	{ .has_mode = true,
	  .mode = S_IFLNK | 0777,
	  .has_mtime = true,
	  .mtime_ns = INT64_C(1600000000000000001) },
};

static void same_meta(const struct store_obj *obj, const struct store_meta *m)
{
	ck_assert(obj->has_meta);
	ck_assert_str_eq(obj->meta.write_id, m->write_id);
	if (m->has_mtime) {
		ck_assert(obj->meta.has_mtime);
		ck_assert_int_eq(obj->meta.mtime_ns, m->mtime_ns);
	}
	if (m->has_mode) {
		ck_assert(obj->meta.has_mode);
		ck_assert_uint_eq(obj->meta.mode, m->mode);
	}
}

/* A seed whose first n bytes are text, as the target of a link is. */
static uint64_t text_seed(size_t n)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < n; i++) {
		if (suite_byte(seed, i))
			continue;
		seed++;
		i = 0;
	}
	return seed;
}

START_TEST(metadata_comes_back)
{
	struct store *s = suite_open(_i);
	struct pattern p = { .seed = 0 };
	struct store_src src = suite_src(&p, 20);
	struct suite_sink sink = { .seed = 0 };
	struct store_obj obj;

	if (!(s->caps & STORE_CAP_META)) {
		suite_close(s);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(metas); i++) {
		struct store_meta m = metas[i];

		p.seed = S_ISLNK(m.mode) ? text_seed(20) : i;
		sink = (struct suite_sink){ .seed = p.seed };
		memcpy(m.write_id, suite_meta().write_id, sizeof(m.write_id));
		ck_assert_int_eq(store_put(s, k("m"), &src, &m, NULL, &obj), 0);
		same_meta(&obj, &m);
		ck_assert_int_eq(store_head(s, k("m"), &obj), 0);
		same_meta(&obj, &m);
		ck_assert_uint_eq(obj.size, 20);
		ck_assert_int_eq(store_get(s, k("m"), obj.etag, 0, 100,
					   suite_sink, &sink, &obj),
				 0);
		ck_assert(obj.has_meta == !suite_backend->get_is_bare);
		if (obj.has_meta)
			same_meta(&obj, &m);
		ck_assert_uint_eq(sink.n, 20);
		ck_assert(!sink.wrong);
	}
	suite_close(s);
}
END_TEST

START_TEST(metadata_does_not_outlive_its_version)
{
	struct store *s = suite_open(_i);
	struct store_meta none = { .has_mtime = false };
	struct pattern p = { .seed = 3 };
	struct store_src src = suite_src(&p, 10);
	struct store_obj obj;

	suite_have(s, k("m"), 10, 1);
	ck_assert_int_eq(store_put(s, k("m"), &src, &none, NULL, &obj), 0);
	ck_assert_int_eq(store_head(s, k("m"), &obj), 0);
	ck_assert_str_eq(obj.meta.write_id, "");
	suite_close(s);
}
END_TEST

static const char *const odd[] = {
	"a b",
	" lead",
	"trail ",
	"pl+us",
	"per%20cent",
	"%",
	"%2F",
	"am&p;",
	"l<t",
	"g>t",
	"dq\"",
	"sq'",
	"h#sh",
	"que?stion=1",
	"st*r",
	"dot.",
	".hidden",
	"..x",
	"semi;colon",
	"=eq,comma",
	"$d@at:colon",
	"(p)[b]{c}|~`^!",
	"-dash",
	"_",
	"\303\274n\303\257c\303\270de",
	"\346\227\245\346\234\254/\350\252\236",
	"\360\237\232\202",
	"e\314\201",
	"name.tmp",
	"checkpoint-500/rng_0.pth",
};

static int count_key(void *arg, const char *key, const struct store_obj *obj)
{
	bool *seen = arg;

	ck_assert_ptr_nonnull(obj);
	key = strchr(key, '/') + 1; /* the test's own prefix */
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		seen[i] |= !strcmp(key, odd[i]);
	return 0;
}

START_TEST(odd_names_are_names)
{
	struct store *s = suite_open(_i);
	bool seen[ARRAY_SIZE(odd)] = { false };

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		suite_have(s, k(odd[i]), 5, i);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		suite_expect(s, k(odd[i]), 5, i);
	ck_assert_int_eq(store_list(s, k(""), NULL, false, count_key, seen), 0);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		ck_assert_msg(seen[i], "%s is not listed", odd[i]);
		ck_assert_int_eq(store_del(s, k(odd[i]), NULL), 0);
		suite_expect_none(s, k(odd[i]));
	}
	suite_close(s);
}
END_TEST

/* Bytes that a listing in XML spoils, unless it is told to encode them, or that
 * a store changes. */
static const char *const raw[] = {
	"ctrl\001",	   "esc\033[1m", "cr\r",
	"crlf\r\n",	   "lf\n",	 "non\357\277\276",
	"non\357\277\277", "lat\374in",	 "cut\303",
	"over\300\257",  "tab\there",	  "back\\slash",
};

static int note_raw(void *arg, const char *key, const struct store_obj *obj)
{
	bool *seen = arg;

	ck_assert_ptr_nonnull(obj);
	key = strchr(key, '/') + 1;
	for (size_t i = 0; i < ARRAY_SIZE(raw); i++)
		seen[i] |= !strcmp(key, raw[i]);
	return 0;
}

START_TEST(names_that_would_be_listed_as_others_are_refused)
{
	struct store *s = suite_open(_i);
	bool seen[ARRAY_SIZE(raw)] = { false };
	char id[STORE_UPLOAD_ID_MAX];
	struct store_meta meta = suite_meta();
	struct store_obj obj;

	for (size_t i = 0; i < ARRAY_SIZE(raw); i++) {
		bool holds = store_holds_name(s, raw[i]);
		int r = suite_put(s, k(raw[i]), 5, i, NULL, &obj);

		ck_assert_msg(r == (holds ? 0 : -EINVAL), "%zu: %d %s", i, r,
			      store_last_error());
		if (holds)
			suite_expect(s, k(raw[i]), 5, i);
		else
			ck_assert_int_eq(
				store_mpu_begin(s, k(raw[i]), &meta, false, id),
				-EINVAL);
	}
	ck_assert_int_eq(store_list(s, k(""), NULL, false, note_raw, seen), 0);
	for (size_t i = 0; i < ARRAY_SIZE(raw); i++) {
		ck_assert_msg(seen[i] == store_holds_name(s, raw[i]),
			      "name %zu", i);
		if (seen[i])
			ck_assert_int_eq(store_del(s, k(raw[i]), NULL), 0);
	}
	suite_close(s);
}
END_TEST

START_TEST(long_names_fit_or_are_refused)
{
	struct store *s = suite_open(_i);
	char name[2000];
	struct store_obj obj;

	memset(name, 'n', sizeof(name));
	for (size_t i = 200; i < 900; i += 200)
		name[i] = '/';
	name[900] = '\0';
	suite_have(s, k(name), 3, 1);
	suite_expect(s, k(name), 3, 1);
	ck_assert_int_eq(store_del(s, k(name), NULL), 0);
	name[900] = 'n';
	name[1024] = '\0';
	ck_assert_int_eq(suite_put(s, k(name), 3, 1, NULL, &obj), -EINVAL);
	ck_assert_str_ne(store_last_error(), "");
	memset(name, 'n', 1000);
	name[s->limits.name_max] = '\0';
	if (s->limits.name_max < 900) {
		suite_have(s, k(name), 3, 1);
		memcpy(name + s->limits.name_max, "x", 2);
		ck_assert_int_eq(suite_put(s, k(name), 3, 1, NULL, &obj),
				 -EINVAL);
	}
	suite_close(s);
}
END_TEST

START_TEST(a_sink_may_stop_the_get)
{
	struct store *s = suite_open(_i);
	struct store_obj obj = suite_have(s, k("s"), 300000, 1);
	struct suite_sink sink = { .seed = 1, .err = -ECANCELED };

	ck_assert_int_eq(store_get(s, k("s"), obj.etag, 0, 300000, suite_sink,
				   &sink, NULL),
			 -ECANCELED);
	sink.err = -ENOSPC;
	ck_assert_int_eq(store_get(s, k("s"), obj.etag, 0, 300000, suite_sink,
				   &sink, NULL),
			 -EIO);
	suite_expect(s, k("s"), 300000, 1);
	suite_close(s);
}
END_TEST

static int count_all(void *arg, const char *key, const struct store_obj *obj)
{
	unsigned *n = arg;

	(void)key;
	(void)obj;
	++*n;
	return 0;
}

START_TEST(a_file_and_a_folder_of_one_name)
{
	struct store *s = suite_open(_i);
	const bool both = s->caps & STORE_CAP_FILE_AND_DIR;
	struct store_obj obj;
	unsigned n = 0;
	int r;

	suite_have(s, k("a"), 5, 1);
	suite_have(s, k("b/c"), 5, 2);
	r = suite_put(s, k("a/x"), 5, 3, NULL, &obj);
	ck_assert(r == 0 || (r == -EINVAL && !both));
	if (r == 0)
		suite_expect(s, k("a/x"), 5, 3);
	r = suite_put(s, k("b"), 5, 4, NULL, &obj);
	ck_assert(r == 0 || (r == -EINVAL && !both));
	if (r == 0)
		suite_expect(s, k("b"), 5, 4);
	suite_expect(s, k("a"), 5, 1);
	suite_expect(s, k("b/c"), 5, 2);
	ck_assert_int_eq(store_list(s, k(""), NULL, false, count_all, &n), 0);
	ck_assert_uint_eq(n, both ? 4 : 2);
	/* What is not listed now is there, and is once the other has gone. */
	ck_assert_int_eq(store_del(s, k("a"), NULL), 0);
	if (r == 0)
		ck_assert_int_eq(store_del(s, k("b"), NULL), 0);
	n = 0;
	ck_assert_int_eq(store_list(s, k(""), NULL, false, count_all, &n), 0);
	ck_assert_uint_eq(n, r == 0 ? 2 : 1);
	suite_close(s);
}
END_TEST

START_TEST(after_shutdown_everything_is_cancelled)
{
	struct store *s = suite_open(_i);
	struct suite_sink sink = { .n = 0 };
	struct store_obj obj;
	char id[STORE_UPLOAD_ID_MAX];
	struct store_meta meta = suite_meta();

	store_shutdown(s);
	ck_assert_int_eq(suite_put(s, k("x"), 3, 1, NULL, &obj), -ECANCELED);
	ck_assert_int_eq(suite_head(s, k("x")), -ECANCELED);
	ck_assert_int_eq(
		store_get(s, k("x"), NULL, 0, 1, suite_sink, &sink, NULL),
		-ECANCELED);
	ck_assert_int_eq(store_del(s, k("x"), NULL), -ECANCELED);
	ck_assert_int_eq(store_mpu_begin(s, k("x"), &meta, false, id),
			 -ECANCELED);
	store_free(s);
}
END_TEST

void store_suite_add_object(TCase *c, int n)
{
	tcase_add_loop_test(c, what_is_put_is_read_back, 0, n);
	tcase_add_loop_test(c, ranges_are_cut_at_the_end, 0, n);
	tcase_add_loop_test(c, a_range_of_an_empty_object_is_empty, 0, n);
	tcase_add_loop_test(c, what_is_not_there_is_not_found, 0, n);
	tcase_add_loop_test(c, an_overwritten_version_is_stale, 0, n);
	tcase_add_loop_test(c, metadata_comes_back, 0, n);
	tcase_add_loop_test(c, metadata_does_not_outlive_its_version, 0, n);
	tcase_add_loop_test(c, odd_names_are_names, 0, n);
	tcase_add_loop_test(c, names_that_would_be_listed_as_others_are_refused,
			    0, n);
	tcase_add_loop_test(c, long_names_fit_or_are_refused, 0, n);
	tcase_add_loop_test(c, a_sink_may_stop_the_get, 0, n);
	tcase_add_loop_test(c, a_file_and_a_folder_of_one_name, 0, n);
	tcase_add_loop_test(c, after_shutdown_everything_is_cancelled, 0, n);
}
