/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <sqlite3.h>
#include <string.h>

#include "rows.h"

int __real_sqlite3_step(sqlite3_stmt *s);
int __wrap_sqlite3_step(sqlite3_stmt *s);

static struct {
	bool on, full, for_ever;
	unsigned held;
	unsigned long left;
} plan;

static bool is_rollback(sqlite3_stmt *s)
{
	return strcmp(sqlite3_sql(s), "ROLLBACK") == 0;
}

int __wrap_sqlite3_step(sqlite3_stmt *s)
{
	if (!plan.on || plan.held || is_rollback(s) || plan.left-- > 1)
		return __real_sqlite3_step(s);
	plan.left = 1;
	plan.on = plan.for_ever;
	return plan.full ? SQLITE_FULL : SQLITE_IOERR_READ;
}

void rows_fail(unsigned long n, bool full, bool for_ever)
{
	plan.on = true;
	plan.full = full;
	plan.for_ever = for_ever;
	plan.left = n;
}

void rows_heal(void)
{
	plan.on = false;
}

void rows_hold(void)
{
	plan.held++;
}

void rows_go_on(void)
{
	plan.held--;
}
