/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/disk.h"

#include "util/disk_path.h"

struct sysdisk {
	struct disk base;
	int dirfd;
};

static int dirfd_of(struct disk *d)
{
	return ((struct sysdisk *)d)->dirfd;
}

/* 0 or -errno of a call that returns 0 or -1. */
static int check(int r)
{
	return r < 0 ? -errno : 0;
}

static int sys_open(struct disk *d, const char *path, int flags, mode_t mode)
{
	return path_open(dirfd_of(d), path, flags, mode);
}

static int sys_dup(struct disk *d, int fd)
{
	int r = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return r < 0 ? -errno : r;
}

static int sys_close(struct disk *d, int fd)
{
	return check(close(fd));
}

static ssize_t sys_pread(struct disk *d, int fd, void *p, size_t n,
			 uint64_t off)
{
	ssize_t r;

	do {
		r = pread(fd, p, n, (off_t)off);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static ssize_t sys_pwrite(struct disk *d, int fd, const void *p, size_t n,
			  uint64_t off)
{
	ssize_t r;

	do {
		r = pwrite(fd, p, n, (off_t)off);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static int sys_truncate(struct disk *d, int fd, uint64_t size)
{
	int r;

	do {
		r = ftruncate(fd, (off_t)size);
	} while (r < 0 && errno == EINTR);
	return check(r);
}

static int change_space(int fd, int mode, uint64_t off, uint64_t len)
{
	int r;

	do {
		r = fallocate(fd, mode, (off_t)off, (off_t)len);
	} while (r < 0 && errno == EINTR);
	return check(r);
}

static int sys_allocate(struct disk *d, int fd, uint64_t off, uint64_t len)
{
	return change_space(fd, FALLOC_FL_KEEP_SIZE, off, len);
}

static int sys_punch(struct disk *d, int fd, uint64_t off, uint64_t len)
{
	return change_space(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off,
			    len);
}

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int sys_stat(struct disk *d, int fd, struct disk_stat *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	ret->size = (uint64_t)st.st_size;
	ret->alloc = (uint64_t)st.st_blocks * 512;
	ret->atime_ns = ns_of(st.st_atim);
	ret->mtime_ns = ns_of(st.st_mtim);
	ret->ctime_ns = ns_of(st.st_ctim);
	ret->is_dir = S_ISDIR(st.st_mode);
	return 0;
}

static int64_t sys_seek(struct disk *d, int fd, uint64_t off, bool hole)
{
	off_t r = lseek(fd, (off_t)off, hole ? SEEK_HOLE : SEEK_DATA);

	return r < 0 ? -errno : r;
}

/* Not tried again even when interrupted: the kernel tells of a lost write once,
 * and EINTR may have taken its place. */
static int sys_fdatasync(struct disk *d, int fd)
{
	return check(fdatasync(fd));
}

static int sys_syncfs(struct disk *d)
{
	return check(syncfs(dirfd_of(d)));
}

static int sys_writeback(struct disk *d, int fd, uint64_t off, uint64_t len)
{
	return check(sync_file_range(fd, (off_t)off, (off_t)len,
				     SYNC_FILE_RANGE_WRITE));
}

static int sys_clone(struct disk *d, int from, int to)
{
	int r = check(ioctl(to, FICLONE, from));

	/* File systems disagree on how to say that they cannot. */
	if (r == -ENOTTY || r == -EINVAL || r == -EXDEV || r == -ENOSYS)
		return -EOPNOTSUPP;
	return r;
}

static ssize_t sys_copy(struct disk *d, int from, uint64_t from_off, int to,
			uint64_t to_off, size_t n)
{
	off_t in = (off_t)from_off, out = (off_t)to_off;
	ssize_t r;

	do {
		r = copy_file_range(from, &in, to, &out, n, 0);
	} while (r < 0 && errno == EINTR);
	if (r < 0 && (errno == EINVAL || errno == EXDEV || errno == ENOSYS))
		return -EOPNOTSUPP;
	return r < 0 ? -errno : r;
}

static int sys_lease(struct disk *d, int fd, enum disk_lease kind)
{
	int r;

	r = check(fcntl(fd, F_SETLEASE,
			kind == DISK_LEASE_READ ? F_RDLCK : F_WRLCK));
	if (r == -EINVAL || r == -ENOTTY || r == -ENOLCK)
		return -EOPNOTSUPP;
	if (r < 0)
		return r;
	return check(fcntl(fd, F_SETLEASE, F_UNLCK));
}

static int sys_set_xattr(struct disk *d, int fd, const char *name,
			 const void *value, size_t len)
{
	return check(fsetxattr(fd, name, value, len, 0));
}

static ssize_t sys_get_xattr(struct disk *d, int fd, const char *name,
			     void *value, size_t len)
{
	ssize_t n = fgetxattr(fd, name, value, len);

	return n < 0 ? -errno : n;
}

static void close_parent(struct disk *d, int fd)
{
	if (fd >= 0 && fd != dirfd_of(d))
		(void)close(fd);
}

static int sys_mkdir(struct disk *d, const char *path, mode_t mode)
{
	const char *last;
	int parent, r;

	parent = path_parent(dirfd_of(d), path, &last);
	if (parent < 0)
		return parent;
	r = check(mkdirat(parent, last, mode));
	close_parent(d, parent);
	return r;
}

static int sys_rename(struct disk *d, const char *from, const char *to)
{
	const char *last_from, *last_to;
	int a, b = -1, r;

	a = path_parent(dirfd_of(d), from, &last_from);
	if (a < 0)
		return a;
	b = path_parent(dirfd_of(d), to, &last_to);
	r = b < 0 ? b : check(renameat(a, last_from, b, last_to));
	close_parent(d, a);
	close_parent(d, b);
	return r;
}

static int sys_unlink(struct disk *d, const char *path)
{
	const char *last;
	int parent, r;

	parent = path_parent(dirfd_of(d), path, &last);
	if (parent < 0)
		return parent;
	r = check(unlinkat(parent, last, 0));
	close_parent(d, parent);
	return r;
}

/* A descriptor of its own, also for "". */
static int open_folder(struct disk *d, const char *path)
{
	return path_open(dirfd_of(d), *path ? path : ".",
			 O_RDONLY | O_DIRECTORY, 0);
}

static int sys_sync_dir(struct disk *d, const char *path)
{
	int fd = open_folder(d, path), r;

	if (fd < 0)
		return fd;
	r = check(fsync(fd));
	(void)close(fd);
	return r;
}

static int entry_is_dir(int fd, const struct dirent *e, bool *ret)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN) {
		*ret = e->d_type == DT_DIR;
		return 0;
	}
	if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*ret = S_ISDIR(st.st_mode);
	return 0;
}

static int list_entry(int fd, const struct dirent *e, disk_list_fn *fn,
		      void *arg)
{
	bool is_dir = false;
	int r;

	if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
		return 0;
	r = entry_is_dir(fd, e, &is_dir);
	if (r == -ENOENT) /* gone meanwhile */
		return 0;
	return r < 0 ? r : fn(arg, e->d_name, is_dir);
}

static int sys_list(struct disk *d, const char *path, disk_list_fn *fn,
		    void *arg)
{
	const struct dirent *e;
	DIR *dir;
	int fd, r = 0;

	fd = open_folder(d, path);
	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	while (r == 0) {
		errno = 0;
		/* cppcheck-suppress readdirCalled; the stream is ours alone */
		e = readdir(dir);
		if (!e) {
			r = -errno;
			break;
		}
		r = list_entry(fd, e, fn, arg);
	}
	(void)closedir(dir);
	return r;
}

static int sys_lock(struct disk *d, const char *path)
{
	int fd = path_open(dirfd_of(d), path, O_RDWR | O_CREAT, 0600), r;

	if (fd < 0)
		return fd;
	do {
		r = flock(fd, LOCK_EX | LOCK_NB);
	} while (r < 0 && errno == EINTR);
	if (r < 0) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	return fd;
}

static int sys_space(struct disk *d, struct disk_space *ret)
{
	struct statfs st;
	uint64_t unit;

	if (fstatfs(dirfd_of(d), &st) < 0)
		return -errno;
	unit = (uint64_t)(st.f_frsize ? st.f_frsize : st.f_bsize);
	ret->total = st.f_blocks * unit;
	ret->avail = st.f_bavail * unit;
	ret->fs_magic = (unsigned long)st.f_type;
	return 0;
}

static int sys_boot_id(struct disk *d, char ret[40])
{
	ssize_t n = -1;
	int fd;

	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, ret, 39);
		(void)close(fd);
	}
	ret[n < 0 ? 0 : n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return 0;
}

static void sys_free(struct disk *d)
{
	(void)close(dirfd_of(d));
	free(d);
}

static const struct disk_ops sys_ops = {
	.name = "system",
	.open = sys_open,
	.dup = sys_dup,
	.close = sys_close,
	.pread = sys_pread,
	.pwrite = sys_pwrite,
	.truncate = sys_truncate,
	.allocate = sys_allocate,
	.punch = sys_punch,
	.stat = sys_stat,
	.seek = sys_seek,
	.fdatasync = sys_fdatasync,
	.syncfs = sys_syncfs,
	.writeback = sys_writeback,
	.clone = sys_clone,
	.copy = sys_copy,
	.lease = sys_lease,
	.set_xattr = sys_set_xattr,
	.get_xattr = sys_get_xattr,
	.mkdir = sys_mkdir,
	.rename = sys_rename,
	.unlink = sys_unlink,
	.sync_dir = sys_sync_dir,
	.list = sys_list,
	.lock = sys_lock,
	.space = sys_space,
	.boot_id = sys_boot_id,
	.free = sys_free,
};

int disk_system_open(const char *path, struct disk **ret)
{
	struct sysdisk *s;
	int fd;

	fd = path_make_folder(path);
	if (fd < 0)
		return fd;
	s = calloc(1, sizeof(*s));
	if (!s) {
		(void)close(fd);
		return -ENOMEM;
	}
	s->base.ops = &sys_ops;
	s->dirfd = fd;
	if (signal(SIGIO, SIG_IGN) == SIG_ERR)
		abort();
	*ret = &s->base;
	return 0;
}
