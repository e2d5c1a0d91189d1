/* SPDX-License-Identifier: Apache-2.0 */
/* What is asserted with libcheck where no test of it runs: the rig's own
 * assertions, in a fuzz target. */
#include "config.h"

#include <check.h>
#include <stdarg.h>

#include "fuzz.h"

void _mark_point(const char *file, int line)
{
}

void _ck_assert_failed(const char *file, int line, const char *expr,
		       const char *msg, ...)
{
	va_list ap;

	(void)fprintf(stderr, "%s:%d: %s: ", file, line, expr);
	if (msg) {
		va_start(ap, msg);
		(void)vfprintf(stderr, msg, ap);
		va_end(ap);
	}
	(void)fputc('\n', stderr);
	abort();
}
