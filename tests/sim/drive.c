/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "chaos.h"
#include "drive.h"

/* What drains in less is no trouble; what does not is stuck. */
#define DRAIN_NS (600 * NS_PER_S)
#define BALLAST (UINT64_C(512) << 10)

void drive_fail(struct drive *d, const char *fmt, ...)
{
	va_list ap;

	if (d->why[0])
		return;
	d->kind = fmt;
	va_start(ap, fmt);
	(void)vsnprintf(d->why, sizeof(d->why), fmt, ap);
	va_end(ap);
}

bool drive_failed(const struct drive *d)
{
	return d->why[0] != '\0';
}

int64_t drive_now(const struct drive *d)
{
	return sim_now(d->w.sim);
}

static void on_change(void *arg, const char *key)
{
	struct drive *d = arg;
	struct shown now[PATHS];
	char why[160];

	d->w.looks++;
	drive_note_poisoned(d);
	bucket_look(d->w.bucket, &d->m, now);
	drive_bucket_changed(d, key, now);
	if (!order_check(&d->o, &d->m, now, why, sizeof(why)))
		drive_fail(d, "%s changed: %s", key, why);
	if (d->trace)
		fprintf(stderr, "    %lld ms: %s changes, past state %d%s\n",
			(long long)(drive_now(d) / NS_PER_MS), key,
			d->o.n ? d->o.base[0].state : -1,
			drive_failed(d) ? ": broken" : "");
	d->w.looks--;
}

/* It may have waited for long: what it led to is no older than its answer. */
static void date_states(struct drive *d, int from)
{
	for (; from < d->m.n; from++)
		d->m.s[from]->ns = drive_now(d);
}

/* What is torn has its bytes beside those that are shown. */
static void note_torn(struct drive *d)
{
	int i;

	for (i = 0; i < PATHS; i++)
		d->unfinished |= d->m.now->at[i].loose;
}

/* About a name that is of the other kind now: what is refused then is not
 * the model's to say. */
static bool is_of_other_kind(const struct drive *d, const struct op *op)
{
	const struct state *s = d->m.now;
	bool file = s->at[CLASH].kind != NONE;
	int i;

	for (i = 0; i < OP_ARGS; i++) {
		int a = op->arg[i];

		switch (op_kind(op, i)) {
		case 'p':
			if (a == CLASH ? s->dir[CLASH_DIR] :
					 file && path_dir(a) == CLASH_DIR)
				return true;
			break;
		case 'd':
		case 'e':
			if (a == CLASH_DIR && file)
				return true;
			break;
		default:
			break;
		}
	}
	return false;
}

static void one(struct drive *d, const struct op *op)
{
	int first = d->m.n;

	if (d->trace) {
		fprintf(stderr, "%lld ms, state %d: ",
			(long long)(drive_now(d) / NS_PER_MS), d->m.n - 1);
		op_print(op, stderr);
	}
	d->alive_ns = drive_now(d);
	drive_note_poisoned(d); /* it may lose its name */
	if (is_of_other_kind(d, op))
		return;
	if (op->verb < V_RUN || op->verb == V_EVICT) {
		drive_adopt(d);
		if (!world_is_halted(&d->w) && !drive_failed(d))
			drive_op(d, op);
		date_states(d, first);
		note_torn(d);
		drive_note_listed(d);
	} else {
		drive_fate(d, op);
	}
	/* Some operations come in a hurry, some not. */
	if (world_draw(&d->w, 3) == 0)
		(void)sim_run_for(d->w.sim,
				  (int64_t)world_draw(&d->w, 40) * NS_PER_MS);
	drive_note_poisoned(d);
	drive_if_halted(d);
}

static int on_pending(void *arg, const struct fs_pending *p)
{
	if (strcmp(p->state, "temporary") == 0 ||
	    strcmp(p->state, "unfinished") == 0 ||
	    strcmp(p->state, "poisoned") == 0 ||
	    strcmp(p->state, "torn") == 0 || strcmp(p->state, "conflict") == 0)
		return 0;
	drive_fail(arg, "it does not drain: %s is %s: %s", p->path, p->state,
		   p->why ? p->why : "");
	return 1;
}

/* It was written to after its flush, and the power went: what the line has of it
 * is not what was flushed, and is held back.  Somebody writes it anew. */
static int on_changed(void *arg, const struct fs_pending *p)
{
	struct drive *d = arg;
	int path = path_of(p->path);

	if (path >= 0 && d->m.now->at[path].loose &&
	    strcmp(p->state, "parked") == 0 &&
	    strstr(p->why, "damaged its bytes"))
		d->changed[path] = true;
	return 0;
}

static bool write_anew(struct drive *d)
{
	struct op put = { .verb = V_PUT, .arg = { 0, 100 } };
	bool any = false;
	int i;

	memset(d->changed, 0, sizeof(d->changed));
	(void)!fs_each_pending(d->w.fs, "", on_changed, d);
	for (i = 0; d->was_cut && i < PATHS; i++) {
		if (!d->changed[i])
			continue;
		put.arg[0] = i;
		drive_op(d, &put);
		any = true;
	}
	return any && world_settle(&d->w, DRAIN_NS);
}

static void finish(struct drive *d)
{
	if (d->armed)
		drive_crash(d);
	drive_fate(d, &(struct op){ .verb = V_CALM });
	drive_if_halted(d);
	if (!drive_failed(d))
		drive_close_all(d);
	if (drive_failed(d))
		return;
	if (!world_settle(&d->w, DRAIN_NS) && !write_anew(d) &&
	    !(drive_clear_the_way(d) && world_settle(&d->w, DRAIN_NS))) {
		(void)!fs_each_pending(d->w.fs, "", on_pending, d);
		drive_fail(d, "it does not drain");
	}
	if (!drive_failed(d))
		drive_check_rest(d);
	if (!drive_failed(d))
		drive_check_leaks(d);
	/* Not yet of what was open when it died: fsck takes the blob that such
	 * a version shares with a published one for one of the latter alone. */
	if (!drive_failed(d) && !d->was_faulty && !d->aliens &&
	    !d->unfinished && world_draw(&d->w, 4) == 0)
		drive_check_lost(d);
}

/* Then the database has a reserve, as the daemon's. */
static bool has_disk_faults(const struct prog *p)
{
	unsigned i;

	for (i = 0; i < p->n; i++)
		if (p->op[i].verb == V_DISK || p->op[i].verb == V_FULL ||
		    p->op[i].verb == V_MEMORY || p->op[i].verb == V_ROWS)
			return true;
	return false;
}

bool drive_run(struct drive *d, const struct prog *p, bool trace)
{
	struct shown now[PATHS];
	unsigned i;

	memset(d, 0, sizeof(*d));
	d->trace = trace;
	model_init(&d->m);
	world_init(&d->w, p->seed, on_change, d);
	chaos_set_trace(d->w.chaos, trace);
	d->w.ballast = has_disk_faults(p) ? BALLAST : 0;
	bucket_look(d->w.bucket, &d->m, now);
	memcpy(d->bucket, now, sizeof(now));
	order_rest(&d->o, now);
	for (i = 0; i < p->n && p->op[i].verb == V_OPTION; i++)
		drive_set_option(d, p->op[i].arg);
	if (world_mount(&d->w) < 0)
		drive_fail(d, "the first mount failed");
	for (; i < p->n && !drive_failed(d); i++)
		one(d, &p->op[i]);
	if (!drive_failed(d))
		finish(d);
	if (drive_failed(d) && trace)
		drive_tell(d);
	if (drive_failed(d))
		return false; /* the machine stays as it is */
	drive_disk_end(d);
	world_fini(&d->w);
	model_fini(&d->m);
	return true;
}
