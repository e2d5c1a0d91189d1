/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(elt) ((elt)->oom = true)
#include "transfer/fold_names.h"

struct name_dir {
	UT_hash_handle hh;
	bool oom;
	struct name **list;
	size_t n, cap;
};

struct name_move {
	const char *from, *to;
	bool sure, begun;
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

int names_get(struct names *ns, const char *key, bool own, struct name **ret)
{
	struct name *nm;

	HASH_FIND_STR(ns->table, key, nm);
	if (!nm) {
		nm = calloc(1, sizeof(*nm));
		if (!nm)
			goto fail;
		nm->key = key;
		nm->asked = -1;
		HASH_ADD_KEYPTR(hh, ns->table, nm->key, strlen(nm->key), nm);
		if (nm->oom) {
			free(nm);
			goto fail;
		}
		nm->owned = own;
		own = false;
		if (enter(ns, nm))
			goto fail;
	}
	if (own)
		free((void *)(uintptr_t)key);
	*ret = nm;
	return 0;
fail:
	if (own)
		free((void *)(uintptr_t)key);
	return -ENOMEM;
}

void names_release(struct names *ns)
{
	struct name *nm, *tmp;
	struct name_dir *d, *dtmp;

	HASH_ITER(hh, ns->table, nm, tmp)
	{
		HASH_DEL(ns->table, nm);
		if (nm->owned)
			free((void *)(uintptr_t)nm->key);
		free(nm);
	}
	HASH_ITER(hh, ns->dirs, d, dtmp)
	{
		HASH_DEL(ns->dirs, d);
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

static bool asks(const struct names *ns, const char *key)
{
	return ns->env->bucket_has(ns->env->arg, key);
}

/* Present in the bucket once every folder rename passed so far is done? */
static int ask_moved(const struct names *ns, const char *key,
		     enum presence *ret)
{
	enum presence p = GONE;
	char *at = strdup(key);
	bool sure = true;
	int r = at ? 0 : -ENOMEM;

	for (size_t i = ns->n_moves; !r && i-- > 0;) {
		const struct name_move *m = &ns->moves[i];
		char *old = NULL;

		if (path_is_below(at, m->to)) {
			if (m->begun && asks(ns, at))
				break;
			r = names_moved_key(at, m->to, m->from, &old);
			free(at);
			at = old;
			sure &= m->sure;
		} else if (path_is_below(at, m->from)) {
			if (m->sure)
				goto out;
			sure = false;
		}
	}
	if (!r)
		p = !sure ? MAYBE : asks(ns, at) ? THERE : GONE;
out:
	free(at);
	if (!r)
		*ret = p;
	return r;
}

static int ask(struct names *ns, struct name *nm, enum presence *ret)
{
	if (ns->n_moves)
		return ask_moved(ns, nm->key, ret);
	if (nm->asked < 0)
		nm->asked = asks(ns, nm->key);
	*ret = nm->asked ? THERE : GONE;
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

static bool asks_below(const struct names *ns, const char *dir)
{
	return ns->env->bucket_has_below(ns->env->arg, dir);
}

int names_bucket_below(const struct names *ns, const char *dir, bool *ret)
{
	char *at = strdup(dir);
	bool below = false;
	int r = at ? 0 : -ENOMEM;

	for (size_t i = ns->n_moves; !r && i-- > 0;) {
		const struct name_move *m = &ns->moves[i];
		char *old = NULL;

		if (path_is_below(at, m->to)) {
			if (m->begun && asks_below(ns, at))
				break;
			r = names_moved_key(at, m->to, m->from, &old);
			free(at);
			at = old;
		} else if (path_is_below(m->to, at)) {
			below = true;
			goto out;
		} else if (path_is_below(at, m->from)) {
			below = !m->sure;
			goto out;
		}
	}
	if (!r)
		below = asks_below(ns, at);
out:
	free(at);
	if (!r)
		*ret = below;
	return r;
}

static int forget(void *arg, struct names *ns, struct name *nm)
{
	(void)arg;
	(void)ns;
	nm->round = 0;
	return 0;
}

static int carry(void *arg, struct names *ns, struct name *nm)
{
	const struct name_move *m = arg;
	struct name *dst;
	char *key;
	int r = names_moved_key(nm->key, m->from, m->to, &key);

	if (!r)
		r = names_get(ns, key, true, &dst);
	if (r)
		return r;
	dst->round = ns->round;
	dst->now = m->sure ? nm->now : MAYBE;
	dst->unsure = nm->unsure || !m->sure;
	dst->win = 0;
	nm->now = m->sure ? GONE : MAYBE;
	nm->unsure = !m->sure;
	return 0;
}

int names_move_dir(struct names *ns, const struct line_op *op)
{
	struct name_move m = { op->key, op->to, !op->parked, op->begun };
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
	/* The target was empty; from now on its names are asked anew. */
	r = names_each_below(ns, op->to, forget, NULL);
	if (!r)
		r = names_each_below(ns, op->key, carry, &m);
	if (!r)
		ns->moves[ns->n_moves++] = m;
	return r;
}
