/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "internal.h"

int row_path(struct meta *m, const struct meta_inode *row,
	     char ret[META_KEY_MAX + 1])
{
	char *end = ret + META_KEY_MAX, *p = end;
	struct meta_inode up = *row;
	size_t n;
	int r = 0;

	/* From the last byte to the first, then moved to the front. */
	*p = '\0';
	while (r == 0 && up.ino != META_ROOT_INO) {
		n = strlen(up.name);
		if (!up.parent || (size_t)(p - ret) < n + 1)
			r = -ENOENT;
		else if (p < end)
			*--p = '/';
		if (r == 0) {
			p -= n;
			memcpy(p, up.name, n);
			r = meta_inode_get(m, up.parent, &up);
		}
	}
	if (r < 0)
		p = end;
	memmove(ret, p, (size_t)(end - p) + 1);
	return r == -ENOENT ? 0 : r;
}
