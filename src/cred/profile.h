/* SPDX-License-Identifier: Apache-2.0 */
/* A profile of the AWS configuration: what the two files say of it. */
#ifndef CKPTFS_CRED_PROFILE_H
#define CKPTFS_CRED_PROFILE_H

#include "cred_priv.h"

struct profile {
	char *name;
	char *credentials_path, *config_path; /* NULL: there is no home */
	bool is_found;
	/* Each NULL when not said. */
	char *key_id, *secret, *token;
	const char *keys_path; /* where those are, of the two above */
	bool is_shared; /* others may read or change that file */
	char *region, *endpoint_url;
	char *elsewhere; /* the key by which it gets credentials otherwise */
};

/*
 * Read both files.  A missing file says nothing; an unreadable one is
 * -EACCES, with why.  name NULL: AWS_PROFILE, or "default".  ret is to be
 * cleared, also after a failure.
 */
int profile_read(const char *name, char why[CRED_WHY_MAX], struct profile *ret)
	NONNULL(2, 3) MUST_USE;
void profile_clear(struct profile *p) NONNULL(1);

#endif
