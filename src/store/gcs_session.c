/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resumable upload: one object in one session, its bytes in order, and after a
 * break on from where the server has it.  Nothing lies beside the object
 * meanwhile.  The session's URI is a secret; of it the id alone is kept, for where
 * requests go is not for an answer to say.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/text.h"

#include "gcs.h"
#include "store_int.h"

#define HEAD_MAX (16 * 1024)
#define ID_PARAM "upload_id="
/* Before ids that are kept: those of uploads in parts are others. */
#define KEPT "resumable:"
#define KEPT_LEN (sizeof(KEPT) - 1)
#define RANGE_LEN 80

/* One that goes on. */
struct session {
	struct gcs *g;
	const struct gcs_upload *u;
	struct store_session *kept; /* its id is in here, behind KEPT */
	uint64_t at; /* the server has so many bytes */
};

static int keep(struct store_session *kept, const char *id)
{
	if (strcmp(kept->id, id) == 0)
		return 0;
	snprintf(kept->id, sizeof(kept->id), "%s", id);
	return kept->save ? kept->save(kept) : 0;
}

/* ---- its beginning ---- */

static int write_head(const struct gcs_upload *u, struct buf *b)
{
	struct json_w w = JSON_W_INIT(b);

	gcs_write_object(&w, u);
	return json_w_end(&w);
}

/* What goes into a URL as it is. */
static bool is_id(const char *id, size_t n)
{
	return n > 0 && n < STORE_UPLOAD_ID_MAX - KEPT_LEN &&
	       strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			  "0123456789-_.~") >= n;
}

static int take_id(const struct http_resp *resp, struct session *s)
{
	const char *at = http_resp_header(resp, "Location");
	char id[STORE_UPLOAD_ID_MAX] = KEPT;
	size_t n;

	at = at ? strstr(at, ID_PARAM) : NULL;
	if (at)
		at += strlen(ID_PARAM);
	n = at ? strcspn(at, "&#") : 0;
	if (!at || !is_id(at, n)) {
		store_set_error("the answer has no resumable upload");
		return -EPROTO;
	}
	memcpy(id + KEPT_LEN, at, n);
	return keep(s->kept, id);
}

/* 1: it goes on. */
static int begin(struct session *s)
{
	struct gcs_body body = { .head = BUF_INIT(HEAD_MAX) };
	struct gcs_req q = { .method = "POST",
			     .is_upload = true,
			     .src = &body.src,
			     .is_begin = true };
	struct http_resp resp = { .status = 0 };
	char len[24];
	int r = gcs_req_cond(&q, s->u->cond);

	snprintf(len, sizeof(len), "%" PRIu64, s->u->src->len);
	gcs_req_query(&q, "uploadType", "resumable");
	gcs_req_query(&q, "fields", GCS_FIELDS);
	if (s->g->kms_key)
		gcs_req_query(&q, "kmsKeyName", s->g->kms_key);
	gcs_req_header(&q, "Content-Type", "application/json");
	gcs_req_header(&q, "X-Upload-Content-Length", len);
	if (r == 0)
		r = write_head(s->u, &body.head);
	gcs_body_seal(&body);
	if (r == 0)
		r = gcs_perform(s->g, &q, &resp);
	if (r == 0)
		r = take_id(&resp, s);
	http_resp_clear(&resp);
	gcs_body_clear(&body);
	s->at = 0;
	if (r == 0)
		return 1;
	return r == -EMSGSIZE ? -EINVAL : r;
}

/* ---- its bytes ---- */

struct slice {
	const struct store_src *of;
	uint64_t off;
};

static ssize_t read_slice(void *arg, uint64_t off, void *p, size_t n)
{
	const struct slice *s = arg;

	return s->of->read(s->of->arg, s->off + off, p, n);
}

/* "bytes=0-99": a hundred; no header: none. */
static int note_range(const struct http_resp *resp, struct session *s)
{
	static const char head[] = "bytes=0-";
	const char *range = http_resp_header(resp, "Range");
	uint64_t last = 0, at = 0;

	if (range) {
		if (strncmp(range, head, sizeof(head) - 1) != 0 ||
		    text_parse_u64(range + sizeof(head) - 1, &last) ||
		    last >= s->u->src->len) {
			store_set_error("what the server has is not to be "
					"understood: %.60s",
					range);
			return -EPROTO;
		}
		at = last + 1;
	}
	s->at = at;
	return 0;
}

/*
 * Send n bytes from where it is; 0 of them: ask where that is.  1: it goes on; 0:
 * all is there, and *ret says what it became.
 */
static int send(struct session *s, uint64_t n, struct store_obj *ret)
{
	const uint64_t len = s->u->src->len;
	struct slice slice = { s->u->src, s->at };
	const struct store_src src = { .read = read_slice,
				       .arg = &slice,
				       .len = n };
	struct gcs_req q = { .method = "PUT",
			     .is_upload = true,
			     .src = &src,
			     .body_max = GCS_JSON_MAX,
			     .quiet_s = GCS_WORK_QUIET_S,
			     .cond = gcs_cond_of(s->u->cond),
			     .has_crc = true,
			     .is_session = true };
	struct http_resp resp;
	struct json *j = NULL;
	char range[RANGE_LEN];
	int r;

	if (n)
		snprintf(range, sizeof(range),
			 "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, s->at,
			 s->at + n - 1, len);
	else
		snprintf(range, sizeof(range), "bytes */%" PRIu64, len);
	gcs_req_query(&q, "uploadType", "resumable");
	gcs_req_query(&q, "upload_id", s->kept->id + KEPT_LEN);
	gcs_req_header(&q, "Content-Range", range);
	r = gcs_perform(s->g, &q, &resp);
	if (resp.status == 404 || resp.status == 410)
		r = -ENOENT; /* the session, whatever its condition */
	if (r == 0 && resp.status == 308) {
		r = note_range(&resp, s);
		r = r ? r : 1;
	} else if (r == 0) {
		r = gcs_json_of(&resp, &j);
		if (r == 0)
			r = gcs_obj_of(j, ret);
	}
	json_free(j);
	http_resp_clear(&resp);
	return r;
}

/* It leads nowhere any more: it ended, it is unknown, or it was refused. */
static int give_up(struct session *s, int err)
{
	char words[200];
	int r;

	if (store_err_is_transient(err) || err == -ECANCELED ||
	    err == -ENOMEM || err == -EIO)
		return err;
	snprintf(words, sizeof(words), "%s", store_last_error());
	r = keep(s->kept, "");
	store_set_error("%s", words);
	/* Without a condition nothing else can be missing. */
	if (r == 0 && err == -ENOENT)
		return -EAGAIN;
	return r ? r : err;
}

static int go_on(struct session *s, struct store_obj *ret)
{
	const uint64_t len = s->u->src->len, chunk = s->g->chunk;
	int r = 1;

	while (r == 1) {
		const uint64_t before = s->at, left = len - before;

		r = send(s, left < chunk ? left : chunk, ret);
		if (r == 1 && s->at <= before) {
			store_set_error("the server keeps none of what is sent");
			return -EAGAIN;
		}
	}
	return r;
}

int gcs_session_put(struct gcs *g, const struct gcs_upload *u,
		    struct store_obj *ret)
{
	struct store_session own = { .save = NULL };
	struct session s = { .g = g, .u = u };
	int r = 1;

	s.kept = u->src->session ? u->src->session : &own;
	if (s.kept->id[0])
		r = send(&s, 0, ret);
	else
		r = begin(&s);
	if (r == 1)
		r = go_on(&s, ret);
	return r ? give_up(&s, r) : 0;
}

bool gcs_session_is(const char *id)
{
	return strncmp(id, KEPT, KEPT_LEN) == 0;
}

int gcs_session_cancel(struct gcs *g, const char *id)
{
	const struct store_src none = { .len = 0 };
	struct gcs_req q = { .method = "DELETE",
			     .is_upload = true,
			     .src = &none,
			     .is_session = true };
	struct http_resp resp;
	int r;

	if (!is_id(id + KEPT_LEN, strlen(id + KEPT_LEN)))
		return 0;
	gcs_req_query(&q, "uploadType", "resumable");
	gcs_req_query(&q, "upload_id", id + KEPT_LEN);
	r = gcs_perform(g, &q, &resp);
	http_resp_clear(&resp);
	return r == -ENOENT ? 0 : r;
}
