/* SPDX-License-Identifier: Apache-2.0 */
/* What the s3 back end makes of answers. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "s3_fake.h"

static int commit(struct store_obj *o)
{
	struct store_meta meta = { .write_id = "w1" };
	struct store_part parts[] = {
		{ .number = 1, .size = 5, .etag = "p1", .has_crc64 = true },
		{ .number = 3, .size = 2, .etag = "p&3", .has_crc64 = true },
	};

	return store_mpu_commit(s, "k", "id/+", parts, 2, &meta, NULL, o);
}

#define COMMITTED                                                              \
	"<CompleteMultipartUploadResult><ETag>&quot;e9-2&quot;</ETag>"         \
	"</CompleteMultipartUploadResult>"

START_TEST(a_commit_names_its_parts)
{
	struct httpd_reply script[] = { answer("200 OK", "",
					       "  \n\n" COMMITTED) };
	struct store_obj o;

	begin(script, 1);
	ck_assert_int_eq(commit(&o), 0);
	ck_assert_str_eq(o.etag, "e9-2");
	ck_assert_uint_eq(o.size, 7);
	ck_assert(asked(0, "POST /bkt/k?uploadId=id%2F%2B HTTP"));
	ck_assert(asked(0, "x-amz-checksum-type: FULL_OBJECT\r\n"));
	ck_assert(asked(0, "x-amz-mp-object-size: 7\r\n"));
	ck_assert(asked(0, "<Part><PartNumber>3</PartNumber><ETag>\"p&amp;3\""
			   "</ETag><ChecksumCRC64NVME>AAAAAAAAAAA="
			   "</ChecksumCRC64NVME></Part>"));
	ck_assert(!asked(0, "Content-Type"));
	finish();
}
END_TEST

START_TEST(a_commit_may_fail_in_a_success)
{
	static const struct {
		const char *body;
		int err;
	} cases[] = {
		{ "<Error><Code>InternalError</Code></Error>", -EAGAIN },
		{ " \n <Error><Code>SlowDown</Code></Error>", -EAGAIN },
		{ "<Error><Code>NoSuchUpload</Code></Error>", -ENOENT },
		{ "<Error><Message>x</Message></Error>", -EAGAIN },
		{ "<Error><Code>InternalErr", -EPROTO },
		{ "<CompleteMultipartUploadResult><ETag>&quot;e9", -EPROTO },
		{ "<CompleteMultipartUploadResult><Key>k</Key>"
		  "</CompleteMultipartUploadResult>",
		  -EPROTO },
		{ "     ", -EPROTO },
		{ "", -EPROTO },
		{ "not XML", -EPROTO },
	};
	struct httpd_reply script[ARRAY_SIZE(cases)];
	struct store_obj o;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		script[i] = answer("200 OK", "", cases[i].body);
	begin(script, ARRAY_SIZE(cases));
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		ck_assert_msg(commit(&o) == cases[i].err, "%s: %s",
			      cases[i].body, store_last_error());
	finish();
}
END_TEST

/* A sink that counts. */
static int count(void *arg, const void *p, size_t n)
{
	*(size_t *)arg += n;
	return 0;
}

START_TEST(a_get_takes_what_it_asked_for_and_no_more)
{
	static const struct {
		const char *status, *headers, *body;
		int err;
		size_t n;
	} cases[] = {
		{ "206 P", "Content-Range: bytes 2-5/9\r\n", "2345", 0, 4 },
		{ "206 P", "Content-Range: bytes 2-3/4\r\n", "23", 0, 2 },
		/* Too little, elsewhere, or nowhere. */
		{ "206 P", "Content-Range: bytes 2-3/9\r\n", "23", -EPROTO, 2 },
		{ "206 P", "Content-Range: bytes 0-3/9\r\n", "0123", -EPROTO,
		  0 },
		{ "206 P", "", "2345", -EPROTO, 0 },
		/* The range was ignored. */
		{ "200 OK", "", "012345678", 0, 4 },
		{ "200 OK", "", "012", 0, 1 },
		{ "200 OK", "", "0", 0, 0 },
	};
	struct httpd_reply script[ARRAY_SIZE(cases)];
	char headers[ARRAY_SIZE(cases)][128];
	struct store_obj o;
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(headers[i], sizeof(headers[i]), "%sETag: W/\"e1\"\r\n",
			 cases[i].headers);
		script[i] = answer(cases[i].status, headers[i], cases[i].body);
		script[i].then = cases[i].err ? HTTPD_CLOSE : HTTPD_KEEP;
	}
	begin(script, ARRAY_SIZE(cases));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		n = 0;
		ck_assert_int_eq(store_get(s, "k", "e1", 2, 4, count, &n, &o),
				 cases[i].err);
		ck_assert_uint_eq(n, cases[i].n);
		ck_assert(asked((unsigned)i, "Range: bytes=2-5\r\n"));
		ck_assert(asked((unsigned)i, "If-Match: \"e1\"\r\n"));
	}
	finish();
}
END_TEST

START_TEST(bytes_of_another_version_are_stale)
{
	struct httpd_reply script[] = {
		answer("206 P",
		       "ETag: \"e2\"\r\nContent-Range: bytes 0-3/4\r\n",
		       "0123"),
	};
	struct store_obj o;
	size_t n = 0;

	script[0].then = HTTPD_CLOSE;
	begin(script, 1);
	ck_assert_int_eq(store_get(s, "k", "e1", 0, 4, count, &n, &o), -ESTALE);
	ck_assert_uint_eq(n, 0);
	ck_assert_str_eq(store_last_error(), "the object changed meanwhile");
	finish();
}
END_TEST

#define PAGE(inner) "<ListBucketResult>" inner "</ListBucketResult>"
#define ITEM(key)                                                              \
	"<Contents><Key>" key "</Key><Size>5</Size>"                           \
	"<LastModified>2013-05-24T00:00:00.5Z</LastModified>"                  \
	"<ETag>&quot;e&quot;</ETag></Contents>"
#define PREFIX(key) "<CommonPrefixes><Prefix>" key "</Prefix></CommonPrefixes>"

static char seen[512];

static int see(void *arg, const char *key, const struct store_obj *o)
{
	size_t n = strlen(seen);

	snprintf(seen + n, sizeof(seen) - n, "[%s]", key);
	if (o) {
		ck_assert_uint_eq(o->size, 5);
		ck_assert_str_eq(o->etag, "e");
		ck_assert_int_eq(o->mtime_ns, THEN + NS_PER_S / 2);
	}
	return 0;
}

START_TEST(listings_are_decoded_only_if_they_say_so)
{
	struct httpd_reply script[] = {
		answer("200 OK", "",
		       PAGE("<EncodingType>url</EncodingType>" ITEM(
			       "p/a%2Bb+c%20d%25") PREFIX("p/%C3%A9/"))),
		answer("200 OK", "",
		       PAGE("<EncodingType/>" ITEM("p/a%2Bb+c") ITEM("q"))),
	};

	begin(script, 2);
	ck_assert_int_eq(store_list(s, "p/", NULL, true, see, NULL), 0);
	ck_assert_str_eq(seen, "[p/a+b c d%][p/\xc3\xa9/]");
	ck_assert(asked(0, "encoding-type=url"));
	ck_assert(asked(0, "delimiter=%2F"));
	ck_assert(asked(0, "prefix=p%2F"));
	seen[0] = '\0';
	/* What was not asked for is not believed. */
	ck_assert_int_eq(store_list(s, "p/", "p/A", false, see, NULL), 0);
	ck_assert_str_eq(seen, "[p/a%2Bb+c]");
	ck_assert(asked(1, "start-after=p%2FA"));
	finish();
}
END_TEST

START_TEST(pages_are_followed_and_joined_in_order)
{
	struct httpd_reply script[] = {
		answer("200 OK", "",
		       PAGE("<IsTruncated>true</IsTruncated>"
			    "<NextContinuationToken>t+1/=</"
			    "NextContinuationToken>" ITEM("a") ITEM("b0")
				    PREFIX("b/"))),
		answer("200 OK", "",
		       PAGE("<IsTruncated>false</IsTruncated>" PREFIX("b/")
				    ITEM("c"))),
	};

	begin(script, 2);
	ck_assert_int_eq(store_list(s, "", NULL, true, see, NULL), 0);
	ck_assert_str_eq(seen, "[a][b/][b0][c]");
	ck_assert(asked(1, "continuation-token=t%2B1%2F%3D"));
	finish();
}
END_TEST

#define VERSIONS(inner)                                                        \
	"<ListVersionsResult>" inner "<EncodingType>url</EncodingType>"        \
	"</ListVersionsResult>"
#define ROW(element, key, id, latest)                                      \
	"<" element "><Key>" key "</Key><VersionId>" id "</VersionId>"         \
	"<IsLatest>" latest "</IsLatest><Size>7</Size></" element ">"

static int see_version(void *arg, const struct store_version *v)
{
	char *all = arg;
	size_t n = strlen(all);

	snprintf(all + n, 256 - n, "[%s %s%s%s %d]", v->key, v->id,
		 v->is_latest ? " latest" : "", v->is_mark ? " gone" : "",
		 (int)v->size);
	return 0;
}

/* That they are encoded stands behind the keys, as MinIO has it. */
START_TEST(versions_are_listed_page_by_page)
{
	struct httpd_reply script[] = {
		answer("200 OK", "",
		       VERSIONS("<IsTruncated>true</IsTruncated>"
				"<NextKeyMarker>p/a+b</NextKeyMarker>"
				"<NextVersionIdMarker>i&amp;1</"
				"NextVersionIdMarker>"
				ROW("DeleteMarker", "p/a+b", "i2", "true")
				ROW("Version", "p/a+b", "i&amp;1", "false")
				ROW("Version", "else", "i", "true"))),
		answer("200 OK", "",
		       VERSIONS("<IsTruncated>false</IsTruncated>"
				ROW("Version", "p/%25", "null", "true"))),
		answer("200 OK", "",
		       VERSIONS("<IsTruncated>true</IsTruncated>")),
	};
	const struct store_version after = { .key = "p/%", .id = "null" };
	char all[256] = "";

	begin(script, 3);
	ck_assert_int_eq(store_list_versions(s, "p/", NULL, see_version, all),
			 0);
	ck_assert_str_eq(all, "[p/a b i2 latest gone 7][p/a b i&1 7]"
			      "[p/% null latest 7]");
	ck_assert(asked(0, "versions="));
	ck_assert(asked(1, "key-marker=p%2Fa%20b&"));
	ck_assert(asked(1, "version-id-marker=i%261"));
	ck_assert_int_eq(store_list_versions(s, "p/", &after, see_version, all),
			 -EPROTO);
	ck_assert(asked(2, "key-marker=p%2F%25&"));
	finish();
}
END_TEST

/* versitygw takes the mark of a delete for an object. */
START_TEST(a_mark_does_not_keep_a_key_from_being_made)
{
	static const struct store_cond absent = { .if_absent = true };
	struct httpd_reply script[] = {
		error("412 Precondition Failed", "", "PreconditionFailed"),
		answer("200 OK", "",
		       VERSIONS("<IsTruncated>false</IsTruncated>" ROW(
			       "DeleteMarker", "k", "i2", "true"))),
		answer("200 OK", "ETag: \"e\"\r\n", ""),
		error("412 Precondition Failed", "", "PreconditionFailed"),
		answer("200 OK", "",
		       VERSIONS("<IsTruncated>false</IsTruncated>"
				ROW("Version", "k", "i3", "true")
				ROW("DeleteMarker", "k", "i2", "false"))),
	};
	struct store_obj o;

	begin(script, ARRAY_SIZE(script));
	ck_assert_int_eq(put(&absent, &o), 0);
	ck_assert(asked(0, "If-None-Match: *"));
	ck_assert(asked(1, "prefix=k"));
	ck_assert(!asked(2, "If-None-Match: *"));
	ck_assert_int_eq(put(&absent, &o), -EEXIST);
	ck_assert_uint_eq(httpd_count(server), 5);
	finish();
}
END_TEST

START_TEST(f57_a_listing_that_is_cut_or_circles_is_an_error)
{
	struct httpd_reply script[] = {
		answer("200 OK", "",
		       PAGE("<IsTruncated>true</IsTruncated>" ITEM("a"))),
		answer("200 OK", "", "<ListBucketResult>" ITEM("a")),
		answer("200 OK", "", "<html></html>"),
		answer("200 OK", "",
		       PAGE("<IsTruncated>true</IsTruncated>"
			    "<NextContinuationToken>t</"
			    "NextContinuationToken>")),
		answer("200 OK", "",
		       PAGE("<IsTruncated>true</IsTruncated>"
			    "<NextContinuationToken>t</"
			    "NextContinuationToken>")),
	};
	size_t i;

	begin(script, ARRAY_SIZE(script));
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(store_list(s, "", NULL, true, see, NULL),
				 -EPROTO);
	finish();
}
END_TEST

START_TEST(a_batch_delete_tells_each_key)
{
	static const struct store_del keys[] = {
		{ .key = "a" },
		{ .key = "b&b" },
		{ .key = "c\rc" },
		{ .key = "d" },
	};
	struct httpd_reply script[] = {
		{ .text = EMPTY("204 No Content") "\r\n" },
		answer("200 OK", "",
		       "<DeleteResult><Deleted><Key>a</Key></Deleted>"
		       "<Error><Key>b&amp;b</Key><Code>AccessDenied</Code>"
		       "<Message>no</Message></Error>"
		       "<Error><Key>d</Key><Code>InternalError</Code></Error>"
		       "</DeleteResult>"),
		error("200 OK", "", "InternalError"),
	};
	int errs[4];

	begin(script, 3);
	ck_assert_int_eq(store_del_many(s, keys, 4, errs), 0);
	ck_assert_int_eq(errs[0], 0);
	ck_assert_int_eq(errs[1], -EACCES);
	ck_assert_int_eq(errs[2], 0);
	ck_assert_int_eq(errs[3], -EAGAIN);
	/* XML cannot carry that one. */
	ck_assert(asked(0, "DELETE /bkt/c%0Dc "));
	ck_assert(asked(1, "POST /bkt/?delete= "));
	ck_assert(asked(1, "Content-MD5: "));
	ck_assert(asked(1, "<Object><Key>b&amp;b</Key></Object>"));
	ck_assert_int_eq(store_del_many(s, keys, 2, errs), -EAGAIN);
	finish();
}
END_TEST

START_TEST(a_copy_pins_its_source)
{
	struct httpd_reply script[] = {
		{ .text = EMPTY("200 OK") "ETag: \"e1\"\r\n"
					  "x-amz-meta-ckptfsid: w0\r\n\r\n" },
		answer("200 OK", "",
		       "<CopyObjectResult><ETag>\"e2\"</ETag>"
		       "</CopyObjectResult>"),
	};
	struct store_obj o;

	begin(script, 2);
	ck_assert_int_eq(store_copy(s, "a b/c", NULL, "to", NULL, NULL, &o), 0);
	ck_assert_str_eq(o.etag, "e2");
	ck_assert_str_eq(o.meta.write_id, "w0");
	ck_assert(asked(1, "x-amz-copy-source: /bkt/a%20b/c\r\n"));
	ck_assert(asked(1, "x-amz-copy-source-if-match: \"e1\"\r\n"));
	ck_assert(asked(1, "x-amz-metadata-directive: COPY\r\n"));
	finish();
}
END_TEST

/* Names have the time in them, and it is 1300ebd813e70000: a day before, and a
 * minute. */
#define OLD "p/.ckptfs/probe-13009d4382980000-7"
#define YOUNG "p/.ckptfs/probe-1300ebca1b9fa800-9"
START_TEST(what_killed_probes_left_is_swept_once_it_is_old)
{
	struct httpd_reply script[] = {
		answer("200 OK", "",
		       PAGE(ITEM(OLD) ITEM(OLD "-2") ITEM(YOUNG)
				    ITEM("p/.ckptfs/probe-x"))),
		answer("200 OK", "",
		       "<ListMultipartUploadsResult><Upload>"
		       "<Key>" OLD "</Key>"
		       "<UploadId>u1</UploadId>"
		       "<Initiated>2013-05-23T00:00:00.000Z</Initiated>"
		       "</Upload></ListMultipartUploadsResult>"),
		{ .text = EMPTY("204 No Content") "\r\n" },
		{ .text = EMPTY("403 Forbidden") "\r\n" },
		{ .text = EMPTY("204 No Content") "\r\n" },
	};

	begin(script, 5);
	s3_sweep_probes(s, "p/");
	ck_assert_uint_eq(httpd_count(server), 5);
	ck_assert(asked(0, "prefix=p%2F.ckptfs%2Fprobe-"));
	ck_assert(asked(2, "DELETE /bkt/" OLD " "));
	ck_assert(asked(3, "DELETE /bkt/" OLD "-2 "));
	ck_assert(asked(4, OLD "?uploadId=u1 "));
	finish();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, a_commit_names_its_parts);
	tcase_add_test(c, a_commit_may_fail_in_a_success);
	tcase_add_test(c, a_get_takes_what_it_asked_for_and_no_more);
	tcase_add_test(c, bytes_of_another_version_are_stale);
	tcase_add_test(c, listings_are_decoded_only_if_they_say_so);
	tcase_add_test(c, pages_are_followed_and_joined_in_order);
	tcase_add_test(c, versions_are_listed_page_by_page);
	tcase_add_test(c, a_mark_does_not_keep_a_key_from_being_made);
	tcase_add_test(c, f57_a_listing_that_is_cut_or_circles_is_an_error);
	tcase_add_test(c, a_batch_delete_tells_each_key);
	tcase_add_test(c, a_copy_pins_its_source);
	tcase_add_test(c, what_killed_probes_left_is_swept_once_it_is_old);
}

int main(void)
{
	return harness_run("s3", add);
}
