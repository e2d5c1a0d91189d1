/* SPDX-License-Identifier: Apache-2.0 */
/* What a name shows once somebody said a word about what is kept. */
#include "config.h"

#include <string.h>

#include "model.h"

void model_same(struct model *m, int64_t now_ns, int path)
{
	(void)model_enter(m, now_ns);
	m->now->fuzzy[path] = m->now->at[path].fuzzy = true;
}

void model_kept(struct model *m, int64_t now_ns, int path,
		const struct bytes *b, bool is_sent)
{
	struct item *e;

	model_same(m, now_ns, path);
	e = &m->now->at[path];
	if (!b) {
		memset(e, 0, sizeof(*e));
		e->place = m->n - 1;
		return;
	}
	if (!e->kind)
		*e = (struct item){ .kind = REGULAR,
				     .id = ++m->last_id,
				     .mode = 0644,
				     .fuzzy = true };
	e->cur = model_sealed(m, b);
	e->before = e->flushed = NULL;
	e->open = e->dirty = e->fresh = e->torn = e->loose = false;
	e->has_times = false;
	e->held = !is_sent && path_is_temporary(path);
	if (e->held)
		return;
	e->pub = e->cur;
	e->place = e->seal = m->n - 1;
	e->from = -1;
}
