/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the s3 back end, and refusals it can mend by itself. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "s3_fake.h"

START_TEST(a_put_carries_checksum_metadata_and_condition)
{
	struct httpd_reply script[] = { answer("200 OK", "ETag: \"e1\"\r\n",
					       "") };
	struct store_cond cond = { .if_match = "e0" };
	struct store_obj o;

	begin(script, 1);
	ck_assert_int_eq(put(&cond, &o), 0);
	ck_assert_str_eq(o.etag, "e1");
	ck_assert_uint_eq(o.size, 10);
	ck_assert_str_eq(o.meta.write_id, "w1");
	ck_assert(asked(0, "PUT /bkt/k HTTP/1.1\r\n"));
	ck_assert(asked(0, "If-Match: \"e0\"\r\n"));
	ck_assert(asked(0, "x-amz-meta-ckptfsid: w1\r\n"));
	ck_assert(asked(0, "x-amz-checksum-crc64nvme: "));
	ck_assert(asked(0, "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"));
	ck_assert(asked(0, "x-amz-security-token: token\r\n"));
	ck_assert(asked(0, "Credential=key1/20130524/us-east-1/s3/"));
	ck_assert(!asked(0, "x-amz-meta-mtime"));
	finish();
}
END_TEST

START_TEST(a_server_that_checks_no_crc_gets_a_signed_body)
{
	struct httpd_reply script[] = { answer("200 OK", "ETag: \"e1\"\r\n",
					       "") };
	struct store_obj o;

	begin(script, 1);
	((struct s3 *)s)->has_crc = false;
	ck_assert_int_eq(put(NULL, &o), 0);
	ck_assert(!asked(0, "x-amz-checksum"));
	/* SHA-256 of ten times a. */
	ck_assert(asked(0,
			"x-amz-content-sha256: bf2cb58a68f684d95a3b78ef8f661c"
			"9a4e5b09e82cc8f9cc88cce90528caeb27\r\n"));
	ck_assert(!o.has_crc64);
	finish();
}
END_TEST

START_TEST(a_checksum_that_comes_back_wrong_is_told)
{
	struct httpd_reply script[] = {
		answer("200 OK",
		       "ETag: \"e1\"\r\n"
		       "x-amz-checksum-crc64nvme: AAAAAAAAAAE=\r\n",
		       ""),
	};
	struct store_obj o;

	begin(script, 1);
	ck_assert_int_eq(put(NULL, &o), -EBADMSG);
	finish();
}
END_TEST

START_TEST(the_servers_clock_is_learnt)
{
	struct httpd_reply script[] = {
		error("403 Forbidden",
		      "Date: Sat, 25 May 2013 01:02:03 GMT\r\n",
		      "RequestTimeTooSkewed"),
		answer("200 OK", "ETag: \"e1\"\r\n", ""),
		answer("200 OK", "ETag: \"e2\"\r\n", ""),
	};
	struct store_obj o;

	begin(script, 3);
	ck_assert_int_eq(put(NULL, &o), 0);
	ck_assert(asked(0, "x-amz-date: 20130524T000000Z\r\n"));
	ck_assert(asked(1, "x-amz-date: 20130525T010203Z\r\n"));
	ck_assert_int_eq(put(NULL, &o), 0);
	ck_assert(asked(2, "x-amz-date: 20130525T010203Z\r\n"));
	finish();
}
END_TEST

START_TEST(f47_an_expired_credential_is_fetched_again_once)
{
	struct httpd_reply script[] = {
		error("400 Bad Request", "", "ExpiredToken"),
		answer("200 OK", "ETag: \"e1\"\r\n", ""),
		error("400 Bad Request", "", "ExpiredToken"),
		error("400 Bad Request", "", "ExpiredToken"),
	};
	struct store_obj o;

	begin(script, 4);
	ck_assert_int_eq(put(NULL, &o), 0);
	ck_assert(asked(0, "Credential=key1/"));
	ck_assert(asked(1, "Credential=key2/"));
	/* It did work: that is to be waited out. */
	ck_assert_int_eq(put(NULL, &o), -EAGAIN);
	ck_assert_uint_eq(httpd_count(server), 4);
	ck_assert_str_eq(store_last_error(),
			 "ExpiredToken: because (HTTP 400)");
	finish();
}
END_TEST

START_TEST(a_credential_that_never_worked_is_refused)
{
	struct httpd_reply script[] = {
		error("403 Forbidden", "", "InvalidAccessKeyId"),
		error("403 Forbidden", "", "InvalidAccessKeyId"),
	};
	struct store_obj o;

	begin(script, 2);
	ck_assert_int_eq(put(NULL, &o), -EACCES);
	finish();
}
END_TEST

START_TEST(the_region_is_taken_from_the_answer)
{
	struct httpd_reply script[] = {
		error("400 Bad Request", "", "AuthorizationHeaderMalformed"),
		answer("200 OK", "ETag: \"e1\"\r\n", ""),
		error("301 Moved Permanently",
		      "x-amz-bucket-region: us-y-2\r\n", "PermanentRedirect"),
		answer("200 OK", "ETag: \"e1\"\r\n", ""),
	};
	struct store_obj o;

	begin(script, 4);
	ck_assert_int_eq(put(NULL, &o), 0);
	ck_assert(asked(1, "/eu-x-1/s3/aws4_request"));
	ck_assert_int_eq(put(NULL, &o), 0);
	ck_assert(asked(2, "/eu-x-1/s3/aws4_request"));
	ck_assert(asked(3, "/us-y-2/s3/aws4_request"));
	finish();
}
END_TEST

START_TEST(a_head_refused_without_a_word_is_asked_by_get)
{
	struct httpd_reply script[] = {
		{ .text = EMPTY("400 Bad Request") "\r\n" },
		error("400 Bad Request", "", "ExpiredToken"),
		answer("206 Partial Content",
		       "ETag: \"e1\"\r\nContent-Range: bytes 0-0/77\r\n", "a"),
	};
	struct store_obj o;

	begin(script, 3);
	ck_assert_int_eq(store_head(s, "k", &o), 0);
	ck_assert_uint_eq(o.size, 77);
	ck_assert(asked(0, "HEAD /bkt/k "));
	ck_assert(asked(1, "GET /bkt/k "));
	ck_assert(asked(2, "Credential=key2/"));
	finish();
}
END_TEST

START_TEST(throttling_says_how_long)
{
	struct httpd_reply script[] = {
		error("503 Slow Down", "Retry-After: 7\r\n", "SlowDown"),
		error("503 Slow Down", "x-amz-retry-after: 250\r\n",
		      "SlowDown"),
		error("503 Slow Down", "Retry-After: soon\r\n", "SlowDown"),
	};
	static const int64_t want[] = { 7 * NS_PER_S, 250 * NS_PER_MS, 0 };
	struct store_obj o;
	size_t i;

	begin(script, 3);
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		ck_assert_int_eq(put(NULL, &o), -EAGAIN);
		ck_assert_int_eq(store_retry_after_ns(), want[i]);
	}
	finish();
}
END_TEST

START_TEST(what_changes_the_bucket_is_sent_once)
{
	struct httpd_reply script[] = {
		answer("200 OK", "ETag: \"e0\"\r\n", ""),
		{ .text = NULL, .then = HTTPD_CLOSE },
		answer("200 OK", "ETag: \"e1\"\r\n", ""),
	};
	struct store_cond cond = { .if_match = "e0" };
	struct store_obj o;

	begin(script, 3);
	ck_assert_int_eq(put(NULL, &o), 0);
	/* The connection was kept, and broke when used again. */
	ck_assert_int_eq(put(&cond, &o), -ENETUNREACH);
	ck_assert_uint_eq(httpd_count(server), 2);
	finish();
}
END_TEST

static const struct {
	const char *bucket, *endpoint;
	bool path_style;
	const char *scheme, *host, *base; /* scheme NULL: refused */
} wheres[] = {
	{ "bkt", NULL, false, "https", "bkt.s3.", "/" },
	{ "bkt", NULL, true, "https", "s3.", "/bkt/" },
	{ "b.kt", NULL, false, "https", "s3.", "/b.kt/" },
	{ "bkt", "https://h.example", false, "https", "bkt.h.example", "/" },
	{ "bkt", "https://h.example/", true, "https", "h.example", "/bkt/" },
	{ "bkt", "https://h.example:443", true, "https", "h.example", "/bkt/" },
	{ "bkt", "http://h:8080/a/b/", true, "http", "h:8080", "/a/b/bkt/" },
	{ "bkt", "http://h:80/a", false, "http", "bkt.h", "/a/" },
	{ "b.kt", "http://h", false, "http", "b.kt.h", "/" },
	{ "Bkt", "http://h", false, "http", "h", "/Bkt/" },
	{ "bkt", "http://127.0.0.1:9", false, "http", "127.0.0.1:9", "/bkt/" },
	{ "bkt", "http://[::1]:9", false, "http", "[::1]:9", "/bkt/" },
	{ "bkt", "http://localhost:9", false, "http", "localhost:9", "/bkt/" },
	{ "bkt", "h:9000", false, NULL, NULL, NULL },
	{ "bkt", "ftp://h", false, NULL, NULL, NULL },
	{ "bkt", "http://", false, NULL, NULL, NULL },
	{ "bkt", "http://u:p@h", false, NULL, NULL, NULL },
	{ "bkt", "http://h/?x", false, NULL, NULL, NULL },
	{ "", "http://h", false, NULL, NULL, NULL },
	{ "b/c", "http://h", false, NULL, NULL, NULL },
};

START_TEST(options_tell_where_to_go)
{
	struct store_s3_opts o = { .bucket = wheres[_i].bucket,
				   .endpoint_url = wheres[_i].endpoint,
				   .path_style = wheres[_i].path_style };
	struct s3_where w;
	int r = s3_where_init(&o, &w);

	if (!wheres[_i].scheme) {
		ck_assert_int_eq(r, -EINVAL);
		ck_assert_str_ne(store_last_error(), "");
		return;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_str_eq(w.scheme, wheres[_i].scheme);
	ck_assert_str_eq(w.host, wheres[_i].host);
	ck_assert_str_eq(w.base, wheres[_i].base);
	ck_assert_int_eq(w.is_aws, wheres[_i].endpoint == NULL);
	s3_where_release(&w);
}
END_TEST

START_TEST(a_plain_connection_to_elsewhere_signs_its_bodies)
{
	struct s3 s3 = { .has_crc = true, .creds = (struct cred_chain *)&s3 };
	struct store_src src = { .read = read_a, .len = 10 };
	struct s3_req q = { .method = "PUT", .src = &src };
	char payload[SIGN_SHA256_HEX];

	s3.where.is_loopback = true;
	ck_assert_int_eq(s3_payload(&s3, &q, payload), 0);
	ck_assert_str_eq(payload, SIGN_UNSIGNED_PAYLOAD);
	s3.where.is_loopback = false;
	ck_assert_int_eq(s3_payload(&s3, &q, payload), 0);
	ck_assert_uint_eq(strlen(payload), 64);
	s3.where.is_tls = true;
	ck_assert_int_eq(s3_payload(&s3, &q, payload), 0);
	ck_assert_str_eq(payload, SIGN_UNSIGNED_PAYLOAD);
	/* commits and batches always are: nothing else is their checksum */
	q.method = "POST";
	ck_assert_int_eq(s3_payload(&s3, &q, payload), 0);
	ck_assert_uint_eq(strlen(payload), 64);
	q.method = "PUT";
	s3.sign_payload = true;
	ck_assert_int_eq(s3_payload(&s3, &q, payload), 0);
	ck_assert_uint_eq(strlen(payload), 64);
}
END_TEST

/* What its lost answer began only who wrote down the intent can find. */
START_TEST(an_upload_is_begun_once)
{
	struct httpd_reply script[] = {
		answer("200 OK", "ETag: \"e1\"\r\n", ""),
		{ .text = NULL, .then = HTTPD_CLOSE },
		answer("200 OK", "",
		       "<InitiateMultipartUploadResult><UploadId>u</UploadId>"
		       "</InitiateMultipartUploadResult>"),
	};
	struct store_meta m = { .write_id = "w1" };
	char id[STORE_UPLOAD_ID_MAX];
	struct store_obj o;

	begin(script, 3);
	ck_assert_int_eq(put(NULL, &o), 0);
	ck_assert_int_eq(store_mpu_begin(s, "k", &m, false, id), -ENETUNREACH);
	ck_assert(asked(1, "POST /bkt/k?uploads= "));
	ck_assert_uint_eq(httpd_count(server), 2);
	ck_assert_int_eq(store_mpu_begin(s, "k", &m, false, id), 0);
	ck_assert_str_eq(id, "u");
	finish();
}
END_TEST

START_TEST(checksums_are_big_endian)
{
	char text[S3_CRC_LEN];
	uint64_t crc = 0;
	uint32_t crc32 = 0;

	/* The check value of CRC-64/NVME. */
	s3_crc_encode(
		(struct s3_crc){ .v = UINT64_C(0xae8b14860a799888) }, text);
	ck_assert_str_eq(text, "rosUhgp5mIg=");
	ck_assert(s3_crc64_decode(text, &crc));
	ck_assert_uint_eq(crc, UINT64_C(0xae8b14860a799888));
	ck_assert(!s3_crc64_decode("rosUhgp5mIg=-2", &crc));
	ck_assert(!s3_crc64_decode("rosUhg==", &crc));
	ck_assert(!s3_crc64_decode("", &crc));
	s3_crc_encode((struct s3_crc){ true, 0xe3069283 }, text);
	ck_assert_str_eq(text, "4waSgw==");
	ck_assert(s3_crc32c_decode(text, &crc32));
	ck_assert_uint_eq(crc32, 0xe3069283);
	ck_assert(!s3_crc32c_decode("rosUhgp5mIg=", &crc32));
	ck_assert(!s3_crc32c_decode("4waSgw==-2", &crc32));
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, a_put_carries_checksum_metadata_and_condition);
	tcase_add_test(c, a_server_that_checks_no_crc_gets_a_signed_body);
	tcase_add_test(c, a_checksum_that_comes_back_wrong_is_told);
	tcase_add_test(c, the_servers_clock_is_learnt);
	tcase_add_test(c, f47_an_expired_credential_is_fetched_again_once);
	tcase_add_test(c, a_credential_that_never_worked_is_refused);
	tcase_add_test(c, the_region_is_taken_from_the_answer);
	tcase_add_test(c, a_head_refused_without_a_word_is_asked_by_get);
	tcase_add_test(c, throttling_says_how_long);
	tcase_add_test(c, what_changes_the_bucket_is_sent_once);
	tcase_add_loop_test(c, options_tell_where_to_go, 0, ARRAY_SIZE(wheres));
	tcase_add_test(c, a_plain_connection_to_elsewhere_signs_its_bodies);
	tcase_add_test(c, an_upload_is_begun_once);
	tcase_add_test(c, checksums_are_big_endian);
}

int main(void)
{
	return harness_run("s3_req", add);
}
