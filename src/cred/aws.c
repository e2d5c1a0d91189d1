/* SPDX-License-Identifier: Apache-2.0 */
/* The AWS chain, and the settings that lie beside its credentials. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/log.h"

#include "profile.h"

#define LOG_MODULE "cred"

struct profile_source {
	struct cred_source source;
	char *name; /* NULL: as the environment says */
};

/* The profile was read: has it keys to use? */
static int use(const struct profile *p, char why[CRED_WHY_MAX],
	       struct cred **ret)
{
	const char *a = p->credentials_path ? p->credentials_path : "-";
	const char *b = p->config_path ? p->config_path : "-";

	if (p->elsewhere)
		return cred_why(why,
				"profile \"%s\" has %s, which is not "
				"supported yet: use a profile with keys, or "
				"export them to the environment",
				p->name, p->elsewhere);
	if (p->key_id && p->secret && p->is_shared)
		log_warn("%s: other users may read the keys in it: chmod 600 "
			 "it",
			 p->keys_path);
	if (p->key_id && p->secret)
		return cred_new(p->key_id, p->secret, p->token, INT64_MAX, ret);
	if (p->key_id || p->secret)
		return cred_why(why, "profile \"%s\" has %s, but no %s",
				p->name,
				p->key_id ? "aws_access_key_id"
					  : "aws_secret_access_key",
				p->key_id ? "aws_secret_access_key"
					  : "aws_access_key_id");
	if (p->is_found)
		cred_why(why, "profile \"%s\" of %s and %s has no keys",
			 p->name, a, b);
	else
		cred_why(why, "there is no profile \"%s\" in %s or %s", p->name,
			 a, b);
	return -ENOENT;
}

static int fetch(struct cred_source *s, char why[CRED_WHY_MAX],
		 struct cred **ret)
{
	struct profile_source *ps = (struct profile_source *)s;
	struct profile p;
	int r = profile_read(ps->name, why, &p);

	if (r == 0)
		r = use(&p, why, ret);
	profile_clear(&p);
	return r;
}

static void free_source(struct cred_source *s)
{
	struct profile_source *ps = (struct profile_source *)s;

	free(ps->name);
	free(ps);
}

static const struct cred_source_ops profile_ops = {
	.name = "files",
	.fetch = fetch,
	.free = free_source,
};

static int profile_source_new(const char *name, struct cred_source **ret)
{
	struct profile_source *ps = calloc(1, sizeof(*ps));

	if (!ps)
		return -ENOMEM;
	ps->source.ops = &profile_ops;
	ps->name = name ? strdup(name) : NULL;
	if (name && !ps->name) {
		free(ps);
		return -ENOMEM;
	}
	*ret = &ps->source;
	return 0;
}

int cred_aws_chain(const struct cred_aws_opts *opts, const struct clk *clk,
		   struct cred_chain **ret)
{
	struct cred_source *srcs[2] = { NULL, NULL };
	unsigned n = 0;
	int r = 0;

	/* Who names a profile does not mean the environment. */
	if (!opts->profile)
		r = cred_env_new(&srcs[n++]);
	if (r == 0)
		r = profile_source_new(opts->profile, &srcs[n++]);
	if (r == 0)
		return cred_chain_new(srcs, n, clk, ret);
	while (n-- > 0)
		if (srcs[n])
			srcs[n]->ops->free(srcs[n]);
	return r;
}

static const char *first(const char *const *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (v[i] && *v[i])
			return v[i];
	return NULL;
}

int cred_aws_settings(const struct cred_aws_opts *opts, char why[CRED_WHY_MAX],
		      struct cred_aws_settings *ret)
{
	struct cred_aws_settings s = { 0 };
	struct profile p;
	int r = profile_read(opts->profile, why, &p);
	const char *regions[] = { opts->region, cred_getenv("AWS_REGION"),
				  cred_getenv("AWS_DEFAULT_REGION"), p.region,
				  "us-east-1" };
	const char *endpoints[] = { opts->endpoint_url,
				    cred_getenv("AWS_ENDPOINT_URL_S3"),
				    cred_getenv("AWS_ENDPOINT_URL"),
				    p.endpoint_url };
	const char *endpoint = first(endpoints, ARRAY_SIZE(endpoints));
	const char *region = first(regions, ARRAY_SIZE(regions));

	if (r)
		goto out;
	s.region = strdup(region);
	s.endpoint_url = endpoint ? strdup(endpoint) : NULL;
	if (!s.region || (endpoint && !s.endpoint_url)) {
		cred_aws_settings_clear(&s);
		r = -ENOMEM;
		goto out;
	}
	*ret = s;
out:
	profile_clear(&p);
	return r;
}

void cred_aws_settings_clear(struct cred_aws_settings *s)
{
	free(s->region);
	free(s->endpoint_url);
	s->region = NULL;
	s->endpoint_url = NULL;
}
