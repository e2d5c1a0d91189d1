/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's items. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "internal.h"
#include "line_view.h"

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
	free(it->copy_etag);
	free(it->parts);
	free(it);
}

int orphan_add(struct transfer *t, uint64_t vid)
{
	struct orphan *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->vid = vid;
	LL_PREPEND(t->orphans, o);
	return 0;
}

void orphan_free(struct transfer *t, struct orphan *o)
{
	LL_DELETE(t->orphans, o);
	free(o);
}

uint64_t upload_vid(const struct titem *it)
{
	return it->kind == META_OP_PUT ? it->vid : VID_COPY | it->seq;
}

bool upload_leaves(const struct transfer *t, uint64_t vid)
{
	const struct titem *it = t->leaving;
	const struct orphan *o = t->orphans;

	while (it && upload_vid(it) != vid)
		it = it->next_leaving;
	while (o && o->vid != vid)
		o = o->next;
	return it || o;
}

/* A commit under way has its upload; a begin under way will have left one. */
void item_leaves(struct transfer *t, struct titem *it)
{
	it->gone = true;
	item_count(t, it);
	it->abandoned = !it->busy || it->body == BODY_BEGINNING;
	if (it->has_upload)
		LL_PREPEND2(t->leaving, it, next_leaving);
	it->pins++;
	item_unpin(t, it);
}

/* Only now: a part that arrives after the abort would bring the upload back. */
void item_unpin(struct transfer *t, struct titem *it)
{
	if (--it->pins > 0 || !it->gone)
		return;
	if (it->has_upload) {
		LL_DELETE2(t->leaving, it, next_leaving);
		/* without memory: found at the next mount, by its row */
		if (it->abandoned)
			(void)orphan_add(t, upload_vid(it));
	}
	item_free(it);
}

void item_count(struct transfer *t, struct titem *it)
{
	bool put = !it->gone && it->kind == META_OP_PUT;
	uint64_t bytes = put ? it->v.size - item_progress(it) : 0;
	int64_t sealed = put ? it->v.sealed_real_ns : 0;
	bool parked = !it->gone && it->parked;

	t->sum_bytes += bytes - it->sum_bytes;
	it->sum_bytes = bytes;
	t->n_parked += (size_t)parked - (size_t)it->sum_parked;
	it->sum_parked = parked;
	if (sealed == it->sum_sealed)
		return;
	if (it->sum_sealed && it->sum_sealed == t->oldest_real_ns)
		t->oldest_unknown = true;
	if (sealed && (!t->oldest_real_ns || sealed < t->oldest_real_ns))
		t->oldest_real_ns = sealed;
	it->sum_sealed = sealed;
}

static bool env_has(void *arg, const char *key)
{
	struct transfer *t = arg;
	struct have *h = have_find(t, key);

	return !h || h->there;
}

static bool env_is_sure(void *arg, const char *key)
{
	return have_find(arg, key) != NULL;
}

static bool env_has_below(void *arg, const char *dir)
{
	return have_below(arg, dir);
}

int64_t line_pause(const struct transfer *t, size_t rows)
{
	return rows <= LINE_SHORT ? 0 :
				    clk_mono(t->host->clk) +
					    (int64_t)rows * LINE_ROW_NS;
}

static bool env_in_the_way(void *arg, const struct line_op *put)
{
	const struct transfer *t = arg;
	const struct line_op *op;

	if (t->store->caps & STORE_CAP_FILE_AND_DIR)
		return false;
	for (op = t->line.ops; op < t->line.ops + t->line.n; op++)
		if (op->seq < put->seq && op->kind != LINE_PUT &&
		    path_clashes(op->key, put->key))
			return true;
	return false;
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
				  .bucket_is_sure = env_is_sure,
				  .bucket_has_below = env_has_below,
				  .in_the_way = env_in_the_way,
				  .one_name = !(t->store->caps &
						STORE_CAP_FILE_AND_DIR),
				  .arg = t };
}
