/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the azure back end share. */
#ifndef STORE_AZ_H
#define STORE_AZ_H

#include <stdatomic.h>

#include "ckptfs/buf.h"
#include "ckptfs/http.h"
#include "ckptfs/lock.h"
#include "ckptfs/sign.h"
#include "ckptfs/store.h"

#include "answer.h"
#include "meta_text.h"

#define AZ_VERSION "2023-11-03" /* x-ms-version */
#define AZ_MAX_QUERY 8
#define AZ_MAX_HEADERS 12
#define AZ_CRC_LEN 13 /* base64 of eight bytes, and NUL */
#define AZ_TEXT_LEN (STORE_ETAG_MAX + 2) /* an etag in quotes */
#define AZ_XML_MAX (16u << 20) /* a page of listing, a list of blocks */
#define AZ_BODY_QUIET_S 60 /* a server that has yet to write it all down */
#define AZ_WORK_QUIET_S 900 /* a server at work on a commit or a copy */
#define AZ_PAGE "5000"
#define AZ_PARTS_MAX 50000
#define AZ_META "x-ms-meta-"

/* Where requests go; fixed for the life of the store. */
struct az_where {
	char *base; /* "https://account.blob.core.windows.net" */
	char *path; /* behind it: "", or "/account" of an emulator */
	bool is_tls, is_loopback, is_azure;
};

struct az {
	struct store store;
	struct az_where where;
	char *account;
	char *container;
	char *prefix; /* what is ours lies below it: "" or "a/b/" */
	struct http *http;
	struct cred_chain *creds; /* NULL: anonymous */
	const struct clk *clk;
	atomic_bool has_worked; /* a request was accepted once */
	atomic_bool is_shut;
	_Atomic int64_t skew_ns; /* the server's clock less ours */
};

/* One request.  Strings are borrowed; small ones made for it are in text. */
struct az_req {
	const char *method;
	const char *key; /* NULL: the container */
	struct sign_pair query[AZ_MAX_QUERY];
	size_t nquery;
	struct sign_pair headers[AZ_MAX_HEADERS];
	size_t nheaders;
	const struct store_src *src; /* the body, or NULL */
	int (*sink)(void *arg, const void *p, size_t n);
	void *sink_arg;
	size_t body_max;
	unsigned quiet_s;
	enum answer_cond cond; /* what a failed condition is about */
	bool is_change; /* sent twice, a refusal proves nothing */
	bool is_begin; /* sent once: what it begins is not to be begun twice */
	bool expect_continue;
	char text[4][AZ_TEXT_LEN];
	unsigned ntext;
};

/* az_where.c */
int az_where_init(const struct store_az_opts *opts, struct az_where *ret)
	NONNULL(1, 2) MUST_USE;
void az_where_release(struct az_where *w) NONNULL(1);
/* Append the path of a blob's URL, encoded; key NULL: of the container. */
int az_add_path(const struct az *az, const char *key, struct buf *out)
	NONNULL(1, 3) MUST_USE;

/* az_req.c: put a request together. */
void az_req_query(struct az_req *q, const char *name, const char *value)
	NONNULL(1, 2, 3);
void az_req_header(struct az_req *q, const char *name, const char *value)
	NONNULL(1, 2, 3);
void az_req_etag(struct az_req *q, const char *name, const char *etag)
	NONNULL(1, 2, 3);
/* If-Match or If-None-Match; NULL: neither. */
void az_req_cond(struct az_req *q, const struct store_cond *cond) NONNULL(1);
void az_req_crc(struct az_req *q, uint64_t crc64) NONNULL(1);
void az_req_meta(struct az_req *q, const struct store_meta_text *m)
	NONNULL(1, 2);
/*
 * Perform; once more if the credential is refused and there is another, or the
 * clock is off.  0 with a 2xx in resp; else an error of store.h, and
 * store_last_error() says why.  resp is zeroed before and the caller's to
 * clear, in any case.
 */
int az_perform(struct az *az, const struct az_req *q, struct http_resp *resp)
	NONNULL(1, 2, 3) MUST_USE;

/* az_sign.c: what of a request is made anew for each try. */
struct az_sent {
	struct buf url, auth;
	char date[40];
	struct cred *cred; /* NULL: anonymous */
	struct http_header headers[AZ_MAX_HEADERS + 3];
	size_t nheaders;
};
int az_sign(struct az *az, const struct az_req *q, struct az_sent *ret)
	NONNULL(1, 2, 3) MUST_USE;
void az_sent_clear(struct az_sent *t) NONNULL(1);

/* az_obj.c: values as they are written there. */
void az_crc_encode(uint64_t crc, char ret[AZ_CRC_LEN]) NONNULL(2);
bool az_crc_decode(const char *s, uint64_t *ret) NONNULL(1, 2);
/* Without quotes and W/; false: it makes no sense. */
bool az_etag_decode(const char *s, char ret[STORE_ETAG_MAX]) NONNULL(1, 2);
/* What the headers of HEAD or GET say but for the size.  0 or -EPROTO. */
int az_obj_of(const struct http_resp *resp, struct store_obj *ret) NONNULL(1, 2)
	MUST_USE;
/* The etag a change came to; -EBADMSG: the server's checksum, if it tells one,
 * is not crc64. */
int az_etag_of(const struct http_resp *resp, uint64_t crc64,
	       char ret[STORE_ETAG_MAX]) NONNULL(1, 3) MUST_USE;

/* az_list.c */
struct az_entry {
	char *key;
	bool is_prefix;
	struct store_obj obj;
	char *of; /* metadata "key", if it was asked for; or NULL */
	bool is_folder; /* metadata hdi_isfolder, likewise */
};
typedef int az_list_fn(void *arg, const struct az_entry *e);
struct az_listing {
	const char *prefix;
	const char *after; /* or NULL */
	bool delimited;
	bool with_meta;
	az_list_fn *fn;
	void *arg;
};
int az_list_each(struct az *az, const struct az_listing *l) NONNULL(1, 2)
	MUST_USE;
int az_list(struct store *s, const char *prefix, const char *after,
	    bool delimited, store_list_fn *fn, void *arg);

/*
 * az_folder.c.  Other tools keep a folder by a blob of its name without a slash,
 * whose metadata says hdi_isfolder.  Here that is the marker NAME/, and no object
 * NAME.
 */
#define AZ_FOLDER "hdi_isfolder"
bool az_is_folder(const struct http_resp *resp) NONNULL(1);
/* The blob that is the marker key; -ENOENT: there is none of that kind. */
int az_folder_find(struct az *az, const char *key, char ret[STORE_KEY_MAX + 1],
		   struct store_obj *obj) NONNULL(1, 2, 3, 4) MUST_USE;
/* A stream of entries in byte order, each marker where it belongs. */
struct az_folders {
	az_list_fn *fn;
	void *arg;
	bool delimited; /* then they are prefixes */
	struct az_entry *v; /* to be given yet, sorted */
	size_t n, cap;
};
int az_folders_take(struct az_folders *f, const struct az_entry *e)
	NONNULL(1, 2) MUST_USE;
/* After the last: gives what is left, unless r says that it ended badly; returns
 * r or what came of that. */
int az_folders_end(struct az_folders *f, int r) NONNULL(1) MUST_USE;

/* az_get.c */
int az_get(struct store *s, const char *key, const char *if_match, uint64_t off,
	   uint64_t len, store_sink_fn *sink, void *arg, struct store_obj *ret);
int az_head(struct store *s, const char *key, struct store_obj *ret);
int az_head_if(struct az *az, const char *key, const char *etag,
	       struct store_obj *ret) NONNULL(1, 2, 4) MUST_USE;
/* The headers themselves. */
int az_head_resp(struct az *az, const char *key, const char *etag,
		 struct http_resp *resp) NONNULL(1, 2, 4) MUST_USE;

/* az.c, az_put.c, az_copy.c */
int az_put(struct store *s, const char *key, const struct store_src *src,
	   const struct store_meta *meta, const struct store_cond *cond,
	   struct store_obj *ret);
/* A blob of no bytes whose metadata is "key". */
int az_put_record(struct az *az, const char *name, const char *of)
	NONNULL(1, 2, 3) MUST_USE;
int az_del(struct store *s, const char *key, const struct store_cond *cond);
int az_copy(struct store *s, const char *from, const char *from_etag,
	    const char *to, const struct store_meta *meta,
	    const struct store_cond *cond, struct store_obj *ret);

/*
 * az_block.c.  A part is a block of the blob that is to be.  The id of a block
 * says of which upload it is, its number there, and the CRC-64 of its bytes; all
 * are of one length, as the service wants those of a blob to be.
 */
#define AZ_ID_LEN 24 /* of an upload: hex, the last eight digits from its key */
#define AZ_BLOCK_LEN 60 /* base64 of the upload's id, five digits, and 16 */
struct az_block {
	char upload[AZ_ID_LEN + 1];
	unsigned number;
	uint64_t crc64;
};
void az_block_encode(const struct az_block *b, char ret[AZ_BLOCK_LEN + 1])
	NONNULL(1, 2);
/* False: it is not one of ours. */
bool az_block_decode(const char *s, struct az_block *ret) NONNULL(1, 2);
/* An id for a new upload of this key; whether one may be of this key. */
void az_id_make(const char *key, char ret[AZ_ID_LEN + 1]) NONNULL(1, 2);
bool az_id_is_of(const char *id, const char *key) NONNULL(1, 2);
bool az_id_is_valid(const char *id) NONNULL(1);
/* The blocks of a blob, in order: committed ones, or those sent since. */
typedef int az_block_fn(void *arg, const char *id, uint64_t size);
int az_blocks_each(struct az *az, const char *key, bool committed,
		   az_block_fn *fn, void *arg) NONNULL(1, 2, 4) MUST_USE;

/*
 * az_mpu.c.  The service knows no uploads, only blocks, which it drops after a
 * week: that there is an upload is said by an object uploads/ID below the hidden
 * folder, whose metadata tells the key.
 */
#define AZ_UPLOADS STORE_HIDDEN "/uploads/"
/* 0, or -ENOENT: there is no such upload of key. */
int az_upload_find(struct az *az, const char *key, const char *id)
	NONNULL(1, 2, 3) MUST_USE;
int az_upload_end(struct az *az, const char *id) NONNULL(1, 2) MUST_USE;
int az_mpu_begin(struct store *s, const char *key,
		 const struct store_meta *meta, bool copies,
		 char ret_id[STORE_UPLOAD_ID_MAX]);
int az_mpu_part(struct store *s, const char *key, const char *id,
		unsigned number, const struct store_src *src,
		struct store_part *ret);
int az_mpu_list_parts(struct store *s, const char *key, const char *id,
		      store_part_fn *fn, void *arg);
int az_mpu_list(struct store *s, const char *prefix, store_upload_fn *fn,
		void *arg);
int az_mpu_abort(struct store *s, const char *key, const char *id);

/* az_commit.c */
int az_mpu_commit(struct store *s, const char *key, const char *id,
		  const struct store_part *parts, size_t n,
		  const struct store_meta *meta, const struct store_cond *cond,
		  struct store_obj *ret);

/* az_probe.c */
int az_probe(struct store *s, const char *prefix, bool read_only);

#endif
