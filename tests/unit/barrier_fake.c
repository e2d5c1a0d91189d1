/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/cache.h"
#include "ckptfs/disk.h"
#include "ckptfs/meta.h"

#include "barrier_fake.h"
#include "harness.h"

char calls[4096];
pthread_mutex_t fake_m = PTHREAD_MUTEX_INITIALIZER;

void call(const char *fmt, ...)
{
	size_t n;
	va_list ap;

	pthread_mutex_lock(&fake_m);
	n = strlen(calls);
	va_start(ap, fmt);
	vsnprintf(calls + n, sizeof(calls) - n, fmt, ap);
	va_end(ap);
	pthread_mutex_unlock(&fake_m);
}

void ck_calls(const char *want)
{
	ck_assert_str_eq(calls, want);
	calls[0] = '\0';
}

/* ---- the disk: file number = 100 + blob, */

unsigned fail_sync;
bool fail_syncfs, fail_names, fail_open, tell_names;
int open_files;
void (*in_sync)(unsigned blob);

static int fake_open(struct disk *d, const char *path, int flags, mode_t mode)
{
	const char *p = strrchr(path, '/');

	(void)d;
	(void)flags;
	(void)mode;
	if (fail_open)
		return -EMFILE;
	open_files++;
	return 100 + (int)(strtoull(p + 1, NULL, 16) & 0xffff);
}

static int fake_close(struct disk *d, int fd)
{
	(void)d;
	(void)fd;
	open_files--;
	return 0;
}

static int fake_fdatasync(struct disk *d, int fd)
{
	unsigned blob = (unsigned)fd - 100;
	bool bad = blob == fail_sync;

	(void)d;
	call("f%u%s ", blob, bad ? "!" : "");
	if (in_sync)
		in_sync(blob);
	return bad ? -EIO : 0;
}

static int fake_syncfs(struct disk *d)
{
	(void)d;
	call("s%s ", fail_syncfs ? "!" : "");
	return fail_syncfs ? -EIO : 0;
}

static int fake_writeback(struct disk *d, int fd, uint64_t off, uint64_t len)
{
	(void)d;
	ck_assert_uint_eq(off, 0);
	ck_assert_uint_ge(len, UINT64_C(1) << 40);
	call("w%d ", fd - 100);
	return 0;
}

static int fake_mkdir(struct disk *d, const char *path, mode_t mode)
{
	(void)d;
	(void)path;
	(void)mode;
	return 0;
}

static int fake_unlink(struct disk *d, const char *path)
{
	(void)d;
	call("u%u ",
	     (unsigned)(strtoull(strrchr(path, '/') + 1, NULL, 16) & 0xffff));
	return 0;
}

static int fake_sync_dir(struct disk *d, const char *path)
{
	(void)d;
	(void)path;
	if (fail_names || tell_names)
		call("n%s ", fail_names ? "!" : "");
	return fail_names ? -EIO : 0;
}

static int fake_set_xattr(struct disk *d, int fd, const char *name,
			  const void *value, size_t len)
{
	(void)d;
	(void)fd;
	(void)name;
	(void)value;
	(void)len;
	return 0;
}

static const struct disk_ops fake_ops = {
	.name = "fake",
	.open = fake_open,
	.close = fake_close,
	.fdatasync = fake_fdatasync,
	.syncfs = fake_syncfs,
	.writeback = fake_writeback,
	.mkdir = fake_mkdir,
	.unlink = fake_unlink,
	.sync_dir = fake_sync_dir,
	.set_xattr = fake_set_xattr,
};
static struct disk disk = { .ops = &fake_ops };

/* ---- the database */

struct meta db;
bool fail_poison;
void (*in_mark)(void), (*after_mark)(void);

void commit(void)
{
	pthread_mutex_lock(&fake_m);
	db.commits++;
	pthread_mutex_unlock(&fake_m);
}

int meta_begin(struct meta *d)
{
	return d->fail_begin ? -ENOSPC : 0;
}

int meta_commit(struct meta *d)
{
	(void)d;
	commit();
	return 0;
}

void meta_end(struct meta *d)
{
	(void)d;
}

int meta_mark(struct meta *d, struct meta_mark *ret)
{
	call("m ");
	if (in_mark)
		in_mark();
	ret->commits = meta_commits(d);
	if (after_mark)
		after_mark();
	return 0;
}

int meta_barrier(struct meta *d, const struct meta_mark *mark)
{
	call("b%s ", d->fail_barrier ? "!" : "");
	if (d->fail_barrier)
		return -EIO;
	pthread_mutex_lock(&fake_m);
	d->durable = mark->commits;
	pthread_mutex_unlock(&fake_m);
	return 0;
}

int meta_disbelieve(struct meta *d)
{
	(void)d;
	call("x ");
	return 0;
}

uint64_t meta_commits(const struct meta *d)
{
	uint64_t n;

	pthread_mutex_lock(&fake_m);
	n = d->commits;
	pthread_mutex_unlock(&fake_m);
	return n;
}

uint64_t meta_commits_durable(const struct meta *d)
{
	uint64_t n;

	pthread_mutex_lock(&fake_m);
	n = d->durable;
	pthread_mutex_unlock(&fake_m);
	return n;
}

bool meta_checkpoint_due(const struct meta *d)
{
	return d->due > 0;
}

int meta_checkpoint(struct meta *d)
{
	if (d->again > 0) {
		call("c! ");
		d->again--;
		d->commits++;
		return -EAGAIN;
	}
	call("c ");
	d->due--;
	return 0;
}

int meta_dead_each(struct meta *d, meta_dead_fn *fn, void *arg)
{
	unsigned i;
	int r = 0;

	for (i = 0; i < d->ndead && r == 0; i++)
		r = fn(arg, d->dead[i]);
	return r;
}

int meta_dead_del(struct meta *d, uint64_t blob)
{
	(void)d;
	call("d%u ", (unsigned)(blob & 0xffff));
	return 0;
}

/* ---- time, and the one worker, which runs when somebody waits */

int64_t now = 1000 * NS_PER_S;

static int64_t fake_now(const struct clk *c)
{
	(void)c;
	return now;
}

static const struct clk clk = { .mono_ns = fake_now, .real_ns = fake_now };

static struct thr_worker worker;
static thr_step_fn *worker_step;
static void *worker_arg;
bool stuck;
static int64_t next_ns;

static int fake_start(struct thr *t, const char *name, thr_step_fn *step,
		      void *arg, struct thr_worker **ret)
{
	ck_assert_str_eq(name, "barrier");
	worker.ops = t->ops;
	worker_step = step;
	worker_arg = arg;
	*ret = &worker;
	return 0;
}

static void fake_kick(struct thr_worker *w)
{
	(void)w;
	next_ns = now;
}

static void fake_stop(struct thr_worker *w)
{
	(void)w;
}

void work(void)
{
	int64_t wait;

	while (next_ns <= now && !stuck) {
		wait = worker_step(worker_arg);
		next_ns = wait > CLK_NEVER - now ? CLK_NEVER : now + wait;
	}
}

static int fake_wait(struct thr *t, struct lock *l, struct thr_cond *c,
		     int64_t deadline_mono_ns)
{
	unsigned long wakes = c->wakes;

	(void)t;
	pthread_mutex_unlock(&l->m);
	work();
	pthread_mutex_lock(&l->m);
	if (c->wakes != wakes)
		return 0;
	ck_assert_int_ne(deadline_mono_ns, CLK_NEVER);
	now = deadline_mono_ns;
	return -ETIMEDOUT;
}

static const struct thr_ops fake_thr_ops = {
	.start = fake_start,
	.kick = fake_kick,
	.stop = fake_stop,
	.wait = fake_wait,
};
static struct thr fake_thr = { .ops = &fake_thr_ops };

/* ---- what the tests share */

struct host host = { .clk = &clk, .thr = &fake_thr, .disk = &disk };
struct cache *cache;
struct barrier *b;

/* As the file system would: the row that says so is a commit. */
static int poison(void *arg, uint64_t blob)
{
	ck_assert_ptr_eq(arg, &db);
	call("P%u%s ", (unsigned)(blob & 0xffff), fail_poison ? "!" : "");
	if (fail_poison)
		return -ENOMEM;
	commit();
	return 0;
}

struct barrier_deps deps = {
	.host = &host,
	.meta = &db,
	.poison = poison,
	.arg = &db,
};

void pass(int64_t ns)
{
	now += ns;
	work();
}

void start(void)
{
	ck_assert_int_eq(cache_open(&host, 0, &cache), 0);
	deps.cache = cache;
	ck_assert_int_eq(barrier_new(&deps, &b), 0);
}

void start_settled(void)
{
	start();
	pass(NS_PER_S);
	ck_calls("m s ");
}

void stop(void)
{
	barrier_free(b);
	cache_close(cache);
	ck_assert_int_eq(open_files, 0);
}

void change(void)
{
	commit();
	barrier_note_change(b);
}

/* Seal a blob: its bytes are noted, then its row is committed. */
void seal(uint64_t blob)
{
	barrier_note_blob(b, blob, -1);
	change();
}

void bury(uint64_t blob)
{
	commit();
	barrier_dead(b, blob);
}
