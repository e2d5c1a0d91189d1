/* SPDX-License-Identifier: Apache-2.0 */
/* What the ways to an access token of Google share. */
#ifndef CKPTFS_CRED_GOOGLE_PRIV_H
#define CKPTFS_CRED_GOOGLE_PRIV_H

#include "ckptfs/buf.h"
#include "ckptfs/http.h"

#include "ask.h"

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

/* google_token.c: one request, and the token in its answer. */
struct google_ask {
	const char *who; /* for messages: "the metadata server" */
	const char *url;
	const char *form; /* posted; NULL: GET */
	const char *account; /* whose token it is, for people to see */
	const struct http_header *header; /* one more; or NULL */
	unsigned timeout_ms;
	unsigned tries; /* of those without an answer, or 5xx or 429 */
	bool is_direct; /* as in http.h */
};
/* As ask() of ask.h; resp is for ask_done(). */
int google_ask(struct google *g, const struct google_ask *q,
	       struct http_resp *resp, char why[CRED_WHY_MAX])
	NONNULL(1, 2, 3, 4) MUST_USE;
int google_token(struct google *g, const struct google_ask *q,
		 char why[CRED_WHY_MAX], struct cred **ret)
	NONNULL(1, 2, 3, 4) MUST_USE;
/* Append "&name=value", encoded; no '&' before the first. */
int google_form(struct buf *b, const char *name, const char *value)
	NONNULL(1, 2, 3) MUST_USE;

#endif
