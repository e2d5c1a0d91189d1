/* SPDX-License-Identifier: Apache-2.0 */
/* The account that a machine of Google's runs as. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "google_priv.h"

#define URL_LEN 512
#define PING_MS 3000
#define TIMEOUT_MS 10000
#define WHO "the metadata server"

static const struct http_header flavor = { "Metadata-Flavor", "Google" };

static bool is_it(const struct http_resp *resp)
{
	const char *s = http_resp_header(resp, flavor.name);

	return s && strcmp(s, flavor.value) == 0;
}

/* Elsewhere nobody answers there, or somebody who is another. */
static int ping(struct google *g, char why[CRED_WHY_MAX])
{
	const char *host = cred_getenv("GCE_METADATA_HOST");
	const char *ip = cred_getenv("GCE_METADATA_IP");
	char url[URL_LEN];
	const struct oauth_ask q = { .who = WHO,
				      .url = url,
				      .header = &flavor,
				      .timeout_ms = PING_MS,
				      .tries = 1,
				      .is_direct = true };
	struct http_resp resp;
	int r;

	if (!host)
		host = ip ? ip : "169.254.169.254";
	if (snprintf(url, sizeof(url), "http://%s/", host) >= (int)sizeof(url))
		return cred_why(why, "GCE_METADATA_HOST is too long");
	r = oauth_ask(g->http, &q, &resp, why);
	if (r == 0 && !is_it(&resp)) {
		cred_why(why, "who answers at %s is no metadata server of "
			      "Google's",
			 url);
		r = -ENOENT;
	}
	ask_done(&resp);
	return r == -EAGAIN || r == -EACCES ? -ENOENT : r;
}

int google_metadata(struct google *g, char say[CRED_WHY_MAX],
		    struct cred **ret)
{
	const char *host = cred_getenv("GCE_METADATA_HOST");
	char url[URL_LEN];
	const struct oauth_ask q = { .who = WHO,
				      .url = url,
				      .account = "default",
				      .header = &flavor,
				      .timeout_ms = TIMEOUT_MS,
				      .tries = 3,
				      .is_direct = true };
	int r, n;

	if (cred_getenv_bool("NO_GCE_CHECK")) {
		cred_why(say, "the metadata server is not to be asked "
			      "(NO_GCE_CHECK)");
		return -ENOENT;
	}
	r = ping(g, say);
	if (r)
		return r;
	n = snprintf(url, sizeof(url),
		     "http://%s/computeMetadata/v1/instance/service-accounts/"
		     "default/token",
		     host ? host : "metadata.google.internal");
	if (n < 0 || (size_t)n >= sizeof(url))
		return cred_why(say, "GCE_METADATA_HOST is too long");
	r = oauth_token(g->http, g->clk, &q, say, ret);
	if (r == 0)
		cred_why(say, "the machine's account, by the metadata server");
	return r;
}
