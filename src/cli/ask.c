/* SPDX-License-Identifier: Apache-2.0 */
/* From a path to the daemon that serves it, and its answers. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/buf.h"
#include "ckptfs/clock.h"
#include "ckptfs/json.h"

#include "cmd.h"
#include "mountinfo.h"
#include "status.h"

#define REQUEST_MAX (32U << 10)

int64_t cmd_left(int64_t deadline)
{
	int64_t left;

	if (deadline == CLK_NEVER)
		return CLK_NEVER;
	left = deadline - clk_mono(&clk_system);
	return left < 0 ? 0 : left;
}

void cmd_target_close(struct cmd_target *t)
{
	client_close(t->client);
	free(t->path);
	free(t->point);
	memset(t, 0, sizeof(*t));
}

static int explain(int err, const char *point)
{
	if (err == -EACCES || err == -EPERM)
		cmd_say("%s was mounted by another user: ask as that user or "
			"as root",
			point);
	else if (err == -ECONNREFUSED || err == -ENOENT)
		cmd_say("nobody serves %s any more: mount it again (ckptfs "
			"mount takes over), nothing is lost",
			point);
	else
		cmd_say("%s: the daemon does not answer: %s", point,
			strerror(-err));
	return CLI_FAILED;
}

int cmd_target_open(const char *path, struct cmd_target *ret)
{
	struct mount_entry e = { .user = (uid_t)-1 };
	struct cmd_target t = { .path = NULL };
	size_t point = 0;
	int r = mountinfo_resolve(path, &t.path, &point);

	if (r < 0) {
		cmd_say("%s: %s", path, strerror(-r));
		return CLI_FAILED;
	}
	t.point = point ? strndup(t.path, point) : strdup(t.path);
	if (!t.point)
		r = -ENOMEM;
	/* Without a mount the daemon may still be draining. */
	if (r == 0 && point)
		r = mountinfo_at(t.point, &e);
	if (r == 0)
		r = client_open(t.point, e.user, &t.client);
	mount_entry_clear(&e);
	if (r < 0) {
		if (!point)
			cmd_say("%s lies in no mount of ckptfs", path);
		else
			(void)explain(r, t.point);
		cmd_target_close(&t);
		return CLI_FAILED;
	}
	t.rest = t.path + strlen(t.point);
	t.rest += strspn(t.rest, "/");
	*ret = t;
	return CLI_DONE;
}

static void show_progress(void *arg, const struct json *progress)
{
	char line[STATUS_LINE_MAX];

	if (!*(bool *)arg)
		return;
	status_progress_line(progress, line);
	(void)fprintf(stderr, "\r\033[K%s", line);
	(void)fflush(stderr);
}

static int failed(int err)
{
	cmd_say("%s",
		err == -EPIPE
			? "the daemon ended in the middle; what it held is "
			  "on its cache disk, mount again" :
		err == -ETIMEDOUT ? "the daemon does not answer" :
				    strerror(-err));
	return CLI_FAILED;
}

int cmd_send(struct client *c, const char *op, const char *path,
	     int64_t timeout_ns)
{
	struct buf b = BUF_INIT(REQUEST_MAX);
	struct json_w w = JSON_W_INIT(&b);
	int r;

	json_w_object(&w, NULL);
	json_w_str(&w, "op", op);
	if (path)
		json_w_str(&w, "path", path);
	if (timeout_ns != CLK_NEVER)
		json_w_int(&w, "timeout_ns", timeout_ns);
	json_w_close(&w);
	r = json_w_end(&w);
	if (r == 0)
		r = client_send(c, b.p);
	buf_clear(&b);
	return r < 0 ? failed(r) : CLI_DONE;
}

int cmd_answer(struct client *c, bool show, char **ret_line, struct json **ret)
{
	int r;

	show = show && isatty(STDERR_FILENO);
	r = client_answer(c, show_progress, &show, ret_line, ret);
	if (show)
		(void)fputs("\r\033[K", stderr);
	return r < 0 ? failed(r) : CLI_DONE;
}

int cmd_ask(struct client *c, const char *op, const char *path,
	    int64_t timeout_ns, bool show, char **ret_line, struct json **ret)
{
	int status = cmd_send(c, op, path, timeout_ns);

	return status != CLI_DONE ? status : cmd_answer(c, show, ret_line, ret);
}

int cmd_ask_line(struct client *c, const char *request, char **ret_line,
		 struct json **ret)
{
	int r = client_ask(c, request, NULL, NULL, ret_line, ret);

	return r < 0 ? failed(r) : CLI_DONE;
}

int cmd_verdict(const struct json *answer)
{
	const char *error = json_get_str(answer, "error");
	int64_t status = CLI_FAILED;

	status_print_missing(stderr, answer);
	if (error)
		cmd_say("%s", error);
	if (json_get_int(answer, "status", &status) < 0)
		return CLI_FAILED;
	return (int)status;
}
