/* SPDX-License-Identifier: Apache-2.0 */
/* One request: put together, performed, and what the answer means. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/text.h"

#include "exchange.h"
#include "s3.h"
#include "store_int.h"

#define MAX_HOPS 2
#define MAX_TRIES (4 + MAX_HOPS) /* each other remedy once */

void s3_req_query(struct s3_req *q, const char *name, const char *value)
{
	assert(q->nquery < S3_MAX_QUERY);
	q->query[q->nquery].name = name;
	q->query[q->nquery++].value = value;
}

static char *text_of(struct s3_req *q)
{
	assert(q->ntext < ARRAY_SIZE(q->text));
	return q->text[q->ntext++];
}

void s3_req_query_uint(struct s3_req *q, const char *name, unsigned v)
{
	char *text = text_of(q);

	snprintf(text, S3_ETAG_LEN, "%u", v);
	s3_req_query(q, name, text);
}

void s3_req_header(struct s3_req *q, const char *name, const char *value)
{
	assert(q->nheaders < S3_MAX_HEADERS);
	q->headers[q->nheaders].name = name;
	q->headers[q->nheaders++].value = value;
}

void s3_req_header_u64(struct s3_req *q, const char *name, uint64_t v)
{
	char *text = text_of(q);

	snprintf(text, S3_ETAG_LEN, "%" PRIu64, v);
	s3_req_header(q, name, text);
}

void s3_req_crc(struct s3_req *q, struct s3_crc crc)
{
	char *text = text_of(q);

	s3_crc_encode(crc, text);
	s3_req_header(q,
		      crc.is_crc32c ? "x-amz-checksum-crc32c" :
				      "x-amz-checksum-crc64nvme",
		      text);
}

void s3_req_etag(struct s3_req *q, const char *name, const char *etag)
{
	char *text = text_of(q);

	snprintf(text, S3_ETAG_LEN, "\"%s\"", etag);
	s3_req_header(q, name, text);
	q->cond = ANSWER_IF_MATCH;
}

void s3_req_cond(struct s3_req *q, const struct store_cond *cond)
{
	if (cond && cond->if_match) {
		s3_req_etag(q, "If-Match", cond->if_match);
	} else if (cond && cond->if_absent) {
		s3_req_header(q, "If-None-Match", "*");
		q->cond = ANSWER_IF_ABSENT;
	}
}

void s3_req_meta(struct s3_req *q, const struct store_meta_text *m)
{
	if (*m->mtime)
		s3_req_header(q, "x-amz-meta-" STORE_META_MTIME, m->mtime);
	if (*m->mode)
		s3_req_header(q, "x-amz-meta-" STORE_META_MODE, m->mode);
	if (*m->id)
		s3_req_header(q, "x-amz-meta-" STORE_META_ID, m->id);
}

static void note_retry_after(const struct http_resp *resp)
{
	const char *ms = http_resp_header(resp, "x-amz-retry-after");
	uint64_t v;

	if (ms && text_parse_u64(ms, &v) == 0 && v < 3600000)
		store_set_retry_after((int64_t)v * NS_PER_MS);
	else
		(void)exchange_retry_after(resp);
}

/* What arrived, taken apart. */
struct outcome {
	struct s3_error error;
	struct s3_answer answer;
};

static void explain(const struct outcome *o)
{
	if (*o->error.code)
		store_set_error("%s: %s (HTTP %d)", o->error.code,
				o->error.message, o->answer.status);
	else
		store_set_error("HTTP %d", o->answer.status);
}

static int judge(struct s3 *s3, const struct s3_req *q,
		 const struct http_resp *resp, struct outcome *o)
{
	bool is_success = resp->status >= 200 && resp->status < 300;
	bool has_error = false;
	int r;

	memset(o, 0, sizeof(*o));
	if (!is_success || q->may_fail_late)
		has_error =
			s3_error_parse(resp->body.p, resp->body.len, &o->error);
	if (has_error && !*o->error.code)
		snprintf(o->error.code, sizeof(o->error.code), "Error");
	o->answer.status = resp->status;
	o->answer.code = o->error.code;
	o->answer.cond = q->cond;
	o->answer.is_settled = atomic_load(&s3->has_worked);
	r = s3_err_of(&o->answer);
	if (r == 0) {
		atomic_store(&s3->has_worked, true);
		return 0;
	}
	explain(o);
	note_retry_after(resp);
	return r;
}

static bool fix_clock(struct s3 *s3, const struct http_resp *resp)
{
	const char *date = http_resp_header(resp, "Date");
	int64_t theirs;

	if (!date || text_parse_http_date(date, &theirs))
		return false;
	atomic_store(&s3->skew_ns, theirs - clk_real(s3->clk));
	return true;
}

static bool fix_region(struct s3 *s3, const struct http_resp *resp,
		       const struct s3_error *e, const char *used)
{
	const char *region = http_resp_header(resp, "x-amz-bucket-region");

	if (!region)
		region = e->region;
	if (!s3_region_is_valid(region) || strcmp(region, used) == 0)
		return false;
	lock_acquire(&s3->lock);
	snprintf(s3->region, sizeof(s3->region), "%s", region);
	lock_release(&s3->lock);
	return true;
}

/* What was tried already. */
struct tried {
	unsigned remedies, hops;
	char host[S3_HOST_MAX]; /* "": the store's own */
};

static bool hop(struct s3 *s3, const struct http_resp *resp,
		const struct s3_sent *sent, struct tried *tried)
{
	const char *to = http_resp_header(resp, "Location");
	int status = resp->status;

	/* 303 would make a GET of it. */
	if (status != 301 && status != 302 && status != 307 && status != 308)
		return false;
	return to && tried->hops++ < MAX_HOPS &&
	       s3_hop(&s3->where, sent->host.p, to, tried->host);
}

static bool mend(struct s3 *s3, const struct http_resp *resp,
		 const struct outcome *o, const struct s3_sent *sent,
		 struct tried *tried)
{
	enum s3_remedy what = s3_remedy_of(&o->answer);

	if (what == S3_REMEDY_NONE || !sent->cred ||
	    (tried->remedies & 1u << what))
		return false;
	tried->remedies |= 1u << what;
	switch (what) {
	case S3_REMEDY_CLOCK:
		return fix_clock(s3, resp);
	case S3_REMEDY_CRED:
		cred_refuse(sent->chain, sent->cred);
		return true;
	case S3_REMEDY_REGION:
		*tried->host = '\0';
		return fix_region(s3, resp, &o->error, sent->region);
	default:
		return false;
	}
}

/* True: do it again, something is different now. */
static bool remedy(struct s3 *s3, const struct http_resp *resp,
		   const struct outcome *o, const struct s3_sent *sent,
		   struct tried *tried)
{
	return mend(s3, resp, o, sent, tried) || hop(s3, resp, sent, tried);
}

static int attempt(struct s3 *s3, const struct s3_req *q, const char *payload,
		   struct http_resp *resp, bool *ret_again, struct tried *tried)
{
	struct http_body body;
	struct http_req req = {
		.method = q->method,
		.body = exchange_body(q->src, &body),
		.sink = q->sink,
		.sink_arg = q->sink_arg,
		.body_max = q->body_max,
		.quiet_s = s3->is_impatient ? 0 : q->quiet_s,
		.expect_continue = q->expect_continue,
		.once = q->is_begin || q->is_change,
	};
	const struct store_spare *spare = store_spare();
	struct s3_sent sent;
	struct outcome o;
	int r;

	*ret_again = false;
	r = s3_sign(s3, q, payload, tried->host, &sent);
	if (r)
		goto out;
	if (spare) {
		req.may_race = spare->take;
		req.race_arg = spare->arg;
	}
	req.url = sent.url.p;
	req.headers = sent.headers;
	req.nheaders = sent.nheaders;
	r = http_perform(s3->http, &req, resp);
	if (r) {
		r = exchange_no_answer(r, resp, atomic_load(&s3->has_worked));
		goto out;
	}
	r = judge(s3, q, resp, &o);
	if (r)
		*ret_again = remedy(s3, resp, &o, &sent, tried);
out:
	s3_sent_clear(&sent);
	return r;
}

int s3_perform(struct s3 *s3, const struct s3_req *q, struct http_resp *resp)
{
	char payload[SIGN_SHA256_HEX];
	struct tried tried = { 0 };
	unsigned i;
	bool again = true;
	int r;

	memset(resp, 0, sizeof(*resp));
	r = s3_payload(s3, q, payload);
	if (r)
		return r;
	for (i = 0; i < MAX_TRIES && again; i++) {
		if (atomic_load(&s3->is_shut))
			return -ECANCELED;
		http_resp_clear(resp);
		r = attempt(s3, q, payload, resp, &again, &tried);
	}
	return r;
}
