/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line by all of its rows: what it means, said as plainly as can be.  The
 * engine asks the same of the rows that matter alone (src/transfer/line_view.h,
 * src/transfer/line_index.h); tests hold the one to the other, and the model
 * tries the rules by this.
 */
#ifndef TEST_LINE_WHOLE_H
#define TEST_LINE_WHOLE_H

#include "ckptfs/compiler.h"
#include "ckptfs/line.h"

/* Apply a change to rows in memory; the strings move.  Cannot fail. */
void line_apply(struct line_op *ops, size_t *n, struct line_change *c)
	NONNULL(1, 2, 3);
/*
 * Whether row seq, new or just made final, deletes, overwrites or renames
 * something unpublished, or is itself so treated: then fold.
 */
bool line_fold_due(const struct line_op *ops, size_t n, uint64_t seq);

/*
 * The life of a commit: its row is marked by line_begin(), whose change is
 * applied before the request is sent; line_done() once the bucket shows it.
 */
int line_begin(const struct line_op *ops, size_t n, uint64_t seq,
	       struct line_change *ret) NONNULL(1, 4) MUST_USE;
int line_done(const struct line_op *ops, size_t n, uint64_t seq,
	      struct line_change *ret) NONNULL(1, 4) MUST_USE;
/*
 * The store refuses row seq for good: parked, and no longer begun unless more
 * of its window is under way, so that a newer version may supersede it.  To
 * try again, clear parked.
 */
int line_park(const struct line_op *ops, size_t n, uint64_t seq,
	      struct line_change *ret) NONNULL(1, 4) MUST_USE;
/*
 * A put leaves the line: its seal was withdrawn, it is torn or held back.
 * Renames of its content that wait behind it leave too (see `owed`).
 */
int line_withdraw(const struct line_op *ops, size_t n,
		  const struct line_env *env, uint64_t seq,
		  struct line_change *ret) NONNULL(3, 5) MUST_USE;

/*
 * Indexes of the rows whose commit may be handed out now, all at the same
 * time, at most max; earliest first.  Rows flying are not given again.
 *
 * A parked row waits for recover.  A later one waits for it if its folder
 * equals, contains or lies in the parked one's; others pass.  A put that is
 * not final holds the line.  Of the puts of one folder rename the newest-
 * sealed comes alone, after the others.
 */
int line_next(const struct line_op *ops, size_t n, const struct line_env *env,
	      size_t *ret, size_t max, size_t *ret_n) NONNULL(3, 4, 6) MUST_USE;

/* ---- a rename of what the bucket holds, on a store without one ---- */

struct line_moved {
	const char *key;
	uint64_t bound, seq; /* its place when it was published */
	bool copied, deleted; /* found so, when resuming */
};

struct line_step {
	size_t index; /* of the key */
	bool del; /* else copy */
};

/*
 * What is left to do, in order: copies oldest first, all before any delete,
 * deletes newest first.  ret holds 2 * n.
 */
int line_rename_plan(const struct line_moved *keys, size_t n,
		     struct line_step *ret, size_t *ret_n) NONNULL(3, 4)
	MUST_USE;

#endif
