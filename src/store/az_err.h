/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer of Azure means.  Pure. */
#ifndef STORE_AZ_ERR_H
#define STORE_AZ_ERR_H

#include "answer.h"

struct az_answer {
	int status;
	const char *code; /* x-ms-error-code; "" when there is none */
	enum answer_cond cond; /* asked for */
	bool is_settled; /* as in answer.h */
};

/* 0 or an error of store.h. */
int az_err_of(const struct az_answer *a) NONNULL(1);

/* The credential is not (or no longer) taken: another may be. */
bool az_err_is_cred(int status, const char *code) NONNULL(2);

#endif
