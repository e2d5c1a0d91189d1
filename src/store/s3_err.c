/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "s3_err.h"

/* Codes that say more than the status they come with. */
static const struct answer_code codes[] = {
	/* Later, please. */
	{ "BandwidthLimitExceeded", -EAGAIN },
	{ "ConditionalRequestConflict", -EAGAIN },
	{ "IncompleteBody", -EAGAIN },
	{ "InternalError", -EAGAIN },
	{ "OperationAborted", -EAGAIN },
	{ "PriorRequestNotComplete", -EAGAIN },
	{ "RequestLimitExceeded", -EAGAIN },
	{ "RequestThrottled", -EAGAIN },
	{ "RequestThrottledException", -EAGAIN },
	{ "RequestTimeout", -EAGAIN },
	{ "RequestTimeoutException", -EAGAIN },
	{ "ServiceUnavailable", -EAGAIN },
	{ "SlowDown", -EAGAIN },
	{ "SlowDownRead", -EAGAIN },
	{ "SlowDownWrite", -EAGAIN },
	{ "TemporaryRedirect", -EAGAIN },
	{ "Throttling", -EAGAIN },
	{ "ThrottlingException", -EAGAIN },
	{ "TooManyRequestsException", -EAGAIN },
	{ "TransactionInProgressException", -EAGAIN },
	/* Who are you? */
	{ "AuthorizationHeaderMalformed", ANSWER_AUTH },
	{ "ExpiredToken", ANSWER_AUTH },
	{ "ExpiredTokenException", ANSWER_AUTH },
	{ "InvalidAccessKeyId", ANSWER_AUTH },
	{ "InvalidToken", ANSWER_AUTH },
	{ "RequestExpired", ANSWER_AUTH },
	{ "RequestTimeTooSkewed", ANSWER_AUTH },
	{ "SignatureDoesNotMatch", ANSWER_AUTH },
	{ "TokenRefreshRequired", ANSWER_AUTH },
	{ "AccessDenied", -EACCES },
	{ "AccountProblem", -EACCES },
	{ "AllAccessDisabled", -EACCES },
	{ "InvalidObjectState", -EACCES },
	/* The bytes are not those of the checksum. */
	{ "BadDigest", -EBADMSG },
	{ "ChecksumMismatch", -EBADMSG },
	{ "XAmzContentChecksumMismatch", -EBADMSG },
	{ "XAmzContentSHA256Mismatch", -EBADMSG },
	/* Not there. */
	{ "NoSuchBucket", -ENOENT },
	{ "NoSuchKey", ANSWER_GONE },
	{ "NoSuchUpload", -ENOENT },
	{ "NoSuchVersion", ANSWER_GONE },
	{ "PreconditionFailed", ANSWER_CHANGED },
	/* Full. */
	{ "InsufficientStorage", -ENOSPC },
	{ "QuotaExceeded", -ENOSPC },
	{ "XMinioStorageFull", -ENOSPC },
	{ "XMinioAdminBucketQuotaExceeded", -ENOSPC },
	/* Never. */
	{ "EntityTooLarge", -EINVAL },
	{ "EntityTooSmall", -EINVAL },
	{ "InvalidArgument", -EINVAL },
	{ "InvalidBucketName", -EINVAL },
	{ "InvalidPart", -EINVAL },
	{ "InvalidPartOrder", -EINVAL },
	{ "InvalidRange", -EINVAL },
	{ "InvalidRequest", -EINVAL },
	{ "KeyTooLongError", -EINVAL },
	{ "MalformedXML", -EINVAL },
	{ "MetadataTooLarge", -EINVAL },
	/* versitygw keeps objects as files: names collide with folders. */
	{ "DirectoryObjectContainsData", -EINVAL },
	{ "ExistingObjectIsDirectory", -EINVAL },
	{ "ObjectParentIsFile", -EINVAL },
	{ "MethodNotAllowed", -EOPNOTSUPP },
	{ "NotImplemented", -EOPNOTSUPP },
};

static int meaning_of(const struct s3_answer *a)
{
	int m = answer_meaning(codes, ARRAY_SIZE(codes), a->code, a->status);

	if (m != -EPROTO)
		return m;
	/* An error inside a success is a fault of the server, unless its code
	 * tells better. */
	if (a->status >= 200 && a->status < 300)
		return -EAGAIN;
	if (a->status == 301) /* another region, and nobody says which */
		return -EACCES;
	return a->status == 308 ? -EAGAIN : m;
}

int s3_err_of(const struct s3_answer *a)
{
	if (a->status >= 200 && a->status < 300 && !*a->code)
		return 0;
	return answer_err(meaning_of(a), a->cond, a->is_settled);
}

enum s3_remedy s3_remedy_of(const struct s3_answer *a)
{
	static const char *const stale[] = {
		"ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId",
		"InvalidToken", "RequestExpired",	 "TokenRefreshRequired"
	};
	size_t i;

	if (strcmp(a->code, "RequestTimeTooSkewed") == 0)
		return S3_REMEDY_CLOCK;
	for (i = 0; i < ARRAY_SIZE(stale); i++)
		if (strcmp(a->code, stale[i]) == 0)
			return S3_REMEDY_CRED;
	/* HEAD in the wrong region is refused without a word. */
	if (a->status == 301 || a->status == 307 || a->status == 400 ||
	    strcmp(a->code, "AuthorizationHeaderMalformed") == 0)
		return S3_REMEDY_REGION;
	return S3_REMEDY_NONE;
}
