/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the rows can be true: for fsck. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "meta/internal.h"

static int each_damage(struct meta *m, meta_fault_fn *fn, void *arg)
{
	char text[512];
	struct run r;
	int stop = 0, err;

	row_begin(&r, m, Q_CHECK_DAMAGE);
	while (stop == 0 && run_step(&r) == 1) {
		col_str(&r, text, sizeof(text));
		if (strcmp(text, "ok") != 0)
			stop = fn(arg, META_FAULT_DAMAGE, 0, text);
	}
	err = run_end(&r);
	return err < 0 ? err : stop;
}

static int each_row(struct meta *m, enum query q, enum meta_fault kind,
		    meta_fault_fn *fn, void *arg)
{
	char name[META_NAME_MAX + 1];
	struct run r;
	uint64_t ino;
	int stop = 0, err;

	row_begin(&r, m, q);
	while (stop == 0 && run_step(&r) == 1) {
		ino = col_u64(&r);
		col_str(&r, name, sizeof(name));
		stop = fn(arg, kind, ino, name);
	}
	err = run_end(&r);
	return err < 0 ? err : stop;
}

int meta_check(struct meta *m, meta_fault_fn *fn, void *arg)
{
	int r = each_damage(m, fn, arg);

	if (r == 0)
		r = each_row(m, Q_CHECK_NAME, META_FAULT_NAME, fn, arg);
	if (r == 0)
		r = each_row(m, Q_CHECK_CONTENT, META_FAULT_CONTENT, fn, arg);
	if (r == 0)
		r = each_row(m, Q_CHECK_NAMELESS, META_FAULT_NAMELESS, fn,
			     arg);
	return r;
}

int meta_mend(struct meta *m)
{
	static const enum query mend[] = { Q_MEND_NAME, Q_MEND_CONTENT,
					   Q_MEND_NAMELESS };
	struct run r;
	unsigned i;
	int err = 0;

	for (i = 0; err == 0 && i < ARRAY_SIZE(mend); i++) {
		row_begin(&r, m, mend[i]);
		err = run_do(&r, false);
	}
	return err;
}
