/* SPDX-License-Identifier: Apache-2.0 */
/* What the ways to an access token of Google share. */
#ifndef CKPTFS_CRED_GOOGLE_PRIV_H
#define CKPTFS_CRED_GOOGLE_PRIV_H

#include "ckptfs/buf.h"
#include "ckptfs/http.h"

#include "oauth.h"

#define GOOGLE_SCOPE "https://www.googleapis.com/auth/devstorage.read_write"
#define GOOGLE_TOKEN_URI "https://oauth2.googleapis.com/token"

struct google {
	struct cred_source source;
	struct http *http;
	const struct clk *clk;
};

/* google_file.c: as a file of credentials says.  As fetch() of cred.h. */
int google_file(struct google *g, const char *path, char say[CRED_WHY_MAX],
		struct cred **ret) NONNULL(1, 2, 3, 4) MUST_USE;

/* google_metadata.c: of the machine's own account.  -ENOENT: this is no machine
 * of Google's. */
int google_metadata(struct google *g, char say[CRED_WHY_MAX],
		    struct cred **ret) NONNULL(1, 2, 3) MUST_USE;

#endif
