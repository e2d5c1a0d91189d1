/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "simdisk_impl.h"

/* ---- states */

static void append(struct model *m, struct state *s, int64_t now_ns)
{
	if (m->n == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 256;
		m->s = reallocarray(m->s, (size_t)m->cap, sizeof(*m->s));
		if (!m->s)
			abort();
	}
	s->ns = now_ns;
	m->s[m->n++] = s;
	m->now = s;
}

int model_enter(struct model *m, int64_t now_ns)
{
	struct state *s = sim_alloc(sizeof(*s));

	if (m->now)
		*s = *m->now;
	append(m, s, now_ns);
	return m->n - 1;
}

void model_init(struct model *m)
{
	memset(m, 0, sizeof(*m));
	(void)model_enter(m, 0);
	m->now->dir[0] = true;
}

static void drop_states(struct model *m)
{
	while (m->n > 0)
		free(m->s[--m->n]);
	m->now = NULL;
}

void model_fini(struct model *m)
{
	struct bytes *b;

	drop_states(m);
	free(m->s);
	while ((b = m->all) != NULL) {
		m->all = b->next;
		free(b);
	}
}

void model_undo(struct model *m, int64_t now_ns)
{
	struct state *s = sim_alloc(sizeof(*s));

	*s = *m->s[m->n - 2];
	append(m, s, now_ns);
}

void model_ack(struct model *m)
{
	m->acked = m->n - 1;
}

static struct item *by_id(struct state *s, unsigned id)
{
	int i;

	for (i = 0; i < PATHS; i++)
		if (s->at[i].kind && s->at[i].id == id)
			return &s->at[i];
	return NULL;
}

struct item *model_entry(struct model *m, int handle)
{
	return by_id(m->now, m->handle[handle].id);
}

static void blur(struct model *m, struct item *e)
{
	e->fuzzy = m->now->fuzzy[e - m->now->at] = true;
}

/* ---- files */

static void open_changed(struct model *m, struct item *e, int how)
{
	bool alone = e->opens == 0;

	if (!e->open) { /* else a crash may still bring back what was */
		e->before = e->dirty ? e->before : e->cur;
		e->flushed = NULL;
	}
	if (!alone || e->loose)
		blur(m, e);
	if (!e->open) /* who appends does it in place */
		e->fresh = alone && !(how & OPEN_APPEND);
	e->open = true;
	if (how & OPEN_TRUNC) {
		e->cur = model_bytes(m, NULL, 0, 0, 0);
		e->dirty = true;
		e->torn = e->has_times = false;
	}
}

int model_open(struct model *m, int64_t now_ns, int path, int handle, int how)
{
	struct open_file *h = &m->handle[handle];
	struct item *e;

	if (!m->now->dir[path_dir(path)])
		return -ENOENT;
	if (!m->now->at[path].kind && !(how & OPEN_CREATE))
		return -ENOENT;
	(void)model_enter(m, now_ns);
	e = &m->now->at[path];
	if (!e->kind) {
		*e = (struct item){ .kind = REGULAR,
				     .id = ++m->last_id,
				     .mode = 0644,
				     .place = e->place, /* it was deleted */
				     .from = -1 };
		e->cur = model_bytes(m, NULL, 0, 0, 0);
		e->open = e->dirty = e->fresh = true;
	} else if (how & (OPEN_WRITE | OPEN_TRUNC)) {
		open_changed(m, e, how);
	}
	if (how & OPEN_APPEND) {
		blur(m, e);
		e->live = model_sealed(m, e->cur) != NULL;
	}
	e->opens++;
	e->writers += (how & OPEN_WRITE) != 0;
	*h = (struct open_file){ .used = true,
				 .writes = how & OPEN_WRITE,
				 .append = how & OPEN_APPEND,
				 .id = e->id };
	return 0;
}

static void change(struct model *m, struct item *e, const struct bytes *b)
{
	e->cur = e->live || !e->writers ? model_sealed(m, b) : b;
	e->dirty = true;
	e->torn = e->has_times = false;
	if (e->opens > 1 || e->flushed)
		blur(m, e);
}

void model_write(struct model *m, int64_t now_ns, int handle, unsigned off,
		 unsigned len, const struct bytes *all)
{
	struct item *e;
	unsigned n;

	(void)model_enter(m, now_ns);
	e = model_entry(m, handle);
	if (!e)
		return;
	n = e->cur->n > off + len ? e->cur->n : off + len;
	change(m, e, all ? all : model_bytes(m, e->cur, n, off, len));
}

/* The content is sealed: queued, unless the name is a temporary one; or held
 * back as torn. */
static void seal(struct model *m, struct item *e)
{
	int path = (int)(e - m->now->at);

	e->torn = bytes_are_cut(path, e->cur);
	e->loose |= e->torn;
	e->flushed = e->cur;
	e->dirty = e->let_go = false;
	if (e->torn)
		blur(m, e);
	if (e->torn)
		return;
	(void)model_sealed(m, e->cur);
	e->held = path_is_temporary(path);
	if (e->held && m->held_ends)
		blur(m, e);
	if (e->held)
		return;
	e->pub = e->cur;
	e->place = e->seal = m->n - 1;
	e->from = -1;
}

void model_truncate(struct model *m, int64_t now_ns, int path, unsigned n)
{
	struct item *e;

	(void)model_enter(m, now_ns);
	e = &m->now->at[path];
	if (e->opens)
		open_changed(m, e, 0);
	else if (e->loose)
		blur(m, e);
	if (!e->open)
		e->before = e->cur;
	change(m, e, model_bytes(m, e->cur, n, 0, 0));
	if (e->opens && !e->writers) /* sealed beside the readers, soon */
		e->flushed = e->cur;
	if (e->opens)
		return;
	seal(m, e);
	e->open = e->loose = e->torn;
	if (e->open)
		return;
	if (!e->held)
		e->owes = 0;
	e->before = e->flushed = NULL;
}

void model_flush(struct model *m, int64_t now_ns, int handle)
{
	struct item *e;

	(void)model_enter(m, now_ns);
	e = model_entry(m, handle);
	if (!e || !m->handle[handle].writes)
		return;
	blur(m, e);
	if (e->dirty)
		seal(m, e);
}

void model_close(struct model *m, int64_t now_ns, int handle)
{
	struct open_file h = m->handle[handle];
	struct item *e;

	(void)model_enter(m, now_ns);
	e = model_entry(m, handle);
	m->handle[handle].used = false;
	if (!e)
		return;
	if (e->open && e->opens > 1)
		blur(m, e);
	if (e->dirty && (h.writes || e->opens == 1)) {
		seal(m, e);
		/* a reader's close seals nothing */
		e->loose = e->torn || (e->loose && !h.writes);
	}
	e->opens--;
	e->writers -= h.writes;
	if (e->opens == 0)
		e->open = e->torn;
	if (e->opens == 0 && !e->open) {
		e->fresh = e->let_go = false;
		e->before = e->flushed = NULL;
		if (!e->held && !e->loose) /* no seal is withdrawn any more */
			e->owes = 0;
	}
}

/* ---- names */

int model_unlink(struct model *m, int64_t now_ns, int path)
{
	if (!m->now->dir[path_dir(path)] || !m->now->at[path].kind)
		return -ENOENT;
	(void)model_enter(m, now_ns);
	if (m->now->at[path].open || m->now->at[path].fuzzy)
		m->now->fuzzy[path] = true;
	memset(&m->now->at[path], 0, sizeof(m->now->at[path]));
	m->now->at[path].place = m->n - 1;
	return 0;
}

static void move(struct model *m, int from, int to)
{
	struct item *e = &m->now->at[from], *f = &m->now->at[to];
	bool blurred = e->fuzzy || e->open || f->open || f->fuzzy ||
		       (e->held && (e->pub || f->pub));
	bool over = f->pub || f->over;

	*f = *e;
	f->over = over;
	memset(e, 0, sizeof(*e));
	e->place = m->n - 1;
	if (f->held && !path_is_temporary(to)) {
		f->held = false;
		f->let_go = f->open;
		f->pub = f->cur;
		if (!f->open)
			f->owes = 0;
	} else if (f->let_go && path_is_temporary(to)) {
		f->held = true;
		f->let_go = false;
	}
	f->place = m->n - 1;
	f->from = from;
	if (blurred) {
		f->fuzzy = true;
		m->now->fuzzy[from] = m->now->fuzzy[to] = true;
	}
}

int model_rename(struct model *m, int64_t now_ns, int from, int to,
		 bool noreplace)
{
	struct item *e;

	if (!m->now->dir[path_dir(to)] || !m->now->dir[path_dir(from)] ||
	    !m->now->at[from].kind)
		return -ENOENT;
	if (noreplace && m->now->at[to].kind)
		return -EEXIST;
	(void)model_enter(m, now_ns);
	e = &m->now->at[from];
	if (from != to && (e->pub || e->over) && (e->held || e->open))
		e->owes |= 1u << from;
	if (from != to)
		move(m, from, to);
	return 0;
}

static bool is_empty(const struct model *m, int dir)
{
	int i, d;

	for (i = 0; i < NAMES; i++)
		if (m->now->at[dir * NAMES + i].kind)
			return false;
	for (d = 1; dir == 0 && d < DIRS; d++)
		if (m->now->dir[d])
			return false;
	return true;
}

/* What is owed below a folder moves with it. */
static void move_owed(struct state *s, int from, int to)
{
	unsigned all = (1u << NAMES) - 1, below;
	int i;

	for (i = 0; i < PATHS; i++) {
		below = s->at[i].owes >> from * NAMES & all;
		s->at[i].owes &= ~(all << from * NAMES);
		s->at[i].owes |= below << to * NAMES;
	}
}

int model_rename_dir(struct model *m, int64_t now_ns, int from, int to)
{
	int i;

	if (!m->now->dir[from])
		return -ENOENT;
	if (from != to && m->now->dir[to] && !is_empty(m, to))
		return -ENOTEMPTY;
	(void)model_enter(m, now_ns);
	if (from == to)
		return 0;
	m->now->dir[from] = false;
	m->now->dir[to] = true;
	for (i = 0; i < NAMES; i++) {
		if (m->now->at[from * NAMES + i].kind)
			move(m, from * NAMES + i, to * NAMES + i);
		/* what is owed moves, too */
		m->now->fuzzy[to * NAMES + i] |=
			m->now->fuzzy[from * NAMES + i];
	}
	move_owed(m->now, from, to);
	return 0;
}

int model_mkdir(struct model *m, int64_t now_ns, int dir)
{
	if (m->now->dir[dir])
		return -EEXIST;
	(void)model_enter(m, now_ns);
	m->now->dir[dir] = true;
	return 0;
}

int model_rmdir(struct model *m, int64_t now_ns, int dir)
{
	if (!m->now->dir[dir])
		return -ENOENT;
	if (!is_empty(m, dir))
		return -ENOTEMPTY;
	(void)model_enter(m, now_ns);
	m->now->dir[dir] = false;
	return 0;
}

int model_symlink(struct model *m, int64_t now_ns, int path, const char *target)
{
	struct item *e;

	if (!m->now->dir[path_dir(path)])
		return -ENOENT;
	if (m->now->at[path].kind)
		return -EEXIST;
	(void)model_enter(m, now_ns);
	e = &m->now->at[path];
	*e = (struct item){ .kind = LINK,
			     .id = ++m->last_id,
			     .mode = 0777,
			     .from = -1,
			     .place = m->n - 1,
			     .seal = m->n - 1 };
	e->cur = e->pub = model_keep(m, target, strlen(target));
	return 0;
}

int model_chmod(struct model *m, int64_t now_ns, int path, unsigned mode)
{
	if (!m->now->dir[path_dir(path)] || !m->now->at[path].kind)
		return -ENOENT;
	(void)model_enter(m, now_ns);
	m->now->at[path].mode = mode;
	return 0;
}

/* ---- crashes */

/* It was sealed so once, while it was open or before. */
static bool was_sealed(const struct model *m, unsigned id,
		       const struct bytes *b)
{
	int i;

	for (i = 0; i < m->n; i++) {
		const struct item *e = by_id(m->s[i], id);

		if (e && ((e->live && same_bytes(e->cur, b)) ||
			  (e->pub && same_bytes(e->pub, b)) ||
			  (e->before && same_bytes(e->before, b)) ||
			  (e->flushed && same_bytes(e->flushed, b))))
			return true;
	}
	return false;
}

/* A file that was open: what was sealed before, or what it had become; where it
 * was changed in place and the power went, anything. */
static bool allows_open(const struct model *m, const struct item *e,
			const struct found *f, bool cut)
{
	if (f->kind != REGULAR)
		return false;
	return same_bytes(f->b, e->cur) || was_sealed(m, e->id, f->b) ||
	       (cut && !(e->fresh && e->before && !e->flushed && !e->loose));
}

bool model_allows_item(const struct model *m, const struct item *e,
		       const struct found *f, bool cut)
{
	if (e->kind == REGULAR && (e->open || e->dirty))
		return allows_open(m, e, f, cut);
	if (e->kind != f->kind || (f->unfinished && !e->loose))
		return false;
	if (!e->kind)
		return true;
	if (e->loose && cut)
		return true;
	if (!same_bytes(e->cur, f->b))
		return false;
	if (e->kind == REGULAR && !e->loose && e->mode != f->mode)
		return false;
	return !e->has_times || e->loose || e->mtime_ns == f->mtime_ns;
}

bool model_allows(const struct model *m, int i, const struct tree *t, bool cut,
		  int *ret_path)
{
	const struct state *s = m->s[i];
	int k;

	for (k = 0; k < DIRS; k++) {
		*ret_path = -1 - k;
		if (s->dir[k] != t->dir[k] && !m->alien_dir[k])
			return false;
	}
	for (k = 0; k < PATHS; k++) {
		*ret_path = k;
		if (!model_allows_item(m, &s->at[k], &t->at[k], cut) &&
		    !(m->alien[k] && alien_allows(&s->at[k], &t->at[k])))
			return false;
	}
	return true;
}

int model_find(const struct model *m, const struct tree *t, bool cut,
	       int *ret_path)
{
	int i, first = cut ? m->durable : m->acked, path;

	for (i = m->n - 1; i >= first; i--) {
		if (model_allows(m, i, t, cut, &path))
			return i;
		if (i >= m->acked)
			*ret_path = path;
	}
	return -1;
}

static void resume_entry(struct model *m, int path, const struct found *f)
{
	struct item *e = &m->now->at[path];
	bool was_open = e->open || e->dirty;

	if (e->kind != f->kind || !same_bytes(e->cur, f->b) || was_open)
		m->now->fuzzy[path] = true;
	if (!f->kind) {
		memset(e, 0, sizeof(*e));
		return;
	}
	e->kind = f->kind;
	e->cur = model_sealed(m, f->b);
	e->opens = e->writers = 0;
	e->open = e->dirty = e->fresh = e->torn = false;
	e->before = e->flushed = NULL;
	e->loose |= was_open;
	e->fuzzy |= m->now->fuzzy[path];
	e->mode = f->mode;
	e->mtime_ns = f->mtime_ns;
	e->has_times = f->kind == REGULAR && !was_open && !e->loose;
}

/* An earlier state may look the same, but for what is held, or was closed: it may
 * be that. */
static void blur_closed(struct model *m, int i, const struct tree *t, bool cut)
{
	struct state *s = m->s[i];
	int first = cut ? m->durable : m->acked, j, k;

	for (j = first; j < i; j++) {
		if (!model_allows(m, j, t, cut, &k))
			continue;
		for (k = 0; k < PATHS; k++) {
			s->at[k].owes |= m->s[j]->at[k].owes;
			if (s->at[k].held != m->s[j]->at[k].held)
				s->at[k].held = s->fuzzy[k] = true;
			if (m->s[j]->at[k].dirty)
				s->at[k].loose = s->fuzzy[k] = true;
		}
	}
}

void model_resume(struct model *m, int64_t now_ns, int i, const struct tree *t,
		  bool cut)
{
	int k;

	blur_closed(m, i, t, cut);
	while (m->n > i + 1)
		free(m->s[--m->n]);
	m->now = m->s[i];
	(void)model_enter(m, now_ns);
	memcpy(m->now->dir, t->dir, sizeof(t->dir));
	for (k = 0; k < PATHS; k++)
		resume_entry(m, k, &t->at[k]);
	memset(m->handle, 0, sizeof(m->handle));
	m->acked = m->n - 1;
	if (m->durable > m->acked || cut)
		m->durable = m->acked;
}

void model_rest(struct model *m, int64_t now_ns)
{
	struct state last = *m->now;
	int k;

	drop_states(m);
	for (k = 0; k < PATHS; k++) {
		last.fuzzy[k] = last.at[k].fuzzy =
			last.at[k].loose || (last.at[k].held && m->held_ends) ||
			last.at[k].owes; /* it may come after its file */
		last.at[k].place = last.at[k].seal = 0;
		last.at[k].from = -1;
	}
	(void)model_enter(m, now_ns);
	*m->now = last;
	for (k = 0; k < PATHS; k++)
		m->now->fuzzy[k] |= model_owed(m, k);
	m->now->ns = now_ns;
	m->acked = m->durable = 0;
}
