/* SPDX-License-Identifier: Apache-2.0 */
/* Which names a store gives back as it was given them. */
#include "config.h"

#include <string.h>

#include "ckptfs/store.h"
#include "ckptfs/text.h"

/* A reader of XML refuses it or takes it for another: control bytes but tab
 * and LF, U+FFFE, U+FFFF. */
static bool is_control(const char *p, size_t len)
{
	if (len == 3)
		return memcmp(p, "\xef\xbf\xbe", 3) == 0 ||
		       memcmp(p, "\xef\xbf\xbf", 3) == 0;
	return (unsigned char)*p < 0x20 && *p != '\t' && *p != '\n';
}

bool store_holds_name(const struct store *s, const char *name)
{
	const char *end = name + strlen(name);

	while (name < end) {
		size_t len = text_utf8_len(name, (size_t)(end - name));
		unsigned cap = 0;

		if (len == 0)
			cap = STORE_CAP_ANY_BYTES;
		else if (is_control(name, len))
			cap = STORE_CAP_CONTROL;
		if (cap && !(s->caps & cap))
			return false;
		if (*name == '\n' && s->caps & STORE_CAP_ONE_LINE)
			return false;
		if ((*name == '\t' || *name == '\\') &&
		    s->caps & STORE_CAP_PLAIN)
			return false;
		name += len ? len : 1;
	}
	return true;
}
