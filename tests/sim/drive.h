/* SPDX-License-Identifier: Apache-2.0 */
/* A program carried out on a simulated machine, beside the model. */
#ifndef SIM_DRIVE_H
#define SIM_DRIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"
#include "order.h"
#include "prog.h"
#include "world.h"

struct drive {
	struct world w;
	struct model m;
	struct order o;
	struct wfile file[HANDLES];
	const struct op *op; /* at hand */
	bool trace;
	/* how it is to die, once its disk is halted */
	bool cut;
	unsigned keep;
	bool armed; /* its death is set */
	int64_t alive_ns; /* when it was last known to live */
	bool unfinished; /* files were open when it died: their bytes lie
			    beside */
	bool was_cut; /* an upload may be known to no row */
	bool faulty_disk; /* it may refuse anything */
	bool faulty_net; /* it may not be heard */
	unsigned rules; /* of those that make it so */
	char why[256]; /* the first promise that was broken */
	const char *kind; /* of promise */
};

/* Record a broken promise; the first counts. */
void drive_fail(struct drive *d, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
bool drive_failed(const struct drive *d);
int64_t drive_now(const struct drive *d);

/* Run it all, with the last recovery and the last drain.  False: d->why says
 * what is wrong. */
bool drive_run(struct drive *d, const struct prog *p, bool trace);

/* drive_op.c: one operation of a job. */
void drive_op(struct drive *d, const struct op *op);
void drive_close_all(struct drive *d);

/* drive_fate.c: what is done to it. */
void drive_fate(struct drive *d, const struct op *op);
/* If it is dying: the crash, and what is found after it. */
void drive_if_halted(struct drive *d);
void drive_crash(struct drive *d);

/* drive_look.c */
/* All names of the mount, and the bucket. */
void drive_look(struct drive *d, struct tree *ret);
/* The mount shows what the model says, live. */
void drive_check_tree(struct drive *d);
/* Nothing is queued, nothing open: the bucket equals the mount. */
void drive_check_rest(struct drive *d);
/* Nothing is left over on the disk or in the bucket; it is unmounted. */
void drive_check_leaks(struct drive *d);

#endif
