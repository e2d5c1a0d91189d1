/* SPDX-License-Identifier: Apache-2.0 */
/* Names of a simulated disk: as they are, and as the disk holds them. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "ckptfs/clock.h"

#include "simdisk_impl.h"

struct node *node_new(struct simdisk *d, bool is_dir)
{
	struct node *n = sim_alloc(sizeof(*n));

	n->refs = 1;
	n->is_dir = is_dir;
	n->lost_size = UINT64_MAX;
	file_touch(d, n, true);
	n->atime_ns = n->mtime_ns;
	DL_APPEND(d->nodes, n);
	return n;
}

struct node *node_get(struct node *n)
{
	n->refs++;
	return n;
}

static struct node *entry_del(struct entry **set, const char *name);
static void drop_name(struct simdisk *d, struct node *dir, const char *name);

void node_put(struct simdisk *d, struct node *n)
{
	if (!n || --n->refs > 0)
		return;
	while (n->cur)
		drop_name(d, n, n->cur->name);
	while (n->dur)
		node_put(d, entry_del(&n->dur, n->dur->name));
	file_release(n);
	DL_DELETE(d->nodes, n);
	free(n);
}

void node_count(struct simdisk *d, struct node *n, int links, int opens)
{
	bool before = n->links || n->opens, after;

	n->links += (unsigned)links;
	n->opens += (unsigned)opens;
	after = n->links || n->opens;
	if (before && !after)
		d->used -= n->npages;
	if (!before && after)
		d->used += n->npages;
}

/* The reference the entry held, or NULL: no such name. */
static struct node *entry_del(struct entry **set, const char *name)
{
	struct entry *e;
	struct node *n;

	HASH_FIND_STR(*set, name, e);
	if (!e)
		return NULL;
	n = e->node;
	HASH_DEL(*set, e);
	free(e->name);
	free(e);
	return n;
}

static void entry_set(struct simdisk *d, struct entry **set, const char *name,
		      struct node *n)
{
	struct node *old = entry_del(set, name);
	struct entry *e = sim_alloc(sizeof(*e));

	e->name = sim_strndup(name, strlen(name));
	e->node = node_get(n);
	HASH_ADD_KEYPTR(hh, *set, e->name, strlen(e->name), e);
	node_put(d, old);
}

struct node *name_in(const struct node *dir, const char *name)
{
	struct entry *e;

	HASH_FIND_STR(dir->cur, name, e);
	return e ? e->node : NULL;
}

int name_parent(struct simdisk *d, const char *path, struct node **ret_dir,
		const char **ret_last)
{
	struct node *dir = d->root;

	for (;;) {
		size_t n = strcspn(path, "/");
		char *name;

		if (path[n] == '\0')
			break;
		name = sim_strndup(path, n);
		dir = name_in(dir, name);
		free(name);
		if (!dir)
			return -ENOENT;
		if (!dir->is_dir)
			return -ENOTDIR;
		path += n + 1;
	}
	*ret_dir = dir;
	*ret_last = path;
	return 0;
}

int name_find(struct simdisk *d, const char *path, struct node **ret)
{
	struct node *dir, *n;
	const char *last;
	int r;

	if (*path == '\0') {
		*ret = d->root;
		return 0;
	}
	r = name_parent(d, path, &dir, &last);
	if (r < 0)
		return r;
	n = name_in(dir, last);
	if (!n)
		return -ENOENT;
	*ret = n;
	return 0;
}

static struct change *change_new(struct simdisk *d, enum change_kind kind,
				 struct node *dir, const char *name)
{
	struct change *c = sim_alloc(sizeof(*c));

	c->kind = kind;
	c->dir = node_get(dir);
	c->name = sim_strndup(name, strlen(name));
	file_touch(d, dir, true);
	DL_APPEND(d->changes, c);
	return c;
}

static void change_free(struct simdisk *d, struct change *c)
{
	DL_DELETE(d->changes, c);
	node_put(d, c->dir);
	node_put(d, c->dir2);
	node_put(d, c->node);
	free(c->name);
	free(c->name2);
	free(c);
}

void name_link(struct simdisk *d, struct node *dir, const char *name,
	       struct node *n)
{
	struct change *c = change_new(d, CHANGE_LINK, dir, name);

	c->node = node_get(n);
	entry_set(d, &dir->cur, name, n);
	node_count(d, n, 1, 0);
}

/* Take a name away; the change is recorded by the caller. */
static void drop_name(struct simdisk *d, struct node *dir, const char *name)
{
	struct node *n = entry_del(&dir->cur, name);

	if (!n)
		return;
	node_count(d, n, -1, 0);
	file_touch(d, n, false);
	node_put(d, n);
}

int name_unlink(struct simdisk *d, const char *path)
{
	struct node *dir, *n;
	const char *last;
	int r;

	r = name_parent(d, path, &dir, &last);
	if (r < 0)
		return r;
	n = name_in(dir, last);
	if (!n)
		return -ENOENT;
	if (n->is_dir)
		return -EISDIR;
	(void)change_new(d, CHANGE_UNLINK, dir, last);
	drop_name(d, dir, last);
	return 0;
}

/* May n take the place of old? */
static int check_replace(const struct node *n, const struct node *old)
{
	if (!old)
		return 0;
	if (old->is_dir && !n->is_dir)
		return -EISDIR;
	if (!old->is_dir && n->is_dir)
		return -ENOTDIR;
	return old->cur ? -ENOTEMPTY : 0;
}

int name_rename(struct simdisk *d, const char *from, const char *to)
{
	struct node *dir, *dir2, *n, *old;
	const char *last, *last2;
	struct change *c;
	size_t len = strlen(from);
	int r;

	r = name_parent(d, from, &dir, &last);
	if (r < 0)
		return r;
	r = name_parent(d, to, &dir2, &last2);
	if (r < 0)
		return r;
	n = name_in(dir, last);
	if (!n)
		return -ENOENT;
	if (n->is_dir && strncmp(from, to, len) == 0 && to[len] == '/')
		return -EINVAL;
	old = name_in(dir2, last2);
	if (old == n)
		return 0;
	r = check_replace(n, old);
	if (r < 0)
		return r;
	c = change_new(d, CHANGE_RENAME, dir, last);
	c->dir2 = node_get(dir2);
	c->name2 = sim_strndup(last2, strlen(last2));
	c->node = node_get(n);
	node_count(d, n, 1, 0);
	drop_name(d, dir2, last2);
	drop_name(d, dir, c->name);
	entry_set(d, &dir2->cur, c->name2, n);
	return 0;
}

/* The change reaches the disk. */
static void change_apply(struct simdisk *d, struct change *c)
{
	if (c->kind != CHANGE_LINK)
		node_put(d, entry_del(&c->dir->dur, c->name));
	if (c->kind == CHANGE_LINK)
		entry_set(d, &c->dir->dur, c->name, c->node);
	if (c->kind == CHANGE_RENAME)
		entry_set(d, &c->dir2->dur, c->name2, c->node);
	change_free(d, c);
}

static bool touches_marked(const struct simdisk *d, const struct change *c)
{
	const struct change *o;

	for (o = c->next; o; o = o->next)
		if (o->marked &&
		    (c->dir == o->dir || c->dir == o->dir2 ||
		     (c->dir2 && (c->dir2 == o->dir || c->dir2 == o->dir2))))
			return true;
	return false;
}

/*
 * A change that is written drags along the older ones in the folders it
 * touches, else they would be applied to names that are not theirs any more.
 */
void name_sync(struct simdisk *d, struct node *dir)
{
	struct change *c, *next;

	if (!d->changes)
		return;
	for (c = d->changes->prev;; c = c->prev) {
		c->marked = !dir || c->dir == dir || c->dir2 == dir ||
			    touches_marked(d, c);
		if (c == d->changes)
			break;
	}
	for (c = d->changes; c; c = next) {
		next = c->next;
		if (c->marked)
			change_apply(d, c);
	}
}

/* What the names are becomes what the disk holds. */
static void reload_names(struct simdisk *d, struct node *dir)
{
	struct entry *e, *tmp;

	while (dir->cur)
		drop_name(d, dir, dir->cur->name);
	HASH_ITER(hh, dir->dur, e, tmp)
	{
		entry_set(d, &dir->cur, e->name, e->node);
		node_count(d, e->node, 1, 0);
	}
}

void name_power_cut(struct simdisk *d, unsigned keep)
{
	struct change *c, *next;
	struct node *n, *after;
	unsigned total, kept;

	DL_COUNT(d->changes, c, total);
	kept = keep == 0     ? 0
	       : keep >= 100 ? total
			     : (unsigned)(sim_random(&d->random) % (total + 1));
	for (c = d->changes; c; c = next) {
		next = c->next;
		if (kept > 0) {
			kept--;
			change_apply(d, c);
		} else {
			change_free(d, c);
		}
	}
	for (n = d->nodes; n; n = after) {
		(void)node_get(n);
		reload_names(d, n);
		after = n->next;
		if (after)
			(void)node_get(after);
		node_put(d, n);
		if (after)
			after->refs--;
	}
}

void name_free_all(struct simdisk *d)
{
	while (d->changes)
		change_free(d, d->changes);
	node_put(d, d->root);
}
