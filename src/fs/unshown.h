/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the bucket that no mount can show. */
#ifndef FS_UNSHOWN_H
#define FS_UNSHOWN_H

#include "internal.h"

/* Whether a name of a listing can be one in this folder; else it is counted. */
bool name_shows(const struct inode *dir, const char *name, size_t n,
		bool is_dir, unsigned *unshown);
/* A folder has so many that cannot. */
void unshown_note(struct fs *fs, uint64_t ino, unsigned n);
/* How many it has, as last listed. */
unsigned unshown_in(struct fs *fs, uint64_t ino);
void unshown_free(struct fs *fs);

#endif
