/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the gcs back end share. */
#ifndef STORE_GCS_H
#define STORE_GCS_H

#include <stdatomic.h>

#include "ckptfs/buf.h"
#include "ckptfs/http.h"
#include "ckptfs/json.h"
#include "ckptfs/store.h"

#include "gcs_err.h"
#include "meta_text.h"

#define GCS_MAX_QUERY 8
#define GCS_MAX_HEADERS 4
#define GCS_GENERATION_LEN 21 /* digits of 64 bits, and NUL */
#define GCS_CRC_LEN 9 /* base64 of four bytes, and NUL */
#define GCS_JSON_MAX (16u << 20) /* a page of listing */
#define GCS_BODY_QUIET_S 60 /* a server that has yet to write it all down */
#define GCS_WORK_QUIET_S 900 /* a server at work on a copy */
#define GCS_PAGE 1000
#define GCS_COMPOSE_MAX 32 /* objects in one */
#define GCS_PARTS_MAX 10000
#define GCS_ID_LEN 32

/* Where requests go; fixed for the life of the store. */
struct gcs_where {
	char *base; /* "https://storage.googleapis.com", no slash behind it */
	bool is_tls, is_loopback, is_google;
};

struct gcs {
	struct store store;
	struct gcs_where where;
	char *bucket;
	char *storage_class, *kms_key, *user_project; /* NULL: not said */
	char *prefix; /* what is ours lies below it: "" or "a/b/" */
	struct http *http;
	struct cred_chain *creds; /* NULL: anonymous */
	const struct clk *clk;
	uint64_t chunk; /* of resumable uploads; 0: large objects go in parts */
	bool is_source_blind; /* the condition on a copy's source is ignored */
	atomic_bool has_worked; /* a request was accepted once */
	atomic_bool is_shut;
};

struct gcs_pair {
	const char *name;
	const char *value;
};

/* One request.  Strings are borrowed; small ones made for it are in text. */
struct gcs_req {
	const char *method;
	bool is_upload; /* goes to the root of uploads */
	bool is_bucket; /* the bucket itself, not its objects */
	bool is_batch; /* goes to where many are taken at once */
	const char *key; /* NULL: the objects of the bucket */
	const char *verb; /* behind the key: "compose"; or NULL */
	const char *to; /* copied onto this key; or NULL */
	struct gcs_pair query[GCS_MAX_QUERY];
	size_t nquery;
	struct gcs_pair headers[GCS_MAX_HEADERS];
	size_t nheaders;
	const struct store_src *src; /* the body, or NULL */
	int (*sink)(void *arg, const void *p, size_t n);
	void *sink_arg;
	size_t body_max;
	unsigned quiet_s;
	enum answer_cond cond; /* what a failed condition is about */
	bool has_crc; /* as in struct gcs_answer */
	bool is_change; /* sent twice, a refusal proves nothing */
	bool is_session; /* a resumable upload's: 308 and 499 are no errors */
	bool is_begin; /* sent twice, it may have begun two: sent once */
	bool expect_continue;
};

/* gcs_where.c */
int gcs_where_init(const struct store_gcs_opts *opts, struct gcs_where *ret)
	NONNULL(1, 2) MUST_USE;

/* gcs_req.c: put a request together. */
void gcs_req_query(struct gcs_req *q, const char *name, const char *value)
	NONNULL(1, 2, 3);
void gcs_req_header(struct gcs_req *q, const char *name, const char *value)
	NONNULL(1, 2, 3);
/*
 * ifGenerationMatch, if cond is set.  -ESTALE: its etag is no generation, so no
 * object has it.
 */
int gcs_req_cond(struct gcs_req *q, const struct store_cond *cond) NONNULL(1)
	MUST_USE;
enum answer_cond gcs_cond_of(const struct store_cond *cond);
/* A condition of that name on a generation; -ESTALE as above. */
int gcs_req_match(struct gcs_req *q, const char *name, const char *etag)
	NONNULL(1, 2, 3) MUST_USE;
/* Append path and query: "/storage/v1/b/bucket/o/key?a=b".  As buf_add(). */
int gcs_req_path(const struct gcs *g, const struct gcs_req *q, struct buf *url)
	NONNULL(1, 2, 3) MUST_USE;
/*
 * Perform; once more with another token if this one is refused.  0 with a 2xx
 * in resp; else an error of store.h, and store_last_error() says why.  resp is
 * zeroed before and the caller's to clear, in any case.
 */
int gcs_perform(struct gcs *g, const struct gcs_req *q, struct http_resp *resp)
	NONNULL(1, 2, 3) MUST_USE;
/* The same where the answer is a JSON object; *ret is to be freed. */
int gcs_ask(struct gcs *g, const struct gcs_req *q, struct json **ret)
	NONNULL(1, 2, 3) MUST_USE;

/* The answer of a 2xx; -EPROTO: it is no JSON. */
int gcs_json_of(const struct http_resp *resp, struct json **ret) NONNULL(1, 2)
	MUST_USE;
/* What an error document says, or the beginning of what is none; printable. */
struct gcs_said {
	char reason[64];
	char message[256];
};
void gcs_said_read(const char *p, size_t n, struct gcs_said *ret) NONNULL(3);
/* For store_last_error(). */
void gcs_said_explain(const struct gcs_said *said, int status) NONNULL(1);

/* gcs_body.c: what stands between the parts of a body, drawn by chance, so that
 * the bytes do not hold it. */
#define GCS_BOUNDARY_LEN 48
void gcs_boundary(char ret[GCS_BOUNDARY_LEN]) NONNULL(1);

/* A body of text, of bytes in a source, and of text again. */
struct gcs_body {
	struct buf head, tail;
	const struct store_src *mid; /* or NULL */
	struct store_src src; /* all of it */
};
/* Settle src, once head and tail are made. */
void gcs_body_seal(struct gcs_body *b) NONNULL(1);
void gcs_body_clear(struct gcs_body *b) NONNULL(1);

/* gcs_obj.c: values as they are written there. */
#define GCS_FIELDS "name,size,generation,crc32c,updated,timeCreated,metadata"
bool gcs_etag_is_valid(const char *etag) NONNULL(1);
void gcs_crc_encode(uint32_t crc, char ret[GCS_CRC_LEN]) NONNULL(2);
bool gcs_crc_decode(const char *s, uint32_t *ret) NONNULL(1, 2);
/* What an object resource says.  0 or -EPROTO. */
int gcs_obj_of(const struct json *j, struct store_obj *ret) NONNULL(2) MUST_USE;
/* The metadata to send: how many pairs of at most three. */
size_t gcs_meta_pairs(const struct store_meta_text *text,
		      struct gcs_pair ret[3]) NONNULL(1, 2);
/* The member "metadata" of the object being written. */
void gcs_write_meta(struct json_w *w, const struct gcs_pair *pairs, size_t n)
	NONNULL(1);

/*
 * gcs_put.c: send the bytes of src as key, whose CRC-32C is crc32c; of ret only
 * the checksum is not filled in that src does not declare.
 */
struct gcs_upload {
	const char *key;
	const struct store_src *src;
	uint32_t crc32c;
	const struct gcs_pair *meta;
	size_t nmeta;
	const struct store_cond *cond;
	const char *storage_class; /* or NULL */
	bool is_begin;
};
int gcs_upload(struct gcs *g, const struct gcs_upload *u, struct store_obj *ret)
	NONNULL(1, 2, 3) MUST_USE;
/* The resource to be. */
void gcs_write_object(struct json_w *w, const struct gcs_upload *u)
	NONNULL(1, 2);
/* gcs_session.c: the same in chunks, of which each is kept, on from where the
 * session of u->src is, if it has one; ret as the server tells it. */
int gcs_session_put(struct gcs *g, const struct gcs_upload *u,
		    struct store_obj *ret) NONNULL(1, 2, 3) MUST_USE;
/* Whether an id is that of a session; and the end of one. */
bool gcs_session_is(const char *id) NONNULL(1);
int gcs_session_cancel(struct gcs *g, const char *id) NONNULL(1, 2) MUST_USE;
int gcs_put(struct store *s, const char *key, const struct store_src *src,
	    const struct store_meta *meta, const struct store_cond *cond,
	    struct store_obj *ret);

/* gcs_list.c.  Pages as they come, with or without metadata. */
typedef int gcs_list_fn(void *arg, const char *key, const struct json *object);
struct gcs_listing {
	const char *prefix;
	const char *after; /* or NULL */
	bool delimited;
	const char *fields; /* of each item */
	gcs_list_fn *fn; /* object NULL: a prefix */
	void *arg;
};
int gcs_list_each(struct gcs *g, const struct gcs_listing *l) NONNULL(1, 2)
	MUST_USE;
int gcs_list(struct store *s, const char *prefix, const char *after,
	     bool delimited, store_list_fn *fn, void *arg);

/* gcs_get.c */
int gcs_get(struct store *s, const char *key, const char *if_match,
	    uint64_t off, uint64_t len, store_sink_fn *sink, void *arg,
	    struct store_obj *ret);
int gcs_head(struct store *s, const char *key, struct store_obj *ret);
/* The resource itself, of a generation if etag is not NULL. */
int gcs_head_json(struct gcs *g, const char *key, const char *etag,
		  struct json **ret) NONNULL(1, 2, 4) MUST_USE;
int gcs_head_if(struct gcs *g, const char *key, const char *etag,
		struct store_obj *ret) NONNULL(1, 2, 4) MUST_USE;

/* gcs.c, gcs_batch.c, gcs_copy.c */
int gcs_del(struct store *s, const char *key, const struct store_cond *cond);
/* One by one without STORE_CAP_DEL_MANY. */
int gcs_del_many(struct store *s, const struct store_del *dels, size_t n,
		 int *ret_errs);
int gcs_copy(struct store *s, const char *from, const char *from_etag,
	     const char *to, const struct store_meta *meta,
	     const struct store_cond *cond, struct store_obj *ret);

/*
 * gcs_mpu.c.  An upload in parts is the object uploads/ID below the hidden
 * folder, whose metadata tells the key, and an object parts/ID/NUMBER for each
 * part.  The first is made before any of the others, and deleted before them:
 * parts without it belong to nobody.
 */
#define GCS_UPLOADS STORE_HIDDEN "/uploads/"
#define GCS_PARTS STORE_HIDDEN "/parts/"
bool gcs_id_is_valid(const char *id) NONNULL(1);
/* 0, or -ENOENT: there is no such upload of key. */
int gcs_upload_find(struct gcs *g, const char *key, const char *id)
	NONNULL(1, 2, 3) MUST_USE;
/* Its names, and those of objects made of parts: level 0 is parts. */
int gcs_upload_name(const struct gcs *g, const char *id,
		    char ret[STORE_KEY_MAX + 1]) NONNULL(1, 2, 3) MUST_USE;
int gcs_part_name(const struct gcs *g, const char *id, unsigned level,
		  unsigned number, char ret[STORE_KEY_MAX + 1])
	NONNULL(1, 2, 5) MUST_USE;
/* Each part that is there, by rising number. */
int gcs_parts_each(struct gcs *g, const char *id, store_part_fn *fn, void *arg)
	NONNULL(1, 2, 3) MUST_USE;
/* Delete it, and all that was sent. */
int gcs_upload_remove(struct gcs *g, const char *id) NONNULL(1, 2) MUST_USE;
int gcs_mpu_begin(struct store *s, const char *key,
		  const struct store_meta *meta, bool copies,
		  char ret_id[STORE_UPLOAD_ID_MAX]);
int gcs_mpu_part(struct store *s, const char *key, const char *id,
		 unsigned number, const struct store_src *src,
		 struct store_part *ret);
int gcs_mpu_list_parts(struct store *s, const char *key, const char *id,
		       store_part_fn *fn, void *arg);
int gcs_mpu_list(struct store *s, const char *prefix, store_upload_fn *fn,
		 void *arg);
int gcs_mpu_abort(struct store *s, const char *key, const char *id);

/* gcs_commit.c */
int gcs_mpu_commit(struct store *s, const char *key, const char *id,
		   const struct store_part *parts, size_t n,
		   const struct store_meta *meta,
		   const struct store_cond *cond, struct store_obj *ret);

/* gcs_sweep.c: what was left below the hidden folder by those that were killed:
 * parts of no upload, trial objects of an hour ago; errors are ignored. */
void gcs_sweep(struct gcs *g) NONNULL(1);

/* gcs_probe.c */
int gcs_probe(struct store *s, const char *prefix, bool read_only);
uint64_t gcs_findings(const struct store *s);
void gcs_recall(struct store *s, uint64_t findings);

#endif
