/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ckptfs/buf.h"
#include "ckptfs/hash.h"
#include "ckptfs/text.h"

#include "source_priv.h"

#define NORMAL_MAX 4096
#define PREFIX_MAX 900 /* of a key's 1024 bytes */
#define BUCKET_LEAST 3
#define BUCKET_MOST 255
#define ARN_MOST 200

int source_bad(char *err, const char *what, const char *text)
{
	(void)snprintf(err, SOURCE_ERR_MAX,
		       "%.200s: %s; give s3://bucket/prefix, "
		       "gs://bucket/prefix, az://container/path or "
		       "file:///folder",
		       text, what);
	return -EINVAL;
}

/* "a//b/" as "a/b/"; NULL and errno EINVAL for parts of dots. */
char *source_tidy_prefix(const char *s)
{
	struct buf t = BUF_INIT(PREFIX_MAX);
	size_t n;
	int r = buf_add(&t, "", 0);

	for (; r == 0 && *s; s += n) {
		for (; *s == '/'; s++)
			;
		n = strcspn(s, "/");
		if (n == 0)
			break;
		if ((n == 1 && s[0] == '.') ||
		    (n == 2 && s[0] == '.' && s[1] == '.'))
			r = -EINVAL;
		else
			r = buf_addf(&t, "%.*s/", (int)n, s);
	}
	if (r == 0)
		return buf_take(&t, NULL);
	buf_clear(&t);
	errno = r == -ENOMEM ? ENOMEM : EINVAL;
	return NULL;
}

static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	return false;
}

static int parse_arn(const char *text, const char *rest, char *err,
		     struct source *s)
{
	static const char kind[] = ":accesspoint/";
	const char *at = strstr(rest, kind);
	size_t n;

	n = at ? (size_t)(at - rest) + strlen(kind) : 0;
	n += strcspn(rest + n, "/");
	if (n > ARN_MOST)
		return source_bad(err, "no ARN is that long", text);
	s->where = strndup(rest, n);
	s->prefix = source_tidy_prefix(rest + n);
	if (s->where && !s->prefix && errno == EINVAL)
		return source_bad(err, "no such prefix can be mounted", text);
	return s->where && s->prefix ? 0 : -ENOMEM;
}

static int parse_bucket(const char *text, const char *rest, char *err,
			struct source *s)
{
	size_t n = strcspn(rest, "/"), i;

	/* arn:…:accesspoint/NAME stands for a bucket. */
	if (s->kind == SOURCE_S3 && strncmp(rest, "arn:", 4) == 0)
		return parse_arn(text, rest, err, s);
	if (n < BUCKET_LEAST || n > BUCKET_MOST)
		return source_bad(err, "a bucket's name has 3 to 63 characters",
				  text);
	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)rest[i]) && !strchr("._-", rest[i]))
			return source_bad(err, "no bucket has such a name", text);
	s->where = strndup(rest, n);
	s->prefix = source_tidy_prefix(rest + n);
	if (s->where && !s->prefix && errno == EINVAL)
		return source_bad(err, "no such prefix can be mounted", text);
	if (!s->where || !s->prefix)
		return -ENOMEM;
	return 0;
}

static int parse_dir(const char *text, const char *rest, char *err,
		     struct source *s)
{
	size_t n = strlen(rest);

	if (*rest != '/')
		return source_bad(err, "the folder must begin with /", text);
	while (n > 1 && rest[n - 1] == '/')
		n--;
	s->where = strndup(rest, n);
	s->prefix = strdup("");
	return s->where && s->prefix ? 0 : -ENOMEM;
}

static const char *scheme_of(const struct source *s)
{
	switch (s->kind) {
	case SOURCE_GCS:
		return "gs";
	case SOURCE_AZURE:
		return "az";
	case SOURCE_DIR:
		return "file";
	case SOURCE_S3:
		break;
	}
	return "s3";
}

static int make_name(struct source *s)
{
	struct buf t = BUF_INIT(NORMAL_MAX);
	size_t n = strlen(s->prefix);
	int r;

	if (s->kind == SOURCE_DIR)
		r = buf_addf(&t, "file://%s", s->where);
	else if (s->account)
		r = buf_addf(&t, "abfss://%s@%s.dfs.%s", s->where, s->account,
			     s->suffix);
	else
		r = buf_addf(&t, "%s://%s", scheme_of(s), s->where);
	if (r == 0 && n && s->kind != SOURCE_DIR)
		r = buf_addf(&t, "/%.*s", (int)n - 1, s->prefix);
	if (r == 0)
		s->name = buf_take(&t, NULL);
	return s->name ? 0 : -ENOMEM;
}

static const struct {
	const char *scheme;
	enum source_kind kind;
} schemes[] = {
	{ "s3://", SOURCE_S3 },
	{ "gs://", SOURCE_GCS },
	{ "gcs://", SOURCE_GCS }, /* as fsspec takes it, too */
	{ "az://", SOURCE_AZURE },
	{ "abfs://", SOURCE_AZURE },
	{ "abfss://", SOURCE_AZURE },
	{ "adl://", SOURCE_AZURE },
	{ "file://", SOURCE_DIR },
};

/* What follows the scheme, or NULL. */
static const char *take_scheme(const char *text, enum source_kind *ret)
{
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(schemes); i++) {
		n = strlen(schemes[i].scheme);
		if (strncmp(text, schemes[i].scheme, n) != 0)
			continue;
		*ret = schemes[i].kind;
		return text + n;
	}
	return NULL;
}

int source_parse(const char *text, char err[SOURCE_ERR_MAX], struct source *ret)
{
	struct source s = { .kind = SOURCE_S3 };
	const char *rest;
	int r;

	(void)snprintf(err, SOURCE_ERR_MAX, "out of memory");
	if (has_control(text))
		r = source_bad(err, "control characters in a source", "(source)");
	else if (!(rest = take_scheme(text, &s.kind)))
		r = source_bad(err, "not a source", text);
	else if (s.kind == SOURCE_DIR)
		r = parse_dir(text, rest, err, &s);
	else if (s.kind == SOURCE_AZURE)
		r = source_parse_azure(text, rest, err, &s);
	else
		r = parse_bucket(text, rest, err, &s);
	if (r == 0)
		r = make_name(&s);
	if (r < 0) {
		source_clear(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void source_clear(struct source *s)
{
	free(s->where);
	free(s->prefix);
	free(s->account);
	free(s->suffix);
	free(s->name);
	memset(s, 0, sizeof(*s));
}

static size_t host_len(const char *url, const char **ret_host)
{
	const char *p = strstr(url, "://");

	p = p ? p + 3 : url;
	*ret_host = p;
	return strcspn(p, "/");
}

/* Does the host's name end like this?  No endpoint does, too. */
static int is_below(const char *endpoint, const char *tail)
{
	const char *host;
	size_t n, m = strlen(tail);

	if (!endpoint || !*endpoint)
		return 1;
	n = host_len(endpoint, &host);
	n = n > strcspn(host, ":") ? strcspn(host, ":") : n;
	return n > m && strncasecmp(host + n - m, tail, m) == 0;
}

int source_is_amazon(const char *endpoint)
{
	return is_below(endpoint, ".amazonaws.com") ||
	       is_below(endpoint, ".amazonaws.com.cn");
}

int source_is_google(const char *endpoint)
{
	return is_below(endpoint, ".googleapis.com");
}

int source_is_azure(const char *endpoint)
{
	return is_below(endpoint, ".blob.core.windows.net");
}

static int is_vendors(const struct source *s, const char *endpoint)
{
	if (s->kind == SOURCE_AZURE)
		return source_is_azure(endpoint);
	return s->kind == SOURCE_GCS ? source_is_google(endpoint) :
				       source_is_amazon(endpoint);
}

/* Lower case, no port that its scheme implies, no slash at the end. */
static int add_endpoint(struct buf *t, const char *url)
{
	bool tls = strncasecmp(url, "https:", 6) == 0;
	const char *port = tls ? ":443" : ":80", *host;
	size_t n = host_len(url, &host), m = strlen(port);
	char c;
	int r;

	if (n > m && strncmp(host + n - m, port, m) == 0)
		n -= m;
	r = buf_addf(t, " at %s://", tls ? "https" : "http");
	for (; r == 0 && n > 0; host++, n--) {
		c = (char)tolower((unsigned char)*host);
		r = buf_add(t, &c, 1);
	}
	return r;
}

char *source_normal(const struct source *s, const char *endpoint)
{
	struct buf t = BUF_INIT(NORMAL_MAX);
	int r;

	if (s->kind == SOURCE_DIR)
		r = buf_addf(&t, "file://%s/",
			     strcmp(s->where, "/") == 0 ? "" : s->where);
	else if (s->kind == SOURCE_AZURE)
		r = buf_addf(&t, "az://%s@%s/%s", s->where,
			     s->account ? s->account : "", s->prefix);
	else
		r = buf_addf(&t, "%s://%s/%s", scheme_of(s), s->where,
			     s->prefix);
	if (r == 0 && s->kind != SOURCE_DIR && !is_vendors(s, endpoint))
		r = add_endpoint(&t, endpoint);
	if (r == 0)
		return buf_take(&t, NULL);
	buf_clear(&t);
	return NULL;
}

void source_hash(const char *text, char ret[17])
{
	unsigned char sum[SHA256_LEN];

	sha256(text, strlen(text), sum);
	text_hex(sum, 8, ret);
}
