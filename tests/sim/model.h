/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mount and its bucket may show: the contract, executable.
 *
 * The model is told each operation before it is made, says what it must answer,
 * and keeps the state after each.  A state is every name with its content as a
 * reader gets it, and what the bucket is to show for it once all until then is
 * published (pub), with its place in the line.
 *
 *  O1	live: answers and bytes are those of the last state
 *  O2	after a kill: the last acknowledged state, or the one the call under way
 *	would have led to; after a power cut: any state from the last barrier
 *	on; the bucket is never ahead of that.  What was open for writing may
 *	come back as it was before
 *  O3	the bucket at any instant: order.h; once drained, it equals the mount
 *
 * Paths are numbers: DIRS folders (the first is the root) of NAMES names each.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIRS 4
#define NAMES 8
#define CLASH (NAMES - 1) /* in the root: the path with the name of a folder */
#define CLASH_DIR 3
#define PATHS (DIRS * NAMES)
#define HANDLES 5 /* the last one is for what opens and closes at once */
#define SIZE_MOST 20480u

/* Content: never changes, lives as long as the model. */
struct bytes {
	struct bytes *next; /* of all */
	unsigned n;
	bool sealed; /* it may be published */
	uint64_t crc;
	bool shown; /* the bucket had it */
	bool theirs; /* another writer made it */
	bool behind; /* the bucket had gone on when a mount came back to it */
	unsigned char p[];
};

enum kind { NONE, REGULAR, LINK };

struct item {
	enum kind kind;
	unsigned id; /* of the inode: handles go by it */
	const struct bytes *cur; /* what a reader gets */
	const struct bytes *pub; /* for the bucket; NULL: nothing */
	/* of one that is open: what a crash may bring back */
	const struct bytes *before, *flushed;
	unsigned opens, writers;
	bool open; /* was opened for writing, not yet closed by all */
	bool dirty; /* changed since its last seal */
	bool fresh; /* in a blob of its own: the old one is whole */
	bool live; /* appended to: sealed while it is open, at any time */
	bool torn; /* closed, and cut short by its format */
	bool held; /* sealed under a temporary name */
	bool let_go; /* it was, and got another name while it is open: back
			under such a one it is held again */
	bool loose; /* came back unfinished from a crash */
	bool taken; /* the bucket had some of it, and another writer took it */
	bool over; /* it was renamed over something that the bucket may have */
	bool fuzzy; /* no word about its order in the bucket until all is
		       quiet: it was renamed while open, or the like */
	int place, seal; /* numbers of the states that gave the name, and the
			    inode, what pub says */
	int from; /* path it was renamed from at place; -1: none */
	unsigned owes; /* a bit per path: what the bucket has there goes once
			  this one has its last place in the line */
	bool has_times;
	unsigned mode;
	int64_t mtime_ns;
};

struct state {
	int64_t ns; /* when it was entered */
	bool dir[DIRS];
	bool fuzzy[PATHS]; /* the name, whatever is there */
	struct item at[PATHS];
};

struct open_file {
	bool used, writes, append;
	unsigned id;
};

struct model {
	struct state **s; /* all of them, since the last rest */
	int n, cap;
	struct state *now; /* the last one */
	struct open_file handle[HANDLES];
	struct bytes *all;
	unsigned last_id, last_content;
	int acked; /* the last state that was acknowledged */
	int durable; /* the last one that a barrier covers for certain */
	bool held_ends; /* temporary names are sent once they are old */
	bool alien[PATHS], alien_dir[DIRS]; /* another writer was here */
};

void model_init(struct model *m);
void model_fini(struct model *m);

const char *path_text(int path); /* "d1/a" */
const char *dir_text(int dir);
/* -1: none of them. */
int path_of(const char *text);
int dir_of(const char *text);
bool path_is_temporary(int path);
static inline int path_dir(int path)
{
	return path / NAMES;
}

/* New content of n bytes, like old but for [off, off + len), which says where
 * it comes from. */
const struct bytes *model_bytes(struct model *m, const struct bytes *old,
				unsigned n, unsigned off, unsigned len);
/* What the model has of n bytes with this CRC-64; NULL: there never was. */
const struct bytes *model_known(const struct model *m, size_t n, uint64_t crc);
/* These bytes, known or not. */
const struct bytes *model_keep(struct model *m, const void *p, size_t n);
/* Another writer's, new. */
const struct bytes *model_theirs(struct model *m, unsigned n);
/* These, which are not closed yet. */
const struct bytes *model_made(struct model *m, const void *p, size_t n);

/* saved.c: what frameworks write. */
enum saved {
	SAVED_ZIP,
	SAVED_ZIP_CUT,
	SAVED_ZIP_MORE, /* something is behind it */
	SAVED_ZIP64,
	SAVED_ZIP_EMPTY,
	SAVED_TENSORS,
	SAVED_TENSORS_CUT,
	SAVED_TENSORS_META,
	SAVED_TENSORS_BAD,
	SAVED_COUNT
};
const struct bytes *model_saved(struct model *m, enum saved how, unsigned n);
/* By that name it would be held back as torn. */
bool bytes_are_cut(int path, const struct bytes *b);

/* The bucket has it now. */
void model_shown(struct model *m, const struct bytes *b);
/* A mount came back to it, and the bucket has what came after; NULL: nothing. */
void model_behind(struct model *m, const struct bytes *b);
/* Some version was of it once: closed, flushed, or found after a crash. */
const struct bytes *model_sealed(struct model *m, const struct bytes *b);
bool same_bytes(const struct bytes *a, const struct bytes *b);

/*
 * The operations.  Each says the errno the mount must give (0: success) and,
 * if that is 0, has entered the state it leads to.  now_ns: the time.
 */
enum {
	OPEN_CREATE = 1,
	OPEN_TRUNC = 2,
	OPEN_WRITE = 4,
	OPEN_APPEND = 8,
	OPEN_ONLY = 16, /* it cannot read, nor be mapped */
};
int model_open(struct model *m, int64_t now_ns, int path, int handle, int how);
/* all: what it becomes, if it is that at once. */
void model_write(struct model *m, int64_t now_ns, int handle, unsigned off,
		 unsigned len, const struct bytes *all);
void model_truncate(struct model *m, int64_t now_ns, int path, unsigned n);
void model_flush(struct model *m, int64_t now_ns, int handle);
void model_close(struct model *m, int64_t now_ns, int handle);
int model_unlink(struct model *m, int64_t now_ns, int path);
int model_rename(struct model *m, int64_t now_ns, int from, int to,
		 bool noreplace);
int model_rename_dir(struct model *m, int64_t now_ns, int from, int to);
int model_mkdir(struct model *m, int64_t now_ns, int dir);
int model_rmdir(struct model *m, int64_t now_ns, int dir);
int model_symlink(struct model *m, int64_t now_ns, int path,
		  const char *target);
int model_chmod(struct model *m, int64_t now_ns, int path, unsigned mode);

/* A new state like the present one; its number. */
int model_enter(struct model *m, int64_t now_ns);
/* The state just entered is not what happened: the one before it goes on. */
void model_undo(struct model *m, int64_t now_ns);
void model_ack(struct model *m);
/* The entry an open handle is of; NULL: it has no name any more. */
struct item *model_entry(struct model *m, int handle);
/* An object may be there though nothing is, or is to be published. */
bool model_owed(const struct model *m, int path);

/* ---- by somebody's word (kept.c) */

/* The name shows this; NULL: it goes.  is_sent: by order, else because it fell
 * back on it. */
void model_kept(struct model *m, int64_t now_ns, int path,
		const struct bytes *b, bool is_sent);
/* It shows what it did. */
void model_same(struct model *m, int64_t now_ns, int path);

/* ---- crashes */

/* What was found under one name. */
struct found {
	enum kind kind;
	const struct bytes *b;
	bool unfinished, poisoned; /* says status */
	bool unknown; /* it could not be read */
	unsigned mode;
	int64_t mtime_ns;
};
struct tree {
	bool dir[DIRS];
	struct found at[PATHS];
};

/* Whether a name may, of which a state says this. */
bool model_allows_item(const struct model *m, const struct item *e,
		       const struct found *f, bool cut);
/* Whether state number i may come back so. */
bool model_allows(const struct model *m, int i, const struct tree *t, bool cut,
		  int *ret_path);
/* The state that came back, or -1; *ret_path: what disagrees with the last. */
int model_find(const struct model *m, const struct tree *t, bool cut,
	       int *ret_path);
/* It is state i, and goes on from there: all handles are gone. */
void model_resume(struct model *m, int64_t now_ns, int i, const struct tree *t,
		  bool cut);
/* All is published, nothing is open: older states are of no interest. */
void model_rest(struct model *m, int64_t now_ns);

/* ---- other writers (alien.c) */

/* One was at this name, until alien_rest(). */
void alien_was_at(struct model *m, int path);
/* What the mount itself put there is lost to its rows. */
void alien_ahead_at(struct model *m, int path);
/* A file went from one name to the other, or all of a folder did. */
void alien_moved(struct model *m, int from, int to);
bool alien_any(const struct model *m);
void alien_rest(struct model *m);
/* Whether the name may show this instead of what the state says. */
bool alien_allows(const struct item *e, const struct found *f);
/* It does. */
void alien_adopt(struct model *m, int path, const struct found *f);

#endif
