/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "s3_err.h"

/* Marks in the tables below, beside errnos. */
enum {
	AUTH = 1, /* the credential as such, not what it is used for */
	GONE, /* what was asked for is not there */
	CHANGED, /* a condition does not hold */
};

/* Codes that say more than the status they come with. */
static const struct {
	const char *code;
	int meaning;
} codes[] = {
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
	{ "AuthorizationHeaderMalformed", AUTH },
	{ "ExpiredToken", AUTH },
	{ "ExpiredTokenException", AUTH },
	{ "InvalidAccessKeyId", AUTH },
	{ "InvalidToken", AUTH },
	{ "RequestExpired", AUTH },
	{ "RequestTimeTooSkewed", AUTH },
	{ "SignatureDoesNotMatch", AUTH },
	{ "TokenRefreshRequired", AUTH },
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
	{ "NoSuchKey", GONE },
	{ "NoSuchUpload", -ENOENT },
	{ "NoSuchVersion", GONE },
	{ "PreconditionFailed", CHANGED },
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

static int meaning_of_status(int status)
{
	switch (status) {
	case 301:
	case 401:
	case 402:
	case 403:
	case 451:
		return -EACCES;
	case 404:
	case 410:
		return GONE;
	case 405:
	case 501:
		return -EOPNOTSUPP;
	case 409: /* a race, unless the code said otherwise */
	case 302:
	case 307:
	case 308:
	case 408:
	case 421:
	case 425:
	case 429:
		return -EAGAIN;
	case 412:
		return CHANGED;
	case 507:
		return -ENOSPC;
	default:
		break;
	}
	if (status >= 400 && status < 500)
		return -EINVAL;
	return status >= 500 && status < 600 ? -EAGAIN : -EPROTO;
}

static int meaning_of(const struct s3_answer *a)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(codes); i++)
		if (strcmp(a->code, codes[i].code) == 0)
			return codes[i].meaning;
	return meaning_of_status(a->status);
}

int s3_err_of(const struct s3_answer *a)
{
	int m;

	if (a->status >= 200 && a->status < 300 && !*a->code)
		return 0;
	/* An error inside a success is a fault of the server, unless its code
	 * tells better. */
	m = meaning_of(a);
	if (m == -EPROTO && a->status >= 200 && a->status < 300)
		return -EAGAIN;
	switch (m) {
	case AUTH:
		return a->is_settled ? -EAGAIN : -EACCES;
	case GONE:
		return a->cond == S3_COND_MATCH ? -ESTALE : -ENOENT;
	case CHANGED:
		return a->cond == S3_COND_ABSENT ? -EEXIST : -ESTALE;
	default:
		return m;
	}
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
