/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/log.h"
#include "ckptfs/text.h"

#include "util/escape.h"

#define LINE_MAX_BYTES 4096

/* A line being built; what does not fit is dropped, with room kept for the
 * end of the line. */
struct line {
	char p[LINE_MAX_BYTES];
	size_t len;
};

#define TAIL_BYTES 256

static struct {
	enum log_level level;
	enum log_sink sink;
	bool json;
	int fd;
} now = { LOG_LV_INFO, LOG_TO_STDERR, false, STDERR_FILENO };

static const char *const level_names[] = { "err", "warn", "info", "debug" };

int log_level_parse(const char *s, enum log_level *ret)
{
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (strcmp(s, level_names[i]) == 0) {
			*ret = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

int log_init(const struct log_opts *o)
{
	int fd = STDERR_FILENO;

	if (o->sink == LOG_TO_FILE) {
		if (!o->path)
			return -EINVAL;
		fd = open(o->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			  0640);
		if (fd < 0)
			return -errno;
	}
	if (now.sink == LOG_TO_FILE)
		(void)close(now.fd);
	if (now.sink == LOG_TO_SYSLOG)
		closelog();
	if (o->sink == LOG_TO_SYSLOG)
		openlog("ckptfs", LOG_PID, LOG_DAEMON);
	now.level = o->level;
	now.sink = o->sink;
	now.json = o->json;
	now.fd = fd;
	return 0;
}

/* Add n bytes, all or nothing, unless fewer than keep would stay free. */
static bool put(struct line *l, const char *p, size_t n, size_t keep)
{
	if (l->len + n + keep > sizeof(l->p))
		return false;
	memcpy(l->p + l->len, p, n);
	l->len += n;
	return true;
}

static void put_str(struct line *l, const char *s)
{
	(void)put(l, s, strlen(s), 2);
}

static void put_escaped(struct line *l, const char *s, size_t keep)
{
	size_t left = strlen(s);
	char esc[ESCAPE_LEN];

	while (left > 0) {
		size_t n = escape_char(s, left, now.json, esc);
		const char *what = esc[0] ? esc : s;

		if (!put(l, what, esc[0] ? strlen(esc) : n, keep + 3)) {
			(void)put(l, "...", 3, keep);
			return;
		}
		s += n;
		left -= n;
	}
}

static void build_text(struct line *l, const char *mod, const char *msg,
		       const char *why)
{
	char date[TEXT_DATE_LEN];

	if (now.sink == LOG_TO_FILE) {
		text_iso_date(clk_real(&clk_system), 3, date);
		put_str(l, date);
		put_str(l, " ");
	}
	if (now.sink != LOG_TO_SYSLOG)
		put_str(l, "ckptfs: ");
	put_str(l, mod);
	put_str(l, ": ");
	put_escaped(l, msg, TAIL_BYTES);
	if (why) {
		put_str(l, ": ");
		put_escaped(l, why, 2);
	}
}

static void build_json(struct line *l, enum log_level lv, const char *mod,
		       const char *msg, const char *why)
{
	char date[TEXT_DATE_LEN];

	text_iso_date(clk_real(&clk_system), 3, date);
	put_str(l, "{\"ts\":\"");
	put_str(l, date);
	put_str(l, "\",\"level\":\"");
	put_str(l, level_names[lv]);
	put_str(l, "\",\"module\":\"");
	put_escaped(l, mod, TAIL_BYTES);
	put_str(l, "\",\"msg\":\"");
	put_escaped(l, msg, TAIL_BYTES);
	if (why) {
		put_str(l, "\",\"err\":\"");
		put_escaped(l, why, 8);
	}
	put_str(l, "\"}");
}

static void emit(struct line *l, enum log_level lv)
{
	static const int prio[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
	ssize_t n;

	if (now.sink == LOG_TO_SYSLOG) {
		l->p[l->len] = '\0';
		syslog(prio[lv], "%s", l->p);
		return;
	}
	l->p[l->len++] = '\n';
	do {
		n = write(now.fd, l->p, l->len);
	} while (n < 0 && errno == EINTR);
}

void log_line(enum log_level lv, const char *mod, int err, const char *fmt, ...)
{
	int saved = errno;
	char msg[LINE_MAX_BYTES], why[128];
	struct line l;
	va_list ap;

	if (lv > now.level)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	errno = -err;
	(void)snprintf(why, sizeof(why), "%m");
	l.len = 0;
	if (now.json)
		build_json(&l, lv, mod, msg, err ? why : NULL);
	else
		build_text(&l, mod, msg, err ? why : NULL);
	emit(&l, lv);
	errno = saved;
}
