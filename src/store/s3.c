/* SPDX-License-Identifier: Apache-2.0 */
/* The s3 back end: construction, and the methods on one object. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/cred.h"
#include "ckptfs/text.h"

#include "s3.h"
#include "store_int.h"

/* Ask before sending a body this large that may be refused. */
#define EXPECT_ABOVE (1u << 20)

static int size_of(const struct http_resp *resp, uint64_t *ret)
{
	const char *s = http_resp_header(resp, "Content-Length");
	uint64_t size;

	if (s && text_parse_u64(s, &size) == 0 && size <= INT64_MAX) {
		*ret = size;
		return 0;
	}
	store_set_error("the answer has no length");
	return -EPROTO;
}

static int head(struct s3 *s3, const char *key, const char *if_match,
		struct store_obj *ret, int *ret_status)
{
	struct s3_req q = { .method = "HEAD", .key = key };
	struct http_resp resp;
	struct store_obj o;
	int r;

	s3_req_header(&q, "x-amz-checksum-mode", "ENABLED");
	if (if_match)
		s3_req_etag(&q, "If-Match", if_match);
	r = s3_perform(s3, &q, &resp);
	if (r == 0)
		r = s3_obj_of(&resp, &o);
	if (r == 0)
		r = size_of(&resp, &o.size);
	if (r == 0)
		*ret = o;
	*ret_status = resp.status;
	http_resp_clear(&resp);
	return r;
}

int s3_head_once(struct s3 *s3, const char *key, const char *if_match,
		 struct store_obj *ret)
{
	int status;

	return head(s3, key, if_match, ret, &status);
}

static int drop(void *arg, const void *p, size_t n)
{
	return 0;
}

int s3_head_if(struct s3 *s3, const char *key, const char *if_match,
	       struct store_obj *ret)
{
	int status, r;

	r = head(s3, key, if_match, ret, &status);
	/* HEAD is refused without a word: a GET will say what is wrong, and
	 * have it mended where that can be done. */
	if (r && (status == 400 || status == 403 || status == 301))
		r = s3_get(&s3->store, key, if_match, 0, 1, drop, NULL, ret);
	return r;
}

int s3_head(struct store *s, const char *key, struct store_obj *ret)
{
	return s3_head_if((struct s3 *)s, key, NULL, ret);
}

int s3_src_crc(const struct s3 *s3, const struct store_src *src, uint64_t *ret)
{
	struct store_src unknown = *src;
	uint64_t crc;
	int r;

	if (s3->has_crc || !src->has_crc64)
		return store_src_crc64(src, ret);
	unknown.has_crc64 = false;
	r = store_src_crc64(&unknown, &crc);
	if (r)
		return r;
	if (crc != src->crc64) {
		store_set_error("the bytes to send are not what they were");
		return -EBADMSG;
	}
	*ret = crc;
	return 0;
}

int s3_put(struct store *s, const char *key, const struct store_src *src,
	   const struct store_meta *meta, const struct store_cond *cond,
	   struct store_obj *ret)
{
	struct s3 *s3 = (struct s3 *)s;
	struct s3_req q = {
		.method = "PUT", .key = key, .src = src, .is_change = true
	};
	struct store_obj o = { .size = src->len, .has_meta = true };
	struct s3_crc crc = { .is_crc32c = false };
	struct store_meta_text text;
	struct http_resp resp = { 0 };
	int r;

	store_meta_encode(meta, &text);
	s3_req_meta(&q, &text);
	q.quiet_s = S3_BODY_QUIET_S;
	s3_req_cond(&q, cond);
	q.expect_continue = store_cond_is_set(cond) && src->len > EXPECT_ABOVE;
	o.meta = *meta;
	r = s3_src_crc(s3, src, &o.crc64);
	if (r)
		return r;
	o.has_crc64 = s3->has_crc;
	crc.v = o.crc64;
	if (s3->has_crc)
		s3_req_crc(&q, crc);
	r = s3_perform(s3, &q, &resp);
	if (r == 0)
		r = s3_etag_of(&resp, crc, o.etag);
	if (r == 0)
		*ret = o;
	http_resp_clear(&resp);
	if (r == -EEXIST && s3_is_marked(s3, key))
		return s3_put(s, key, src, meta, NULL, ret);
	return r;
}

int s3_del(struct store *s, const char *key, const struct store_cond *cond)
{
	struct s3 *s3 = (struct s3 *)s;
	struct s3_req q = { .method = "DELETE", .key = key, .is_change = true };
	struct http_resp resp;
	int r;

	s3_req_cond(&q, cond);
	if (s3->is_del_blind && store_cond_is_set(cond)) {
		struct store_obj o;

		r = s3_head_if(s3, key, cond->if_match, &o);
		if (r)
			return r;
	}
	r = s3_perform(s3, &q, &resp);
	http_resp_clear(&resp);
	return r == -ENOENT ? 0 : r;
}

static void s3_shutdown(struct store *s)
{
	struct s3 *s3 = (struct s3 *)s;

	atomic_store(&s3->is_shut, true);
	http_cancel_all(s3->http);
}

static void s3_free(struct store *s)
{
	struct s3 *s3 = (struct s3 *)s;

	s3_where_release(&s3->where);
	s3_extra_release(&s3->extra);
	cred_chain_free(s3->session);
	lock_fini(&s3->lock);
	free(s3);
}

static const struct store_ops s3_ops = {
	.name = "s3",
	.probe = s3_probe,
	.findings = s3_findings,
	.recall = s3_recall,
	.head = s3_head,
	.get = s3_get,
	.put = s3_put,
	.del = s3_del,
	.del_many = s3_del_many,
	.list = s3_list,
	.list_versions = s3_list_versions,
	.copy = s3_copy,
	.mpu_begin = s3_mpu_begin,
	.mpu_part = s3_mpu_part,
	.mpu_copy_part = s3_mpu_copy_part,
	.mpu_list_parts = s3_mpu_list_parts,
	.mpu_list = s3_mpu_list,
	.mpu_commit = s3_mpu_commit,
	.mpu_abort = s3_mpu_abort,
	.shutdown = s3_shutdown,
	.free = s3_free,
};

int store_s3_new(const struct store_s3_opts *opts, struct store **ret)
{
	const char *region = opts->region && *opts->region ? opts->region :
							     "us-east-1";
	struct s3 *s3 = calloc(1, sizeof(*s3));
	int r = -ENOMEM;

	if (!s3)
		return r;
	store_init(&s3->store, &s3_ops);
	lock_init(&s3->lock, LOCK_LEAF, "s3");
	s3->http = opts->http;
	s3->creds = opts->creds;
	s3->clk = opts->clk;
	s3->sign_payload = opts->sign_payload;
	s3->is_impatient = opts->is_impatient;
	s3->store.limits.put_max = S3_COPY_MAX;
	s3->store.limits.part_min = UINT64_C(5) << 20;
	s3->store.limits.part_max = S3_COPY_MAX;
	s3->store.limits.parts_max = 10000;
	s3->store.limits.name_max = 255;
	if (!s3_region_is_valid(region)) {
		store_set_error("\"%s\" is no name of a region", region);
		r = -EINVAL;
		goto out;
	}
	snprintf(s3->region, sizeof(s3->region), "%s", region);
	r = s3_where_init(opts, &s3->where);
	if (r == 0 && *s3->where.region)
		memcpy(s3->region, s3->where.region, sizeof(s3->region));
	if (r == 0)
		r = s3_extra_init(opts, &s3->where, &s3->extra);
	if (r == 0 && s3->where.is_directory)
		r = s3_express_init(s3);
	if (r)
		goto out;
out:
	if (r)
		s3_free(&s3->store);
	else
		*ret = &s3->store;
	return r;
}

void store_s3_region(struct store *s, char *ret, size_t n)
{
	struct s3 *s3 = (struct s3 *)s;

	lock_acquire(&s3->lock);
	snprintf(ret, n, "%s", s3->region);
	lock_release(&s3->lock);
}

bool store_s3_is_in_clear(const struct store *s)
{
	const struct s3_where *w = &((const struct s3 *)s)->where;

	return !w->is_tls && !w->is_loopback;
}
