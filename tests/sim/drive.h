/* SPDX-License-Identifier: Apache-2.0 */
/* A program carried out on a simulated machine, beside the model. */
#ifndef SIM_DRIVE_H
#define SIM_DRIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"
#include "order.h"
#include "prog.h"
#include "simdisk_impl.h"
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
	int64_t stall_ns; /* the longest that a turn was lost, beside others */
	int64_t alive_ns; /* when it was last known to live */
	bool unfinished; /* files were open when it died: their bytes lie
			    beside */
	bool was_cut; /* an upload may be known to no row */
	bool faulty_disk; /* it may refuse anything */
	bool was_faulty; /* once, in this run */
	bool no_memory; /* the same of memory */
	bool no_conditions; /* nor are any made, in this run */
	bool doubtful; /* it may have been since this mount began */
	bool unbelieved; /* a sync failed in a mount: its log counts as far as
			    its last barrier says */
	bool faulty_net; /* it may not be heard */
	bool refused; /* some change may have been */
	unsigned rules; /* of those that make it so */
	struct thr_worker *watcher; /* of the disk */
	int64_t mend_ns; /* when it is well again */
	bool aliens; /* others wrote, in this run, or we and do not know */
	bool others; /* others did */
	struct shown bucket[PATHS]; /* as it was at its last change */
	const struct bytes *foreign[PATHS]; /* what they put, and nobody saw */
	bool changed[PATHS]; /* since its flush; held back */
	/* changed by a mount whose disk had failed */
	bool ahead[PATHS], ahead_dir[DIRS];
	bool left_dir[DIRS]; /* and no row speaks of its marker any more */
	struct { /* while faults are held */
		unsigned n;
		struct rule rules[SIM_RULES];
		uint64_t capacity;
	} held;
	unsigned char buf[4 * SIZE_MOST];
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

/* drive_kept.c: what somebody does by hand. */
void drive_recover(struct drive *d, int path, int act);
void drive_prefetch(struct drive *d, int path, int ms);
void drive_peek(struct drive *d, int path);
/* What lies there in the cache folder; NULL: it cannot be read. */
const struct bytes *drive_bytes_at(struct drive *d, const char *where);

/* drive_lost.c: of the cache, unmounted at the end. */
void drive_check_lost(struct drive *d);

/* drive_sync.c: what waits for the disk or for the bucket. */
void drive_sync_all(struct drive *d, int ms);
void drive_sync_dir(struct drive *d, int dir);
/* It was to wait for the bucket, and could not for ever. */
bool drive_gave_up(const struct drive *d, int r);
/* What was written is closed, and close may promise more than usual. */
void drive_closed_well(struct drive *d, int path);

/* drive_fate.c: what is done to it. */
void drive_set_option(struct drive *d, const int *a);
void drive_fate(struct drive *d, const struct op *op);
/* If it is dying: the crash, and what is found after it. */
void drive_if_halted(struct drive *d);
void drive_crash(struct drive *d);
/* Let go and mounted again, to find what is there. */
void drive_remount(struct drive *d);
/* What a barrier covers for certain by now. */
void drive_note_durable(struct drive *d);

/* drive_disk.c: faults of the disk. */
void drive_break_disk(struct drive *d, const int *a);
void drive_break_memory(struct drive *d, const int *a);
void drive_break_rows(struct drive *d, const int *a);
void drive_set_room(struct drive *d, int pages);
void drive_mend_disk(struct drive *d);
void drive_disk_end(struct drive *d);
/* It refuses, or the mount does since it failed. */
bool drive_disk_is_bad(struct drive *d);
bool drive_is_excused(struct drive *d, int r);
/* Meanwhile the disk is as if well: for who looks at it from outside. */
void drive_hold_faults(struct drive *d);
void drive_go_on(struct drive *d);
/* When, and whether, the bucket gets what it is, nobody knows any more. */
void drive_doubt(struct drive *d, struct item *e);
/* Nor that it was sealed: a crash may bring back what was before. */
void drive_not_sealed(struct drive *d, struct item *e);
/* A change that was refused may have been made in part. */
void drive_read_handle(struct drive *d, int handle, const struct bytes *old,
		       const struct bytes *new);
void drive_read_path(struct drive *d, int path, const struct bytes *old,
		     const struct bytes *new);
/* Files of which the disk lost bytes: no word about them any more. */
void drive_note_poisoned(struct drive *d);
void drive_excuse_poisoned(struct drive *d, const struct tree *t);
/* Of this the disk lost some, as status says. */
bool drive_lost_bytes(struct drive *d, int path);
/* There is less of it than its row says. */
bool drive_is_short(struct drive *d, int path);
/* And who would write to it is told so: no copy can take its place. */
bool drive_refuses_poisoned(struct drive *d, int path);
/* Or it is another writer's, of which nothing is known yet, and nobody answers. */
bool drive_may_refuse(struct drive *d, int path);

/* drive_alien.c: other writers. */
void drive_foreign_put(struct drive *d, int path, unsigned size);
void drive_foreign_del(struct drive *d, int path);
/* For what is parked since theirs is there. */
bool drive_clear_the_way(struct drive *d);
/* The mount did it. */
void drive_bucket_changed(struct drive *d, const char *key,
			  const struct shown now[PATHS]);
/* What d->bucket has was there. */
void drive_note_shown(struct drive *d);
/* The rows that knew of it are gone. */
void drive_note_ahead(struct drive *d);
/* Whatever it shows of them by now is what is there. */
void drive_adopt(struct drive *d);
void drive_adopt_found(struct drive *d, int path, const struct found *f);
/* Nobody had seen the folder, which others made, before this file, with nothing
 * in it, was made there. */
bool drive_made_in_theirs(struct drive *d, int path, uint64_t ino);
void drive_note_listed(struct drive *d);
/* It shows all that it ever will. */
void drive_await_listings(struct drive *d);

/* tell.c: the rows, to stderr. */
void drive_tell(struct drive *d);
long long drive_size_of_blob(struct drive *d, uint64_t blob); /* -1: gone */

/* drive_look.c */
void drive_look_at(struct drive *d, int path, struct found *ret);
/* All names of the mount, and the bucket. */
void drive_look(struct drive *d, struct tree *ret);
/* The mount shows what the model says, live. */
void drive_check_tree(struct drive *d);
/* Nothing is queued, nothing open: the bucket equals the mount. */
void drive_check_rest(struct drive *d);
/* Nothing is left over on the disk or in the bucket; it is unmounted. */
void drive_check_leaks(struct drive *d);

#endif
