/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials, and the settings kept beside them.
 *
 * A struct cred is immutable and counted: a signer keeps its snapshot while a
 * refresh installs a new one.  Dropping the last reference wipes the secret.
 * There is no printer.
 *
 * Errors, all of them: -ENOENT (nobody has one), -EACCES (somebody has one
 * that cannot be used), -ENOMEM.
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
 * One way to obtain credentials: environment, files.
 *
 * fetch() gets them afresh; it may block; one thread at a time, no lock held.
 * -ENOENT: this source has nothing to offer, ask the next; why says what it
 * looked for.  Another error ends the search; why says what to do.
 */
struct cred_source_ops {
	const char *name;
	int (*fetch)(struct cred_source *s, char why[CRED_WHY_MAX],
		     struct cred **ret);
	void (*free)(struct cred_source *s);
};

struct cred_source {
	const struct cred_source_ops *ops;
};

/*
 * A cache in front of an ordered list of sources.  One thread asks the
 * sources at a time, the others wait for it, or go on with a credential that
 * is still good.  What expires is renewed ahead of time; the old one stays in
 * use while that fails.
 *
 * Takes ownership of the sources, also when it fails.
 */
struct cred_chain;
int cred_chain_new(struct cred_source **srcs, unsigned n, const struct clk *clk,
		   struct cred_chain **ret) NONNULL(1, 3, 4) MUST_USE;
void cred_chain_free(struct cred_chain *c); /* no call is under way */

/* A current credential, to be dropped by the caller.  On failure why says who
 * was asked and what to do.  No lock is held. */
int cred_get(struct cred_chain *c, char why[CRED_WHY_MAX], struct cred **ret)
	NONNULL(1, 2, 3) MUST_USE;
/* The store refused this one as expired or unknown: the next cred_get() asks
 * the sources again, unless that happened meanwhile. */
void cred_refuse(struct cred_chain *c, const struct cred *bad) NONNULL(1, 2);

/* AWS: the order and the names are those of its SDKs. */
struct cred_aws_opts {
	const char *profile; /* NULL: AWS_PROFILE, else "default" */
	const char *region; /* NULL: to be found */
	const char *endpoint_url; /* NULL: to be found */
};

struct cred_aws_settings {
	char *region; /* never NULL */
	char *endpoint_url; /* NULL: Amazon's own */
};

/*
 * Environment (unless opts->profile is given), then the profile in the
 * credentials file, then the profile in the config file.
 */
int cred_aws_chain(const struct cred_aws_opts *opts, const struct clk *clk,
		   struct cred_chain **ret) NONNULL(1, 2, 3) MUST_USE;
/* Take the keys out of this process's environment, which others of the same
 * user can read for as long as it lives.  Chains keep what they found.  While
 * no other thread runs. */
void cred_env_wipe(void);

/*
 * Region: option, AWS_REGION, AWS_DEFAULT_REGION, profile, us-east-1.
 * Endpoint: option, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, profile.
 * -EACCES: a file that is there cannot be used.
 */
int cred_aws_settings(const struct cred_aws_opts *opts, char why[CRED_WHY_MAX],
		      struct cred_aws_settings *ret) NONNULL(1, 2, 3) MUST_USE;
void cred_aws_settings_clear(struct cred_aws_settings *s) NONNULL(1);

#endif
