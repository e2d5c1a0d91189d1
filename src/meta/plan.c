/* SPDX-License-Identifier: Apache-2.0 */
/* What recovery does with what it finds.  Pure. */
#include "config.h"

#include <string.h>

#include "meta/internal.h"

static bool is_same_boot(const struct found *f)
{
	return f->boot[0] && strcmp(f->boot, f->slots->newest.boot) == 0;
}

/* There is a barrier: how much of the log it covers. */
static void plan_record(const struct found *f, bool whole, struct plan *p)
{
	const struct slot *s = &f->slots->newest;
	const struct wal_info *w = f->wal;
	bool same_log;

	same_log = w->present && memcmp(w->salt, s->salt, sizeof(s->salt)) == 0;
	/* A log with other salts was begun after a checkpoint, which needs the
	 * barrier: so the database file alone is the state it recorded. */
	p->frames = same_log ? s->frames : 0;
	if (!f->db) {
		p->kind = PLAN_REFUSE;
		p->why = "there is a barrier but no database";
	} else if (!w->there || w->frames < p->frames) {
		p->kind = PLAN_REFUSE;
		p->why = "the log is shorter than the barrier says: the disk "
			 "lost what it had acknowledged";
	} else if (whole) {
		p->kind = PLAN_WHOLE;
		p->uncovered = w->frames > p->frames;
	} else {
		p->kind = PLAN_CUT;
	}
}

static void plan(const struct found *f, bool whole, struct plan *ret)
{
	memset(ret, 0, sizeof(*ret));
	switch (f->slots->newest.kind) {
	case SLOT_RECORD:
		plan_record(f, whole, ret);
		break;
	case SLOT_CREATING: /* it was never opened: nothing was promised */
		ret->kind = PLAN_FRESH;
		break;
	case SLOT_NONE:
	default:
		ret->kind = f->db ? PLAN_REFUSE : PLAN_FRESH;
		ret->why = "there is a database, but its barrier file is "
			   "missing or damaged";
	}
}

void plan_recovery(const struct found *f, struct plan *ret)
{
	plan(f, is_same_boot(f), ret);
}

void plan_cut(const struct found *f, struct plan *ret)
{
	plan(f, false, ret);
}
