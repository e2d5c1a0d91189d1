/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>

#include "ckptfs/text.h"

#include "util/escape.h"

size_t escape_char(const char *s, size_t left, bool json, char esc[ESCAPE_LEN])
{
	size_t n = text_utf8_len(s, left);
	unsigned char c = (unsigned char)*s;
	bool c1 = n == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0;

	esc[0] = '\0';
	if (c1)
		snprintf(esc, ESCAPE_LEN, "\\u00%02x", (unsigned char)s[1]);
	else if (n == 0)
		snprintf(esc, ESCAPE_LEN, json ? "\\ufffd" : "\\x%02x", c);
	else if (c == '\n')
		snprintf(esc, ESCAPE_LEN, "\\n");
	else if (c < 0x20 || c == 0x7f)
		snprintf(esc, ESCAPE_LEN, json ? "\\u%04x" : "\\x%02x", c);
	else if (json && (c == '"' || c == '\\'))
		snprintf(esc, ESCAPE_LEN, "\\%c", c);
	return n == 0 ? 1 : n;
}
