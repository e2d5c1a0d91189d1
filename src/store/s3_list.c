/* SPDX-License-Identifier: Apache-2.0 */
/* Listings of objects, page by page, in byte order. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/text.h"
#include "ckptfs/xml.h"

#include "s3.h"

#define TOKEN_MAX (16 * 1024)
#define EMPTY_MAX 1000 /* pages; versions that were deleted leave some */

struct entry {
	char *key;
	bool is_prefix;
	struct store_obj obj;
};

struct page {
	struct entry *v;
	size_t n, cap;
	struct entry now; /* the one being read */
	bool is_url; /* keys are percent-encoded */
	bool is_cut; /* there is more */
	char *token;
};

static void page_clear(struct page *g)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		free(g->v[i].key);
	free(g->v);
	free(g->now.key);
	free(g->token);
	memset(g, 0, sizeof(*g));
}

static int set_string(char **to, const char *text)
{
	char *p = strdup(text);

	if (!p)
		return -ENOMEM;
	free(*to);
	*to = p;
	return 0;
}

static int contents_leaf(struct entry *e, const char *name, const char *text)
{
	if (strcmp(name, "Key") == 0)
		return set_string(&e->key, text);
	if (strcmp(name, "Size") == 0)
		return text_parse_u64(text, &e->obj.size) ? -EBADMSG : 0;
	if (strcmp(name, "ETag") == 0 && !s3_etag_decode(text, e->obj.etag))
		e->obj.etag[0] = '\0';
	if (strcmp(name, "LastModified") == 0 &&
	    text_parse_iso_date(text, &e->obj.mtime_ns))
		e->obj.mtime_ns = 0;
	return 0;
}

/* What follows the prefix in s, or NULL. */
static const char *after_prefix(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

static int on_leaf(void *arg, const char *path, const char *text)
{
	struct page *g = arg;
	const char *name = after_prefix(path, "ListBucketResult/");
	const char *field;

	if (!name)
		return -EBADMSG;
	field = after_prefix(name, "Contents/");
	if (field)
		return contents_leaf(&g->now, field, text);
	if (strcmp(name, "CommonPrefixes/Prefix") == 0) {
		g->now.is_prefix = true;
		return set_string(&g->now.key, text);
	}
	if (strcmp(name, "IsTruncated") == 0)
		g->is_cut = strcmp(text, "true") == 0;
	else if (strcmp(name, "EncodingType") == 0)
		g->is_url = strcmp(text, "url") == 0;
	else if (strcmp(name, "NextContinuationToken") == 0)
		return set_string(&g->token, text);
	return 0;
}

static int on_end(void *arg, const char *path)
{
	struct page *g = arg;

	if (strcmp(path, "ListBucketResult/Contents") != 0 &&
	    strcmp(path, "ListBucketResult/CommonPrefixes") != 0)
		return 0;
	if (!g->now.key)
		return -EBADMSG;
	if (g->n == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 64;
		struct entry *v = realloc(g->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		g->v = v;
		g->cap = cap;
	}
	g->v[g->n++] = g->now;
	memset(&g->now, 0, sizeof(g->now));
	return 0;
}

int s3_undo_url(char **key)
{
	struct buf out = BUF_INIT(TOKEN_MAX);
	size_t n = 0;
	int r = text_unpercent(&out, *key, strlen(*key), true);

	if (r == 0)
		r = buf_add(&out, "", 0);
	if (r) {
		buf_clear(&out);
		return r == -ENOMEM ? r : -EBADMSG;
	}
	free(*key);
	*key = buf_take(&out, &n);
	if (!*key)
		return -ENOMEM;
	return strlen(*key) == n ? 0 : -EILSEQ;
}

static int no_way_on(void)
{
	store_set_error("the listing goes on, but does not say where");
	return -EPROTO;
}

/* After Brent: the mark moves on to pages 1, 2, 4, 8 …, so that a circle of any
 * length is found within twice the pages before and in it. */
int s3_circle_check(struct s3_circle *c, const char *at)
{
	if (c->mark && strcmp(c->mark, at) == 0)
		return no_way_on();
	c->n++;
	return c->n & (c->n - 1) ? 0 : set_string(&c->mark, at);
}

static int by_key(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static int page_parse(const struct http_resp *resp, struct page *g)
{
	struct xml_handler h = { .leaf = on_leaf, .end = on_end, .arg = g };
	size_t i;
	int r;

	r = xml_parse(resp->body.p ? resp->body.p : "", resp->body.len, &h);
	for (i = 0; i < g->n && r == 0 && g->is_url; i++) {
		r = s3_undo_url(&g->v[i].key);
		if (r == -EILSEQ) {
			g->v[i].key[0] = '\0'; /* is_sane() leaves it out */
			r = 0;
		}
	}
	/* Objects and prefixes come apart. */
	if (r == 0 && g->n)
		qsort(g->v, g->n, sizeof(*g->v), by_key);
	if (r == -EBADMSG) {
		store_set_error("the listing is not what it should be");
		r = -EPROTO;
	}
	return r;
}

struct listing {
	const char *prefix, *after;
	bool delimited;
	store_list_fn *fn;
	void *arg;
	char *token; /* of the next page; NULL: this is the first */
	struct s3_circle circle;
	unsigned nempty; /* pages in a row with nothing on them */
	char *last; /* prefix given last: some servers repeat it */
};

static int page_fetch(struct s3 *s3, const struct listing *l, struct page *g)
{
	struct s3_req q = { .method = "GET", .body_max = S3_XML_MAX };
	struct http_resp resp;
	int r;

	s3_req_query(&q, "list-type", "2");
	s3_req_query(&q, "encoding-type", "url");
	s3_req_query_uint(&q, "max-keys", S3_PAGE);
	if (*l->prefix)
		s3_req_query(&q, "prefix", l->prefix);
	if (l->delimited)
		s3_req_query(&q, "delimiter", "/");
	if (l->token)
		s3_req_query(&q, "continuation-token", l->token);
	else if (l->after && *l->after)
		s3_req_query(&q, "start-after", l->after);
	r = s3_perform(s3, &q, &resp);
	if (r == 0)
		r = page_parse(&resp, g);
	http_resp_clear(&resp);
	return r;
}

static bool is_sane(const struct listing *l, const struct entry *e)
{
	size_t n = strlen(e->key);

	return n > 0 && n <= STORE_KEY_MAX && e->obj.size <= INT64_MAX &&
	       (!e->is_prefix || e->key[n - 1] == '/') &&
	       after_prefix(e->key, l->prefix);
}

static int page_give(struct listing *l, const struct page *g)
{
	size_t i;
	int r = 0;

	for (i = 0; i < g->n && r == 0; i++) {
		struct entry *e = &g->v[i];

		if (!is_sane(l, e))
			continue;
		if (!e->is_prefix) {
			r = l->fn(l->arg, e->key, &e->obj);
			continue;
		}
		if (l->last && strcmp(l->last, e->key) == 0)
			continue;
		r = set_string(&l->last, e->key);
		if (r == 0)
			r = l->fn(l->arg, e->key, NULL);
	}
	return r;
}

/* Move on to the next page; -EPROTO if there is no way to. */
static int page_turn(struct listing *l, struct page *g)
{
	int r;

	l->nempty = g->n ? 0 : l->nempty + 1;
	if (!g->token || !*g->token || l->nempty > EMPTY_MAX)
		return no_way_on();
	r = s3_circle_check(&l->circle, g->token);
	if (r)
		return r;
	free(l->token);
	l->token = g->token;
	g->token = NULL;
	return 0;
}

int s3_list_pages(struct store *s, const char *prefix, const char *after,
		  bool delimited, store_list_fn *fn, void *arg)
{
	struct listing l = { .prefix = prefix,
			     .after = after,
			     .delimited = delimited,
			     .fn = fn,
			     .arg = arg };
	bool is_cut = true;
	int r = 0;

	while (is_cut && r == 0) {
		struct page g = { 0 };

		r = page_fetch((struct s3 *)s, &l, &g);
		if (r == 0)
			r = page_give(&l, &g);
		is_cut = g.is_cut;
		if (is_cut && r == 0)
			r = page_turn(&l, &g);
		page_clear(&g);
	}
	free(l.token);
	free(l.last);
	free(l.circle.mark);
	return r;
}

int s3_list(struct store *s, const char *prefix, const char *after,
	    bool delimited, store_list_fn *fn, void *arg)
{
	/* The front leaves out what lies before `after`. */
	if (((struct s3 *)s)->where.is_directory)
		return s3_express_list(s, prefix, delimited, fn, arg);
	return s3_list_pages(s, prefix, after, delimited, fn, arg);
}
