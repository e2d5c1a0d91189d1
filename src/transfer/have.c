/* SPDX-License-Identifier: Apache-2.0 */
/* What the bucket is known to have, by key, and counted by folder. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "line_view.h"

struct have_dir {
	UT_hash_handle hh;
	size_t there; /* keys below it that the bucket has */
	int64_t gone_mono_ns; /* the last delete below it ended; 0: none did */
	char path[];
};

struct have *have_find(struct transfer *t, const char *key)
{
	struct have *h;

	HASH_FIND(hh, t->have, key, strlen(key), h);
	return h;
}

static struct have_dir *dir_find(struct transfer *t, const char *dir, size_t n)
{
	struct have_dir *d;

	HASH_FIND(hh, t->have_dirs, dir, n, d);
	return d;
}

static struct have_dir *dir_get(struct transfer *t, const char *dir, size_t n)
{
	struct have_dir *d = dir_find(t, dir, n);

	if (d)
		return d;
	d = calloc(1, sizeof(*d) + n + 1);
	if (!d) {
		t->have_unsure = true;
		return NULL;
	}
	memcpy(d->path, dir, n);
	HASH_ADD_KEYPTR(hh, t->have_dirs, d->path, n, d);
	return d;
}

/* The folders above a key: one more or less below them; a delete ended. */
static void count(struct transfer *t, const char *key, int delta,
		  int64_t gone_mono_ns)
{
	size_t n = strlen(key);

	while ((n = path_parent_len(key, n)) > 0) {
		struct have_dir *d = dir_get(t, key, n);

		if (!d)
			return;
		d->there += (size_t)delta;
		if (gone_mono_ns > d->gone_mono_ns)
			d->gone_mono_ns = gone_mono_ns;
	}
}

void have_set(struct transfer *t, const char *key, bool there, uint64_t vid,
	      uint64_t bound)
{
	struct have *h = have_find(t, key);
	size_t n = strlen(key);

	if (!h) {
		h = calloc(1, sizeof(*h) + n + 1);
		if (!h) { /* unknown counts as there */
			t->have_unsure |= there;
			return;
		}
		memcpy(h->key, key, n + 1);
		HASH_ADD_KEYPTR(hh, t->have, h->key, n, h);
	}
	if (h->there != there)
		count(t, key, there ? 1 : -1, 0);
	h->there = there;
	h->vid = vid;
	h->bound = bound;
}

void have_tell(struct transfer *t, const char *key, bool there, uint64_t vid,
	       uint64_t bound)
{
	lock_acquire(&t->lock);
	have_set(t, key, there, vid, bound);
	lock_release(&t->lock);
}

void have_goes(struct transfer *t, const char *key)
{
	int64_t now = clk_mono(t->host->clk);
	struct have *h;

	lock_acquire(&t->lock);
	if (!have_find(t, key))
		have_set(t, key, true, 0, 0); /* as one that is not known */
	h = have_find(t, key);
	if (h)
		h->gone_mono_ns = now;
	count(t, key, 0, now);
	lock_release(&t->lock);
}

bool have_below(struct transfer *t, const char *dir)
{
	const struct have_dir *d = dir_find(t, dir, strlen(dir));

	return t->have_unsure || (d && d->there);
}

bool have_gone_below(struct transfer *t, const char *dir, int64_t since_mono_ns)
{
	const struct have_dir *d = dir_find(t, dir, strlen(dir));
	const struct have *h = have_find(t, dir);

	return t->have_unsure || (d && d->gone_mono_ns &&
				   d->gone_mono_ns >= since_mono_ns) ||
	       (h && h->gone_mono_ns && h->gone_mono_ns >= since_mono_ns);
}

void have_free(struct transfer *t)
{
	struct have *h, *htmp;
	struct have_dir *d, *dtmp;

	HASH_ITER(hh, t->have, h, htmp) {
		HASH_DEL(t->have, h);
		free(h);
	}
	HASH_ITER(hh, t->have_dirs, d, dtmp) {
		HASH_DEL(t->have_dirs, d);
		free(d);
	}
}
