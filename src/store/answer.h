/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer over HTTP means, as far as vendors agree.  Pure. */
#ifndef STORE_ANSWER_H
#define STORE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "ckptfs/compiler.h"

/* The condition of a request. */
enum answer_cond {
	ANSWER_NO_COND,
	ANSWER_IF_ABSENT,
	ANSWER_IF_MATCH, /* also one about a copy's source */
};

/* What a vendor's tables map to, beside errors of store.h: what these are
 * depends on the request. */
enum answer_mark {
	ANSWER_AUTH = 1, /* the credential as such, not what it is used for */
	ANSWER_GONE, /* what was asked for is not there */
	ANSWER_CHANGED, /* a condition does not hold */
};

/* A code of an error document that says more than the status beside it. */
struct answer_code {
	const char *code;
	int meaning; /* an error of store.h or a mark */
};

/* The meaning of a code, or that of the status if the table lacks it. */
int answer_meaning(const struct answer_code *codes, size_t n, const char *code,
		   int status) NONNULL(1, 3) MUST_USE;
/* The meaning of a status of 300 and above; -EPROTO: none. */
int answer_of_status(int status) MUST_USE;

/*
 * An error of store.h from a meaning.  is_settled: the credential did work
 * before, so that it does not now is trouble with all requests, to be waited
 * out, and not with this one.
 */
int answer_err(int meaning, enum answer_cond cond, bool is_settled) MUST_USE;

#endif
