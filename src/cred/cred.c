/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/cred.h"

struct cred {
	atomic_uint refs;
	int64_t expiry_ns;
	size_t size; /* of the whole, to be wiped */
	const char *key_id, *secret, *token; /* in text */
	char text[];
};

static const char *put(char **at, const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = memcpy(*at, s, n);

	*at += n;
	return p;
}

int cred_new(const char *key_id, const char *secret, const char *token,
	     int64_t expiry_ns, struct cred **ret)
{
	size_t size = sizeof(struct cred) + strlen(key_id) + strlen(secret) + 3;
	struct cred *c;
	char *at;

	if (!token)
		token = "";
	size += strlen(token);
	c = calloc(1, size);
	if (!c)
		return -ENOMEM;
	atomic_init(&c->refs, 1);
	c->expiry_ns = expiry_ns;
	c->size = size;
	at = c->text;
	c->key_id = put(&at, key_id);
	c->secret = put(&at, secret);
	c->token = put(&at, token);
	*ret = c;
	return 0;
}

struct cred *cred_hold(struct cred *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void cred_drop(struct cred *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) > 1)
		return;
	explicit_bzero(c, c->size);
	free(c);
}

const char *cred_key_id(const struct cred *c)
{
	return c->key_id;
}

const char *cred_secret(const struct cred *c)
{
	return c->secret;
}

const char *cred_token(const struct cred *c)
{
	return c->token;
}

int64_t cred_expiry_ns(const struct cred *c)
{
	return c->expiry_ns;
}
