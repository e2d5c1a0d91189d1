/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/sign.h"

#include "harness.h"

/* 20130524T000000Z */
#define WHEN (INT64_C(1369353600) * NS_PER_S)

/* The examples of the S3 API reference, "Signature Calculations for the
 * Authorization Header". */
static const struct vector {
	const char *method, *path, *payload, *names, *signature;
	struct sign_pair query[2], headers[2];
	size_t nquery, nheaders;
} vectors[] = {
	{ "GET", "/test.txt", SIGN_EMPTY_SHA256,
	  "host;range;x-amz-content-sha256;x-amz-date",
	  "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
	  .headers = { { "Range", "bytes=0-9" } }, .nheaders = 1 },
	{ "PUT", "/test$file.text",
	  "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
	  "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	  "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
	  .headers = { { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
		       { "Date", "Fri, 24 May 2013 00:00:00 GMT" } },
	  .nheaders = 2 },
	{ "GET", "/", SIGN_EMPTY_SHA256, "host;x-amz-content-sha256;x-amz-date",
	  "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
	  .query = { { "lifecycle", NULL } }, .nquery = 1 },
	{ "GET", "/", SIGN_EMPTY_SHA256, "host;x-amz-content-sha256;x-amz-date",
	  "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
	  .query = { { "prefix", "J" }, { "max-keys", "2" } }, .nquery = 2 },
};

static struct cred *example(const char *token)
{
	struct cred *c = NULL;

	ck_assert_int_eq(cred_new("AKIAIOSFODNN7EXAMPLE",
				  "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
				  token, INT64_MAX, &c),
			 0);
	return c;
}

START_TEST(the_published_signatures_come_out)
{
	const struct vector *v = &vectors[_i];
	struct sign_req req = {
		.method = v->method,
		.host = "examplebucket.s3.amazonaws.com",
		.path = v->path,
		.query = v->query,
		.nquery = v->nquery,
		.headers = v->headers,
		.nheaders = v->nheaders,
		.payload = v->payload,
		.region = "us-east-1",
		.service = "s3",
	};
	struct cred *c = example(NULL);
	struct sign_result res;
	char want[1024];

	ck_assert_int_eq(sign_sigv4(&req, c, WHEN, &res), 0);
	snprintf(want, sizeof(want),
		 "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/"
		 "us-east-1/s3/aws4_request, SignedHeaders=%s, Signature=%s",
		 v->names, v->signature);
	ck_assert_str_eq(res.authorization.p, want);
	ck_assert_str_eq(res.date, "20130524T000000Z");
	sign_result_clear(&res);
	cred_drop(c);
}
END_TEST

START_TEST(a_token_is_signed_and_the_secret_stays_out)
{
	struct sign_req req = {
		.method = "GET",
		.host = "h",
		.path = "/",
		.payload = SIGN_UNSIGNED_PAYLOAD,
		.region = "r",
		.service = "s3",
	};
	struct cred *c = example("TOKEN");
	struct sign_result res;

	ck_assert_int_eq(sign_sigv4(&req, c, WHEN, &res), 0);
	ck_assert_ptr_nonnull(
		strstr(res.authorization.p, "x-amz-date;x-amz-security-token"));
	ck_assert_ptr_null(strstr(res.authorization.p, "TOKEN"));
	ck_assert_ptr_null(strstr(res.authorization.p, "wJal"));
	sign_result_clear(&res);
	cred_drop(c);
}
END_TEST

START_TEST(urls_are_encoded_as_they_are_signed)
{
	static const struct sign_pair query[] = { { "a-b", "1" },
						  { "a", "z" },
						  { "a", "\xc3\xa9 +/" },
						  { "uploads", NULL },
						  { "a", "" } };
	struct buf out = BUF_INIT(1024);

	ck_assert_int_eq(sign_encode_path("/a b/../+%//~\x01\xff", &out), 0);
	ck_assert_str_eq(out.p, "/a%20b/../%2B%25//~%01%FF");
	buf_clear(&out);
	ck_assert_int_eq(sign_encode_query(query, ARRAY_SIZE(query), &out), 0);
	ck_assert_str_eq(out.p, "a=&a=%C3%A9%20%2B%2F&a=z&a-b=1&uploads=");
	buf_clear(&out);
}
END_TEST

static ssize_t read_text(void *arg, uint64_t off, void *p, size_t n)
{
	const char *s = arg;

	if (off + n > strlen(s))
		return (ssize_t)(strlen(s) - off);
	memcpy(p, s + off, n);
	return (ssize_t)n;
}

static ssize_t read_nothing(void *arg, uint64_t off, void *p, size_t n)
{
	return *(int *)arg;
}

START_TEST(a_source_is_hashed_as_a_whole)
{
	char text[] = "Welcome to Amazon S3.", hex[SIGN_SHA256_HEX];
	int err = -ECANCELED;

	ck_assert_int_eq(sign_sha256_of(read_text, text, strlen(text), hex), 0);
	ck_assert_str_eq(hex, vectors[1].payload);
	ck_assert_int_eq(sign_sha256_of(read_text, text, 0, hex), 0);
	ck_assert_str_eq(hex, SIGN_EMPTY_SHA256);
	ck_assert_int_eq(sign_sha256_of(read_text, text, 100, hex), -EIO);
	ck_assert_int_eq(sign_sha256_of(read_nothing, &err, 1, hex),
			 -ECANCELED);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, the_published_signatures_come_out, 0,
			    ARRAY_SIZE(vectors));
	tcase_add_test(c, a_token_is_signed_and_the_secret_stays_out);
	tcase_add_test(c, urls_are_encoded_as_they_are_signed);
	tcase_add_test(c, a_source_is_hashed_as_a_whole);
}

int main(void)
{
	return harness_run("sigv4", add);
}
