/* SPDX-License-Identifier: Apache-2.0 */
/* What waits for the disk, or for the bucket, and what it promises then. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "drive.h"

static bool any_open(const struct drive *d)
{
	int i;

	for (i = 0; i < HANDLES; i++)
		if (d->m.handle[i].used && d->m.handle[i].writes)
			return true;
	return false;
}

/* It gave up waiting for the bucket, as in the line another's seal is before it
 * that has its last word when that is closed, too. */
bool drive_gave_up(const struct drive *d, int r)
{
	return r == -EIO && any_open(d) &&
	       (d->w.in_force.fsync_remote ||
		d->w.in_force.close_mode == FS_REMOTE);
}

/* What close=local and close=remote promise. */
void drive_closed_well(struct drive *d, int path)
{
	struct shown now[PATHS];
	const struct item *e = &d->m.now->at[path];

	if (d->w.in_force.close_mode == FS_ASYNC || drive_disk_is_bad(d))
		return;
	d->m.durable = d->m.acked;
	if (d->w.in_force.close_mode == FS_LOCAL || e->held ||
	    d->m.alien[path] || e->loose)
		return;
	bucket_look(d->w.bucket, &d->m, now);
	if (!now[path].there || !same_bytes(now[path].b, e->pub))
		drive_fail(d, "%s is closed, and not in the bucket",
			   path_text(path));
}

void drive_sync_all(struct drive *d, int ms)
{
	uint64_t upto = 0;
	int acked = d->m.acked;

	if (fs_sync(d->w.fs, "", &upto, drive_now(d) + ms * NS_PER_MS) == 0 &&
	    !world_is_halted(&d->w))
		d->m.durable = acked;
}

void drive_sync_dir(struct drive *d, int dir)
{
	int r = 0, acked = d->m.acked;
	uint64_t ino = world_ino(&d->w, dir_text(dir), &r);

	if (!ino)
		return;
	r = fs_fsyncdir(d->w.fs, ino);
	if (world_is_halted(&d->w) || drive_is_excused(d, r))
		return;
	if (drive_gave_up(d, r))
		return;
	if (r < 0)
		drive_fail(d, "fsync of a folder: %s", strerror(-r));
	else
		d->m.durable = acked;
}
