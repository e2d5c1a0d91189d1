/* SPDX-License-Identifier: Apache-2.0 */
/* The role of an EC2 instance, from its metadata service. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ckptfs/clock.h"
#include "ckptfs/rng.h"
#include "ckptfs/text.h"

#include "aws_priv.h"

#define WHO "the instance metadata service"
#define USUAL "http://169.254.169.254"
#define USUAL_V6 "http://[fd00:ec2::254]"
#define ROLE_PATH "latest/meta-data/iam/security-credentials/"
#define TOKEN_SECONDS "21600"
#define URL_MAX 1024
#define ROLE_MAX 256

/* One talk with it. */
struct imds {
	const struct search *s;
	char base[URL_MAX]; /* ends in / */
	unsigned timeout_ms, tries;
	char *token; /* NULL: it knows of none */
};

/* "5", from the environment, or the profile. */
static unsigned number(const struct search *s, const char *variable,
		       const char *key, unsigned most)
{
	const char *text = cred_getenv(variable);
	uint64_t n;

	if (!text)
		text = aws_get(s, key);
	if (!text || text_parse_u64(text, &n) || n == 0)
		return 1;
	return n > most ? most : (unsigned)n;
}

static const char *either(const struct search *s, const char *variable,
			  const char *key)
{
	const char *v = cred_getenv(variable);

	return v ? v : aws_get(s, key);
}

static int begin(const struct search *s, struct imds *m,
		 char why[CRED_WHY_MAX])
{
	const char *base = either(s, "AWS_EC2_METADATA_SERVICE_ENDPOINT",
				  "ec2_metadata_service_endpoint");
	const char *mode = either(s, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
				  "ec2_metadata_service_endpoint_mode");
	size_t n;

	memset(m, 0, sizeof(*m));
	m->s = s;
	if (!base)
		base = mode && strcasecmp(mode, "ipv6") == 0 ? USUAL_V6 : USUAL;
	n = strlen(base);
	if (snprintf(m->base, sizeof(m->base), "%s%s", base,
		     n && base[n - 1] == '/' ? "" : "/") >=
	    (int)sizeof(m->base))
		return cred_why(why, "its endpoint is too long");
	/* A machine that is no instance is not to be waited for. */
	m->timeout_ms = 1000 * number(s, "AWS_METADATA_SERVICE_TIMEOUT",
				      "metadata_service_timeout", 60);
	m->tries = number(s, "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
			  "metadata_service_num_attempts", 10);
	return 0;
}

static int request(const struct imds *m, const char *method, const char *path,
		   const struct http_header *header, struct http_resp *resp,
		   char why[CRED_WHY_MAX])
{
	char url[URL_MAX + ROLE_MAX + 64];
	const struct ask q = { .who = WHO,
			       .method = method,
			       .url = url,
			       .headers = header,
			       .nheaders = header ? 1 : 0,
			       .body = strcmp(method, "PUT") == 0 ? "" : NULL,
			       .timeout_ms = m->timeout_ms,
			       .tries = m->tries,
			       .is_direct = true };

	snprintf(url, sizeof(url), "%s%s", m->base, path);
	return ask(m->s->aws->http, &q, resp, why);
}

/* IMDSv2.  What has no tokens is asked without, unless that is forbidden. */
static int get_token(struct imds *m, char why[CRED_WHY_MAX])
{
	static const struct http_header life = {
		"x-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS
	};
	const char *no_v1 = either(m->s, "AWS_EC2_METADATA_V1_DISABLED",
				   "ec2_metadata_v1_disabled");
	bool is_refused = false;
	struct http_resp resp;
	int r = request(m, "PUT", "latest/api/token", &life, &resp, why);

	if (r == 0)
		is_refused = resp.status == 403 || resp.status == 404 ||
			     resp.status == 405;
	if (r == 0 && resp.status == 200 && resp.body.len > 0) {
		m->token = strdup(resp.body.p);
		r = m->token ? 0 : -ENOMEM;
	} else if (r == 0 && (!is_refused ||
			      (no_v1 && strcasecmp(no_v1, "true") == 0))) {
		r = cred_why(why, WHO " gave no token: HTTP %d", resp.status);
	}
	ask_done(&resp);
	return r;
}

static int get(const struct imds *m, const char *path, struct http_resp *resp,
	       char why[CRED_WHY_MAX])
{
	const struct http_header token = { "x-aws-ec2-metadata-token",
					   m->token };
	int r = request(m, "GET", path, m->token ? &token : NULL, resp, why);

	if (r == 0 && (resp->status != 200 || resp->body.len == 0))
		r = cred_why(why, WHO " has no role for this machine: HTTP %d",
			     resp->status);
	return r;
}

static int get_role(const struct imds *m, char role[ROLE_MAX],
		    char why[CRED_WHY_MAX])
{
	struct http_resp resp;
	int r = get(m, ROLE_PATH, &resp, why);

	if (r == 0) {
		size_t n = strcspn(resp.body.p, "\r\n");

		/* It becomes a part of a URL. */
		if (n == 0 || n >= ROLE_MAX ||
		    strspn(resp.body.p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					"abcdefghijklmnopqrstuvwxyz"
					"0123456789+=,.@_-") < n)
			r = cred_why(why, WHO " names no role");
		else
			snprintf(role, ROLE_MAX, "%.*s", (int)n, resp.body.p);
	}
	ask_done(&resp);
	return r;
}

/*
 * While the service has trouble it hands out credentials past their end, which
 * are good all the same: use them, and ask again in some minutes.
 */
static int extend(const struct search *s, struct cred **c)
{
	int64_t now = clk_real(s->aws->clk), ahead = 15 * 60 * NS_PER_S;
	struct cred *longer = NULL;
	int r;

	if (cred_expiry_ns(*c) - now > 2 * 60 * NS_PER_S)
		return 0;
	ahead += (int64_t)(120 + rng_u64(s->aws->rng) % 480) * NS_PER_S;
	r = cred_new(cred_key_id(*c), cred_secret(*c), cred_token(*c),
		     now + ahead, &longer);
	if (r)
		return r;
	cred_drop(*c);
	*c = longer;
	return 0;
}

static int get_cred(const struct imds *m, const char *role,
		    char why[CRED_WHY_MAX], struct cred **ret)
{
	char path[sizeof(ROLE_PATH) + ROLE_MAX];
	struct cred *c = NULL;
	struct http_resp resp;
	int r;

	snprintf(path, sizeof(path), ROLE_PATH "%s", role);
	r = get(m, path, &resp, why);
	if (r == 0)
		r = cred_parse_json(resp.body.p, resp.body.len, "Token", WHO,
				    why, &c);
	ask_done(&resp);
	if (r == 0)
		r = extend(m->s, &c);
	if (r == 0)
		*ret = c;
	else
		cred_drop(c);
	return r;
}

int aws_imds(const struct search *s, char say[CRED_WHY_MAX], struct cred **ret)
{
	char role[ROLE_MAX] = "";
	struct imds m;
	int r;

	if (cred_getenv_bool("AWS_EC2_METADATA_DISABLED")) {
		snprintf(say, CRED_WHY_MAX, "AWS_EC2_METADATA_DISABLED is set");
		return -ENOENT;
	}
	r = begin(s, &m, say);
	if (r == 0)
		r = get_token(&m, say);
	if (r == 0)
		r = get_role(&m, role, say);
	if (r == 0)
		r = get_cred(&m, role, say, ret);
	cred_wipe(m.token);
	if (r == 0)
		snprintf(say, CRED_WHY_MAX, "role %s of this instance", role);
	/* It is the last, and asked uninvited: most machines have none. */
	return r == -EAGAIN || r == -EACCES ? -ENOENT : r;
}
