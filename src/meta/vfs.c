/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite's way to the disk: a VFS over struct disk.
 *
 * One process has the cache (its flock says so) and one connection the
 * database, so locks are nothing, and with locking_mode=EXCLUSIVE there is no
 * shared memory.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "meta"

struct vfile {
	sqlite3_file base;
	struct meta *m;
	int fd;
	bool wal;
};

static struct vfile *to_vfile(sqlite3_file *f)
{
	return (struct vfile *)(void *)f;
}

static struct disk *disk_of(const struct vfile *f)
{
	return f->m->host->disk;
}

static int x_close(sqlite3_file *file)
{
	struct vfile *f = to_vfile(file);

	if (f->wal)
		f->m->wal_fd = -1;
	disk_close(disk_of(f), f->fd);
	return SQLITE_OK;
}

static int x_read(sqlite3_file *file, void *p, int n, sqlite3_int64 off)
{
	struct vfile *f = to_vfile(file);
	ssize_t got = disk_pread(disk_of(f), f->fd, p, (size_t)n,
				 (uint64_t)off);

	if (got < 0)
		return SQLITE_IOERR_READ;
	if (got < n) {
		memset((char *)p + got, 0, (size_t)(n - got));
		return SQLITE_IOERR_SHORT_READ;
	}
	return SQLITE_OK;
}

static int x_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 off)
{
	struct vfile *f = to_vfile(file);
	int r = disk_pwrite(disk_of(f), f->fd, p, (size_t)n, (uint64_t)off);

	return r == 0 ? SQLITE_OK :
	       r == -ENOSPC || r == -EDQUOT ? SQLITE_FULL :
						    SQLITE_IOERR_WRITE;
}

static int x_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct vfile *f = to_vfile(file);

	return disk_truncate(disk_of(f), f->fd, (uint64_t)size) == 0 ?
		       SQLITE_OK :
		       SQLITE_IOERR_TRUNCATE;
}

static int x_sync(sqlite3_file *file, int flags)
{
	struct vfile *f = to_vfile(file);

	(void)flags;
	if (f->m->failed || disk_fdatasync(disk_of(f), f->fd) < 0) {
		f->m->failed = true; /* never asked again and believed */
		return SQLITE_IOERR_FSYNC;
	}
	return SQLITE_OK;
}

static int x_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	struct vfile *f = to_vfile(file);
	struct disk_stat st;

	if (disk_stat(disk_of(f), f->fd, &st) < 0)
		return SQLITE_IOERR_FSTAT;
	*ret = (sqlite3_int64)st.size;
	return SQLITE_OK;
}

static int x_lock(sqlite3_file *file, int level)
{
	(void)file;
	(void)level;
	return SQLITE_OK;
}

static int x_reserved(sqlite3_file *file, int *ret)
{
	(void)file;
	*ret = 0;
	return SQLITE_OK;
}

static int x_control(sqlite3_file *file, int op, void *arg)
{
	(void)file;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int x_sector(sqlite3_file *file)
{
	(void)file;
	return META_PAGE;
}

static int x_features(sqlite3_file *file)
{
	(void)file;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = x_close,
	.xRead = x_read,
	.xWrite = x_write,
	.xTruncate = x_truncate,
	.xSync = x_sync,
	.xFileSize = x_size,
	.xLock = x_lock,
	.xUnlock = x_lock,
	.xCheckReservedLock = x_reserved,
	.xFileControl = x_control,
	.xSectorSize = x_sector,
	.xDeviceCharacteristics = x_features,
};

static int x_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file,
		  int flags, int *ret_flags)
{
	struct vfile *f = to_vfile(file);

	f->base.pMethods = NULL;
	if (!name)
		return SQLITE_CANTOPEN; /* temporary ones are in memory */
	f->m = vfs->pAppData;
	f->wal = flags & SQLITE_OPEN_WAL;
	f->fd = disk_open(f->m->host->disk, name,
			  O_RDWR | (flags & SQLITE_OPEN_CREATE ? O_CREAT : 0),
			  0600);
	if (f->fd < 0)
		return SQLITE_CANTOPEN;
	if (f->wal)
		f->m->wal_fd = f->fd;
	if (ret_flags)
		*ret_flags = flags;
	f->base.pMethods = &methods;
	return SQLITE_OK;
}

static int x_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	struct meta *m = vfs->pAppData;
	int r = disk_unlink(m->host->disk, name);

	if (r == -ENOENT)
		return SQLITE_IOERR_DELETE_NOENT;
	if (r == 0 && sync_dir)
		r = disk_sync_dir(m->host->disk, "");
	return r == 0 ? SQLITE_OK : SQLITE_IOERR_DELETE;
}

static int x_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
	struct meta *m = vfs->pAppData;
	int fd = disk_open(m->host->disk, name, O_RDONLY, 0);

	(void)flags;
	*ret = fd >= 0;
	disk_close(m->host->disk, fd);
	return SQLITE_OK;
}

static int x_path(sqlite3_vfs *vfs, const char *name, int n, char *ret)
{
	(void)vfs;
	return snprintf(ret, (size_t)n, "%s", name) < n ? SQLITE_OK :
							    SQLITE_CANTOPEN;
}

static int x_random(sqlite3_vfs *vfs, int n, char *ret)
{
	struct meta *m = vfs->pAppData;

	m->host->rng->fill(m->host->rng, ret, (size_t)n);
	return n;
}

static int x_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	return us; /* nobody to wait for */
}

static int x_time(sqlite3_vfs *vfs, double *ret)
{
	struct meta *m = vfs->pAppData;

	*ret = 2440587.5 +
	       (double)clk_real(m->host->clk) / 1e9 / 86400.0; /* Julian day */
	return SQLITE_OK;
}

static int x_error(sqlite3_vfs *vfs, int n, char *ret)
{
	(void)vfs;
	(void)n;
	(void)ret;
	return 0;
}

int vfs_register(struct meta *m)
{
	(void)snprintf(m->vfs_name, sizeof(m->vfs_name), "ckptfs-%p",
		       (void *)m);
	m->vfs = (sqlite3_vfs){
		.iVersion = 1,
		.szOsFile = sizeof(struct vfile),
		.mxPathname = 512,
		.zName = m->vfs_name,
		.pAppData = m,
		.xOpen = x_open,
		.xDelete = x_delete,
		.xAccess = x_access,
		.xFullPathname = x_path,
		.xRandomness = x_random,
		.xSleep = x_sleep,
		.xCurrentTime = x_time,
		.xGetLastError = x_error,
	};
	return sqlite3_vfs_register(&m->vfs, 0) == SQLITE_OK ? 0 : -ENOMEM;
}

void vfs_unregister(struct meta *m)
{
	(void)sqlite3_vfs_unregister(&m->vfs);
}
