/* SPDX-License-Identifier: Apache-2.0 */
/* The ways of the AWS chain, and what they share. */
#ifndef CKPTFS_CRED_AWS_PRIV_H
#define CKPTFS_CRED_AWS_PRIV_H

#include "ckptfs/http.h"

#include "ask.h"
#include "config_files.h"
#include "cred_priv.h"

/* What the environment said when the chain was made: it cannot change from
 * outside, and is wiped. */
struct env_keys {
	struct cred *cred; /* NULL: err, and why */
	int err;
	char why[CRED_WHY_MAX];
};

struct aws {
	struct cred_source source;
	char *profile; /* as the option or AWS_PROFILE says, else "default" */
	bool is_named; /* by the option: the environment is not meant */
	char *region; /* of the option; NULL */
	struct http *http;
	struct rng *rng;
	const struct clk *clk;
	struct env_keys env;
	char *container_token; /* NULL: none */
	/* Set by fetch(). */
	struct config_mark mark; /* of the files it read */
	bool is_from_files; /* what it found depends on them */
};

/* One search for credentials. */
struct search {
	struct aws *aws;
	const struct config *files;
	const char *profile; /* that is looked at */
	bool is_top; /* the environment counts beside it */
	unsigned depth; /* source_profile followed */
};

/*
 * A way: 0, and say tells where from; -ENOENT, this way leads nowhere, and say
 * tells why; else as a fetch() of cred.h.
 */
typedef int aws_way_fn(const struct search *s, char say[CRED_WHY_MAX],
		       struct cred **ret);

int aws_env_read(struct env_keys *e) NONNULL(1) MUST_USE;
aws_way_fn aws_env;
aws_way_fn aws_role; /* role_arn with source_profile or credential_source */
aws_way_fn aws_web_identity;
aws_way_fn aws_sso;
aws_way_fn aws_credentials_file;
aws_way_fn aws_login;
aws_way_fn aws_process;
aws_way_fn aws_config_file;
aws_way_fn aws_container;
aws_way_fn aws_imds;

/* All that a profile by itself has to offer (aws.c); in order. */
aws_way_fn aws_profile;

/* A setting of the searched profile; NULL: not there. */
const char *aws_get(const struct search *s, const char *key) NONNULL(1, 2);
/* The region for requests of the chain itself. */
const char *aws_region(const struct search *s) NONNULL(1);
/*
 * Where a service is: its variable (AWS_ENDPOINT_URL_name), AWS_ENDPOINT_URL,
 * the services section, the profile's endpoint_url; else
 * https://host.region.amazonaws.com.  To be freed; NULL: no memory.
 */
char *aws_endpoint(const struct search *s, const char *variable,
		   const char *service, const char *host, const char *region)
	NONNULL(1, 2, 3, 4, 5) MUST_USE;
/* The first three of that, and the fourth: NULL when not said. */
const char *aws_endpoint_said(const struct config *files, const char *profile,
			      const char *variable, const char *service)
	NONNULL(1, 2, 3, 4);

/* ---- sts.c */

struct sts_role {
	const char *arn;
	const char *session; /* NULL: one of ours */
	const char *external_id, *duration; /* NULL: none */
};

/* AssumeRole, signed with source; or, with source NULL, with a token of an
 * identity provider. */
int sts_assume(const struct search *s, const struct sts_role *role,
	       const struct cred *source, const char *token,
	       char why[CRED_WHY_MAX], struct cred **ret)
	NONNULL(1, 2, 5, 6) MUST_USE;

/* ---- sso_token.c */

struct sso {
	const char *session; /* NULL: the older form, without one */
	const char *start_url, *region;
};

/* The cached access token, renewed if it is time and there is a way; to be
 * freed with cred_wipe(). */
int sso_token(const struct search *s, const struct sso *sso,
	      char why[CRED_WHY_MAX], char **ret) NONNULL(1, 2, 3, 4) MUST_USE;

#endif
