/* SPDX-License-Identifier: Apache-2.0 */
/* Listings of objects, page by page, in byte order. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gcs.h"

#define FIELDS_MAX 256
#define EMPTY_MAX 1000 /* pages; what was deleted leaves some */

/* One of a page; key is the answer's, or in `held`. */
struct entry {
	const char *key;
	const struct json *object; /* NULL: a prefix */
};

struct listing {
	const struct gcs_listing *l;
	char *token; /* of the next page; NULL: this is the first */
	char *last; /* given last: some servers repeat prefixes */
	unsigned nempty; /* pages in a row that brought nothing new */
	/* Prefixes past the last object of a page with others behind it. */
	char **held;
	size_t nheld;
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

static void held_clear(char **held, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(held[i]);
	free(held);
}

static int fetch(struct gcs *g, const struct listing *s, struct json **ret)
{
	const struct gcs_listing *l = s->l;
	struct gcs_req q = { .method = "GET", .body_max = GCS_JSON_MAX };
	char fields[FIELDS_MAX];

	snprintf(fields, sizeof(fields), "nextPageToken,prefixes,items(%s)",
		 l->fields);
	gcs_req_query(&q, "fields", fields);
	gcs_req_query(&q, "prettyPrint", "false");
	gcs_req_query(&q, "maxResults", "1000");
	if (*l->prefix)
		gcs_req_query(&q, "prefix", l->prefix);
	if (l->delimited)
		gcs_req_query(&q, "delimiter", "/");
	if (l->after && *l->after)
		gcs_req_query(&q, "startOffset", l->after);
	if (s->token)
		gcs_req_query(&q, "pageToken", s->token);
	return gcs_ask(g, &q, ret);
}

static int no_sense(void)
{
	store_set_error("the listing is not what it should be");
	return -EPROTO;
}

static int by_key(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->key, y->key);
}

/* What the page and those before it have for us, in order. */
static int gather(const struct listing *s, const struct json *page,
		  struct entry **ret, size_t *ret_n)
{
	const struct json *items = json_get(page, "items");
	const struct json *prefixes = json_get(page, "prefixes");
	const size_t n_items = json_len(items), n_prefixes = json_len(prefixes);
	const size_t n = n_items + n_prefixes + s->nheld;
	struct entry *v = calloc(n ? n : 1, sizeof(*v));
	size_t i, at = 0;

	if (!v)
		return -ENOMEM;
	for (i = 0; i < n_items; i++, at++) {
		v[at].object = json_at(items, i);
		v[at].key = json_get_str(v[at].object, "name");
	}
	for (i = 0; i < n_prefixes; i++)
		v[at++].key = json_as_str(json_at(prefixes, i));
	for (i = 0; i < s->nheld; i++)
		v[at++].key = s->held[i];
	for (i = 0; i < n; i++) {
		if (v[i].key)
			continue;
		free(v);
		return no_sense();
	}
	qsort(v, n, sizeof(*v), by_key);
	*ret = v;
	*ret_n = n;
	return 0;
}

static bool is_sane(const struct gcs_listing *l, const struct entry *e)
{
	const size_t n = strlen(e->key);

	return n > 0 && n <= STORE_KEY_MAX &&
	       (e->object || e->key[n - 1] == '/') &&
	       strncmp(e->key, l->prefix, strlen(l->prefix)) == 0;
}

static int give(struct listing *s, const struct entry *e)
{
	int r;

	if (!is_sane(s->l, e))
		return 0;
	if (s->last && strcmp(e->key, s->last) <= 0)
		return 0;
	r = set_string(&s->last, e->key);
	if (r)
		return r;
	s->nempty = 0;
	return s->l->fn(s->l->arg, e->key, e->object);
}

/* Put aside the n prefixes that end a page: the next may begin before them. */
static int hold(struct listing *s, const struct entry *v, size_t n)
{
	char **held = calloc(n ? n : 1, sizeof(*held));
	size_t i;

	if (!held)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		held[i] = strdup(v[i].key);
		if (held[i])
			continue;
		held_clear(held, i);
		return -ENOMEM;
	}
	held_clear(s->held, s->nheld);
	s->held = held;
	s->nheld = n;
	return 0;
}

/* Give of the page what no later page comes before. */
static int give_page(struct listing *s, const struct json *page, bool is_cut)
{
	struct entry *v = NULL;
	size_t n = 0, end, i;
	int r = gather(s, page, &v, &n);

	if (r)
		return r;
	end = n;
	if (is_cut && json_len(json_get(page, "items")))
		while (end && !v[end - 1].object)
			end--;
	s->nempty++;
	for (i = 0; i < end && r == 0; i++)
		r = give(s, &v[i]);
	if (r == 0)
		r = hold(s, v + end, n - end);
	free(v);
	return r;
}

int gcs_list_each(struct gcs *g, const struct gcs_listing *l)
{
	struct listing s = { .l = l };
	bool is_cut = true;
	int r = 0;

	while (is_cut && r == 0) {
		struct json *page = NULL;
		const char *token;

		r = fetch(g, &s, &page);
		token = json_get_str(page, "nextPageToken");
		is_cut = token && *token;
		if (r == 0)
			r = give_page(&s, page, is_cut);
		if (r == 0 && s.nempty > EMPTY_MAX)
			r = no_sense(); /* it goes round in circles */
		if (r == 0 && is_cut)
			r = set_string(&s.token, token);
		json_free(page);
	}
	held_clear(s.held, s.nheld);
	free(s.token);
	free(s.last);
	return r;
}

struct objects {
	store_list_fn *fn;
	void *arg;
};

static int give_object(void *arg, const char *key, const struct json *object)
{
	const struct objects *o = arg;
	struct store_obj obj;
	int r;

	if (!object)
		return o->fn(o->arg, key, NULL);
	r = gcs_obj_of(object, &obj);
	obj.has_meta = false;
	return r ? r : o->fn(o->arg, key, &obj);
}

int gcs_list(struct store *s, const char *prefix, const char *after,
	     bool delimited, store_list_fn *fn, void *arg)
{
	struct objects o = { .fn = fn, .arg = arg };
	const struct gcs_listing l = {
		.prefix = prefix,
		.after = after,
		.delimited = delimited,
		.fields = "name,size,generation,crc32c,updated",
		.fn = give_object,
		.arg = &o,
	};

	return gcs_list_each((struct gcs *)s, &l);
}
