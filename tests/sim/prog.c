/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chaos.h"
#include "model.h"
#include "prog.h"
#include "simdisk_impl.h"
#include "world.h"

/*
 * Arguments: p a path, d a folder, e a folder other than the root, h a handle,
 * s a size, o an offset, n a number.  weight: of how many in all; group: drawn
 * only with it.
 */
static const struct {
	const char *name, *args;
	unsigned weight, group;
} verbs[V_COUNT] = {
	[V_PUT] = { "put", "ps", 22, 0 },
	[V_SAVE] = { "save", "pns", 5, 0 },
	[V_OPEN] = { "open", "phn", 7, 0 },
	[V_WRITE] = { "write", "hos", 8, 0 },
	[V_TRUNCATE] = { "truncate", "ps", 2, 0 },
	[V_FSYNC] = { "fsync", "h", 3, 0 },
	[V_FLUSH] = { "flush", "h", 2, 0 },
	[V_CLOSE] = { "close", "h", 6, 0 },
	[V_READ] = { "read", "p", 4, 0 },
	[V_UNLINK] = { "unlink", "p", 8, 0 },
	[V_RENAME] = { "rename", "ppn", 9, 0 },
	[V_RENAME_DIR] = { "rename-dir", "ee", 3, 0 },
	[V_MKDIR] = { "mkdir", "e", 4, 0 },
	[V_RMDIR] = { "rmdir", "e", 2, 0 },
	[V_LINK] = { "link", "p", 2, 0 },
	[V_CHMOD] = { "chmod", "pn", 2, 0 },
	[V_LIST] = { "list", "d", 2, 0 },
	[V_SYNC_DIR] = { "sync-dir", "d", 2, 0 },
	[V_SYNC] = { "sync", "n", 1, 0 },
	[V_RECOVER] = { "recover", "pn", 6, PROG_KEPT },
	[V_PREFETCH] = { "prefetch", "pn", 3, PROG_KEPT },
	[V_PEEK] = { "peek", "p", 3, PROG_KEPT },
	[V_RUN] = { "run", "n", 16, 0 },
	[V_SETTLE] = { "settle", "n", 2, 0 },
	[V_EVICT] = { "evict", "p", 3, 0 },
	[V_REMOUNT] = { "remount", "", 1, 0 },
	[V_KILL] = { "kill", "n", 1, 0 },
	[V_CUT] = { "cut", "nn", 1, PROG_CUTS },
	[V_LATENCY] = { "latency", "n", 1, 0 },
	[V_NET] = { "net", "nn", 3, PROG_STORE },
	[V_REFUSE] = { "refuse", "n", 3, PROG_REFUSE },
	[V_DOWN] = { "down", "n", 1, PROG_STORE },
	[V_DISK] = { "disk", "nnnn", 2, PROG_DISK },
	[V_FULL] = { "full", "n", 1, PROG_DISK },
	[V_MEMORY] = { "memory", "nnn", 8, PROG_MEMORY },
	[V_ROWS] = { "rows", "nnn", 6, PROG_ROWS },
	[V_OPTION] = { "option", "nn", 1, PROG_OPTIONS },
	[V_HEAL] = { "heal", "", 2, PROG_DISK | PROG_MEMORY | PROG_ROWS },
	[V_CLOCK] = { "clock", "n", 1, PROG_CLOCK },
	[V_FOREIGN] = { "foreign", "ps", 2, PROG_FOREIGN },
	[V_FOREIGN_DEL] = { "foreign-del", "p", 1, PROG_FOREIGN },
	[V_TURNS] = { "turns", "n", 2, PROG_TURNS },
	[V_STALL] = { "stall", "nn", 1, PROG_TURNS },
	[V_CALM] = { "calm", "", 0, 0 },
};

/* ---- drawing */

struct draw {
	uint64_t state;
	int path, handle; /* the last ones: chances are they come again */
	bool names; /* the last name of each folder, too */
	bool again; /* it was flushed, to be written to once more */
};

static int below(struct draw *d, unsigned n)
{
	return (int)(sim_random(&d->state) % n);
}

/* The root more often than the folders, and what was just used. */
static int draw_path(struct draw *d)
{
	int dir = below(d, 5), n = d->names ? NAMES : NAMES - 1;

	if (below(d, 3) == 0)
		return d->path;
	dir = dir < 3 ? 0 : dir - 2;
	d->path = dir * NAMES + below(d, (unsigned)n);
	if (below(d, 6) == 0) {
		d->path = below(d, (unsigned)(DIRS * n));
		d->path = d->path / n * NAMES + d->path % n;
	}
	return d->path;
}

/* Around pages and parts. */
static int draw_size(struct draw *d)
{
	static const int edges[] = { 0,	   1,	 4095,	4096,  4097, 8191,
				     8192, 8193, 12288, 16384, 16385 };

	switch (below(d, 4)) {
	case 0:
		return edges[below(d, sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return below(d, (unsigned)SIZE_MOST);
	default:
		return 1 + below(d, 300);
	}
}

/* Mostly what matters most. */
static int draw_call(struct draw *d)
{
	static const int calls[] = { SIM_PWRITE,   SIM_FDATASYNC, SIM_SYNCFS,
				     SIM_SYNC_DIR, SIM_OPEN,	  SIM_ANY };
	int call = calls[below(d, 6)];

	return call == SIM_ANY && below(d, 2) ? below(d, SIM_ANY) : call;
}

static int draw_number(struct draw *d, enum verb v, int i)
{
	static const int hows[] = {
		OPEN_CREATE | OPEN_WRITE | OPEN_TRUNC,
		OPEN_WRITE,
		OPEN_WRITE | OPEN_TRUNC,
		OPEN_CREATE | OPEN_WRITE | OPEN_ONLY,
		OPEN_CREATE | OPEN_WRITE | OPEN_APPEND,
		0,
	};
	static const int errs[] = { EIO, ENOSPC };

	switch (v) {
	case V_SAVE:
		return below(d, SAVED_COUNT);
	case V_OPEN:
		return hows[below(d, sizeof(hows) / sizeof(hows[0]))];
	case V_RENAME:
		return below(d, 8) == 0;
	case V_CHMOD:
		return below(d, 2) ? 0600 : 0640;
	case V_RUN:
		return below(d, 3) ? 10 + below(d, 500) : below(d, 6000);
	case V_SETTLE:
	case V_SYNC:
		return 1000 + below(d, 20000);
	case V_RECOVER:
		return below(d, 3);
	case V_PREFETCH:
		return below(d, 2) ? 60000 : below(d, 2000);
	case V_KILL:
		return below(d, 120);
	case V_CUT:
		return i == 0 ? below(d, 120) : below(d, 5) * 25;
	case V_LATENCY:
		return below(d, 3) * below(d, 1500);
	case V_NET:
		return i == 0 ? below(d, CHAOS_REFUSED) : below(d, 40);
	case V_REFUSE:
		return below(d, 3) * below(d, 50);
	case V_DOWN:
		return below(d, 3) == 0;
	case V_DISK:
		return i == 0	? draw_call(d)
		       : i == 1 ? 1 + below(d, 30)
		       : i == 2 ? errs[below(d, 2)]
				: below(d, 4) == 0;
	case V_FULL:
		return below(d, 40);
	case V_MEMORY:
		return i == 0	? below(d, 2)
		       : i == 1 ? 1 + below(d, below(d, 2) ? 40 : 1500)
				: below(d, 6) == 0;
	case V_ROWS:
		return i == 0	? 1 + below(d, below(d, 2) ? 20 : 400)
		       : i == 1 ? below(d, 2)
				: below(d, 8) == 0;
	case V_OPTION:
		return i == 0 ? below(d, OPTION_COUNT) : 0;
	case V_TURNS:
		return below(d, 3) * below(d, 40);
	case V_STALL:
		return 1 + below(d, i == 0 ? 60 : 300);
	case V_CLOCK:
		return -below(d, 3600); /* the store's never lags behind */
	default:
		return 0;
	}
}

/* Its usual value comes again, too. */
static int draw_option(struct draw *d, int o)
{
	static const int of[OPTION_COUNT][4] = {
		[OPTION_ORDER] = { 0, 0, 1, 2 },
		[OPTION_CLOSE] = { 0, 1, 1, 2 },
		[OPTION_FSYNC] = { 0, 1, 1, 1 },
		[OPTION_FULL] = { 0, 1, 1, 1 },
		[OPTION_OVERWRITE] = { 0, 0, 1, 1 },
		[OPTION_PART] = { 0, 4096, 5000, WORLD_PART },
		[OPTION_CHUNK] = { 0, 1000, 4096, 10000 },
		[OPTION_UP] = { 0, 4, 16, 64 },
		[OPTION_DOWN] = { 0, 4, 16, 64 },
		[OPTION_CACHE] = { 0, 16, 40, 100 },
		[OPTION_HELD] = { 86400, 5, 20, 60 },
		[OPTION_WORKERS] = { 1, 2, 4, 8 },
		[OPTION_DISK] = { 0, SIM_NO_CLONE, SIM_NO_LEASE,
				  SIM_NO_XATTR | SIM_NO_CLONE },
		[OPTION_STORE] = { 0, STORE_CAP_COPY_PART,
				   STORE_CAP_COPY_PART | STORE_CAP_RENAME,
				   STORE_CAP_MPU_PREFIX },
		[OPTION_CONDITIONS] = { 0, STORE_CAP_PUT_COND,
					STORE_CAP_DEL_COND,
					STORE_CAP_PUT_COND |
						STORE_CAP_DEL_COND },
		[OPTION_SUMS] = { 0, 1, 1, 1 },
		[OPTION_TREE] = { 0 }, /* see prog_draw() */
	};

	return of[o][below(d, 4)];
}

static void draw_op(struct draw *d, struct op *op, enum verb v)
{
	const char *a = verbs[v].args;
	int i;

	memset(op, 0, sizeof(*op));
	op->verb = v;
	for (i = 0; a[i]; i++) {
		switch (a[i]) {
		case 'p':
			op->arg[i] = draw_path(d);
			break;
		case 'd':
			op->arg[i] = below(d, DIRS);
			break;
		case 'e':
			op->arg[i] = 1 + below(d, DIRS - 1);
			break;
		case 'h':
			if (below(d, 3) == 0)
				d->handle = below(d, HANDLES - 1);
			op->arg[i] = d->handle;
			break;
		case 's':
			op->arg[i] = draw_size(d);
			break;
		case 'o':
			op->arg[i] = draw_size(d) / 2;
			break;
		default:
			op->arg[i] = draw_number(d, v, i);
		}
	}
	if (v == V_SAVE && below(d, 8)) /* mostly by a fitting name */
		op->arg[0] += (op->arg[1] < SAVED_TENSORS ? 1 : 6) -
			      op->arg[0] % NAMES;
	if (v == V_OPTION)
		op->arg[1] = draw_option(d, op->arg[0]);
}

/* Each seed leaves out some kinds of operations altogether, so that the others
 * meet more often. */
static unsigned choose_weights(struct draw *d, unsigned what, unsigned *weight)
{
	unsigned all = 0;
	int v;

	for (v = 0; v < V_COUNT; v++) {
		bool on = !verbs[v].group || (verbs[v].group & what);

		weight[v] = on && (v == V_PUT || v == V_RUN || below(d, 4))
				    ? verbs[v].weight
				    : 0;
		all += weight[v];
	}
	return all;
}

/* Few at a time find more than all at once: most of them hide others.  Not yet
 * other writers: about one seed in 400 of --only 8 still breaks a promise; nor
 * refusals: so does one in 300 of --only 256. */
static unsigned swarm(uint64_t seed)
{
	struct draw d = { .state = ~seed };
	unsigned what = 0, group;

	for (group = PROG_STORE; group < PROG_ALL; group *= 2)
		if (group != PROG_FOREIGN && group != PROG_REFUSE &&
		    below(&d, 3) == 0)
			what |= group;
	return what;
}

/* What is open is written to, flushed, and after a while written to again; -1:
 * whatever. */
static int follows(struct draw *d, enum verb v)
{
	bool again = d->again;

	d->again = false;
	switch (v) {
	case V_OPEN:
		return below(d, 2) ? V_WRITE : -1;
	case V_WRITE:
		return below(d, 3) ? -1 : V_FLUSH;
	case V_FLUSH:
		d->again = below(d, 2);
		return d->again ? V_RUN : -1;
	case V_RUN:
		return again ? V_WRITE : -1;
	default:
		return -1;
	}
}

static enum verb draw_verb(struct draw *d, const unsigned *weight, unsigned all)
{
	unsigned at = (unsigned)below(d, all);
	int v = 0;

	while (at >= weight[v])
		at -= weight[v++];
	return (enum verb)v;
}

static void add(struct prog *p, enum verb v, int a, int b, int c)
{
	p->op[p->n++] = (struct op){ .verb = v, .arg = { a, b, c } };
}

/* ---- what seldom comes about by itself */

/* What was just closed is the first that the disk does not take, once; who knew
 * of nothing took it for durable. */
static void draw_failed_sync(struct draw *d, struct prog *p)
{
	add(p, V_PUT, draw_path(d), draw_size(d), 0);
	add(p, V_DISK, SIM_FDATASYNC, 1 + below(d, 2), EIO);
	add(p, V_SYNC_DIR, 0, 0, 0);
}

/* Several are to be sent at the same time, and some go just then. */
static void draw_race(struct draw *d, struct prog *p)
{
	int dir = below(d, 2), i, first = below(d, 3), n = 3;

	for (i = 0; i < n; i++)
		add(p, V_PUT, dir * NAMES + (first + i) % 4,
		    draw_size(d) % WORLD_PART, 0);
	add(p, V_LATENCY, 3000, 0, 0); /* the others are on their way long */
	add(p, V_RUN, 900, 0, 0);
	add(p, V_STALL, 1 + below(d, 60), 2000, 0);
	add(p, V_RUN, 120, 0, 0);
	for (i = n; i-- > 0;)
		add(p, V_UNLINK, dir * NAMES + (first + i) % 4, 0, 0);
}

/* What is there is deleted, and comes again before the delete is sent. */
static void draw_late_delete(struct draw *d, struct prog *p)
{
	int path = draw_path(d);

	add(p, V_PUT, path, draw_size(d), 0);
	add(p, V_SETTLE, 20000, 0, 0);
	add(p, V_UNLINK, path, 0, 0);
	add(p, V_STALL, 1 + below(d, 8), 3000, 0);
	add(p, V_RUN, 1, 0, 0);
	add(p, V_PUT, path, draw_size(d), 0);
	add(p, V_RUN, 1500, 0, 0);
}

/* Who made a barrier stands before the checkpoint that goes by it, while more is
 * done; the power goes in the next barrier, or just before it. */
static void draw_checkpoint(struct draw *d, struct prog *p)
{
	add(p, V_SETTLE, 20000, 0, 0);
	add(p, V_PUT, draw_path(d), draw_size(d), 0);
	add(p, V_STALL, 1 + below(d, 60), 3000, 0);
	add(p, V_RUN, 1200, 0, 0);
	add(p, V_PUT, draw_path(d), draw_size(d), 0);
	add(p, V_RUN, 2700, 0, 0);
	add(p, V_CUT, 10 + below(d, 25), 0, 0);
	add(p, V_RUN, 2000, 0, 0);
}

/* A file goes and a folder takes its name, or the other way round; before all
 * that is known in the bucket, or after. */
static void draw_clash(struct draw *d, struct prog *p)
{
	bool file = below(d, 2);
	int i, below_it = CLASH_DIR * NAMES + below(d, 3);

	for (i = 0; i < 2; i++, file = !file) {
		if (!file)
			add(p, V_MKDIR, CLASH_DIR, 0, 0);
		add(p, V_PUT, file ? CLASH : below_it, draw_size(d), 0);
		if (below(d, 2))
			add(p, V_RUN, below(d, 3000), 0, 0);
		if (i == 0 && below(d, 3) == 0) { /* it goes elsewhere */
			add(p, file ? V_RENAME : V_RENAME_DIR,
			    file ? CLASH : CLASH_DIR, file ? draw_path(d) : 1,
			    0);
			continue;
		}
		add(p, V_UNLINK, file ? CLASH : below_it, 0, 0);
		if (!file)
			add(p, V_RMDIR, CLASH_DIR, 0, 0);
	}
}

/* What an open file owes under its old names moves with their folder. */
static void draw_debt(struct draw *d, struct prog *p)
{
	int to = draw_path(d);

	add(p, V_MKDIR, 1, 0, 0);
	add(p, V_PUT, NAMES, draw_size(d), 0);
	if (below(d, 2))
		add(p, V_SETTLE, 20000, 0, 0);
	add(p, V_OPEN, NAMES, 3, OPEN_WRITE);
	add(p, V_WRITE, 3, 0, 100);
	if (below(d, 2))
		add(p, V_FLUSH, 3, 0, 0);
	add(p, V_RENAME, NAMES, to, 0);
	add(p, V_RUN, below(d, 1500), 0, 0);
	add(p, V_RENAME_DIR, 1, 2 + below(d, 2), 0);
	if (below(d, 2))
		add(p, V_PUT, to, draw_size(d), 0);
	if (below(d, 2))
		add(p, V_CLOSE, 3, 0, 0);
}

static void draw_scene(struct draw *d, struct prog *p, unsigned what)
{
	if ((what & PROG_DISK) && below(d, 25) == 0)
		draw_failed_sync(d, p);
	if ((what & PROG_TURNS) && below(d, 25) == 0)
		draw_race(d, p);
	if ((what & PROG_TURNS) && below(d, 25) == 0)
		draw_late_delete(d, p);
	if ((what & PROG_TURNS) && (what & PROG_CUTS) && below(d, 40) == 0)
		draw_checkpoint(d, p);
	if (d->names && below(d, 12) == 0)
		draw_clash(d, p);
	if (d->names && below(d, 25) == 0)
		draw_debt(d, p);
}

void prog_draw(struct prog *p, uint64_t seed, unsigned what)
{
	struct draw d = { .state = seed };
	unsigned weight[V_COUNT], all, want;

	if (what & PROG_SWARM)
		what = swarm(seed);
	all = choose_weights(&d, what, weight);
	want = 50 + (unsigned)below(&d, 40);
	/* where others write, too, nobody says which of the two it is */
	d.names = (what & PROG_NAMES) && !(what & PROG_FOREIGN);
	p->seed = seed;
	p->n = 0;
	if (d.names && below(&d, 3))
		add(p, V_OPTION, OPTION_TREE, 1, 0);
	while ((what & PROG_OPTIONS) && p->n < 6 && below(&d, 5))
		draw_op(&d, &p->op[p->n++], V_OPTION);
	if ((what & PROG_OPTIONS) && (what & PROG_TURNS) && below(&d, 2)) {
		add(p, V_OPTION, OPTION_ORDER, 2, 0); /* side by side */
		add(p, V_OPTION, OPTION_WORKERS, 8, 0);
	}
	draw_op(&d, &p->op[p->n++], V_MKDIR);
	draw_op(&d, &p->op[p->n++], V_LATENCY);
	while (p->n < want) {
		int v = follows(&d, p->op[p->n - 1].verb);

		draw_op(&d, &p->op[p->n++],
			v >= 0 && weight[v] ? (enum verb)v
					    : draw_verb(&d, weight, all));
		draw_scene(&d, p, what);
	}
	want = p->n;
	/* every run has a crash */
	draw_op(&d, &p->op[want - 1 - (unsigned)below(&d, 12)],
		(what & PROG_CUTS) && below(&d, 2) ? V_CUT : V_KILL);
}

/* ---- text */

char op_kind(const struct op *op, int i)
{
	const char *a = verbs[op->verb].args;

	return (size_t)i < strlen(a) ? a[i] : '\0';
}

void op_print(const struct op *op, FILE *to)
{
	const char *a = verbs[op->verb].args;
	int i;

	fputs(verbs[op->verb].name, to);
	for (i = 0; a[i]; i++) {
		if (a[i] == 'p')
			fprintf(to, " %s", path_text(op->arg[i]));
		else if (a[i] == 'd' || a[i] == 'e')
			fprintf(to, " %s",
				*dir_text(op->arg[i]) ? dir_text(op->arg[i])
						      : ".");
		else
			fprintf(to, " %d", op->arg[i]);
	}
	fputc('\n', to);
}

void prog_print(const struct prog *p, FILE *to)
{
	unsigned i;

	fprintf(to, "seed %" PRIu64 "\n", p->seed);
	for (i = 0; i < p->n; i++)
		op_print(&p->op[i], to);
}

static bool read_arg(char kind, const char *word, int *ret)
{
	char *end;

	if (kind == 'p') {
		*ret = path_of(word);
		return *ret >= 0;
	}
	if (kind == 'd' || kind == 'e') {
		*ret = dir_of(strcmp(word, ".") == 0 ? "" : word);
		return *ret >= 0;
	}
	*ret = (int)strtol(word, &end, 10);
	return end != word && !*end;
}

static bool read_op(char *line, struct op *op)
{
	char *save = NULL, *word = strtok_r(line, " \n", &save);
	const char *a;
	int v, i;

	for (v = 0; v < V_COUNT && strcmp(word, verbs[v].name) != 0; v++)
		;
	if (v == V_COUNT)
		return false;
	memset(op, 0, sizeof(*op));
	op->verb = (enum verb)v;
	a = verbs[v].args;
	for (i = 0; a[i]; i++) {
		word = strtok_r(NULL, " \n", &save);
		if (!word || !read_arg(a[i], word, &op->arg[i]))
			return false;
	}
	return !strtok_r(NULL, " \n", &save);
}

bool prog_read(struct prog *p, FILE *from)
{
	char line[128];
	unsigned n = 0;

	memset(p, 0, sizeof(*p));
	while (fgets(line, sizeof(line), from)) {
		n++;
		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (strncmp(line, "seed ", 5) == 0) {
			p->seed = strtoull(line + 5, NULL, 10);
			continue;
		}
		if (p->n == PROG_MOST || !read_op(line, &p->op[p->n])) {
			p->n = n;
			return false;
		}
		p->n++;
	}
	return true;
}
