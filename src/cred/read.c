/* SPDX-License-Identifier: Apache-2.0 */
/* Small things that secrets are read from. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ckptfs/buf.h"
#include "ckptfs/json.h"
#include "ckptfs/text.h"

#include "cred_priv.h"

#define PASSWD_MAX 4096
#define FILE_MAX_BYTES (64 * 1024)

int cred_why(char why[CRED_WHY_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, CRED_WHY_MAX, fmt, ap);
	va_end(ap);
	return -EACCES;
}

void cred_wipe(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

char *cred_path(const char *path)
{
	const char *home = cred_getenv("HOME");
	struct passwd pwd, *pw = NULL;
	char buf[PASSWD_MAX], *s = NULL;

	if (strncmp(path, "~/", 2) != 0)
		return strdup(path);
	/* What is mounted at boot has no environment. */
	if (!home && getpwuid_r(geteuid(), &pwd, buf, sizeof(buf), &pw) == 0 &&
	    pw)
		home = pw->pw_dir;
	if (!home) {
		errno = ENOENT;
		return NULL;
	}
	if (asprintf(&s, "%s%s", home, path + 1) >= 0)
		return s;
	errno = ENOMEM;
	return NULL;
}

static int read_all(int fd, struct buf *b)
{
	char piece[4096];
	ssize_t n = 1;
	int r = buf_add(b, "", 0);

	while (r == 0 && n != 0) {
		n = read(fd, piece, sizeof(piece));
		if (n < 0 && errno != EINTR)
			r = -errno;
		if (n > 0)
			r = buf_add(b, piece, (size_t)n);
	}
	explicit_bzero(piece, sizeof(piece));
	return r;
}

int cred_read_file(const char *path, char why[CRED_WHY_MAX], char **ret)
{
	struct buf b = BUF_INIT(FILE_MAX_BYTES);
	struct stat st;
	int fd, r = 0;

	/* A pipe would be waited for. */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	else
		r = read_all(fd, &b);
	if (fd >= 0)
		(void)close(fd);
	if (r == 0 && (!b.p || memchr(b.p, 0, b.len))) /* never NULL */
		r = -EINVAL;
	if (r == 0) {
		*ret = b.p;
		return 0;
	}
	if (b.p)
		explicit_bzero(b.p, b.len);
	buf_clear(&b);
	return r == -ENOMEM ? r : cred_why(why, "%s: %s", path, strerror(-r));
}

static int take(const struct json *j, const char *token_name, const char *who,
		char why[CRED_WHY_MAX], struct cred **ret)
{
	const char *id = json_get_str(j, "AccessKeyId");
	const char *secret = json_get_str(j, "SecretAccessKey");
	const char *end = json_get_str(j, "Expiration");
	int64_t expiry_ns = INT64_MAX;

	if (!id || !*id || !secret || !*secret)
		return cred_why(why, "%s: no %s in what it said", who,
				id && *id ? "SecretAccessKey" : "AccessKeyId");
	if (end && text_parse_iso_date(end, &expiry_ns))
		return cred_why(why, "%s: its Expiration is no date", who);
	return cred_new(id, secret, json_get_str(j, token_name), expiry_ns,
			ret);
}

int cred_parse_json(const char *p, size_t n, const char *token_name,
		    const char *who, char why[CRED_WHY_MAX], struct cred **ret)
{
	struct json *j = NULL;
	int r = json_parse(p, n, &j);

	if (r == -ENOMEM)
		return r;
	if (r)
		return cred_why(why, "%s: what it said is no JSON", who);
	r = take(j, token_name, who, why, ret);
	json_free(j);
	return r;
}
