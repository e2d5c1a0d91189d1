/* SPDX-License-Identifier: Apache-2.0 */
/* The checked front: every call of a store goes through here. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/lock.h"

#include "meta_text.h"
#include "store_int.h"

#define DEL_MANY_MAX 1000

static __thread char last_error[512];
static __thread int64_t retry_after_ns;
static __thread uint64_t throttled;
static __thread const struct store_spare *spare;

const char *store_last_error(void)
{
	return last_error;
}

int64_t store_retry_after_ns(void)
{
	return retry_after_ns;
}

void store_set_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_error, sizeof(last_error), fmt, ap);
	va_end(ap);
}

void store_set_retry_after(int64_t ns)
{
	retry_after_ns = ns;
}

uint64_t store_throttled(void)
{
	return throttled;
}

void store_spare_set(const struct store_spare *s)
{
	spare = s;
}

const struct store_spare *store_spare(void)
{
	return spare;
}

bool store_err_is_transient(int err)
{
	return err == -EAGAIN || err == -ETIMEDOUT || err == -ENETUNREACH ||
	       err == -EPROTO;
}

static bool err_is_allowed(int err)
{
	switch (err) {
	case 0:
	case -ENOENT:
	case -EEXIST:
	case -ESTALE:
	case -EACCES:
	case -EINVAL:
	case -EAGAIN:
	case -ETIMEDOUT:
	case -ENETUNREACH:
	case -EBADMSG:
	case -EPROTO:
	case -EOPNOTSUPP:
	case -ENOSPC:
	case -ECANCELED:
	case -EIO:
	case -ENOMEM:
		return true;
	default:
		return false;
	}
}

void store_init(struct store *s, const struct store_ops *ops)
{
	assert(ops->name && ops->probe && ops->head && ops->get && ops->put);
	assert(ops->del && ops->list && ops->mpu_begin && ops->mpu_part);
	assert(ops->mpu_list_parts && ops->mpu_list && ops->mpu_commit);
	assert(ops->mpu_abort && ops->shutdown && ops->free);
	s->ops = ops;
	s->hidden = true;
}

void store_free(struct store *s)
{
	if (s)
		s->ops->free(s);
}

static void begin(struct store *s, const char *method)
{
	lock_assert_none(method);
	__atomic_add_fetch(&s->calls, 1, __ATOMIC_RELAXED);
	last_error[0] = '\0';
	retry_after_ns = 0;
}

static int end(struct store *s, int r)
{
	assert(err_is_allowed(r));
	throttled += r == -EAGAIN;
	if (r)
		__atomic_add_fetch(&s->failures, 1, __ATOMIC_RELAXED);
	else
		last_error[0] = '\0';
	return r;
}

static int check_key(const char *key)
{
	assert(key[0]);
	if (strnlen(key, STORE_KEY_MAX + 1) <= STORE_KEY_MAX)
		return 0;
	store_set_error("the name is longer than %d bytes", STORE_KEY_MAX);
	return -EINVAL;
}

/* A key that is to be made. */
static int check_new_key(const struct store *s, const char *key)
{
	int r = check_key(key);

	if (r || store_holds_name(s, key))
		return r;
	store_set_error("the store would list the name as another one");
	return -EINVAL;
}

static void check_etag(const char *etag)
{
	assert(!etag || (etag[0] && strlen(etag) < STORE_ETAG_MAX));
}

static void check_id(const char *id)
{
	assert(id[0] && strlen(id) < STORE_UPLOAD_ID_MAX);
}

static int check_size(uint64_t len, uint64_t max)
{
	if (len <= max)
		return 0;
	store_set_error("more bytes than the store takes at once");
	return -EINVAL;
}

static int check_cond(struct store *s, const struct store_cond *cond,
		      unsigned cap)
{
	if (!store_cond_is_set(cond))
		return 0;
	assert(!cond->if_absent || !cond->if_match);
	check_etag(cond->if_match);
	if (s->caps & cap)
		return 0;
	store_set_error("the store has no conditional requests");
	return -EOPNOTSUPP;
}

static int check_cap(struct store *s, unsigned cap, bool has_method)
{
	if (has_method && (s->caps & cap))
		return 0;
	store_set_error("the store cannot do this");
	return -EOPNOTSUPP;
}

int store_probe(struct store *s, const char *prefix, bool read_only)
{
	begin(s, "store_probe");
	assert(!prefix[0] || prefix[strlen(prefix) - 1] == '/');
	return end(s, s->ops->probe(s, prefix, read_only));
}

uint64_t store_findings(const struct store *s)
{
	return s->ops->findings ? s->ops->findings(s) : s->caps;
}

void store_recall(struct store *s, uint64_t findings)
{
	if (s->ops->recall)
		s->ops->recall(s, findings);
	else
		s->caps = (unsigned)findings;
}

int store_head(struct store *s, const char *key, struct store_obj *ret)
{
	int r;

	begin(s, "store_head");
	r = check_key(key);
	if (!r)
		r = s->ops->head(s, key, ret);
	return end(s, r);
}

int store_get(struct store *s, const char *key, const char *if_match,
	      uint64_t off, uint64_t len, store_sink_fn *sink, void *arg,
	      struct store_obj *ret)
{
	struct store_obj obj;
	int r;

	begin(s, "store_get");
	check_etag(if_match);
	r = check_key(key);
	if (!r)
		r = s->ops->get(s, key, if_match, off, len, sink, arg, &obj);
	if (!r && ret)
		*ret = obj;
	return end(s, r);
}

int store_put(struct store *s, const char *key, const struct store_src *src,
	      const struct store_meta *meta, const struct store_cond *cond,
	      struct store_obj *ret)
{
	int r;

	begin(s, "store_put");
	assert(store_write_id_is_valid(meta->write_id));
	r = check_new_key(s, key);
	if (!r)
		r = check_size(src->len, s->limits.put_max);
	if (!r)
		r = check_cond(s, cond, STORE_CAP_PUT_COND);
	if (!r)
		r = s->ops->put(s, key, src, meta, cond, ret);
	return end(s, r);
}

int store_del(struct store *s, const char *key, const struct store_cond *cond)
{
	int r;

	begin(s, "store_del");
	assert(!cond || !cond->if_absent);
	r = check_key(key);
	if (!r)
		r = check_cond(s, cond, STORE_CAP_DEL_COND);
	if (!r)
		r = s->ops->del(s, key, cond);
	return end(s, r);
}

static void del_each(struct store *s, const struct store_del *dels, size_t n,
		     int *ret_errs)
{
	for (size_t i = 0; i < n; i++) {
		const struct store_cond cond = { .if_match = dels[i].if_match };
		int r = check_key(dels[i].key);

		if (!r)
			r = s->ops->del(s, dels[i].key,
					cond.if_match ? &cond : NULL);
		assert(err_is_allowed(r));
		ret_errs[i] = r;
	}
}

int store_del_many(struct store *s, const struct store_del *dels, size_t n,
		   int *ret_errs)
{
	int r = 0;

	begin(s, "store_del_many");
	assert(n > 0 && n <= DEL_MANY_MAX);
	for (size_t i = 0; i < n; i++)
		check_etag(dels[i].if_match);
	if (dels[0].if_match && !(s->caps & STORE_CAP_DEL_MANY_COND))
		return end(s, -EOPNOTSUPP);
	if (!s->ops->del_many) {
		del_each(s, dels, n, ret_errs);
		return end(s, 0);
	}
	for (size_t i = 0; i < n && !r; i++)
		r = check_key(dels[i].key);
	if (!r)
		r = s->ops->del_many(s, dels, n, ret_errs);
	return end(s, r);
}

struct list_filter {
	size_t prefix_len;
	const char *after;
	bool hidden;
	store_list_fn *fn;
	void *arg;
	int stopped; /* what fn returned to stop */
};

static int list_filter(void *arg, const char *key, const struct store_obj *obj)
{
	struct list_filter *f = arg;

	if (f->after && strcmp(key, f->after) <= 0)
		return 0;
	if (f->hidden && store_key_is_hidden(key, f->prefix_len))
		return 0;
	f->stopped = f->fn(f->arg, key, obj);
	return f->stopped;
}

int store_list(struct store *s, const char *prefix, const char *after,
	       bool delimited, store_list_fn *fn, void *arg)
{
	struct list_filter f = { .prefix_len = strlen(prefix),
				 .after = after,
				 .hidden = s->hidden,
				 .fn = fn,
				 .arg = arg };
	int r;

	begin(s, "store_list");
	if (f.prefix_len > STORE_KEY_MAX)
		return end(s, 0); /* no key is that long */
	r = s->ops->list(s, prefix, after, delimited, list_filter, &f);
	/* the caller's own stop is no error of the store, and may be any */
	return f.stopped ? f.stopped : end(s, r);
}

struct version_filter {
	size_t prefix_len;
	bool hidden;
	store_version_fn *fn;
	void *arg;
	int stopped;
};

static int version_filter(void *arg, const struct store_version *v)
{
	struct version_filter *f = arg;

	if (f->hidden && store_key_is_hidden(v->key, f->prefix_len))
		return 0;
	f->stopped = f->fn(f->arg, v);
	return f->stopped;
}

int store_list_versions(struct store *s, const char *prefix,
			const struct store_version *after,
			store_version_fn *fn, void *arg)
{
	struct version_filter f = { .prefix_len = strlen(prefix),
				    .hidden = s->hidden,
				    .fn = fn,
				    .arg = arg };
	int r = -EOPNOTSUPP;

	begin(s, "store_list_versions");
	if (s->ops->list_versions)
		r = s->ops->list_versions(s, prefix, after, version_filter, &f);
	return f.stopped ? f.stopped : end(s, r);
}

int store_copy(struct store *s, const char *from, const char *from_etag,
	       const char *to, const struct store_meta *meta,
	       const struct store_cond *cond, struct store_obj *ret)
{
	int r;

	begin(s, "store_copy");
	check_etag(from_etag);
	assert(!meta || store_write_id_is_valid(meta->write_id));
	assert(!cond || !cond->if_absent || !cond->if_match);
	r = check_key(from);
	if (!r)
		r = check_new_key(s, to);
	if (!r)
		r = check_cap(s, STORE_CAP_COPY, s->ops->copy);
	if (!r)
		r = s->ops->copy(s, from, from_etag, to, meta, cond, ret);
	return end(s, r);
}

int store_rename(struct store *s, const char *from, const char *to,
		 struct store_obj *ret)
{
	int r;

	begin(s, "store_rename");
	r = check_key(from);
	if (!r)
		r = check_new_key(s, to);
	if (!r)
		r = check_cap(s, STORE_CAP_RENAME, s->ops->rename);
	if (!r)
		r = s->ops->rename(s, from, to, ret);
	return end(s, r);
}

int store_mpu_begin(struct store *s, const char *key,
		    const struct store_meta *meta, bool copies,
		    char ret_id[STORE_UPLOAD_ID_MAX])
{
	int r;

	begin(s, "store_mpu_begin");
	assert(store_write_id_is_valid(meta->write_id));
	r = check_new_key(s, key);
	if (!r)
		r = s->ops->mpu_begin(s, key, meta, copies, ret_id);
	return end(s, r);
}

int store_mpu_part(struct store *s, const char *key, const char *id,
		   unsigned number, const struct store_src *src,
		   struct store_part *ret)
{
	int r;

	begin(s, "store_mpu_part");
	check_id(id);
	assert(number >= 1 && number <= s->limits.parts_max);
	r = check_key(key);
	if (!r)
		r = check_size(src->len, s->limits.part_max);
	if (!r)
		r = s->ops->mpu_part(s, key, id, number, src, ret);
	return end(s, r);
}

int store_mpu_copy_part(struct store *s, const char *key, const char *id,
			unsigned number, const char *from,
			const char *from_etag, uint64_t off, uint64_t len,
			struct store_part *ret)
{
	int r;

	begin(s, "store_mpu_copy_part");
	check_id(id);
	check_etag(from_etag);
	assert(number >= 1 && number <= s->limits.parts_max && len > 0);
	r = check_key(key);
	if (!r)
		r = check_key(from);
	if (!r)
		r = check_size(len, s->limits.part_max);
	if (!r)
		r = check_cap(s, STORE_CAP_COPY_PART, s->ops->mpu_copy_part);
	if (!r)
		r = s->ops->mpu_copy_part(s, key, id, number, from, from_etag,
					  off, len, ret);
	return end(s, r);
}

struct stop {
	store_part_fn *part;
	store_upload_fn *upload;
	void *arg;
	int stopped;
};

static int stop_part(void *arg, const struct store_part *part)
{
	struct stop *st = arg;

	st->stopped = st->part(st->arg, part);
	return st->stopped;
}

static int stop_upload(void *arg, const char *key, const char *id,
		       int64_t begun_ns)
{
	struct stop *st = arg;

	st->stopped = st->upload(st->arg, key, id, begun_ns);
	return st->stopped;
}

int store_mpu_list_parts(struct store *s, const char *key, const char *id,
			 store_part_fn *fn, void *arg)
{
	struct stop st = { .part = fn, .arg = arg };
	int r;

	begin(s, "store_mpu_list_parts");
	check_id(id);
	r = check_key(key);
	if (!r)
		r = s->ops->mpu_list_parts(s, key, id, stop_part, &st);
	return st.stopped ? st.stopped : end(s, r);
}

int store_mpu_list(struct store *s, const char *prefix, store_upload_fn *fn,
		   void *arg)
{
	struct stop st = { .upload = fn, .arg = arg };
	int r;

	begin(s, "store_mpu_list");
	r = s->ops->mpu_list(s, prefix, stop_upload, &st);
	return st.stopped ? st.stopped : end(s, r);
}

static void check_parts(const struct store_part *parts, size_t n)
{
	assert(n > 0);
	for (size_t i = 0; i < n; i++) {
		assert(parts[i].number >= 1);
		assert(!i || parts[i].number > parts[i - 1].number);
	}
}

int store_mpu_commit(struct store *s, const char *key, const char *id,
		     const struct store_part *parts, size_t n,
		     const struct store_meta *meta,
		     const struct store_cond *cond, struct store_obj *ret)
{
	int r;

	begin(s, "store_mpu_commit");
	check_id(id);
	check_parts(parts, n);
	assert(store_write_id_is_valid(meta->write_id));
	r = check_key(key);
	if (!r)
		r = check_cond(s, cond, STORE_CAP_PUT_COND);
	if (!r)
		r = s->ops->mpu_commit(s, key, id, parts, n, meta, cond, ret);
	return end(s, r);
}

int store_mpu_abort(struct store *s, const char *key, const char *id)
{
	int r;

	begin(s, "store_mpu_abort");
	check_id(id);
	r = check_key(key);
	if (!r)
		r = s->ops->mpu_abort(s, key, id);
	return end(s, r);
}

void store_shutdown(struct store *s)
{
	s->ops->shutdown(s);
}
