/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uthash as the line uses it: an element has a member `oom`, set when there
 * was no memory to add it; and a hash that clang has nothing against.
 */
#ifndef TRANSFER_LINE_HASH_H
#define TRANSFER_LINE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* FNV-1a, folded. */
static inline unsigned line_hash(const void *key, size_t len)
{
	const unsigned char *p = key;
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3;
	return (unsigned)(h ^ h >> 32);
}

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(elt) ((elt)->oom = true)
#define HASH_FUNCTION(key, len, ret) ((ret) = line_hash(key, len))
#include <uthash.h>

#endif
