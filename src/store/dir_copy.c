/* SPDX-License-Identifier: Apache-2.0 */
/* Copies and renames of a folder store. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dir.h"

static int copy_bytes(struct dir_store *d, const struct dir_reader *from,
		      struct dir_new *n)
{
	int r;

	if (from->target)
		return dir_new_link(d, from->target, n);
	r = dir_new_open(d, n);
	if (!r)
		r = dir_new_append(d, n, from->fd, 0, from->obj.size);
	if (!r)
		r = dir_reader_check(from);
	n->crc64 = from->obj.crc64;
	n->has_crc64 = from->obj.has_crc64;
	return r;
}

static int copy_marker(struct store *s, const char *from,
		       const char *from_etag, const char *to,
		       const struct store_meta *meta,
		       const struct store_cond *cond, struct store_obj *ret)
{
	const struct store_cond is = { .if_match = from_etag };
	const struct store_src none = { .len = 0 };
	struct store_obj obj;
	int r = dir_head(s, from, &obj);

	if (!r || (r == -ENOENT && from_etag))
		r = store_cond_check(&is, r ? NULL : &obj);
	return r ? r : dir_put(s, to, &none, meta ? meta : &obj.meta, cond, ret);
}

int dir_copy(struct store *s, const char *from, const char *from_etag,
	     const char *to, const struct store_meta *meta,
	     const struct store_cond *cond, struct store_obj *ret)
{
	struct dir_store *d = (struct dir_store *)s;
	struct dir_reader src = DIR_READER_INIT;
	struct dir_new n = DIR_NEW_INIT;
	int r = dir_check(d);

	if (!r)
		r = dir_key_check(from);
	if (!r)
		r = dir_key_check(to);
	if (r)
		return r;
	if (dir_key_is_marker(from) != dir_key_is_marker(to)) {
		store_set_error("a folder and a file are no copies");
		return -EINVAL;
	}
	if (dir_key_is_marker(from))
		return copy_marker(s, from, from_etag, to, meta, cond, ret);
	r = dir_err(dir_reader_open(d, from, from_etag, &src), true);
	if (!r)
		r = dir_err(copy_bytes(d, &src, &n), false);
	if (r == -ESTALE && !from_etag)
		r = -EAGAIN; /* no version was asked: copy the next */
	if (!r)
		r = dir_publish(d, &n, to, meta ? meta : &src.obj.meta, cond,
				NULL, ret);
	dir_new_drop(d, &n);
	dir_reader_close(&src);
	return r;
}

/* A record that lies under the old name is written for the new one. */
static int move_sidecar(struct dir_store *d, const char *from, const char *to,
			ino_t ino)
{
	struct dir_record rec;

	if (dir_record_read(d, -1, from, ino, &rec))
		return 0;
	return dir_record_write(d, -1, to, ino, &rec);
}

static int rename_locked(struct dir_store *d, const char *from, const char *to,
			 struct dir_place *src, struct dir_place *dst)
{
	bool existed;
	int r = dir_find(d, from, src);

	if (!r)
		r = dir_place(d, to, true, dst);
	if (r)
		return r;
	existed =
		!fstatat(dst->parent, dst->name, &dst->st, AT_SYMLINK_NOFOLLOW);
	if (existed && S_ISDIR(dst->st.st_mode)) {
		existed = false;
		if (dir_prune_one(d, to, strlen(to)))
			return -EISDIR;
	}
	r = move_sidecar(d, from, to, src->st.st_ino);
	if (!r && renameat(src->parent, src->name, dst->parent, dst->name))
		r = dir_sys();
	if (r || !strcmp(from, to))
		return r;
	dir_record_drop(d, from, src->st.st_ino);
	if (existed)
		dir_record_drop(d, to, dst->st.st_ino);
	return fsync(dst->parent) ? dir_sys() : dir_prune(d, from);
}

int dir_rename(struct store *s, const char *from, const char *to,
	       struct store_obj *ret)
{
	struct dir_store *d = (struct dir_store *)s;
	struct dir_place src = { .parent = -1 }, dst = { .parent = -1 };
	struct dir_reader rd = DIR_READER_INIT;
	int lock = -1, r = dir_check(d);

	if (!r)
		r = dir_key_check(from);
	if (!r)
		r = dir_key_check(to);
	if (r)
		return r;
	if (dir_key_is_marker(from) || dir_key_is_marker(to)) {
		store_set_error("a folder moves with what is in it");
		return -EOPNOTSUPP;
	}
	lock = dir_lock(d);
	if (lock < 0 && lock != -EOPNOTSUPP)
		return dir_err(lock, false);
	r = rename_locked(d, from, to, &src, &dst);
	if (!r)
		r = dir_reader_open(d, to, NULL, &rd);
	if (!r)
		*ret = rd.obj;
	dir_close(lock);
	dir_reader_close(&rd);
	dir_place_close(&src);
	dir_place_close(&dst);
	return dir_err(r, false);
}
