/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/text.h"

static const char lower_hex[] = "0123456789abcdef";
static const char upper_hex[] = "0123456789ABCDEF";
static const char b64_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "abcdefghijklmnopqrstuvwxyz0123456789+/";
static const char b64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "abcdefghijklmnopqrstuvwxyz0123456789-_";

void text_hex(const void *p, size_t n, char *ret)
{
	const unsigned char *u = p;
	size_t i;

	for (i = 0; i < n; i++) {
		*ret++ = lower_hex[u[i] >> 4];
		*ret++ = lower_hex[u[i] & 15];
	}
	*ret = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int text_unhex(const char *s, void *ret, size_t n)
{
	unsigned char *u = ret;
	size_t i;

	if (strnlen(s, 2 * n + 1) != 2 * n)
		return -EINVAL;
	for (i = 0; i < 2 * n; i++)
		if (hex_digit(s[i]) < 0)
			return -EINVAL;
	for (i = 0; i < n; i++)
		u[i] = (unsigned char)((unsigned)hex_digit(s[2 * i]) << 4 |
				       (unsigned)hex_digit(s[2 * i + 1]));
	return 0;
}

/* The end of what was written. */
static char *base64(const char *alphabet, const void *p, size_t n, char *ret)
{
	const unsigned char *u = p;

	for (; n > 0; u += 3) {
		uint32_t v = (uint32_t)u[0] << 16;

		if (n > 1)
			v |= (uint32_t)u[1] << 8;
		if (n > 2)
			v |= u[2];
		*ret++ = alphabet[v >> 18];
		*ret++ = alphabet[v >> 12 & 63];
		if (n > 1)
			*ret++ = alphabet[v >> 6 & 63];
		if (n > 2)
			*ret++ = alphabet[v & 63];
		n -= n < 3 ? n : 3;
	}
	*ret = '\0';
	return ret;
}

void text_base64(const void *p, size_t n, char *ret)
{
	char *end = base64(b64_std, p, n, ret);

	for (; n % 3 != 0; n++)
		*end++ = '=';
	*end = '\0';
}

void text_base64url(const void *p, size_t n, char *ret)
{
	(void)base64(b64_url, p, n, ret);
}

/* Four characters, the last pad of which are '=', as 24 bits; -1 if not. */
static int64_t quad(const char *s, unsigned pad)
{
	int64_t v = 0;
	unsigned i;

	for (i = 0; i < 4; i++) {
		const char *at = s[i] ? strchr(b64_std, s[i]) : NULL;

		if (i >= 4 - pad)
			at = s[i] == '=' ? b64_std : NULL;
		if (!at)
			return -1;
		v = v << 6 | (at - b64_std);
	}
	/* Bits that belong to no byte must be zero. */
	return (v & ((INT64_C(1) << 8 * pad) - 1)) ? -1 : v;
}

int text_unbase64(const char *s, void *ret, size_t cap, size_t *ret_n)
{
	size_t len = strlen(s), n, i, k;
	unsigned char *u = ret;
	unsigned pad = 0;

	if (len % 4 != 0)
		return -EINVAL;
	if (len > 0 && s[len - 1] == '=')
		pad = s[len - 2] == '=' ? 2 : 1;
	n = len / 4 * 3 - pad;
	for (i = 0; i < len; i += 4)
		if (quad(s + i, i + 4 == len ? pad : 0) < 0)
			return -EINVAL;
	if (n > cap)
		return -EMSGSIZE;
	for (i = 0, k = 0; i < len; i += 4) {
		int64_t v = quad(s + i, i + 4 == len ? pad : 0);

		if (k < n)
			u[k++] = (unsigned char)(v >> 16);
		if (k < n)
			u[k++] = (unsigned char)(v >> 8);
		if (k < n)
			u[k++] = (unsigned char)v;
	}
	*ret_n = n;
	return 0;
}

static bool is_unreserved(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-._~", c) != NULL);
}

/* Put a buffer back to an earlier length. */
static void cut(struct buf *b, size_t len)
{
	b->len = len;
	if (b->p)
		b->p[len] = '\0';
}

int text_percent(struct buf *b, const char *s, size_t n, bool keep_slash)
{
	size_t before = b->len, i;
	int r = buf_add(b, "", 0);

	for (i = 0; i < n && r == 0; i++) {
		unsigned char c = (unsigned char)s[i];
		char esc[3] = { '%', upper_hex[c >> 4], upper_hex[c & 15] };

		if (is_unreserved(s[i]) || (s[i] == '/' && keep_slash))
			r = buf_add(b, s + i, 1);
		else
			r = buf_add(b, esc, 3);
	}
	if (r < 0)
		cut(b, before);
	return r;
}

int text_unpercent(struct buf *b, const char *s, size_t n, bool plus_is_space)
{
	size_t before = b->len, i;
	int r = buf_add(b, "", 0);

	for (i = 0; i < n && r == 0; i++) {
		char c = s[i];

		if (c == '+' && plus_is_space)
			c = ' ';
		if (c == '%') {
			if (n - i < 3 || hex_digit(s[i + 1]) < 0 ||
			    hex_digit(s[i + 2]) < 0) {
				r = -EINVAL;
				break;
			}
			c = (char)(hex_digit(s[i + 1]) << 4 |
				   hex_digit(s[i + 2]));
			i += 2;
		}
		r = buf_add(b, &c, 1);
	}
	if (r < 0)
		cut(b, before);
	return r;
}
