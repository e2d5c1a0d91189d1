/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "ckptfs/sign.h"
#include "ckptfs/text.h"

#include "sign_priv.h"

#define CHUNK (256 * 1024)

int sign_hmac(const void *key, size_t key_len, const void *p, size_t n,
	      unsigned char ret[SHA256_LEN])
{
	unsigned len = 0;

	if (!HMAC(EVP_sha256(), key, (int)key_len, p, n, ret, &len) ||
	    len != SHA256_LEN)
		return -ENOMEM;
	return 0;
}

int sign_sha256_hex(const void *p, size_t n, char ret[SIGN_SHA256_HEX])
{
	unsigned char md[SHA256_LEN];

	if (!EVP_Digest(p, n, md, NULL, EVP_sha256(), NULL))
		return -ENOMEM;
	text_hex(md, sizeof(md), ret);
	return 0;
}

int sign_sha256_of(ssize_t (*read)(void *arg, uint64_t off, void *p, size_t n),
		   void *arg, uint64_t len, char ret[SIGN_SHA256_HEX])
{
	unsigned char md[SHA256_LEN];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	char *chunk = malloc(CHUNK);
	uint64_t off = 0;
	int r = -ENOMEM;

	if (!ctx || !chunk || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL))
		goto out;
	while (off < len) {
		size_t n = len - off < CHUNK ? (size_t)(len - off) : CHUNK;
		ssize_t got = read(arg, off, chunk, n);

		if (got != (ssize_t)n) {
			r = got < 0 ? (int)got : -EIO;
			goto out;
		}
		if (!EVP_DigestUpdate(ctx, chunk, n))
			goto out;
		off += n;
	}
	if (!EVP_DigestFinal_ex(ctx, md, NULL))
		goto out;
	text_hex(md, sizeof(md), ret);
	r = 0;
out:
	EVP_MD_CTX_free(ctx);
	free(chunk);
	return r;
}
