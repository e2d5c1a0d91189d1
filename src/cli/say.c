/* SPDX-License-Identifier: Apache-2.0 */
/* Messages are a letter, text, and a NUL. */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "say.h"

#define SAY_MAX 2048

static void put(const struct say *s, char kind, const char *text)
{
	char msg[SAY_MAX + 2];
	size_t n, done = 0;
	ssize_t w;

	if (s->fd < 0) {
		if (kind != 'R')
			cmd_say("%s", text);
		return;
	}
	msg[0] = kind;
	(void)snprintf(msg + 1, sizeof(msg) - 1, "%s", text);
	for (n = strlen(msg) + 1; done < n; done += (size_t)w) {
		w = write(s->fd, msg + done, n - done);
		if (w < 0 && errno == EINTR)
			w = 0;
		/* The command was killed: the mount goes on without it. */
		if (w < 0)
			return;
	}
}

void say_info(struct say *s, const char *fmt, ...)
{
	char text[SAY_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put(s, 'I', text);
}

int say_error(struct say *s, int status, const char *fmt, ...)
{
	char text[SAY_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put(s, (char)('0' + status), text);
	return status;
}

void say_ready(struct say *s)
{
	put(s, 'R', "");
	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = -1;
}

int say_listen(int fd)
{
	char msg[SAY_MAX + 2];
	size_t n = 0;
	ssize_t got;
	char *end;

	for (;;) {
		end = memchr(msg, '\0', n);
		if (!end) {
			got = read(fd, msg + n, sizeof(msg) - n);
			if (got < 0 && errno == EINTR)
				continue;
			if (got <= 0)
				return -EPIPE;
			n += (size_t)got;
			continue;
		}
		if (msg[0] == 'R')
			return CLI_DONE;
		cmd_say("%s", msg + 1);
		if (msg[0] != 'I')
			return msg[0] - '0';
		n -= (size_t)(end + 1 - msg);
		memmove(msg, end + 1, n);
	}
}
