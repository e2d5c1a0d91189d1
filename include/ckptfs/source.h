/* SPDX-License-Identifier: Apache-2.0 */
/* What is mounted: a bucket and a prefix in it, or a folder. */
#ifndef CKPTFS_SOURCE_H
#define CKPTFS_SOURCE_H

#include "ckptfs/compiler.h"

enum source_kind { SOURCE_DIR, SOURCE_S3 };

struct source {
	enum source_kind kind;
	char *place; /* the bucket, or the folder's absolute path */
	char *prefix; /* "" or "a/b/" */
};

#define SOURCE_ERR_MAX 512

/* 0, -ENOMEM, or with words in err -EINVAL (not a source) or -ENOENT (a folder
 * that is not there). */
int source_parse(const char *text, struct source *ret, char err[SOURCE_ERR_MAX])
	NONNULL(1, 2, 3) MUST_USE;
void source_clear(struct source *s) NONNULL(1);
/*
 * One spelling for all ways to name the same thing: its cache goes by it.
 * endpoint_url NULL: the vendor's own.  malloc()ed; NULL: out of memory.
 */
char *source_normal(const struct source *s, const char *endpoint_url)
	NONNULL(1) MUST_USE;
/* 16 hex digits that stand for a text. */
void source_digest(const char *text, char ret[17]) NONNULL(1, 2);

#endif
