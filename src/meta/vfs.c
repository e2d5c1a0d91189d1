/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite's view of the disk: a VFS over struct disk.
 *
 * It locks nothing (one process has the cache folder) and shares no memory:
 * the database is opened with locking_mode=EXCLUSIVE, so that the index of
 * the log lives on the heap.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/log.h"
#include "ckptfs/rng.h"

#include "meta/internal.h"

#define LOG_MODULE "meta"

#define WAL_HEADER 32
#define WAL_SALT_AT 16
#define WAL_FRAME 24
#define WAL_COMMIT_AT 4 /* in a frame's header: not 0 in a commit's last */
/* Frames of a transaction that are written at once. */
#define WAL_GATHER (16 * (WAL_FRAME + META_PAGE))
/* Milliseconds from noon of 24 November 4714 BC to 1970, as SQLite counts. */
#define JULIAN_EPOCH_MS INT64_C(210866760000000)

struct vfs {
	sqlite3_vfs base;
	struct host host;
	char name[32];
	bool (*on_full)(void *arg);
	void *on_full_arg;
	int wal_fd;
	unsigned char salt[8];
	/* Frames that are not written yet: those of the transaction under way. */
	unsigned char *frames;
	size_t n_frames; /* bytes */
	uint64_t frames_at;
	bool commits; /* the header that came last is that of a commit */
	uint64_t log_end; /* no frame was written from here on */
};

struct file {
	sqlite3_file base;
	struct vfs *v;
	int fd;
	bool is_wal;
};

static struct disk *disk_of(const struct file *f)
{
	return f->v->host.disk;
}

static struct file *file_of(sqlite3_file *f)
{
	return (struct file *)f;
}

static struct vfs *vfs_of(sqlite3_vfs *v)
{
	return (struct vfs *)v;
}

static int fail(int err, const char *what, int rc)
{
	(void)log_err(err, "%s", what);
	return err == -ENOMEM ? SQLITE_IOERR_NOMEM : rc;
}

static bool is_full(int err)
{
	return err == -ENOSPC || err == -EDQUOT;
}

static int write_out(struct file *f, const void *p, size_t n, uint64_t off)
{
	struct vfs *v = f->v;
	int r = disk_pwrite(disk_of(f), f->fd, p, n, off);

	if (f->is_wal && off + n > v->log_end)
		v->log_end = off + n;
	if (is_full(r) && v->on_full && v->on_full(v->on_full_arg))
		r = disk_pwrite(disk_of(f), f->fd, p, n, off);
	if (is_full(r))
		return SQLITE_FULL;
	return r < 0 ? fail(r, "write the database", SQLITE_IOERR_WRITE) :
		       SQLITE_OK;
}

/* ---- gathering frames
 *
 * SQLite writes each frame by two calls, its header and its page; a transaction
 * that makes a file has five.  They are gathered, and written with the last
 * one, before the commit returns: of what is committed nothing is ever here.
 * Headers it writes once more, for their checksums, come behind that.
 */

static bool is_frame_next(const struct file *f, int n, sqlite3_int64 off)
{
	const struct vfs *v = f->v;

	if (!f->is_wal || off < WAL_HEADER)
		return false;
	if (v->n_frames && (uint64_t)off != v->frames_at + v->n_frames)
		return false;
	if (v->n_frames % (WAL_FRAME + META_PAGE))
		return n == (int)META_PAGE; /* of the header before it */
	return n == WAL_FRAME && (uint64_t)off >= v->log_end;
}

static int flush(struct file *f)
{
	struct vfs *v = f->v;
	size_t n = f->is_wal ? v->n_frames : 0;

	if (!n)
		return SQLITE_OK;
	v->n_frames = 0;
	return write_out(f, v->frames, n, v->frames_at);
}

static int gather(struct file *f, const void *p, size_t n, uint64_t off)
{
	struct vfs *v = f->v;
	const unsigned char *c = (const unsigned char *)p + WAL_COMMIT_AT;

	if (!v->n_frames)
		v->frames_at = off;
	memcpy(v->frames + v->n_frames, p, n);
	v->n_frames += n;
	if (n == WAL_FRAME)
		v->commits = c[0] | c[1] | c[2] | c[3];
	else if (v->commits || v->n_frames == WAL_GATHER)
		return flush(f);
	return SQLITE_OK;
}

/* ---- a file ---- */

static int x_close(sqlite3_file *file)
{
	struct file *f = file_of(file);

	if (f->is_wal)
		f->v->n_frames = 0; /* nobody committed them */
	disk_close(disk_of(f), f->fd);
	if (f->is_wal)
		f->v->wal_fd = -1;
	f->fd = -1;
	return SQLITE_OK;
}

static int x_read(sqlite3_file *file, void *p, int n, sqlite3_int64 off)
{
	struct file *f = file_of(file);
	int rc = flush(f);
	ssize_t r;

	if (rc != SQLITE_OK)
		return rc;
	r = disk_pread(disk_of(f), f->fd, p, (size_t)n, (uint64_t)off);
	if (r < 0)
		return fail((int)r, "read the database", SQLITE_IOERR_READ);
	if (r == n)
		return SQLITE_OK;
	memset((char *)p + r, 0, (size_t)(n - r));
	return SQLITE_IOERR_SHORT_READ;
}

static int x_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 off)
{
	struct file *f = file_of(file);
	struct vfs *v = f->v;
	int rc;

	if (is_frame_next(f, n, off))
		return gather(f, p, (size_t)n, (uint64_t)off);
	rc = flush(f);
	if (rc == SQLITE_OK && is_frame_next(f, n, off))
		return gather(f, p, (size_t)n, (uint64_t)off);
	if (rc == SQLITE_OK)
		rc = write_out(f, p, (size_t)n, (uint64_t)off);
	if (rc != SQLITE_OK || !f->is_wal || off != 0 || n < WAL_HEADER)
		return rc;
	/* A log begun anew. */
	memcpy(v->salt, (const char *)p + WAL_SALT_AT, sizeof(v->salt));
	v->log_end = 0;
	return rc;
}

static int x_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct file *f = file_of(file);
	int rc = flush(f), r;

	if (rc != SQLITE_OK)
		return rc;
	r = disk_truncate(disk_of(f), f->fd, (uint64_t)size);
	return r < 0 ? fail(r, "truncate the database", SQLITE_IOERR_TRUNCATE)
		     : SQLITE_OK;
}

static int x_sync(sqlite3_file *file, int flags)
{
	struct file *f = file_of(file);
	int rc = flush(f), r;

	(void)flags;
	if (rc != SQLITE_OK)
		return rc;
	r = disk_fdatasync(disk_of(f), f->fd);
	return r < 0 ? fail(r, "sync the database", SQLITE_IOERR_FSYNC)
		     : SQLITE_OK;
}

static int x_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	struct file *f = file_of(file);
	struct disk_stat st;
	int rc = flush(f), r;

	if (rc != SQLITE_OK)
		return rc;
	r = disk_stat(disk_of(f), f->fd, &st);
	if (r < 0)
		return fail(r, "stat the database", SQLITE_IOERR_FSTAT);
	*ret = (sqlite3_int64)st.size;
	return SQLITE_OK;
}

static int x_lock(sqlite3_file *file, int level)
{
	(void)file;
	(void)level;
	return SQLITE_OK;
}

static int x_check_reserved(sqlite3_file *file, int *ret)
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
	return (int)META_PAGE;
}

/* Not SEQUENTIAL: then the header of a log begun anew would not be synced
 * before its first frame, and its salts would lie after a power cut. */
static int x_characteristics(sqlite3_file *file)
{
	(void)file;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods file_methods = {
	.iVersion = 1,
	.xClose = x_close,
	.xRead = x_read,
	.xWrite = x_write,
	.xTruncate = x_truncate,
	.xSync = x_sync,
	.xFileSize = x_size,
	.xLock = x_lock,
	.xUnlock = x_lock,
	.xCheckReservedLock = x_check_reserved,
	.xFileControl = x_control,
	.xSectorSize = x_sector,
	.xDeviceCharacteristics = x_characteristics,
};

/* ---- the folder ---- */

static int x_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file,
		  int flags, int *ret_flags)
{
	struct vfs *v = vfs_of(vfs);
	struct file *f = file_of(file);
	int how = flags & SQLITE_OPEN_READWRITE ? O_RDWR : O_RDONLY;

	f->base.pMethods = NULL;
	if (!name) /* a temporary file: all of them are kept in memory */
		return SQLITE_CANTOPEN;
	if (flags & SQLITE_OPEN_CREATE)
		how |= O_CREAT;
	f->fd = disk_open(v->host.disk, name, how, 0600);
	if (f->fd < 0) {
		(void)log_err(f->fd, "open %s", name);
		return SQLITE_CANTOPEN;
	}
	f->v = v;
	f->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
	if (f->is_wal)
		v->wal_fd = f->fd;
	f->base.pMethods = &file_methods;
	if (ret_flags)
		*ret_flags = flags;
	return SQLITE_OK;
}

static int x_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	struct disk *d = vfs_of(vfs)->host.disk;
	int r = disk_unlink(d, name);

	if (r == -ENOENT)
		return SQLITE_IOERR_DELETE_NOENT;
	if (r < 0)
		return fail(r, "unlink", SQLITE_IOERR_DELETE);
	if (sync_dir)
		r = disk_sync_dir(d, "");
	return r < 0 ? fail(r, "sync the folder", SQLITE_IOERR_DIR_FSYNC)
		     : SQLITE_OK;
}

/* An empty file counts as none, as SQLite's own VFS has it. */
static int x_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
	struct disk *d = vfs_of(vfs)->host.disk;
	struct disk_stat st;
	int fd = disk_open(d, name, O_RDONLY, 0);
	int r;

	(void)flags;
	*ret = 0;
	if (fd == -ENOENT)
		return SQLITE_OK;
	if (fd < 0)
		return fail(fd, name, SQLITE_IOERR_ACCESS);
	r = disk_stat(d, fd, &st);
	disk_close(d, fd);
	if (r < 0)
		return fail(r, name, SQLITE_IOERR_ACCESS);
	*ret = st.size > 0;
	return SQLITE_OK;
}

static int x_full_name(sqlite3_vfs *vfs, const char *name, int room, char *ret)
{
	(void)vfs;
	sqlite3_snprintf(room, ret, "%s", name);
	return SQLITE_OK;
}

static int x_random(sqlite3_vfs *vfs, int n, char *ret)
{
	struct rng *rng = vfs_of(vfs)->host.rng;

	rng->fill(rng, ret, (size_t)n);
	return n;
}

static int x_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	return us;
}

static int x_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
	*ret = JULIAN_EPOCH_MS + clk_real(vfs_of(vfs)->host.clk) / NS_PER_MS;
	return SQLITE_OK;
}

static int x_time(sqlite3_vfs *vfs, double *ret)
{
	sqlite3_int64 ms;

	(void)x_time_ms(vfs, &ms);
	*ret = (double)ms / 86400000.0;
	return SQLITE_OK;
}

static const sqlite3_vfs methods = {
	.iVersion = 2,
	.szOsFile = sizeof(struct file),
	.mxPathname = 64,
	.xOpen = x_open,
	.xDelete = x_delete,
	.xAccess = x_access,
	.xFullPathname = x_full_name,
	.xRandomness = x_random,
	.xSleep = x_sleep,
	.xCurrentTime = x_time,
	.xCurrentTimeInt64 = x_time_ms,
};

/* ---- life ---- */

int vfs_new(const struct host *host, struct vfs **ret)
{
	struct vfs *v;
	int rc;

	if (sqlite3_initialize() != SQLITE_OK)
		return log_err(-ENOMEM, "start SQLite");
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->frames = malloc(WAL_GATHER);
	if (!v->frames) {
		free(v);
		return -ENOMEM;
	}
	v->base = methods;
	v->host = *host;
	v->wal_fd = -1;
	snprintf(v->name, sizeof(v->name), "ckptfs-%llx",
		 (unsigned long long)(uintptr_t)v);
	v->base.zName = v->name;
	rc = sqlite3_vfs_register(&v->base, 0);
	if (rc != SQLITE_OK) {
		free(v->frames);
		free(v);
		return -ENOMEM;
	}
	*ret = v;
	return 0;
}

void vfs_free(struct vfs *v)
{
	if (!v)
		return;
	(void)sqlite3_vfs_unregister(&v->base);
	free(v->frames);
	free(v);
}

const char *vfs_name(const struct vfs *v)
{
	return v->name;
}

void vfs_on_full(struct vfs *v, bool (*fn)(void *arg), void *arg)
{
	v->on_full = fn;
	v->on_full_arg = arg;
}

int vfs_wal_fd(const struct vfs *v)
{
	return v->wal_fd;
}

void vfs_wal_salt(const struct vfs *v, unsigned char ret[8])
{
	memcpy(ret, v->salt, sizeof(v->salt));
}

void vfs_set_wal_salt(struct vfs *v, const unsigned char salt[8])
{
	memcpy(v->salt, salt, sizeof(v->salt));
}
