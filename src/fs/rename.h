/* SPDX-License-Identifier: Apache-2.0 */
/* What rename.c and exchange.c have in common: in a transaction, both folders
 * loaded. */
#ifndef FS_RENAME_H
#define FS_RENAME_H

#include "internal.h"

/* dir is that folder, or below it. */
bool rename_is_below(struct fs *fs, const struct inode *dir, uint64_t ino);
/* 0, or -ENAMETOOLONG: something known below this folder would have no key. */
int rename_check_keys(struct fs *fs, struct inode *in, const char *key,
		      const char *newkey);
/* The bucket has something of the file under this key, or the line is to put it
 * there: then a rename is an operation.  None was added yet. */
bool rename_in_line(struct fs *fs, const struct inode *in, const char *key);
/* Else its next seal is: what the bucket holds under the key stays until then. */
int rename_later(struct fs *fs, const struct inode *in, const char *key);

/* RENAME_EXCHANGE; ends the transaction. */
int exchange(struct fs *fs, struct inode *from, const char *name,
	     struct inode *to, const char *newname);

#endif
