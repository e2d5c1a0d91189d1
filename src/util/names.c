/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <fnmatch.h>
#include <string.h>

#include "ckptfs/text.h"

/* Longer names are compared by their beginning. */
#define NAME_MOST 40

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours from a to b. */
static unsigned distance(const char *a, const char *b)
{
	size_t na = strnlen(a, NAME_MOST), nb = strnlen(b, NAME_MOST), i, j;
	unsigned d[NAME_MOST + 1][NAME_MOST + 1];

	for (i = 0; i <= na; i++)
		d[i][0] = (unsigned)i;
	for (j = 0; j <= nb; j++)
		d[0][j] = (unsigned)j;
	for (i = 1; i <= na; i++) {
		for (j = 1; j <= nb; j++) {
			unsigned same = a[i - 1] == b[j - 1] ? 0 : 1;

			d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
					d[i - 1][j - 1] + same);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[na][nb];
}

const char *text_nearest(const char *s, const char *const *names, size_t n)
{
	unsigned best = (unsigned)(1 + strnlen(s, NAME_MOST) / 4) + 1;
	const char *found = NULL;
	size_t i;

	for (i = 0; i < n; i++) {
		unsigned d = distance(s, names[i]);

		if (d < best) {
			best = d;
			found = names[i];
		}
	}
	return found;
}

bool text_is_under(const char *path, const char *top)
{
	size_t n = strlen(top);

	while (n && top[n - 1] == '/')
		n--;
	return n == 0 || (strncmp(path, top, n) == 0 &&
			  (path[n] == '\0' || path[n] == '/'));
}

bool text_glob(const char *pattern, const char *path)
{
	const char *slash = strrchr(path, '/');

	return fnmatch(pattern, slash ? slash + 1 : path, 0) == 0;
}
