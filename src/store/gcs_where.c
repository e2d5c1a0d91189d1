/* SPDX-License-Identifier: Apache-2.0 */
/* From options to where requests go. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "endpoint.h"
#include "gcs.h"

#define GOOGLE "https://storage.googleapis.com"

int gcs_where_init(const struct store_gcs_opts *o, struct gcs_where *ret)
{
	const char *url = o->endpoint_url ? o->endpoint_url : GOOGLE;
	struct endpoint e;
	int r = endpoint_parse(url, &e);

	if (r)
		return r;
	if (o->creds && !e.is_tls && !e.is_loopback)
		return endpoint_refuse(url, ENDPOINT_IN_CLEAR);
	ret->base = strndup(url, (size_t)(e.path - url) + e.path_len);
	if (!ret->base)
		return -ENOMEM;
	ret->is_tls = e.is_tls;
	ret->is_loopback = e.is_loopback;
	/* Its own names, those of private access too. */
	ret->is_google = endpoint_is_below(&e, ".googleapis.com");
	return 0;
}
