/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/host.h"
#include "ckptfs/lock.h"
#include "ckptfs/thr.h"

#include "store/store_int.h"

#include "chaos.h"
#include "simdisk_impl.h"
#include "sums.h"

/* Whoever reads what is not here waits for the network: its troubles end. */
#define TROUBLE_NS (600 * NS_PER_S)

struct chaos {
	struct store store;
	struct store *inner;
	const struct host *host;
	struct disk *disk;
	struct lock lock; /* to wait with */
	struct thr_cond cond;
	void (*changed)(void *arg, const char *key);
	void *arg;
	uint64_t random;
	bool dead, down, trace;
	bool held; /* no troubles for now */
	bool late; /* requests of the dead arrive */
	bool bare; /* a change without a condition was asked for */
	unsigned lives; /* a request belongs to one of them */
	int64_t latency_ns;
	unsigned rate[CHAOS_KINDS]; /* percent */
	int64_t end_ns; /* of all troubles */
	struct sums *sums; /* of what was sent in parts */
};

/* What happens to one request. */
struct fate {
	unsigned life;
	int kind; /* enum chaos_kind; -1: nothing */
};

static struct chaos *of(struct store *s)
{
	return (struct chaos *)s;
}

static bool is_dead(const struct chaos *c)
{
	return c->dead || simdisk_halted(c->disk);
}

static uint64_t draw(struct chaos *c, uint64_t n)
{
	return sim_random(&c->random) % n;
}

static void wait_for(struct chaos *c, int64_t ns)
{
	int64_t end = clk_mono(c->host->clk) + ns;

	lock_acquire(&c->lock);
	while (clk_mono(c->host->clk) < end)
		(void)thr_wait(c->host->thr, &c->lock, &c->cond, end);
	lock_release(&c->lock);
}

/* A third of all takes no time at all. */
static void travel(struct chaos *c)
{
	if (c->latency_ns && draw(c, 3))
		wait_for(c, (int64_t)draw(c, (uint64_t)c->latency_ns));
}

static bool is_over(const struct chaos *c)
{
	return c->held || clk_mono(c->host->clk) >= c->end_ns;
}

static int choose_kind(struct chaos *c)
{
	uint64_t at = draw(c, 100);
	int k;

	if (is_over(c))
		return -1;
	for (k = 0; k < CHAOS_KINDS; k++) {
		if (at < c->rate[k])
			return k;
		at -= c->rate[k];
	}
	return -1;
}

static bool is_change(const char *what)
{
	return strcmp(what, "get") != 0 && strcmp(what, "head") != 0 &&
	       !strstr(what, "list") && !strstr(what, "abort");
}

/* The way to the store: 0 if it arrives. */
static int go(struct chaos *c, struct fate *f, const char *what,
	      const char *key)
{
	f->kind = choose_kind(c);
	f->life = c->lives;
	if (c->trace)
		fprintf(stderr, "    %lld ms: %s %s (%d)\n",
			(long long)(clk_mono(c->host->clk) / NS_PER_MS), what,
			key, f->kind);
	if (is_dead(c)) { /* whoever asks must come to an end */
		wait_for(c, NS_PER_S);
		return -EINVAL;
	}
	travel(c);
	if (is_dead(c) || f->life != c->lives)
		return draw(c, 2) && c->late ? 0 : -EINVAL;
	if ((c->down && !is_over(c)) || f->kind == CHAOS_LOST) {
		store_set_error("no answer");
		return draw(c, 2) ? -ETIMEDOUT : -ENETUNREACH;
	}
	if (f->kind == CHAOS_REFUSED && is_change(what)) {
		store_set_error("access denied");
		return -EACCES;
	}
	if (f->kind == CHAOS_THROTTLE) {
		store_set_error("slow down");
		if (draw(c, 4) == 0)
			store_set_retry_after(NS_PER_S);
		return -EAGAIN;
	}
	return 0;
}

/* The way back. */
static int come(struct chaos *c, const struct fate *f, int r)
{
	travel(c);
	if (is_dead(c) || f->life != c->lives)
		return -EINVAL;
	if (r < 0)
		return r;
	if (f->kind == CHAOS_AMBIGUOUS) {
		store_set_error("the answer is lost");
		return draw(c, 2) ? -ETIMEDOUT : -ENETUNREACH;
	}
	if (f->kind == CHAOS_GARBLED) {
		store_set_error("200, and an error in the body");
		return -EAGAIN;
	}
	return 0;
}

static void tell(void *arg, const char *key)
{
	const struct chaos *c = arg;

	if (!strstr(key, STORE_HIDDEN "/"))
		c->changed(c->arg, key);
}

/* Whoever changes what users see says what he takes to be there. */
static void look_at(struct chaos *c, const char *key,
		    const struct store_cond *cond)
{
	if (!strstr(key, STORE_HIDDEN "/") && !store_cond_is_set(cond))
		c->bare = true;
}

/* The network carries the request twice: the answer is the second one's. */
static bool is_twice(const struct fate *f)
{
	return f->kind == CHAOS_TWICE;
}

static int chaos_probe(struct store *s, const char *prefix, bool read_only)
{
	int r = store_probe(of(s)->inner, prefix, read_only);

	s->caps = of(s)->inner->caps;
	s->limits = of(s)->inner->limits;
	return r;
}

static int chaos_head(struct store *s, const char *key, struct store_obj *ret)
{
	struct store_obj o;
	struct fate f;
	int r = go(of(s), &f, "head", key);

	if (r == 0)
		r = come(of(s), &f, store_head(of(s)->inner, key, &o));
	if (r == 0)
		sums_give_object(of(s)->sums, &o, ret);
	return r;
}

static int chaos_get(struct store *s, const char *key, const char *if_match,
		     uint64_t off, uint64_t len, store_sink_fn *sink, void *arg,
		     struct store_obj *ret)
{
	struct store_obj o;
	struct fate f;
	int r = go(of(s), &f, "get", key);

	if (r == 0 && f.kind >= 0)
		len /= 2; /* breaks off in the middle */
	if (r == 0)
		r = come(of(s), &f,
			 store_get(of(s)->inner, key, if_match, off, len, sink,
				   arg, &o));
	if (r == 0 && f.kind >= 0)
		r = -ENETUNREACH;
	if (r == 0)
		sums_give_object(of(s)->sums, &o, ret);
	return r;
}

static int chaos_put(struct store *s, const char *key,
		     const struct store_src *src, const struct store_meta *meta,
		     const struct store_cond *cond, struct store_obj *ret)
{
	struct chaos *c = of(s);
	struct store_obj o;
	struct fate f;
	int r = go(c, &f, "put", key);

	if (r < 0)
		return r;
	look_at(c, key, cond);
	r = store_put(c->inner, key, src, meta, cond, &o);
	if (r == 0)
		tell(c, key);
	if (is_twice(&f))
		r = store_put(c->inner, key, src, meta, cond, &o);
	r = come(c, &f, r);
	if (r == 0)
		sums_give_object(c->sums, &o, ret);
	return r;
}

static int chaos_del(struct store *s, const char *key,
		     const struct store_cond *cond)
{
	struct chaos *c = of(s);
	struct fate f;
	int r = go(c, &f, "del", key);

	if (r < 0)
		return r;
	look_at(c, key, cond);
	r = store_del(c->inner, key, cond);
	if (r == 0)
		tell(c, key);
	if (is_twice(&f))
		r = store_del(c->inner, key, cond);
	return come(c, &f, r);
}

static int chaos_list(struct store *s, const char *prefix, const char *after,
		      bool delimited, store_list_fn *fn, void *arg)
{
	struct fate f;
	int r = go(of(s), &f, "list", prefix);

	if (r == 0)
		r = store_list(of(s)->inner, prefix, after, delimited, fn, arg);
	return r ? r : come(of(s), &f, r);
}

static int chaos_copy(struct store *s, const char *from, const char *from_etag,
		      const char *to, const struct store_meta *meta,
		      const struct store_cond *cond, struct store_obj *ret)
{
	struct chaos *c = of(s);
	struct store_obj o;
	struct fate f;
	int r = go(c, &f, "copy", from);

	if (r < 0)
		return r;
	look_at(c, to, cond);
	r = store_copy(c->inner, from, from_etag, to, meta, cond, &o);
	if (r == 0 && from_etag)
		sums_note_copy(c->sums, from_etag, o.etag);
	if (r == 0)
		tell(c, to);
	r = come(c, &f, r);
	if (r == 0)
		sums_give_object(c->sums, &o, ret);
	return r;
}

static int chaos_rename(struct store *s, const char *from, const char *to,
			struct store_obj *ret)
{
	struct chaos *c = of(s);
	struct store_obj o;
	struct fate f;
	int r = go(c, &f, "rename", from);

	if (r < 0)
		return r;
	r = store_rename(c->inner, from, to, &o);
	if (r == 0)
		tell(c, to);
	r = come(c, &f, r);
	if (r == 0)
		sums_give_object(c->sums, &o, ret);
	return r;
}

static int chaos_mpu_begin(struct store *s, const char *key,
			   const struct store_meta *meta, bool copies,
			   char ret_id[STORE_UPLOAD_ID_MAX])
{
	char id[STORE_UPLOAD_ID_MAX];
	struct fate f;
	int r = go(of(s), &f, "mpu_begin", key);

	if (r == 0)
		r = come(of(s), &f,
			 store_mpu_begin(of(s)->inner, key, meta, copies, id));
	if (r == 0)
		memcpy(ret_id, id, sizeof(id));
	return r;
}

static int chaos_mpu_part(struct store *s, const char *key, const char *id,
			  unsigned number, const struct store_src *src,
			  struct store_part *ret)
{
	struct store_part part;
	struct fate f;
	int r = go(of(s), &f, "mpu_part", key);

	if (r == 0)
		r = store_mpu_part(of(s)->inner, key, id, number, src, &part);
	else
		return r;
	if (r == 0 && src->has_crc32c)
		sums_note(of(s)->sums, part.etag, src->crc32c);
	r = come(of(s), &f, r);
	if (r == 0)
		sums_give_part(of(s)->sums, &part, ret);
	return r;
}

static int chaos_mpu_copy_part(struct store *s, const char *key, const char *id,
			       unsigned number, const char *from,
			       const char *from_etag, uint64_t off,
			       uint64_t len, struct store_part *ret)
{
	struct store_part part;
	struct fate f;
	int r = go(of(s), &f, "mpu_copy_part", key);

	if (r == 0)
		r = come(of(s), &f,
			 store_mpu_copy_part(of(s)->inner, key, id, number,
					     from, from_etag, off, len, &part));
	if (r == 0)
		*ret = part;
	return r;
}

struct part_list {
	const struct sums *sums;
	store_part_fn *fn;
	void *arg;
};

static int on_part(void *arg, const struct store_part *part)
{
	const struct part_list *l = arg;
	struct store_part given;

	sums_give_part(l->sums, part, &given);
	return l->fn(l->arg, &given);
}

static int chaos_mpu_list_parts(struct store *s, const char *key,
				const char *id, store_part_fn *fn, void *arg)
{
	struct part_list l = { of(s)->sums, fn, arg };
	struct fate f;
	int r = go(of(s), &f, "mpu_list_parts", key);

	if (r == 0)
		r = store_mpu_list_parts(of(s)->inner, key, id, on_part, &l);
	return r ? r : come(of(s), &f, r);
}

static int chaos_mpu_list(struct store *s, const char *prefix,
			  store_upload_fn *fn, void *arg)
{
	struct fate f;
	int r = go(of(s), &f, "mpu_list", prefix);

	if (r == 0)
		r = store_mpu_list(of(s)->inner, prefix, fn, arg);
	return r ? r : come(of(s), &f, r);
}

static int chaos_mpu_commit(struct store *s, const char *key, const char *id,
			    const struct store_part *parts, size_t n,
			    const struct store_meta *meta,
			    const struct store_cond *cond,
			    struct store_obj *ret)
{
	struct chaos *c = of(s);
	struct store_obj o;
	struct fate f;
	int r = go(c, &f, "mpu_commit", key);

	if (r < 0)
		return r;
	look_at(c, key, cond);
	r = store_mpu_commit(c->inner, key, id, parts, n, meta, cond, &o);
	if (r == 0 && parts[0].has_crc32c)
		sums_note_whole(c->sums, o.etag, parts, n);
	if (r == 0)
		tell(c, key);
	if (is_twice(&f))
		r = store_mpu_commit(c->inner, key, id, parts, n, meta, cond,
				     &o);
	r = come(c, &f, r);
	if (r == 0)
		sums_give_object(c->sums, &o, ret);
	return r;
}

static int chaos_mpu_abort(struct store *s, const char *key, const char *id)
{
	struct fate f;
	int r = go(of(s), &f, "mpu_abort", key);

	if (r < 0)
		return r;
	return come(of(s), &f, store_mpu_abort(of(s)->inner, key, id));
}

static void chaos_shutdown(struct store *s)
{
	(void)s; /* the bucket outlives the process */
}

static void chaos_free(struct store *s)
{
	struct chaos *c = of(s);

	sums_free(c->sums);
	store_free(c->inner);
	thr_cond_fini(&c->cond);
	lock_fini(&c->lock);
	free(c);
}

static const struct store_ops chaos_ops = {
	.name = "chaos",
	.probe = chaos_probe,
	.head = chaos_head,
	.get = chaos_get,
	.put = chaos_put,
	.del = chaos_del,
	.list = chaos_list,
	.copy = chaos_copy,
	.rename = chaos_rename,
	.mpu_begin = chaos_mpu_begin,
	.mpu_part = chaos_mpu_part,
	.mpu_copy_part = chaos_mpu_copy_part,
	.mpu_list_parts = chaos_mpu_list_parts,
	.mpu_list = chaos_mpu_list,
	.mpu_commit = chaos_mpu_commit,
	.mpu_abort = chaos_mpu_abort,
	.shutdown = chaos_shutdown,
	.free = chaos_free,
};

struct store *chaos_new(struct store *inner, const struct host *host,
			struct disk *disk, uint64_t seed,
			void (*changed)(void *arg, const char *key), void *arg)
{
	struct chaos *c = sim_alloc(sizeof(*c));

	store_init(&c->store, &chaos_ops);
	c->store.caps = inner->caps;
	c->store.limits = inner->limits;
	c->inner = inner;
	c->sums = sums_new();
	c->host = host;
	c->disk = disk;
	c->changed = changed;
	c->arg = arg;
	c->random = seed ^ UINT64_C(0x2545f4914f6cdd1d);
	lock_init(&c->lock, LOCK_LEAF, "chaos");
	thr_cond_init(&c->cond);
	return &c->store;
}

void chaos_kill(struct store *s)
{
	of(s)->dead = true;
	of(s)->lives++;
}

void chaos_revive(struct store *s)
{
	of(s)->dead = false;
}

void chaos_set_late(struct store *s, bool late)
{
	of(s)->late = late;
}

bool chaos_was_bare(struct store *s)
{
	return of(s)->bare;
}

void chaos_set_latency(struct store *s, int64_t ns)
{
	of(s)->latency_ns = ns;
}

void chaos_set_rate(struct store *s, enum chaos_kind kind, unsigned percent)
{
	of(s)->rate[kind] = percent;
	of(s)->end_ns = clk_mono(of(s)->host->clk) + TROUBLE_NS;
}

void chaos_set_trace(struct store *s, bool trace)
{
	of(s)->trace = trace;
}

void chaos_hold(struct store *s, bool held)
{
	of(s)->held = held;
}

void chaos_set_down(struct store *s, bool down)
{
	of(s)->down = down;
	of(s)->end_ns = clk_mono(of(s)->host->clk) + TROUBLE_NS;
}
