/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decorator that tries again.  Each method is a loop around one call of the
 * inner store; again() decides and waits, so that the back ends make exactly
 * one attempt and every attempt is signed anew.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/lock.h"
#include "ckptfs/rng.h"
#include "ckptfs/thr.h"

#include "retry.h"

#define ASKED_MAX                                                              \
	(300 * NS_PER_S) /* a Retry-After beyond this is not obeyed            \
			  */
#define QUOTA_FULL 500
#define QUOTA_RETRY 5 /* what one more attempt costs */
#define QUOTA_SUCCESS 1 /* what a success gives back, and a paid retry all */

int64_t retry_delay_ns(const struct store_retry_policy *p, unsigned n,
		       uint64_t random, int64_t asked_ns)
{
	int64_t top = p->base_ns, delay;

	while (n-- && top < p->cap_ns)
		top = top > p->cap_ns / 2 ? p->cap_ns : 2 * top;
	if (top > p->cap_ns)
		top = p->cap_ns;
	delay = top > 0 ? (int64_t)(random % ((uint64_t)top + 1)) : 0;
	if (asked_ns > ASKED_MAX)
		asked_ns = ASKED_MAX;
	return delay > asked_ns ? delay : asked_ns;
}

static bool quota_take_locked(struct retry_store *t) REQUIRES(t->lock)
{
	if (t->quota < QUOTA_RETRY)
		return false;
	t->quota -= QUOTA_RETRY;
	return true;
}

/* A racer costs what a retry does. */
static bool take_racer(void *arg)
{
	struct retry_store *t = arg;
	bool yes;

	lock_acquire(&t->lock);
	yes = !t->stopped && quota_take_locked(t);
	lock_release(&t->lock);
	return yes;
}

/* store_spare() for calls of this thread that may be made twice at once, from
 * the quota; NULL: those that come may not. */
static void allow_race(struct retry_store *t)
{
	store_spare_set(t ? &t->spare : NULL);
}

static void quota_give(struct retry_store *t, unsigned retries)
{
	lock_acquire(&t->lock);
	t->quota += retries ? QUOTA_RETRY : QUOTA_SUCCESS;
	if (t->quota > QUOTA_FULL)
		t->quota = QUOTA_FULL;
	lock_release(&t->lock);
}

/* Wait for the next attempt; false: there will be none. */
static bool wait_turn_locked(struct retry_store *t, struct retry_attempt *a)
	REQUIRES(t->lock)
{
	int64_t delay = retry_delay_ns(&t->policy, a->n - 1, rng_u64(t->rng),
				       store_retry_after_ns());
	int64_t deadline;

	if (!quota_take_locked(t)) {
		if (t->policy.attempts)
			return false;
		if (delay < t->policy.cap_ns)
			delay = t->policy.cap_ns;
	}
	deadline = clk_mono(t->clk) + delay;
	while (!t->stopped && clk_mono(t->clk) < deadline)
		(void)thr_wait(t->thr, &t->lock, &t->cond, deadline);
	return true;
}

bool retry_again(struct retry_attempt *a, int *r)
{
	struct retry_store *t = a->t;
	bool again;

	if (!*r) {
		quota_give(t, a->n);
		return false;
	}
	if (!store_err_is_transient(*r))
		return false;
	a->maybe = true;
	a->n++;
	if (t->policy.attempts && a->n >= t->policy.attempts)
		return false;
	lock_acquire(&t->lock);
	again = wait_turn_locked(t, a);
	if (t->stopped) {
		*r = -ECANCELED;
		again = false;
	}
	lock_release(&t->lock);
	return again;
}

static int retry_probe(struct store *s, const char *prefix, bool read_only)
{
	struct retry_store *t = (struct retry_store *)s;
	struct retry_attempt a = { .t = t };
	int r;

	do {
		r = store_probe(t->inner, prefix, read_only);
	} while (retry_again(&a, &r));
	s->caps = t->inner->caps;
	s->limits = t->inner->limits;
	return r;
}

static uint64_t retry_findings(const struct store *s)
{
	const struct retry_store *t = (const struct retry_store *)s;

	return store_findings(t->inner);
}

static void retry_recall(struct store *s, uint64_t findings)
{
	struct retry_store *t = (struct retry_store *)s;

	store_recall(t->inner, findings);
	s->caps = t->inner->caps;
}

int retry_head(struct store *s, const char *key, struct store_obj *ret)
{
	struct retry_store *t = (struct retry_store *)s;
	struct retry_attempt a = { .t = t };
	int r;

	do {
		allow_race(t);
		r = store_head(t->inner, key, ret);
		allow_race(NULL);
	} while (retry_again(&a, &r));
	return r;
}

/* ---- reads that hand out as they go ---- */

struct get {
	store_sink_fn *sink;
	void *arg;
	uint64_t given;
};

static int get_sink(void *arg, const void *p, size_t n)
{
	struct get *g = arg;
	int r = g->sink(g->arg, p, n);

	if (!r)
		g->given += n;
	return r;
}

static int retry_get(struct store *s, const char *key, const char *if_match,
		     uint64_t off, uint64_t len, store_sink_fn *sink, void *arg,
		     struct store_obj *ret)
{
	struct retry_store *t = (struct retry_store *)s;
	struct retry_attempt a = { .t = t };
	struct get g = { .sink = sink, .arg = arg };
	int r;

	do {
		allow_race(t);
		r = store_get(t->inner, key, if_match, off + g.given,
			      len - g.given, get_sink, &g, ret);
		allow_race(NULL);
		/* the rest might be of another version */
		if (r && g.given && !if_match)
			break;
	} while (retry_again(&a, &r));
	return r;
}

struct list {
	store_list_fn *fn;
	void *arg;
	char last[STORE_KEY_MAX + 1];
};

static int list_entry(void *arg, const char *key, const struct store_obj *obj)
{
	struct list *l = arg;
	size_t n = strlen(key);

	if (n < sizeof(l->last))
		memcpy(l->last, key, n + 1);
	return l->fn(l->arg, key, obj);
}

static int retry_list(struct store *s, const char *prefix, const char *after,
		      bool delimited, store_list_fn *fn, void *arg)
{
	struct retry_store *t = (struct retry_store *)s;
	struct retry_attempt a = { .t = t };
	struct list l = { .fn = fn, .arg = arg };
	int r;

	do {
		if (l.last[0])
			after = l.last;
		r = store_list(t->inner, prefix, after, delimited, list_entry,
			       &l);
	} while (retry_again(&a, &r));
	return r;
}

struct versions {
	store_version_fn *fn;
	void *arg;
	struct store_version last;
	char *key, *id; /* of it; NULL: none yet */
};

static int versions_entry(void *arg, const struct store_version *v)
{
	struct versions *l = arg;

	free(l->key);
	free(l->id);
	l->key = strdup(v->key);
	l->id = strdup(v->id);
	if (!l->key || !l->id)
		return -ENOMEM;
	l->last.key = l->key;
	l->last.id = l->id;
	return l->fn(l->arg, v);
}

static int retry_list_versions(struct store *s, const char *prefix,
			       const struct store_version *after,
			       store_version_fn *fn, void *arg)
{
	struct retry_store *t = (struct retry_store *)s;
	struct retry_attempt a = { .t = t };
	struct versions l = { .fn = fn, .arg = arg };
	int r;

	do {
		r = store_list_versions(t->inner, prefix,
					l.key ? &l.last : after,
					versions_entry, &l);
	} while (retry_again(&a, &r));
	free(l.key);
	free(l.id);
	return r;
}

struct parts {
	store_part_fn *fn;
	void *arg;
	unsigned last;
};

static int parts_entry(void *arg, const struct store_part *part)
{
	struct parts *p = arg;

	if (part->number <= p->last)
		return 0;
	p->last = part->number;
	return p->fn(p->arg, part);
}

static int retry_mpu_list_parts(struct store *s, const char *key,
				const char *id, store_part_fn *fn, void *arg)
{
	struct retry_store *t = (struct retry_store *)s;
	struct retry_attempt a = { .t = t };
	struct parts p = { .fn = fn, .arg = arg };
	int r;

	do {
		r = store_mpu_list_parts(t->inner, key, id, parts_entry, &p);
	} while (retry_again(&a, &r));
	return r;
}

struct upload {
	char *key, *id;
	int64_t begun_ns;
};

struct uploads {
	struct upload *v;
	size_t n;
};

static void uploads_clear(struct uploads *u)
{
	for (size_t i = 0; i < u->n; i++) {
		free(u->v[i].key);
		free(u->v[i].id);
	}
	free(u->v);
	*u = (struct uploads){ .n = 0 };
}

static int uploads_entry(void *arg, const char *key, const char *id,
			 int64_t begun_ns)
{
	struct uploads *u = arg;
	struct upload *v = reallocarray(u->v, u->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	u->v = v;
	v[u->n] = (struct upload){ strdup(key), strdup(id), begun_ns };
	u->n++;
	return v[u->n - 1].key && v[u->n - 1].id ? 0 : -ENOMEM;
}

/* Uploads have no order to resume by, so they are collected first. */
static int retry_mpu_list(struct store *s, const char *prefix,
			  store_upload_fn *fn, void *arg)
{
	struct retry_store *t = (struct retry_store *)s;
	struct retry_attempt a = { .t = t };
	struct uploads u = { .n = 0 };
	int r;

	do {
		uploads_clear(&u);
		r = store_mpu_list(t->inner, prefix, uploads_entry, &u);
	} while (retry_again(&a, &r));
	for (size_t i = 0; i < u.n && !r; i++)
		r = fn(arg, u.v[i].key, u.v[i].id, u.v[i].begun_ns);
	uploads_clear(&u);
	return r;
}

/* ---- the rest ---- */

static void retry_shutdown(struct store *s)
{
	struct retry_store *t = (struct retry_store *)s;

	store_shutdown(t->inner);
	lock_acquire(&t->lock);
	t->stopped = true;
	thr_wake(&t->cond);
	lock_release(&t->lock);
}

static void retry_free(struct store *s)
{
	struct retry_store *t = (struct retry_store *)s;

	store_free(t->inner);
	thr_cond_fini(&t->cond);
	lock_fini(&t->lock);
	free(t);
}

static const struct store_ops retry_ops = {
	.name = "retry",
	.probe = retry_probe,
	.findings = retry_findings,
	.recall = retry_recall,
	.head = retry_head,
	.get = retry_get,
	.put = retry_put,
	.del = retry_del,
	.del_many = retry_del_many,
	.list = retry_list,
	.list_versions = retry_list_versions,
	.copy = retry_copy,
	.rename = retry_rename,
	.mpu_begin = retry_mpu_begin,
	.mpu_part = retry_mpu_part,
	.mpu_copy_part = retry_mpu_copy_part,
	.mpu_list_parts = retry_mpu_list_parts,
	.mpu_list = retry_mpu_list,
	.mpu_commit = retry_mpu_commit,
	.mpu_abort = retry_mpu_abort,
	.shutdown = retry_shutdown,
	.free = retry_free,
};

struct store *store_retry_new(struct store *inner, const struct clk *clk,
			      struct rng *rng, struct thr *thr,
			      const struct store_retry_policy *policy)
{
	struct retry_store *t = calloc(1, sizeof(*t));

	if (!t) {
		store_free(inner);
		return NULL;
	}
	store_init(&t->store, &retry_ops);
	t->store.caps = inner->caps;
	t->store.limits = inner->limits;
	t->inner = inner;
	t->clk = clk;
	t->rng = rng;
	t->thr = thr;
	t->policy = *policy;
	t->quota = QUOTA_FULL;
	t->spare = (struct store_spare){ .take = take_racer, .arg = t };
	lock_init(&t->lock, LOCK_LEAF, "retry store");
	thr_cond_init(&t->cond);
	return &t->store;
}
