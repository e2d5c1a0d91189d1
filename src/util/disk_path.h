/* SPDX-License-Identifier: Apache-2.0 */
/* Names below a folder that cannot lead out of it, for the system disk. */
#ifndef CKPTFS_UTIL_DISK_PATH_H
#define CKPTFS_UTIL_DISK_PATH_H

#include <sys/types.h>

#include "ckptfs/compiler.h"

/* openat(2) of path relative to dirfd, following no symbolic link anywhere in
 * it; close-on-exec.  The descriptor, or a negative errno. */
int path_open(int dirfd, const char *path, int flags, mode_t mode) NONNULL(2)
	MUST_USE;

/* The folder that holds path and the last component in it: *ret_last points
 * into path.  The descriptor is the caller's to close unless it is dirfd. */
int path_parent(int dirfd, const char *path, const char **ret_last)
	NONNULL(2, 3) MUST_USE;

/* The folder itself, made with its parents (0700) where missing; no link, and
 * -EPERM if others may enter it. */
int path_make_folder(const char *path) NONNULL(1) MUST_USE;

#endif
