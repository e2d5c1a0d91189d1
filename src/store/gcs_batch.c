/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletion of many objects, a hundred by one request: each is a request of its
 * own within the body, and answered by itself.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gcs.h"
#include "store_int.h"

#define BATCH_MAX 100
#define BODY_MAX (BATCH_MAX * (3 * STORE_KEY_MAX + 1024))
#define BOUNDARY_MAX 80 /* of an answer, with the dashes before it */
#define ID "ckptfs+" /* and the number, from one on */

/* ---- what is sent ---- */

static int add_one(const struct gcs *g, const struct store_del *d,
		   size_t number, const char *boundary, struct buf *b)
{
	struct gcs_req q = { .method = "DELETE", .key = d->key };
	int r = d->if_match ?
			gcs_req_match(&q, "ifGenerationMatch", d->if_match) :
			0;

	if (r == 0)
		r = buf_addf(b,
			     "--%s\r\nContent-Type: application/http\r\n"
			     "Content-ID: <" ID "%zu>\r\n\r\nDELETE ",
			     boundary, number);
	if (r == 0)
		r = gcs_req_path(g, &q, b);
	return r ? r : buf_addf(b, " HTTP/1.1\r\n\r\n\r\n");
}

/* What no object can be is not asked for: *err says so. */
static int write_body(const struct gcs *g, const struct store_del *dels,
		      size_t n, int *errs, const char *boundary, struct buf *b)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		errs[i] = -EPROTO; /* until it is answered */
		r = add_one(g, &dels[i], i + 1, boundary, b);
		if (r != -ESTALE)
			continue;
		errs[i] = r;
		r = 0;
	}
	if (r == 0 && b->len)
		r = buf_addf(b, "--%s--\r\n", boundary);
	return r == -EMSGSIZE ? -EINVAL : r;
}

/* ---- what is answered ---- */

struct text {
	const char *p;
	size_t n;
};

static const char *find(struct text t, const char *what)
{
	return t.n ? memmem(t.p, t.n, what, strlen(what)) : NULL;
}

/* Up to the next sep, which is skipped; false: there is none. */
static bool cut(struct text *t, const char *sep, struct text *ret)
{
	const char *at = find(*t, sep);
	size_t n;

	if (!at)
		return false;
	*ret = (struct text){ t->p, (size_t)(at - t->p) };
	n = ret->n + strlen(sep);
	t->p += n;
	t->n -= n;
	return true;
}

/* "multipart/mixed; boundary=x", perhaps in quotes. */
static bool boundary_of(const struct http_resp *resp, char ret[BOUNDARY_MAX])
{
	const char *s = http_resp_header(resp, "Content-Type");
	size_t n;

	s = s ? strcasestr(s, "boundary=") : NULL;
	if (!s)
		return false;
	s += strlen("boundary=");
	if (*s == '"')
		s++;
	n = strcspn(s, "\"; ");
	if (n == 0 || n >= BOUNDARY_MAX - 2)
		return false;
	snprintf(ret, BOUNDARY_MAX, "--%.*s", (int)n, s);
	return true;
}

/* A number behind what; 0: it is not there. */
static size_t number_behind(struct text t, const char *what)
{
	const char *at = find(t, what);
	const char *end = t.p + t.n;
	size_t v = 0;

	if (!at)
		return 0;
	for (at += strlen(what); at < end && *at >= '0' && *at <= '9'; at++)
		v = v < 1000 ? v * 10 + (size_t)(*at - '0') : v;
	return v;
}

/* One part: to which request, and what came of it. */
static void take_part(struct gcs *g, const struct store_del *dels, size_t n,
		      int *errs, struct text part)
{
	struct gcs_answer a = { .is_settled = true };
	struct gcs_said said;
	struct text head;
	size_t i;
	int r;

	if (!cut(&part, "\r\n\r\n", &head))
		return;
	i = number_behind(head, ID);
	if (i < 1 || i > n || errs[i - 1] != -EPROTO ||
	    !cut(&part, "\r\n\r\n", &head))
		return;
	i--;
	a.status = (int)number_behind(head, "HTTP/1.1 ");
	a.cond = dels[i].if_match ? ANSWER_IF_MATCH : ANSWER_NO_COND;
	gcs_said_read(a.status < 300 ? "" : part.p,
		      a.status < 300 ? 0 : part.n, &said);
	a.reason = said.reason;
	a.message = said.message;
	r = gcs_err_of(&a);
	if (r && r != -ENOENT)
		gcs_said_explain(&said, a.status);
	if (r == 0)
		atomic_store(&g->has_worked, true);
	errs[i] = r == -ENOENT ? 0 : r;
}

static int read_answer(struct gcs *g, const struct http_resp *resp,
		       const struct store_del *dels, size_t n, int *errs)
{
	struct text left = { resp->body.p, resp->body.len }, part;
	char boundary[BOUNDARY_MAX];

	if (!boundary_of(resp, boundary) || !cut(&left, boundary, &part)) {
		store_set_error("the answer is not that to many requests");
		return -EPROTO;
	}
	while (cut(&left, boundary, &part))
		take_part(g, dels, n, errs, part);
	/* Sent twice, what is not as it should be was perhaps our doing. */
	for (size_t i = 0; i < n && resp->resent; i++)
		if (errs[i] == -ESTALE)
			errs[i] = -EAGAIN;
	return 0;
}

/* ---- the whole ---- */

static int del_batch(struct gcs *g, const struct store_del *dels, size_t n,
		     int *errs)
{
	char boundary[GCS_BOUNDARY_LEN], type[GCS_BOUNDARY_LEN + 40];
	struct buf body = BUF_INIT(BODY_MAX);
	struct store_src_mem mem;
	struct gcs_req q = { .method = "POST",
			     .is_batch = true,
			     .src = &mem.src,
			     .body_max = GCS_JSON_MAX,
			     .quiet_s = GCS_BODY_QUIET_S };
	struct http_resp resp = { .status = 0 };
	int r;

	gcs_boundary(boundary);
	snprintf(type, sizeof(type), "multipart/mixed; boundary=%s", boundary);
	gcs_req_header(&q, "Content-Type", type);
	r = write_body(g, dels, n, errs, boundary, &body);
	if (r == 0 && body.len) {
		store_src_mem_init(&mem, body.p, body.len);
		r = gcs_perform(g, &q, &resp);
		if (r == 0)
			r = read_answer(g, &resp, dels, n, errs);
	}
	http_resp_clear(&resp);
	buf_clear(&body);
	return r;
}

static int del_each(struct gcs *g, const struct store_del *dels, size_t n,
		    int *errs)
{
	for (size_t i = 0; i < n; i++) {
		const struct store_cond cond = { .if_match = dels[i].if_match };

		errs[i] = gcs_del(&g->store, dels[i].key,
				  cond.if_match ? &cond : NULL);
	}
	return 0;
}

int gcs_del_many(struct store *s, const struct store_del *dels, size_t n,
		 int *ret_errs)
{
	struct gcs *g = (struct gcs *)s;
	int r = 0;

	if (!(s->caps & STORE_CAP_DEL_MANY))
		return del_each(g, dels, n, ret_errs);
	for (size_t i = 0; i < n && r == 0; i += BATCH_MAX) {
		const size_t left = n - i;

		r = del_batch(g, dels + i, left < BATCH_MAX ? left : BATCH_MAX,
			      ret_errs + i);
	}
	return r;
}
