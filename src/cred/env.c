/* SPDX-License-Identifier: Apache-2.0 */
/* The environment: its keys as a source, and what else is read of it. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ckptfs/text.h"

#include "aws_priv.h"

const char *cred_getenv(const char *name)
{
	const char *s = getenv(name);

	return s && *s ? s : NULL;
}

bool cred_getenv_bool(const char *name)
{
	const char *s = getenv(name);

	return s && strcasecmp(s, "true") == 0;
}

static int read_keys(char why[CRED_WHY_MAX], struct cred **ret)
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

int aws_env_read(struct env_keys *e)
{
	e->err = read_keys(e->why, &e->cred);
	return e->err == -ENOMEM ? -ENOMEM : 0;
}

int aws_env(const struct search *s, char say[CRED_WHY_MAX], struct cred **ret)
{
	const struct env_keys *e = &s->aws->env;

	if (!e->cred) {
		memcpy(say, e->why, sizeof(e->why));
		return e->err;
	}
	snprintf(say, CRED_WHY_MAX, "the environment");
	*ret = cred_hold(e->cred);
	return 0;
}

void cred_env_wipe(void)
{
	static const char *const names[] = {
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_KEY",
		"AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN",
		"AZURE_CLIENT_SECRET"
	};
	size_t i;
	char *s;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		s = getenv(names[i]);
		if (s)
			explicit_bzero(s, strlen(s));
		(void)unsetenv(names[i]);
	}
}
