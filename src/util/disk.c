/* SPDX-License-Identifier: Apache-2.0 */
/* The checked front: what holds for every disk is enforced here once. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "ckptfs/disk.h"
#include "ckptfs/lock.h"

#define OPEN_FLAGS (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC)

/* Relative, and every component a plain name. */
static bool path_is_plain(const char *p)
{
	size_t n;

	for (;; p += n + 1) {
		n = strcspn(p, "/");
		if (n == 0 || (n == 1 && p[0] == '.') ||
		    (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		if (p[n] == '\0')
			return true;
	}
}

/* The database checkpoint may sync under LOCK_META, nobody else under any. */
static void assert_may_sync(const char *what)
{
	lock_assert_upto(LOCK_META, what);
}

void disk_free(struct disk *d)
{
	if (d)
		d->ops->free(d);
}

int disk_open(struct disk *d, const char *path, int flags, mode_t mode)
{
	if (!path_is_plain(path) || (flags & ~OPEN_FLAGS) != 0 ||
	    (flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	return d->ops->open(d, path, flags, mode);
}

int disk_dup(struct disk *d, int fd)
{
	return d->ops->dup(d, fd);
}

void disk_close(struct disk *d, int fd)
{
	if (fd >= 0)
		(void)d->ops->close(d, fd);
}

ssize_t disk_pread(struct disk *d, int fd, void *p, size_t n, uint64_t off)
{
	char *at = p;
	size_t done = 0;

	while (done < n) {
		ssize_t r =
			d->ops->pread(d, fd, at + done, n - done, off + done);

		if (r < 0)
			return r;
		if (r == 0)
			break;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

int disk_pwrite(struct disk *d, int fd, const void *p, size_t n, uint64_t off)
{
	const char *at = p;
	size_t done = 0;

	while (done < n) {
		ssize_t r =
			d->ops->pwrite(d, fd, at + done, n - done, off + done);

		if (r < 0)
			return (int)r;
		if (r == 0)
			return -EIO;
		done += (size_t)r;
	}
	return 0;
}

int disk_truncate(struct disk *d, int fd, uint64_t size)
{
	return d->ops->truncate(d, fd, size);
}

int disk_allocate(struct disk *d, int fd, uint64_t off, uint64_t len)
{
	return d->ops->allocate(d, fd, off, len);
}

int disk_punch(struct disk *d, int fd, uint64_t off, uint64_t len)
{
	return d->ops->punch(d, fd, off, len);
}

int disk_stat(struct disk *d, int fd, struct disk_stat *ret)
{
	return d->ops->stat(d, fd, ret);
}

int64_t disk_seek_hole(struct disk *d, int fd, uint64_t off)
{
	return d->ops->seek(d, fd, off, true);
}

int64_t disk_seek_data(struct disk *d, int fd, uint64_t off)
{
	return d->ops->seek(d, fd, off, false);
}

int disk_fdatasync(struct disk *d, int fd)
{
	assert_may_sync("disk_fdatasync");
	return d->ops->fdatasync(d, fd);
}

int disk_syncfs(struct disk *d)
{
	assert_may_sync("disk_syncfs");
	return d->ops->syncfs(d);
}

int disk_writeback(struct disk *d, int fd, uint64_t off, uint64_t len)
{
	return d->ops->writeback(d, fd, off, len);
}

int disk_clone(struct disk *d, int from, int to)
{
	return d->ops->clone(d, from, to);
}

ssize_t disk_copy(struct disk *d, int from, uint64_t from_off, int to,
		  uint64_t to_off, size_t n)
{
	return d->ops->copy(d, from, from_off, to, to_off, n);
}

int disk_lease(struct disk *d, int fd, enum disk_lease kind)
{
	return d->ops->lease(d, fd, kind);
}

int disk_set_xattr(struct disk *d, int fd, const char *name, const void *value,
		   size_t len)
{
	return d->ops->set_xattr(d, fd, name, value, len);
}

ssize_t disk_get_xattr(struct disk *d, int fd, const char *name, void *value,
		       size_t len)
{
	return d->ops->get_xattr(d, fd, name, value, len);
}

int disk_mkdir(struct disk *d, const char *path, mode_t mode)
{
	return path_is_plain(path) ? d->ops->mkdir(d, path, mode) : -EINVAL;
}

int disk_rename(struct disk *d, const char *from, const char *to)
{
	if (!path_is_plain(from) || !path_is_plain(to))
		return -EINVAL;
	return d->ops->rename(d, from, to);
}

int disk_unlink(struct disk *d, const char *path)
{
	return path_is_plain(path) ? d->ops->unlink(d, path) : -EINVAL;
}

int disk_sync_dir(struct disk *d, const char *path)
{
	if (*path && !path_is_plain(path))
		return -EINVAL;
	assert_may_sync("disk_sync_dir");
	return d->ops->sync_dir(d, path);
}

int disk_list(struct disk *d, const char *path, disk_list_fn *fn, void *arg)
{
	if (*path && !path_is_plain(path))
		return -EINVAL;
	return d->ops->list(d, path, fn, arg);
}

int disk_lock(struct disk *d, const char *path)
{
	return path_is_plain(path) ? d->ops->lock(d, path) : -EINVAL;
}

int disk_space(struct disk *d, struct disk_space *ret)
{
	return d->ops->space(d, ret);
}

int disk_boot_id(struct disk *d, char ret[40])
{
	return d->ops->boot_id(d, ret);
}
