/* SPDX-License-Identifier: Apache-2.0 */
/* What the back ends that talk HTTP do alike around a request. */
#ifndef STORE_EXCHANGE_H
#define STORE_EXCHANGE_H

#include "ckptfs/http.h"
#include "ckptfs/store.h"

/* The body of a request, borrowed from src; src NULL: there is none, and NULL
 * is returned. */
const struct http_body *exchange_body(const struct store_src *src,
				      struct http_body *ret) NONNULL(2);

/*
 * No answer came: the error of http.h as one of store.h, with its words.
 * is_settled as in answer.h: a server that was trusted once and has a new
 * certificate has nothing to do with this request.
 */
int exchange_no_answer(int err, const struct http_resp *resp, bool is_settled)
	NONNULL(2) MUST_USE;

/* Pass on Retry-After, if it is there in seconds and within an hour. */
bool exchange_retry_after(const struct http_resp *resp) NONNULL(1);

/* What of ours the headers say, each behind the vendor's prefix
 * ("x-amz-meta-").  False: nothing. */
bool exchange_meta(const struct http_resp *resp, const char *prefix,
		   struct store_meta *ret) NONNULL(1, 2, 3);

#endif
