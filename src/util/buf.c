/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/buf.h"

#define FIRST_CAP 128

/* Make room for n more bytes and the NUL. */
static int reserve(struct buf *b, size_t n)
{
	size_t need, cap = b->cap;
	char *p;

	if (b->len > b->max || n > b->max - b->len)
		return -EMSGSIZE;
	if (b->len + n == SIZE_MAX)
		return -ENOMEM;
	need = b->len + n + 1;
	if (need <= cap)
		return 0;
	cap = cap < FIRST_CAP / 2   ? FIRST_CAP
	      : cap <= SIZE_MAX / 2 ? cap * 2
				    : need;
	if (cap < need)
		cap = need;
	if (b->max < SIZE_MAX && cap > b->max + 1)
		cap = b->max + 1;
	p = realloc(b->p, cap);
	if (!p)
		return -ENOMEM;
	b->p = p;
	b->cap = cap;
	return 0;
}

int buf_add(struct buf *b, const void *p, size_t n)
{
	int r = reserve(b, n);

	if (r < 0)
		return r;
	if (n > 0)
		memcpy(b->p + b->len, p, n);
	b->len += n;
	b->p[b->len] = '\0';
	return 0;
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n, r;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EMSGSIZE;
	r = reserve(b, (size_t)n);
	if (r < 0)
		return r;
	va_start(ap, fmt);
	(void)vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void buf_clear(struct buf *b)
{
	free(b->p);
	b->p = NULL;
	b->len = 0;
	b->cap = 0;
}

char *buf_take(struct buf *b, size_t *ret_len)
{
	char *p = b->p ? b->p : calloc(1, 1);

	if (ret_len)
		*ret_len = b->len;
	b->p = NULL;
	buf_clear(b);
	return p;
}
