/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a barrier that syncs bytes. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "ckptfs/cache.h"
#include "ckptfs/disk.h"
#include "ckptfs/host.h"
#include "ckptfs/log.h"
#include "ckptfs/meta.h"

#include "barrier.h"

#define LOG_MODULE "barrier"

static void due_free(struct barrier *b, struct due *d)
{
	cache_blob_close(b->deps.cache, d->fd);
	free(d);
}

void barrier_due_free(struct barrier *b, struct due **due)
{
	struct due *d, *next;

	HASH_ITER(hh, *due, d, next)
	{
		HASH_DEL(*due, d);
		due_free(b, d);
	}
}

void barrier_due_list_free(struct barrier *b, struct due *list)
{
	struct due *d, *next;

	LL_FOREACH_SAFE(list, d, next)
	due_free(b, d);
}

/* No row says what was lost, and the next mount must not take it for written: it
 * finds what the last barrier covers. */
static int not_said(struct barrier *b, int err)
{
	(void)log_err(err, "poison a version");
	if (meta_disbelieve(b->deps.meta) < 0)
		log_warn("and the barrier file cannot say so");
	return err;
}

/* d is out of its table; from now on it is never synced again. */
static int poison(struct barrier *b, struct due *d)
{
	uint64_t blob = d->blob;
	int r;

	log_line(LOG_LV_ERR, LOG_MODULE, -EIO,
		 "the cache disk lost bytes of blob %016llx",
		 (unsigned long long)blob);
	cache_blob_close(b->deps.cache, d->fd);
	d->fd = -1;
	lock_acquire(&b->lock);
	b->poisoned = true;
	HASH_ADD(hh, b->lost, blob, sizeof(d->blob), d);
	if (!d->hh.tbl)
		free(d);
	lock_release(&b->lock);
	r = b->deps.poison(b->deps.arg, blob);
	return r < 0 ? not_said(b, r) : 0;
}

static int sync_all(struct barrier *b, struct batch *t, bool *ret_poisoned)
{
	struct due *d, *next;
	int r;

	r = disk_syncfs(b->deps.host->disk);
	if (r == 0) {
		barrier_due_free(b, &t->due);
		return 0;
	}
	(void)log_err(r, "syncfs of the cache disk");
	/* Any of those that no barrier covers: nobody else can be named. */
	if (t->all) {
		r = b->deps.poison_all ? b->deps.poison_all(b->deps.arg) : 0;
		return r < 0 ? not_said(b, r) : -EIO;
	}
	*ret_poisoned = true;
	r = 0;
	HASH_ITER(hh, t->due, d, next)
	{
		HASH_DEL(t->due, d);
		if (r == 0)
			r = poison(b, d);
		else
			due_free(b, d);
	}
	return r;
}

static int sync_each(struct barrier *b, struct batch *t, bool *ret_poisoned)
{
	struct disk *disk = b->deps.host->disk;
	struct due *d, *next;
	int r = 0;

	/* All at once is twice as fast as one after the other. */
	if (HASH_COUNT(t->due) > 1)
		HASH_ITER(hh, t->due, d, next)
	disk_writeback(disk, d->fd, 0, INT64_MAX);
	HASH_ITER(hh, t->due, d, next)
	{
		HASH_DEL(t->due, d);
		if (r == 0 && disk_fdatasync(disk, d->fd) < 0) {
			*ret_poisoned = true;
			r = poison(b, d);
		} else {
			due_free(b, d);
		}
	}
	return r;
}

int barrier_sync_bytes(struct barrier *b, struct batch *t, bool *ret_poisoned)
{
	bool all = t->all || HASH_COUNT(t->due) > BARRIER_EACH_MAX;
	int r;

	r = all ? sync_all(b, t, ret_poisoned) : sync_each(b, t, ret_poisoned);
	barrier_due_free(b, &t->due);
	t->all = false;
	return r;
}
