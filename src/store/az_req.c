/* SPDX-License-Identifier: Apache-2.0 */
/* One request: put together, performed, and what the answer means. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/text.h"
#include "ckptfs/xml.h"

#include "az.h"
#include "az_err.h"
#include "exchange.h"

#define MAX_TRIES 3 /* each remedy once */
#define SKEW_NS (300 * NS_PER_S)

void az_req_query(struct az_req *q, const char *name, const char *value)
{
	assert(q->nquery < AZ_MAX_QUERY);
	q->query[q->nquery].name = name;
	q->query[q->nquery++].value = value;
}

void az_req_header(struct az_req *q, const char *name, const char *value)
{
	assert(q->nheaders < AZ_MAX_HEADERS);
	q->headers[q->nheaders].name = name;
	q->headers[q->nheaders++].value = value;
}

static char *text_of(struct az_req *q)
{
	assert(q->ntext < ARRAY_SIZE(q->text));
	return q->text[q->ntext++];
}

void az_req_etag(struct az_req *q, const char *name, const char *etag)
{
	char *text = text_of(q);

	snprintf(text, AZ_TEXT_LEN, "\"%s\"", etag);
	az_req_header(q, name, text);
	q->cond = ANSWER_IF_MATCH;
}

void az_req_cond(struct az_req *q, const struct store_cond *cond)
{
	if (cond && cond->if_match) {
		az_req_etag(q, "If-Match", cond->if_match);
	} else if (cond && cond->if_absent) {
		az_req_header(q, "If-None-Match", "*");
		q->cond = ANSWER_IF_ABSENT;
	}
}

void az_req_crc(struct az_req *q, uint64_t crc64)
{
	char *text = text_of(q);

	az_crc_encode(crc64, text);
	az_req_header(q, "x-ms-content-crc64", text);
}

void az_req_meta(struct az_req *q, const struct store_meta_text *m)
{
	if (*m->mtime)
		az_req_header(q, AZ_META STORE_META_MTIME, m->mtime);
	if (*m->mode)
		az_req_header(q, AZ_META STORE_META_MODE, m->mode);
	if (*m->id)
		az_req_header(q, AZ_META STORE_META_ID, m->id);
}

/* ---- what came of it ---- */

/* The first line of the error document's Message, printable. */
static int on_message(void *arg, const char *path, const char *text)
{
	char *to = arg;
	size_t i;

	if (strcmp(path, "Error/Message") != 0)
		return 0;
	for (i = 0; i < 255 && (unsigned char)text[i] >= ' '; i++)
		to[i] = text[i];
	to[i] = '\0';
	return 0;
}

static void explain(const struct http_resp *resp, const char *code)
{
	const char *id = http_resp_header(resp, "x-ms-request-id");
	char message[256] = "";
	const struct xml_handler h = { .leaf = on_message, .arg = message };

	/* What is no XML says nothing that is for people. */
	if (resp->body.p)
		(void)!xml_parse(resp->body.p, resp->body.len, &h);
	store_set_error("%s%s%s (HTTP %d%s%.64s)", code,
			*code && *message ? ": " : "", message, resp->status,
			id ? ", request " : "", id ? id : "");
}

static int judge(struct az *az, const struct az_req *q,
		 const struct http_resp *resp, const char **ret_code)
{
	const char *code = http_resp_header(resp, "x-ms-error-code");
	struct az_answer a = { .status = resp->status,
			       .code = code ? code : "",
			       .cond = q->cond,
			       .is_settled = atomic_load(&az->has_worked) };
	int r = az_err_of(&a);

	*ret_code = a.code;
	if (r == 0) {
		atomic_store(&az->has_worked, true);
		return 0;
	}
	explain(resp, a.code);
	(void)exchange_retry_after(resp);
	if (q->is_change && resp->resent &&
	    (r == -ENOENT || r == -ESTALE || r == -EEXIST)) {
		store_set_error("sent twice, and the second time refused: "
				"the first may have been done");
		return -EAGAIN;
	}
	return r;
}

/* The service believes clocks that are less than a quarter of an hour off. */
static bool fix_clock(struct az *az, const struct http_resp *resp)
{
	const char *date = http_resp_header(resp, "Date");
	const int64_t ours = clk_real(az->clk) + atomic_load(&az->skew_ns);
	int64_t theirs;

	if (!date || text_parse_http_date(date, &theirs) ||
	    llabs(theirs - ours) < SKEW_NS)
		return false;
	atomic_store(&az->skew_ns, theirs - clk_real(az->clk));
	return true;
}

/* True: do it again, something is different now. */
static bool remedy(struct az *az, const struct http_resp *resp,
		   const char *code, const struct az_sent *t)
{
	if (!t->cred || !az_err_is_cred(resp->status, code))
		return false;
	if (!*cred_token(t->cred) && *cred_key_id(t->cred))
		return fix_clock(az, resp);
	cred_refuse(az->creds, t->cred);
	return true;
}

static int attempt(struct az *az, const struct az_req *q,
		   struct http_resp *resp, bool *ret_again)
{
	struct http_body body;
	struct http_req req = {
		.method = q->method,
		.body = exchange_body(q->src, &body),
		.sink = q->sink,
		.sink_arg = q->sink_arg,
		.body_max = q->body_max,
		.quiet_s = q->quiet_s,
		.expect_continue = q->expect_continue,
		.once = q->is_begin,
	};
	const char *code = "";
	struct az_sent t;
	int r = az_sign(az, q, &t);

	if (r)
		goto out;
	req.url = t.url.p;
	req.headers = t.headers;
	req.nheaders = t.nheaders;
	r = http_perform(az->http, &req, resp);
	if (r) {
		r = exchange_no_answer(r, resp, atomic_load(&az->has_worked));
		goto out;
	}
	r = judge(az, q, resp, &code);
	if (r)
		*ret_again = remedy(az, resp, code, &t);
out:
	az_sent_clear(&t);
	return r;
}

int az_perform(struct az *az, const struct az_req *q, struct http_resp *resp)
{
	bool again = true;
	int r = -ECANCELED;

	memset(resp, 0, sizeof(*resp));
	for (unsigned i = 0; i < MAX_TRIES && again; i++) {
		again = false;
		if (atomic_load(&az->is_shut))
			return -ECANCELED;
		http_resp_clear(resp);
		r = attempt(az, q, resp, &again);
	}
	return r;
}
