/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer of Google Cloud Storage means.  Pure. */
#ifndef STORE_GCS_ERR_H
#define STORE_GCS_ERR_H

#include <stdbool.h>

#include "ckptfs/compiler.h"

#include "answer.h"

struct gcs_answer {
	int status;
	const char *reason; /* of the error document; "" when there is none */
	const char *message;
	enum answer_cond cond;
	bool is_settled; /* as in answer.h */
	bool has_crc; /* the request said what the CRC-32C of its bytes is */
};

/* 0 or an error of store.h. */
int gcs_err_of(const struct gcs_answer *a) NONNULL(1);

/* The token is not (or no longer) taken: another may be. */
bool gcs_err_is_token(const struct gcs_answer *a) NONNULL(1);

#endif
