/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/buf.h"
#include "ckptfs/control.h"
#include "ckptfs/json.h"

#include "commands.h"
#include "mountinfo.h"

static const char help[] =
	"usage: ckptfs status [MOUNT|PATH…] [--json] [--watch]\n"
	"What is not in the bucket yet, why, how old, and how fast it goes; for "
	"a file\nits own state.  Without a name: all mounts.\n";

struct answer {
	bool json;
	bool file;
	int status;
};

static int show(void *arg, const char *line, size_t n)
{
	struct answer *a = arg;
	struct json *j = NULL;
	int64_t status = 1;
	const char *s;

	if (json_parse(line, n, &j) < 0)
		return -EPROTO;
	if (json_get_int(j, "exit", &status) == 0)
		a->status = (int)status;
	s = json_get_str(j, "error");
	if (s) {
		fprintf(stderr, "ckptfs: %s\n", s);
	} else if (a->json) {
		fwrite(line, 1, n, stdout);
	} else if (a->file) {
		s = json_get_str(j, "why");
		printf("%s: %s%s%s\n", json_get_str(j, "path"),
		       json_get_str(j, "state"), s && *s ? ": " : "",
		       s ? s : "");
	} else {
		render_status(stdout, j, 80);
	}
	json_free(j);
	return 0;
}

/* One mount, or one path in it. */
static int ask(const char *mountpoint, const char *path, bool json)
{
	struct answer a = { .json = json, .file = path[0], .status = 1 };
	struct buf b = BUF_INIT(16384);
	struct json_w w = JSON_W_INIT(&b);
	int r;

	json_w_object(&w, NULL);
	json_w_str(&w, "do", path[0] ? "info" : "status");
	json_w_str(&w, "path", path);
	json_w_close(&w);
	r = json_w_end(&w);
	if (r == 0)
		r = control_call(mountpoint, b.p, show, &a);
	buf_clear(&b);
	if (r < 0) {
		fprintf(stderr,
			"ckptfs: %s: the daemon does not answer (%s): if it "
			"died, mount the source again and what was not "
			"uploaded goes on\n",
			mountpoint, strerror(-r));
		return EXIT_FAILED;
	}
	return a.status;
}

static int one(const char *path, bool json)
{
	char *abs = absolute_path(path), *mp = abs ? mountinfo_of(abs) : NULL;
	const char *rest;
	int r = EXIT_FAILED;

	if (!mp) {
		fprintf(stderr, "ckptfs: %s is not in a ckptfs mount\n", path);
	} else {
		rest = abs + strlen(mp);
		while (*rest == '/')
			rest++;
		r = ask(mp, rest, json);
	}
	free(mp);
	free(abs);
	return r;
}

struct all {
	bool json;
	int status;
	unsigned n;
};

static int each(void *arg, const struct mountinfo *m)
{
	struct all *a = arg;
	int r;

	if (strcmp(m->type, "fuse.ckptfs") != 0)
		return 0;
	a->n++;
	r = ask(m->mountpoint, "", a->json);
	if (r > a->status)
		a->status = r;
	return 0;
}

static int run(int n, char **paths, bool json)
{
	struct all a = { .json = json };
	int i, r, worst = EXIT_DONE;

	if (n == 0) {
		if (mountinfo_each(each, &a) < 0)
			return EXIT_FAILED;
		if (a.n == 0 && !json)
			puts("no ckptfs mounts");
		return a.status;
	}
	for (i = 0; i < n; i++) {
		r = one(paths[i], json);
		if (r > worst)
			worst = r;
	}
	return worst;
}

int cmd_status(int argc, char **argv)
{
	bool json = false, watch = false;
	int i, n = 0, r;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			json = true;
		} else if (strcmp(argv[i], "--watch") == 0) {
			watch = true;
		} else if (strcmp(argv[i], "--help") == 0) {
			fputs(help, stdout);
			return EXIT_DONE;
		} else if (argv[i][0] == '-') {
			fprintf(stderr, "ckptfs: unknown flag %s\n%s", argv[i],
				help);
			return EXIT_USAGE;
		} else {
			argv[n++] = argv[i];
		}
	}
	do {
		if (watch && isatty(STDOUT_FILENO))
			fputs("\033[H\033[J", stdout);
		r = run(n, argv, json);
		(void)fflush(stdout);
		if (watch)
			(void)sleep(1);
	} while (watch && r != EXIT_USAGE && !ferror(stdout));
	return r;
}
