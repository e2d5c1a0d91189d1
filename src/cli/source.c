/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/hash.h"
#include "ckptfs/source.h"
#include "ckptfs/text.h"

#define EXAMPLES "s3://BUCKET/PREFIX or file:///FOLDER"

/* "a//b/" and "/a/b" are "a/b/". */
static char *clean_prefix(const char *p)
{
	char *s = malloc(strlen(p) + 2), *q = s;

	if (!s)
		return NULL;
	while (*p) {
		size_t n;

		while (*p == '/')
			p++;
		n = strcspn(p, "/");
		memcpy(q, p, n);
		q += n;
		p += n;
		if (n)
			*q++ = '/';
	}
	*q = '\0';
	return s;
}

static int parse_s3(const char *rest, struct source *s,
		    char err[SOURCE_ERR_MAX])
{
	size_t n = strcspn(rest, "/"), i;

	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)rest[i]) && !strchr("-._", rest[i]))
			break;
	if (n < 1 || n > 255 || i < n) {
		(void)snprintf(err, SOURCE_ERR_MAX,
			       "s3://%s names no bucket: write s3://BUCKET or "
			       "s3://BUCKET/PREFIX",
			       rest);
		return -EINVAL;
	}
	s->kind = SOURCE_S3;
	s->place = strndup(rest, n);
	s->prefix = clean_prefix(rest + n);
	return s->place && s->prefix ? 0 : -ENOMEM;
}

static int parse_dir(const char *path, struct source *s,
		     char err[SOURCE_ERR_MAX])
{
	if (path[0] != '/') {
		(void)snprintf(err, SOURCE_ERR_MAX,
			       "file://%s: write an absolute path with three "
			       "slashes: file:///mnt/nfs/bucket",
			       path);
		return -EINVAL;
	}
	s->kind = SOURCE_DIR;
	s->place = realpath(path, NULL);
	if (!s->place) {
		(void)snprintf(err, SOURCE_ERR_MAX,
			       "file://%s: %s: make the folder first", path,
			       strerror(errno));
		return -EINVAL;
	}
	s->prefix = strdup("");
	return s->prefix ? 0 : -ENOMEM;
}

int source_parse(const char *text, struct source *ret, char err[SOURCE_ERR_MAX])
{
	static const char *const later[] = { "gs://",  "az://",	  "abfs://",
					     "abfss://", "adl://", "wasb://" };
	size_t i;
	int r = -EINVAL;

	memset(ret, 0, sizeof(*ret));
	err[0] = '\0';
	for (i = 0; i < sizeof(later) / sizeof(*later); i++) {
		if (strncmp(text, later[i], strlen(later[i])) != 0)
			continue;
		(void)snprintf(err, SOURCE_ERR_MAX,
			       "%s: this kind of bucket is not built yet: use "
			       EXAMPLES,
			       text);
		return r;
	}
	if (strncmp(text, "s3://", 5) == 0)
		r = parse_s3(text + 5, ret, err);
	else if (strncmp(text, "file://", 7) == 0)
		r = parse_dir(text + 7, ret, err);
	else
		(void)snprintf(err, SOURCE_ERR_MAX,
			       "%s is not a source: write " EXAMPLES, text);
	if (r < 0)
		source_clear(ret);
	return r;
}

void source_clear(struct source *s)
{
	free(s->place);
	free(s->prefix);
	memset(s, 0, sizeof(*s));
}

char *source_normal(const struct source *s, const char *endpoint_url)
{
	char *out = NULL;
	size_t n = endpoint_url ? strlen(endpoint_url) : 0;

	while (n && endpoint_url[n - 1] == '/')
		n--;
	if (s->kind == SOURCE_DIR) {
		if (asprintf(&out, "file://%s/", s->place) < 0)
			return NULL;
	} else if (asprintf(&out, "s3://%s/%s%s%.*s", s->place, s->prefix,
			    n ? "@" : "", (int)n,
			    n ? endpoint_url : "") < 0) {
		return NULL;
	}
	return out;
}

void source_digest(const char *text, char ret[17])
{
	unsigned char sum[SHA256_LEN];

	sha256(text, strlen(text), sum);
	text_hex(sum, 8, ret);
}
