/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is mounted: s3://bucket[/prefix], gs://bucket[/prefix], file:///path, or
 * az://container[/path] in every spelling that fsspec's adlfs takes: az, abfs,
 * abfss and adl; container, container@account.dfs.core.windows.net, or
 * account.dfs.core.windows.net/container.  Pure.
 */
#ifndef CKPTFS_CLI_SOURCE_H
#define CKPTFS_CLI_SOURCE_H

#include "ckptfs/compiler.h"

#define SOURCE_ERR_MAX 512

enum source_kind { SOURCE_S3, SOURCE_DIR, SOURCE_GCS, SOURCE_AZURE };

struct source {
	enum source_kind kind;
	char *where; /* the bucket's or container's name, or the folder */
	char *prefix; /* "" or "a/b/" */
	char *account, *suffix; /* of Azure, if it says so; or NULL */
	char *name; /* as the user knows it: "s3://b/a", "file:///x" */
};

/* -EINVAL (err says what would be right) or -ENOMEM. */
int source_parse(const char *text, char err[SOURCE_ERR_MAX], struct source *ret)
	NONNULL(1, 2, 3) MUST_USE;
void source_clear(struct source *s) NONNULL(1);

/*
 * The one spelling of a source, by which its cache is found: scheme, bucket
 * and prefix, and the endpoint unless it is the vendor's (or NULL).  For a folder,
 * where has been resolved.  The caller frees it; NULL: no memory.
 */
char *source_normal(const struct source *s, const char *endpoint) NONNULL(1);
/* Whether an endpoint is Amazon's, Google's or Azure's own (of other clouds of
 * Azure's, which have other accounts: no). */
int source_is_amazon(const char *endpoint);
int source_is_google(const char *endpoint);
int source_is_azure(const char *endpoint);
/* Of Azure: the account, once it is known.  -ENOMEM. */
int source_set_account(struct source *s, const char *account) NONNULL(1, 2)
	MUST_USE;
/* 16 hex digits that name a text. */
void source_hash(const char *text, char ret[17]) NONNULL(1, 2);

#endif
