/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mountinfo.h"

/* "\040" and the like, in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') * 64 +
				       (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* "36 35 98:0 /root /mount opts - type source super" */
bool mountinfo_parse(char *line, struct mountinfo *ret)
{
	char *save = NULL, *f[5], *rest, *p;
	int i;

	line[strcspn(line, "\n")] = '\0';
	for (i = 0; i < 5; i++) {
		f[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!f[i])
			return false;
	}
	rest = save ? strstr(save, " - ") : NULL;
	if (!rest)
		return false;
	ret->type = strtok_r(rest + 3, " ", &p);
	ret->source = strtok_r(NULL, " ", &p);
	ret->mountpoint = f[4];
	if (!ret->type || !ret->source)
		return false;
	unescape(ret->mountpoint);
	unescape(ret->source);
	return true;
}

int mountinfo_each(mountinfo_fn *fn, void *arg)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct mountinfo m;
	char *line = NULL;
	size_t cap = 0;
	int r = 0;

	if (!f)
		return -errno;
	while (r == 0 && getline(&line, &cap, f) > 0)
		if (mountinfo_parse(line, &m))
			r = fn(arg, &m);
	free(line);
	(void)fclose(f);
	return r;
}

struct find {
	const char *path;
	char *best; /* the mount point it lies in */
	bool ours;
};

static bool lies_in(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (n && dir[n - 1] == '/')
		n--;
	return strncmp(path, dir, n) == 0 &&
	       (path[n] == '\0' || path[n] == '/');
}

static int closest(void *arg, const struct mountinfo *m)
{
	struct find *f = arg;

	if (!lies_in(f->path, m->mountpoint) ||
	    (f->best && strlen(m->mountpoint) < strlen(f->best)))
		return 0;
	free(f->best);
	f->best = strdup(m->mountpoint);
	f->ours = strcmp(m->type, "fuse.ckptfs") == 0;
	return f->best ? 0 : -ENOMEM;
}

char *mountinfo_of(const char *path)
{
	struct find f = { .path = path };

	if (mountinfo_each(closest, &f) == 0 && f.ours)
		return f.best;
	free(f.best);
	return NULL;
}
