/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdlib.h>
#include <time.h>

#include "ckptfs/clock.h"

static int64_t now_ns(clockid_t id)
{
	struct timespec t;

	if (clock_gettime(id, &t) != 0)
		abort();
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int64_t system_mono_ns(const struct clk *c)
{
	return now_ns(CLOCK_MONOTONIC);
}

static int64_t system_real_ns(const struct clk *c)
{
	return now_ns(CLOCK_REALTIME);
}

const struct clk clk_system = {
	.mono_ns = system_mono_ns,
	.real_ns = system_real_ns,
};
