/* SPDX-License-Identifier: Apache-2.0 */
/* An object whole, by one request: what it is, and its bytes. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gcs.h"
#include "store_int.h"

/* Ask before sending a body this large that may be refused. */
#define EXPECT_ABOVE (1u << 20)
#define HEAD_MAX (16 * 1024)

void gcs_write_object(struct json_w *w, const struct gcs_upload *u)
{
	char crc[GCS_CRC_LEN];

	gcs_crc_encode(u->crc32c, crc);
	json_w_object(w, NULL);
	json_w_str(w, "name", u->key);
	json_w_str(w, "crc32c", crc);
	if (u->storage_class)
		json_w_str(w, "storageClass", u->storage_class);
	if (u->nmeta)
		gcs_write_meta(w, u->meta, u->nmeta);
	json_w_close(w);
}

static int write_head(struct buf *b, const char *boundary,
		      const struct gcs_upload *u)
{
	struct json_w w = JSON_W_INIT(b);
	int r = buf_addf(b,
			 "--%s\r\nContent-Type: application/json; "
			 "charset=UTF-8\r\n\r\n",
			 boundary);

	if (r)
		return r;
	gcs_write_object(&w, u);
	r = json_w_end(&w);
	if (r == 0)
		r = buf_addf(b,
			     "\r\n--%s\r\nContent-Type: "
			     "application/octet-stream\r\n\r\n",
			     boundary);
	return r;
}

/* The answer: is it what was sent? */
static int check(const struct gcs_upload *u, const struct store_obj *o)
{
	if (o->size == u->src->len &&
	    (!o->has_crc32c || o->crc32c == u->crc32c))
		return 0;
	store_set_error("the server's checksum or length is not ours");
	return -EBADMSG;
}

static int send(struct gcs *g, struct gcs_req *q, struct store_obj *ret)
{
	struct json *j = NULL;
	int r = gcs_ask(g, q, &j);

	if (r == 0)
		r = gcs_obj_of(j, ret);
	json_free(j);
	return r;
}

static int send_at_once(struct gcs *g, const struct gcs_upload *u,
			struct store_obj *ret)
{
	struct gcs_body body = { .head = BUF_INIT(HEAD_MAX),
				 .tail = BUF_INIT(HEAD_MAX),
				 .mid = u->src };
	struct gcs_req q = { .method = "POST",
			     .is_upload = true,
			     .src = &body.src,
			     .quiet_s = GCS_BODY_QUIET_S,
			     .has_crc = true,
			     .is_begin = u->is_begin,
			     .is_change = true };
	char boundary[GCS_BOUNDARY_LEN], type[GCS_BOUNDARY_LEN + 40];
	int r;

	gcs_boundary(boundary);
	snprintf(type, sizeof(type), "multipart/related; boundary=%s",
		 boundary);
	gcs_req_header(&q, "Content-Type", type);
	gcs_req_query(&q, "uploadType", "multipart");
	if (g->kms_key)
		gcs_req_query(&q, "kmsKeyName", g->kms_key);
	gcs_req_query(&q, "fields", GCS_FIELDS);
	q.expect_continue = store_cond_is_set(u->cond) &&
			    u->src->len > EXPECT_ABOVE;
	r = gcs_req_cond(&q, u->cond);
	if (r)
		return r;
	r = write_head(&body.head, boundary, u);
	if (r == 0)
		r = buf_addf(&body.tail, "\r\n--%s--\r\n", boundary);
	gcs_body_seal(&body);
	if (r == 0)
		r = send(g, &q, ret);
	gcs_body_clear(&body);
	return r == -EMSGSIZE ? -EINVAL : r;
}

int gcs_upload(struct gcs *g, const struct gcs_upload *u, struct store_obj *ret)
{
	struct store_obj o = { .size = 0 };
	int r = g->chunk && u->src->len > g->chunk ?
			gcs_session_put(g, u, &o) :
			send_at_once(g, u, &o);

	if (r == 0)
		r = check(u, &o);
	if (r)
		return r;
	o.has_crc32c = true;
	o.crc32c = u->crc32c;
	o.has_crc64 = u->src->has_crc64;
	o.crc64 = u->src->crc64;
	o.mtime_ns = 0;
	*ret = o;
	return 0;
}

int gcs_put(struct store *s, const char *key, const struct store_src *src,
	    const struct store_meta *meta, const struct store_cond *cond,
	    struct store_obj *ret)
{
	struct store_src known = *src;
	struct gcs *g = (struct gcs *)s;
	struct gcs_upload u = { .key = key,
				.src = &known,
				.cond = cond,
				.storage_class = g->storage_class };
	struct store_meta_text text;
	struct gcs_pair pairs[3];
	struct store_obj o;
	int r;

	store_meta_encode(meta, &text);
	u.nmeta = gcs_meta_pairs(&text, pairs);
	u.meta = pairs;
	r = store_src_crcs(src, &known.crc64, &u.crc32c);
	known.has_crc64 = true;
	if (r == 0)
		r = gcs_upload(g, &u, &o);
	if (r)
		return r;
	o.has_meta = true;
	o.meta = *meta;
	*ret = o;
	return 0;
}
