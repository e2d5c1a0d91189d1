/* SPDX-License-Identifier: Apache-2.0 */
/* Parts made one blob. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/hash.h"

#include "az.h"
#include "store_int.h"

#define LIST_MAX (8u << 20) /* 50,000 blocks, and room */

static int no_part(unsigned number)
{
	store_set_error("part %u is not what was sent", number);
	return -EINVAL;
}

/* The list of blocks, and what the blob will be. */
static int write_list(const struct store_part *parts, size_t n, const char *id,
		      struct buf *b, struct store_obj *o)
{
	int r = buf_addf(b, "<?xml version=\"1.0\" encoding=\"utf-8\"?>"
			    "<BlockList>");

	o->has_crc64 = true;
	for (size_t i = 0; i < n && r == 0; i++) {
		struct az_block block;

		if (!az_block_decode(parts[i].etag, &block) ||
		    strcmp(block.upload, id) != 0 ||
		    block.number != parts[i].number)
			return no_part(parts[i].number);
		o->crc64 = crc64nvme_combine(o->crc64, block.crc64,
					     parts[i].size);
		o->size += parts[i].size;
		r = buf_addf(b, "<Latest>%s</Latest>", parts[i].etag);
	}
	return r ? r : buf_addf(b, "</BlockList>");
}

static int send_list(struct az *az, const char *key, const struct buf *list,
		     const struct store_meta *meta,
		     const struct store_cond *cond, struct store_obj *o)
{
	struct store_src_mem body;
	struct az_req q = { .method = "PUT",
			    .key = key,
			    .src = &body.src,
			    .quiet_s = AZ_WORK_QUIET_S,
			    .is_change = true };
	const uint64_t crc = crc64nvme(0, list->p, list->len);
	struct store_meta_text text;
	struct http_resp resp;
	int r;

	store_src_mem_init(&body, list->p, list->len);
	store_meta_encode(meta, &text);
	az_req_query(&q, "comp", "blocklist");
	az_req_crc(&q, crc);
	az_req_meta(&q, &text);
	az_req_cond(&q, cond);
	r = az_perform(az, &q, &resp);
	if (r == 0)
		r = az_etag_of(&resp, crc, o->etag);
	http_resp_clear(&resp);
	return r;
}

/* Is what is there what the commit would have made? */
static bool is_done(struct az *az, const char *key,
		    const struct store_meta *meta, struct store_obj *o)
{
	struct store_obj there;

	if (!*meta->write_id || az_head_if(az, key, NULL, &there) ||
	    there.size != o->size ||
	    strcmp(there.meta.write_id, meta->write_id) != 0)
		return false;
	memcpy(o->etag, there.etag, sizeof(o->etag));
	return true;
}

/* A refusal may be about a commit of ours whose answer was lost. */
static int settle(struct az *az, const char *key, int r,
		  const struct store_meta *meta, struct store_obj *o)
{
	char words[512];

	if (r != -EEXIST && r != -ESTALE && r != -ENOENT)
		return r;
	snprintf(words, sizeof(words), "%s", store_last_error());
	if (is_done(az, key, meta, o))
		return 0;
	store_set_error("%s", words);
	return r;
}

int az_mpu_commit(struct store *s, const char *key, const char *id,
		  const struct store_part *parts, size_t n,
		  const struct store_meta *meta, const struct store_cond *cond,
		  struct store_obj *ret)
{
	struct az *az = (struct az *)s;
	struct buf list = BUF_INIT(LIST_MAX);
	struct store_obj o = { .has_meta = true, .meta = *meta };
	int r = az_upload_find(az, key, id);

	if (r == 0)
		r = write_list(parts, n, id, &list, &o);
	if (r == 0) {
		r = send_list(az, key, &list, meta, cond, &o);
		r = settle(az, key, r, meta, &o);
	}
	buf_clear(&list);
	if (r)
		return r == -EMSGSIZE ? -EINVAL : r;
	/* If it stays, it is found and ended as any other that was left. */
	(void)!az_upload_end(az, id);
	*ret = o;
	return 0;
}
