/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/ini.h"

#include "harness.h"

static struct buf seen = BUF_INIT(1 << 20);

static int collect(void *arg, const char *section, const char *key,
		   const char *value)
{
	ck_assert_int_eq(buf_addf(arg, "[%s]%s=%s;", section, key, value), 0);
	return strcmp(key, "stop") == 0 ? -EDOM : 0;
}

static void setup(void)
{
	ck_assert_int_eq(buf_add(&seen, "", 0), 0);
}

static void teardown(void)
{
	buf_clear(&seen);
}

static const struct {
	const char *in, *out;
	int r;
	unsigned bad;
} t[] = {
	{ "", "", 0, 0 },
	{ "a=1", "[]a=1;", 0, 0 },
	{ "\xef\xbb\xbf[s]\r\n k = v w \r\n", "[s]k=v w;", 0, 0 },
	{ "# c\n; c\n\n[ s t ]\nk=v # c\nl=a#b;c\n", "[s t]k=v;[s t]l=a#b;c;",
	  0, 0 },
	{ "k=a=b==\n", "[]k=a=b==;", 0, 0 },
	{ "[p]\ns3 =\n  max = 5\n  x = y\nregion = r\n  z = 1\n",
	  "[p]s3=;[p]s3.max=5;[p]s3.x=y;[p]region=r;[p]z=1;", 0, 0 },
	{ "[p]\ns3 =\n[q]\n  max = 5\n", "[p]s3=;[q]max=5;", 0, 0 },
	{ "a=1\njunk\nb=2\n=3\n", "[]a=1;[]b=2;", -EBADMSG, 2 },
	{ "[s\nk=v", "[]k=v;", -EBADMSG, 1 },
	{ "a=1\nstop=2\nb=3", "[]a=1;[]stop=2;", -EDOM, 0 },
};

START_TEST(pairs_are_told_in_order)
{
	unsigned bad = 0;

	ck_assert_int_eq(
		ini_parse_mem(t[_i].in, strlen(t[_i].in), collect, &seen, &bad),
		t[_i].r);
	ck_assert_str_eq(seen.p, t[_i].out);
	ck_assert_uint_eq(bad, t[_i].bad);
}
END_TEST

static const char *file_with(const char *text, size_t n)
{
	static char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/f", harness_tmpdir());
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, n, f), n);
	fclose(f);
	return path;
}

START_TEST(long_lines_are_not_cut)
{
	static char text[20000];
	size_t n;

	snprintf(text, sizeof(text), "[default]\naws_session_token = ");
	n = strlen(text);
	memset(text + n, 'x', 15000);
	memcpy(text + n + 15000, "\nk=v\n", 6);
	ck_assert_int_eq(
		ini_read(file_with(text, strlen(text)), collect, &seen), 0);
	ck_assert_uint_eq(seen.len, strlen("[default]aws_session_token=;") +
					    15000 + strlen("[default]k=v;"));
}
END_TEST

START_TEST(files_that_cannot_be_read_are_told_apart)
{
	static char big[(1 << 20) + 1];

	ck_assert_int_eq(ini_read("/nonexistent/x", collect, &seen), -ENOENT);
	ck_assert_int_eq(ini_read(harness_tmpdir(), collect, &seen), -EISDIR);
	ck_assert_int_eq(ini_read(file_with(big, sizeof(big)), collect, &seen),
			 -EFBIG);
	ck_assert_int_eq(ini_read(file_with("x\na=1\n", 6), collect, &seen),
			 -EBADMSG);
	ck_assert_str_eq(seen.p, "[]a=1;");
	ck_assert_int_eq(ini_read(file_with("", 0), collect, &seen), 0);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, pairs_are_told_in_order, 0, ARRAY_SIZE(t));
	tcase_add_test(c, long_lines_are_not_cut);
	tcase_add_test(c, files_that_cannot_be_read_are_told_apart);
}

int main(void)
{
	return harness_run("ini", add);
}
