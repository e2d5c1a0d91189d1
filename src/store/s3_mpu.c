/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads in parts, but for their listings. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/hash.h"
#include "ckptfs/xml.h"

#include "s3.h"
#include "store_int.h"

#define COMMIT_MAX (4u << 20) /* 10,000 parts */

int s3_upload_begin(struct s3 *s3, const char *key,
		    const struct store_meta *meta, enum s3_declared declared,
		    char ret_id[STORE_UPLOAD_ID_MAX])
{
	struct store_src_mem none;
	struct s3_req q = { .method = "POST",
			    .key = key,
			    .src = &none.src,
			    .is_begin = true };
	char id[STORE_UPLOAD_ID_MAX] = "";
	const struct s3_leaf leaves[] = {
		{ "InitiateMultipartUploadResult/UploadId", id, sizeof(id) },
	};
	struct store_meta_text text;
	struct http_resp resp;
	int r;

	store_src_mem_init(&none, "", 0);
	s3_req_query(&q, "uploads", NULL);
	store_meta_encode(meta, &text);
	s3_req_meta(&q, &text);
	if (declared) {
		s3_req_header(&q, "x-amz-checksum-algorithm",
			      declared == S3_DECLARES_CRC64 ? "CRC64NVME" :
							      "CRC32C");
		s3_req_header(&q, "x-amz-checksum-type", "FULL_OBJECT");
	}
	r = s3_perform(s3, &q, &resp);
	if (r == 0)
		r = s3_xml_leaves(&resp, leaves, ARRAY_SIZE(leaves));
	/* One that fills the array has been cut. */
	if (r == 0 && (!*id || strlen(id) == sizeof(id) - 1)) {
		store_set_error("the answer has no upload id");
		r = -EPROTO;
	}
	if (r == 0)
		memcpy(ret_id, id, sizeof(id));
	http_resp_clear(&resp);
	return r;
}

static bool is_crc32c(const struct s3 *s3)
{
	return s3->store.caps & STORE_CAP_PARTS_CRC32C;
}

static enum s3_declared declared_of(const struct s3 *s3)
{
	if (is_crc32c(s3))
		return S3_DECLARES_CRC32C;
	return s3->has_crc_parts ? S3_DECLARES_CRC64 : S3_DECLARES_NONE;
}

enum s3_declared s3_copies_declare(const struct s3 *s3)
{
	return s3->is_copy_declared ? S3_DECLARES_CRC64 : S3_DECLARES_NONE;
}

int s3_mpu_begin(struct store *s, const char *key,
		 const struct store_meta *meta, bool copies,
		 char ret_id[STORE_UPLOAD_ID_MAX])
{
	struct s3 *s3 = (struct s3 *)s;

	return s3_upload_begin(
		s3, key, meta, copies ? s3_copies_declare(s3) : declared_of(s3),
		ret_id);
}

/* The one its upload declares. */
static struct s3_crc crc_of_part(const struct store_part *p)
{
	return (struct s3_crc){ p->has_crc32c,
				p->has_crc32c ? p->crc32c : p->crc64 };
}

int s3_mpu_part(struct store *s, const char *key, const char *id,
		unsigned number, const struct store_src *src,
		struct store_part *ret)
{
	struct s3 *s3 = (struct s3 *)s;
	struct s3_req q = { .method = "PUT", .key = key, .src = src };
	struct store_part part = { .number = number, .size = src->len };
	struct s3_crc crc;
	struct http_resp resp;
	int r;

	q.quiet_s = S3_BODY_QUIET_S;
	s3_req_query_uint(&q, "partNumber", number);
	s3_req_query(&q, "uploadId", id);
	part.has_crc64 = true;
	part.has_crc32c = is_crc32c(s3) && !src->beside_copies;
	r = part.has_crc32c ?
		    store_src_crcs(src, &part.crc64, &part.crc32c) :
		    s3_src_crc(s3, src, &part.crc64);
	if (r)
		return r;
	crc = crc_of_part(&part);
	if (s3->has_crc)
		s3_req_crc(&q, crc);
	r = s3_perform(s3, &q, &resp);
	if (r == 0)
		r = s3_etag_of(&resp, crc, part.etag);
	if (r == 0)
		*ret = part;
	http_resp_clear(&resp);
	return r;
}

/* The CRCs of the object from those of its parts, if each has one. */
static void whole_crcs(const struct store_part *parts, size_t n,
		       struct store_obj *o)
{
	size_t i;

	o->has_crc64 = o->has_crc32c = true;
	for (i = 0; i < n; i++) {
		const struct store_part *p = &parts[i];

		o->has_crc64 &= p->has_crc64;
		o->has_crc32c &= p->has_crc32c;
		o->crc64 = crc64nvme_combine(o->crc64, p->crc64, p->size);
		o->crc32c = crc32c_combine(o->crc32c, p->crc32c, p->size);
	}
}

static int add_part(const struct store_part *p, enum s3_declared declared,
		    struct buf *b)
{
	const char *kind = p->has_crc32c ? "CRC32C" : "CRC64NVME";
	char crc[S3_CRC_LEN];
	int r = buf_addf(b, "<Part><PartNumber>%u</PartNumber><ETag>\"",
			 p->number);

	if (r == 0)
		r = xml_add_text(b, p->etag, strlen(p->etag));
	if (r == 0)
		r = buf_addf(b, "\"</ETag>");
	if (r == 0 && declared && (p->has_crc32c || p->has_crc64)) {
		s3_crc_encode(crc_of_part(p), crc);
		r = buf_addf(b, "<Checksum%s>%s</Checksum%s>", kind, crc, kind);
	}
	return r ? r : buf_addf(b, "</Part>");
}

static int commit_body(const struct store_part *parts, size_t n,
		       enum s3_declared declared, struct buf *b)
{
	size_t i;
	int r = buf_addf(b, "<CompleteMultipartUpload xmlns=\"http://"
			    "s3.amazonaws.com/doc/2006-03-01/\">");

	for (i = 0; i < n && r == 0; i++)
		r = add_part(&parts[i], declared, b);
	if (r == 0)
		r = buf_addf(b, "</CompleteMultipartUpload>");
	return r == -EMSGSIZE ? -EINVAL : r;
}

static int commit_result(const struct http_resp *resp, struct store_obj *o)
{
	char etag[S3_ETAG_LEN] = "", crc64[64] = "", crc32[64] = "";
	const struct s3_leaf leaves[] = {
		{ "CompleteMultipartUploadResult/ETag", etag, sizeof(etag) },
		{ "CompleteMultipartUploadResult/ChecksumCRC64NVME", crc64,
		  sizeof(crc64) },
		{ "CompleteMultipartUploadResult/ChecksumCRC32C", crc32,
		  sizeof(crc32) },
	};
	uint64_t theirs;
	uint32_t theirs32;
	int r = s3_xml_leaves(resp, leaves, ARRAY_SIZE(leaves));

	if (r)
		return r;
	if (!s3_etag_decode(etag, o->etag)) {
		store_set_error("the answer has no ETag");
		return -EPROTO;
	}
	if ((o->has_crc64 && s3_crc64_decode(crc64, &theirs) &&
	     theirs != o->crc64) ||
	    (o->has_crc32c && s3_crc32c_decode(crc32, &theirs32) &&
	     theirs32 != o->crc32c)) {
		store_set_error("the server's checksum is not ours");
		return -EBADMSG;
	}
	return 0;
}

int s3_upload_commit(struct s3 *s3, const char *key, const char *id,
		     const struct store_part *parts, size_t n,
		     const struct store_meta *meta,
		     const struct store_cond *cond, enum s3_declared declared,
		     struct store_obj *ret)
{
	struct store_src_mem mem;
	struct s3_req q = { .method = "POST",
			    .key = key,
			    .src = &mem.src,
			    .may_fail_late = true,
			    .is_change = true,
			    .quiet_s = S3_WORK_QUIET_S };
	struct store_obj o = { .has_meta = true, .meta = *meta };
	struct buf body = BUF_INIT(COMMIT_MAX);
	struct http_resp resp = { 0 };
	struct s3_crc crc;
	size_t i;
	int r;

	for (i = 0; i < n; i++)
		o.size += parts[i].size;
	s3_req_query(&q, "uploadId", id);
	s3_req_cond(&q, cond);
	/* Known also where it is not to be declared: each part was checked. */
	whole_crcs(parts, n, &o);
	crc.is_crc32c = declared == S3_DECLARES_CRC32C;
	crc.v = crc.is_crc32c ? o.crc32c : o.crc64;
	if (declared && (crc.is_crc32c ? o.has_crc32c : o.has_crc64)) {
		s3_req_crc(&q, crc);
		s3_req_header(&q, "x-amz-checksum-type", "FULL_OBJECT");
		s3_req_header_u64(&q, "x-amz-mp-object-size", o.size);
	}
	r = commit_body(parts, n, declared, &body);
	if (r)
		goto out;
	store_src_mem_init(&mem, body.p, body.len);
	r = s3_perform(s3, &q, &resp);
	if (r == 0)
		r = commit_result(&resp, &o);
	if (r == 0)
		*ret = o;
out:
	buf_clear(&body);
	http_resp_clear(&resp);
	if (r == -EEXIST && s3_is_marked(s3, key))
		return s3_upload_commit(s3, key, id, parts, n, meta, NULL,
					declared, ret);
	return r;
}

int s3_mpu_commit(struct store *s, const char *key, const char *id,
		  const struct store_part *parts, size_t n,
		  const struct store_meta *meta, const struct store_cond *cond,
		  struct store_obj *ret)
{
	struct s3 *s3 = (struct s3 *)s;
	bool copies = false;
	size_t i;

	for (i = 0; i < n; i++)
		copies |= parts[i].copied;
	return s3_upload_commit(s3, key, id, parts, n, meta, cond,
				copies ? s3_copies_declare(s3) :
					 declared_of(s3),
				ret);
}

int s3_mpu_abort(struct store *s, const char *key, const char *id)
{
	struct s3_req q = { .method = "DELETE", .key = key };
	struct http_resp resp;
	int r;

	s3_req_query(&q, "uploadId", id);
	r = s3_perform((struct s3 *)s, &q, &resp);
	http_resp_clear(&resp);
	return r == -ENOENT ? 0 : r;
}
