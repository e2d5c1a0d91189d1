/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own and not inih: as distributions build it, that one cuts lines at 200
 * bytes, which session tokens exceed.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ckptfs/buf.h"
#include "ckptfs/ini.h"
#include "ckptfs/log.h"

#define LOG_MODULE "ini"

#define FILE_MAX_BYTES (1U << 20)

struct state {
	ini_fn *fn;
	void *arg;
	const char *section; /* into the copy being cut up */
	const char *parent; /* key without value that indented lines join */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* End s at its comment and drop the blanks around it. */
static char *strip(char *s)
{
	char *end;

	for (; is_blank(*s); s++)
		;
	for (end = s; *end; end++)
		if ((*end == '#' || *end == ';') &&
		    (end == s || is_blank(end[-1])))
			break;
	while (end > s && is_blank(end[-1]))
		end--;
	*end = '\0';
	return s;
}

static int deliver_nested(struct state *st, const char *key, const char *value)
{
	struct buf joined = BUF_INIT(FILE_MAX_BYTES);
	int r = buf_addf(&joined, "%s.%s", st->parent, key);

	if (r == 0)
		r = st->fn(st->arg, st->section, joined.p, value);
	buf_clear(&joined);
	return r;
}

/* One line, ended by NUL.  -EBADMSG if it is nothing we know. */
static int take_line(struct state *st, char *line)
{
	bool indented = is_blank(*line);
	char *s = strip(line), *eq;
	const char *value;
	size_t n = strlen(s);

	if (n == 0)
		return 0;
	if (*s == '[') {
		if (s[n - 1] != ']')
			return -EBADMSG;
		s[n - 1] = '\0';
		st->section = strip(s + 1);
		st->parent = NULL;
		return 0;
	}
	eq = strchr(s, '=');
	if (!eq || eq == s)
		return -EBADMSG;
	*eq = '\0';
	s = strip(s);
	value = strip(eq + 1);
	if (indented && st->parent)
		return deliver_nested(st, s, value);
	st->parent = *value ? NULL : s;
	return st->fn(st->arg, st->section, s, value);
}

int ini_parse_mem(const char *p, size_t n, ini_fn *fn, void *arg,
		  unsigned *ret_bad_line)
{
	struct state st = { .fn = fn, .arg = arg, .section = "" };
	unsigned number = 0, bad = 0;
	char *copy, *line, *next;
	int r = 0;

	copy = malloc(n + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, p, n);
	copy[n] = '\0';
	line = strncmp(copy, "\xef\xbb\xbf", 3) == 0 ? copy + 3 : copy;
	for (; line; line = next) {
		next = memchr(line, '\n', (size_t)(copy + n - line));
		if (next)
			*next++ = '\0';
		number++;
		r = take_line(&st, line);
		if (r == -EBADMSG && bad == 0)
			bad = number;
		if (r != 0 && r != -EBADMSG)
			break;
		r = 0;
	}
	/* Such files hold secrets. */
	explicit_bzero(copy, n);
	free(copy);
	if (r == 0 && bad != 0) {
		*ret_bad_line = bad;
		r = -EBADMSG;
	}
	return r;
}

static int read_all(int fd, struct buf *b)
{
	char piece[4096];
	ssize_t n;
	int r = buf_add(b, "", 0);

	while (r == 0) {
		n = read(fd, piece, sizeof(piece));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = -errno;
		if (n <= 0)
			break;
		r = buf_add(b, piece, (size_t)n);
	}
	explicit_bzero(piece, sizeof(piece));
	return r == -EMSGSIZE ? -EFBIG : r;
}

/* A pipe would be waited for, and a device read for ever. */
static int check_file(int fd, mode_t *ret_mode)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (!ret_mode)
		return 0;
	if ((st.st_uid != geteuid() && st.st_uid != 0) ||
	    (st.st_mode & S_IWOTH))
		return -EPERM;
	*ret_mode = st.st_mode & 07777;
	return 0;
}

static int read_file(const char *path, ini_fn *fn, void *arg, mode_t *ret_mode)
{
	struct buf b = BUF_INIT(FILE_MAX_BYTES);
	unsigned bad = 0;
	int fd, r;

	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = check_file(fd, ret_mode);
	if (r == 0)
		r = read_all(fd, &b);
	(void)close(fd);
	if (r == 0)
		r = ini_parse_mem(b.p, b.len, fn, arg, &bad);
	if (bad != 0)
		r = log_err(r, "%s: line %u is neither [section] nor key=value",
			    path, bad);
	if (b.p)
		explicit_bzero(b.p, b.len);
	buf_clear(&b);
	return r;
}

int ini_read(const char *path, ini_fn *fn, void *arg)
{
	return read_file(path, fn, arg, NULL);
}

int ini_read_secret(const char *path, ini_fn *fn, void *arg, mode_t *ret_mode)
{
	return read_file(path, fn, arg, ret_mode);
}
