/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that come from the bucket, and who reads them.  A download goes on for
 * its readers alone: once they have gone what is little yet to come still
 * does, else it rests, and what is here is kept for who opens the file again
 * soon.  Which ranges are here is memory only, so then it is given up.
 */
#ifndef FS_LINGER_H
#define FS_LINGER_H

#include <stdbool.h>
#include <stdint.h>

struct fs;
struct fs_ctx;
struct fs_file;
struct inode;

/* busy held, in all of these */

/* The last handle is closed, its download has not settled.  in->live may be
 * gone. */
void linger_begin(struct fs *fs, struct inode *in);
/* Somebody has use for it again. */
void linger_end(struct fs *fs, struct inode *in);
/* It rests; how long yet, or CLK_NEVER; given up if it has long enough. */
int64_t linger_look(struct fs *fs, struct inode *in);
/* What has come of a download goes, and its row; not if it is of use. */
void linger_give_up(struct fs *fs, struct inode *in);

/* busy not held: close(2), by one of several that may have the handle. */
void reader_flush(struct fs *fs, const struct fs_ctx *ctx,
		  const struct fs_file *file);
/* busy held: the handle is gone, and what it alone had asked for. */
void reader_leave(const struct fs_file *file);
/* For the download engine. */
uint64_t reader_of(const struct fs_file *file);

#endif
