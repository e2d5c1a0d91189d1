/* SPDX-License-Identifier: Apache-2.0 */
/* Where Google's own libraries look for credentials, in their order. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "google_priv.h"

#define FILE_NAME "application_default_credentials.json"

/* What gcloud auth application-default login writes; to be freed.  NULL: there
 * is no home folder, or no memory. */
static char *gcloud_file(void)
{
	const char *folder = cred_getenv("CLOUDSDK_CONFIG");
	char *path = NULL;

	if (!folder)
		return cred_path("~/.config/gcloud/" FILE_NAME);
	return asprintf(&path, "%s/%s", folder, FILE_NAME) < 0 ? NULL : path;
}

static int fetch(struct cred_source *s, char say[CRED_WHY_MAX],
		 struct cred **ret)
{
	struct google *g = (struct google *)s;
	const char *named = cred_getenv("GOOGLE_APPLICATION_CREDENTIALS");
	char why[CRED_WHY_MAX] = "";
	char *path;
	int r;

	if (named)
		return google_file(g, named, say, ret);
	path = gcloud_file();
	if (path && access(path, F_OK) == 0) {
		r = google_file(g, path, say, ret);
		free(path);
		return r;
	}
	r = google_metadata(g, why, ret);
	if (r == -ENOENT)
		(void)snprintf(say, CRED_WHY_MAX,
			       "GOOGLE_APPLICATION_CREDENTIALS is not set; "
			       "%.150s is not there; %.250s",
			       path ? path : "gcloud's file", why);
	else
		memcpy(say, why, sizeof(why));
	free(path);
	return r;
}

static void free_source(struct cred_source *s)
{
	free(s);
}

static const struct cred_source_ops google_ops = {
	.fetch = fetch,
	.free = free_source,
};

int cred_google_chain(struct http *http, const struct clk *clk,
		      struct cred_chain **ret)
{
	struct google *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->source.ops = &google_ops;
	g->http = http;
	g->clk = clk;
	return cred_chain_new(&g->source, clk, ret);
}
