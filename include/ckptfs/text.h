/* SPDX-License-Identifier: Apache-2.0 */
/* Small formats.  Pure; any thread.  Parsers refuse what they do not fully
 * understand: -EINVAL, or -ERANGE where the form is right but the value does
 * not fit. */
#ifndef CKPTFS_TEXT_H
#define CKPTFS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckptfs/compiler.h"

struct buf;

/* ---- bytes as text */

/* Lower case; ret takes 2 * n + 1 bytes. */
void text_hex(const void *p, size_t n, char *ret) NONNULL(3);
/* Exactly 2 * n digits of either case. */
int text_unhex(const char *s, void *ret, size_t n) NONNULL(1, 2) MUST_USE;

/* With padding; ret takes TEXT_BASE64_LEN(n) bytes, the NUL included. */
#define TEXT_BASE64_LEN(n) (((n) + 2) / 3 * 4 + 1)
void text_base64(const void *p, size_t n, char *ret) NONNULL(3);
/* The URL-safe alphabet, no padding (JWT). */
void text_base64url(const void *p, size_t n, char *ret) NONNULL(3);
/* Strict: full padding, no blanks, no stray bits.  -EMSGSIZE when the result
 * passes cap bytes. */
int text_unbase64(const char *s, void *ret, size_t cap, size_t *ret_n)
	NONNULL(1, 2, 4) MUST_USE;

/* Append s with all but A-Z a-z 0-9 - . _ ~ (and / if kept) as %XX.  As
 * buf_add(). */
int text_percent(struct buf *b, const char *s, size_t n, bool keep_slash)
	NONNULL(1, 2) MUST_USE;
/* Append what s stands for; NUL bytes may come out.  As buf_add(), or
 * -EINVAL for a broken %XX, with b as it was. */
int text_unpercent(struct buf *b, const char *s, size_t n, bool plus_is_space)
	NONNULL(1, 2) MUST_USE;

/* ---- quantities */

#define TEXT_QTY_LEN 32

/* Digits, then nothing or one of K M G T (powers of 1024, either case). */
int text_parse_size(const char *s, uint64_t *ret_bytes) NONNULL(1, 2) MUST_USE;
/* "512", "1.5K", "200G": one decimal unless it is exact; rounded down. */
void text_size(uint64_t bytes, char ret[TEXT_QTY_LEN]) NONNULL(2);
/* Digits, then ms, s, m, h or nothing (seconds). */
int text_parse_duration(const char *s, int64_t *ret_ns) NONNULL(1, 2) MUST_USE;
/* "250ms", "12s", "3m20s", "2h05m", "3d04h"; rounded down. */
void text_duration(int64_t ns, char ret[TEXT_QTY_LEN]) NONNULL(2);
/* Decimal digits alone; no sign, no blanks. */
int text_parse_u64(const char *s, uint64_t *ret) NONNULL(1, 2) MUST_USE;

/* ---- names */

/* Of n names the one s may have meant (few letters wrong, missing, too many
 * or swapped), or NULL. */
const char *text_nearest(const char *s, const char *const *names, size_t n)
	NONNULL(1);
/* Does the last component of path match the shell pattern?  A * matches a
 * leading dot too. */
bool text_glob(const char *pattern, const char *path) NONNULL(1, 2);
/* Is path top itself or below it?  Slashes at the end of top do not count, and
 * "" is above everything. */
bool text_is_under(const char *path, const char *top) NONNULL(1, 2);

/* ---- dates */

/* Dates: UTC, Gregorian, nanoseconds since 1970; no leap seconds. */
#define TEXT_DATE_LEN 40

/* 2024-01-31T23:59:58.123Z with 0, 3, 6 or 9 digits of fraction (cut). */
void text_iso_date(int64_t unix_ns, unsigned digits, char ret[TEXT_DATE_LEN])
	NONNULL(3);
/* 20240131T235958Z, as signatures want it; the first 8 bytes are the day. */
void text_amz_date(int64_t unix_ns, char ret[TEXT_DATE_LEN]) NONNULL(2);
/* Wed, 31 Jan 2024 23:59:58 GMT */
void text_http_date(int64_t unix_ns, char ret[TEXT_DATE_LEN]) NONNULL(2);
/* Extended or basic form, any fraction (below 1 ns cut), Z or an offset. */
int text_parse_iso_date(const char *s, int64_t *ret_ns) NONNULL(1, 2) MUST_USE;
/* RFC 1123 with GMT, as HTTP sends it; the name of the day is not checked
 * against the date. */
int text_parse_http_date(const char *s, int64_t *ret_ns) NONNULL(1, 2) MUST_USE;

/* ---- UTF-8 */

/* Length of the well-formed UTF-8 sequence at p, 1 to 4; 0 if there is none
 * (n is 0, cut, overlong, surrogate, past U+10FFFF). */
size_t text_utf8_len(const char *p, size_t n) NONNULL(1);

#endif
