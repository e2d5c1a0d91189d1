/* SPDX-License-Identifier: Apache-2.0 */
/* Listings of blobs, page by page, in byte order. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ckptfs/text.h"
#include "ckptfs/xml.h"

#include "az.h"
#include "store_int.h"

#define EMPTY_MAX 1000 /* pages; what was deleted leaves some */
#define NAME_MAX_ENCODED (3 * STORE_KEY_MAX)

struct page {
	struct az_entry *v;
	size_t n, cap;
	struct az_entry now; /* the one being read */
	bool is_encoded; /* its name */
	char *marker; /* of the next page; NULL: this is the last */
};

struct listing {
	const struct az_listing *l;
	char *marker;
	char *last; /* given last: pages may repeat prefixes */
	unsigned nempty; /* pages in a row that brought nothing new */
};

static void entry_clear(struct az_entry *e)
{
	free(e->key);
	free(e->of);
	memset(e, 0, sizeof(*e));
}

static void page_clear(struct page *g)
{
	for (size_t i = 0; i < g->n; i++)
		entry_clear(&g->v[i]);
	free(g->v);
	entry_clear(&g->now);
	free(g->marker);
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

/* A name with what XML cannot hold comes percent-encoded. */
static int set_name(struct page *g, const char *text)
{
	struct buf b = BUF_INIT(NAME_MAX_ENCODED);
	int r;

	if (!g->is_encoded)
		return set_string(&g->now.key, text);
	r = text_unpercent(&b, text, strlen(text), false);
	if (r == 0) /* with a NUL inside it is no key: is_sane() */
		r = set_string(&g->now.key,
			       b.p && strlen(b.p) == b.len ? b.p : "");
	buf_clear(&b);
	return r == -ENOMEM ? r : (r ? -EBADMSG : 0);
}

static const char *after_prefix(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

static int blob_leaf(struct page *g, const char *name, const char *text)
{
	struct store_obj *o = &g->now.obj;

	if (strcmp(name, "Name") == 0)
		return set_name(g, text);
	if (strcmp(name, "Name@Encoded") == 0)
		g->is_encoded = strcmp(text, "true") == 0;
	else if (strcmp(name, "Properties/Content-Length") == 0)
		return text_parse_u64(text, &o->size) ? -EBADMSG : 0;
	else if (strcmp(name, "Properties/Etag") == 0 &&
		 !az_etag_decode(text, o->etag))
		o->etag[0] = '\0';
	else if (strcmp(name, "Properties/Last-Modified") == 0 &&
		 text_parse_http_date(text, &o->mtime_ns))
		o->mtime_ns = 0;
	else if (strcmp(name, "Metadata/key") == 0)
		return set_string(&g->now.of, text);
	else if (strcasecmp(name, "Metadata/" AZ_FOLDER) == 0)
		g->now.is_folder = strcasecmp(text, "true") == 0;
	return 0;
}

static int on_leaf(void *arg, const char *path, const char *text)
{
	struct page *g = arg;
	const char *name = after_prefix(path, "EnumerationResults");
	const char *field;

	if (!name)
		return -EBADMSG;
	field = after_prefix(name, "/Blobs/Blob/");
	if (field)
		return blob_leaf(g, field, text);
	field = after_prefix(name, "/Blobs/BlobPrefix/");
	if (field && strncmp(field, "Name", 4) == 0) {
		g->now.is_prefix = true;
		return blob_leaf(g, field, text);
	}
	if (strcmp(name, "/NextMarker") == 0 && *text)
		return set_string(&g->marker, text);
	return 0;
}

static int on_end(void *arg, const char *path)
{
	struct page *g = arg;

	if (strcmp(path, "EnumerationResults/Blobs/Blob") != 0 &&
	    strcmp(path, "EnumerationResults/Blobs/BlobPrefix") != 0)
		return 0;
	if (!g->now.key)
		return -EBADMSG;
	if (g->n == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 64;
		struct az_entry *v = reallocarray(g->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		g->v = v;
		g->cap = cap;
	}
	g->v[g->n++] = g->now;
	memset(&g->now, 0, sizeof(g->now));
	g->is_encoded = false;
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const struct az_entry *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static int no_sense(void)
{
	store_set_error("the listing is not what it should be");
	return -EPROTO;
}

static int page_fetch(struct az *az, const struct listing *s, struct page *g)
{
	const struct xml_handler h = { .leaf = on_leaf,
				       .end = on_end,
				       .arg = g };
	struct az_req q = { .method = "GET", .body_max = AZ_XML_MAX };
	struct http_resp resp;
	int r;

	az_req_query(&q, "restype", "container");
	az_req_query(&q, "comp", "list");
	az_req_query(&q, "maxresults", AZ_PAGE);
	if (*s->l->prefix)
		az_req_query(&q, "prefix", s->l->prefix);
	if (s->l->delimited)
		az_req_query(&q, "delimiter", "/");
	if (s->l->with_meta)
		az_req_query(&q, "include", "metadata");
	if (s->marker)
		az_req_query(&q, "marker", s->marker);
	r = az_perform(az, &q, &resp);
	if (r == 0)
		r = xml_parse(resp.body.p ? resp.body.p : "", resp.body.len,
			      &h);
	if (r == -EBADMSG)
		r = no_sense();
	/* Blobs and prefixes may come apart. */
	if (r == 0 && g->n)
		qsort(g->v, g->n, sizeof(*g->v), by_key);
	http_resp_clear(&resp);
	return r;
}

static bool is_sane(const struct az_listing *l, const struct az_entry *e)
{
	const size_t n = strlen(e->key);

	return n > 0 && n <= STORE_KEY_MAX && e->obj.size <= INT64_MAX &&
	       (!e->is_prefix || e->key[n - 1] == '/') &&
	       after_prefix(e->key, l->prefix);
}

static int give(void *arg, const struct az_entry *e)
{
	struct listing *s = arg;
	int r;

	if (s->last && strcmp(e->key, s->last) <= 0)
		return 0;
	r = set_string(&s->last, e->key);
	if (r)
		return r;
	s->nempty = 0;
	if (s->l->after && strcmp(e->key, s->l->after) <= 0)
		return 0;
	return s->l->fn(s->l->arg, e);
}

int az_list_each(struct az *az, const struct az_listing *l)
{
	struct listing s = { .l = l };
	struct az_folders f = { .fn = give,
				.arg = &s,
				.delimited = l->delimited };
	bool is_cut = true;
	int r = 0;

	while (is_cut && r == 0) {
		struct page g = { .n = 0 };

		r = page_fetch(az, &s, &g);
		s.nempty++;
		for (size_t i = 0; i < g.n && r == 0; i++)
			if (is_sane(l, &g.v[i]))
				r = az_folders_take(&f, &g.v[i]);
		is_cut = g.marker;
		if (r == 0 && is_cut && s.nempty > EMPTY_MAX)
			r = no_sense(); /* it goes round in circles */
		if (r == 0 && is_cut)
			r = set_string(&s.marker, g.marker);
		page_clear(&g);
	}
	r = az_folders_end(&f, r);
	free(s.marker);
	free(s.last);
	return r;
}

struct objects {
	const char *marker; /* given already; or NULL */
	store_list_fn *fn;
	void *arg;
};

static int give_object(void *arg, const struct az_entry *e)
{
	const struct objects *o = arg;

	if (o->marker && strcmp(e->key, o->marker) == 0)
		return 0;
	return o->fn(o->arg, e->key, e->is_prefix ? NULL : &e->obj);
}

/* What another tool keeps this folder by does not begin with the prefix. */
static int give_marker(struct az *az, const char *prefix, struct objects *o)
{
	char name[STORE_KEY_MAX + 1];
	struct store_obj obj;
	int r;

	if (strcmp(prefix, az->prefix) == 0 || store_key_is_hidden(prefix, 0))
		return 0;
	r = az_folder_find(az, prefix, name, &obj);
	if (r)
		return r == -ENOENT ? 0 : r;
	obj.has_meta = false;
	o->marker = prefix;
	return o->fn(o->arg, prefix, &obj);
}

int az_list(struct store *s, const char *prefix, const char *after,
	    bool delimited, store_list_fn *fn, void *arg)
{
	struct az *az = (struct az *)s;
	struct objects o = { .fn = fn, .arg = arg };
	const struct az_listing l = { .prefix = prefix,
				      .after = after,
				      .delimited = delimited,
				      .with_meta = true, /* hdi_isfolder */
				      .fn = give_object,
				      .arg = &o };
	int r = 0;

	if (delimited && (!after || strcmp(after, prefix) < 0))
		r = give_marker(az, prefix, &o);
	return r ? r : az_list_each(az, &l);
}
