/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of Entra ID: of an application by its secret or by what its platform
 * vouches for, of the machine, and of who is logged in by the az command. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/json.h"
#include "ckptfs/text.h"

#include "azure_priv.h"
#include "oauth.h"

#define AUTHORITY "https://login.microsoftonline.com"
#define RESOURCE "https://storage.azure.com"
#define IMDS "http://169.254.169.254"
#define ASSERTION "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#define URL_LEN 512
#define FORM_MAX (64 * 1024)
#define OUTPUT_MAX (64 * 1024)
#define TIMEOUT_MS 30000
#define PROBE_MS 1000 /* a machine of Azure's answers at once */

static void wipe(struct buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->len);
	buf_clear(b);
}

/* What stands in a URL as it is. */
static bool is_name(const char *s)
{
	return *s && strspn(s, "abcdefghijklmnopqrstuvwxyz"
			       "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") ==
			     strlen(s);
}

/* Where an application asks.  -EACCES: not where a secret may be sent. */
static int token_url(const char *tenant, char why[CRED_WHY_MAX],
		     char ret[URL_LEN])
{
	const char *host = cred_getenv("AZURE_AUTHORITY_HOST");
	size_t n;

	if (!host)
		host = AUTHORITY;
	if (!is_name(tenant))
		return cred_why(why, "AZURE_TENANT_ID is neither an id nor a "
				     "domain");
	n = strlen(host);
	while (n && host[n - 1] == '/')
		n--;
	if (snprintf(ret, URL_LEN, "%s%.*s/%s/oauth2/v2.0/token",
		     strstr(host, "://") ? "" : "https://", (int)n, host,
		     tenant) >= URL_LEN ||
	    !cred_is_agent_url(ret))
		return cred_why(why, "AZURE_AUTHORITY_HOST is neither https "
				     "nor this machine");
	return 0;
}

/* name, value: what the application shows beside its id. */
static int ask_as(struct azure *a, const char *tenant, const char *id,
		  const char *const more[][2], size_t nmore,
		  char why[CRED_WHY_MAX], struct cred **ret)
{
	struct buf form = BUF_INIT(FORM_MAX);
	char url[URL_LEN];
	struct oauth_ask q = { .who = "Entra ID",
			       .url = url,
			       .account = id,
			       .timeout_ms = TIMEOUT_MS,
			       .tries = 3 };
	int r = token_url(tenant, why, url);

	if (r == 0)
		r = oauth_form(&form, "client_id", id);
	if (r == 0)
		r = oauth_form(&form, "grant_type", "client_credentials");
	if (r == 0)
		r = oauth_form(&form, "scope", RESOURCE "/.default");
	for (size_t i = 0; i < nmore && r == 0; i++)
		r = oauth_form(&form, more[i][0], more[i][1]);
	q.form = form.p;
	if (r == 0)
		r = oauth_token(a->http, a->clk, &q, why, ret);
	if (r == -EMSGSIZE)
		r = cred_why(why, "a value is too long");
	wipe(&form);
	return r;
}

int azure_secret(struct azure *a, char say[CRED_WHY_MAX], struct cred **ret)
{
	const char *tenant = cred_getenv("AZURE_TENANT_ID");
	const char *id = cred_getenv("AZURE_CLIENT_ID");
	const char *const more[][2] = { { "client_secret", a->secret } };
	int r;

	if (!tenant || !id || !a->secret)
		return -ENOENT;
	r = ask_as(a, tenant, id, more, 1, say, ret);
	if (r == 0)
		cred_why(say, "the secret of the application %.100s", id);
	return r;
}

int azure_workload(struct azure *a, char say[CRED_WHY_MAX], struct cred **ret)
{
	const char *tenant = cred_getenv("AZURE_TENANT_ID");
	const char *id = cred_getenv("AZURE_CLIENT_ID");
	const char *path = cred_getenv("AZURE_FEDERATED_TOKEN_FILE");
	char *token = NULL;
	size_t n;
	int r;

	if (!tenant || !id || !path)
		return -ENOENT;
	r = cred_read_file(path, say, &token);
	if (r)
		return r;
	n = strlen(token);
	while (n && (token[n - 1] == '\n' || token[n - 1] == '\r'))
		token[--n] = '\0';
	r = ask_as(a, tenant, id,
		   (const char *const[][2]){
			   { "client_assertion_type", ASSERTION },
			   { "client_assertion", token } },
		   2, say, ret);
	cred_wipe(token);
	if (r == 0)
		cred_why(say, "the workload identity %.100s of %.200s", id,
			 path);
	return r;
}

/* The metadata of the machine; who else answers there is no such machine. */
int azure_imds(struct azure *a, char say[CRED_WHY_MAX], struct cred **ret)
{
	static const struct http_header metadata = { "Metadata", "true" };
	const char *host = cred_getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST");
	const char *id = cred_getenv("AZURE_CLIENT_ID");
	char url[URL_LEN];
	const struct oauth_ask q = { .who = "the instance metadata",
				     .url = url,
				     .account = id ? id : "the machine's",
				     .header = &metadata,
				     .timeout_ms = TIMEOUT_MS,
				     .tries = 3,
				     .is_direct = true };
	struct oauth_ask probe = q;
	struct http_resp resp;
	int r, n;

	n = snprintf(url, sizeof(url),
		     "%s/metadata/identity/oauth2/token?api-version=2018-02-01"
		     "&resource=%s",
		     host ? host : IMDS, RESOURCE);
	if (n < (int)sizeof(url) && id && is_name(id))
		n += snprintf(url + n, sizeof(url) - (size_t)n, "&client_id=%s",
			      id);
	if (n >= (int)sizeof(url))
		return cred_why(say, "AZURE_POD_IDENTITY_AUTHORITY_HOST is too "
				     "long");
	probe.header = NULL; /* that is refused, and so by nobody else */
	probe.timeout_ms = PROBE_MS;
	probe.tries = 1;
	r = oauth_ask(a->http, &probe, &resp, say);
	if (r == 0 && resp.status != 400)
		r = -EAGAIN;
	ask_done(&resp);
	if (r == -EAGAIN || r == -EACCES)
		return -ENOENT;
	if (r == 0)
		r = oauth_token(a->http, a->clk, &q, say, ret);
	if (r == 0)
		cred_why(say, "the managed identity%s%.100s of this machine",
			 id ? " " : "", id ? id : "");
	return r;
}

/* ---- az ---- */

static int take_cli(const struct buf *out, char why[CRED_WHY_MAX],
		    struct cred **ret)
{
	struct json *j = NULL;
	const char *token;
	int64_t end_s = 0;
	int r = json_parse(out->p, out->len, &j);

	if (r == -ENOMEM)
		return r;
	token = json_get_str(j, "accessToken");
	if (r || !token || !*token || strpbrk(token, "\r\n") ||
	    json_get_int(j, "expires_on", &end_s) || end_s <= 0 ||
	    end_s > INT64_MAX / NS_PER_S)
		r = cred_why(why, "az account get-access-token: no accessToken "
				  "and expires_on in what it printed (az is to "
				  "be 2.54 or newer)");
	else
		r = cred_new("az", "", token, end_s * NS_PER_S, ret);
	json_free(j);
	return r;
}

int azure_cli(struct azure *a, char say[CRED_WHY_MAX], struct cred **ret)
{
	const char *words[] = { "az",	    "account",	  "get-access-token",
				"--output", "json",	  "--resource",
				RESOURCE,   NULL };
	struct buf out = BUF_INIT(OUTPUT_MAX);
	int r = cred_run(a->clk, "az account get-access-token",
			 (char **)(uintptr_t)words, &out, say);

	if (r == 0)
		r = take_cli(&out, say, ret);
	if (r == 0)
		cred_why(say, "the login of the az command");
	wipe(&out);
	return r;
}
