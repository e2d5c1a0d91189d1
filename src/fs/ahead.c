/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "ahead.h"

#define LOG_MODULE "fs"
#define WORKERS 16
#define FIRST 4 /* behind the second of a walk; then four times as many */

struct ahead {
	/* guarded by fs->busy_lock */
	struct thr_worker *workers[WORKERS];
	bool started;
	uint64_t queue[AHEAD_MOST];
	unsigned first, n;
	/* guarded by fs->ns: the walk through a folder, and how far it has been
	 * asked ahead */
	uint64_t dir;
	char last[META_NAME_MAX + 1];
	unsigned run;
};

static struct ahead *get(struct fs *fs)
{
	struct ahead *a;

	lock_acquire(&fs->busy_lock);
	if (!fs->ahead)
		fs->ahead = calloc(1, sizeof(*fs->ahead));
	a = fs->ahead;
	lock_release(&fs->busy_lock);
	return a;
}

/* ---- the workers */

static void set_asked(struct fs *fs, struct inode *in, bool asked)
{
	lock_acquire(&fs->busy_lock);
	in->asked = asked;
	if (!asked)
		thr_wake(&fs->busy_cond);
	lock_release(&fs->busy_lock);
}

static int64_t step(void *arg)
{
	struct fs *fs = arg;
	struct ahead *a = fs->ahead;
	struct inode *in;
	uint64_t ino = 0;
	bool more;

	lock_acquire(&fs->busy_lock);
	if (a->n && !fs->stopping) {
		ino = a->queue[a->first];
		a->first = (a->first + 1) % AHEAD_MOST;
		a->n--;
	}
	more = a->n && !fs->stopping;
	lock_release(&fs->busy_lock);
	in = ino ? inode_get_row(fs, ino) : NULL;
	if (in && in->kind == META_FILE) {
		set_asked(fs, in, true);
		/* Who wants to know asks again, and is told why not. */
		(void)!meta_ask(fs, in);
		set_asked(fs, in, false);
	}
	inode_put(fs, in);
	return more ? 0 : CLK_NEVER;
}

static unsigned workers_of(const struct fs *fs)
{
	unsigned n = fs->opts.max_downloads;

	return n && n < WORKERS ? n : WORKERS;
}

/* Those that cannot be started are not missed as long as there is one; and if
 * there is none, all is asked by who wants it. */
static void start(struct fs *fs, struct ahead *a)
{
	struct thr_worker *w;
	unsigned i;
	bool mine;

	lock_acquire(&fs->busy_lock);
	mine = !a->started;
	a->started = true;
	lock_release(&fs->busy_lock);
	for (i = 0; mine && i < workers_of(fs); i++) {
		if (thr_start(fs->host->thr, "ahead", step, fs, &w) < 0)
			break;
		lock_acquire(&fs->busy_lock);
		a->workers[i] = w;
		lock_release(&fs->busy_lock);
	}
}

bool ahead_ask(struct fs *fs, uint64_t ino)
{
	struct ahead *a = get(fs);
	bool room;
	unsigned i;

	if (!a)
		return false;
	start(fs, a);
	lock_acquire(&fs->busy_lock);
	room = a->n < AHEAD_MOST;
	if (room)
		a->queue[(a->first + a->n++) % AHEAD_MOST] = ino;
	for (i = 0; room && i < WORKERS && a->workers[i]; i++)
		thr_kick(a->workers[i]);
	lock_release(&fs->busy_lock);
	return room;
}

bool ahead_await(struct fs *fs, struct inode *in)
{
	bool asked;

	lock_acquire(&fs->busy_lock);
	asked = in->asked;
	while (in->asked)
		(void)thr_wait(fs->host->thr, &fs->busy_lock, &fs->busy_cond,
			       CLK_NEVER);
	lock_release(&fs->busy_lock);
	return asked;
}

void ahead_free(struct fs *fs)
{
	unsigned i;

	for (i = 0; fs->ahead && i < WORKERS; i++)
		thr_stop(fs->ahead->workers[i]);
	free(fs->ahead);
	fs->ahead = NULL;
}

/* ---- a walk */

/* The next ones of a folder by name, in order. */
struct next {
	const struct inode *in[AHEAD_MOST];
	unsigned n, most;
};

static void insert(struct next *t, const struct inode *in)
{
	unsigned i = t->n;

	while (i > 0 && strcmp(t->in[i - 1]->name, in->name) > 0)
		i--;
	if (i == t->most)
		return;
	if (t->n < t->most)
		t->n++;
	memmove(&t->in[i + 1], &t->in[i],
		(t->n - 1 - i) * sizeof(struct inode *));
	t->in[i] = in;
}

static const struct inode *unknown(struct fs *fs, const struct dentry *d)
{
	const struct inode *in;

	HASH_FIND(hh, fs->inodes, &d->ino, sizeof(d->ino), in);
	return in && in->kind == META_FILE && in->key && !in->meta_known ? in :
									   NULL;
}

/* Those behind a name; false: there are some between last and it, so this is no
 * walk from one to the next.  fs->ns is held. */
static bool gather(struct fs *fs, const struct inode *dir, const char *last,
		   const char *name, struct next *t)
{
	struct dentry *d, *tmp;
	const struct inode *in;

	HASH_ITER(hh, dir->children, d, tmp) {
		int c = strcmp(d->name, name);

		if (c == 0 || (c < 0 && strcmp(d->name, last) <= 0) ||
		    (c > 0 && t->n == t->most &&
		     strcmp(d->name, t->in[t->n - 1]->name) > 0))
			continue;
		in = unknown(fs, d);
		if (in && c < 0)
			return false;
		if (in)
			insert(t, in);
	}
	return true;
}

static unsigned next_run(unsigned run)
{
	if (!run)
		return FIRST;
	return run * 4 < AHEAD_MOST ? run * 4 : AHEAD_MOST;
}

/* How many are to be asked, behind this one. */
static unsigned plan(struct fs *fs, struct ahead *a, const struct inode *in,
		     uint64_t ino[AHEAD_MOST])
{
	struct next t = { .n = 0 };
	const struct inode *dir;
	const char *end = in->name;
	unsigned i;

	HASH_FIND(hh, fs->inodes, &in->parent, sizeof(in->parent), dir);
	if (!dir)
		return 0;
	t.most = next_run(a->run);
	if (a->dir != dir->ino || strcmp(in->name, a->last) <= 0 ||
	    !gather(fs, dir, a->last, in->name, &t))
		t.most = t.n = 0;
	a->run = t.most;
	for (i = 0; i < t.n; i++) {
		ino[i] = t.in[i]->ino;
		end = t.in[i]->name;
	}
	a->dir = dir->ino;
	memcpy(a->last, end, strlen(end) + 1);
	return t.n;
}

void ahead_walk(struct fs *fs, struct inode *in)
{
	struct ahead *a = get(fs);
	uint64_t ino[AHEAD_MOST];
	unsigned n, i;

	if (!a)
		return;
	lock_acquire(&fs->ns);
	n = in->name ? plan(fs, a, in, ino) : 0;
	lock_release(&fs->ns);
	n = n ? may_look(fs, n) : 0;
	for (i = 0; i < n && ahead_ask(fs, ino[i]); i++)
		;
}
