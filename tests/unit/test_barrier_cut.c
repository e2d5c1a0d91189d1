/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power goes at every call to the disk, in the midst of random seals,
 * deletes and syncs.  Whatever the recorded barrier says is there must be
 * there, and what somebody waited for must be recorded.
 *
 * The database is a model of the real one: a log of commits, and a file that
 * says how many of them count.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/barrier.h"
#include "ckptfs/cache.h"
#include "ckptfs/disk.h"
#include "ckptfs/host.h"
#include "ckptfs/meta.h"

#include "harness.h"
#include "sim.h"

#define STEPS 40
#define MAX_COMMITS 512

/* ---- the model of the database */

enum kind { SEAL = 1, DELETE, FORGET, POISON };

struct commit {
	uint64_t kind, blob, size;
};

struct meta {
	struct disk *disk;
	int log_fd, mark_fd;
	struct commit log[MAX_COMMITS];
	uint64_t commits, durable;
	bool begun;
};
static struct meta db;

static int append(uint64_t kind, uint64_t blob, uint64_t size)
{
	struct commit c = { .kind = kind, .blob = blob, .size = size };
	int r = disk_pwrite(db.disk, db.log_fd, &c, sizeof(c),
			    db.commits * sizeof(c));

	ck_assert_uint_lt(db.commits, MAX_COMMITS);
	if (r < 0)
		return r;
	db.log[db.commits++] = c;
	return 0;
}

int meta_begin(struct meta *m)
{
	ck_assert(!m->begun);
	m->begun = true;
	return 0;
}

/* Each change below is written at once: a commit each. */
int meta_commit(struct meta *m)
{
	(void)m;
	return 0;
}

void meta_end(struct meta *m)
{
	m->begun = false;
}

int meta_dead_del(struct meta *m, uint64_t blob)
{
	ck_assert(m->begun);
	return append(FORGET, blob, 0);
}

int meta_dead_each(struct meta *m, meta_dead_fn *fn, void *arg)
{
	(void)m;
	(void)fn;
	(void)arg;
	return 0;
}

int meta_mark(struct meta *m, struct meta_mark *ret)
{
	ret->commits = m->commits;
	return 0;
}

int meta_barrier(struct meta *m, const struct meta_mark *mark)
{
	int r;

	r = disk_fdatasync(m->disk, m->log_fd);
	if (r == 0)
		r = disk_pwrite(m->disk, m->mark_fd, &mark->commits,
				sizeof(mark->commits), 0);
	if (r == 0)
		r = disk_fdatasync(m->disk, m->mark_fd);
	if (r == 0)
		m->durable = mark->commits;
	return r;
}

int meta_disbelieve(struct meta *d)
{
	(void)d;
	return 0;
}

uint64_t meta_commits(const struct meta *m)
{
	return m->commits;
}

uint64_t meta_commits_durable(const struct meta *m)
{
	return m->durable;
}

bool meta_checkpoint_due(const struct meta *m)
{
	(void)m;
	return false;
}

int meta_checkpoint(struct meta *m)
{
	(void)m;
	abort();
}

static int must_open(const char *path)
{
	int fd = disk_open(db.disk, path, O_RDWR | O_CREAT, 0600);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* What an earlier mount made durable long ago. */
static void db_open(struct disk *d)
{
	uint64_t zero = 0;

	memset(&db, 0, sizeof(db));
	db.disk = d;
	db.log_fd = must_open("log");
	db.mark_fd = must_open("mark");
	ck_assert_int_eq(disk_pwrite(d, db.mark_fd, &zero, sizeof(zero), 0), 0);
	ck_assert_int_eq(disk_syncfs(d), 0);
}

/* ---- the file system */

static unsigned seed;

static unsigned draw(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static struct cache *cache;
static struct barrier *b;
static uint64_t live[STEPS];
static unsigned nlive;
static uint64_t promised; /* commits somebody waited for */

static int poison(void *arg, uint64_t blob)
{
	(void)arg;
	return append(POISON, blob, 0);
}

static void fill(char *p, size_t n, uint64_t blob)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (char)(blob * 31 + i / 512 + 1);
}

static int seal(void)
{
	static const struct cache_tag tag = { .ino = 2, .name = "x" };
	size_t size = 1 + draw(20000);
	char bytes[20000];
	uint64_t blob;
	int r, fd;

	r = cache_blob_new(cache, &tag, O_RDWR, &blob, &fd);
	if (r < 0)
		return r;
	fill(bytes, size, blob);
	r = disk_pwrite(db.disk, fd, bytes, size, 0);
	cache_blob_close(cache, fd);
	if (r < 0)
		return r;
	barrier_note_blob(b, blob, -1);
	r = append(SEAL, blob, size);
	if (r == 0)
		barrier_note_change(b);
	live[nlive++] = blob;
	return r;
}

static int delete (void)
{
	unsigned i = draw(nlive);
	int r = append(DELETE, live[i], 0);

	if (r == 0)
		barrier_dead(b, live[i]);
	live[i] = live[--nlive];
	return r;
}

static int wait_for_all(void)
{
	uint64_t mine = db.commits;
	int r = barrier_now(b, CLK_NEVER);

	if (r == 0)
		promised = mine;
	return r;
}

static void use(struct sim *s)
{
	unsigned i;
	int r = 0;

	for (i = 0; i < STEPS && r == 0; i++) {
		switch (draw(8)) {
		case 0:
			r = wait_for_all();
			break;
		case 1:
			sim_run_for(s, (1 + draw(20)) * NS_PER_S / 10);
			break;
		case 2:
		case 3:
			r = nlive ? delete () : 0;
			break;
		default:
			r = seal();
		}
	}
}

/* ---- afterwards */

static void ck_bytes(uint64_t blob, uint64_t size)
{
	char want[20000], got[20000];
	int fd = cache_blob_open(cache, blob, O_RDONLY);

	ck_assert_msg(fd >= 0, "blob %llx is gone", (unsigned long long)blob);
	fill(want, size, blob);
	ck_assert_int_eq(disk_pread(db.disk, fd, got, size, 0), (ssize_t)size);
	ck_assert_msg(memcmp(got, want, size) == 0, "blob %llx has other bytes",
		      (unsigned long long)blob);
	cache_blob_close(cache, fd);
}

static void ck_gone(uint64_t blob)
{
	ck_assert_int_eq(cache_blob_open(cache, blob, O_RDONLY), -ENOENT);
}

/* What the first n commits leave of this blob. */
static uint64_t last_kind(uint64_t n, uint64_t blob)
{
	uint64_t kind = 0, i;

	for (i = 0; i < n; i++)
		if (db.log[i].blob == blob)
			kind = db.log[i].kind;
	return kind;
}

static void ck_recovered(void)
{
	uint64_t n = 0, i;
	int fd = must_open("mark");

	ck_assert_int_eq(disk_pread(db.disk, fd, &n, sizeof(n), 0), sizeof(n));
	disk_close(db.disk, fd);
	ck_assert_uint_ge(n, promised);
	ck_assert_uint_ge(n, db.durable);
	ck_assert_uint_le(n, db.commits);
	for (i = 0; i < n; i++) {
		if (db.log[i].kind == SEAL &&
		    last_kind(n, db.log[i].blob) == SEAL)
			ck_bytes(db.log[i].blob, db.log[i].size);
		else if (db.log[i].kind == FORGET)
			ck_gone(db.log[i].blob);
	}
}

/* What goes wrong at the n-th call from the start on. */
typedef void plan_fn(struct disk *d, unsigned long n);

/* One history, the power cut after it. */
static void live_through(plan_fn *plan, unsigned long n, unsigned keep,
			 uint64_t history, bool *ret_hit)
{
	struct sim *s = sim_new(history);
	const struct host *h = sim_host(s);
	struct barrier_deps deps = { .host = h, .meta = &db, .poison = poison };

	seed = (unsigned)history;
	nlive = 0;
	promised = 0;
	db_open(h->disk);
	ck_assert_int_eq(cache_open(h, 1, &cache), 0);
	ck_assert_int_eq(disk_syncfs(h->disk), 0);
	deps.cache = cache;
	ck_assert_int_eq(barrier_new(&deps, &b), 0);
	plan(h->disk, n);
	use(s);
	*ret_hit = simdisk_halted(h->disk) || barrier_failed(b) < 0;
	barrier_free(b);
	simdisk_power_cut(h->disk, keep);
	ck_recovered();
	cache_close(cache);
	sim_free(s);
}

static const unsigned keeps[] = { 0, 50, 100 };

/* Each step-th call, until a history ends before its n-th; returns that n. */
static unsigned long walk(plan_fn *plan, unsigned loop, unsigned step)
{
	unsigned long n = 1 + loop % step;
	bool hit;

	for (;; n += step) {
		live_through(plan, n, keeps[loop % ARRAY_SIZE(keeps)],
			     1 + loop / ARRAY_SIZE(keeps), &hit);
		if (!hit)
			return n;
	}
}

static void halt(struct disk *d, unsigned long n)
{
	simdisk_halt_after(d, n);
}

START_TEST(a_power_cut_anywhere_leaves_what_the_barrier_says)
{
	ck_assert_uint_gt(walk(halt, (unsigned)_i, harness_step()), 100);
}
END_TEST

static void fail_fdatasync(struct disk *d, unsigned long n)
{
	simdisk_fail(d, SIM_FDATASYNC, n, -EIO, false);
}

static void fail_sync_dir(struct disk *d, unsigned long n)
{
	simdisk_fail(d, SIM_SYNC_DIR, n, -EIO, false);
}

static void fail_syncfs(struct disk *d, unsigned long n)
{
	simdisk_fail(d, SIM_SYNCFS, n, -EIO, false);
}

START_TEST(f17_bytes_that_a_sync_lost_are_never_promised)
{
	unsigned step = harness_step();

	ck_assert_uint_gt(walk(fail_fdatasync, (unsigned)_i, step), 10);
	ck_assert_uint_gt(walk(fail_sync_dir, (unsigned)_i, step), 4);
	ck_assert_uint_gt(walk(fail_syncfs, (unsigned)_i, step), 1);
}
END_TEST

static void add(TCase *c)
{
	int loops = 6 * ARRAY_SIZE(keeps);

	tcase_add_loop_test(
		c, a_power_cut_anywhere_leaves_what_the_barrier_says, 0, loops);
	tcase_add_loop_test(c, f17_bytes_that_a_sync_lost_are_never_promised, 0,
			    loops);
}

int main(void)
{
	return harness_run("barrier_cut", add);
}
