/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing on the ordinary path. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "linger.h"

#define LOG_MODULE "fs"

#define AHEAD (UINT64_C(8) << 20)
#define AHEAD_FROM (8 * AHEAD)

/* What a reader goes by, while others may open the file for writing. */
struct view {
	struct fetch *fetch; /* not all of it may be here yet; NULL: all is */
	uint64_t size; /* with fetch only */
	int fd;
};

static void view_of(struct fs *fs, const struct fs_file *file, struct view *ret)
{
	const struct live *l = file->in->live;

	lock_acquire(&fs->ns);
	ret->fetch = l->writing ? NULL : l->fetch;
	ret->size = l->ver.size;
	ret->fd = l->rfd;
	lock_release(&fs->ns);
}

int fs_read_from(struct fs *fs, struct fs_file *file, uint64_t off, size_t n,
		 int *ret_fd, size_t *ret_n)
{
	struct disk_stat st;
	struct view v;
	int r;

	view_of(fs, file, &v);
	if (!v.fetch) {
		r = disk_stat(fs->host->disk, v.fd, &st);
		if (r < 0)
			return -EIO;
		v.size = st.size;
	}
	if (off >= v.size)
		n = 0;
	else if (n > v.size - off)
		n = (size_t)(v.size - off);
	if (n && v.fetch) {
		r = fetch_read(v.fetch, reader_of(file), off, n, CLK_NEVER);
		if (r < 0)
			return r == -ENOMEM ? r : -EIO;
	}
	*ret_fd = v.fd;
	*ret_n = n;
	return 0;
}

/* n bytes may be written by this handle; waits for room for them. */
static int may_write(struct fs *fs, const struct fs_file *file, size_t n)
{
	if (fs_is_broken(fs))
		return -EIO;
	return file->writable ? room_for_bytes(fs, n) : -EBADF;
}

/*
 * Who writes a large file from one end to the other finds its blocks reserved:
 * then a write of 1 MiB does not book 256 blocks one by one, a fifth of the
 * time it takes.  What is left beyond the end stays with the blob, an eighth of
 * it at most; to cut it off would move the ctime that a seal goes by.
 */
static void reserve_ahead(struct fs *fs, struct live *l, uint64_t off, size_t n)
{
	uint64_t before, end = off + n;

	before = __atomic_exchange_n(&l->write_end, end, __ATOMIC_RELAXED);
	if (off != before || end < AHEAD_FROM ||
	    end <= __atomic_load_n(&l->reserved, __ATOMIC_RELAXED) ||
	    !room_is_ample(fs))
		return;
	__atomic_store_n(&l->reserved, off + AHEAD, __ATOMIC_RELAXED);
	if (disk_allocate(fs->host->disk, l->wfd, off, AHEAD) < 0)
		log_debug("no blocks reserved ahead of a writer");
}

static int write_to(struct fs *fs, struct fs_file *file, uint64_t *off,
		    size_t n, bool append, int *ret_fd)
{
	struct live *l = file->in->live;
	struct disk_stat st;
	int r = may_write(fs, file, n);

	if (r < 0)
		return r;
	if (l->wfd < 0) {
		busy_begin(fs, file->in);
		r = live_open_blob(fs, file->in, true);
		busy_end(fs, file->in);
		if (r < 0)
			return r;
	}
	if (append) {
		/* The kernel holds the inode's lock: no other append runs. */
		r = disk_stat(fs->host->disk, l->rfd, &st);
		if (r < 0)
			return -EIO;
		*off = st.size;
	}
	reserve_ahead(fs, l, *off, n);
	*ret_fd = l->wfd;
	return 0;
}

int fs_write_to(struct fs *fs, struct fs_file *file, uint64_t *off, size_t n,
		int *ret_fd)
{
	return write_to(fs, file, off, n, file->flags & O_APPEND, ret_fd);
}

int fs_write_page_to(struct fs *fs, struct fs_file *file, uint64_t off,
		     size_t n, int *ret_fd)
{
	return write_to(fs, file, &off, n, false, ret_fd);
}

/* Zeros where there were bytes: those that the line or the bucket needs are in
 * another blob before, as with a cut.  busy is held. */
static int take_out(struct fs *fs, struct inode *in, uint64_t off, uint64_t len)
{
	int r = open_for_write(fs, in, O_RDWR);

	if (r == 0)
		r = unshare_for_cut(fs, in);
	if (r == 0)
		r = live_open_blob(fs, in, true);
	return r < 0 ? r : disk_punch(fs->host->disk, in->live->wfd, off, len);
}

/* Space for a range, and with it the size. */
static int fill_up(struct fs *fs, struct inode *in, bool keep_size,
		   uint64_t off, uint64_t len)
{
	struct disk_stat st;
	int r = live_open_blob(fs, in, true);

	if (r == 0)
		r = disk_allocate(fs->host->disk, in->live->wfd, off, len);
	if (r < 0 || keep_size)
		return r;
	r = disk_stat(fs->host->disk, in->live->wfd, &st);
	if (r == 0 && st.size < off + len)
		r = disk_truncate(fs->host->disk, in->live->wfd, off + len);
	return r;
}

int fs_fallocate(struct fs *fs, struct fs_file *file, int mode, uint64_t off,
		 uint64_t len)
{
	bool punch = mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	bool keep = mode & FALLOC_FL_KEEP_SIZE;
	bool zero = (mode & ~FALLOC_FL_KEEP_SIZE) == FALLOC_FL_ZERO_RANGE;
	struct inode *in = file->in;
	int r = 0;

	if (mode && mode != FALLOC_FL_KEEP_SIZE && !punch && !zero)
		return -EOPNOTSUPP;
	if (!file->writable)
		return -EBADF;
	busy_begin(fs, in);
	if (punch || zero)
		r = take_out(fs, in, off, len);
	if (r == 0 && !punch)
		r = fill_up(fs, in, keep, off, len);
	if (in->live->io == FS_IO_PASSTHROUGH) {
		/* Our own writable descriptor would refuse us the lease. */
		cache_blob_close(fs->cache, in->live->wfd);
		in->live->wfd = -1;
	}
	busy_end(fs, in);
	return r;
}

/* What is stored through a mapping is the kernel's alone until it writes the page
 * back, unless it is mapped from the blob itself. */
static bool may_be_mapped(struct fs *fs, struct inode *in)
{
	const struct fs_file *f;
	bool yes = false;

	busy_begin(fs, in);
	for (f = in->live->files; f && in->live->io == FS_IO_CACHED; f = f->next)
		yes |= (f->flags & O_ACCMODE) == O_RDWR && !f->direct;
	busy_end(fs, in);
	return yes;
}

int fs_lseek(struct fs *fs, struct fs_file *file, uint64_t off, int whence,
	     uint64_t *ret)
{
	struct disk_stat st;
	bool unknown;
	struct view v;
	int64_t r;

	view_of(fs, file, &v);
	unknown = v.fetch != NULL;
	if (!v.fetch && may_be_mapped(fs, file->in)) {
		r = disk_stat(fs->host->disk, v.fd, &st);
		if (r < 0)
			return (int)r;
		v.size = st.size;
		unknown = true;
	}
	if (unknown) { /* nothing is known of holes: all is data */
		if (off >= v.size)
			return -ENXIO;
		*ret = whence == SEEK_HOLE ? v.size : off;
		return 0;
	}
	r = whence == SEEK_HOLE ? disk_seek_hole(fs->host->disk, v.fd, off)
				: disk_seek_data(fs->host->disk, v.fd, off);
	if (r < 0)
		return (int)r;
	*ret = (uint64_t)r;
	return 0;
}

/* Inside the disk, which shares blocks if it can; else by way of buf. */
static int copy_chunk(struct fs *fs, struct fs_file *in, uint64_t in_off,
		      const struct fs_file *out, int wfd, uint64_t out_off,
		      char *buf, size_t *n)
{
	int rfd, r = fs_read_from(fs, in, in_off, *n, &rfd, n);
	ssize_t did;

	if (r < 0 || *n == 0)
		return r;
	r = may_write(fs, out, *n);
	if (r < 0)
		return r;
	did = disk_copy(fs->host->disk, rfd, in_off, wfd, out_off, *n);
	if (did > 0)
		*n = (size_t)did;
	if (did != -EOPNOTSUPP)
		return did < 0 ? (int)did : did ? 0 : -EIO;
	if (disk_pread(fs->host->disk, rfd, buf, *n, in_off) != (ssize_t)*n)
		return -EIO;
	return disk_pwrite(fs->host->disk, wfd, buf, *n, out_off);
}

/* To a descriptor of its own: where the kernel writes past us the inode has
 * none, and whoever opens the file closes what he finds (attach()). */
ssize_t fs_copy_range(struct fs *fs, struct fs_file *in, uint64_t in_off,
		      struct fs_file *out, uint64_t out_off, size_t n)
{
	const size_t chunk = 1 << 20;
	char *buf = malloc(chunk);
	size_t done = 0, got;
	int r = buf ? 0 : -ENOMEM, wfd = -1;

	if (r == 0) {
		busy_begin(fs, out->in);
		wfd = cache_blob_open(fs->cache, out->in->live->ver.blob,
				      O_RDWR);
		busy_end(fs, out->in);
		r = wfd < 0 ? -EIO : 0;
	}
	while (r == 0 && done < n) {
		got = n - done < chunk ? n - done : chunk;
		r = copy_chunk(fs, in, in_off + done, out, wfd, out_off + done,
			       buf, &got);
		if (r < 0 || got == 0)
			break;
		done += got;
	}
	cache_blob_close(fs->cache, wfd);
	free(buf);
	return done ? (ssize_t)done : r;
}
