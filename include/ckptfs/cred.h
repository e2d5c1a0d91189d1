/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials, and the settings kept beside them.
 *
 * A struct cred is immutable and counted: a signer keeps its snapshot while a
 * refresh installs a new one.  Dropping the last reference wipes the secret.
 * There is no printer.
 *
 * Errors, all of them: -ENOENT (nobody has one), -EACCES (somebody has one
 * that cannot be used), -EAGAIN (who has one did not answer), -ECANCELED
 * (http_cancel_all()), -ENOMEM.
 */
#ifndef CKPTFS_CRED_H
#define CKPTFS_CRED_H

#include <stdbool.h>
#include <stdint.h>

#include "ckptfs/compiler.h"

#define CRED_WHY_MAX 512

struct clk;
struct cred;
struct cred_source;
struct http;
struct rng;

/* Copies.  token NULL or "": none; expiry_ns INT64_MAX: never. */
int cred_new(const char *key_id, const char *secret, const char *token,
	     int64_t expiry_ns, struct cred **ret) NONNULL(1, 2, 5) MUST_USE;
struct cred *cred_hold(struct cred *c) NONNULL(1) MUST_USE;
void cred_drop(struct cred *c); /* NULL is allowed */

const char *cred_key_id(const struct cred *c) NONNULL(1);
const char *cred_secret(const struct cred *c) NONNULL(1);
const char *cred_token(const struct cred *c) NONNULL(1); /* "": none */
int64_t cred_expiry_ns(const struct cred *c) NONNULL(1);

/*
 * Where credentials come from.
 *
 * fetch() gets them afresh; it may block; one thread at a time, no lock held.
 * say: where they are from ("the environment", "profile \"x\" of …"); on
 * failure what was looked for, and what to do.
 */
struct cred_source_ops {
	int (*fetch)(struct cred_source *s, char say[CRED_WHY_MAX],
		     struct cred **ret);
	/* Do files say something else than at the last fetch()?  Asked now and
	 * then, as fetch() is.  NULL: never. */
	bool (*has_changed)(struct cred_source *s);
	void (*free)(struct cred_source *s);
};

struct cred_source {
	const struct cred_source_ops *ops;
};

/*
 * A cache in front of a source.  One thread asks the source at a time, the
 * others wait for it, or go on with a credential that is still good.  What
 * expires is renewed ahead of time: a quarter of an hour, or a third of its
 * life if that is less.  The old one stays in use while that fails, to its
 * end; a failure is not repeated at once.
 *
 * Takes ownership of the source, also when it fails.
 */
struct cred_chain;
int cred_chain_new(struct cred_source *src, const struct clk *clk,
		   struct cred_chain **ret) NONNULL(1, 2, 3) MUST_USE;
void cred_chain_free(struct cred_chain *c); /* no call is under way */

/* A current credential, to be dropped by the caller.  On failure why says who
 * was asked and what to do.  No lock is held. */
int cred_get(struct cred_chain *c, char why[CRED_WHY_MAX], struct cred **ret)
	NONNULL(1, 2, 3) MUST_USE;
/* The store refused this one as expired or unknown: the next cred_get() asks
 * the source again, unless that happened meanwhile. */
void cred_refuse(struct cred_chain *c, const struct cred *bad) NONNULL(1, 2);

/* What is in use, for people to see; no secret. */
struct cred_info {
	char from[CRED_WHY_MAX]; /* "": nothing yet */
	char key_tail[5]; /* the last letters of the key's id */
	int64_t expiry_ns; /* INT64_MAX: never */
};
void cred_look(struct cred_chain *c, struct cred_info *ret) NONNULL(1, 2);

/* AWS: the order and the names are those of its SDKs. */
struct cred_aws_opts {
	const char *profile; /* NULL: AWS_PROFILE, else "default" */
	const char *region; /* NULL: to be found */
	const char *endpoint_url; /* NULL: to be found */
	/* To ask for credentials with; both outlive the chain. */
	struct http *http;
	struct rng *rng;
};

struct cred_aws_settings {
	char *region; /* never NULL */
	char *endpoint_url; /* NULL: Amazon's own */
	bool fips, dual_stack; /* the user's other settings ask for these */
};

/*
 * The way of docs/credentials.md: environment (unless opts->profile is given),
 * assumed role, web identity, SSO, credentials file, credential_process, config
 * file, container, instance metadata.
 */
int cred_aws_chain(const struct cred_aws_opts *opts, const struct clk *clk,
		   struct cred_chain **ret) NONNULL(1, 2, 3) MUST_USE;
/* Take keys and tokens out of this process's environment, which others of the
 * same user can read for as long as it lives.  Chains keep what they found.
 * While no other thread runs. */
void cred_env_wipe(void);

/*
 * Google: access tokens, from where its own libraries look for them: the file
 * of GOOGLE_APPLICATION_CREDENTIALS, that of gcloud, the metadata server.  http
 * outlives the chain.
 */
int cred_google_chain(struct http *http, const struct clk *clk,
		      struct cred_chain **ret) NONNULL(1, 2, 3) MUST_USE;

/*
 * Azure.  A credential is the account's name as key_id and its key as secret; or
 * a shared access signature as secret alone; or a token.
 */
struct cred_azure_opts {
	const char *account; /* NULL: to be found (settings alone) */
	const char *endpoint_url; /* of blobs; NULL: to be found */
	const char *suffix; /* of hosts; NULL: to be found */
	/* To ask for tokens with; outlives the chain.  NULL: what the
	 * environment says is all there is. */
	struct http *http;
};
struct cred_azure_settings {
	char *account, *endpoint_url; /* never NULL */
};
/* Account: option, AZURE_STORAGE_ACCOUNT, connection string.  -EACCES: there is
 * none, or what is there makes no sense. */
int cred_azure_settings(const struct cred_azure_opts *opts,
			char why[CRED_WHY_MAX], struct cred_azure_settings *ret)
	NONNULL(1, 2, 3) MUST_USE;
void cred_azure_settings_clear(struct cred_azure_settings *s) NONNULL(1);
/* The way of docs/credentials.md: connection string, key, shared access
 * signature, then tokens: an application's secret, workload identity, managed
 * identity, the az command. */
int cred_azure_chain(const struct cred_azure_opts *opts, const struct clk *clk,
		     struct cred_chain **ret) NONNULL(1, 2, 3) MUST_USE;

/*
 * Region: option, AWS_REGION, AWS_DEFAULT_REGION, profile, us-east-1.
 * FIPS and dual stack: AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT,
 * profile.
 * Endpoint: option, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the s3 of the
 * profile's services, profile.
 * -EACCES: a file that is there cannot be used.
 */
int cred_aws_settings(const struct cred_aws_opts *opts, char why[CRED_WHY_MAX],
		      struct cred_aws_settings *ret) NONNULL(1, 2, 3) MUST_USE;
void cred_aws_settings_clear(struct cred_aws_settings *s) NONNULL(1);

#endif
