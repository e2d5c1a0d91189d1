/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover, as it is asked and answered (docs/recover.md has the fields):
 *
 *	{"op": "recover", "act": "list", "path": …, "id": …, "all": …}
 *	{"mountpoint": …, "source": …, "cache_dir": …,
 *	 "kept": [{"id": …, "path": …, "state": …, "error": …}, …],
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
/* Where that is. */
struct recover_place {
	const char *mountpoint; /* NULL: it is not mounted */
	const char *source, *cache_dir;
};
/* Do as req says and append the answer.  0, or as buf_add(). */
int recover_answer(struct fs *fs, const struct recover_place *place,
		   const struct json *req, struct buf *b) NONNULL(1, 2, 3, 4)
	MUST_USE;

/* What an answer lists, for people. */
void recover_print(FILE *f, const struct json *answer) NONNULL(1, 2);
/* What was done, to out; what was not, and why, to err. */
void recover_print_done(FILE *out, FILE *err, enum fs_recover act,
			const struct json *answer) NONNULL(1, 2, 4);
/* One of "kept": "path (id, state, size) words more". */
void recover_print_one(FILE *f, const struct json *kept, const char *words,
		       const char *more) NONNULL(1, 2, 3, 4);

/* Whether two of "kept" have the same path. */
bool recover_has_namesakes(const struct json *kept);

/* Copy the bytes of one of "kept" to dest, a new file or a folder for it.  An
 * exit status, what is wrong having been said. */
int recover_export(const char *cache_dir, const struct json *kept,
		   const char *dest) NONNULL(2, 3) MUST_USE;

#endif
