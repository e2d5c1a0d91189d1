/* SPDX-License-Identifier: Apache-2.0 */
/* Where an answer sends a request, and whether it goes there.  Pure. */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "s3.h"

static bool ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), m = strlen(tail);

	return n > m && strcmp(s + n - m, tail) == 0;
}

/* One of Amazon's own for another of the same partition.  Of other servers it is
 * not known what else is theirs: another port of a host may be anybody's.  What
 * we sign and send is for nobody else. */
static bool is_provider(const struct s3_where *w, const char *from,
			const char *to)
{
	if (!w->is_aws)
		return false;
	if (ends_with(from, ".amazonaws.com.cn"))
		return ends_with(to, ".amazonaws.com.cn");
	return ends_with(to, ".amazonaws.com");
}

bool s3_hop(const struct s3_where *w, const char *from, const char *location,
	    char ret[S3_HOST_MAX])
{
	char host[S3_HOST_MAX];
	size_t n = strlen(w->scheme);

	/* The scheme stays: never in clear what was encrypted. */
	if (strncasecmp(location, w->scheme, n) != 0 ||
	    strncmp(location + n, "://", 3) != 0)
		return false;
	location += n + 3;
	n = strcspn(location, "/?#");
	if (n == 0 || n >= sizeof(host))
		return false;
	memcpy(host, location, n);
	host[n] = '\0';
	if (strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			 "0123456789.-:[]") != n ||
	    strcasecmp(host, from) == 0 || !is_provider(w, from, host))
		return false;
	memcpy(ret, host, n + 1);
	return true;
}
