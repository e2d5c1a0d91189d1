/* SPDX-License-Identifier: Apache-2.0 */
/* Copies made by the server, in as many steps as it takes. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gcs.h"
#include "store_int.h"

#define TOKEN_MAX (16 * 1024)
#define BODY_MAX (16 * 1024)
#define NO_PROGRESS_MAX 100 /* steps that copy nothing */
#define FIELDS                                                                 \
	"done,rewriteToken,totalBytesRewritten,resource(" GCS_FIELDS ")"

/* How far it is. */
struct steps {
	char *token; /* NULL: this is the first */
	int64_t copied;
	unsigned idle;
};

/* Is there a way on from here? */
static int step_on(struct steps *st, const struct json *j)
{
	const char *token = json_get_str(j, "rewriteToken");
	int64_t copied = 0;
	char *own;

	if (json_get_int(j, "totalBytesRewritten", &copied) ||
	    copied < st->copied)
		copied = st->copied;
	st->idle = copied > st->copied ? 0 : st->idle + 1;
	st->copied = copied;
	if (!token || !*token || st->idle > NO_PROGRESS_MAX) {
		store_set_error("the copy does not come to an end");
		return -EPROTO;
	}
	own = strdup(token);
	if (!own)
		return -ENOMEM;
	free(st->token);
	st->token = own;
	return 0;
}

/* Both conditions fail alike: which one was it?  r is -EEXIST or -ESTALE. */
static int which(struct gcs *g, const char *to, const struct store_cond *cond,
		 int r)
{
	struct store_obj o;

	if (!cond || !cond->if_absent || (r != -EEXIST && r != -ESTALE))
		return r;
	r = gcs_head_if(g, to, NULL, &o);
	if (r == 0) {
		store_set_error("the object exists");
		return -EEXIST;
	}
	if (r != -ENOENT)
		return r;
	store_set_error("the source is another");
	return -ESTALE;
}

static int copy_all(struct gcs *g, const struct gcs_req *q,
		    struct store_obj *ret)
{
	struct steps st = { .token = NULL };
	bool is_done = false;
	int r = 0;

	while (!is_done && r == 0) {
		struct gcs_req step = *q;
		struct json *j = NULL;

		if (st.token)
			gcs_req_query(&step, "rewriteToken", st.token);
		r = gcs_ask(g, &step, &j);
		if (r == 0 && json_get_bool(j, "done", &is_done)) {
			store_set_error("the answer does not say if it is done");
			r = -EPROTO;
		}
		if (r == 0)
			r = is_done ? gcs_obj_of(json_get(j, "resource"), ret) :
				      step_on(&st, j);
		json_free(j);
	}
	free(st.token);
	return r;
}

/* Metadata of its own, instead of the source's. */
static int write_body(const struct store_meta *meta, struct buf *b)
{
	struct json_w w = JSON_W_INIT(b);
	struct store_meta_text text;
	struct gcs_pair pairs[3];

	store_meta_encode(meta, &text);
	json_w_object(&w, NULL);
	gcs_write_meta(&w, pairs, gcs_meta_pairs(&text, pairs));
	json_w_close(&w);
	return json_w_end(&w);
}

int gcs_copy(struct store *s, const char *from, const char *from_etag,
	     const char *to, const struct store_meta *meta,
	     const struct store_cond *cond, struct store_obj *ret)
{
	struct gcs *g = (struct gcs *)s;
	struct gcs_body body = { .head = BUF_INIT(BODY_MAX) };
	struct gcs_req q = { .method = "POST",
			     .key = from,
			     .verb = "rewriteTo",
			     .to = to,
			     .src = &body.src,
			     .quiet_s = GCS_WORK_QUIET_S,
			     .is_change = true };
	struct store_obj o;
	int r;

	if (store_cond_is_set(cond) && !(s->caps & STORE_CAP_PUT_COND)) {
		store_set_error("the store has no conditional requests");
		return -EOPNOTSUPP;
	}
	if (from_etag && g->is_source_blind) {
		r = gcs_head_if(g, from, from_etag, &o);
		if (r)
			return r == -ENOENT ? -ESTALE : r;
	}
	gcs_req_query(&q, "fields", FIELDS);
	if (g->kms_key)
		gcs_req_query(&q, "destinationKmsKeyName", g->kms_key);
	r = gcs_req_cond(&q, cond);
	if (r == 0 && from_etag)
		r = gcs_req_match(&q, "ifSourceGenerationMatch", from_etag);
	if (r == 0 && meta)
		r = write_body(meta, &body.head);
	if (meta)
		gcs_req_header(&q, "Content-Type", "application/json");
	gcs_body_seal(&body);
	if (r == 0)
		r = which(g, to, cond, copy_all(g, &q, &o));
	gcs_body_clear(&body);
	if (r)
		return r;
	o.mtime_ns = 0;
	*ret = o;
	return 0;
}
