/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "http/http_priv.h"

#include "answers.h"

struct http fuzz_http; /* all zero: what http_pace() wants */
struct fuzz_in answers;

/* ---- instead of src/http/http.c and pool.c */

int http_new(const struct http_opts *opts, struct http **ret)
{
	*ret = &fuzz_http;
	return 0;
}

void http_free(struct http *h)
{
}

void http_cancel_all(struct http *h)
{
}

const char *fuzz_after(const char *s, const char *head)
{
	size_t n = strlen(head);

	return strncmp(s, head, n) == 0 ? s + n : NULL;
}

bool fuzz_ends_in(const char *s, size_t n, const char *tail)
{
	size_t k = strlen(tail);

	return n >= k && memcmp(s + n - k, tail, k) == 0;
}

static void require_url(const char *url)
{
	require_our_server(url);
	for (const char *s = url; *s; s++)
		FUZZ_REQUIRE(*s > ' ' && *s < 0x7f, "byte %02x", *s);
}

static void require_clean(const struct http_req *req)
{
	size_t i;

	for (i = 0; i < req->nheaders; i++)
		FUZZ_REQUIRE(!strpbrk(req->headers[i].name, "\r\n:") &&
				     !strpbrk(req->headers[i].value, "\r\n"),
			     "%s: %s", req->headers[i].name,
			     req->headers[i].value);
}

static void send_body(const struct http_body *body)
{
	char piece[4096];
	uint64_t off;
	size_t n;

	for (off = 0; off < body->len; off += n) {
		n = sizeof(piece);
		if (n > body->len - off)
			n = (size_t)(body->len - off);
		FUZZ_REQUIRE(body->read(body->arg, off, piece, n) ==
				     (ssize_t)n,
			     "at %llu", (unsigned long long)off);
	}
}

/* Line by line, as libcurl does it. */
static int take_headers(struct http_call *call, struct fuzz_in *in)
{
	while (in->n > 0 && !call->is_headed && call->err == 0) {
		struct fuzz_in one = fuzz_until(in, "\n");
		char *line = malloc(one.n + 1);

		if (!line)
			abort();
		memcpy(line, one.p, one.n);
		line[one.n] = '\n';
		(void)http_on_header(line, 1, one.n + 1, call);
		free(line);
	}
	return call->err;
}

static int take_body(struct http_call *call, struct fuzz_in *in)
{
	size_t n;

	for (; in->n > 0 && call->err == 0; in->p += n, in->n -= n) {
		char *piece;

		n = in->n < 1000 ? in->n : 1000;
		piece = malloc(n);
		if (!piece)
			abort();
		memcpy(piece, in->p, n);
		(void)http_on_data(piece, 1, n, call);
		free(piece);
	}
	return call->err;
}

int http_perform(struct http *h, const struct http_req *req,
		 struct http_resp *resp)
{
	struct http_call call = { .h = h, .req = req, .resp = resp };
	struct fuzz_in in;
	int r;

	require_url(req->url);
	require_clean(req);
	http_resp_clear(resp);
	resp->headers.max = HTTP_HEADERS_MAX;
	resp->body.max = req->body_max ? req->body_max : HTTP_BODY_MAX;
	if (req->body)
		send_body(req->body);
	if (answers.n == 0)
		return -ENETUNREACH;
	in = fuzz_until(&answers, "\n--\n");
	r = take_headers(&call, &in);
	if (r == 0 && strcmp(req->method, "HEAD") != 0)
		r = take_body(&call, &in);
	if (r == 0 && (!call.is_headed || resp->status < 200))
		r = -ENETUNREACH;
	resp->resent = http_resp_header(resp, "X-Resent") != NULL;
	return r;
}

/* ---- the store's side */

static int64_t now(const struct clk *c)
{
	return INT64_C(1369353600) * NS_PER_S;
}

const struct clk fuzz_clk = { now, now };

struct fuzz_source {
	struct cred_source source;
	bool is_empty;
};

static int fetch(struct cred_source *src, char why[CRED_WHY_MAX],
		 struct cred **ret)
{
	if (((struct fuzz_source *)src)->is_empty)
		return -ENOENT;
	return cred_new("key", "secret", "token", INT64_MAX, ret);
}

static void free_source(struct cred_source *src)
{
}

struct cred_chain *fuzz_creds(bool is_empty)
{
	static const struct cred_source_ops ops = { .fetch = fetch,
						    .free = free_source };
	static struct fuzz_source source = { .source.ops = &ops };
	struct cred_chain *creds = NULL;

	source.is_empty = is_empty;
	if (cred_chain_new(&source.source, &fuzz_clk, &creds) < 0)
		abort();
	return creds;
}

static int sink(void *arg, const void *p, size_t n)
{
	*(size_t *)arg += n;
	return 0;
}

static void require_obj(const struct store_obj *o)
{
	FUZZ_REQUIRE(strnlen(o->etag, sizeof(o->etag)) < sizeof(o->etag),
		     "no end");
	FUZZ_REQUIRE(o->size <= INT64_MAX, "%llu bytes",
		     (unsigned long long)o->size);
}

static int on_object(void *arg, const char *key, const struct store_obj *obj)
{
	size_t n = strlen(key);

	FUZZ_REQUIRE(fuzz_after(key, PREFIX) && n <= STORE_KEY_MAX, "%s", key);
	if (obj)
		require_obj(obj);
	else
		FUZZ_REQUIRE(key[n - 1] == '/', "%s", key);
	return 0;
}

static int on_part(void *arg, const struct store_part *part)
{
	FUZZ_REQUIRE(part->number >= 1 && part->etag[0], "no part");
	return 0;
}

static int on_upload(void *arg, const char *key, const char *id, int64_t begun)
{
	FUZZ_REQUIRE(fuzz_after(key, PREFIX) && *id &&
			     strlen(id) < STORE_UPLOAD_ID_MAX,
		     "%s %s", key, id);
	return 0;
}

static ssize_t read_a(void *arg, uint64_t off, void *p, size_t n)
{
	memset(p, 'a', n);
	return (ssize_t)n;
}

static const struct store_meta meta = { .has_mtime = true, .write_id = "w1" };

static int change(struct store *s, uint8_t what, const struct store_cond *cond,
		  const struct fuzz_names *names, struct store_obj *o)
{
	const struct store_src src = { .read = read_a, .len = 10 };
	struct store_part parts[] = {
		{ .number = 1, .size = 5 },
		{ .number = 3, .size = 2 },
	};
	const struct store_del dels[] = {
		{ KEY, cond ? cond->if_match : NULL },
		{ PREFIX "b", cond ? cond->if_match : NULL },
	};
	char id[STORE_UPLOAD_ID_MAX];
	struct store_part part;
	int errs[2];

	for (int i = 0; i < 2; i++)
		snprintf(parts[i].etag, sizeof(parts[i].etag), "%s",
			 names->etags[2 + i]);
	switch (what) {
	case 0:
		return store_put(s, KEY, &src, &meta, cond, o);
	case 1:
		return store_mpu_commit(s, KEY, names->id, parts, 2, &meta, cond, o);
	case 2:
		return store_copy(s, KEY, names->etags[1], PREFIX "b", &meta, cond, o);
	case 3:
		return store_mpu_begin(s, KEY, &meta, false, id);
	case 4:
		return store_mpu_part(s, KEY, names->id, 1, &src, &part);
	case 5:
		return store_mpu_copy_part(s, KEY, names->id, 2, PREFIX "b", names->etags[1], 0,
					   7, &part);
	case 6:
		return store_del_many(s, dels, 2, errs);
	case 7:
		return store_mpu_abort(s, KEY, names->id);
	default:
		return store_del(s, KEY, cond && cond->if_match ? cond : NULL);
	}
}

void fuzz_call(struct store *s, uint8_t what, const struct store_cond *cond,
	       const struct fuzz_names *names)
{
	struct store_obj o = { .size = 0 };
	size_t got = 0;
	int r;

	switch (what % 16) {
	case 0:
		r = store_probe(s, PREFIX, false);
		break;
	case 1:
		r = store_head(s, KEY, &o);
		break;
	case 2:
		r = store_get(s, KEY, names->etags[1], 2, 5, sink, &got, &o);
		FUZZ_REQUIRE(got <= 5, "%zu bytes of 5", got);
		break;
	case 3:
		r = store_list(s, PREFIX, NULL, true, on_object, NULL);
		break;
	case 4:
		r = store_list(s, PREFIX, PREFIX "b", false, on_object, NULL);
		break;
	case 5:
		r = store_mpu_list(s, PREFIX, on_upload, NULL);
		break;
	case 6:
		r = store_mpu_list_parts(s, KEY, names->id, on_part, NULL);
		break;
	default:
		r = change(s, (uint8_t)(what % 16 - 7), cond, names,
			   &o);
		break;
	}
	FUZZ_REQUIRE(r <= 0, "it is %d", r);
	if (r == 0)
		require_obj(&o);
}
