/* SPDX-License-Identifier: Apache-2.0 */
/* The two halves of ckptfs fsck. */
#ifndef CKPTFS_CLI_CMD_FSCK_H
#define CKPTFS_CLI_CMD_FSCK_H

#include <stdbool.h>
#include <stdint.h>

#include "ckptfs/compiler.h"

struct fsck_wish {
	const char *source, *dash_o; /* dash_o: NULL: none */
	bool cache, fix, read_data, versions, has_older;
	int64_t older_ns;
};

/* An exit status, everything said. */
int fsck_bucket_run(const struct fsck_wish *wish) NONNULL(1);

#endif
