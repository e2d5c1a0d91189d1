/* SPDX-License-Identifier: Apache-2.0 */
/* Time, as a seam: tests use a clock they move by hand. */
#ifndef CKPTFS_CLOCK_H
#define CKPTFS_CLOCK_H

#include <stdint.h>

#include "ckptfs/compiler.h"

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define CLK_NEVER INT64_MAX

struct clk {
	int64_t (*mono_ns)(const struct clk *c); /* never goes back */
	int64_t (*real_ns)(const struct clk *c); /* since 1970, UTC */
};

static inline int64_t clk_mono(const struct clk *c)
{
	return c->mono_ns(c);
}

static inline int64_t clk_real(const struct clk *c)
{
	return c->real_ns(c);
}

/* The machine's own clock. */
extern const struct clk clk_system;

#endif
