/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "ckptfs/sign.h"

#include "harness.h"

#define KEY "a2V5IG9mIG5vIGFjY291bnQgYXQgYWxs"
#define DATE                                                                   \
	{ "x-ms-date", "Fri, 24 May 2013 00:00:00 GMT" }
#define API                                                                \
	{ "x-ms-version", "2023-11-03" }

/* As SharedKeyCredentialPolicy of azure-storage-blob 12.31.1 signs them. */
static const struct vector {
	const char *method, *path, *signature;
	uint64_t length;
	struct sign_pair query[5], headers[7];
} vectors[] = {
	{ "GET",
	  "/c",
	  "ASG0F+exJ0L9DUZAh9CGMbl6Up20Z6ze6foxV2UetPY=",
	  0,
	  { { "restype", "container" },
	    { "prefix", "a b/+\303\274" },
	    { "delimiter", "/" },
	    { "maxresults", "5000" },
	    { "comp", "list" } },
	  { DATE, API } },
	{ "PUT",
	  "/c/a%20b%2B/x%25.bin",
	  "CUpKUBtYK+tcYJW+9LY8XVlKFVhdKXnmKlrMcDO3pYs=",
	  6,
	  { { NULL, NULL } },
	  { { "If-None-Match", "*" },
	    { "x-ms-meta-mtime", "1.5" },
	    { "x-ms-meta-ckptfsid", "w-1" },
	    { "x-ms-content-crc64", "AQIDBAUGBwg=" },
	    { "X-MS-Blob-Type", "BlockBlob" },
	    DATE,
	    API } },
	{ "PUT",
	  "/c/k",
	  "a8XyDvfqOWBgkc4BgNi0WX1nZw+UJITBkjwn0cuIvAc=",
	  1048576,
	  { { "Comp", "block" }, { "blockid", "QUJD+w==" } },
	  { DATE, API } },
	{ "GET",
	  "/c/k",
	  "AMLLwpizGrPfLdaIe2D5I+ByC4LT5mtxuB2vZZNn/+w=",
	  0,
	  { { NULL, NULL } },
	  { { "x-ms-range", "bytes=0-9" },
	    { "if-match", "\"0x8D\"" },
	    DATE,
	    API } },
	{ "PUT",
	  "/c/k",
	  "0tqcCmY/ihrMSSIN3DIK2ajbYKHiD8vIMkVSSGBMcB4=",
	  0,
	  { { NULL, NULL } },
	  { { "x-ms-copy-source",
	      "https://myaccount.blob.core.windows.net/c/s" },
	    { "x-ms-source-if-match", "\"0x8D\"" },
	    DATE,
	    API } },
	{ "GET", /* an emulator has the account in the path */
	  "/myaccount/c/k",
	  "Ue/SM2i6R2uPVORavaveBjUeFo/XUglkRAMsTAJaBTA=",
	  0,
	  { { "blocklisttype", "all" }, { "comp", "blocklist" } },
	  { DATE, API } },
};

static size_t count(const struct sign_pair *p, size_t most)
{
	size_t n = 0;

	while (n < most && p[n].name)
		n++;
	return n;
}

static int sign(const struct vector *v, const char *key, struct buf *out)
{
	const struct sign_azure q = {
		.method = v->method,
		.path = v->path,
		.query = v->query,
		.nquery = count(v->query, ARRAY_SIZE(v->query)),
		.headers = v->headers,
		.nheaders = count(v->headers, ARRAY_SIZE(v->headers)),
		.length = v->length,
	};

	return sign_azure(&q, "myaccount", key, out);
}

START_TEST(the_sdks_signatures_come_out)
{
	const struct vector *v = &vectors[_i];
	struct buf b = BUF_INIT(1024);

	ck_assert_int_eq(sign(v, KEY, &b), 0);
	ck_assert_int_eq(strncmp(b.p, "SharedKey myaccount:", 20), 0);
	ck_assert_str_eq(b.p + 20, v->signature);
	buf_clear(&b);
}
END_TEST

START_TEST(a_key_that_is_none_is_refused)
{
	static const char *const keys[] = { "not base64", "YQ=" };
	struct buf b = BUF_INIT(1024);

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		ck_assert_int_eq(sign(&vectors[0], keys[i], &b), -EINVAL);
	ck_assert_uint_eq(b.len, 0);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, the_sdks_signatures_come_out, 0,
			    (int)ARRAY_SIZE(vectors));
	tcase_add_test(c, a_key_that_is_none_is_refused);
}

int main(void)
{
	return harness_run("shared_key", add);
}
