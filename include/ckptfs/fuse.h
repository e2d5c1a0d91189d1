/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of a mount: libfuse's calls become those of fs.h.  It
 * knows errnos, handles and time-outs, and decides nothing.
 *
 * Threads: fusefs_exit() from any thread, the others from the one that
 * mounted.
 */
#ifndef CKPTFS_FUSE_H
#define CKPTFS_FUSE_H

#include <stdbool.h>

#include "ckptfs/compiler.h"

#define FUSEFS_ERR_MAX 512

struct fs;
struct fusefs;

struct fusefs_opts {
	const char *mountpoint;
	const char *source; /* as mount(8) shows it */
	bool ro, allow_other;
	bool passthrough; /* ask for it */
	const char *mount_words; /* more options of mount(8), "" if none */
	/* The kernel has said hello, from a thread of the loop: the mount is
	 * usable once this returns.  lacks: what passthrough would need (a
	 * literal); NULL if there is passthrough, or it was not asked for. */
	void (*ready)(void *arg, bool passthrough, const char *lacks);
	void *arg;
};

/*
 * Mount.  fs is borrowed and gets its struct fs_kernel from here.  On failure
 * err says what went wrong and what to do.  -ENOENT: no /dev/fuse; -EPERM and
 * what mount(2) gives.
 */
int fusefs_mount(struct fs *fs, const struct fusefs_opts *o,
		 char err[FUSEFS_ERR_MAX], struct fusefs **ret)
	NONNULL(1, 2, 3, 4) MUST_USE;
/* Serve until the mount is gone (*ret_unmounted) or fusefs_exit().  A negative
 * errno: serving failed. */
int fusefs_loop(struct fusefs *f, bool *ret_unmounted) NONNULL(1, 2) MUST_USE;
void fusefs_exit(struct fusefs *f) NONNULL(1);
/* Detach what is still mounted, lazily, and close the device: no request is
 * answered after this.  No call to fs is under way any more. */
void fusefs_unmount(struct fusefs *f) NONNULL(1);
/* After fs_free(), which may still call the kernel.  NULL is allowed. */
void fusefs_free(struct fusefs *f);

#endif
