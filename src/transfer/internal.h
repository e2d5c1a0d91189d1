/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's memory: the line as items, each with how far its body is.
 *
 * t->lock (a leaf) guards all of it.  Rows are read and written with it not
 * held; an item is owned by the worker that set its `busy`, or by the part it
 * is sending, so it cannot go away meanwhile (`pins`).
 */
#ifndef TRANSFER_INTERNAL_H
#define TRANSFER_INTERNAL_H

#include <uthash.h>

#include "ckptfs/cache.h"
#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/hash.h"
#include "ckptfs/host.h"
#include "ckptfs/line.h"
#include "ckptfs/lock.h"
#include "ckptfs/log.h"
#include "ckptfs/meta.h"
#include "ckptfs/rng.h"
#include "ckptfs/store.h"
#include "ckptfs/thr.h"
#include "ckptfs/transfer.h"

#include "flow.h"
#include "line_index.h"
#include "plan_size.h"

enum body {
	BODY_NONE, /* not begun */
	BODY_BEGINNING, /* a worker begins the upload, or resumes it */
	BODY_SENDING, /* parts are going */
	BODY_SENT, /* all parts are there, or it goes with the commit */
};

enum part_state { PART_TODO, PART_SENDING, PART_DONE };

struct tpart {
	enum part_state state;
	bool known; /* crc64 is that of the bytes that were sent, as a row says */
	uint64_t crc64;
	bool has_crc32c; /* not of what a row alone speaks of */
	uint32_t crc32c;
	char etag[STORE_ETAG_MAX];
};

/* What is known of a row of the line beside line.h's view of it. */
struct titem {
	UT_hash_handle hh; /* by seq */
	uint64_t seq;
	enum meta_op_kind kind;
	uint64_t ino, vid, bound;
	char *key;
	char *to; /* the new key; of a symlink: its target */
	char *error; /* the last, in words; NULL: none */

	struct meta_version v; /* of a put */

	enum body body;
	char *upload_id;
	bool has_session; /* its put goes on in a later life, if it must */
	struct plan_lay lay;
	char *copy_etag; /* of the object that parts are copied from */
	unsigned nparts, parts_done, parts_going;
	struct tpart *parts;
	uint64_t sent; /* acknowledged */
	uint64_t going; /* handed to the store since, more than once if it was
			   tried again; for those who watch */

	bool busy; /* a worker has it: commits it, or begins its body */
	bool parked;
	bool keep; /* as of struct line_op */
	bool again; /* its commit was handed out before, perhaps by an earlier
		       life */
	bool has_upload; /* there may be a row of one, and an upload */
	bool alone; /* a delete that did not go with the others */
	bool no_copies; /* the server did not copy: all of it is sent */
	bool relisted; /* refused, and its parts were looked at again since */
	bool changed; /* the bucket has none of its beginning, as it is now */
	bool was_found; /* in the bucket, by a look: perhaps not of its upload */
	bool gone; /* left the line while somebody has it pinned */
	bool abandoned; /* gone, and its upload is to be aborted */
	struct titem *next_leaving;
	unsigned pins;
	unsigned attempts;
	int64_t retry_at; /* mono */
	int64_t sum_at; /* mono: read it then, to have its checksum; 0: by rule */
	int64_t queued_mono; /* when its name was first closed, as we saw */

	/* what the sums of the line have of it */
	uint64_t sum_bytes;
	int64_t sum_sealed;
	bool sum_parked;
};

/* A version that is gone or has another key, whose upload is to be aborted: its
 * row says which. */
struct orphan {
	struct orphan *next;
	uint64_t vid;
	bool taken; /* a worker is at it */
	unsigned attempts;
	int64_t retry_at; /* mono */
};

/* What the bucket has under a key the line speaks of. */
struct have {
	UT_hash_handle hh;
	uint64_t vid, bound;
	bool there;
	int64_t gone_mono_ns; /* our last delete of it ended; 0: none did */
	char key[];
};

struct have_dir;

/*
 * To look through a long line takes milliseconds, and nobody else can change a
 * name meanwhile.  So it is done only so often that it costs a few per cent of
 * the time, by a time that follows from the number of rows: as much as
 * LINE_ROW_NS for each, where one takes about a microsecond.
 */
#define LINE_SHORT 256 /* rows that cost nothing */
#define LINE_ROW_NS 25000

#define NEXT_MAX 16
#define BODIES_MAX 64

struct transfer {
	const struct host *host;
	struct meta *meta;
	struct cache *cache;
	struct store *store;
	struct transfer_opts opts;
	char *prefix;
	struct transfer_events ev;
	struct meta_lost lost;

	struct lock lock; /* leaf; guards all below */
	struct thr_cond cond; /* something left the line */
	/* The line, a copy of its rows: changes only in a transaction and with
	 * the lock held, so either is enough to read it. */
	struct line line;
	struct titem *items; /* hash by seq: the same rows */
	struct crew *crews; /* commits that others help with */
	struct orphan *orphans; /* until their uploads are no more */
	struct titem *leaving; /* gone, pinned, and with an upload */
	/* What may commit, as last asked. */
	bool next_stale; /* it may be something else by now */
	bool next_end; /* no: it depends on new rows */
	uint64_t next[NEXT_MAX]; /* seqs, earliest first */
	size_t n_next;
	int64_t far_from; /* mono: look at more than LINE_SHORT rows again */
	/* Whose bodies may go, as last asked. */
	bool bodies_stale;
	uint64_t bodies[BODIES_MAX]; /* seqs, best first */
	size_t n_bodies;
	size_t n_big; /* big puts in the line: without one nobody asks */
	int64_t bodies_from; /* mono: ask again */
	uint64_t begun; /* commits: the newest says that a window is begun */
	bool summing; /* somebody reads what waits */
	int64_t sums_from; /* mono: look again who waits so long */
	bool undurable; /* the disk records no commits any more: said so */
	bool fold_wanted;
	int64_t fold_from; /* mono: fold again */
	struct have *have;
	struct have_dir *have_dirs;
	bool have_unsure; /* no memory: of folders it is not known */
	/* sums over the items */
	uint64_t sum_bytes;
	size_t n_parked;
	int64_t oldest_real_ns;
	bool oldest_unknown; /* look again */
	int64_t last_end_real_ns; /* of the last commit */
	uint64_t last_seq; /* rows up to this one were read */
	uint64_t found_seq; /* those up to this one were there at the start */
	uint64_t *touched; /* rows to read again */
	size_t ntouched, cap_touched;
	bool stale; /* rows are to be read */
	bool lazy; /* by lazy_until is soon enough */
	int64_t lazy_until; /* mono */
	size_t n_unread; /* rows that came since it is lazy */
	bool stopping;
	unsigned waiters; /* somebody waits: delays do not apply */
	unsigned nworkers;
	struct flow flow; /* how many of them ask the store at once */
	unsigned going, committing; /* that do now; of them, commits */
	uint64_t asked; /* times that one did */
	struct uploader {
		struct transfer *t;
		struct thr_worker *w; /* NULL once it is being stopped */
		bool idle; /* found nothing to do, and nobody woke it since */
	} workers[64];

	struct put_time *put_times; /* of live logs */
	struct transfer_stats stats;
	/* token bucket of upload_limit */
	int64_t tokens, refilled_at;
	uint64_t limit; /* of it */
	/* rate: bytes in the last whole second, and in this one */
	int64_t rate_second;
	uint64_t rate_bytes;
};

struct put_time {
	UT_hash_handle hh;
	int64_t mono;
	bool changed; /* of the one before nothing could be copied */
	char key[];
};

/* load.c: in a transaction; the copy of the line is brought up to date */
int line_refresh(struct transfer *t);
/* Write a change to the rows; the memory follows at the next refresh. */
int line_write(struct transfer *t, struct line_change *c);
/* Begin a transaction with the line up to date; commit (if r is 0) and end it,
 * with the copy following. */
int line_tx(struct transfer *t);
int line_tx_end(struct transfer *t, int r);
/* The same; moved: a row of which the memory must know at once, unless it is
 * NULL or its number 0. */
int line_tx_end_moved(struct transfer *t, int r,
		      const struct meta_inode *moved);
void tell_moved(struct transfer *t, const struct meta_inode *moved);
void line_env_fill(struct transfer *t, struct line_env *ret);
/* line_done_in() of one row, in a transaction. */
int line_row_done(struct transfer *t, uint64_t seq);

/* items.c: with the lock */
struct titem *item_find(struct transfer *t, uint64_t seq);
void item_free(struct titem *it);
/* It is no longer in the hash; with the last pin gone it ends, and may leave its
 * upload as an orphan. */
void item_leaves(struct transfer *t, struct titem *it);
void item_unpin(struct transfer *t, struct titem *it);
/* An upload of this version is being given up: one version, one row, so another
 * one begins only afterwards. */
bool upload_leaves(const struct transfer *t, uint64_t vid);
/* The upload row that is this item's, if any. */
uint64_t upload_vid(const struct titem *it);
/* transfer.c: what it is of is in the line, and sees to it from now on. */
bool upload_is_of_line(struct transfer *t, uint64_t vid);
int orphan_add(struct transfer *t, uint64_t vid);
void orphan_free(struct transfer *t, struct orphan *o);
/* What is queued of it, or that it is parked, was changed. */
void item_count(struct transfer *t, struct titem *it);

/* have.c: with the lock */
struct have *have_find(struct transfer *t, const char *key);
/* The bucket has (or has not) a key from now on. */
void have_set(struct transfer *t, const char *key, bool there, uint64_t vid,
	      uint64_t bound);
/* The same, taking the lock; in the transaction that says so, before its commit:
 * who sees a put's row gone must see its object, or a fold drops the delete
 * behind it.  If the commit fails it is not known, and so there. */
void have_tell(struct transfer *t, const char *key, bool there, uint64_t vid,
	       uint64_t bound);
/* A delete of this key ends now.  Before its row goes, so that whoever sees the
 * row gone sees this.  Takes the lock. */
void have_goes(struct transfer *t, const char *key);
bool have_below(struct transfer *t, const char *dir);
/* Whether a delete of dir, or of something below it, ended since. */
bool have_gone_below(struct transfer *t, const char *dir,
		     int64_t since_mono_ns);
void have_free(struct transfer *t);
/* A link's or marker's identity in the line, in place of a version's. */
#define VID_LINK (UINT64_C(1) << 62)
#define VID_MARKER (UINT64_C(1) << 61)
#define VID_NUMBER (VID_MARKER - 1)
/* In the upload table: what the copies of a rename, by its number, may have
 * begun; of those that go side by side each has a slot. */
#define VID_COPY (UINT64_C(1) << 60)
#define VID_COPY_SLOT 52
#define VID_COPY_SEQ ((UINT64_C(1) << VID_COPY_SLOT) - 1)
#define COPY_SLOTS 64

/* When so many rows may be looked through again, if that is done now. */
int64_t line_pause(const struct transfer *t, size_t rows);

/* plan.c: what to do next; with the lock */
enum act {
	ACT_NONE,
	ACT_FOLD,
	ACT_COMMIT,
	ACT_BEGIN,
	ACT_PART,
	ACT_ABORT,
	ACT_SUM,
	ACT_CREW,
};

/* crew.c: a commit of many like steps, that idle workers help with */
struct crew {
	struct crew *next;
	/* Step i, with nothing held; the slot is no other's meanwhile. */
	int (*step)(void *arg, size_t i, unsigned slot);
	/* It goes when all before it have ended, and none with it. */
	bool (*goes_alone)(void *arg, size_t i);
	void *arg;
	size_t n;
	size_t at; /* the rest guarded by t->lock; the next one */
	unsigned going; /* at most COPY_SLOTS, as there are workers */
	uint64_t slots;
	size_t in_slot[COPY_SLOTS]; /* which step, of those that are going */
	bool alone; /* the one that is going goes so */
	int err; /* of the first that failed: no more are begun */
	char words[160]; /* the store's, of that */
};
struct crew_step {
	struct crew *crew;
	size_t i;
	unsigned slot;
};
/* All steps, in order of their beginnings, by the worker that commits and those
 * that find nothing better to do.  The first error, or -ECANCELED. */
int crew_run(struct transfer *t, struct crew *c);
/* With the lock: for a helper.  Then crew_do(), without it. */
bool crew_take(struct transfer *t, struct crew_step *ret);
void crew_do(struct transfer *t, const struct crew_step *s);

struct action {
	enum act act;
	struct titem *it;
	struct del_run *run; /* deletes that go with it, itself the first */
	unsigned part; /* from 0 */
	struct orphan *orphan;
	struct crew_step crew;
};
/* wait: nanoseconds until something may be due, when ACT_NONE. */
struct action plan_next(struct transfer *t, int64_t *wait);

/* fold_apply.c */
int fold_apply(struct transfer *t);

/* worker.c */
int64_t worker_step(void *arg);

/* kick.c */
/* Have somebody look what is to be done: he wakes the next one if there is
 * more.  Whoever is at work looks when he has ended it. */
void kick_one(struct transfer *t);
void wake_one(struct transfer *t); /* the same, with the lock */
/* With the lock: a row that is to be read again. */
void line_touch(struct transfer *t, uint64_t seq);
/* With the lock: nanoseconds until the rows are to be read; CLK_NEVER: they are
 * as they were. */
int64_t line_stale_in(const struct transfer *t);

/* body.c */
/* To read a version's bytes.  -ENODATA: they are gone. */
int body_open(struct transfer *t, const struct meta_version *v);
/* An intent whose upload may or may not have begun. */
int body_sweep(struct transfer *t, const struct meta_upload *up);
int body_begin(struct transfer *t, struct titem *it);
int body_part(struct transfer *t, struct titem *it, unsigned part);
/* Room for the parts, none of which is sent: it->lay, it->parts, it->nparts. */
/* session.c: for store_src of a put.  With a row of one that was begun. */
struct session {
	struct store_session s;
	struct transfer *t;
	struct titem *it;
};
int session_load(struct transfer *t, struct titem *it, struct session *ret);
int parts_make(struct titem *it, uint64_t part_size, uint64_t copied);

/* reuse.c */
void part_at(const struct titem *it, unsigned i, uint64_t *ret_off,
	     uint64_t *ret_len);
bool part_is_copied(const struct titem *it, unsigned i);
/* parts_make(), as many of them copied as the bucket has. */
int reuse_plan(struct transfer *t, struct titem *it, uint64_t part_size);
/* What it->lay says is copied, is so still: 1, else 0. */
int reuse_check(struct transfer *t, struct titem *it);
/* In a transaction: which parts are to be copied is in rows without an etag,
 * for a later life; and how many bytes those are. */
int reuse_rows(struct transfer *t, const struct titem *it);
int reuse_row_sum(struct transfer *t, uint64_t vid, uint64_t *ret);
int reuse_part(struct transfer *t, struct titem *it, unsigned part);
/* With the lock: its upload is to be given up. */
static inline bool copies_failed(const struct titem *it)
{
	return it->no_copies && it->lay.copied;
}

struct blob_src {
	struct transfer *t;
	struct titem *it;
	int fd;
	struct meta_version v; /* whose bytes they are */
	uint64_t base;
	uint64_t handed; /* out of it->going again by src_end() */
};
/* Open the bytes of v. */
int src_begin(struct blob_src *s, const struct meta_version *v) MUST_USE;
void src_end(struct blob_src *s); /* closes fd, too */
/* Its bytes may be others than those that were sealed. */
bool src_moved(const struct blob_src *s);
ssize_t blob_read(void *arg, uint64_t off, void *p, size_t n);
void write_id_of(const struct transfer *t, const struct meta_version *v,
		 char ret[STORE_WRITE_ID_MAX]);
void put_meta(const struct transfer *t, const struct meta_version *v,
	      struct store_meta *ret);

/* sum.c */
struct body_crcs {
	uint64_t crc64;
	uint32_t crc32c; /* where the store wants it of parts, else 0 */
};
/* The checksums of so many bytes.  -ECANCELED: the engine stops, or it (NULL:
 * none) left the line. */
int body_crc(struct transfer *t, const struct titem *it, int fd, uint64_t off,
	     uint64_t len, struct body_crcs *ret);
/* With the lock.  Something has waited for so long that it is to be read; if
 * not, when to ask again. */
bool plan_sum(struct transfer *t, struct action *a, int64_t *ret_at);
void sum_take(struct transfer *t, struct titem *it);
/* crc is of the whole as it is now.  -EUCLEAN: the disk damaged it. */
int sum_check(const struct blob_src *s, uint64_t crc);

/* commit.c */
/* The object that the item's version made? */
bool is_ours(const struct transfer *t, const struct titem *it,
	     const struct store_obj *o);
int commit_item(struct transfer *t, struct titem *it);

/* own.c: an object that the rows do not know, found where operation seq was to
 * change the bucket. */
enum own_age {
	OWN_NOT, /* another writer's, or nobody can tell: a conflict */
	OWN_OLDER, /* ours: what the operation replaces */
	OWN_LATER, /* ours: put there after it, and the rows of that are lost */
};
/* The version of this cache that was put there; 0: it is none. */
uint64_t own_vid(const struct transfer *t, const struct store_obj *o);
/* v: what is put; NULL: something that is no version.  No lock held. */
enum own_age own_age(struct transfer *t, uint64_t seq,
		     const struct meta_version *v, const struct store_obj *o);
/* What stands there now (NULL: nothing) is what is replaced: -EAGAIN, or another
 * error.  No lock held. */
int own_replace(struct transfer *t, const char *key,
		const struct store_obj *now);
/* The row of an object that is adopted.  Its inode is one that nobody has: the
 * next listing shows it as a new file.  No lock held. */
int own_found(struct transfer *t, const char *key, const struct store_obj *o,
	      struct meta_object *ret);
/* The operation gives way to what was put there later; ends it.  No lock held. */
int own_adopt(struct transfer *t, struct titem *it,
	      const struct store_obj *o);

/* beside.c: a version is in conflict still; no lock held */
bool beside_is_kept(struct transfer *t, uint64_t vid);

/* del_run.c: deletes in a row, by one request */
struct del_run {
	size_t n;
	struct del_one {
		struct titem *it; /* busy, and pinned */
		bool left; /* the line, before it was begun */
		bool known; /* the bucket has something under its key */
		bool gone; /* it has not, now */
	} one[];
};
/* With the lock, of one that may commit now; NULL: it goes alone. */
struct del_run *del_run_take(struct transfer *t, struct titem *it);
/* Frees it. */
void del_run_commit(struct transfer *t, struct del_run *run);

/* rename.c */
int commit_rename(struct transfer *t, struct titem *it);
/* Commit, if r is 0, and end a transaction. */
int rename_end(struct transfer *t, int r);
/* The object of this row is to be under `to`, too; from rename seq on.  slot: of
 * those it makes side by side.  -EBUSY: it is another writer's by now, or what is
 * there is. */
int rename_copy(struct transfer *t, const struct meta_object *from,
		const char *to, uint64_t seq, unsigned slot);
/* All copies have ended: what an earlier life's may have left. */
int rename_sweep(struct transfer *t, uint64_t seq);
int rename_delete(struct transfer *t, const struct meta_object *from);
int rename_finish(struct transfer *t, struct titem *it);
void rename_may_upload(struct transfer *t, struct titem *it);
/*
 * One that others deleted meanwhile cannot move, and holds up nothing.  What is
 * here goes to the new name all the same, as what we change does; what is not
 * is gone, and the next listing takes its name away.
 */
enum gone { GONE_NOT, GONE_FOR_GOOD, GONE_SENT_AGAIN };
int rename_is_gone(struct transfer *t, const struct meta_object *from,
		   const char *to, uint64_t seq);

/* rename_dir.c */
int commit_rename_dir(struct transfer *t, struct titem *it);

/* record.c: transactions */
/* A commit ends now; no two at the same time. */
int64_t commit_ends(struct transfer *t);
int record_done(struct transfer *t, struct titem *it,
		const struct meta_object *obj, bool drop_object);
int record_park(struct transfer *t, struct titem *it, const char *why);
int record_conflict(struct transfer *t, struct titem *it);
int record_begun(struct transfer *t, struct titem *it);
/* The disk lost bytes of it, or it is gone: what was to be put is never sent
 * again. */
bool put_is_lost(struct transfer *t, uint64_t vid);
/* Before the bucket changes: wait until the disk knows the first so many
 * commits, as it must after a power cut. */
void record_durable(struct transfer *t, uint64_t commits);

/* limit.c */
void limit_take(struct transfer *t, size_t n);
void count_sent(struct blob_src *s, size_t n);
/* With the lock: how far a body is. */
uint64_t item_progress(const struct titem *it);
/* owed.c, in a transaction. */
struct owed_key {
	struct owed_key *next;
	char key[];
};
/* It is owed no longer: deleted, unless the mount has a file there that stays
 * (as does not the inode `leaves`). */
int owed_pay(struct transfer *t, const char *key, uint64_t ino, uint64_t vid,
	     uint64_t leaves);
/* Nor then: what the inode last had in the bucket is under `from`, and is renamed
 * to `to`.  -ESTALE: it is not, nor was anything changed. */
int owed_follow(struct transfer *t, uint64_t ino, const char *from,
		const char *to);
/* owed.c: the inode of a file or link the mount has under this key; 0: none.  In
 * a transaction. */
int inode_at(struct transfer *t, const char *key, uint64_t *ret);

#endif
