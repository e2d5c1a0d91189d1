/* SPDX-License-Identifier: Apache-2.0 */
/* A request as it goes out: where to, and by whom. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/text.h"

#include "az.h"

#define URL_MAX (64 * 1024)
#define AUTH_MAX (32 * 1024)

static void wipe(struct buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->len);
	buf_clear(b);
}

void az_sent_clear(struct az_sent *t)
{
	wipe(&t->url); /* it may hold a SAS */
	wipe(&t->auth);
	cred_drop(t->cred);
}

static void header(struct az_sent *t, const char *name, const char *value)
{
	assert(t->nheaders < ARRAY_SIZE(t->headers));
	t->headers[t->nheaders].name = name;
	t->headers[t->nheaders++].value = value;
}

/* Everything that is there by now, but for the SAS, which is in the place of
 * it. */
static int shared_key(struct az *az, const struct az_req *q, const char *path,
		      struct az_sent *t)
{
	struct sign_pair headers[ARRAY_SIZE(t->headers)];
	const struct sign_azure s = {
		.method = q->method,
		.path = path,
		.query = q->query,
		.nquery = q->nquery,
		.headers = headers,
		.nheaders = t->nheaders,
		.length = q->src ? q->src->len : 0,
	};

	for (size_t i = 0; i < t->nheaders; i++)
		headers[i] = (struct sign_pair){ t->headers[i].name,
						 t->headers[i].value };
	return sign_azure(&s, az->account, cred_secret(t->cred), &t->auth);
}

static int authorize(struct az *az, const struct az_req *q, const char *path,
		     struct az_sent *t)
{
	int r;

	if (*cred_token(t->cred))
		r = buf_addf(&t->auth, "Bearer %s", cred_token(t->cred));
	else if (*cred_key_id(t->cred))
		r = shared_key(az, q, path, t);
	else
		return buf_addf(&t->url, "%c%s", q->nquery ? '&' : '?',
				cred_secret(t->cred));
	if (r == -EINVAL)
		store_set_error("the account's key is not base64");
	if (r == 0)
		header(t, "Authorization", t->auth.p);
	return r;
}

static int set_url(const struct az *az, const struct az_req *q,
		   const struct buf *path, struct buf *url)
{
	int r = buf_addf(url, "%s%s", az->where.base, path->p);

	if (r == 0 && q->nquery)
		r = buf_add(url, "?", 1);
	return r ? r : sign_encode_query(q->query, q->nquery, url);
}

static int take_cred(struct az *az, struct az_sent *t)
{
	char why[CRED_WHY_MAX];
	int r;

	if (!az->creds)
		return 0;
	r = cred_get(az->creds, why, &t->cred);
	if (r == 0 || r == -ENOMEM)
		return r;
	store_set_error("%s", why);
	return atomic_load(&az->has_worked) ? -EAGAIN : -EACCES;
}

int az_sign(struct az *az, const struct az_req *q, struct az_sent *t)
{
	struct buf path = BUF_INIT(URL_MAX);
	int64_t now_ns = clk_real(az->clk) + atomic_load(&az->skew_ns);
	int r;

	memset(t, 0, sizeof(*t));
	t->url.max = URL_MAX;
	t->auth.max = AUTH_MAX;
	for (size_t i = 0; i < q->nheaders; i++)
		header(t, q->headers[i].name, q->headers[i].value);
	text_http_date(now_ns, t->date);
	header(t, "x-ms-date", t->date);
	header(t, "x-ms-version", AZ_VERSION);
	r = az_add_path(az, q->key, &path);
	if (r == 0)
		r = set_url(az, q, &path, &t->url);
	if (r == 0)
		r = take_cred(az, t);
	if (r == 0 && t->cred)
		r = authorize(az, q, path.p, t);
	buf_clear(&path);
	return r == -EMSGSIZE ? -EINVAL : r;
}
