/* SPDX-License-Identifier: Apache-2.0 */
/* The cache folder of one source: found, checked, and held by one daemon. */
#ifndef CLI_CACHEDIR_H
#define CLI_CACHEDIR_H

#include <stdbool.h>
#include <stddef.h>

struct disk;
struct options;

struct cachedir {
	char *path;
	struct disk *disk;
	int lock; /* held by flock; -1: not yet */
	const char *promise; /* what it cannot promise; NULL: nothing */
};

/* normal: of source_normal().  While the last holder only drains, waits.  0,
 * or a negative errno with words in err. */
int cachedir_open(const struct options *o, const char *normal,
		  const char *mountpoint, struct cachedir *ret, char *err,
		  size_t size);
/* Tell others who holds it, and whether it only drains. */
void cachedir_say(struct cachedir *c, const char *mountpoint, bool draining);
void cachedir_close(struct cachedir *c);

#endif
