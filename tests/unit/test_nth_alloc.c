/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of the library, and each 13th of SQLite's, fails, once and for
 * ever: see nth_rig.h.  libnth.a is the library with the allocator's names
 * replaced by those below, so that what the simulated machine allocates is left
 * alone.  Each moment in a process of its own: where memory cannot be had the
 * library may end it (a table in memory would no longer be what the database
 * says), which is a crash like any other: test_sim_crash has them all.
 */
#include "config.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "nth_rig.h"

/* What a process of the walk comes to. */
enum { HIT, RAN_THROUGH, GAVE_UP };

void *nth_malloc(size_t n);
void *nth_calloc(size_t k, size_t n);
void *nth_realloc(void *p, size_t n);
char *nth_strdup(const char *s);
char *nth_strndup(const char *s, size_t n);
void nth_exit(int status) __attribute__((noreturn));
void nth_abort(void) __attribute__((noreturn));

static struct {
	bool on, for_ever, sqlite; /* whose */
	unsigned long seen, n;
} plan;

static bool fails(bool sqlite)
{
	if (!plan.on || plan.sqlite != sqlite)
		return false;
	plan.seen++;
	return plan.for_ever ? plan.seen >= plan.n : plan.seen == plan.n;
}

/* ---- the library's */

void *nth_malloc(size_t n)
{
	return fails(false) ? NULL : malloc(n);
}

void *nth_calloc(size_t k, size_t n)
{
	return fails(false) ? NULL : calloc(k, n);
}

void *nth_realloc(void *p, size_t n)
{
	return fails(false) ? NULL : realloc(p, n);
}

char *nth_strdup(const char *s)
{
	return fails(false) ? NULL : strdup(s);
}

char *nth_strndup(const char *s, size_t n)
{
	return fails(false) ? NULL : strndup(s, n);
}

static bool is_hit(void)
{
	return plan.seen >= plan.n;
}

void nth_exit(int status)
{
	if (is_hit())
		nth_leave(GAVE_UP);
	_exit(status);
}

void nth_abort(void)
{
	if (is_hit())
		nth_leave(GAVE_UP);
	abort();
}

/* ---- SQLite's */

static sqlite3_mem_methods given;

static void *sqlite_malloc(int n)
{
	return fails(true) ? NULL : given.xMalloc(n);
}

static void *sqlite_realloc(void *p, int n)
{
	return fails(true) ? NULL : given.xRealloc(p, n);
}

static void hook_sqlite(void)
{
	sqlite3_mem_methods hooked;

	ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &given),
			 SQLITE_OK);
	hooked = given;
	hooked.xMalloc = sqlite_malloc;
	hooked.xRealloc = sqlite_realloc;
	ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &hooked),
			 SQLITE_OK);
}

/* ---- the walk */

struct moment {
	enum nth_program p;
	const char *what;
};

static int run(void *arg)
{
	const struct moment *m = arg;

	plan.on = true;
	nth_run(m->p, plan.for_ever);
	plan.on = false;
	nth_check(m->p, false, m->what);
	nth_end();
	return is_hit() ? HIT : RAN_THROUGH;
}

static int fail_nth(enum nth_program p, unsigned long n)
{
	char what[128];
	struct moment m = { p, what };

	plan.n = n;
	(void)snprintf(what, sizeof(what), "%s, allocation %lu%s fails %s",
		       nth_name(p), n, plan.sqlite ? " of SQLite" : "",
		       plan.for_ever ? "for ever" : "once");
	return nth_fork(run, &m, what);
}

static void walk(enum nth_program p, unsigned long step)
{
	unsigned long n = 1;

	hook_sqlite();
	nth_begin(p);
	while (fail_nth(p, n) != RAN_THROUGH)
		n += step;
	ck_assert_uint_gt(n, 1);
	nth_end();
}

START_TEST(f25_each_allocation_fails)
{
	plan.for_ever = _i % 2;
	walk((enum nth_program)(_i / 2), harness_step());
}
END_TEST

/* It makes some hundred in a transaction, of which all but a few are alike. */
START_TEST(allocations_of_sqlite_fail)
{
	plan.sqlite = true;
	plan.for_ever = _i % 2;
	walk((enum nth_program)(_i / 2), 13UL * harness_step());
}
END_TEST

static void add(TCase *c)
{
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, f25_each_allocation_fails, 0, 2 * NTH_PROGRAMS);
	tcase_add_loop_test(c, allocations_of_sqlite_fail, 0, 2 * NTH_PROGRAMS);
}

int main(void)
{
	return harness_run("nth_alloc", add);
}
