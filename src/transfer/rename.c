/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renames of what the bucket holds: one native step where there is one, else
 * server-side copies (oldest first, all of them), then deletes (newest first).
 * The object rows tell how far it is, so it is taken up after a crash; no
 * delete before a power cut leaves the rows of the copies.  Two names change
 * places by three renames, one by way of a hidden name (src/fs/exchange.c):
 * those of files delete nothing but that, so neither name is ever missing.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "transfer"

static int end_moved(struct transfer *t, int r, const struct meta_inode *moved)
{
	if (r == 0)
		r = meta_commit(t->meta);
	if (r == 0)
		tell_moved(t, moved);
	meta_end(t->meta);
	if (r == 0 && t->ev.committed)
		t->ev.committed(t->ev.arg);
	return r;
}

int rename_end(struct transfer *t, int r)
{
	return end_moved(t, r, NULL);
}

/*
 * A store may copy by an upload in parts, which a crash or a lost answer leaves
 * behind.  So there is an intent row before each copy, of its key and time; one
 * that is still there tells what to sweep first.
 */
static int copy_intent(struct transfer *t, uint64_t vid, const char *to)
{
	struct meta_upload up;
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = meta_upload_get(t->meta, vid, &up);
	meta_end(t->meta);
	if (r == 0)
		r = body_sweep(t, &up);
	if (r < 0 && r != -ENOENT)
		return r;
	memset(&up, 0, sizeof(up));
	up.vid = vid;
	memcpy(up.key, to, strlen(to));
	up.begun_real_ns = clk_real(t->host->clk);
	r = meta_begin(t->meta);
	return r < 0 ? r : rename_end(t, meta_upload_set(t->meta, &up));
}

static uint64_t copy_vid(uint64_t seq, unsigned slot)
{
	return VID_COPY | (uint64_t)slot << VID_COPY_SLOT | seq;
}

int rename_sweep(struct transfer *t, uint64_t seq)
{
	struct meta_upload up;
	unsigned i;
	int r = 0;

	/* That of the first slot goes with the item. */
	for (i = 1; r == 0 && i < COPY_SLOTS; i++) {
		r = meta_begin(t->meta);
		if (r < 0)
			break;
		r = meta_upload_get(t->meta, copy_vid(seq, i), &up);
		meta_end(t->meta);
		if (r == 0)
			r = body_sweep(t, &up);
		if (r == 0)
			r = meta_begin(t->meta);
		if (r == 0)
			r = rename_end(t, meta_upload_del(t->meta, up.vid));
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

/* The object row and its inode's key follow a copy.  is: what stands there now,
 * from or another; intent: the row that goes, since no upload was left; 0: it
 * stays. */
static int record_copy(struct transfer *t, const struct meta_object *from,
		       const struct meta_object *is, const char *to,
		       const struct store_obj *o, uint64_t seq, uint64_t intent)
{
	struct meta_object row = *is;
	struct meta_inode in, moved = { .ino = 0 };
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	memset(row.key, 0, sizeof(row.key));
	memcpy(row.key, to, strlen(to));
	memcpy(row.etag, o->etag, sizeof(o->etag));
	row.bound = seq;
	row.mtime_ns = o->mtime_ns;
	row.commit_end_ns = commit_ends(t);
	if (intent)
		r = meta_upload_del(t->meta, intent);
	if (r == 0 || r == -ENOENT)
		r = meta_object_set(t->meta, &row);
	if (r == 0 && from->ino) {
		r = meta_inode_get(t->meta, from->ino, &in);
		if (r == 0 && strcmp(in.key, from->key) == 0) {
			memset(in.key, 0, sizeof(in.key));
			memcpy(in.key, to, strlen(to));
			moved = in;
			r = meta_inode_set(t->meta, &in);
		}
		if (r == -ENOENT)
			r = 0;
	}
	have_tell(t, to, true, row.vid, seq);
	r = end_moved(t, r, &moved);
	if (r < 0)
		return r;
	lock_acquire(&t->lock);
	t->stats.copies += is == from;
	t->stats.bytes_copied += is == from ? row.size : 0;
	lock_release(&t->lock);
	if (from->ino && t->ev.inode_moved)
		t->ev.inode_moved(t->ev.arg, from->ino);
	return 0;
}

/* Others deleted what is to be replaced. */
static int forget(struct transfer *t, const char *key)
{
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = rename_end(t, meta_object_del(t->meta, key));
	return r == 0 ? -EAGAIN : r;
}

/* A copy of it, whose answer was lost; and of markers any serves as well. */
static bool is_the_same(const struct store_obj *src, const struct store_obj *o,
			const char *to)
{
	if (o->size != src->size)
		return false;
	if (to[strlen(to) - 1] == '/' && !src->size)
		return true;
	if (o->has_crc64 && src->has_crc64 && o->crc64 == src->crc64)
		return true; /* another writer's may have no write-id */
	return o->has_meta && src->has_meta && src->meta.write_id[0] &&
	       strcmp(o->meta.write_id, src->meta.write_id) == 0;
}

static int add_crc(void *arg, const void *p, size_t n)
{
	uint64_t *crc = arg;

	*crc = crc64nvme(*crc, p, n);
	return 0;
}

/* Nothing but the bytes tells: others' objects may have neither a checksum nor a
 * write-id.  Both are read; it is the one copy that was under way. */
static int has_same_bytes(struct transfer *t, const char *a,
			  const struct store_obj *ao, const char *b,
			  const struct store_obj *bo, bool *ret)
{
	uint64_t x = 0, y = 0;
	int r;

	if (ao->size != bo->size || (ao->has_crc64 && bo->has_crc64))
		return 0;
	r = store_get(t->store, a, ao->etag, 0, ao->size, add_crc, &x, NULL);
	if (r == 0)
		r = store_get(t->store, b, bo->etag, 0, bo->size, add_crc, &y,
			      NULL);
	*ret = r == 0 && x == y;
	return r == -ESTALE ? -EAGAIN : r;
}

/* What stands where it is to go is its copy, whose answer was lost; or that of
 * an earlier life, whose rows are gone, and then the source may be, too.  mine:
 * its write-id, if its row is there. */
static int is_copied(struct transfer *t, const struct meta_object *from,
		     const char *to, const char *mine,
		     const struct store_obj *o, bool *ret)
{
	struct store_obj src;
	int r;

	*ret = mine[0] && o->has_meta && o->size == from->size &&
	       strcmp(o->meta.write_id, mine) == 0;
	if (*ret)
		return 0;
	r = store_head(t->store, from->key, &src);
	*ret = r == 0 && is_the_same(&src, o, to);
	if (r == 0 && !*ret && !src.meta.write_id[0])
		r = has_same_bytes(t, from->key, &src, to, o, ret);
	return r == -ENOENT ? 0 : r;
}

/* A life whose rows are lost may have moved it away and back: what is there is
 * the same, under another etag.  -EBUSY: it is not. */
static int relearn(struct transfer *t, const struct meta_object *from)
{
	struct meta_object row = *from;
	struct store_obj o;
	int r = from->vid ? store_head(t->store, from->key, &o) : -ENOENT;

	if (r < 0)
		return r == -ENOENT ? -EBUSY : r;
	if (own_vid(t, &o) != from->vid || o.size != from->size ||
	    strcmp(o.etag, from->etag) == 0 ||
	    (o.has_crc64 && from->has_crc64 && o.crc64 != from->crc64))
		return -EBUSY;
	memcpy(row.etag, o.etag, sizeof(o.etag));
	row.mtime_ns = o.mtime_ns;
	row.commit_end_ns = commit_ends(t);
	r = meta_begin(t->meta);
	if (r == 0)
		r = rename_end(t, meta_object_set(t->meta, &row));
	return r < 0 ? r : -EAGAIN;
}

/* Something else stands where it is to go. */
static int not_copied(struct transfer *t, const struct meta_object *from,
		      const char *to, const struct store_obj *o, uint64_t seq)
{
	enum own_age age = own_age(t, seq, NULL, o);
	struct meta_object row;
	struct store_obj src;
	int r;

	if (age == OWN_LATER) {
		r = own_found(t, to, o, &row);
		return r < 0 ? r :
			       record_copy(t, from, &row, to, o, seq, 0);
	}
	if (age == OWN_NOT)
		return -EBUSY;
	r = store_head(t->store, from->key, &src);
	if (r < 0 && r != -ENOENT)
		return r;
	return r == 0 && strcmp(src.etag, from->etag) == 0 ?
		       own_replace(t, to, o) :
		       relearn(t, from);
}

int rename_copy(struct transfer *t, const struct meta_object *from,
		const char *to, uint64_t seq, unsigned slot)
{
	uint64_t intent = copy_vid(seq, slot);
	char mine[STORE_WRITE_ID_MAX] = "";
	struct meta_version v;
	struct meta_object old;
	struct store_cond cond = { 0 };
	struct store_obj o = { 0 };
	int r = meta_begin(t->meta), have;
	bool same = false;

	if (r < 0)
		return r;
	have = meta_object_get(t->meta, to, &old);
	if (from->vid && meta_version_get(t->meta, from->vid, &v) == 0)
		write_id_of(t, &v, mine);
	meta_end(t->meta);
	if (have < 0 && have != -ENOENT)
		return have;
	if (have == 0 && old.bound == seq)
		return 0; /* done before a crash */
	if (t->ev.before_replace) {
		r = t->ev.before_replace(t->ev.arg, to);
		if (r < 0)
			return r;
	}
	if (t->store->caps & STORE_CAP_PUT_COND && !t->opts.overwrite) {
		cond.if_match = have == 0 ? old.etag : NULL;
		cond.if_absent = have != 0;
	}
	r = copy_intent(t, intent, to);
	if (r < 0)
		return r;
	r = store_copy(t->store, from->key, from->etag, to, NULL, &cond, &o);
	if (r == -EOPNOTSUPP)
		r = store_copy(t->store, from->key, from->etag, to, NULL, NULL,
			       &o);
	if (r == -EEXIST || r == -ESTALE) {
		r = store_head(t->store, to, &o);
		if (r == -ENOENT && have == 0)
			return forget(t, to);
		if (r == 0)
			r = is_copied(t, from, to, mine, &o, &same);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r < 0)
			return relearn(t, from);
		if (!same)
			return not_copied(t, from, to, &o, seq);
		intent = 0;
	}
	return r < 0 ? r : record_copy(t, from, from, to, &o, seq, intent);
}

int rename_delete(struct transfer *t, const struct meta_object *from)
{
	struct store_cond cond = { .if_match = from->etag };
	bool with = t->store->caps & STORE_CAP_DEL_COND && !t->opts.overwrite;
	int r;

	if (t->ev.before_replace) {
		r = t->ev.before_replace(t->ev.arg, from->key);
		if (r < 0)
			return r;
	}
	r = store_del(t->store, from->key, with ? &cond : NULL);
	if (r < 0 && r != -ESTALE)
		return r;
	r = meta_begin(t->meta);
	if (r < 0)
		return r;
	have_goes(t, from->key);
	have_tell(t, from->key, false, 0, 0);
	r = meta_object_del(t->meta, from->key);
	r = rename_end(t, r == -ENOENT ? 0 : r);
	if (r < 0)
		have_tell(t, from->key, true, 0, 0);
	return r;
}

int rename_finish(struct transfer *t, struct titem *it)
{
	int r = line_tx(t);

	if (r < 0)
		return r;
	r = line_tx_end(t, line_row_done(t, it->seq));
	if (r == -ENOENT)
		r = 0;
	if (r == 0) {
		lock_acquire(&t->lock);
		t->stats.renames++;
		lock_release(&t->lock);
		if (t->ev.inode_moved)
			t->ev.inode_moved(t->ev.arg, it->ino);
	}
	return r;
}

void rename_may_upload(struct transfer *t, struct titem *it)
{
	lock_acquire(&t->lock);
	it->has_upload = true;
	lock_release(&t->lock);
}

int rename_is_gone(struct transfer *t, const struct meta_object *from,
		   const char *to, uint64_t seq)
{
	struct store_obj o;
	int r = 0;

	r = store_head(t->store, from->key, &o);
	/* Or a lost life has put a later one there. */
	if (r != -ENOENT && !(r == 0 && own_age(t, seq, NULL, &o) == OWN_LATER))
		return GONE_NOT;
	r = 0;
	if (from->ino && t->ev.renamed_gone)
		r = t->ev.renamed_gone(t->ev.arg, from->ino, from->key, to,
				       seq);
	if (r < 0)
		return r;
	log_warn("%s: the object was deleted or replaced: %s", from->key,
		 r ? "it is put under its new name from here" :
		     "it is not all here, and not renamed");
	return r ? GONE_SENT_AGAIN : GONE_FOR_GOOD;
}

int commit_rename(struct transfer *t, struct titem *it)
{
	struct meta_object from;
	int r = meta_begin(t->meta), gone = GONE_NOT;

	if (r < 0)
		return r;
	rename_may_upload(t, it);
	r = meta_object_get(t->meta, it->key, &from);
	meta_end(t->meta);
	if (r == -ENOENT)
		return rename_finish(t, it); /* moved already, or never there */
	if (r == 0)
		r = rename_copy(t, &from, it->to, it->seq, 0);
	if (r == -EBUSY)
		gone = rename_is_gone(t, &from, it->to, it->seq);
	if (gone == GONE_SENT_AGAIN)
		return 0; /* its row is a put by now */
	if (gone)
		return gone < 0 ? gone : rename_finish(t, it);
	if (r < 0)
		return r;
	record_durable(t, meta_commits(t->meta));
	if (!it->keep)
		r = rename_delete(t, &from);
	return r < 0 ? r : rename_finish(t, it);
}
