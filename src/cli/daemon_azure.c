/* SPDX-License-Identifier: Apache-2.0 */
/* A container of Azure: whose it is, who asks it, and where. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/http.h"
#include "ckptfs/store.h"

#include "cmd.h"
#include "daemon.h"

int daemon_find_azure(struct daemon *d)
{
	const struct cred_azure_opts opts = {
		.account = d->src.account ? d->src.account : d->o->account,
		.endpoint_url = d->o->endpoint_url,
		.suffix = d->src.suffix,
	};
	char why[CRED_WHY_MAX] = "";
	struct cred_azure_settings s;
	int r;

	if (d->src.account && d->o->account &&
	    strcmp(d->src.account, d->o->account) != 0)
		return say_error(&d->say, CLI_USAGE,
				 "%s is not of the account %s", d->src.name,
				 d->o->account);
	r = cred_azure_settings(&opts, why, &s);
	if (r < 0)
		return say_error(&d->say,
				 r == -EACCES ? CLI_USAGE : CLI_FAILED, "%s",
				 why[0] ? why : strerror(-r));
	d->endpoint = s.endpoint_url;
	s.endpoint_url = NULL;
	r = source_set_account(&d->src, s.account);
	cred_azure_settings_clear(&s);
	return r == 0 ? CLI_DONE :
			say_error(&d->say, CLI_FAILED, "out of memory");
}

int daemon_open_azure(struct daemon *d)
{
	struct cred_azure_opts opts = { .account = d->src.account };
	struct http_opts http;
	int r = 0;

	daemon_http_options(d, &http);
	if (!d->http)
		r = http_new(&http, &d->http);
	opts.http = d->http;
	if (r == 0 && !d->o->anonymous && !d->creds)
		r = cred_azure_chain(&opts, &clk_system, &d->creds);
	cred_env_wipe();
	return r;
}

int daemon_make_azure(struct daemon *d, struct store **ret)
{
	struct store_az_opts o = { .account = d->src.account,
				   .container = d->src.where,
				   .prefix = d->src.prefix,
				   .endpoint_url = d->endpoint,
				   .clk = &clk_system };
	int status, r = daemon_open_azure(d);

	if (r == 0 && d->creds) {
		status = daemon_try_credentials(d);
		if (status != CLI_DONE)
			return status;
	}
	o.http = d->http;
	o.creds = d->creds;
	if (r == 0)
		r = store_az_new(&o, ret);
	if (r < 0)
		return say_error(&d->say, r == -EINVAL ? CLI_USAGE : CLI_FAILED,
				 "%s: %s", d->src.name,
				 r == -EINVAL ? store_last_error() :
						strerror(-r));
	daemon_warn_of_s3(d);
	if (store_az_is_in_clear(*ret))
		daemon_warn_in_clear(d, d->endpoint);
	return CLI_DONE;
}
