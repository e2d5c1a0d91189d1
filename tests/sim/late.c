/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "ckptfs/clock.h"
#include "ckptfs/host.h"
#include "ckptfs/rng.h"
#include "ckptfs/thr.h"

#include "store/store_int.h"

#include "late.h"
#include "simdisk_impl.h"

struct request {
	char *key, *id; /* id: a commit */
	unsigned char *body; /* a put */
	uint64_t len;
	struct store_part *parts;
	size_t n;
	struct store_meta meta;
	struct store_cond cond;
	char *etag; /* of cond */
	int64_t due_ns;
	struct request *prev, *next;
};

/* One thread runs it all: no lock. */
struct late {
	struct store *inner;
	const struct host *host;
	struct thr_worker *worker;
	struct request *all;
	void (*told)(void *arg, const char *key);
	void *arg;
};

static ssize_t read_body(void *arg, uint64_t off, void *p, size_t n)
{
	memcpy(p, (const unsigned char *)arg + off, n);
	return (ssize_t)n;
}

static int carry_out(struct late *l, const struct request *r)
{
	struct store_src src = { .read = read_body,
				 .arg = r->body,
				 .len = r->len };
	struct store_obj o;

	if (r->id)
		return store_mpu_commit(l->inner, r->key, r->id, r->parts, r->n,
					&r->meta, &r->cond, &o);
	if (r->body)
		return store_put(l->inner, r->key, &src, &r->meta, &r->cond,
				 &o);
	return store_del(l->inner, r->key, &r->cond);
}

static void drop(struct late *l, struct request *r)
{
	DL_DELETE(l->all, r);
	free(r->key);
	free(r->id);
	free(r->body);
	free(r->parts);
	free(r->etag);
	free(r);
}

static int64_t step(void *arg)
{
	struct late *l = arg;
	struct request *r, *first = NULL;
	int64_t now = clk_mono(l->host->clk);

	for (r = l->all; r; r = r->next)
		if (!first || r->due_ns < first->due_ns)
			first = r;
	if (!first)
		return CLK_NEVER;
	if (first->due_ns > now)
		return first->due_ns - now;
	if (carry_out(l, first) == 0)
		l->told(l->arg, first->key);
	drop(l, first);
	return 0;
}

struct late *late_new(struct store *inner, const struct host *host,
		      void (*told)(void *arg, const char *key), void *arg)
{
	struct late *l = sim_alloc(sizeof(*l));

	l->inner = inner;
	l->host = host;
	l->told = told;
	l->arg = arg;
	if (thr_start(host->thr, "late", step, l, &l->worker) < 0)
		abort();
	return l;
}

void late_free(struct late *l)
{
	thr_stop(l->worker);
	while (l->all)
		drop(l, l->all);
	free(l);
}

static struct request *add(struct late *l, const char *key,
			   const struct store_cond *cond)
{
	struct request *r = sim_alloc(sizeof(*r));

	r->key = sim_strndup(key, strlen(key));
	if (cond) {
		r->cond = *cond;
		if (cond->if_match)
			r->etag = sim_strndup(cond->if_match,
					      strlen(cond->if_match));
		r->cond.if_match = r->etag;
	}
	r->due_ns = clk_mono(l->host->clk) +
		    (int64_t)(rng_u64(l->host->rng) % (8 * NS_PER_S));
	DL_APPEND(l->all, r);
	thr_kick(l->worker);
	return r;
}

int late_put(struct late *l, const char *key, const struct store_src *src,
	     const struct store_meta *meta, const struct store_cond *cond)
{
	unsigned char *body = sim_alloc(src->len + 1);
	struct request *req;
	int r = store_src_read(src, 0, body, src->len);

	if (r < 0) {
		free(body);
		return r;
	}
	req = add(l, key, cond);
	req->body = body;
	req->len = src->len;
	req->meta = *meta;
	return 0;
}

int late_del(struct late *l, const char *key, const struct store_cond *cond)
{
	(void)add(l, key, cond);
	return 0;
}

int late_commit(struct late *l, const char *key, const char *id,
		const struct store_part *parts, size_t n,
		const struct store_meta *meta, const struct store_cond *cond)
{
	struct request *req = add(l, key, cond);

	req->id = sim_strndup(id, strlen(id));
	req->parts = sim_alloc(n * sizeof(*parts));
	memcpy(req->parts, parts, n * sizeof(*parts));
	req->n = n;
	req->meta = *meta;
	return 0;
}
