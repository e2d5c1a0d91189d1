/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/host.h"
#include "ckptfs/http.h"
#include "ckptfs/log.h"
#include "ckptfs/options.h"
#include "ckptfs/source.h"
#include "ckptfs/store.h"

#include "open_store.h"

#define LOG_MODULE "mount"

static struct cred_aws_opts aws_opts(const struct options *o)
{
	return (struct cred_aws_opts){ .profile = o->profile,
				       .region = o->region,
				       .endpoint_url = o->endpoint_url };
}

char *endpoint_of(const struct options *o, const struct source *src)
{
	struct cred_aws_opts ao = aws_opts(o);
	struct cred_aws_settings s;
	char why[CRED_WHY_MAX], *url;

	if (src->kind != SOURCE_S3 || cred_aws_settings(&ao, why, &s) < 0)
		return NULL;
	url = s.endpoint_url ? strdup(s.endpoint_url) : NULL;
	cred_aws_settings_clear(&s);
	return url;
}

/* Credentials that are not there are an error now, not at the first upload. */
static int try_creds(struct opened_store *s, char *err, size_t size)
{
	char why[CRED_WHY_MAX];
	struct cred *c;
	int r = cred_get(s->creds, why, &c);

	if (r == 0)
		cred_drop(c);
	else
		(void)snprintf(err, size, "no credentials: %s", why);
	return r;
}

static int open_s3(const struct options *o, const struct source *src,
		   const struct host *host, struct opened_store *ret, char *err,
		   size_t size)
{
	struct cred_aws_opts ao = aws_opts(o);
	struct cred_aws_settings set;
	struct http_opts ho = { 0 };
	struct store_s3_opts so = { .bucket = src->place, .clk = host->clk };
	char why[CRED_WHY_MAX];
	int r = cred_aws_settings(&ao, why, &set);

	if (r < 0) {
		(void)snprintf(err, size, "%s", why);
		return r;
	}
	r = http_new(&ho, &ret->http);
	if (r == 0 && !o->anonymous) {
		r = cred_aws_chain(&ao, host->clk, &ret->creds);
		if (r == 0)
			r = try_creds(ret, err, size);
	}
	so.region = set.region;
	so.endpoint_url = set.endpoint_url;
	so.path_style = o->addressing == ADDRESSING_PATH ||
			(o->addressing == ADDRESSING_AUTO &&
			 (set.endpoint_url || strchr(src->place, '.')));
	so.sign_payload = o->payload == PAYLOAD_SIGNED;
	so.creds = ret->creds;
	so.http = ret->http;
	if (r == 0)
		r = store_s3_new(&so, &ret->store);
	cred_aws_settings_clear(&set);
	return r;
}

static void explain(const struct source *src, int r, char *err, size_t size)
{
	const char *said = store_last_error();
	const char *hint = "";

	if (err[0])
		return;
	if (r == -ENOENT)
		hint = ": make the bucket first, or check its name and region";
	else if (r == -EACCES)
		hint = ": the credentials do not allow it; see the page on "
		       "permissions";
	else if (store_err_is_transient(r))
		hint = ": check the network and endpoint_url";
	(void)snprintf(err, size, "%s://%s: %s%s%s%s",
		       src->kind == SOURCE_S3 ? "s3" : "file", src->place,
		       *said ? said : strerror(-r), hint, "", "");
}

int open_store(const struct options *o, const struct source *src,
	       const struct host *host, struct opened_store *ret, char *err,
	       size_t size)
{
	/* Few tries inside: the engines go on for ever, and say why. */
	struct store_retry_policy p = { .base_ns = 50 * NS_PER_MS,
					.cap_ns = 2 * NS_PER_S,
					.attempts = 3 };
	struct store *inner;
	int r;

	memset(ret, 0, sizeof(*ret));
	err[0] = '\0';
	r = src->kind == SOURCE_S3 ?
		    open_s3(o, src, host, ret, err, size) :
		    store_dir_new(src->place, host->clk, &ret->store);
	if (r == 0) {
		inner = ret->store;
		ret->store = store_retry_new(inner, host->clk, host->rng,
					     host->thr, &p);
		r = ret->store ? store_probe(ret->store, src->prefix, o->ro) :
				 -ENOMEM;
	}
	if (r < 0) {
		explain(src, r, err, size);
		close_store(ret);
	}
	return r;
}

void close_store(struct opened_store *s)
{
	store_free(s->store);
	cred_chain_free(s->creds);
	http_free(s->http);
	memset(s, 0, sizeof(*s));
}
