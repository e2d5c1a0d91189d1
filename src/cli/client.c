/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "ckptfs/buf.h"
#include "ckptfs/json.h"

#include "control.h"

struct client {
	int fd;
	int pidfd; /* -1: unknown */
	pid_t pid;
	struct buf in; /* what came behind the last line */
};

static void find_pid(struct client *c)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 ||
	    peer.pid <= 0)
		return;
	c->pid = peer.pid;
	c->pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
}

int client_open_socket(const char *path, struct client **ret)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct buf in = BUF_INIT(CONTROL_LINE_MAX);
	struct client *c;
	int r = 0;

	if (strlen(path) >= sizeof(at.sun_path))
		return -ENOENT;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->in = in;
	c->pidfd = -1;
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 ||
	    connect(c->fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		r = -errno;
	if (r < 0) {
		client_close(c);
		return r;
	}
	find_pid(c);
	*ret = c;
	return 0;
}

int client_open(const char *point, uid_t user, struct client **ret)
{
	uid_t users[2] = { user == (uid_t)-1 ? geteuid() : user, geteuid() };
	char dir[CONTROL_PATH_MAX], path[CONTROL_PATH_MAX];
	int r = -ENOENT, one;
	unsigned i, u;

	for (u = 0; u < (users[0] == users[1] ? 1 : 2); u++) {
		for (i = 0; control_dir(users[u], i, dir) == 0; i++) {
			one = control_path(dir, point, path);
			if (one == 0)
				one = client_open_socket(path, ret);
			if (one == 0)
				return 0;
			if (one != -ENOENT && r != -EACCES)
				r = one;
		}
	}
	return r;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		(void)close(c->fd);
	if (c->pidfd >= 0)
		(void)close(c->pidfd);
	buf_clear(&c->in);
	free(c);
}

void client_limit(struct client *c, int timeout_ms)
{
	struct timeval t = { .tv_sec = timeout_ms / 1000,
			     .tv_usec = timeout_ms % 1000 * 1000 };

	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	(void)setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

pid_t client_pid(const struct client *c)
{
	return c->pid;
}

int client_send(struct client *c, const char *request)
{
	struct buf b = BUF_INIT(CONTROL_LINE_MAX);
	size_t done = 0;
	ssize_t n;
	int r = buf_addf(&b, "%s\n", request);

	while (r == 0 && done < b.len) {
		n = send(c->fd, b.p + done, b.len - done, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			r = -EPIPE;
		else
			done += (size_t)n;
	}
	buf_clear(&b);
	return r;
}

/* One line, to be freed. */
static int read_line(struct client *c, char **ret)
{
	struct buf rest = BUF_INIT(CONTROL_LINE_MAX);
	char piece[16384], *end = NULL, *line;
	size_t from = 0;
	ssize_t n;
	int r;

	for (;;) {
		if (c->in.len > from)
			end = memchr(c->in.p + from, '\n', c->in.len - from);
		if (end)
			break;
		from = c->in.len;
		n = recv(c->fd, piece, sizeof(piece), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return -ETIMEDOUT;
		if (n <= 0)
			return -EPIPE;
		r = buf_add(&c->in, piece, (size_t)n);
		if (r < 0)
			return r;
	}
	line = strndup(c->in.p, (size_t)(end - c->in.p));
	if (!line)
		return -ENOMEM;
	r = buf_add(&rest, end + 1, c->in.len - (size_t)(end + 1 - c->in.p));
	if (r < 0) {
		free(line);
		return r;
	}
	buf_clear(&c->in);
	c->in = rest;
	*ret = line;
	return 0;
}

int client_answer(struct client *c, client_progress_fn *progress, void *arg,
		  char **ret_line, struct json **ret)
{
	const struct json *now;
	struct json *j = NULL;
	char *line = NULL;
	int r = 0;

	while (r == 0) {
		r = read_line(c, &line);
		if (r == 0)
			r = json_parse(line, strlen(line), &j);
		if (r < 0)
			break;
		now = json_get(j, "progress");
		if (!now) {
			*ret_line = line;
			*ret = j;
			return 0;
		}
		if (progress)
			progress(arg, now);
		json_free(j);
		free(line);
		line = NULL;
		j = NULL;
	}
	free(line);
	return r;
}

int client_ask(struct client *c, const char *request,
	       client_progress_fn *progress, void *arg, char **ret_line,
	       struct json **ret)
{
	int r = client_send(c, request);

	return r < 0 ? r : client_answer(c, progress, arg, ret_line, ret);
}

int client_wait_end(struct client *c, int64_t timeout_ms)
{
	struct pollfd p = { .fd = c->pidfd, .events = POLLIN };
	int r;

	if (c->pidfd < 0)
		return 0;
	do
		r = poll(&p, 1, (int)timeout_ms);
	while (r < 0 && errno == EINTR);
	return r > 0 ? 0 : -ETIMEDOUT;
}
