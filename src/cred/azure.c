/* SPDX-License-Identifier: Apache-2.0 */
/* Where credentials of Azure are looked for, and which account and host the
 * environment names. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "azure_priv.h"

#define SUFFIX "core.windows.net"

/* In the order of DefaultAzureCredential, behind what names an account. */
static int ask_each(struct azure *a, char say[CRED_WHY_MAX], struct cred **ret)
{
	static int (*const ways[])(struct azure *a, char *say,
				   struct cred **ret) = {
		azure_secret,
		azure_workload,
		azure_imds,
		azure_cli,
	};
	char why[CRED_WHY_MAX] = "";
	int r = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(ways) && r == -ENOENT; i++)
		r = ways[i](a, why, ret);
	if (r == -ENOENT)
		(void)snprintf(say, CRED_WHY_MAX,
			       "%.200s; AZURE_CLIENT_ID, AZURE_TENANT_ID and "
			       "AZURE_CLIENT_SECRET or "
			       "AZURE_FEDERATED_TOKEN_FILE are not set; this "
			       "is no machine of Azure's; there is no az "
			       "command",
			       a->env_say);
	else
		memcpy(say, why, sizeof(why));
	return r;
}

static int fetch(struct cred_source *s, char say[CRED_WHY_MAX],
		 struct cred **ret)
{
	struct azure *a = (struct azure *)s;

	if (!a->env && a->env_err == -ENOENT && a->http)
		return ask_each(a, say, ret);
	memcpy(say, a->env_say, sizeof(a->env_say));
	if (!a->env)
		return a->env_err;
	*ret = cred_hold(a->env);
	return 0;
}

static void free_source(struct cred_source *s)
{
	struct azure *a = (struct azure *)s;

	cred_drop(a->env);
	cred_wipe(a->secret);
	free(a);
}

static const struct cred_source_ops azure_ops = {
	.fetch = fetch,
	.free = free_source,
};

int cred_azure_chain(const struct cred_azure_opts *opts, const struct clk *clk,
		     struct cred_chain **ret)
{
	const char *secret = cred_getenv("AZURE_CLIENT_SECRET");
	struct azure *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->source.ops = &azure_ops;
	a->http = opts->http;
	a->clk = clk;
	a->secret = secret ? strdup(secret) : NULL;
	a->env_err = azure_env(opts->account, a->env_say, &a->env);
	if (a->env_err == -ENOMEM || (secret && !a->secret)) {
		free_source(&a->source);
		return -ENOMEM;
	}
	return cred_chain_new(&a->source, clk, ret);
}

/* ---- settings ---- */

static int find_account(const struct cred_azure_opts *o,
			const struct azure_string *s, char why[CRED_WHY_MAX],
			char **ret)
{
	const char *account = o->account;

	if (!account)
		account = azure_env_account();
	if (!account)
		account = s->account;
	if (!account)
		return cred_why(why, "which storage account? Set the option "
				     "account or AZURE_STORAGE_ACCOUNT, or "
				     "write abfss://container@account.dfs."
				     "core.windows.net/path");
	*ret = strdup(account);
	return *ret ? 0 : -ENOMEM;
}

static int find_endpoint(const struct cred_azure_opts *o,
			 const struct azure_string *s, const char *account,
			 char **ret)
{
	const bool is_its = !s->account || strcmp(s->account, account) == 0;
	const char *suffix = o->suffix;
	int n = 0;

	if (!suffix)
		suffix = is_its && s->suffix ? s->suffix : SUFFIX;
	if (o->endpoint_url)
		*ret = strdup(o->endpoint_url);
	else if (is_its && s->blob_endpoint && !o->suffix)
		*ret = strdup(s->blob_endpoint);
	else
		n = asprintf(ret, "%s://%s.blob.%s",
			     is_its && s->protocol ? s->protocol : "https",
			     account, suffix);
	return n < 0 || !*ret ? -ENOMEM : 0;
}

int cred_azure_settings(const struct cred_azure_opts *o,
			char why[CRED_WHY_MAX], struct cred_azure_settings *ret)
{
	const char *text = cred_getenv("AZURE_STORAGE_CONNECTION_STRING");
	struct cred_azure_settings set = { .account = NULL };
	struct azure_string s = { .account = NULL };
	int r = text ? azure_string_parse(text, why, &s) : 0;

	if (r == 0)
		r = find_account(o, &s, why, &set.account);
	if (r == 0) /* never NULL; what the analyzer asks for */
		r = set.account ? find_endpoint(o, &s, set.account,
						&set.endpoint_url) :
				  -ENOMEM;
	azure_string_clear(&s);
	if (r)
		cred_azure_settings_clear(&set);
	else
		*ret = set;
	return r;
}

void cred_azure_settings_clear(struct cred_azure_settings *s)
{
	free(s->account);
	free(s->endpoint_url);
	memset(s, 0, sizeof(*s));
}
