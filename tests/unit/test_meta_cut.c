/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random lives of a database on the simulated disk: commits, barriers, commits
 * while and after one is made, checkpoints, failing syncs; then the process
 * dies or the power goes, at any call.  What is found at the next open is
 * compared with what was true.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/disk.h"

#include "harness.h"
#include "meta/internal.h"
#include "sim.h"

#define HISTORIES 300
#define LIVES 5
#define KEYS 40
#define MAX_COMMITS 600

/* The database after so many commits: what each key says. */
struct state {
	unsigned value[KEYS];
};

struct world {
	struct sim *sim;
	struct disk *disk;
	struct meta *m;
	struct meta_rules rules;
	uint64_t random;
	struct state states[MAX_COMMITS];
	unsigned now; /* commits that succeeded; also the root's size */
	bool in_doubt; /* one more may have */
	unsigned durable; /* covered by a barrier that succeeded */
	unsigned flying; /* covered by one that did not, else the same */
	unsigned opening; /* and by that of an opening cut short after it */
	unsigned wrong;
	const char *why;
};

static unsigned draw(struct world *w, unsigned below)
{
	uint64_t x = w->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	return (unsigned)((x ^ (x >> 32)) % below);
}

static void key_of(unsigned i, struct meta_object *o)
{
	/* Long, so that a few of them fill a page. */
	memset(o->key, 'k', 600);
	snprintf(o->key + 600, 8, "%u", i);
}

/* ---- one life ---- */

static int change_keys(struct world *w, struct state *s)
{
	struct meta_object o = { .ino = 1 };
	unsigned i, n = 1 + draw(w, 8);
	int r = 0;

	while (r == 0 && n-- > 0) {
		i = draw(w, KEYS);
		key_of(i, &o);
		s->value[i] = draw(w, 4) ? 1 + draw(w, 1000) : 0;
		o.size = s->value[i];
		r = s->value[i] ? meta_object_set(w->m, &o)
				: meta_object_del(w->m, o.key);
		r = r == -ENOENT ? 0 : r;
	}
	return r;
}

static int commit(struct world *w)
{
	struct state next = w->states[w->now];
	struct meta_inode root;
	int r = meta_begin(w->m);

	if (r < 0)
		return r;
	r = change_keys(w, &next);
	if (r == 0)
		r = meta_inode_get(w->m, META_ROOT_INO, &root);
	if (r == 0) {
		root.size = w->now + 1;
		r = meta_inode_set(w->m, &root);
	}
	if (r == 0) {
		w->in_doubt = true;
		ck_assert_uint_lt(w->now + 1, MAX_COMMITS);
		w->states[w->now + 1] = next;
		r = meta_commit(w->m);
	}
	meta_end(w->m);
	if (r == 0) {
		w->now++;
		w->in_doubt = false;
	}
	return r;
}

static int commits(struct world *w, unsigned n)
{
	int r = 0;

	while (r == 0 && n-- > 0)
		r = commit(w);
	return r;
}

static int barrier(struct world *w)
{
	struct meta_mark mark;
	int r;

	ck_assert_int_eq(meta_mark(w->m, &mark), 0);
	w->flying = w->now;
	r = commits(w, draw(w, 3) ? 0 : 1 + draw(w, 2));
	if (r == 0)
		r = meta_barrier(w->m, &mark);
	if (r == 0)
		w->durable = w->flying;
	return r;
}

static int checkpoint(struct world *w)
{
	int r = commits(w, draw(w, 3));

	if (r == 0)
		r = meta_checkpoint(w->m);
	return r == -EAGAIN ? 0 : r;
}

static void live(struct world *w)
{
	unsigned steps = 5 + draw(w, 40);
	int r = 0;

	if (draw(w, 2))
		simdisk_halt_after(w->disk, draw(w, 400));
	while (r == 0 && steps-- > 0) {
		r = commit(w);
		if (draw(w, 60) == 0)
			simdisk_fail(w->disk, SIM_FDATASYNC, 1, -EIO, false);
		if (r == 0 && draw(w, 5) == 0)
			r = barrier(w);
		if (r == 0 && draw(w, 8) == 0)
			r = checkpoint(w);
	}
}

/* ---- after it ---- */

static void is_wrong(struct world *w, const char *why)
{
	w->wrong++;
	w->why = why;
}

static bool is_sound(struct world *w)
{
	sqlite3_stmt *s = NULL;
	bool ok = false;

	if (sqlite3_prepare_v2(w->m->db, "PRAGMA integrity_check", -1, &s,
			       NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		ok = strcmp((const char *)sqlite3_column_text(s, 0), "ok") == 0;
	sqlite3_finalize(s);
	return ok;
}

static bool has_state(struct world *w, const struct state *s)
{
	struct meta_object o = { .ino = 1 }, got;
	unsigned i;
	int r;

	for (i = 0; i < KEYS; i++) {
		key_of(i, &o);
		r = meta_object_get(w->m, o.key, &got);
		if (r == -ENOENT ? s->value[i] != 0
				 : r != 0 || got.size != s->value[i])
			return false;
	}
	return true;
}

/* How many commits the database says there were. */
static unsigned commits_found(struct world *w)
{
	struct meta_inode root;

	if (meta_inode_get(w->m, META_ROOT_INO, &root) < 0)
		return MAX_COMMITS;
	return (unsigned)root.size;
}

static void look(struct world *w, bool same_boot)
{
	unsigned n;

	ck_assert_int_eq(meta_begin(w->m), 0);
	n = commits_found(w);
	if (!is_sound(w))
		is_wrong(w, "corrupt");
	else if (n >= MAX_COMMITS)
		is_wrong(w, "unreadable");
	else if (same_boot && n != w->now && !(w->in_doubt && n == w->now + 1))
		is_wrong(w, "a commit is lost though only the process died");
	else if (!same_boot && n != w->durable && n != w->flying &&
		 n != w->opening)
		is_wrong(w, "not the state of a barrier");
	else if (!has_state(w, &w->states[n]))
		is_wrong(w, "a mixture of states");
	meta_end(w->m);
	/* The open has made a barrier. */
	w->now = w->durable = w->flying = w->opening = n;
	w->in_doubt = false;
}

static bool die(struct world *w)
{
	static const unsigned keep[] = { 0, 30, 70, 100 };
	bool power = draw(w, 3) != 0;

	meta_close(w->m);
	w->m = NULL;
	simdisk_heal(w->disk);
	if (power)
		simdisk_power_cut(w->disk, keep[draw(w, 4)]);
	else
		simdisk_crash(w->disk);
	return !power;
}

static int try_open(struct world *w)
{
	const struct meta_opts opts = { .source = "mem://a" };
	struct meta_report report;

	return meta_open_rules(sim_host(w->sim), &opts, &w->rules, &w->m,
			       &report);
}

/* Open what is left; often that is cut short too, once or twice. */
static bool reopen(struct world *w, bool same_boot)
{
	unsigned tries = draw(w, 3);

	while (tries-- > 0) {
		simdisk_halt_after(w->disk, draw(w, 60));
		if (try_open(w) == 0)
			break;
		/* It may have come as far as its own barrier, with all there
		 * was. */
		if (same_boot)
			w->opening = w->now;
		if (!die(w))
			same_boot = false;
	}
	simdisk_heal(w->disk);
	if (!w->m && try_open(w) < 0) {
		is_wrong(w, "cannot be opened");
		return false;
	}
	look(w, same_boot);
	return w->wrong == 0;
}

static bool run(uint64_t seed, const struct meta_rules *rules, const char **why)
{
	struct world *w = calloc(1, sizeof(*w));
	unsigned lives = 1;
	bool good;

	ck_assert_ptr_nonnull(w);
	w->sim = sim_new(seed);
	w->disk = sim_host(w->sim)->disk;
	w->rules = *rules;
	w->random = seed;
	lives += draw(w, LIVES);
	good = reopen(w, true);
	while (good && lives-- > 0) {
		live(w);
		good = reopen(w, die(w));
	}
	*why = w->why;
	meta_close(w->m);
	sim_free(w->sim);
	free(w);
	return good;
}

/* ---- the tests ---- */

static const struct meta_rules all;

static bool some_go_wrong(const struct meta_rules *rules)
{
	unsigned seed;
	const char *why;

	for (seed = 1; seed <= HISTORIES; seed++)
		if (!run(seed, rules, &why))
			return true;
	return false;
}

START_TEST(f11_what_is_found_is_the_state_of_the_last_barrier)
{
	const char *why;

	if (!run((uint64_t)_i, &all, &why))
		ck_abort_msg("history %d: %s", _i, why);
}
END_TEST

START_TEST(without_the_cut_it_is_not)
{
	struct meta_rules rules = all;

	rules.no_cut = true;
	ck_assert(some_go_wrong(&rules));
}
END_TEST

START_TEST(with_a_checkpoint_of_more_than_the_barrier_it_is_not)
{
	struct meta_rules rules = all;

	rules.checkpoint_any = true;
	ck_assert(some_go_wrong(&rules));
}
END_TEST

START_TEST(with_trust_in_what_failed_to_sync_it_is_not)
{
	struct meta_rules rules = all;

	rules.no_rewrite = true;
	ck_assert(some_go_wrong(&rules));
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c,
			    f11_what_is_found_is_the_state_of_the_last_barrier,
			    1, 1 + harness_loops(HISTORIES));
	tcase_add_test(c, without_the_cut_it_is_not);
	tcase_add_test(c, with_a_checkpoint_of_more_than_the_barrier_it_is_not);
	tcase_add_test(c, with_trust_in_what_failed_to_sync_it_is_not);
}

int main(void)
{
	return harness_run("meta cut", add);
}
