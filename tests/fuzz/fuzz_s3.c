/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of S3 that answers what it likes: status, headers and body of one
 * answer after another, "\n--\n" between them, to a call of the store and to
 * what follows from it.  The store returns what store.h allows, believes in no
 * object beside its prefix, and asks nobody but the server it was given.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "http/http_priv.h"
#include "store/s3.h"

#include "fuzz.h"

#define PREFIX "run/"
#define KEY PREFIX "a b/\xc3\xa4\n+"

static struct http fake; /* all zero: what http_pace() wants */
static struct fuzz_in answers;
static bool is_aws;

/* ---- instead of src/http/http.c and pool.c */

int http_new(const struct http_opts *opts, struct http **ret)
{
	*ret = &fake;
	return 0;
}

void http_free(struct http *h)
{
}

void http_cancel_all(struct http *h)
{
}

static const char *after(const char *s, const char *head)
{
	size_t n = strlen(head);

	return strncmp(s, head, n) == 0 ? s + n : NULL;
}

static bool ends_in(const char *s, size_t n, const char *tail)
{
	size_t k = strlen(tail);

	return n >= k && memcmp(s + n - k, tail, k) == 0;
}

static void require_our_server(const char *url)
{
	const char *p = after(url, is_aws ? "https://bkt.s3." :
					    "http://127.0.0.1:9/bkt");
	const char *s;
	size_t n = 0;

	FUZZ_REQUIRE(p != NULL, "%s", url);
	if (is_aws) {
		n = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-"
			      "abcdefghijklmnopqrstuvwxyz0123456789");
		FUZZ_REQUIRE(ends_in(p, n, ".amazonaws.com") ||
				     ends_in(p, n, ".amazonaws.com.cn"),
			     "%s", url);
	}
	FUZZ_REQUIRE(p[n] == '/' || p[n] == '?', "%s", url);
	for (s = url; *s; s++)
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

	require_our_server(req->url);
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

static const struct clk clk = { now, now };

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

	FUZZ_REQUIRE(after(key, PREFIX) && n <= STORE_KEY_MAX, "%s", key);
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
	FUZZ_REQUIRE(after(key, PREFIX) && *id &&
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
		  struct store_obj *o)
{
	const struct store_src src = { .read = read_a, .len = 10 };
	const struct store_part parts[] = {
		{ .number = 1, .size = 5, .etag = "p1" },
		{ .number = 3, .size = 2, .etag = "p3" },
	};
	const struct store_del dels[] = {
		{ KEY, cond ? cond->if_match : NULL },
		{ PREFIX "b", cond ? cond->if_match : NULL },
	};
	char id[STORE_UPLOAD_ID_MAX];
	struct store_part part;
	int errs[2];

	switch (what) {
	case 0:
		return store_put(s, KEY, &src, &meta, cond, o);
	case 1:
		return store_mpu_commit(s, KEY, "id", parts, 2, &meta, cond, o);
	case 2:
		return store_copy(s, KEY, "e1", PREFIX "b", &meta, cond, o);
	case 3:
		return store_mpu_begin(s, KEY, &meta, false, id);
	case 4:
		return store_mpu_part(s, KEY, "id", 1, &src, &part);
	case 5:
		return store_mpu_copy_part(s, KEY, "id", 2, PREFIX "b", "e1", 0,
					   7, &part);
	case 6:
		return store_del_many(s, dels, 2, errs);
	case 7:
		return store_mpu_abort(s, KEY, "id");
	default:
		return store_del(s, KEY, cond && cond->if_match ? cond : NULL);
	}
}

static void call(struct store *s, uint8_t what, const struct store_cond *cond)
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
		r = store_get(s, KEY, "e1", 2, 5, sink, &got, &o);
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
		r = store_mpu_list_parts(s, KEY, "id", on_part, NULL);
		break;
	default:
		r = change(s, (uint8_t)(what % 16 - 7), cond, &o);
		break;
	}
	FUZZ_REQUIRE(r <= 0, "it is %d", r);
	if (r == 0)
		require_obj(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct cred_source_ops ops = { .fetch = fetch,
						    .free = free_source };
	static const struct store_cond conds[] = { { .if_absent = true },
						   { .if_match = "e0" } };
	struct fuzz_source source = { .source.ops = &ops };
	struct store_s3_opts o = { .bucket = "bkt", .clk = &clk, .http = &fake };
	struct cred_chain *creds = NULL;
	struct store *s = NULL;
	uint8_t what, how;

	answers = (struct fuzz_in){ data, n };
	what = fuzz_u8(&answers);
	how = fuzz_u8(&answers);
	is_aws = how & 1;
	o.endpoint_url = is_aws ? NULL : "http://127.0.0.1:9";
	source.is_empty = !(how & 2);
	if (cred_chain_new(&source.source, &clk, &creds) < 0)
		abort();
	o.creds = how & 4 ? NULL : creds;
	if (store_s3_new(&o, &s) < 0)
		abort();
	((struct s3 *)s)->has_crc = how & 8;
	((struct s3 *)s)->has_crc_parts = how & 16;
	((struct s3 *)s)->is_del_blind = how & 32;
	s->caps = STORE_CAP_PUT_COND | STORE_CAP_DEL_COND | STORE_CAP_COPY |
		  STORE_CAP_COPY_PART | STORE_CAP_COMMIT_META |
		  STORE_CAP_DEL_MANY | STORE_CAP_DEL_MANY_COND;
	call(s, what, how & 64 ? &conds[how >> 7] : NULL);
	store_free(s);
	cred_chain_free(creds);
	return 0;
}
