/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "ask.h"

#define PAUSE_MS 100 /* doubled each time */

static ssize_t read_text(void *arg, uint64_t off, void *p, size_t n)
{
	memcpy(p, (const char *)arg + off, n);
	return (ssize_t)n;
}

static bool is_later(int r, const struct http_resp *resp)
{
	if (r == 0)
		return resp->status >= 500 || resp->status == 429;
	return r == -ETIMEDOUT || r == -ENETUNREACH || r == -EPROTO;
}

static int judge(const struct ask *q, int r, const struct http_resp *resp,
		 char why[CRED_WHY_MAX])
{
	if (is_later(r, resp)) {
		if (r)
			cred_why(why, "%s did not answer at %s: %s", q->who,
				 q->url, resp->why);
		else
			cred_why(why, "%s answered HTTP %d", q->who,
				 resp->status);
		return -EAGAIN;
	}
	if (r == 0 || r == -ENOMEM || r == -ECANCELED)
		return r;
	return cred_why(why, "%s at %s: %s", q->who, q->url, resp->why);
}

int ask(struct http *http, const struct ask *q, struct http_resp *resp,
	char why[CRED_WHY_MAX])
{
	const struct http_body body = {
		.read = read_text,
		.arg = (void *)(uintptr_t)q->body,
		.len = q->body ? strlen(q->body) : 0,
	};
	const struct http_req req = {
		.method = q->method,
		.url = q->url,
		.headers = q->headers,
		.nheaders = q->nheaders,
		.body = q->body ? &body : NULL,
		.timeout_ms = q->timeout_ms,
		.is_direct = q->is_direct,
	};
	unsigned i;
	int r = 0;

	memset(resp, 0, sizeof(*resp));
	for (i = 0; i < q->tries; i++) {
		if (i > 0)
			(void)poll(NULL, 0, PAUSE_MS << (i - 1));
		ask_done(resp);
		r = http_perform(http, &req, resp);
		if (!is_later(r, resp))
			break;
	}
	return judge(q, r, resp, why);
}

void ask_done(struct http_resp *resp)
{
	if (resp->body.p)
		explicit_bzero(resp->body.p, resp->body.len);
	http_resp_clear(resp);
}
