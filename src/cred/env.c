/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/text.h"

#include "cred_priv.h"

int cred_why(char why[CRED_WHY_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, CRED_WHY_MAX, fmt, ap);
	va_end(ap);
	return -EACCES;
}

const char *cred_getenv(const char *name)
{
	const char *s = getenv(name);

	return s && *s ? s : NULL;
}

/* What the environment said when the source was made: it cannot change from
 * outside, and is wiped. */
struct env_source {
	struct cred_source source;
	struct cred *cred; /* NULL: err, and why */
	int err;
	char why[CRED_WHY_MAX];
};

static int read_env(char why[CRED_WHY_MAX], struct cred **ret)
{
	const char *key = cred_getenv("AWS_ACCESS_KEY_ID");
	const char *secret = cred_getenv("AWS_SECRET_ACCESS_KEY");
	const char *expiry = cred_getenv("AWS_CREDENTIAL_EXPIRATION");
	int64_t expiry_ns = INT64_MAX;

	if (!key && !secret) {
		cred_why(why, "AWS_ACCESS_KEY_ID is not set");
		return -ENOENT;
	}
	if (!key || !secret)
		return cred_why(
			why, "%s is set, but %s is not",
			key ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
			key ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	if (expiry && text_parse_iso_date(expiry, &expiry_ns))
		return cred_why(why, "AWS_CREDENTIAL_EXPIRATION is not a date "
				     "like 2024-01-31T23:59:58Z");
	return cred_new(key, secret, cred_getenv("AWS_SESSION_TOKEN"),
			expiry_ns, ret);
}

void cred_env_wipe(void)
{
	static const char *const names[] = { "AWS_ACCESS_KEY_ID",
					     "AWS_SECRET_ACCESS_KEY",
					     "AWS_SESSION_TOKEN" };
	size_t i;
	char *s;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		s = getenv(names[i]);
		if (s)
			explicit_bzero(s, strlen(s));
		(void)unsetenv(names[i]);
	}
}

static int fetch(struct cred_source *s, char why[CRED_WHY_MAX],
		 struct cred **ret)
{
	struct env_source *e = (struct env_source *)s;

	if (!e->cred) {
		memcpy(why, e->why, sizeof(e->why));
		return e->err;
	}
	*ret = cred_hold(e->cred);
	return 0;
}

static void free_source(struct cred_source *s)
{
	struct env_source *e = (struct env_source *)s;

	cred_drop(e->cred);
	free(e);
}

static const struct cred_source_ops env_ops = {
	.name = "environment",
	.fetch = fetch,
	.free = free_source,
};

int cred_env_new(struct cred_source **ret)
{
	struct env_source *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->source.ops = &env_ops;
	e->err = read_env(e->why, &e->cred);
	if (e->err == -ENOMEM) {
		free(e);
		return -ENOMEM;
	}
	*ret = &e->source;
	return 0;
}
