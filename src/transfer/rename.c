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

static int end(struct transfer *t, int r)
{
	return end_moved(t, r, NULL);
}

/*
 * A store may copy by an upload in parts, which a crash or a lost answer leaves
 * behind.  So there is an intent row before each copy, of its key and time; one
 * that is still there tells what to sweep first.
 */
static int copy_intent(struct transfer *t, uint64_t seq, const char *to)
{
	struct meta_upload up;
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = meta_upload_get(t->meta, VID_COPY | seq, &up);
	meta_end(t->meta);
	if (r == 0)
		r = body_sweep(t, &up);
	if (r < 0 && r != -ENOENT)
		return r;
	memset(&up, 0, sizeof(up));
	up.vid = VID_COPY | seq;
	memcpy(up.key, to, strlen(to));
	up.begun_real_ns = clk_real(t->host->clk);
	r = meta_begin(t->meta);
	return r < 0 ? r : end(t, meta_upload_set(t->meta, &up));
}

/* The object row and its inode's key follow a copy.  swept: it left no upload.
 */
static int record_copy(struct transfer *t, const struct meta_object *from,
		       const char *to, const struct store_obj *o, uint64_t seq,
		       bool swept)
{
	struct meta_object row = *from;
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
	if (swept)
		r = meta_upload_del(t->meta, VID_COPY | seq);
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
	t->stats.copies++;
	t->stats.bytes_copied += row.size;
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
	r = end(t, meta_object_del(t->meta, key));
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
	return r == -ENOENT ? 0 : r;
}

static int copy_one(struct transfer *t, const struct meta_object *from,
		    const char *to, uint64_t seq)
{
	char mine[STORE_WRITE_ID_MAX] = "";
	struct meta_version v;
	struct meta_object old;
	struct store_cond cond = { 0 };
	struct store_obj o = { 0 };
	int r = meta_begin(t->meta), have;
	bool swept, same = false;

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
	r = copy_intent(t, seq, to);
	if (r < 0)
		return r;
	r = store_copy(t->store, from->key, from->etag, to, NULL, &cond, &o);
	if (r == -EOPNOTSUPP)
		r = store_copy(t->store, from->key, from->etag, to, NULL, NULL,
			       &o);
	swept = r == 0;
	if (r == -EEXIST || r == -ESTALE) {
		r = store_head(t->store, to, &o);
		if (r == -ENOENT && have == 0)
			return forget(t, to);
		if (r == 0)
			r = is_copied(t, from, to, mine, &o, &same);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r < 0 || !same)
			return -EBUSY;
	}
	return r < 0 ? r : record_copy(t, from, to, &o, seq, swept);
}

static int delete_one(struct transfer *t, const struct meta_object *from)
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
	r = end(t, r == -ENOENT ? 0 : r);
	if (r < 0)
		have_tell(t, from->key, true, 0, 0);
	return r;
}

static int finish(struct transfer *t, struct titem *it)
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

static void may_upload(struct transfer *t, struct titem *it)
{
	lock_acquire(&t->lock);
	it->has_upload = true;
	lock_release(&t->lock);
}

/*
 * One that others deleted meanwhile cannot move, and holds up nothing.  What is
 * here goes to the new name all the same, as what we change does; what is not
 * is gone, and the next listing takes its name away.
 */
enum gone { GONE_NOT, GONE_FOR_GOOD, GONE_SENT_AGAIN };

static int is_gone(struct transfer *t, const struct meta_object *from,
		   const char *to, uint64_t seq)
{
	struct store_obj o;
	int r = 0;

	if (store_head(t->store, from->key, &o) != -ENOENT)
		return GONE_NOT;
	if (from->ino && t->ev.renamed_gone)
		r = t->ev.renamed_gone(t->ev.arg, from->ino, from->key, to,
				       seq);
	if (r < 0)
		return r;
	log_warn("%s: another writer deleted the object: %s", from->key,
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
	may_upload(t, it);
	r = meta_object_get(t->meta, it->key, &from);
	meta_end(t->meta);
	if (r == -ENOENT)
		return finish(t, it); /* moved already, or never there */
	if (r == 0)
		r = copy_one(t, &from, it->to, it->seq);
	if (r == -EBUSY)
		gone = is_gone(t, &from, it->to, it->seq);
	if (gone == GONE_SENT_AGAIN)
		return 0; /* its row is a put by now */
	if (gone)
		return gone < 0 ? gone : finish(t, it);
	if (r < 0)
		return r;
	record_durable(t, meta_commits(t->meta));
	if (!it->keep)
		r = delete_one(t, &from);
	return r < 0 ? r : finish(t, it);
}

struct below {
	struct transfer *t;
	struct meta_object *o;
	size_t n, cap;
};

static int gather(void *arg, const struct meta_object *row)
{
	struct below *b = arg;

	if (b->n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 32;
		struct meta_object *p = realloc(b->o, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		b->o = p;
		b->cap = cap;
	}
	b->o[b->n++] = *row;
	return 0;
}

static int by_age(const void *x, const void *y)
{
	const struct meta_object *a = x, *b = y;

	if (a->bound != b->bound)
		return a->bound < b->bound ? -1 : 1;
	/* One rename made them visible, in this order. */
	if (a->commit_end_ns != b->commit_end_ns)
		return a->commit_end_ns < b->commit_end_ns ? -1 : 1;
	if (a->mtime_ns != b->mtime_ns)
		return a->mtime_ns < b->mtime_ns ? -1 : 1;
	return strcmp(a->key, b->key);
}

/* Objects of others below the folder, which no row knows yet. */
static int learn(void *arg, const char *key, const struct store_obj *obj)
{
	struct below *b = arg;
	struct meta_object row = { .size = obj->size,
				   .mtime_ns = obj->mtime_ns };

	memcpy(row.key, key, strlen(key));
	memcpy(row.etag, obj->etag, sizeof(obj->etag));
	return gather(b, &row);
}

static int learn_all(struct transfer *t, const char *prefix)
{
	struct below b = { .t = t };
	struct meta_object have;
	size_t i;
	int r = store_list(t->store, prefix, NULL, false, learn, &b), e;

	if (r < 0)
		goto out;
	r = meta_begin(t->meta);
	if (r < 0)
		goto out;
	for (i = 0; r == 0 && i < b.n; i++) {
		e = meta_object_get(t->meta, b.o[i].key, &have);
		if (e == -ENOENT)
			r = meta_object_set(t->meta, &b.o[i]);
		else if (e < 0)
			r = e;
	}
	r = end(t, r);
out:
	free(b.o);
	return r;
}

/* Nobody was shown it: who makes a file there is not to replace it, so no row is
 * to say that we know it. */
static int unlearn(struct transfer *t, const char *key)
{
	struct meta_object o;
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = meta_object_get(t->meta, key, &o);
	if (r == 0 && !o.ino)
		r = meta_object_del(t->meta, key);
	return end(t, r == -ENOENT ? 0 : r);
}

/* Another writer's object that no job was shown, and one of ours is to have the
 * name it would get. */
static int is_in_the_way(struct transfer *t, const struct meta_object *from,
			 const char *to)
{
	uint64_t ino = 0;
	int r;

	if (from->ino)
		return 0;
	r = meta_begin(t->meta);
	if (r < 0)
		return r;
	r = inode_at(t, to, &ino);
	meta_end(t->meta);
	return r < 0 ? r : ino ? -EBUSY : 0;
}

/* The marker of a folder may be another one by now, which serves as well.
 * -EAGAIN: so it is, and its row says so. */
static int relearn_marker(struct transfer *t, const struct meta_object *from)
{
	struct meta_object row = *from;
	struct store_obj now;
	int r = store_head(t->store, from->key, &now);

	if (r < 0 || strcmp(now.etag, from->etag) == 0)
		return r;
	memcpy(row.etag, now.etag, sizeof(row.etag));
	row.size = now.size;
	row.mtime_ns = now.mtime_ns;
	r = meta_begin(t->meta);
	if (r == 0)
		r = end(t, meta_object_set(t->meta, &row));
	return r < 0 ? r : -EAGAIN;
}

/* What others put there goes along, or stays, and holds up nothing; nor does
 * what they deleted. */
static int copy_below(struct transfer *t, struct meta_object *from,
		      const char *to, uint64_t seq)
{
	int r = is_in_the_way(t, from, to), gone;

	if (r == 0)
		r = copy_one(t, from, to, seq);
	if (r != -EBUSY)
		return r;
	if (!from->ino && from->key[strlen(from->key) - 1] != '/') {
		r = unlearn(t, from->key);
	} else {
		gone = is_gone(t, from, to, 0);
		r = gone > 0 ? 0 : gone < 0 ? gone : r;
	}
	if (r == -EBUSY && from->key[strlen(from->key) - 1] == '/' &&
	    relearn_marker(t, from) == -EAGAIN)
		return -EAGAIN;
	if (r == 0)
		from->key[0] = '\0';
	return r;
}

/* Markers of the folders below move with them: keys end in '/'. */
int commit_rename_dir(struct transfer *t, struct titem *it)
{
	char from[META_KEY_MAX + 2], to[META_KEY_MAX + 1];
	size_t n = strlen(it->key), m = strlen(it->to), i;
	struct below b = { .t = t };
	int r;

	may_upload(t, it);
	memcpy(from, it->key, n);
	memcpy(from + n, "/", 2);
	r = learn_all(t, from);
	if (r == 0)
		r = meta_begin(t->meta);
	if (r < 0)
		return r;
	r = meta_object_each(t->meta, from, gather, &b);
	meta_end(t->meta);
	if (b.n)
		qsort(b.o, b.n, sizeof(*b.o), by_age);
	for (i = 0; r == 0 && i < b.n; i++) {
		size_t k = strlen(b.o[i].key) - n;

		if (m + k > META_KEY_MAX) {
			r = -EINVAL;
			break;
		}
		memcpy(to, it->to, m);
		memcpy(to + m, b.o[i].key + n, k + 1);
		r = copy_below(t, &b.o[i], to, it->seq);
	}
	if (r == 0)
		record_durable(t, meta_commits(t->meta));
	for (i = b.n; r == 0 && i > 0; i--)
		if (b.o[i - 1].key[0])
			r = delete_one(t, &b.o[i - 1]);
	for (i = 0; r == 0 && i < b.n; i++) {
		if (!b.o[i].key[0] || b.o[i].ino)
			continue;
		(void)snprintf(to, sizeof(to), "%s%s", it->to, b.o[i].key + n);
		r = unlearn(t, to);
	}
	free(b.o);
	return r < 0 ? r : finish(t, it);
}
