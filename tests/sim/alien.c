/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is legal where others write, too (design, sections 2, 5 and 8).
 *
 * A name at which another writer was may show what the bucket has, or had, as a
 * new file, or nothing; but only where that takes nothing from us that is ours
 * alone: what was never in the bucket, is open, or is held back stays as it is,
 * in conflict perhaps.  Of what is done there the bucket is told in an order
 * that nobody vouches for.  So it is with what the mount itself sent after its
 * disk had failed, once a power cut takes the rows that knew of it; and to that
 * what is behind it gives way, though it never was in the bucket.  Nor is it a
 * conflict.
 */
#include "config.h"

#include <string.h>

#include "model.h"

void alien_ahead_at(struct model *m, int path)
{
	int i;

	for (i = 0; i < m->n; i++) {
		const struct item *e = &m->s[i]->at[path];

		model_behind(m, e->cur);
		model_behind(m, e->before);
		model_behind(m, e->flushed);
	}
	alien_was_at(m, path);
}

void alien_was_at(struct model *m, int path)
{
	int i;

	m->alien[path] = true;
	if (path_dir(path))
		m->alien_dir[path_dir(path)] = true;
	for (i = 0; i < m->n; i++)
		m->s[i]->fuzzy[path] = m->s[i]->at[path].fuzzy = true;
}

static bool is_theirs_too(const struct bytes *b)
{
	return b && (b->shown || b->behind);
}

/* What a name may fall back on is the bucket's as much as ours. */
static bool is_replaceable(const struct item *e)
{
	/* of a link there is nothing that could be kept beside theirs */
	if (e->kind != REGULAR)
		return true;
	if (e->held && !e->cur->shown)
		return false;
	if (e->open || e->dirty)
		return e->taken || is_theirs_too(e->before) ||
		       is_theirs_too(e->flushed);
	return is_theirs_too(e->cur);
}

bool alien_allows(const struct item *e, const struct found *f)
{
	return is_replaceable(e) && (!f->kind || (f->b && f->b->shown));
}

void alien_adopt(struct model *m, int path, const struct found *f)
{
	struct item *e = &m->now->at[path];

	memset(e, 0, sizeof(*e));
	m->now->fuzzy[path] = true;
	if (!f->kind)
		return;
	*e = (struct item){ .kind = f->kind,
			    .id = ++m->last_id,
			    .cur = f->b,
			    .pub = f->b,
			    .fuzzy = true,
			    .loose = f->unfinished,
			    .place = m->n - 1,
			    .seal = m->n - 1,
			    .from = -1,
			    .mode = f->mode,
			    .mtime_ns = f->mtime_ns };
}

void alien_moved(struct model *m, int from, int to)
{
	if (m->alien[from] || m->alien[to]) {
		alien_was_at(m, from);
		alien_was_at(m, to);
	}
}

void alien_rest(struct model *m)
{
	memset(m->alien, 0, sizeof(m->alien));
	memset(m->alien_dir, 0, sizeof(m->alien_dir));
}

bool alien_any(const struct model *m)
{
	int i;

	for (i = 0; i < PATHS; i++)
		if (m->alien[i])
			return true;
	return false;
}
