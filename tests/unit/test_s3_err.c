/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>

#include "harness.h"
#include "store/s3_err.h"

static const struct {
	int status;
	const char *code;
	enum s3_cond cond;
	bool is_settled;
	int err;
} table[] = {
	{ 200, "", S3_COND_NONE, false, 0 },
	{ 206, "", S3_COND_MATCH, true, 0 },
	{ 204, "", S3_COND_NONE, true, 0 },
	/* Errors inside a success. */
	{ 200, "InternalError", S3_COND_NONE, true, -EAGAIN },
	{ 200, "SomethingNew", S3_COND_NONE, true, -EAGAIN },
	{ 200, "PreconditionFailed", S3_COND_ABSENT, true, -EEXIST },
	{ 200, "NoSuchUpload", S3_COND_MATCH, true, -ENOENT },
	/* Absence. */
	{ 404, "NoSuchKey", S3_COND_NONE, true, -ENOENT },
	{ 404, "", S3_COND_NONE, true, -ENOENT },
	{ 404, "NoSuchKey", S3_COND_ABSENT, true, -ENOENT },
	{ 404, "NoSuchKey", S3_COND_MATCH, true, -ESTALE },
	{ 404, "", S3_COND_MATCH, true, -ESTALE },
	{ 404, "NoSuchUpload", S3_COND_MATCH, true, -ENOENT },
	{ 404, "NoSuchBucket", S3_COND_MATCH, true, -ENOENT },
	/* Conditions. */
	{ 412, "PreconditionFailed", S3_COND_ABSENT, true, -EEXIST },
	{ 412, "PreconditionFailed", S3_COND_MATCH, true, -ESTALE },
	{ 412, "", S3_COND_MATCH, true, -ESTALE },
	{ 409, "ConditionalRequestConflict", S3_COND_MATCH, true, -EAGAIN },
	{ 409, "", S3_COND_ABSENT, true, -EAGAIN },
	{ 409, "OperationAborted", S3_COND_NONE, true, -EAGAIN },
	/* Names that a server of real folders cannot hold. */
	{ 409, "ObjectParentIsFile", S3_COND_NONE, true, -EINVAL },
	{ 409, "ExistingObjectIsDirectory", S3_COND_NONE, true, -EINVAL },
	{ 400, "DirectoryObjectContainsData", S3_COND_NONE, true, -EINVAL },
	/* Refusals: of this, and of whoever asks. */
	{ 403, "AccessDenied", S3_COND_NONE, true, -EACCES },
	{ 403, "", S3_COND_NONE, true, -EACCES },
	{ 401, "", S3_COND_NONE, true, -EACCES },
	{ 400, "ExpiredToken", S3_COND_NONE, false, -EACCES },
	{ 400, "ExpiredToken", S3_COND_NONE, true, -EAGAIN },
	{ 403, "SignatureDoesNotMatch", S3_COND_NONE, false, -EACCES },
	{ 403, "SignatureDoesNotMatch", S3_COND_NONE, true, -EAGAIN },
	{ 403, "RequestTimeTooSkewed", S3_COND_NONE, true, -EAGAIN },
	{ 301, "PermanentRedirect", S3_COND_NONE, true, -EACCES },
	/* Never. */
	{ 400, "", S3_COND_NONE, true, -EINVAL },
	{ 400, "InvalidArgument", S3_COND_NONE, true, -EINVAL },
	{ 400, "EntityTooSmall", S3_COND_NONE, true, -EINVAL },
	{ 400, "KeyTooLongError", S3_COND_NONE, true, -EINVAL },
	{ 411, "", S3_COND_NONE, true, -EINVAL },
	{ 413, "EntityTooLarge", S3_COND_NONE, true, -EINVAL },
	{ 416, "InvalidRange", S3_COND_NONE, true, -EINVAL },
	{ 405, "MethodNotAllowed", S3_COND_NONE, true, -EOPNOTSUPP },
	{ 501, "NotImplemented", S3_COND_NONE, true, -EOPNOTSUPP },
	/* The bytes. */
	{ 400, "BadDigest", S3_COND_NONE, true, -EBADMSG },
	{ 400, "XAmzContentChecksumMismatch", S3_COND_NONE, true, -EBADMSG },
	{ 400, "XAmzContentSHA256Mismatch", S3_COND_NONE, true, -EBADMSG },
	/* Later. */
	{ 400, "RequestTimeout", S3_COND_NONE, true, -EAGAIN },
	{ 403, "RequestThrottled", S3_COND_NONE, true, -EAGAIN },
	{ 408, "", S3_COND_NONE, true, -EAGAIN },
	{ 429, "", S3_COND_NONE, true, -EAGAIN },
	{ 500, "InternalError", S3_COND_MATCH, true, -EAGAIN },
	{ 502, "", S3_COND_NONE, true, -EAGAIN },
	{ 503, "SlowDown", S3_COND_NONE, true, -EAGAIN },
	{ 503, "", S3_COND_NONE, true, -EAGAIN },
	{ 522, "", S3_COND_NONE, true, -EAGAIN },
	{ 507, "", S3_COND_NONE, true, -ENOSPC },
	{ 403, "QuotaExceeded", S3_COND_NONE, true, -ENOSPC },
	/* Nonsense. */
	{ 0, "", S3_COND_NONE, true, -EPROTO },
	{ 304, "", S3_COND_NONE, true, -EPROTO },
	{ 999, "", S3_COND_NONE, true, -EPROTO },
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
