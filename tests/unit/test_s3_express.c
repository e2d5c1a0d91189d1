/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "s3_fake.h"

static const struct {
	const char *bucket, *zone; /* NULL: no directory bucket */
} names[] = {
	{ "bkt--use1-az4--x-s3", "use1-az4" },
	{ "a--b--usw2-lax1-az1--x-s3", "usw2-lax1-az1" },
	{ "bkt", NULL },
	{ "bkt--x-s3", NULL },
	{ "bkt----x-s3", NULL },
	{ "--use1-az4--x-s3", NULL },
	{ "--x-s3", NULL },
	{ "bkt--use1-az4--x-s3x", NULL },
};

START_TEST(a_name_says_what_kind_of_bucket_it_is)
{
	size_t n = 0;
	const char *zone = s3_express_zone(names[_i].bucket, &n);

	ck_assert_int_eq(zone != NULL, names[_i].zone != NULL);
	if (!zone)
		return;
	ck_assert_uint_eq(n, strlen(names[_i].zone));
	ck_assert(strncmp(zone, names[_i].zone, n) == 0);
}
END_TEST

#define SESSION(n, until)                                                      \
	answer("200 OK", "",                                                   \
	       "<CreateSessionResult><Credentials><SessionToken>ses+" n        \
	       "/=</SessionToken><SecretAccessKey>s</SecretAccessKey>"         \
	       "<AccessKeyId>ID" n "</AccessKeyId><Expiration>" until          \
	       "</Expiration></Credentials></CreateSessionResult>")
#define LATER "2013-05-24T00:05:00Z"
#define ITEM(key)                                                              \
	"<Contents><Key>" key "</Key><Size>1</Size><ETag>e</ETag></Contents>"
#define PREFIX(key) "<CommonPrefixes><Prefix>" key "</Prefix></CommonPrefixes>"

static char seen[256];

static int see(void *arg, const char *key, const struct store_obj *obj)
{
	size_t n = strlen(seen);

	(void)arg;
	snprintf(seen + n, sizeof(seen) - n, "[%s%s]", key, obj ? "" : "*");
	return 0;
}

/* Not in order, an upload's folder on both pages, and others of the folder. */
START_TEST(listings_are_asked_for_by_folder_and_sorted)
{
	struct httpd_reply script[] = {
		SESSION("1", LATER),
		answer("200 OK", "",
		       "<ListBucketResult><IsTruncated>true</IsTruncated>"
		       "<NextContinuationToken>t</NextContinuationToken>"
		       ITEM("p/ab") PREFIX("p/a/") ITEM("p/x")
		       "</ListBucketResult>"),
		answer("200 OK", "",
		       "<ListBucketResult><IsTruncated>false</IsTruncated>"
		       ITEM("p/aa") PREFIX("p/a/") "</ListBucketResult>"),
	};

	seen[0] = '\0';
	begin_as_directory(script, 3);
	ck_assert_int_eq(store_list(s, "p/a", "p/a", true, see, NULL), 0);
	ck_assert_str_eq(seen, "[p/a/*][p/aa][p/ab]");
	ck_assert(asked(0, "GET http://bkt--use1-az4--x-s3.s3express-use1-az4."
			   "us-east-1.amazonaws.com/?session= "));
	ck_assert(asked(0, "Credential=key1/20130524/us-east-1/s3express/"));
	ck_assert(asked(0, "x-amz-security-token: token\r\n"));
	ck_assert(asked(1, "prefix=p%2F "));
	ck_assert(!asked(1, "start-after"));
	ck_assert(asked(1, "Credential=ID1/20130524/us-east-1/s3express/"));
	ck_assert(asked(1, "x-amz-s3session-token: ses+1/=\r\n"));
	ck_assert(asked(1, "x-amz-s3session-token, ") ||
		  asked(1, ";x-amz-s3session-token, "));
	ck_assert(!asked(1, "x-amz-security-token"));
	finish();
}
END_TEST

/* Copies are the account's; a session that ended is followed by another. */
START_TEST(who_signs_what)
{
	struct httpd_reply script[] = {
		SESSION("1", LATER),
		error("403 Forbidden", "", "ExpiredToken"),
		SESSION("2", LATER),
		answer("204 No Content", "", ""),
		answer("200 OK", "ETag: \"e\"\r\n", "x"),
		answer("200 OK", "",
		       "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>"),
	};
	struct store_obj o;

	begin_as_directory(script, ARRAY_SIZE(script));
	ck_assert_int_eq(store_del(s, "k", NULL), 0);
	ck_assert(asked(1, "x-amz-s3session-token: ses+1/="));
	ck_assert(asked(3, "x-amz-s3session-token: ses+2/="));
	ck_assert_int_eq(store_copy(s, "k", NULL, "l", NULL, NULL, &o), 0);
	ck_assert(asked(4, "x-amz-s3session-token: ses+2/="));
	ck_assert(asked(5, "Credential=key1/20130524/us-east-1/s3express/"));
	ck_assert(asked(5, "x-amz-security-token: token"));
	ck_assert(!asked(5, "x-amz-s3session-token"));
	finish();
}
END_TEST

START_TEST(a_session_that_is_refused_is_told)
{
	struct httpd_reply script[] = {
		error("403 Forbidden", "", "AccessDenied"),
		answer("200 OK", "", "<CreateSessionResult/>"),
	};
	struct store_obj o;

	begin_as_directory(script, 2);
	ck_assert_int_eq(store_head(s, "k", &o), -EACCES);
	ck_assert_ptr_nonnull(strstr(store_last_error(), "AccessDenied"));
	finish();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, a_name_says_what_kind_of_bucket_it_is, 0,
			    (int)ARRAY_SIZE(names));
	tcase_add_test(c, listings_are_asked_for_by_folder_and_sorted);
	tcase_add_test(c, who_signs_what);
	tcase_add_test(c, a_session_that_is_refused_is_told);
}

int main(void)
{
	return harness_run("s3_express", add);
}
