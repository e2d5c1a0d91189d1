/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-memory side of the file system.
 *
 * Rows are the truth; what is here is a cache of them plus what lives only as
 * long as a file is open.  The rules:
 *
 *  - Fields that mirror rows (names, attributes, current version, place in the
 *    line) change only inside a database transaction (LOCK_META) and with
 *    fs->ns held for the assignment; so either lock is enough to read them.
 *    Lookups take fs->ns alone and never wait for the database.
 *  - What concerns open handles, descriptors and the lease of one inode is
 *    guarded by its "busy" flag, a lock one may hold while the disk or the
 *    store is waited for (busy_begin, busy_end).  Order: busy, then LOCK_META,
 *    then fs->ns.  Nobody holds the busy flag of two inodes.
 *  - An inode's memory lives while it has kernel references, pins, open state
 *    or a name.
 */
#ifndef FS_INTERNAL_H
#define FS_INTERNAL_H

#include <uthash.h>

#include "ckptfs/barrier.h"
#include "ckptfs/cache.h"
#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/fetch.h"
#include "ckptfs/fs.h"
#include "ckptfs/host.h"
#include "ckptfs/lock.h"
#include "ckptfs/log.h"
#include "ckptfs/meta.h"
#include "ckptfs/space.h"
#include "ckptfs/store.h"
#include "ckptfs/thr.h"

#define OWN_TTL_NS (3600 * NS_PER_S)
#define COPY_MAX (UINT64_C(16) << 20) /* a clean file up to this is copied */

/* What the bucket never hears of: it has rows, and no key. */
static inline bool is_local_kind(enum meta_kind kind)
{
	return kind == META_FIFO || kind == META_SOCKET;
}

struct dentry {
	UT_hash_handle hh;
	uint64_t ino;
	char name[];
};

/* The live side of an inode: from the first open until the last handle is gone
 * and its bytes are known to be still. */
struct live {
	unsigned nopen, nwrite; /* handles; those that can write */
	enum fs_io io; /* of every handle there is now */
	int backing_id; /* 0: none */
	struct meta_version ver; /* the current version's row; vid 0: none */
	int rfd, wfd; /* O_RDONLY, O_RDWR; -1: not open */
	bool writing; /* version is UNFINISHED: somebody may change it */
	bool fresh; /* it began empty: sealed even if nothing is written */
	bool not_wronly; /* some writer can map it */
	bool not_append; /* some writer is not O_APPEND|O_WRONLY */
	bool flushed; /* every handle had its FLUSH, RELEASE is on its way */
	bool forked; /* a FLUSH by a stranger was passed over */
	bool torn; /* the writer was dying of a signal at its last FLUSH */
	uint64_t clean_size; /* size and ctime when last opened or sealed */
	int64_t clean_ctime;
	/* of the blob when its content was taken over: until it moves, the
	 * inode's is shown; guarded by fs->ns */
	int64_t taken_ctime;
	uint64_t written_out; /* the disk was told to write so much of it */
	/* where the last ordinary write ended; how far blocks were reserved;
	 * written by whoever writes, without a lock */
	uint64_t write_end, reserved;
	int64_t still_since; /* mono; nothing moved since */
	int64_t snapped_at; /* mono, of the last snapshot of a log */
	uint64_t open_seq;
	struct fetch *fetch; /* says what is here unless writing: then all is */
	int64_t linger_until; /* mono; it rests; 0: it does not; and ns */
	bool lost; /* what it brought could not be made durable */
	/* asking for the lease again */
	bool asking;
	unsigned asks;
	int64_t ask_at;
	struct fs_file *files;
};

struct inode {
	UT_hash_handle hh;
	uint64_t ino;
	enum meta_kind kind;
	uint64_t parent;
	char *name, *key, *target; /* key, target: NULL if none */
	uint32_t mode, uid, gid;
	int64_t mtime_ns, ctime_ns;
	int64_t atime_ns; /* in memory alone; first the mtime */
	int64_t used_ns; /* for eviction: what utimes sets is not use; ns */
	bool used_due; /* that is to be written to its version's row; ns */
	uint64_t size;
	uint64_t vid;
	enum meta_state state; /* of vid; 0: none */
	bool provisional, held;
	uint64_t alloc; /* bytes the disk gave a version with holes: this one */
	uint64_t alloc_vid; /* 0: as many as it has */
	int64_t sealed_real_ns;
	uint64_t seal_seq; /* its op in the line; 0: none */
	bool meta_known;
	bool marker; /* of a folder: the bucket has one, made by us */

	/* folders */
	struct dentry *children;
	bool loaded; /* children mirrors the rows */
	int64_t looked_ns; /* mono; when its names were last asked for; ns */
	bool said_both; /* that the bucket has a file of this name, too; META */
	bool own; /* made by this cache: its names are ours */
	/* guarded by fs->busy_lock */
	bool listing;
	int64_t listed_ns; /* mono, of the last good listing; 0: never */
	int64_t tried_ns; /* the same, good or not */
	int64_t listing_ns; /* how long that took */

	/* guarded by fs->ns */
	uint64_t nlookup;
	unsigned pins;

	/* guarded by busy */
	bool asked; /* the bucket is, ahead; busy_lock */
	bool busy;
	struct live *live;
	bool time_set; /* utimens while open: shown until the blob moves */
	uint64_t time_size;
	int64_t time_mtime;

	/* guarded by fs->ns */
	struct inode *next_attn; /* in the list of those to be looked at */
	struct inode *next_taken; /* in what was taken off it: the taker's */
	bool on_attn;
	struct inode *prev_writer, *next_writer; /* in the list of those open
						  * for writing */
	bool orphaned; /* unlinked while open: its row is left; META */
	bool kept; /* it has, or had, versions kept beside what it shows; META */
	bool replaced; /* by a rename: its last seal keeps its place; META */
};

struct fs_file {
	struct inode *in;
	struct fs_file *next, *prev; /* in->live->files */
	int flags;
	bool writable;
	bool direct; /* FS_IO_DIRECT */
	bool seals; /* its close counts: it can write, or made or emptied it */
	bool flushed, fsynced;
	bool stale; /* another writer's object is in the place of its file's */
	pid_t tgid; /* opener */
};

struct tx_ref;
struct unshown;
struct watch;

struct blob_ref {
	UT_hash_handle hh;
	uint64_t blob;
	unsigned refs; /* version rows */
	uint64_t bytes; /* of the largest of them, as last recorded */
};

/* Room on the cache disk, as last looked at; guarded by fs->count_lock. */
struct room {
	uint64_t kept; /* bytes of all blobs, as their rows say */
	uint64_t blobs; /* how many of them have any */
	unsigned writers; /* handles that write past the daemon */
	uint64_t unseen; /* written through the daemon since the last look */
	uint64_t step; /* so much may be, until the next one */
	int64_t looked_ns; /* mono */
	uint64_t going; /* evicted, and not free before the next barrier */
	uint64_t rate; /* of the writers, bytes per second */
	bool said_full, came, lately; /* writers, since the last look; before */
	struct space_choice choice;
};

struct fs {
	const struct host *host;
	struct meta *meta;
	struct cache *cache;
	struct store *store;
	struct fs_opts opts;
	char *prefix; /* owned */
	struct fs_kernel kernel;
	struct transfer *transfer;
	struct fetch_engine *fetch;
	struct barrier *barrier;
	struct thr_worker *janitor, *lister, *keeper, *writeout;

	struct lock ns; /* LOCK_NS */
	struct inode *inodes;
	int64_t trimmed_ns; /* mono, of names_trim() */
	struct used *used; /* not yet written to rows; ns */
	struct ahead *ahead; /* busy_lock */
	struct inode *writers; /* open for writing, next to be looked at first */
	bool writers_came, writers_watched; /* since the last look; from now */
	struct blob_ref *blobs; /* LOCK_META */
	struct tx_ref *tx_refs; /* of the transaction under way */
	size_t ntx_refs, cap_tx_refs;

	struct lock busy_lock; /* leaf; guards the busy flags, and listings */
	struct thr_cond busy_cond;
	struct inode *attn; /* files to look at again; ns */
	int64_t attn_at, attn_wake; /* mono: due then; asleep till, 0: not; ns */
	struct inode *stale; /* folders to list again */
	struct watch *watches;
	bool stopping;

	struct lock count_lock; /* leaf; guards the counters */
	struct {
		int64_t left, at_ns; /* as of then (mono) */
	} looks; /* that stats may take at the bucket */
	uint64_t opens_passthrough, opens_cached, open_files;
	unsigned lingering; /* downloads that rest */
	bool through_refused; /* __atomic; the kernel said no: ask no more */
	bool unseen_writers; /* __atomic; said once */
	bool failed; /* the disk failed */
	bool same_boot;
	int64_t list_down_until; /* mono: the store did not answer a listing */
	struct room room;
	struct unshown *unshown; /* folders with names that do not show */
	uint64_t n_unshown; /* the sum of them */
	struct space_rate rate; /* the keeper's alone */
};

/* inode.c */
struct inode *inode_get(struct fs *fs, uint64_t ino); /* pinned, or NULL */
void inode_put(struct fs *fs, struct inode *in); /* unpin; may free */
/* The same, from its row if its name was let go of (unload.c); no lock held. */
struct inode *inode_get_row(struct fs *fs, uint64_t ino);
/* With LOCK_META held, so that nothing vanishes. */
struct inode *inode_find(struct fs *fs, uint64_t ino);
int inode_from_row(struct fs *fs, const struct meta_inode *row,
		   struct inode **ret);
/* The same in two steps, of a row that is not in memory; NULL: no memory. */
struct inode *inode_new(const struct meta_inode *row);
void inode_show(struct fs *fs, struct inode *in); /* fs->ns held */
void inode_free(struct inode *in); /* not shown, or no longer */
void inode_to_row(const struct inode *in, struct meta_inode *ret);
int inode_save(struct fs *fs, const struct inode *in); /* in a transaction */
/* With this as its current version; the memory follows after the commit. */
int inode_save_vid(struct fs *fs, const struct inode *in, uint64_t vid);
/* It is not in the bucket as it is here, or somebody writes it: a listing says
 * nothing of it.  Readers keep what they have under no name.  META held. */
bool inode_is_pending(struct fs *fs, const struct inode *in);
int inode_load_version(struct fs *fs, struct inode *in);
/* This row (vid 0: none) and its place are the inode's; META and ns held. */
void inode_show_version(struct inode *in, const struct meta_version *v,
			uint64_t seq);
/* Its version is held back no longer: it has this place.  META and ns held, and
 * not busy: who writes the row of live->ver takes it within its transaction. */
void inode_let_go(struct inode *in, uint64_t seq);
/* The folder it has a name in; 0: none, or it is the root. */
uint64_t inode_parent(struct fs *fs, const struct inode *in);
/* Who it is, for a blob that is made for it: a copy, for it may be renamed. */
struct inode_tag {
	struct cache_tag tag;
	char name[META_NAME_MAX + 1];
};
void inode_tag(struct fs *fs, const struct inode *in, struct inode_tag *ret);
int inode_set_str(char **p, const char *value);
void inode_drop_memory(struct fs *fs, struct inode *in);
struct dentry *dentry_find(const struct inode *dir, const char *name);
struct dentry *dentry_new(const char *name, uint64_t ino); /* NULL: no memory */
void dentry_link(struct inode *dir, struct dentry *d); /* fs->ns held */
int dentry_add(struct fs *fs, struct inode *dir, const char *name,
	       uint64_t ino);
void dentry_del(struct fs *fs, struct inode *dir, const char *name);
/* The key of a name in dir: prefix and path; -ENAMETOOLONG. */
int key_of(struct fs *fs, const struct inode *dir, const char *name,
	   char ret[META_KEY_MAX + 1]);
int key_of_inode(struct fs *fs, const struct inode *in,
		 char ret[META_KEY_MAX + 1]);
/* fs->ns is held. */
int key_of_inode_locked(struct fs *fs, const struct inode *in,
			char ret[META_KEY_MAX + 1]);
/* A path below the mount from a key. */
const char *key_path(const struct fs *fs, const char *key);
/* It is the key of a log that is published while open. */
bool key_is_live(const struct fs *fs, const char *key);
/* The children are in memory: loads the rows if need be.  In a transaction. */
int dir_load(struct fs *fs, struct inode *dir);
bool dir_is_empty(const struct inode *dir);
int path_resolve(struct fs *fs, const char *path, struct inode **ret);

/* busy.c */
void busy_begin(struct fs *fs, struct inode *in);
bool busy_try(struct fs *fs, struct inode *in);
/* Wait for it so long at most (mono). */
bool busy_begin_until(struct fs *fs, struct inode *in, int64_t end);
void busy_end(struct fs *fs, struct inode *in);
/* Let others have it, until one of them is done or the time (mono) has come. */
void busy_pause(struct fs *fs, struct inode *in, int64_t end);
/* Have the janitor (a file) or the lister (a folder) look at it soon. */
void attn_add(struct fs *fs, struct inode *in);
void attn_add_soon(struct fs *fs, struct inode *in); /* 10 ms are soon */
/* For the janitor itself: it comes back by its own clock. */
void attn_keep(struct fs *fs, struct inode *in);
int64_t attn_left(struct fs *fs, int64_t next); /* it kept some so long */
/* The whole list, by next_taken; one taker of each at a time. */
struct inode *attn_take(struct fs *fs, bool folders);

/* fs.c: the cache disk failed: nothing new is taken. */
bool fs_is_broken(struct fs *fs);

/* tx.c: transactions, and what goes with every change */
int tx_begin(struct fs *fs);
/* Commit if r is 0.  The lock stays: memory that mirrors the rows follows them
 * before anybody else may look, then tx_close(). */
int tx_commit(struct fs *fs, int r);
/* End it, with what tx_commit() gave; tells barrier and transfer. */
int tx_close(struct fs *fs, int r, uint64_t kick_seq, bool kick);
/* Both, where no memory follows. */
int tx_end(struct fs *fs, int r, uint64_t kick_seq, bool kick);
int op_add(struct fs *fs, enum meta_op_kind kind, uint64_t ino, uint64_t vid,
	   const char *key, const char *to, bool final, uint64_t *ret_seq);
/* A put, with the number that was newest when its file was opened.
 * transfer_settle() once the names are as they are to be. */
int op_put(struct fs *fs, struct inode *in, const struct meta_version *v,
	   const char *key, uint64_t open_seq, uint64_t *ret_seq);
/* A version row more, one less; the blob dies with its last. */
int version_add(struct fs *fs, struct meta_version *v);
/* What lies in the bucket of one in conflict is deleted, and while the line has
 * use for it its row stays. */
int version_drop(struct fs *fs, const struct meta_version *v);
/* What it was opened over goes, but for what the line still has use for and
 * what is kept for recover; v and its row say what is left. */
int version_drop_replaced(struct fs *fs, struct meta_version *v);
/* Both: nobody will fall back on any of them. */
int versions_drop(struct fs *fs, struct meta_version *v);
/* A state that waits for somebody's word: nothing drops such a version by
 * itself.  Pure. */
bool version_is_kept(enum meta_state state);
/* Such a one lies beside what its name shows from now on, or without a name. */
int version_keep(struct fs *fs, struct meta_version *v);
/* Take a version out of the chain of what vid was opened over, if it is in. */
int version_leave_chain(struct fs *fs, uint64_t vid,
			const struct meta_version *out);
/* A version row that exists speaks of this blob from now on. */
int blob_gained(struct fs *fs, uint64_t blob, uint64_t bytes);
/* One of several versions that share it has another now. */
int blob_left(struct fs *fs, uint64_t blob);
/* The blob of a version row is this long now. */
int blob_sized(struct fs *fs, const struct meta_version *v);
/* Does the bucket, or the line, hold anything under the key of this inode? */
bool needs_delete(struct fs *fs, const struct inode *in, const char *key);

/* name.c */
/* 0 or an errno: a name about to be given in dir. */
int name_check_new(struct fs *fs, const struct inode *dir, const char *name);
/* Pinned, or NULL. */
struct inode *child_pinned(struct fs *fs, struct inode *dir, const char *name);
/* in a transaction */
/* Pin a folder, load it, begin a transaction that changes it. */
int dir_begin(struct fs *fs, uint64_t parent, const char *name,
	      struct inode **ret);
int dir_touch(struct fs *fs, struct inode *dir);
int child_add(struct fs *fs, const struct fs_ctx *ctx, struct inode *dir,
	      const char *name, struct meta_inode *row, struct inode **ret);
void child_undo(struct fs *fs, struct inode *dir, const char *name,
		struct inode *in);
/* superseded: by another file of its name, and nobody said to delete it. */
int unlink_inode(struct fs *fs, struct inode *dir, struct inode *in,
		 bool superseded);
/* The same without settling what it owes: the caller does, once the name has
 * another file. */
int unlink_rows(struct fs *fs, struct inode *dir, struct inode *in,
		bool superseded);
void unlink_done(struct fs *fs, struct inode *dir, struct inode *in);
/* -ENOTEMPTY: the bucket has in this folder what no mount can show, or bytes in
 * its marker, which would be lost. */
int marker_check(struct fs *fs, struct inode *dir);
int marker_due(struct fs *fs, struct inode *dir);

/* kept_gone.c: names that go, and what is kept of them; in a transaction */
/* If something of a file about to lose its name is to stay: its key, too. */
int kept_note_key(struct fs *fs, struct inode *in, bool superseded);
/* What it showed goes, or is kept if it was merely superseded. */
int kept_let_go(struct fs *fs, struct meta_version *v, bool superseded);
/* The row of an inode without a name goes, unless kept_note_key() noted. */
int kept_inode_del(struct fs *fs, const struct inode *in);
/* This row is there for what is kept of it alone. */
bool kept_is_nameless(const struct meta_inode *row);
/* A version other than `but` left it: a row of no use any more goes. */
int kept_left(struct fs *fs, uint64_t ino, uint64_t but);

/* held.c: the files below a folder that are no longer held back once it has its
 * new name, by seal.  Zeroed first; META held. */
struct held_file;
struct held {
	struct held_file *v;
	size_t n, cap;
};
/* Find them and give them their places, behind what is in the line; in a
 * transaction, the names in memory as before. */
int held_place(struct fs *fs, const char *from, const char *to, struct held *h);
/* The rows of names are as they are to be. */
int held_settle(struct fs *fs, const struct held *h);
/* Committed; ns held, too. */
void held_let_go(const struct held *h);
void held_release(struct held *h);
/* In a transaction: a held version gets its place under key, which is none to be
 * held back under, or no longer. */
int held_put(struct fs *fs, uint64_t ino, struct meta_version *v,
	     const char *key, uint64_t *ret_seq);
/* The same if key is no temporary name: its inode shows v again, which was held
 * under another one.  *ret_seq is left alone if there is no place. */
int held_shown(struct fs *fs, uint64_t ino, struct meta_version *v,
	       const char *key, uint64_t *ret_seq);

/* row_path.c: the path of a row below the mount, by rows alone; "" if it has
 * none.  In a transaction. */
int row_path(struct meta *m, const struct meta_inode *row,
	     char ret[META_KEY_MAX + 1]);

/* attr.c */
void attr_fill(struct fs *fs, struct inode *in, struct fs_attr *ret);
void entry_fill(struct fs *fs, struct inode *in, struct fs_entry *ret);
/* Somebody changes its bytes of which the kernel does not say so by a SETATTR:
 * setuid bits go.  busy held. */
int attr_drop_setuid(struct fs *fs, const struct fs_ctx *ctx, struct inode *in);

/* list.c */
int dir_refresh(struct fs *fs, struct inode *dir, bool must);
int dir_refresh_missing(struct fs *fs, struct inode *dir);
int dir_refresh_now(struct fs *fs, struct inode *dir);
/* Wait until a listing begun at since (mono) or later has ended: 0, -EIO: it
 * failed, or -ETIMEDOUT: none had by then. */
int dir_listed_since(struct fs *fs, struct inode *dir, int64_t since,
		     int64_t end);
/* unload.c: more names are in memory by now; and, for the lister, let go of some
 * if they are too many: how long until it is to look again. */
void names_note(struct fs *fs);
int64_t names_trim(struct fs *fs);

/* list_merge.c: list a folder and merge what is told.  1: done; 0: to be done
 * again; -ESTALE: it has no name any more. */
int list_once(struct fs *fs, struct inode *dir);
/* complete.c: mode, mtime and kind of a file are exact. */
int meta_complete(struct fs *fs, struct inode *in);
/* For a stat: the same as long as few of them had to ask.  Gone is success. */
int meta_look(struct fs *fs, struct inode *in);

/* live.c: busy held */
int live_get(struct fs *fs, struct inode *in); /* in->live exists */
/* Let go of the descriptors, the download and the memory. */
void live_drop(struct fs *fs, struct inode *in);
/* Descriptors on the current version's blob. */
int live_open_blob(struct fs *fs, struct inode *in, bool write);
void live_close_blob(struct fs *fs, struct inode *in);
int live_stat(struct fs *fs, struct inode *in, struct disk_stat *ret);
/* Begin (or join) the download of a version that is not all here; wait for
 * all of it if whole.  -ESTALE: the bucket has it no more. */
int live_hydrate(struct fs *fs, struct inode *in, bool whole);
/* If the whole object is here: durable first, then the row says complete. */
int live_complete(struct fs *fs, struct inode *in);
/* Make v, a new row, the inode's current version, and drop another if told
 * to; one transaction. */
int live_switch(struct fs *fs, struct inode *in, struct meta_version *v,
		const struct meta_version *drop);
void live_backing_close(struct fs *fs, struct inode *in);
bool may_pass_through(struct fs *fs);
/* Whether all of a file can be read without the bucket; *ret_size: of it. */
bool is_whole(struct fs *fs, const struct inode *in, uint64_t *ret_size);
/* So many bytes can; busy not held. */
uint64_t bytes_here(struct fs *fs, struct inode *in, uint64_t *ret_size);

/* torn.c.  1: to be held back; 0: whole, as far as can be told; or an error:
 * nobody could look now. */
int seal_torn(struct fs *fs, struct inode *in, const char *key, uint64_t size);
/* seal.c: busy held */
int seal_file(struct fs *fs, struct inode *in, bool final);
/* After the last handle is gone (or later): ask for the lease, settle. */
int seal_settle(struct fs *fs, struct inode *in);
/* What moved since its seal has a row of its own that is not sealed. */
int open_again(struct fs *fs, struct inode *in);
int seal_withdraw(struct fs *fs, struct inode *in);
/* A provisional seal has its final word. */
int seal_final(struct fs *fs, struct inode *in);
/* Look at it again, less and less soon. */
void ask_later(struct fs *fs, struct inode *in);
/* No lock and no busy flag held. */
int wait_remote(struct fs *fs, const char *key, uint64_t seq);

/* In a transaction: a folder with something in it needs no marker. */
int marker_drop(struct fs *fs, uint64_t parent);
/* The blob has holes before size. */
bool has_hole(struct fs *fs, int fd, uint64_t size);

/* unshare.c: busy held */
int open_for_write(struct fs *fs, struct inode *in, int flags);
/* The live blob is about to be made shorter: what was sealed of it must not be;
 * recovery would take it for lost bytes. */
int unshare_for_cut(struct fs *fs, struct inode *in);

/* rest.c */
/* Whether somebody may still write; its bytes as they are.  -EAGAIN: he may.  What
 * readers need stays open. */
int rest_ask(struct fs *fs, struct inode *in, struct disk_stat *ret);
/* Settle one that has readers, but no writer; busy is held.  How long until it
 * wants to be looked at again. */
int64_t rest_settle(struct fs *fs, struct inode *in);
/* Busy, before somebody changes it: a seal that is late has its last word now. */
int rest_word(struct fs *fs, struct inode *in);

/* janitor.c */
int64_t janitor_step(void *arg);
int64_t lister_step(void *arg);
int64_t keeper_step(void *arg); /* room.c */
int64_t writeout_step(void *arg); /* writeout.c */

/* room.c */
/* For an open for writing; may wait: nothing held. */
int room_for_open(struct fs *fs);
/* For n bytes on the ordinary path; may wait: nothing held. */
int room_for_bytes(struct fs *fs, size_t n);
/* A new open for writing may go past the daemon. */
bool room_is_ample(struct fs *fs);
/* Handles that write past the daemon: one more, one less. */
void room_writer(struct fs *fs, int delta);
/* Bytes that are only here. */
uint64_t dirty_bytes(struct fs *fs);
/*
 * For n bytes from the bucket, letting go only of what was not used since
 * before (real).  fits: whether there is, and how much there is at most; make:
 * there is now, or -ENOSPC.  May wait for the disk: nothing held.
 */
bool room_fits(struct fs *fs, uint64_t n, int64_t before, uint64_t *ret_most);
int room_make(struct fs *fs, uint64_t n, int64_t before, uint64_t *ret_most);

/* evict.c: before (real): of what was not used since; INT64_MAX: of all */
/* Bytes that could be let go. */
uint64_t evictable(struct fs *fs, int64_t before);
/* Bytes the bucket has, too, of files that are open. */
uint64_t bytes_in_use(struct fs *fs);
/* Let go of at least so much, if there is; ret: how much. */
uint64_t evict(struct fs *fs, uint64_t need, int64_t before);
/* One published, closed file's local bytes; busy held.  -EBUSY: it is not;
 * -EAGAIN: somebody has it mapped. */
int evict_one(struct fs *fs, struct inode *in);
/* A file that is in no line, and why; NULL: nothing to say.  control.c */
const char *loose_state(const struct inode *in, const char **why,
			bool *at_risk);

/* watch.c: whether somebody has asked for its download, and its end: told once,
 * with busy held. */
bool is_watched(struct fs *fs, uint64_t ino);
void watch_tell(struct fs *fs, uint64_t ino, int err);

/* writeout.c: busy held; open for writing from now on, no longer */
void writeout_add(struct fs *fs, struct inode *in);
void writeout_del(struct fs *fs, struct inode *in);

/* known.c: every file with bytes here is in memory from here on */
int known_load(struct fs *fs);

/* recover.c */
int recover_open_versions(struct fs *fs);
/* recover_owed.c: in a transaction, once inodes show what they are to show */
int recover_owed(struct fs *fs);
/* The same of one inode, whose row shows an earlier version again: its object
 * follows the name, or it is published once more. */
int owed_set_back(struct fs *fs, uint64_t ino);
/* This row shows an earlier version, which was published: if another file took
 * the place of its object, it is published once more. */
int owed_stepped_back(struct fs *fs, const struct meta_inode *row);
/* What it shows again is put into the bucket, if its bytes are here. */
int publish_again(struct fs *fs, const struct meta_inode *row, const char *key);
/* The key of an inode whose folders may not be in memory yet. */
int key_of_row(struct fs *fs, const struct meta_inode *row,
	       char ret[META_KEY_MAX + 1]);
/* recover_tail.c: after a power cut, of all versions; before any is looked at */
int recover_tails(struct fs *fs, const struct meta_version *v, size_t n);

/* conflict.c */
/* In a transaction: what version_drop() does to one in conflict.  1: its row
 * stays, and goes with its place. */
int conflict_drop(struct fs *fs, const struct meta_version *v);
/* In a transaction: an older losing side of the same name gives way to v. */
int conflict_supersede(struct fs *fs, struct meta_version *v);
/* Those of a cache that knew no other place for them than this machine. */
int conflict_load(struct fs *fs);
/* Whether this version is in conflict; no lock held. */
bool conflict_is(struct fs *fs, uint64_t vid);

/* renamed.c: as in struct transfer_events */
int renamed_gone(void *arg, uint64_t ino, const char *key, const char *to,
		 uint64_t seq);

/* events.c */
void events_fill(struct fs *fs, struct transfer_events *ret);

#endif
