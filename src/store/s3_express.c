/* SPDX-License-Identifier: Apache-2.0 */
/* Directory buckets: sessions, and listings without an order. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/cred.h"
#include "ckptfs/text.h"

#include "s3.h"

#define SUFFIX "--x-s3"
#define TOKEN_MAX 4096

const char *s3_express_zone(const char *bucket, size_t *ret_len)
{
	size_t n = strlen(bucket), m = strlen(SUFFIX), i;

	if (n <= m || strcmp(bucket + n - m, SUFFIX) != 0)
		return NULL;
	for (i = n - m; i > 2; i--)
		if (bucket[i - 1] == '-' && bucket[i - 2] == '-')
			break;
	if (i <= 2 || i == n - m)
		return NULL;
	*ret_len = n - m - i;
	return bucket + i;
}

/* ---- sessions */

struct source {
	struct cred_source source;
	struct s3 *s3;
};

/* What CreateSession says. */
struct session {
	char id[128], secret[128], token[TOKEN_MAX], end[64];
};

static int take(const struct http_resp *resp, struct cred **ret)
{
	struct session t = { .id = "" };
#define PATH "CreateSessionResult/Credentials/"
	const struct s3_leaf leaves[] = {
		{ PATH "AccessKeyId", t.id, sizeof(t.id) },
		{ PATH "SecretAccessKey", t.secret, sizeof(t.secret) },
		{ PATH "SessionToken", t.token, sizeof(t.token) },
		{ PATH "Expiration", t.end, sizeof(t.end) },
	};
#undef PATH
	int64_t expiry_ns = 0;
	int r = s3_xml_leaves(resp, leaves, ARRAY_SIZE(leaves));

	/* One that fills its place may have been cut. */
	if (r == 0 && (!*t.id || !*t.secret || !*t.token ||
		       strlen(t.token) == sizeof(t.token) - 1 ||
		       text_parse_iso_date(t.end, &expiry_ns)))
		r = -EPROTO;
	if (r == 0)
		r = cred_new(t.id, t.secret, t.token, expiry_ns, ret);
	explicit_bzero(&t, sizeof(t));
	return r;
}

/* As cred.h has errors. */
static int error_of(int r)
{
	if (r == 0 || r == -ENOMEM || r == -ECANCELED)
		return r;
	return store_err_is_transient(r) ? -EAGAIN : -EACCES;
}

static int fetch(struct cred_source *source, char say[CRED_WHY_MAX],
		 struct cred **ret)
{
	struct s3 *s3 = ((struct source *)source)->s3;
	struct s3_req q = { .method = "GET", .by_account = true };
	struct http_resp resp;
	int r;

	s3_req_query(&q, "session", NULL);
	r = s3_perform(s3, &q, &resp);
	if (r == 0)
		r = take(&resp, ret);
	if (resp.body.p)
		explicit_bzero(resp.body.p, resp.body.len);
	http_resp_clear(&resp);
	(void)snprintf(say, CRED_WHY_MAX, "a session of the bucket%s%.400s",
		       r ? ": " : "", r ? store_last_error() : "");
	return error_of(r);
}

static void free_source(struct cred_source *source)
{
	free(source);
}

int s3_express_init(struct s3 *s3)
{
	static const struct cred_source_ops ops = { .fetch = fetch,
						    .free = free_source };
	struct source *source;

	if (!s3->creds)
		return 0;
	source = calloc(1, sizeof(*source));
	if (!source)
		return -ENOMEM;
	source->source.ops = &ops;
	source->s3 = s3;
	return cred_chain_new(&source->source, s3->clk, &s3->session);
}

/* ---- listings */

void s3_express_prefix(const char *prefix, char ret[STORE_KEY_MAX + 1])
{
	const char *slash = strrchr(prefix, '/');
	size_t n = slash ? (size_t)(slash - prefix) + 1 : 0;

	memcpy(ret, prefix, n);
	ret[n] = '\0';
}

struct entry {
	char *key, *etag; /* etag NULL: a prefix */
	uint64_t size;
	int64_t mtime_ns;
};

struct entries {
	const char *prefix;
	struct entry *v;
	size_t n, cap;
};

static int collect(void *arg, const char *key, const struct store_obj *obj)
{
	struct entries *all = arg;
	struct entry *e;

	if (strncmp(key, all->prefix, strlen(all->prefix)) != 0)
		return 0;
	if (all->n == all->cap) {
		size_t cap = all->cap ? 2 * all->cap : 64;

		e = reallocarray(all->v, cap, sizeof(*e));
		if (!e)
			return -ENOMEM;
		all->v = e;
		all->cap = cap;
	}
	e = &all->v[all->n++];
	*e = (struct entry){ .key = strdup(key) };
	if (obj) {
		e->etag = strdup(obj->etag);
		e->size = obj->size;
		e->mtime_ns = obj->mtime_ns;
	}
	return e->key && (!obj || e->etag) ? 0 : -ENOMEM;
}

static int by_key(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static int give(const struct entries *all, store_list_fn *fn, void *arg)
{
	size_t i;
	int r = 0;

	for (i = 0; i < all->n && r == 0; i++) {
		const struct entry *e = &all->v[i];
		struct store_obj o = { .size = e->size,
				       .mtime_ns = e->mtime_ns };

		/* Of several pages each may have it. */
		if (i && strcmp(e->key, e[-1].key) == 0)
			continue;
		if (e->etag)
			memcpy(o.etag, e->etag, strlen(e->etag) + 1);
		r = fn(arg, e->key, e->etag ? &o : NULL);
	}
	return r;
}

int s3_express_list(struct store *s, const char *prefix, bool delimited,
		    store_list_fn *fn, void *arg)
{
	struct entries all = { .prefix = prefix };
	char asked[STORE_KEY_MAX + 1];
	size_t i;
	int r;

	s3_express_prefix(prefix, asked);
	r = s3_list_pages(s, asked, NULL, delimited, collect, &all);
	if (r == 0 && all.n)
		qsort(all.v, all.n, sizeof(*all.v), by_key);
	if (r == 0)
		r = give(&all, fn, arg);
	for (i = 0; i < all.n; i++) {
		free(all.v[i].key);
		free(all.v[i].etag);
	}
	free(all.v);
	return r;
}
