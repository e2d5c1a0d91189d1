/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests take which of the headers that options ask for. */
#include "config.h"

#include <string.h>

#include "harness.h"
#include "store/s3.h"

static const struct {
	const char *method, *key, *query[2], *header, *directive;
	enum s3_op op;
	const char *has; /* a letter for each group, as below */
} table[] = {
	{ "GET", NULL, { "list-type" }, NULL, NULL, S3_OP_OTHER, "p" },
	{ "GET", NULL, { "uploads" }, NULL, NULL, S3_OP_OTHER, "p" },
	{ "POST", NULL, { "delete" }, NULL, NULL, S3_OP_OTHER, "p" },
	{ "HEAD", "k", { NULL }, NULL, NULL, S3_OP_HEAD, "cp" },
	{ "GET", "k", { NULL }, NULL, NULL, S3_OP_GET, "cp" },
	{ "GET", "k", { "uploadId" }, NULL, NULL, S3_OP_LIST_PARTS, "cp" },
	{ "PUT", "k", { NULL }, NULL, NULL, S3_OP_PUT, "estcp" },
	{ "PUT",
	  "k",
	  { NULL },
	  "x-amz-copy-source",
	  "COPY",
	  S3_OP_COPY,
	  "esrcop" },
	{ "PUT",
	  "k",
	  { NULL },
	  "x-amz-copy-source",
	  "REPLACE",
	  S3_OP_COPY,
	  "esrtcop" },
	{ "PUT",
	  "k",
	  { "partNumber", "uploadId" },
	  NULL,
	  NULL,
	  S3_OP_PART,
	  "cp" },
	{ "PUT",
	  "k",
	  { "partNumber", "uploadId" },
	  "x-amz-copy-source",
	  NULL,
	  S3_OP_PART_COPY,
	  "cop" },
	{ "POST", "k", { "uploads" }, NULL, NULL, S3_OP_BEGIN, "estcp" },
	{ "POST", "k", { "uploadId" }, NULL, NULL, S3_OP_COMMIT, "cp" },
	{ "DELETE", "k", { "uploadId" }, NULL, NULL, S3_OP_OTHER, "p" },
	{ "DELETE", "k", { NULL }, NULL, NULL, S3_OP_OTHER, "p" },
};

static const struct {
	char group;
	const char *name, *value;
} headers[] = {
	{ 'e', "x-amz-server-side-encryption", "aws:kms" },
	{ 'e', "x-amz-server-side-encryption-aws-kms-key-id", "id" },
	{ 's', "x-amz-storage-class", "STANDARD_IA" },
	{ 's', "x-amz-acl", "private" },
	{ 's', "x-amz-tagging", "a=b" },
	{ 'r', "x-amz-tagging-directive", "REPLACE" },
	{ 't', "Content-Type", "text/plain" },
	{ 'c', "x-amz-server-side-encryption-customer-algorithm", "AES256" },
	{ 'c', "x-amz-server-side-encryption-customer-key", "key" },
	{ 'c', "x-amz-server-side-encryption-customer-key-MD5", "md5" },
	{ 'o',
	  "x-amz-copy-source-server-side-encryption-customer-algorithm",
	  "AES256" },
	{ 'o',
	  "x-amz-copy-source-server-side-encryption-customer-key",
	  "key" },
	{ 'o',
	  "x-amz-copy-source-server-side-encryption-customer-key-MD5",
	  "md5" },
	{ 'p', "x-amz-request-payer", "requester" },
};

static struct s3_req request(size_t i)
{
	struct s3_req q = { .method = table[i].method, .key = table[i].key };
	size_t k;

	for (k = 0; k < 2 && table[i].query[k]; k++)
		s3_req_query(&q, table[i].query[k], "1");
	if (table[i].header)
		s3_req_header(&q, table[i].header, "/b/k");
	if (table[i].directive)
		s3_req_header(&q, "x-amz-metadata-directive",
			      table[i].directive);
	return q;
}

START_TEST(each_request_takes_what_is_its_own)
{
	static char word[][16] = { "aws:kms", "id",	    "STANDARD_IA",
				   "private", "a=b",	    "text/plain",
				   "key",     "md5" };
	const struct s3_extra x = { .sse = word[0],
				    .kms_key_id = word[1],
				    .storage_class = word[2],
				    .acl = word[3],
				    .tags = word[4],
				    .content_type = word[5],
				    .customer_key = word[6],
				    .customer_md5 = word[7],
				    .requester_pays = true };
	struct sign_pair got[S3_EXTRA_MAX];
	struct s3_req q = request((size_t)_i);
	size_t n = s3_extra_headers(&x, &q, got), i, k, wanted = 0;

	ck_assert_int_eq(s3_op_of(&q), table[_i].op);
	for (i = 0; i < ARRAY_SIZE(headers); i++) {
		if (!strchr(table[_i].has, headers[i].group))
			continue;
		wanted++;
		for (k = 0; k < n; k++)
			if (strcmp(got[k].name, headers[i].name) == 0)
				break;
		ck_assert_msg(k < n, "no %s", headers[i].name);
		ck_assert_str_eq(got[k].value, headers[i].value);
	}
	ck_assert_uint_eq(n, wanted);
}
END_TEST

START_TEST(what_nobody_asked_for_is_not_sent)
{
	const struct s3_extra x = { .sse = NULL };
	struct sign_pair got[S3_EXTRA_MAX];
	struct s3_req q = request((size_t)_i);

	ck_assert_uint_eq(s3_extra_headers(&x, &q, got), 0);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, each_request_takes_what_is_its_own, 0,
			    ARRAY_SIZE(table));
	tcase_add_loop_test(c, what_nobody_asked_for_is_not_sent, 0,
			    ARRAY_SIZE(table));
}

int main(void)
{
	return harness_run("s3_extra", add);
}
