/* SPDX-License-Identifier: Apache-2.0 */
/* ckptfs limit: the bandwidth of a mount that is in use. */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/json.h"
#include "ckptfs/text.h"

#include "cmd.h"

#define REQUEST_MAX 256

static const char *const names[] = { "upload", "download" };

static void print_help(void)
{
	(void)puts("usage: ckptfs limit PATH [upload=RATE] [download=RATE]\n\n"
		   "Set how many bytes per second the mount that PATH lies in "
		   "may send or fetch, from now\non until it is unmounted, as "
		   "upload_limit and download_limit do at a mount; without a\n"
		   "RATE tell what the limits are.\n\n"
		   "  RATE  digits, then nothing or K M G T, as in 20M; none: "
		   "no limit\n\n"
		   "Exit status: 0 done, 1 no answer, 2 wrong usage.");
}

/* Add NAME=RATE to the request; given: those there are, a bit each. */
static int add_limit(struct json_w *w, const char *word, unsigned *given)
{
	uint64_t rate = 0;
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		n = strlen(names[i]);
		if (strncmp(word, names[i], n) == 0 && word[n] == '=')
			break;
	}
	if (i == ARRAY_SIZE(names) || *given & 1U << i)
		return cmd_usage("limit",
				 "%.100s: give upload=RATE or download=RATE, "
				 "each once",
				 word);
	*given |= 1U << i;
	word += n + 1;
	if (strcmp(word, "none") != 0 && text_parse_size(word, &rate) < 0)
		return cmd_usage("limit",
				 "%s=%.100s is no good: give none, or digits "
				 "and nothing, K, M, G or T, as in 20M",
				 names[i], word);
	json_w_u64(w, names[i], rate);
	return CLI_DONE;
}

static int make_request(struct buf *b, char *const *words, int n)
{
	struct json_w w = JSON_W_INIT(b);
	unsigned given = 0;
	int i, status = CLI_DONE;

	json_w_object(&w, NULL);
	json_w_str(&w, "op", "limit");
	for (i = 0; i < n && status == CLI_DONE; i++)
		status = add_limit(&w, words[i], &given);
	json_w_close(&w);
	if (status == CLI_DONE && json_w_end(&w) < 0) {
		cmd_say("out of memory");
		status = CLI_FAILED;
	}
	return status;
}

static void print_limits(const struct json *answer)
{
	char text[TEXT_QTY_LEN];
	int64_t rate;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (json_get_int(answer, names[i], &rate) < 0)
			continue;
		text_size((uint64_t)rate, text);
		(void)printf("%s=%s\n", names[i], rate ? text : "none");
	}
}

int cmd_limit(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct buf request = BUF_INIT(REQUEST_MAX);
	struct cmd_target t;
	struct json *answer = NULL;
	char *line = NULL;
	int c, status;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h') {
			print_help();
			return CLI_DONE;
		}
		return cmd_usage("limit", "that is no way to call it");
	}
	if (optind >= argc)
		return cmd_usage("limit", "which PATH?");
	status = make_request(&request, argv + optind + 1, argc - optind - 1);
	if (status == CLI_DONE)
		status = cmd_target_open(argv[optind], &t);
	if (status == CLI_DONE) {
		status = cmd_ask_line(t.client, request.p, &line, &answer);
		if (status == CLI_DONE)
			status = cmd_verdict(answer);
		if (status == CLI_DONE)
			print_limits(answer);
		cmd_target_close(&t);
	}
	json_free(answer);
	free(line);
	buf_clear(&request);
	return status;
}
