/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of src/sign share. */
#ifndef CKPTFS_SIGN_PRIV_H
#define CKPTFS_SIGN_PRIV_H

#include <errno.h>
#include <stddef.h>

#include "ckptfs/buf.h"
#include "ckptfs/hash.h"

/* No request of ours comes near. */
#define SIGN_TEXT_MAX (256 * 1024)

int sign_hmac(const void *key, size_t key_len, const void *p, size_t n,
	      unsigned char ret[SHA256_LEN]) MUST_USE;
int sign_sha256_hex(const void *p, size_t n, char ret[2 * SHA256_LEN + 1])
	MUST_USE;

#endif
