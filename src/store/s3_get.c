/* SPDX-License-Identifier: Apache-2.0 */
/* A range of one version of an object, into a sink. */
#include "config.h"

#include <string.h>

#include "range.h"
#include "s3.h"

/* Some servers look at the condition first and open the object then. */
static bool is_another(const struct http_resp *resp, const char *if_match)
{
	const char *etag = http_resp_header(resp, "ETag");
	char ours[STORE_ETAG_MAX];

	return etag && s3_etag_decode(etag, ours) &&
	       strcmp(ours, if_match) != 0;
}

/* It brought what was asked for: of what object? */
static int describe(const struct range *g, struct store_obj *o)
{
	int r = s3_obj_of(g->resp, o);

	if (r)
		return r;
	o->size = g->total;
	/* The checksum of a range may be that of a part. */
	if (g->off > 0 || g->len < g->total)
		o->has_crc64 = o->has_crc32c = false;
	return 0;
}

int s3_get(struct store *s, const char *key, const char *if_match, uint64_t off,
	   uint64_t len, store_sink_fn *sink, void *arg, struct store_obj *ret)
{
	struct s3 *s3 = (struct s3 *)s;
	struct http_resp resp;
	struct range g = { .resp = &resp,
			   .off = off,
			   .len = len,
			   .sink = sink,
			   .arg = arg,
			   .if_match = if_match,
			   .is_another = is_another };
	struct s3_req q = {
		.method = "GET", .key = key, .sink = range_take, .sink_arg = &g
	};
	struct store_obj o = { .size = 0 };
	char range[RANGE_HEADER_LEN];
	int r;

	if (len == 0)
		return s3_head_if(s3, key, if_match, ret);
	s3_req_header(&q, "x-amz-checksum-mode", "ENABLED");
	range_header(off, len, range);
	if (*range)
		s3_req_header(&q, "Range", range);
	if (if_match)
		s3_req_etag(&q, "If-Match", if_match);
	r = range_end(&g, s3_perform(s3, &q, &resp));
	if (r == 0)
		r = describe(&g, &o);
	else if (resp.status == 416)
		r = range_past_end(off, s3_head_once(s3, key, if_match, &o),
				   &o);
	if (r == 0)
		*ret = o;
	http_resp_clear(&resp);
	return r;
}
