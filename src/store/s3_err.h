/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer of an S3 server means.  Pure. */
#ifndef STORE_S3_ERR_H
#define STORE_S3_ERR_H

#include <stdbool.h>

#include "ckptfs/compiler.h"

#include "answer.h"

struct s3_answer {
	int status;
	const char *code; /* of the error document; "" when there is none */
	enum answer_cond cond;
	bool is_settled; /* as in answer.h */
};

/* 0 or an error of store.h. */
int s3_err_of(const struct s3_answer *a) NONNULL(1);

/* What makes the same request worth another try at once. */
enum s3_remedy {
	S3_REMEDY_NONE,
	S3_REMEDY_CLOCK, /* sign with the server's time */
	S3_REMEDY_CRED, /* fetch the credential again */
	S3_REMEDY_REGION, /* the server names another region */
};
enum s3_remedy s3_remedy_of(const struct s3_answer *a) NONNULL(1);

#endif
