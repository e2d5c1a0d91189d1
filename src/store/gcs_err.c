/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "gcs_err.h"

/* Marks in the tables below, beside errnos. */
enum {
	AUTH = 1, /* the credential as such, not what it is used for */
	GONE, /* what was asked for is not there */
	CHANGED, /* a condition does not hold */
};

/* Reasons that say more than the status they come with. */
static const struct {
	const char *reason;
	int meaning;
} reasons[] = {
	{ "backendError", -EAGAIN },
	{ "internalError", -EAGAIN },
	{ "rateLimitExceeded", -EAGAIN },
	{ "userRateLimitExceeded", -EAGAIN },
	{ "dailyLimitExceeded", -EAGAIN },
	{ "conditionNotMet", CHANGED },
};

static int meaning_of_status(int status)
{
	switch (status) {
	case 401:
		return AUTH;
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
	case 302:
	case 307:
	case 408:
	case 409: /* a race */
	case 421:
	case 425:
	case 429:
		return -EAGAIN;
	case 304:
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

/* Of all that is wrong with a request only the words tell that it is this. */
static bool is_wrong_crc(const struct gcs_answer *a)
{
	return a->has_crc && a->status == 400 &&
	       strcasestr(a->message, "crc32c");
}

static int meaning_of(const struct gcs_answer *a)
{
	size_t i;

	if (is_wrong_crc(a))
		return -EBADMSG;
	for (i = 0; i < ARRAY_SIZE(reasons); i++)
		if (strcmp(a->reason, reasons[i].reason) == 0)
			return reasons[i].meaning;
	return meaning_of_status(a->status);
}

int gcs_err_of(const struct gcs_answer *a)
{
	int m;

	if (a->status >= 200 && a->status < 300)
		return 0;
	m = meaning_of(a);
	switch (m) {
	case AUTH:
		return a->is_settled ? -EAGAIN : -EACCES;
	case GONE:
		return a->cond == GCS_COND_MATCH ? -ESTALE : -ENOENT;
	case CHANGED:
		return a->cond == GCS_COND_ABSENT ? -EEXIST : -ESTALE;
	default:
		return m;
	}
}

bool gcs_err_is_token(const struct gcs_answer *a)
{
	return a->status == 401;
}
