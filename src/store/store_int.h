/* SPDX-License-Identifier: Apache-2.0 */
/* What back ends and decorators share, besides the contract. */
#ifndef STORE_INT_H
#define STORE_INT_H

#include "ckptfs/store.h"

#define STORE_SRC_CHUNK (128u << 10) /* bytes copied at a time */

/* Every back end's constructor begins with this; caps and limits are its own
 * to set. */
void store_init(struct store *s, const struct store_ops *ops) NONNULL(1, 2);

/*
 * Whether what this thread asks of a back end may be asked twice at once, the
 * first answer to count: said around calls that can be, by who sees to it that
 * not too much is asked.  A back end hands it on to http; NULL: it may not.
 */
struct store_spare {
	bool (*take)(void *arg);
	void *arg;
};
void store_spare_set(const struct store_spare *spare);
const struct store_spare *store_spare(void);

/* n bytes of the source: 0, -EIO or -ECANCELED. */
int store_src_read(const struct store_src *src, uint64_t off, void *p, size_t n)
	NONNULL(1, 3) MUST_USE;
/* A source of bytes in memory, which are borrowed. */
struct store_src_mem {
	const char *p;
	struct store_src src;
};
void store_src_mem_init(struct store_src_mem *m, const void *p, size_t n)
	NONNULL(1, 2);
/* The CRC-64 the source declares, else read it through.  0, -EIO, -ECANCELED
 * or -ENOMEM. */
int store_src_crc64(const struct store_src *src, uint64_t *ret) NONNULL(1, 2)
	MUST_USE;
/* Both CRCs: as declared, or read through, and then one that was declared is
 * checked (-EBADMSG). */
int store_src_crcs(const struct store_src *src, uint64_t *ret_crc64,
		   uint32_t *ret_crc32c) NONNULL(1, 2, 3) MUST_USE;
/* Hand bytes to the sink: 0, -EIO or -ECANCELED. */
int store_sink_give(store_sink_fn *sink, void *arg, const void *p, size_t n)
	NONNULL(1) MUST_USE;

/* Whether a listing of prefix must leave key out: it has a component .ckptfs/
 * that prefix does not have whole. */
bool store_key_is_hidden(const char *key, size_t prefix_len) NONNULL(1);

/* Does obj meet cond?  obj NULL: there is no object.  0, -EEXIST, -ESTALE. */
int store_cond_check(const struct store_cond *cond, const struct store_obj *obj)
	MUST_USE;

static inline bool store_cond_is_set(const struct store_cond *cond)
{
	return cond && (cond->if_absent || cond->if_match);
}

#endif
