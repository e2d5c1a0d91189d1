/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "az_err.h"

static const struct answer_code codes[] = {
	/* Who are you? */
	{ "AuthenticationFailed", ANSWER_AUTH },
	{ "InvalidAuthenticationInfo", ANSWER_AUTH },
	{ "NoAuthenticationInformation", -EACCES },
	/* What is there is not what it should be. */
	{ "BlobAlreadyExists", -EEXIST },
	{ "ConditionNotMet", ANSWER_CHANGED },
	{ "TargetConditionNotMet", ANSWER_CHANGED },
	{ "SourceConditionNotMet", -ESTALE },
	{ "ContainerNotFound", -ENOENT },
	/* Its blocks went with somebody else's commit: to be begun anew. */
	{ "InvalidBlockList", -ENOENT },
	/* Somebody holds it; he will let it go. */
	{ "LeaseAlreadyPresent", -EAGAIN },
	{ "LeaseIdMissing", -EAGAIN },
	/* The bytes are not those of the checksum. */
	{ "Crc64Mismatch", -EBADMSG },
	{ "Md5Mismatch", -EBADMSG },
	/* By a policy. */
	{ "AccountIsDisabled", -EACCES },
	{ "BlobArchived", -EACCES },
	{ "BlobBeingRehydrated", -EACCES },
	{ "BlobImmutableDueToPolicy", -EACCES },
	{ "PublicAccessNotPermitted", -EACCES },
	/* Never. */
	{ "BlobTypeNotSupported", -EINVAL },
	{ "InvalidBlobType", -EINVAL },
	{ "SnapshotsPresent", -EINVAL },
};

int az_err_of(const struct az_answer *a)
{
	if (a->status >= 200 && a->status < 300)
		return 0;
	if (a->status == 304)
		return answer_err(ANSWER_CHANGED, a->cond, a->is_settled);
	return answer_err(answer_meaning(codes, ARRAY_SIZE(codes), a->code,
					 a->status),
			  a->cond, a->is_settled);
}

bool az_err_is_cred(int status, const char *code)
{
	return status == 401 || strcmp(code, "AuthenticationFailed") == 0;
}
