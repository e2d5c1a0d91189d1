/* SPDX-License-Identifier: Apache-2.0 */
/* Copies made by the server, within the account. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "ckptfs/cred.h"

#include "az.h"
#include "store_int.h"

#define URL_MAX (64 * 1024)
#define PAUSE_MS 50 /* doubled each time, up to */
#define PAUSE_MS_MAX 2000

/* Where the source is; one who may read by a SAS alone may read it so here, too. */
static int source_url(struct az *az, const char *from, struct buf *url)
{
	char why[CRED_WHY_MAX];
	struct cred *c = NULL;
	int r = buf_addf(url, "%s", az->where.base);

	if (r == 0)
		r = az_add_path(az, from, url);
	if (r || !az->creds)
		return r;
	r = cred_get(az->creds, why, &c);
	if (r == 0 && !*cred_token(c) && !*cred_key_id(c))
		r = buf_addf(url, "?%s", cred_secret(c));
	else if (r)
		store_set_error("%s", why);
	cred_drop(c);
	return r;
}

static bool is_status(const struct http_resp *resp, const char *status)
{
	const char *s = http_resp_header(resp, "x-ms-copy-status");

	return s && strcmp(s, status) == 0;
}

/* The service may answer before it is done; within an account it mostly is. */
static int wait_for(struct az *az, const char *to, const char *etag)
{
	bool is_pending = true;
	int pause_ms = PAUSE_MS, r = 0;

	while (is_pending && r == 0) {
		struct http_resp resp;

		(void)poll(NULL, 0, pause_ms);
		pause_ms = 2 * pause_ms > PAUSE_MS_MAX ? PAUSE_MS_MAX :
							 2 * pause_ms;
		r = az_head_resp(az, to, etag, &resp);
		is_pending = r == 0 && is_status(&resp, "pending");
		if (r == 0 && !is_pending && !is_status(&resp, "success")) {
			store_set_error("the copy came to nothing");
			r = -EAGAIN;
		}
		http_resp_clear(&resp);
	}
	return r;
}

static int perform(struct az *az, const struct az_req *q, const char *to,
		   struct store_obj *ret)
{
	char etag[STORE_ETAG_MAX] = "";
	struct http_resp resp;
	int r = az_perform(az, q, &resp);

	if (r == 0)
		r = az_etag_of(&resp, 0, etag);
	if (r == 0 && is_status(&resp, "pending")) {
		r = wait_for(az, to, NULL);
		*etag = '\0'; /* another when it is done */
	}
	http_resp_clear(&resp);
	return r ? r : az_head_if(az, to, *etag ? etag : NULL, ret);
}

int az_copy(struct store *s, const char *from, const char *from_etag,
	    const char *to, const struct store_meta *meta,
	    const struct store_cond *cond, struct store_obj *ret)
{
	static const struct store_src none;
	struct az *az = (struct az *)s;
	struct buf url = BUF_INIT(URL_MAX);
	struct az_req q = { .method = "PUT",
			    .key = to,
			    .src = &none,
			    .quiet_s = AZ_WORK_QUIET_S,
			    .is_change = true };
	struct store_meta_text text;
	struct store_obj o;
	int r = source_url(az, from, &url);

	if (r == 0) { /* never NULL; what the analyzer asks for */
		az_req_header(&q, "x-ms-copy-source", url.p ? url.p : "");
		if (from_etag)
			az_req_etag(&q, "x-ms-source-if-match", from_etag);
		if (meta) {
			store_meta_encode(meta, &text);
			az_req_meta(&q, &text);
		}
		az_req_cond(&q, cond);
		r = perform(az, &q, to, &o);
	}
	if (url.p)
		explicit_bzero(url.p, url.len);
	buf_clear(&url);
	if (r == -ENOENT && from_etag)
		r = -ESTALE;
	if (r)
		return r == -EMSGSIZE ? -EINVAL : r;
	o.mtime_ns = 0;
	*ret = o;
	return 0;
}
