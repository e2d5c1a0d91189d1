/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "ckptfs/clock.h"
#include "ckptfs/text.h"

#include "harness.h"

static const struct {
	int64_t s;
	const char *iso, *amz, *http;
} dates[] = {
	{ 0, "1970-01-01T00:00:00Z", "19700101T000000Z",
	  "Thu, 01 Jan 1970 00:00:00 GMT" },
	{ -1, "1969-12-31T23:59:59Z", "19691231T235959Z",
	  "Wed, 31 Dec 1969 23:59:59 GMT" },
	{ 784111777, "1994-11-06T08:49:37Z", "19941106T084937Z",
	  "Sun, 06 Nov 1994 08:49:37 GMT" },
	{ 951782400, "2000-02-29T00:00:00Z", "20000229T000000Z",
	  "Tue, 29 Feb 2000 00:00:00 GMT" },
	{ 1706745598, "2024-01-31T23:59:58Z", "20240131T235958Z",
	  "Wed, 31 Jan 2024 23:59:58 GMT" },
	{ INT64_C(4107542400), "2100-03-01T00:00:00Z", "21000301T000000Z",
	  "Mon, 01 Mar 2100 00:00:00 GMT" },
};

START_TEST(known_dates_are_written_and_read)
{
	char out[TEXT_DATE_LEN];
	int64_t ns = dates[_i].s * NS_PER_S, back;

	text_iso_date(ns, 0, out);
	ck_assert_str_eq(out, dates[_i].iso);
	text_amz_date(ns, out);
	ck_assert_str_eq(out, dates[_i].amz);
	text_http_date(ns, out);
	ck_assert_str_eq(out, dates[_i].http);
	ck_assert_int_eq(text_parse_iso_date(dates[_i].iso, &back), 0);
	ck_assert_int_eq(back, ns);
	ck_assert_int_eq(text_parse_iso_date(dates[_i].amz, &back), 0);
	ck_assert_int_eq(back, ns);
	ck_assert_int_eq(text_parse_http_date(dates[_i].http, &back), 0);
	ck_assert_int_eq(back, ns);
}
END_TEST

START_TEST(every_day_agrees_with_the_c_library)
{
	int64_t day, back;
	char out[TEXT_DATE_LEN], want[TEXT_DATE_LEN];

	for (day = -106000; day <= 106000;
	     day += harness_step()) {
		time_t t = (time_t)(day * 86400 + (day & 0xffff));
		struct tm tm;

		ck_assert_ptr_nonnull(gmtime_r(&t, &tm));
		strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		text_http_date((int64_t)t * NS_PER_S, out);
		if (strcmp(out, want) != 0)
			ck_abort_msg("%s is not %s", out, want);
		if (text_parse_http_date(out, &back) != 0 ||
		    back != (int64_t)t * NS_PER_S)
			ck_abort_msg("%s is read as %lld", out,
				     (long long)back);
	}
}
END_TEST

START_TEST(fractions_and_offsets)
{
	static const struct {
		const char *s;
		int64_t ns;
	} t[] = {
		{ "1970-01-01T00:00:01.5Z", 1500000000 },
		{ "1970-01-01T00:00:01.123456789123Z", 1123456789 },
		{ "1970-01-01T00:00:01,25z", 1250000000 },
		{ "1970-01-01 01:00:01+01:00", 1000000000 },
		{ "1970-01-01T00:00:00-0030", 1800 * NS_PER_S },
		{ "19700101T000002.000Z", 2000000000 },
		{ "1970-01-01T02:00:00+02", 0 },
	};
	unsigned i;
	int64_t ns;
	char out[TEXT_DATE_LEN];

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		ck_assert_int_eq(text_parse_iso_date(t[i].s, &ns), 0);
		ck_assert_int_eq(ns, t[i].ns);
	}
	text_iso_date(-1, 9, out);
	ck_assert_str_eq(out, "1969-12-31T23:59:59.999999999Z");
	text_iso_date(1500000000, 3, out);
	ck_assert_str_eq(out, "1970-01-01T00:00:01.500Z");
	text_iso_date(INT64_MIN, 9, out);
	ck_assert_str_eq(out, "1677-09-21T00:12:43.145224192Z");
	text_iso_date(INT64_MAX, 9, out);
	ck_assert_str_eq(out, "2262-04-11T23:47:16.854775807Z");
}
END_TEST

static const struct {
	const char *s;
	int r;
} bad_iso[] = {
	{ "", -EINVAL },
	{ "2024", -EINVAL },
	{ "2024-01-01", -EINVAL },
	{ "2024-01-01T00:00:00", -EINVAL },
	{ "2024-01-01T00:00:00Zx", -EINVAL },
	{ "2024-13-01T00:00:00Z", -EINVAL },
	{ "2024-00-01T00:00:00Z", -EINVAL },
	{ "2023-02-29T00:00:00Z", -EINVAL },
	{ "1900-02-29T00:00:00Z", -EINVAL },
	{ "2024-01-01T24:00:00Z", -EINVAL },
	{ "2024-01-01T00:60:00Z", -EINVAL },
	{ "2024-01-01T00:00:00.Z", -EINVAL },
	{ "2024-01-01T00:00:00+01:", -EINVAL },
	{ "2024-01-01T00:00:00+", -EINVAL },
	{ "2024-0101T00:00:00Z", -EINVAL },
	{ "0000-01-01T00:00:00Z", -EINVAL },
	{ "9999-01-01T00:00:00Z", -ERANGE },
	{ "0001-01-01T00:00:00Z", -ERANGE },
};

START_TEST(what_is_no_iso_date_is_refused)
{
	int64_t ns = 7;

	ck_assert_int_eq(text_parse_iso_date(bad_iso[_i].s, &ns),
			 bad_iso[_i].r);
	ck_assert_int_eq(ns, 7);
}
END_TEST

static const char *const bad_http[] = {
	"",
	"Sun",
	"Sun, 06 Nov 1994 08:49:37",
	"Sun, 06 Nov 1994 08:49:37 UTC",
	"Sun, 06 Nov 1994 08:49:37 GMT ",
	"Sun, 6 Nov 1994 08:49:37 GMT",
	"Sun, 31 Nov 1994 08:49:37 GMT",
	"Xyz, 06 Nov 1994 08:49:37 GMT",
	"Sun, 06 Nox 1994 08:49:37 GMT",
};

START_TEST(what_is_no_http_date_is_refused)
{
	int64_t ns = 7;

	ck_assert_int_eq(text_parse_http_date(bad_http[_i], &ns), -EINVAL);
	ck_assert_int_eq(ns, 7);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, known_dates_are_written_and_read, 0,
			    ARRAY_SIZE(dates));
	tcase_add_test(c, every_day_agrees_with_the_c_library);
	tcase_add_test(c, fractions_and_offsets);
	tcase_add_loop_test(c, what_is_no_iso_date_is_refused, 0,
			    ARRAY_SIZE(bad_iso));
	tcase_add_loop_test(c, what_is_no_http_date_is_refused, 0,
			    ARRAY_SIZE(bad_http));
}

int main(void)
{
	return harness_run("date", add);
}
