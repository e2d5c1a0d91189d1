/* SPDX-License-Identifier: Apache-2.0 */
/* What of a request is made anew for each try: URL, time, signature. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"

#include "s3.h"

#define URL_MAX (64 * 1024)

static ssize_t read_src(void *arg, uint64_t off, void *p, size_t n)
{
	const struct store_src *src = arg;

	return src->read(src->arg, off, p, n);
}

int s3_payload(const struct s3 *s3, const struct s3_req *q,
	       char ret[SIGN_SHA256_HEX])
{
	/* TLS, or the machine's own memory, keeps the bytes; and the server
	 * checks them against the CRC where it can. */
	bool is_safe = s3->where.is_tls || s3->where.is_loopback;
	struct store_src src;
	int r;

	if (!q->src) {
		snprintf(ret, SIGN_SHA256_HEX, "%s", SIGN_EMPTY_SHA256);
		return 0;
	}
	/* What a commit or a batch says has no checksum, and is small. */
	if (strcmp(q->method, "POST") == 0)
		is_safe = false;
	if (!s3->creds || (is_safe && s3->has_crc && !s3->sign_payload)) {
		snprintf(ret, SIGN_SHA256_HEX, "%s", SIGN_UNSIGNED_PAYLOAD);
		return 0;
	}
	src = *q->src;
	r = sign_sha256_of(read_src, &src, src.len, ret);
	if (r == 0 || r == -ENOMEM || r == -ECANCELED)
		return r;
	store_set_error("the bytes to send could not be read");
	return -EIO;
}

static void copy_region(struct s3 *s3, char *ret, size_t n)
{
	lock_acquire(&s3->lock);
	snprintf(ret, n, "%s", s3->region);
	lock_release(&s3->lock);
}

static int set_host(const struct s3 *s3, struct s3_sent *t)
{
	const char *tail = "";

	if (!s3->where.is_aws)
		return buf_addf(&t->host, "%s", s3->where.host);
	if (strncmp(t->region, "cn-", 3) == 0)
		tail = ".cn";
	return buf_addf(&t->host, "%s%s.amazonaws.com%s", s3->where.host,
			t->region, tail);
}

static int set_url(const struct s3 *s3, const struct s3_req *q,
		   const struct buf *path, struct s3_sent *t)
{
	int r = buf_addf(&t->url, "%s://%s", s3->where.scheme, t->host.p);

	if (r == 0)
		r = sign_encode_path(path->p, &t->url);
	if (r == 0 && q->nquery)
		r = buf_add(&t->url, "?", 1);
	if (r == 0 && q->nquery)
		r = sign_encode_query(q->query, q->nquery, &t->url);
	return r;
}

static void add(struct s3_sent *t, const char *name, const char *value)
{
	t->headers[t->nheaders].name = name;
	t->headers[t->nheaders++].value = value;
}

static int add_signature(struct s3 *s3, const struct s3_req *q,
			 const char *path, const char *payload,
			 struct s3_sent *t)
{
	bool in_session = s3->session && !q->by_account;
	const char *token = in_session ? "x-amz-s3session-token" :
					 "x-amz-security-token";
	const struct sign_req req = {
		.method = q->method,
		.host = t->host.p,
		.path = path,
		.query = q->query,
		.nquery = q->nquery,
		.headers = t->given,
		.nheaders = t->ngiven,
		.payload = payload,
		.region = t->region,
		.service = s3->where.is_directory ? "s3express" : "s3",
		.token_header = token,
	};
	char why[CRED_WHY_MAX];
	int r;

	if (!s3->creds)
		return 0;
	t->chain = in_session ? s3->session : s3->creds;
	r = cred_get(t->chain, why, &t->cred);
	if (r) {
		store_set_error("%s", why);
		if (r == -ENOMEM || r == -EAGAIN || r == -ECANCELED)
			return r;
		/* As s3_err_of() has it for a credential that expired. */
		return atomic_load(&s3->has_worked) ? -EAGAIN : -EACCES;
	}
	r = sign_sigv4(&req, t->cred,
		       clk_real(s3->clk) + atomic_load(&s3->skew_ns), &t->sig);
	if (r)
		return r;
	add(t, "x-amz-date", t->sig.date);
	add(t, "x-amz-content-sha256", payload);
	if (*cred_token(t->cred))
		add(t, token, cred_token(t->cred));
	add(t, "Authorization", t->sig.authorization.p);
	return 0;
}

int s3_sign(struct s3 *s3, const struct s3_req *q, const char *payload,
	    const char *host, struct s3_sent *ret)
{
	struct buf path = BUF_INIT(URL_MAX);
	size_t i;
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->host.max = URL_MAX;
	ret->url.max = URL_MAX;
	memcpy(ret->given, q->headers, q->nheaders * sizeof(q->headers[0]));
	ret->ngiven = q->nheaders;
	ret->ngiven +=
		s3_extra_headers(&s3->extra, q, ret->given + ret->ngiven);
	for (i = 0; i < ret->ngiven; i++)
		add(ret, ret->given[i].name, ret->given[i].value);
	copy_region(s3, ret->region, sizeof(ret->region));
	r = buf_addf(&path, "%s%s", s3->where.base, q->key ? q->key : "");
	if (r == 0)
		r = *host ? buf_addf(&ret->host, "%s", host) :
			    set_host(s3, ret);
	if (r == 0)
		r = set_url(s3, q, &path, ret);
	if (r == 0)
		r = add_signature(s3, q, path.p, payload, ret);
	buf_clear(&path);
	return r == -EMSGSIZE ? -EINVAL : r;
}

void s3_sent_clear(struct s3_sent *t)
{
	buf_clear(&t->host);
	buf_clear(&t->url);
	sign_result_clear(&t->sig);
	cred_drop(t->cred);
}
