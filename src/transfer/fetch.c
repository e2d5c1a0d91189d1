/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/cache.h"
#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/fetch.h"
#include "ckptfs/hash.h"
#include "ckptfs/host.h"
#include "ckptfs/lock.h"
#include "ckptfs/log.h"
#include "ckptfs/rng.h"
#include "ckptfs/store.h"
#include "ckptfs/thr.h"

#include "plan_size.h"

#define LOG_MODULE "fetch"
#define CHUNK (UINT64_C(8) << 20)
#define MAX_WORKERS 64

enum chunk_state { CHUNK_TODO, CHUNK_GOING, CHUNK_DONE };

struct chunk {
	enum chunk_state state;
	uint64_t crc;
};

struct fetch {
	struct fetch *next;
	struct fetch_engine *e;
	struct fetch_spec spec;
	char *key, *etag;
	size_t n, done;
	struct chunk *chunks;
	bool tail_first;
	size_t wanted; /* chunk somebody waits for; n: none */
	unsigned going;
	unsigned attempts;
	int64_t retry_at;
	int err; /* failed for good */
	bool complete, dropped, reported;
};

struct fetch_engine {
	const struct host *host;
	struct store *store;
	struct lock lock; /* leaf; guards the rest and every fetch */
	struct thr_cond cond;
	struct fetch *fetches;
	unsigned nworkers;
	struct thr_worker *workers[MAX_WORKERS];
	uint64_t bytes;
	uint64_t limit;
	int64_t tokens, refilled_at;
	bool stopping;
};

static uint64_t chunk_len(const struct fetch *f, size_t i)
{
	uint64_t off = (uint64_t)i * CHUNK;

	return f->spec.size - off < CHUNK ? f->spec.size - off : CHUNK;
}

/* With the lock: what a worker does next. */
static struct fetch *choose(struct fetch_engine *e, size_t *ret, int64_t *wait)
{
	int64_t now = clk_mono(e->host->clk);
	struct fetch *f;
	size_t i;

	for (f = e->fetches; f; f = f->next) {
		if (f->dropped || f->err || f->done == f->n)
			continue;
		if (f->retry_at > now) {
			if (f->retry_at - now < *wait)
				*wait = f->retry_at - now;
			continue;
		}
		if (f->wanted < f->n &&
		    f->chunks[f->wanted].state == CHUNK_TODO) {
			*ret = f->wanted;
			return f;
		}
		if (f->tail_first && f->chunks[f->n - 1].state == CHUNK_TODO) {
			*ret = f->n - 1;
			return f;
		}
		for (i = 0; i < f->n; i++) {
			if (f->chunks[i].state != CHUNK_TODO)
				continue;
			*ret = i;
			return f;
		}
	}
	return NULL;
}

struct sink {
	struct fetch *f;
	uint64_t off;
	uint64_t crc;
};

static void pace(struct fetch_engine *e, size_t n)
{
	int64_t now;

	lock_acquire(&e->lock);
	e->bytes += n;
	e->tokens -= (int64_t)n;
	while (e->limit && !e->stopping) {
		now = clk_mono(e->host->clk);
		if (e->refilled_at)
			e->tokens += (int64_t)((double)(now - e->refilled_at) *
					       (double)e->limit /
					       (double)NS_PER_S);
		e->refilled_at = now;
		if (e->tokens > (int64_t)(e->limit / 4 + 65536))
			e->tokens = (int64_t)(e->limit / 4 + 65536);
		if (e->tokens >= 0)
			break;
		(void)thr_wait(e->host->thr, &e->lock, &e->cond,
			       now + (int64_t)((double)-e->tokens *
					       (double)NS_PER_S /
					       (double)e->limit) +
				       NS_PER_MS);
	}
	lock_release(&e->lock);
}

static int take(void *arg, const void *p, size_t n)
{
	struct sink *s = arg;
	struct fetch *f = s->f;
	int r;

	if (f->dropped || f->e->stopping)
		return -ECANCELED;
	pace(f->e, n);
	r = disk_pwrite(f->e->host->disk, f->spec.fd, p, n, s->off);
	if (r < 0)
		return r;
	s->crc = crc64nvme(s->crc, p, n);
	s->off += n;
	return 0;
}

static int get_chunk(struct fetch *f, size_t i, uint64_t *ret_crc)
{
	struct sink s = { .f = f, .off = (uint64_t)i * CHUNK };
	uint64_t off = s.off, len = chunk_len(f, i);
	int r = store_get(f->e->store, f->key, f->etag, off, len, take, &s,
			  NULL);

	if (r == 0 && s.off != off + len)
		r = -EPROTO;
	*ret_crc = s.crc;
	return r;
}

/* With the lock: all is here; is it what the store said? */
static void verify(struct fetch *f)
{
	uint64_t crc = 0;
	size_t i;

	for (i = 0; i < f->n; i++)
		crc = i ? crc64nvme_combine(crc, f->chunks[i].crc,
					    chunk_len(f, i)) :
			  f->chunks[i].crc;
	if (f->spec.has_crc64 && crc != f->spec.crc64)
		f->err = -EBADMSG;
	else
		f->complete = true;
}

static void chunk_done(struct fetch *f, size_t i, int r, uint64_t crc)
{
	struct fetch_engine *e = f->e;

	f->chunks[i].state = r == 0 ? CHUNK_DONE : CHUNK_TODO;
	f->chunks[i].crc = crc;
	if (r == 0) {
		f->done++;
		f->attempts = 0;
		if (f->done == f->n)
			verify(f);
	} else if (store_err_is_transient(r) || r == -EPROTO) {
		f->retry_at = clk_mono(e->host->clk) +
			      plan_backoff(++f->attempts,
					   rng_u64(e->host->rng));
	} else if (r != -ECANCELED) {
		f->err = r == -ENOENT ? -ESTALE : r;
	}
	thr_wake(&e->cond);
}

static int64_t step(void *arg)
{
	struct fetch_engine *e = arg;
	int64_t wait = CLK_NEVER;
	bool report = false;
	struct fetch *f;
	uint64_t crc;
	size_t i = 0;
	int r;

	lock_acquire(&e->lock);
	f = e->stopping ? NULL : choose(e, &i, &wait);
	if (f) {
		f->chunks[i].state = CHUNK_GOING;
		f->going++;
	}
	lock_release(&e->lock);
	if (!f)
		return wait;
	r = get_chunk(f, i, &crc);
	if (r < 0 && r != -ECANCELED)
		log_warn("get %s: %s: %s", f->key, strerror(-r),
			 store_last_error());
	lock_acquire(&e->lock);
	chunk_done(f, i, r, crc);
	if ((f->complete || f->err) && !f->reported && !f->dropped)
		report = f->reported = true;
	lock_release(&e->lock);
	/* Still counted as going, so it cannot be dropped under us. */
	if (report && f->spec.done)
		f->spec.done(f->spec.done_arg, f->err, f->spec.done_id);
	lock_acquire(&e->lock);
	f->going--;
	thr_wake(&e->cond);
	lock_release(&e->lock);
	return 0;
}

int fetch_engine_new(const struct host *host, struct store *store,
		     const struct fetch_opts *opts, struct fetch_engine **ret)
{
	struct fetch_engine *e = calloc(1, sizeof(*e));
	unsigned n = opts->max_downloads ? opts->max_downloads : 16, i;
	int r = 0;

	if (!e)
		return -ENOMEM;
	e->host = host;
	e->store = store;
	e->limit = opts->limit;
	lock_init(&e->lock, LOCK_LEAF, "fetch");
	thr_cond_init(&e->cond);
	for (i = 0; r == 0 && i < n && i < MAX_WORKERS; i++) {
		r = thr_start(host->thr, "download", step, e, &e->workers[i]);
		if (r == 0)
			e->nworkers++;
	}
	if (r < 0) {
		fetch_engine_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

void fetch_engine_free(struct fetch_engine *e)
{
	unsigned i;

	if (!e)
		return;
	lock_acquire(&e->lock);
	e->stopping = true;
	thr_wake(&e->cond);
	lock_release(&e->lock);
	for (i = 0; i < e->nworkers; i++)
		thr_stop(e->workers[i]);
	thr_cond_fini(&e->cond);
	lock_fini(&e->lock);
	free(e);
}

uint64_t fetch_engine_bytes(struct fetch_engine *e)
{
	uint64_t n;

	lock_acquire(&e->lock);
	n = e->bytes;
	lock_release(&e->lock);
	return n;
}

static bool reads_its_end_first(const char *name)
{
	static const char *const ends[] = { ".ckpt", ".pt",	".pth",
					    ".npz",  ".keras", ".zip" };
	size_t n = name ? strlen(name) : 0, i, m;

	for (i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		m = strlen(ends[i]);
		if (n > m && strcmp(name + n - m, ends[i]) == 0)
			return true;
	}
	return false;
}

static void fetch_free(struct fetch *f)
{
	free(f->key);
	free(f->etag);
	free(f->chunks);
	free(f);
}

int fetch_start(struct fetch_engine *e, const struct fetch_spec *spec,
		struct fetch **ret)
{
	struct fetch *f = calloc(1, sizeof(*f));
	unsigned i;

	if (!f)
		return -ENOMEM;
	f->e = e;
	f->spec = *spec;
	f->key = strdup(spec->key);
	f->etag = strdup(spec->etag);
	f->n = (size_t)((spec->size + CHUNK - 1) / CHUNK);
	f->chunks = calloc(f->n + 1, sizeof(*f->chunks));
	f->wanted = f->n;
	f->tail_first = reads_its_end_first(spec->name);
	f->spec.name = NULL;
	if (!f->key || !f->etag || !f->chunks) {
		fetch_free(f);
		return -ENOMEM;
	}
	if (f->n == 0)
		f->complete = f->reported = true;
	lock_acquire(&e->lock);
	f->next = e->fetches;
	e->fetches = f;
	lock_release(&e->lock);
	for (i = 0; i < e->nworkers; i++)
		thr_kick(e->workers[i]);
	*ret = f;
	return 0;
}

int fetch_wait(struct fetch *f, uint64_t off, uint64_t len,
	       int64_t deadline_mono_ns)
{
	struct fetch_engine *e = f->e;
	size_t i, last;
	unsigned k;
	int r = 0;

	if (len == 0)
		return 0;
	i = (size_t)(off / CHUNK);
	last = (size_t)((off + len - 1) / CHUNK);
	lock_acquire(&e->lock);
	while (r == 0 && i <= last && i < f->n) {
		if (f->err) {
			r = f->err;
		} else if (f->chunks[i].state == CHUNK_DONE) {
			i++;
		} else if (e->stopping || f->dropped) {
			r = -ECANCELED;
		} else {
			f->wanted = i;
			for (k = 0; k < e->nworkers; k++)
				thr_kick(e->workers[k]);
			r = thr_wait(e->host->thr, &e->lock, &e->cond,
				     deadline_mono_ns);
		}
	}
	lock_release(&e->lock);
	return r;
}

bool fetch_complete(struct fetch *f)
{
	bool yes;

	lock_acquire(&f->e->lock);
	yes = f->complete;
	lock_release(&f->e->lock);
	return yes;
}

bool fetch_settled(struct fetch *f)
{
	bool yes;

	lock_acquire(&f->e->lock);
	yes = f->complete || f->err;
	lock_release(&f->e->lock);
	return yes;
}

void fetch_drop(struct fetch *f)
{
	struct fetch_engine *e = f->e;
	struct fetch **p;

	lock_acquire(&e->lock);
	f->dropped = true;
	thr_wake(&e->cond);
	while (f->going)
		(void)thr_wait(e->host->thr, &e->lock, &e->cond, CLK_NEVER);
	for (p = &e->fetches; *p; p = &(*p)->next) {
		if (*p == f) {
			*p = f->next;
			break;
		}
	}
	lock_release(&e->lock);
	fetch_free(f);
}
