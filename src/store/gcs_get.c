/* SPDX-License-Identifier: Apache-2.0 */
/* What an object is, and a range of one version of it into a sink. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/text.h"

#include "exchange.h"
#include "gcs.h"
#include "range.h"

/* The condition is sent, but not every server looks at it. */
static bool is_another(const struct http_resp *resp, const char *if_match)
{
	const char *generation = http_resp_header(resp, "X-Goog-Generation");

	return generation && strcmp(generation, if_match) != 0;
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

/* It brought what was asked for: of what object? */
static int describe(const struct range *g, struct store_obj *ret)
{
	const char *generation = http_resp_header(g->resp, "X-Goog-Generation");
	const char *date = http_resp_header(g->resp, "Last-Modified");
	struct store_obj o = { .size = g->total };

	if (!generation || !gcs_etag_is_valid(generation)) {
		store_set_error("the answer has no generation");
		return -EPROTO;
	}
	snprintf(o.etag, sizeof(o.etag), "%s", generation);
	if (!date || text_parse_http_date(date, &o.mtime_ns))
		o.mtime_ns = 0;
	hash_of(g->resp, &o);
	/* Google itself does not tell it here. */
	o.has_meta = exchange_meta(g->resp, "X-Goog-Meta-", &o.meta);
	*ret = o;
	return 0;
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
			   .if_match = if_match,
			   .is_another = is_another };
	struct gcs_req q = {
		.method = "GET", .key = key, .sink = range_take, .sink_arg = &g
	};
	struct store_obj o = { .size = 0 };
	char range[RANGE_HEADER_LEN];
	int r;

	if (len == 0)
		return gcs_head_if(gcs, key, if_match, ret);
	gcs_req_query(&q, "alt", "media");
	range_header(off, len, range);
	if (*range)
		gcs_req_header(&q, "Range", range);
	/* What somebody stored compressed comes as it is: of its size. */
	gcs_req_header(&q, "Accept-Encoding", "gzip");
	r = if_match ? gcs_req_match(&q, "ifGenerationMatch", if_match) : 0;
	if (r)
		return r;
	r = range_end(&g, gcs_perform(gcs, &q, &resp));
	if (r == 0)
		r = describe(&g, &o);
	else if (resp.status == 416)
		r = range_past_end(off, gcs_head_if(gcs, key, if_match, &o),
				   &o);
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
