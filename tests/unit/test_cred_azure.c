/* SPDX-License-Identifier: Apache-2.0 */
/* Azure: what the environment says, and what comes of it. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"

#include "harness.h"

#define STRING "AZURE_STORAGE_CONNECTION_STRING"
#define PORTAL                                                                 \
	"DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5==;"    \
	"EndpointSuffix=core.windows.net"
#define SAS "sv=2021-12-02&sig=x%3D"

static const char *const names[] = {
	STRING,
	"AZURE_STORAGE_ACCOUNT",
	"AZURE_STORAGE_ACCOUNT_NAME",
	"AZURE_STORAGE_KEY",
	"AZURE_STORAGE_ACCOUNT_KEY",
	"AZURE_STORAGE_SAS_TOKEN",
};

/* "NAME=value" each, up to three; everything else is not set. */
static void set_env(const char *const *env)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
	for (size_t i = 0; i < 3 && env[i]; i++) {
		char name[64] = "";
		const char *eq = strchr(env[i], '=');

		memcpy(name, env[i], (size_t)(eq - env[i]));
		setenv(name, eq + 1, 1);
	}
}

static const struct {
	const char *env[3];
	const char *account, *endpoint, *suffix; /* asked for */
	const char *ret_account, *ret_endpoint; /* NULL: refused */
} settings[] = {
	{ { NULL }, NULL, NULL, NULL, NULL, NULL },
	{ { NULL }, "acc", NULL, NULL, "acc",
	  "https://acc.blob.core.windows.net" },
	{ { "AZURE_STORAGE_ACCOUNT=env" }, NULL, NULL, NULL, "env",
	  "https://env.blob.core.windows.net" },
	{ { "AZURE_STORAGE_ACCOUNT_NAME=env" }, NULL, NULL, NULL, "env",
	  "https://env.blob.core.windows.net" },
	{ { "AZURE_STORAGE_ACCOUNT=env" }, "acc", NULL,
	  "core.chinacloudapi.cn", "acc",
	  "https://acc.blob.core.chinacloudapi.cn" },
	{ { "AZURE_STORAGE_ACCOUNT=env" }, NULL, "http://h:1", NULL, "env",
	  "http://h:1" },
	{ { STRING "=" PORTAL }, NULL, NULL, NULL, "acc",
	  "https://acc.blob.core.windows.net" },
	{ { STRING "=" PORTAL }, "other", NULL, NULL, "other",
	  "https://other.blob.core.windows.net" },
	{ { STRING "=AccountName=acc;AccountKey=a2V5;"
		   "BlobEndpoint=http://127.0.0.1:1/acc;" },
	  NULL, NULL, NULL, "acc", "http://127.0.0.1:1/acc" },
	{ { STRING "=UseDevelopmentStorage=true" }, NULL, NULL, NULL,
	  "devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1" },
	{ { STRING "=nonsense" }, "acc", NULL, NULL, NULL, NULL },
};

START_TEST(account_and_endpoint)
{
	const struct cred_azure_opts o = {
		.account = settings[_i].account,
		.endpoint_url = settings[_i].endpoint,
		.suffix = settings[_i].suffix,
	};
	struct cred_azure_settings s;
	char why[CRED_WHY_MAX] = "";
	int r;

	set_env(settings[_i].env);
	r = cred_azure_settings(&o, why, &s);
	ck_assert_int_eq(r, settings[_i].ret_account ? 0 : -EACCES);
	if (r) {
		ck_assert_str_ne(why, "");
		return;
	}
	ck_assert_str_eq(s.account, settings[_i].ret_account);
	ck_assert_str_eq(s.endpoint_url, settings[_i].ret_endpoint);
	cred_azure_settings_clear(&s);
}
END_TEST

static const struct {
	const char *env[3];
	int err;
	const char *key_id, *secret;
	const char *says;
} keys[] = {
	{ { STRING "=" PORTAL }, 0, "acc", "a2V5==", STRING },
	{ { STRING "=" PORTAL, "AZURE_STORAGE_KEY=b" }, 0, "acc", "a2V5==",
	  STRING },
	{ { STRING "=AccountName=acc;SharedAccessSignature=" SAS }, 0, "", SAS,
	  "signature" },
	{ { STRING "=AccountName=other;AccountKey=a" }, -ENOENT, NULL, NULL,
	  "of the account other" },
	{ { STRING "=AccountName=acc" }, -EACCES, NULL, NULL,
	  "neither an AccountKey" },
	{ { "AZURE_STORAGE_KEY=b" }, 0, "acc", "b", "AZURE_STORAGE_KEY" },
	{ { "AZURE_STORAGE_ACCOUNT_KEY=b" }, 0, "acc", "b",
	  "AZURE_STORAGE_ACCOUNT_KEY" },
	{ { "AZURE_STORAGE_KEY=b", "AZURE_STORAGE_ACCOUNT=other" }, -ENOENT,
	  NULL, NULL, "of the account other" },
	{ { "AZURE_STORAGE_SAS_TOKEN=?" SAS }, 0, "", SAS, "signature" },
	{ { "AZURE_STORAGE_SAS_TOKEN=nonsense" }, -EACCES, NULL, NULL,
	  "holds no shared access signature" },
	{ { NULL }, -ENOENT, NULL, NULL, "AZURE_STORAGE_KEY" },
};

START_TEST(what_the_environment_gives)
{
	const struct cred_azure_opts o = { .account = "acc" };
	struct cred_chain *chain = NULL;
	struct cred_info info;
	struct cred *c = NULL;
	char why[CRED_WHY_MAX] = "";

	set_env(keys[_i].env);
	ck_assert_int_eq(cred_azure_chain(&o, &clk_system, &chain), 0);
	cred_env_wipe();
	for (size_t i = 3; i < ARRAY_SIZE(names); i++)
		ck_assert_ptr_null(getenv(names[i]));
	ck_assert_ptr_null(getenv(STRING));
	ck_assert_int_eq(cred_get(chain, why, &c), keys[_i].err);
	if (c) {
		ck_assert_str_eq(cred_key_id(c), keys[_i].key_id);
		ck_assert_str_eq(cred_secret(c), keys[_i].secret);
		ck_assert_str_eq(cred_token(c), "");
		cred_look(chain, &info);
		ck_assert_ptr_nonnull(strstr(info.from, keys[_i].says));
	} else {
		ck_assert_msg(strstr(why, keys[_i].says), "%s", why);
		ck_assert_ptr_null(strstr(why, "a2V5"));
	}
	cred_drop(c);
	cred_chain_free(chain);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, account_and_endpoint, 0,
			    (int)ARRAY_SIZE(settings));
	tcase_add_loop_test(c, what_the_environment_gives, 0,
			    (int)ARRAY_SIZE(keys));
}

int main(void)
{
	return harness_run("cred_azure", add);
}
