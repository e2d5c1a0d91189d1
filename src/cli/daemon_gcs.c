/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket of Google Cloud Storage: who asks it, and where. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/http.h"
#include "ckptfs/store.h"

#include "cmd.h"
#include "daemon.h"

#define RESUMABLE_CHUNK (UINT64_C(16) << 20)

/* As Google's own libraries have it: a server to try things with, which asks
 * nobody who he is.  NULL: none. */
static const char *emulator(void)
{
	const char *s = getenv("STORAGE_EMULATOR_HOST");

	return s && *s ? s : NULL;
}

int daemon_find_gcs(struct daemon *d)
{
	const char *url = d->o->endpoint_url ? d->o->endpoint_url : emulator();

	if (!url)
		return CLI_DONE;
	if (strstr(url, "://"))
		d->endpoint = strdup(url);
	else if (asprintf(&d->endpoint, "http://%s", url) < 0)
		d->endpoint = NULL;
	return d->endpoint ? CLI_DONE :
			     say_error(&d->say, CLI_FAILED, "out of memory");
}

void daemon_warn_of_s3(struct daemon *d)
{
	static const char *const names[] = { "region", "profile",
					     "addressing_style", "payload" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (options_given(d->o, names[i]))
			daemon_warn(d, "%s is for s3:// alone, and of no "
				       "meaning for %s",
				    names[i], d->src.name);
}

int daemon_open_google(struct daemon *d)
{
	struct http_opts http;
	int r = 0;

	daemon_http_options(d, &http);
	if (!d->http)
		r = http_new(&http, &d->http);
	if (r || d->creds || d->o->anonymous ||
	    (emulator() && !d->o->endpoint_url))
		return r;
	return cred_google_chain(d->http, &clk_system, &d->creds);
}

int daemon_make_gcs(struct daemon *d, struct store **ret)
{
	struct store_gcs_opts o = { .bucket = d->src.where,
				    .prefix = d->src.prefix,
				    .endpoint_url = d->endpoint,
				    .clk = &clk_system };
	int status, r = daemon_open_google(d);

	o.storage_class = d->o->storage_class;
	o.kms_key = d->o->sse_kms_key_id;
	o.user_project = d->o->user_project;
	if (d->o->parts == OPT_PARTS_RESUMABLE)
		o.chunk = d->o->part_size ? d->o->part_size : RESUMABLE_CHUNK;

	if (r == 0 && d->creds) {
		status = daemon_try_credentials(d);
		if (status != CLI_DONE)
			return status;
	}
	o.http = d->http;
	o.creds = d->creds;
	if (r == 0)
		r = store_gcs_new(&o, ret);
	if (r < 0)
		return say_error(&d->say, r == -EINVAL ? CLI_USAGE : CLI_FAILED,
				 "%s: %s", d->src.name,
				 r == -EINVAL ? store_last_error() :
						strerror(-r));
	daemon_warn_of_s3(d);
	if (store_gcs_is_in_clear(*ret))
		daemon_warn_in_clear(d, d->endpoint);
	return CLI_DONE;
}
