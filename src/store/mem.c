/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket in memory.  It can do everything a store may be able to do, so it
 * is the reference the conformance suite is written against, and the bucket
 * of the simulator.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ckptfs/clock.h"
#include "ckptfs/hash.h"

#include "mem.h"

/* setuid and setgid never leave the machine */
#define MODE_KEPT (~(uint32_t)(S_ISUID | S_ISGID))

int mem_check(struct mem_store *m)
{
	return __atomic_load_n(&m->stopped, __ATOMIC_ACQUIRE) ? -ECANCELED : 0;
}

int mem_body_new(uint64_t len, struct mem_body **ret)
{
	struct mem_body *b = NULL;

	if (len < SIZE_MAX - sizeof(*b))
		b = malloc(sizeof(*b) + len);
	if (!b)
		return -ENOMEM;
	b->refs = 1;
	b->len = len;
	b->crc64 = 0;
	*ret = b;
	return 0;
}

struct mem_body *mem_body_get(struct mem_body *b)
{
	__atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
	return b;
}

void mem_body_drop(struct mem_body *b)
{
	if (b && !__atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL))
		free(b);
}

int mem_body_read(struct mem_store *m, const struct store_src *src,
		  struct mem_body **ret)
{
	struct mem_body *b = NULL;
	int r = mem_body_new(src->len, &b);

	if (r)
		return r;
	for (uint64_t off = 0; off < src->len; off += STORE_SRC_CHUNK) {
		uint64_t left = src->len - off;
		size_t n = left < STORE_SRC_CHUNK ? left : STORE_SRC_CHUNK;

		r = mem_check(m);
		if (!r)
			r = store_src_read(src, off, b->p + off, n);
		if (r)
			goto out;
		b->crc64 = crc64nvme(b->crc64, b->p + off, n);
	}
	if (src->has_crc64 && src->crc64 != b->crc64) {
		store_set_error("the bytes do not match their checksum");
		r = -EBADMSG;
		goto out;
	}
	*ret = b;
	b = NULL;
out:
	mem_body_drop(b);
	return r;
}

void mem_etag_locked(struct mem_store *m, char ret[STORE_ETAG_MAX])
{
	snprintf(ret, STORE_ETAG_MAX, "\"%016" PRIx64 "\"", ++m->serial);
}

/* The place of the first object whose key is not below key. */
static size_t place_locked(struct mem_store *m, const char *key)
	REQUIRES(m->lock)
{
	size_t lo = 0, hi = m->n_objects;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(m->objects[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct mem_object *mem_find_locked(struct mem_store *m, const char *key)
{
	size_t i = place_locked(m, key);

	if (i < m->n_objects && !strcmp(m->objects[i].key, key))
		return &m->objects[i];
	return NULL;
}

static int insert_locked(struct mem_store *m, const char *key,
			 struct mem_object **ret) REQUIRES(m->lock)
{
	size_t i = place_locked(m, key);
	char *copy;

	if (m->n_objects == m->cap_objects) {
		size_t cap = m->cap_objects ? 2 * m->cap_objects : 64;
		struct mem_object *p =
			reallocarray(m->objects, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		m->objects = p;
		m->cap_objects = cap;
	}
	copy = strdup(key);
	if (!copy)
		return -ENOMEM;
	memmove(m->objects + i + 1, m->objects + i,
		(m->n_objects - i) * sizeof(*m->objects));
	m->n_objects++;
	m->objects[i] = (struct mem_object){ .key = copy };
	*ret = &m->objects[i];
	return 0;
}

static void remove_locked(struct mem_store *m, struct mem_object *o)
	REQUIRES(m->lock)
{
	size_t i = (size_t)(o - m->objects);

	free(o->key);
	mem_body_drop(o->body);
	m->n_objects--;
	memmove(o, o + 1, (m->n_objects - i) * sizeof(*o));
}

static int check_names(struct mem_store *m, const char *key)
{
	for (const char *p = key; *p; p += *p == '/') {
		size_t n = strcspn(p, "/");

		if (n > m->store.limits.name_max) {
			store_set_error("a part of the name is too long");
			return -EINVAL;
		}
		p += n;
	}
	return 0;
}

/* What is stored of meta: as much as survives the way to a real store. */
static struct store_meta kept_meta(const struct store_meta *meta)
{
	struct store_meta kept = *meta;

	kept.mtime_ns = meta->has_mtime ? meta->mtime_ns : 0;
	kept.mode = meta->has_mode ? meta->mode & MODE_KEPT : 0;
	return kept;
}

/* A folder has no place for a file that has the name of one of its folders, nor
 * for a folder that has a file's.  A marker is its folder. */
static bool is_in_the_way(const char *a, const char *b)
{
	size_t n = strlen(a);

	return n && a[n - 1] != '/' && strncmp(a, b, n) == 0 && b[n] == '/';
}

static int check_clash_locked(struct mem_store *m, const char *key)
	REQUIRES(m->lock)
{
	const char *at;

	if (m->store.caps & STORE_CAP_FILE_AND_DIR)
		return 0;
	for (size_t i = 0; i < m->n_objects; i++) {
		at = m->objects[i].key;
		if (!is_in_the_way(at, key) && !is_in_the_way(key, at))
			continue;
		store_set_error("%s is there", at);
		return -EINVAL;
	}
	return 0;
}

int mem_store_locked(struct mem_store *m, const char *key,
		     struct mem_body *body, const struct store_meta *meta,
		     const struct store_cond *cond, struct store_obj *ret)
{
	struct mem_object *o = mem_find_locked(m, key);
	int64_t now = clk_real(m->clk);
	int r = store_cond_check(cond, o ? &o->obj : NULL);

	if (!r)
		r = check_names(m, key);
	if (!r)
		r = check_clash_locked(m, key);
	if (!r && !o)
		r = insert_locked(m, key, &o);
	if (r)
		return r;
	/* a store's times never go back within one bucket */
	m->last_ns = now > m->last_ns ? now : m->last_ns;
	mem_body_drop(o->body);
	o->body = body;
	o->obj = (struct store_obj){ .size = body->len,
				     .mtime_ns = m->last_ns,
				     .has_crc64 = true,
				     .crc64 = body->crc64,
				     .has_meta = true,
				     .meta = kept_meta(meta) };
	mem_etag_locked(m, o->obj.etag);
	*ret = o->obj;
	return 0;
}

static int mem_probe(struct store *s, const char *prefix, bool read_only)
{
	(void)prefix;
	(void)read_only;
	return mem_check((struct mem_store *)s);
}

static int mem_head(struct store *s, const char *key, struct store_obj *ret)
{
	struct mem_store *m = (struct mem_store *)s;
	struct mem_object *o;
	int r = mem_check(m);

	if (r)
		return r;
	lock_acquire(&m->lock);
	o = mem_find_locked(m, key);
	if (o)
		*ret = o->obj;
	lock_release(&m->lock);
	return o ? 0 : -ENOENT;
}

static int mem_get(struct store *s, const char *key, const char *if_match,
		   uint64_t off, uint64_t len, store_sink_fn *sink, void *arg,
		   struct store_obj *ret)
{
	struct mem_store *m = (struct mem_store *)s;
	struct store_cond cond = { .if_match = if_match };
	struct mem_body *b = NULL;
	struct mem_object *o;
	struct store_obj obj;
	int r = mem_check(m);

	if (r)
		return r;
	lock_acquire(&m->lock);
	o = mem_find_locked(m, key);
	r = store_cond_check(&cond, o ? &o->obj : NULL);
	if (!r && !o)
		r = -ENOENT;
	if (!r) {
		b = mem_body_get(o->body);
		obj = o->obj;
	}
	lock_release(&m->lock);
	if (r)
		return r;
	off = off < b->len ? off : b->len;
	len = len < b->len - off ? len : b->len - off;
	while (len && !r) {
		size_t n = len < STORE_SRC_CHUNK ? len : STORE_SRC_CHUNK;

		r = store_sink_give(sink, arg, b->p + off, n);
		if (!r)
			r = mem_check(m);
		off += n;
		len -= n;
	}
	mem_body_drop(b);
	if (!r)
		*ret = obj;
	return r;
}

static int mem_put(struct store *s, const char *key,
		   const struct store_src *src, const struct store_meta *meta,
		   const struct store_cond *cond, struct store_obj *ret)
{
	struct mem_store *m = (struct mem_store *)s;
	struct mem_body *b = NULL;
	int r = mem_check(m);

	if (!r)
		r = mem_body_read(m, src, &b);
	if (r)
		return r;
	lock_acquire(&m->lock);
	r = mem_store_locked(m, key, b, meta, cond, ret);
	lock_release(&m->lock);
	if (r)
		mem_body_drop(b);
	return r;
}

static int mem_del(struct store *s, const char *key,
		   const struct store_cond *cond)
{
	struct mem_store *m = (struct mem_store *)s;
	struct mem_object *o;
	int r = mem_check(m);

	if (r)
		return r;
	lock_acquire(&m->lock);
	o = mem_find_locked(m, key);
	r = store_cond_check(cond, o ? &o->obj : NULL);
	if (!r && o)
		remove_locked(m, o);
	lock_release(&m->lock);
	return r;
}

/* The next entry of a listing at or after *at; folds what is delimited. */
static bool next_locked(struct mem_store *m, const char *prefix, bool delimited,
			const char *at, bool past,
			char ret_key[STORE_KEY_MAX + 2],
			struct store_obj *ret_obj, bool *ret_folded)
	REQUIRES(m->lock)
{
	size_t i = place_locked(m, at), n = strlen(prefix);
	const char *slash;

	if (past && i < m->n_objects && !strcmp(m->objects[i].key, at))
		i++;
	if (i == m->n_objects || strncmp(m->objects[i].key, prefix, n) != 0)
		return false;
	snprintf(ret_key, STORE_KEY_MAX + 2, "%s", m->objects[i].key);
	*ret_obj = m->objects[i].obj;
	ret_obj->has_meta = false; /* as a real listing, which has none */
	ret_obj->has_crc64 = false;
	slash = delimited ? strchr(ret_key + n, '/') : NULL;
	*ret_folded = slash;
	if (slash)
		ret_key[slash - ret_key + 1] = '\0';
	return true;
}

static int mem_list(struct store *s, const char *prefix, const char *after,
		    bool delimited, store_list_fn *fn, void *arg)
{
	struct mem_store *m = (struct mem_store *)s;
	char at[STORE_KEY_MAX + 2], key[STORE_KEY_MAX + 2];
	bool found, folded, past = false;
	struct store_obj obj;
	int r = 0;

	snprintf(at, sizeof(at), "%s", prefix);
	if (after && strcmp(after, prefix) > 0) {
		snprintf(at, sizeof(at), "%s", after);
		past = true;
	}
	/* the lock is given up around fn, so each step looks up its place */
	while (!(r = mem_check(m))) {
		lock_acquire(&m->lock);
		found = next_locked(m, prefix, delimited, at, past, key, &obj,
				    &folded);
		lock_release(&m->lock);
		if (!found)
			break;
		r = fn(arg, key, folded ? NULL : &obj);
		if (r)
			break;
		memcpy(at, key, sizeof(at));
		past = !folded;
		if (folded) /* '0' follows '/': past all that was folded */
			at[strlen(at) - 1] = '0';
	}
	return r;
}

static int mem_copy(struct store *s, const char *from, const char *from_etag,
		    const char *to, const struct store_meta *meta,
		    const struct store_cond *cond, struct store_obj *ret)
{
	struct mem_store *m = (struct mem_store *)s;
	struct store_cond src_cond = { .if_match = from_etag };
	struct mem_body *b = NULL;
	struct mem_object *o;
	struct store_meta keep;
	int r = mem_check(m);

	if (r)
		return r;
	lock_acquire(&m->lock);
	o = mem_find_locked(m, from);
	r = store_cond_check(&src_cond, o ? &o->obj : NULL);
	if (!r && !o)
		r = -ENOENT;
	if (!r) {
		keep = meta ? *meta : o->obj.meta;
		b = mem_body_get(o->body);
		r = mem_store_locked(m, to, b, &keep, cond, ret);
	}
	lock_release(&m->lock);
	if (r)
		mem_body_drop(b);
	return r;
}

static int mem_rename(struct store *s, const char *from, const char *to,
		      struct store_obj *ret)
{
	struct mem_store *m = (struct mem_store *)s;
	struct mem_body *b = NULL;
	struct mem_object *o;
	struct store_meta keep;
	int r = mem_check(m);

	if (r)
		return r;
	lock_acquire(&m->lock);
	o = mem_find_locked(m, from);
	r = o ? 0 : -ENOENT;
	if (!r) {
		keep = o->obj.meta;
		b = mem_body_get(o->body);
		r = mem_store_locked(m, to, b, &keep, NULL, ret);
	}
	if (!r && strcmp(from, to) != 0)
		remove_locked(m, mem_find_locked(m, from));
	lock_release(&m->lock);
	if (r)
		mem_body_drop(b);
	return r;
}

static void mem_shutdown(struct store *s)
{
	struct mem_store *m = (struct mem_store *)s;

	__atomic_store_n(&m->stopped, true, __ATOMIC_RELEASE);
}

static void mem_free(struct store *s)
{
	struct mem_store *m = (struct mem_store *)s;

	for (size_t i = 0; i < m->n_objects; i++) {
		free(m->objects[i].key);
		mem_body_drop(m->objects[i].body);
	}
	for (size_t i = 0; i < m->n_uploads; i++)
		mem_upload_free(m->uploads[i]);
	free(m->objects);
	free(m->uploads);
	lock_fini(&m->lock);
	free(m);
}

static const struct store_ops mem_ops = {
	.name = "mem",
	.probe = mem_probe,
	.head = mem_head,
	.get = mem_get,
	.put = mem_put,
	.del = mem_del,
	.list = mem_list,
	.copy = mem_copy,
	.rename = mem_rename,
	.mpu_begin = mem_mpu_begin,
	.mpu_part = mem_mpu_part,
	.mpu_copy_part = mem_mpu_copy_part,
	.mpu_list_parts = mem_mpu_list_parts,
	.mpu_list = mem_mpu_list,
	.mpu_commit = mem_mpu_commit,
	.mpu_abort = mem_mpu_abort,
	.shutdown = mem_shutdown,
	.free = mem_free,
};

struct store *store_mem_tree_new(const struct clk *clk)
{
	struct store *s = store_mem_new(clk);

	if (s)
		s->caps &= ~(unsigned)STORE_CAP_FILE_AND_DIR;
	return s;
}

struct store *store_mem_new(const struct clk *clk)
{
	struct mem_store *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	store_init(&m->store, &mem_ops);
	m->store.caps = STORE_CAP_PUT_COND | STORE_CAP_DEL_COND |
			STORE_CAP_COPY | STORE_CAP_COPY_PART |
			STORE_CAP_RENAME | STORE_CAP_CRC64 |
			STORE_CAP_FILE_AND_DIR | STORE_CAP_COMMIT_META |
			STORE_CAP_META | STORE_CAP_CONTROL |
			STORE_CAP_ANY_BYTES | STORE_CAP_MPU_PREFIX |
			STORE_CAP_COPY_CRC64 | STORE_CAP_DEL_MANY |
			STORE_CAP_DEL_MANY_COND;
	m->store.limits = (struct store_limits){ .put_max = UINT64_C(5) << 30,
						 .part_min = 1,
						 .part_max = UINT64_C(5) << 30,
						 .parts_max = 10000,
						 .name_max = STORE_KEY_MAX };
	m->clk = clk;
	lock_init(&m->lock, LOCK_LEAF, "mem store");
	return &m->store;
}
