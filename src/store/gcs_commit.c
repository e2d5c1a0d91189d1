/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From parts to an object: the store joins at most 32 at a time, so many parts
 * become fewer objects first, and those again.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/hash.h"

#include "gcs.h"
#include "store_int.h"

#define BODY_MAX (256 * 1024)

/* What is to be joined: a part, or what was made of some. */
struct piece {
	unsigned level, number; /* by gcs_part_name() */
	char etag[STORE_ETAG_MAX];
	uint64_t size;
	uint32_t crc32c;
	bool has_crc32c;
};

/* ---- are the parts there? ---- */

struct wanted {
	const struct store_part *parts;
	struct piece *pieces;
	size_t n, at; /* the next to be seen */
};

static int see_part(void *arg, const struct store_part *there)
{
	struct wanted *w = arg;
	const struct store_part *p;
	struct piece *to;

	while (w->at < w->n && w->parts[w->at].number < there->number)
		w->at++;
	if (w->at == w->n || w->parts[w->at].number != there->number)
		return 0;
	p = &w->parts[w->at];
	to = &w->pieces[w->at];
	if (strcmp(p->etag, there->etag) != 0 || p->size != there->size)
		return 0;
	to->number = p->number;
	to->size = p->size;
	to->has_crc32c = p->has_crc32c || there->has_crc32c;
	to->crc32c = p->has_crc32c ? p->crc32c : there->crc32c;
	memcpy(to->etag, there->etag, sizeof(to->etag));
	if (!p->has_crc32c || !there->has_crc32c ||
	    p->crc32c == there->crc32c)
		return 0;
	store_set_error("part %u has another checksum there", p->number);
	return -EBADMSG;
}

static int find_parts(struct gcs *g, const char *id,
		      const struct store_part *parts, size_t n,
		      struct piece *pieces)
{
	struct wanted w = { .parts = parts, .pieces = pieces, .n = n };
	int r = gcs_parts_each(g, id, see_part, &w);

	for (size_t i = 0; i < n && r == 0; i++) {
		if (pieces[i].number)
			continue;
		store_set_error("part %u is missing or another",
				parts[i].number);
		r = -EINVAL;
	}
	return r;
}

/* ---- joining ---- */

static int write_source(struct gcs *g, const char *id, const struct piece *p,
			struct json_w *w)
{
	char name[STORE_KEY_MAX + 1];
	int r = gcs_part_name(g, id, p->level, p->number, name);

	if (r)
		return r;
	json_w_object(w, NULL);
	json_w_str(w, "name", name);
	json_w_str(w, "generation", p->etag);
	json_w_object(w, "objectPreconditions");
	json_w_str(w, "ifGenerationMatch", p->etag);
	json_w_close(w);
	json_w_close(w);
	return 0;
}

static int write_body(struct gcs *g, const char *id, const struct piece *from,
		      size_t n, const struct store_meta *meta, struct buf *b)
{
	struct json_w w = JSON_W_INIT(b);
	struct store_meta_text text;
	struct gcs_pair pairs[3];
	int r = 0;

	json_w_object(&w, NULL);
	json_w_array(&w, "sourceObjects");
	for (size_t i = 0; i < n && r == 0; i++)
		r = write_source(g, id, &from[i], &w);
	json_w_close(&w);
	json_w_object(&w, "destination");
	json_w_str(&w, "contentType", "application/octet-stream");
	if (meta && g->storage_class)
		json_w_str(&w, "storageClass", g->storage_class);
	if (meta) {
		store_meta_encode(meta, &text);
		gcs_write_meta(&w, pairs, gcs_meta_pairs(&text, pairs));
	}
	json_w_close(&w);
	json_w_close(&w);
	return r ? r : json_w_end(&w);
}

/* The checksum of n pieces one behind the other. */
static void sum_of(const struct piece *from, size_t n, struct piece *ret)
{
	ret->size = 0;
	ret->crc32c = 0;
	ret->has_crc32c = true;
	for (size_t i = 0; i < n; i++) {
		ret->has_crc32c &= from[i].has_crc32c;
		ret->crc32c = crc32c_combine(ret->crc32c, from[i].crc32c,
					     from[i].size);
		ret->size += from[i].size;
	}
}

/* Join n of them to the object `to`.  -EAGAIN: one of them is gone. */
static int join(struct gcs *g, const char *id, const struct piece *from,
		size_t n, const char *to, const struct store_meta *meta,
		const struct store_cond *cond, struct store_obj *ret)
{
	struct gcs_body body = { .head = BUF_INIT(BODY_MAX) };
	struct gcs_req q = { .method = "POST",
			     .key = to,
			     .verb = "compose",
			     .src = &body.src,
			     .quiet_s = GCS_WORK_QUIET_S,
			     .is_change = true };
	struct json *j = NULL;
	struct store_obj o;
	struct piece sum;
	int r = gcs_req_cond(&q, cond);

	gcs_req_header(&q, "Content-Type", "application/json");
	gcs_req_query(&q, "fields", GCS_FIELDS);
	if (g->kms_key)
		gcs_req_query(&q, "kmsKeyName", g->kms_key);
	if (r == 0)
		r = write_body(g, id, from, n, meta, &body.head);
	gcs_body_seal(&body);
	if (r == 0)
		r = gcs_ask(g, &q, &j);
	if (r == 0)
		r = gcs_obj_of(j, &o);
	json_free(j);
	gcs_body_clear(&body);
	if (r)
		return r == -ENOENT ? -EAGAIN : r;
	sum_of(from, n, &sum);
	if (o.size != sum.size || (sum.has_crc32c && o.has_crc32c &&
				   o.crc32c != sum.crc32c)) {
		store_set_error("the server's checksum or length is not ours");
		return -EBADMSG;
	}
	*ret = o;
	return 0;
}

/* Of n pieces make fewer, in place, until one request can join them.  What an
 * earlier try left under the same names is replaced. */
static int reduce(struct gcs *g, const char *id, struct piece *p, size_t *n)
{
	char name[STORE_KEY_MAX + 1];
	struct store_obj o;
	unsigned level = 0;
	int r = 0;

	while (*n > GCS_COMPOSE_MAX && r == 0) {
		size_t made = 0;

		level++;
		for (size_t i = 0; i < *n && r == 0; i += GCS_COMPOSE_MAX) {
			const size_t left = *n - i;
			const size_t k = left < GCS_COMPOSE_MAX ?
						 left :
						 GCS_COMPOSE_MAX;
			struct piece to = { .level = level,
					    .number = (unsigned)made + 1 };

			sum_of(p + i, k, &to);
			r = gcs_part_name(g, id, level, to.number, name);
			if (r == 0)
				r = join(g, id, p + i, k, name, NULL, NULL, &o);
			if (r == 0)
				memcpy(to.etag, o.etag, sizeof(to.etag));
			p[made++] = to;
		}
		*n = made;
	}
	return r;
}

/* ---- the commit ---- */

/*
 * Refused for what stands there: is it this very commit, which was cut short
 * before it could tidy up?  Or was it a part that is another by now?
 */
static int look(struct gcs *g, const char *key, const struct store_meta *meta,
		const struct store_cond *cond, int err, struct store_obj *ret)
{
	char words[160];
	struct store_obj o;
	int r;

	snprintf(words, sizeof(words), "%s", store_last_error());
	r = gcs_head_if(g, key, NULL, &o);
	if (r == -ENOENT)
		r = err;
	else if (r == 0 && *meta->write_id &&
		 strcmp(o.meta.write_id, meta->write_id) == 0)
		*ret = o;
	else if (r == 0)
		r = cond->if_match && strcmp(o.etag, cond->if_match) == 0 ?
			    -EAGAIN :
			    err;
	if (r)
		store_set_error("%s", words);
	return r;
}

static int commit(struct gcs *g, const char *key, const char *id,
		  struct piece *p, size_t n, const struct store_meta *meta,
		  const struct store_cond *cond, struct store_obj *ret)
{
	int r = reduce(g, id, p, &n);

	if (r == 0)
		r = join(g, id, p, n, key, meta, cond, ret);
	if (r == -EEXIST || r == -ESTALE)
		r = look(g, key, meta, cond, r, ret);
	return r;
}

/* The CRC-64 of the object from those of its parts, if each has one. */
static void whole_crc64(const struct store_part *parts, size_t n,
			struct store_obj *o)
{
	o->has_crc64 = true;
	o->crc64 = 0;
	for (size_t i = 0; i < n; i++) {
		o->has_crc64 &= parts[i].has_crc64;
		o->crc64 = crc64nvme_combine(o->crc64, parts[i].crc64,
					     parts[i].size);
	}
}

int gcs_mpu_commit(struct store *s, const char *key, const char *id,
		   const struct store_part *parts, size_t n,
		   const struct store_meta *meta, const struct store_cond *cond,
		   struct store_obj *ret)
{
	struct gcs *g = (struct gcs *)s;
	struct piece *p = calloc(n, sizeof(*p));
	struct store_obj o = { .size = 0 };
	int r;

	if (!p)
		return -ENOMEM;
	r = gcs_upload_find(g, key, id);
	if (r == 0)
		r = find_parts(g, id, parts, n, p);
	if (r == 0)
		r = commit(g, key, id, p, n, meta, cond, &o);
	free(p);
	if (r)
		return r;
	/* It is done: what stays behind here is swept at the next mount. */
	(void)!gcs_upload_remove(g, id);
	whole_crc64(parts, n, &o);
	o.mtime_ns = 0;
	o.meta = *meta;
	*ret = o;
	return 0;
}
