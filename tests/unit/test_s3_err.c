/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>

#include "harness.h"
#include "store/s3_err.h"

static const struct {
	int status;
	const char *code;
	enum answer_cond cond;
	bool is_settled;
	int err;
} table[] = {
	{ 200, "", ANSWER_NO_COND, false, 0 },
	{ 206, "", ANSWER_IF_MATCH, true, 0 },
	{ 204, "", ANSWER_NO_COND, true, 0 },
	/* Errors inside a success. */
	{ 200, "InternalError", ANSWER_NO_COND, true, -EAGAIN },
	{ 200, "SomethingNew", ANSWER_NO_COND, true, -EAGAIN },
	{ 200, "PreconditionFailed", ANSWER_IF_ABSENT, true, -EEXIST },
	{ 200, "NoSuchUpload", ANSWER_IF_MATCH, true, -ENOENT },
	/* Absence. */
	{ 404, "NoSuchKey", ANSWER_NO_COND, true, -ENOENT },
	{ 404, "", ANSWER_NO_COND, true, -ENOENT },
	{ 404, "NoSuchKey", ANSWER_IF_ABSENT, true, -ENOENT },
	{ 404, "NoSuchKey", ANSWER_IF_MATCH, true, -ESTALE },
	{ 404, "", ANSWER_IF_MATCH, true, -ESTALE },
	{ 404, "NoSuchUpload", ANSWER_IF_MATCH, true, -ENOENT },
	{ 404, "NoSuchBucket", ANSWER_IF_MATCH, true, -ENOENT },
	/* Conditions. */
	{ 412, "PreconditionFailed", ANSWER_IF_ABSENT, true, -EEXIST },
	{ 412, "PreconditionFailed", ANSWER_IF_MATCH, true, -ESTALE },
	{ 412, "", ANSWER_IF_MATCH, true, -ESTALE },
	{ 409, "ConditionalRequestConflict", ANSWER_IF_MATCH, true, -EAGAIN },
	{ 409, "", ANSWER_IF_ABSENT, true, -EAGAIN },
	{ 409, "OperationAborted", ANSWER_NO_COND, true, -EAGAIN },
	/* Names that a server of real folders cannot hold. */
	{ 409, "ObjectParentIsFile", ANSWER_NO_COND, true, -EINVAL },
	{ 409, "ExistingObjectIsDirectory", ANSWER_NO_COND, true, -EINVAL },
	{ 400, "DirectoryObjectContainsData", ANSWER_NO_COND, true, -EINVAL },
	/* Refusals: of this, and of whoever asks. */
	{ 403, "AccessDenied", ANSWER_NO_COND, true, -EACCES },
	{ 403, "", ANSWER_NO_COND, true, -EACCES },
	{ 401, "", ANSWER_NO_COND, true, -EACCES },
	{ 400, "ExpiredToken", ANSWER_NO_COND, false, -EACCES },
	{ 400, "ExpiredToken", ANSWER_NO_COND, true, -EAGAIN },
	{ 403, "SignatureDoesNotMatch", ANSWER_NO_COND, false, -EACCES },
	{ 403, "SignatureDoesNotMatch", ANSWER_NO_COND, true, -EAGAIN },
	{ 403, "RequestTimeTooSkewed", ANSWER_NO_COND, true, -EAGAIN },
	{ 301, "PermanentRedirect", ANSWER_NO_COND, true, -EACCES },
	/* Never. */
	{ 400, "", ANSWER_NO_COND, true, -EINVAL },
	{ 400, "InvalidArgument", ANSWER_NO_COND, true, -EINVAL },
	{ 400, "EntityTooSmall", ANSWER_NO_COND, true, -EINVAL },
	{ 400, "KeyTooLongError", ANSWER_NO_COND, true, -EINVAL },
	{ 411, "", ANSWER_NO_COND, true, -EINVAL },
	{ 413, "EntityTooLarge", ANSWER_NO_COND, true, -EINVAL },
	{ 416, "InvalidRange", ANSWER_NO_COND, true, -EINVAL },
	{ 405, "MethodNotAllowed", ANSWER_NO_COND, true, -EOPNOTSUPP },
	{ 501, "NotImplemented", ANSWER_NO_COND, true, -EOPNOTSUPP },
	/* The bytes. */
	{ 400, "BadDigest", ANSWER_NO_COND, true, -EBADMSG },
	{ 400, "XAmzContentChecksumMismatch", ANSWER_NO_COND, true, -EBADMSG },
	{ 400, "XAmzContentSHA256Mismatch", ANSWER_NO_COND, true, -EBADMSG },
	/* Later. */
	{ 400, "RequestTimeout", ANSWER_NO_COND, true, -EAGAIN },
	{ 403, "RequestThrottled", ANSWER_NO_COND, true, -EAGAIN },
	{ 408, "", ANSWER_NO_COND, true, -EAGAIN },
	{ 429, "", ANSWER_NO_COND, true, -EAGAIN },
	{ 500, "InternalError", ANSWER_IF_MATCH, true, -EAGAIN },
	{ 502, "", ANSWER_NO_COND, true, -EAGAIN },
	{ 503, "SlowDown", ANSWER_NO_COND, true, -EAGAIN },
	{ 503, "", ANSWER_NO_COND, true, -EAGAIN },
	{ 522, "", ANSWER_NO_COND, true, -EAGAIN },
	{ 507, "", ANSWER_NO_COND, true, -ENOSPC },
	{ 403, "QuotaExceeded", ANSWER_NO_COND, true, -ENOSPC },
	/* Nonsense. */
	{ 0, "", ANSWER_NO_COND, true, -EPROTO },
	{ 304, "", ANSWER_NO_COND, true, -EPROTO },
	{ 999, "", ANSWER_NO_COND, true, -EPROTO },
};

START_TEST(an_answer_has_one_meaning)
{
	struct s3_answer a = { .status = table[_i].status,
			       .code = table[_i].code,
			       .cond = table[_i].cond,
			       .is_settled = table[_i].is_settled };

	ck_assert_msg(s3_err_of(&a) == table[_i].err,
		      "%d %s cond %d settled %d: %d, not %d", a.status, a.code,
		      a.cond, a.is_settled, s3_err_of(&a), table[_i].err);
}
END_TEST

static const struct {
	int status;
	const char *code;
	enum s3_remedy remedy;
} remedies[] = {
	{ 403, "RequestTimeTooSkewed", S3_REMEDY_CLOCK },
	{ 400, "ExpiredToken", S3_REMEDY_CRED },
	{ 403, "InvalidAccessKeyId", S3_REMEDY_CRED },
	{ 400, "AuthorizationHeaderMalformed", S3_REMEDY_REGION },
	{ 301, "PermanentRedirect", S3_REMEDY_REGION },
	{ 400, "", S3_REMEDY_REGION },
	{ 403, "AccessDenied", S3_REMEDY_NONE },
	{ 503, "SlowDown", S3_REMEDY_NONE },
	{ 404, "NoSuchKey", S3_REMEDY_NONE },
};

START_TEST(what_can_be_mended_is_known)
{
	struct s3_answer a = { .status = remedies[_i].status,
			       .code = remedies[_i].code };

	ck_assert_int_eq(s3_remedy_of(&a), remedies[_i].remedy);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, an_answer_has_one_meaning, 0, ARRAY_SIZE(table));
	tcase_add_loop_test(c, what_can_be_mended_is_known, 0,
			    ARRAY_SIZE(remedies));
}

int main(void)
{
	return harness_run("s3_err", add);
}
