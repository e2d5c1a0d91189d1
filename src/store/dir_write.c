/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an object of a folder store comes into being: written below
 * .ckptfs/tmp, brought to the disk, renamed into place, its folder brought to
 * the disk.  Whoever looks sees the old version or the new one, whole.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/hash.h"

#include "dir.h"

#define LINK_MAX_LEN 4095

int dir_new_open(struct dir_store *d, struct dir_new *n)
{
	int tmp = dir_folder(d, DIR_TMP, true);
	char name[DIR_TMP_NAME];

	if (tmp < 0)
		return tmp;
	dir_random_name(name);
	n->fd = openat(tmp, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (n->fd < 0)
		return dir_sys();
	memcpy(n->name, name, sizeof(name));
	return 0;
}

int dir_new_link(struct dir_store *d, const char *target, struct dir_new *n)
{
	int tmp = dir_folder(d, DIR_TMP, true);
	char name[DIR_TMP_NAME];

	if (tmp < 0)
		return tmp;
	dir_random_name(name);
	if (symlinkat(target, tmp, name))
		return dir_sys();
	memcpy(n->name, name, sizeof(name));
	n->len = strlen(target);
	n->crc64 = crc64nvme(0, target, n->len);
	n->has_crc64 = true;
	return 0;
}

void dir_new_drop(struct dir_store *d, struct dir_new *n)
{
	int tmp = dir_folder(d, DIR_TMP, false);

	dir_close(n->fd);
	n->fd = -1;
	if (n->name[0] && tmp >= 0)
		(void)unlinkat(tmp, n->name, 0);
	n->name[0] = '\0';
}

static int write_all(int fd, const unsigned char *p, size_t n)
{
	while (n) {
		ssize_t put = write(fd, p, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return dir_sys();
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

static int check_crc(const struct store_src *src, uint64_t crc)
{
	if (!src->has_crc64 || src->crc64 == crc)
		return 0;
	store_set_error("the bytes do not match their checksum");
	return -EBADMSG;
}

/* The source is asked for the bytes once; -EIO of its own is the only -EIO
 * that leaves this store. */
static int copy_src(struct dir_store *d, const struct store_src *src,
		    struct dir_new *n)
{
	unsigned char *p = malloc(STORE_SRC_CHUNK);
	uint64_t crc = 0;
	int r = p ? 0 : -ENOMEM;

	for (uint64_t off = 0; !r && off < src->len; off += STORE_SRC_CHUNK) {
		uint64_t left = src->len - off;
		size_t len = left < STORE_SRC_CHUNK ? left : STORE_SRC_CHUNK;

		r = dir_check(d);
		if (!r)
			r = store_src_read(src, off, p, len);
		if (r)
			break;
		crc = crc64nvme(crc, p, len);
		r = dir_err(write_all(n->fd, p, len), false);
	}
	if (!r)
		r = check_crc(src, crc);
	n->len = src->len;
	n->crc64 = crc;
	n->has_crc64 = true;
	free(p);
	return r;
}

static int link_from_src(struct dir_store *d, const struct store_src *src,
			 struct dir_new *n)
{
	char target[LINK_MAX_LEN + 1];
	int r;

	if (!src->len || src->len > LINK_MAX_LEN) {
		store_set_error("no link can have this target");
		return -EINVAL;
	}
	r = store_src_read(src, 0, target, src->len);
	if (r)
		return r;
	target[src->len] = '\0';
	if (strlen(target) != src->len) {
		store_set_error("no link can have this target");
		return -EINVAL;
	}
	r = check_crc(src, crc64nvme(0, target, src->len));
	return r ? r : dir_err(dir_new_link(d, target, n), false);
}

int dir_new_from_src(struct dir_store *d, const struct store_src *src,
		     bool is_link, struct dir_new *n)
{
	int r;

	if (is_link)
		return link_from_src(d, src, n);
	r = dir_err(dir_new_open(d, n), false);
	return r ? r : copy_src(d, src, n);
}

/* Where the kernel cannot copy between the two files. */
static int append_slowly(struct dir_new *n, int from, uint64_t off, size_t len)
{
	unsigned char *p = malloc(len);
	ssize_t got;
	int r;

	if (!p)
		return -ENOMEM;
	got = pread(from, p, len, (off_t)off);
	if (got <= 0)
		r = got < 0 ? dir_sys() : -ESTALE;
	else
		r = write_all(n->fd, p, (size_t)got);
	free(p);
	return r ? r : (int)got;
}

int dir_new_append(struct dir_store *d, struct dir_new *n, int from,
		   uint64_t off, uint64_t len)
{
	bool slow = false;

	n->len += len;
	while (len) {
		size_t want = len < (8u << 20) ? len : 8u << 20;
		off_t at = (off_t)off;
		ssize_t got;
		int r = dir_check(d);

		if (r)
			return r;
		if (!slow) {
			got = copy_file_range(from, &at, n->fd, NULL, want, 0);
			slow = got < 0 &&
			       (errno == EXDEV || errno == EINVAL ||
				errno == ENOSYS || errno == EOPNOTSUPP);
			if (got < 0 && !slow)
				return dir_sys();
		}
		if (slow)
			got = append_slowly(n, from, off,
					    want < STORE_SRC_CHUNK
						    ? want
						    : STORE_SRC_CHUNK);
		if (got < 0)
			return (int)got;
		if (!got)
			return -ESTALE; /* shorter than it was */
		off += (uint64_t)got;
		len -= (uint64_t)got;
	}
	return 0;
}

static int new_stat(struct dir_store *d, const struct dir_new *n,
		    struct stat *st)
{
	int tmp = dir_folder(d, DIR_TMP, false);
	int r = n->fd >= 0 ? fstat(n->fd, st)
			   : fstatat(tmp, n->name, st, AT_SYMLINK_NOFOLLOW);

	return r ? dir_sys() : 0;
}

/* Times, record, mode; then to the disk.  The record comes after the time,
 * which it quotes, and before a mode that may forbid its owner to
 * write. */
static int finish(struct dir_store *d, struct dir_new *n, const char *key,
		  const struct store_meta *meta)
{
	struct dir_record rec = { .kind = n->fd >= 0 ? 'f' : 'l',
				  .size = n->len,
				  .has_crc64 = n->has_crc64,
				  .crc64 = n->crc64,
				  .meta = *meta };
	mode_t mode = meta->has_mode ? (meta->mode & 01777) | S_IRUSR
				     : d->default_mode;
	int tmp = dir_folder(d, DIR_TMP, true), r;
	int64_t s = meta->mtime_ns / NS_PER_S;
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT } };
	struct stat st;

	if (tmp < 0)
		return tmp;
	if (meta->has_mtime) {
		s -= meta->mtime_ns % NS_PER_S < 0;
		t[1].tv_sec = (time_t)s;
		t[1].tv_nsec = (long)(meta->mtime_ns - s * NS_PER_S);
		if (utimensat(tmp, n->name, t, AT_SYMLINK_NOFOLLOW))
			return dir_sys();
	}
	r = new_stat(d, n, &st);
	if (r)
		return r;
	rec.seen_mtime_ns = dir_ns(&st.st_mtim);
	r = dir_record_write(d, n->fd, key, st.st_ino, &rec);
	if (!r && n->fd >= 0 && fchmod(n->fd, mode))
		r = dir_sys();
	if (!r && n->fd >= 0 && fsync(n->fd))
		r = dir_sys();
	return r;
}

/* Whether what is at p now lets cond be met. */
static int check_cond(const struct dir_place *p, bool exists,
		      const struct store_cond *cond)
{
	struct store_obj obj;

	if (exists && !S_ISREG(p->st.st_mode) && !S_ISLNK(p->st.st_mode))
		exists = false;
	if (exists)
		dir_obj_listed(&p->st, &obj);
	return store_cond_check(cond, exists ? &obj : NULL);
}

static int rename_into(struct dir_store *d, struct dir_new *n,
		       const struct dir_place *p, const struct store_cond *cond)
{
	int tmp = dir_folder(d, DIR_TMP, false);

	if (cond && cond->if_absent) {
		/* holds against programs that do not know our lock, too */
		if (!renameat2(tmp, n->name, p->parent, p->name,
			       RENAME_NOREPLACE))
			return 0;
		if (errno != EINVAL && errno != ENOSYS)
			return dir_sys();
	}
	return renameat(tmp, n->name, p->parent, p->name) ? dir_sys() : 0;
}

/* Take the upload away, so that it commits once. */
static int retire_upload(struct dir_store *d, const char *upload)
{
	int from = dir_folder(d, DIR_UPLOADS, false);
	int to = dir_folder(d, DIR_TMP, false);

	return renameat(from, upload, to, upload) ? dir_sys() : 0;
}

static int upload_check(struct dir_store *d, const char *upload)
{
	int dir = dir_folder(d, DIR_UPLOADS, false);

	if (dir < 0)
		return -ENOENT;
	return faccessat(dir, upload, F_OK, AT_SYMLINK_NOFOLLOW) ? -ENOENT : 0;
}

/* The step that must not be interleaved with others; p is left open. */
static int place_new(struct dir_store *d, struct dir_new *n, const char *key,
		     const struct store_cond *cond, const char *upload,
		     struct dir_place *p, struct store_obj *ret)
{
	bool existed = false;
	struct stat st;
	ino_t old = 0;
	int r = upload ? upload_check(d, upload) : 0;

	if (!r)
		r = dir_place(d, key, true, p);
	if (r)
		return r;
	existed = !fstatat(p->parent, p->name, &p->st, AT_SYMLINK_NOFOLLOW);
	if (existed && S_ISDIR(p->st.st_mode)) {
		/* an empty one that a crash left behind is no object */
		r = dir_prune_one(d, key, strlen(key));
		existed = false;
		if (r)
			return -EISDIR;
	}
	if (existed)
		old = p->st.st_ino;
	r = check_cond(p, existed, cond);
	if (!r)
		r = rename_into(d, n, p, cond);
	if (r)
		return r;
	n->name[0] = '\0';
	/* fstat of the descriptor where there is one: the name may already
	 * be somebody else's */
	if (n->fd >= 0 ? fstat(n->fd, &st)
		       : fstatat(p->parent, p->name, &st, AT_SYMLINK_NOFOLLOW))
		return -EAGAIN;
	dir_obj(d, n->fd, key, &st, ret);
	if (existed && old != st.st_ino)
		dir_record_drop(d, key, old);
	return upload ? retire_upload(d, upload) : 0;
}

int dir_publish(struct dir_store *d, struct dir_new *n, const char *key,
		const struct store_meta *meta, const struct store_cond *cond,
		const char *upload, struct store_obj *ret)
{
	struct dir_place p = { .parent = -1 };
	struct store_obj obj;
	int lock = -1;
	int r = finish(d, n, key, meta);

	if (r)
		goto out;
	lock = dir_lock(d);
	if (lock < 0 && (lock != -EOPNOTSUPP || store_cond_is_set(cond))) {
		r = lock;
		goto out;
	}
	r = place_new(d, n, key, cond, upload, &p, &obj);
	dir_close(lock);
	if (!r && fsync(p.parent))
		r = dir_sys();
	if (!r)
		*ret = obj;
out:
	dir_place_close(&p);
	return dir_err(r, false);
}
