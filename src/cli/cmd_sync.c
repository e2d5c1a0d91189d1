/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "ckptfs/clock.h"
#include "ckptfs/json.h"

#include "cmd.h"

static void print_help(void)
{
	(void)puts("usage: ckptfs sync PATH… [--timeout TIME]\n\n"
		   "Wait until everything under each PATH that was finished "
		   "before is in the bucket,\nverified and recorded.  What "
		   "cannot get there is listed, with the reason.\n\n"
		   "  --timeout TIME  give up after so long (ms s m h)\n\n"
		   "Exit status: 0 it is there, 1 something is not, 2 wrong "
		   "usage, 3 timed out.");
}

static int sync_one(const char *path, int64_t deadline)
{
	struct cmd_target t;
	struct json *answer = NULL;
	char *line = NULL;
	int status = cmd_target_open(path, &t);

	if (status != CLI_DONE)
		return status;
	status = cmd_ask(t.client, "sync", t.rest, cmd_left(deadline), true,
			 &line, &answer);
	if (status == CLI_DONE)
		status = cmd_verdict(answer);
	if (status == CLI_TIMEOUT)
		cmd_say("%s: timed out", path);
	json_free(answer);
	free(line);
	cmd_target_close(&t);
	return status;
}

int cmd_sync(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "timeout", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	int64_t timeout = CLK_NEVER, deadline = CLK_NEVER;
	int c, i, one, status = CLI_DONE;

	while ((c = getopt_long(argc, argv, "ht:", longs, NULL)) != -1) {
		if (c == 'h') {
			print_help();
			return CLI_DONE;
		}
		if (c != 't')
			return cmd_usage("sync", "that is no way to call it");
		if (!cmd_timeout("sync", optarg, &timeout))
			return CLI_USAGE;
	}
	if (optind >= argc)
		return cmd_usage("sync", "which PATH?");
	if (timeout != CLK_NEVER)
		deadline = clk_mono(&clk_system) + timeout;
	for (i = optind; i < argc; i++) {
		one = sync_one(argv[i], deadline);
		/* A failure outweighs a time-out. */
		if (one != CLI_DONE && status != CLI_FAILED)
			status = one;
	}
	return status;
}
