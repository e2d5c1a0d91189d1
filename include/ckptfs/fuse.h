/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount: libfuse on one side, fs.h on the other.  The only module that
 * knows libfuse.
 */
#ifndef CKPTFS_FUSE_H
#define CKPTFS_FUSE_H

#include <stdbool.h>

#include "ckptfs/compiler.h"

struct fs;
struct fuse_mount;

struct fuse_mount_opts {
	const char *mountpoint; /* absolute */
	const char *source; /* shown as the device */
	bool allow_other;
	bool ro;
	bool want_passthrough;
};

/*
 * Mount; the kernel's requests wait until fuse_mount_serve().  -ENODEV: no
 * /dev/fuse; -EIO: libfuse said why on stderr.
 */
int fuse_mount_new(struct fs *fs, const struct fuse_mount_opts *opts,
		   struct fuse_mount **ret) NONNULL(1, 2, 3) MUST_USE;
/* Serve until unmounted (by anybody) or told to stop; 0 or a negative errno. */
int fuse_mount_serve(struct fuse_mount *m) NONNULL(1) MUST_USE;
/* Make serve return; from any thread, not from a signal handler. */
void fuse_mount_stop(struct fuse_mount *m) NONNULL(1);
/* Whether files can be handed to the kernel; known once serving began. */
bool fuse_mount_passthrough(const struct fuse_mount *m) NONNULL(1);
/* Unmount if still mounted, lazily if busy.  NULL is allowed. */
void fuse_mount_free(struct fuse_mount *m);

#endif
