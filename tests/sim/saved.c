/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What frameworks save: archives and tensors, whole or as an exception leaves
 * them; and whether a content is cut short, by the formats' own words.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "simdisk_impl.h"

#define END 22 /* bytes of an archive's last record */
#define ENTRY 46 /* of a file in its directory */
#define END64 56
#define LOCATOR 20

/* ---- making them */

struct text {
	unsigned char p[SIZE_MOST + 256];
	unsigned n;
};

static void add(struct text *t, const void *p, unsigned n)
{
	memcpy(t->p + t->n, p, n);
	t->n += n;
}

static void add_le(struct text *t, uint64_t v, unsigned n)
{
	for (; n-- > 0; v >>= 8)
		t->p[t->n++] = (unsigned char)v;
}

static void add_zero(struct text *t, unsigned n)
{
	memset(t->p + t->n, 0, n);
	t->n += n;
}

/* One file, its directory, and what ends it; big: the records of zip64. */
static void add_zip(struct text *t, const struct bytes *body, bool big)
{
	unsigned off;

	add(t, "PK\3\4", 4);
	add_zero(t, 26);
	add(t, body->p, body->n);
	off = t->n;
	add(t, "PK\1\2", 4);
	add_zero(t, ENTRY - 4);
	if (big) {
		add(t, "PK\6\6", 4);
		add_zero(t, 28);
		add_le(t, 1, 8);
		add_le(t, ENTRY, 8);
		add_le(t, off, 8);
		add(t, "PK\6\7", 4);
		add_zero(t, 4);
		add_le(t, off + ENTRY, 8);
		add_zero(t, 4);
	}
	add(t, "PK\5\6", 4);
	add_zero(t, 6);
	add_le(t, big ? 0xffff : 1, 2);
	add_le(t, big ? 0xffffffff : ENTRY, 4);
	add_le(t, big ? 0xffffffff : off, 4);
	add_le(t, 0, 2);
}

static void add_tensor(struct text *t, const struct bytes *body,
		       const char *more)
{
	char header[128];
	int n = snprintf(header, sizeof(header),
			 "{%s\"t\":{\"data_offsets\":[0,%u]}}", more, body->n);

	add_le(t, (uint64_t)n, 8);
	add(t, header, (unsigned)n);
	add(t, body->p, body->n);
}

const struct bytes *model_saved(struct model *m, enum saved how, unsigned n)
{
	static struct text t;
	unsigned most = SIZE_MOST - 256;
	const struct bytes *body;

	n = n < most ? n : most;
	body = model_bytes(m, NULL, n, 0, n);
	t.n = 0;
	switch (how) {
	case SAVED_ZIP:
	case SAVED_ZIP_CUT:
	case SAVED_ZIP_MORE:
		add_zip(&t, body, false);
		break;
	case SAVED_ZIP64:
		add_zip(&t, body, true);
		break;
	case SAVED_ZIP_EMPTY:
		add(&t, "PK\5\6", 4);
		add_zero(&t, END - 4);
		break;
	case SAVED_TENSORS:
	case SAVED_TENSORS_CUT:
		add_tensor(&t, body, "");
		break;
	case SAVED_TENSORS_META:
		add_tensor(&t, body, "\"__metadata__\":{},");
		break;
	case SAVED_TENSORS_BAD:
		add_tensor(&t, body, "\"u\":{\"data_offsets\":[]},");
		break;
	case SAVED_COUNT:
		break;
	}
	if (how == SAVED_ZIP_MORE) /* a pickle behind it */
		add(&t, "pickle", 6);
	if (how == SAVED_ZIP_CUT || how == SAVED_TENSORS_CUT)
		t.n -= t.n / 3;
	return model_made(m, t.p, t.n);
}

/* ---- judging them */

static uint64_t le(const unsigned char *p, unsigned n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

static bool is_at(const struct bytes *b, uint64_t off, const char *sig)
{
	return b->n >= 4 && off <= b->n - 4 && memcmp(b->p + off, sig, 4) == 0;
}

/* A directory of so many entries that ends at or before end. */
static bool is_dir(const struct bytes *b, uint64_t entries, uint64_t size,
		   uint64_t off, uint64_t end)
{
	if (size > end || off > end - size)
		return false;
	if (entries == 0)
		return is_at(b, 0, "PK\5\6") && size == 0;
	return size / ENTRY >= entries &&
	       (is_at(b, end - size, "PK\1\2") || is_at(b, off, "PK\1\2"));
}

static bool is_end64(const struct bytes *b, uint64_t off)
{
	const unsigned char *p = b->p + off;

	return is_at(b, off, "PK\6\6") &&
	       is_dir(b, le(p + 32, 8), le(p + 40, 8), le(p + 48, 8), off);
}

static bool is_end(const struct bytes *b, unsigned at)
{
	const unsigned char *p = b->p + at;
	uint64_t off;

	if (!is_at(b, at, "PK\5\6") || b->n - at < END + le(p + 20, 2))
		return false;
	if (at >= LOCATOR + END64 && is_at(b, at - LOCATOR, "PK\6\7")) {
		off = le(p - LOCATOR + 8, 8);
		if ((off < at - LOCATOR && off + END64 <= b->n &&
		     is_end64(b, off)) ||
		    is_end64(b, at - LOCATOR - END64))
			return true;
	}
	return is_dir(b, le(p + 10, 2), le(p + 12, 4), le(p + 16, 4), at);
}

static bool is_cut_zip(const struct bytes *b)
{
	unsigned at;

	if (!is_at(b, 0, "PK\3\4") && !is_at(b, 0, "PK\5\6"))
		return false; /* something else by that name */
	for (at = b->n; at-- > 0;)
		if (b->n - at >= END && is_end(b, at))
			return false;
	return true;
}

/* The headers are those made above, or parts of them, or of other bytes. */
static bool is_cut_tensors(const struct bytes *b)
{
	static const char first[] = "\"t\":{\"data_offsets\":[0,";
	const char *at;
	char header[129];
	uint64_t n = b->n < 8 ? 0 : le(b->p, 8);

	if (n > 100 * 1000 * 1000)
		return false;
	if (n == 0 || n > b->n - 8 || n >= sizeof(header))
		return true;
	memcpy(header, b->p + 8, (size_t)n);
	header[n] = '\0';
	at = strstr(header, first);
	if (header[0] != '{' || !at || strstr(header, ":[]") ||
	    strcmp(header + n - 3, "]}}") != 0)
		return true;
	return strtoull(at + strlen(first), NULL, 10) != b->n - 8 - n;
}

bool bytes_are_cut(int path, const struct bytes *b)
{
	const char *end = strrchr(path_text(path), '.');

	if (end && strcmp(end, ".bin") == 0)
		return is_cut_zip(b);
	return end && strcmp(end, ".safetensors") == 0 && is_cut_tensors(b);
}
