/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of src/cred share. */
#ifndef CKPTFS_CRED_PRIV_H
#define CKPTFS_CRED_PRIV_H

#include <stddef.h>
#include <stdint.h>

#include "ckptfs/cred.h"

/* Say why; evaluates to -EACCES. */
int cred_why(char why[CRED_WHY_MAX], const char *fmt, ...) NONNULL(1, 2)
	PRINTF_LIKE(2, 3);

/* NULL when unset or empty. */
const char *cred_getenv(const char *name) NONNULL(1);
/* Whether it says "true". */
bool cred_getenv_bool(const char *name) NONNULL(1);
/* "~/x" below the home folder, everything else as it is, to be freed; NULL
 * without a home, or memory. */
char *cred_path(const char *path) NONNULL(1) MUST_USE;

/*
 * A small file that says whom to be, whole, to be freed with cred_wipe(); read
 * anew each time.  -EACCES (with why) or -ENOMEM.
 */
int cred_read_file(const char *path, char why[CRED_WHY_MAX], char **ret)
	NONNULL(1, 2, 3) MUST_USE;
/* Zeroed, then freed; NULL is allowed. */
void cred_wipe(char *s);

/*
 * {"AccessKeyId", "SecretAccessKey", token_name, "Expiration"}, as a process,
 * a container's agent and the instance metadata have it.  who: whose words
 * they are.  Nothing of the text comes into why.
 */
int cred_parse_json(const char *p, size_t n, const char *token_name,
		    const char *who, char why[CRED_WHY_MAX], struct cred **ret)
	NONNULL(1, 3, 4, 5, 6) MUST_USE;

/*
 * A command line as words, in the way of a POSIX shell but without its
 * expansions: blanks part, '…' keeps all, "…" all but \\ and \", \\ the next.
 * ret: NULL after the last; one block, to be freed.  -EINVAL: a quote or a \\ is
 * not closed, or there is no word.
 */
int cred_split(const char *line, char ***ret) NONNULL(1, 2) MUST_USE;

/*
 * Run a program (process.c) and take what it prints; it has 60 seconds, and
 * stderr is its user's.  -ENOENT: there is no such program; -EACCES with why,
 * which names it who; -ENOMEM.
 */
struct buf;
struct clk;
int cred_run(const struct clk *clk, const char *who, char **argv,
	     struct buf *out, char why[CRED_WHY_MAX]) NONNULL(1, 2, 3, 4, 5)
	MUST_USE;

/* Whether credentials (and tokens) may be fetched over this URL: https, or
 * http to this machine and to where container agents are.  Pure. */
bool cred_is_agent_url(const char *url) NONNULL(1);

#endif
