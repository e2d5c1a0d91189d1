/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CKPTFS_CLI_TAKEOVER_H
#define CKPTFS_CLI_TAKEOVER_H

#include "ckptfs/compiler.h"

/*
 * Where to mount: path, resolved, a folder on which nothing of ours is mounted
 * any more.  CLI_DONE and the path, to be freed; or an exit status after
 * having said why.
 */
int takeover_point(const char *path, char **ret) NONNULL(1, 2) MUST_USE;

#endif
