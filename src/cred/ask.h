/* SPDX-License-Identifier: Apache-2.0 */
/* One request of a chain, and once more if nobody answers. */
#ifndef CKPTFS_CRED_ASK_H
#define CKPTFS_CRED_ASK_H

#include "ckptfs/http.h"

#include "cred_priv.h"

struct ask {
	const char *who; /* for messages: "STS" */
	const char *method, *url;
	const struct http_header *headers;
	size_t nheaders;
	const char *body; /* NULL: none */
	unsigned timeout_ms;
	unsigned tries; /* of those without an answer, or 5xx or 429 */
	bool is_direct; /* as in http.h */
};

/*
 * 0 with an answer below 500; -EAGAIN (why says what happened), -EACCES
 * (certificate, bad URL), -ECANCELED, -ENOMEM.  resp is to be given to
 * ask_done() in any case: it is wiped.
 */
int ask(struct http *http, const struct ask *q, struct http_resp *resp,
	char why[CRED_WHY_MAX]) NONNULL(1, 2, 3, 4) MUST_USE;
void ask_done(struct http_resp *resp) NONNULL(1);

#endif
