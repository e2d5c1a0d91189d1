/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workload identity federation: another provider's token, from a file or a URL,
 * is exchanged for one of Google's; with that a service account is acted as, if
 * the file says so.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ckptfs/text.h"

#include "google_priv.h"

#define HEADERS_MAX 8
#define LIFE_S 3600

/* ---- the other provider's token ---- */

/* The text as it is, or a member of it; to be freed with cred_wipe(). */
static int parse(const struct google_doc *f, const char *text,
		 char why[CRED_WHY_MAX], char **ret)
{
	const struct json *format = json_get(
		json_get(f->j, "credential_source"), "format");
	const char *type = json_get_str(format, "type");
	const char *field = json_get_str(format, "subject_token_field_name");
	struct json *j = NULL;
	const char *token = text;
	int r = 0;

	if (type && strcmp(type, "json") == 0) {
		r = json_parse(text, strlen(text), &j);
		token = r == 0 && field ? json_get_str(j, field) : NULL;
	} else if (type && strcmp(type, "text") != 0) {
		return cred_why(why, "%s: a format of type %.50s", f->path,
				type);
	}
	if (r == -ENOMEM)
		return r;
	if (!token || !*token)
		r = cred_why(why, "%s: its credential_source gives no token",
			     f->path);
	else
		*ret = strdup(token);
	json_free(j);
	if (r)
		return r;
	return *ret ? 0 : -ENOMEM;
}

struct headers {
	struct http_header v[HEADERS_MAX];
	size_t n;
};

static int add_header(void *arg, const char *name, const struct json *value)
{
	struct headers *h = arg;
	const char *s = json_as_str(value);

	if (!s || h->n == HEADERS_MAX)
		return -EINVAL;
	h->v[h->n++] = (struct http_header){ name, s };
	return 0;
}

/* Where no secret is sent, and machines are asked what they are. */
static bool is_link_local(const char *url)
{
	return strncasecmp(url, "http://169.254.", 15) == 0;
}

static int from_url(const struct google_doc *f, const char *url,
		    char why[CRED_WHY_MAX], char **ret)
{
	const struct json *source = json_get(f->j, "credential_source");
	struct headers headers = { .n = 0 };
	struct http_resp resp = { .status = 0 };
	struct ask q = { .who = "the identity provider",
			 .method = "GET",
			 .url = url,
			 .headers = headers.v,
			 .timeout_ms = GOOGLE_TIMEOUT_MS,
			 .tries = 3,
			 .is_direct = is_link_local(url) };
	char *text = NULL;
	int r;

	if (!cred_is_agent_url(url) && !is_link_local(url))
		return cred_why(why, "%s: the url of its credential_source is "
				     "neither https nor this machine",
				f->path);
	if (json_each(json_get(source, "headers"), add_header, &headers))
		return cred_why(why, "%s: the headers of its credential_source "
				     "are not to be understood",
				f->path);
	q.nheaders = headers.n;
	r = ask(f->g->http, &q, &resp, why);
	if (r == 0 && resp.status != 200)
		r = cred_why(why, "%s at %s answered HTTP %d", q.who, url,
			     resp.status);
	if (r == 0) {
		text = strndup(resp.body.p ? resp.body.p : "", resp.body.len);
		r = text ? parse(f, text, why, ret) : -ENOMEM;
	}
	cred_wipe(text);
	ask_done(&resp);
	return r;
}

static int subject_token(const struct google_doc *f, char why[CRED_WHY_MAX],
			 char **ret)
{
	const struct json *source = json_get(f->j, "credential_source");
	const char *file = json_get_str(source, "file");
	const char *url = json_get_str(source, "url");
	char *text = NULL;
	int r;

	/* A role of AWS has a url, too. */
	if (json_get(source, "environment_id") ||
	    json_get(source, "executable") || (!file && !url))
		return cred_why(why, "%s: a credential_source other than a "
				     "file or a url is not built yet",
				f->path);
	if (!file)
		return from_url(f, url, why, ret);
	r = cred_read_file(file, why, &text);
	if (r == 0)
		r = parse(f, text, why, ret);
	cred_wipe(text);
	return r;
}

/* ---- Google's for it ---- */

/* "Basic …" of the client the file names; *ret stays empty: it names none. */
static int client_auth(const struct google_doc *f, struct buf *ret)
{
	const char *id = json_get_str(f->j, "client_id");
	const char *secret = json_get_str(f->j, "client_secret");
	struct buf pair = BUF_INIT(GOOGLE_FORM_MAX);
	char *text = NULL;
	int r;

	if (!id)
		return 0;
	r = buf_addf(&pair, "%s:%s", id, secret ? secret : "");
	if (r == 0) {
		text = malloc(TEXT_BASE64_LEN(pair.len));
		r = text ? 0 : -ENOMEM;
	}
	if (r == 0) {
		text_base64(pair.p, pair.len, text);
		r = buf_addf(ret, "Basic %s", text);
	}
	cred_wipe(text);
	google_wipe(&pair);
	return r;
}

static int write_form(const char *scope,
		      const char *audience, const char *type,
		      const char *subject, struct buf *b)
{
	const struct {
		const char *name, *value;
	} pairs[] = {
		{ "grant_type",
		  "urn:ietf:params:oauth:grant-type:token-exchange" },
		{ "audience", audience },
		{ "scope", scope },
		{ "requested_token_type",
		  "urn:ietf:params:oauth:token-type:access_token" },
		{ "subject_token", subject },
		{ "subject_token_type", type },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(pairs) && r == 0; i++)
		r = oauth_form(b, pairs[i].name, pairs[i].value);
	return r;
}

static int exchange(const struct google_doc *f, const char *scope,
		    const char *subject, char why[CRED_WHY_MAX],
		    struct cred **ret)
{
	const char *url = google_get(f, "token_url", why);
	const char *audience = url ? google_get(f, "audience", why) : NULL;
	const char *type =
		audience ? google_get(f, "subject_token_type", why) : NULL;
	struct buf form = BUF_INIT(2 * GOOGLE_FORM_MAX);
	struct buf auth = BUF_INIT(2 * GOOGLE_FORM_MAX);
	struct http_header header = { "Authorization", NULL };
	struct oauth_ask q = { .who = "Google's token exchange",
			       .url = url,
			       .account = audience,
			       .timeout_ms = GOOGLE_TIMEOUT_MS,
			       .tries = 3 };
	int r;

	if (!type)
		return -EACCES;
	if (!cred_is_agent_url(url))
		return cred_why(why, "%s: its token_url is neither https nor "
				     "this machine",
				f->path);
	r = write_form(scope, audience, type, subject, &form);
	if (r == 0)
		r = client_auth(f, &auth);
	q.form = form.p;
	if (auth.len) {
		header.value = auth.p;
		q.header = &header;
	}
	if (r == 0)
		r = oauth_token(f->g->http, f->g->clk, &q, why, ret);
	google_wipe(&form);
	google_wipe(&auth);
	return r;
}

int google_external(const struct google_doc *f, char say[CRED_WHY_MAX],
		    struct cred **ret)
{
	const char *act_as =
		json_get_str(f->j, "service_account_impersonation_url");
	struct cred *own = NULL;
	char *subject = NULL;
	int64_t life_s;
	int r = subject_token(f, say, &subject);

	if (r == 0)
		r = exchange(f, act_as ? GOOGLE_IAM_SCOPE : f->scope, subject,
			     say, &own);
	cred_wipe(subject);
	if (r)
		return r;
	if (!act_as) {
		cred_why(say, "an external account in %s", f->path);
		*ret = own;
		return 0;
	}
	if (json_get_int(json_get(f->j, "service_account_impersonation"),
			 "token_lifetime_seconds", &life_s))
		life_s = LIFE_S;
	r = google_act_as(f, act_as, life_s, own, say, ret);
	cred_drop(own);
	return r;
}
