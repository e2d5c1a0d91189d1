/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The s3 back end before a server that means harm, or that somebody speaks for:
 * the rules of docs/security.md, by number.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3_fake.h"

#define KEYS_MAX 16

static char *seen[KEYS_MAX];
static unsigned nseen;

static int see(void *arg, const char *key, const struct store_obj *obj)
{
	ck_assert_uint_lt(nseen, KEYS_MAX);
	seen[nseen++] = strdup(key);
	ck_assert(!obj || obj->size <= INT64_MAX);
	return 0;
}

static void forget(void)
{
	while (nseen > 0)
		free(seen[--nseen]);
}

static int see_upload(void *arg, const char *key, const char *id, int64_t begun)
{
	return see(arg, key, NULL);
}

#define PAGE(text)                                                             \
	"<ListBucketResult><EncodingType>url</EncodingType>" text              \
	"</ListBucketResult>"
#define ITEM_OF(key, size)                                                     \
	"<Contents><Key>" key "</Key><ETag>\"e\"</ETag><Size>" size            \
	"</Size></Contents>"
#define ITEM(key) ITEM_OF(key, "1")
#define ON(token)                                                              \
	"<IsTruncated>true</IsTruncated><NextContinuationToken>" token         \
	"</NextContinuationToken>"

/* ---- names */

/* No name of a file could be one of these; one bad key hides no other. */
START_TEST(s07_keys_that_cannot_be_are_left_out_alone)
{
	struct httpd_reply script[1];
	char body[4096], longest[2000];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	(void)snprintf(body, sizeof(body),
		       PAGE(ITEM("run/a%%00b") ITEM("run/%s") ITEM("other/a")
				    ITEM_OF("run/big", "9223372036854775808")
					    ITEM("run/good") ITEM("")),
		       longest);
	script[0] = answer("200 OK", "", body);
	begin(script, 1);
	ck_assert_int_eq(store_list(s, "run/", NULL, true, see, NULL), 0);
	ck_assert_uint_eq(nseen, 1);
	ck_assert_str_eq(seen[0], "run/good");
	forget();
	finish();
}
END_TEST

START_TEST(s07_uploads_that_cannot_be_ours_are_left_out)
{
	struct httpd_reply script[1];
	char body[8000], longest[STORE_UPLOAD_ID_MAX + 1];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	(void)snprintf(
		body, sizeof(body),
		"<ListMultipartUploadsResult><EncodingType>url</EncodingType>"
		"<Upload><Key>run/a</Key><UploadId>%s</UploadId></Upload>"
		"<Upload><Key>run/a</Key><UploadId></UploadId></Upload>"
		"<Upload><Key>run/%%00</Key><UploadId>1</UploadId></Upload>"
		"<Upload><Key>other/a</Key><UploadId>2</UploadId></Upload>"
		"<Upload><Key>run/good</Key><UploadId>3</UploadId></Upload>"
		"</ListMultipartUploadsResult>",
		longest);
	script[0] = answer("200 OK", "", body);
	begin(script, 1);
	ck_assert_int_eq(store_mpu_list(s, "run/", see_upload, NULL), 0);
	ck_assert_uint_eq(nseen, 1);
	ck_assert_str_eq(seen[0], "run/good");
	forget();
	finish();
}
END_TEST

/* ---- where requests go */

/* Nothing is sent to where a redirect leads; no credential, nor anything else. */
START_TEST(s14_a_redirect_is_not_followed)
{
	static const char *const statuses[] = { "301 M", "302 F", "303 S",
						"307 T", "308 P" };
	static const char *const places[] = { "http://", "https://", "//",
					      "file:///etc/passwd?",
					      "http://169.254.169.254/" };
	struct httpd *elsewhere = httpd_start(NULL, 0);
	struct httpd_reply script[1];
	struct store_obj o;
	char headers[256];
	size_t i, k;

	for (i = 0; i < ARRAY_SIZE(statuses); i++) {
		for (k = 0; k < ARRAY_SIZE(places); k++) {
			(void)snprintf(headers, sizeof(headers),
				       "Location: %s127.0.0.1:%u/bkt/k\r\n",
				       places[k], httpd_port(elsewhere));
			script[0] = answer(statuses[i], headers, "");
			begin(script, 1);
			ck_assert_int_lt(put(NULL, &o), 0);
			ck_assert_uint_eq(httpd_count(server), 1);
			finish();
		}
	}
	ck_assert_uint_eq(httpd_count(elsewhere), 0);
	httpd_stop(elsewhere);
}
END_TEST

static const char *const regions[] = {
	"evil.example/", "x@evil.example", "x?", "x#", "x:80", "a b", "",
	"a&#13;&#10;X-Evil: 1", "x&#9;", "\xc3\xa4",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
};

/* It stands in the name of Amazon's host, and in what is signed. */
START_TEST(s16_a_region_that_a_server_names_leads_nowhere_else)
{
	struct httpd_reply script[2];
	char body[512];
	struct store_obj o;

	(void)snprintf(body, sizeof(body),
		       "<Error><Code>AuthorizationHeaderMalformed</Code>"
		       "<Region>%s</Region></Error>",
		       regions[_i]);
	script[0] = answer("400 Bad Request", "", body);
	script[1] = answer("200 OK", "ETag: \"e1\"\r\n", "");
	begin(script, 2);
	ck_assert_int_eq(put(NULL, &o), -EACCES);
	ck_assert_uint_eq(httpd_count(server), 1);
	finish();
}
END_TEST

START_TEST(s16_nor_does_one_of_the_configuration)
{
	struct store_s3_opts o = { .bucket = "bkt" };
	struct store *none = NULL;

	o.region = "evil.example/";
	ck_assert_int_eq(store_s3_new(&o, &none), -EINVAL);
	ck_assert_ptr_nonnull(strstr(store_last_error(), "region"));
	o.region = "RegionOne";
	ck_assert_int_eq(store_s3_new(&o, &none), 0);
	store_free(none);
}
END_TEST

/* ---- what goes out */

static unsigned count_lines(const char *request, const char *name)
{
	size_t n = strlen(name);
	unsigned found = 0;

	for (; request; request = strchr(request, '\n')) {
		request += *request == '\n';
		found += strncasecmp(request, name, n) == 0;
	}
	return found;
}

/* A name with an end of line in it is one path, and one header. */
START_TEST(s17_no_header_comes_out_of_a_name)
{
	static const char key[] = "a\r\nX-Evil: 1\r\n\r\nGET / b";
	struct httpd_reply script[] = {
		answer("200 OK", "ETag: \"e1\"\r\n", ""),
		answer("200 OK", "",
		       "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>"),
		answer("200 OK", "ETag: \"e1\"\r\nContent-Length: 1\r\n", ""),
	};
	struct store_src src = { .read = read_a, .len = 10 };
	struct store_meta meta = { .write_id = "w1" };
	struct store_obj o;

	begin(script, ARRAY_SIZE(script));
	s->caps |= STORE_CAP_CONTROL;
	ck_assert_int_eq(store_put(s, key, &src, &meta, NULL, &o), 0);
	(void)!store_copy(s, key, "e1", "b", &meta, NULL, &o);
	ck_assert(asked(0, "PUT /bkt/a%0D%0AX-Evil%3A%201%0D%0A%0D%0AGET%20/"
			   "%20b HTTP/1.1\r\n"));
	ck_assert(asked(1, "a%0D%0AX-Evil%3A%201%0D%0A%0D%0AGET%20/%20b"));
	ck_assert_uint_eq(count_lines(httpd_request(server, 0, NULL), "X-Evil"),
			  0);
	ck_assert_uint_eq(count_lines(httpd_request(server, 1, NULL), "X-Evil"),
			  0);
	finish();
}
END_TEST

/* ---- what comes in */

static const struct {
	const char *size;
	bool is_error; /* of the whole listing, not only of this object */
} sizes[] = {
	{ "-1", true },
	{ "1e400", true },
	{ "0x10", true },
	{ "1 1", true },
	{ "18446744073709551616", true },
	{ "", true },
	{ "9223372036854775808", false },
	{ "18446744073709551615", false },
};

START_TEST(s18_a_size_that_is_none_is_not_believed)
{
	struct httpd_reply script[2];
	struct store_obj o;
	char text[1024];

	(void)snprintf(text, sizeof(text), PAGE(ITEM_OF("a", "%s")),
		       sizes[_i].size);
	script[0] = answer("200 OK", "", text);
	(void)snprintf(text, sizeof(text),
		       "HTTP/1.1 200 OK\r\nETag: \"e\"\r\n"
		       "Content-Length: %s\r\n\r\n",
		       sizes[_i].size);
	script[1] = (struct httpd_reply){ .text = text, .then = HTTPD_CLOSE };
	begin(script, 2);
	ck_assert_int_eq(store_list(s, "", NULL, true, see, NULL),
			 sizes[_i].is_error ? -EPROTO : 0);
	ck_assert_uint_eq(nseen, 0);
	ck_assert_int_lt(store_head(s, "a", &o), 0);
	finish();
}
END_TEST

/* ---- what never ends */

START_TEST(s20_a_listing_that_goes_round_in_circles_ends)
{
	struct httpd_reply script[10];
	char page[512];
	size_t i;
	int r;

	for (i = 0; i < ARRAY_SIZE(script); i++) {
		(void)snprintf(page, sizeof(page), PAGE(ON("t%zu") ITEM("a")),
			       i % (size_t)_i);
		script[i] = answer("200 OK", "", page);
	}
	begin(script, ARRAY_SIZE(script));
	r = store_list(s, "", NULL, true, see, NULL);
	ck_assert_int_eq(r, -EPROTO);
	forget();
	finish();
}
END_TEST

START_TEST(s20_a_list_of_uploads_that_goes_round_in_circles_ends)
{
	struct httpd_reply script[10];
	char page[512];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(script); i++) {
		(void)snprintf(page, sizeof(page),
			       "<ListMultipartUploadsResult>"
			       "<IsTruncated>true</IsTruncated>"
			       "<NextKeyMarker>k%zu</NextKeyMarker>"
			       "<NextUploadIdMarker>i</NextUploadIdMarker>"
			       "</ListMultipartUploadsResult>",
			       i % (size_t)_i);
		script[i] = answer("200 OK", "", page);
	}
	begin(script, ARRAY_SIZE(script));
	ck_assert_int_eq(store_mpu_list(s, "", see_upload, NULL), -EPROTO);
	finish();
}
END_TEST

START_TEST(s20_what_goes_on_for_long_is_no_circle)
{
	struct s3_circle c = { 0 };
	char token[32];
	unsigned i;

	for (i = 0; i < 5000; i++) {
		(void)snprintf(token, sizeof(token), "t%u", i);
		ck_assert_int_eq(s3_circle_check(&c, token), 0);
	}
	free(c.mark);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, s07_keys_that_cannot_be_are_left_out_alone);
	tcase_add_test(c, s07_uploads_that_cannot_be_ours_are_left_out);
	tcase_add_test(c, s14_a_redirect_is_not_followed);
	tcase_add_loop_test(
		c, s16_a_region_that_a_server_names_leads_nowhere_else, 0,
		(int)ARRAY_SIZE(regions));
	tcase_add_test(c, s16_nor_does_one_of_the_configuration);
	tcase_add_test(c, s17_no_header_comes_out_of_a_name);
	tcase_add_loop_test(c, s18_a_size_that_is_none_is_not_believed, 0,
			    (int)ARRAY_SIZE(sizes));
	/* Circles of one, two and three pages. */
	tcase_add_loop_test(c, s20_a_listing_that_goes_round_in_circles_ends, 1,
			    4);
	tcase_add_loop_test(
		c, s20_a_list_of_uploads_that_goes_round_in_circles_ends, 1, 4);
	tcase_add_test(c, s20_what_goes_on_for_long_is_no_circle);
}

int main(void)
{
	return harness_run("s3_secure", add);
}
