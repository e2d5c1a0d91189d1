/* SPDX-License-Identifier: Apache-2.0 */
/* Which names are temporary, which are logs: by pattern, pure. */
#include "config.h"

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

#include "ckptfs/transfer.h"

static bool any(const char *const *globs, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (fnmatch(globs[i], name, 0) == 0)
			return true;
	return false;
}

/* "tmp" and eight of [a-z0-9_], as Python's mkstemp makes them, or six or
 * more letters and digits in the manner of mkstemp(3). */
static bool is_mkstemp(const char *name)
{
	const char *p = name + 3;
	bool mixed = false;

	if (strncmp(name, "tmp", 3) != 0)
		return false;
	if (*p == '.' || *p == '-' || *p == '_')
		p++;
	if (strlen(p) < 6 || strlen(p) > 10)
		return false;
	for (; *p; p++) {
		if (!isalnum((unsigned char)*p) && *p != '_')
			return false;
		mixed |= isdigit((unsigned char)*p) ||
			 isupper((unsigned char)*p) || *p == '_';
	}
	return mixed || strlen(name) == 11;
}

bool transfer_name_is_temporary(const char *path)
{
	static const char *const last[] = {
		".tmp*",  "*.tmp",	   "*.part",	  "*.partial",
		"*__lock", ".metadata.tmp", "*.tempstate*",
	};
	static const char *const folder[] = {
		"*.orbax-checkpoint-tmp*",
		"tmp-checkpoint-*",
	};
	char part[256];

	for (;;) {
		size_t n = strcspn(path, "/");

		if (n < sizeof(part)) {
			memcpy(part, path, n);
			part[n] = '\0';
			if (path[n] == '\0')
				return any(last, sizeof(last) / sizeof(*last),
					   part) ||
				       is_mkstemp(part);
			if (any(folder, sizeof(folder) / sizeof(*folder), part))
				return true;
		}
		if (path[n] == '\0')
			return false;
		path += n + 1;
	}
}

bool transfer_name_is_live(const char *globs, const char *path)
{
	const char *base = strrchr(path, '/');
	char glob[TRANSFER_GLOB_MAX + 1];

	base = base ? base + 1 : path;
	while (*globs) {
		size_t n = strcspn(globs, ":");

		if (n <= TRANSFER_GLOB_MAX) {
			memcpy(glob, globs, n);
			glob[n] = '\0';
			if (fnmatch(glob, strchr(glob, '/') ? path : base, 0) ==
			    0)
				return true;
		}
		globs += n + (globs[n] == ':');
	}
	return false;
}
