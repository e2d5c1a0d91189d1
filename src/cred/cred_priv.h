/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of src/cred share. */
#ifndef CKPTFS_CRED_PRIV_H
#define CKPTFS_CRED_PRIV_H

#include "ckptfs/cred.h"

/* Say why; evaluates to -EACCES. */
int cred_why(char why[CRED_WHY_MAX], const char *fmt, ...) NONNULL(1, 2)
	PRINTF_LIKE(2, 3);

/* NULL when unset or empty. */
const char *cred_getenv(const char *name) NONNULL(1);

/* AWS_ACCESS_KEY_ID and its kin. */
int cred_env_new(struct cred_source **ret) NONNULL(1) MUST_USE;

#endif
