/* SPDX-License-Identifier: Apache-2.0 */
/* What a blob is, and a range of one version of it into a sink. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "ckptfs/text.h"

#include "az.h"
#include "range.h"

static bool is_another(const struct http_resp *resp, const char *if_match)
{
	const char *etag = http_resp_header(resp, "ETag");
	char ours[STORE_ETAG_MAX];

	return etag && az_etag_decode(etag, ours) && strcmp(ours, if_match) != 0;
}

/* An emulator answers so what is asked for past the end. */
static bool is_empty(const struct http_resp *resp)
{
	const char *length = http_resp_header(resp, "Content-Length");

	return resp->status == 206 && length && strcmp(length, "0") == 0;
}

int az_get(struct store *s, const char *key, const char *if_match, uint64_t off,
	   uint64_t len, store_sink_fn *sink, void *arg, struct store_obj *ret)
{
	struct az *az = (struct az *)s;
	struct http_resp resp;
	struct range g = { .resp = &resp,
			   .off = off,
			   .len = len,
			   .sink = sink,
			   .arg = arg,
			   .if_match = if_match,
			   .is_another = is_another };
	struct az_req q = { .method = "GET",
			    .key = key,
			    .sink = range_take,
			    .sink_arg = &g };
	char range[RANGE_HEADER_LEN];
	struct store_obj o = { .size = 0 };
	int r;

	if (len == 0)
		return az_head_if(az, key, if_match, ret);
	range_header(off, len, range);
	if (*range)
		az_req_header(&q, "x-ms-range", range);
	if (if_match)
		az_req_etag(&q, "If-Match", if_match);
	r = az_perform(az, &q, &resp);
	if (resp.status == 416 || is_empty(&resp)) {
		r = range_past_end(off, az_head_if(az, key, if_match, &o), &o);
	} else {
		r = range_end(&g, r);
		if (r == 0)
			r = az_obj_of(&resp, &o);
		o.size = g.total;
	}
	if (r == 0)
		*ret = o;
	http_resp_clear(&resp);
	return r;
}

int az_head_resp(struct az *az, const char *key, const char *etag,
		 struct http_resp *resp)
{
	struct az_req q = { .method = "HEAD", .key = key };

	if (etag)
		az_req_etag(&q, "If-Match", etag);
	return az_perform(az, &q, resp);
}

int az_head_if(struct az *az, const char *key, const char *etag,
	       struct store_obj *ret)
{
	struct http_resp resp;
	struct store_obj o;
	int r = az_head_resp(az, key, etag, &resp);
	const char *length = http_resp_header(&resp, "Content-Length");

	if (r == 0 && key[strlen(key) - 1] != '/' && az_is_folder(&resp)) {
		store_set_error("it is a folder");
		r = etag ? -ESTALE : -ENOENT;
	}
	if (r == 0)
		r = az_obj_of(&resp, &o);
	if (r == 0 && (!length || text_parse_u64(length, &o.size) ||
		       o.size > INT64_MAX)) {
		store_set_error("the answer does not say how long it is");
		r = -EPROTO;
	}
	if (r == 0)
		*ret = o;
	http_resp_clear(&resp);
	return r;
}

int az_head(struct store *s, const char *key, struct store_obj *ret)
{
	char name[STORE_KEY_MAX + 1];
	int r = az_head_if((struct az *)s, key, NULL, ret);

	return r == -ENOENT && key[strlen(key) - 1] == '/' ?
		       az_folder_find((struct az *)s, key, name, ret) :
		       r;
}
