/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transfer/fold_names.h"

struct name_dir {
	UT_hash_handle hh;
	bool oom;
	struct name **list;
	size_t n, cap;
};

struct name_move {
	const char *from, *to;
	bool sure;
};

static struct name_dir *find_dir(const struct names *ns, const char *dir,
				 size_t len)
{
	struct name_dir *d;

	HASH_FIND(hh, ns->dirs, dir, len, d);
	return d;
}

int names_watch(struct names *ns, const char *dir)
{
	struct name_dir *d = find_dir(ns, dir, strlen(dir));

	if (d)
		return 0;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	HASH_ADD_KEYPTR(hh, ns->dirs, dir, strlen(dir), d);
	if (d->oom) {
		free(d);
		return -ENOMEM;
	}
	return 0;
}

static int dir_add(struct name_dir *d, struct name *nm)
{
	if (d->n == d->cap) {
		size_t cap = d->cap ? 2 * d->cap : 8;
		struct name **list = realloc(d->list, cap * sizeof(*list));

		if (!list)
			return -ENOMEM;
		d->list = list;
		d->cap = cap;
	}
	d->list[d->n++] = nm;
	return 0;
}

/* Enter a new name with every watched folder above it. */
static int enter(struct names *ns, struct name *nm)
{
	for (size_t i = 0; ns->dirs && nm->key[i]; i++) {
		struct name_dir *d;

		if (nm->key[i] != '/')
			continue;
		d = find_dir(ns, nm->key, i);
		if (d && dir_add(d, nm))
			return -ENOMEM;
	}
	return 0;
}

int names_get(struct names *ns, const char *key, char *own, struct name **ret)
{
	struct name *nm;
	int r = -ENOMEM;

	HASH_FIND(hh, ns->table, key, strlen(key), nm);
	if (!nm) {
		nm = calloc(1, sizeof(*nm));
		if (!nm)
			goto out;
		nm->key = key;
		nm->asked = -1;
		HASH_ADD_KEYPTR(hh, ns->table, nm->key, strlen(nm->key), nm);
		if (nm->oom) {
			free(nm);
			goto out;
		}
		nm->own = own;
		own = NULL;
		if (enter(ns, nm))
			goto out;
	}
	*ret = nm;
	r = 0;
out:
	free(own);
	return r;
}

void names_release(struct names *ns)
{
	struct name *nm = ns->table, *next;
	struct name_dir *d = ns->dirs, *dnext;

	HASH_CLEAR(hh, ns->table);
	for (; nm; nm = next) {
		next = nm->hh.next;
		free(nm->own);
		free(nm);
	}
	HASH_CLEAR(hh, ns->dirs);
	for (; d; d = dnext) {
		dnext = d->hh.next;
		free(d->list);
		free(d);
	}
	free(ns->moves);
	memset(ns, 0, sizeof(*ns));
}

void names_begin_round(struct names *ns)
{
	ns->round++;
	ns->n_moves = 0;
	names_begin_window(ns);
}

void names_begin_window(struct names *ns)
{
	ns->win++;
	ns->touched = NULL;
}

int names_moved_key(const char *key, const char *from, const char *to,
		    char **ret)
{
	const char *rest = key + strlen(from);
	size_t n = strlen(to), m = strlen(rest);
	char *s = malloc(n + m + 1);

	if (!s)
		return -ENOMEM;
	memcpy(s, to, n);
	memcpy(s + n, rest, m + 1);
	*ret = s;
	return 0;
}

/* Past this many folder renames, one onto the other, do not follow. */
#define MOVES_MAX 12

static enum presence later_of(enum presence a, enum presence b)
{
	return a > b ? a : b;
}

static enum presence ask_bucket(const struct names *ns, const char *key)
{
	const struct line_env *env = ns->env;

	if (!env->bucket_has(env->arg, key))
		return GONE;
	return !env->bucket_is_sure || env->bucket_is_sure(env->arg, key) ?
		       THERE :
		       MAYBE;
}

/*
 * Present once the first i of the folder renames passed so far are done?  The
 * target of a rename was empty in the mount; yet the bucket may hold there
 * what a withdrawn put was to replace.
 */
static int ask_after(const struct names *ns, const char *key, size_t i,
		     enum presence *ret)
{
	const struct name_move *m = i ? &ns->moves[i - 1] : NULL;
	enum presence stays, comes;
	char *old;
	int r;

	if (!m) {
		*ret = ask_bucket(ns, key);
		return 0;
	}
	if (m->sure && path_is_below(key, m->from)) {
		*ret = GONE;
		return 0;
	}
	r = ask_after(ns, key, i - 1, &stays);
	if (r)
		return r;
	if (path_is_below(key, m->from)) {
		*ret = stays == GONE ? GONE : MAYBE;
		return 0;
	}
	if (stays == THERE || !path_is_below(key, m->to)) {
		*ret = stays;
		return 0;
	}
	r = names_moved_key(key, m->to, m->from, &old);
	if (r)
		return r;
	r = ask_after(ns, old, i - 1, &comes);
	free(old);
	if (r)
		return r;
	if (comes == THERE && !m->sure)
		comes = MAYBE;
	*ret = later_of(stays, comes);
	return 0;
}

static int ask(struct names *ns, struct name *nm, enum presence *ret)
{
	if (ns->n_moves > MOVES_MAX) {
		*ret = MAYBE;
		return 0;
	}
	if (ns->n_moves)
		return ask_after(ns, nm->key, ns->n_moves, ret);
	if (nm->asked < 0)
		nm->asked = (signed char)ask_bucket(ns, nm->key);
	*ret = (enum presence)nm->asked;
	return 0;
}

int names_touch(struct names *ns, struct name *nm)
{
	if (nm->round != ns->round) {
		int r = ask(ns, nm, &nm->now);

		if (r)
			return r;
		nm->round = ns->round;
		nm->unsure = nm->now == MAYBE;
		nm->win = 0;
	}
	if (nm->win != ns->win) {
		nm->win = ns->win;
		nm->base = nm->now;
		nm->bind = nm->place = LINE_NOWHERE;
		nm->first = nm->first_bind = nm->del = LINE_NOWHERE;
		nm->unit_from = ns->unit;
		nm->next = ns->touched;
		ns->touched = nm;
	}
	nm->unit_to = ns->unit;
	return 0;
}

int names_each_below(struct names *ns, const char *dir, names_fn *fn, void *arg)
{
	const struct name_dir *d = find_dir(ns, dir, strlen(dir));
	size_t n = d ? d->n : 0; /* fn may add names */

	for (size_t i = 0; i < n; i++) {
		int r = d->list[i]->round == ns->round ? fn(arg, ns, d->list[i])
						       : 0;

		if (r)
			return r;
	}
	return 0;
}

static int below_after(const struct names *ns, const char *dir, size_t i,
		       bool *ret)
{
	const struct name_move *m = i ? &ns->moves[i - 1] : NULL;
	bool below;
	char *old;
	int r;

	if (!m) {
		*ret = ns->env->bucket_has_below(ns->env->arg, dir);
		return 0;
	}
	if (m->sure && path_is_below(dir, m->from)) {
		*ret = false;
		return 0;
	}
	r = below_after(ns, dir, i - 1, &below);
	if (!r && !below && path_is_below(m->to, dir)) {
		r = below_after(ns, m->from, i - 1, &below);
	} else if (!r && !below && path_is_below(dir, m->to)) {
		r = names_moved_key(dir, m->to, m->from, &old);
		if (r)
			return r;
		r = below_after(ns, old, i - 1, &below);
		free(old);
	}
	if (!r)
		*ret = below;
	return r;
}

int names_bucket_below(const struct names *ns, const char *dir, bool *ret)
{
	if (ns->n_moves > MOVES_MAX) {
		*ret = true;
		return 0;
	}
	return below_after(ns, dir, ns->n_moves, ret);
}

/* Take account of what a name's place below the source holds. */
static int mirror(void *arg, struct names *ns, struct name *nm)
{
	const struct name_move *m = arg;
	struct name *src;
	char *key;
	int r = names_moved_key(nm->key, m->to, m->from, &key);

	if (!r)
		r = names_get(ns, key, key, &src);
	return r ? r : names_touch(ns, src);
}

static int carry(void *arg, struct names *ns, struct name *nm)
{
	const struct name_move *m = arg;
	enum presence comes = nm->now;
	struct name *dst;
	char *key;
	int r = names_moved_key(nm->key, m->from, m->to, &key);

	if (!r)
		r = names_get(ns, key, key, &dst);
	if (!r)
		r = names_touch(ns, dst);
	if (r)
		return r;
	if (comes == THERE && !m->sure)
		comes = MAYBE;
	dst->now = later_of(dst->now, comes);
	dst->unsure |= nm->unsure || !m->sure;
	nm->now = m->sure || comes == GONE ? GONE : MAYBE;
	nm->unsure = !m->sure;
	return 0;
}

int names_move_dir(struct names *ns, const struct line_op *op)
{
	struct name_move m = { op->key, op->to, !op->parked };
	int r;

	if (ns->n_moves == ns->cap_moves) {
		size_t cap = ns->cap_moves ? 2 * ns->cap_moves : 8;
		struct name_move *moves =
			realloc(ns->moves, cap * sizeof(*moves));

		if (!moves)
			return -ENOMEM;
		ns->moves = moves;
		ns->cap_moves = cap;
	}
	r = names_each_below(ns, op->to, mirror, &m);
	if (!r)
		r = names_each_below(ns, op->key, carry, &m);
	if (!r)
		ns->moves[ns->n_moves++] = m;
	return r;
}
