/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "gcs_err.h"

/* Reasons that say more than the status they come with. */
static const struct answer_code reasons[] = {
	{ "backendError", -EAGAIN },
	{ "internalError", -EAGAIN },
	{ "rateLimitExceeded", -EAGAIN },
	{ "userRateLimitExceeded", -EAGAIN },
	{ "dailyLimitExceeded", -EAGAIN },
	{ "conditionNotMet", ANSWER_CHANGED },
};

/* Of all that is wrong with a request only the words tell that it is this. */
static bool is_wrong_crc(const struct gcs_answer *a)
{
	return a->has_crc && a->status == 400 &&
	       strcasestr(a->message, "crc32c");
}

static int meaning_of(const struct gcs_answer *a)
{
	int m;

	if (is_wrong_crc(a))
		return -EBADMSG;
	m = answer_meaning(reasons, ARRAY_SIZE(reasons), a->reason, a->status);
	if (m == -EACCES && a->status == 401)
		return ANSWER_AUTH;
	return m == -EPROTO && a->status == 304 ? ANSWER_CHANGED : m;
}

int gcs_err_of(const struct gcs_answer *a)
{
	if (a->status >= 200 && a->status < 300)
		return 0;
	return answer_err(meaning_of(a), a->cond, a->is_settled);
}

bool gcs_err_is_token(const struct gcs_answer *a)
{
	return a->status == 401;
}
