/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/disk.h"

#include "metabed.h"

struct sim *bed_sim;
struct meta *bed_meta;

void bed_reopen(void)
{
	static const struct meta_opts opts = { .source = "mem://a",
					       .ballast = 4096 };
	struct meta_report report;

	meta_close(bed_meta);
	bed_meta = NULL;
	ck_assert_int_eq(
		meta_open(sim_host(bed_sim), &opts, &bed_meta, &report), 0);
}

void bed_setup(void)
{
	bed_sim = sim_new(1);
	bed_reopen();
}

void bed_teardown(void)
{
	meta_close(bed_meta);
	bed_meta = NULL;
	ck_assert_uint_eq(simdisk_open_handles(sim_host(bed_sim)->disk), 0);
	sim_free(bed_sim);
}

void bed_begin(void)
{
	ck_assert_int_eq(meta_begin(bed_meta), 0);
}

void bed_commit(void)
{
	ck_assert_int_eq(meta_commit(bed_meta), 0);
	meta_end(bed_meta);
}

void bed_settle_boot(void)
{
	bed_begin();
	ck_assert_int_eq(meta_boot_settled(bed_meta), 0);
	bed_commit();
}

uint64_t bed_add_op(const char *key)
{
	struct meta_op op = { .kind = META_OP_DEL };

	snprintf(op.key, sizeof(op.key), "%s", key);
	ck_assert_int_eq(meta_op_add(bed_meta, &op), 0);
	return op.seq;
}

int bed_see(struct seen *s, const char *name)
{
	size_t at = strlen(s->names);

	s->n++;
	snprintf(s->names + at, sizeof(s->names) - at, "%s,", name);
	return s->n == s->stop_at ? 7 : 0;
}
