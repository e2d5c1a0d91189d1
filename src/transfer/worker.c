/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's step: one action, performed with nothing locked, its result put
 * on record. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "transfer"

/* Refused for good, and not because we are let in nowhere any more?  What is
 * gone from here, or damaged, cannot be sent either. */
static bool is_permanent(struct transfer *t, int r, unsigned attempts)
{
	char key[META_KEY_MAX + 32];
	struct store_obj o;

	if (r == -EINVAL || r == -EOPNOTSUPP || r == -ENODATA ||
	    r == -EUCLEAN || r == -EBUSY)
		return true;
	if (r == -EBADMSG || r == -EPROTO)
		return attempts >= 8;
	if (r != -EACCES || attempts < 3)
		return false;
	(void)snprintf(key, sizeof(key), "%s.ckptfs/alive", t->prefix);
	r = store_head(t->store, key, &o);
	return r == 0 || r == -ENOENT;
}

/* With the lock. */
static void say_error(struct transfer *t, struct titem *it, int r,
		      const char *words)
{
	char text[160];

	(void)snprintf(text, sizeof(text), "%s%s%s", strerror(-r),
		       words[0] ? ": " : "", words);
	free(it->error);
	it->error = strdup(text);
	memcpy(t->stats.last_error, text, sizeof(text));
}

/* An action on an item failed: when again, or never. */
static void failed(struct transfer *t, struct titem *it, int r)
{
	char words[160];
	unsigned attempts;

	(void)snprintf(words, sizeof(words), "%s",
		       r == -ENODATA ? "its bytes are gone from the cache disk" :
		       r == -EUCLEAN ? "the cache disk damaged its bytes: they "
				       "are not those that were closed" :
		       r == -EBUSY ? "another writer's object is there by now: "
				     "theirs stays" :
				       store_last_error());
	if (r == -ECANCELED)
		return;
	lock_acquire(&t->lock);
	attempts = ++it->attempts;
	lock_release(&t->lock);
	if (is_permanent(t, r, attempts)) {
		log_line(LOG_LV_ERR, LOG_MODULE, r, "%s: parked: %s", it->key,
			 words);
		lock_acquire(&t->lock);
		say_error(t, it, r, words);
		it->retry_at = CLK_NEVER;
		lock_release(&t->lock);
		(void)record_park(t, it, words[0] ? words : strerror(-r));
		return;
	}
	if (attempts == 1 || attempts % 16 == 0)
		log_warn("%s: %s%s%s: trying again (%u)", it->key,
			 strerror(-r), words[0] ? ": " : "", words, attempts);
	lock_acquire(&t->lock);
	t->stats.retries++;
	if (r != -EAGAIN || words[0])
		say_error(t, it, r, words);
	it->retry_at = clk_mono(t->host->clk) +
		       plan_backoff(attempts, rng_u64(t->host->rng));
	lock_release(&t->lock);
}

static void note_put_time(struct transfer *t, const struct titem *it)
{
	struct put_time *p;
	size_t n = strlen(it->key);

	HASH_FIND(hh, t->put_times, it->key, n, p);
	if (!p) {
		p = calloc(1, sizeof(*p) + n + 1);
		if (!p)
			return;
		memcpy(p->key, it->key, n + 1);
		HASH_ADD_KEYPTR(hh, t->put_times, p->key, n, p);
	}
	p->mono = clk_mono(t->host->clk);
	p->changed = it->changed;
}

/* Its row, with the lock.  NULL: it left the line, and the row of this number is
 * that of the same version under another name. */
static struct line_op *op_of(struct transfer *t, const struct titem *it)
{
	return it->gone ? NULL : line_find(&t->line, it->seq);
}

/* The store no longer knows the upload: all of it again. */
static void body_again(struct transfer *t, struct titem *it)
{
	struct line_op *op;

	lock_acquire(&t->lock);
	op = op_of(t, it);
	if (op)
		op->sent = false;
	it->body = BODY_NONE;
	free(it->upload_id);
	it->upload_id = NULL;
	it->lay.copied = 0;
	it->sent = 0;
	item_count(t, it);
	t->next_stale = t->bodies_stale = true;
	lock_release(&t->lock);
}

static int forget_upload(struct transfer *t, uint64_t vid)
{
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = meta_upload_del(t->meta, vid);
	if (r == 0 || r == -ENOENT)
		r = meta_part_del_all(t->meta, vid);
	if (r == 0 || r == -ENOENT)
		r = meta_commit(t->meta);
	meta_end(t->meta);
	return r;
}

/* It is given up, and another one begun. */
static void upload_again(struct transfer *t, struct titem *it)
{
	if (store_mpu_abort(t->store, it->key, it->upload_id) == 0)
		(void)forget_upload(t, it->vid);
	body_again(t, it);
}

/* Asking for the same again will not help: copies are done without. */
static bool is_refused(int r)
{
	return r == -EINVAL || r == -EOPNOTSUPP || r == -EBADMSG;
}

static void do_commit(struct transfer *t, struct titem *it)
{
	struct line_op *op;
	int r = record_begun(t, it);
	bool done;

	if (r == 0)
		r = commit_item(t, it);
	done = r == 0;
	if (r == -EBUSY && it->kind == META_OP_PUT &&
	    !transfer_beside(t, it->key))
		r = record_conflict(t, it);
	if (r == -ENOENT && it->upload_id) {
		(void)forget_upload(t, it->vid);
		body_again(t, it);
		r = -EAGAIN;
	}
	if (it->upload_id && it->lay.copied && is_refused(r)) {
		it->no_copies = true;
		upload_again(t, it);
		r = -EAGAIN;
	} else if ((r == -EBADMSG || r == -EUCLEAN) && it->upload_id) {
		upload_again(t, it);
	} else if (r == -EINVAL && it->upload_id && !it->relisted) {
		/* A part may be another than the one we know of. */
		it->relisted = true;
		body_again(t, it);
		r = -EAGAIN;
	}
	lock_acquire(&t->lock);
	op = op_of(t, it);
	if (op)
		op->flying = false;
	it->busy = false;
	/* Not committed, or perhaps as a whole: its upload is of no use. */
	if (it->gone && (!done || !it->upload_id || it->was_found))
		it->abandoned = true;
	t->next_stale = true;
	if (r == 0 && it->kind == META_OP_PUT)
		note_put_time(t, it);
	thr_wake(&t->cond);
	lock_release(&t->lock);
	if (r < 0)
		failed(t, it, r);
}

/* It cannot be read: perhaps it is not what was sealed any more, and then will
 * never be. */
static int why_unread(struct transfer *t, const struct titem *it, int err)
{
	int r = err == -EIO && t->ev.still_sealed ?
			t->ev.still_sealed(t->ev.arg, it->ino, it->vid) :
			0;

	return r < 0 ? r : err;
}

static void do_begin(struct transfer *t, struct titem *it)
{
	struct line_op *op;
	int r = why_unread(t, it, body_begin(t, it));

	lock_acquire(&t->lock);
	it->busy = false;
	op = op_of(t, it);
	it->body = r < 0				? BODY_NONE :
		   it->parts_done == it->nparts ? BODY_SENT :
						  BODY_SENDING;
	if (r == 0 && op) {
		op->underway = true;
		op->sent = it->body == BODY_SENT;
	}
	item_count(t, it);
	t->next_stale = t->bodies_stale = true;
	lock_release(&t->lock);
	if (r < 0)
		failed(t, it, r);
}

static void do_part(struct transfer *t, struct titem *it, unsigned part)
{
	struct line_op *op;
	uint64_t off, len;
	bool anew;
	int r = body_part(t, it, part);

	if (r < 0)
		r = why_unread(t, it, r);
	lock_acquire(&t->lock);
	it->parts_going--;
	it->parts[part].state = r == 0 ? PART_DONE : PART_TODO;
	if (part_is_copied(it, part) &&
	    (is_refused(r) || r == -ESTALE || r == -EACCES)) {
		it->no_copies = true;
		r = -EAGAIN;
	}
	anew = copies_failed(it) && !it->parts_going;
	if (r == 0) {
		part_at(it, part, &off, &len);
		it->parts_done++;
		it->sent += len;
		it->attempts = 0;
		item_count(t, it);
	}
	if (it->parts_done == it->nparts) {
		it->body = BODY_SENT;
		op = op_of(t, it);
		if (op)
			op->sent = true;
		t->next_stale = t->bodies_stale = true;
	}
	lock_release(&t->lock);
	if (anew) {
		upload_again(t, it);
	} else if (r == -ENOENT) {
		(void)forget_upload(t, it->vid);
		lock_acquire(&t->lock);
		r = it->parts_going == 0 ? -EAGAIN : 0;
		lock_release(&t->lock);
		if (r)
			body_again(t, it);
		r = -EAGAIN;
	}
	if (r < 0)
		failed(t, it, r);
}

/* The upload of a version that needs none.  0: nothing is left of it. */
static int abort_upload(struct transfer *t, const struct orphan *o)
{
	struct meta_upload up;
	int r = meta_begin(t->meta);

	if (r == 0) {
		r = meta_upload_get(t->meta, o->vid, &up);
		meta_end(t->meta);
	}
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = up.id[0] ? store_mpu_abort(t->store, up.key, up.id) :
		       body_sweep(t, &up);
	if (r == 0)
		return forget_upload(t, o->vid);
	if (!store_err_is_transient(r))
		log_warn("an unfinished upload of %s stays until the next "
			 "mount: %s",
			 up.key, strerror(-r));
	else if (o->attempts == 0)
		log_info("an unfinished upload of %s is aborted later: %s",
			 up.key, strerror(-r));
	return r;
}

/* Who did not answer is asked again; here, unless the version is in the line
 * under another name: then its body begins with that, and says why it waits. */
static void do_abort(struct transfer *t, struct orphan *o)
{
	int r = abort_upload(t, o);

	lock_acquire(&t->lock);
	if (store_err_is_transient(r) && !upload_is_of_line(t, o->vid)) {
		o->retry_at =
			clk_mono(t->host->clk) +
			plan_backoff(++o->attempts, rng_u64(t->host->rng));
		o->taken = false;
	} else {
		orphan_free(t, o);
	}
	lock_release(&t->lock);
}

static int refresh_if_stale(struct transfer *t)
{
	bool stale;
	int r;

	lock_acquire(&t->lock);
	stale = line_stale_in(t) == 0;
	lock_release(&t->lock);
	if (!stale)
		return 0;
	r = line_tx(t);
	if (r == 0)
		meta_end(t->meta);
	return r;
}

/* Nothing to do for so long; but what came meanwhile found nobody idle. */
static int64_t rest(struct uploader *u, int64_t wait)
{
	int64_t left = line_stale_in(u->t);

	u->idle = true;
	return left < wait ? left : wait;
}

/* The store is asked for it, for some time. */
static bool asks(enum act act)
{
	return act == ACT_COMMIT || act == ACT_BEGIN || act == ACT_PART;
}

/* With the lock. */
static void asks_begin(struct transfer *t, enum act act)
{
	if (!asks(act))
		return;
	flow_begins(&t->flow, t->going);
	t->going++;
	t->committing += act == ACT_COMMIT;
}

/* With the lock. */
static void asks_end(struct transfer *t, enum act act, int64_t began_ns,
		     bool throttled)
{
	if (!asks(act))
		return;
	t->going--;
	t->committing -= act == ACT_COMMIT;
	t->asked++;
	(void)flow_ends(&t->flow, began_ns, clk_mono(t->host->clk),
			t->stats.bytes_sent + t->asked * FLOW_REQUEST,
			throttled);
}

static int64_t choose(struct uploader *u, struct action *ret)
{
	struct transfer *t = u->t;
	int r = refresh_if_stale(t);
	int64_t wait = 0;

	lock_acquire(&t->lock);
	u->idle = false;
	ret->act = ACT_NONE;
	if (t->stopping) {
		wait = CLK_NEVER;
	} else if (r < 0) {
		u->idle = true;
		wait = NS_PER_S;
	} else {
		*ret = plan_next(t, &wait);
		asks_begin(t, ret->act);
		if (ret->act == ACT_NONE)
			wait = rest(u, wait);
		else if (ret->act != ACT_FOLD)
			wake_one(t);
	}
	lock_release(&t->lock);
	return wait;
}

int64_t worker_step(void *arg)
{
	struct uploader *u = arg;
	struct transfer *t = u->t;
	struct action a;
	int64_t wait = choose(u, &a), began = clk_mono(t->host->clk);
	uint64_t throttled = store_throttled();

	switch (a.act) {
	case ACT_NONE:
		return wait;
	case ACT_FOLD:
		if (fold_apply(t) < 0)
			return NS_PER_S;
		break;
	case ACT_COMMIT:
		if (a.run)
			del_run_commit(t, a.run);
		else
			do_commit(t, a.it);
		break;
	case ACT_BEGIN:
		do_begin(t, a.it);
		break;
	case ACT_PART:
		do_part(t, a.it, a.part);
		break;
	case ACT_SUM:
		sum_take(t, a.it);
		break;
	case ACT_CREW:
		crew_do(t, &a.crew);
		break;
	case ACT_ABORT:
		do_abort(t, a.orphan);
		break;
	}
	lock_acquire(&t->lock);
	asks_end(t, a.act, began, store_throttled() != throttled);
	if (a.it)
		item_unpin(t, a.it);
	lock_release(&t->lock);
	return 0;
}
