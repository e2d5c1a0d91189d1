/* SPDX-License-Identifier: Apache-2.0 */
/* ckptfs prefetch, ckptfs evict. */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "ckptfs/clock.h"
#include "ckptfs/json.h"

#include "cmd.h"
#include "status.h"

struct bulk_cmd {
	const char *name, *did, *help;
};

static const struct bulk_cmd evict = {
	.name = "evict",
	.did = "evicted",
	.help = "usage: ckptfs evict PATH… [--timeout TIME]\n\n"
		"Free the cache disk of every file at and below each PATH that "
		"is in the bucket, too.\nThe files stay where they are; who "
		"reads one fetches it again.  What is not in the\nbucket yet, "
		"open or mapped is kept and listed, with the reason.\n\n"
		"  --timeout TIME  give up after so long (ms s m h)\n\n"
		"Exit status: 0 all of it went, 1 something did not, 2 wrong "
		"usage, 3 timed out.",
};

static const struct bulk_cmd prefetch = {
	.name = "prefetch",
	.did = "fetched",
	.help = "usage: ckptfs prefetch PATH… [--timeout TIME]\n\n"
		"Fetch what is missing here of every file at and below each "
		"PATH, folders not yet\nlisted included, so that reading them "
		"does not wait for the bucket.  What was used\nlongest ago is "
		"evicted to make room; where that is not enough, nothing is "
		"begun.\nInterrupted, it gives up what has not come.\n\n"
		"  --timeout TIME  give up after so long (ms s m h)\n\n"
		"Exit status: 0 all of it is here, 1 something is not, 2 wrong "
		"usage, 3 timed out.",
};

static int verdict(const struct bulk_cmd *cmd, const char *path,
		   const struct json *answer)
{
	const char *error = json_get_str(answer, "error");
	int64_t status;

	status_print_refused(stderr, answer);
	if (error)
		cmd_say("%s: %s", path, error);
	if (json_get(answer, "files"))
		status_print_bulk(stdout, cmd->did, answer);
	if (json_get_int(answer, "status", &status) < 0)
		return CLI_FAILED;
	return (int)status;
}

static int one_path(const struct bulk_cmd *cmd, const char *path,
		    int64_t deadline)
{
	struct cmd_target t;
	struct json *answer = NULL;
	char *line = NULL;
	int status = cmd_target_open(path, &t);

	if (status != CLI_DONE)
		return status;
	status = cmd_ask(t.client, cmd->name, t.rest, cmd_left(deadline), true,
			 &line, &answer);
	if (status == CLI_DONE)
		status = verdict(cmd, path, answer);
	json_free(answer);
	free(line);
	cmd_target_close(&t);
	return status;
}

static int run(const struct bulk_cmd *cmd, int argc, char **argv)
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
			(void)puts(cmd->help);
			return CLI_DONE;
		}
		if (c != 't')
			return cmd_usage(cmd->name,
					 "that is no way to call it");
		if (!cmd_timeout(cmd->name, optarg, &timeout))
			return CLI_USAGE;
	}
	if (optind >= argc)
		return cmd_usage(cmd->name, "which PATH?");
	if (timeout != CLK_NEVER)
		deadline = clk_mono(&clk_system) + timeout;
	for (i = optind; i < argc; i++) {
		one = one_path(cmd, argv[i], deadline);
		/* A failure outweighs a time-out. */
		if (one != CLI_DONE && status != CLI_FAILED)
			status = one;
	}
	return status;
}

int cmd_evict(int argc, char **argv)
{
	return run(&evict, argc, argv);
}

int cmd_prefetch(int argc, char **argv)
{
	return run(&prefetch, argc, argv);
}
