/* SPDX-License-Identifier: Apache-2.0 */
/* The engine as a whole, and what others ask of it. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "transfer"

/* The row that publishes a version, the newest of them; NULL: none. */
static const struct line_op *put_of(const struct transfer *t, uint64_t vid)
{
	const struct line_seqs *rows = line_of_version(&t->line, vid);
	const struct line_op *put = NULL;
	size_t i;

	for (i = 0; rows && i < rows->n; i++) {
		const struct line_op *op = line_find(&t->line, rows->seq[i]);

		if (op->kind == LINE_PUT && (!put || op->seq > put->seq))
			put = op;
	}
	return put;
}

bool upload_is_of_line(struct transfer *t, uint64_t vid)
{
	const struct line_op *op =
		vid & VID_COPY ? line_find(&t->line, vid & VID_COPY_SEQ) :
				 put_of(t, vid);

	if (op)
		item_find(t, op->seq)->has_upload = true;
	return op != NULL;
}

/* Begun by an earlier life: resumed, or begun again, while what it is for is in
 * the line, else aborted. */
static int old_upload(void *arg, const struct meta_upload *up)
{
	struct transfer *t = arg;
	int r = 0;

	lock_acquire(&t->lock);
	if (!upload_is_of_line(t, up->vid))
		r = orphan_add(t, up->vid);
	lock_release(&t->lock);
	return r;
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
	t->limit = opts->upload_limit;
	flow_init(&t->flow, opts->max_uploads);
	lock_init(&t->lock, LOCK_LEAF, "transfer");
	thr_cond_init(&t->cond);
	t->next_stale = true;
	t->prefix = strdup(opts->prefix);
	r = t->prefix ? line_tx(t) : -ENOMEM;
	if (r == 0) {
		r = meta_lost_get(t->meta, &t->lost);
		meta_end(t->meta);
	}
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
		r = meta_upload_each(t->meta, old_upload, t);
		t->fold_wanted = t->line.n > 0;
		t->found_seq = t->last_seq;
		meta_end(t->meta);
	}
	for (i = 0; r == 0 && i < n && i < 64; i++) {
		t->workers[i].t = t;
		r = thr_start(t->host->thr, "upload", worker_step,
			      &t->workers[i], &w);
		if (r < 0)
			break;
		/* those that run already wake others */
		lock_acquire(&t->lock);
		t->workers[i].w = w;
		t->nworkers = i + 1;
		thr_kick(w); /* nobody could until now */
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
		w = t->workers[i].w;
		t->workers[i].w = NULL;
		lock_release(&t->lock);
		thr_stop(w);
	}
}

void transfer_free(struct transfer *t)
{
	struct titem *it, *tmp;
	struct put_time *p, *ptmp;

	if (!t)
		return;
	transfer_stop(t);
	HASH_ITER(hh, t->items, it, tmp) {
		HASH_DEL(t->items, it);
		item_free(it);
	}
	have_free(t);
	HASH_ITER(hh, t->put_times, p, ptmp) {
		HASH_DEL(t->put_times, p);
		free(p);
	}
	line_release(&t->line);
	while (t->orphans)
		orphan_free(t, t->orphans);
	free(t->touched);
	thr_cond_fini(&t->cond);
	lock_fini(&t->lock);
	free(t->prefix);
	free(t);
}

bool transfer_underway(struct transfer *t, uint64_t vid)
{
	const struct line_op *put;
	bool yes;

	lock_acquire(&t->lock);
	put = put_of(t, vid);
	yes = put && (put->underway || put->flying || put->begun);
	lock_release(&t->lock);
	return yes;
}

bool transfer_begun(struct transfer *t, uint64_t vid)
{
	struct line_change c = { 0 };
	const struct line_op *put;
	bool yes = false;

	lock_acquire(&t->lock);
	put = put_of(t, vid);
	/* It would change nothing. */
	if (put)
		yes = line_begin_near(&t->line, put->seq, &c) < 0 || c.n == 0;
	lock_release(&t->lock);
	line_change_release(&c);
	return yes;
}

struct find_put {
	uint64_t vid, seq;
};

static int match_put(void *arg, const struct meta_op *op)
{
	struct find_put *f = arg;

	if (op->kind == META_OP_PUT && op->vid == f->vid)
		f->seq = op->seq;
	return 0;
}

/* From the copy, of which the rows may be ahead: by those that came since, and
 * by one that left. */
int transfer_place(struct transfer *t, uint64_t vid, uint64_t *ret_seq)
{
	struct find_put f = { .vid = vid };
	const struct line_op *put;
	struct meta_op op;
	int r = 0;

	meta_assert_begun(t->meta);
	put = put_of(t, vid);
	if (put) {
		r = meta_op_get(t->meta, put->seq, &op);
		if (r == 0)
			f.seq = put->seq;
	}
	if (r == 0 || r == -ENOENT)
		r = meta_op_each(t->meta, t->last_seq, match_put, &f);
	if (r == 0)
		*ret_seq = f.seq;
	return r;
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
	bool yes;

	/* Rows not read yet speak of keys, too, and all workers may be busy
	 * with something long. */
	if (line_refresh(t) < 0)
		return true;
	lock_acquire(&t->lock);
	yes = line_speaks_of(&t->line, key);
	lock_release(&t->lock);
	return yes;
}

bool transfer_covers(struct transfer *t, const char *key, int64_t since_mono_ns)
{
	struct have *h;
	bool gone;

	if (transfer_owed(t, key) || transfer_queued(t, key))
		return true;
	lock_acquire(&t->lock);
	h = have_find(t, key);
	gone = h && h->gone_mono_ns && h->gone_mono_ns >= since_mono_ns;
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
			   int64_t since_mono_ns)
{
	struct below b = { .dir = dir };

	if (line_refresh(t) < 0)
		return true;
	if (meta_owed_any(t->meta) &&
	    meta_owed_each(t->meta, find_below, &b) < 0)
		return true;
	lock_acquire(&t->lock);
	b.found |= line_speaks_of(&t->line, dir) ||
		   line_speaks_below(&t->line, dir) ||
		   have_gone_below(t, dir, since_mono_ns);
	lock_release(&t->lock);
	return b.found;
}

/* ---- waiting ---- */

struct left {
	const char *prefix;
	uint64_t seq;
	uint64_t seen; /* one that was left when last looked */
};

static bool is_left(const struct left *l, const struct line_op *op)
{
	return op->seq <= l->seq && (under(op->key, l->prefix) ||
				     (op->to && under(op->to, l->prefix)));
}

/* What goes beside a path in conflict belongs to it, and was closed before it
 * got its place. */
static const struct line_op *beside_left(const struct transfer *t,
					 const struct left *l)
{
	const struct line_op *op;
	const char *path;
	size_t i;

	for (i = 0; i < t->line.apart.n; i++) {
		op = line_find(&t->line, t->line.apart.seq[i]);
		path = op ? transfer_beside(t, op->key) : NULL;
		if (path && under(path, l->prefix + strlen(t->prefix)))
			return op;
	}
	return NULL;
}

/* Whether something of the line is left; -EIO if that cannot finish by
 * itself. */
static int left(struct transfer *t, struct left *l)
{
	const struct line_op *op = line_find(&t->line, l->seen);
	bool any = false;
	size_t i;

	if (op && is_left(l, op) && !t->n_parked)
		return 1;
	for (i = 0; i < t->line.n && t->line.ops[i].seq <= l->seq; i++) {
		op = &t->line.ops[i];
		t->line.visited++;
		if (!is_left(l, op))
			continue;
		if (op->parked)
			return -EIO;
		/* The newest is longest here, most likely. */
		l->seen = op->seq;
		any = true;
	}
	op = beside_left(t, l);
	if (op && op->parked)
		return -EIO;
	return any || op;
}

/* While one is copied from its rows, what takes the place of a row that is gone
 * may not be there yet. */
static int between_changes(struct transfer *t)
{
	int r = line_tx(t);

	if (r == 0)
		meta_end(t->meta);
	return r;
}

int transfer_wait(struct transfer *t, const char *prefix, uint64_t seq,
		  int64_t deadline_mono_ns)
{
	struct left l = { .prefix = prefix, .seq = seq };
	bool sure = false;
	int r, w = 0;

	r = between_changes(t);
	if (r < 0)
		return r;
	lock_acquire(&t->lock);
	t->waiters++;
	lock_release(&t->lock);
	kick_one(t);
	lock_acquire(&t->lock);
	for (;;) {
		r = left(t, &l);
		if (r == 0 && !sure) {
			lock_release(&t->lock);
			r = between_changes(t);
			lock_acquire(&t->lock);
			sure = r == 0;
			if (sure)
				continue;
		}
		if (r <= 0)
			break;
		sure = false;
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
	const struct line_op *op = &t->line.ops[i];
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
		.waits_for = i ? t->line.ops[0].seq : 0,
	};
	return 0;
}

int transfer_each(struct transfer *t, transfer_item_fn *fn, void *arg)
{
	struct view *v;
	size_t n = 0, i;
	int read = line_tx(t), r = 0;

	if (read == 0)
		meta_end(t->meta);
	lock_acquire(&t->lock);
	v = calloc(t->line.n + 1, sizeof(*v));
	for (i = 0; v && r == 0 && i < t->line.n; i++, n++)
		r = view_fill(t, i, &v[i]);
	lock_release(&t->lock);
	if (!v)
		return -ENOMEM;
	for (i = 0; r == 0 && i < n; i++)
		r = fn(arg, &v[i].it);
	views_free(v, n);
	return r ? r : read;
}

/* Of what is queued. */
static int64_t oldest(struct transfer *t)
{
	struct titem *it, *tmp;

	if (!t->oldest_unknown)
		return t->oldest_real_ns;
	t->oldest_unknown = false;
	t->oldest_real_ns = 0;
	HASH_ITER(hh, t->items, it, tmp) {
		if (it->sum_sealed && (!t->oldest_real_ns ||
				       it->sum_sealed < t->oldest_real_ns))
			t->oldest_real_ns = it->sum_sealed;
	}
	return t->oldest_real_ns;
}

void transfer_stats(struct transfer *t, struct transfer_stats *ret)
{
	lock_acquire(&t->lock);
	t->stats.oldest_real_ns = oldest(t);
	t->stats.queued_ops = t->line.n + t->n_unread;
	t->stats.queued_bytes = t->sum_bytes;
	t->stats.visited = t->line.visited;
	t->stats.at_once = t->flow.now;
	t->stats.at_once_most = t->flow.most;
	t->stats.limit = t->limit;
	*ret = t->stats;
	if (clk_mono(t->host->clk) / NS_PER_S > t->rate_second + 1)
		ret->rate = 0;
	/* rows were added, or may have been */
	ret->can_drain = t->stale || t->line.n > t->n_parked;
	lock_release(&t->lock);
}
