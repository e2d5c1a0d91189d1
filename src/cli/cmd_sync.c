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
#include "ckptfs/text.h"

#include "commands.h"
#include "mountinfo.h"
#include "wait.h"

static const char help[] =
	"usage: ckptfs sync PATH… [--timeout TIME]\n"
	"Wait until everything under PATH is in the bucket; else list what is "
	"missing.\nStatus: 0 it is, 1 it cannot get there, 3 not in time.\n";

struct progress {
	bool tty;
	int64_t most;
	int status;
	bool drawn;
};

static int64_t num(const struct json *j, const char *name)
{
	int64_t v = 0;

	return json_get_int(j, name, &v) < 0 ? 0 : v;
}

static void draw(struct progress *p, const struct json *j)
{
	const struct json *t = json_get(j, "totals");
	int64_t left = num(t, "queued_bytes");
	char bar[48], a[TEXT_QTY_LEN], b[TEXT_QTY_LEN];

	if (!p->tty || !t)
		return;
	if (left > p->most)
		p->most = left;
	render_bar(bar, 30,
		   p->most ? 1 - (double)left / (double)p->most : 1);
	text_size((uint64_t)left, a);
	text_size((uint64_t)num(j, "rate_bytes_per_s"), b);
	fprintf(stderr, "\r%s %s to go, %s/s   ", bar, a, b);
	p->drawn = true;
}

static int on_line(void *arg, const char *line, size_t n)
{
	struct progress *p = arg;
	struct json *j = NULL;
	const char *s;
	int64_t status;

	if (json_parse(line, n, &j) < 0)
		return -EPROTO;
	draw(p, j);
	if (json_get_int(j, "exit", &status) == 0)
		p->status = (int)status;
	s = json_get_str(j, "error");
	if (s)
		fprintf(stderr, "%sckptfs: %s\n", p->drawn ? "\n" : "", s);
	json_free(j);
	return 0;
}

static int list_missing(void *arg, const char *line, size_t n)
{
	struct json *j = NULL;
	const struct json *q;
	bool risk;
	size_t i;

	(void)arg;
	if (json_parse(line, n, &j) < 0)
		return -EPROTO;
	q = json_get(j, "queue");
	for (i = 0; i < json_len(q); i++) {
		const struct json *it = json_at(q, i);

		if (json_get_bool(it, "at_risk", &risk) == 0 && risk)
			fprintf(stderr, "  %s: %s: %s\n",
				json_get_str(it, "path"),
				json_get_str(it, "state"),
				json_get_str(it, "why"));
	}
	json_free(j);
	return 0;
}

static int request(struct buf *b, const char *what, const char *path,
		   int64_t timeout_ns)
{
	struct json_w w = JSON_W_INIT(b);

	json_w_object(&w, NULL);
	json_w_str(&w, "do", what);
	json_w_str(&w, "path", path);
	json_w_int(&w, "timeout_ns", timeout_ns);
	json_w_close(&w);
	return json_w_end(&w);
}

int wait_for_bucket(const char *mountpoint, const char *what, const char *path,
		    int64_t timeout_ns)
{
	struct progress p = { .tty = isatty(STDERR_FILENO),
			      .status = EXIT_FAILED };
	struct buf b = BUF_INIT(16384);
	int r = request(&b, what, path, timeout_ns);

	if (r == 0)
		r = control_call(mountpoint, b.p, on_line, &p);
	buf_clear(&b);
	if (p.drawn)
		fputc('\n', stderr);
	if (r < 0) {
		fprintf(stderr, "ckptfs: %s: the daemon does not answer: %s\n",
			mountpoint, strerror(-r));
		return EXIT_FAILED;
	}
	if (p.status != EXIT_DONE) {
		r = request(&b, "status", path, -1);
		if (r == 0)
			r = control_call(mountpoint, b.p, list_missing, NULL);
		buf_clear(&b);
		if (r < 0)
			fprintf(stderr, "ckptfs: the list of what is missing "
				"cannot be had\n");
	}
	return p.status;
}

int cmd_sync(int argc, char **argv)
{
	int64_t timeout = -1;
	int i, n = 0, r, worst = EXIT_DONE;

	for (i = 1; i < argc; i++) {
		const char *t = NULL;

		if (strcmp(argv[i], "--help") == 0) {
			fputs(help, stdout);
			return EXIT_DONE;
		}
		if (strncmp(argv[i], "--timeout=", 10) == 0)
			t = argv[i] + 10;
		else if (strcmp(argv[i], "--timeout") == 0 && i + 1 < argc)
			t = argv[++i];
		else if (argv[i][0] == '-')
			t = "";
		else
			argv[n++] = argv[i];
		if (t && text_parse_duration(t, &timeout) < 0) {
			fprintf(stderr, "ckptfs: bad flag or time\n%s", help);
			return EXIT_USAGE;
		}
	}
	if (n == 0) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	for (i = 0; i < n; i++) {
		char *abs = absolute_path(argv[i]);
		char *mp = abs ? mountinfo_of(abs) : NULL;
		const char *rest = mp ? abs + strlen(mp) : "";

		while (*rest == '/')
			rest++;
		r = EXIT_FAILED;
		if (mp)
			r = wait_for_bucket(mp, "sync", rest, timeout);
		else
			fprintf(stderr, "ckptfs: %s is not in a ckptfs mount\n",
				argv[i]);
		if (r > worst)
			worst = r;
		free(mp);
		free(abs);
	}
	return worst;
}
