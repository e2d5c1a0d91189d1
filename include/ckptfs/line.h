/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line of publication: which operation may become visible next, and which
 * need never become visible at all.  Pure: no I/O, no lock, no clock; every
 * function sees the whole line and answers from it alone.
 *
 * The line is the queue of operations.  An operation stands at its *place*:
 * (bound, seq), where bound is the number of the operation that gave the name
 * its content: its own, or that of the rename which moved it there.  Rows of
 * one bound belong together (one folder rename).
 *
 * Rows fall into *windows*: a window ends behind the last row of a bound that
 * has `cut` set.  A new operation is appended with cut set: a window of one.
 * A window is published as puts by place, then deletes by place, and when it
 * is done the bucket equals the state the mount had at its end.  line_fold()
 * joins windows, where something is gained by it, and leaves in each only the
 * difference it makes: its rows are then *net* actions, at most one a name,
 * and the operations in between are gone for ever.  So a later fold may join
 * windows but never divides one.  tests/model/test_fold_model.c tries all short
 * histories and holds every state of the bucket to the promises.
 *
 * A window of several rows holds only puts and deletes, or the renames of an
 * exchange, which no fold touches.  A rename of what the bucket holds, a put whose seal is not final and a parked row are windows of
 * their own; once a row of a window was handed out for its commit the window
 * is *begun*: no fold touches it.
 *
 * What the database must keep of a row are the fields under "stored"; it
 * applies a struct line_change in one transaction.  Rows are passed sorted by
 * seq.  Keys are object keys: components between single slashes, no leading
 * slash; a trailing slash is a folder's marker.
 *
 * Errors, all functions: -ENOMEM; -ENOENT (no such row).
 */
#ifndef CKPTFS_LINE_H
#define CKPTFS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckptfs/compiler.h"

enum line_kind {
	LINE_PUT = 1, /* the object key is version vid (also links, markers) */
	LINE_DEL, /* the object key is gone */
	LINE_RENAME, /* the object key is now named to */
	LINE_RENAME_DIR, /* every key below key/ is now below to/ */
};

/* One row.  Key and to are owned by whoever owns the array. */
struct line_op {
	/* stored */
	uint64_t seq; /* its number, greater than any before */
	enum line_kind kind;
	char *key;
	char *to; /* renames; else NULL */
	uint64_t vid; /* put: the version.  Rename of a file: the version
			 moved, 0 if unknown.  Delete: 0, or the version whose
			 rename freed the name */
	uint64_t bound; /* see above; 0 means seq */
	uint64_t open_seq; /* put: newest number when the file was opened */
	bool final; /* its seal cannot be withdrawn; true for all but puts */
	bool cut; /* a window ends here */
	bool begun; /* a commit of its window was handed out */
	bool unordered; /* a put outside the line: a live log */
	bool parked; /* the store refuses it for good */
	bool keep; /* rename of a file: the old name keeps its object, until
		      another one comes to its place */
	/* known at run time */
	bool big; /* its body is larger than a part */
	bool underway; /* its body upload has begun */
	bool sent; /* its body is sent whole (means nothing unless big) */
	bool flying; /* its commit was handed out and is not done */
};

enum line_order {
	LINE_STRICT, /* waits for everything before it */
	LINE_EXACT, /* the same, and nothing is folded */
	LINE_OPEN, /* waits for what was sealed before it was opened */
	LINE_NONE, /* waits for what touches the same names */
};

/*
 * The rules, so that the model can break each and see that it is needed.
 * Nobody but tests passes other ones than the default (NULL).
 */
struct line_rules {
	enum { LINE_SPLIT_NONE, LINE_SPLIT_NEW, LINE_SPLIT_ALL } split;
	bool keep_oldest; /* the oldest put under way is a cut */
	bool rename_cuts; /* renames of what the bucket holds are cuts */
	bool final_only; /* a seal that may be withdrawn kills nothing */
	bool freeze_begun; /* a begun window is not folded */
	bool deletes_last; /* within a window */
	bool clash_cuts; /* with one_name: a delete, and the put it makes room
			    for, share no window */
};

struct line_env {
	enum line_order order;
	const struct line_rules *rules; /* NULL: the default */
	/*
	 * Whether the bucket, as published by us or known from listings,
	 * holds this key; anything below dir/.  If in doubt: true, and for a
	 * key bucket_is_sure says so (NULL: there is never a doubt).
	 */
	bool (*bucket_has)(void *arg, const char *key);
	bool (*bucket_is_sure)(void *arg, const char *key);
	bool (*bucket_has_below)(void *arg, const char *dir);
	/* "a" and "a/b", or "a/", cannot be in the bucket at once, as they
	 * never are in the mount. */
	bool one_name;
	/* Of a put outside the line: whether a row before it is still to take
	 * such a name away.  NULL: never. */
	bool (*in_the_way)(void *arg, const struct line_op *put);
	void *arg;
};

/* One row to drop or to rewrite. */
struct line_edit {
	bool drop;
	/*
	 * drop: only seq counts.  Else the whole row as it shall be, with key
	 * and to of its own.  A put that got another key is no longer under
	 * way: what was sent under the old one is to be aborted.
	 */
	struct line_op row;
};

struct line_change {
	struct line_edit *edit; /* each seq at most once */
	size_t n;
	/*
	 * Of a put that leaves the line: names that the bucket may still hold
	 * although a rename, which left the line too, took them from the mount
	 * (as the folder renames in the line will have moved them).  Append a
	 * delete of each behind the put that takes the withdrawn one's place
	 * (or at once, if there will be none).
	 */
	char **owed;
	size_t n_owed;
};
void line_change_release(struct line_change *c);

/* Free the strings of a row. */
void line_op_release(struct line_op *op);

/* Fold up to the newest row.  An empty change if there is nothing to gain. */
int line_fold(const struct line_op *ops, size_t n, const struct line_env *env,
	      struct line_change *ret) NONNULL(3, 4) MUST_USE;

/*
 * Indexes of the puts whose bodies may be sent now, best first, at most max:
 * big, not sent, not parked, and not such that a fold would drop or move them:
 * if there are of those, *ret_fold, and a fold is due however long ago the line
 * changed, for what stood in its way may have gone since.  Costs a fold: ask
 * once per change of the line.
 */
int line_bodies(const struct line_op *ops, size_t n, const struct line_env *env,
		size_t *ret, size_t max, size_t *ret_n, bool *ret_fold)
	NONNULL(3, 4, 6, 7) MUST_USE;

#endif
