/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/json.h"

#include "cmd.h"
#include "mountinfo.h"
#include "status.h"

#define LINES_MOST 20
/* A daemon that is silent for so long is stopped, or its disk hangs. */
#define SILENCE_MS 10000

static void print_help(void)
{
	(void)puts(
		"usage: ckptfs status [MOUNT|PATH…] [--json] "
		"[--watch|--check]\n\n"
		"What waits for its upload, how far it is, what is at risk "
		"and since when, and why\neach file waits.  Of a PATH inside "
		"a mount: where it stands.  Without one, all\nmounts.  The "
		"mount itself is not touched.\n\n"
		"  --json   the same for programs (docs/status.md)\n"
		"  --watch  again every second, until interrupted\n"
		"  --check  list what is not in the bucket, for scripts: exit "
		"status 0 nothing,\n"
		"           3 all of it is on its way, 1 something is stuck, or "
		"the cache disk failed,\n"
		"           or nobody answers");
}

struct shown {
	bool json, only; /* one operand: its document alone */
	bool watch, check;
	unsigned n;
	int status;
};

static void show(struct shown *s, const char *line, const struct json *doc,
		 bool is_path)
{
	if (s->json) {
		if (s->n++ > 0)
			(void)fputc(',', stdout);
		(void)fputs(line, stdout);
		return;
	}
	if (s->n++ > 0)
		(void)fputc('\n', stdout);
	if (is_path)
		status_print_path(stdout, doc);
	else
		status_print(stdout, doc, LINES_MOST);
}

static void note_status(struct shown *s, int status)
{
	/* A failure outweighs what is merely not there yet. */
	if (status != CLI_DONE && s->status != CLI_FAILED)
		s->status = status;
}

static void check_target(struct shown *s, struct cmd_target *t)
{
	struct json *doc = NULL;
	char *line = NULL;
	int status = cmd_ask(t->client, "status", NULL, CLK_NEVER, false, &line,
			     &doc);

	if (status == CLI_DONE && json_get_str(doc, "error")) {
		cmd_say("%s: %s", t->path, json_get_str(doc, "error"));
		status = CLI_FAILED;
	} else if (status == CLI_DONE) {
		status = status_verdict(s->json ? NULL : stdout, doc, t->rest);
	}
	note_status(s, status);
	json_free(doc);
	free(line);
}

static void show_target(struct shown *s, struct cmd_target *t)
{
	bool is_path = *t->rest != '\0';
	struct json *doc = NULL;
	char *line = NULL;
	int status = cmd_ask(t->client, is_path ? "path" : "status",
			     is_path ? t->rest : NULL, 0, false, &line, &doc);

	if (status == CLI_DONE && json_get_str(doc, "error")) {
		cmd_say("%s: %s", t->path, json_get_str(doc, "error"));
		status = CLI_FAILED;
	} else if (status == CLI_DONE) {
		show(s, line, doc, is_path);
	}
	note_status(s, status);
	json_free(doc);
	free(line);
}

static void do_target(struct shown *s, struct cmd_target *t)
{
	client_limit(t->client, SILENCE_MS);
	if (s->json || !s->check)
		show_target(s, t);
	if (s->check)
		check_target(s, t);
}

static int show_mount(void *arg, const struct mount_entry *e)
{
	struct shown *s = arg;
	struct cmd_target t;

	if (strcmp(e->type, MOUNT_TYPE) != 0)
		return 0;
	if (cmd_target_open(e->point, &t) != CLI_DONE) {
		s->status = CLI_FAILED;
		return 0;
	}
	do_target(s, &t);
	cmd_target_close(&t);
	return 0;
}

static void show_all(struct shown *s, char **paths, int n)
{
	struct cmd_target t;
	int i;

	s->n = 0;
	if (s->json && !s->only)
		(void)fputs("{\"mounts\":[", stdout);
	if (n == 0 && mountinfo_each(show_mount, s) < 0)
		s->status = CLI_FAILED;
	for (i = 0; i < n; i++) {
		if (cmd_target_open(paths[i], &t) != CLI_DONE) {
			s->status = CLI_FAILED;
			continue;
		}
		do_target(s, &t);
		cmd_target_close(&t);
	}
	if (s->json && !s->only)
		(void)fputs("]}", stdout);
	if (s->json && (s->n > 0 || !s->only))
		(void)fputc('\n', stdout);
	else if (!s->json && !s->check && n == 0 && s->n == 0 &&
		 s->status == CLI_DONE)
		(void)puts("nothing is mounted");
	(void)fflush(stdout);
}

int cmd_status(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ "watch", no_argument, NULL, 'w' },
		{ "check", no_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	const struct timespec second = { .tv_sec = 1 };
	struct shown s = { .status = CLI_DONE };
	int c;

	while ((c = getopt_long(argc, argv, "hjwc", longs, NULL)) != -1) {
		if (c == 'h') {
			print_help();
			return CLI_DONE;
		}
		if (c != 'j' && c != 'w' && c != 'c')
			return cmd_usage("status", "that is no way to call it");
		s.json |= c == 'j';
		s.watch |= c == 'w';
		s.check |= c == 'c';
	}
	if (s.watch && s.check)
		return cmd_usage("status", "--check looks once");
	s.only = argc - optind == 1;
	for (;;) {
		if (s.watch && !s.json && isatty(STDOUT_FILENO))
			(void)fputs("\033[H\033[2J", stdout);
		show_all(&s, argv + optind, argc - optind);
		/* What has gone away will not come back by watching. */
		if (!s.watch || s.status != CLI_DONE)
			return s.status;
		(void)nanosleep(&second, NULL);
	}
}
