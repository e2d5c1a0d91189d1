/* SPDX-License-Identifier: Apache-2.0 */
/* Is everything in the bucket, for scripts. */
#include "config.h"

#include <string.h>

#include "ckptfs/cli.h"
#include "ckptfs/text.h"

#include "status.h"

bool status_is_stuck(const char *state)
{
	static const char *const stuck[] = { "unfinished", "torn", "parked",
					     "conflict", "poisoned" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(stuck); i++)
		if (strcmp(state, stuck[i]) == 0)
			return true;
	return false;
}

int status_verdict(FILE *f, const struct json *doc, const char *top)
{
	const struct json *queue = json_get(doc, "queue");
	const char *path, *state;
	bool failed = false, unread = false, at_risk;
	size_t i, n = json_len(queue);
	int status = CLI_DONE;

	if (json_get_bool(json_get(doc, "cache"), "failed", &failed) == 0 &&
	    failed)
		status = CLI_FAILED;
	if (json_get_bool(doc, "queue_incomplete", &unread) == 0 && unread)
		status = CLI_FAILED;
	for (i = 0; i < n; i++) {
		const struct json *item = json_at(queue, i);

		path = json_get_str(item, "path");
		state = json_get_str(item, "state");
		if (!path || !state || !text_is_under(path, top) ||
		    json_get_bool(item, "at_risk", &at_risk) < 0 ||
		    !(at_risk || status_is_stuck(state)))
			continue;
		if (status_is_stuck(state))
			status = CLI_FAILED;
		else if (status == CLI_DONE)
			status = CLI_TIMEOUT;
		if (f)
			status_print_left(f, item);
	}
	if (f && failed)
		(void)fputs("the cache disk failed: no new data is taken\n", f);
	if (f && unread)
		(void)fputs("the cache disk does not say all that waits\n", f);
	return status;
}
