/* SPDX-License-Identifier: Apache-2.0 */
/* Columns in, columns out: each moves on to the next. */
#ifndef META_BIND_H
#define META_BIND_H

#include <string.h>

#include "internal.h"

struct bind {
	sqlite3_stmt *st;
	int i;
};

static inline void put_int(struct bind *b, int64_t v)
{
	(void)sqlite3_bind_int64(b->st, ++b->i, v);
}

static inline void put_u64(struct bind *b, uint64_t v)
{
	put_int(b, (int64_t)v);
}

/* Names and keys are bytes, not text: whatever a file may be called. */
static inline void put_bytes(struct bind *b, const char *s)
{
	(void)sqlite3_bind_blob(b->st, ++b->i, s, (int)strlen(s),
				SQLITE_TRANSIENT);
}

static inline void put_text(struct bind *b, const char *s)
{
	(void)sqlite3_bind_text(b->st, ++b->i, s, -1, SQLITE_TRANSIENT);
}

static inline int64_t take_int(struct bind *b)
{
	return sqlite3_column_int64(b->st, b->i++);
}

static inline uint64_t take_u64(struct bind *b)
{
	return (uint64_t)take_int(b);
}

static inline void take_bytes(struct bind *b, char *ret, size_t size)
{
	const void *p = sqlite3_column_blob(b->st, b->i);
	size_t n = (size_t)sqlite3_column_bytes(b->st, b->i++);

	if (n >= size)
		n = size - 1;
	if (n)
		memcpy(ret, p, n);
	ret[n] = '\0';
}

static inline bool flag(int64_t flags, unsigned bit)
{
	return flags >> bit & 1;
}

#endif
