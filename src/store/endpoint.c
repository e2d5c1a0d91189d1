/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "ckptfs/store.h"

#include "endpoint.h"

static bool is_loopback(const char *host, size_t n)
{
	return (n == 9 && strncasecmp(host, "localhost", n) == 0) ||
	       (n == 5 && strncmp(host, "[::1]", n) == 0) ||
	       (n > 4 && strncmp(host, "127.", 4) == 0 &&
		strspn(host, "0123456789.") >= n);
}

int endpoint_refuse(const char *url, const char *why)
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

int endpoint_parse(const char *url, struct endpoint *ret)
{
	struct endpoint e = { .is_tls = strncasecmp(url, "https://", 8) == 0 };
	size_t n;

	if (!e.is_tls && strncasecmp(url, "http://", 7) != 0)
		return endpoint_refuse(
			url, "does not begin with https:// or http://");
	e.host = url + (e.is_tls ? 8 : 7);
	n = strcspn(e.host, "/?#");
	if (n == 0 || memchr(e.host, '@', n) ||
	    e.host[strcspn(e.host, "?#%")])
		return endpoint_refuse(url,
				       "is not scheme://host[:port][/path]");
	e.path = e.host + n;
	e.path_len = strlen(e.path);
	while (e.path_len && e.path[e.path_len - 1] == '/')
		e.path_len--;
	e.host_len = host_len(e.host, n);
	e.is_loopback = is_loopback(e.host, e.host_len);
	*ret = e;
	return 0;
}

bool endpoint_is_below(const struct endpoint *e, const char *tail)
{
	const size_t m = strlen(tail);

	return e->host_len > m &&
	       strncasecmp(e->host + e->host_len - m, tail, m) == 0;
}
