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
		    const struct store_meta *meta, bool with_crc,
		    char ret_id[STORE_UPLOAD_ID_MAX])
{
	struct s3_mem none;
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

	s3_mem_init(&none, "", 0);
	s3_req_query(&q, "uploads", NULL);
	store_meta_encode(meta, &text);
	s3_req_meta(&q, &text);
	if (with_crc) {
		s3_req_header(&q, "x-amz-checksum-algorithm", "CRC64NVME");
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

int s3_mpu_begin(struct store *s, const char *key,
		 const struct store_meta *meta,
		 char ret_id[STORE_UPLOAD_ID_MAX])
{
	struct s3 *s3 = (struct s3 *)s;

	return s3_upload_begin(s3, key, meta, s3->has_crc_parts, ret_id);
}

int s3_mpu_part(struct store *s, const char *key, const char *id,
		unsigned number, const struct store_src *src,
		struct store_part *ret)
{
	struct s3 *s3 = (struct s3 *)s;
	struct s3_req q = { .method = "PUT", .key = key, .src = src };
	struct store_part part = { .number = number, .size = src->len };
	struct http_resp resp;
	int r;

	q.quiet_s = S3_BODY_QUIET_S;
	s3_req_query_uint(&q, "partNumber", number);
	s3_req_query(&q, "uploadId", id);
	r = s3_src_crc(s3, src, &part.crc64);
	if (r)
		return r;
	part.has_crc64 = true;
	if (s3->has_crc)
		s3_req_crc(&q, part.crc64);
	r = s3_perform(s3, &q, &resp);
	if (r == 0)
		r = s3_etag_of(&resp, true, part.crc64, part.etag);
	if (r == 0)
		*ret = part;
	http_resp_clear(&resp);
	return r;
}

/* The CRC of the object from those of its parts, if each has one. */
static bool whole_crc(const struct store_part *parts, size_t n, uint64_t *ret)
{
	uint64_t crc = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!parts[i].has_crc64)
			return false;
		crc = crc64nvme_combine(crc, parts[i].crc64, parts[i].size);
	}
	*ret = crc;
	return true;
}

static int add_part(const struct store_part *p, bool with_crc, struct buf *b)
{
	char crc[S3_CRC_LEN];
	int r = buf_addf(b, "<Part><PartNumber>%u</PartNumber><ETag>\"",
			 p->number);

	if (r == 0)
		r = xml_add_text(b, p->etag, strlen(p->etag));
	if (r == 0)
		r = buf_addf(b, "\"</ETag>");
	if (r == 0 && with_crc && p->has_crc64) {
		s3_crc_encode(p->crc64, crc);
		r = buf_addf(b, "<ChecksumCRC64NVME>%s</ChecksumCRC64NVME>",
			     crc);
	}
	return r ? r : buf_addf(b, "</Part>");
}

static int commit_body(const struct store_part *parts, size_t n, bool with_crc,
		       struct buf *b)
{
	size_t i;
	int r = buf_addf(b, "<CompleteMultipartUpload xmlns=\"http://"
			    "s3.amazonaws.com/doc/2006-03-01/\">");

	for (i = 0; i < n && r == 0; i++)
		r = add_part(&parts[i], with_crc, b);
	if (r == 0)
		r = buf_addf(b, "</CompleteMultipartUpload>");
	return r == -EMSGSIZE ? -EINVAL : r;
}

static int commit_result(const struct http_resp *resp, struct store_obj *o)
{
	char etag[S3_ETAG_LEN] = "", crc[64] = "";
	const struct s3_leaf leaves[] = {
		{ "CompleteMultipartUploadResult/ETag", etag, sizeof(etag) },
		{ "CompleteMultipartUploadResult/ChecksumCRC64NVME", crc,
		  sizeof(crc) },
	};
	uint64_t theirs;
	int r = s3_xml_leaves(resp, leaves, ARRAY_SIZE(leaves));

	if (r)
		return r;
	if (!s3_etag_decode(etag, o->etag)) {
		store_set_error("the answer has no ETag");
		return -EPROTO;
	}
	if (o->has_crc64 && s3_crc_decode(crc, &theirs) && theirs != o->crc64) {
		store_set_error("the server's checksum is not ours");
		return -EBADMSG;
	}
	return 0;
}

int s3_upload_commit(struct s3 *s3, const char *key, const char *id,
		     const struct store_part *parts, size_t n,
		     const struct store_meta *meta,
		     const struct store_cond *cond, bool with_crc,
		     struct store_obj *ret)
{
	struct s3_mem mem;
	struct s3_req q = { .method = "POST",
			    .key = key,
			    .src = &mem.src,
			    .may_fail_late = true,
			    .is_change = true,
			    .quiet_s = S3_WORK_QUIET_S };
	struct store_obj o = { .has_meta = true, .meta = *meta };
	struct buf body = BUF_INIT(COMMIT_MAX);
	struct http_resp resp = { 0 };
	size_t i;
	int r;

	for (i = 0; i < n; i++)
		o.size += parts[i].size;
	s3_req_query(&q, "uploadId", id);
	s3_req_cond(&q, cond);
	/* Known also where it is not to be declared: each part was checked. */
	o.has_crc64 = whole_crc(parts, n, &o.crc64);
	if (with_crc && o.has_crc64) {
		s3_req_crc(&q, o.crc64);
		s3_req_header(&q, "x-amz-checksum-type", "FULL_OBJECT");
		s3_req_header_u64(&q, "x-amz-mp-object-size", o.size);
	}
	r = commit_body(parts, n, with_crc, &body);
	if (r)
		goto out;
	s3_mem_init(&mem, body.p, body.len);
	r = s3_perform(s3, &q, &resp);
	if (r == 0)
		r = commit_result(&resp, &o);
	if (r == 0)
		*ret = o;
out:
	buf_clear(&body);
	http_resp_clear(&resp);
	return r;
}

int s3_mpu_commit(struct store *s, const char *key, const char *id,
		  const struct store_part *parts, size_t n,
		  const struct store_meta *meta, const struct store_cond *cond,
		  struct store_obj *ret)
{
	struct s3 *s3 = (struct s3 *)s;

	return s3_upload_commit(s3, key, id, parts, n, meta, cond,
				s3->has_crc_parts, ret);
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
