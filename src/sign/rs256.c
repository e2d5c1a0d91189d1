/* SPDX-License-Identifier: Apache-2.0 */
/* JSON web tokens signed with a private key. */
#include "config.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/sign.h"
#include "ckptfs/text.h"

/* No passphrase: nobody is there to be asked for one. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static int read_key(const char *pem, EVP_PKEY **ret)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);

	if (!bio)
		return -ENOMEM;
	*ret = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	ERR_clear_error();
	if (*ret && EVP_PKEY_get_base_id(*ret) == EVP_PKEY_RSA)
		return 0;
	return -EINVAL;
}

static int sign(EVP_PKEY *key, const void *p, size_t n, unsigned char **ret,
		size_t *ret_n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char *sig = NULL;
	int r = -ENOMEM;

	if (ctx &&
	    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
	    EVP_DigestSign(ctx, NULL, ret_n, p, n) == 1)
		sig = malloc(*ret_n);
	if (sig && EVP_DigestSign(ctx, sig, ret_n, p, n) == 1)
		r = 0;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	if (r)
		free(sig);
	else
		*ret = sig;
	return r;
}

static int add_base64url(struct buf *b, const void *p, size_t n)
{
	char *text = malloc(TEXT_BASE64_LEN(n));
	int r = -ENOMEM;

	if (!text)
		return r;
	text_base64url(p, n, text);
	r = buf_add(b, text, strlen(text));
	free(text);
	return r;
}

int sign_jwt_rs256(const char *header, const char *claims, const char *pem,
		   struct buf *out)
{
	struct buf b = BUF_INIT(SIGN_JWT_MAX);
	EVP_PKEY *key = NULL;
	unsigned char *sig = NULL;
	size_t n = 0;
	int r = read_key(pem, &key);

	if (r == 0)
		r = add_base64url(&b, header, strlen(header));
	if (r == 0)
		r = buf_add(&b, ".", 1);
	if (r == 0)
		r = add_base64url(&b, claims, strlen(claims));
	if (r == 0)
		r = sign(key, b.p, b.len, &sig, &n);
	if (r == 0)
		r = buf_add(&b, ".", 1);
	if (r == 0)
		r = add_base64url(&b, sig, n);
	if (r == 0)
		r = buf_add(out, b.p, b.len);
	EVP_PKEY_free(key);
	free(sig);
	buf_clear(&b);
	return r;
}
