/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/cred.h"
#include "ckptfs/sign.h"
#include "ckptfs/text.h"

#include "sign_priv.h"

/* A header as it is signed: the name in lower case, borrowed values. */
struct header {
	char *name;
	const char *value;
	size_t order; /* as given: repeated ones are joined in that order */
};

struct headers {
	struct header *v;
	size_t n, cap;
};

static void headers_release(struct headers *h)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		free(h->v[i].name);
	free(h->v);
}

static int headers_add(struct headers *h, const char *name, const char *value)
{
	struct header *e = &h->v[h->n];
	char *p;

	/* The caller made room. */
	e->name = strdup(name);
	if (!e->name)
		return -ENOMEM;
	for (p = e->name; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	e->value = value;
	e->order = h->n++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct header *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	if (r)
		return r;
	return x->order < y->order ? -1 : 1;
}

static int headers_collect(struct headers *h, const struct sign_req *req,
			   const struct cred *cred, const char *date)
{
	const struct sign_pair own[] = {
		{ "host", req->host },
		{ "x-amz-content-sha256", req->payload },
		{ "x-amz-date", date },
		{ req->token_header ? req->token_header : "x-amz-security-token",
		  cred_token(cred) },
	};
	/* An empty token is none. */
	size_t nown = *cred_token(cred) ? 4 : 3;
	size_t i;
	int r = 0;

	h->v = calloc(req->nheaders + nown, sizeof(*h->v));
	if (!h->v)
		return -ENOMEM;
	for (i = 0; i < nown && r == 0; i++)
		r = headers_add(h, own[i].name, own[i].value);
	for (i = 0; i < req->nheaders && r == 0; i++)
		r = headers_add(h, req->headers[i].name, req->headers[i].value);
	if (r == 0)
		qsort(h->v, h->n, sizeof(*h->v), by_name);
	return r;
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Trimmed, and runs of white space made one space. */
static int add_value(const char *value, struct buf *out)
{
	const char *p = value;
	bool is_first = true;
	int r = 0;

	while (r == 0) {
		const char *word;

		while (is_space(*p))
			p++;
		if (!*p)
			break;
		for (word = p; *p && !is_space(*p); p++)
			;
		if (!is_first)
			r = buf_add(out, " ", 1);
		is_first = false;
		if (r == 0)
			r = buf_add(out, word, (size_t)(p - word));
	}
	return r;
}

static bool is_repeat(const struct headers *h, size_t i)
{
	return i > 0 && strcmp(h->v[i].name, h->v[i - 1].name) == 0;
}

static int add_headers(const struct headers *h, struct buf *out)
{
	size_t i;
	int r = 0;

	for (i = 0; i < h->n && r == 0; i++) {
		if (is_repeat(h, i))
			r = buf_add(out, ",", 1);
		else
			r = buf_addf(out, "%s%s:", i ? "\n" : "", h->v[i].name);
		if (r == 0)
			r = add_value(h->v[i].value, out);
	}
	return r ? r : buf_add(out, "\n", 1);
}

static int add_names(const struct headers *h, struct buf *out)
{
	size_t i;
	int r = 0;

	for (i = 0; i < h->n && r == 0; i++)
		if (!is_repeat(h, i))
			r = buf_addf(out, "%s%s", i ? ";" : "", h->v[i].name);
	return r;
}

static int canonical(const struct sign_req *req, const struct headers *h,
		     struct buf *out)
{
	int r = buf_addf(out, "%s\n", req->method);

	if (r == 0)
		r = sign_encode_path(req->path, out);
	if (r == 0)
		r = buf_add(out, "\n", 1);
	if (r == 0)
		r = sign_encode_query(req->query, req->nquery, out);
	if (r == 0)
		r = buf_add(out, "\n", 1);
	if (r == 0)
		r = add_headers(h, out);
	if (r == 0)
		r = buf_add(out, "\n", 1);
	if (r == 0)
		r = add_names(h, out);
	return r ? r : buf_addf(out, "\n%s", req->payload);
}

/* day: the first eight bytes of the date. */
static int signing_key(const struct sign_req *req, const struct cred *cred,
		       const char day[8], unsigned char ret[SHA256_LEN])
{
	struct buf first = BUF_INIT(SIGN_TEXT_MAX);
	unsigned char k[SHA256_LEN];
	int r = buf_addf(&first, "AWS4%s", cred_secret(cred));

	if (r == 0)
		r = sign_hmac(first.p, first.len, day, 8, k);
	if (r == 0)
		r = sign_hmac(k, sizeof(k), req->region, strlen(req->region),
			      k);
	if (r == 0)
		r = sign_hmac(k, sizeof(k), req->service, strlen(req->service),
			      k);
	if (r == 0)
		r = sign_hmac(k, sizeof(k), "aws4_request", 12, ret);
	OPENSSL_cleanse(k, sizeof(k));
	if (first.p)
		OPENSSL_cleanse(first.p, first.len);
	buf_clear(&first);
	return r;
}

static int signature(const struct sign_req *req, const struct cred *cred,
		     const char *date, const struct buf *request,
		     char ret[SIGN_SHA256_HEX])
{
	struct buf text = BUF_INIT(SIGN_TEXT_MAX);
	unsigned char key[SHA256_LEN], mac[SHA256_LEN];
	char digest[SIGN_SHA256_HEX];
	int r = sign_sha256_hex(request->p, request->len, digest);

	if (r == 0)
		r = buf_addf(&text,
			     "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n"
			     "%s",
			     date, date, req->region, req->service, digest);
	if (r == 0)
		r = signing_key(req, cred, date, key);
	if (r == 0)
		r = sign_hmac(key, sizeof(key), text.p, text.len, mac);
	if (r == 0)
		text_hex(mac, sizeof(mac), ret);
	OPENSSL_cleanse(key, sizeof(key));
	buf_clear(&text);
	return r;
}

static int add_authorization(const struct sign_req *req,
			     const struct cred *cred, const char *date,
			     const struct headers *h, const char *sig,
			     struct buf *out)
{
	int r = buf_addf(out,
			 "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/"
			 "aws4_request, SignedHeaders=",
			 cred_key_id(cred), date, req->region, req->service);

	if (r == 0)
		r = add_names(h, out);
	return r ? r : buf_addf(out, ", Signature=%s", sig);
}

int sign_sigv4(const struct sign_req *req, const struct cred *cred,
	       int64_t unix_ns, struct sign_result *ret)
{
	struct buf request = BUF_INIT(SIGN_TEXT_MAX);
	struct buf auth = BUF_INIT(SIGN_TEXT_MAX);
	struct headers h = { 0 };
	char date[TEXT_DATE_LEN];
	char sig[SIGN_SHA256_HEX];
	int r;

	text_amz_date(unix_ns, date);
	r = headers_collect(&h, req, cred, date);
	if (r == 0)
		r = canonical(req, &h, &request);
	if (r == 0)
		r = signature(req, cred, date, &request, sig);
	if (r == 0)
		r = add_authorization(req, cred, date, &h, sig, &auth);
	if (r)
		goto out;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->date, date, sizeof(ret->date) - 1);
	ret->authorization = auth;
	auth = (struct buf)BUF_INIT(0);
out:
	headers_release(&h);
	buf_clear(&request);
	buf_clear(&auth);
	return r;
}

void sign_result_clear(struct sign_result *r)
{
	buf_clear(&r->authorization);
}
