/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing: when a file's content becomes a version that is published.
 *
 *	open, written --FLUSH--> provisional seal, with its place in the line
 *	provisional --bytes moved--> withdrawn: no place, nobody waits for it
 *	last RELEASE, lease granted, nothing moved --> final
 *
 * The daemon does not see passthrough writes, and a mapping goes on writing
 * after the last close; so change is told by the blob's (size, ctime), and the
 * kernel is asked for a lease before a seal is final.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "internal.h"
#include "linger.h"

#define LOG_MODULE "fs"
#define REPLACED_ASKS 8 /* of which the last four are a second apart */

static bool moved(const struct live *l, const struct disk_stat *st)
{
	return st->size != l->clean_size || st->ctime_ns != l->clean_ctime;
}

/* Its place in the line, if any, is given up; the version is open again. */
int seal_withdraw(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;
	struct meta_version v;
	uint64_t seq;
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	v = l->ver;
	seq = in->seal_seq; /* a rename may just have given it one */
	v.state = META_UNFINISHED;
	v.provisional = v.held = false;
	r = meta_version_set(fs->meta, &v);
	if (r == 0 && seq)
		r = transfer_withdraw(fs->transfer, seq);
	r = tx_commit(fs, r == -ENOENT ? 0 : r);
	if (r == 0) {
		lock_acquire(&fs->ns);
		l->ver = v;
		in->state = v.state;
		in->provisional = in->held = false;
		in->seal_seq = 0;
		lock_release(&fs->ns);
	}
	return tx_close(fs, r, seq, seq != 0);
}

int marker_drop(struct fs *fs, uint64_t parent)
{
	char key[META_KEY_MAX + 1];
	struct inode *dir = inode_find(fs, parent);
	int r;

	if (!dir || !dir->marker)
		return 0;
	r = key_of_inode(fs, dir, key);
	if (r < 0)
		return r;
	memcpy(key + strlen(key), "/", 2);
	r = op_add(fs, META_OP_DEL, dir->ino, 0, key, NULL, true, NULL);
	if (r < 0)
		return r;
	dir->marker = false;
	return inode_save(fs, dir);
}

/* Holes its writer left: recovery is not to take them for lost bytes. */
bool has_hole(struct fs *fs, int fd, uint64_t size)
{
	int64_t hole = size ? disk_seek_hole(fs->host->disk, fd, 0) : -1;

	return hole >= 0 && (uint64_t)hole < size;
}

static void describe(struct fs *fs, struct inode *in, struct meta_version *v,
		     const struct disk_stat *st, bool final)
{
	bool set = in->time_set && st->size == in->time_size &&
		   st->mtime_ns == in->time_mtime;

	/* Its write-id tells it from what an earlier mount sealed it as. */
	v->epoch = fs->opts.epoch;
	v->state = META_SEALED;
	v->provisional = !final;
	v->held = false;
	v->complete = true;
	v->append_only = !in->live->not_append;
	v->sparse = has_hole(fs, in->live->rfd, st->size);
	v->summed = false;
	v->crc64 = 0;
	v->size = st->size;
	v->mtime_ns = set ? in->mtime_ns : st->mtime_ns;
	v->seal_ctime_ns = st->ctime_ns;
	v->sealed_real_ns = clk_real(fs->host->clk);
	v->mode = in->mode;
}

/* A chmod(2) of the open file is no change of the blob: ctime never goes back. */
static int64_t ctime_sealed(const struct inode *in, const struct meta_version *v)
{
	return in->ctime_ns > v->seal_ctime_ns ? in->ctime_ns : v->seal_ctime_ns;
}

/* The rows of a seal, in a transaction. */
static int seal_rows(struct fs *fs, struct inode *in, struct meta_version *v,
		     const char *key, uint64_t *seq)
{
	struct meta_inode row;
	int r = 0;

	if (in->seal_seq && v->vid == in->vid)
		r = transfer_withdraw(fs->transfer, in->seal_seq);
	if (r == -ENOENT)
		r = 0;
	if (r == 0)
		r = meta_version_set(fs->meta, v);
	if (r == 0)
		r = blob_sized(fs, v);
	if (r == 0 && v->state == META_SEALED && !v->held)
		r = op_put(fs, in, v, key, in->live->open_seq, seq);
	if (r == 0 && *seq)
		r = transfer_settle(fs->transfer, in->ino, v->vid);
	if (r == 0 && *seq)
		r = marker_drop(fs, in->parent);
	if (r < 0)
		return r;
	inode_to_row(in, &row);
	row.size = v->size;
	row.mtime_ns = v->mtime_ns;
	row.meta_known = true;
	row.ctime_ns = ctime_sealed(in, v);
	return meta_inode_set(fs->meta, &row);
}

static void sealed_memory(struct fs *fs, struct inode *in,
			  const struct meta_version *v, uint64_t alloc,
			  uint64_t seq)
{
	lock_acquire(&fs->ns);
	in->alloc = alloc;
	in->alloc_vid = v->sparse ? v->vid : 0;
	in->live->ver = *v;
	in->state = v->state;
	in->provisional = v->provisional;
	in->held = v->held;
	in->sealed_real_ns = v->sealed_real_ns;
	in->seal_seq = seq;
	in->size = v->size;
	in->mtime_ns = v->mtime_ns;
	in->ctime_ns = ctime_sealed(in, v);
	in->meta_known = true;
	lock_release(&fs->ns);
}

/* A seal that is published or on its way is not touched again: what was written
 * since is the next version, in the same blob.  Any other gives up its place in
 * the transaction that gives it the next: what it replaced may be gone. */
static int next_version(struct fs *fs, struct inode *in)
{
	struct meta_version v = in->live->ver;

	if (v.state == META_UNFINISHED || v.state == META_TORN ||
	    (v.state == META_SEALED &&
	     (v.provisional || !transfer_underway(fs->transfer, v.vid))))
		return 0;
	v.replaces = v.vid;
	v.state = META_UNFINISHED;
	return live_switch(fs, in, &v, NULL);
}

/* The end of a transaction that gave a file its place in the line, or said that
 * it is final. */
static int close_sealed(struct fs *fs, int r, uint64_t seq, bool kick)
{
	r = tx_close(fs, r, 0, false);
	if (r == 0 && kick)
		transfer_kick_soon(fs->transfer, seq);
	return r;
}

/* The content as it is now gets its place in the line. */
int seal_file(struct fs *fs, struct inode *in, bool final)
{
	char key[META_KEY_MAX + 1];
	struct live *l = in->live;
	struct meta_version v;
	struct disk_stat st;
	uint64_t seq = 0, old;
	int r = l->ver.state == META_POISONED ? -EIO : next_version(fs, in);

	v = l->ver;
	if (r == 0)
		r = live_stat(fs, in, &st);
	if (r == 0) /* live_stat() has opened it */
		barrier_note_blob(fs->barrier, v.blob,
				  disk_dup(fs->host->disk, l->rfd));
	if (r == 0)
		r = tx_begin(fs);
	if (r < 0)
		return r;
	describe(fs, in, &v, &st, final);
	r = key_of_inode(fs, in, key);
	if (r == 0) {
		v.held = transfer_name_is_temporary(key_path(fs, key));
		r = seal_torn(fs, in, key, st.size);
		if (r == 1) {
			v.state = META_TORN;
			v.held = v.provisional = false;
		}
	}
	if (r >= 0)
		r = seal_rows(fs, in, &v, key, &seq);
	old = in->seal_seq;
	r = tx_commit(fs, r);
	if (r == 0)
		sealed_memory(fs, in, &v, st.alloc, seq);
	r = close_sealed(fs, r, old, old || seq);
	if (r < 0)
		return r;
	l->fresh = false;
	l->clean_size = st.size;
	l->clean_ctime = st.ctime_ns;
	l->still_since = clk_mono(fs->host->clk);
	/* A clock runs: until it is at rest, or published all the same. */
	if (v.provisional || v.held)
		attn_add_soon(fs, in);
	return 0;
}

int seal_final(struct fs *fs, struct inode *in)
{
	struct meta_version v;
	struct meta_op op;
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	v = in->live->ver;
	v.provisional = false;
	r = meta_version_set(fs->meta, &v);
	if (r == 0 && in->seal_seq) {
		r = meta_op_get(fs->meta, in->seal_seq, &op);
		op.final = true;
		if (r == 0)
			r = meta_op_set(fs->meta, &op);
	}
	r = tx_commit(fs, r);
	if (r == 0) {
		lock_acquire(&fs->ns);
		in->live->ver = v;
		in->provisional = false;
		lock_release(&fs->ns);
	}
	return close_sealed(fs, r, in->seal_seq, true);
}

/* Opened for writing and left as it was: the version before stands. */
static int revert(struct fs *fs, struct inode *in)
{
	struct meta_version v = in->live->ver, before;
	char key[META_KEY_MAX + 1];
	uint64_t seq = 0;
	bool held;
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	r = version_drop(fs, &v);
	if (r == 0)
		r = inode_save_vid(fs, in, v.replaces);
	if (r == 0)
		r = meta_version_get(fs->meta, v.replaces, &before);
	if (r == 0 && before.state == META_SEALED && !before.held)
		r = transfer_place(fs->transfer, before.vid, &seq);
	held = r == 0 && before.held;
	if (held)
		r = key_of_inode(fs, in, key);
	if (held && r == 0)
		r = held_shown(fs, in->ino, &before, key, &seq);
	held = held && seq;
	r = tx_commit(fs, r == -ENOENT ? -EIO : r);
	if (r == 0) {
		lock_acquire(&fs->ns);
		inode_show_version(in, &before, seq);
		lock_release(&fs->ns);
	}
	return tx_close(fs, r, 0, held);
}

/* Unlinked and closed: nothing of it is needed, save what the line holds. */
static int drop_unlinked(struct fs *fs, struct inode *in)
{
	struct meta_version v = { .vid = 0 };
	bool writing = in->live && in->live->writing;
	uint64_t seq = 0;
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	if (in->vid)
		r = meta_version_get(fs->meta, in->vid, &v);
	if (r < 0 && r != -ENOENT)
		return tx_end(fs, r, 0, false);
	r = 0;
	if (v.vid && v.state == META_SEALED && v.provisional && in->seal_seq) {
		seq = in->seal_seq;
		r = transfer_withdraw(fs->transfer, seq);
		if (r == 0)
			r = versions_drop(fs, &v);
	} else if (v.vid && !in->seal_seq) {
		r = kept_let_go(fs, &v, in->target && !writing);
	}
	if (r == 0)
		r = kept_inode_del(fs, in);
	if (r == 0 || r == -ENOENT)
		r = transfer_settle(fs->transfer, in->ino, 0);
	r = tx_commit(fs, r);
	if (r == 0)
		in->orphaned = false;
	r = tx_close(fs, r, seq, true);
	if (r == 0)
		live_drop(fs, in);
	return r;
}

void ask_later(struct fs *fs, struct inode *in)
{
	static const int64_t after[] = { 100000, NS_PER_MS, 10 * NS_PER_MS,
					 100 * NS_PER_MS };
	struct live *l = in->live;
	unsigned i = l->asks++;

	if (i == 4)
		log_info("inode %llu: still mapped or written to by somebody "
			 "after its last close: not final yet",
			 (unsigned long long)in->ino);
	l->asking = true;
	l->ask_at = clk_mono(fs->host->clk) + (i < 4 ? after[i] : NS_PER_S);
	attn_add(fs, in);
}

static bool is_named(struct fs *fs, const struct inode *in)
{
	return inode_parent(fs, in) || in->ino == FS_ROOT_INO;
}

/* Its download, if any, has come to an end, and the row says so. */
static bool is_settled(const struct live *l)
{
	if (!l->fetch)
		return true;
	if (!fetch_settled(l->fetch))
		return false;
	/* Else it is the janitor's turn, who has been told. */
	return !fetch_complete(l->fetch) || l->ver.complete || l->lost;
}

/* The same once nobody reads it, either. */
static int ask(struct fs *fs, struct inode *in, struct disk_stat *ret)
{
	live_backing_close(fs, in);
	return rest_ask(fs, in, ret);
}

/*
 * The name has another content by now, which is later in the line: what was
 * closed in between must not show before this one, so its seal gets its final
 * word if that takes no longer than a few seconds.
 */
static int settle_unlinked(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;
	struct disk_stat st;
	int r;

	if (!in->replaced || !l || !l->ver.provisional || !in->seal_seq)
		return drop_unlinked(fs, in);
	r = ask(fs, in, &st);
	if (r == -EAGAIN && l->asks < REPLACED_ASKS) {
		ask_later(fs, in);
		return 0;
	}
	if (r == 0 && !moved(l, &st) && !l->fresh)
		r = seal_final(fs, in);
	return r < 0 && r != -EAGAIN ? r : drop_unlinked(fs, in);
}

int seal_settle(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;
	struct disk_stat st;
	int r = 0;

	if (l && l->nopen)
		return 0;
	if (!is_named(fs, in) && (l || in->orphaned))
		return settle_unlinked(fs, in);
	if (!l)
		return 0;
	if (!l->writing) {
		if (is_settled(l))
			live_drop(fs, in);
		else if (!fetch_settled(l->fetch))
			linger_begin(fs, in);
		return 0;
	}
	r = ask(fs, in, &st);
	if (r == -EAGAIN) {
		ask_later(fs, in);
		return 0;
	}
	if (r < 0)
		return r;
	l->asking = false;
	if (l->ver.state == META_POISONED) {
		r = 0; /* no seal makes it good: it waits for recover */
	} else if (!moved(l, &st) && !l->fresh) {
		if (l->ver.state == META_UNFINISHED && l->ver.replaces)
			r = revert(fs, in);
		else if (l->ver.state == META_UNFINISHED)
			r = seal_file(fs, in, true);
		else if (l->ver.provisional)
			r = seal_final(fs, in);
	} else {
		r = seal_file(fs, in, true);
	}
	if (r == 0)
		live_drop(fs, in);
	return r;
}

static bool is_opener(const struct inode *in, pid_t tgid)
{
	const struct fs_file *f;

	for (f = in->live->files; f; f = f->next)
		if (f->seals && f->tgid == tgid)
			return true;
	return false;
}

/* close(2) of this one returns when the bucket has it. */
static bool waits_remote(const struct fs *fs, const struct fs_file *file)
{
	return fs->opts.close_mode == FS_REMOTE ||
	       (fs->opts.fsync_remote && file->fsynced);
}

static int flush_busy(struct fs *fs, const struct fs_ctx *ctx,
		      struct fs_file *file)
{
	struct fs_who who = { .tgid = ctx->pid };
	struct inode *in = file->in;
	struct live *l = in->live;
	struct disk_stat st;
	/* What was appended stays as it is, whoever goes on appending. */
	bool final = waits_remote(fs, file) || !l->not_append;
	int r;

	if (fs->kernel.who)
		fs->kernel.who(fs->kernel.arg, ctx->pid, &who);
	if (!ctx->pid && !__atomic_exchange_n(&fs->unseen_writers, true,
					      __ATOMIC_RELAXED))
		log_warn("writers are in another pid namespace: whether one "
			 "was killed cannot be told, and close does not wait");
	if (!who.tgid || !is_opener(in, who.tgid)) {
		l->forked = true; /* counts only if RELEASE follows */
		return 0;
	}
	l->torn = who.signaled;
	if (!inode_parent(fs, in))
		return 0;
	if (l->ver.state == META_POISONED) /* whatever was written since */
		return -EIO;
	r = live_stat(fs, in, &st);
	if (r == 0 && (l->fresh || moved(l, &st)))
		r = seal_file(fs, in, final);
	else if (r == 0 && l->ver.provisional && waits_remote(fs, file))
		r = seal_final(fs, in); /* of another's close; else no end */
	/* unlinked just now */
	return r == -ENOENT && !inode_parent(fs, in) ? 0 : r;
}

int wait_remote(struct fs *fs, const char *key, uint64_t seq)
{
	int64_t t = fs->opts.remote_timeout_ns;
	int r = transfer_wait(fs->transfer, key, seq,
			      t == CLK_NEVER ? t :
					       clk_mono(fs->host->clk) + t);

	return r == -ETIMEDOUT || r == -ECANCELED ? -EIO : r;
}

int fs_flush(struct fs *fs, const struct fs_ctx *ctx, struct fs_file *file)
{
	char key[META_KEY_MAX + 1];
	struct inode *in = file->in;
	uint64_t seq, vid;
	bool lost;
	int r;

	if (!file->seals) {
		reader_flush(fs, ctx, file);
		return 0;
	}
	busy_begin(fs, in);
	r = flush_busy(fs, ctx, file);
	file->flushed = true;
	seq = in->seal_seq;
	vid = in->vid;
	lost = file->stale;
	if (r == 0 && seq && waits_remote(fs, file) &&
	    key_of_inode(fs, in, key) < 0)
		seq = 0; /* unlinked: the bucket is not to have it */
	busy_end(fs, in);
	if (r == 0 && fs->opts.close_mode != FS_ASYNC)
		r = barrier_now(fs->barrier, CLK_NEVER);
	if (r == 0 && seq && waits_remote(fs, file)) {
		r = wait_remote(fs, key, seq);
		lost |= r == 0 && conflict_is(fs, vid);
	}
	return r == 0 && lost ? -ESTALE : r;
}

/* What was written after a seal is safe only if some row speaks of it.  The
 * seal itself stands if it is final: what waits for it would wait for ever. */
int open_again(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;
	struct meta_version v = l->ver;
	struct disk_stat st;
	int r;

	if (v.state != META_SEALED && v.state != META_PUBLISHED)
		return 0;
	r = live_stat(fs, in, &st);
	if (r < 0 || !moved(l, &st))
		return r;
	if (v.provisional)
		return seal_withdraw(fs, in);
	v.replaces = v.vid;
	v.state = META_UNFINISHED;
	v.held = false;
	return live_switch(fs, in, &v, NULL);
}

int fs_fsync(struct fs *fs, struct fs_file *file, bool datasync)
{
	struct inode *in = file->in;
	bool lost;
	int r = 0;

	busy_begin(fs, in);
	lost = file->stale;
	if (in->live && in->live->writing) {
		r = open_again(fs, in);
		barrier_note_blob(fs->barrier, in->live->ver.blob, -1);
	}
	file->fsynced = true;
	busy_end(fs, in);
	/* A file open for writing, or under a temporary name, waits for the
	 * bucket at close or rename: its bytes may not be published yet. */
	if (r == 0)
		r = barrier_now(fs->barrier, CLK_NEVER);
	return r == 0 && lost ? -ESTALE : r;
}
