/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of this cache that its rows do not know.  Two ways lead there.  The
 * process died between a commit and its record, and the next mount took the seal
 * back.  Or the cache disk records nothing any more, what is queued is sent all
 * the same, for the bucket is the safer place, and then the power goes: the rows
 * are those of the last barrier, and the bucket is ahead of them.
 *
 * Numbers and epochs tell the two apart.  What the rows lost carries a number
 * that they never gave (struct meta_lost), and only operations that were in the
 * line then are older than it: all others were done since, and replace it.  Such
 * an object stands, as if it had replaced ours while we knew.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "transfer"
#define CACHE_ID_LEN 17 /* of a write-id, with the '-' behind it */

struct write_id {
	uint32_t epoch; /* 0: a link or a marker, by its place in the line */
	uint64_t n;
};

static bool parse(const struct transfer *t, const struct store_obj *o,
		  struct write_id *ret)
{
	const struct meta_version any = { .vid = 0 };
	char mine[STORE_WRITE_ID_MAX];
	unsigned epoch;
	unsigned long long n;

	write_id_of(t, &any, mine);
	if (!o->has_meta || strncmp(o->meta.write_id, mine, CACHE_ID_LEN) != 0)
		return false;
	if (sscanf(o->meta.write_id + CACHE_ID_LEN, "%8x-%16llx", &epoch,
		   &n) != 2)
		return false;
	*ret = (struct write_id){ epoch, n };
	return true;
}

/* Put after the rows were as they are: they never gave this number, or this
 * version was sealed again. */
static bool is_lost(const struct transfer *t, const struct meta_version *v,
		    const struct write_id *id)
{
	if (id->epoch >= t->lost.epoch)
		return false;
	if (!id->epoch)
		return id->n > t->lost.seq;
	return id->n > t->lost.vid ||
	       (v && id->epoch == v->epoch && id->n == v->vid);
}

static bool is_newer(const struct meta_version *v, const struct write_id *id)
{
	return id->epoch != v->epoch ? id->epoch > v->epoch : id->n > v->vid;
}

/* Its bytes are here still: the mount has them where they belong. */
static bool is_here(struct transfer *t, const struct write_id *id)
{
	struct meta_version v;
	int r = meta_begin(t->meta);

	if (r < 0)
		return false; /* in doubt nothing is replaced */
	r = meta_version_get(t->meta, id->n, &v);
	meta_end(t->meta);
	return r == 0 && v.epoch == id->epoch;
}

uint64_t own_vid(const struct transfer *t, const struct store_obj *o)
{
	struct write_id id;

	return parse(t, o, &id) && id.epoch ? id.n : 0;
}

enum own_age own_age(struct transfer *t, uint64_t seq,
		     const struct meta_version *v, const struct store_obj *o)
{
	struct write_id id;

	/* A later mount than this one is that of a copy of this cache. */
	if (!parse(t, o, &id) || id.epoch > t->opts.epoch)
		return OWN_NOT;
	if (seq <= t->lost.seq && is_lost(t, v, &id))
		return OWN_LATER;
	/* Lost twice, or by this mount and nobody knows how. */
	if (v && is_newer(v, &id) &&
	    (seq <= t->lost.seq || id.epoch == t->opts.epoch) &&
	    !is_here(t, &id))
		return OWN_NOT;
	return OWN_OLDER;
}

int own_replace(struct transfer *t, const char *key,
		const struct store_obj *now)
{
	struct meta_object row;
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = now ? meta_object_get(t->meta, key, &row) :
		  meta_object_del(t->meta, key);
	if (now && r == -ENOENT) {
		memset(&row, 0, sizeof(row));
		memcpy(row.key, key, strlen(key));
		r = 0;
	}
	if (now && r == 0) {
		memcpy(row.etag, now->etag, sizeof(now->etag));
		row.size = now->size;
		r = meta_object_set(t->meta, &row);
	}
	if (r == 0 || r == -ENOENT)
		r = meta_commit(t->meta);
	meta_end(t->meta);
	return r < 0 ? r : -EAGAIN;
}

int own_found(struct transfer *t, const char *key, const struct store_obj *o,
	      struct meta_object *ret)
{
	struct meta_inode nobody = { .kind = META_FILE };
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = meta_inode_add(t->meta, &nobody);
	if (r == 0)
		r = meta_inode_del(t->meta, nobody.ino);
	if (r == 0)
		r = meta_commit(t->meta);
	meta_end(t->meta);
	if (r < 0)
		return r;
	log_warn("%s: what was put there later stands, though the cache disk "
		 "lost its rows: what it replaced goes",
		 key);
	*ret = (struct meta_object){ .ino = nobody.ino,
				     .size = o->size,
				     .mtime_ns = o->mtime_ns };
	memcpy(ret->key, key, strlen(key));
	memcpy(ret->etag, o->etag, sizeof(o->etag));
	return 0;
}

int own_adopt(struct transfer *t, struct titem *it, const struct store_obj *o)
{
	struct meta_object row;
	int r = own_found(t, it->key, o, &row);

	if (r < 0)
		return r;
	row.bound = it->seq;
	return record_done(t, it, &row, false);
}
