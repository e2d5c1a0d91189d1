/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of each name while a fold walks along the line: private to
 * fold.c.  Presence of names the line does not speak of is asked of the
 * bucket, through the folder renames passed so far.
 */
#ifndef TRANSFER_FOLD_NAMES_H
#define TRANSFER_FOLD_NAMES_H

#include "transfer/line_hash.h"
#include "transfer/line_view.h"

/* MAYBE: hangs on a seal that may be withdrawn, or on a parked row; or nobody
 * knows. */
enum presence { GONE, MAYBE, THERE };

struct name {
	UT_hash_handle hh;
	const char *key;
	char *own; /* key, when it is freed with the name */
	bool oom;
	signed char asked; /* presence in the bucket; -1: not asked */
	/* where the walk is, if round is the present one */
	unsigned round;
	enum presence now;
	bool unsure; /* this content may yet leave the line */
	/* since the window began, if win is the present one */
	size_t win;
	struct name *next; /* all those touched in it */
	enum presence base; /* when it began */
	size_t bind; /* row with its content; LINE_NOWHERE: as at the start */
	size_t place; /* row that gave it this content */
	size_t first; /* row that gave it its first since it was absent */
	size_t first_bind; /* the content it had then */
	size_t del; /* row that took it away last */
	size_t unit_from, unit_to; /* first and last unit that touched it */
};

struct name_dir;
struct name_move;

struct names {
	const struct line_env *env;
	struct name *table;
	struct name_dir *dirs; /* those that are renamed, with their names */
	struct name_move *moves; /* folder renames passed in this round */
	size_t n_moves, cap_moves;
	unsigned round;
	size_t win;
	size_t unit; /* where the walk is: set by the walker */
	struct name *touched; /* in this window */
};

/* Before any name: keep account of what is below dir. */
int names_watch(struct names *ns, const char *dir);
/* The key is borrowed; own, NULL or the same, is taken, also on failure. */
int names_get(struct names *ns, const char *key, char *own, struct name **ret);
void names_release(struct names *ns);

void names_begin_round(struct names *ns);
void names_begin_window(struct names *ns);
/* Bring a name up to date with round and window. */
int names_touch(struct names *ns, struct name *nm);

/* Content that this window publishes: not in the bucket when it begins. */
static inline bool name_is_new(const struct names *ns, const struct name *nm)
{
	return nm->round == ns->round && nm->win == ns->win &&
	       nm->now != GONE && nm->bind != LINE_NOWHERE;
}

/* What this window deletes, of those touched in it. */
static inline bool name_goes(const struct name *nm)
{
	return nm->now == GONE && nm->base != GONE && nm->del != LINE_NOWHERE;
}

/* Call fn for every name below a watched folder known in this round. */
typedef int names_fn(void *arg, struct names *ns, struct name *nm);
int names_each_below(struct names *ns, const char *dir, names_fn *fn,
		     void *arg);
/*
 * fold_clash.c: where a file and a folder of one name cannot be in the bucket at
 * once, what this window deletes and what it puts in its place are to share no
 * window, for puts come before deletes there.  win: per row, its unit; cut: per
 * unit, a window ends behind it.  *ret_new is set if there is a new cut.
 */
int names_cut_clashes(struct names *ns, const size_t *win, bool *cut,
		      bool *ret_new);
/* Whether the bucket may hold something below dir, as seen from here. */
int names_bucket_below(const struct names *ns, const char *dir, bool *ret);
/* The key that something below from has below to. */
int names_moved_key(const char *key, const char *from, const char *to,
		    char **ret);
/* The walk passes a rename of a folder that the bucket holds. */
int names_move_dir(struct names *ns, const struct line_op *op);

#endif
