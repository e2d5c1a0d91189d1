/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "answer.h"

int answer_of_status(int status)
{
	switch (status) {
	case 401:
	case 402:
	case 403:
	case 451:
		return -EACCES;
	case 404:
	case 410:
		return ANSWER_GONE;
	case 405:
	case 501:
		return -EOPNOTSUPP;
	case 409: /* a race, unless a code says otherwise */
	case 302:
	case 307:
	case 408:
	case 421:
	case 425:
	case 429:
		return -EAGAIN;
	case 412:
		return ANSWER_CHANGED;
	case 507:
		return -ENOSPC;
	default:
		break;
	}
	if (status >= 400 && status < 500)
		return -EINVAL;
	return status >= 500 && status < 600 ? -EAGAIN : -EPROTO;
}

int answer_meaning(const struct answer_code *codes, size_t n, const char *code,
		   int status)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(code, codes[i].code) == 0)
			return codes[i].meaning;
	return answer_of_status(status);
}

int answer_err(int meaning, enum answer_cond cond, bool is_settled)
{
	switch (meaning) {
	case ANSWER_AUTH:
		return is_settled ? -EAGAIN : -EACCES;
	case ANSWER_GONE:
		return cond == ANSWER_IF_MATCH ? -ESTALE : -ENOENT;
	case ANSWER_CHANGED:
		return cond == ANSWER_IF_ABSENT ? -EEXIST : -ESTALE;
	default:
		return meaning;
	}
}
