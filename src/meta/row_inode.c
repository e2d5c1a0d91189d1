/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of inodes and of names. */
#include "config.h"

#include <errno.h>

#include "ckptfs/log.h"

#include "meta/internal.h"

#define LOG_MODULE "meta"

enum { INODE_META_KNOWN = 1, INODE_MARKER = 2 };

/* ---- inode ---- */

static void bind_inode(struct run *r, const struct meta_inode *row)
{
	bind_u64(r, row->ino);
	bind_i64(r, row->kind);
	bind_u64(r, row->parent);
	bind_str(r, row->name, META_NAME_MAX);
	bind_i64(r, row->mode);
	bind_i64(r, row->uid);
	bind_i64(r, row->gid);
	bind_i64(r, row->mtime_ns);
	bind_i64(r, row->ctime_ns);
	bind_u64(r, row->size);
	bind_u64(r, row->vid);
	bind_str(r, row->key, META_KEY_MAX);
	bind_str(r, row->target, META_KEY_MAX);
	bind_i64(r, (row->meta_known ? INODE_META_KNOWN : 0) |
			    (row->marker ? INODE_MARKER : 0));
}

static void read_inode(struct run *r, struct meta_inode *row)
{
	int64_t flags;

	row->ino = col_u64(r);
	row->kind = (enum meta_kind)col_i64(r);
	row->parent = col_u64(r);
	col_str(r, row->name, sizeof(row->name));
	row->mode = (uint32_t)col_i64(r);
	row->uid = (uint32_t)col_i64(r);
	row->gid = (uint32_t)col_i64(r);
	row->mtime_ns = col_i64(r);
	row->ctime_ns = col_i64(r);
	row->size = col_u64(r);
	row->vid = col_u64(r);
	col_str(r, row->key, sizeof(row->key));
	col_str(r, row->target, sizeof(row->target));
	flags = col_i64(r);
	row->meta_known = (flags & INODE_META_KNOWN) != 0;
	row->marker = (flags & INODE_MARKER) != 0;
}

int inode_insert(struct meta *m, const struct meta_inode *row)
{
	struct run r;

	row_begin(&r, m, Q_INODE_ADD);
	bind_inode(&r, row);
	return run_do(&r, false);
}

int meta_inode_add(struct meta *m, struct meta_inode *row)
{
	int r;

	meta_assert_begun(m);
	row->ino = count_next(m, COUNT_INO);
	r = inode_insert(m, row);
	if (r < 0)
		row->ino = 0;
	return r;
}

int meta_inode_set(struct meta *m, const struct meta_inode *row)
{
	struct run r;

	row_begin(&r, m, Q_INODE_SET);
	bind_inode(&r, row);
	return run_do(&r, true);
}

int meta_inode_get(struct meta *m, uint64_t ino, struct meta_inode *ret)
{
	struct run r;

	row_begin(&r, m, Q_INODE_GET);
	bind_u64(&r, ino);
	if (run_one(&r) == 0)
		read_inode(&r, ret);
	return run_end(&r);
}

int meta_inode_del(struct meta *m, uint64_t ino)
{
	struct run r;
	int err = count_drop(m, COUNT_INO, ino);

	if (err < 0)
		return err;
	row_begin(&r, m, Q_INODE_DEL);
	bind_u64(&r, ino);
	return run_do(&r, true);
}

/* The rows of a run whose parameters are bound; ends it. */
static int each_inode(struct run *r, meta_inode_fn *fn, void *arg)
{
	struct meta_inode row;
	int stop = 0, err;

	while (stop == 0 && run_step(r) == 1) {
		read_inode(r, &row);
		if (r->err == 0 && row.ino == 0)
			r->err =
				log_err(-EIO, "name %s has no inode", row.name);
		if (r->err == 0)
			stop = fn(arg, &row);
	}
	err = run_end(r);
	return err < 0 ? err : stop;
}

int meta_inode_each_unlinked(struct meta *m, meta_inode_fn *fn, void *arg)
{
	struct run r;

	row_begin(&r, m, Q_INODE_UNLINKED);
	return each_inode(&r, fn, arg);
}

/* ---- name ---- */

int meta_name_add(struct meta *m, uint64_t parent, const char *name,
		  uint64_t ino)
{
	struct run r;

	row_begin(&r, m, Q_NAME_ADD);
	bind_u64(&r, parent);
	bind_str(&r, name, META_NAME_MAX);
	bind_u64(&r, ino);
	return run_do(&r, false);
}

int meta_name_del(struct meta *m, uint64_t parent, const char *name)
{
	struct run r;

	row_begin(&r, m, Q_NAME_DEL);
	bind_u64(&r, parent);
	bind_str(&r, name, META_NAME_MAX);
	return run_do(&r, true);
}

int meta_name_get(struct meta *m, uint64_t parent, const char *name,
		  uint64_t *ret_ino)
{
	struct run r;

	row_begin(&r, m, Q_NAME_GET);
	bind_u64(&r, parent);
	bind_str(&r, name, META_NAME_MAX);
	if (run_one(&r) == 0)
		*ret_ino = col_u64(&r);
	return run_end(&r);
}

int meta_name_each(struct meta *m, uint64_t parent, meta_inode_fn *fn,
		   void *arg)
{
	struct run r;

	row_begin(&r, m, Q_NAME_EACH);
	bind_u64(&r, parent);
	return each_inode(&r, fn, arg);
}
