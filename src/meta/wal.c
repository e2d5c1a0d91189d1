/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite's write-ahead log as a file (sqlite.org/fileformat2.html, section
 * 4): a header of 32 bytes, then frames of a 24-byte header and a page.  Both
 * headers end in a checksum over all that comes before, so the log is good up
 * to the first frame whose checksum or salts are wrong.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/disk.h"
#include "ckptfs/log.h"

#include "meta/internal.h"

#define LOG_MODULE "meta"

#define HEADER 32U
#define FRAME 24U
#define MAGIC UINT32_C(0x377f0682) /* the lowest bit: big-endian checksums */
#define CHUNK (256U * 1024)

struct sum {
	bool big;
	uint32_t a, b;
};

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static uint32_t le32(const unsigned char *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[1] << 8 | p[0];
}

static void sum_add(struct sum *s, const unsigned char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i += 8) {
		s->a += (s->big ? be32(p + i) : le32(p + i)) + s->b;
		s->b += (s->big ? be32(p + i + 4) : le32(p + i + 4)) + s->a;
	}
}

static bool sum_is(const struct sum *s, const unsigned char *p)
{
	return s->a == be32(p) && s->b == be32(p + 4);
}

static uint64_t frame_at(uint32_t page, uint32_t frames)
{
	return HEADER + (uint64_t)frames * (FRAME + page);
}

static bool page_is_sane(uint32_t page)
{
	return page >= 512 && page <= 65536 && (page & (page - 1)) == 0;
}

/* The header: a log with a torn one is an empty log to SQLite too. */
static bool header_read(const unsigned char h[HEADER], struct wal_info *w,
			struct sum *s)
{
	s->big = (be32(h) & 1) != 0;
	s->a = s->b = 0;
	w->page = be32(h + 8);
	if ((be32(h) & ~UINT32_C(1)) != MAGIC || !page_is_sane(w->page))
		return false;
	sum_add(s, h, HEADER - 8);
	if (!sum_is(s, h + 24))
		return false;
	memcpy(w->salt, h + 16, sizeof(w->salt));
	w->present = true;
	return true;
}

/* The next frame: 1 good, 0 the end of what is good. */
static int frame_read(struct disk *d, int fd, const struct wal_info *w,
		      uint32_t index, struct sum *s, unsigned char *f)
{
	size_t len = FRAME + w->page;
	ssize_t n = disk_pread(d, fd, f, len, frame_at(w->page, index));

	if (n < 0)
		return (int)n;
	if ((size_t)n < len || be32(f) == 0 ||
	    memcmp(f + 8, w->salt, sizeof(w->salt)) != 0)
		return 0;
	sum_add(s, f, 8);
	sum_add(s, f + FRAME, w->page);
	return sum_is(s, f + 16);
}

static int frames_count(struct disk *d, int fd, struct wal_info *w,
			struct sum *s)
{
	unsigned char *f = malloc(FRAME + w->page);
	uint32_t i;
	int r;

	if (!f)
		return -ENOMEM;
	for (i = 0;; i++) {
		r = frame_read(d, fd, w, i, s, f);
		if (r <= 0)
			break;
		if (be32(f + 4) != 0) /* the last of a commit */
			w->frames = i + 1;
	}
	free(f);
	return r;
}

int wal_read(struct disk *d, struct wal_info *ret)
{
	struct wal_info out = { .present = false };
	unsigned char h[HEADER];
	struct sum s;
	ssize_t n;
	int fd, r = 0;

	fd = disk_open(d, META_WAL, O_RDONLY, 0);
	if (fd == -ENOENT)
		goto out;
	if (fd < 0)
		return log_err(fd, "open %s", META_WAL);
	n = disk_pread(d, fd, h, sizeof(h), 0);
	out.there = n == sizeof(h);
	if (n < 0)
		r = (int)n;
	else if (out.there && header_read(h, &out, &s))
		r = frames_count(d, fd, &out, &s);
	disk_close(d, fd);
	if (r < 0)
		return log_err(r, "read %s", META_WAL);
out:
	*ret = out;
	return 0;
}

int wal_cut(struct disk *d, const struct wal_info *w, uint32_t frames)
{
	int fd = disk_open(d, META_WAL, O_RDWR, 0), r;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return log_err(fd, "open %s", META_WAL);
	r = disk_truncate(d, fd, frame_at(w->page, frames));
	if (r == 0)
		r = disk_fdatasync(d, fd);
	disk_close(d, fd);
	return r < 0 ? log_err(r, "cut %s", META_WAL) : 0;
}

static int copy_onto_itself(struct disk *d, int fd, uint64_t off, uint64_t end)
{
	unsigned char *p = malloc(CHUNK);
	ssize_t n;
	int r = p ? 0 : -ENOMEM;

	while (r == 0 && off < end) {
		n = disk_pread(d, fd, p, end - off < CHUNK ? end - off : CHUNK,
			       off);
		if (n <= 0)
			r = n < 0 ? (int)n : -EIO;
		else
			r = disk_pwrite(d, fd, p, (size_t)n, off);
		off += (uint64_t)(n > 0 ? n : 0);
	}
	free(p);
	return r;
}

int wal_rewrite(struct disk *d, const struct wal_info *w, uint32_t from)
{
	uint64_t start = from == 0 ? 0 : frame_at(w->page, from);
	int fd = disk_open(d, META_WAL, O_RDWR, 0), r;

	if (fd < 0)
		return log_err(fd, "open %s", META_WAL);
	r = copy_onto_itself(d, fd, start, frame_at(w->page, w->frames));
	disk_close(d, fd);
	return r < 0 ? log_err(r, "rewrite %s", META_WAL) : 0;
}
