/* SPDX-License-Identifier: Apache-2.0 */
/* A decorator that fails on purpose, and tells what it was asked. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/lock.h"

#include "store_int.h"

#define LOG_MAX (64u << 20)

struct plan {
	struct store_fault f; /* owns its strings */
	unsigned seen; /* matching calls */
};

struct fault_store {
	struct store store;
	struct store *inner;
	bool (*is_dead)(void *arg); /* set before it is used by many */
	void *arg;
	struct lock lock; /* guards the rest */
	struct plan *plan;
	size_t n_plan;
	struct buf log;
};

/* What is to happen to one call. */
struct hit {
	bool is_hit;
	enum store_fault_act act;
	int err;
};

static bool matches(const struct store_fault *f, const char *method,
		    const char *key)
{
	return (!f->method || !strcmp(f->method, method)) &&
	       (!f->key || strstr(key, f->key));
}

static struct hit enter(struct fault_store *f, const char *method,
			const char *key, const char *more)
{
	struct hit h = { .is_hit = false };
	int full;

	if (f->is_dead && f->is_dead(f->arg))
		return (struct hit){ true, STORE_FAULT_BEFORE, -ETIMEDOUT };
	lock_acquire(&f->lock);
	full = buf_addf(&f->log, "%s %s%s%s\n", method, key, more[0] ? " " : "",
			more);
	if (full) /* a log with a gap tells a test what is not so */
		abort();
	for (size_t i = 0; i < f->n_plan && !h.is_hit; i++) {
		struct plan *p = &f->plan[i];

		if (!matches(&p->f, method, key) ||
		    (p->f.count && p->seen >= p->f.skip + p->f.count))
			continue;
		if (p->seen++ >= p->f.skip)
			h = (struct hit){ true, p->f.act, p->f.err };
		else
			break;
	}
	lock_release(&f->lock);
	if (h.is_hit)
		store_set_error("made to fail");
	return h;
}

static bool fails_before(const struct hit *h)
{
	return h->is_hit && h->act == STORE_FAULT_BEFORE;
}

static int leave(const struct hit *h, int r)
{
	if (r || !h->is_hit || h->act == STORE_FAULT_FLIP)
		return r;
	store_set_error("made to fail");
	return h->err;
}

/* The same for calls that return an object. */
static int leave_obj(const struct hit *h, int r, const struct store_obj *obj,
		     struct store_obj *ret)
{
	r = leave(h, r);
	if (!r)
		*ret = *obj;
	return r;
}

static int fault_probe(struct store *s, const char *prefix, bool read_only)
{
	struct fault_store *f = (struct fault_store *)s;
	struct hit h = enter(f, "probe", prefix, "");
	int r;

	if (fails_before(&h))
		return h.err;
	r = store_probe(f->inner, prefix, read_only);
	s->caps = f->inner->caps;
	s->limits = f->inner->limits;
	return leave(&h, r);
}

static int fault_head(struct store *s, const char *key, struct store_obj *ret)
{
	struct fault_store *f = (struct fault_store *)s;
	struct hit h = enter(f, "head", key, "");
	struct store_obj obj;

	if (fails_before(&h))
		return h.err;
	return leave_obj(&h, store_head(f->inner, key, &obj), &obj, ret);
}

struct flip {
	store_sink_fn *sink;
	void *arg;
	bool done;
};

static int flip_sink(void *arg, const void *p, size_t n)
{
	struct flip *fl = arg;
	unsigned char *copy;
	int r;

	if (fl->done)
		return fl->sink(fl->arg, p, n);
	copy = malloc(n);
	if (!copy)
		return -EIO;
	memcpy(copy, p, n);
	copy[n / 2] ^= 1;
	fl->done = true;
	r = fl->sink(fl->arg, copy, n);
	free(copy);
	return r;
}

static int fault_get(struct store *s, const char *key, const char *if_match,
		     uint64_t off, uint64_t len, store_sink_fn *sink, void *arg,
		     struct store_obj *ret)
{
	struct fault_store *f = (struct fault_store *)s;
	struct flip fl = { .sink = sink, .arg = arg };
	struct store_obj obj;
	struct hit h;
	char range[48];
	int r;

	snprintf(range, sizeof(range), "%" PRIu64 "+%" PRIu64, off, len);
	h = enter(f, "get", key, range);
	if (fails_before(&h))
		return h.err;
	if (h.is_hit && h.act == STORE_FAULT_FLIP) {
		sink = flip_sink;
		arg = &fl;
	}
	if (h.is_hit && h.act == STORE_FAULT_HALF)
		len /= 2;
	r = store_get(f->inner, key, if_match, off, len, sink, arg, &obj);
	return leave_obj(&h, r, &obj, ret);
}

static int fault_put(struct store *s, const char *key,
		     const struct store_src *src, const struct store_meta *meta,
		     const struct store_cond *cond, struct store_obj *ret)
{
	struct fault_store *f = (struct fault_store *)s;
	struct hit h = enter(f, "put", key, "");
	struct store_obj obj;

	if (fails_before(&h))
		return h.err;
	return leave_obj(&h, store_put(f->inner, key, src, meta, cond, &obj),
			 &obj, ret);
}

static int fault_del(struct store *s, const char *key,
		     const struct store_cond *cond)
{
	struct fault_store *f = (struct fault_store *)s;
	struct hit h = enter(f, "del", key, "");

	if (fails_before(&h))
		return h.err;
	return leave(&h, store_del(f->inner, key, cond));
}

static int fault_del_many(struct store *s, const struct store_del *dels,
			  size_t n, int *ret_errs)
{
	struct fault_store *f = (struct fault_store *)s;
	struct hit h = enter(f, "del_many", dels[0].key, "");

	if (fails_before(&h))
		return h.err;
	return leave(&h, store_del_many(f->inner, dels, n, ret_errs));
}

static int fault_list(struct store *s, const char *prefix, const char *after,
		      bool delimited, store_list_fn *fn, void *arg)
{
	struct fault_store *f = (struct fault_store *)s;
	struct hit h = enter(f, "list", prefix, "");

	if (fails_before(&h))
		return h.err;
	return leave(&h,
		     store_list(f->inner, prefix, after, delimited, fn, arg));
}

static int fault_copy(struct store *s, const char *from, const char *from_etag,
		      const char *to, const struct store_meta *meta,
		      const struct store_cond *cond, struct store_obj *ret)
{
	struct fault_store *f = (struct fault_store *)s;
	struct hit h = enter(f, "copy", from, to);
	struct store_obj obj;
	int r;

	if (fails_before(&h))
		return h.err;
	r = store_copy(f->inner, from, from_etag, to, meta, cond, &obj);
	return leave_obj(&h, r, &obj, ret);
}

static int fault_rename(struct store *s, const char *from, const char *to,
			struct store_obj *ret)
{
	struct fault_store *f = (struct fault_store *)s;
	struct hit h = enter(f, "rename", from, to);
	struct store_obj obj;

	if (fails_before(&h))
		return h.err;
	return leave_obj(&h, store_rename(f->inner, from, to, &obj), &obj, ret);
}

static int fault_mpu_begin(struct store *s, const char *key,
			   const struct store_meta *meta, bool copies,
			   char ret_id[STORE_UPLOAD_ID_MAX])
{
	struct fault_store *f = (struct fault_store *)s;
	struct hit h = enter(f, "mpu_begin", key, "");
	char id[STORE_UPLOAD_ID_MAX];
	int r;

	if (fails_before(&h))
		return h.err;
	r = leave(&h, store_mpu_begin(f->inner, key, meta, copies, id));
	if (!r)
		memcpy(ret_id, id, sizeof(id));
	return r;
}

static int fault_mpu_part(struct store *s, const char *key, const char *id,
			  unsigned number, const struct store_src *src,
			  struct store_part *ret)
{
	struct fault_store *f = (struct fault_store *)s;
	struct store_part part;
	struct hit h;
	char text[16];
	int r;

	snprintf(text, sizeof(text), "%u", number);
	h = enter(f, "mpu_part", key, text);
	if (fails_before(&h))
		return h.err;
	r = leave(&h, store_mpu_part(f->inner, key, id, number, src, &part));
	if (!r)
		*ret = part;
	return r;
}

static int fault_mpu_copy_part(struct store *s, const char *key, const char *id,
			       unsigned number, const char *from,
			       const char *from_etag, uint64_t off,
			       uint64_t len, struct store_part *ret)
{
	struct fault_store *f = (struct fault_store *)s;
	struct store_part part;
	struct hit h;
	char text[16];
	int r;

	snprintf(text, sizeof(text), "%u", number);
	h = enter(f, "mpu_copy_part", key, text);
	if (fails_before(&h))
		return h.err;
	r = leave(&h, store_mpu_copy_part(f->inner, key, id, number, from,
					  from_etag, off, len, &part));
	if (!r)
		*ret = part;
	return r;
}

static int fault_mpu_list_parts(struct store *s, const char *key,
				const char *id, store_part_fn *fn, void *arg)
{
	struct fault_store *f = (struct fault_store *)s;
	struct hit h = enter(f, "mpu_list_parts", key, "");

	if (fails_before(&h))
		return h.err;
	return leave(&h, store_mpu_list_parts(f->inner, key, id, fn, arg));
}

static int fault_mpu_list(struct store *s, const char *prefix,
			  store_upload_fn *fn, void *arg)
{
	struct fault_store *f = (struct fault_store *)s;
	struct hit h = enter(f, "mpu_list", prefix, "");

	if (fails_before(&h))
		return h.err;
	return leave(&h, store_mpu_list(f->inner, prefix, fn, arg));
}

static int fault_mpu_commit(struct store *s, const char *key, const char *id,
			    const struct store_part *parts, size_t n,
			    const struct store_meta *meta,
			    const struct store_cond *cond,
			    struct store_obj *ret)
{
	struct fault_store *f = (struct fault_store *)s;
	struct hit h = enter(f, "mpu_commit", key, "");
	struct store_obj obj;
	int r;

	if (fails_before(&h))
		return h.err;
	r = store_mpu_commit(f->inner, key, id, parts, n, meta, cond, &obj);
	return leave_obj(&h, r, &obj, ret);
}

static int fault_mpu_abort(struct store *s, const char *key, const char *id)
{
	struct fault_store *f = (struct fault_store *)s;
	struct hit h = enter(f, "mpu_abort", key, "");

	if (fails_before(&h))
		return h.err;
	return leave(&h, store_mpu_abort(f->inner, key, id));
}

static void fault_shutdown(struct store *s)
{
	store_shutdown(((struct fault_store *)s)->inner);
}

static void plan_free(struct plan *plan, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free((char *)(uintptr_t)plan[i].f.method);
		free((char *)(uintptr_t)plan[i].f.key);
	}
	free(plan);
}

static void fault_free(struct store *s)
{
	struct fault_store *f = (struct fault_store *)s;

	store_free(f->inner);
	plan_free(f->plan, f->n_plan);
	buf_clear(&f->log);
	lock_fini(&f->lock);
	free(f);
}

static const struct store_ops fault_ops = {
	.name = "fault",
	.probe = fault_probe,
	.head = fault_head,
	.get = fault_get,
	.put = fault_put,
	.del = fault_del,
	.del_many = fault_del_many,
	.list = fault_list,
	.copy = fault_copy,
	.rename = fault_rename,
	.mpu_begin = fault_mpu_begin,
	.mpu_part = fault_mpu_part,
	.mpu_copy_part = fault_mpu_copy_part,
	.mpu_list_parts = fault_mpu_list_parts,
	.mpu_list = fault_mpu_list,
	.mpu_commit = fault_mpu_commit,
	.mpu_abort = fault_mpu_abort,
	.shutdown = fault_shutdown,
	.free = fault_free,
};

struct store *store_fault_new(struct store *inner)
{
	struct fault_store *f = calloc(1, sizeof(*f));

	if (!f) {
		store_free(inner);
		return NULL;
	}
	store_init(&f->store, &fault_ops);
	f->store.caps = inner->caps;
	f->store.limits = inner->limits;
	f->inner = inner;
	f->log = (struct buf)BUF_INIT(LOG_MAX);
	lock_init(&f->lock, LOCK_LEAF, "fault store");
	return &f->store;
}

int store_fault_set(struct store *s, const struct store_fault *faults, size_t n)
{
	struct fault_store *f = (struct fault_store *)s;
	struct plan *plan = NULL, *old = NULL;
	size_t n_old;

	assert(s->ops == &fault_ops);
	plan = calloc(n ? n : 1, sizeof(*plan));
	if (!plan)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct store_fault *c = &plan[i].f;

		*c = faults[i];
		c->method = c->method ? strdup(c->method) : NULL;
		c->key = c->key ? strdup(c->key) : NULL;
		if ((faults[i].method && !c->method) ||
		    (faults[i].key && !c->key)) {
			plan_free(plan, i + 1);
			return -ENOMEM;
		}
	}
	lock_acquire(&f->lock);
	old = f->plan;
	n_old = f->n_plan;
	f->plan = plan;
	f->n_plan = n;
	lock_release(&f->lock);
	plan_free(old, n_old);
	return 0;
}

void store_fault_die_with(struct store *s, bool (*is_dead)(void *arg), void *arg)
{
	struct fault_store *f = (struct fault_store *)s;

	assert(s->ops == &fault_ops);
	f->is_dead = is_dead;
	f->arg = arg;
}

char *store_fault_log(struct store *s)
{
	struct fault_store *f = (struct fault_store *)s;
	char *copy;

	assert(s->ops == &fault_ops);
	lock_acquire(&f->lock);
	copy = strdup(f->log.p ? f->log.p : "");
	lock_release(&f->lock);
	return copy;
}
