/* SPDX-License-Identifier: Apache-2.0 */
/* One request: put together, performed, and what the answer means. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/text.h"

#include "exchange.h"
#include "gcs.h"

#define URL_MAX (64 * 1024)
#define AUTH_MAX (16 * 1024)

void gcs_req_query(struct gcs_req *q, const char *name, const char *value)
{
	assert(q->nquery < GCS_MAX_QUERY);
	q->query[q->nquery].name = name;
	q->query[q->nquery++].value = value;
}

void gcs_req_header(struct gcs_req *q, const char *name, const char *value)
{
	assert(q->nheaders < GCS_MAX_HEADERS);
	q->headers[q->nheaders].name = name;
	q->headers[q->nheaders++].value = value;
}

int gcs_req_match(struct gcs_req *q, const char *name, const char *etag)
{
	if (!gcs_etag_is_valid(etag)) {
		store_set_error("no object has that generation");
		return -ESTALE;
	}
	gcs_req_query(q, name, etag);
	q->cond = ANSWER_IF_MATCH;
	return 0;
}

enum answer_cond gcs_cond_of(const struct store_cond *cond)
{
	if (cond && cond->if_match)
		return ANSWER_IF_MATCH;
	return cond && cond->if_absent ? ANSWER_IF_ABSENT : ANSWER_NO_COND;
}

int gcs_req_cond(struct gcs_req *q, const struct store_cond *cond)
{
	if (cond && cond->if_match)
		return gcs_req_match(q, "ifGenerationMatch", cond->if_match);
	if (cond && cond->if_absent)
		gcs_req_query(q, "ifGenerationMatch", "0");
	q->cond = gcs_cond_of(cond);
	return 0;
}

/* ---- what of it is made anew for each try ---- */

struct sent {
	struct buf url, auth;
	struct cred *cred; /* NULL: anonymous */
	struct http_header headers[GCS_MAX_HEADERS + 1];
	size_t nheaders;
};

static void sent_clear(struct sent *t)
{
	buf_clear(&t->url);
	if (t->auth.p)
		explicit_bzero(t->auth.p, t->auth.len);
	buf_clear(&t->auth);
	cred_drop(t->cred);
}

static int add_object(const struct gcs *g, const char *key, struct buf *url)
{
	int r = buf_addf(url, "/b/%s/o", g->bucket);

	if (r == 0 && key)
		r = buf_addf(url, "/");
	if (r == 0 && key)
		r = text_percent(url, key, strlen(key), false);
	return r;
}

static int add_pair(struct buf *url, char before, const struct gcs_pair *p)
{
	int r = buf_addf(url, "%c%s=", before, p->name);

	return r ? r : text_percent(url, p->value, strlen(p->value), false);
}

int gcs_req_path(const struct gcs *g, const struct gcs_req *q, struct buf *url)
{
	const struct gcs_pair payer = { "userProject", g->user_project };
	size_t i;
	int r = buf_addf(url, "%s/storage/v1", q->is_upload ? "/upload" : "");

	if (r == 0)
		r = q->is_bucket ? buf_addf(url, "/b/%s", g->bucket) :
				   add_object(g, q->key, url);
	if (r == 0 && q->verb)
		r = buf_addf(url, "/%s", q->verb);
	if (r == 0 && q->to)
		r = add_object(g, q->to, url);
	for (i = 0; i < q->nquery && r == 0; i++)
		r = add_pair(url, i ? '&' : '?', &q->query[i]);
	if (r == 0 && g->user_project)
		r = add_pair(url, i ? '&' : '?', &payer);
	return r;
}

static int set_url(const struct gcs *g, const struct gcs_req *q,
		   struct buf *url)
{
	int r = buf_addf(url, "%s%s", g->where.base,
			 q->is_batch ? "/batch/storage/v1" : "");

	return r || q->is_batch ? r : gcs_req_path(g, q, url);
}

static int add_token(struct gcs *g, struct sent *t)
{
	char why[CRED_WHY_MAX];
	int r;

	if (!g->creds)
		return 0;
	r = cred_get(g->creds, why, &t->cred);
	if (r) {
		store_set_error("%s", why);
		if (r == -ENOMEM)
			return r;
		/* As gcs_err_of() has it for a token that is not taken. */
		return atomic_load(&g->has_worked) ? -EAGAIN : -EACCES;
	}
	r = buf_addf(&t->auth, "Bearer %s", cred_token(t->cred));
	t->headers[t->nheaders].name = "Authorization";
	t->headers[t->nheaders++].value = t->auth.p;
	return r;
}

static int prepare(struct gcs *g, const struct gcs_req *q, struct sent *t)
{
	size_t i;
	int r;

	memset(t, 0, sizeof(*t));
	t->url.max = URL_MAX;
	t->auth.max = AUTH_MAX;
	for (i = 0; i < q->nheaders; i++) {
		t->headers[t->nheaders].name = q->headers[i].name;
		t->headers[t->nheaders++].value = q->headers[i].value;
	}
	r = set_url(g, q, &t->url);
	if (r == 0)
		r = add_token(g, t);
	return r == -EMSGSIZE ? -EINVAL : r;
}

/* ---- what came of it ---- */

/* A name may be written to once in a second; that is not always said. */
static void note_retry_after(const struct http_resp *resp)
{
	if (!exchange_retry_after(resp) && resp->status == 429)
		store_set_retry_after(NS_PER_S);
}

static void copy_text(const char *from, size_t n, char *to, size_t size)
{
	size_t i;

	for (i = 0; i < n && i < size - 1 && from[i]; i++)
		to[i] = (unsigned char)from[i] < ' ' ? ' ' : from[i];
	to[i] = '\0';
}

void gcs_said_read(const char *p, size_t n, struct gcs_said *ret)
{
	const struct json *e;
	const char *s;
	struct json *j = NULL;

	memset(ret, 0, sizeof(*ret));
	if (!p || !n)
		return;
	if (json_parse(p, n, &j)) {
		copy_text(p, n, ret->message, sizeof(ret->message));
		return;
	}
	e = json_get(j, "error");
	s = json_get_str(e, "message");
	if (s)
		copy_text(s, strlen(s), ret->message, sizeof(ret->message));
	s = json_get_str(json_at(json_get(e, "errors"), 0), "reason");
	if (s)
		copy_text(s, strlen(s), ret->reason, sizeof(ret->reason));
	json_free(j);
}

void gcs_said_explain(const struct gcs_said *said, int status)
{
	if (*said->message)
		store_set_error("%s (HTTP %d)", said->message, status);
	else
		store_set_error("HTTP %d", status);
}

static int judge(struct gcs *g, const struct gcs_req *q,
		 const struct http_resp *resp, bool *ret_token)
{
	struct gcs_said said = { .reason = "" };
	struct gcs_answer a = { .status = resp->status,
				.reason = said.reason,
				.message = said.message,
				.cond = q->cond,
				.has_crc = q->has_crc,
				.is_settled = atomic_load(&g->has_worked) };
	int r;

	/* A session goes on, or is cancelled. */
	if (q->is_session && (a.status == 308 || a.status == 499))
		a.status = 200;
	if (a.status < 200 || a.status > 299)
		gcs_said_read(resp->body.p, resp->body.len, &said);
	r = gcs_err_of(&a);
	*ret_token = gcs_err_is_token(&a);
	if (r == 0) {
		atomic_store(&g->has_worked, true);
		return 0;
	}
	gcs_said_explain(&said, resp->status);
	note_retry_after(resp);
	if (q->is_change && resp->resent &&
	    (r == -ENOENT || r == -ESTALE || r == -EEXIST)) {
		store_set_error("sent twice, and the second time refused: "
				"the first may have been done");
		return -EAGAIN;
	}
	return r;
}

static int attempt(struct gcs *g, const struct gcs_req *q,
		   struct http_resp *resp, bool *ret_token)
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
	struct sent t;
	int r = prepare(g, q, &t);

	if (r)
		goto out;
	req.url = t.url.p;
	req.headers = t.headers;
	req.nheaders = t.nheaders;
	r = http_perform(g->http, &req, resp);
	r = r ? exchange_no_answer(r, resp, atomic_load(&g->has_worked)) :
		judge(g, q, resp, ret_token);
	if (*ret_token && t.cred)
		cred_refuse(g->creds, t.cred);
	else
		*ret_token = false;
out:
	sent_clear(&t);
	return r;
}

int gcs_perform(struct gcs *g, const struct gcs_req *q, struct http_resp *resp)
{
	bool token = true;
	int r = -ECANCELED;

	memset(resp, 0, sizeof(*resp));
	for (unsigned i = 0; i < 2 && token; i++) {
		token = false;
		if (atomic_load(&g->is_shut))
			return -ECANCELED;
		http_resp_clear(resp);
		r = attempt(g, q, resp, &token);
	}
	return r;
}

int gcs_json_of(const struct http_resp *resp, struct json **ret)
{
	int r = json_parse(resp->body.p ? resp->body.p : "", resp->body.len,
			   ret);

	if (r != -EBADMSG)
		return r;
	store_set_error("the answer is not JSON");
	return -EPROTO;
}

int gcs_ask(struct gcs *g, const struct gcs_req *q, struct json **ret)
{
	struct http_resp resp;
	int r = gcs_perform(g, q, &resp);

	if (r == 0)
		r = gcs_json_of(&resp, ret);
	http_resp_clear(&resp);
	return r;
}
