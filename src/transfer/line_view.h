/* SPDX-License-Identifier: Apache-2.0 */
/* The line in order of place, and sets of paths: private to the line. */
#ifndef TRANSFER_LINE_VIEW_H
#define TRANSFER_LINE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckptfs/line.h"

#define LINE_NOWHERE SIZE_MAX

extern const struct line_rules line_rules_default;

/* ---- paths ---- */

struct path_node;

/* A set of keys and of folders that stand for all below them. */
struct path_set {
	struct path_node *nodes;
	bool any; /* not empty */
	bool root; /* covers everything */
};

/* Keys are borrowed.  -ENOMEM. */
int path_set_add(struct path_set *s, const char *key, size_t len);
int path_set_cover(struct path_set *s, const char *dir, size_t len);
/* The key is in it, or covered. */
bool path_set_has(const struct path_set *s, const char *key, size_t len);
/* The folder is in it or covered, or something below it is. */
bool path_set_touches(const struct path_set *s, const char *dir, size_t len);
void path_set_release(struct path_set *s);

/* Length of the folder of path[0..len), or 0. */
size_t path_parent_len(const char *path, size_t len);
/* Length of the folder part of a key ("" for a key without one). */
size_t path_dir_len(const char *key);
/* Whether key is dir or lies below dir/. */
bool path_is_below(const char *key, const char *dir);
/* One of them is a file, the other a folder of that name or something below it:
 * a marker counts as its folder alone. */
bool path_clashes(const char *a, const char *b);

/* The names a row speaks of: into the set; is any in the set? */
int path_set_add_op(struct path_set *s, const struct line_op *op);
bool path_set_has_op(const struct path_set *s, const struct line_op *op);

/* Where an object will be once the folder renames from seq on are done; to be
 * freed, NULL: no memory. */
char *line_moved_key(const struct line_op *ops, size_t n, uint64_t seq,
		     const char *key);

/* ---- the view ---- */

/*
 * Rows in order of place, and the windows they fall into.  Unordered puts
 * whose name nothing ordered touches are not among them: they are loners.
 */
struct line_view {
	const struct line_op **row;
	size_t n;
	size_t *win; /* per row: number of its window */
	size_t *start; /* per window: its first row; one more for the end */
	size_t n_win;
	const struct line_op **loner; /* by seq */
	size_t n_loner;
};

/* Of all rows. */
int line_view_init(struct line_view *v, const struct line_op *ops, size_t n);
void line_view_release(struct line_view *v);
/* Rows in order, but for their windows, of which all are whole. */
void line_view_divide(struct line_view *v);
size_t line_view_find(const struct line_view *v, uint64_t seq);
bool line_view_is_begun(const struct line_view *v, size_t win);

/*
 * Answered from the windows that matter: for a commit those of row seq (and, to
 * withdraw it, of whatever speaks of its version); for the next one the first
 * windows, and all loners.
 *
 * The life of a commit: its row is marked by begin, whose change is applied
 * before the request is sent; done once the bucket shows it.
 */
int line_begin_in(const struct line_view *v, uint64_t seq,
		  struct line_change *ret);
int line_done_in(const struct line_view *v, uint64_t seq,
		 struct line_change *ret);
/* The store refuses row seq for good: parked, and no longer begun unless more
 * of its window is under way, so that a newer version may supersede it.  To try
 * again, clear parked. */
int line_park_in(const struct line_view *v, uint64_t seq,
		 struct line_change *ret);
/* A put leaves the line: its seal was withdrawn, it is torn or held back.
 * Renames of its content that wait behind it leave too (see `owed`); with
 * one_name one whose old name is in the way of a later row turns into its
 * delete.  ops: all rows, for the renames that owed names will go through. */
int line_withdraw_in(const struct line_view *v, const struct line_op *ops,
		     size_t n, const struct line_env *env, uint64_t seq,
		     struct line_change *ret);
/*
 * Indexes of the rows whose commit may be handed out now, all at the same
 * time, at most max; earliest first.  Rows flying are not given again.
 *
 * A parked row waits for recover.  A later one waits for it if its folder
 * equals, contains or lies in the parked one's; others pass.  A put that is
 * not final holds the line.  Of the puts of one folder rename the newest-
 * sealed comes alone, after the others.
 *
 * ops: indexes are counted from there.  *ret_more: nothing in the view stands
 * in the way of what is behind it.
 */
int line_next_in(const struct line_view *v, const struct line_op *ops,
		 const struct line_env *env, size_t *ret, size_t max,
		 size_t *ret_n, bool *ret_more);

/* Whether row b touches what row a, before it, would publish. */
bool line_undoes(const struct line_op *a, const struct line_op *b);

/* Drop the loners that a newer version of their name makes needless. */
int line_fold_loners(const struct line_view *v, struct line_change *c);

static inline uint64_t line_bound(const struct line_op *op)
{
	return op->bound ? op->bound : op->seq;
}

static inline bool line_is_final(const struct line_op *op)
{
	return op->final || op->kind != LINE_PUT;
}

/* ---- changes ---- */

/* Ready for up to n edits and as many owed names. */
int line_change_init(struct line_change *c, size_t n);
void line_change_drop(struct line_change *c, uint64_t seq);
/* A copy of op, strings too, to be altered by the caller. */
int line_change_row(struct line_change *c, const struct line_op *op,
		    struct line_op **ret);

#endif
