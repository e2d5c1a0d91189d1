/* SPDX-License-Identifier: Apache-2.0 */
/* Asking for an access token, and reading it. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/json.h"
#include "ckptfs/text.h"

#include "oauth.h"

#define LIFE_MAX INT64_C(86400) /* seconds; more is not believed */

int oauth_ask(struct http *http, const struct oauth_ask *q,
	      struct http_resp *resp, char why[CRED_WHY_MAX])
{
	struct http_header headers[2];
	struct ask a = { .who = q->who,
			 .method = q->form ? "POST" : "GET",
			 .url = q->url,
			 .headers = headers,
			 .body = q->form,
			 .timeout_ms = q->timeout_ms,
			 .tries = q->tries,
			 .is_direct = q->is_direct };

	if (q->form)
		headers[a.nheaders++] = (struct http_header){
			"Content-Type", "application/x-www-form-urlencoded"
		};
	if (q->header)
		headers[a.nheaders++] = *q->header;
	return ask(http, &a, resp, why);
}

/* What an OAuth server says is wrong; its words are no secret. */
static int refused(const struct oauth_ask *q, const struct http_resp *resp,
		   const struct json *j, char why[CRED_WHY_MAX])
{
	const char *code = json_get_str(j, "error");
	const char *words = json_get_str(j, "error_description");

	if (!code)
		return cred_why(why, "%s answered HTTP %d", q->who,
				resp->status);
	return cred_why(why, "%s refused %s: %.100s%s%.200s (HTTP %d)", q->who,
			q->account, code, words ? ": " : "", words ? words : "",
			resp->status);
}

static int take(const struct clk *clk, const struct oauth_ask *q,
		const struct json *j, char why[CRED_WHY_MAX],
		struct cred **ret)
{
	const char *token = json_get_str(j, "access_token");
	const char *type = json_get_str(j, "token_type");
	int64_t life_s = 0;

	if (!token || !*token || strpbrk(token, "\r\n"))
		return cred_why(why, "%s: no access_token in what it said",
				q->who);
	if (type && strcasecmp(type, "Bearer") != 0)
		return cred_why(why, "%s: a token of type %.50s", q->who, type);
	if (json_get_int(j, "expires_in", &life_s) || life_s <= 0 ||
	    life_s > LIFE_MAX)
		return cred_why(why, "%s: its expires_in is no time", q->who);
	return cred_new(q->account, "", token,
			clk_real(clk) + life_s * NS_PER_S, ret);
}

int oauth_token(struct http *http, const struct clk *clk,
		const struct oauth_ask *q, char why[CRED_WHY_MAX],
		struct cred **ret)
{
	struct http_resp resp;
	struct json *j = NULL;
	int r = oauth_ask(http, q, &resp, why);

	if (r == 0 && json_parse(resp.body.p ? resp.body.p : "", resp.body.len,
				 &j) == -ENOMEM)
		r = -ENOMEM;
	if (r == 0 && resp.status != 200)
		r = refused(q, &resp, j, why);
	else if (r == 0)
		r = take(clk, q, j, why, ret);
	json_free(j);
	ask_done(&resp);
	return r;
}

int oauth_form(struct buf *b, const char *name, const char *value)
{
	int r = buf_addf(b, "%s%s=", b->len ? "&" : "", name);

	return r ? r : text_percent(b, value, strlen(value), false);
}
