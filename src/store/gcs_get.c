/* SPDX-License-Identifier: Apache-2.0 */
/* What an object is, and a range of one version of it into a sink. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/text.h"

#include "gcs.h"
#include "store_int.h"

struct range {
	const struct http_resp *resp;
	uint64_t off, len; /* asked for */
	store_sink_fn *sink;
	void *arg;
	const char *if_match;
	bool is_begun;
	int err; /* why it was ended here */
	uint64_t total; /* of the object */
	uint64_t skip; /* bytes to pass over: the server sent it all */
	uint64_t left; /* bytes still to give to the sink */
};

/* "bytes 0-9/100" */
static bool content_range(const char *s, uint64_t *ret_first,
			  uint64_t *ret_total)
{
	char *end;

	if (!s || strncmp(s, "bytes ", 6) != 0)
		return false;
	*ret_first = strtoull(s + 6, &end, 10);
	if (end == s + 6 || *end != '-')
		return false;
	s = strchr(end, '/');
	return s && text_parse_u64(s + 1, ret_total) == 0;
}

static int wrong_range(void)
{
	store_set_error("the answer is not the range asked for");
	return -EPROTO;
}

/* The condition is sent, but not every server looks at it. */
static bool is_another(const struct range *g)
{
	const char *generation = http_resp_header(g->resp, "X-Goog-Generation");

	return g->if_match && generation && strcmp(generation, g->if_match);
}

/* The headers are here: what is to come? */
static int begin(struct range *g)
{
	const struct http_resp *resp = g->resp;
	const char *length = http_resp_header(resp, "Content-Length");
	uint64_t first = 0, rest;

	g->is_begun = true;
	if (is_another(g)) {
		store_set_error("the object changed meanwhile");
		return -ESTALE;
	}
	if (resp->status == 206) {
		if (!content_range(http_resp_header(resp, "Content-Range"),
				   &first, &g->total) ||
		    first != g->off || first >= g->total)
			return wrong_range();
	} else {
		if (!length || text_parse_u64(length, &g->total))
			return wrong_range();
		g->skip = g->off < g->total ? g->off : g->total;
	}
	if (g->total > INT64_MAX)
		return wrong_range();
	rest = g->off < g->total ? g->total - g->off : 0;
	g->left = g->len < rest ? g->len : rest;
	return 0;
}

static int take(void *arg, const void *p, size_t n)
{
	struct range *g = arg;
	const char *c = p;
	int r;

	if (!g->is_begun)
		g->err = begin(g);
	if (g->err)
		return g->err;
	if (g->skip >= n) {
		g->skip -= n;
		return 0;
	}
	c += g->skip;
	n -= (size_t)g->skip;
	g->skip = 0;
	if (n > g->left)
		n = (size_t)g->left;
	r = store_sink_give(g->sink, g->arg, c, n);
	if (r == 0)
		g->left -= n;
	return r;
}

/* "crc32c=AAAAAA==,md5=…": that of the object, whatever range was sent. */
static void hash_of(const struct http_resp *resp, struct store_obj *o)
{
	const char *s = http_resp_header(resp, "X-Goog-Hash");
	char crc[GCS_CRC_LEN];

	s = s ? strstr(s, "crc32c=") : NULL;
	if (!s)
		return;
	s += strlen("crc32c=");
	snprintf(crc, sizeof(crc), "%.*s", (int)strcspn(s, ", "), s);
	o->has_crc32c = gcs_crc_decode(crc, &o->crc32c);
}

/* Google itself does not tell it here. */
static void meta_of(const struct http_resp *resp, struct store_obj *o)
{
	static const char *const names[] = { STORE_META_MTIME, STORE_META_MODE,
					     STORE_META_ID };
	char header[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value;

		snprintf(header, sizeof(header), "X-Goog-Meta-%s", names[i]);
		value = http_resp_header(resp, header);
		if (!value)
			continue;
		store_meta_decode(names[i], value, &o->meta);
		o->has_meta = true;
	}
}

/* After a 2xx: did it bring what was asked for? */
static int finish(struct range *g, struct store_obj *ret)
{
	const char *generation = http_resp_header(g->resp, "X-Goog-Generation");
	const char *date = http_resp_header(g->resp, "Last-Modified");
	struct store_obj o = { .size = 0 };
	int r = g->is_begun ? 0 : begin(g);

	if (r == 0 && g->left > 0)
		r = wrong_range();
	if (r)
		return r;
	if (!generation || !gcs_etag_is_valid(generation)) {
		store_set_error("the answer has no generation");
		return -EPROTO;
	}
	snprintf(o.etag, sizeof(o.etag), "%s", generation);
	if (!date || text_parse_http_date(date, &o.mtime_ns))
		o.mtime_ns = 0;
	hash_of(g->resp, &o);
	meta_of(g->resp, &o);
	o.size = g->total;
	*ret = o;
	return 0;
}

/* The range begins at the end or past it. */
static int nothing_there(struct gcs *g, const char *key, const char *if_match,
			 uint64_t off, struct store_obj *o)
{
	int r = gcs_head_if(g, key, if_match, o);

	if (r == 0 && o->size > off) {
		store_set_error("the object grew meanwhile");
		return -EAGAIN;
	}
	return r;
}

/* "bytes=0-9"; "": all of it. */
static void range_of(uint64_t off, uint64_t len, char *ret, size_t size)
{
	const uint64_t last = len > UINT64_MAX - off ? UINT64_MAX : off + len;

	*ret = '\0';
	if (last <= INT64_MAX)
		snprintf(ret, size, "bytes=%" PRIu64 "-%" PRIu64, off,
			 last - 1);
	else if (off > 0)
		snprintf(ret, size, "bytes=%" PRIu64 "-", off);
}

int gcs_get(struct store *s, const char *key, const char *if_match,
	    uint64_t off, uint64_t len, store_sink_fn *sink, void *arg,
	    struct store_obj *ret)
{
	struct gcs *gcs = (struct gcs *)s;
	struct http_resp resp;
	struct range g = { .resp = &resp,
			   .off = off,
			   .len = len,
			   .sink = sink,
			   .arg = arg,
			   .if_match = if_match };
	struct gcs_req q = {
		.method = "GET", .key = key, .sink = take, .sink_arg = &g
	};
	struct store_obj o;
	char range[64];
	int r;

	if (len == 0)
		return gcs_head_if(gcs, key, if_match, ret);
	gcs_req_query(&q, "alt", "media");
	range_of(off, len, range, sizeof(range));
	if (*range)
		gcs_req_header(&q, "Range", range);
	/* What somebody stored compressed comes as it is: of its size. */
	gcs_req_header(&q, "Accept-Encoding", "gzip");
	r = if_match ? gcs_req_match(&q, "ifGenerationMatch", if_match) : 0;
	if (r)
		return r;
	r = gcs_perform(gcs, &q, &resp);
	if (r == 0)
		r = finish(&g, &o);
	else if (g.err)
		r = begin(&g); /* to http it was a sink that failed */
	else if (resp.status == 416)
		r = nothing_there(gcs, key, if_match, off, &o);
	if (r == 0)
		*ret = o;
	http_resp_clear(&resp);
	return r;
}

int gcs_head_json(struct gcs *g, const char *key, const char *etag,
		  struct json **ret)
{
	struct gcs_req q = { .method = "GET", .key = key };
	int r = 0;

	if (etag)
		r = gcs_req_match(&q, "ifGenerationMatch", etag);
	gcs_req_query(&q, "fields", GCS_FIELDS);
	return r ? r : gcs_ask(g, &q, ret);
}

int gcs_head_if(struct gcs *g, const char *key, const char *etag,
		struct store_obj *ret)
{
	struct json *j = NULL;
	struct store_obj o;
	int r = gcs_head_json(g, key, etag, &j);

	if (r == 0)
		r = gcs_obj_of(j, &o);
	json_free(j);
	if (r == 0 && etag && strcmp(o.etag, etag) != 0) {
		store_set_error("the object changed meanwhile");
		r = -ESTALE;
	}
	if (r == 0)
		*ret = o;
	return r;
}

int gcs_head(struct store *s, const char *key, struct store_obj *ret)
{
	return gcs_head_if((struct gcs *)s, key, NULL, ret);
}
