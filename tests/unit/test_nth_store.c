/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call to the store fails, once and for ever, before anything happened or
 * after it did (an answer that is lost): see nth_rig.h.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ckptfs/store.h"

#include "fs_rig.h"
#include "harness.h"
#include "nth_rig.h"

static const struct way {
	int err;
	enum store_fault_act act;
	bool for_ever;
} ways[] = {
	{ -EAGAIN, STORE_FAULT_BEFORE, false },
	{ -EAGAIN, STORE_FAULT_BEFORE, true },
	{ -ETIMEDOUT, STORE_FAULT_AFTER, false },
	{ -ETIMEDOUT, STORE_FAULT_AFTER, true },
	{ -ENETUNREACH, STORE_FAULT_HALF, false },
	{ -EPROTO, STORE_FAULT_AFTER, false },
	{ -EBADMSG, STORE_FAULT_BEFORE, false },
	{ -EACCES, STORE_FAULT_BEFORE, false },
	{ -EACCES, STORE_FAULT_BEFORE, true },
	{ -EINVAL, STORE_FAULT_BEFORE, false },
	{ -EINVAL, STORE_FAULT_BEFORE, true },
	{ -ENOSPC, STORE_FAULT_BEFORE, false },
	{ -ENOSPC, STORE_FAULT_BEFORE, true },
	{ -ENOMEM, STORE_FAULT_BEFORE, false },
	{ -EIO, STORE_FAULT_BEFORE, false },
	{ 0, STORE_FAULT_FLIP, false },
};

static unsigned calls(void)
{
	char *log = store_fault_log(bucket), *p;
	unsigned n = 0;

	ck_assert_ptr_nonnull(log);
	for (p = log; *p; p++)
		n += *p == '\n';
	free(log);
	return n;
}

/* Whether the n-th call was come to. */
static bool fail_nth(enum nth_program p, unsigned n, const struct way *w,
		     bool lives_on)
{
	const struct store_fault fault = { .skip = n - 1,
					   .count = w->for_ever ? 0 : 1,
					   .err = w->err,
					   .act = w->act };
	char what[128];
	unsigned before;
	bool hit;

	(void)snprintf(what, sizeof(what), "%s, call %u, way %d%s", nth_name(p),
		       n, (int)(w - ways), lives_on ? "" : ", and a crash");
	nth_begin(p);
	before = calls();
	ck_assert_int_eq(store_fault_set(bucket, &fault, 1), 0);
	nth_run(p, w->for_ever);
	hit = calls() >= before + n;
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	nth_check(p, lives_on, what);
	nth_end();
	return hit;
}

START_TEST(each_call_to_the_store_fails)
{
	enum nth_program p = (enum nth_program)(_i / (int)ARRAY_SIZE(ways));
	const struct way *w = &ways[(unsigned)_i % ARRAY_SIZE(ways)];
	unsigned n = 1;

	while (fail_nth(p, n, w, true))
		n++;
	while (--n > 0)
		(void)fail_nth(p, n, w, false);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, each_call_to_the_store_fails, 0,
			    NTH_PROGRAMS * (int)ARRAY_SIZE(ways));
}

int main(void)
{
	return harness_run("nth_store", add);
}
