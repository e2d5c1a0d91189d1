/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of file format.c tells apart; each answers as
 * cache_format_check() does. */
#ifndef CACHE_FORMAT_H
#define CACHE_FORMAT_H

#include <stdint.h>

#include "ckptfs/compiler.h"

struct disk;

int format_zip(struct disk *d, int fd, uint64_t size) NONNULL(1) MUST_USE;
int format_safetensors(struct disk *d, int fd, uint64_t size) NONNULL(1)
	MUST_USE;

/* Exactly n bytes at off; -EBADMSG when the file ends before. */
int format_read(struct disk *d, int fd, void *p, size_t n, uint64_t off)
	NONNULL(1, 3) MUST_USE;

static inline uint64_t format_le(const unsigned char *p, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | p[bytes];
	return v;
}

#endif
