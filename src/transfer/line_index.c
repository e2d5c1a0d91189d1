/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows of the line speak of which names, and of which versions. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transfer/line_hash.h"
#include "transfer/line_index.h"
#include "transfer/line_view.h"

/* A name, or a folder of names, that rows speak of. */
struct line_path {
	UT_hash_handle hh;
	bool oom;
	struct line_seqs rows; /* key or to is this very path */
	size_t dirs; /* of them, renames of folders */
	/* what makes an unordered put below, or of this name, an ordered one */
	size_t ordered, covers;
	/* times that a row speaks of something below; that it gives a name */
	size_t below, gives;
	char path[];
};

struct line_vid {
	UT_hash_handle hh;
	bool oom;
	uint64_t vid;
	struct line_seqs rows;
};

/* ---- lists of rows */

/* Room for two more: a row may name one path twice. */
static int seqs_reserve(struct line_seqs *s)
{
	size_t cap = s->cap ? 2 * s->cap : 2;
	uint64_t *p;

	if (s->n + 2 <= s->cap)
		return 0;
	p = realloc(s->seq, cap * sizeof(*p));
	if (!p)
		return -ENOMEM;
	s->seq = p;
	s->cap = cap;
	return 0;
}

static void seqs_add(struct line_seqs *s, uint64_t seq)
{
	size_t i = s->n++;

	for (; i > 0 && s->seq[i - 1] > seq; i--)
		s->seq[i] = s->seq[i - 1];
	s->seq[i] = seq;
}

/* Once, if it is there: the oldest mostly go first. */
static void seqs_del(struct line_seqs *s, uint64_t seq)
{
	size_t i = 0;

	while (i < s->n && s->seq[i] != seq)
		i++;
	if (i == s->n)
		return;
	s->n--;
	memmove(s->seq + i, s->seq + i + 1, (s->n - i) * sizeof(*s->seq));
}

/* ---- paths */

static struct line_path *find(const struct line *l, const char *path,
			      size_t len)
{
	struct line_path *p;

	HASH_FIND(hh, l->paths, path, len, p);
	return p;
}

static struct line_path *get(struct line *l, const char *path, size_t len)
{
	struct line_path *p = find(l, path, len);

	if (p)
		return p;
	p = calloc(1, sizeof(*p) + len + 1);
	if (!p)
		return NULL;
	memcpy(p->path, path, len);
	HASH_ADD_KEYPTR(hh, l->paths, p->path, len, p);
	if (p->oom) {
		free(p);
		return NULL;
	}
	return p;
}

static void drop_if_empty(struct line *l, struct line_path *p)
{
	if (p->rows.n || p->ordered || p->covers || p->below)
		return;
	HASH_DEL(l->paths, p);
	free(p->rows.seq);
	free(p);
}

/* Whether a row gives content to the path it speaks of. */
static bool gives(const struct line_op *op, const char *path)
{
	return path == op->to || op->kind == LINE_PUT;
}

static bool is_apart(const struct line_op *op)
{
	return op->unordered && op->kind == LINE_PUT;
}

/* The path that an ordered row covers whole, as path_set_add_op() has it. */
static size_t cover_len(const struct line_op *op, const char *path)
{
	size_t len = strlen(path);

	if (op->kind == LINE_RENAME_DIR)
		return len;
	if (op->kind == LINE_DEL && len > 1 && path[len - 1] == '/')
		return len - 1;
	return 0;
}

/* Memory for one of the paths of a row, all of it. */
static int path_reserve(struct line *l, const struct line_op *op,
			const char *path)
{
	size_t len = strlen(path), cover = cover_len(op, path);
	struct line_path *p = get(l, path, len);

	if (!p || seqs_reserve(&p->rows) || (cover && !get(l, path, cover)))
		return -ENOMEM;
	while ((len = path_parent_len(path, len)) > 0)
		if (!get(l, path, len))
			return -ENOMEM;
	return 0;
}

static void path_add(struct line *l, const struct line_op *op, const char *path)
{
	size_t len = strlen(path), cover = cover_len(op, path);
	struct line_path *p = find(l, path, len);

	seqs_add(&p->rows, op->seq);
	p->dirs += op->kind == LINE_RENAME_DIR;
	if (cover)
		find(l, path, cover)->covers++;
	else if (!is_apart(op))
		p->ordered++;
	while ((len = path_parent_len(path, len)) > 0) {
		p = find(l, path, len);
		p->below++;
		p->gives += gives(op, path);
	}
}

static void path_del(struct line *l, const struct line_op *op, const char *path)
{
	size_t len = strlen(path), cover = cover_len(op, path);
	struct line_path *p = find(l, path, len);

	seqs_del(&p->rows, op->seq);
	p->dirs -= op->kind == LINE_RENAME_DIR;
	if (cover)
		find(l, path, cover)->covers--;
	else if (!is_apart(op))
		p->ordered--;
	drop_if_empty(l, p);
	while ((len = path_parent_len(path, len)) > 0) {
		p = find(l, path, len);
		p->below--;
		p->gives -= gives(op, path);
		drop_if_empty(l, p);
	}
}

/* ---- versions */

static struct line_vid *vid_find(const struct line *l, uint64_t vid)
{
	struct line_vid *v;

	HASH_FIND(hh, l->vids, &vid, sizeof(vid), v);
	return v;
}

static int vid_reserve(struct line *l, uint64_t vid)
{
	struct line_vid *v = vid_find(l, vid);

	if (!v) {
		v = calloc(1, sizeof(*v));
		if (!v)
			return -ENOMEM;
		v->vid = vid;
		HASH_ADD(hh, l->vids, vid, sizeof(v->vid), v);
		if (v->oom) {
			free(v);
			return -ENOMEM;
		}
	}
	return seqs_reserve(&v->rows);
}

static void vid_del(struct line *l, const struct line_op *op)
{
	struct line_vid *v = vid_find(l, op->vid);

	seqs_del(&v->rows, op->seq);
	if (v->rows.n)
		return;
	HASH_DEL(l->vids, v);
	free(v->rows.seq);
	free(v);
}

/* ---- rows */

int line_index_add(struct line *l, const struct line_op *op)
{
	/* What is left of a failure is empty, and goes with the line. */
	if (path_reserve(l, op, op->key) ||
	    (op->to && path_reserve(l, op, op->to)) ||
	    (op->vid && vid_reserve(l, op->vid)) ||
	    (is_apart(op) && seqs_reserve(&l->apart)))
		return -ENOMEM;
	path_add(l, op, op->key);
	if (op->to)
		path_add(l, op, op->to);
	if (op->vid)
		seqs_add(&vid_find(l, op->vid)->rows, op->seq);
	if (is_apart(op))
		seqs_add(&l->apart, op->seq);
	return 0;
}

void line_index_del(struct line *l, const struct line_op *op)
{
	path_del(l, op, op->key);
	if (op->to)
		path_del(l, op, op->to);
	if (op->vid)
		vid_del(l, op);
	if (is_apart(op))
		seqs_del(&l->apart, op->seq);
}

void line_index_release(struct line *l)
{
	struct line_path *p = l->paths, *pnext;
	struct line_vid *v = l->vids, *vnext;

	HASH_CLEAR(hh, l->paths);
	for (; p; p = pnext) {
		pnext = p->hh.next;
		free(p->rows.seq);
		free(p);
	}
	HASH_CLEAR(hh, l->vids);
	for (; v; v = vnext) {
		vnext = v->hh.next;
		free(v->rows.seq);
		free(v);
	}
	free(l->apart.seq);
}

/* ---- questions */

const struct line_seqs *line_at(const struct line *l, const char *path)
{
	const struct line_path *p = find(l, path, strlen(path));

	return p && p->rows.n ? &p->rows : NULL;
}

const struct line_seqs *line_of_version(const struct line *l, uint64_t vid)
{
	const struct line_vid *v = vid_find(l, vid);

	return v && v->rows.n ? &v->rows : NULL;
}

bool line_speaks_of(const struct line *l, const char *key)
{
	size_t len = strlen(key);
	const struct line_path *p = find(l, key, len);

	if (p && p->rows.n)
		return true;
	while ((len = path_parent_len(key, len)) > 0) {
		p = find(l, key, len);
		if (p && p->dirs)
			return true;
	}
	return false;
}

bool line_speaks_below(const struct line *l, const char *dir)
{
	size_t len = strlen(dir);
	const struct line_path *p;

	if (len > 0 && dir[len - 1] == '/')
		len--;
	if (len == 0)
		return l->n > 0;
	p = find(l, dir, len);
	return p && (p->rows.n || p->below);
}

bool line_is_loner(const struct line *l, const struct line_op *op)
{
	size_t len = strlen(op->key);
	const struct line_path *p;

	if (!is_apart(op))
		return false;
	p = find(l, op->key, len);
	if (p && (p->ordered || p->covers))
		return false;
	while ((len = path_parent_len(op->key, len)) > 0) {
		p = find(l, op->key, len);
		if (p && p->covers)
			return false;
	}
	return true;
}

/* ---- when to fold */

struct due {
	struct line *l;
	const struct line_op *op;
};

static bool meets(const struct due *d, const struct line_path *p, bool dirs)
{
	for (size_t i = 0; i < p->rows.n; i++) {
		const struct line_op *o;

		d->l->visited++;
		if (p->rows.seq[i] == d->op->seq)
			continue;
		o = line_find(d->l, p->rows.seq[i]);
		if (!o || (dirs && o->kind != LINE_RENAME_DIR))
			continue;
		if (o->seq < d->op->seq ? line_undoes(o, d->op)
					: line_undoes(d->op, o))
			return true;
	}
	return false;
}

static bool meets_at(const struct due *d, const char *path)
{
	size_t len = strlen(path);
	const struct line_path *p = find(d->l, path, len);

	if (p && d->op->kind == LINE_RENAME_DIR) {
		bool newest = d->op->seq == d->l->ops[d->l->n - 1].seq;

		if (newest ? p->gives : p->below)
			return true;
	}
	if (p && meets(d, p, false))
		return true;
	while ((len = path_parent_len(path, len)) > 0) {
		p = find(d->l, path, len);
		if (p && p->dirs && meets(d, p, true))
			return true;
	}
	return false;
}

bool line_due(struct line *l, uint64_t seq)
{
	struct due d = { l, line_find(l, seq) };

	if (!d.op || !line_is_final(d.op))
		return false;
	return meets_at(&d, d.op->key) || (d.op->to && meets_at(&d, d.op->to));
}
