/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "ckptfs/disk.h"
#include "ckptfs/host.h"

#include "harness.h"
#include "meta_db.h"

struct sim *sim;
struct meta *m;
struct meta_report report;
const char odd[11] = "\x01 \xff\xfe'\"%\\\n\t";
char seen[4096];

static const struct meta_opts opts = { .source = "mem://" };

void reopen(void)
{
	meta_close(m);
	m = NULL;
	if (report.epoch)
		simdisk_crash(sim_host(sim)->disk);
	ck_assert_int_eq(meta_open(sim_host(sim), &opts, &m, &report), 0);
}

void begin(void)
{
	ck_assert_int_eq(meta_begin(m), 0);
}

void commit(void)
{
	ck_assert_int_eq(meta_commit(m), 0);
	meta_end(m);
}

void setup(void)
{
	memset(&report, 0, sizeof(report));
	sim = sim_new(7);
	reopen();
	begin();
}

void teardown(void)
{
	meta_close(m);
	m = NULL;
	ck_assert_uint_eq(simdisk_open_handles(sim_host(sim)->disk), 0);
	sim_free(sim);
}

void over_a_crash(void)
{
	commit();
	reopen();
	begin();
}

void note(const char *s, uint64_t n)
{
	size_t len = strlen(seen);

	(void)snprintf(seen + len, sizeof(seen) - len, "%s:%llu ", s,
		       (unsigned long long)n);
}
