/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/json.h"

#include "harness.h"

static struct json *must_parse(const char *s)
{
	struct json *j = NULL;

	ck_assert_int_eq(json_parse(s, strlen(s), &j), 0);
	ck_assert_ptr_nonnull(j);
	return j;
}

START_TEST(members_are_found_and_typed)
{
	struct json *j = must_parse(
		"{\"s\":\"x\",\"n\":-5,\"g\":\"9223372036854775807\","
		"\"t\":true,\"z\":null,\"o\":{\"in\":\"y\"}}");
	int64_t n = 7;
	bool b = false;

	ck_assert_str_eq(json_get_str(j, "s"), "x");
	ck_assert_ptr_null(json_get_str(j, "n"));
	ck_assert_ptr_null(json_get_str(j, "none"));
	ck_assert_int_eq(json_get_int(j, "n", &n), 0);
	ck_assert_int_eq(n, -5);
	ck_assert_int_eq(json_get_int(j, "g", &n), 0);
	ck_assert_int_eq(n, INT64_MAX);
	ck_assert_int_eq(json_get_int(j, "s", &n), -EINVAL);
	ck_assert_int_eq(json_get_int(j, "t", &n), -EINVAL);
	ck_assert_int_eq(json_get_int(j, "z", &n), -ENOENT);
	ck_assert_int_eq(json_get_int(j, "none", &n), -ENOENT);
	ck_assert_int_eq(n, INT64_MAX);
	ck_assert_int_eq(json_get_bool(j, "t", &b), 0);
	ck_assert(b);
	ck_assert_int_eq(json_get_bool(j, "n", &b), -EINVAL);
	ck_assert_int_eq(json_get_bool(j, "z", &b), -ENOENT);
	ck_assert_str_eq(json_get_str(json_get(j, "o"), "in"), "y");
	ck_assert_ptr_null(json_get_str(json_get(j, "no"), "in"));
	ck_assert_ptr_null(json_get_str(json_get(j, "s"), "in"));
	json_free(j);
	json_free(NULL);
}
END_TEST

START_TEST(arrays_are_walked)
{
	struct json *j = must_parse("[\"a\",{\"k\":1},3]");
	int64_t n = 0;

	ck_assert_uint_eq(json_len(j), 3);
	ck_assert_str_eq(json_as_str(json_at(j, 0)), "a");
	ck_assert_int_eq(json_get_int(json_at(j, 1), "k", &n), 0);
	ck_assert_int_eq(n, 1);
	ck_assert_ptr_null(json_as_str(json_at(j, 2)));
	ck_assert_int_eq(json_as_int(json_at(j, 2), &n), 0);
	ck_assert_int_eq(n, 3);
	ck_assert_int_eq(json_as_int(json_at(j, 0), &n), -EINVAL);
	ck_assert_int_eq(json_as_int(json_at(j, 9), &n), -ENOENT);
	ck_assert_ptr_null(json_at(j, 3));
	ck_assert_uint_eq(json_len(NULL), 0);
	ck_assert_uint_eq(json_len(json_at(j, 1)), 0);
	json_free(j);
}
END_TEST

static int collect(void *arg, const char *name, const struct json *v)
{
	ck_assert_int_eq(buf_addf(arg, "%s=%s;", name, json_as_str(v)), 0);
	return strcmp(name, "stop") == 0 ? 3 : 0;
}

START_TEST(members_are_walked_in_the_order_sent)
{
	struct json *j = must_parse(
		"{\"z\":\"1\",\"a\":\"2\",\"stop\":\"3\",\"x\":\"4\"}");
	struct buf b = BUF_INIT(100);

	ck_assert_int_eq(json_each(j, collect, &b), 3);
	ck_assert_str_eq(b.p, "z=1;a=2;stop=3;");
	ck_assert_int_eq(json_each(NULL, collect, &b), 0);
	buf_clear(&b);
	json_free(j);
}
END_TEST

static const char *const bad[] = {
	"",
	"1",
	"\"s\"",
	"{",
	"{} x",
	"{\"a\":1,}",
	"[1 2]",
	"{\"a\":1,\"a\":2}",
	"{a:1}",
	"[\"\xff\"]",
	"[\"\n\"]",
	"[01]",
	"{\"a\":}",
	"[99999999999999999999]",
	"[\"\\u0000\"]",
};

START_TEST(what_is_no_json_is_refused)
{
	struct json *j = NULL;

	ck_assert_int_eq(json_parse(bad[_i], strlen(bad[_i]), &j), -EBADMSG);
	ck_assert_ptr_null(j);
}
END_TEST

START_TEST(deep_nesting_is_refused)
{
	static char s[200000];
	struct json *j = NULL;

	memset(s, '[', sizeof(s));
	ck_assert_int_eq(json_parse(s, sizeof(s), &j), -EBADMSG);
}
END_TEST

START_TEST(what_is_written_is_exact)
{
	struct buf b = BUF_INIT(1000);
	struct json_w w = JSON_W_INIT(&b);

	json_w_object(&w, NULL);
	json_w_str(&w, "a\"", "x\\\n\x01\xc3\xa9\xff");
	json_w_str(&w, "z", NULL);
	json_w_array(&w, "l");
	json_w_int(&w, NULL, INT64_MIN);
	json_w_u64(&w, NULL, UINT64_MAX);
	json_w_object(&w, NULL);
	json_w_close(&w);
	json_w_array(&w, NULL);
	json_w_close(&w);
	json_w_close(&w);
	json_w_bool(&w, "t", true);
	json_w_bool(&w, "f", false);
	json_w_close(&w);
	ck_assert_int_eq(json_w_end(&w), 0);
	ck_assert_str_eq(
		b.p, "{\"a\\\"\":\"x\\\\\\n\\u0001\xc3\xa9\\ufffd\",\"z\":null,"
		     "\"l\":[-9223372036854775808,18446744073709551615,{},[]],"
		     "\"t\":true,\"f\":false}");
	buf_clear(&b);
}
END_TEST

START_TEST(what_is_written_can_be_read)
{
	struct buf b = BUF_INIT(1000);
	struct json_w w = JSON_W_INIT(&b);
	struct json *j;
	char all[256];
	unsigned i;

	for (i = 1; i < 128; i++)
		all[i - 1] = (char)i;
	all[127] = '\0';
	json_w_object(&w, NULL);
	json_w_str(&w, all, all);
	json_w_close(&w);
	ck_assert_int_eq(json_w_end(&w), 0);
	j = must_parse(b.p);
	ck_assert_str_eq(json_get_str(j, all), all);
	json_free(j);
	buf_clear(&b);
}
END_TEST

START_TEST(the_first_error_sticks)
{
	struct buf b = BUF_INIT(12);
	struct json_w w = JSON_W_INIT(&b);

	json_w_object(&w, NULL);
	json_w_str(&w, "aaaa", "bbbbbbbbbbbbbbbb");
	json_w_close(&w);
	ck_assert_int_eq(json_w_end(&w), -EMSGSIZE);
	buf_clear(&b);
}
END_TEST

static void name_in_array(struct json_w *w)
{
	json_w_array(w, NULL);
	json_w_int(w, "x", 1);
}

static void no_name_in_object(struct json_w *w)
{
	json_w_object(w, NULL);
	json_w_int(w, NULL, 1);
}

static void left_open(struct json_w *w)
{
	json_w_object(w, NULL);
	(void)!json_w_end(w);
}

static void (*const misuses[])(struct json_w *) = { name_in_array,
						    no_name_in_object,
						    left_open };

START_TEST(misuse_of_the_writer_aborts)
{
	struct buf b = BUF_INIT(100);
	struct json_w w = JSON_W_INIT(&b);

	misuses[_i](&w);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, members_are_found_and_typed);
	tcase_add_test(c, arrays_are_walked);
	tcase_add_test(c, members_are_walked_in_the_order_sent);
	tcase_add_loop_test(c, what_is_no_json_is_refused, 0, ARRAY_SIZE(bad));
	tcase_add_test(c, deep_nesting_is_refused);
	tcase_add_test(c, what_is_written_is_exact);
	tcase_add_test(c, what_is_written_can_be_read);
	tcase_add_test(c, the_first_error_sticks);
	harness_add_abort(c, misuse_of_the_writer_aborts, 0,
			  ARRAY_SIZE(misuses));
}

int main(void)
{
	return harness_run("json", add);
}
