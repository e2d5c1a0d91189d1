/* SPDX-License-Identifier: Apache-2.0 */
/*
 * At the end of a run: a cache that is well is said to be, and one whose
 * database somebody deleted still has every byte that the bucket never had.
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/fsck.h"

#include "drive.h"

static void on_found(void *arg, const char *text, bool mended)
{
	const struct drive *d = arg;

	if (d->trace)
		fprintf(stderr, "    fsck: %s%s\n", text,
			mended ? " (mended)" : "");
}

static int check(struct drive *d, bool fix, struct fsck_sums *ret)
{
	struct fsck_opts o = { .source = "mem://",
			       .prefix = WORLD_PREFIX,
			       .fix = fix,
			       .found = on_found,
			       .arg = d };

	return fsck_cache(sim_host(d->w.sim), &o, ret);
}

struct search {
	struct drive *d;
	bool found[PATHS];
};

static void on_kept(void *arg, const struct fs_kept *k, int err,
		    const char *words)
{
	struct search *s = arg;
	const struct bytes *b = drive_bytes_at(s->d, k->where);
	int i;

	(void)err;
	(void)words;
	for (i = 0; i < PATHS; i++)
		s->found[i] |= same_bytes(b, s->d->m.now->at[i].cur);
}

static void look_for_all(struct drive *d)
{
	struct fs_recover_what all = { .path = "" };
	struct search s = { .d = d };
	int i;

	(void)!fs_recover(d->w.fs, FS_RECOVER_LIST, &all, on_kept, &s);
	for (i = 0; i < PATHS; i++) {
		const struct item *e = &d->m.now->at[i];

		if (e->kind == REGULAR && e->held && !e->loose && e->cur->n &&
		    !s.found[i])
			drive_fail(d, "%s is lost with the database",
				   path_text(i));
	}
}

void drive_check_lost(struct drive *d)
{
	struct fsck_sums sums;
	int r = check(d, true, &sums); /* a download was under way, perhaps */

	if (r == 0 && sums.found == sums.mended)
		r = check(d, false, &sums);
	if (r < 0 || sums.found) {
		drive_fail(d, "fsck of a cache that is well: %s, %llu found",
			   strerror(-r), (unsigned long long)sums.found);
		return;
	}
	if (disk_unlink(d->w.disk, "db") < 0)
		abort();
	(void)!disk_unlink(d->w.disk, "db-wal");
	r = check(d, true, &sums);
	if (r < 0 || sums.found != sums.mended)
		drive_fail(d, "a lost database is not made again: %s",
			   strerror(-r));
	else if (world_mount(&d->w) < 0)
		drive_fail(d, "a database made again is not mounted");
	else
		look_for_all(d);
	world_unmount(&d->w);
}
