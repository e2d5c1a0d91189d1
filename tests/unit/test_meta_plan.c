/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <string.h>

#include "harness.h"
#include "meta/internal.h"

/* What is on the disk, and what follows.  The log has 9 frames. */
static const struct {
	const char *slot, *now; /* boot ids */
	enum slot_kind kind;
	bool db, there, header, same_log;
	uint32_t recorded;
	enum plan_kind want;
	uint32_t frames;
	bool uncovered;
} cases[] = {
	/* nothing, or never more than begun */
	{ "", "b", SLOT_NONE, false, false, false, false, 0, PLAN_FRESH, 0, 0 },
	{ "", "b", SLOT_NONE, false, true, true, false, 0, PLAN_FRESH, 0, 0 },
	{ "", "b", SLOT_CREATING, false, false, false, false, 0, PLAN_FRESH, 0,
	  0 },
	{ "", "b", SLOT_CREATING, true, true, true, true, 0, PLAN_FRESH, 0, 0 },
	/* what cannot be */
	{ "", "b", SLOT_NONE, true, true, true, false, 0, PLAN_REFUSE, 0, 0 },
	{ "b", "b", SLOT_RECORD, false, true, true, true, 9, PLAN_REFUSE, 9,
	  0 },
	{ "b", "b", SLOT_RECORD, true, false, false, false, 9, PLAN_REFUSE, 0,
	  0 },
	{ "b", "b", SLOT_RECORD, true, true, true, true, 10, PLAN_REFUSE, 10,
	  0 },
	{ "a", "b", SLOT_RECORD, true, true, true, true, 10, PLAN_REFUSE, 10,
	  0 },
	/* the process died */
	{ "b", "b", SLOT_RECORD, true, true, true, true, 9, PLAN_WHOLE, 9, 0 },
	{ "b", "b", SLOT_RECORD, true, true, true, true, 4, PLAN_WHOLE, 4, 1 },
	{ "b", "b", SLOT_RECORD, true, true, true, false, 99, PLAN_WHOLE, 0,
	  1 },
	/* the power went, or who knows */
	{ "a", "b", SLOT_RECORD, true, true, true, true, 9, PLAN_CUT, 9, 0 },
	{ "a", "b", SLOT_RECORD, true, true, true, true, 4, PLAN_CUT, 4, 0 },
	{ "a", "b", SLOT_RECORD, true, true, true, false, 99, PLAN_CUT, 0, 0 },
	{ "", "b", SLOT_RECORD, true, true, true, true, 4, PLAN_CUT, 4, 0 },
	{ "", "", SLOT_RECORD, true, true, true, true, 4, PLAN_CUT, 4, 0 },
	{ "b", "", SLOT_RECORD, true, true, true, true, 4, PLAN_CUT, 4, 0 },
	/* a log whose header was being written anew */
	{ "a", "b", SLOT_RECORD, true, true, false, true, 4, PLAN_CUT, 0, 0 },
};

START_TEST(what_is_found_decides_what_is_done)
{
	struct slots slots = { .newest = { .kind = cases[_i].kind } };
	struct wal_info wal = { .there = cases[_i].there,
				.present = cases[_i].header };
	struct found f = { cases[_i].db, &slots, &wal, cases[_i].now };
	struct plan p;

	wal.frames = wal.present ? 9 : 0;
	wal.salt[7] = !cases[_i].same_log;
	slots.newest.frames = cases[_i].recorded;
	memcpy(slots.newest.boot, cases[_i].slot, strlen(cases[_i].slot) + 1);
	plan_recovery(&f, &p);
	ck_assert_int_eq(p.kind, cases[_i].want);
	ck_assert_uint_eq(p.frames, cases[_i].frames);
	ck_assert_int_eq(p.uncovered, cases[_i].uncovered);
	if (p.kind == PLAN_REFUSE)
		ck_assert_ptr_nonnull(p.why);
	if (p.kind != PLAN_WHOLE)
		return;
	/* The same, when the blobs turn out to be lost. */
	plan_cut(&f, &p);
	ck_assert_int_eq(p.kind, PLAN_CUT);
	ck_assert_uint_eq(p.frames, cases[_i].frames);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, what_is_found_decides_what_is_done, 0,
			    (int)ARRAY_SIZE(cases));
}

int main(void)
{
	return harness_run("meta plan", add);
}
