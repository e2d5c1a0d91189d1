/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to the daemon: time, crashes, power, the network, the disk. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "chaos.h"
#include "drive.h"

/* A barrier begins within a second, and takes no time here. */
#define BARRIER_NS (5 * NS_PER_S / 2)

static void let_time_go(struct drive *d, int64_t ns)
{
	(void)sim_run_for(d->w.sim, ns);
}

/* ---- crashes */

void drive_note_durable(struct drive *d)
{
	int i;

	if (d->doubtful || drive_disk_is_bad(d))
		return;
	for (i = d->m.acked; i > d->m.durable; i--)
		if (d->m.s[i]->ns <= d->alive_ns - BARRIER_NS - d->stall_ns)
			d->m.durable = i;
}

static void die(struct drive *d)
{
	int i;

	if (d->cut)
		world_cut(&d->w, d->keep);
	else
		world_kill(&d->w);
	for (i = 0; i < HANDLES; i++)
		if (d->file[i].open)
			world_abandon(&d->w, &d->file[i]);
}

/* A disk that failed may fail the mount as well; then it is mended.  What a
 * failed sync covered is not believed by the next. */
static int mount_once(struct drive *d)
{
	int r = world_mount(&d->w);

	if (r < 0 && d->faulty_disk && !world_is_halted(&d->w)) {
		d->unbelieved = d->was_cut = true;
		drive_note_ahead(d);
		drive_mend_disk(d);
		r = world_mount(&d->w);
	}
	/* Nor is what no row could say, after one that failed; it may die once
	 * that is cut off. */
	if (d->was_faulty && d->w.report.cut && !d->cut) {
		d->unbelieved = d->was_cut = d->o.cut = true;
		drive_note_ahead(d);
	}
	drive_mend_disk(d);
	return r;
}

/* Of what was there; and what was found may be published any time. */
static bool any_unknown(struct drive *d, const struct tree *t)
{
	bool any = false;
	int i;

	for (i = 0; i < PATHS; i++) {
		any |= t->at[i].unknown && d->m.now->at[i].kind;
		if (t->at[i].b)
			(void)model_sealed(&d->m, t->at[i].b);
	}
	return any;
}

/* What is not here is found once the bucket answers. */
static void look_again(struct drive *d, struct tree *t)
{
	int tries;

	if (!d->faulty_net)
		return;
	chaos_hold(d->w.chaos, true);
	for (tries = 0; tries < 3 && any_unknown(d, t); tries++) {
		let_time_go(d, 2 * NS_PER_S);
		if (world_is_halted(&d->w) || drive_failed(d))
			break;
		drive_look(d, t);
	}
	chaos_hold(d->w.chaos, false);
}

/* Mounted again, perhaps not the first time: recovery may die, too. */
static bool mount_again(struct drive *d, struct tree *t)
{
	int tries, r;

	for (tries = 0;; tries++) {
		if (tries < 3 && world_draw(&d->w, 3) == 0)
			simdisk_halt_after(d->w.disk, world_draw(&d->w, 150));
		r = mount_once(d);
		if (r == 0) {
			let_time_go(d, (int64_t)world_draw(&d->w, 2000) *
					       NS_PER_MS);
			drive_look(d, t);
			look_again(d, t);
		}
		if (!world_is_halted(&d->w))
			break;
		die(d);
	}
	simdisk_heal(d->w.disk);
	if (r < 0)
		drive_fail(d, "mounting again: %s", strerror(-r));
	return r == 0;
}

/* Among the states that may have come back: several look the same. */
static void note_unfinished(struct drive *d, int i, bool cut)
{
	int k, first = cut ? d->m.durable : d->m.acked;

	d->unfinished |= i < d->m.n - 1;
	for (i = first < i ? first : i; i < d->m.n; i++)
		for (k = 0; k < PATHS; k++)
			d->unfinished |=
				d->m.s[i]->at[k].open || d->m.s[i]->at[k].dirty;
}

/* The mount goes on from what it came back with. */
static void go_on_from(struct drive *d, const struct tree *t)
{
	bool cut = d->cut || d->unbelieved, theirs[PATHS], ahead[PATHS];
	int i, k, path = 0;

	drive_excuse_poisoned(d, t);
	memcpy(ahead, d->ahead, sizeof(ahead));
	memset(d->ahead, 0, sizeof(d->ahead));
	memset(d->ahead_dir, 0, sizeof(d->ahead_dir));
	i = model_find(&d->m, t, cut, &path);
	if (i < 0) {
		drive_fail(d,
			   "after a %s: %s%s is not as in any state from "
			   "%d to %d (state %s, %d bytes)",
			   d->cut ? "power cut" : "kill",
			   path < 0 ? "folder " : "",
			   path < 0 ? dir_text(-1 - path) : path_text(path),
			   cut ? d->m.durable : d->m.acked, d->m.n - 1,
			   path < 0 ? "?" : world_state(&d->w, path_text(path)),
			   path >= 0 && t->at[path].b ? (int)t->at[path].b->n
						      : -1);
		return;
	}
	note_unfinished(d, i, cut);
	for (k = 0; k < PATHS; k++)
		theirs[k] = d->m.alien[k] &&
			    !model_allows_item(&d->m, &d->m.s[i]->at[k],
					       &t->at[k], cut);
	model_resume(&d->m, drive_now(d), i, t, cut);
	for (k = 0; k < PATHS; k++)
		if (theirs[k])
			alien_adopt(&d->m, k, &t->at[k]);
	/* what an open file was left with is behind the bucket, too */
	for (k = 0; k < PATHS; k++)
		if (ahead[k] && cut)
			alien_ahead_at(&d->m, k);
	order_resume(&d->o, &d->m);
	d->cut = d->unbelieved = false;
}

/* What was open, and closed once, may be sealed by the next mount as it is. */
static void seal_open(struct drive *d)
{
	int i, k;

	for (i = d->m.acked; i < d->m.n; i++)
		for (k = 0; k < PATHS; k++) {
			const struct item *e = &d->m.s[i]->at[k];

			if (e->kind == REGULAR && e->flushed)
				(void)model_sealed(&d->m, e->cur);
		}
}

void drive_crash(struct drive *d)
{
	struct tree t;

	drive_note_durable(d);
	d->armed = false;
	d->was_cut |= d->cut;
	d->o.cut |= d->cut;
	die(d);
	seal_open(d);
	if (d->cut)
		drive_note_ahead(d);
	if (mount_again(d, &t) && !drive_failed(d))
		go_on_from(d, &t);
}

void drive_if_halted(struct drive *d)
{
	if (world_is_halted(&d->w) && !drive_failed(d))
		drive_crash(d);
}

static void arm(struct drive *d, int calls)
{
	d->armed = true;
	simdisk_halt_after(d->w.disk, (unsigned long)calls);
}

void drive_remount(struct drive *d)
{
	struct tree t;
	int r;

	drive_close_all(d);
	if (world_is_halted(&d->w) || drive_failed(d))
		return;
	drive_note_durable(d);
	drive_note_poisoned(d);
	world_unmount(&d->w);
	if (world_is_halted(&d->w))
		return;
	r = mount_once(d);
	if (world_is_halted(&d->w))
		return;
	if (r < 0) {
		drive_fail(d, "mount: %s", strerror(-r));
	} else if (d->was_faulty) {
		drive_look(d, &t);
		if (!world_is_halted(&d->w) && !drive_failed(d))
			go_on_from(d, &t);
	} else {
		drive_check_tree(d);
	}
}

/* ---- the rest */

static bool none_open(const struct drive *d)
{
	int i;

	for (i = 0; i < HANDLES; i++)
		if (d->m.handle[i].used)
			return false;
	return true;
}

static void settle(struct drive *d, int ms)
{
	if (world_settle(&d->w, ms * NS_PER_MS) && none_open(d) &&
	    !world_is_halted(&d->w) && !drive_disk_is_bad(d) &&
	    !(d->aliens && d->faulty_net))
		drive_check_rest(d);
}

/* Of a mount that failed nothing becomes durable before the next. */
static void heal(struct drive *d)
{
	drive_mend_disk(d);
	if (drive_disk_is_bad(d))
		drive_remount(d);
}

static void calm(struct drive *d)
{
	int k;

	heal(d);
	d->faulty_net = false;
	chaos_set_down(d->w.chaos, false);
	for (k = 0; k < CHAOS_KINDS; k++)
		chaos_set_rate(d->w.chaos, (enum chaos_kind)k, 0);
}

/* The bucket may get it at any time from now on, as it is. */
static void let_held_go(struct model *m)
{
	int i, k;

	m->held_ends = true;
	for (i = 0; i < m->n; i++)
		for (k = 0; k < PATHS; k++)
			if (m->s[i]->at[k].held)
				m->s[i]->fuzzy[k] = m->s[i]->at[k].fuzzy = true;
}

void drive_set_option(struct drive *d, const int *a)
{
	if (a[0] < 0 || a[0] >= OPTION_COUNT)
		return;
	d->o.never |= a[0] == OPTION_ORDER && a[1];
	d->no_conditions |= (a[0] == OPTION_OVERWRITE ||
			     a[0] == OPTION_CONDITIONS) &&
			    a[1];
	if (a[0] == OPTION_HELD)
		let_held_go(&d->m);
	/* Who waits for room that only a close of his own could make waits for
	 * ever: not yet. */
	if (a[0] == OPTION_CACHE)
		world_set_option(&d->w, OPTION_FULL, 1);
	if (a[0] == OPTION_FULL && d->w.opts.cache_size)
		return;
	world_set_option(&d->w, (enum world_option)a[0], a[1]);
}

/* What is parked lets others pass, and stays on the disk if it is replaced. */
static void refuse(struct drive *d, int percent)
{
	d->o.never = d->refused = d->unfinished = true;
	chaos_set_rate(d->w.chaos, CHAOS_REFUSED, (unsigned)percent);
}

void drive_fate(struct drive *d, const struct op *op)
{
	const int *a = op->arg;

	switch (op->verb) {
	case V_RUN:
		let_time_go(d, a[0] * NS_PER_MS);
		break;
	case V_SETTLE:
		settle(d, a[0]);
		break;
	case V_REMOUNT:
		drive_remount(d);
		break;
	case V_KILL:
		d->cut = false;
		arm(d, a[0]);
		break;
	case V_CUT:
		d->cut = true;
		d->keep = (unsigned)a[1];
		arm(d, a[0]);
		break;
	case V_LATENCY:
		chaos_set_latency(d->w.chaos, a[0] * NS_PER_MS);
		break;
	case V_NET:
		d->faulty_net = true;
		chaos_set_rate(d->w.chaos, (enum chaos_kind)a[0],
			       (unsigned)a[1]);
		break;
	case V_REFUSE:
		refuse(d, a[0]);
		break;
	case V_DOWN:
		d->faulty_net |= a[0];
		chaos_set_down(d->w.chaos, a[0]);
		break;
	case V_DISK:
		drive_break_disk(d, a);
		break;
	case V_FULL:
		drive_set_room(d, a[0]);
		break;
	case V_MEMORY:
		drive_break_memory(d, a);
		break;
	case V_ROWS:
		drive_break_rows(d, a);
		break;
	case V_OPTION:
		drive_set_option(d, a);
		break;
	case V_HEAL:
		heal(d);
		break;
	case V_CALM:
		calm(d);
		break;
	case V_FOREIGN:
		drive_foreign_put(d, a[0], (unsigned)a[1]);
		break;
	case V_FOREIGN_DEL:
		drive_foreign_del(d, a[0]);
		break;
	case V_TURNS:
		world_set_turns(&d->w, (unsigned)a[0]);
		break;
	case V_STALL:
		if (a[1] * NS_PER_MS > d->stall_ns)
			d->stall_ns = a[1] * NS_PER_MS;
		world_stall(&d->w, (unsigned)a[0], a[1] * NS_PER_MS);
		break;
	case V_CLOCK:
		sim_shift_real(d->w.sim, a[0] * NS_PER_S);
		break;
	default:
		break;
	}
}
