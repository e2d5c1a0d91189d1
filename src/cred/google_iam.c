/* SPDX-License-Identifier: Apache-2.0 */
/* Acting as a service account, by IAM's leave. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/text.h"

#include "google_priv.h"

#define BODY_MAX (16 * 1024)
#define TOKEN_MAX (16 * 1024)
#define LIFE_S 3600

static int copy_delegate(const struct json *j, size_t i, struct json_w *w)
{
	const char *s = json_as_str(json_at(j, i));

	if (!s)
		return -EINVAL;
	json_w_str(w, NULL, s);
	return 0;
}

static int write_body(const struct google_doc *f, int64_t life_s, struct buf *b)
{
	const struct json *delegates = json_get(f->j, "delegates");
	struct json_w w = JSON_W_INIT(b);
	char life[32];
	int r = 0;

	snprintf(life, sizeof(life), "%" PRId64 "s", life_s);
	json_w_object(&w, NULL);
	json_w_array(&w, "delegates");
	for (size_t i = 0; i < json_len(delegates) && r == 0; i++)
		r = copy_delegate(delegates, i, &w);
	json_w_close(&w);
	json_w_array(&w, "scope");
	json_w_str(&w, NULL, f->scope);
	json_w_close(&w);
	json_w_str(&w, "lifetime", life);
	json_w_close(&w);
	return r ? r : json_w_end(&w);
}

/* "…/serviceAccounts/NAME:generateAccessToken" */
static void name_of(const char *url, char *ret, size_t size)
{
	const char *s = strrchr(url, '/');

	s = s ? s + 1 : url;
	snprintf(ret, size, "%.*s", (int)strcspn(s, ":"), s);
}

static int take(const struct google_doc *f, const char *name,
		const struct http_resp *resp, char say[CRED_WHY_MAX],
		struct cred **ret)
{
	const char *token, *until, *words;
	struct json *j = NULL;
	int64_t until_ns = 0;
	int r = json_parse(resp->body.p ? resp->body.p : "", resp->body.len,
			   &j);

	if (r == -ENOMEM)
		return r;
	token = json_get_str(j, "accessToken");
	until = json_get_str(j, "expireTime");
	words = json_get_str(json_get(j, "error"), "message");
	if (resp->status != 200)
		r = cred_why(say, "IAM refused to act as %.150s: %.200s "
				  "(HTTP %d)",
			     name, words ? words : "", resp->status);
	else if (!token || !*token || strpbrk(token, "\r\n") || !until ||
		 text_parse_iso_date(until, &until_ns))
		r = cred_why(say, "IAM: no token in what it said");
	else
		r = cred_new(name, "", token, until_ns, ret);
	if (r == 0)
		cred_why(say, "service account %.200s, as %s says", name,
			 f->path);
	json_free(j);
	return r;
}

int google_act_as(const struct google_doc *f, const char *url, int64_t life_s,
		  const struct cred *source, char say[CRED_WHY_MAX],
		  struct cred **ret)
{
	struct buf body = BUF_INIT(BODY_MAX), auth = BUF_INIT(TOKEN_MAX);
	struct http_header headers[] = { { "Content-Type",
					   "application/json" },
					 { "Authorization", NULL } };
	struct ask q = { .who = "IAM",
			 .method = "POST",
			 .url = url,
			 .headers = headers,
			 .nheaders = ARRAY_SIZE(headers),
			 .timeout_ms = GOOGLE_TIMEOUT_MS,
			 .tries = 3 };
	struct http_resp resp = { .status = 0 };
	char name[256];
	int r;

	if (!cred_is_agent_url(url))
		return cred_why(say, "%s: its service_account_impersonation_"
				     "url is neither https nor this machine",
				f->path);
	name_of(url, name, sizeof(name));
	r = write_body(f, life_s, &body);
	if (r == -EINVAL)
		r = cred_why(say, "%s: its delegates are no names", f->path);
	if (r == 0)
		r = buf_addf(&auth, "Bearer %s", cred_token(source));
	headers[1].value = auth.p;
	q.body = body.p;
	if (r == 0)
		r = ask(f->g->http, &q, &resp, say);
	if (r == 0)
		r = take(f, name, &resp, say, ret);
	ask_done(&resp);
	google_wipe(&auth);
	buf_clear(&body);
	return r;
}

int google_impersonated(const struct google_doc *f, char say[CRED_WHY_MAX],
			struct cred **ret)
{
	const char *url = google_get(f, "service_account_impersonation_url",
				     say);
	struct google_doc within = *f;
	struct cred *source = NULL;
	const char *type;
	int r;

	if (!url)
		return -EACCES;
	within.j = json_get(f->j, "source_credentials");
	within.scope = GOOGLE_IAM_SCOPE;
	type = json_get_str(within.j, "type");
	if (!type || strcmp(type, "impersonated_service_account") == 0)
		return cred_why(say, "%s: it has no source_credentials that "
				     "are one's own",
				f->path);
	r = google_by_type(&within, say, &source);
	if (r == 0)
		r = google_act_as(f, url, LIFE_S, source, say, ret);
	cred_drop(source);
	return r;
}
