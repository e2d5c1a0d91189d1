/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct store_meta as user metadata: three names of [a-z0-9], each with a
 * short ASCII value, which every store can carry.  Pure.
 */
#ifndef STORE_META_TEXT_H
#define STORE_META_TEXT_H

#include "ckptfs/store.h"

#define STORE_META_MTIME "mtime"
#define STORE_META_MODE "mode"
#define STORE_META_ID "ckptfsid"

/* Values by name; "" means: do not send this one. */
struct store_meta_text {
	char mtime[32];
	char mode[16];
	char id[STORE_WRITE_ID_MAX];
};

void store_meta_encode(const struct store_meta *m, struct store_meta_text *ret)
	NONNULL(1, 2);

/*
 * Take one name and value (the name without the vendor's prefix, compared
 * without regard to case) into m, which starts zeroed.  Unknown names and
 * values that make no sense are ignored.  Decimal modes are ours and s3fs's;
 * one that begins with 0 is octal, as rclone writes them.
 */
void store_meta_decode(const char *name, const char *value,
		       struct store_meta *m) NONNULL(1, 2, 3);

/* A valid write-id: [A-Za-z0-9._-]*, shorter than STORE_WRITE_ID_MAX. */
bool store_write_id_is_valid(const char *id) NONNULL(1);

#endif
