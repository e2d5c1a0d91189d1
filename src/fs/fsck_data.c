/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes against checksums.  Readers take keys from a short queue; what they
 * find is told by the thread that fills it, which waits for them.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/hash.h"
#include "ckptfs/lock.h"
#include "ckptfs/thr.h"

#include "fsck_bucket.h"

#define AHEAD 4 /* keys waiting, for each reader */

struct item {
	struct item *next;
	struct store_obj obj; /* as listed */
	char *text; /* what was found, or NULL */
	bool read, summed;
	char key[];
};

struct items {
	struct item *first, **end;
};

struct fsck_reading {
	struct fsck_b *b;
	struct thr_worker **workers;
	unsigned n;
	struct lock lock; /* guards the rest */
	struct thr_cond moved;
	struct items wait, done;
	unsigned waiting, busy;
};

static void items_init(struct items *q)
{
	q->first = NULL;
	q->end = &q->first;
}

static void items_add(struct items *q, struct item *it)
{
	it->next = NULL;
	*q->end = it;
	q->end = &it->next;
}

static struct item *items_take(struct items *q)
{
	struct item *it = q->first;

	if (it)
		q->first = it->next;
	if (!q->first)
		q->end = &q->first;
	return it;
}

/* ---- one object */

struct sum {
	uint64_t n, crc64;
	uint32_t crc32c;
};

static int sum_up(void *arg, const void *p, size_t n)
{
	struct sum *s = arg;

	s->n += n;
	s->crc64 = crc64nvme(s->crc64, p, n);
	s->crc32c = crc32c(s->crc32c, p, n);
	return 0;
}

static void PRINTF_LIKE(2, 3) say(struct item *it, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&it->text, fmt, ap) < 0)
		it->text = NULL;
	va_end(ap);
}

static void compare(struct item *it, const struct sum *s,
		    const struct store_obj *o)
{
	it->read = true;
	it->summed = o->has_crc64 || o->has_crc32c;
	if (s->n != it->obj.size)
		say(it, "%s: %" PRIu64 " bytes, where the listing has %" PRIu64,
		    it->key, s->n, it->obj.size);
	else if ((o->has_crc64 && o->crc64 != s->crc64) ||
		 (o->has_crc32c && o->crc32c != s->crc32c))
		say(it,
		    "%s: its bytes are not those of its checksum: they were "
		    "changed where they lie or on the way here",
		    it->key);
}

static void read_whole(struct store *store, struct item *it)
{
	struct sum s = { 0 };
	struct store_obj o;
	int r = store_get(store, it->key, it->obj.etag, 0, UINT64_MAX, sum_up,
			  &s, &o);

	if (r == 0)
		compare(it, &s, &o);
	else if (r != -ENOENT && r != -ESTALE) /* gone, or another by now */
		say(it, "%s: it cannot be read: %s", it->key,
		    *store_last_error() ? store_last_error() : strerror(-r));
}

/* ---- readers */

static int64_t step(void *arg)
{
	struct fsck_reading *g = arg;
	struct item *it;

	lock_acquire(&g->lock);
	it = items_take(&g->wait);
	if (it) {
		g->waiting--;
		g->busy++;
		thr_wake(&g->moved);
	}
	lock_release(&g->lock);
	if (!it)
		return CLK_NEVER;
	read_whole(g->b->store, it);
	lock_acquire(&g->lock);
	g->busy--;
	items_add(&g->done, it);
	thr_wake(&g->moved);
	lock_release(&g->lock);
	return 0;
}

/* Tell what was found of those that are done. */
static void tell(struct fsck_reading *g)
{
	struct item *it;

	for (;;) {
		lock_acquire(&g->lock);
		it = items_take(&g->done);
		lock_release(&g->lock);
		if (!it)
			return;
		g->b->sums->read += it->read;
		g->b->sums->unsummed += it->read && !it->summed;
		if (it->text)
			fsck_b_tell(g->b, FSCK_FOUND, "%s", it->text);
		free(it->text);
		free(it);
	}
}

/* Until no more than `most` wait, and with 0 none is under way. */
static void wait_for_room(struct fsck_reading *g, unsigned most)
{
	lock_acquire(&g->lock);
	while (g->waiting > most || (most == 0 && g->busy))
		(void)thr_wait(g->b->host->thr, &g->lock, &g->moved, CLK_NEVER);
	lock_release(&g->lock);
	tell(g);
}

int fsck_reading_begin(struct fsck_b *b)
{
	struct fsck_reading *g = calloc(1, sizeof(*g));
	int r = 0;

	if (!g)
		return -ENOMEM;
	g->b = b;
	lock_init(&g->lock, LOCK_LEAF, "fsck_reading");
	thr_cond_init(&g->moved);
	items_init(&g->wait);
	items_init(&g->done);
	b->reading = g;
	g->workers = calloc(b->opts->readers, sizeof(struct thr_worker *));
	if (!g->workers)
		r = -ENOMEM;
	while (r == 0 && g->n < b->opts->readers) {
		r = thr_start(b->host->thr, "reader", step, g,
			      &g->workers[g->n]);
		if (r == 0)
			g->n++;
	}
	return r;
}

int fsck_reading_add(struct fsck_b *b, const char *key,
		     const struct store_obj *obj)
{
	struct fsck_reading *g = b->reading;
	size_t len = strlen(key) + 1;
	struct item *it = calloc(1, sizeof(*it) + len);
	unsigned i;

	if (!it)
		return -ENOMEM;
	it->obj = *obj;
	memcpy(it->key, key, len);
	lock_acquire(&g->lock);
	items_add(&g->wait, it);
	g->waiting++;
	lock_release(&g->lock);
	for (i = 0; i < g->n; i++)
		thr_kick(g->workers[i]);
	wait_for_room(g, AHEAD * g->n);
	return 0;
}

void fsck_reading_end(struct fsck_b *b, int err)
{
	struct fsck_reading *g = b->reading;
	struct item *it;
	unsigned i;

	if (!g)
		return;
	if (err == 0)
		wait_for_room(g, 0);
	for (i = 0; i < g->n; i++)
		thr_stop(g->workers[i]);
	tell(g);
	while ((it = items_take(&g->wait)))
		free(it);
	thr_cond_fini(&g->moved);
	lock_fini(&g->lock);
	free(g->workers);
	free(g);
	b->reading = NULL;
}
