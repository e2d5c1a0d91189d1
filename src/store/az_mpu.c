/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads in parts, but for what makes them one blob. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/text.h"

#include "az.h"
#include "store_int.h"

static int no_upload(void)
{
	store_set_error("there is no such upload");
	return -ENOENT;
}

static int record_name(const struct az *az, const char *id,
		       char ret[STORE_KEY_MAX + 1])
{
	int n = snprintf(ret, STORE_KEY_MAX + 1, "%s" AZ_UPLOADS "%s",
			 az->prefix, id);

	if (n > 0 && n <= STORE_KEY_MAX)
		return 0;
	store_set_error("the prefix is too long for uploads below it");
	return -EINVAL;
}

int az_upload_find(struct az *az, const char *key, const char *id)
{
	char name[STORE_KEY_MAX + 1];
	struct store_obj o;
	int r;

	if (!az_id_is_of(id, key))
		return no_upload();
	r = record_name(az, id, name);
	if (r == 0)
		r = az_head_if(az, name, NULL, &o);
	return r == -ENOENT ? no_upload() : r;
}

int az_upload_end(struct az *az, const char *id)
{
	char name[STORE_KEY_MAX + 1];
	int r = record_name(az, id, name);

	return r ? r : az_del(&az->store, name, NULL);
}

int az_mpu_begin(struct store *s, const char *key,
		 const struct store_meta *meta, bool copies,
		 char ret_id[STORE_UPLOAD_ID_MAX])
{
	struct az *az = (struct az *)s;
	char id[AZ_ID_LEN + 1], name[STORE_KEY_MAX + 1];
	struct buf encoded = BUF_INIT(3 * STORE_KEY_MAX);
	int r;

	(void)meta; /* that of the commit counts */
	(void)copies; /* all parts are blocks */
	az_id_make(key, id);
	r = record_name(az, id, name);
	if (r == 0)
		r = text_percent(&encoded, key, strlen(key), true);
	if (r == 0) /* never NULL; what the analyzer asks for */
		r = az_put_record(az, name, encoded.p ? encoded.p : "");
	buf_clear(&encoded);
	if (r == -EEXIST) /* a miracle */
		r = -EAGAIN;
	if (r == 0)
		memcpy(ret_id, id, sizeof(id));
	return r;
}

int az_mpu_part(struct store *s, const char *key, const char *id,
		unsigned number, const struct store_src *src,
		struct store_part *ret)
{
	struct az *az = (struct az *)s;
	struct az_req q = { .method = "PUT",
			    .key = key,
			    .src = src,
			    .quiet_s = AZ_BODY_QUIET_S };
	struct az_block b = { .number = number };
	struct store_part part = { .number = number, .size = src->len };
	char block[AZ_BLOCK_LEN + 1], etag[STORE_ETAG_MAX];
	struct http_resp resp;
	int r = az_upload_find(az, key, id);

	if (r == 0)
		r = store_src_crc64(src, &b.crc64);
	if (r)
		return r;
	memcpy(b.upload, id, sizeof(b.upload));
	az_block_encode(&b, block);
	az_req_query(&q, "comp", "block");
	az_req_query(&q, "blockid", block);
	az_req_crc(&q, b.crc64);
	r = az_perform(az, &q, &resp);
	if (r == 0) {
		r = az_etag_of(&resp, b.crc64, etag);
		if (r == -EPROTO) /* blocks have none */
			r = 0;
	}
	http_resp_clear(&resp);
	if (r)
		return r;
	part.has_crc64 = true;
	part.crc64 = b.crc64;
	memcpy(part.etag, block, sizeof(block));
	*ret = part;
	return 0;
}

/* ---- what there is ---- */

struct parts {
	const char *id;
	struct store_part *v;
	size_t n, cap;
};

static int note_part(void *arg, const char *id, uint64_t size)
{
	struct parts *p = arg;
	struct az_block b;
	struct store_part *part;

	if (!az_block_decode(id, &b) || strcmp(b.upload, p->id) != 0)
		return 0; /* of another upload */
	if (p->n == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 64;
		struct store_part *v = reallocarray(p->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		p->v = v;
		p->cap = cap;
	}
	part = &p->v[p->n++];
	*part = (struct store_part){ .number = b.number,
				     .size = size,
				     .has_crc64 = true,
				     .crc64 = b.crc64 };
	memcpy(part->etag, id, AZ_BLOCK_LEN + 1);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct store_part *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

/* One whose bytes changed and that was sent again is there twice: either may be
 * what the caller wants. */
int az_mpu_list_parts(struct store *s, const char *key, const char *id,
		      store_part_fn *fn, void *arg)
{
	struct az *az = (struct az *)s;
	struct parts p = { .id = id };
	int r = az_upload_find(az, key, id);

	if (r)
		return r;
	r = az_blocks_each(az, key, false, note_part, &p);
	if (r == -ENOENT) /* no block yet, so no blob */
		r = 0;
	if (p.n)
		qsort(p.v, p.n, sizeof(*p.v), by_number);
	for (size_t i = 0; i < p.n && r == 0; i++)
		r = fn(arg, &p.v[i]);
	free(p.v);
	return r;
}

struct uploads {
	const char *prefix; /* of the keys */
	size_t skip; /* to the id in a name */
	store_upload_fn *fn;
	void *arg;
};

static int give_upload(void *arg, const struct az_entry *e)
{
	const struct uploads *u = arg;
	struct buf key = BUF_INIT(STORE_KEY_MAX);
	const char *id = e->key + u->skip;
	int r;

	if (e->is_prefix || !e->of || !az_id_is_valid(id))
		return 0;
	r = text_unpercent(&key, e->of, strlen(e->of), false);
	if (r == 0 && key.p && strlen(key.p) == key.len &&
	    az_id_is_of(id, key.p) &&
	    strncmp(key.p, u->prefix, strlen(u->prefix)) == 0)
		r = u->fn(u->arg, key.p, id, e->obj.mtime_ns);
	else if (r != -ENOMEM)
		r = 0;
	buf_clear(&key);
	return r;
}

int az_mpu_list(struct store *s, const char *prefix, store_upload_fn *fn,
		void *arg)
{
	struct az *az = (struct az *)s;
	char names[STORE_KEY_MAX + 1];
	struct uploads u = { .prefix = prefix, .fn = fn, .arg = arg };
	const struct az_listing l = { .prefix = names,
				      .with_meta = true,
				      .fn = give_upload,
				      .arg = &u };
	int r = record_name(az, "", names);

	u.skip = r ? 0 : strlen(names);
	return r ? r : az_list_each(az, &l);
}

/* What was sent is dropped by the service. */
int az_mpu_abort(struct store *s, const char *key, const char *id)
{
	if (!az_id_is_of(id, key))
		return 0;
	return az_upload_end((struct az *)s, id);
}
