/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that only takes up room.  When the disk is full the database gives it
 * up, so that what makes room (deletes, results of uploads) can still be
 * written; it is made again at a checkpoint, when there is room to spare.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>

#include "ckptfs/disk.h"
#include "ckptfs/log.h"

#include "meta/internal.h"

#define LOG_MODULE "meta"

static int allocate(struct meta *m)
{
	struct disk *d = m->host.disk;
	struct disk_space space;
	struct disk_stat st;
	int fd, r;

	fd = disk_open(d, META_BALLAST, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return fd;
	r = disk_stat(d, fd, &st);
	if (r == 0 && st.alloc < m->ballast_size) {
		r = disk_space(d, &space);
		if (r == 0 && space.avail < 2 * m->ballast_size)
			r = -ENOSPC;
		if (r == 0)
			r = disk_allocate(d, fd, 0, m->ballast_size);
	}
	disk_close(d, fd);
	/* Half of it would only hurt. */
	if (r < 0 && disk_unlink(d, META_BALLAST) < 0)
		log_warn("%s cannot be removed", META_BALLAST);
	return r;
}

void ballast_make(struct meta *m)
{
	int r;

	if (m->has_ballast || m->ballast_size == 0)
		return;
	r = allocate(m);
	m->has_ballast = r == 0;
	if (r < 0)
		log_line(LOG_LV_WARN, LOG_MODULE, r,
			 "no room is kept back for the database");
}

bool ballast_drop(void *meta)
{
	struct meta *m = meta;

	if (!m->has_ballast)
		return false;
	m->has_ballast = false;
	log_warn("the disk is full: the database uses its reserve");
	return disk_unlink(m->host.disk, META_BALLAST) == 0;
}
