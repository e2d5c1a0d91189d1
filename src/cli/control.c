/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ckptfs/buf.h"
#include "ckptfs/json.h"
#include "ckptfs/log.h"

#include "control.h"

#define LOG_MODULE "control"

#define REQUEST_MAX (64U << 10)
#define BACKLOG 16
#define SEND_TIMEOUT_S 30
#define CONNECTIONS_MAX 64

struct control {
	control_handle_fn *fn;
	void *arg;
	char path[CONTROL_PATH_MAX];
	dev_t dev; /* of the socket, so that only our own is unlinked */
	ino_t ino;
	int listen_fd, stop_fd;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t idle;
	unsigned connections;
	bool ending;
};

struct control_conn {
	struct control *c;
	int fd;
	bool gone;
};

const char *control_socket(const struct control *c)
{
	return c->path;
}

bool control_ending(struct control_conn *conn)
{
	bool ending;

	(void)pthread_mutex_lock(&conn->c->lock);
	ending = conn->c->ending;
	(void)pthread_mutex_unlock(&conn->c->lock);
	return ending;
}

static int send_all(struct control_conn *conn, const char *p, size_t n)
{
	ssize_t done;

	while (n > 0 && !conn->gone) {
		done = send(conn->fd, p, n, MSG_NOSIGNAL);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			conn->gone = true;
			break;
		}
		p += done;
		n -= (size_t)done;
	}
	return conn->gone ? -EPIPE : 0;
}

int control_reply(struct control_conn *conn, const struct buf *b)
{
	int r = send_all(conn, b->p ? b->p : "", b->len);

	return r < 0 ? r : send_all(conn, "\n", 1);
}

/* Wait for bytes or the end of the server: 1, or 0 to hang up. */
static int wait_readable(struct control_conn *conn)
{
	struct pollfd p[2] = { { .fd = conn->fd, .events = POLLIN },
			       { .fd = conn->c->stop_fd, .events = POLLIN } };

	while (poll(p, 2, -1) < 0)
		if (errno != EINTR)
			return 0;
	return p[0].revents != 0;
}

/* The next line into b, without its newline; 0 at the end. */
static int read_line(struct control_conn *conn, struct buf *b)
{
	char c;
	ssize_t n;

	buf_clear(b);
	/* Requests are short: a byte at a time leaves nothing over. */
	while (wait_readable(conn)) {
		n = recv(conn->fd, &c, 1, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		if (c == '\n')
			return buf_add(b, "", 0) == 0;
		if (buf_add(b, &c, 1) < 0)
			return 0;
	}
	return 0;
}

static void serve(struct control_conn *conn)
{
	struct buf line = BUF_INIT(REQUEST_MAX);
	struct buf no = BUF_INIT(REQUEST_MAX);
	struct json *req = NULL;

	while (!conn->gone && read_line(conn, &line)) {
		if (json_parse(line.p, line.len, &req) == 0) {
			conn->c->fn(conn->c->arg, req, conn);
		} else if (buf_addf(&no, "{\"error\":\"not JSON\"}") < 0 ||
			   control_reply(conn, &no) < 0) {
			break;
		}
		buf_clear(&no);
		json_free(req);
		req = NULL;
	}
	buf_clear(&no);
	buf_clear(&line);
}

static void *conn_main(void *arg)
{
	struct control_conn *conn = arg;
	struct control *c = conn->c;

	serve(conn);
	(void)close(conn->fd);
	free(conn);
	(void)pthread_mutex_lock(&c->lock);
	if (--c->connections == 0)
		(void)pthread_cond_broadcast(&c->idle);
	(void)pthread_mutex_unlock(&c->lock);
	return NULL;
}

static bool is_welcome(int fd)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static void take(struct control *c, int fd)
{
	struct timeval limit = { .tv_sec = SEND_TIMEOUT_S };
	struct control_conn *conn = NULL;
	pthread_t t;
	bool room;

	(void)pthread_mutex_lock(&c->lock);
	room = c->connections < CONNECTIONS_MAX;
	c->connections += room;
	(void)pthread_mutex_unlock(&c->lock);
	if (!room) {
		(void)close(fd);
		return;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (is_welcome(fd))
		conn = calloc(1, sizeof(*conn));
	if (conn) {
		conn->c = c;
		conn->fd = fd;
		if (pthread_create(&t, NULL, conn_main, conn) == 0) {
			(void)pthread_detach(t);
			return;
		}
		free(conn);
	}
	(void)close(fd);
	(void)pthread_mutex_lock(&c->lock);
	if (--c->connections == 0)
		(void)pthread_cond_broadcast(&c->idle);
	(void)pthread_mutex_unlock(&c->lock);
}

static void *listen_main(void *arg)
{
	struct control *c = arg;
	struct pollfd p[2] = { { .fd = c->listen_fd, .events = POLLIN },
			       { .fd = c->stop_fd, .events = POLLIN } };
	int fd;

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents)
			break;
		if (!p[0].revents)
			continue;
		fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			take(c, fd);
	}
	return NULL;
}

/* A folder of ours that nobody else can enter. */
static int make_dir(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (lstat(dir, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 077))
		return -EPERM;
	return 0;
}

static int bind_in(struct control *c, const char *dir, const char *point)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct stat st;
	char fresh[CONTROL_PATH_MAX];
	int r = make_dir(dir);

	if (r == 0)
		r = control_path(dir, point, c->path);
	if (r == 0 && snprintf(fresh, sizeof(fresh), "%.80s.%d", c->path,
			       (int)getpid()) >= (int)sizeof(fresh))
		r = -ENAMETOOLONG;
	if (r < 0)
		return r;
	(void)unlink(fresh);
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", fresh);
	if (bind(c->listen_fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		return -errno;
	/* Listening before it gets its name: who finds it is served. */
	if (listen(c->listen_fd, BACKLOG) < 0 || lstat(fresh, &st) < 0 ||
	    rename(fresh, c->path) < 0) {
		r = -errno;
		(void)unlink(fresh);
		return r;
	}
	c->dev = st.st_dev;
	c->ino = st.st_ino;
	return 0;
}

static int bind_socket(struct control *c, const char *point)
{
	char dir[CONTROL_PATH_MAX];
	unsigned i;
	int r = -ENOENT;

	for (i = 0; control_dir(geteuid(), i, dir) == 0; i++) {
		r = bind_in(c, dir, point);
		if (r == 0)
			break;
	}
	return r;
}

/* The thread gets no signal: those are the signal thread's. */
static int start_thread(struct control *c)
{
	sigset_t all, old;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&c->thread, NULL, listen_main, c);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	c->running = r == 0;
	return r;
}

int control_start(const char *point, control_handle_fn *fn, void *arg,
		  struct control **ret)
{
	struct control *c = calloc(1, sizeof(*c));
	int r = 0;

	if (!c)
		return -ENOMEM;
	c->fn = fn;
	c->arg = arg;
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_cond_init(&c->idle, NULL);
	c->stop_fd = eventfd(0, EFD_CLOEXEC);
	c->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->stop_fd < 0 || c->listen_fd < 0)
		r = -errno;
	if (r == 0)
		r = bind_socket(c, point);
	if (r == 0)
		r = start_thread(c);
	if (r < 0) {
		control_stop(c);
		return log_err(r, "control socket of %s", point);
	}
	*ret = c;
	return 0;
}

void control_end(struct control *c)
{
	(void)pthread_mutex_lock(&c->lock);
	c->ending = true;
	(void)pthread_mutex_unlock(&c->lock);
}

void control_stop(struct control *c)
{
	struct stat st;

	if (!c)
		return;
	control_end(c);
	if (c->ino && lstat(c->path, &st) == 0 && st.st_ino == c->ino &&
	    st.st_dev == c->dev)
		(void)unlink(c->path);
	if (c->stop_fd >= 0)
		(void)eventfd_write(c->stop_fd, 1);
	if (c->running)
		(void)pthread_join(c->thread, NULL);
	(void)pthread_mutex_lock(&c->lock);
	while (c->connections > 0)
		(void)pthread_cond_wait(&c->idle, &c->lock);
	(void)pthread_mutex_unlock(&c->lock);
	if (c->listen_fd >= 0)
		(void)close(c->listen_fd);
	if (c->stop_fd >= 0)
		(void)close(c->stop_fd);
	(void)pthread_cond_destroy(&c->idle);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}
