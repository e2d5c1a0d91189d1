/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trials: objects that a probe writes below the hidden folder to see what the
 * server makes of them, and deletes again.  They go to the back end itself, past
 * the front.
 */
#ifndef STORE_TRIAL_H
#define STORE_TRIAL_H

#include "ckptfs/store.h"

#include "store_int.h"

/* Below the prefix; behind it the time, so that another mount can tell which
 * were left behind. */
#define TRIAL_NAME STORE_HIDDEN "/probe-"
#define TRIAL_TEXT "ckptfs"
#define TRIAL_LEN (sizeof(TRIAL_TEXT) - 1)

struct trial {
	struct store *s;
	struct store_src_mem body; /* TRIAL_TEXT */
	struct store_meta meta; /* a write-id of its own */
	char key[STORE_KEY_MAX + 1]; /* there from the first put on */
	char other[STORE_KEY_MAX + 1]; /* for copies */
	char below[STORE_KEY_MAX + 1]; /* as if key were a folder */
	char odd[STORE_KEY_MAX + 1]; /* with what XML cannot hold */
	char lines[STORE_KEY_MAX + 1]; /* with a line feed */
	bool has_odd, has_lines; /* may be there */
	struct store_obj obj; /* what key is now */
};

/* Choose names.  -EINVAL: prefix is too long for them. */
int trial_init(struct trial *t, struct store *s, const char *prefix,
	       int64_t now_ns) NONNULL(1, 2, 3) MUST_USE;

/* An answer, rather than trouble with getting one? */
bool trial_is_answer(int err);

/* Was the trial of this name (what stands behind TRIAL_NAME) begun so long ago
 * that nobody needs it any more? */
bool trial_is_old(const char *name, int64_t now_ns) NONNULL(1);

/* Put the text; of key, obj is what it became. */
int trial_put(struct trial *t, const char *key, const struct store_cond *cond)
	NONNULL(1, 2) MUST_USE;

/*
 * Steps of a probe: 0, or an error that ends it.  key is there.
 */

/* Does put heed conditions?  no_etag: one that nothing has. */
int trial_conditions(struct trial *t, const char *no_etag, bool *ret_is_heeded)
	NONNULL(1, 2, 3) MUST_USE;
/* May "a" and "a/b" both be there, and listed?  STORE_CAP_FILE_AND_DIR. */
int trial_file_and_dir(struct trial *t) NONNULL(1) MUST_USE;
/* Are control bytes taken, and given back by a listing?  STORE_CAP_CONTROL. */
int trial_odd_names(struct trial *t) NONNULL(1) MUST_USE;
/* Is a line feed refused?  STORE_CAP_ONE_LINE. */
int trial_line_feed(struct trial *t) NONNULL(1) MUST_USE;
/* Does del heed an etag, are many deleted by one request, and does that heed it?
 * The last step: nothing is left.  STORE_CAP_DEL_COND, _DEL_MANY,
 * _DEL_MANY_COND. */
int trial_deletes(struct trial *t, const char *no_etag) NONNULL(1, 2) MUST_USE;

/* After a step that failed: leave nothing behind, but keep the words of what
 * went wrong. */
void trial_tidy(struct trial *t) NONNULL(1);

#endif
