/* SPDX-License-Identifier: Apache-2.0 */
/* A blob whole, by one request. */
#include "config.h"

#include <errno.h>

#include "az.h"
#include "store_int.h"

/* Ask before sending a body this large that may be refused. */
#define EXPECT_ABOVE (1u << 20)

static int send(struct az *az, const struct az_req *q, uint64_t crc,
		struct store_obj *ret)
{
	struct http_resp resp;
	int r = az_perform(az, q, &resp);

	if (r == 0)
		r = az_etag_of(&resp, crc, ret->etag);
	http_resp_clear(&resp);
	return r;
}

int az_put(struct store *s, const char *key, const struct store_src *src,
	   const struct store_meta *meta, const struct store_cond *cond,
	   struct store_obj *ret)
{
	struct az_req q = { .method = "PUT",
			    .key = key,
			    .src = src,
			    .quiet_s = AZ_BODY_QUIET_S,
			    .is_change = true };
	struct store_obj o = { .size = src->len,
			       .has_crc64 = true,
			       .has_meta = true,
			       .meta = *meta };
	struct store_meta_text text;
	int r = store_src_crc64(src, &o.crc64);

	if (r)
		return r;
	store_meta_encode(meta, &text);
	az_req_header(&q, "x-ms-blob-type", "BlockBlob");
	az_req_crc(&q, o.crc64);
	az_req_meta(&q, &text);
	az_req_cond(&q, cond);
	q.expect_continue = store_cond_is_set(cond) && src->len > EXPECT_ABOVE;
	r = send((struct az *)s, &q, o.crc64, &o);
	if (r == 0)
		*ret = o;
	return r;
}

int az_put_record(struct az *az, const char *name, const char *of)
{
	static const struct store_src none;
	struct az_req q = { .method = "PUT",
			    .key = name,
			    .src = &none,
			    .is_begin = true };
	struct store_obj o;

	az_req_header(&q, "x-ms-blob-type", "BlockBlob");
	az_req_header(&q, AZ_META "key", of);
	az_req_header(&q, "If-None-Match", "*");
	q.cond = ANSWER_IF_ABSENT;
	return send(az, &q, 0, &o);
}
