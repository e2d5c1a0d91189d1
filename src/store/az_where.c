/* SPDX-License-Identifier: Apache-2.0 */
/* From options to where requests go. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/text.h"

#include "az.h"
#include "endpoint.h"

/* An emulator and other hosts that have no name for each account have it in the
 * path. */
static bool names_account(const struct endpoint *e, const char *account)
{
	const size_t n = strlen(account);

	return e->host_len > n && strncmp(e->host, account, n) == 0 &&
	       e->host[n] == '.';
}

int az_where_init(const struct store_az_opts *o, struct az_where *ret)
{
	struct az_where w = { .base = NULL };
	char *url = NULL;
	struct endpoint e;
	int r, n;

	if (!o->endpoint_url &&
	    asprintf(&url, "https://%s.blob.core.windows.net", o->account) < 0)
		return -ENOMEM;
	r = endpoint_parse(url ? url : o->endpoint_url, &e);
	if (r == 0 && o->creds && !e.is_tls && !e.is_loopback)
		r = endpoint_refuse(url ? url : o->endpoint_url,
				    ENDPOINT_IN_CLEAR);
	if (r == 0) {
		const char *begin = url ? url : o->endpoint_url;

		w.is_tls = e.is_tls;
		w.is_loopback = e.is_loopback;
		w.is_azure = endpoint_is_below(&e, ".blob.core.windows.net") ||
			     endpoint_is_below(&e,
					       ".blob.core.chinacloudapi.cn") ||
			     endpoint_is_below(
				     &e, ".blob.core.usgovcloudapi.net");
		w.base = strndup(begin, (size_t)(e.path - begin));
		if (e.path_len == 0 && !names_account(&e, o->account))
			n = asprintf(&w.path, "/%s", o->account);
		else
			n = asprintf(&w.path, "%.*s", (int)e.path_len, e.path);
		if (n < 0)
			w.path = NULL;
		r = w.base && w.path ? 0 : -ENOMEM;
	}
	free(url);
	if (r)
		az_where_release(&w);
	else
		*ret = w;
	return r;
}

void az_where_release(struct az_where *w)
{
	free(w->base);
	free(w->path);
}

int az_add_path(const struct az *az, const char *key, struct buf *out)
{
	int r = buf_addf(out, "%s/", az->where.path);

	if (r == 0)
		r = text_percent(out, az->container, strlen(az->container),
				 false);
	if (r == 0 && key)
		r = buf_addf(out, "/");
	if (r == 0 && key)
		r = text_percent(out, key, strlen(key), true);
	return r;
}
