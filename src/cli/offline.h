/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Half of a source, without a mount.
 *
 * Its cache: opened as a mount opens it, through recovery and with its lock,
 * and without the bucket, of which every answer is that it cannot be reached.
 * Nothing is sent, fetched or evicted.
 *
 * Or its bucket, without any cache, whoever has it mounted.
 */
#ifndef CKPTFS_CLI_OFFLINE_H
#define CKPTFS_CLI_OFFLINE_H

#include "ckptfs/compiler.h"
#include "ckptfs/options.h"

#include "daemon.h"

struct offline {
	struct options o;
	struct daemon d; /* host, cache_path, normal; after offline_fs() fs */
};

/*
 * Find and lock it; dash_o as of options_load().  CLI_DONE, or an exit status
 * after having said why: there is none, or a mount uses it.  Either way
 * offline_close().
 */
int offline_open(const char *command, const char *source, const char *dash_o,
		 struct offline *ret) NONNULL(1, 2, 4) MUST_USE;
/* Then the file system over it. */
int offline_fs(struct offline *off) NONNULL(1) MUST_USE;
/*
 * Its bucket (d.store), made as a mount makes it and not asked yet.  As
 * offline_open().
 */
int offline_bucket(const char *command, const char *source, const char *dash_o,
		   struct offline *ret) NONNULL(1, 2, 4) MUST_USE;
void offline_close(struct offline *off) NONNULL(1);

#endif
