/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "httpd.h"

#define MAX_REQUESTS 64
#define MAX_BYTES (8 * 1024 * 1024)

struct request {
	char *p;
	size_t len;
	bool is_whole;
};

struct httpd {
	const struct httpd_reply *script;
	size_t nscript;
	int listen_fd;
	unsigned port;
	pthread_t thread;
	pthread_mutex_t m; /* guards the rest */
	pthread_cond_t came;
	int fd; /* of the connection, -1: none */
	bool stop;
	unsigned n;
	struct request req[MAX_REQUESTS];
};

static size_t body_length(const char *head)
{
	const char *p = strcasestr(head, "\r\nContent-Length:");

	return p ? strtoul(p + 17, NULL, 10) : 0;
}

static bool send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t r = send(fd, p, n, MSG_NOSIGNAL);

		if (r <= 0)
			return false;
		p += r;
		n -= (size_t)r;
	}
	return true;
}

static bool more(int fd, struct request *q)
{
	ssize_t r;

	if (!q->p)
		q->p = calloc(1, MAX_BYTES + 1);
	if (!q->p || q->len == MAX_BYTES)
		return false;
	r = recv(fd, q->p + q->len, MAX_BYTES - q->len, 0);
	if (r <= 0)
		return false;
	q->len += (size_t)r;
	return true;
}

/* False: the client went away first. */
static bool take(struct httpd *s, int fd, struct request *q,
		 const struct httpd_reply *reply)
{
	char *end = NULL;
	size_t want;

	while (!end) {
		if (!more(fd, q))
			return false;
		end = strstr(q->p, "\r\n\r\n");
	}
	if (reply && reply->early &&
	    !send_all(fd, reply->early, strlen(reply->early)))
		return false;
	want = (size_t)(end + 4 - q->p) + body_length(q->p);
	while (q->len < want)
		if (!more(fd, q))
			return false;
	return true;
}

/* One request; false when the connection is done with. */
static bool serve(struct httpd *s, int fd)
{
	const struct httpd_reply *reply = NULL;
	struct request *q;
	char junk[256];
	bool ok;

	pthread_mutex_lock(&s->m);
	ck_assert_uint_lt(s->n, MAX_REQUESTS);
	q = &s->req[s->n];
	q->len = 0;
	if (s->n < s->nscript)
		reply = &s->script[s->n];
	pthread_mutex_unlock(&s->m);

	ok = take(s, fd, q, reply);
	if (q->len == 0)
		return false;
	pthread_mutex_lock(&s->m);
	q->is_whole = true;
	s->n++;
	pthread_cond_broadcast(&s->came);
	pthread_mutex_unlock(&s->m);
	if (!ok)
		return false;
	if (reply && reply->text &&
	    !send_all(fd, reply->text,
		      reply->len ? reply->len : strlen(reply->text)))
		return false;
	if (!reply || reply->then == HTTPD_HANG)
		while (recv(fd, junk, sizeof(junk), 0) > 0)
			;
	return reply && reply->then == HTTPD_KEEP;
}

static void *loop(void *arg)
{
	struct httpd *s = arg;

	for (;;) {
		int fd = accept(s->listen_fd, NULL, NULL);
		bool stop;

		pthread_mutex_lock(&s->m);
		stop = s->stop;
		s->fd = fd;
		pthread_mutex_unlock(&s->m);
		while (fd >= 0 && !stop && serve(s, fd))
			;
		pthread_mutex_lock(&s->m);
		s->fd = -1;
		stop = s->stop;
		if (fd >= 0)
			close(fd);
		pthread_mutex_unlock(&s->m);
		if (stop || fd < 0)
			return NULL;
	}
}

struct httpd *httpd_start(const struct httpd_reply *script, size_t n)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	struct httpd *s = calloc(1, sizeof(*s));

	ck_assert_ptr_nonnull(s);
	s->script = script;
	s->nscript = n;
	s->fd = -1;
	pthread_mutex_init(&s->m, NULL);
	pthread_cond_init(&s->came, NULL);
	s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(s->listen_fd, 0);
	ck_assert_int_eq(
		bind(s->listen_fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(s->listen_fd, 16), 0);
	ck_assert_int_eq(getsockname(s->listen_fd, (struct sockaddr *)&a, &len),
			 0);
	s->port = ntohs(a.sin_port);
	ck_assert_int_eq(pthread_create(&s->thread, NULL, loop, s), 0);
	return s;
}

void httpd_stop(struct httpd *s)
{
	unsigned i;

	pthread_mutex_lock(&s->m);
	s->stop = true;
	if (s->fd >= 0)
		shutdown(s->fd, SHUT_RDWR);
	pthread_mutex_unlock(&s->m);
	shutdown(s->listen_fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listen_fd);
	for (i = 0; i < MAX_REQUESTS; i++)
		free(s->req[i].p);
	pthread_mutex_destroy(&s->m);
	pthread_cond_destroy(&s->came);
	free(s);
}

unsigned httpd_port(const struct httpd *s)
{
	return s->port;
}

void httpd_wait(struct httpd *s, unsigned i)
{
	pthread_mutex_lock(&s->m);
	while (s->n <= i)
		pthread_cond_wait(&s->came, &s->m);
	pthread_mutex_unlock(&s->m);
}

const char *httpd_request(struct httpd *s, unsigned i, size_t *ret_len)
{
	httpd_wait(s, i);
	if (ret_len)
		*ret_len = s->req[i].len;
	return s->req[i].p;
}

unsigned httpd_count(struct httpd *s)
{
	unsigned n;

	pthread_mutex_lock(&s->m);
	n = s->n;
	pthread_mutex_unlock(&s->m);
	return n;
}
