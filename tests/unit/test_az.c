/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/az.h"
#include "store/az_err.h"
#include "store/endpoint.h"

#include "harness.h"

/* What the service's answers mean; docs: "Common REST API error codes". */
static const struct {
	int status;
	const char *code;
	enum answer_cond cond;
	int first, later; /* before and after the credential has worked */
} answers[] = {
	{ 201, "", ANSWER_NO_COND, 0, 0 },
	{ 202, "", ANSWER_IF_MATCH, 0, 0 },
	{ 304, "ConditionNotMet", ANSWER_IF_MATCH, -ESTALE, -ESTALE },
	{ 400, "", ANSWER_NO_COND, -EINVAL, -EINVAL },
	{ 400, "Crc64Mismatch", ANSWER_NO_COND, -EBADMSG, -EBADMSG },
	{ 400, "Md5Mismatch", ANSWER_NO_COND, -EBADMSG, -EBADMSG },
	{ 400, "InvalidBlockList", ANSWER_IF_MATCH, -ENOENT, -ENOENT },
	{ 401, "InvalidAuthenticationInfo", ANSWER_NO_COND, -EACCES, -EAGAIN },
	{ 401, "NoAuthenticationInformation", ANSWER_NO_COND, -EACCES,
	  -EACCES },
	{ 403, "AuthenticationFailed", ANSWER_NO_COND, -EACCES, -EAGAIN },
	{ 403, "AuthorizationPermissionMismatch", ANSWER_NO_COND, -EACCES,
	  -EACCES },
	{ 404, "BlobNotFound", ANSWER_NO_COND, -ENOENT, -ENOENT },
	{ 404, "BlobNotFound", ANSWER_IF_MATCH, -ESTALE, -ESTALE },
	{ 404, "ContainerNotFound", ANSWER_IF_MATCH, -ENOENT, -ENOENT },
	{ 409, "BlobAlreadyExists", ANSWER_IF_ABSENT, -EEXIST, -EEXIST },
	{ 409, "BlobArchived", ANSWER_NO_COND, -EACCES, -EACCES },
	{ 409, "BlobImmutableDueToPolicy", ANSWER_NO_COND, -EACCES, -EACCES },
	{ 409, "PendingCopyOperation", ANSWER_NO_COND, -EAGAIN, -EAGAIN },
	{ 412, "ConditionNotMet", ANSWER_IF_MATCH, -ESTALE, -ESTALE },
	{ 412, "TargetConditionNotMet", ANSWER_IF_ABSENT, -EEXIST, -EEXIST },
	{ 412, "SourceConditionNotMet", ANSWER_IF_ABSENT, -ESTALE, -ESTALE },
	{ 412, "LeaseIdMissing", ANSWER_IF_MATCH, -EAGAIN, -EAGAIN },
	{ 416, "InvalidRange", ANSWER_IF_MATCH, -EINVAL, -EINVAL },
	{ 500, "InternalError", ANSWER_NO_COND, -EAGAIN, -EAGAIN },
	{ 500, "OperationTimedOut", ANSWER_NO_COND, -EAGAIN, -EAGAIN },
	{ 503, "ServerBusy", ANSWER_NO_COND, -EAGAIN, -EAGAIN },
	{ 100, "", ANSWER_NO_COND, -EPROTO, -EPROTO },
};

START_TEST(answers_mean_what_the_service_says)
{
	struct az_answer a = { .status = answers[_i].status,
			       .code = answers[_i].code,
			       .cond = answers[_i].cond };

	ck_assert_int_eq(az_err_of(&a), answers[_i].first);
	a.is_settled = true;
	ck_assert_int_eq(az_err_of(&a), answers[_i].later);
}
END_TEST

START_TEST(another_credential_helps_where_this_one_is_refused)
{
	ck_assert(az_err_is_cred(401, ""));
	ck_assert(az_err_is_cred(403, "AuthenticationFailed"));
	ck_assert(!az_err_is_cred(403, "AuthorizationFailure"));
	ck_assert(!az_err_is_cred(404, "BlobNotFound"));
}
END_TEST

START_TEST(block_ids_tell_upload_number_and_checksum)
{
	const unsigned numbers[] = { 1, 42, AZ_PARTS_MAX };
	struct az_block b, back;
	char id[AZ_ID_LEN + 1], text[AZ_BLOCK_LEN + 1];

	az_id_make("a/b", id);
	ck_assert(az_id_is_of(id, "a/b"));
	ck_assert(!az_id_is_of(id, "a/c"));
	ck_assert(!az_id_is_of("", "a/b"));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		b.number = numbers[i];
		b.crc64 = 0x0123456789abcdef >> 13 * i;
		memcpy(b.upload, id, sizeof(id));
		az_block_encode(&b, text);
		ck_assert_uint_eq(strlen(text), AZ_BLOCK_LEN);
		ck_assert(az_block_decode(text, &back));
		ck_assert_str_eq(back.upload, id);
		ck_assert_uint_eq(back.number, b.number);
		ck_assert_uint_eq(back.crc64, b.crc64);
	}
}
END_TEST

static const char *const foreign[] = {
	"",
	"QUFBQUFB", /* another tool's, shorter */
	"not base64",
	/* of our length, but no hex; and part 00000 */
	"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4",
	"MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw",
};

START_TEST(blocks_of_others_are_not_ours)
{
	struct az_block b;

	ck_assert(!az_block_decode(foreign[_i], &b));
}
END_TEST

START_TEST(a_checksum_has_its_least_byte_first)
{
	char text[AZ_CRC_LEN];
	uint64_t crc = 0;

	/* "123456789"; big-endian bytes, as S3 has them, begin with rosU. */
	az_crc_encode(UINT64_C(0xae8b14860a799888), text);
	ck_assert_str_eq(text, "iJh5CoYUi64=");
	ck_assert(az_crc_decode(text, &crc));
	ck_assert_uint_eq(crc, UINT64_C(0xae8b14860a799888));
	ck_assert(!az_crc_decode("AAAA", &crc));
	ck_assert(!az_crc_decode("", &crc));
}
END_TEST

static const struct {
	const char *in, *out; /* NULL: refused */
} etags[] = {
	{ "\"0x8D\"", "0x8D" }, { "0x8D", "0x8D" }, { "W/\"0x8D\"", "0x8D" },
	{ "\"\"", NULL },	{ "", NULL },	    { "\"a\"b\"", NULL },
};

START_TEST(etags_come_with_and_without_quotes)
{
	char etag[STORE_ETAG_MAX] = "";

	ck_assert_int_eq(az_etag_decode(etags[_i].in, etag), !!etags[_i].out);
	if (etags[_i].out)
		ck_assert_str_eq(etag, etags[_i].out);
}
END_TEST

static const struct {
	const char *endpoint, *base, *path; /* base NULL: refused */
	bool creds, is_azure;
} wheres[] = {
	{ NULL, "https://acc.blob.core.windows.net", "", true, true },
	{ "https://acc.blob.core.windows.net/",
	  "https://acc.blob.core.windows.net", "", true, true },
	{ "https://acc.blob.core.chinacloudapi.cn",
	  "https://acc.blob.core.chinacloudapi.cn", "", true, true },
	{ "http://127.0.0.1:10000", "http://127.0.0.1:10000", "/acc", true,
	  false },
	{ "http://127.0.0.1:10000/acc/", "http://127.0.0.1:10000", "/acc",
	  true, false },
	{ "http://host:1", NULL, NULL, true, false },
	{ "http://host:1", "http://host:1", "/acc", false, false },
	{ "ftp://host", NULL, NULL, false, false },
	{ "https://user@host", NULL, NULL, false, false },
};

START_TEST(an_endpoint_that_does_not_name_the_account_has_it_in_the_path)
{
	struct store_az_opts o = { .account = "acc",
				   .endpoint_url = wheres[_i].endpoint };
	struct az_where w = { .base = NULL };
	int r;

	if (wheres[_i].creds) /* not looked at here */
		o.creds = (struct cred_chain *)&w;
	r = az_where_init(&o, &w);
	ck_assert_int_eq(r, wheres[_i].base ? 0 : -EINVAL);
	if (r)
		return;
	ck_assert_str_eq(w.base, wheres[_i].base);
	ck_assert_str_eq(w.path, wheres[_i].path);
	ck_assert_int_eq(w.is_azure, wheres[_i].is_azure);
	az_where_release(&w);
}
END_TEST

struct order {
	char text[64];
};

static int note(void *arg, const struct az_entry *e)
{
	struct order *o = arg;
	const size_t n = strlen(o->text);

	snprintf(o->text + n, sizeof(o->text) - n, "%s%s ", e->key,
		 e->is_prefix ? "*" : "");
	return 0;
}

/* "a-b" sorts between "a" and "a/". */
START_TEST(markers_are_given_where_they_sort)
{
	static const char *const keys[] = { "a", "a-b", "a-b.c", "a.txt",
					    "ab", "z" };
	const bool delimited = _i;
	struct order o = { "" };
	struct az_folders f = { .fn = note, .arg = &o, .delimited = delimited };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const struct az_entry e = { .key = (char *)(uintptr_t)keys[i],
					    .is_folder = i < 2 || i == 5 };

		ck_assert_int_eq(az_folders_take(&f, &e), 0);
	}
	ck_assert_int_eq(az_folders_end(&f, 0), 0);
	ck_assert_str_eq(o.text, delimited ?
					 "a-b.c a-b/* a.txt a/* ab z/* " :
					 "a-b.c a-b/ a.txt a/ ab z/ ");
}
END_TEST

#define EACH(test, rows)                                                       \
	tcase_add_loop_test(c, test, 0, (int)ARRAY_SIZE(rows))

static void add(TCase *c)
{
	EACH(answers_mean_what_the_service_says, answers);
	tcase_add_test(c, another_credential_helps_where_this_one_is_refused);
	tcase_add_test(c, block_ids_tell_upload_number_and_checksum);
	EACH(blocks_of_others_are_not_ours, foreign);
	tcase_add_test(c, a_checksum_has_its_least_byte_first);
	EACH(etags_come_with_and_without_quotes, etags);
	tcase_add_loop_test(c, markers_are_given_where_they_sort, 0, 2);
	EACH(an_endpoint_that_does_not_name_the_account_has_it_in_the_path,
	     wheres);
}

int main(void)
{
	return harness_run("az", add);
}
