/* SPDX-License-Identifier: Apache-2.0 */
/* All versions of what is below a prefix, and the marks of what was deleted. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/text.h"
#include "ckptfs/xml.h"

#include "s3.h"

struct row {
	char *key, *id;
	struct store_version v;
};

struct page {
	bool is_cut, is_url;
	char *key_marker, *id_marker; /* where the next page begins */
	struct row now; /* being read */
	struct row *rows;
	size_t n, cap;
};

struct listing {
	const char *prefix;
	char *key, *id; /* the page begins behind that; NULL: the first */
	struct s3_circle circle;
	store_version_fn *fn;
	void *arg;
};

static int set_string(char **to, const char *text)
{
	char *p = strdup(text);

	if (!p)
		return -ENOMEM;
	free(*to);
	*to = p;
	return 0;
}

static void row_clear(struct row *r)
{
	free(r->key);
	free(r->id);
	memset(r, 0, sizeof(*r));
}

static void page_clear(struct page *g)
{
	while (g->n)
		row_clear(&g->rows[--g->n]);
	row_clear(&g->now);
	free(g->rows);
	free(g->key_marker);
	free(g->id_marker);
	memset(g, 0, sizeof(*g));
}

static int row_leaf(struct row *r, const char *field, const char *text)
{
	if (strcmp(field, "Key") == 0)
		return set_string(&r->key, text);
	if (strcmp(field, "VersionId") == 0)
		return set_string(&r->id, text);
	if (strcmp(field, "IsLatest") == 0)
		r->v.is_latest = strcmp(text, "true") == 0;
	else if (strcmp(field, "Size") == 0)
		return text_parse_u64(text, &r->v.size) ? -EBADMSG : 0;
	else if (strcmp(field, "LastModified") == 0 &&
		 text_parse_iso_date(text, &r->v.mtime_ns))
		r->v.mtime_ns = 0;
	return 0;
}

static int on_leaf(void *arg, const char *path, const char *text)
{
	static const char root[] = "ListVersionsResult";
	struct page *g = arg;
	size_t n = sizeof(root) - 1;

	if (strncmp(path, root, n) != 0)
		return -EBADMSG;
	path += path[n] ? n + 1 : n;
	if (strcmp(path, "IsTruncated") == 0)
		g->is_cut = strcmp(text, "true") == 0;
	else if (strcmp(path, "EncodingType") == 0)
		g->is_url = strcmp(text, "url") == 0;
	else if (strcmp(path, "NextKeyMarker") == 0)
		return set_string(&g->key_marker, text);
	else if (strcmp(path, "NextVersionIdMarker") == 0)
		return set_string(&g->id_marker, text);
	else if (strncmp(path, "Version/", 8) == 0)
		return row_leaf(&g->now, path + 8, text);
	else if (strncmp(path, "DeleteMarker/", 13) == 0)
		return row_leaf(&g->now, path + 13, text);
	return 0;
}

static int on_end(void *arg, const char *path)
{
	struct page *g = arg;
	bool is_mark = strcmp(path, "ListVersionsResult/DeleteMarker") == 0;

	if (!is_mark && strcmp(path, "ListVersionsResult/Version") != 0)
		return 0;
	if (!g->now.key || !g->now.id)
		return -EBADMSG;
	if (g->n == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 64;
		struct row *rows = reallocarray(g->rows, cap, sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		g->rows = rows;
		g->cap = cap;
	}
	g->now.v.is_mark = is_mark;
	g->rows[g->n++] = g->now;
	memset(&g->now, 0, sizeof(g->now));
	return 0;
}

static int page_fetch(struct s3 *s3, const struct listing *l, struct page *g)
{
	struct xml_handler h = { .leaf = on_leaf, .end = on_end, .arg = g };
	struct s3_req q = { .method = "GET", .body_max = S3_XML_MAX };
	struct http_resp resp;
	int r;

	s3_req_query(&q, "versions", NULL);
	s3_req_query(&q, "encoding-type", "url");
	s3_req_query_uint(&q, "max-keys", S3_PAGE);
	if (*l->prefix)
		s3_req_query(&q, "prefix", l->prefix);
	if (l->key)
		s3_req_query(&q, "key-marker", l->key);
	if (l->id && *l->id)
		s3_req_query(&q, "version-id-marker", l->id);
	r = s3_perform(s3, &q, &resp);
	if (r == 0)
		r = xml_parse(resp.body.p ? resp.body.p : "", resp.body.len,
			      &h);
	http_resp_clear(&resp);
	if (r == -EBADMSG) {
		store_set_error("the listing is not what it should be");
		r = -EPROTO;
	}
	return r;
}

/* That keys are encoded may be said behind them. */
static int page_give(const struct listing *l, struct page *g)
{
	size_t i, n = strlen(l->prefix);
	int r = 0;

	for (i = 0; i < g->n && r == 0; i++) {
		struct row *row = &g->rows[i];

		if (g->is_url)
			r = s3_undo_url(&row->key);
		row->v.key = row->key;
		row->v.id = row->id;
		if (r == 0 && strncmp(row->key, l->prefix, n) == 0 &&
		    strlen(row->key) <= STORE_KEY_MAX)
			r = l->fn(l->arg, &row->v);
		r = r == -EILSEQ ? 0 : r; /* no key of ours */
	}
	return r;
}

/* Move on to the next page, whose markers come encoded as keys do. */
static int page_turn(struct listing *l, struct page *g)
{
	struct buf both = BUF_INIT(SIZE_MAX);
	int r = g->key_marker ? 0 : -EBADMSG;

	if (r == 0 && g->is_url)
		r = s3_undo_url(&g->key_marker);
	if (r == 0 && !g->id_marker)
		r = set_string(&g->id_marker, "");
	if (r == 0)
		r = buf_addf(&both, "%s\n%s", g->key_marker, g->id_marker);
	if (r == 0)
		r = s3_circle_check(&l->circle, both.p);
	buf_clear(&both);
	if (r == -EBADMSG || r == -EILSEQ) {
		store_set_error("the listing goes on, but does not say where");
		r = -EPROTO;
	}
	if (r)
		return r;
	free(l->key);
	free(l->id);
	l->key = g->key_marker;
	l->id = g->id_marker;
	g->key_marker = NULL;
	g->id_marker = NULL;
	return 0;
}

int s3_list_versions(struct store *s, const char *prefix,
		     const struct store_version *after, store_version_fn *fn,
		     void *arg)
{
	struct listing l = { .prefix = prefix, .fn = fn, .arg = arg };
	bool is_cut = true;
	int r = 0;

	l.key = after ? strdup(after->key) : NULL;
	l.id = after ? strdup(after->id) : NULL;
	if (after && (!l.key || !l.id))
		r = -ENOMEM;
	while (is_cut && r == 0) {
		struct page g = { .n = 0 };

		r = page_fetch((struct s3 *)s, &l, &g);
		if (r == 0)
			r = page_give(&l, &g);
		is_cut = g.is_cut;
		if (is_cut && r == 0)
			r = page_turn(&l, &g);
		page_clear(&g);
	}
	free(l.key);
	free(l.id);
	free(l.circle.mark);
	return r;
}

struct latest {
	const char *key;
	bool is_mark;
};

/* The key itself sorts before all others that begin with it. */
static int take_latest(void *arg, const struct store_version *v)
{
	struct latest *l = arg;

	if (strcmp(v->key, l->key) != 0)
		return 1;
	if (v->is_latest)
		l->is_mark = v->is_mark;
	return v->is_latest;
}

bool s3_is_marked(struct s3 *s3, const char *key)
{
	struct latest l = { .key = key };

	return s3_list_versions(&s3->store, key, NULL, take_latest, &l) == 1 &&
	       l.is_mark;
}
