/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration files: [section] lines and key = value lines, of any length.
 *
 * Blanks around names and values are dropped; # and ; begin a comment at the
 * start of a line, or after a blank.  Indented lines below a key without a
 * value belong to it (as in ~/.aws/config): their key is "parent.child".
 * Any thread.
 */
#ifndef CKPTFS_INI_H
#define CKPTFS_INI_H

#include <stddef.h>
#include <sys/types.h>

#include "ckptfs/compiler.h"

/* section is "" before the first one.  All borrowed for the call.  Non-zero
 * stops and is returned. */
typedef int ini_fn(void *arg, const char *section, const char *key,
		   const char *value);

/*
 * Each pair of the file, in its order.  0; what fn returned; what open(2)
 * gives (-ENOENT: no such file); -EISDIR, or -EINVAL for what is no file
 * either; -EFBIG above 1 MiB; -ENOMEM; or -EBADMSG when some line was neither:
 * the first is logged, all others are delivered.
 */
int ini_read(const char *path, ini_fn *fn, void *arg) NONNULL(1, 2) MUST_USE;

/* The same of a file that says whom to be: -EPERM if it is neither this user's
 * nor root's, or everybody may write to it.  *ret_mode: its permissions, set
 * with what it said. */
int ini_read_secret(const char *path, ini_fn *fn, void *arg, mode_t *ret_mode)
	NONNULL(1, 2, 4) MUST_USE;

/* The same of bytes in memory; *ret_bad_line (from 1) is set together with
 * -EBADMSG. */
int ini_parse_mem(const char *p, size_t n, ini_fn *fn, void *arg,
		  unsigned *ret_bad_line) NONNULL(1, 3, 5) MUST_USE;

#endif
