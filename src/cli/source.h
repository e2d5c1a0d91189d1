/* SPDX-License-Identifier: Apache-2.0 */
/* What is mounted: s3://bucket[/prefix], gs://bucket[/prefix] or file:///path.
 * Pure. */
#ifndef CKPTFS_CLI_SOURCE_H
#define CKPTFS_CLI_SOURCE_H

#include "ckptfs/compiler.h"

#define SOURCE_ERR_MAX 512

enum source_kind { SOURCE_S3, SOURCE_DIR, SOURCE_GCS };

struct source {
	enum source_kind kind;
	char *where; /* the bucket's name, or the folder */
	char *prefix; /* "" or "a/b/" */
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
/* Whether an endpoint is Amazon's, or Google's, own. */
int source_is_amazon(const char *endpoint);
int source_is_google(const char *endpoint);
/* 16 hex digits that name a text. */
void source_hash(const char *text, char ret[17]) NONNULL(1, 2);

#endif
