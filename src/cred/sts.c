/* SPDX-License-Identifier: Apache-2.0 */
/* The two requests to STS. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ckptfs/clock.h"
#include "ckptfs/hash.h"
#include "ckptfs/sign.h"
#include "ckptfs/text.h"
#include "ckptfs/xml.h"

#include "aws_priv.h"

#define BODY_MAX (128 * 1024)
#define TIMEOUT_MS 30000
#define FORM_TYPE "application/x-www-form-urlencoded; charset=utf-8"

/* What STS said. */
struct said {
	char *id, *secret, *token, *end, *code, *message;
	bool no_memory;
};

static int on_leaf(void *arg, const char *path, const char *text)
{
	struct said *t = arg;
	const struct {
		const char *name;
		char **to;
	} known[] = {
		{ "/Credentials/AccessKeyId", &t->id },
		{ "/Credentials/SecretAccessKey", &t->secret },
		{ "/Credentials/SessionToken", &t->token },
		{ "/Credentials/Expiration", &t->end },
		{ "ErrorResponse/Error/Code", &t->code },
		{ "ErrorResponse/Error/Message", &t->message },
	};
	size_t i, n = strlen(path), m;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		m = strlen(known[i].name);
		if (n < m || strcmp(path + n - m, known[i].name) != 0 ||
		    *known[i].to)
			continue;
		*known[i].to = strdup(text);
		return *known[i].to ? 0 : -ENOMEM;
	}
	return 0;
}

static void said_clear(struct said *t)
{
	free(t->id);
	cred_wipe(t->secret);
	cred_wipe(t->token);
	free(t->end);
	free(t->code);
	free(t->message);
}

static int use(const struct said *t, int status, const char *what,
	       char why[CRED_WHY_MAX], struct cred **ret)
{
	int64_t expiry_ns;

	if (status != 200 && t->code)
		return cred_why(why, "STS refused %s: %s: %s", what, t->code,
				t->message ? t->message : "");
	if (status != 200)
		return cred_why(why, "STS refused %s: HTTP %d", what, status);
	if (!t->id || !t->secret || !t->token || !t->end ||
	    text_parse_iso_date(t->end, &expiry_ns))
		return cred_why(why, "STS: no credentials in its answer to %s",
				what);
	return cred_new(t->id, t->secret, t->token, expiry_ns, ret);
}

static int take(const struct http_resp *resp, const char *what,
		char why[CRED_WHY_MAX], struct cred **ret)
{
	struct said t = { 0 };
	const struct xml_handler h = { .leaf = on_leaf, .arg = &t };
	int r = xml_parse(resp->body.p, resp->body.len, &h);

	if (r == -EBADMSG)
		r = resp->status == 200 ?
			    cred_why(why, "STS: its answer is no XML") :
			    0;
	if (r == 0)
		r = use(&t, resp->status, what, why, ret);
	said_clear(&t);
	return r;
}

static int add(struct buf *b, const char *name, const char *value)
{
	int r;

	if (!value)
		return 0;
	r = buf_addf(b, "&%s=", name);
	return r ? r : text_percent(b, value, strlen(value), false);
}

static int make_body(const struct search *s, const struct sts_role *role,
		     const char *token, struct buf *b)
{
	char session[48];
	int r;

	snprintf(session, sizeof(session), "ckptfs-%" PRId64,
		 clk_real(s->aws->clk) / NS_PER_S);
	r = buf_addf(b, "Action=%s&Version=2011-06-15",
		     token ? "AssumeRoleWithWebIdentity" : "AssumeRole");
	if (r == 0)
		r = add(b, "RoleArn", role->arn);
	if (r == 0)
		r = add(b, "RoleSessionName",
			role->session ? role->session : session);
	if (r == 0)
		r = add(b, "ExternalId", role->external_id);
	if (r == 0)
		r = add(b, "DurationSeconds", role->duration);
	if (r == 0)
		r = add(b, "WebIdentityToken", token);
	return r == -EMSGSIZE ? -EINVAL : r;
}

/* The host of a URL, as its header will be. */
static const char *host_of(const char *url)
{
	const char *p = strstr(url, "://");

	return p ? p + 3 : url;
}

static int sign(const struct search *s, const char *url, const char *body,
		const struct cred *cred, char sum[SIGN_SHA256_HEX],
		struct sign_result *ret)
{
	static const struct sign_pair type = { "content-type", FORM_TYPE };
	unsigned char digest[SHA256_LEN];
	const struct sign_req req = {
		.method = "POST",
		.host = host_of(url),
		.path = "/",
		.headers = &type,
		.nheaders = 1,
		.payload = sum,
		.region = aws_region(s),
		.service = "sts",
	};

	sha256(body, strlen(body), digest);
	text_hex(digest, sizeof(digest), sum);
	return sign_sigv4(&req, cred, clk_real(s->aws->clk), ret);
}

static int send(const struct search *s, const char *endpoint, const char *what,
		const char *body, const struct cred *cred,
		char why[CRED_WHY_MAX], struct cred **ret)
{
	struct http_header headers[5] = { { "Content-Type", FORM_TYPE } };
	char url[512], sum[SIGN_SHA256_HEX];
	struct ask q = { .who = "STS",
			 .method = "POST",
			 .url = url,
			 .headers = headers,
			 .nheaders = 1,
			 .body = body,
			 .timeout_ms = TIMEOUT_MS,
			 .tries = 3 };
	struct sign_result sig = { .authorization = BUF_INIT(0) };
	struct http_resp resp = { 0 };
	int r = 0;

	if (snprintf(url, sizeof(url), "%s/", endpoint) >= (int)sizeof(url))
		return cred_why(why, "STS: its URL is too long");
	if (cred) {
		r = sign(s, endpoint, body, cred, sum, &sig);
		headers[1] = (struct http_header){ "x-amz-date", sig.date };
		headers[2] =
			(struct http_header){ "x-amz-content-sha256", sum };
		headers[3] = (struct http_header){ "Authorization",
						   sig.authorization.p };
		headers[4] = (struct http_header){ "x-amz-security-token",
						   cred_token(cred) };
		q.nheaders = *cred_token(cred) ? 5 : 4;
	}
	if (r == 0)
		r = ask(s->aws->http, &q, &resp, why);
	if (r == 0)
		r = take(&resp, what, why, ret);
	ask_done(&resp);
	sign_result_clear(&sig);
	return r;
}

int sts_assume(const struct search *s, const struct sts_role *role,
	       const struct cred *source, const char *token,
	       char why[CRED_WHY_MAX], struct cred **ret)
{
	struct buf body = BUF_INIT(BODY_MAX);
	char *endpoint = aws_endpoint(s, "AWS_ENDPOINT_URL_STS", "sts", "sts",
				      aws_region(s));
	int r = endpoint ? make_body(s, role, token, &body) : -ENOMEM;

	if (r == 0)
		r = send(s, endpoint, role->arn, body.p, source, why, ret);
	else if (r == -EINVAL)
		r = cred_why(why, "STS: the token is too long");
	if (body.p)
		explicit_bzero(body.p, body.len);
	buf_clear(&body);
	free(endpoint);
	return r;
}
