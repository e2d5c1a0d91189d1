/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line as the engine keeps it: its rows, and where in them to look.  What
 * line.h answers from the whole line is answered here from the few rows that
 * matter, by the same rules; tests/unit/test_line_index.c holds one against the
 * other.  Pure: no I/O, no lock, no clock.
 */
#ifndef TRANSFER_LINE_INDEX_H
#define TRANSFER_LINE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckptfs/line.h"

struct line_path;
struct line_vid;

struct line_seqs {
	uint64_t *seq; /* in rising order */
	size_t n, cap;
};

struct line_place {
	uint64_t bound, seq;
};

/* All zero: empty.  Others read ops, n and apart, and may set those fields of a
 * row that are known at run time. */
struct line {
	struct line_op *ops; /* by seq */
	size_t n;
	struct line_seqs apart; /* unordered puts */
	uint64_t visited; /* rows looked at: the work done, for tests */

	/* line_rows.c: room before and behind the rows */
	struct line_op *ops_room;
	size_t ops_cap;
	struct line_place *place, *place_room; /* of all rows, in order */
	size_t n_place, place_cap;
	bool placed; /* else they are to be gathered again */
	/* line_index.c */
	struct line_path *paths;
	struct line_vid *vids;
};

/* ---- line_rows.c; -ENOMEM, and then nothing is changed */

/* The row, with its strings, becomes the newest of the line. */
int line_push(struct line *l, const struct line_op *op);
/* It takes the place of the row of its seq. */
int line_replace(struct line *l, const struct line_op *op);
/* These rows (in rising order; some may not be there) leave. */
void line_remove(struct line *l, const uint64_t *seq, size_t n);
struct line_op *line_find(const struct line *l, uint64_t seq);
void line_release(struct line *l);
/* Have the places in order: before they are looked at. */
int line_settle(struct line *l);

/* ---- line_index.c */

/* -ENOMEM: as if it had not been called. */
int line_index_add(struct line *l, const struct line_op *op);
void line_index_del(struct line *l, const struct line_op *op);
void line_index_release(struct line *l);
/* The rows of which this is the key, or the new one; NULL: none. */
const struct line_seqs *line_at(const struct line *l, const char *path);
/* The rows that speak of this version; NULL: none. */
const struct line_seqs *line_of_version(const struct line *l, uint64_t vid);
/* Whether some row speaks of this key, or renames a folder above it. */
bool line_speaks_of(const struct line *l, const char *key);
/* Whether some row speaks of dir, or of something below it. */
bool line_speaks_below(const struct line *l, const char *dir);
/* A put outside the line: nothing ordered touches its name. */
bool line_is_loner(const struct line *l, const struct line_op *op);
/* Whether row seq, new or just made final, deletes, overwrites or renames
 * something unpublished, or is itself so treated: then fold.  Of a folder's
 * rename that is not the newest row, true in doubt. */
bool line_due(struct line *l, uint64_t seq);

/* ---- line_near.c: as in line.h */

/*
 * line_next_in(), having looked at `look` rows at most, or at one window if
 * that is more.  *ret_end: the end of the line was reached, so a new row
 * matters. *ret_cut: it was not, and what lies behind might go, too.
 */
int line_next_near(struct line *l, const struct line_env *env, size_t look,
		   size_t *ret, size_t max, size_t *ret_n, bool *ret_end,
		   bool *ret_cut);
/*
 * The deletes at the front of the line, of which seq is the first, and behind
 * which something else comes: each is a window of its own.  None, if it is not
 * at the front.  All may go at once: the mount has none of their names, so
 * whatever of them is shown longer than the others names nothing that is not
 * deleted as well.
 */
int line_deletes_near(struct line *l, uint64_t seq, uint64_t *ret, size_t max,
		      size_t *ret_n);
int line_begin_near(struct line *l, uint64_t seq, struct line_change *ret);
int line_done_near(struct line *l, uint64_t seq, struct line_change *ret);
int line_park_near(struct line *l, uint64_t seq, struct line_change *ret);
int line_withdraw_near(struct line *l, const struct line_env *env, uint64_t seq,
		       struct line_change *ret);

#endif
