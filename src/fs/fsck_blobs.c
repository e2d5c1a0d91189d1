/* SPDX-License-Identifier: Apache-2.0 */
/* Each version has its bytes, each blob its version (ckptfs/fsck.h). */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsck.h"

#define LOG_MODULE "fsck"

struct numbers {
	uint64_t *p;
	size_t n, cap;
};

struct work {
	struct fsck *f;
	struct numbers known; /* blobs of rows, dead ones too; sorted */
	struct numbers strays, forgotten;
	struct meta_version *v;
	size_t nv, cap_v;
};

static int push(struct numbers *a, uint64_t v)
{
	if (a->n == a->cap) {
		size_t cap = a->cap ? a->cap * 2 : 64;
		uint64_t *p = reallocarray(a->p, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		a->p = p;
		a->cap = cap;
	}
	a->p[a->n++] = v;
	return 0;
}

static int take_version(void *arg, const struct meta_version *row)
{
	struct work *w = arg;

	if (w->nv == w->cap_v) {
		size_t cap = w->cap_v ? w->cap_v * 2 : 64;
		struct meta_version *p = reallocarray(w->v, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		w->v = p;
		w->cap_v = cap;
	}
	w->v[w->nv++] = *row;
	return row->blob ? push(&w->known, row->blob) : 0;
}

static int take_dead(void *arg, uint64_t blob)
{
	struct work *w = arg;

	return push(&w->known, blob);
}

static int by_number(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return (a > b) - (a < b);
}

/* ---- versions */

/* What the name of a version is, for a finding. */
static void path_of(struct fsck *f, const struct meta_version *v,
		    struct meta_inode *row, char ret[META_KEY_MAX + 1])
{
	int r = meta_inode_get(f->meta, v->ino, row);

	ret[0] = '\0';
	if (r == 0 && row->parent)
		r = row_path(f->meta, row, ret);
	else if (r == 0)
		memcpy(ret, row->target, strlen(row->target) + 1);
	if (r < 0)
		memset(row, 0, sizeof(*row));
	if (!ret[0])
		(void)snprintf(ret, META_KEY_MAX + 1, "version %" PRIu64,
			       v->vid);
}

/* The bucket has it, too: without its local copy it is fetched again. */
static int forget_copy(struct work *w, struct meta_version *v,
		       struct meta_inode *row, bool *ret)
{
	struct meta_object o;
	uint64_t blob = v->blob;
	int r = row->ino && row->key[0] ?
			meta_object_get(w->f->meta, row->key, &o) :
			-ENOENT;

	*ret = r == 0;
	if (r < 0 || !w->f->opts->fix)
		return r == -ENOENT ? 0 : r;
	if (row->vid == v->vid) {
		row->vid = 0;
		r = meta_inode_set(w->f->meta, row);
	}
	if (r == 0)
		r = meta_version_del(w->f->meta, v->vid);
	v->blob = 0; /* it has none any more */
	return r < 0 ? r : push(&w->forgotten, blob);
}

/* 0: its bytes are there; else in words what is wrong. */
static int look(struct fsck *f, const struct meta_version *v, char why[96])
{
	int64_t size = fsck_blob_size(f, v->blob);
	int r;

	why[0] = '\0';
	if (size == -ENOENT) {
		(void)snprintf(why, 96, "its bytes are gone from the cache");
		return 0;
	}
	if (size < 0)
		return (int)size;
	f->sums->bytes += (uint64_t)size;
	/* Nobody has told how far these got. */
	if (v->state == META_UNFINISHED ||
	    (v->state == META_PUBLISHED && !v->complete))
		return 0;
	if ((uint64_t)size < v->size) {
		(void)snprintf(why, 96, "only %" PRId64 " of its %" PRIu64
					" bytes are there",
			       size, v->size);
		return 0;
	}
	r = cache_blob_check(f->cache, v->blob, v->size, v->sparse);
	if (r == -ENODATA)
		(void)snprintf(why, 96, "it has holes where it had bytes");
	return r == -ENODATA ? 0 : r;
}

static int check_version(struct work *w, struct meta_version *v)
{
	char path[META_KEY_MAX + 1], why[96];
	struct meta_inode row;
	bool elsewhere = false;
	int r;

	w->f->sums->versions++;
	if (!v->blob)
		return 0;
	r = look(w->f, v, why);
	if (r < 0 || !why[0])
		return r;
	path_of(w->f, v, &row, path);
	if (v->state == META_PUBLISHED)
		r = forget_copy(w, v, &row, &elsewhere);
	if (r == 0 && elsewhere)
		fsck_found(w->f, w->f->opts->fix,
			   "%s: %s; the bucket has it, it is fetched again",
			   path, why);
	else if (r == 0)
		fsck_found(w->f, false,
			   "%s: %s; nobody else has it: see 'ckptfs recover'",
			   path, why);
	return r;
}

static int check_versions(struct work *w)
{
	size_t i;
	int r = meta_begin(w->f->meta);

	if (r < 0)
		return r;
	r = meta_version_each(w->f->meta, take_version, w);
	if (r == 0)
		r = meta_dead_each(w->f->meta, take_dead, w);
	for (i = 0; r == 0 && i < w->nv; i++)
		r = check_version(w, &w->v[i]);
	if (r == 0)
		r = meta_commit(w->f->meta);
	meta_end(w->f->meta);
	return r;
}

/* ---- blobs */

static int find_stray(void *arg, uint64_t blob)
{
	struct work *w = arg;

	w->f->sums->blobs++;
	if (w->known.n && bsearch(&blob, w->known.p, w->known.n, sizeof(blob),
				  by_number))
		return 0;
	return push(&w->strays, blob);
}

static int put_aside(struct work *w, uint64_t blob)
{
	struct cache_owner o;
	bool tagged = cache_blob_owner(w->f->cache, blob, &o) == 0;
	int r = w->f->opts->fix ? cache_blob_lose(w->f->cache, blob) : 0;

	if (r == 0)
		fsck_found(w->f, w->f->opts->fix,
			   "blob %016" PRIx64 "%s%s is known to no row%s",
			   blob, tagged ? ", once of " : "",
			   tagged ? o.name : "",
			   w->f->opts->fix ? ": moved to " CACHE_LOST : "");
	return r;
}

/* Another version lies in it, too: what was appended since, and is not sealed. */
static bool is_used(const struct work *w, uint64_t blob)
{
	size_t i;

	for (i = 0; i < w->nv && w->v[i].blob != blob; i++)
		;
	return i < w->nv;
}

static int lose_forgotten(struct work *w)
{
	size_t i;
	int r = 0;

	/* Their rows are gone for good now. */
	for (i = 0; r == 0 && i < w->forgotten.n; i++)
		if (!is_used(w, w->forgotten.p[i]) &&
		    fsck_blob_size(w->f, w->forgotten.p[i]) >= 0)
			r = cache_blob_lose(w->f->cache, w->forgotten.p[i]);
	return r;
}

int fsck_blobs(struct fsck *f)
{
	struct work w = { .f = f };
	size_t i;
	int r = check_versions(&w);

	if (w.known.n)
		qsort(w.known.p, w.known.n, sizeof(*w.known.p), by_number);
	if (r == 0)
		r = fsck_each_blob(f, find_stray, &w);
	if (r == 0 && f->opts->fix)
		r = fsck_settle(f);
	for (i = 0; r == 0 && i < w.strays.n; i++)
		r = put_aside(&w, w.strays.p[i]);
	if (r == 0)
		r = lose_forgotten(&w);
	if (r == 0 && f->opts->fix)
		r = cache_sync_names(f->cache);
	free(w.known.p);
	free(w.strays.p);
	free(w.forgotten.p);
	free(w.v);
	return r;
}
