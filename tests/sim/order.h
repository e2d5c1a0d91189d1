/* SPDX-License-Identifier: Apache-2.0 */
/*
 * O3: the bucket at any instant.  An object is one sealed content, whole; and
 * the changes come in an order that the history of the mount allows:
 *
 *	the bucket is a state of the mount (as it is to be published), plus a
 *	beginning of the difference to a later one: first what is there in the
 *	later one, by the number of the operation that gave it its name, then
 *	what is not; and no name is missing that was there, and stayed, when
 *	something that is shown came
 *
 * which is what a line publishes, folded or not (design, section 6).
 */
#ifndef SIM_ORDER_H
#define SIM_ORDER_H

#include <stdbool.h>
#include <stddef.h>

#include "ckptfs/store.h"

#include "model.h"

struct shown {
	bool there;
	const struct bytes *b; /* NULL with there: bytes nobody ever wrote */
};

/* A whole state that the bucket was, and how it looked then. */
struct base {
	struct shown at[PATHS];
	int state;
};

#define BASES_MOST 32
struct order {
	struct base base[BASES_MOST]; /* it may have been any of them last */
	int n;
	bool cut; /* what was sealed by a flush, and written to since, may have
		     become anything */
	bool off; /* until the next rest */
	bool never; /* nobody asks for any order */
};

/* What the bucket has under each name now. */
void bucket_look(struct store *bucket, const struct model *m,
		 struct shown ret[PATHS]);
/* Whether it may look so; else why is set. */
bool order_check(struct order *o, const struct model *m,
		 const struct shown now[PATHS], char *why, size_t size);
/* The model rests, and the bucket is as it says. */
void order_rest(struct order *o, const struct shown now[PATHS]);
/* The model went back to its last state but this one. */
void order_resume(struct order *o, const struct model *m);

#endif
