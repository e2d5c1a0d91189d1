/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is found after a crash and after a power cut.
 *
 * A model beside the database: rows with blobs, one state a commit.  Random
 * histories of commits, barriers, checkpoints, failing disks, crashes and cuts
 * run against it; after each reopening the state must be one that is promised.
 * With a rule of recovery broken, the same histories must find it out.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/disk.h"
#include "ckptfs/hash.h"

#include "harness.h"
#include "meta/internal.h"
#include "sim.h"

#define ROWS 24
#define STATES 256
#define HISTORIES 300
#define STEPS 60

struct row {
	uint64_t vid; /* 0: none */
	uint64_t blob, size;
};

struct state {
	struct row row[ROWS];
	uint64_t serial; /* the root's size says which state this is */
};

static struct sim *sim;
static struct disk *disk;
static struct meta *m;
static struct meta_report report;
static struct meta_rules rules;
static uint64_t seed;
static struct state states[STATES]; /* of each commit of this life */
static unsigned last; /* the newest */
static unsigned durable; /* the newest a recorded barrier covers */
static bool in_flight; /* one more may have been committed: states[last+1] */
static unsigned barrier_flight; /* one more may be recorded; 0: none */
static uint64_t next_blob;
static uint64_t unsynced[STATES * 4];
static size_t nunsynced;
static const char *wrong; /* what was found to be so */

static unsigned draw(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

/* ---- blobs: their bytes follow from their number */

static void blob_path(uint64_t blob, char ret[32])
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

static int blobs_sync(void)
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
	unsigned rows;
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

static bool matches(const struct state *s)
{
	struct match a = { .s = s };
	struct meta_inode root;
	unsigned i, rows = 0;

	for (i = 0; i < ROWS; i++)
		rows += s->row[i].vid != 0;
	if (meta_begin(m) < 0)
		return false;
	if (meta_inode_get(m, META_ROOT_INO, &root) < 0 ||
	    root.size != s->serial ||
	    meta_version_each(m, match_version, &a) < 0)
		a.bad = true;
	meta_end(m);
	return !a.bad && a.rows == rows;
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

static int open_again(unsigned *checks)
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
static void look(unsigned lo, unsigned hi)
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

static void crash(void)
{
	meta_close(m);
	m = NULL;
	simdisk_crash(disk);
	look(last, last + in_flight);
}

static void cut(void)
{
	unsigned hi = barrier_flight > durable ? barrier_flight : durable;

	meta_close(m);
	m = NULL;
	simdisk_power_cut(disk, draw(2) ? 0 : draw(101));
	look(durable, hi);
}

/* ---- steps; an error means the disk failed and all there is left is death */

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

static int step_commit(bool roll_back)
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

static int step_barrier(void)
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

static int step(void)
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

static void begin(uint64_t number, struct meta_rules r)
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

static void end(void)
{
	meta_close(m);
	m = NULL;
	sim_free(sim);
}

/* What is wrong after one history, NULL if nothing is. */
static const char *history(uint64_t number, struct meta_rules r)
{
	unsigned i;
	int err;

	begin(number, r);
	for (i = 0; !wrong && i < STEPS; i++) {
		if (draw(8) == 0)
			simdisk_halt_after(disk, draw(60));
		err = last + 8 < STATES ? step() : -EIO;
		if (!err && draw(10) && !simdisk_halted(disk))
			continue;
		/* A halted disk fails the rest of this life. */
		if (!simdisk_halted(disk) || draw(2))
			simdisk_heal(disk);
		if (draw(2))
			crash();
		else
			cut();
		simdisk_heal(disk);
	}
	end();
	return wrong;
}

static const struct meta_rules all_rules;

START_TEST(a_history_ends_in_a_state_that_was_promised)
{
	const char *found = history((uint64_t)_i, all_rules);

	ck_assert_msg(!found, "history %d: %s", _i, found);
}
END_TEST

static const struct meta_rules broken[] = {
	{ .no_cut = true },
	{ .checkpoint_any = true },
};

START_TEST(histories_find_out_a_broken_rule)
{
	unsigned i, found = 0;

	for (i = 0; i < HISTORIES && !found; i++)
		found += history(i, broken[_i]) != NULL;
	ck_assert_uint_gt(found, 0);
}
END_TEST

/* ---- one by one */

static void commit_one(void)
{
	ck_assert_int_eq(step_commit(false), 0);
}

static void barrier(void)
{
	ck_assert_int_eq(blobs_sync(), 0);
	ck_assert_int_eq(step_barrier(), 0);
}

START_TEST(a_crash_keeps_every_commit)
{
	unsigned at;

	begin(1, all_rules);
	commit_one();
	barrier();
	commit_one();
	commit_one();
	at = last;
	meta_close(m);
	simdisk_crash(disk);
	look(at, at);
	ck_assert_ptr_null(wrong);
	ck_assert(report.same_boot && !report.cut);
	end();
}
END_TEST

START_TEST(a_power_cut_goes_back_to_the_barrier)
{
	unsigned at;

	begin(2, all_rules);
	commit_one();
	barrier();
	at = durable;
	commit_one();
	commit_one();
	meta_close(m);
	simdisk_power_cut(disk, 100); /* all is there: it counts no more */
	look(at, at);
	ck_assert_ptr_null(wrong);
	ck_assert(!report.same_boot && report.cut);
	ck_assert_uint_gt(report.frames_dropped, 0);
	end();
}
END_TEST

static const struct {
	bool missing; /* else: short */
	bool covered; /* by a barrier */
} misses[] = { { true, false }, { false, false }, { true, true } };

/* The boot is the same and yet bytes are lost: a virtual machine brought back,
 * a disk taken off and on. */
START_TEST(a_missing_blob_tells_that_the_page_cache_was_lost)
{
	char path[32];
	unsigned at, checks;
	int fd;

	begin(3, all_rules);
	commit_one();
	barrier();
	at = durable;
	while (next_blob < 20)
		commit_one();
	if (misses[_i].covered) {
		barrier();
		at = durable;
	}
	blob_path(states[last].row[0].vid ? states[last].row[0].blob
					  : next_blob - 1,
		  path);
	if (misses[_i].missing) {
		ck_assert_int_eq(disk_unlink(disk, path), 0);
	} else {
		fd = disk_open(disk, path, O_RDWR, 0);
		ck_assert_int_eq(disk_truncate(disk, fd, 0), 0);
		disk_close(disk, fd);
	}
	meta_close(m);
	simdisk_crash(disk);
	ck_assert_int_eq(open_again(&checks), 0);
	/* Rows from before the barrier are not even looked at. */
	ck_assert_int_eq(report.cut, !misses[_i].covered);
	ck_assert_int_eq(checks > 0, !misses[_i].covered);
	ck_assert(matches(&states[at]));
	end();
}
END_TEST

START_TEST(a_check_that_fails_otherwise_ends_the_open)
{
	unsigned checks;

	begin(4, all_rules);
	commit_one();
	meta_close(m);
	m = NULL;
	simdisk_crash(disk);
	simdisk_fail(disk, SIM_STAT, 1, -EIO, true);
	ck_assert_int_ne(open_again(&checks), 0);
	simdisk_heal(disk);
	ck_assert_ptr_null(m);
	look(last, last);
	ck_assert_ptr_null(wrong);
	end();
}
END_TEST

/* kill -9, mount, power cut: the mount's own barrier covers rows whose bytes
 * only the page cache had. */
START_TEST(a_mount_makes_durable_what_a_dead_process_left)
{
	begin(5, all_rules);
	commit_one();
	commit_one();
	crash();
	ck_assert_ptr_null(wrong);
	meta_close(m);
	m = NULL;
	simdisk_power_cut(disk, 0);
	look(0, 0);
	ck_assert_ptr_null(wrong);
	ck_assert_uint_eq(states[0].serial, 2);
	end();
}
END_TEST

/* Each call to the disk during the opening may be the last one. */
START_TEST(an_opening_may_be_killed_anywhere)
{
	unsigned long n;
	unsigned checks;
	bool done = false;

	for (n = 0; !done; n++) {
		begin(6, all_rules);
		commit_one();
		barrier();
		commit_one();
		meta_close(m);
		m = NULL;
		if (_i)
			simdisk_power_cut(disk, 50);
		else
			simdisk_crash(disk);
		simdisk_halt_after(disk, n);
		done = open_again(&checks) == 0;
		ck_assert_int_eq(done, !simdisk_halted(disk));
		meta_close(m);
		m = NULL;
		/* On the second time: the power, on the way up. */
		simdisk_power_cut(disk, 50);
		look(durable, _i ? durable : last);
		ck_assert_msg(!wrong, "call %lu: %s", n, wrong);
		end();
		ck_assert_uint_lt(n, 1000);
	}
	ck_assert_uint_gt(n, 10);
}
END_TEST

START_TEST(a_forged_boot_id_is_another_boot)
{
	struct meta_slot slot[2];
	unsigned i, at;
	int fd;

	begin(7, all_rules);
	commit_one();
	barrier();
	at = durable;
	commit_one();
	meta_close(m);
	m = NULL;
	simdisk_crash(disk);
	fd = disk_open(disk, "barrier", O_RDWR, 0);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(disk_pread(disk, fd, &slot[i], sizeof(slot[i]),
					    i * 512),
				 sizeof(slot[i]));
		memcpy(slot[i].boot, "another", 8);
		if (_i) /* and its sum is right */
			slot[i].crc = crc64nvme(
				0, &slot[i], offsetof(struct meta_slot, crc));
		ck_assert_int_eq(disk_pwrite(disk, fd, &slot[i],
					     sizeof(slot[i]), i * 512),
				 0);
	}
	disk_close(disk, fd);
	/* Without one slot that is whole, nothing was ever recorded. */
	if (!_i) {
		memset(&states[STATES - 1], 0, sizeof(states[0]));
		at = STATES - 1;
	}
	look(at, at);
	ck_assert_ptr_null(wrong);
	ck_assert(!report.same_boot && report.cut);
	end();
}
END_TEST

START_TEST(a_failed_sync_of_the_log_is_final)
{
	struct meta_mark mark;

	begin(8, all_rules);
	commit_one();
	ck_assert_int_eq(meta_mark(m, &mark), 0);
	simdisk_fail(disk, SIM_FDATASYNC, 1 + (unsigned long)_i, -EIO, false);
	ck_assert_int_eq(meta_barrier(m, &mark), -EIO);
	ck_assert_int_eq(meta_barrier(m, &mark), -EIO);
	ck_assert_int_eq(meta_begin(m), -EIO);
	ck_assert_uint_lt(meta_commits_durable(m), meta_commits(m));
	end();
}
END_TEST

START_TEST(a_checkpoint_waits_for_its_barrier)
{
	begin(9, all_rules);
	commit_one();
	ck_assert_int_eq(meta_checkpoint(m), -EAGAIN);
	ck_assert_int_eq(blobs_sync(), 0);
	do
		barrier();
	while (durable != last);
	ck_assert_int_eq(meta_checkpoint(m), 0);
	commit_one();
	ck_assert_int_eq(meta_checkpoint(m), -EAGAIN);
	cut();
	ck_assert_ptr_null(wrong);
	end();
}
END_TEST

START_TEST(the_reserve_is_there_for_a_full_disk)
{
	struct meta_opts opts = { .source = "mem://", .ballast = 1 << 20 };
	struct disk_space sp;
	unsigned i;

	begin(10, all_rules);
	meta_close(m);
	simdisk_crash(disk);
	ck_assert_int_eq(meta_open(sim_host(sim), &opts, &m, &report), 0);
	ck_assert_int_eq(disk_space(disk, &sp), 0);
	simdisk_set_capacity(disk, sp.total - sp.avail + 64 * 1024);
	for (i = 0; i < 5; i++) {
		struct meta_object o = { .ino = 1 };
		unsigned k;

		ck_assert_int_eq(meta_begin(m), 0);
		for (k = 0; k < 40; k++) {
			memset(o.key, 'a', 1000);
			(void)snprintf(o.key, 9, "%8u", i * 100 + k);
			o.key[8] = 'b';
			ck_assert_int_eq(meta_object_set(m, &o), 0);
		}
		ck_assert_int_eq(meta_commit(m), 0);
		meta_end(m);
	}
	ck_assert_int_eq(disk_open(disk, "ballast", O_RDONLY, 0), -ENOENT);
	end();
}
END_TEST

static void add(TCase *c)
{
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, a_history_ends_in_a_state_that_was_promised, 0,
			    HISTORIES);
	tcase_add_loop_test(c, histories_find_out_a_broken_rule, 0,
			    sizeof(broken) / sizeof(broken[0]));
	tcase_add_test(c, a_crash_keeps_every_commit);
	tcase_add_test(c, a_power_cut_goes_back_to_the_barrier);
	tcase_add_loop_test(c,
			    a_missing_blob_tells_that_the_page_cache_was_lost,
			    0, sizeof(misses) / sizeof(misses[0]));
	tcase_add_test(c, a_check_that_fails_otherwise_ends_the_open);
	tcase_add_test(c, a_mount_makes_durable_what_a_dead_process_left);
	tcase_add_loop_test(c, an_opening_may_be_killed_anywhere, 0, 2);
	tcase_add_loop_test(c, a_forged_boot_id_is_another_boot, 0, 2);
	tcase_add_loop_test(c, a_failed_sync_of_the_log_is_final, 0, 2);
	tcase_add_test(c, a_checkpoint_waits_for_its_barrier);
	tcase_add_test(c, the_reserve_is_there_for_a_full_disk);
}

int main(void)
{
	return harness_run("meta_recover", add);
}
