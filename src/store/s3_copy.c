/* SPDX-License-Identifier: Apache-2.0 */
/* Copies made by the server: of an object, and of a range into a part. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/hash.h"

#include "s3.h"
#include "store_int.h"

#define SOURCE_MAX (8 * 1024)

static int copy_source(const struct s3 *s3, const char *key, struct buf *ret)
{
	int r = buf_addf(ret, "%s", s3->where.source);

	if (r == 0)
		r = sign_encode_path(key, ret);
	return r == -EMSGSIZE ? -EINVAL : r;
}

/* What a copy answers: its root is CopyObjectResult or CopyPartResult. */
static int result_of(const struct http_resp *resp, const char *root,
		     char etag[STORE_ETAG_MAX], bool *ret_has_crc,
		     uint64_t *ret_crc)
{
	char etag_path[64], crc_path[64], text[S3_ETAG_LEN] = "", crc[64] = "";
	const struct s3_leaf leaves[] = {
		{ etag_path, text, sizeof(text) },
		{ crc_path, crc, sizeof(crc) },
	};
	int r;

	snprintf(etag_path, sizeof(etag_path), "%s/ETag", root);
	snprintf(crc_path, sizeof(crc_path), "%s/ChecksumCRC64NVME", root);
	r = s3_xml_leaves(resp, leaves, ARRAY_SIZE(leaves));
	if (r)
		return r;
	if (!s3_etag_decode(text, etag)) {
		store_set_error("the answer has no ETag");
		return -EPROTO;
	}
	*ret_has_crc = s3_crc64_decode(crc, ret_crc);
	return 0;
}

static int find_part(void *arg, const struct store_part *part)
{
	struct store_part *want = arg;

	if (part->number != want->number)
		return 0;
	want->has_crc64 = part->has_crc64;
	want->crc64 = part->crc64;
	return 1;
}

int s3_mpu_copy_part(struct store *s, const char *key, const char *id,
		     unsigned number, const char *from, const char *from_etag,
		     uint64_t off, uint64_t len, struct store_part *ret)
{
	struct s3 *s3 = (struct s3 *)s;
	struct store_src_mem none;
	struct s3_req q = { .method = "PUT",
			    .key = key,
			    .src = &none.src,
			    .may_fail_late = true,
			    .by_account = true,
			    .quiet_s = S3_WORK_QUIET_S };
	struct store_part part = { .number = number,
				   .copied = true,
				   .size = len };
	struct buf source = BUF_INIT(SOURCE_MAX);
	struct http_resp resp = { 0 };
	char range[64];
	int r;

	store_src_mem_init(&none, "", 0);
	s3_req_query_uint(&q, "partNumber", number);
	s3_req_query(&q, "uploadId", id);
	r = copy_source(s3, from, &source);
	if (r)
		goto out;
	s3_req_header(&q, "x-amz-copy-source", source.p);
	snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, off,
		 off + len - 1);
	s3_req_header(&q, "x-amz-copy-source-range", range);
	if (from_etag)
		s3_req_etag(&q, "x-amz-copy-source-if-match", from_etag);
	r = s3_perform(s3, &q, &resp);
	/* Some say it by this status alone. */
	if (r && resp.status == 416)
		r = -EINVAL;
	if (r == 0)
		r = result_of(&resp, "CopyPartResult", part.etag,
			      &part.has_crc64, &part.crc64);
	/* The commit has to name it. */
	if (r == 0 && s3->is_copy_declared && !part.has_crc64)
		r = s3_mpu_list_parts(s, key, id, find_part, &part);
	if (r >= 0)
		*ret = part;
	r = r > 0 ? 0 : r;
out:
	buf_clear(&source);
	http_resp_clear(&resp);
	return r;
}

/* One request; the destination is replaced, whatever it is. */
static int copy_at_once(struct s3 *s3, const char *from,
			const struct store_obj *src, const char *to,
			const struct store_meta *meta, struct store_obj *ret)
{
	struct store_src_mem none;
	struct s3_req q = { .method = "PUT",
			    .key = to,
			    .src = &none.src,
			    .may_fail_late = true,
			    .is_change = true,
			    .by_account = true,
			    .quiet_s = S3_WORK_QUIET_S };
	struct store_obj o = *src;
	struct buf source = BUF_INIT(SOURCE_MAX);
	struct http_resp resp = { 0 };
	struct store_meta_text text;
	uint64_t crc;
	bool has_crc;
	int r;

	store_src_mem_init(&none, "", 0);
	r = copy_source(s3, from, &source);
	if (r)
		goto out;
	s3_req_header(&q, "x-amz-copy-source", source.p);
	s3_req_etag(&q, "x-amz-copy-source-if-match", src->etag);
	s3_req_header(&q, "x-amz-metadata-directive",
		      meta ? "REPLACE" : "COPY");
	if (meta) {
		store_meta_encode(meta, &text);
		s3_req_meta(&q, &text);
		o.meta = *meta;
	}
	r = s3_perform(s3, &q, &resp);
	if (r == 0)
		r = result_of(&resp, "CopyObjectResult", o.etag, &has_crc,
			      &crc);
	if (r == 0 && has_crc && o.has_crc64 && crc != o.crc64) {
		store_set_error("the copy's checksum is not the source's");
		r = -EBADMSG;
	}
	if (r == 0) {
		o.mtime_ns = 0;
		*ret = o;
	}
out:
	buf_clear(&source);
	http_resp_clear(&resp);
	return r;
}

/* Equal parts, the last one smaller; part_min is below 5 GiB anyway. */
static int copy_parts(struct s3 *s3, const char *from,
		      const struct store_obj *src, const char *to,
		      const char *id, struct store_part *parts, size_t *n)
{
	uint64_t off = 0;
	int r = 0;

	for (*n = 0; off < src->size && r == 0; ++*n) {
		uint64_t len = src->size - off;

		if (len > S3_COPY_MAX)
			len = S3_COPY_MAX;
		r = s3_mpu_copy_part(&s3->store, to, id, (unsigned)*n + 1, from,
				     src->etag, off, len, &parts[*n]);
		off += len;
	}
	return r;
}

/*
 * By a multipart upload: for what is too large for one request, and because
 * servers heed conditions about the destination only there.
 */
static int copy_by_parts(struct s3 *s3, const char *from,
			 const struct store_obj *src, const char *to,
			 const struct store_meta *meta,
			 const struct store_cond *cond, struct store_obj *ret)
{
	size_t n = (size_t)(src->size / S3_COPY_MAX) + 1;
	struct store_part *parts = calloc(n, sizeof(*parts));
	enum s3_declared declared = s3_copies_declare(s3);
	char id[STORE_UPLOAD_ID_MAX];
	int r;

	if (!parts)
		return -ENOMEM;
	r = s3_upload_begin(s3, to, meta, declared, id);
	if (r)
		goto out;
	r = copy_parts(s3, from, src, to, id, parts, &n);
	if (r == 0)
		r = s3_upload_commit(s3, to, id, parts, n, meta, cond, declared,
				     ret);
	/* Not what may have been committed: an abort does no harm there, but
	 * the error is to be kept. */
	if (r && s3_mpu_abort(&s3->store, to, id))
		store_set_error("an upload of %s is left behind", to);
out:
	free(parts);
	return r;
}

static int put_empty(struct s3 *s3, const char *to,
		     const struct store_meta *meta,
		     const struct store_cond *cond, struct store_obj *ret)
{
	struct store_src_mem none;

	store_src_mem_init(&none, "", 0);
	return s3_put(&s3->store, to, &none.src, meta, cond, ret);
}

int s3_copy(struct store *s, const char *from, const char *from_etag,
	    const char *to, const struct store_meta *meta,
	    const struct store_cond *cond, struct store_obj *ret)
{
	struct s3 *s3 = (struct s3 *)s;
	bool is_cond = store_cond_is_set(cond);
	struct store_obj src;
	int r;

	if (is_cond && !(s->caps & STORE_CAP_PUT_COND)) {
		store_set_error("the store has no conditional requests");
		return -EOPNOTSUPP;
	}
	/* Pins the version, and brings size, checksum and metadata. */
	r = s3_head_if(s3, from, from_etag, &src);
	if (r)
		return r;
	if (!is_cond && src.size <= S3_COPY_MAX)
		return copy_at_once(s3, from, &src, to, meta, ret);
	if (!meta)
		meta = &src.meta;
	if (src.size == 0)
		return put_empty(s3, to, meta, cond, ret);
	/* MinIO has no uploads in parts of what looks like a folder. */
	if (!s3->has_copy_part || to[strlen(to) - 1] == '/') {
		store_set_error("the store copies no parts");
		return -EOPNOTSUPP;
	}
	return copy_by_parts(s3, from, &src, to, meta, cond, ret);
}
