/* SPDX-License-Identifier: Apache-2.0 */
/* From options to where requests go. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "s3.h"

static bool is_ip(const char *host)
{
	return *host == '[' || host[strspn(host, "0123456789.:")] == '\0';
}

static bool is_local_name(const char *host)
{
	size_t n = strcspn(host, ":");

	return n == 9 && strncasecmp(host, "localhost", n) == 0;
}

static bool is_loopback(const char *host)
{
	return is_local_name(host) || strncmp(host, "[::1]", 5) == 0 ||
	       (strncmp(host, "127.", 4) == 0 && is_ip(host));
}

/* Can the bucket be a part of a host name? */
static bool is_label(const char *bucket, bool is_tls)
{
	const char *p;

	/* A certificate for *.host does not cover a.b.host. */
	if (is_tls && strchr(bucket, '.'))
		return false;
	for (p = bucket; *p; p++)
		if (!(*p >= 'a' && *p <= 'z') && !(*p >= '0' && *p <= '9') &&
		    *p != '-' && *p != '.')
			return false;
	return strlen(bucket) <= 63;
}

static int where_arn(const struct store_s3_opts *o, struct s3_where *w)
{
	struct s3_arn arn;
	int r = s3_arn_parse(o->bucket, &arn);

	if (r)
		return r;
	w->is_aws = true;
	w->is_tls = true;
	memcpy(w->region, arn.region, sizeof(w->region));
	w->base = strdup("/");
	if (!w->base || asprintf(&w->host, "%s-%s.s3-accesspoint%s%s.",
				 arn.name, arn.account, o->fips ? "-fips" : "",
				 o->dual_stack ? ".dualstack" : "") < 0)
		return -ENOMEM;
	return 0;
}

static int where_directory(const struct store_s3_opts *o, const char *zone,
			   size_t n, struct s3_where *w)
{
	if (o->path_style) {
		store_set_error("directory buckets have no path style");
		return -EINVAL;
	}
	w->is_aws = w->is_tls = w->is_directory = true;
	w->base = strdup("/");
	if (!w->base || asprintf(&w->host, "%s.s3express%s-%.*s%s.", o->bucket,
				 o->fips ? "-fips" : "", (int)n, zone,
				 o->dual_stack ? ".dualstack" : "") < 0)
		return -ENOMEM;
	return 0;
}

static int where_aws(const struct store_s3_opts *o, struct s3_where *w)
{
	const char *bucket = o->bucket;
	const char *fips = o->fips ? "-fips" : "";
	const char *dual = o->dual_stack ? ".dualstack" : "";
	const char *zone;
	size_t zone_len;
	int n;

	zone = s3_express_zone(bucket, &zone_len);
	if (zone)
		return where_directory(o, zone, zone_len, w);
	w->is_aws = true;
	w->is_tls = true;
	if (o->path_style || !is_label(bucket, true)) {
		n = asprintf(&w->host, "s3%s%s.", fips, dual);
		if (n >= 0)
			n = asprintf(&w->base, "/%s/", bucket);
	} else {
		n = asprintf(&w->host, "%s.s3%s%s.", bucket, fips, dual);
		w->base = n < 0 ? NULL : strdup("/");
	}
	if (n < 0 || !w->host || !w->base)
		return -ENOMEM;
	return 0;
}

bool s3_region_is_valid(const char *region)
{
	size_t n = strspn(region, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789._-");

	/* One that fills the array may have been cut. */
	return n > 0 && n < S3_REGION_MAX - 1 && region[n] == '\0';
}

static int refuse(const char *url, const char *why)
{
	store_set_error("endpoint_url \"%s\" %s", url, why);
	return -EINVAL;
}

/* Host and port, without the port that goes without saying: that is how the
 * Host header has it, which is signed. */
static char *host_of(const char *p, size_t n, bool is_tls)
{
	const char *port = is_tls ? ":443" : ":80";
	size_t k = strlen(port);

	if (n > k && strncmp(p + n - k, port, k) == 0)
		n -= k;
	return strndup(p, n);
}

static int where_url(const struct store_s3_opts *o, struct s3_where *w)
{
	const char *url = o->endpoint_url, *p = url, *path;
	size_t host_len, path_len;
	char *host;
	int n;

	if (strncasecmp(p, "https://", 8) == 0)
		w->is_tls = true;
	else if (strncasecmp(p, "http://", 7) != 0)
		return refuse(url, "does not begin with https:// or http://");
	p += w->is_tls ? 8 : 7;
	host_len = strcspn(p, "/?#");
	path = p + host_len;
	path_len = strlen(path);
	while (path_len > 0 && path[path_len - 1] == '/')
		path_len--;
	if (host_len == 0 || memchr(p, '@', host_len) ||
	    strcspn(path, "?#%") < path_len)
		return refuse(url, "is not scheme://host[:port][/path]");
	host = host_of(p, host_len, w->is_tls);
	if (!host)
		return -ENOMEM;
	w->is_loopback = is_loopback(host);
	if (o->path_style || is_ip(host) || is_local_name(host) ||
	    !is_label(o->bucket, w->is_tls)) {
		w->host = host;
		n = asprintf(&w->base, "%.*s/%s/", (int)path_len, path,
			     o->bucket);
	} else {
		n = asprintf(&w->host, "%s.%s", o->bucket, host);
		free(host);
		if (n >= 0)
			n = asprintf(&w->base, "%.*s/", (int)path_len, path);
	}
	return n < 0 ? -ENOMEM : 0;
}

static int check(const struct store_s3_opts *o, bool is_arn)
{
	if (!o->bucket || !*o->bucket || (!is_arn && strchr(o->bucket, '/'))) {
		store_set_error("the bucket's name is empty or has a slash");
		return -EINVAL;
	}
	if (o->endpoint_url && (is_arn || o->fips || o->dual_stack)) {
		store_set_error("access points, fips and dual_stack are "
				"Amazon's: they exclude endpoint_url");
		return -EINVAL;
	}
	return 0;
}

int s3_where_init(const struct store_s3_opts *o, struct s3_where *ret)
{
	struct s3_where w = { 0 };
	bool is_arn = o->bucket && s3_is_arn(o->bucket);
	int r = check(o, is_arn);

	if (r)
		return r;
	if (is_arn)
		r = where_arn(o, &w);
	else
		r = o->endpoint_url ? where_url(o, &w) : where_aws(o, &w);
	if (r == 0 &&
	    asprintf(&w.source, is_arn ? "%s/object/" : "/%s/", o->bucket) < 0)
		r = -ENOMEM;
	if (r == 0) {
		w.scheme = strdup(w.is_tls ? "https" : "http");
		r = w.scheme ? 0 : -ENOMEM;
	}
	if (r)
		s3_where_release(&w);
	else
		*ret = w;
	return r;
}

void s3_where_release(struct s3_where *w)
{
	free(w->scheme);
	free(w->host);
	free(w->base);
	free(w->source);
}
