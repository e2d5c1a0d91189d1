/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of source.h share. */
#ifndef CKPTFS_CLI_SOURCE_PRIV_H
#define CKPTFS_CLI_SOURCE_PRIV_H

#include "source.h"

/* Say what is wrong and what would be right; -EINVAL. */
int source_bad(char *err, const char *what, const char *text) NONNULL(1, 2, 3);
/* "a//b/" as "a/b/"; NULL and errno EINVAL for parts of dots. */
char *source_tidy_prefix(const char *s) NONNULL(1) MUST_USE;

/* source_azure.c: rest is what follows the scheme.  As source_parse(). */
int source_parse_azure(const char *text, const char *rest, char *err,
		       struct source *ret) NONNULL(1, 2, 3, 4) MUST_USE;

#endif
