/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs that are longer than their rows say, after a power cut: something was
 * appended and its bytes came to the disk, but not the row of its seal.  The
 * mount is a prefix of what was done, so the bytes go: through the kernel they
 * would be read, and appended to.  Of versions that share a blob the newest
 * counts: of what was cut short in place the one before says too much.  A file
 * that is unfinished keeps all.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "internal.h"

#define LOG_MODULE "fs"

struct said {
	uint64_t blob, vid, size;
	bool whole; /* its row is that of a finished version */
};

static int by_blob(const void *x, const void *y)
{
	const struct said *a = x, *b = y;

	if (a->blob != b->blob)
		return a->blob < b->blob ? -1 : 1;
	return a->vid < b->vid ? -1 : a->vid > b->vid;
}

/* 1: it is longer, and nobody has it open. */
static int may_cut(struct fs *fs, uint64_t blob, uint64_t size)
{
	struct disk_stat st;
	int fd = cache_blob_open(fs->cache, blob, O_RDONLY), r;

	if (fd < 0)
		return 0; /* whoever reads it will say so */
	r = disk_stat(fs->host->disk, fd, &st);
	if (r == 0 && st.size > size) {
		r = disk_lease(fs->host->disk, fd, DISK_LEASE_WRITE);
		if (r == 0 || r == -EOPNOTSUPP)
			r = 1;
	}
	cache_blob_close(fs->cache, fd);
	if (r == -EAGAIN) {
		log_warn("blob %llx is longer than its row, and in use",
			 (unsigned long long)blob);
		r = 0;
	}
	return r;
}

static int cut_tail(struct fs *fs, uint64_t blob, uint64_t size)
{
	int fd, r = may_cut(fs, blob, size);

	if (r <= 0)
		return r;
	log_info("blob %llx: what no row knows of is cut off",
		 (unsigned long long)blob);
	fd = cache_blob_open(fs->cache, blob, O_RDWR);
	r = fd < 0 ? fd : disk_truncate(fs->host->disk, fd, size);
	cache_blob_close(fs->cache, fd);
	return r < 0 ? log_err(r, "cut a blob to its row") : 0;
}

static int cut_tails(struct fs *fs, const struct said *s, size_t n)
{
	size_t i, k;
	int r = 0;

	for (i = 0; r == 0 && i < n; i = k) {
		bool whole = true;

		for (k = i; k < n && s[k].blob == s[i].blob; k++)
			whole &= s[k].whole;
		if (whole && s[i].blob)
			r = cut_tail(fs, s[i].blob, s[k - 1].size);
	}
	return r;
}

int recover_tails(struct fs *fs, const struct meta_version *v, size_t n)
{
	struct said *s = calloc(n + 1, sizeof(*s));
	size_t i;
	int r;

	if (!s)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		s[i] = (struct said){ .blob = v[i].blob,
				      .vid = v[i].vid,
				      .size = v[i].size,
				      .whole = v[i].state == META_SEALED ||
					       (v[i].state == META_PUBLISHED &&
						v[i].complete) };
	qsort(s, n, sizeof(*s), by_blob);
	r = cut_tails(fs, s, n);
	free(s);
	return r;
}
