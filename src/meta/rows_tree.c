/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of inodes and names. */
#include "config.h"

#include <errno.h>

#include "bind.h"

static void bind_inode(struct bind *b, const struct meta_inode *r)
{
	put_int(b, r->kind);
	put_u64(b, r->parent);
	put_bytes(b, r->name);
	put_int(b, r->mode);
	put_int(b, r->uid);
	put_int(b, r->gid);
	put_int(b, r->mtime_ns);
	put_int(b, r->ctime_ns);
	put_u64(b, r->size);
	put_u64(b, r->vid);
	put_bytes(b, r->key);
	put_bytes(b, r->target);
	put_int(b, r->meta_known | r->marker << 1);
}

static void read_inode(sqlite3_stmt *st, struct meta_inode *r)
{
	struct bind b = { .st = st };
	int64_t f;

	memset(r, 0, sizeof(*r));
	r->ino = take_u64(&b);
	r->kind = (enum meta_kind)take_int(&b);
	r->parent = take_u64(&b);
	take_bytes(&b, r->name, sizeof(r->name));
	r->mode = (uint32_t)take_int(&b);
	r->uid = (uint32_t)take_int(&b);
	r->gid = (uint32_t)take_int(&b);
	r->mtime_ns = take_int(&b);
	r->ctime_ns = take_int(&b);
	r->size = take_u64(&b);
	r->vid = take_u64(&b);
	take_bytes(&b, r->key, sizeof(r->key));
	take_bytes(&b, r->target, sizeof(r->target));
	f = take_int(&b);
	r->meta_known = flag(f, 0);
	r->marker = flag(f, 1);
}

int meta_inode_add(struct meta *m, struct meta_inode *row)
{
	struct bind b = { 0 };
	int r = stmt_get(m, S_INODE_ADD, &b.st);

	meta_assert_begun(m);
	if (r < 0)
		return r;
	bind_inode(&b, row);
	r = stmt_run(m, b.st);
	if (r == 0)
		row->ino = (uint64_t)sqlite3_last_insert_rowid(m->db);
	return r;
}

int meta_inode_set(struct meta *m, const struct meta_inode *row)
{
	struct bind b = { 0 };
	int r = stmt_get(m, S_INODE_SET, &b.st);

	meta_assert_begun(m);
	if (r < 0)
		return r;
	bind_inode(&b, row);
	put_u64(&b, row->ino);
	r = stmt_run(m, b.st);
	return r < 0 ? r : stmt_changed(m);
}

int meta_inode_get(struct meta *m, uint64_t ino, struct meta_inode *ret)
{
	struct bind b = { 0 };
	int r = stmt_get(m, S_INODE_GET, &b.st);

	meta_assert_begun(m);
	if (r < 0)
		return r;
	put_u64(&b, ino);
	r = stmt_row(m, b.st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	read_inode(b.st, ret);
	(void)sqlite3_reset(b.st);
	return 0;
}

static int del_by(struct meta *m, enum stmt s, uint64_t id)
{
	struct bind b = { 0 };
	int r = stmt_get(m, s, &b.st);

	meta_assert_begun(m);
	if (r < 0)
		return r;
	put_u64(&b, id);
	r = stmt_run(m, b.st);
	return r < 0 ? r : stmt_changed(m);
}

int meta_inode_del(struct meta *m, uint64_t ino)
{
	return del_by(m, S_INODE_DEL, ino);
}

static int each_inode(struct meta *m, sqlite3_stmt *st, meta_inode_fn *fn,
		      void *arg)
{
	struct meta_inode row;
	int r;

	while ((r = stmt_row(m, st)) == 1) {
		read_inode(st, &row);
		r = fn(arg, &row);
		if (r != 0) {
			(void)sqlite3_reset(st);
			return r;
		}
	}
	return r;
}

int meta_inode_each_unlinked(struct meta *m, meta_inode_fn *fn, void *arg)
{
	sqlite3_stmt *st;
	int r = stmt_get(m, S_INODE_UNLINKED, &st);

	meta_assert_begun(m);
	return r < 0 ? r : each_inode(m, st, fn, arg);
}

int meta_name_add(struct meta *m, uint64_t parent, const char *name,
		  uint64_t ino)
{
	struct bind b = { 0 };
	int r = stmt_get(m, S_NAME_ADD, &b.st);

	meta_assert_begun(m);
	if (r < 0)
		return r;
	put_u64(&b, parent);
	put_bytes(&b, name);
	put_u64(&b, ino);
	return stmt_run(m, b.st);
}

int meta_name_del(struct meta *m, uint64_t parent, const char *name)
{
	struct bind b = { 0 };
	int r = stmt_get(m, S_NAME_DEL, &b.st);

	meta_assert_begun(m);
	if (r < 0)
		return r;
	put_u64(&b, parent);
	put_bytes(&b, name);
	r = stmt_run(m, b.st);
	return r < 0 ? r : stmt_changed(m);
}

int meta_name_get(struct meta *m, uint64_t parent, const char *name,
		  uint64_t *ret_ino)
{
	struct bind b = { 0 };
	int r = stmt_get(m, S_NAME_GET, &b.st);

	meta_assert_begun(m);
	if (r < 0)
		return r;
	put_u64(&b, parent);
	put_bytes(&b, name);
	r = stmt_row(m, b.st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret_ino = (uint64_t)sqlite3_column_int64(b.st, 0);
	(void)sqlite3_reset(b.st);
	return 0;
}

int meta_name_each(struct meta *m, uint64_t parent, meta_inode_fn *fn,
		   void *arg)
{
	struct bind b = { 0 };
	int r = stmt_get(m, S_NAME_EACH, &b.st);

	meta_assert_begun(m);
	if (r < 0)
		return r;
	put_u64(&b, parent);
	return each_inode(m, b.st, fn, arg);
}

int meta_dead_add(struct meta *m, uint64_t blob)
{
	struct bind b = { 0 };
	int r = stmt_get(m, S_DEAD_ADD, &b.st);

	meta_assert_begun(m);
	if (r < 0)
		return r;
	put_u64(&b, blob);
	return stmt_run(m, b.st);
}

int meta_dead_del(struct meta *m, uint64_t blob)
{
	return del_by(m, S_DEAD_DEL, blob);
}

int meta_dead_each(struct meta *m, meta_dead_fn *fn, void *arg)
{
	sqlite3_stmt *st;
	int r = stmt_get(m, S_DEAD_EACH, &st);

	meta_assert_begun(m);
	while (r == 0 && (r = stmt_row(m, st)) == 1) {
		r = fn(arg, (uint64_t)sqlite3_column_int64(st, 0));
		if (r != 0)
			(void)sqlite3_reset(st);
	}
	return r;
}
