/* SPDX-License-Identifier: Apache-2.0 */
/* Small rules every back end must follow alike. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/hash.h"

#include "store_int.h"

int store_src_read(const struct store_src *src, uint64_t off, void *p, size_t n)
{
	ssize_t got;

	if (!n)
		return 0;
	assert(off + n <= src->len);
	got = src->read(src->arg, off, p, n);
	if (got == (ssize_t)n)
		return 0;
	if (got == -ECANCELED)
		return -ECANCELED;
	store_set_error("the bytes to send could not be read");
	return -EIO;
}

static ssize_t read_mem(void *arg, uint64_t off, void *p, size_t n)
{
	const struct store_src_mem *m = arg;

	memcpy(p, m->p + off, n);
	return (ssize_t)n;
}

void store_src_mem_init(struct store_src_mem *m, const void *p, size_t n)
{
	m->p = p;
	m->src = (struct store_src){ .read = read_mem, .arg = m, .len = n };
}

/* Read it through; either may be NULL. */
static int compute(const struct store_src *src, uint64_t *crc64,
		   uint32_t *crc32)
{
	unsigned char *p = malloc(STORE_SRC_CHUNK);
	int r = 0;

	if (!p)
		return -ENOMEM;
	for (uint64_t off = 0; off < src->len; off += STORE_SRC_CHUNK) {
		uint64_t left = src->len - off;
		size_t n = left < STORE_SRC_CHUNK ? left : STORE_SRC_CHUNK;

		r = store_src_read(src, off, p, n);
		if (r)
			break;
		if (crc64)
			*crc64 = crc64nvme(*crc64, p, n);
		if (crc32)
			*crc32 = crc32c(*crc32, p, n);
	}
	free(p);
	return r;
}

int store_src_crc64(const struct store_src *src, uint64_t *ret)
{
	uint64_t crc = src->has_crc64 ? src->crc64 : 0;
	int r = src->has_crc64 ? 0 : compute(src, &crc, NULL);

	if (r == 0)
		*ret = crc;
	return r;
}

int store_src_crcs(const struct store_src *src, uint64_t *ret_crc64,
		   uint32_t *ret_crc32c)
{
	uint64_t crc64 = 0;
	uint32_t crc32 = 0;
	int r;

	if (src->has_crc64 && src->has_crc32c) {
		*ret_crc64 = src->crc64;
		*ret_crc32c = src->crc32c;
		return 0;
	}
	r = compute(src, &crc64, &crc32);
	if (r)
		return r;
	if ((src->has_crc64 && src->crc64 != crc64) ||
	    (src->has_crc32c && src->crc32c != crc32)) {
		store_set_error("the bytes to send are not what they were");
		return -EBADMSG;
	}
	*ret_crc64 = crc64;
	*ret_crc32c = crc32;
	return 0;
}

int store_sink_give(store_sink_fn *sink, void *arg, const void *p, size_t n)
{
	int r = n ? sink(arg, p, n) : 0;

	if (!r || r == -ECANCELED)
		return r;
	store_set_error("the bytes received could not be kept");
	return -EIO;
}

bool store_key_is_hidden(const char *key, size_t prefix_len)
{
	const size_t n = sizeof(STORE_HIDDEN) - 1;
	const char *p = key;

	while (p) {
		if (!strncmp(p, STORE_HIDDEN "/", n + 1) &&
		    (size_t)(p - key) + n + 1 > prefix_len)
			return true;
		p = strchr(p, '/');
		p = p ? p + 1 : NULL;
	}
	return false;
}

int store_cond_check(const struct store_cond *cond, const struct store_obj *obj)
{
	if (!cond)
		return 0;
	if (cond->if_absent && obj) {
		store_set_error("the object exists");
		return -EEXIST;
	}
	if (cond->if_match && (!obj || strcmp(obj->etag, cond->if_match))) {
		store_set_error("the object is another");
		return -ESTALE;
	}
	return 0;
}
