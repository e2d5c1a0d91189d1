/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"

char *absolute_path(const char *path)
{
	char *cwd = path[0] == '/' ? strdup("") : getcwd(NULL, 0);
	size_t n;
	char *out, *end;

	if (!cwd)
		return NULL;
	n = strlen(cwd) + strlen(path) + 3;
	out = malloc(n);
	if (out) {
		memcpy(out, cwd, strlen(cwd) + 1);
		end = out + strlen(out);
		while (*path) {
			size_t k = strcspn(path, "/");

			if (k == 2 && path[0] == '.' && path[1] == '.') {
				while (end > out && *--end != '/')
					;
			} else if (k && !(k == 1 && path[0] == '.')) {
				*end++ = '/';
				memcpy(end, path, k);
				end += k;
			}
			path += k;
			while (*path == '/')
				path++;
		}
		*end = '\0';
		if (end == out)
			memcpy(out, "/", 2);
	}
	free(cwd);
	return out;
}
