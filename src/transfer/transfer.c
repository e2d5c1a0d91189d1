/* SPDX-License-Identifier: Apache-2.0 */
/* The engine as a whole, and what others ask of it. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "transfer"

/* Uploads whose version is gone or published: aborted. */
static int stray_upload(void *arg, const struct meta_upload *up)
{
	struct transfer *t = arg;
	struct orphan *o;
	size_t i;

	for (i = 0; i < t->nops; i++)
		if (t->ops[i].kind == LINE_PUT && t->ops[i].vid == up->vid)
			return 0;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->vid = up->vid;
	o->key = strdup(up->key);
	o->id = up->id[0] ? strdup(up->id) : NULL;
	o->next = t->orphans;
	t->orphans = o;
	return 0;
}

int transfer_new(const struct host *host, struct meta *meta,
		 struct cache *cache, struct store *store,
		 const struct transfer_opts *opts,
		 const struct transfer_events *events, struct transfer **ret)
{
	struct transfer *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->host = host;
	t->meta = meta;
	t->cache = cache;
	t->store = store;
	t->opts = *opts;
	t->ev = *events;
	lock_init(&t->lock, LOCK_LEAF, "transfer");
	thr_cond_init(&t->cond);
	t->prefix = strdup(opts->prefix);
	r = t->prefix ? line_tx(t) : -ENOMEM;
	if (r == 0)
		meta_end(t->meta);
	if (r < 0) {
		transfer_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

int transfer_start(struct transfer *t)
{
	unsigned i, n = t->opts.max_uploads ? t->opts.max_uploads : 1;
	struct thr_worker *w;
	int r = line_tx(t);

	/* Only now: recovery may have taken versions out of the line. */
	if (r == 0) {
		r = meta_upload_each(t->meta, stray_upload, t);
		t->fold_wanted = t->nops > 0;
		meta_end(t->meta);
	}
	for (i = 0; r == 0 && i < n && i < 64; i++) {
		r = thr_start(t->host->thr, "upload", worker_step, t, &w);
		if (r < 0)
			break;
		/* those that run already kick all there are */
		lock_acquire(&t->lock);
		t->workers[i] = w;
		t->nworkers = i + 1;
		lock_release(&t->lock);
	}
	return r;
}

void transfer_stop(struct transfer *t)
{
	unsigned i;

	if (!t)
		return;
	lock_acquire(&t->lock);
	t->stopping = true;
	thr_wake(&t->cond);
	lock_release(&t->lock);
	for (i = 0; i < t->nworkers; i++) {
		struct thr_worker *w;

		/* those still running must not kick it any more */
		lock_acquire(&t->lock);
		w = t->workers[i];
		t->workers[i] = NULL;
		lock_release(&t->lock);
		thr_stop(w);
	}
}

void transfer_free(struct transfer *t)
{
	struct titem *it, *tmp;
	struct have *h, *htmp;
	struct put_time *p, *ptmp;
	struct orphan *o;

	if (!t)
		return;
	transfer_stop(t);
	HASH_ITER(hh, t->items, it, tmp) {
		HASH_DEL(t->items, it);
		item_free(it);
	}
	HASH_ITER(hh, t->have, h, htmp) {
		HASH_DEL(t->have, h);
		free(h);
	}
	HASH_ITER(hh, t->put_times, p, ptmp) {
		HASH_DEL(t->put_times, p);
		free(p);
	}
	while (t->nops > 0)
		line_op_release(&t->ops[--t->nops]);
	while ((o = t->orphans) != NULL) {
		t->orphans = o->next;
		free(o->key);
		free(o->id);
		free(o);
	}
	free(t->ops);
	free(t->touched);
	thr_cond_fini(&t->cond);
	lock_fini(&t->lock);
	free(t->prefix);
	free(t);
}

bool transfer_underway(struct transfer *t, uint64_t vid)
{
	bool yes = false;
	size_t i;

	lock_acquire(&t->lock);
	for (i = 0; i < t->nops; i++)
		if (t->ops[i].kind == LINE_PUT && t->ops[i].vid == vid)
			yes |= t->ops[i].underway || t->ops[i].flying ||
			       t->ops[i].begun;
	lock_release(&t->lock);
	return yes;
}

static bool under(const char *key, const char *prefix)
{
	size_t n = strlen(prefix);

	if (n && prefix[n - 1] == '/')
		n--;
	return n == 0 || (strncmp(key, prefix, n) == 0 &&
			  (key[n] == '\0' || key[n] == '/'));
}

bool transfer_queued(struct transfer *t, const char *key)
{
	bool yes = false;
	size_t i;

	/* Rows not read yet speak of keys, too, and all workers may be busy
	 * with something long. */
	if (line_refresh(t) < 0)
		return true;
	lock_acquire(&t->lock);
	for (i = 0; i < t->nops && !yes; i++) {
		const struct line_op *op = &t->ops[i];

		yes = strcmp(op->key, key) == 0 ||
		      (op->to && strcmp(op->to, key) == 0);
		if (op->kind == LINE_RENAME_DIR)
			yes |= under(key, op->key) || under(key, op->to);
	}
	lock_release(&t->lock);
	return yes;
}

bool transfer_covers(struct transfer *t, const char *key, int64_t since_real_ns)
{
	struct have *h;
	bool gone;

	if (transfer_owed(t, key) || transfer_queued(t, key))
		return true;
	lock_acquire(&t->lock);
	h = have_find(t, key);
	gone = h && h->gone_real_ns >= since_real_ns;
	lock_release(&t->lock);
	return gone;
}

struct below {
	const char *dir;
	bool found;
};

static int find_below(void *arg, const char *key, uint64_t ino)
{
	struct below *b = arg;

	(void)ino;
	b->found |= under(key, b->dir);
	return b->found;
}

bool transfer_covers_below(struct transfer *t, const char *dir,
			   int64_t since_real_ns)
{
	struct below b = { .dir = dir };
	struct have *h, *tmp;
	size_t i;

	if (line_refresh(t) < 0)
		return true;
	if (meta_owed_any(t->meta) &&
	    meta_owed_each(t->meta, find_below, &b) < 0)
		return true;
	lock_acquire(&t->lock);
	for (i = 0; i < t->nops && !b.found; i++)
		b.found = under(t->ops[i].key, dir) ||
			  (t->ops[i].to && under(t->ops[i].to, dir));
	HASH_ITER(hh, t->have, h, tmp) {
		if (!b.found && h->gone_real_ns >= since_real_ns)
			b.found = under(h->key, dir);
	}
	lock_release(&t->lock);
	return b.found || transfer_queued(t, dir);
}

/* ---- waiting ---- */

/* What is left of the line up to seq that lies under prefix; -EIO if one of
 * them cannot finish by itself. */
static int left(struct transfer *t, const char *prefix, uint64_t seq)
{
	size_t i;
	int n = 0;

	for (i = 0; i < t->nops && t->ops[i].seq <= seq; i++) {
		const struct line_op *op = &t->ops[i];

		if (!under(op->key, prefix) &&
		    !(op->to && under(op->to, prefix)))
			continue;
		if (op->parked)
			return -EIO;
		n++;
	}
	return n;
}

int transfer_wait(struct transfer *t, const char *prefix, uint64_t seq,
		  int64_t deadline_mono_ns)
{
	int r, w = 0;

	r = line_tx(t);
	if (r < 0)
		return r;
	meta_end(t->meta);
	lock_acquire(&t->lock);
	t->waiters++;
	lock_release(&t->lock);
	kick_all(t);
	lock_acquire(&t->lock);
	for (;;) {
		r = left(t, prefix, seq);
		if (r <= 0)
			break;
		if (t->stopping) {
			r = -ECANCELED;
			break;
		}
		if (w == -ETIMEDOUT) {
			r = w;
			break;
		}
		w = thr_wait(t->host->thr, &t->lock, &t->cond,
			     deadline_mono_ns);
	}
	t->waiters--;
	lock_release(&t->lock);
	return r;
}

/* ---- status ---- */

const char *transfer_why_text(enum transfer_why why)
{
	switch (why) {
	case TRANSFER_WHY_UPLOADING:
		return "uploading";
	case TRANSFER_WHY_COMMITTING:
		return "committing";
	case TRANSFER_WHY_QUEUED:
		return "queued";
	case TRANSFER_WHY_DELAY:
		return "waiting for upload_delay";
	case TRANSFER_WHY_ORDER:
		return "waiting for order";
	case TRANSFER_WHY_SEAL:
		return "not at rest: open or mapped";
	case TRANSFER_WHY_RETRY:
		return "trying again";
	case TRANSFER_WHY_PARKED:
		return "refused by the store";
	}
	return "";
}

static const char *verb_of(enum meta_op_kind k)
{
	switch (k) {
	case META_OP_PUT:
		return "put";
	case META_OP_DEL:
		return "delete";
	case META_OP_RENAME:
	case META_OP_RENAME_DIR:
		return "rename";
	case META_OP_SYMLINK:
		return "symlink";
	case META_OP_MARKER:
		return "mkdir";
	}
	return "";
}

static enum transfer_why why_of(struct transfer *t, const struct line_op *op,
				const struct titem *it, bool first)
{
	int64_t now = clk_mono(t->host->clk);

	if (op->parked)
		return TRANSFER_WHY_PARKED;
	if (op->flying)
		return TRANSFER_WHY_COMMITTING;
	if (it->parts_going || it->busy)
		return TRANSFER_WHY_UPLOADING;
	if (!op->final)
		return TRANSFER_WHY_SEAL;
	if (it->retry_at > now)
		return TRANSFER_WHY_RETRY;
	if (!first && !op->unordered && (!op->big || op->sent))
		return TRANSFER_WHY_ORDER;
	if (!t->waiters && op->kind == LINE_PUT &&
	    it->queued_mono + t->opts.upload_delay_ns > now)
		return TRANSFER_WHY_DELAY;
	return TRANSFER_WHY_QUEUED;
}

struct view {
	struct transfer_item it;
	char *key, *to, *error;
};

static void views_free(struct view *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		free(v[i].key);
		free(v[i].to);
		free(v[i].error);
	}
	free(v);
}

static int view_fill(struct transfer *t, size_t i, struct view *v)
{
	const struct line_op *op = &t->ops[i];
	struct titem *it = item_find(t, op->seq);

	v->key = strdup(op->key);
	v->to = strdup(op->to ? op->to : "");
	v->error = strdup(it && it->error ? it->error : "");
	if (!it || !v->key || !v->to || !v->error)
		return -ENOMEM;
	v->it = (struct transfer_item){
		.seq = op->seq,
		.ino = it->ino,
		.vid = it->vid,
		.verb = verb_of(it->kind),
		.key = v->key,
		.to = v->to,
		.size = it->kind == META_OP_PUT ? it->v.size : 0,
		.sent = item_progress(it),
		.since_real_ns = it->v.sealed_real_ns,
		.why = why_of(t, op, it, i == 0),
		.retry_mono_ns = it->retry_at,
		.error = v->error,
		.waits_for = i ? t->ops[0].seq : 0,
	};
	return 0;
}

int transfer_each(struct transfer *t, transfer_item_fn *fn, void *arg)
{
	struct view *v;
	size_t n = 0, i;
	int r = line_tx(t);

	if (r < 0)
		return r;
	meta_end(t->meta);
	lock_acquire(&t->lock);
	v = calloc(t->nops + 1, sizeof(*v));
	for (i = 0; v && r == 0 && i < t->nops; i++, n++)
		r = view_fill(t, i, &v[i]);
	lock_release(&t->lock);
	if (!v)
		return -ENOMEM;
	for (i = 0; r == 0 && i < n; i++)
		r = fn(arg, &v[i].it);
	views_free(v, n);
	return r;
}

void transfer_stats(struct transfer *t, struct transfer_stats *ret)
{
	struct titem *it, *tmp;

	lock_acquire(&t->lock);
	*ret = t->stats;
	if (clk_mono(t->host->clk) / NS_PER_S > t->rate_second + 1)
		ret->rate = 0;
	ret->can_drain = t->stale; /* rows were added, or may have been */
	HASH_ITER(hh, t->items, it, tmp) {
		ret->queued_ops++;
		ret->can_drain |= !it->parked;
		if (it->kind != META_OP_PUT)
			continue;
		ret->queued_bytes += it->v.size - item_progress(it);
		if (it->v.sealed_real_ns &&
		    (!ret->oldest_real_ns ||
		     it->v.sealed_real_ns < ret->oldest_real_ns))
			ret->oldest_real_ns = it->v.sealed_real_ns;
	}
	lock_release(&t->lock);
}
