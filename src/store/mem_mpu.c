/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads in parts, of the memory store. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/hash.h"

#include "mem.h"

void mem_upload_free(struct mem_upload *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < u->n_parts; i++)
		mem_body_drop(u->parts[i].body);
	free(u->parts);
	free(u->key);
	free(u);
}

/* Its place among the uploads, or n_uploads. */
static size_t find_locked(struct mem_store *m, const char *key, const char *id)
	REQUIRES(m->lock)
{
	size_t i = 0;

	while (i < m->n_uploads && (strcmp(m->uploads[i]->id, id) != 0 ||
				    strcmp(m->uploads[i]->key, key) != 0))
		i++;
	return i;
}

static struct mem_upload *upload_locked(struct mem_store *m, const char *key,
					const char *id) REQUIRES(m->lock)
{
	size_t i = find_locked(m, key, id);

	return i < m->n_uploads ? m->uploads[i] : NULL;
}

static void remove_locked(struct mem_store *m, size_t i) REQUIRES(m->lock)
{
	mem_upload_free(m->uploads[i]);
	m->n_uploads--;
	memmove(m->uploads + i, m->uploads + i + 1,
		(m->n_uploads - i) * sizeof(struct mem_upload *));
}

int mem_mpu_begin(struct store *s, const char *key,
		  const struct store_meta *meta, bool copies,
		  char ret_id[STORE_UPLOAD_ID_MAX])
{
	struct mem_store *m = (struct mem_store *)s;
	struct mem_upload *u = NULL, **p;
	int r = mem_check(m);

	if (r)
		return r;
	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	u->key = strdup(key);
	u->meta = *meta;
	u->copies = copies;
	u->begun_ns = clk_real(m->clk);
	r = -ENOMEM;
	lock_acquire(&m->lock);
	p = reallocarray(m->uploads, m->n_uploads + 1,
			 sizeof(struct mem_upload *));
	if (p)
		m->uploads = p;
	if (p && u->key) {
		snprintf(u->id, sizeof(u->id), "up-%" PRIu64, ++m->serial);
		snprintf(ret_id, STORE_UPLOAD_ID_MAX, "%s", u->id);
		p[m->n_uploads++] = u;
		u = NULL;
		r = 0;
	}
	lock_release(&m->lock);
	mem_upload_free(u);
	return r;
}

/* Add or replace a part; takes over body's reference when it succeeds. */
static int set_part_locked(struct mem_store *m, struct mem_upload *u,
			   unsigned number, struct mem_body *body,
			   struct store_part *ret) REQUIRES(m->lock)
{
	struct mem_part *p;
	size_t i = 0;

	while (i < u->n_parts && u->parts[i].part.number < number)
		i++;
	if (i == u->n_parts || u->parts[i].part.number != number) {
		p = reallocarray(u->parts, u->n_parts + 1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		u->parts = p;
		memmove(p + i + 1, p + i, (u->n_parts - i) * sizeof(*p));
		p[i].body = NULL;
		u->n_parts++;
	}
	p = &u->parts[i];
	mem_body_drop(p->body);
	p->body = body;
	p->part = (struct store_part){ .number = number,
				       .size = body->len,
				       .has_crc64 = true,
				       .crc64 = body->crc64 };
	mem_etag_locked(m, p->part.etag);
	*ret = p->part;
	return 0;
}

int mem_mpu_part(struct store *s, const char *key, const char *id,
		 unsigned number, const struct store_src *src,
		 struct store_part *ret)
{
	struct mem_store *m = (struct mem_store *)s;
	struct mem_upload *u;
	struct mem_body *b = NULL;
	int r = mem_check(m);

	if (!r)
		r = mem_body_read(m, src, &b);
	if (r)
		return r;
	lock_acquire(&m->lock);
	u = upload_locked(m, key, id);
	r = u ? set_part_locked(m, u, number, b, ret) : -ENOENT;
	lock_release(&m->lock);
	if (r)
		mem_body_drop(b);
	return r;
}

int mem_mpu_copy_part(struct store *s, const char *key, const char *id,
		      unsigned number, const char *from, const char *from_etag,
		      uint64_t off, uint64_t len, struct store_part *ret)
{
	struct mem_store *m = (struct mem_store *)s;
	struct store_cond cond = { .if_match = from_etag };
	struct mem_body *b = NULL;
	struct mem_object *o;
	struct mem_upload *u;
	int r = mem_check(m);

	if (r)
		return r;
	r = mem_body_new(len, &b);
	if (r)
		return r;
	lock_acquire(&m->lock);
	u = upload_locked(m, key, id);
	o = mem_find_locked(m, from);
	r = store_cond_check(&cond, o ? &o->obj : NULL);
	if (!r && (!o || !u))
		r = -ENOENT;
	if (!r && (!u->copies || off > o->body->len ||
		   len > o->body->len - off))
		r = -EINVAL;
	if (!r) {
		memcpy(b->p, o->body->p + off, len);
		b->crc64 = crc64nvme(0, b->p, len);
		r = set_part_locked(m, u, number, b, ret);
		ret->copied = r == 0;
	}
	lock_release(&m->lock);
	if (r)
		mem_body_drop(b);
	return r;
}

int mem_mpu_list_parts(struct store *s, const char *key, const char *id,
		       store_part_fn *fn, void *arg)
{
	struct mem_store *m = (struct mem_store *)s;
	struct store_part *copy = NULL;
	struct mem_upload *u;
	size_t n = 0;
	int r = mem_check(m);

	if (r)
		return r;
	lock_acquire(&m->lock);
	u = upload_locked(m, key, id);
	r = u ? 0 : -ENOENT;
	if (u && u->n_parts) {
		copy = calloc(u->n_parts, sizeof(*copy));
		r = copy ? 0 : -ENOMEM;
	}
	for (; copy && n < u->n_parts; n++)
		copy[n] = u->parts[n].part;
	lock_release(&m->lock);
	for (size_t i = 0; i < n && !r; i++)
		r = fn(arg, &copy[i]);
	free(copy);
	return r;
}

int mem_mpu_list(struct store *s, const char *prefix, store_upload_fn *fn,
		 void *arg)
{
	struct mem_store *m = (struct mem_store *)s;
	int r;

	for (size_t i = 0; !(r = mem_check(m)); i++) {
		char key[STORE_KEY_MAX + 1], id[32];
		bool found = false;
		int64_t begun_ns = 0;

		lock_acquire(&m->lock);
		for (; i < m->n_uploads && !found; i += !found) {
			struct mem_upload *u = m->uploads[i];

			if (strncmp(u->key, prefix, strlen(prefix)) != 0)
				continue;
			snprintf(key, sizeof(key), "%s", u->key);
			memcpy(id, u->id, sizeof(id));
			begun_ns = u->begun_ns;
			found = true;
		}
		lock_release(&m->lock);
		if (!found)
			break;
		r = fn(arg, key, id, begun_ns);
		if (r)
			break;
	}
	return r;
}

static const struct mem_part *find_part(const struct mem_upload *u,
					const struct store_part *want)
{
	for (size_t i = 0; i < u->n_parts; i++)
		if (u->parts[i].part.number == want->number)
			return strcmp(u->parts[i].part.etag, want->etag)
				       ? NULL
				       : &u->parts[i];
	return NULL;
}

/* The bytes of the named parts, one after the other. */
static int join_locked(struct mem_store *m, const struct mem_upload *u,
		       const struct store_part *parts, size_t n,
		       struct mem_body **ret) REQUIRES(m->lock)
{
	struct mem_body *b = NULL;
	uint64_t len = 0;
	int r;

	for (size_t i = 0; i < n; i++) {
		const struct mem_part *p = find_part(u, &parts[i]);

		if (!p) {
			store_set_error("part %u is missing or another",
					parts[i].number);
			return -EINVAL;
		}
		if (i + 1 < n && p->body->len < m->store.limits.part_min) {
			store_set_error("part %u is too small", p->part.number);
			return -EINVAL;
		}
		len += p->body->len;
	}
	r = mem_body_new(len, &b);
	if (r)
		return r;
	len = 0;
	for (size_t i = 0; i < n; i++) {
		const struct mem_part *p = find_part(u, &parts[i]);
		const struct mem_body *pb;

		assert(p);
		pb = p->body;
		memcpy(b->p + len, pb->p, pb->len);
		b->crc64 = crc64nvme_combine(b->crc64, pb->crc64, pb->len);
		len += pb->len;
	}
	*ret = b;
	return 0;
}

int mem_mpu_commit(struct store *s, const char *key, const char *id,
		   const struct store_part *parts, size_t n,
		   const struct store_meta *meta, const struct store_cond *cond,
		   struct store_obj *ret)
{
	struct mem_store *m = (struct mem_store *)s;
	struct mem_body *b = NULL;
	const struct store_meta *used = meta;
	size_t i;
	int r = mem_check(m);

	if (r)
		return r;
	lock_acquire(&m->lock);
	i = find_locked(m, key, id);
	r = i < m->n_uploads ? 0 : -ENOENT;
	if (!r) {
		/* a test may take the capability away to be like S3 */
		if (!(m->store.caps & STORE_CAP_COMMIT_META))
			used = &m->uploads[i]->meta;
		r = join_locked(m, m->uploads[i], parts, n, &b);
	}
	if (!r)
		r = mem_store_locked(m, key, b, used, cond, ret);
	if (!r)
		remove_locked(m, i);
	lock_release(&m->lock);
	if (r)
		mem_body_drop(b);
	return r;
}

int mem_mpu_abort(struct store *s, const char *key, const char *id)
{
	struct mem_store *m = (struct mem_store *)s;
	size_t i;
	int r = mem_check(m);

	if (r)
		return r;
	lock_acquire(&m->lock);
	i = find_locked(m, key, id);
	if (i < m->n_uploads)
		remove_locked(m, i);
	lock_release(&m->lock);
	return 0;
}
