/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A zip archive is written front to back and its directory comes last, so one
 * that was cut short has no end record that points at a directory.  Field
 * numbers are those of APPNOTE.TXT, 4.3.
 *
 * Archives may stand behind other bytes (several torch.save() into one file)
 * and before some (a pickle after the archive): readers allow both, so this
 * does.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/disk.h"

#include "format.h"

#define END_LEN 22 /* 4.3.16, without its comment */
#define END64_LEN 56 /* 4.3.14, without its extensible part */
#define LOCATOR_LEN 20 /* 4.3.15 */
#define COMMENT_MAX 65535
#define TAIL_MAX (END_LEN + COMMENT_MAX)
#define ENTRY_MIN 46 /* 4.3.12 */

struct zip {
	struct disk *d;
	int fd;
	bool empty; /* begins with its end record */
};

/* What an end record says of the directory. */
struct dir {
	uint64_t entries, size, off;
};

static int has_sig(const struct zip *z, uint64_t off, const char *sig)
{
	char got[4];
	int r = format_read(z->d, z->fd, got, sizeof(got), off);

	if (r < 0)
		return r;
	return memcmp(got, sig, sizeof(got)) == 0 ? 0 : -EBADMSG;
}

/* A directory that ends at or before `end`. */
static int check_dir(const struct zip *z, const struct dir *dir, uint64_t end)
{
	int r;

	if (dir->size > end || dir->off > end - dir->size)
		return -EBADMSG;
	if (dir->entries == 0)
		return z->empty && dir->size == 0 ? 0 : -EBADMSG;
	if (dir->size / ENTRY_MIN < dir->entries)
		return -EBADMSG;
	r = has_sig(z, end - dir->size, "PK\1\2");
	if (r == -EBADMSG)
		r = has_sig(z, dir->off, "PK\1\2");
	return r;
}

/* The zip64 end record at off, the directory before it. */
static int check_end64(const struct zip *z, uint64_t off)
{
	unsigned char p[END64_LEN];
	struct dir dir;
	int r;

	r = format_read(z->d, z->fd, p, sizeof(p), off);
	if (r < 0)
		return r;
	if (memcmp(p, "PK\6\6", 4) != 0)
		return -EBADMSG;
	dir.entries = format_le(p + 32, 8);
	dir.size = format_le(p + 40, 8);
	dir.off = format_le(p + 48, 8);
	return check_dir(z, &dir, off);
}

/* The zip64 locator before the end record at `end`, if there is one. */
static int check_locator(const struct zip *z, uint64_t end)
{
	unsigned char p[LOCATOR_LEN];
	uint64_t off;
	int r;

	if (end < LOCATOR_LEN + END64_LEN)
		return -EBADMSG;
	end -= LOCATOR_LEN;
	r = format_read(z->d, z->fd, p, sizeof(p), end);
	if (r < 0)
		return r;
	if (memcmp(p, "PK\6\7", 4) != 0)
		return -EBADMSG;
	/* What it says does not count bytes before the archive. */
	off = format_le(p + 8, 8);
	r = off < end ? check_end64(z, off) : -EBADMSG;
	if (r == -EBADMSG)
		r = check_end64(z, end - END64_LEN);
	return r;
}

/* The end record p, which lies at off and has `left` bytes till the end of the
 * file. */
static int check_end(const struct zip *z, const unsigned char *p, uint64_t off,
		     size_t left)
{
	struct dir dir;
	int r;

	if (left < END_LEN + format_le(p + 20, 2))
		return -EBADMSG;
	r = check_locator(z, off);
	if (r != -EBADMSG)
		return r;
	dir.entries = format_le(p + 10, 2);
	dir.size = format_le(p + 12, 4);
	dir.off = format_le(p + 16, 4);
	return check_dir(z, &dir, off);
}

int format_zip(struct disk *d, int fd, uint64_t size)
{
	struct zip z = { .d = d, .fd = fd };
	unsigned char *tail = NULL;
	size_t len, i;
	char sig[4];
	int r;

	if (size < sizeof(sig))
		return 0;
	r = format_read(d, fd, sig, sizeof(sig), 0);
	if (r < 0)
		return r;
	z.empty = memcmp(sig, "PK\5\6", 4) == 0;
	if (!z.empty && memcmp(sig, "PK\3\4", 4) != 0)
		return 0;
	len = size < TAIL_MAX ? (size_t)size : TAIL_MAX;
	tail = malloc(len);
	if (!tail)
		return -ENOMEM;
	r = format_read(d, fd, tail, len, size - len);
	if (r < 0)
		goto out;
	r = -EBADMSG;
	for (i = len; r == -EBADMSG && i-- > 0;)
		if (len - i >= END_LEN && memcmp(tail + i, "PK\5\6", 4) == 0)
			r = check_end(&z, tail + i, size - len + i, len - i);
out:
	free(tail);
	return r;
}
