/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers that options ask for: how objects are stored, by whose key, who pays.
 * Which kind of request takes which is botocore's model of the service.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ckptfs/hash.h"
#include "ckptfs/text.h"

#include "s3.h"

/* Groups of headers. */
enum {
	SSE = 1 << 0, /* with which of the server's keys */
	STORED = 1 << 1, /* class, ACL, tags */
	TYPE = 1 << 2, /* Content-Type */
	CUSTOMER = 1 << 3, /* our key */
	SOURCE = 1 << 4, /* our key again, of what is copied */
	PAYER = 1 << 5,
	RETAG = 1 << 6, /* tags are ours, not the source's */
};

static const unsigned groups[] = {
	[S3_OP_OTHER] = PAYER,
	[S3_OP_HEAD] = CUSTOMER | PAYER,
	[S3_OP_GET] = CUSTOMER | PAYER,
	[S3_OP_PUT] = SSE | STORED | TYPE | CUSTOMER | PAYER,
	[S3_OP_COPY] = SSE | STORED | TYPE | CUSTOMER | SOURCE | PAYER | RETAG,
	[S3_OP_BEGIN] = SSE | STORED | TYPE | CUSTOMER | PAYER,
	[S3_OP_PART] = CUSTOMER | PAYER,
	[S3_OP_PART_COPY] = CUSTOMER | SOURCE | PAYER,
	[S3_OP_COMMIT] = CUSTOMER | PAYER,
	[S3_OP_LIST_PARTS] = CUSTOMER | PAYER,
};

static bool asks(const struct s3_req *q, const char *name)
{
	size_t i;

	for (i = 0; i < q->nquery; i++)
		if (strcmp(q->query[i].name, name) == 0)
			return true;
	return false;
}

static const char *header_of(const struct s3_req *q, const char *name)
{
	size_t i;

	for (i = 0; i < q->nheaders; i++)
		if (strcmp(q->headers[i].name, name) == 0)
			return q->headers[i].value;
	return NULL;
}

enum s3_op s3_op_of(const struct s3_req *q)
{
	bool is_copy = header_of(q, "x-amz-copy-source");
	bool is_part = asks(q, "partNumber"), is_upload = asks(q, "uploadId");

	if (!q->key)
		return S3_OP_OTHER;
	if (strcmp(q->method, "HEAD") == 0)
		return S3_OP_HEAD;
	if (strcmp(q->method, "GET") == 0)
		return is_upload ? S3_OP_LIST_PARTS : S3_OP_GET;
	if (strcmp(q->method, "PUT") == 0) {
		if (is_part)
			return is_copy ? S3_OP_PART_COPY : S3_OP_PART;
		return is_copy ? S3_OP_COPY : S3_OP_PUT;
	}
	if (strcmp(q->method, "POST") == 0)
		return is_upload ? S3_OP_COMMIT : S3_OP_BEGIN;
	return S3_OP_OTHER;
}

/* By the end of a name, for who looks at a bucket with a browser. */
static const char *type_of(const char *key)
{
	static const char *const types[][2] = {
		{ ".csv", "text/csv" },
		{ ".err", "text/plain" },
		{ ".gz", "application/gzip" },
		{ ".html", "text/html" },
		{ ".json", "application/json" },
		{ ".jsonl", "application/jsonl" },
		{ ".log", "text/plain" },
		{ ".md", "text/markdown" },
		{ ".out", "text/plain" },
		{ ".png", "image/png" },
		{ ".tar", "application/x-tar" },
		{ ".txt", "text/plain" },
		{ ".xml", "application/xml" },
		{ ".yaml", "application/yaml" },
		{ ".yml", "application/yaml" },
		{ ".zip", "application/zip" },
	};
	size_t n = strlen(key), i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		size_t m = strlen(types[i][0]);

		if (n > m && strcasecmp(key + n - m, types[i][0]) == 0)
			return types[i][1];
	}
	return "application/octet-stream";
}

static const char *content_type(const struct s3_extra *x, const char *key)
{
	if (x->content_type && strcmp(x->content_type, "auto") == 0)
		return type_of(key);
	return x->content_type;
}

struct adder {
	struct sign_pair *v;
	size_t n;
};

static void add(struct adder *a, const char *name, const char *value)
{
	if (!value)
		return;
	a->v[a->n].name = name;
	a->v[a->n++].value = value;
}

#define CUSTOMER_NAME(of, what)                                                \
	"x-amz-" of "server-side-encryption-customer-" what

size_t s3_extra_headers(const struct s3_extra *x, const struct s3_req *q,
			struct sign_pair ret[S3_EXTRA_MAX])
{
	unsigned g = groups[s3_op_of(q)];
	const char *directive = header_of(q, "x-amz-metadata-directive");
	const char *aes = x->customer_key ? "AES256" : NULL;
	struct adder a = { .v = ret };

	if (g & SSE) {
		add(&a, "x-amz-server-side-encryption", x->sse);
		add(&a, "x-amz-server-side-encryption-aws-kms-key-id",
		    x->kms_key_id);
	}
	if (g & STORED) {
		add(&a, "x-amz-storage-class", x->storage_class);
		add(&a, "x-amz-acl", x->acl);
		add(&a, "x-amz-tagging", x->tags);
	}
	if ((g & RETAG) && x->tags)
		add(&a, "x-amz-tagging-directive", "REPLACE");
	/* A copy that keeps its source's metadata keeps its type, too. */
	if ((g & TYPE) && (!directive || strcmp(directive, "REPLACE") == 0))
		add(&a, "Content-Type", content_type(x, q->key));
	if (g & CUSTOMER) {
		add(&a, CUSTOMER_NAME("", "algorithm"), aes);
		add(&a, CUSTOMER_NAME("", "key"), x->customer_key);
		add(&a, CUSTOMER_NAME("", "key-MD5"), x->customer_md5);
	}
	if (g & SOURCE) {
		add(&a, CUSTOMER_NAME("copy-source-", "algorithm"), aes);
		add(&a, CUSTOMER_NAME("copy-source-", "key"), x->customer_key);
		add(&a, CUSTOMER_NAME("copy-source-", "key-MD5"),
		    x->customer_md5);
	}
	if ((g & PAYER) && x->requester_pays)
		add(&a, "x-amz-request-payer", "requester");
	return a.n;
}

static int refuse(const char *why)
{
	store_set_error("%s", why);
	return -EINVAL;
}

/* What may stand in a header and in a signature. */
static bool is_clean(const char *s)
{
	for (; s && *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

static int check(const struct store_s3_opts *o, const struct s3_where *w)
{
	bool is_kms = o->sse && strncmp(o->sse, "aws:kms", 7) == 0;

	if (o->sse_kms_key_id && !is_kms)
		return refuse("sse_kms_key_id wants sse=aws:kms or "
			      "sse=aws:kms:dsse");
	if (o->sse_c_key && o->sse)
		return refuse("sse_c_key_file and sse exclude each other");
	if (o->sse_c_key && !w->is_tls && !w->is_loopback)
		return refuse("sse_c_key_file sends its key with each request: "
			      "that wants https");
	if (!is_clean(o->sse) || !is_clean(o->sse_kms_key_id) ||
	    !is_clean(o->storage_class) || !is_clean(o->acl) ||
	    !is_clean(o->tags) || !is_clean(o->content_type))
		return refuse("sse_kms_key_id, storage_class, tags and "
			      "content_type are ASCII without blanks; write "
			      "tags as name=value&name=value, with % and two "
			      "digits for other characters");
	return 0;
}

static int copy_of(const char *s, char **ret)
{
	*ret = s && *s ? strdup(s) : NULL;
	return s && *s && !*ret ? -ENOMEM : 0;
}

static int customer_of(const unsigned char key[STORE_SSE_C_KEY],
		       struct s3_extra *x)
{
	unsigned char sum[MD5_LEN];

	x->customer_key = malloc(TEXT_BASE64_LEN(STORE_SSE_C_KEY));
	x->customer_md5 = malloc(TEXT_BASE64_LEN(MD5_LEN));
	if (!x->customer_key || !x->customer_md5)
		return -ENOMEM;
	text_base64(key, STORE_SSE_C_KEY, x->customer_key);
	md5(key, STORE_SSE_C_KEY, sum);
	text_base64(sum, MD5_LEN, x->customer_md5);
	return 0;
}

int s3_extra_init(const struct store_s3_opts *o, const struct s3_where *w,
		  struct s3_extra *ret)
{
	struct s3_extra x = { .requester_pays = o->requester_pays };
	int r = check(o, w);

	if (r == 0)
		r = copy_of(o->sse, &x.sse);
	if (r == 0)
		r = copy_of(o->sse_kms_key_id, &x.kms_key_id);
	if (r == 0)
		r = copy_of(o->storage_class, &x.storage_class);
	if (r == 0)
		r = copy_of(o->acl, &x.acl);
	if (r == 0)
		r = copy_of(o->tags, &x.tags);
	if (r == 0)
		r = copy_of(o->content_type, &x.content_type);
	if (r == 0 && o->sse_c_key)
		r = customer_of(o->sse_c_key, &x);
	if (r)
		s3_extra_release(&x);
	else
		*ret = x;
	return r;
}

void s3_extra_release(struct s3_extra *x)
{
	if (x->customer_key)
		explicit_bzero(x->customer_key, strlen(x->customer_key));
	free(x->customer_key);
	free(x->customer_md5);
	free(x->sse);
	free(x->kms_key_id);
	free(x->storage_class);
	free(x->acl);
	free(x->tags);
	free(x->content_type);
}
