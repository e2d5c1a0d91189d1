/* SPDX-License-Identifier: Apache-2.0 */
/* What the ways to an access token of Google share. */
#ifndef CKPTFS_CRED_GOOGLE_PRIV_H
#define CKPTFS_CRED_GOOGLE_PRIV_H

#include "ckptfs/buf.h"
#include "ckptfs/json.h"
#include "ckptfs/http.h"

#include "oauth.h"

#define GOOGLE_SCOPE "https://www.googleapis.com/auth/devstorage.read_write"
#define GOOGLE_TOKEN_URI "https://oauth2.googleapis.com/token"

struct google {
	struct cred_source source;
	struct http *http;
	const struct clk *clk;
};

#define GOOGLE_TIMEOUT_MS 30000
#define GOOGLE_FORM_MAX (32 * 1024)

/* A file that was read, or the credentials within one. */
struct google_doc {
	struct google *g;
	const char *path;
	const struct json *j;
	const char *scope; /* of the token that is asked for */
};
/* A text that has to be there; NULL, and why. */
const char *google_get(const struct google_doc *f, const char *name,
		       char why[CRED_WHY_MAX]) NONNULL(1, 2, 3);
/* Whatever it says it is.  As fetch() of cred.h. */
int google_by_type(const struct google_doc *f, char say[CRED_WHY_MAX],
		   struct cred **ret) NONNULL(1, 2, 3) MUST_USE;

/* google_external.c: somebody whom another provider vouches for. */
int google_external(const struct google_doc *f, char say[CRED_WHY_MAX],
		    struct cred **ret) NONNULL(1, 2, 3) MUST_USE;

/* google_iam.c: a service account that source, whose scope is GOOGLE_IAM_SCOPE,
 * may act as; and the type of file that says so of credentials within it. */
#define GOOGLE_IAM_SCOPE "https://www.googleapis.com/auth/iam"
int google_act_as(const struct google_doc *f, const char *url, int64_t life_s,
		  const struct cred *source, char say[CRED_WHY_MAX],
		  struct cred **ret) NONNULL(1, 2, 4, 5, 6) MUST_USE;
int google_impersonated(const struct google_doc *f, char say[CRED_WHY_MAX],
			struct cred **ret) NONNULL(1, 2, 3) MUST_USE;

/* Zeroed, then freed. */
void google_wipe(struct buf *b) NONNULL(1);

/* google_file.c: as a file of credentials says.  As fetch() of cred.h. */
int google_file(struct google *g, const char *path, char say[CRED_WHY_MAX],
		struct cred **ret) NONNULL(1, 2, 3, 4) MUST_USE;

/* google_metadata.c: of the machine's own account.  -ENOENT: this is no machine
 * of Google's. */
int google_metadata(struct google *g, char say[CRED_WHY_MAX],
		    struct cred **ret) NONNULL(1, 2, 3) MUST_USE;

#endif
