/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's items, and what the bucket is known to have. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct titem *item_find(struct transfer *t, uint64_t seq)
{
	struct titem *it;

	HASH_FIND(hh, t->items, &seq, sizeof(seq), it);
	return it;
}

void item_free(struct titem *it)
{
	if (!it)
		return;
	free(it->key);
	free(it->to);
	free(it->error);
	free(it->upload_id);
	free(it->parts);
	free(it);
}

static void orphan_add(struct transfer *t, struct titem *it)
{
	struct orphan *o;

	if (!it->upload_id || !it->upload_id[0])
		return;
	o = calloc(1, sizeof(*o));
	if (!o)
		return; /* found again at the next mount, by its row */
	o->vid = it->vid;
	o->key = strdup(it->key);
	o->id = it->upload_id;
	it->upload_id = NULL;
	o->next = t->orphans;
	t->orphans = o;
}

/* Only now: a part that arrives after the abort would bring the upload back. */
void item_unpin(struct transfer *t, struct titem *it)
{
	if (--it->pins > 0 || !it->gone)
		return;
	if (it->abandoned)
		orphan_add(t, it);
	item_free(it);
}

struct have *have_find(struct transfer *t, const char *key)
{
	struct have *h;

	HASH_FIND(hh, t->have, key, strlen(key), h);
	return h;
}

void have_set(struct transfer *t, const char *key, bool there, uint64_t vid,
	      uint64_t bound)
{
	struct have *h = have_find(t, key);
	size_t n = strlen(key);

	if (!h) {
		h = calloc(1, sizeof(*h) + n + 1);
		if (!h)
			return; /* unknown counts as there */
		memcpy(h->key, key, n + 1);
		HASH_ADD_KEYPTR(hh, t->have, h->key, n, h);
	}
	h->there = there;
	h->vid = vid;
	h->bound = bound;
}

void have_goes(struct transfer *t, const char *key)
{
	struct have *h;

	lock_acquire(&t->lock);
	if (!have_find(t, key))
		have_set(t, key, true, 0, 0); /* as one that is not known */
	h = have_find(t, key);
	if (h)
		h->gone_real_ns = clk_real(t->host->clk);
	lock_release(&t->lock);
}

bool have_below(struct transfer *t, const char *dir)
{
	struct have *h, *tmp;
	size_t n = strlen(dir);

	HASH_ITER(hh, t->have, h, tmp) {
		if (h->there && strncmp(h->key, dir, n) == 0 &&
		    h->key[n] == '/')
			return true;
	}
	return false;
}

static bool env_has(void *arg, const char *key)
{
	struct transfer *t = arg;
	struct have *h = have_find(t, key);

	return !h || h->there;
}

static bool env_has_below(void *arg, const char *dir)
{
	return have_below(arg, dir);
}

void line_env_fill(struct transfer *t, struct line_env *ret)
{
	static const enum line_order orders[] = {
		[TRANSFER_STRICT] = LINE_STRICT,
		[TRANSFER_OPEN] = LINE_OPEN,
		[TRANSFER_NONE] = LINE_NONE,
	};

	*ret = (struct line_env){ .order = orders[t->opts.order],
				  .bucket_has = env_has,
				  .bucket_has_below = env_has_below,
				  .arg = t };
}
