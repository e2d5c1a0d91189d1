/* SPDX-License-Identifier: Apache-2.0 */
/* IAM Identity Center: a role by the token of a login. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/clock.h"
#include "ckptfs/json.h"
#include "ckptfs/text.h"

#include "aws_priv.h"

#define TIMEOUT_MS 30000
#define URL_MAX 4096

/* A setting that session and profile may both have, but not differently. */
static int setting(const struct search *s, const char *session, const char *key,
		   char why[CRED_WHY_MAX], const char **ret)
{
	const char *own = aws_get(s, key), *theirs = NULL;

	if (session)
		theirs = config_get(s->files, CONFIG_SSO_SESSION, session, key);
	if (own && theirs && strcmp(own, theirs) != 0)
		return cred_why(why,
				"profile \"%s\" and sso-session \"%s\" have "
				"different %s",
				s->profile, session, key);
	*ret = theirs ? theirs : own;
	if (*ret)
		return 0;
	return cred_why(why, "profile \"%s\" is to use SSO, but has no %s",
			s->profile, key);
}

static int configure(const struct search *s, char why[CRED_WHY_MAX],
		     struct sso *sso, const char **ret_role,
		     const char **ret_account)
{
	int r;

	sso->session = aws_get(s, "sso_session");
	if (sso->session &&
	    !config_has(s->files, CONFIG_SSO_SESSION, sso->session))
		return cred_why(why,
				"profile \"%s\" has sso_session = %s, and "
				"there is no [sso-session %s]",
				s->profile, sso->session, sso->session);
	r = setting(s, NULL, "sso_role_name", why, ret_role);
	if (r == 0)
		r = setting(s, NULL, "sso_account_id", why, ret_account);
	if (r == 0)
		r = setting(s, sso->session, "sso_start_url", why,
			    &sso->start_url);
	if (r == 0)
		r = setting(s, sso->session, "sso_region", why, &sso->region);
	return r;
}

static int make_url(const char *endpoint, const char *role, const char *account,
		    struct buf *b)
{
	int r = buf_addf(b, "%s/federation/credentials?account_id=", endpoint);

	if (r == 0)
		r = text_percent(b, account, strlen(account), false);
	if (r == 0)
		r = buf_addf(b, "&role_name=");
	if (r == 0)
		r = text_percent(b, role, strlen(role), false);
	return r == -EMSGSIZE ? -EINVAL : r;
}

static int use(const struct json *j, char why[CRED_WHY_MAX], struct cred **ret)
{
	const struct json *c = json_get(j, "roleCredentials");
	const char *id = json_get_str(c, "accessKeyId");
	const char *secret = json_get_str(c, "secretAccessKey");
	const char *token = json_get_str(c, "sessionToken");
	int64_t end_ms;

	if (!id || !secret || !token || json_get_int(c, "expiration", &end_ms) ||
	    end_ms > INT64_MAX / NS_PER_MS)
		return cred_why(why, "SSO: no credentials in its answer");
	return cred_new(id, secret, token, end_ms * NS_PER_MS, ret);
}

static int take(const struct search *s, const struct http_resp *resp,
		char why[CRED_WHY_MAX], struct cred **ret)
{
	struct json *j = NULL;
	const char *text;
	int r = json_parse(resp->body.p, resp->body.len, &j);

	if (r == -ENOMEM)
		return r;
	text = json_get_str(j, "message");
	if (resp->status == 401)
		r = cred_why(why,
			     "SSO does not take the token of this login any "
			     "more: aws sso login --profile %s",
			     s->profile);
	else if (resp->status != 200)
		r = cred_why(why, "SSO refused: HTTP %d %s", resp->status,
			     text ? text : "");
	else
		r = use(j, why, ret);
	json_free(j);
	return r;
}

static int get_role(const struct search *s, const char *url, const char *token,
		    char why[CRED_WHY_MAX], struct cred **ret)
{
	const struct http_header header = { "x-amz-sso_bearer_token", token };
	const struct ask q = { .who = "SSO",
			       .method = "GET",
			       .url = url,
			       .headers = &header,
			       .nheaders = 1,
			       .timeout_ms = TIMEOUT_MS,
			       .tries = 3 };
	struct http_resp resp;
	int r = ask(s->aws->http, &q, &resp, why);

	if (r == 0)
		r = take(s, &resp, why, ret);
	ask_done(&resp);
	return r;
}

int aws_sso(const struct search *s, char say[CRED_WHY_MAX], struct cred **ret)
{
	const char *role = NULL, *account = NULL;
	char *endpoint = NULL, *token = NULL;
	struct buf url = BUF_INIT(URL_MAX);
	struct sso sso = { .session = NULL };
	int r;

	if (!aws_get(s, "sso_role_name") && !aws_get(s, "sso_account_id"))
		return -ENOENT;
	r = configure(s, say, &sso, &role, &account);
	if (r == 0 && role && account) { /* both are set then */
		endpoint = aws_endpoint(s, "AWS_ENDPOINT_URL_SSO", "sso",
					"portal.sso", sso.region);
		r = endpoint ? make_url(endpoint, role, account, &url) :
			       -ENOMEM;
	}
	if (r == -EINVAL)
		r = cred_why(say, "SSO: its URL is too long");
	if (r == 0)
		r = sso_token(s, &sso, say, &token);
	if (r == 0)
		r = get_role(s, url.p, token, say, ret);
	if (r == 0)
		snprintf(say, CRED_WHY_MAX,
			 "SSO role %.100s of account %.32s (profile \"%.64s\")",
			 role, account, s->profile);
	cred_wipe(token);
	free(endpoint);
	buf_clear(&url);
	return r;
}
