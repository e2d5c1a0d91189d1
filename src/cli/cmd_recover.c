/* SPDX-License-Identifier: Apache-2.0 */
/* ckptfs recover: about what waits for somebody's word. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/buf.h"
#include "ckptfs/json.h"

#include "cmd.h"
#include "mountinfo.h"
#include "offline.h"
#include "recover.h"

#define REQUEST_MAX (32U << 10)

static void print_help(void)
{
	(void)puts(
		"usage: ckptfs recover list [MOUNT|PATH…|SOURCE] [--all] "
		"[--json]\n"
		"       ckptfs recover publish|retry PATH… [--id ID]\n"
		"       ckptfs recover discard PATH… [--id ID] [--yes]\n"
		"       ckptfs recover export PATH… DEST [--id ID]\n\n"
		"What is neither published nor thrown away by itself: "
		"unfinished, torn, parked,\npoisoned versions, the losing side "
		"of a conflict.  Nothing of it goes unless told.\nA folder "
		"stands for all below it.\n\n"
		"  list     what there is, why, how large and how old; "
		"without a name of all mounts\n"
		"  publish  send it to the bucket as it is, under its name\n"
		"  retry    offer the store once more what it refused\n"
		"  discard  throw it away, after asking; its name shows the "
		"version before\n"
		"  export   copy its bytes to DEST, a new file, or a folder; "
		"also what is queued\n\n"
		"  --all     list also what is on its way by itself\n"
		"  --json    the list for programs (docs/recover.md)\n"
		"  --id      of several versions of one name, this one\n"
		"  --yes     do not ask\n"
		"  --source  of list, discard and export: the cache of a "
		"SOURCE that is not mounted;\n            each PATH is one "
		"below it\n"
		"  -o        the options it was mounted with (cache_dir, "
		"endpoint_url, …)\n\n"
		"Exit status: 0 done, 1 not (it says why), 2 wrong usage.");
}

struct recover_cmd {
	enum fs_recover act;
	const char *id, *source, *dash_o;
	bool all, json, yes;
	const char *dest; /* of export */
	unsigned n; /* lists printed */
	int status;
};

/* Whom to ask: a daemon, or a cache opened here. */
struct asked {
	struct client *client; /* NULL: off */
	struct offline *off;
	const char *label; /* as the user named it */
	const char *rest; /* the path below it */
};

static int answer_here(struct offline *off, const struct buf *req,
		       char **ret_line, struct json **ret)
{
	const struct recover_place place = { .source = off->d.src.name,
					     .cache_dir = off->d.cache_path };
	struct buf b = BUF_INIT(CONTROL_LINE_MAX);
	struct json *question = NULL;
	int r = json_parse(req->p, req->len, &question);

	if (r == 0)
		r = recover_answer(off->d.fs, &place, question, &b);
	if (r == 0)
		r = json_parse(b.p, b.len, ret);
	if (r == 0)
		*ret_line = buf_take(&b, NULL);
	json_free(question);
	buf_clear(&b);
	if (r < 0)
		cmd_say("%s", strerror(-r));
	return r < 0 ? CLI_FAILED : CLI_DONE;
}

/* The status the answer has, and the answer, to be freed; or an exit status
 * after having said why there is none. */
static int ask(const struct asked *a, enum fs_recover act, const char *id,
	       bool all, char **ret_line, struct json **ret)
{
	const struct fs_recover_what what = { .path = a->rest,
					      .id = id,
					      .all = all };
	struct buf b = BUF_INIT(REQUEST_MAX);
	int64_t said = CLI_FAILED;
	int status = CLI_FAILED;

	if (recover_ask(&b, act, &what) < 0)
		cmd_say("%s: that is too long", a->label);
	else if (a->client)
		status = cmd_ask_line(a->client, b.p, ret_line, ret);
	else
		status = answer_here(a->off, &b, ret_line, ret);
	buf_clear(&b);
	if (status != CLI_DONE)
		return status;
	if (json_get_str(*ret, "error") && !json_len(json_get(*ret, "kept")))
		cmd_say("%s: %s", a->label, json_get_str(*ret, "error"));
	/* A daemon of before has no such op: no fault of the caller's. */
	return json_get_int(*ret, "status", &said) < 0 || said != CLI_DONE ?
		       CLI_FAILED :
		       CLI_DONE;
}

static int list(struct recover_cmd *c, const struct asked *a)
{
	struct json *answer = NULL;
	char *line = NULL;
	int status = ask(a, c->act, c->id, c->all, &line, &answer);

	if (status == CLI_DONE && c->json) {
		(void)printf("%s%s", c->n++ ? "," : "", line);
	} else if (status == CLI_DONE) {
		(void)printf("%s%s\n", c->n++ ? "\n" : "", a->label);
		recover_print(stdout, answer);
	}
	json_free(answer);
	free(line);
	return status;
}

static int simple(const struct recover_cmd *c, const struct asked *a,
		  const char *id)
{
	struct json *answer = NULL;
	char *line = NULL;
	int status = ask(a, c->act, id, false, &line, &answer);

	if (answer)
		recover_print_done(stdout, stderr, c->act, answer);
	json_free(answer);
	free(line);
	return status;
}

/* ---- discard */

static bool confirmed(const struct recover_cmd *c, const struct json *answer)
{
	const struct json *kept = json_get(answer, "kept");
	size_t n = json_len(kept), i;
	char reply[16] = "";

	if (!c->id && recover_has_namesakes(kept)) {
		recover_print(stderr, answer);
		cmd_say("several versions of one name are kept: say which, by "
			"--id");
		return false;
	}
	if (c->yes)
		return true;
	for (i = 0; i < n; i++)
		recover_print_one(stderr, json_at(kept, i), "would be lost;",
				  json_get_str(json_at(kept, i), "then"));
	if (!isatty(STDIN_FILENO)) {
		cmd_say("nothing was thrown away: say --yes to do so");
		return false;
	}
	(void)fprintf(stderr, "Throw away %s? [y/N] ",
		      n == 1 ? "this version" : "these versions");
	if (fgets(reply, sizeof(reply), stdin) &&
	    (reply[0] == 'y' || reply[0] == 'Y'))
		return true;
	cmd_say("nothing was thrown away");
	return false;
}

/* Only what was shown goes: each by its id. */
static int discard(const struct recover_cmd *c, const struct asked *a)
{
	const struct json *kept;
	struct json *answer = NULL;
	char *line = NULL;
	size_t i, n;
	int status = ask(a, FS_RECOVER_LIST, c->id, false, &line, &answer);
	int failed = CLI_DONE;

	kept = json_get(answer, "kept");
	n = json_len(kept);
	if (status == CLI_DONE && n == 0)
		status = simple(c, a, c->id); /* says so */
	else if (status == CLI_DONE && !confirmed(c, answer))
		status = CLI_FAILED;
	for (i = 0; status == CLI_DONE && i < n; i++)
		if (simple(c, a, json_get_str(json_at(kept, i), "id")) !=
		    CLI_DONE)
			failed = CLI_FAILED;
	status = status == CLI_DONE ? failed : status;
	json_free(answer);
	free(line);
	return status;
}

static int export(const struct recover_cmd *c, const struct asked *a)
{
	const struct json *kept;
	struct json *answer = NULL;
	char *line = NULL;
	int status = ask(a, c->act, c->id, true, &line, &answer);

	kept = json_get(answer, "kept");
	if (status == CLI_DONE && json_len(kept) == 1)
		status = recover_export(json_get_str(answer, "cache_dir"),
					json_at(kept, 0), c->dest);
	else if (answer)
		recover_print_done(stdout, stderr, c->act, answer);
	json_free(answer);
	free(line);
	return status;
}

static void act_on(struct recover_cmd *c, const struct asked *a)
{
	int status;

	switch (c->act) {
	case FS_RECOVER_LIST:
		status = list(c, a);
		break;
	case FS_RECOVER_DISCARD:
		status = discard(c, a);
		break;
	case FS_RECOVER_EXPORT:
		status = export(c, a);
		break;
	case FS_RECOVER_PUBLISH:
	case FS_RECOVER_RETRY:
	default:
		status = simple(c, a, c->id);
	}
	if (status != CLI_DONE)
		c->status = status;
}

/* ---- mounts */

static void one_path(struct recover_cmd *c, const char *path)
{
	struct cmd_target t;
	struct asked a = { .label = path };
	int status = cmd_target_open(path, &t);

	if (status != CLI_DONE) {
		c->status = status;
		return;
	}
	a.client = t.client;
	a.label = t.path;
	a.rest = t.rest;
	act_on(c, &a);
	cmd_target_close(&t);
}

static int list_mount(void *arg, const struct mount_entry *e)
{
	if (strcmp(e->type, MOUNT_TYPE) == 0)
		one_path(arg, e->point);
	return 0;
}

static void on_mounts(struct recover_cmd *c, char **paths, int n)
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

/* ---- a cache that is not mounted */

static void on_source(struct recover_cmd *c, char **paths, int n)
{
	struct offline off;
	struct asked a = { .off = &off };
	int i, status = offline_open("recover", c->source, c->dash_o, &off);

	if (status == CLI_DONE)
		status = offline_fs(&off);
	if (status != CLI_DONE)
		c->status = status;
	for (i = 0; status == CLI_DONE && (i < n || (i == 0 && n == 0)); i++) {
		a.label = n ? paths[i] : c->source;
		a.rest = n ? paths[i] : "";
		act_on(c, &a);
	}
	if (c->json)
		(void)puts("");
	offline_close(&off);
}

/* ---- words */

/* The act is the first word that is no flag; without one it is list. */
static int take_act(struct recover_cmd *c, int *argc, char ***argv)
{
	char **args = *argv;

	if (*argc < 2 || args[1][0] == '-' || args[1][0] == '\0')
		return CLI_DONE;
	if (!recover_act(args[1], &c->act))
		return cmd_usage("recover",
				 "what is %.100s? first the act: list, "
				 "publish, retry, discard or export",
				 args[1]);
	++*argv;
	--*argc;
	return CLI_DONE;
}

/* -1: help was asked for. */
static int take_flags(struct recover_cmd *c, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "all", no_argument, NULL, 'a' },
		{ "json", no_argument, NULL, 'j' },
		{ "yes", no_argument, NULL, 'y' },
		{ "id", required_argument, NULL, 'i' },
		{ "source", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "hajyi:s:o:", longs, NULL)) != -1) {
		switch (o) {
		case 'h':
			return -1;
		case 'a':
			c->all = true;
			break;
		case 'j':
			c->json = true;
			break;
		case 'y':
			c->yes = true;
			break;
		case 'i':
			c->id = optarg;
			break;
		case 's':
			c->source = optarg;
			break;
		case 'o':
			c->dash_o = optarg;
			break;
		default:
			return cmd_usage("recover",
					 "that is no way to call it");
		}
	}
	return CLI_DONE;
}

static int check(const struct recover_cmd *c, int n)
{
	bool lists = c->act == FS_RECOVER_LIST;

	if ((c->all || c->json) && !lists)
		return cmd_usage("recover", "--all and --json are for list");
	if (c->source && (c->act == FS_RECOVER_PUBLISH ||
			  c->act == FS_RECOVER_RETRY))
		return cmd_usage("recover",
				 "%s needs the bucket: mount %s first",
				 recover_name(c->act), c->source);
	if (c->dash_o && !c->source)
		return cmd_usage("recover", "-o goes with a SOURCE: a mount "
					    "has its options");
	if (c->act == FS_RECOVER_EXPORT && n < 2)
		return cmd_usage("recover", "export which PATH, to where?");
	if (!lists && n < 1)
		return cmd_usage("recover", "which PATH?");
	return CLI_DONE;
}

int cmd_recover(int argc, char **argv)
{
	struct recover_cmd c = { .status = CLI_DONE };
	int n, status = take_act(&c, &argc, &argv);

	if (status == CLI_DONE)
		status = take_flags(&c, argc, argv);
	if (status == -1) {
		print_help();
		return CLI_DONE;
	}
	if (status != CLI_DONE)
		return status;
	argv += optind;
	n = argc - optind;
	if (c.act == FS_RECOVER_LIST && !c.source && n == 1 &&
	    strstr(argv[0], "://")) {
		c.source = argv[0];
		n = 0;
	}
	status = check(&c, n);
	if (status != CLI_DONE)
		return status;
	if (c.act == FS_RECOVER_EXPORT)
		c.dest = argv[--n];
	if (c.source)
		on_source(&c, argv, n);
	else
		on_mounts(&c, argv, n);
	return c.status;
}
