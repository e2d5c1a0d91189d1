/* SPDX-License-Identifier: Apache-2.0 */
/* Access tokens, as OAuth 2.0 servers and the metadata of machines give them. */
#ifndef CKPTFS_CRED_OAUTH_H
#define CKPTFS_CRED_OAUTH_H

#include "ckptfs/buf.h"
#include "ckptfs/clock.h"

#include "ask.h"

struct oauth_ask {
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
int oauth_ask(struct http *http, const struct oauth_ask *q,
	      struct http_resp *resp, char why[CRED_WHY_MAX])
	NONNULL(1, 2, 3, 4) MUST_USE;
/* The token in the answer, with account as its key_id. */
int oauth_token(struct http *http, const struct clk *clk,
		const struct oauth_ask *q, char why[CRED_WHY_MAX],
		struct cred **ret) NONNULL(1, 2, 3, 4, 5) MUST_USE;
/* Append "&name=value", encoded; no '&' before the first. */
int oauth_form(struct buf *b, const char *name, const char *value)
	NONNULL(1, 2, 3) MUST_USE;

#endif
