/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the s3 back end share. */
#ifndef STORE_S3_H
#define STORE_S3_H

#include <stdatomic.h>

#include "ckptfs/buf.h"
#include "ckptfs/http.h"
#include "ckptfs/lock.h"
#include "ckptfs/sign.h"
#include "ckptfs/store.h"

#include "meta_text.h"
#include "s3_err.h"

#define S3_MAX_QUERY 10
#define S3_MAX_HEADERS 16
#define S3_EXTRA_MAX 14 /* headers that options ask for */
#define S3_REGION_MAX 64
#define S3_CRC_LEN 13 /* base64 of eight bytes, and NUL; of four: shorter */
#define S3_ETAG_LEN (STORE_ETAG_MAX + 2) /* in quotes */
#define S3_XML_MAX (16u << 20) /* a page of listing: 1000 keys, encoded */
#define S3_BODY_QUIET_S 60 /* a server that has yet to write it all down */
#define S3_WORK_QUIET_S 900 /* a server at work on a commit or a copy */
#define S3_PAGE 1000
#define S3_COPY_MAX (UINT64_C(5) << 30) /* by one request */

/* Where requests go; fixed for the life of the store. */
struct s3_where {
	char *scheme; /* "https" */
	char *host; /* as in the Host header; is_aws: up to the region */
	char *base; /* before the key, not encoded: "/" or "/bucket/" */
	char *source; /* before the key of what is copied */
	char region[S3_REGION_MAX]; /* of an access point; "": not said */
	bool is_tls, is_loopback, is_aws;
	bool is_directory; /* a directory bucket: s3_express.c */
};

/* The checksum that goes with bytes. */
struct s3_crc {
	bool is_crc32c; /* else CRC-64/NVME */
	uint64_t v;
};

/* What an upload in parts declares of the whole when it begins. */
enum s3_declared { S3_DECLARES_NONE, S3_DECLARES_CRC64, S3_DECLARES_CRC32C };

/* What options add to requests; fixed for the life of the store. */
struct s3_extra {
	char *sse, *kms_key_id, *storage_class, *acl, *tags, *content_type;
	char *customer_key, *customer_md5; /* in base64 */
	bool requester_pays;
};

struct s3 {
	struct store store;
	struct s3_where where;
	struct s3_extra extra;
	struct http *http;
	struct cred_chain *creds; /* NULL: anonymous */
	struct cred_chain *session; /* of a directory bucket; NULL: none */
	const struct clk *clk;
	bool sign_payload, is_impatient;
	bool has_crc; /* the server checks x-amz-checksum-crc64nvme */
	bool has_crc_parts; /* and that of a multipart upload as a whole */
	bool has_copy_part; /* UploadPartCopy, if no checksum is declared, or */
	bool is_copy_declared; /* if that of the whole is, as CRC-64/NVME */
	bool is_del_blind; /* If-Match on what is not there is ignored */
	atomic_bool has_worked; /* a signed request was accepted once */
	atomic_bool is_shut;
	_Atomic int64_t skew_ns; /* the server's clock less ours */

	struct lock lock; /* guards the rest */
	char region[S3_REGION_MAX];
};

/* One request.  Strings are borrowed; small ones made for it are in text. */
struct s3_req {
	const char *method;
	const char *key; /* NULL: the bucket itself */
	struct sign_pair query[S3_MAX_QUERY];
	size_t nquery;
	struct sign_pair headers[S3_MAX_HEADERS];
	size_t nheaders;
	const struct store_src *src; /* the body, or NULL */
	int (*sink)(void *arg, const void *p, size_t n);
	void *sink_arg;
	size_t body_max;
	unsigned quiet_s;
	enum answer_cond cond; /* what a failed condition is about */
	bool may_fail_late; /* a success may hold an error document */
	/* Sent once: sent twice, a refusal would prove nothing, and two
	 * uploads might be begun. */
	bool is_change, is_begin;
	bool expect_continue;
	bool by_account; /* signed by creds also where there is a session */
	char text[6][S3_ETAG_LEN];
	unsigned ntext;
};

/* s3_arn.c: an access point in the place of a bucket. */
struct s3_arn {
	char region[S3_REGION_MAX];
	char account[16];
	char name[64];
};
bool s3_is_arn(const char *bucket) NONNULL(1);
/* -EINVAL, or such that its fields make a host's name. */
int s3_arn_parse(const char *arn, struct s3_arn *ret) NONNULL(1, 2) MUST_USE;

/* s3_where.c */
int s3_where_init(const struct store_s3_opts *opts, struct s3_where *ret)
	NONNULL(1, 2) MUST_USE;
void s3_where_release(struct s3_where *w) NONNULL(1);
/* What may stand in a host's name and in a signature: a region that a server
 * names must not lead elsewhere. */
bool s3_region_is_valid(const char *region) NONNULL(1);

/*
 * s3_express.c: directory buckets.  Requests are signed by credentials of a
 * session, which is asked for by the account's; copies by the account's still.
 * Listings take prefixes that end in a slash alone, begin nowhere but at their
 * beginning, and have no order.
 */
/* The zone in a directory bucket's name, NULL: it is of another kind.  *ret_len:
 * its length. */
const char *s3_express_zone(const char *bucket, size_t *ret_len) NONNULL(1, 2);
/* Begin with sessions: 0 or -ENOMEM. */
int s3_express_init(struct s3 *s3) NONNULL(1) MUST_USE;
/* What of a prefix can be asked for. */
void s3_express_prefix(const char *prefix, char ret[STORE_KEY_MAX + 1])
	NONNULL(1, 2);
/* s3_list() there. */
int s3_express_list(struct store *s, const char *prefix, bool delimited,
		    store_list_fn *fn, void *arg) NONNULL(1, 2, 4) MUST_USE;
/* s3_list.c: page by page, as the server gives them. */
int s3_list_pages(struct store *s, const char *prefix, const char *after,
		  bool delimited, store_list_fn *fn, void *arg) NONNULL(1, 2, 5)
	MUST_USE;

/* s3_extra.c: kinds of requests as far as they take other extra headers, and
 * those headers: how many; the strings are borrowed from x. */
enum s3_op {
	S3_OP_OTHER,
	S3_OP_HEAD,
	S3_OP_GET,
	S3_OP_PUT,
	S3_OP_COPY,
	S3_OP_BEGIN,
	S3_OP_PART,
	S3_OP_PART_COPY,
	S3_OP_COMMIT,
	S3_OP_LIST_PARTS,
};
enum s3_op s3_op_of(const struct s3_req *q) NONNULL(1);
size_t s3_extra_headers(const struct s3_extra *x, const struct s3_req *q,
			struct sign_pair ret[S3_EXTRA_MAX]) NONNULL(1, 2, 3);
/* -EINVAL: options that do not go together; -ENOMEM. */
int s3_extra_init(const struct store_s3_opts *opts, const struct s3_where *w,
		  struct s3_extra *ret) NONNULL(1, 2, 3) MUST_USE;
void s3_extra_release(struct s3_extra *x) NONNULL(1);

/* s3_hop.c: may what went to the host `from` be sent again, as `location` says?
 * To the same provider alone, and by the same scheme.  ret: the other host. */
#define S3_HOST_MAX 256
bool s3_hop(const struct s3_where *w, const char *from, const char *location,
	    char ret[S3_HOST_MAX]) NONNULL(1, 2, 3, 4);

/* s3_req.c: put a request together.  value NULL: a name without one. */
void s3_req_query(struct s3_req *q, const char *name, const char *value)
	NONNULL(1, 2);
void s3_req_query_uint(struct s3_req *q, const char *name, unsigned v)
	NONNULL(1, 2);
void s3_req_header(struct s3_req *q, const char *name, const char *value)
	NONNULL(1, 2, 3);
void s3_req_header_u64(struct s3_req *q, const char *name, uint64_t v)
	NONNULL(1, 2);
void s3_req_crc(struct s3_req *q, struct s3_crc crc) NONNULL(1);
void s3_req_etag(struct s3_req *q, const char *name, const char *etag)
	NONNULL(1, 2, 3);
/* If-Match or If-None-Match; NULL: neither. */
void s3_req_cond(struct s3_req *q, const struct store_cond *cond) NONNULL(1);
void s3_req_meta(struct s3_req *q, const struct store_meta_text *m)
	NONNULL(1, 2);

/*
 * Perform, and again where that helps by itself: the clock is off, the
 * credential has expired, the bucket lies in another region.  0 with a 2xx in
 * resp; else an error of store.h, and store_last_error() says why.  resp is
 * zeroed before and the caller's to clear, in any case.
 */
int s3_perform(struct s3 *s3, const struct s3_req *q, struct http_resp *resp)
	NONNULL(1, 2, 3) MUST_USE;

/* s3_sign.c: what of a request is made anew for each try. */
struct s3_sent {
	struct buf host, url;
	struct sign_result sig;
	struct cred_chain *chain; /* whose is */
	struct cred *cred; /* NULL: anonymous */
	struct sign_pair given[S3_MAX_HEADERS + S3_EXTRA_MAX];
	size_t ngiven; /* those above are signed; they and four more go out */
	struct http_header headers[S3_MAX_HEADERS + S3_EXTRA_MAX + 4];
	size_t nheaders;
	char region[S3_REGION_MAX];
};
/* host "": the store's own. */
int s3_sign(struct s3 *s3, const struct s3_req *q, const char *payload,
	    const char *host, struct s3_sent *ret) NONNULL(1, 2, 3, 4, 5)
	MUST_USE;
void s3_sent_clear(struct s3_sent *t) NONNULL(1);
/* What the body is signed as: a digest of it, or that it is not signed. */
int s3_payload(const struct s3 *s3, const struct s3_req *q,
	       char ret[SIGN_SHA256_HEX]) NONNULL(1, 2, 3) MUST_USE;

/* s3_obj.c: values as S3 writes them. */
void s3_crc_encode(struct s3_crc crc, char ret[S3_CRC_LEN]) NONNULL(2);
bool s3_crc64_decode(const char *s, uint64_t *ret) NONNULL(1, 2);
bool s3_crc32c_decode(const char *s, uint32_t *ret) NONNULL(1, 2);
/* Without quotes and W/; false: it makes no sense. */
bool s3_etag_decode(const char *s, char ret[STORE_ETAG_MAX]) NONNULL(1, 2);
/* What the headers of HEAD or GET say but for the size.  0 or -EPROTO. */
int s3_obj_of(const struct http_resp *resp, struct store_obj *ret) NONNULL(1, 2)
	MUST_USE;
/* The etag of a put or a part; -EBADMSG: the server's checksum, if it tells
 * one of that kind, is not crc. */
int s3_etag_of(const struct http_resp *resp, struct s3_crc crc,
	       char ret[STORE_ETAG_MAX]) NONNULL(1, 3) MUST_USE;

/* s3_xml.c: documents. */
struct s3_error {
	char code[64];
	char message[256];
	char region[S3_REGION_MAX];
};
/* True when the bytes are an error document. */
bool s3_error_parse(const void *p, size_t n, struct s3_error *ret) NONNULL(3);
/* Texts by path from the root: those asked for are copied, cut to fit. */
struct s3_leaf {
	const char *path;
	char *to;
	size_t size;
};
/* 0, -EPROTO or -ENOMEM. */
int s3_xml_leaves(const struct http_resp *resp, const struct s3_leaf *leaves,
		  size_t n) NONNULL(1, 2) MUST_USE;

/* Whether the pages of a listing go round in circles.  Zeroed before the first;
 * free(mark) behind the last. */
struct s3_circle {
	char *mark; /* a page that was */
	unsigned n; /* pages */
};
/* The next page begins at `at`, whatever names it: 0, -EPROTO, -ENOMEM. */
int s3_circle_check(struct s3_circle *c, const char *at) NONNULL(1, 2) MUST_USE;

/* A key that came encoded, decoded in place.  0, -EBADMSG, -ENOMEM, or -EILSEQ:
 * it holds a NUL, which no key of ours does. */
int s3_undo_url(char **key) NONNULL(1) MUST_USE;

/* The methods, by file. */
int s3_get(struct store *s, const char *key, const char *if_match, uint64_t off,
	   uint64_t len, store_sink_fn *sink, void *arg, struct store_obj *ret);
int s3_head(struct store *s, const char *key, struct store_obj *ret);
/* Without, and with, asking again by GET what a refusal is about. */
int s3_head_once(struct s3 *s3, const char *key, const char *if_match,
		 struct store_obj *ret);
int s3_head_if(struct s3 *s3, const char *key, const char *if_match,
	       struct store_obj *ret);
int s3_put(struct store *s, const char *key, const struct store_src *src,
	   const struct store_meta *meta, const struct store_cond *cond,
	   struct store_obj *ret);
int s3_del(struct store *s, const char *key, const struct store_cond *cond);
int s3_del_many(struct store *s, const struct store_del *dels, size_t n,
		int *ret_errs);
int s3_list(struct store *s, const char *prefix, const char *after,
	    bool delimited, store_list_fn *fn, void *arg);
/* s3_versions.c: what keeps the key from being absent is the mark of a delete
 * alone: some servers take that for an object.  False in doubt. */
bool s3_is_marked(struct s3 *s3, const char *key) NONNULL(1, 2);
int s3_list_versions(struct store *s, const char *prefix,
		     const struct store_version *after, store_version_fn *fn,
		     void *arg);
int s3_copy(struct store *s, const char *from, const char *from_etag,
	    const char *to, const struct store_meta *meta,
	    const struct store_cond *cond, struct store_obj *ret);
int s3_mpu_begin(struct store *s, const char *key,
		 const struct store_meta *meta, bool copies,
		 char ret_id[STORE_UPLOAD_ID_MAX]);
int s3_mpu_part(struct store *s, const char *key, const char *id,
		unsigned number, const struct store_src *src,
		struct store_part *ret);
int s3_mpu_copy_part(struct store *s, const char *key, const char *id,
		     unsigned number, const char *from, const char *from_etag,
		     uint64_t off, uint64_t len, struct store_part *ret);
int s3_mpu_list_parts(struct store *s, const char *key, const char *id,
		      store_part_fn *fn, void *arg);
int s3_mpu_list(struct store *s, const char *prefix, store_upload_fn *fn,
		void *arg);
int s3_mpu_commit(struct store *s, const char *key, const char *id,
		  const struct store_part *parts, size_t n,
		  const struct store_meta *meta, const struct store_cond *cond,
		  struct store_obj *ret);
/* The same for uploads that declare another checksum, or none. */
int s3_upload_begin(struct s3 *s3, const char *key,
		    const struct store_meta *meta, enum s3_declared declared,
		    char ret_id[STORE_UPLOAD_ID_MAX]);
int s3_upload_commit(struct s3 *s3, const char *key, const char *id,
		     const struct store_part *parts, size_t n,
		     const struct store_meta *meta,
		     const struct store_cond *cond, enum s3_declared declared,
		     struct store_obj *ret);
/* What those declare whose parts are copied. */
enum s3_declared s3_copies_declare(const struct s3 *s3);
int s3_mpu_abort(struct store *s, const char *key, const char *id);

/* s3_sweep.c: what probes of an hour ago and more, which were killed, have left
 * below prefix; errors are ignored. */
void s3_sweep_probes(struct store *s, const char *prefix) NONNULL(1, 2);

int s3_probe(struct store *s, const char *prefix, bool read_only);
uint64_t s3_findings(const struct store *s);
void s3_recall(struct store *s, uint64_t findings);

/* The CRC-64 of these bytes.  Where the server will not check it, the
 * one the source declares is checked here. */
int s3_src_crc(const struct s3 *s3, const struct store_src *src, uint64_t *ret)
	NONNULL(1, 2, 3) MUST_USE;

#endif
