/* SPDX-License-Identifier: Apache-2.0 */
/* What is mounted where, as the kernel tells it, without touching a mount. */
#ifndef CKPTFS_CLI_MOUNTINFO_H
#define CKPTFS_CLI_MOUNTINFO_H

#include <stdbool.h>
#include <sys/types.h>

#include "ckptfs/compiler.h"

#define MOUNT_TYPE "fuse.ckptfs"

struct mount_entry {
	char dev[24]; /* "MAJOR:MINOR" of the file system */
	char *point; /* unescaped */
	char *type;
	char *source;
	uid_t user; /* user_id= of the options; -1 if none */
};

/* One line of /proc/self/mountinfo.  -EBADMSG or -ENOMEM. */
int mountinfo_parse(const char *line, struct mount_entry *ret) NONNULL(1, 2)
	MUST_USE;
void mount_entry_clear(struct mount_entry *e) NONNULL(1);

/* Each mount, oldest first; non-zero from fn stops and is returned. */
typedef int mountinfo_fn(void *arg, const struct mount_entry *e);
int mountinfo_each(mountinfo_fn *fn, void *arg) NONNULL(1) MUST_USE;

/* The newest mount exactly at point: 0, -ENOENT. */
int mountinfo_at(const char *point, struct mount_entry *ret) NONNULL(1, 2)
	MUST_USE;

/*
 * path as an absolute one without symbolic links, "." and "..", looking at no
 * mount of ours: of what lies below one, nothing is resolved but the dots.
 * *ret_point: how many bytes of it are the mount point of ours, 0 if it lies
 * in none.  -ENOENT and what readlink(2) gives; -ELOOP; -ENOMEM.
 */
int mountinfo_resolve(const char *path, char **ret, size_t *ret_point)
	NONNULL(1, 2, 3) MUST_USE;

#endif
