/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and signatures of the environment. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "azure_priv.h"

#define STRING "AZURE_STORAGE_CONNECTION_STRING"

/* Of two names, as the CLI and fsspec have them, the one that is set. */
static const char *either(const char *a, const char *b, const char **ret)
{
	*ret = cred_getenv(a);
	if (*ret)
		return a;
	*ret = cred_getenv(b);
	return b;
}

const char *azure_env_account(void)
{
	const char *s;

	(void)either("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME", &s);
	return s;
}

static int make_key(const char *account, const char *key, const char *from,
		    char say[CRED_WHY_MAX], struct cred **ret)
{
	int r = cred_new(account, key, NULL, INT64_MAX, ret);

	if (r == 0)
		cred_why(say, "the account's key of %s", from);
	return r;
}

static int make_sas(const char *sas, const char *from, char say[CRED_WHY_MAX],
		    struct cred **ret)
{
	int r;

	sas += *sas == '?'; /* as the portal shows it */
	if (!strstr(sas, "sig=") || strpbrk(sas, " \t\r\n#"))
		return cred_why(say, "%s holds no shared access signature "
				     "(sv=…&sig=…)",
				from);
	r = cred_new("", sas, NULL, INT64_MAX, ret);
	if (r == 0)
		cred_why(say, "the shared access signature of %s", from);
	return r;
}

static int of_string(const char *account, const char *text,
		     char say[CRED_WHY_MAX], struct cred **ret)
{
	struct azure_string s;
	int r = azure_string_parse(text, say, &s);

	if (r)
		return r;
	if (s.account && strcmp(s.account, account) != 0) {
		cred_why(say, STRING " is of the account %.50s", s.account);
		r = -ENOENT;
	} else if (s.key) {
		r = make_key(account, s.key, STRING, say, ret);
	} else if (s.sas) {
		r = make_sas(s.sas, STRING, say, ret);
	} else {
		r = cred_why(say, STRING " has neither an AccountKey nor a "
					 "SharedAccessSignature");
	}
	azure_string_clear(&s);
	return r;
}

int azure_env(const char *account, char say[CRED_WHY_MAX], struct cred **ret)
{
	const char *own = azure_env_account();
	const char *text = cred_getenv(STRING), *key, *name;
	const char *sas = cred_getenv("AZURE_STORAGE_SAS_TOKEN");

	if (text)
		return of_string(account, text, say, ret);
	name = either("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY", &key);
	if (!key && !sas) {
		cred_why(say, STRING ", AZURE_STORAGE_KEY and "
				     "AZURE_STORAGE_SAS_TOKEN are not set");
		return -ENOENT;
	}
	if (own && strcmp(own, account) != 0) {
		cred_why(say, "the environment is of the account %.50s", own);
		return -ENOENT;
	}
	if (key)
		return make_key(account, key, name, say, ret);
	return make_sas(sas, "AZURE_STORAGE_SAS_TOKEN", say, ret);
}
