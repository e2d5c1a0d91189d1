/* SPDX-License-Identifier: Apache-2.0 */
/* When files were last used, in memory and in rows. */
#ifndef FS_USED_H
#define FS_USED_H

#include "internal.h"

/* It is used now; fs->ns is held. */
void used_note(struct fs *fs, struct inode *in);
/* What the row says of its last use, if memory does not know better; fs->ns is
 * held. */
void used_load(struct inode *in, const struct meta_version *v);
/* Write what was noted to the rows: at once, or if it was a minute ago that it
 * was. No lock held. */
void used_write(struct fs *fs);
void used_write_due(struct fs *fs);
void used_free(struct fs *fs);

#endif
