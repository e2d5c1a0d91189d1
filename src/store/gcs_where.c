/* SPDX-License-Identifier: Apache-2.0 */
/* From options to where requests go. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gcs.h"

#define GOOGLE "https://storage.googleapis.com"

static bool is_loopback(const char *host, size_t n)
{
	return (n == 9 && strncasecmp(host, "localhost", n) == 0) ||
	       (n == 5 && strncmp(host, "[::1]", n) == 0) ||
	       (n > 4 && strncmp(host, "127.", 4) == 0 &&
		strspn(host, "0123456789.") >= n);
}

/* Its own names, those of private access too. */
static bool is_google(const char *host, size_t n)
{
	static const char tail[] = ".googleapis.com";
	const size_t m = sizeof(tail) - 1;

	return n > m && strncasecmp(host + n - m, tail, m) == 0;
}

static int refuse(const char *url, const char *why)
{
	store_set_error("endpoint_url \"%s\" %s", url, why);
	return -EINVAL;
}

/* The host's name, without the port. */
static size_t host_len(const char *host, size_t n)
{
	const char *end = *host == '[' ? memchr(host, ']', n) : NULL;
	const char *colon;

	if (end)
		return (size_t)(end - host) + 1;
	colon = memchr(host, ':', n);
	return colon ? (size_t)(colon - host) : n;
}

int gcs_where_init(const struct store_gcs_opts *o, struct gcs_where *ret)
{
	const char *url = o->endpoint_url ? o->endpoint_url : GOOGLE;
	struct gcs_where w = { .is_tls = strncasecmp(url, "https://", 8) == 0 };
	const char *host = url + (w.is_tls ? 8 : 7);
	size_t n, len = strlen(url);

	if (!w.is_tls && strncasecmp(url, "http://", 7) != 0)
		return refuse(url, "does not begin with https:// or http://");
	n = strcspn(host, "/?#");
	if (n == 0 || memchr(host, '@', n) || host[strcspn(host, "?#%")])
		return refuse(url, "is not scheme://host[:port][/path]");
	while (url[len - 1] == '/')
		len--;
	n = host_len(host, n);
	w.is_loopback = is_loopback(host, n);
	w.is_google = is_google(host, n);
	if (o->creds && !w.is_tls && !w.is_loopback)
		return refuse(url, "is not encrypted, and would be sent an "
				   "access token: use https://, or anonymous");
	w.base = strndup(url, len);
	if (!w.base)
		return -ENOMEM;
	*ret = w;
	return 0;
}
