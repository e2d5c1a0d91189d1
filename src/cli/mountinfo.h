/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/self/mountinfo: mounts are found there, never by touching them. */
#ifndef CLI_MOUNTINFO_H
#define CLI_MOUNTINFO_H

#include <stdbool.h>

struct mountinfo {
	char *mountpoint, *type, *source; /* in the line that was parsed */
};

/* Cuts line up; false: not a line of that form. */
bool mountinfo_parse(char *line, struct mountinfo *ret);

typedef int mountinfo_fn(void *arg, const struct mountinfo *m);
/* Oldest first; non-zero stops and is returned. */
int mountinfo_each(mountinfo_fn *fn, void *arg);

/* The mount point of the ckptfs an absolute path lies in (by its spelling),
 * or NULL; malloc()ed. */
char *mountinfo_of(const char *path);

#endif
