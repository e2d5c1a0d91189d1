/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/clock.h"

#include "cli/cmd.h"
#include "cli/status.h"
#include "harness.h"

#define NOW (INT64_C(1700000000) * NS_PER_S)

static const struct fs_pending items[] = {
	{ .path = "a/model.ckpt",
	  .state = "uploading",
	  .why = "uploading",
	  .size = 1000,
	  .sent = 250,
	  .since_real_ns = NOW - 30 * NS_PER_S,
	  .at_risk = true },
	{ .path = "b",
	  .state = "queued",
	  .why = "waiting for order",
	  .size = 500,
	  .since_real_ns = NOW - 12 * NS_PER_S,
	  .at_risk = true },
	{ .path = "x.tmp",
	  .state = "temporary",
	  .why = "kept local (temporary name)",
	  .size = 7,
	  .since_real_ns = NOW - 99 * NS_PER_S },
};

static const char *const warnings[] = { "mind\x1b[2J the gap" };

static struct buf b = BUF_INIT(1 << 20);
static struct json *doc;

static bool incomplete;

static void make(size_t n, uint64_t rate)
{
	struct status_facts f = { .pid = 42,
				  .mountpoint = "/mnt/ckpt",
				  .source = "s3://buck/run7",
				  .cache_dir = "/var/lib/ckptfs/x",
				  .state = "mounted",
				  .passthrough = true,
				  .now_real_ns = NOW,
				  .since_real_ns = NOW - 65 * NS_PER_S,
				  .cache_size = UINT64_C(200) << 30,
				  .warnings = warnings,
				  .nwarnings = 1,
				  .stats = { .cache_used = 1 << 20,
					     .cache_files = 7,
					     .opens_passthrough = 12,
					     .opens_cached = 3 } };
	struct status_doc d;
	size_t i;

	f.stats.transfer.rate = rate;
	f.stats.transfer.puts = 5;
	f.queue_incomplete = incomplete;
	status_begin(&d, &b, &f);
	for (i = 0; i < n; i++)
		status_item(&d, &items[i]);
	ck_assert_int_eq(status_end(&d, &f), 0);
	ck_assert_int_eq(json_parse(b.p, b.len, &doc), 0);
}

static void teardown(void)
{
	json_free(doc);
	doc = NULL;
	buf_clear(&b);
}

static int64_t number(const struct json *j, const char *name)
{
	int64_t v = -99;

	ck_assert_msg(json_get_int(j, name, &v) == 0, "no number %s", name);
	return v;
}

START_TEST(the_document_has_the_fields_that_are_promised)
{
	const struct json *q, *first;
	bool risk;

	make(3, 100);
	ck_assert_int_eq(number(doc, "pid"), 42);
	ck_assert_str_eq(json_get_str(doc, "mountpoint"), "/mnt/ckpt");
	ck_assert_str_eq(json_get_str(doc, "source"), "s3://buck/run7");
	ck_assert_str_eq(json_get_str(doc, "version"), PACKAGE_VERSION);
	ck_assert_str_eq(json_get_str(doc, "state"), "mounted");
	ck_assert_str_eq(json_get_str(doc, "io"), "passthrough");
	ck_assert_int_eq(number(doc, "uptime_s"), 65);
	q = json_get(doc, "queue");
	ck_assert_uint_eq(json_len(q), 3);
	first = json_at(q, 0);
	ck_assert_str_eq(json_get_str(first, "path"), "a/model.ckpt");
	ck_assert_str_eq(json_get_str(first, "state"), "uploading");
	ck_assert_int_eq(number(first, "size"), 1000);
	ck_assert_int_eq(number(first, "sent"), 250);
	ck_assert_int_eq(number(first, "age_s"), 30);
	ck_assert_int_eq(json_get_bool(first, "at_risk", &risk), 0);
	ck_assert(risk);
	ck_assert_int_eq(number(json_get(doc, "totals"), "files"), 2);
	ck_assert_int_eq(number(json_get(doc, "totals"), "bytes"), 1500);
	ck_assert_int_eq(number(json_get(doc, "totals"), "temporary"), 1);
	ck_assert_int_eq(number(json_get(doc, "totals"), "uploaded_files"), 5);
	ck_assert_int_eq(number(json_get(doc, "at_risk"), "files"), 2);
	ck_assert_int_eq(number(json_get(doc, "opens"), "passthrough"), 12);
	ck_assert_int_eq(number(json_get(doc, "opens"), "cached"), 3);
	ck_assert_int_eq(number(json_get(doc, "cache"), "used_bytes"), 1 << 20);
	ck_assert_int_eq(number(json_get(doc, "cache"), "files"), 7);
	ck_assert_int_eq(number(doc, "rate_bytes_per_s"), 100);
	ck_assert_int_eq(number(doc, "eta_s"), 13);
	ck_assert_uint_eq(json_len(json_get(doc, "warnings")), 1);
}
END_TEST

START_TEST(lag_is_the_age_of_the_oldest_that_is_at_risk)
{
	make(3, 0);
	ck_assert_int_eq(number(doc, "lag_s"), 30);
}
END_TEST

START_TEST(nothing_queued_means_no_lag_and_no_time_left)
{
	make(0, 0);
	ck_assert_int_eq(number(doc, "lag_s"), 0);
	ck_assert_int_eq(number(doc, "eta_s"), 0);
}
END_TEST

START_TEST(without_a_rate_the_time_left_is_unknown)
{
	int64_t v;

	make(2, 0);
	ck_assert_int_lt(json_get_int(doc, "eta_s", &v), 0);
}
END_TEST

static char *print(size_t most)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	status_print(f, doc, most);
	ck_assert_int_eq(fclose(f), 0);
	return text;
}

static void has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part), "\"%s\" is not in:\n%s", part, text);
}

START_TEST(people_see_what_is_at_risk_and_why_it_waits)
{
	char *text;

	make(3, 100);
	text = print(0);
	has(text, "/mnt/ckpt  s3://buck/run7  mounted, pid 42, since 1m05s\n");
	has(text, "1.2K to go of 2 files at 100/s, time left 13s\n");
	has(text, "at risk  1.4K in 2 files");
	has(text, "the oldest since 30s\n");
	has(text, "1M of 200G used by 7 files");
	has(text, "12 straight to the disk, 3 through the daemon");
	has(text, "uploading  [##--------]  25%");
	has(text, "a/model.ckpt");
	has(text, "waiting for order\n");
	has(text, "kept local (temporary name)\n");
	free(text);
}
END_TEST

START_TEST(a_long_queue_is_cut_for_people)
{
	char *text;

	make(3, 100);
	text = print(2);
	has(text, "… and 1 more");
	ck_assert_ptr_null(strstr(text, "x.tmp"));
	free(text);
}
END_TEST

/* Nothing that is known waits, but not all is known. */
START_TEST(what_could_not_be_read_is_no_success)
{
	char *text;

	incomplete = true;
	make(0, 0);
	incomplete = false;
	ck_assert_int_eq(status_verdict(NULL, doc, ""), CLI_FAILED);
	text = print(0);
	has(text, "the cache disk does not give back");
	free(text);
	teardown();
	make(0, 0);
	ck_assert_int_eq(status_verdict(NULL, doc, ""), CLI_DONE);
}
END_TEST

START_TEST(a_terminal_gets_no_orders_from_names)
{
	char *text;

	make(1, 100);
	text = print(0);
	ck_assert_ptr_null(strchr(text, '\x1b'));
	has(text, "mind?[2J the gap");
	free(text);
}
END_TEST

/* What else a daemon, or who speaks in its place, could say. */
static const char *const odd[] = {
	"{\"state\":\"a\\u001bb\",\"etag\":\"a\\u001bb\",\"key\":\"k\"}",
	"{\"path\":\"a\\nb\",\"state\":\"a\\u007fb\",\"why\":\"\\u009b2J\"}",
	"{\"queue\":[{\"state\":\"a\\u001bb\",\"path\":\"\\u009b\"}]}",
	"{\"missing\":[{\"state\":\"a\\u001bb\",\"why\":\"a\\tb\"}]}",
	"{\"warnings\":[7,null,\"a\\u009bb\"],\"uptime_s\":9223372036854775807}",
};

START_TEST(a_terminal_gets_no_orders_from_odd_answers)
{
	char *text = NULL;
	size_t n = 0, i;
	FILE *f = open_memstream(&text, &n);
	struct json *j;

	ck_assert_int_eq(json_parse(odd[_i], strlen(odd[_i]), &j), 0);
	status_print(f, j, 0);
	status_print_path(f, j);
	status_print_missing(f, j);
	json_free(j);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_ptr_null(strstr(text, "\xc2\x9b"));
	ck_assert_ptr_null(strstr(text, "a\nb"));
	for (i = 0; i < n; i++)
		ck_assert_msg((unsigned char)text[i] >= 0x20 ||
				      text[i] == '\n',
			      "byte %02x", (unsigned char)text[i]);
	ck_assert_ptr_null(strchr(text, 0x7f));
	free(text);
}
END_TEST

static const struct {
	uint64_t done, all;
	const char *want;
} bars[] = {
	{ 0, 0, "[----------]   0%" },
	{ 0, 10, "[----------]   0%" },
	{ 1, 3, "[###-------]  33%" },
	{ 999, 1000, "[#########-]  99%" },
	{ 10, 10, "[##########] 100%" },
	{ 11, 10, "[##########] 100%" },
	{ UINT64_MAX / 2, UINT64_MAX, "[#####-----]  50%" },
};

START_TEST(a_bar_is_full_only_at_the_end)
{
	char got[32];

	status_bar(bars[_i].done, bars[_i].all, got);
	ck_assert_str_eq(got, bars[_i].want);
}
END_TEST

START_TEST(progress_is_one_line)
{
	struct status_sums s = {
		.files = 2, .bytes = 1000, .sent = 500, .risk_files = 2
	};
	char line[STATUS_LINE_MAX];

	ck_assert_int_eq(status_progress(&b, &s, 50), 0);
	ck_assert_int_eq(json_parse(b.p, b.len, &doc), 0);
	status_progress_line(json_get(doc, "progress"), line);
	ck_assert_str_eq(line,
			 "[#####-----]  50%  2 files, 50/s, time left 10s");
}
END_TEST

START_TEST(progress_of_a_prefetch_counts_files_too)
{
	struct fs_bulk_sums s = { .files = 12,
				  .bytes = 1000,
				  .done_files = 3,
				  .done_bytes = 400 };
	char line[STATUS_LINE_MAX];

	ck_assert_int_eq(status_bulk_progress(&b, &s, 50), 0);
	ck_assert_int_eq(json_parse(b.p, b.len, &doc), 0);
	status_progress_line(json_get(doc, "progress"), line);
	ck_assert_str_eq(
		line, "[####------]  40%  3 of 12 files, 50/s, time left 12s");
}
END_TEST

START_TEST(the_longest_line_of_progress_fits)
{
	struct fs_bulk_sums s = { .files = UINT32_MAX,
				  .bytes = INT64_MAX,
				  .done_files = UINT32_MAX };
	char line[STATUS_LINE_MAX];

	ck_assert_int_eq(status_bulk_progress(&b, &s, 1), 0);
	ck_assert_int_eq(json_parse(b.p, b.len, &doc), 0);
	status_progress_line(json_get(doc, "progress"), line);
	ck_assert_uint_le(strlen(line), 79);
}
END_TEST

static char *print_answer(const char *answer,
			  void (*fn)(FILE *f, const struct json *doc))
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(json_parse(answer, strlen(answer), &doc), 0);
	fn(f, doc);
	ck_assert_int_eq(fclose(f), 0);
	return text;
}

START_TEST(what_was_refused_is_listed_with_its_reason)
{
	char *text = print_answer("{\"refused\":[{\"path\":\"a\\u001b/b\","
				  "\"why\":\"open\"},{\"path\":\"\","
				  "\"why\":\"no\"}]}",
				  status_print_refused);

	ck_assert_str_eq(text, "a?/b: open\n/: no\n");
	free(text);
}
END_TEST

START_TEST(a_path_says_how_much_of_it_is_here)
{
	static const char *const docs[][2] = {
		{ "{\"path\":\"a\",\"state\":\"published\",\"size\":2048,"
		  "\"cached_bytes\":1024,\"why\":\"\",\"key\":\"\","
		  "\"folder\":false,\"files\":1,\"cached_files\":0}",
		  "a  published, 2K, 1K here\n" },
		{ "{\"path\":\"d\",\"state\":\"published\",\"size\":4096,"
		  "\"cached_bytes\":3072,\"why\":\"\",\"key\":\"\","
		  "\"folder\":true,\"files\":4,\"cached_files\":3}",
		  "d  4K, 3K here, whole 3 of 4 files\n" },
	};
	char *text = print_answer(docs[_i][0], status_print_path);

	ck_assert_str_eq(text, docs[_i][1]);
	free(text);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, NULL, teardown);
	tcase_add_test(c, the_document_has_the_fields_that_are_promised);
	tcase_add_test(c, lag_is_the_age_of_the_oldest_that_is_at_risk);
	tcase_add_test(c, nothing_queued_means_no_lag_and_no_time_left);
	tcase_add_test(c, without_a_rate_the_time_left_is_unknown);
	tcase_add_test(c, people_see_what_is_at_risk_and_why_it_waits);
	tcase_add_test(c, a_long_queue_is_cut_for_people);
	tcase_add_test(c, what_could_not_be_read_is_no_success);
	tcase_add_test(c, a_terminal_gets_no_orders_from_names);
	tcase_add_loop_test(c, a_terminal_gets_no_orders_from_odd_answers, 0,
			    (int)ARRAY_SIZE(odd));
	tcase_add_loop_test(c, a_bar_is_full_only_at_the_end, 0,
			    (int)ARRAY_SIZE(bars));
	tcase_add_test(c, progress_is_one_line);
	tcase_add_test(c, progress_of_a_prefetch_counts_files_too);
	tcase_add_test(c, the_longest_line_of_progress_fits);
	tcase_add_test(c, what_was_refused_is_listed_with_its_reason);
	tcase_add_loop_test(c, a_path_says_how_much_of_it_is_here, 0, 2);
}

int main(void)
{
	return harness_run("status", add);
}
