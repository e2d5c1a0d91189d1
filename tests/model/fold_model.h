/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mount, its line and its bucket, small enough to try everything: each short
 * history of operations, and at each point every upload, commit, seal and
 * withdrawal that could come next.  The mount's whole history is kept beside
 * the line, which forgets what it folds; the bucket is held to the history.
 *
 * A file may name any file that existed when it was sealed.  In every state
 * of the bucket:
 *  SRC	a rename finds what it renames
 *  DANGLE	nothing shown lacks a name that existed when it got its own,
 *		unless the mount showed it without that name
 *  STALE	nor stands beside an older version of it, unless that is the
 *		version from before the window, and the window brings a newer
 *  LITERAL	nothing of a window is shown without what was finished before it
 *		and is in the state at the window's end
 *  EXACT	at a window's end the bucket is a state the mount was in
 *  QUIET	when nothing is left to do the bucket equals the mount
 *  STUCK	until then something can be done
 *  KEEP	no fold drops or moves the oldest put under way
 *  FROZEN	no fold changes a begun window: a request may be on its way
 *  CLASH	where that is asked for, no name stands beside one below it
 *  DOOMED	like DANGLE, but what is shown goes away in this very window;
 *		counted, and allowed
 */
#ifndef FOLD_MODEL_H
#define FOLD_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckptfs/line.h"

enum bad {
	BAD_SRC,
	BAD_DANGLE,
	BAD_STALE,
	BAD_LITERAL,
	BAD_EXACT,
	BAD_QUIET,
	BAD_STUCK,
	BAD_KEEP,
	BAD_FROZEN,
	BAD_CLASH,
	BAD_DOOMED,
	BAD_OLDER, /* a STALE that is allowed */
	BAD_N
};
extern const char *const bad_name[BAD_N];

#define MODEL_NAMES 8
#define MODEL_OPS 12

/* Two names change places: three renames, by way of the name ".", which no mount
 * shows. */
#define MODEL_EXCHANGE ((enum line_kind)9)

/* What the mount may do: a kind of row, and one or two names (for a folder
 * rename: first letters). */
struct verb {
	enum line_kind kind;
	const char *key, *to;
};

struct model {
	const char *const *names; /* NULL at the end */
	const struct verb *verbs;
	size_t n_verbs;
	const char *start; /* digits: indexes of names the bucket has */
	unsigned ops; /* length of a history; MODEL_OPS renames at most */
	bool withdraw; /* seals are provisional at first */
	bool park; /* the store may refuse anything, for a while */
	bool any_time; /* folds also when none is due */
	bool one_name; /* "D" and "D/x" cannot be at once */
	const struct line_rules *rules;
	enum line_order order;
	unsigned stop_at; /* set of 1 << bad: the first one found ends it */
	/* results */
	size_t states;
	size_t found[BAD_N];
	char trace[BAD_N][600]; /* of the first found */
};

/* Try everything.  -ENOMEM. */
int model_explore(struct model *m);
/* Walk at random, each walk at most steps long. */
int model_walk(struct model *m, uint64_t seed, unsigned walks, unsigned steps);

#endif
