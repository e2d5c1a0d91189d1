/* SPDX-License-Identifier: Apache-2.0 */
/* Where a request may be sent that was sent elsewhere. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "s3_fake.h"

static const struct {
	bool is_aws;
	const char *scheme, *from, *location, *host; /* NULL: not there */
} table[] = {
	{ true, "https", "b.s3.us-east-1.amazonaws.com",
	  "https://b.s3-eu-west-1.amazonaws.com/k?a",
	  "b.s3-eu-west-1.amazonaws.com" },
	{ true, "https", "b.s3.us-east-1.amazonaws.com",
	  "HTTPS://b.s3.eu-west-1.amazonaws.com",
	  "b.s3.eu-west-1.amazonaws.com" },
	/* in clear, or no URL */
	{ true, "https", "b.s3.us-east-1.amazonaws.com",
	  "http://b.s3-eu-west-1.amazonaws.com/k", NULL },
	{ true, "https", "b.s3.us-east-1.amazonaws.com", "/k", NULL },
	{ true, "https", "b.s3.us-east-1.amazonaws.com", "", NULL },
	{ true, "https", "b.s3.us-east-1.amazonaws.com", "https:///k", NULL },
	/* the same again */
	{ true, "https", "b.s3.us-east-1.amazonaws.com",
	  "https://B.s3.us-east-1.amazonaws.com/k", NULL },
	/* others */
	{ true, "https", "b.s3.us-east-1.amazonaws.com",
	  "https://evil.example/k", NULL },
	{ true, "https", "b.s3.us-east-1.amazonaws.com",
	  "https://evilamazonaws.com/k", NULL },
	{ true, "https", "b.s3.us-east-1.amazonaws.com",
	  "https://amazonaws.com.evil.example/", NULL },
	{ true, "https", "b.s3.us-east-1.amazonaws.com",
	  "https://a@b.s3.amazonaws.com/", NULL },
	{ true, "https", "b.s3.us-east-1.amazonaws.com",
	  "https://evil.example#.amazonaws.com", NULL },
	{ true, "https", "b.s3.us-east-1.amazonaws.com",
	  "https://evil.example\\.amazonaws.com", NULL },
	/* China is a provider of its own */
	{ true, "https", "b.s3.cn-north-1.amazonaws.com.cn",
	  "https://b.s3.cn-northwest-1.amazonaws.com.cn/",
	  "b.s3.cn-northwest-1.amazonaws.com.cn" },
	{ true, "https", "b.s3.cn-north-1.amazonaws.com.cn",
	  "https://b.s3.us-east-1.amazonaws.com/", NULL },
	{ true, "https", "b.s3.us-east-1.amazonaws.com",
	  "https://b.s3.cn-north-1.amazonaws.com.cn/", NULL },
	/* a server of one's own: nowhere */
	{ false, "http", "store.example:9000", "http://store.example:9001/b/k",
	  NULL },
	{ false, "http", "store.example", "http://a.store.example/", NULL },
	{ false, "http", "[::1]:1", "http://[::1]:2/", NULL },
	{ false, "http", "127.0.0.1:1", "http://127.0.0.1:2/", NULL },
};

START_TEST(only_the_same_provider_is_gone_to)
{
	char scheme[8], got[S3_HOST_MAX] = "untouched";
	struct s3_where w = { .scheme = scheme, .is_aws = table[_i].is_aws };

	(void)snprintf(scheme, sizeof(scheme), "%s", table[_i].scheme);
	ck_assert_int_eq(s3_hop(&w, table[_i].from, table[_i].location, got),
			 table[_i].host != NULL);
	ck_assert_str_eq(got, table[_i].host ? table[_i].host : "untouched");
}
END_TEST

#define HOME "s3.us-east-1.amazonaws.com"
#define AWAY "s3.eu-west-1.amazonaws.com"
#define THIRD "s3.eu-west-2.amazonaws.com"

static struct httpd_reply redirect(const char *status, const char *host)
{
	char header[128];

	(void)snprintf(header, sizeof(header), "Location: http://%s/x\r\n",
		       host);
	return answer(status, header, "");
}

static bool asked_of(unsigned i, const char *host)
{
	char line[128];

	(void)snprintf(line, sizeof(line), "PUT http://%s/bkt/k HTTP", host);
	return asked(i, line);
}

START_TEST(a_redirect_is_signed_anew)
{
	static const int codes[] = { 301, 302, 307, 308 };
	struct httpd_reply script[2];
	char status[32];
	struct store_obj o;

	(void)snprintf(status, sizeof(status), "%d Elsewhere", codes[_i]);
	script[0] = redirect(status, AWAY);
	script[1] = answer("200 OK", "ETag: \"e\"\r\n", "");
	begin_as_amazon(script, 2);
	ck_assert_int_eq(put(NULL, &o), 0);
	ck_assert_uint_eq(httpd_count(server), 2);
	ck_assert(asked_of(0, HOME));
	ck_assert(asked_of(1, AWAY));
	ck_assert(asked(1, "Host: " AWAY "\r\n"));
	finish();
}
END_TEST

START_TEST(two_hops_are_the_most)
{
	struct httpd_reply script[4];
	struct store_obj o;

	script[0] = redirect("307 Elsewhere", AWAY);
	script[1] = redirect("307 Elsewhere", THIRD);
	script[2] = redirect("307 Elsewhere", AWAY);
	script[3] = answer("200 OK", "ETag: \"e\"\r\n", "");
	begin_as_amazon(script, 4);
	ck_assert_int_eq(put(NULL, &o), -EAGAIN);
	ck_assert_uint_eq(httpd_count(server), 3);
	ck_assert(asked_of(2, THIRD));
	finish();
}
END_TEST

START_TEST(nobody_else_is_asked)
{
	struct httpd_reply script[2];
	struct store_obj o;

	script[0] = redirect("307 Elsewhere", "s3.evil.example");
	script[1] = answer("200 OK", "ETag: \"e\"\r\n", "");
	begin_as_amazon(script, 2);
	ck_assert_int_eq(put(NULL, &o), -EAGAIN);
	ck_assert_uint_eq(httpd_count(server), 1);
	finish();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, only_the_same_provider_is_gone_to, 0,
			    ARRAY_SIZE(table));
	tcase_add_loop_test(c, a_redirect_is_signed_anew, 0, 4);
	tcase_add_test(c, two_hops_are_the_most);
	tcase_add_test(c, nobody_else_is_asked);
}

int main(void)
{
	return harness_run("s3_hop", add);
}
