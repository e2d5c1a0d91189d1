/* SPDX-License-Identifier: Apache-2.0 */
/* The AWS chain: which way after which. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "aws_priv.h"

struct way {
	const char *name; /* in what is said when none leads anywhere */
	aws_way_fn *go;
	bool is_apart; /* nothing of it comes from files */
};

static const struct way before[] = {
	{ "environment", aws_env, true },
	{ "role", aws_role, false },
};

static const struct way of_profile[] = {
	{ "web identity", aws_web_identity, false },
	{ "SSO", aws_sso, false },
	{ "credentials file", aws_credentials_file, false },
	{ "login", aws_login, false },
	{ "credential_process", aws_process, false },
	{ "config file", aws_config_file, false },
};

static const struct way behind[] = {
	{ "container", aws_container, true },
	{ "instance metadata", aws_imds, true },
};

/* Each way's -ENOENT is added to say. */
static int go(const struct way *ways, size_t n, const struct search *s,
	      char say[CRED_WHY_MAX], const struct way **ret_way,
	      struct cred **ret)
{
	char one[CRED_WHY_MAX];
	size_t i, at = strlen(say);
	int r;

	for (i = 0; i < n; i++) {
		one[0] = '\0';
		r = ways[i].go(s, one, ret);
		*ret_way = &ways[i];
		if (r != -ENOENT) {
			snprintf(say, CRED_WHY_MAX, "%s", one);
			return r;
		}
		/* What was not asked for needs no word. */
		if (*one && at < CRED_WHY_MAX)
			at += (size_t)snprintf(say + at, CRED_WHY_MAX - at,
					       "%s%s: %s", at ? "; " : "",
					       ways[i].name, one);
	}
	return -ENOENT;
}

int aws_profile(const struct search *s, char say[CRED_WHY_MAX],
		struct cred **ret)
{
	const struct way *way;

	say[0] = '\0';
	return go(of_profile, ARRAY_SIZE(of_profile), s, say, &way, ret);
}

static int all(const struct search *s, char say[CRED_WHY_MAX],
	       const struct way **ret_way, struct cred **ret)
{
	/* Who names a profile does not mean the environment. */
	size_t skip = s->aws->is_named ? 1 : 0;
	char tried[CRED_WHY_MAX] = "";
	int r;

	r = go(before + skip, ARRAY_SIZE(before) - skip, s, tried, ret_way,
	       ret);
	if (r == -ENOENT)
		r = go(of_profile, ARRAY_SIZE(of_profile), s, tried, ret_way,
		       ret);
	if (r == -ENOENT)
		r = go(behind, ARRAY_SIZE(behind), s, tried, ret_way, ret);
	snprintf(say, CRED_WHY_MAX, "%s%.460s",
		 r == -ENOENT ? "no credentials found: " : "", tried);
	return r;
}

static int fetch(struct cred_source *src, char say[CRED_WHY_MAX],
		 struct cred **ret)
{
	struct aws *a = (struct aws *)src;
	struct search s = { .aws = a, .profile = a->profile, .is_top = true };
	const struct way *way = NULL;
	struct config *files = NULL;
	int r;

	/* Before they are read: what changes meanwhile is seen later. */
	r = config_look(&a->mark);
	if (r == 0)
		r = config_load(say, &files);
	s.files = files;
	if (r == 0)
		r = all(&s, say, &way, ret);
	if (r == 0)
		a->is_from_files = !way->is_apart;
	config_free(files);
	return r;
}

static bool has_changed(struct cred_source *src)
{
	struct aws *a = (struct aws *)src;
	struct config_mark now;

	return a->is_from_files && config_look(&now) == 0 &&
	       memcmp(&now, &a->mark, sizeof(now)) != 0;
}

static void free_source(struct cred_source *src)
{
	struct aws *a = (struct aws *)src;

	cred_drop(a->env.cred);
	cred_wipe(a->container_token);
	free(a->profile);
	free(a->region);
	free(a);
}

static int copy(const char *s, char **ret)
{
	*ret = s ? strdup(s) : NULL;
	return s && !*ret ? -ENOMEM : 0;
}

static const char *name_of(const struct cred_aws_opts *opts)
{
	const char *name = opts->profile;

	if (!name)
		name = cred_getenv("AWS_PROFILE");
	return name ? name : "default";
}

int cred_aws_chain(const struct cred_aws_opts *opts, const struct clk *clk,
		   struct cred_chain **ret)
{
	static const struct cred_source_ops ops = { .fetch = fetch,
						    .has_changed = has_changed,
						    .free = free_source };
	struct aws *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->source.ops = &ops;
	a->is_named = opts->profile != NULL;
	a->http = opts->http;
	a->rng = opts->rng;
	a->clk = clk;
	r = copy(name_of(opts), &a->profile);
	if (r == 0)
		r = copy(opts->region, &a->region);
	if (r == 0)
		r = copy(cred_getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
			 &a->container_token);
	if (r == 0)
		r = aws_env_read(&a->env);
	if (r == 0)
		return cred_chain_new(&a->source, clk, ret);
	free_source(&a->source);
	return r;
}

/* ---- settings */

const char *aws_get(const struct search *s, const char *key)
{
	return config_get(s->files, CONFIG_PROFILE, s->profile, key);
}

static const char *first(const char *const *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (v[i] && *v[i])
			return v[i];
	return NULL;
}

static const char *find_region(const struct config *files, const char *profile,
			       const char *option)
{
	const char *v[] = { option, cred_getenv("AWS_REGION"),
			    cred_getenv("AWS_DEFAULT_REGION"),
			    config_get(files, CONFIG_PROFILE, profile,
				       "region"),
			    "us-east-1" };

	return first(v, ARRAY_SIZE(v));
}

const char *aws_region(const struct search *s)
{
	return find_region(s->files, s->aws->profile, s->aws->region);
}

const char *aws_endpoint_said(const struct config *files, const char *profile,
			      const char *variable, const char *service)
{
	const char *services =
		config_get(files, CONFIG_PROFILE, profile, "services");
	const char *ignore = config_get(files, CONFIG_PROFILE, profile,
					"ignore_configured_endpoint_urls");
	const char *v[4] = { cred_getenv(variable),
			     cred_getenv("AWS_ENDPOINT_URL") };
	char key[64];

	if (cred_getenv_bool("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") ||
	    (ignore && strcmp(ignore, "true") == 0))
		return NULL;
	snprintf(key, sizeof(key), "%s.endpoint_url", service);
	if (services)
		v[2] = config_get(files, CONFIG_SERVICES, services, key);
	v[3] = config_get(files, CONFIG_PROFILE, profile, "endpoint_url");
	return first(v, ARRAY_SIZE(v));
}

char *aws_endpoint(const struct search *s, const char *variable,
		   const char *service, const char *host, const char *region)
{
	const char *said = aws_endpoint_said(s->files, s->aws->profile,
					     variable, service);
	const char *tail = strncmp(region, "cn-", 3) == 0 ? ".cn" : "";
	char *url = NULL;
	size_t n;

	if (said) {
		for (n = strlen(said); n && said[n - 1] == '/'; n--)
			;
		return strndup(said, n);
	}
	if (asprintf(&url, "https://%s.%s.amazonaws.com%s", host, region,
		     tail) < 0)
		return NULL;
	return url;
}

/* What is said first counts, if it is no, too. */
static bool is_on(const struct config *files, const char *profile,
		  const char *variable, const char *key)
{
	const char *v[] = { cred_getenv(variable),
			    config_get(files, CONFIG_PROFILE, profile, key) };
	const char *said = first(v, ARRAY_SIZE(v));

	return said && strcasecmp(said, "true") == 0;
}

int cred_aws_settings(const struct cred_aws_opts *opts, char why[CRED_WHY_MAX],
		      struct cred_aws_settings *ret)
{
	struct cred_aws_settings s = { 0 };
	const char *profile = name_of(opts), *endpoint = opts->endpoint_url;
	struct config *files = NULL;
	int r = config_load(why, &files);

	if (r)
		return r;
	if (!endpoint || !*endpoint)
		endpoint = aws_endpoint_said(files, profile,
					     "AWS_ENDPOINT_URL_S3", "s3");
	r = copy(find_region(files, profile, opts->region), &s.region);
	if (r == 0)
		r = copy(endpoint, &s.endpoint_url);
	s.fips = is_on(files, profile, "AWS_USE_FIPS_ENDPOINT",
		       "use_fips_endpoint");
	s.dual_stack = is_on(files, profile, "AWS_USE_DUALSTACK_ENDPOINT",
			     "use_dualstack_endpoint");
	config_free(files);
	if (r)
		cred_aws_settings_clear(&s);
	else
		*ret = s;
	return r;
}

void cred_aws_settings_clear(struct cred_aws_settings *s)
{
	free(s->region);
	free(s->endpoint_url);
	s->region = NULL;
	s->endpoint_url = NULL;
}
