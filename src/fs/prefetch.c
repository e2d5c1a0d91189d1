/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing a tree here before anybody reads it.  The download engine has so
 * many files at once as it makes requests, in the background: readers go
 * first.  What is here already counts as used now, so that room is made of
 * other things, and if those are not enough nothing is begun.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ahead.h"
#include "bulk.h"
#include "linger.h"
#include "used.h"

#define LOG_MODULE "fs"

#define AT_ONCE 16 /* where max_downloads does not say */
#define ROOM_AHEAD (UINT64_C(64) << 20)
#define PATIENCE_NS NS_PER_S

/* A file on its way. */
struct slot {
	struct watch w;
	struct inode *in; /* pinned; NULL: free */
	uint64_t size, got; /* got: counted in done_bytes */
};

struct prefetch {
	struct bulk b;
	int64_t began_real;
	struct slot *slots;
	size_t nslots, used, next, asked; /* the last two: of b.ino */
	uint64_t left; /* bytes not yet begun */
};

static const char *trouble(int err)
{
	switch (err) {
	case -ESTALE:
	case -ENOENT:
		return "another writer replaced or deleted it meanwhile";
	case -EBADMSG:
		return "its bytes do not match their checksum";
	case -EACCES:
		return "the store refuses to give it";
	case -ENOSPC:
		return "the cache disk is full";
	case -ECANCELED:
		return "it was let go of meanwhile";
	case -EIO:
		return "it cannot be read: the log says more";
	default:
		return strerror(-err);
	}
}

/* It will not come, and does not count any more. */
static void forget(struct prefetch *p, uint64_t size)
{
	p->b.sums->files--;
	p->b.sums->bytes -= size;
}

static void come(struct prefetch *p, uint64_t size, uint64_t counted)
{
	p->b.sums->done_files++;
	p->b.sums->done_bytes += size - counted;
}

static void fail(struct prefetch *p, struct inode *in, uint64_t size, int err)
{
	forget(p, size);
	bulk_refuse(&p->b, in, trouble(err));
}

/* Used now: it is the last to be let go. */
static void touch(struct fs *fs, struct inode *in)
{
	lock_acquire(&fs->ns);
	used_note(fs, in);
	lock_release(&fs->ns);
}

/* What is missing stays on the list. */
static void count(struct prefetch *p)
{
	struct bulk *b = &p->b;
	struct inode *in;
	uint64_t size;
	size_t i, n = 0;

	for (i = 0; i < b->n; i++) {
		in = inode_get_row(b->fs, b->ino[i]);
		if (!in)
			continue;
		touch(b->fs, in);
		if (!is_whole(b->fs, in, &size)) {
			b->ino[n++] = in->ino;
			b->sums->files++;
			b->sums->bytes += size;
		}
		inode_put(b->fs, in);
	}
	b->n = n;
	p->left = b->sums->bytes;
}

/* A download that nobody reads goes, and with it what it brought; else it is
 * its readers' again.  busy is held. */
static void give_up(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;

	if (l && l->nopen && l->fetch && !is_watched(fs, in->ino))
		fetch_want_all(l->fetch, false);
	linger_give_up(fs, in);
}

static void slot_end(struct prefetch *p, struct slot *s)
{
	struct fs *fs = p->b.fs;
	int64_t end = clk_mono(fs->host->clk) + PATIENCE_NS;

	watch_del(fs, &s->w);
	if (busy_begin_until(fs, s->in, end)) {
		give_up(fs, s->in);
		busy_end(fs, s->in);
	}
	inode_put(fs, s->in);
	s->in = NULL;
	p->used--;
}

/* Begin the download: 0; 1: there is nothing to wait for.  busy is held. */
static int begin_busy(struct fs *fs, struct inode *in)
{
	struct live *l;
	int r;

	if (!in->parent || in->kind != META_FILE)
		return -ESTALE;
	r = live_get(fs, in);
	if (r < 0)
		return r;
	l = in->live;
	if (!l->writing)
		r = live_hydrate(fs, in, false);
	if (r == 0 && l->fetch && !l->writing) {
		r = fetch_outcome(l->fetch);
		if (r == -EINPROGRESS) {
			fetch_want_all(l->fetch, true);
			return 0; /* the janitor tells */
		}
		if (r == 0) /* a reader has brought it */
			r = live_complete(fs, in);
	}
	if (l->nopen == 0)
		(void)seal_settle(fs, in);
	return r < 0 ? r : 1;
}

static void start(struct prefetch *p, struct inode *in, struct slot *s)
{
	struct fs *fs = p->b.fs;
	uint64_t size = in->size;
	int r;

	if (!busy_begin_until(fs, in, bulk_wait_end(&p->b))) {
		inode_put(fs, in);
		return; /* again after the next tick */
	}
	*s = (struct slot){ .w = { .ino = in->ino }, .in = in, .size = size };
	watch_add(fs, &s->w);
	p->used++;
	p->next++;
	r = begin_busy(fs, in);
	busy_end(fs, in);
	touch(fs, in);
	p->left -= size < p->left ? size : p->left;
	if (r == 0)
		return;
	if (r > 0)
		come(p, size, 0);
	else
		fail(p, in, size, r);
	slot_end(p, s);
}

/* What the listing could not tell: size, checksum, whether it is a link. False:
 * it is off the list. */
static bool complete_meta(struct prefetch *p, struct inode *in)
{
	uint64_t size = in->size;
	int r = in->meta_known ? 0 : meta_complete(p->b.fs, in);

	if (r < 0) {
		fail(p, in, size, r);
	} else if (in->kind != META_FILE || !in->parent) {
		forget(p, size);
	} else {
		p->b.sums->bytes += in->size - size;
		return true;
	}
	p->next++;
	p->left -= size < p->left ? size : p->left;
	return false;
}

/* The bucket is asked of those behind the next one, side by side. */
static void look_ahead(struct prefetch *p)
{
	struct fs *fs = p->b.fs;
	size_t end = p->next + AHEAD_MOST / 2;
	struct inode *in;
	bool known;

	if (p->asked <= p->next)
		p->asked = p->next + 1;
	for (; p->asked < p->b.n && p->asked < end; p->asked++) {
		in = inode_get(fs, p->b.ino[p->asked]);
		known = in && meta_is_known(fs, in);
		inode_put(fs, in);
		if (!known && !ahead_ask(fs, p->b.ino[p->asked]))
			break;
	}
}

/* The next one of the list; -ENOSPC: there is no room for it. */
static int start_next(struct prefetch *p, struct slot *s)
{
	struct fs *fs = p->b.fs;
	struct inode *in = inode_get_row(fs, p->b.ino[p->next]);
	uint64_t ahead = p->left < ROOM_AHEAD ? p->left : ROOM_AHEAD;
	int r;

	if (!in) {
		p->next++;
		p->b.sums->files--; /* its size is not known any more */
		return 0;
	}
	if (!complete_meta(p, in)) {
		inode_put(fs, in);
		return 0;
	}
	if (ahead < in->size)
		ahead = in->size;
	r = room_make(fs, ahead, p->began_real, &p->b.sums->room);
	if (r < 0) {
		inode_put(fs, in);
		return r;
	}
	start(p, in, s);
	return 0;
}

static int fill(struct prefetch *p)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < p->nslots && p->next < p->b.n; i++) {
		if (!p->slots[i].in) {
			r = bulk_tick(&p->b);
			look_ahead(p);
			if (r == 0)
				r = start_next(p, &p->slots[i]);
		}
	}
	return r;
}

static bool any_ended(const struct prefetch *p)
{
	size_t i;

	for (i = 0; i < p->nslots; i++)
		if (p->slots[i].in && p->slots[i].w.ended)
			return true;
	return false;
}

/* Until one has ended, or for a while. */
static void await(struct prefetch *p)
{
	struct fs *fs = p->b.fs;
	int64_t end = bulk_wait_end(&p->b);

	lock_acquire(&fs->busy_lock);
	while (!any_ended(p) && thr_wait(fs->host->thr, &fs->busy_lock,
					 &fs->busy_cond, end) == 0)
		;
	lock_release(&fs->busy_lock);
}

/* Nobody tells when a download is given up by a writer, or refused for now. */
static int look(struct prefetch *p, struct slot *s)
{
	struct live *l = s->in->live;
	uint64_t got, size;
	int r;

	if (!s->in->parent)
		return -ESTALE;
	if (!l || !l->fetch || l->writing)
		return is_whole(p->b.fs, s->in, &size) ? 0 : -ECANCELED;
	got = fetch_progress(l->fetch);
	p->b.sums->done_bytes += got - s->got;
	s->got = got;
	r = fetch_outcome(l->fetch);
	/* Complete: the janitor tells, once it is durable. */
	return r < 0 || l->ver.complete ? r : -EINPROGRESS;
}

/* ret: whether it has ended, *ret_err as what. */
static bool outcome(struct prefetch *p, struct slot *s, bool tick, int *ret_err)
{
	struct fs *fs = p->b.fs;
	bool ended;

	lock_acquire(&fs->busy_lock);
	ended = s->w.ended;
	*ret_err = s->w.err;
	lock_release(&fs->busy_lock);
	if (ended || !tick || !busy_try(fs, s->in))
		return ended;
	*ret_err = look(p, s);
	busy_end(fs, s->in);
	return *ret_err != -EINPROGRESS;
}

static void harvest(struct prefetch *p, bool tick)
{
	size_t i;
	int err;

	for (i = 0; i < p->nslots; i++) {
		struct slot *s = &p->slots[i];

		if (!s->in || !outcome(p, s, tick, &err))
			continue;
		if (err == 0) {
			come(p, s->size, s->got);
		} else {
			p->b.sums->done_bytes -= s->got;
			fail(p, s->in, s->size, err);
		}
		slot_end(p, s);
	}
}

static int fetch_all(struct prefetch *p)
{
	struct fs *fs = p->b.fs;
	bool tick;
	size_t i;
	int r = 0;

	while (p->next < p->b.n || p->used) {
		r = fill(p);
		if (r < 0)
			break;
		await(p);
		tick = clk_mono(fs->host->clk) >= bulk_wait_end(&p->b);
		harvest(p, tick);
		r = bulk_tick(&p->b);
		if (r < 0)
			break;
	}
	for (i = 0; i < p->nslots; i++)
		if (p->slots[i].in)
			slot_end(p, &p->slots[i]);
	return r;
}

int fs_prefetch(struct fs *fs, const char *path, const struct fs_bulk *how,
		struct fs_bulk_sums *ret)
{
	struct prefetch p = { .began_real = clk_real(fs->host->clk) };
	int r, e = 0;

	p.nslots = fs->opts.max_downloads ? fs->opts.max_downloads : AT_ONCE;
	bulk_begin(&p.b, fs, how, ret);
	p.slots = calloc(p.nslots, sizeof(*p.slots));
	r = p.slots ? bulk_walk(&p.b, path, true) : -ENOMEM;
	if (r == 0) {
		count(&p);
		if (!room_fits(fs, p.left, p.began_real, &ret->room))
			r = -ENOSPC;
	}
	if (r == 0)
		r = fetch_all(&p);
	/* What has come stays here, whatever comes. */
	if (ret->done_files)
		e = barrier_now(fs->barrier, CLK_NEVER);
	bulk_end(&p.b);
	free(p.slots);
	return r < 0 ? r : e;
}
