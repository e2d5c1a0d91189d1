/* SPDX-License-Identifier: Apache-2.0 */
/* Azure's Shared Key, of blobs and of data lakes alike. */
#include "config.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ckptfs/sign.h"
#include "ckptfs/text.h"

#include "sign_priv.h"

#define KEY_MAX 256
#define XMS "x-ms-"

static const char *find(const struct sign_azure *q, const char *name)
{
	for (size_t i = 0; i < q->nheaders; i++)
		if (strcasecmp(q->headers[i].name, name) == 0)
			return q->headers[i].value;
	return "";
}

/* The headers that are signed without their names, in this order.  A Date would
 * be, too: x-ms-date takes its place. */
static int add_standard(const struct sign_azure *q, struct buf *out)
{
	static const char *const names[] = {
		"Content-Encoding", "Content-Language",	   NULL,
		"Content-MD5",	    "Content-Type",	   "Date",
		"If-Modified-Since", "If-Match",	   "If-None-Match",
		"If-Unmodified-Since", "Range",
	};
	int r = buf_addf(out, "%s\n", q->method);

	for (size_t i = 0; i < ARRAY_SIZE(names) && r == 0; i++) {
		if (names[i])
			r = buf_addf(out, "%s\n", find(q, names[i]));
		else if (q->length)
			r = buf_addf(out, "%" PRIu64 "\n", q->length);
		else
			r = buf_add(out, "\n", 1);
	}
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct sign_pair *x = a, *y = b;

	return strcasecmp(x->name, y->name);
}

/* Pairs in order, the names in lower case; of ours none repeats. */
static int add_sorted(const struct sign_pair *pairs, size_t n,
		      const char *prefix, const char *before,
		      const char *after, struct buf *out)
{
	struct sign_pair *v = calloc(n ? n : 1, sizeof(*v));
	size_t i, m = 0;
	int r = v ? 0 : -ENOMEM;

	for (i = 0; i < n && v; i++)
		if (strncasecmp(pairs[i].name, prefix, strlen(prefix)) == 0)
			v[m++] = pairs[i];
	if (m)
		qsort(v, m, sizeof(*v), by_name);
	for (i = 0; i < m && r == 0; i++) {
		const size_t at = out->len + strlen(before);

		r = buf_addf(out, "%s%s:%s%s", before, v[i].name,
			     v[i].value ? v[i].value : "", after);
		for (char *c = r ? NULL : out->p + at; c && *c != ':'; c++)
			if (*c >= 'A' && *c <= 'Z')
				*c = (char)(*c - 'A' + 'a');
	}
	free(v);
	return r;
}

static int string_to_sign(const struct sign_azure *q, const char *account,
			  struct buf *out)
{
	int r = add_standard(q, out);

	if (r == 0)
		r = add_sorted(q->headers, q->nheaders, XMS, "", "\n", out);
	if (r == 0)
		r = buf_addf(out, "/%s%s", account, q->path);
	if (r == 0)
		r = add_sorted(q->query, q->nquery, "", "\n", "", out);
	return r;
}

int sign_azure(const struct sign_azure *q, const char *account,
	       const char *key, struct buf *out)
{
	struct buf text = BUF_INIT(SIGN_TEXT_MAX);
	unsigned char raw[KEY_MAX], mac[SHA256_LEN];
	char sig[TEXT_BASE64_LEN(SHA256_LEN)];
	size_t n = 0;
	int r = text_unbase64(key, raw, sizeof(raw), &n) ? -EINVAL : 0;

	if (r == 0)
		r = string_to_sign(q, account, &text);
	if (r == 0)
		r = sign_hmac(raw, n, text.p, text.len, mac);
	if (r == 0) {
		text_base64(mac, sizeof(mac), sig);
		r = buf_addf(out, "SharedKey %s:%s", account, sig);
	}
	OPENSSL_cleanse(raw, sizeof(raw));
	buf_clear(&text);
	return r;
}
