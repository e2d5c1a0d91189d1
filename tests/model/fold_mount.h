/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the model: mount, line and bucket, without the exploring. */
#ifndef FOLD_MOUNT_H
#define FOLD_MOUNT_H

#include "fold_model.h"

#define ROWS (MODEL_OPS + 1)
#define VID 20 /* version v has vid v + VID */

/* What a name shows: version (number of its seal; before the story: negative;
 * 0: nothing) and the operation that gave it this name. */
struct shown {
	signed char v, b;
};
struct tree {
	struct shown at[MODEL_NAMES];
};

struct hist {
	unsigned char verb, gone; /* gone: withdrawn */
	signed char moved; /* version a rename moved */
	unsigned char part; /* of an exchange: 0, 1, 2 */
};

enum { FINAL = 1,
       CUT = 2,
       BEGUN = 4,
       UNDERWAY = 8,
       SENT = 16,
       PARKED = 32,
       KEEP = 64 };
struct row {
	unsigned char seq, bound, kind, key, to, vid, flags;
};

/* All bytes count: compared as memory. */
struct state {
	unsigned char n_hist, n_rows;
	struct hist hist[MODEL_OPS];
	struct tree bucket, before; /* before: when the window began */
	struct row row[ROWS];
};

struct seen {
	uint64_t *at; /* pairs of hashes */
	size_t n, cap;
};
/* Whether s is new. */
bool seen_note(struct seen *seen, const struct state *s);

size_t name_count(const struct model *m);
size_t name_index(const struct model *m, const char *key);
/* It is one that no mount shows. */
bool name_is_aside(const struct model *m, size_t i);

/* The mount: at the start, after each operation of s, what it may do next. */
struct tree mount_start(const struct model *m);
void mount_all(const struct model *m, const struct state *s, struct tree *ret);
/* Whether something shown is a folder of name i, or below it. */
bool mount_clashes(const struct model *m, const struct tree *t, size_t i);
bool mount_allows(const struct model *m, const struct tree *t,
		  const struct verb *v);

/* It does that: into the history, and rows for the line. */
void hist_add(const struct model *m, const struct tree *now, struct state *t,
	      size_t verb);
/* Operations so far; an exchange is one. */
unsigned hist_count(const struct state *s);

/* The line: as its functions want it, and what they change. */
size_t rows_load(const struct model *m, const struct state *s,
		 struct line_op *ops);
void rows_apply(const struct model *m, struct state *s, struct line_change *c);

struct asked {
	const struct model *m;
	const struct state *s;
};
struct line_env env_of(const struct model *m, struct asked *a);

/* The bucket: make one step of row visible.  *ret_src when there is nothing
 * to rename.  Whether it was the row's last step. */
bool bucket_show(const struct model *m, struct tree *b, const struct row *row,
		 bool *ret_src);

#endif
