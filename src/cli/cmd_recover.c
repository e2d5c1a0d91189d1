/* SPDX-License-Identifier: Apache-2.0 */
/* ckptfs recover: about what waits for somebody's word. */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/json.h"

#include "cmd.h"
#include "mountinfo.h"
#include "recover.h"

#define REQUEST_MAX (32U << 10)

static void print_help(void)
{
	(void)puts(
		"usage: ckptfs recover list [MOUNT|PATH…] [--all] [--json]\n"
		"       ckptfs recover publish|retry PATH… [--id ID]\n\n"
		"What is neither published nor thrown away by itself: "
		"unfinished, torn, parked,\npoisoned versions, the losing side "
		"of a conflict.  Nothing of it goes unless told.\nA folder "
		"stands for all below it.\n\n"
		"  list     what there is, why, how large and how old; "
		"without a name of all mounts\n"
		"  publish  send it to the bucket as it is, under its name\n"
		"  retry    offer the store once more what it refused\n\n"
		"  --all    list also what is on its way by itself\n"
		"  --json   the list for programs (docs/recover.md)\n"
		"  --id     of several versions of one name, this one\n\n"
		"Exit status: 0 done, 1 not (it says why), 2 wrong usage.");
}

struct recover_cmd {
	enum fs_recover act;
	const char *id;
	bool all, json;
	unsigned n; /* lists printed */
	int status;
};

/* CLI_DONE and the answer, to be freed; else it was said why not. */
static int ask(const struct recover_cmd *c, struct cmd_target *t,
	       char **ret_line, struct json **ret)
{
	const struct fs_recover_what what = { .path = t->rest,
					      .id = c->id,
					      .all = c->all };
	struct buf b = BUF_INIT(REQUEST_MAX);
	int status;

	if (recover_ask(&b, c->act, &what) < 0) {
		cmd_say("%s: that is too long", t->path);
		status = CLI_FAILED;
	} else {
		status = cmd_ask_line(t->client, b.p, ret_line, ret);
	}
	buf_clear(&b);
	return status;
}

static void show_list(struct recover_cmd *c, const struct cmd_target *t,
		      const char *line, const struct json *answer)
{
	if (c->json) {
		(void)printf("%s%s", c->n++ ? "," : "", line);
		return;
	}
	(void)printf("%s%s\n", c->n++ ? "\n" : "", t->point);
	recover_print(stdout, answer);
}

static void one_target(struct recover_cmd *c, struct cmd_target *t)
{
	struct json *answer = NULL;
	char *line = NULL;
	int64_t status = ask(c, t, &line, &answer);

	if (status == CLI_DONE &&
	    json_get_int(answer, "status", &status) < 0)
		status = CLI_FAILED;
	if (answer && c->act == FS_RECOVER_LIST && status == CLI_DONE)
		show_list(c, t, line, answer);
	else if (answer)
		recover_print_done(stdout, stderr, c->act, answer);
	if (json_get_str(answer, "error"))
		cmd_say("%s: %s", t->path, json_get_str(answer, "error"));
	/* A daemon of before has no such op: no fault of the caller's. */
	if (status != CLI_DONE)
		c->status = CLI_FAILED;
	json_free(answer);
	free(line);
}

static void one_path(struct recover_cmd *c, const char *path)
{
	struct cmd_target t;
	int status = cmd_target_open(path, &t);

	if (status != CLI_DONE) {
		c->status = status;
		return;
	}
	one_target(c, &t);
	cmd_target_close(&t);
}

static int list_mount(void *arg, const struct mount_entry *e)
{
	if (strcmp(e->type, MOUNT_TYPE) == 0)
		one_path(arg, e->point);
	return 0;
}

static void all_paths(struct recover_cmd *c, char **paths, int n)
{
	bool only = n == 1;
	int i;

	if (c->json && !only)
		(void)fputs("{\"mounts\":[", stdout);
	if (n == 0 && mountinfo_each(list_mount, c) < 0)
		c->status = CLI_FAILED;
	for (i = 0; i < n; i++)
		one_path(c, paths[i]);
	if (c->json)
		(void)puts(only ? "" : "]}");
	else if (n == 0 && c->n == 0 && c->status == CLI_DONE)
		(void)puts("nothing is mounted");
}

/* The act is the first word that is no flag; without one it is list. */
static int take_act(struct recover_cmd *c, int *argc, char ***argv)
{
	char **args = *argv;

	if (*argc < 2 || args[1][0] == '-' || args[1][0] == '\0')
		return CLI_DONE;
	if (!recover_act(args[1], &c->act))
		return cmd_usage("recover",
				 "what is %.100s? first the act: list, "
				 "publish or retry",
				 args[1]);
	++*argv;
	--*argc;
	return CLI_DONE;
}

int cmd_recover(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "all", no_argument, NULL, 'a' },
		{ "json", no_argument, NULL, 'j' },
		{ "id", required_argument, NULL, 'i' },
		{ NULL, 0, NULL, 0 },
	};
	struct recover_cmd c = { .status = CLI_DONE };
	int o, status = take_act(&c, &argc, &argv);

	while (status == CLI_DONE &&
	       (o = getopt_long(argc, argv, "haji:", longs, NULL)) != -1) {
		switch (o) {
		case 'h':
			print_help();
			return CLI_DONE;
		case 'a':
			c.all = true;
			break;
		case 'j':
			c.json = true;
			break;
		case 'i':
			c.id = optarg;
			break;
		default:
			status = cmd_usage("recover",
					   "that is no way to call it");
		}
	}
	if (status != CLI_DONE)
		return status;
	if ((c.all || c.json) && c.act != FS_RECOVER_LIST)
		return cmd_usage("recover", "--all and --json are for list");
	if (c.act != FS_RECOVER_LIST && optind >= argc)
		return cmd_usage("recover", "which PATH?");
	all_paths(&c, argv + optind, argc - optind);
	return c.status;
}
