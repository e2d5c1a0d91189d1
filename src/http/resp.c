/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "http_priv.h"

/* Headers are kept as name, NUL, value, NUL. */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int add_string(struct buf *b, const char *p, size_t n)
{
	int r = n ? buf_add(b, p, n) : 0;

	return r ? r : buf_add(b, "", 1);
}

static int add_header(struct buf *b, const char *p, size_t n)
{
	const char *colon = memchr(p, ':', n);
	const char *value, *end = p + n;
	int r;

	/* What is not a header line is dropped, folded lines too. */
	if (!colon || colon == p || is_space(*p) || memchr(p, 0, n))
		return 0;
	value = colon + 1;
	while (value < end && is_space(*value))
		value++;
	while (end > value && is_space(end[-1]))
		end--;
	r = add_string(b, p, (size_t)(colon - p));
	return r ? r : add_string(b, value, (size_t)(end - value));
}

/* "HTTP/1.1 200 OK": the number, 0 if there is none. */
static int status_of(const char *p, size_t n)
{
	const char *sp = memchr(p, ' ', n);
	int status = 0, i;

	if (!sp || (size_t)(p + n - sp) < 4)
		return 0;
	for (i = 1; i <= 3; i++) {
		if (sp[i] < '0' || sp[i] > '9')
			return 0;
		status = status * 10 + (sp[i] - '0');
	}
	return status;
}

size_t http_on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http_call *call = arg;
	struct http_resp *resp = call->resp;
	int r;

	/* The headers of 100 Continue are followed by those that count. */
	if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) {
		buf_clear(&resp->headers);
		resp->headers.max = HTTP_HEADERS_MAX;
		resp->status = status_of(p, n);
		call->is_headed = false;
		return n;
	}
	if (n <= 2 && is_space(p[0]))
		call->is_headed = true;
	r = add_header(&resp->headers, p, n);
	if (r)
		call->err = r == -ENOMEM ? r : -EPROTO;
	return r ? 0 : n;
}

static int take(struct http_call *call, const char *p, size_t n)
{
	const struct http_req *req = call->req;
	struct http_resp *resp = call->resp;
	bool is_success = resp->status >= 200 && resp->status < 300;
	bool is_sunk = is_success && req->sink;
	size_t room = resp->body.max - resp->body.len;
	int r;

	if (is_sunk && !http_race_claim(call))
		return -ECANCELED;
	resp = call->resp;
	r = http_pace(call, false, n);
	if (r)
		return r;
	resp->nread += n;
	if (is_sunk) {
		r = req->sink(req->sink_arg, p, n);
		return r == 0 || r == -ECANCELED ? r : -EIO;
	}
	if (n > room && is_success)
		return -EPROTO;
	if (n > room)
		n = room;
	return n ? buf_add(&resp->body, p, n) : 0;
}

size_t http_on_data(char *p, size_t size, size_t n, void *arg)
{
	struct http_call *call = arg;

	call->err = take(call, p, n);
	return call->err ? 0 : n;
}

const char *http_resp_header(const struct http_resp *resp, const char *name)
{
	const char *p = resp->headers.p;
	const char *end = p ? p + resp->headers.len : NULL;

	while (p && p < end) {
		const char *value = p + strlen(p) + 1;

		if (strcasecmp(p, name) == 0)
			return value;
		p = value + strlen(value) + 1;
	}
	return NULL;
}

void http_resp_clear(struct http_resp *resp)
{
	buf_clear(&resp->headers);
	buf_clear(&resp->body);
	memset(resp, 0, sizeof(*resp));
}
