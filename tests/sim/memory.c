/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

void *nth_malloc(size_t n);
void *nth_calloc(size_t k, size_t n);
void *nth_realloc(void *p, size_t n);
char *nth_strdup(const char *s);
char *nth_strndup(const char *s, size_t n);
void nth_exit(int status) __attribute__((noreturn));
void nth_abort(void) __attribute__((noreturn));

static struct {
	bool on, for_ever, was_hit;
	enum memory_whose whose;
	unsigned held;
	unsigned long left;
} plan;

static bool fails(enum memory_whose whose)
{
	if (!plan.on || plan.held || plan.whose != whose)
		return false;
	if (plan.left > 1) {
		plan.left--;
		return false;
	}
	plan.on = plan.for_ever;
	plan.was_hit = true;
	return true;
}

void memory_fail(enum memory_whose whose, unsigned long n, bool for_ever)
{
	plan.on = true;
	plan.for_ever = for_ever;
	plan.whose = whose;
	plan.left = n;
}

void memory_heal(void)
{
	plan.on = plan.was_hit = false;
}

void memory_hold(void)
{
	plan.held++;
}

void memory_go_on(void)
{
	plan.held--;
}

/* ---- the library's */

void *nth_malloc(size_t n)
{
	return fails(MEMORY_LIBRARY) ? NULL : malloc(n);
}

void *nth_calloc(size_t k, size_t n)
{
	return fails(MEMORY_LIBRARY) ? NULL : calloc(k, n);
}

void *nth_realloc(void *p, size_t n)
{
	return fails(MEMORY_LIBRARY) ? NULL : realloc(p, n);
}

char *nth_strdup(const char *s)
{
	return fails(MEMORY_LIBRARY) ? NULL : strdup(s);
}

char *nth_strndup(const char *s, size_t n)
{
	return fails(MEMORY_LIBRARY) ? NULL : strndup(s, n);
}

void nth_exit(int status)
{
	exit(plan.was_hit ? MEMORY_GAVE_UP : status);
}

void nth_abort(void)
{
	if (plan.was_hit)
		exit(MEMORY_GAVE_UP);
	abort();
}

/* ---- SQLite's */

static sqlite3_mem_methods given;

static void *sqlite_malloc(int n)
{
	return fails(MEMORY_SQLITE) ? NULL : given.xMalloc(n);
}

static void *sqlite_realloc(void *p, int n)
{
	return fails(MEMORY_SQLITE) ? NULL : given.xRealloc(p, n);
}

void memory_init(void)
{
	sqlite3_mem_methods hooked;

	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &given) != SQLITE_OK)
		abort();
	hooked = given;
	hooked.xMalloc = sqlite_malloc;
	hooked.xRealloc = sqlite_realloc;
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &hooked) != SQLITE_OK)
		abort();
}
