/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ckptfs/text.h"

size_t text_utf8_len(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c;
	size_t len, i;

	if (n == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	len = u[0] < 0xc0   ? 0
	      : u[0] < 0xe0 ? 2
	      : u[0] < 0xf0 ? 3
	      : u[0] < 0xf8 ? 4
			    : 0;
	if (len == 0 || n < len)
		return 0;
	c = u[0] & (0x7fU >> len);
	for (i = 1; i < len; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (u[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return len;
}
