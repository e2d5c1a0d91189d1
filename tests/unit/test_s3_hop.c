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
	/* a server of one's own: by its name alone */
	{ false, "http", "store.example:9000", "http://store.example:9001/b/k",
	  "store.example:9001" },
	{ false, "http", "store.example", "http://STORE.example:9001/b/k",
	  "STORE.example:9001" },
	{ false, "http", "[::1]:1", "http://[::1]:2/", "[::1]:2" },
	{ false, "http", "[::1]:1", "http://[::2]:2/", NULL },
	{ false, "http", "store.example", "https://store.example/", NULL },
	{ false, "http", "store.example", "http://a.store.example/", NULL },
	{ false, "http", "127.0.0.1:1", "http://127.0.0.2:1/", NULL },
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

/* A redirect to another port of it. */
static struct httpd_reply redirect(const char *status, const char *host,
				   unsigned port)
{
	char header[128];

	(void)snprintf(header, sizeof(header), "Location: http://%s:%u/x\r\n",
		       host, port);
	return answer(status, header, "");
}

START_TEST(a_redirect_is_signed_anew)
{
	static const int codes[] = { 301, 302, 307, 308 };
	const struct httpd_reply done = answer("200 OK", "ETag: \"e\"\r\n", "");
	struct httpd *other = httpd_start(&done, 1);
	struct httpd_reply script[1];
	char status[32], host[32];
	struct store_obj o;

	(void)snprintf(status, sizeof(status), "%d Elsewhere", codes[_i]);
	script[0] = redirect(status, "127.0.0.1", httpd_port(other));
	begin(script, 1);
	ck_assert_int_eq(put(NULL, &o), 0);
	(void)snprintf(host, sizeof(host), "Host: 127.0.0.1:%u\r\n",
		       httpd_port(other));
	ck_assert_ptr_nonnull(strstr(httpd_request(other, 0, NULL), host));
	ck_assert_ptr_nonnull(
		strstr(httpd_request(other, 0, NULL), "PUT /bkt/k HTTP"));
	/* the next one begins at home */
	ck_assert_uint_eq(httpd_count(server), 1);
	finish();
	httpd_stop(other);
}
END_TEST

START_TEST(two_hops_are_the_most)
{
	struct httpd_reply here[2] = { { NULL } }, there[2] = { { NULL } };
	struct httpd *other = httpd_start(there, 2);
	struct store_obj o;

	begin(here, 2);
	here[0] = here[1] =
		redirect("307 Elsewhere", "127.0.0.1", httpd_port(other));
	there[0] = there[1] =
		redirect("307 Elsewhere", "127.0.0.1", httpd_port(server));
	ck_assert_int_eq(put(NULL, &o), -EAGAIN);
	ck_assert_uint_eq(httpd_count(server), 2);
	ck_assert_uint_eq(httpd_count(other), 1);
	finish();
	httpd_stop(other);
}
END_TEST

START_TEST(nobody_else_is_asked)
{
	struct httpd_reply nothing[1] = { answer("200 OK", "", "") };
	struct httpd *other = httpd_start(nothing, 1);
	struct httpd_reply script[] = {
		redirect("307 Elsewhere", "127.0.0.2", httpd_port(other)),
	};
	struct store_obj o;

	begin(script, 1);
	ck_assert_int_eq(put(NULL, &o), -EAGAIN);
	ck_assert_uint_eq(httpd_count(other), 0);
	finish();
	httpd_stop(other);
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
