/* SPDX-License-Identifier: Apache-2.0 */
/* One ranged request, and what it leaves behind. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/cache.h"
#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/hash.h"
#include "ckptfs/host.h"
#include "ckptfs/log.h"
#include "ckptfs/rng.h"

#include "fetch_int.h"

#define LOG_MODULE "transfer"
#define RESERVE_FROM (UINT64_C(1) << 20)

/* Keep to the limit; returns early when the bytes are not wanted any
 * more. */
static void pace_locked(struct fetch_engine *e, const struct fetch_job *job,
			uint64_t n) REQUIRES(e->lock)
{
	const struct clk *clk = e->host->clk;
	int64_t now = clk_mono(clk);
	int64_t until =
		now + fetch_plan_pace_ns(&e->paced_ns, now, e->limit, n);
	const unsigned limits = e->limits;

	while (!e->stopping && limits == e->limits && job->f->refs &&
	       job->busy < job->end && clk_mono(clk) < until)
		(void)thr_wait(e->host->thr, &e->lock, &e->pace_cond, until);
}

/* Does somebody wait for any of [off, end)?  Who waits for the whole file is
 * told at its end. */
static bool is_wanted_locked(struct fetch_engine *e, const struct fetch *f,
			     uint64_t off, uint64_t end) REQUIRES(e->lock)
{
	for (const struct fetch_want *w = e->wants; w; w = w->next)
		if (w->f == f && w->len != f->spec.size && w->off < end &&
		    off < w->off + w->len)
			return true;
	return false;
}

/* How much of n more bytes the job still wants, which may not be cut off any
 * more; and whether what is gathered then can wait for more. */
static size_t take(struct fetch_engine *e, struct fetch_job *job, size_t n,
		   bool *ret_now)
{
	uint64_t left;

	lock_acquire(&e->lock);
	pace_locked(e, job, n);
	left = job->end - job->busy;
	n = left < n ? left : n;
	if (e->stopping || !job->f->refs)
		n = 0;
	job->busy += n;
	*ret_now = job->busy == job->end ||
		   is_wanted_locked(e, job->f, job->pos, job->busy);
	lock_release(&e->lock);
	return n;
}

/* By the kind that is known of the whole when the first byte comes. */
static bool is_crc32c(const struct fetch *f)
{
	return f->spec.has_crc32c && !f->spec.has_crc64;
}

static uint64_t crc_add(const struct fetch *f, uint64_t crc, const void *p,
			size_t n)
{
	return is_crc32c(f) ? crc32c((uint32_t)crc, p, n) :
			      crc64nvme(crc, p, n);
}

static int give(struct fetch_engine *e, struct fetch_job *job, const void *p,
		size_t n)
{
	struct fetch *f = job->f;
	uint64_t crc = crc_add(f, job->crc, p, n);
	int r = disk_pwrite(e->host->disk, f->spec.fd, p, n, job->pos);

	lock_acquire(&e->lock);
	if (!r)
		r = cache_ranges_add(f->have, job->pos, n);
	if (!r) {
		if (is_wanted_locked(e, f, job->pos, job->pos + n))
			thr_wake(&f->cond);
		job->pos += n;
		job->crc = crc;
		e->stats.bytes += n;
		f->trouble = 0;
		if (f->proved_ns < job->began_ns)
			f->proved_ns = job->began_ns;
	}
	lock_release(&e->lock);
	return r;
}

static int give_gathered(struct fetch_engine *e, struct fetch_job *job)
{
	size_t n = job->n_gathered;

	job->n_gathered = 0;
	return n ? give(e, job, job->gathered, n) : 0;
}

static int gather(struct fetch_engine *e, struct fetch_job *job,
		  const unsigned char *p, size_t n)
{
	memcpy(job->gathered + job->n_gathered, p, n);
	job->n_gathered += n;
	return (job->pos + job->n_gathered) % FETCH_GATHER == 0 ?
		       give_gathered(e, job) :
		       0;
}

/* n more bytes, to be written when enough came together: whole aligned blocks,
 * but for what somebody could not wait for.  Where enough comes at once its
 * whole pages are written as they are, without a copy. */
static int take_in(struct fetch_engine *e, struct fetch_job *job, const void *p,
		   size_t n)
{
	const unsigned char *at = p;
	uint64_t pos;
	size_t some;
	int r = 0;

	while (n && !r) {
		pos = job->pos + job->n_gathered;
		if (n < FETCH_DIRECT) {
			some = FETCH_GATHER - pos % FETCH_GATHER;
			some = some < n ? some : n;
			r = gather(e, job, at, some);
		} else if (pos % FETCH_PAGE) {
			some = FETCH_PAGE - pos % FETCH_PAGE;
			r = gather(e, job, at, some);
		} else {
			some = n - n % FETCH_PAGE;
			r = give_gathered(e, job);
			if (!r)
				r = give(e, job, at, some);
		}
		at += some;
		n -= some;
	}
	return r;
}

struct sink {
	struct fetch_engine *e;
	struct fetch_job *job;
};

static int sink(void *arg, const void *p, size_t n)
{
	struct sink *s = arg;
	bool now;
	size_t used = take(s->e, s->job, n, &now);

	s->job->disk_err = take_in(s->e, s->job, p, used);
	if (!s->job->disk_err && now)
		s->job->disk_err = give_gathered(s->e, s->job);
	if (s->job->disk_err)
		return -EIO;
	/* the rest was cut off, or nobody wants any of it */
	return used < n ? -ECANCELED : 0;
}

static void learn_crc(struct fetch_engine *e, struct fetch *f,
		      const struct store_obj *obj)
{
	lock_acquire(&e->lock);
	if (!f->spec.has_crc64 && !f->spec.has_crc32c && obj->has_crc64) {
		f->spec.has_crc64 = true;
		f->spec.crc64 = obj->crc64;
	}
	lock_release(&e->lock);
}

/* The file system then books the blocks of a range once, not with each write;
 * where it can't, the writes will say what there is to say. */
static void reserve(struct fetch_engine *e, const struct fetch_job *job,
		    uint64_t len)
{
	if (len >= RESERVE_FROM &&
	    disk_allocate(e->host->disk, job->f->spec.fd, job->start, len) < 0)
		log_debug("no blocks reserved for a download");
}

int fetch_run(struct fetch_engine *e, struct fetch_job *job)
{
	struct sink s = { .e = e, .job = job };
	struct fetch *f = job->f;
	struct store_obj obj;
	uint64_t len;
	int r;

	lock_acquire(&e->lock);
	len = job->end - job->start; /* it may be cut off at any time */
	lock_release(&e->lock);
	if (!len)
		return -ECANCELED;
	reserve(e, job, len);
	r = store_get(e->store, f->spec.key, f->spec.etag, job->start, len,
		      sink, &s, &obj);
	/* what was cut off is written already; what is given up, need not be */
	if (!job->disk_err && r != -ECANCELED)
		job->disk_err = give_gathered(e, job);
	if (!r)
		learn_crc(e, f, &obj);
	return job->disk_err ? job->disk_err : r;
}

int fetch_job_begin_locked(struct fetch_engine *e, struct fetch_job *job)
{
	struct fetch *f = job->f;

	/* room for what it brings is made before it is brought */
	if (f->n_pieces + f->n_jobs + 1 > f->cap_pieces) {
		size_t cap = 2 * (f->n_pieces + f->n_jobs + 8);
		struct fetch_piece *p =
			reallocarray(f->pieces, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		f->pieces = p;
		f->cap_pieces = cap;
	}
	job->began_ns = clk_mono(e->host->clk);
	job->next = f->jobs;
	f->jobs = job;
	f->n_jobs++;
	f->busy++;
	e->stats.requests++;
	return 0;
}

static void job_off_locked(struct fetch_engine *e, struct fetch *f,
			   const struct fetch_job *job) REQUIRES(e->lock)
{
	struct fetch_job **p = &f->jobs;

	while (*p != job)
		p = &(*p)->next;
	*p = job->next;
	f->n_jobs--;
	f->busy--;
	if (job->pos > job->start)
		f->pieces[f->n_pieces++] =
			(struct fetch_piece){ job->start, job->pos - job->start,
					      job->crc };
}

static void fail_locked(struct fetch_engine *e, struct fetch *f, int r)
	REQUIRES(e->lock)
{
	int err = -EIO;

	switch (fetch_plan_verdict(r, &err)) {
	case FETCH_VANISHED:
		if (f->state == FETCH_RUNNING)
			f->state = FETCH_GONE;
		return;
	case FETCH_REFUSED:
		f->refused = f->trouble = err;
		f->refusals++;
		break;
	case FETCH_AGAIN:
		break;
	}
	e->stats.retries++;
	f->retry_ns =
		clk_mono(e->host->clk) +
		fetch_plan_backoff_ns(f->failures++, rng_u64(e->host->rng));
}

void fetch_job_end_locked(struct fetch_engine *e, struct fetch_job *job, int r)
{
	struct fetch *f = job->f;

	job_off_locked(e, f, job);
	if (job->pos > job->start)
		f->failures = 0;
	if (job->pos == job->end) { /* also when it was cut there */
		f->retry_ns = 0;
	} else if (!e->stopping && f->refs) {
		/* short without an error: the size in our row is wrong */
		fail_locked(e, f, r ? r : -EIO);
	}
	if (f->state == FETCH_RUNNING && !f->jobs &&
	    cache_ranges_sum(f->have) == f->spec.size)
		f->state = FETCH_WHOLE;
	thr_wake(&f->cond);
}

static int by_offset(const void *a, const void *b)
{
	const struct fetch_piece *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

int fetch_verify(struct fetch *f)
{
	uint64_t crc = 0, at = 0;

	if (f->n_pieces)
		qsort(f->pieces, f->n_pieces, sizeof(*f->pieces), by_offset);
	for (size_t i = 0; i < f->n_pieces; i++) {
		const struct fetch_piece *p = &f->pieces[i];

		assert(p->off == at);
		crc = is_crc32c(f) ? crc32c_combine((uint32_t)crc,
						    (uint32_t)p->crc, p->len) :
				     crc64nvme_combine(crc, p->crc, p->len);
		at += p->len;
	}
	assert(at == f->spec.size);
	if (is_crc32c(f))
		return f->spec.crc32c != crc ? -EBADMSG : 0;
	return f->spec.has_crc64 && f->spec.crc64 != crc ? -EBADMSG : 0;
}
