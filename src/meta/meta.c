/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "ckptfs/disk.h"
#include "ckptfs/log.h"

#include "meta/internal.h"

#define LOG_MODULE "meta"

static int alloc(const struct host *host, const struct meta_opts *opts,
		 const struct meta_rules *rules, struct meta **ret)
{
	struct meta *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->host = *host;
	m->rules = *rules;
	m->barrier_fd = -1;
	m->log_limit = opts->log_limit;
	m->ballast_size = opts->ballast;
	r = vfs_new(host, &m->vfs);
	if (r < 0) {
		free(m);
		return r;
	}
	vfs_on_full(m->vfs, ballast_drop, m);
	lock_init(&m->lock, LOCK_META, "meta");
	lock_init(&m->rec_lock, LOCK_LEAF, "meta record");
	*ret = m;
	return 0;
}

/* The epoch is power-safe before anybody may use it. */
static int begin_epoch(struct meta *m, struct meta_report *report)
{
	struct meta_mark mark;
	int r;

	r = db_begin_epoch(m, report->fresh, &report->same_boot);
	if (r == 0)
		r = meta_mark(m, &mark);
	if (r == 0 && report->fresh)
		r = disk_sync_dir(m->host.disk, "");
	if (r == 0)
		r = meta_barrier(m, &mark);
	/* So that no slot says any more that it is being made. */
	if (r == 0 && report->fresh)
		r = record_write(m, &m->rec);
	return r;
}

int meta_open_rules(const struct host *host, const struct meta_opts *opts,
		    const struct meta_rules *rules, struct meta **ret,
		    struct meta_report *ret_report)
{
	struct meta_report report = { .fresh = false };
	struct meta *m = NULL;
	int r;

	r = alloc(host, opts, rules, &m);
	if (r == 0)
		r = recover_open(m, opts, &report);
	if (r == 0)
		ballast_make(m);
	if (r == 0)
		r = begin_epoch(m, &report);
	if (r < 0) {
		meta_close(m);
		return log_err(r, "open the database");
	}
	report.epoch = m->epoch;
	*ret_report = report;
	*ret = m;
	return 0;
}

int meta_open(const struct host *host, const struct meta_opts *opts,
	      struct meta **ret, struct meta_report *ret_report)
{
	static const struct meta_rules all;

	return meta_open_rules(host, opts, &all, ret, ret_report);
}

void meta_close(struct meta *m)
{
	if (!m)
		return;
	db_close(m);
	disk_close(m->host.disk, m->barrier_fd);
	vfs_free(m->vfs);
	lock_fini(&m->rec_lock);
	lock_fini(&m->lock);
	free(m);
}
