/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "order.h"
#include "world.h"

void bucket_look(struct store *bucket, const struct model *m,
		 struct shown ret[PATHS])
{
	struct store_obj o;
	char key[64];
	int i;

	for (i = 0; i < PATHS; i++) {
		(void)snprintf(key, sizeof(key), WORLD_PREFIX "%s",
			       path_text(i));
		ret[i].there = store_head(bucket, key, &o) == 0;
		ret[i].b = ret[i].there ? model_known(m, o.size, o.crc64)
					: NULL;
	}
}

bool model_owed(const struct model *m, int path)
{
	int i;

	for (i = 0; i < PATHS; i++)
		if (m->now->at[i].owes & 1u << path)
			return true;
	return false;
}

static bool is(const struct shown *x, const struct bytes *b)
{
	return x->there ? same_bytes(x->b, b) : !b;
}

/* As the state has it. */
static bool same(const struct model *m, int state, int path,
		 const struct shown *x)
{
	return is(x, m->s[state]->at[path].pub);
}

static bool same_shown(const struct shown *x, const struct shown *y)
{
	return x->there == y->there && same_bytes(x->b, y->b);
}

static bool is_state(const struct model *m, int state,
		     const struct shown now[PATHS])
{
	const struct state *s = m->s[state];
	int i;

	for (i = 0; i < PATHS; i++)
		if (!s->fuzzy[i] && !same(m, state, i, &now[i]))
			return false;
	return true;
}

/* What was at path moved, and is shown where it went. */
static bool moved_on(const struct model *m, int state,
		     const struct shown now[PATHS], int path)
{
	const struct state *s = m->s[state];
	int i;

	for (i = 0; i < PATHS; i++)
		if (s->at[i].kind && s->at[i].from == path &&
		    same(m, state, i, &now[i]))
			return true;
	return false;
}

/* From which state on, until this one, the name was always there, as far as there
 * is a word about it. */
static int there_since(const struct model *m, int state, int path)
{
	while (state > 0 && m->s[state - 1]->at[path].pub &&
	       !m->s[state - 1]->fuzzy[path])
		state--;
	return state;
}

/*
 * Whether the bucket is on its way from the base to s.  ret_path: a name that
 * speaks against it.
 */
static bool is_towards(const struct base *b, const struct model *m, int state,
		       const struct shown now[PATHS], int *ret_path)
{
	const struct state *s = m->s[state];
	int done = -1, gone = -1, i;

	for (i = 0; i < PATHS; i++) {
		bool end = same(m, state, i, &now[i]);

		*ret_path = i;
		if (s->fuzzy[i] || (end && same_shown(&now[i], &b->at[i])))
			continue;
		if (!end && !same_shown(&now[i], &b->at[i]))
			return false;
		if (end && now[i].there && s->at[i].place > done)
			done = s->at[i].place;
		if (end && !now[i].there && !moved_on(m, state, now, i) &&
		    s->at[i].place > gone)
			gone = s->at[i].place;
	}
	for (i = 0; i < PATHS; i++) {
		*ret_path = i;
		if (s->fuzzy[i] || same(m, state, i, &now[i]))
			continue;
		if (s->at[i].pub && (s->at[i].place < done || gone >= 0))
			return false;
		if (!s->at[i].pub && s->at[i].place < gone)
			return false;
		/* What is shown could name it. */
		if (s->at[i].pub && !now[i].there &&
		    there_since(m, state, i) < done)
			return false;
	}
	return true;
}

static bool goes_on(const struct base *b, const struct model *m,
		    const struct shown now[PATHS], int *ret_path)
{
	int k;

	for (k = b->state + 1; k < m->n; k++)
		if (is_towards(b, m, k, now, ret_path))
			return true;
	return false;
}

static void add_base(struct order *o, int state, const struct shown now[PATHS])
{
	struct base *b = &o->base[o->n];

	if (o->n == BASES_MOST) /* the oldest one is the likeliest to be over */
		memmove(o->base, o->base + 1, sizeof(*b) * (size_t)--o->n);
	b = &o->base[o->n++];
	memcpy(b->at, now, sizeof(b->at));
	b->state = state;
}

bool order_check(struct order *o, const struct model *m,
		 const struct shown now[PATHS], char *why, size_t size)
{
	int i, k, first = o->n ? o->base[0].state : 0, path = 0;

	for (i = 0; i < PATHS; i++)
		if (now[i].there && !(now[i].b && now[i].b->sealed) &&
		    !(o->cut && m->now->fuzzy[i])) {
			(void)snprintf(why, size, "%s: %s bytes", path_text(i),
				       now[i].b ? "never closed"
						: "torn or foreign");
			return false;
		}
	if (o->off || o->never)
		return true;
	for (i = k = 0; i < o->n; i++) {
		first = o->base[i].state < first ? o->base[i].state : first;
		if (goes_on(&o->base[i], m, now, &path))
			o->base[k++] = o->base[i];
	}
	o->n = k;
	for (k = first; k < m->n; k++)
		if (is_state(m, k, now))
			add_base(o, k, now);
	if (o->n == 0)
		(void)snprintf(why, size,
			       "the bucket is out of order (%s, states %d to %d)",
			       path_text(path), first, m->n - 1);
	return o->n > 0;
}

void order_rest(struct order *o, const struct shown now[PATHS])
{
	o->n = 0;
	o->off = false;
	add_base(o, 0, now);
}

void order_resume(struct order *o, const struct model *m)
{
	int i;

	for (i = 0; i < o->n; i++)
		o->off |= o->base[i].state >= m->n;
}
