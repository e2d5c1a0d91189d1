/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The barrier file: two slots, a page apart, written in turn.
 *
 *	 0  magic	 8  version, 4 bytes	12  kind, 4 bytes
 *	16  counter	24  chg			32  frames, 4 bytes
 *	40  salts	48  boot id, 40 bytes	88  CRC-32C of 0..87
 *
 * Numbers are little-endian.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "ckptfs/disk.h"
#include "ckptfs/hash.h"
#include "ckptfs/log.h"

#include "meta/internal.h"

#define LOG_MODULE "meta"

#define SLOT_LEN 92U
#define SLOT_VERSION 1U
static const char magic[8] = "ckptfsB";

static void put(unsigned char *p, uint64_t v, unsigned bytes)
{
	unsigned i;

	for (i = 0; i < bytes; i++)
		p[i] = (unsigned char)(v >> 8 * i);
}

static uint64_t get(const unsigned char *p, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | p[bytes];
	return v;
}

static void encode(const struct slot *s, unsigned char p[SLOT_LEN])
{
	memset(p, 0, SLOT_LEN);
	memcpy(p, magic, sizeof(magic));
	put(p + 8, SLOT_VERSION, 4);
	put(p + 12, s->kind, 4);
	put(p + 16, s->counter, 8);
	put(p + 24, s->chg, 8);
	put(p + 32, s->frames, 4);
	memcpy(p + 40, s->salt, sizeof(s->salt));
	memcpy(p + 48, s->boot, sizeof(s->boot));
	put(p + 88, crc32c(0, p, 88), 4);
}

static bool decode(const unsigned char p[SLOT_LEN], struct slot *s)
{
	if (memcmp(p, magic, sizeof(magic)) != 0 ||
	    get(p + 8, 4) != SLOT_VERSION || get(p + 88, 4) != crc32c(0, p, 88))
		return false;
	memset(s, 0, sizeof(*s));
	s->kind = (enum slot_kind)get(p + 12, 4);
	s->counter = get(p + 16, 8);
	s->chg = get(p + 24, 8);
	s->frames = (uint32_t)get(p + 32, 4);
	memcpy(s->salt, p + 40, sizeof(s->salt));
	memcpy(s->boot, p + 48, sizeof(s->boot));
	s->boot[sizeof(s->boot) - 1] = '\0';
	return s->kind == SLOT_CREATING || s->kind == SLOT_RECORD;
}

int slots_read(struct disk *d, struct slots *ret)
{
	struct slots out = { .newest.kind = SLOT_NONE };
	unsigned char p[SLOT_LEN];
	struct slot s;
	ssize_t n = 0;
	unsigned i;
	int fd;

	fd = disk_open(d, META_BARRIER, O_RDONLY, 0);
	if (fd == -ENOENT)
		goto out;
	if (fd < 0)
		return log_err(fd, "open %s", META_BARRIER);
	for (i = 0; i < 2; i++) {
		n = disk_pread(d, fd, p, sizeof(p), (uint64_t)i * META_PAGE);
		if (n < 0)
			break;
		out.present |= n > 0;
		if (n != sizeof(p) || !decode(p, &s))
			continue;
		if (out.newest.kind != SLOT_NONE &&
		    s.counter <= out.newest.counter)
			continue;
		out.newest = s;
		out.at = i;
	}
	disk_close(d, fd);
	if (n < 0)
		return log_err((int)n, "read %s", META_BARRIER);
out:
	*ret = out;
	return 0;
}

int slot_write(struct disk *d, int fd, unsigned at, const struct slot *s)
{
	unsigned char p[META_PAGE] = { 0 };
	int r;

	encode(s, p);
	r = disk_pwrite(d, fd, p, sizeof(p), (uint64_t)at * META_PAGE);
	if (r == 0)
		r = disk_fdatasync(d, fd);
	return r < 0 ? log_err(r, "write %s", META_BARRIER) : 0;
}
