/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover, as it is asked and answered (docs/recover.md has the fields):
 *
 *	{"op": "recover", "act": "list", "path": …, "id": …, "all": …}
 *	{"mountpoint": …, "kept": [{"id": …, "path": …, "state": …, "error": …}, …],
 *	 "status": …, "error": …}
 */
#ifndef CKPTFS_CLI_RECOVER_H
#define CKPTFS_CLI_RECOVER_H

#include <stdio.h>

#include "ckptfs/compiler.h"
#include "ckptfs/fs.h"

struct buf;
struct json;

/* The act of this name; false: there is none. */
bool recover_act(const char *name, enum fs_recover *ret) NONNULL(1, 2) MUST_USE;
/* Its name. */
const char *recover_name(enum fs_recover act);

/* The question, appended to b.  0, or as buf_add(). */
int recover_ask(struct buf *b, enum fs_recover act,
		const struct fs_recover_what *what) NONNULL(1, 3) MUST_USE;
/* Do as req says and append the answer; where: the mount point.  0, or as
 * buf_add(). */
int recover_answer(struct fs *fs, const char *where, const struct json *req,
		   struct buf *b) NONNULL(1, 2, 3, 4) MUST_USE;

/* What an answer lists, for people. */
void recover_print(FILE *f, const struct json *answer) NONNULL(1, 2);
/* What was done, to out; what was not, and why, to err. */
void recover_print_done(FILE *out, FILE *err, enum fs_recover act,
			const struct json *answer) NONNULL(1, 2, 4);

#endif
