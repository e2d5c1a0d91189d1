/* SPDX-License-Identifier: Apache-2.0 */
/* What the ways to a credential of Azure share. */
#ifndef CKPTFS_CRED_AZURE_PRIV_H
#define CKPTFS_CRED_AZURE_PRIV_H

#include "ckptfs/http.h"

#include "cred_priv.h"

struct azure {
	struct cred_source source;
	struct http *http; /* NULL: the environment alone is looked at */
	const struct clk *clk;
	char *secret; /* of an application; or NULL */
	struct cred *env; /* found when it was made; or NULL: */
	int env_err;
	char env_say[CRED_WHY_MAX];
};

/* azure_token.c: as fetch() of cred.h; -ENOENT: it is not set up so, say as it
 * was. */
int azure_secret(struct azure *a, char say[CRED_WHY_MAX], struct cred **ret)
	NONNULL(1, 2, 3) MUST_USE;
int azure_workload(struct azure *a, char say[CRED_WHY_MAX], struct cred **ret)
	NONNULL(1, 2, 3) MUST_USE;
int azure_imds(struct azure *a, char say[CRED_WHY_MAX], struct cred **ret)
	NONNULL(1, 2, 3) MUST_USE;
int azure_cli(struct azure *a, char say[CRED_WHY_MAX], struct cred **ret)
	NONNULL(1, 2, 3) MUST_USE;

/* azure_string.c: a connection string, taken apart; each NULL if it is not
 * said. */
struct azure_string {
	char *account, *key, *sas, *blob_endpoint, *suffix, *protocol;
};
/* 0, -EACCES (why; nothing of the text is in it) or -ENOMEM. */
int azure_string_parse(const char *text, char why[CRED_WHY_MAX],
		       struct azure_string *ret) NONNULL(1, 2, 3) MUST_USE;
void azure_string_clear(struct azure_string *s) NONNULL(1);

/* The account's name of the environment; NULL: none. */
const char *azure_env_account(void);
/* The key or SAS of the environment, for this account.  -ENOENT: there is none;
 * as fetch() of cred.h. */
int azure_env(const char *account, char say[CRED_WHY_MAX], struct cred **ret)
	NONNULL(1, 2, 3) MUST_USE;

#endif
