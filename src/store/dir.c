/* SPDX-License-Identifier: Apache-2.0 */
/* A folder as the bucket: opening, objects, markers.  See dir.h. */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/clock.h"

#include "dir.h"

#define DEBRIS_AGE (24 * 3600 * NS_PER_S) /* since the last change of it */

int dir_head(struct store *s, const char *key, struct store_obj *ret)
{
	struct dir_store *d = (struct dir_store *)s;
	struct dir_reader rd = DIR_READER_INIT;
	struct dir_place p = { .parent = -1 };
	int fd, r = dir_check(d);

	if (!r)
		r = dir_key_check(key);
	if (r)
		return r == -EINVAL ? -ENOENT : r;
	if (!dir_key_is_marker(key)) {
		r = dir_reader_open(d, key, NULL, &rd);
		if (!r)
			*ret = rd.obj;
		dir_reader_close(&rd);
		return dir_err(r, true);
	}
	r = dir_find(d, key, &p);
	if (!r) {
		fd = openat(p.parent, p.name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = fd < 0 ? dir_sys() : 0;
		if (!r)
			dir_obj(d, fd, key, &p.st, ret);
		dir_close(fd);
	}
	dir_place_close(&p);
	return dir_err(r, true);
}

static int give(struct dir_store *d, const struct dir_reader *rd, uint64_t off,
		uint64_t len, store_sink_fn *sink, void *arg)
{
	unsigned char *p = NULL;
	int r = 0;

	off = off < rd->obj.size ? off : rd->obj.size;
	len = len < rd->obj.size - off ? len : rd->obj.size - off;
	if (rd->target)
		return store_sink_give(sink, arg, rd->target + off, len);
	p = malloc(STORE_SRC_CHUNK);
	if (!p)
		return -ENOMEM;
	while (len && !r) {
		size_t want = len < STORE_SRC_CHUNK ? len : STORE_SRC_CHUNK;
		ssize_t n = pread(rd->fd, p, want, (off_t)off);

		if (n < 0)
			r = dir_err(dir_sys(), true);
		else if (!n)
			r = -ESTALE; /* it became shorter */
		else
			r = store_sink_give(sink, arg, p, (size_t)n);
		if (!r) {
			off += (uint64_t)n;
			len -= (uint64_t)n;
			r = dir_check(d);
		}
	}
	free(p);
	return r ? r : dir_err(dir_reader_check(rd), true);
}

static int dir_get(struct store *s, const char *key, const char *if_match,
		   uint64_t off, uint64_t len, store_sink_fn *sink, void *arg,
		   struct store_obj *ret)
{
	struct dir_store *d = (struct dir_store *)s;
	struct dir_reader rd = DIR_READER_INIT;
	struct store_cond cond = { .if_match = if_match };
	int r = dir_check(d);

	if (r)
		return r;
	if (dir_key_check(key))
		return if_match ? -ESTALE : -ENOENT;
	if (dir_key_is_marker(key)) { /* no bytes */
		r = dir_head(s, key, ret);
		if (!r || (r == -ENOENT && if_match))
			r = store_cond_check(&cond, r ? NULL : ret);
		return r;
	}
	r = dir_err(dir_reader_open(d, key, if_match, &rd), true);
	if (!r)
		r = give(d, &rd, off, len, sink, arg);
	if (r == -ESTALE && !if_match)
		r = -EAGAIN;
	if (!r)
		*ret = rd.obj;
	dir_reader_close(&rd);
	return r;
}

/* Turn the folder at p, there or not, into a marker. */
static int put_marker(struct dir_store *d, const char *key,
		      const struct store_meta *meta,
		      const struct store_cond *cond, struct dir_place *p,
		      struct store_obj *ret)
{
	struct dir_record rec = { .kind = 'd', .meta = *meta };
	struct store_obj obj;
	int fd = -1, r;

	r = dir_find(d, key, p);
	if (!r)
		dir_obj_listed(&p->st, &obj);
	if (r && r != -ENOENT)
		return r;
	r = store_cond_check(cond, r ? NULL : &obj);
	dir_place_close(p);
	if (!r)
		r = dir_place(d, key, true, p);
	if (r)
		return r;
	if (mkdirat(p->parent, p->name, 0777) && errno != EEXIST)
		return dir_sys();
	fd = openat(p->parent, p->name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return dir_sys();
	if (fstat(fd, &p->st) ||
	    (meta->has_mode && fchmod(fd, (meta->mode & 01777) | S_IRWXU)))
		r = dir_sys();
	if (!r)
		r = dir_record_write(d, fd, key, p->st.st_ino, &rec);
	if (!r && (fsync(fd) || fsync(p->parent) || fstat(fd, &p->st)))
		r = dir_sys();
	if (!r)
		dir_obj(d, fd, key, &p->st, ret);
	close(fd);
	return r;
}

static int dir_put_marker(struct dir_store *d, const char *key,
			  const struct store_src *src,
			  const struct store_meta *meta,
			  const struct store_cond *cond, struct store_obj *ret)
{
	struct dir_place p = { .parent = -1 };
	int lock, r;

	if (src->len) {
		store_set_error("a folder has no bytes");
		return -EINVAL;
	}
	lock = dir_lock(d);
	if (lock < 0 && (lock != -EOPNOTSUPP || store_cond_is_set(cond)))
		return dir_err(lock, false);
	r = put_marker(d, key, meta, cond, &p, ret);
	dir_place_close(&p);
	dir_close(lock);
	return dir_err(r, false);
}

int dir_put(struct store *s, const char *key, const struct store_src *src,
	    const struct store_meta *meta, const struct store_cond *cond,
	    struct store_obj *ret)
{
	struct dir_store *d = (struct dir_store *)s;
	struct dir_new n = DIR_NEW_INIT;
	int r = dir_check(d);

	if (!r)
		r = dir_key_check(key);
	if (r)
		return r;
	if (dir_key_is_marker(key))
		return dir_put_marker(d, key, src, meta, cond, ret);
	r = dir_new_from_src(d, src, meta->has_mode && S_ISLNK(meta->mode), &n);
	if (!r)
		r = dir_publish(d, &n, key, meta, cond, NULL, ret);
	dir_new_drop(d, &n);
	return r;
}

/* A marker with something in it stays as a folder, but goes with it. */
static int del_marker(struct dir_store *d, const char *key,
		      const struct dir_place *p)
{
	struct dir_record rec = { .kind = 'i' };
	int fd, r;

	if (!unlinkat(p->parent, p->name, AT_REMOVEDIR)) {
		dir_record_drop(d, key, p->st.st_ino);
		return 0;
	}
	if (errno != ENOTEMPTY && errno != EEXIST)
		return dir_sys();
	fd = openat(p->parent, p->name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return dir_sys();
	r = dir_record_write(d, fd, key, p->st.st_ino, &rec);
	if (!r && fsync(fd))
		r = dir_sys();
	close(fd);
	return r;
}

static int del_locked(struct dir_store *d, const char *key,
		      const struct store_cond *cond, struct dir_place *p)
{
	struct store_obj obj;
	int r = dir_find(d, key, p);

	if (r && r != -ENOENT)
		return r;
	if (r) {
		/* Perhaps by a delete that a crash cut short. */
		r = dir_prune(d, key);
		if (r == -ENOTDIR || r == -ELOOP) /* no folder of ours */
			r = 0;
		return r ? r : store_cond_check(cond, NULL);
	}
	dir_obj_listed(&p->st, &obj);
	r = store_cond_check(cond, &obj);
	if (r)
		return r;
	if (dir_key_is_marker(key)) {
		r = del_marker(d, key, p);
	} else {
		r = unlinkat(p->parent, p->name, 0) ? dir_sys() : 0;
		if (!r)
			dir_record_drop(d, key, p->st.st_ino);
	}
	return r ? r : dir_prune(d, key);
}

int dir_del(struct store *s, const char *key, const struct store_cond *cond)
{
	struct dir_store *d = (struct dir_store *)s;
	struct dir_place p = { .parent = -1 };
	int lock, r = dir_check(d);

	if (r)
		return r;
	if (dir_key_check(key))
		return store_cond_check(cond, NULL);
	lock = dir_lock(d);
	if (lock < 0 && (lock != -EOPNOTSUPP || store_cond_is_set(cond)))
		return dir_err(lock, false);
	r = del_locked(d, key, cond, &p);
	dir_place_close(&p);
	dir_close(lock);
	return r == -ENOENT ? 0 : dir_err(r, true);
}

/* What a crash left in tmp/, once it is old enough to be nobody's. */
static int sweep(struct dir_store *d)
{
	int tmp = dir_folder(d, DIR_TMP, true), fd;
	int64_t now = clk_real(d->clk);
	struct dirent *e;
	struct stat st;
	DIR *dir;

	if (tmp < 0)
		return tmp;
	fd = openat(tmp, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		dir_close(fd);
		return -EAGAIN;
	}
	while ((e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		/* ctime: mtime is made to be the object's just before the end
		 */
		if (!fstatat(tmp, e->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    now - dir_ns(&st.st_ctim) > DEBRIS_AGE)
			(void)dir_remove_tree(tmp, e->d_name);
	}
	closedir(dir);
	return 0;
}

static int dir_probe(struct store *s, const char *prefix, bool read_only)
{
	struct dir_store *d = (struct dir_store *)s;
	int lock, r = dir_check(d);

	(void)prefix;
	if (r || read_only)
		return r;
	r = sweep(d);
	if (r)
		return dir_err(r, false);
	lock = dir_lock(d);
	if (lock == -EOPNOTSUPP)
		s->caps &= ~(unsigned)(STORE_CAP_PUT_COND | STORE_CAP_DEL_COND);
	dir_close(lock);
	return lock < 0 && lock != -EOPNOTSUPP ? dir_err(lock, false) : 0;
}

static void dir_shutdown(struct store *s)
{
	struct dir_store *d = (struct dir_store *)s;

	__atomic_store_n(&d->stopped, true, __ATOMIC_RELEASE);
}

static void dir_free(struct store *s)
{
	struct dir_store *d = (struct dir_store *)s;

	for (unsigned i = 0; i < DIR_FOLDERS; i++)
		dir_close(d->folder[i]);
	dir_close(d->root);
	lock_fini(&d->lock);
	free(d);
}

static const struct store_ops dir_ops = {
	.name = "dir",
	.probe = dir_probe,
	.head = dir_head,
	.get = dir_get,
	.put = dir_put,
	.del = dir_del,
	.list = dir_list,
	.copy = dir_copy,
	.rename = dir_rename,
	.mpu_begin = dir_mpu_begin,
	.mpu_part = dir_mpu_part,
	.mpu_copy_part = dir_mpu_copy_part,
	.mpu_list_parts = dir_mpu_list_parts,
	.mpu_list = dir_mpu_list,
	.mpu_commit = dir_mpu_commit,
	.mpu_abort = dir_mpu_abort,
	.shutdown = dir_shutdown,
	.free = dir_free,
};

int store_dir_new(const char *path, const struct clk *clk, struct store **ret)
{
	int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dir_store *d;
	mode_t mask;

	if (root < 0)
		return dir_err(dir_sys(), false);
	d = calloc(1, sizeof(*d));
	if (!d) {
		(void)close(root);
		return -ENOMEM;
	}
	d->root = root;
	store_init(&d->store, &dir_ops);
	d->store.caps = STORE_CAP_PUT_COND | STORE_CAP_DEL_COND |
			STORE_CAP_COPY | STORE_CAP_COPY_PART |
			STORE_CAP_RENAME | STORE_CAP_CRC64 |
			STORE_CAP_COMMIT_META | STORE_CAP_META |
			STORE_CAP_CONTROL | STORE_CAP_ANY_BYTES |
			STORE_CAP_MPU_PREFIX | STORE_CAP_COPY_CRC64 |
			STORE_CAP_DEL_MANY | STORE_CAP_DEL_MANY_COND;
	d->store.limits.put_max = UINT64_C(1) << 50;
	d->store.limits.part_min = 1;
	d->store.limits.part_max = UINT64_C(1) << 50;
	d->store.limits.parts_max = 10000;
	d->store.limits.name_max = DIR_NAME_MAX;
	mask = umask(077);
	(void)umask(mask);
	d->default_mode = 0666 & ~mask;
	d->clk = clk;
	for (unsigned i = 0; i < DIR_FOLDERS; i++)
		d->folder[i] = -1;
	lock_init(&d->lock, LOCK_LEAF, "dir store");
	*ret = &d->store;
	return 0;
}
