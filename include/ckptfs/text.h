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

/* Length of the well-formed UTF-8 sequence at p, 1 to 4; 0 if there is none
 * (n is 0, cut, overlong, surrogate, past U+10FFFF). */
size_t text_utf8_len(const char *p, size_t n) NONNULL(1);

#endif
