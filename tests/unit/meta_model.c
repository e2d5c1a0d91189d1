/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/disk.h"

#include "harness.h"
#include "meta_model.h"

struct sim *sim;
struct disk *disk;
struct meta *m;
struct meta_report report;
struct meta_rules rules;
static uint64_t seed;
struct state states[STATES];
unsigned last; /* the newest */
unsigned durable; /* the newest a recorded barrier covers */
static bool in_flight; /* one more may have been committed: states[last+1] */
static unsigned barrier_flight; /* one more may be recorded; 0: none */
uint64_t next_blob;
static uint64_t unsynced[STATES * 4];
static size_t nunsynced;
const char *wrong; /* what was found to be so */

unsigned draw(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

/* ---- blobs: their bytes follow from their number */

void blob_path(uint64_t blob, char ret[32])
{
	(void)snprintf(ret, 32, "b%llu", (unsigned long long)blob);
}

static int blob_write(uint64_t blob, uint64_t size)
{
	char path[32], bytes[256];
	int fd, r;

	blob_path(blob, path);
	memset(bytes, (int)(blob % 255) + 1, sizeof(bytes));
	fd = disk_open(disk, path, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return fd;
	r = disk_pwrite(disk, fd, bytes, size, 0);
	disk_close(disk, fd);
	unsynced[nunsynced++] = blob;
	return r;
}

static bool blob_good(uint64_t blob, uint64_t size)
{
	char path[32], bytes[256];
	int fd;
	size_t i;
	ssize_t n;

	blob_path(blob, path);
	fd = disk_open(disk, path, O_RDONLY, 0);
	if (fd < 0)
		return false;
	n = disk_pread(disk, fd, bytes, size, 0);
	disk_close(disk, fd);
	if (n != (ssize_t)size)
		return false;
	for (i = 0; i < size; i++)
		if (bytes[i] != (char)(blob % 255 + 1))
			return false;
	return true;
}

static int blob_check(void *arg, const struct meta_version *v)
{
	struct disk_stat st;
	char path[32];
	int fd, r;

	++*(unsigned *)arg;
	blob_path(v->blob, path);
	fd = disk_open(disk, path, O_RDONLY, 0);
	if (fd == -ENOENT)
		return -ENODATA;
	if (fd < 0)
		return fd;
	r = disk_stat(disk, fd, &st);
	disk_close(disk, fd);
	return r < 0 ? r : st.size < v->size ? -ENODATA : 0;
}

int blobs_sync(void)
{
	char path[32];
	size_t i;
	int fd, r = 0;

	for (i = 0; r == 0 && i < nunsynced; i++) {
		blob_path(unsynced[i], path);
		fd = disk_open(disk, path, O_RDONLY, 0);
		r = fd < 0 ? fd : disk_fdatasync(disk, fd);
		disk_close(disk, fd);
	}
	if (r == 0)
		r = disk_sync_dir(disk, "");
	if (r == 0)
		nunsynced = 0;
	return r;
}

/* ---- what is in the database, against a state */

struct match {
	const struct state *s;
	unsigned rows, owed;
	bool bad;
};

static int match_version(void *arg, const struct meta_version *v)
{
	struct match *a = arg;
	unsigned i;

	for (i = 0; i < ROWS; i++)
		if (a->s->row[i].vid == v->vid)
			break;
	a->rows++;
	a->bad |= i == ROWS || a->s->row[i].blob != v->blob ||
		  a->s->row[i].size != v->size;
	return 0;
}

static int match_owed(void *arg, const char *key, uint64_t ino)
{
	struct match *a = arg;
	unsigned i = (unsigned)(key[0] - '0');

	a->owed++;
	a->bad |= i >= OWED || a->s->owed[i] != ino;
	return 0;
}

bool matches(const struct state *s)
{
	struct match a = { .s = s };
	struct meta_inode root;
	unsigned i, rows = 0, owed = 0;

	for (i = 0; i < ROWS; i++)
		rows += s->row[i].vid != 0;
	for (i = 0; i < OWED; i++)
		owed += s->owed[i] != 0;
	if (meta_begin(m) < 0)
		return false;
	if (meta_inode_get(m, META_ROOT_INO, &root) < 0 ||
	    root.size != s->serial ||
	    meta_version_each(m, match_version, &a) < 0 ||
	    meta_owed_each(m, match_owed, &a) < 0 ||
	    meta_owed_any(m) != (owed > 0))
		a.bad = true;
	meta_end(m);
	return !a.bad && a.rows == rows && a.owed == owed;
}

static int is_ok(void *arg, int n, char **v, char **names)
{
	(void)names;
	if (n != 1 || strcmp(v[0], "ok") != 0)
		*(bool *)arg = false;
	return 0;
}

static bool is_whole(void)
{
	bool ok = true;

	return sqlite3_exec(m->db, "PRAGMA integrity_check", is_ok, &ok,
			    NULL) == SQLITE_OK &&
	       ok;
}

static bool bytes_there(const struct state *s)
{
	unsigned i;

	for (i = 0; i < ROWS; i++)
		if (s->row[i].vid && !blob_good(s->row[i].blob, s->row[i].size))
			return false;
	return true;
}

/* ---- life */

int open_again(unsigned *checks)
{
	struct meta_opts opts = { .source = "mem://",
				  .check = blob_check,
				  .check_arg = checks };

	*checks = 0;
	return meta_open_rules(sim_host(sim), &opts, &rules, &m, &report);
}

/* The state found becomes the only one, and it is durable: the mount says so.
 */
static void settle(unsigned at)
{
	struct state s = states[at];

	states[0] = s;
	last = durable = 0;
	in_flight = false;
	barrier_flight = 0;
	nunsynced = 0;
}

/* Open after a crash or a cut and look for a state between lo and hi. */
void look(unsigned lo, unsigned hi)
{
	unsigned checks, i;

	if (open_again(&checks) < 0) {
		wrong = "it does not open";
		return;
	}
	if (!is_whole()) {
		wrong = "the database is corrupt";
		return;
	}
	for (i = hi + 1; i-- > lo;) {
		if (!matches(&states[i]))
			continue;
		if (!bytes_there(&states[i]))
			wrong = "a row without its bytes";
		settle(i);
		return;
	}
	wrong = "a state that was never promised";
}

void crash(void)
{
	meta_close(m);
	m = NULL;
	simdisk_crash(disk);
	look(last, last + in_flight);
}

void cut(void)
{
	unsigned hi = barrier_flight > durable ? barrier_flight : durable;

	meta_close(m);
	m = NULL;
	simdisk_power_cut(disk, draw(2) ? 0 : draw(101));
	look(durable, hi);
}

/* ---- steps; an error means the disk failed and all there is left is death */

/* One comes, is another's, or goes. */
static int change_owed(struct state *s)
{
	unsigned i = (unsigned)(s->serial % OWED);
	char key[2] = { (char)('0' + i) };

	if (s->owed[i] && s->serial % 4) {
		s->owed[i] = 0;
		return meta_owed_del(m, key);
	}
	s->owed[i] = s->serial + 1;
	return meta_owed_set(m, key, s->owed[i]);
}

static int change(struct state *s)
{
	struct row *row = &s->row[draw(ROWS)];
	struct meta_version v = { .ino = draw(1000), .state = META_SEALED };
	struct meta_object o = { .ino = 1 };
	int r;

	if (row->vid && draw(3) == 0) {
		r = meta_version_del(m, row->vid);
		row->vid = 0;
		return r;
	}
	v.blob = next_blob++;
	v.size = 1 + draw(256);
	r = blob_write(v.blob, v.size);
	/* Something to fill pages with, here and there. */
	memset(o.key, 'a' + (int)draw(26), 200 + draw(800));
	if (r == 0)
		r = meta_object_set(m, &o);
	v.vid = row->vid;
	if (r == 0)
		r = row->vid ? meta_version_set(m, &v)
			     : meta_version_add(m, &v);
	*row = (struct row){ .vid = v.vid, .blob = v.blob, .size = v.size };
	return r;
}

int step_commit(bool roll_back)
{
	struct state s = states[last];
	struct meta_inode root;
	unsigned n = 1 + draw(4);
	int r = meta_begin(m);

	if (r < 0)
		return r;
	s.serial++;
	if (roll_back)
		s.serial = 0;
	r = meta_inode_get(m, META_ROOT_INO, &root);
	root.size = s.serial;
	if (r == 0)
		r = meta_inode_set(m, &root);
	if (r == 0)
		r = change_owed(&s);
	while (r == 0 && n--)
		r = change(&s);
	if (r == 0 && !roll_back) {
		states[last + 1] = s;
		r = meta_commit(m);
		if (r == 0)
			last++;
		else
			in_flight = true;
	}
	meta_end(m);
	return r;
}

int step_barrier(void)
{
	struct meta_mark mark;
	unsigned covers = last;
	int r = meta_mark(m, &mark);

	if (r == 0)
		r = blobs_sync();
	/* Others go on meanwhile. */
	while (r == 0 && draw(2))
		r = step_commit(false);
	barrier_flight = covers;
	if (r == 0)
		r = meta_barrier(m, &mark);
	if (r == 0) {
		durable = covers;
		barrier_flight = 0;
	}
	return r;
}

static int step_checkpoint(void)
{
	int r = meta_checkpoint(m);

	if (r != -EAGAIN || draw(2))
		return r == -EAGAIN ? 0 : r;
	r = step_barrier();
	if (r == 0)
		r = meta_checkpoint(m);
	return r == -EAGAIN ? 0 : r;
}

int step(void)
{
	unsigned what = draw(20);

	if (what < 12)
		return step_commit(false);
	if (what < 13)
		return step_commit(true);
	if (what < 17)
		return step_barrier();
	return step_checkpoint();
}

void begin(uint64_t number, struct meta_rules r)
{
	unsigned checks;

	sim = sim_new(number);
	disk = sim_host(sim)->disk;
	seed = number * 7919 + 1;
	rules = r;
	memset(states, 0, sizeof(states[0]));
	last = durable = 0;
	in_flight = false;
	barrier_flight = 0;
	next_blob = 1;
	nunsynced = 0;
	wrong = NULL;
	ck_assert_int_eq(open_again(&checks), 0);
}

void end(void)
{
	meta_close(m);
	m = NULL;
	sim_free(sim);
}
