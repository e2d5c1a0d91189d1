/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ckptfs/control.h"
#include "ckptfs/json.h"
#include "ckptfs/lock.h"
#include "ckptfs/log.h"
#include "ckptfs/source.h"

#define LOG_MODULE "control"
#define REQUEST_MAX 65536

struct control {
	struct sockaddr_un addr;
	int fd;
	pthread_t thread;
	bool running, stopping;
	control_fn *fn;
	void *arg;
	pthread_mutex_t m; /* guards clients */
	pthread_cond_t c;
	unsigned clients;
};

struct client {
	struct control *c;
	int fd;
};

/* The folder for sockets: ours alone, or not used. */
static int folder(char *ret, size_t size, bool make)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	struct stat st;

	if (geteuid() == 0)
		(void)snprintf(ret, size, "/run/ckptfs");
	else if (run && *run == '/' && strlen(run) < 64)
		(void)snprintf(ret, size, "%s/ckptfs", run);
	else
		(void)snprintf(ret, size, "/tmp/ckptfs-%u",
			       (unsigned)geteuid());
	if (make && mkdir(ret, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (lstat(ret, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 077))
		return -EPERM;
	return 0;
}

static int address(const char *mountpoint, bool make, struct sockaddr_un *ret)
{
	char dir[80], name[17];
	int r = folder(dir, sizeof(dir), make);

	if (r < 0)
		return r;
	source_digest(mountpoint, name);
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	(void)snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/%s.sock", dir,
		       name);
	return 0;
}

static bool say(void *arg, const char *line)
{
	struct client *cl = arg;
	size_t n = strlen(line), done = 0;

	while (done <= n) {
		const char *p = done < n ? line + done : "\n";
		ssize_t w = send(cl->fd, p, done < n ? n - done : 1,
				 MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return false;
		done += (size_t)w;
	}
	return true;
}

static bool is_friend(int fd)
{
	struct ucred who;
	socklen_t n = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 &&
	       (who.uid == 0 || who.uid == geteuid());
}

static void *serve_one(void *arg)
{
	struct client *cl = arg;
	struct control *c = cl->c;
	char *buf = malloc(REQUEST_MAX);
	struct json *req = NULL;
	size_t n = 0;
	ssize_t got;

	while (buf && n < REQUEST_MAX && !memchr(buf, '\n', n)) {
		got = recv(cl->fd, buf + n, REQUEST_MAX - n, 0);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	if (buf && n && is_friend(cl->fd) && json_parse(buf, n, &req) == 0)
		c->fn(c->arg, req, say, cl);
	json_free(req);
	free(buf);
	(void)close(cl->fd);
	free(cl);
	(void)pthread_mutex_lock(&c->m);
	c->clients--;
	(void)pthread_cond_broadcast(&c->c);
	(void)pthread_mutex_unlock(&c->m);
	return NULL;
}

static void take_client(struct control *c, int fd)
{
	struct client *cl = malloc(sizeof(*cl));
	struct timeval t = { .tv_sec = 30 };
	pthread_t th;

	if (!cl) {
		(void)close(fd);
		return;
	}
	cl->c = c;
	cl->fd = fd;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	(void)pthread_mutex_lock(&c->m);
	c->clients++;
	(void)pthread_mutex_unlock(&c->m);
	if (pthread_create(&th, NULL, serve_one, cl) == 0) {
		(void)pthread_detach(th);
		return;
	}
	(void)close(fd);
	free(cl);
	(void)pthread_mutex_lock(&c->m);
	c->clients--;
	(void)pthread_mutex_unlock(&c->m);
}

static void *accept_all(void *arg)
{
	struct control *c = arg;
	int fd;

	for (;;) {
		fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			take_client(c, fd);
		else if (errno != EINTR && errno != ECONNABORTED)
			break; /* shut down */
	}
	return NULL;
}

int control_start(const char *mountpoint, control_fn *fn, void *arg,
		  struct control **ret)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->fn = fn;
	c->arg = arg;
	(void)pthread_mutex_init(&c->m, NULL);
	(void)pthread_cond_init(&c->c, NULL);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = c->fd < 0 ? -errno : address(mountpoint, true, &c->addr);
	if (r == 0) {
		(void)unlink(c->addr.sun_path); /* of a daemon that died */
		if (bind(c->fd, (struct sockaddr *)&c->addr,
			 sizeof(c->addr)) < 0 ||
		    listen(c->fd, 16) < 0)
			r = -errno;
	}
	if (r == 0) {
		r = -pthread_create(&c->thread, NULL, accept_all, c);
		c->running = r == 0;
	}
	if (r < 0) {
		control_stop(c);
		return r;
	}
	*ret = c;
	return 0;
}

void control_stop(struct control *c)
{
	if (!c)
		return;
	if (c->running) {
		(void)unlink(c->addr.sun_path);
		(void)shutdown(c->fd, SHUT_RDWR);
		(void)pthread_join(c->thread, NULL);
	}
	(void)pthread_mutex_lock(&c->m);
	while (c->clients)
		(void)pthread_cond_wait(&c->c, &c->m);
	(void)pthread_mutex_unlock(&c->m);
	if (c->fd >= 0)
		(void)close(c->fd);
	(void)pthread_mutex_destroy(&c->m);
	(void)pthread_cond_destroy(&c->c);
	free(c);
}

static int ask(int fd, const char *request)
{
	struct client cl = { .fd = fd };

	return say(&cl, request) ? 0 : -EPIPE;
}

int control_call(const char *mountpoint, const char *request,
		 control_line_fn *line, void *arg)
{
	struct sockaddr_un addr;
	char *buf = NULL;
	size_t cap = 0;
	ssize_t n;
	FILE *f = NULL;
	int fd = -1, r = address(mountpoint, false, &addr);

	if (r == 0) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&addr,
				      sizeof(addr)) < 0)
			r = -errno;
	}
	if (r == 0)
		r = ask(fd, request);
	if (r == 0) {
		f = fdopen(fd, "r");
		r = f ? 0 : -ENOMEM;
	}
	if (r == 0) {
		r = -EPROTO;
		while ((n = getline(&buf, &cap, f)) > 0) {
			r = line(arg, buf, (size_t)n);
			if (r != 0)
				break;
		}
	}
	free(buf);
	if (f)
		(void)fclose(f);
	else if (fd >= 0)
		(void)close(fd);
	return r;
}
