/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retrying what changes the bucket.
 *
 * A change that was not answered may have happened.  Its repetition then runs
 * into its own traces: the object exists or is another (our own), the upload
 * or the source is gone.  Only a look at the object can tell our success from
 * somebody else's, by the write-id it carries.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "retry.h"

/* What a repetition says when the first attempt took effect, or when somebody
 * else was faster. */
static bool is_ambiguous(const struct retry_attempt *a, int r)
{
	return a->maybe && (r == -EEXIST || r == -ESTALE || r == -ENOENT);
}

/* Success if the object carries our write-id; else r stands.  An error of the
 * look itself is the answer then, since nothing is known. */
static int resolve(struct retry_store *t, int r, const char *key,
		   const char *write_id, struct store_obj *ret)
{
	struct store_obj obj;
	int err;

	if (!write_id[0])
		return r;
	err = retry_head(&t->store, key, &obj);
	if (err)
		return err == -ENOENT ? r : err;
	if (!obj.has_meta || strcmp(obj.meta.write_id, write_id) != 0) {
		store_set_error("another write is in its place");
		return r;
	}
	*ret = obj;
	return 0;
}

static bool is_unanswered(int r)
{
	return r == -ETIMEDOUT || r == -ENETUNREACH || r == -EPROTO;
}

/* Before it is sent again: an attempt without an answer may be what is there
 * now.  Looking costs less than the body, and shows nobody a thing twice. */
static bool was_done(struct retry_store *t, int last, const char *key,
		     const char *write_id, struct store_obj *ret)
{
	struct store_obj obj;

	if (!is_unanswered(last) || !write_id[0] ||
	    store_head(t->inner, key, &obj) || !obj.has_meta ||
	    strcmp(obj.meta.write_id, write_id) != 0)
		return false;
	*ret = obj;
	return true;
}

int retry_put(struct store *s, const char *key, const struct store_src *src,
	      const struct store_meta *meta, const struct store_cond *cond,
	      struct store_obj *ret)
{
	struct retry_store *t = (struct retry_store *)s;
	struct retry_attempt a = { .t = t };
	int r = 0;

	do {
		if (was_done(t, r, key, meta->write_id, ret))
			return 0;
		r = store_put(t->inner, key, src, meta, cond, ret);
	} while (retry_again(&a, &r));
	if (is_ambiguous(&a, r) && store_cond_is_set(cond))
		r = resolve(t, r, key, meta->write_id, ret);
	return r;
}

int retry_del(struct store *s, const char *key, const struct store_cond *cond)
{
	struct retry_store *t = (struct retry_store *)s;
	struct retry_attempt a = { .t = t };
	struct store_obj obj;
	int r = 0, err;

	do {
		if (is_unanswered(r) &&
		    store_head(t->inner, key, &obj) == -ENOENT)
			return 0;
		r = store_del(t->inner, key, cond);
	} while (retry_again(&a, &r));
	if (!is_ambiguous(&a, r))
		return r;
	err = retry_head(s, key, &obj);
	if (err == -ENOENT)
		return 0;
	return err ? err : r;
}

/* Where an earlier attempt may have broken a condition the key is looked at;
 * those that failed by themselves are the caller's. */
int retry_del_many(struct store *s, const struct store_del *dels, size_t n,
		   int *ret_errs)
{
	struct retry_store *t = (struct retry_store *)s;
	struct retry_attempt a = { .t = t };
	int r;

	do {
		r = store_del_many(t->inner, dels, n, ret_errs);
	} while (retry_again(&a, &r));
	for (size_t i = 0; i < n && r == 0 && a.maybe; i++) {
		struct store_obj obj;

		if (ret_errs[i] == -ESTALE &&
		    retry_head(s, dels[i].key, &obj) == -ENOENT)
			ret_errs[i] = 0;
	}
	return r;
}

/* Not again: it may have begun an upload in parts, see below. */
int retry_copy(struct store *s, const char *from, const char *from_etag,
	       const char *to, const struct store_meta *meta,
	       const struct store_cond *cond, struct store_obj *ret)
{
	struct retry_store *t = (struct retry_store *)s;

	return store_copy(t->inner, from, from_etag, to, meta, cond, ret);
}

int retry_rename(struct store *s, const char *from, const char *to,
		 struct store_obj *ret)
{
	struct retry_store *t = (struct retry_store *)s;
	struct retry_attempt a = { .t = t };
	struct store_obj obj;
	int r;

	if (!(s->caps & STORE_CAP_RENAME))
		return -EOPNOTSUPP;
	/* the source's write-id cannot be asked for once it has moved */
	r = retry_head(s, from, &obj);
	if (r)
		return r;
	do {
		r = store_rename(t->inner, from, to, ret);
	} while (retry_again(&a, &r));
	if (is_ambiguous(&a, r) && obj.has_meta)
		r = resolve(t, r, to, obj.meta.write_id, ret);
	return r;
}

/* An attempt that did begin one leaves an upload nobody knows; the caller's
 * sweep of its uploads finds it. */
int retry_mpu_begin(struct store *s, const char *key,
		    const struct store_meta *meta, bool copies,
		    char ret_id[STORE_UPLOAD_ID_MAX])
{
	struct retry_store *t = (struct retry_store *)s;

	/* Not here: one whose answer was lost may have begun, and only the
	 * caller, who wrote down the intent, can find and abort it. */
	return store_mpu_begin(t->inner, key, meta, copies, ret_id);
}

int retry_mpu_part(struct store *s, const char *key, const char *id,
		   unsigned number, const struct store_src *src,
		   struct store_part *ret)
{
	struct retry_store *t = (struct retry_store *)s;
	struct retry_attempt a = { .t = t };
	int r;

	do {
		r = store_mpu_part(t->inner, key, id, number, src, ret);
	} while (retry_again(&a, &r));
	return r;
}

int retry_mpu_copy_part(struct store *s, const char *key, const char *id,
			unsigned number, const char *from,
			const char *from_etag, uint64_t off, uint64_t len,
			struct store_part *ret)
{
	struct retry_store *t = (struct retry_store *)s;
	struct retry_attempt a = { .t = t };
	int r;

	do {
		r = store_mpu_copy_part(t->inner, key, id, number, from,
					from_etag, off, len, ret);
	} while (retry_again(&a, &r));
	return r;
}

int retry_mpu_commit(struct store *s, const char *key, const char *id,
		     const struct store_part *parts, size_t n,
		     const struct store_meta *meta,
		     const struct store_cond *cond, struct store_obj *ret)
{
	struct retry_store *t = (struct retry_store *)s;
	struct retry_attempt a = { .t = t };
	int r = 0;

	do {
		if (was_done(t, r, key, meta->write_id, ret))
			return 0;
		r = store_mpu_commit(t->inner, key, id, parts, n, meta, cond,
				     ret);
	} while (retry_again(&a, &r));
	if (is_ambiguous(&a, r))
		r = resolve(t, r, key, meta->write_id, ret);
	return r;
}

int retry_mpu_abort(struct store *s, const char *key, const char *id)
{
	struct retry_store *t = (struct retry_store *)s;
	struct retry_attempt a = { .t = t };
	int r;

	do {
		r = store_mpu_abort(t->inner, key, id);
	} while (retry_again(&a, &r));
	return r;
}
