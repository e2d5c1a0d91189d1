/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/log.h"
#include "ckptfs/text.h"

#define LOG_MODULE "tst"

#include "harness.h"

static char path[128];
static char out[65536];

/* Log to a fresh file. */
static void begin(enum log_level level, bool json)
{
	struct log_opts o = { level, LOG_TO_FILE, path, json };

	snprintf(path, sizeof(path), "%s/log", harness_tmpdir());
	ck_assert_int_eq(log_init(&o), 0);
}

static const char *written(void)
{
	FILE *f = fopen(path, "r");
	size_t n;

	ck_assert_ptr_nonnull(f);
	n = fread(out, 1, sizeof(out) - 1, f);
	out[n] = '\0';
	fclose(f);
	return out;
}

/* What follows the time. */
static const char *line_of(const char *s)
{
	char date[64];
	int64_t ns;

	snprintf(date, sizeof(date), "%.24s", s);
	ck_assert_int_eq(text_parse_iso_date(date, &ns), 0);
	ck_assert_int_eq(s[24], ' ');
	return s + 25;
}

static int fails(void)
{
	return log_err(-ENOENT, "open %s", "x");
}

START_TEST(an_error_is_logged_with_its_reason_and_returned)
{
	begin(LOG_LV_INFO, false);
	errno = EXDEV;
	ck_assert_int_eq(fails(), -ENOENT);
	ck_assert_int_eq(errno, EXDEV);
	ck_assert_str_eq(line_of(written()),
			 "ckptfs: tst: open x: No such file or directory\n");
}
END_TEST

START_TEST(lines_below_the_level_are_dropped)
{
	static const unsigned lines[] = { 1, 2, 3, 4 };
	unsigned n = 0;
	const char *p;

	begin((enum log_level)_i, false);
	(void)log_err(-EIO, "a");
	log_warn("b");
	log_info("c");
	log_debug("d");
	for (p = written(); *p; p++)
		n += *p == '\n';
	ck_assert_uint_eq(n, lines[_i]);
}
END_TEST

static const struct {
	const char *msg, *text, *json;
} escapes[] = {
	{ "plain \xc3\xa9 text", "plain \xc3\xa9 text", "plain \xc3\xa9 text" },
	{ "a\nb\tc\x1b[0m\x7f", "a\\nb\\x09c\\x1b[0m\\x7f",
	  "a\\nb\\u0009c\\u001b[0m\\u007f" },
	{ "bad \xff\xc3(", "bad \\xff\\xc3(", "bad \\ufffd\\ufffd(" },
	{ "c1 \xc2\x9b", "c1 \\u009b", "c1 \\u009b" },
	{ "quote \" back \\", "quote \" back \\", "quote \\\" back \\\\" },
};

START_TEST(control_bytes_are_escaped)
{
	char want[256];

	begin(LOG_LV_INFO, false);
	log_info("%s", escapes[_i].msg);
	snprintf(want, sizeof(want), "ckptfs: tst: %s\n", escapes[_i].text);
	ck_assert_str_eq(line_of(written()), want);
	begin(LOG_LV_INFO, true);
	log_warn("%s", escapes[_i].msg);
	snprintf(want, sizeof(want),
		 "\",\"level\":\"warn\",\"module\":\"tst\",\"msg\":\"%s\"}\n",
		 escapes[_i].json);
	ck_assert_mem_eq(written(), "{\"ts\":\"", 7);
	ck_assert_str_eq(out + 7 + 24, want);
}
END_TEST

START_TEST(json_carries_the_reason)
{
	begin(LOG_LV_INFO, true);
	(void)log_err(-EACCES, "%s", "m");
	ck_assert_ptr_nonnull(strstr(
		written(), "\"level\":\"err\",\"module\":\"tst\",\"msg\":\"m\","
			   "\"err\":\"Permission denied\"}\n"));
}
END_TEST

START_TEST(a_long_line_is_cut_and_keeps_its_end)
{
	static char big[9000];
	size_t n;

	memset(big, _i ? '"' : 'x', sizeof(big) - 1);
	begin(LOG_LV_INFO, _i);
	(void)log_err(-EIO, "%s", big);
	n = strlen(written());
	ck_assert_uint_le(n, 4096);
	ck_assert_uint_gt(n, 3500);
	ck_assert_int_eq(out[n - 1], '\n');
	ck_assert_ptr_nonnull(
		strstr(out, _i ? "...\",\"err\":\"Input/output error\"}\n"
			       : "...: Input/output error\n"));
}
END_TEST

START_TEST(a_log_that_cannot_be_opened_leaves_the_old_one)
{
	struct log_opts o = { LOG_LV_INFO, LOG_TO_FILE, "/nonexistent/x", 0 };

	begin(LOG_LV_INFO, false);
	ck_assert_int_eq(log_init(&o), -ENOENT);
	o.path = NULL;
	ck_assert_int_eq(log_init(&o), -EINVAL);
	log_info("still");
	ck_assert_str_eq(line_of(written()), "ckptfs: tst: still\n");
}
END_TEST

START_TEST(standard_error_gets_no_time)
{
	struct log_opts o = { LOG_LV_INFO, LOG_TO_STDERR, NULL, false };
	int saved = dup(STDERR_FILENO), fd;

	begin(LOG_LV_INFO, false);
	fd = open(path, O_WRONLY | O_APPEND);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(log_init(&o), 0);
	dup2(fd, STDERR_FILENO);
	log_info("hello %d", 1);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fd);
	ck_assert_str_eq(written(), "ckptfs: tst: hello 1\n");
}
END_TEST

START_TEST(levels_have_names)
{
	enum log_level lv = LOG_LV_ERR;

	ck_assert_int_eq(log_level_parse("debug", &lv), 0);
	ck_assert_int_eq(lv, LOG_LV_DEBUG);
	ck_assert_int_eq(log_level_parse("loud", &lv), -EINVAL);
	ck_assert_int_eq(lv, LOG_LV_DEBUG);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, an_error_is_logged_with_its_reason_and_returned);
	tcase_add_loop_test(c, lines_below_the_level_are_dropped, 0, 4);
	tcase_add_loop_test(c, control_bytes_are_escaped, 0,
			    ARRAY_SIZE(escapes));
	tcase_add_test(c, json_carries_the_reason);
	tcase_add_loop_test(c, a_long_line_is_cut_and_keeps_its_end, 0, 2);
	tcase_add_test(c, a_log_that_cannot_be_opened_leaves_the_old_one);
	tcase_add_test(c, standard_error_gets_no_time);
	tcase_add_test(c, levels_have_names);
}

int main(void)
{
	return harness_run("log", add);
}
