/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What listings do not tell of objects (mode, mtime, whether it is a link) is
 * asked side by side, ahead of who wants it of one after the other: a program
 * that walks through a folder, a prefetch.
 */
#ifndef FS_AHEAD_H
#define FS_AHEAD_H

#include "internal.h"

/* So many may be queued. */
#define AHEAD_MOST 128

/* Any thread, no lock held, in all of these. */

/* The bucket is about to be asked of this file, for a stat: have those behind it
 * asked, too, if this is a walk through its folder. */
void ahead_walk(struct fs *fs, struct inode *in);
/* Have it asked; false: too many wait already. */
bool ahead_ask(struct fs *fs, uint64_t ino);
/* Wait if that is under way.  False: it was not. */
bool ahead_await(struct fs *fs, struct inode *in);
/* Nobody is in any of the above, nor will be. */
void ahead_free(struct fs *fs);

/* complete.c: how many of n stats may ask the bucket now. */
unsigned may_look(struct fs *fs, unsigned n);
bool meta_is_known(struct fs *fs, const struct inode *in);
/* As meta_complete(), whoever else asks. */
int meta_ask(struct fs *fs, struct inode *in);

#endif
