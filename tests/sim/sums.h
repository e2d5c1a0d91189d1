/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket that tells of what was sent in parts with their CRC-32C that one
 * alone, as servers of STORE_CAP_PARTS_CRC32C do: by the ETag of what it has.
 */
#ifndef SIM_SUMS_H
#define SIM_SUMS_H

#include <stddef.h>
#include <stdint.h>

#include "ckptfs/store.h"

struct sums;

struct sums *sums_new(void);
void sums_free(struct sums *all);

/* A part; an object made of parts; a copy of an object. */
void sums_note(struct sums *all, const char *etag, uint32_t crc32c);
void sums_note_whole(struct sums *all, const char *etag,
		     const struct store_part *parts, size_t n);
void sums_note_copy(struct sums *all, const char *from_etag, const char *etag);

/* What the bucket says of it. */
void sums_give_object(const struct sums *all, const struct store_obj *o,
		      struct store_obj *ret);
void sums_give_part(const struct sums *all, const struct store_part *p,
		    struct store_part *ret);

#endif
