/* SPDX-License-Identifier: Apache-2.0 */
/* Bandwidth: the limit and the measure. */
#include "config.h"

#include "internal.h"

/* With the lock: what may go by now. */
static void refill(struct transfer *t, int64_t limit, int64_t now)
{
	const int64_t burst = limit / 4 + 65536;

	if (!t->refilled_at)
		t->refilled_at = now;
	t->tokens += (int64_t)((double)(now - t->refilled_at) * (double)limit /
			       (double)NS_PER_S);
	t->refilled_at = now;
	if (t->tokens > burst)
		t->tokens = burst;
}

/* Wait until n bytes may go; called from a body's source, nothing held. */
void limit_take(struct transfer *t, size_t n)
{
	int64_t limit, now;

	lock_acquire(&t->lock);
	if (t->limit)
		t->tokens -= (int64_t)n;
	while (t->limit && !t->stopping) {
		limit = (int64_t)t->limit; /* it may be another by now */
		now = clk_mono(t->host->clk);
		refill(t, limit, now);
		if (t->tokens >= 0)
			break;
		(void)thr_wait(t->host->thr, &t->lock, &t->cond,
			       now + (int64_t)((double)-t->tokens *
					       (double)NS_PER_S /
					       (double)limit) +
				       NS_PER_MS);
	}
	lock_release(&t->lock);
}

/* What was sent is paid for: nobody goes on to wait by the old one. */
void transfer_set_limit(struct transfer *t, uint64_t limit)
{
	lock_acquire(&t->lock);
	t->limit = limit;
	t->tokens = t->refilled_at = 0;
	thr_wake(&t->cond);
	lock_release(&t->lock);
}

void count_sent(struct blob_src *src, size_t n)
{
	struct transfer *t = src->t;
	int64_t s = clk_mono(t->host->clk) / NS_PER_S;

	lock_acquire(&t->lock);
	src->handed += n;
	src->it->going += n;
	item_count(t, src->it);
	if (s != t->rate_second) {
		t->stats.rate = s == t->rate_second + 1 ? t->rate_bytes : 0;
		t->rate_second = s;
		t->rate_bytes = 0;
	}
	t->rate_bytes += n;
	t->stats.bytes_sent += n;
	lock_release(&t->lock);
}

void src_end(struct blob_src *s)
{
	cache_blob_close(s->t->cache, s->fd);
	lock_acquire(&s->t->lock);
	s->it->going -= s->handed;
	item_count(s->t, s->it);
	lock_release(&s->t->lock);
}

uint64_t item_progress(const struct titem *it)
{
	uint64_t done = it->sent + it->going;

	return done < it->v.size ? done : it->v.size;
}
