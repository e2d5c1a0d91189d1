/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fold_mount.h"
#include "line_whole.h"

size_t name_count(const struct model *m)
{
	size_t n = 0;

	while (m->names[n])
		n++;
	return n;
}

size_t name_index(const struct model *m, const char *key)
{
	size_t i = 0;

	while (m->names[i] && strcmp(m->names[i], key) != 0)
		i++;
	return i;
}

bool name_is_aside(const struct model *m, size_t i)
{
	return m->names[i][0] == '.';
}

static bool name_is_in(const char *name, const char *dir)
{
	return name[0] == dir[0] && name[1] == '/';
}

/* The name that a rename of folder from to folder to makes of name i. */
static size_t name_twin(const struct model *m, size_t i, const char *to)
{
	char key[8];

	snprintf(key, sizeof(key), "%s%s", to, m->names[i] + 1);
	return name_index(m, key);
}

/* ---- the mount ---- */

static void mount_exchange(const struct model *m, struct tree *t,
			   const struct verb *v, int i)
{
	struct shown *a = &t->at[name_index(m, v->key)];
	struct shown *b = &t->at[name_index(m, v->to)];
	signed char was = a->v;

	*a = (struct shown){ b->v, (signed char)i };
	*b = (struct shown){ was, (signed char)i };
}

static void mount_apply(const struct model *m, struct tree *t,
			const struct verb *v, int i)
{
	size_t n = name_count(m), a = 0;

	if (v->kind != LINE_RENAME_DIR)
		a = name_index(m, v->key);
	switch (v->kind) {
	case LINE_PUT:
		t->at[a] = (struct shown){ (signed char)i, (signed char)i };
		break;
	case LINE_DEL:
		t->at[a] = (struct shown){ 0, 0 };
		break;
	case LINE_RENAME:
		t->at[name_index(m, v->to)] =
			(struct shown){ t->at[a].v, (signed char)i };
		t->at[a] = (struct shown){ 0, 0 };
		break;
	case LINE_RENAME_DIR:
		for (a = 0; a < n; a++) {
			if (!name_is_in(m->names[a], v->key) || !t->at[a].v)
				continue;
			t->at[name_twin(m, a, v->to)] =
				(struct shown){ t->at[a].v, (signed char)i };
			t->at[a] = (struct shown){ 0, 0 };
		}
		break;
	}
}

struct tree mount_start(const struct model *m)
{
	struct tree t = { 0 };

	for (const char *s = m->start; *s; s++) {
		signed char v = (signed char)(-9 + (s - m->start));

		t.at[*s - '0'] = (struct shown){ v, v };
	}
	return t;
}

void mount_all(const struct model *m, const struct state *s, struct tree *ret)
{
	ret[0] = mount_start(m);
	for (int i = 1; i <= s->n_hist; i++) {
		const struct hist *h = &s->hist[i - 1];
		const struct verb *v = &m->verbs[h->verb];

		ret[i] = ret[i - 1];
		/* A seal that was withdrawn never was, nor a rename of it. */
		if (h->gone || (h->moved > 0 && s->hist[h->moved - 1].gone))
			continue;
		if (v->kind == LINE_RENAME &&
		    !ret[i].at[name_index(m, v->key)].v)
			continue;
		if (v->kind == MODEL_EXCHANGE) {
			if (h->part == 0)
				mount_exchange(m, &ret[i], v, i);
			continue;
		}
		mount_apply(m, &ret[i], v, i);
	}
}

static bool is_in_folder(const char *name, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(name, dir, n) == 0 && name[n] == '/';
}

bool mount_clashes(const struct model *m, const struct tree *t, size_t i)
{
	for (size_t k = 0; m->names[k]; k++)
		if (t->at[k].v && (is_in_folder(m->names[k], m->names[i]) ||
				   is_in_folder(m->names[i], m->names[k])))
			return true;
	return false;
}

/* A rename makes room of its own: what is renamed is in nobody's way. */
static bool has_room(const struct model *m, const struct tree *t,
		     const struct verb *v)
{
	struct tree rest = *t;

	if (!m->one_name)
		return true;
	if (v->kind == LINE_PUT)
		return !mount_clashes(m, t, name_index(m, v->key));
	rest.at[name_index(m, v->key)].v = 0;
	return !mount_clashes(m, &rest, name_index(m, v->to));
}

bool mount_allows(const struct model *m, const struct tree *t,
		  const struct verb *v)
{
	bool any = false;

	if (v->kind == MODEL_EXCHANGE)
		return t->at[name_index(m, v->key)].v != 0 &&
		       t->at[name_index(m, v->to)].v != 0;
	if (v->kind == LINE_PUT)
		return has_room(m, t, v);
	if (v->kind == LINE_RENAME)
		return t->at[name_index(m, v->key)].v != 0 &&
		       has_room(m, t, v);
	if (v->kind != LINE_RENAME_DIR)
		return t->at[name_index(m, v->key)].v != 0;
	for (size_t i = 0; m->names[i]; i++) {
		if (!t->at[i].v)
			continue;
		if (name_is_in(m->names[i], v->to) ||
		    strcmp(m->names[i], v->to) == 0)
			return false;
		any |= name_is_in(m->names[i], v->key);
	}
	return any;
}

static signed char version_at(const struct tree *now, size_t name)
{
	return now->at[name].v > 0 ? now->at[name].v : 0;
}

/* One row more, and its place in the history. */
static struct row *add_row(struct state *t, size_t verb, unsigned char part,
			   enum line_kind kind, size_t key, signed char moved)
{
	struct row *row = &t->row[t->n_rows++];

	t->hist[t->n_hist++] =
		(struct hist){ (unsigned char)verb, 0, moved, part };
	row->seq = row->bound = t->n_hist;
	row->kind = (unsigned char)kind;
	row->key = (unsigned char)key;
	row->vid = (unsigned char)(moved ? moved + VID : 0);
	row->flags = CUT | FINAL;
	return row;
}

static void add_verb(const struct model *m, const struct tree *now,
		     struct state *t, size_t i)
{
	const struct verb *v = &m->verbs[i];
	size_t key = v->kind == LINE_RENAME_DIR ? i : name_index(m, v->key);
	signed char moved = v->kind == LINE_RENAME ? version_at(now, key) : 0;
	struct row *row = add_row(t, i, 0, v->kind, key, moved);

	if (v->kind == LINE_RENAME)
		row->to = (unsigned char)name_index(m, v->to);
	if (v->kind == LINE_PUT)
		row->vid = (unsigned char)(t->n_hist + VID);
	if (v->kind == LINE_PUT && m->withdraw)
		row->flags = CUT;
}

static void add_exchange(const struct model *m, const struct tree *now,
			 struct state *t, size_t i)
{
	const struct verb *v = &m->verbs[i];
	size_t a = name_index(m, v->key), b = name_index(m, v->to);
	size_t aside = name_index(m, ".");
	const size_t from[] = { a, b, aside }, to[] = { aside, a, b };
	const signed char moved[] = { version_at(now, a), version_at(now, b),
				      version_at(now, a) };
	unsigned char bound = (unsigned char)(t->n_hist + 1);

	for (unsigned char k = 0; k < 3; k++) {
		struct row *row =
			add_row(t, i, k, LINE_RENAME, from[k], moved[k]);

		row->to = (unsigned char)to[k];
		row->bound = bound;
		row->flags |= k < 2 ? KEEP : 0;
	}
}

void hist_add(const struct model *m, const struct tree *now, struct state *t,
	      size_t verb)
{
	if (m->verbs[verb].kind == MODEL_EXCHANGE)
		add_exchange(m, now, t, verb);
	else
		add_verb(m, now, t, verb);
}

unsigned hist_count(const struct state *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_hist; i++)
		n += s->hist[i].part == 0;
	return n;
}

/* ---- the line ---- */

static char *name_ptr(const struct model *m, size_t i)
{
	return (char *)(uintptr_t)m->names[i];
}

/* A folder rename keeps its verb's number for a name. */
size_t rows_load(const struct model *m, const struct state *s,
		 struct line_op *ops)
{
	for (size_t i = 0; i < s->n_rows; i++) {
		const struct row *r = &s->row[i];
		bool dir = r->kind == LINE_RENAME_DIR;
		const struct verb *v = &m->verbs[r->key];

		ops[i] = (struct line_op){
			.seq = r->seq,
			.bound = r->bound,
			.kind = (enum line_kind)r->kind,
			.vid = r->vid,
			.key = dir ? (char *)(uintptr_t)v->key
				   : name_ptr(m, r->key),
			.to = dir ? (char *)(uintptr_t)v->to
			      : r->kind == LINE_RENAME ? name_ptr(m, r->to)
						       : NULL,
			.final = r->flags & FINAL,
			.cut = r->flags & CUT,
			.begun = r->flags & BEGUN,
			.parked = r->flags & PARKED,
			.big = r->kind == LINE_PUT,
			.underway = r->flags & UNDERWAY,
			.sent = r->flags & SENT,
			.keep = r->flags & KEEP,
		};
	}
	return s->n_rows;
}

static void row_store(const struct model *m, struct row *r,
		      const struct line_op *op)
{
	unsigned char key = r->key;

	memset(r, 0, sizeof(*r));
	r->seq = (unsigned char)op->seq;
	r->bound = (unsigned char)op->bound;
	r->kind = (unsigned char)op->kind;
	r->vid = (unsigned char)op->vid;
	r->key = op->kind == LINE_RENAME_DIR
			 ? key
			 : (unsigned char)name_index(m, op->key);
	if (op->kind == LINE_RENAME)
		r->to = (unsigned char)name_index(m, op->to);
	r->flags =
		(unsigned char)((op->final ? FINAL : 0) | (op->cut ? CUT : 0) |
				(op->begun ? BEGUN : 0) |
				(op->parked ? PARKED : 0) |
				(op->underway ? UNDERWAY : 0) |
				(op->sent ? SENT : 0) | (op->keep ? KEEP : 0));
}

void rows_apply(const struct model *m, struct state *s, struct line_change *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n_rows; i++) {
		struct row r = s->row[i];
		bool drop = false;

		for (size_t e = 0; e < c->n; e++) {
			if (c->edit[e].row.seq != r.seq)
				continue;
			drop = c->edit[e].drop;
			if (!drop)
				row_store(m, &r, &c->edit[e].row);
		}
		if (!drop)
			s->row[kept++] = r;
	}
	memset(&s->row[kept], 0, (s->n_rows - kept) * sizeof(s->row[0]));
	s->n_rows = (unsigned char)kept;
	line_change_release(c);
}

static bool has(void *arg, const char *key)
{
	const struct asked *a = arg;

	return a->s->bucket.at[name_index(a->m, key)].v != 0;
}

static bool has_below(void *arg, const char *dir)
{
	const struct asked *a = arg;

	for (size_t i = 0; a->m->names[i]; i++)
		if (name_is_in(a->m->names[i], dir) && a->s->bucket.at[i].v)
			return true;
	return false;
}

struct line_env env_of(const struct model *m, struct asked *a)
{
	return (struct line_env){ .order = m->order,
				  .rules = m->rules,
				  .bucket_has = has,
				  .bucket_has_below = has_below,
				  .one_name = m->one_name,
				  .arg = a };
}

bool seen_note(struct seen *seen, const struct state *s)
{
	uint64_t word[(sizeof(*s) + 7) / 8] = { 0 };
	uint64_t h = 0x9e3779b97f4a7c15, g = 0xc2b2ae3d27d4eb4f;
	size_t i;

	memcpy(word, s, sizeof(*s));
	for (i = 0; i < sizeof(word) / 8; i++) {
		h = (h ^ word[i]) * 0xff51afd7ed558ccd;
		h ^= h >> 32;
		g = (g + word[i]) * 0x9fb21c651e98df25;
		g ^= g >> 29;
	}
	h += !h; /* 0 marks a free place */
	if (2 * (seen->n + 1) > seen->cap) {
		struct seen old = *seen;

		seen->cap = old.cap ? 2 * old.cap : 1 << 16;
		seen->at = calloc(seen->cap, 2 * sizeof(*seen->at));
		if (!seen->at)
			abort();
		for (size_t k = 0; k < old.cap; k++) {
			if (!old.at[2 * k])
				continue;
			i = old.at[2 * k] & (seen->cap - 1);
			while (seen->at[2 * i])
				i = (i + 1) & (seen->cap - 1);
			memcpy(&seen->at[2 * i], &old.at[2 * k], 16);
		}
		free(old.at);
	}
	for (i = h & (seen->cap - 1); seen->at[2 * i];
	     i = (i + 1) & (seen->cap - 1))
		if (seen->at[2 * i] == h && seen->at[2 * i + 1] == g)
			return false;
	seen->at[2 * i] = h;
	seen->at[2 * i + 1] = g;
	seen->n++;
	return true;
}

/* ---- commits ---- */

/* One step of a folder rename; whether it was the last. */
static bool move_folder(const struct model *m, struct tree *b,
			const struct verb *v, uint64_t bound)
{
	struct line_moved keys[MODEL_NAMES];
	struct line_step steps[2 * MODEL_NAMES];
	size_t at[MODEL_NAMES], n = 0, k = 0, i;

	for (i = 0; m->names[i]; i++) {
		struct shown src = b->at[i], dst;

		if (!name_is_in(m->names[i], v->key))
			continue;
		dst = b->at[name_twin(m, i, v->to)];
		if (!src.v && (!dst.v || dst.b != (signed char)bound))
			continue;
		at[n] = i;
		keys[n++] = (struct line_moved){
			.key = m->names[i],
			.bound = (uint64_t)(src.b + 100),
			.copied = dst.v && dst.b == (signed char)bound,
			.deleted = !src.v,
		};
	}
	if (line_rename_plan(keys, n, steps, &k))
		abort();
	if (k == 0)
		return true;
	i = at[steps[0].index];
	if (steps[0].del)
		b->at[i] = (struct shown){ 0, 0 };
	else
		b->at[name_twin(m, i, v->to)] =
			(struct shown){ b->at[i].v, (signed char)bound };
	return k == 1;
}

static bool move_file(struct tree *b, const struct row *row, bool *ret_src)
{
	struct shown *src = &b->at[row->key], *dst = &b->at[row->to];
	bool copied = dst->v && dst->b == (signed char)row->bound;

	if (copied) {
		*src = (struct shown){ 0, 0 };
		return true;
	}
	if (!src->v || (row->vid ? src->v != row->vid - VID : src->v > 0)) {
		*ret_src = true;
		*src = (struct shown){ 0, 0 };
		return true;
	}
	*dst = (struct shown){ src->v, (signed char)row->bound };
	return row->flags & KEEP;
}

/* Make a step of row visible; whether it was its last. */
bool bucket_show(const struct model *m, struct tree *b, const struct row *row,
		 bool *ret_src)
{
	switch ((enum line_kind)row->kind) {
	case LINE_PUT:
		b->at[row->key] = (struct shown){ (signed char)(row->vid - VID),
						  (signed char)row->bound };
		return true;
	case LINE_DEL:
		b->at[row->key] = (struct shown){ 0, 0 };
		return true;
	case LINE_RENAME:
		return move_file(b, row, ret_src);
	case LINE_RENAME_DIR:
		return move_folder(m, b, &m->verbs[row->key], row->bound);
	}
	return true;
}
