/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "ckptfs/disk.h"
#include "ckptfs/log.h"

#include "blob.h"

#define LOG_MODULE "cache"

#define CHUNK ((size_t)1 << 20)

static int copy_range(struct disk *d, int from, int to, uint64_t off,
		      uint64_t end, char *chunk)
{
	ssize_t n;
	size_t want;
	int r;

	while (off < end) {
		want = end - off < CHUNK ? (size_t)(end - off) : CHUNK;
		n = disk_pread(d, from, chunk, want, off);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EIO;
		r = disk_pwrite(d, to, chunk, (size_t)n, off);
		if (r < 0)
			return r;
		off += (uint64_t)n;
	}
	return 0;
}

/* The next stretch of data at or after off, within len; none: both are len.
 * A file system that knows no holes has one stretch. */
static int next_data(struct disk *d, int from, uint64_t off, uint64_t len,
		     uint64_t *ret_off, uint64_t *ret_end)
{
	int64_t data, hole;

	data = disk_seek_data(d, from, off);
	if (data == -ENXIO || (data >= 0 && (uint64_t)data >= len)) {
		*ret_off = *ret_end = len;
		return 0;
	}
	if (data < 0 && data != -EINVAL && data != -EOPNOTSUPP)
		return (int)data;
	*ret_off = data < 0 ? off : (uint64_t)data;
	hole = data < 0 ? (int64_t)len : disk_seek_hole(d, from, *ret_off);
	if (hole < 0)
		return (int)hole;
	*ret_end = (uint64_t)hole < len ? (uint64_t)hole : len;
	return 0;
}

static int copy_data(struct disk *d, int from, int to, uint64_t len)
{
	uint64_t off = 0, end = 0;
	char *chunk;
	int r;

	chunk = malloc(CHUNK);
	if (!chunk)
		return -ENOMEM;
	r = disk_truncate(d, to, len);
	while (r == 0 && off < len) {
		r = next_data(d, from, off, len, &off, &end);
		if (r < 0)
			break;
		r = copy_range(d, from, to, off, end, chunk);
		off = end;
	}
	free(chunk);
	return r;
}

static int copy_bytes(struct disk *d, int from, int to, uint64_t len,
		      bool share)
{
	struct disk_stat st;
	int r;

	r = disk_stat(d, from, &st);
	if (r < 0)
		return r;
	if (st.size < len)
		return -EIO;
	if (!share)
		return copy_data(d, from, to, len);
	r = disk_clone(d, from, to);
	if (r == 0)
		return disk_truncate(d, to, len);
	/* A clone that failed half way may have left something. */
	r = disk_truncate(d, to, 0);
	return r < 0 ? r : copy_data(d, from, to, len);
}

static int copy_blob(struct cache *c, int from_fd, uint64_t len, bool share,
		     const struct cache_tag *tag, uint64_t *ret_blob,
		     int *ret_fd)
{
	uint64_t blob;
	int r, fd;

	r = cache_blob_new(c, tag, O_RDWR, &blob, &fd);
	if (r < 0)
		return r;
	r = copy_bytes(c->host->disk, from_fd, fd, len, share);
	if (r < 0) {
		(void)log_err(r, "copy a blob");
		cache_blob_close(c, fd);
		/* Else recovery finds it without a row. */
		if (cache_blob_unlink(c, blob) < 0)
			log_warn("a partial copy stays behind");
		return r;
	}
	*ret_blob = blob;
	*ret_fd = fd;
	return 0;
}

int cache_blob_copy(struct cache *c, int from_fd, uint64_t len,
		    const struct cache_tag *tag, uint64_t *ret_blob,
		    int *ret_fd)
{
	return copy_blob(c, from_fd, len, true, tag, ret_blob, ret_fd);
}

int cache_blob_rewrite(struct cache *c, int from_fd, uint64_t len,
		       const struct cache_tag *tag, uint64_t *ret_blob,
		       int *ret_fd)
{
	return copy_blob(c, from_fd, len, false, tag, ret_blob, ret_fd);
}
