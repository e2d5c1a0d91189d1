/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/clock.h"
#include "ckptfs/text.h"

#include "harness.h"

START_TEST(hex_goes_both_ways)
{
	unsigned char b[3] = { 0x00, 0x9f, 0xff };
	char s[7];

	text_hex(b, 3, s);
	ck_assert_str_eq(s, "009fff");
	memset(b, 1, 3);
	ck_assert_int_eq(text_unhex("009FfF", b, 3), 0);
	ck_assert_mem_eq(b, "\x00\x9f\xff", 3);
	ck_assert_int_eq(text_unhex("", b, 0), 0);
	ck_assert_int_eq(text_unhex("0g", b, 1), -EINVAL);
	ck_assert_int_eq(text_unhex("000", b, 1), -EINVAL);
	ck_assert_int_eq(text_unhex("0", b, 1), -EINVAL);
	ck_assert_mem_eq(b, "\x00\x9f\xff", 3);
}
END_TEST

static const struct {
	const char *raw, *b64, *url;
} b64s[] = {
	{ "", "", "" },
	{ "f", "Zg==", "Zg" },
	{ "fo", "Zm8=", "Zm8" },
	{ "foo", "Zm9v", "Zm9v" },
	{ "foob", "Zm9vYg==", "Zm9vYg" },
	{ "fooba", "Zm9vYmE=", "Zm9vYmE" },
	{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
	{ "\xfb\xff\xbf", "+/+/", "-_-_" },
};

START_TEST(base64_goes_both_ways)
{
	size_t len = strlen(b64s[_i].raw), n = 99;
	char out[TEXT_BASE64_LEN(6)], back[8];

	text_base64(b64s[_i].raw, len, out);
	ck_assert_str_eq(out, b64s[_i].b64);
	text_base64url(b64s[_i].raw, len, out);
	ck_assert_str_eq(out, b64s[_i].url);
	ck_assert_int_eq(text_unbase64(b64s[_i].b64, back, len, &n), 0);
	ck_assert_uint_eq(n, len);
	if (len > 0) {
		ck_assert_mem_eq(back, b64s[_i].raw, len);
		ck_assert_int_eq(text_unbase64(b64s[_i].b64, back, len - 1, &n),
				 -EMSGSIZE);
	}
}
END_TEST

static const char *const bad_b64[] = {
	"Z",	"Zg",	    "Zg=",   "Zg===",  "=",    "====", "Zh==",
	"Zm9=", "Zg==Zg==", "Zm 9v", "Zm9v\n", "-_-_", "Z=g=", "Zm9v====",
};

START_TEST(sloppy_base64_is_refused)
{
	char back[16];
	size_t n = 7;

	ck_assert_int_eq(text_unbase64(bad_b64[_i], back, sizeof(back), &n),
			 -EINVAL);
	ck_assert_uint_eq(n, 7);
}
END_TEST

START_TEST(percent_keeps_only_the_unreserved)
{
	struct buf b = BUF_INIT(1000);

	ck_assert_int_eq(text_percent(&b, "Az09-._~ /+\xc3\xa9\0*", 15, true),
			 0);
	ck_assert_str_eq(b.p, "Az09-._~%20/%2B%C3%A9%00%2A");
	buf_clear(&b);
	ck_assert_int_eq(text_percent(&b, "a/b", 3, false), 0);
	ck_assert_str_eq(b.p, "a%2Fb");
	b.max = 7;
	ck_assert_int_eq(text_percent(&b, "x/", 2, false), -EMSGSIZE);
	ck_assert_str_eq(b.p, "a%2Fb");
	buf_clear(&b);
	b.max = 7;
	ck_assert_int_eq(text_percent(&b, "", 0, false), 0);
	ck_assert_str_eq(b.p, "");
	buf_clear(&b);
}
END_TEST

START_TEST(percent_is_undone)
{
	static const char *const bad[] = { "%", "%1", "%zz", "a%2", "%%41" };
	struct buf b = BUF_INIT(1000);
	unsigned i;

	ck_assert_int_eq(text_unpercent(&b, "a%2fB%C3%A9+%2B", 15, true), 0);
	ck_assert_str_eq(b.p, "a/B\xc3\xa9 +");
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(
			text_unpercent(&b, bad[i], strlen(bad[i]), false),
			-EINVAL);
	ck_assert_str_eq(b.p, "a/B\xc3\xa9 +");
	buf_clear(&b);
	ck_assert_int_eq(text_unpercent(&b, "+%00+", 5, false), 0);
	ck_assert_mem_eq(b.p, "+\0+", 4);
	buf_clear(&b);
}
END_TEST

static const struct {
	const char *s;
	int r;
	uint64_t v;
	const char *out;
} sizes[] = {
	{ "0", 0, 0, "0" },
	{ "1023", 0, 1023, "1023" },
	{ "200G", 0, UINT64_C(200) << 30, "200G" },
	{ "64k", 0, 65536, "64K" },
	{ "1536", 0, 1536, "1.5K" },
	{ "1048575", 0, 1048575, "1023.9K" },
	{ "3T", 0, UINT64_C(3) << 40, "3T" },
	{ "18446744073709551615", 0, UINT64_MAX, "16777215.9T" },
	{ "18446744073709551616", -ERANGE, 0, NULL },
	{ "16777216T", -ERANGE, 0, NULL },
	{ "", -EINVAL, 0, NULL },
	{ "G", -EINVAL, 0, NULL },
	{ "-1", -EINVAL, 0, NULL },
	{ " 1", -EINVAL, 0, NULL },
	{ "1 G", -EINVAL, 0, NULL },
	{ "1.5G", -EINVAL, 0, NULL },
	{ "1GB", -EINVAL, 0, NULL },
	{ "1X", -EINVAL, 0, NULL },
};

START_TEST(sizes_are_read_and_written)
{
	uint64_t v = 7;
	char out[TEXT_QTY_LEN];

	ck_assert_int_eq(text_parse_size(sizes[_i].s, &v), sizes[_i].r);
	ck_assert_uint_eq(v, sizes[_i].r ? 7 : sizes[_i].v);
	if (sizes[_i].out) {
		text_size(v, out);
		ck_assert_str_eq(out, sizes[_i].out);
	}
}
END_TEST

static const struct {
	const char *s;
	int r;
	int64_t ms;
	const char *out;
} durations[] = {
	{ "0", 0, 0, "0s" },
	{ "250ms", 0, 250, "250ms" },
	{ "1500ms", 0, 1500, "1s" },
	{ "10", 0, 10000, "10s" },
	{ "59s", 0, 59000, "59s" },
	{ "200s", 0, 200000, "3m20s" },
	{ "10m", 0, 600000, "10m00s" },
	{ "2h", 0, 7200000, "2h00m" },
	{ "76h", 0, 76 * 3600000, "3d04h" },
	{ "9999999999999", -ERANGE, 0, NULL },
	{ "", -EINVAL, 0, NULL },
	{ "m", -EINVAL, 0, NULL },
	{ "1d", -EINVAL, 0, NULL },
	{ "1M", -EINVAL, 0, NULL },
	{ "-1s", -EINVAL, 0, NULL },
	{ "1s ", -EINVAL, 0, NULL },
};

START_TEST(durations_are_read_and_written)
{
	int64_t v = 7;
	char out[TEXT_QTY_LEN];

	ck_assert_int_eq(text_parse_duration(durations[_i].s, &v),
			 durations[_i].r);
	ck_assert_int_eq(v, durations[_i].r ? 7 : durations[_i].ms * NS_PER_MS);
	if (durations[_i].out) {
		text_duration(v, out);
		ck_assert_str_eq(out, durations[_i].out);
	}
}
END_TEST

START_TEST(odd_durations_are_written)
{
	char out[TEXT_QTY_LEN];

	text_duration(-90 * NS_PER_S, out);
	ck_assert_str_eq(out, "-1m30s");
	text_duration(-1, out);
	ck_assert_str_eq(out, "0s");
	text_duration(INT64_MIN, out);
	ck_assert_str_eq(out, "-106751d23h");
}
END_TEST

START_TEST(numbers_are_digits_alone)
{
	uint64_t v = 7;

	ck_assert_int_eq(text_parse_u64("18446744073709551615", &v), 0);
	ck_assert_uint_eq(v, UINT64_MAX);
	ck_assert_int_eq(text_parse_u64("1K", &v), -EINVAL);
	ck_assert_int_eq(text_parse_u64("+1", &v), -EINVAL);
	ck_assert_int_eq(text_parse_u64("99999999999999999999", &v), -ERANGE);
	ck_assert_uint_eq(v, UINT64_MAX);
}
END_TEST

static const struct {
	const char *s, *want;
} nearest[] = {
	{ "cach_size", "cache_size" },
	{ "cachesize", "cache_size" },
	{ "cache_dri", "cache_dir" },
	{ "chace_dir", "cache_dir" },
	{ "max_upload", "max_uploads" },
	{ "ful", "full" },
	{ "full", "full" },
	{ "banana", NULL },
	{ "x", NULL },
	{ "", NULL },
};

START_TEST(the_nearest_name_is_found)
{
	static const char *const names[] = { "cache_dir", "cache_size",
					     "max_uploads", "full" };
	const char *got = text_nearest(nearest[_i].s, names, 4);

	if (nearest[_i].want)
		ck_assert_pstr_eq(got, nearest[_i].want);
	else
		ck_assert_ptr_null(got);
}
END_TEST

static const struct {
	const char *pattern, *path;
	bool want;
} globs[] = {
	{ "*.log", "a/b/c.log", true },
	{ "*.log", "c.log", true },
	{ "*.log", "c.log/x", false },
	{ ".tmp*", "a/.tmp1", true },
	{ "*.tmp", "a/.tmp", true },
	{ "*.tmp", "a/.x.tmp", true },
	{ "a", "a/b", false },
	{ "events.out.*", "run/events.out.123", true },
	{ "[ab]?", "x/b1", true },
	{ "[ab]?", "x/c1", false },
};

START_TEST(globs_match_the_last_component)
{
	ck_assert_int_eq(text_glob(globs[_i].pattern, globs[_i].path),
			 globs[_i].want);
}
END_TEST

static const struct {
	const char *s;
	size_t n, want;
} utf8s[] = {
	{ "a", 1, 1 },
	{ "", 0, 0 },
	{ "\0", 1, 1 },
	{ "\xc3\xa9", 2, 2 },
	{ "\xc3\xa9", 1, 0 },
	{ "\xe2\x82\xac", 3, 3 },
	{ "\xf0\x9f\x98\x80", 4, 4 },
	{ "\xc0\x80", 2, 0 },
	{ "\xe0\x80\x80", 3, 0 },
	{ "\xf0\x80\x80\x80", 4, 0 },
	{ "\xed\xa0\x80", 3, 0 },
	{ "\xf4\x90\x80\x80", 4, 0 },
	{ "\xf8\x88\x80\x80\x80", 5, 0 },
	{ "\x80", 1, 0 },
	{ "\xc3(", 2, 0 },
};

START_TEST(utf8_is_checked)
{
	ck_assert_uint_eq(text_utf8_len(utf8s[_i].s, utf8s[_i].n),
			  utf8s[_i].want);
}
END_TEST

START_TEST(what_is_under_a_folder)
{
	ck_assert(text_is_under("a/b", "a"));
	ck_assert(text_is_under("a/b", "a//"));
	ck_assert(text_is_under("a", "a/"));
	ck_assert(text_is_under("a", ""));
	ck_assert(text_is_under("", "/"));
	ck_assert(!text_is_under("ab", "a"));
	ck_assert(!text_is_under("a", "a/b"));
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, hex_goes_both_ways);
	tcase_add_loop_test(c, base64_goes_both_ways, 0, ARRAY_SIZE(b64s));
	tcase_add_loop_test(c, sloppy_base64_is_refused, 0,
			    ARRAY_SIZE(bad_b64));
	tcase_add_test(c, percent_keeps_only_the_unreserved);
	tcase_add_test(c, percent_is_undone);
	tcase_add_test(c, what_is_under_a_folder);
	tcase_add_loop_test(c, sizes_are_read_and_written, 0,
			    ARRAY_SIZE(sizes));
	tcase_add_loop_test(c, durations_are_read_and_written, 0,
			    ARRAY_SIZE(durations));
	tcase_add_test(c, odd_durations_are_written);
	tcase_add_test(c, numbers_are_digits_alone);
	tcase_add_loop_test(c, the_nearest_name_is_found, 0,
			    ARRAY_SIZE(nearest));
	tcase_add_loop_test(c, globs_match_the_last_component, 0,
			    ARRAY_SIZE(globs));
	tcase_add_loop_test(c, utf8_is_checked, 0, ARRAY_SIZE(utf8s));
}

int main(void)
{
	return harness_run("text", add);
}
