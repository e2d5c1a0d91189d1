/* SPDX-License-Identifier: Apache-2.0 */
/* The rename of a folder, object by object. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* Of each object below a folder what its place among them is: there may be a
 * million, and a row is a kilobyte. */
struct moved {
	uint64_t bound;
	int64_t commit_end_ns, mtime_ns;
	char *key; /* NULL: it stays, or is gone */
	bool foreign; /* no inode of ours */
	bool last; /* the newest of its folder */
};

struct below {
	struct moved *o;
	size_t n, cap;
	struct transfer *t;
	const struct titem *it;
	bool deletes; /* the second turn: the newest first */
};

static void below_free(struct below *b)
{
	for (size_t i = 0; i < b->n; i++)
		free(b->o[i].key);
	free(b->o);
}

static int gather(void *arg, const struct meta_object *row)
{
	struct below *b = arg;
	struct moved *o;

	if (b->n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 32;
		struct moved *p = realloc(b->o, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		b->o = p;
		b->cap = cap;
	}
	o = &b->o[b->n];
	o->key = strdup(row->key);
	if (!o->key)
		return -ENOMEM;
	o->bound = row->bound;
	o->commit_end_ns = row->commit_end_ns;
	o->mtime_ns = row->mtime_ns;
	o->foreign = !row->ino;
	b->n++;
	return 0;
}

static int by_age(const void *x, const void *y)
{
	const struct moved *a = x, *b = y;

	if (a->bound != b->bound)
		return a->bound < b->bound ? -1 : 1;
	/* One rename made them visible, in this order. */
	if (a->commit_end_ns != b->commit_end_ns)
		return a->commit_end_ns < b->commit_end_ns ? -1 : 1;
	if (a->mtime_ns != b->mtime_ns)
		return a->mtime_ns < b->mtime_ns ? -1 : 1;
	return strcmp(a->key, b->key);
}

/* 1: it is there no longer. */
static int row_of(struct transfer *t, const struct moved *o,
		  struct meta_object *ret)
{
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = meta_object_get(t->meta, o->key, ret);
	meta_end(t->meta);
	return r == -ENOENT ? 1 : r;
}

/* Objects of others below the folder, which no row knows yet. */
#define LEARN_MAX 64

struct learnt {
	struct transfer *t;
	size_t n;
	struct meta_object o[LEARN_MAX];
};

static int learn_these(struct learnt *l)
{
	struct transfer *t = l->t;
	struct meta_object have;
	size_t i;
	int r = l->n ? meta_begin(t->meta) : 1, e;

	if (r)
		return r < 0 ? r : 0;
	for (i = 0; r == 0 && i < l->n; i++) {
		e = meta_object_get(t->meta, l->o[i].key, &have);
		if (e == -ENOENT)
			r = meta_object_set(t->meta, &l->o[i]);
		else if (e < 0)
			r = e;
	}
	l->n = 0;
	return rename_end(t, r);
}

static int learn(void *arg, const char *key, const struct store_obj *obj)
{
	struct learnt *l = arg;
	struct meta_object *row = &l->o[l->n++];

	*row = (struct meta_object){ .size = obj->size,
				     .mtime_ns = obj->mtime_ns };
	memcpy(row->key, key, strlen(key));
	memcpy(row->etag, obj->etag, sizeof(obj->etag));
	return l->n == LEARN_MAX ? learn_these(l) : 0;
}

static int learn_all(struct transfer *t, const char *prefix)
{
	struct learnt *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->t = t;
	r = store_list(t->store, prefix, NULL, false, learn, l);
	if (r == 0)
		r = learn_these(l);
	free(l);
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
	return rename_end(t, r == -ENOENT ? 0 : r);
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
	memcpy(row.etag, now.etag, sizeof(now.etag));
	row.size = now.size;
	row.mtime_ns = now.mtime_ns;
	r = meta_begin(t->meta);
	if (r == 0)
		r = rename_end(t, meta_object_set(t->meta, &row));
	return r < 0 ? r : -EAGAIN;
}

/* What others put there goes along, or stays, and holds up nothing; nor does
 * what they deleted. */
static int copy_below(struct transfer *t, struct moved *o, const char *to,
		      uint64_t seq, unsigned slot)
{
	struct meta_object from;
	int r = row_of(t, o, &from), gone;

	if (r == 1)
		goto stays;
	if (r == 0)
		r = is_in_the_way(t, &from, to);
	if (r == 0)
		r = rename_copy(t, &from, to, seq, slot);
	if (r != -EBUSY)
		return r;
	if (!from.ino && from.key[strlen(from.key) - 1] != '/') {
		r = unlearn(t, from.key);
	} else {
		gone = rename_is_gone(t, &from, to, 0);
		r = gone > 0 ? 0 : gone < 0 ? gone : r;
	}
	if (r == -EBUSY && from.key[strlen(from.key) - 1] == '/' &&
	    relearn_marker(t, &from) == -EAGAIN)
		return -EAGAIN;
	if (r < 0)
		return r;
stays:
	free(o->key);
	o->key = NULL;
	return 0;
}

static int delete_below(struct transfer *t, const struct moved *o)
{
	struct meta_object from;
	int r;

	if (!o->key)
		return 0;
	r = row_of(t, o, &from);
	return r ? (r < 0 ? r : 0) : rename_delete(t, &from);
}

/* Where a key below the folder goes. */
static int new_key(const struct titem *it, const char *key,
		   char ret[META_KEY_MAX + 1])
{
	const char *rest = key + strlen(it->key);
	size_t n = strlen(it->to), k = strlen(rest);

	if (n + k > META_KEY_MAX)
		return -EINVAL;
	memcpy(ret, it->to, n);
	memcpy(ret + n, rest, k + 1);
	return 0;
}

struct folder {
	UT_hash_handle hh;
	char name[];
};

/* Which of them, in order of age, is the newest of its folder. */
static int find_last(struct below *b)
{
	struct folder *all = NULL, *f, *tmp;
	int r = 0;

	for (size_t i = b->n; r == 0 && i-- > 0;) {
		const char *key = b->o[i].key, *slash = strrchr(key, '/');
		size_t n = slash ? (size_t)(slash - key) : 0;

		HASH_FIND(hh, all, key, n, f);
		b->o[i].last = !f;
		if (f)
			continue;
		f = malloc(sizeof(*f) + n + 1);
		if (!f) {
			r = -ENOMEM;
			break;
		}
		memcpy(f->name, key, n);
		HASH_ADD_KEYPTR(hh, all, f->name, n, f);
	}
	HASH_ITER(hh, all, f, tmp) {
		HASH_DEL(all, f);
		free(f);
	}
	return r;
}

static size_t nth(const struct below *b, size_t i)
{
	return b->deletes ? b->n - 1 - i : i;
}

static int step(void *arg, size_t i, unsigned slot)
{
	struct below *b = arg;
	struct moved *o = &b->o[nth(b, i)];
	char to[META_KEY_MAX + 1];
	int r;

	if (b->deletes)
		return delete_below(b->t, o);
	r = new_key(b->it, o->key, to);
	return r < 0 ? r : copy_below(b->t, o, to, b->it->seq, slot);
}

/* What a job writes last says that the rest of its folder is there: it is never
 * without what is older, at either name. */
static bool goes_alone(void *arg, size_t i)
{
	const struct below *b = arg;

	return b->o[nth(b, i)].last;
}

/*
 * All copies, the oldest first, then all deletes, the newest first; side by side,
 * but for the newest of each folder.  Keys of the folders' markers, which move,
 * too, end in '/'.
 */
static int move_below(struct transfer *t, const struct titem *it,
		      struct below *b)
{
	struct crew copies = { .step = step, .goes_alone = goes_alone,
			       .arg = b, .n = b->n };
	struct crew deletes = copies;
	char to[META_KEY_MAX + 1];
	size_t i;
	int r = find_last(b);

	b->t = t;
	b->it = it;
	if (r == 0)
		r = crew_run(t, &copies);
	if (r == 0)
		r = rename_sweep(t, it->seq);
	if (r == 0)
		record_durable(t, meta_commits(t->meta));
	b->deletes = true;
	if (r == 0)
		r = crew_run(t, &deletes);
	for (i = 0; r == 0 && i < b->n; i++) {
		if (!b->o[i].key || !b->o[i].foreign)
			continue;
		r = new_key(it, b->o[i].key, to);
		if (r == 0)
			r = unlearn(t, to);
	}
	return r;
}

int commit_rename_dir(struct transfer *t, struct titem *it)
{
	char from[META_KEY_MAX + 2];
	size_t n = strlen(it->key);
	struct below b = { .n = 0 };
	int r;

	rename_may_upload(t, it);
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
	if (r == 0)
		r = move_below(t, it, &b);
	below_free(&b);
	return r < 0 ? r : rename_finish(t, it);
}
