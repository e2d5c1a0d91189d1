/* SPDX-License-Identifier: Apache-2.0 */
/* Making bytes safe to show, for log lines and JSON. */
#ifndef CKPTFS_UTIL_ESCAPE_H
#define CKPTFS_UTIL_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "ckptfs/compiler.h"

#define ESCAPE_LEN 8

/* The bytes (at least 1) of the character at s, of left > 0 bytes; esc is
 * what to write in its place, "" for itself. */
size_t escape_char(const char *s, size_t left, bool json, char esc[ESCAPE_LEN])
	NONNULL(1, 4);

#endif
