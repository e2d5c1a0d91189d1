/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening for writing: which blob may change.
 *
 * What the bucket or the line still needs must stay as it is.  So a write goes
 * to a fresh blob (truncation), to a copy, or, where that would be too dear or
 * somebody has the file open, to the blob itself behind a row that says so.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "fs"

static void now_writing(struct fs *fs, struct inode *in,
			const struct disk_stat *st, bool fresh)
{
	struct live *l = in->live;
	bool first = !l->writing || l->nopen == 0; /* of all that write */

	/* What others wrote since its seal is not to go if nothing more comes. */
	fresh |= !first && (l->fresh || st->size != l->clean_size ||
			    st->ctime_ns != l->clean_ctime);
	lock_acquire(&fs->ns);
	if (fresh) {
		in->time_set = false;
		l->taken_ctime = 0;
	} else if (!l->writing) {
		/* Nothing is changed by opening: a copy or a download is
		 * younger than what is in it. */
		in->time_set = true;
		in->time_size = st->size;
		in->time_mtime = st->mtime_ns;
		l->taken_ctime = st->ctime_ns;
	}
	l->writing = true;
	lock_release(&fs->ns);
	l->fresh = fresh;
	l->torn = l->forked = false;
	if (first)
		l->not_wronly = l->not_append = false;
	l->clean_size = st->size;
	l->clean_ctime = st->ctime_ns;
	l->still_since = clk_mono(fs->host->clk);
}

/* Descriptors of a blob that is not in use yet. */
static int open_new(struct fs *fs, uint64_t blob, int *ret_rfd, int *ret_wfd)
{
	int rfd = cache_blob_open(fs->cache, blob, O_RDONLY), wfd;

	if (rfd < 0)
		return log_err(-EIO, "open a new blob: %s", strerror(-rfd));
	wfd = cache_blob_open(fs->cache, blob, O_RDWR);
	if (wfd < 0) {
		cache_blob_close(fs->cache, rfd);
		return log_err(-EIO, "open a new blob: %s", strerror(-wfd));
	}
	*ret_rfd = rfd;
	*ret_wfd = wfd;
	return 0;
}

/*
 * The current version is being changed from here on.  The row comes last: an
 * open that fails leaves the file as it was, and not empty, with nobody but the
 * last close to say what becomes of it.
 */
static int begin(struct fs *fs, struct inode *in, struct meta_version *v,
		 bool fresh, const struct meta_version *drop)
{
	struct live *l = in->live;
	bool in_place = v->blob == l->ver.blob;
	int rfd = -1, wfd = -1;
	struct disk_stat st;
	int r = in_place ? live_open_blob(fs, in, true) :
			   open_new(fs, v->blob, &rfd, &wfd);

	if (r == 0)
		r = disk_stat(fs->host->disk, in_place ? l->rfd : rfd, &st);
	if (r == 0)
		r = live_switch(fs, in, v, drop);
	if (r < 0) {
		cache_blob_close(fs->cache, rfd);
		cache_blob_close(fs->cache, wfd);
		return r;
	}
	if (!in_place) {
		live_close_blob(fs, in);
		lock_acquire(&fs->ns);
		l->rfd = rfd;
		l->wfd = wfd;
		lock_release(&fs->ns);
	}
	now_writing(fs, in, &st, fresh);
	return 0;
}

static struct meta_version unfinished(struct fs *fs, const struct inode *in)
{
	struct meta_version v = { .ino = in->ino,
				  .state = META_UNFINISHED,
				  .complete = true,
				  .mode = in->mode,
				  .replaces = in->vid };

	v.passthrough = may_pass_through(fs);
	v.sealed_real_ns = clk_real(fs->host->clk);
	return v;
}

static int begin_fresh(struct fs *fs, struct inode *in)
{
	struct inode_tag t;
	struct meta_version v = unfinished(fs, in), old;
	struct live *l = in->live;
	bool drop = l->writing && (l->ver.state == META_UNFINISHED ||
				   (l->ver.state == META_SEALED &&
				    l->ver.provisional));
	int r = 0, fd = -1;

	/* Its writers are gone (but for a mapping) and its bytes superseded
	 * before they were ever sealed for good: nobody will see them. */
	if (drop && l->ver.state == META_SEALED)
		r = seal_withdraw(fs, in);
	if (r < 0)
		return r;
	old = l->ver;
	if (drop)
		v.replaces = old.replaces;
	inode_tag(fs, in, &t);
	r = cache_blob_new(fs->cache, &t.tag, O_RDWR, &v.blob, &fd);
	if (r < 0)
		return r;
	cache_blob_close(fs->cache, fd);
	/* it writes to the blob's descriptor until it is dropped */
	if (l->fetch) {
		fetch_drop(l->fetch);
		l->fetch = NULL;
	}
	return begin(fs, in, &v, true, drop ? &old : NULL);
}

/* What was closed and is about to be superseded gives up its place for that.
 * If it is not, after all, it is sealed again. */
static int begin_over(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;
	bool sealed = l->writing && l->ver.state == META_SEALED;
	int r = begin_fresh(fs, in);

	if (r < 0 && sealed && l->ver.state == META_UNFINISHED)
		l->fresh = true;
	return r;
}

static int begin_copy(struct fs *fs, struct inode *in)
{
	struct inode_tag t;
	struct meta_version v = unfinished(fs, in);
	int r = live_open_blob(fs, in, false), fd = -1;

	if (r < 0)
		return r;
	inode_tag(fs, in, &t);
	r = cache_blob_copy(fs->cache, in->live->rfd, in->live->ver.size,
			    &t.tag, &v.blob, &fd);
	if (r < 0)
		return r;
	cache_blob_close(fs->cache, fd);
	return begin(fs, in, &v, false, NULL);
}

static int begin_in_place(struct fs *fs, struct inode *in, bool barrier)
{
	struct meta_version v = unfinished(fs, in);
	int r;

	v.blob = in->live->ver.blob;
	v.size = in->live->ver.size;
	r = begin(fs, in, &v, false, NULL);
	if (r == 0 && barrier)
		r = barrier_now(fs->barrier, CLK_NEVER);
	return r;
}

/* Of a log the line may hold several versions, each the beginning of the next:
 * the copy of the newest has them all. */
static int share_copy(struct fs *fs, uint64_t vid, uint64_t shared,
		      uint64_t copy)
{
	struct meta_version v;
	int r = 0;

	for (; vid && r == 0; vid = v.replaces) {
		r = meta_version_get(fs->meta, vid, &v);
		if (r < 0 || v.blob != shared)
			break;
		if (v.state != META_SEALED || !v.append_only)
			continue;
		v.blob = copy;
		v.passthrough = false;
		v.seal_ctime_ns = 0;
		r = meta_version_set(fs->meta, &v);
		if (r == 0)
			r = blob_gained(fs, copy, v.size);
		if (r == 0)
			r = blob_left(fs, shared);
	}
	return r == -ENOENT ? 0 : r;
}

/* The line keeps its bytes in a copy; the live blob is free to change. */
static int part_from_sealed(struct fs *fs, struct inode *in,
			    struct meta_version *sealed,
			    struct meta_version *row)
{
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	sealed->held = in->live->ver.held;
	r = meta_version_set(fs->meta, sealed);
	if (r == 0)
		r = blob_gained(fs, sealed->blob, sealed->size);
	if (r == 0)
		r = share_copy(fs, sealed->replaces, row->blob, sealed->blob);
	if (r == 0) {
		row->epoch = fs->opts.epoch;
		r = meta_version_add(fs->meta, row); /* takes the old's place */
	}
	if (r == 0)
		r = inode_save_vid(fs, in, row->vid);
	r = tx_commit(fs, r);
	if (r == 0) {
		lock_acquire(&fs->ns);
		in->live->ver = *row;
		in->vid = row->vid;
		in->state = META_UNFINISHED;
		in->seal_seq = 0;
		in->provisional = in->held = false;
		lock_release(&fs->ns);
	}
	return tx_close(fs, r, 0, false);
}

/* A seal that some barrier may cover is not to be found with other bytes.  If
 * they stay, after all, the last close seals them again. */
static int withdraw_for_cut(struct fs *fs, struct inode *in)
{
	int r = seal_withdraw(fs, in);

	if (r < 0)
		return r;
	in->live->fresh = true;
	return barrier_now(fs->barrier, CLK_NEVER);
}

/* A writer went on after the last word: what was sealed is nowhere any more. */
static bool is_changed(const struct meta_version *sealed,
		       const struct disk_stat *st)
{
	return sealed->seal_ctime_ns && !sealed->append_only &&
	       (st->size != sealed->size ||
		st->ctime_ns != sealed->seal_ctime_ns);
}

static int begin_changed(struct fs *fs, struct inode *in,
			 const struct disk_stat *st)
{
	int r;

	if (transfer_underway(fs->transfer, in->live->ver.vid)) {
		/* Sent as it was; or the engine finds out by itself. */
		r = begin_in_place(fs, in, true);
		in->live->fresh = true;
		return r;
	}
	now_writing(fs, in, st, true);
	return withdraw_for_cut(fs, in);
}

/* A blob of its own for what was sealed in the live one.  -ESTALE: that is not
 * there any more, and st says what is. */
static int copy_sealed(struct fs *fs, struct inode *in,
		       const struct meta_version *sealed, uint64_t *ret_blob,
		       struct disk_stat *st)
{
	struct inode_tag t;
	uint64_t blob;
	int r = live_stat(fs, in, st), fd = -1;

	if (r == 0 && is_changed(sealed, st))
		r = -ESTALE;
	if (r < 0)
		return r;
	inode_tag(fs, in, &t);
	r = cache_blob_copy(fs->cache, in->live->rfd, sealed->size, &t.tag,
			    &blob, &fd);
	if (r < 0)
		return r;
	cache_blob_close(fs->cache, fd);
	r = live_stat(fs, in, st);
	if (r == 0 && is_changed(sealed, st))
		r = -ESTALE;
	if (r == 0)
		*ret_blob = blob;
	else if (cache_blob_unlink(fs->cache, blob) < 0)
		log_debug("a blob of no use stays until the next mount");
	return r;
}

static int begin_shared(struct fs *fs, struct inode *in)
{
	struct meta_version sealed = in->live->ver, row = unfinished(fs, in);
	struct disk_stat st;
	int r;

	row.blob = sealed.blob;
	row.size = sealed.size;
	row.passthrough = sealed.passthrough;
	r = copy_sealed(fs, in, &in->live->ver, &sealed.blob, &st);
	if (r == -ESTALE)
		return begin_changed(fs, in, &st);
	if (r < 0)
		return r;
	sealed.passthrough = false;
	sealed.seal_ctime_ns = 0; /* a blob of its own: nobody can move it */
	barrier_note_blob(fs->barrier, sealed.blob, -1);
	r = part_from_sealed(fs, in, &sealed, &row);
	if (r == 0)
		r = live_stat(fs, in, &st);
	if (r < 0)
		return r;
	now_writing(fs, in, &st, false);
	log_info("inode %llu is written to before its last version is "
		 "published: that version goes on from a copy",
		 (unsigned long long)in->ino);
	return barrier_now(fs->barrier, CLK_NEVER);
}

/* There is content and it is to be kept. */
static int begin_change(struct fs *fs, struct inode *in, bool append)
{
	struct live *l = in->live;
	int r = live_hydrate(fs, in, true);

	if (r == 0)
		r = live_complete(fs, in);
	if (r < 0)
		return r;
	if (l->nopen == 0) { /* else readers may be asking it */
		fetch_drop(l->fetch);
		l->fetch = NULL;
	}
	/* The disk lost bytes of it, and will not write them: a copy has them
	 * all anew. */
	if (l->ver.state == META_POISONED)
		return l->nopen == 0 ? begin_copy(fs, in) : -EIO;
	/* What is still to be published keeps its prefix if all its writers
	 * appended, and is judged by it; else by its ctime, which must not
	 * move. */
	if (append && (l->ver.state == META_PUBLISHED || l->ver.append_only))
		return begin_in_place(fs, in, false);
	if (l->ver.state == META_PUBLISHED) {
		if (l->nopen == 0 && l->ver.size <= COPY_MAX)
			return begin_copy(fs, in);
		return begin_in_place(fs, in, true);
	}
	return l->nopen == 0 ? begin_copy(fs, in) : begin_shared(fs, in);
}

/* The version before was sealed in this blob and is there no more: as if it had
 * never been. */
static int forget_replaced(struct fs *fs, struct inode *in,
			   const struct meta_version *old)
{
	struct meta_version v;
	uint64_t seq = 0;
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	v = in->live->ver;
	v.replaces = old->replaces;
	r = transfer_place(fs->transfer, old->vid, &seq);
	if (r == 0 && seq)
		r = transfer_withdraw(fs->transfer, seq);
	if (r == 0)
		r = version_drop(fs, old);
	if (r == 0)
		r = meta_version_set(fs->meta, &v);
	r = tx_commit(fs, r);
	if (r == 0) {
		lock_acquire(&fs->ns);
		in->live->ver = v;
		lock_release(&fs->ns);
		in->live->fresh = true;
	}
	r = tx_close(fs, r, seq, true);
	return r < 0 ? r : barrier_now(fs->barrier, CLK_NEVER);
}

/* Who only appends shares the bytes of the version before; now somebody comes
 * who may change them. */
static int part_from_replaced(struct fs *fs, struct inode *in)
{
	uint64_t shared = in->live->ver.blob;
	struct meta_version old;
	struct disk_stat st;
	int r = meta_begin(fs->meta);

	if (r < 0)
		return r;
	r = meta_version_get(fs->meta, in->live->ver.replaces, &old);
	meta_end(fs->meta);
	if (r < 0 || old.blob != shared)
		return r == -ENOENT ? 0 : r;
	if (old.state != META_SEALED && old.state != META_CONFLICT)
		return barrier_now(fs->barrier, CLK_NEVER);
	r = copy_sealed(fs, in, &old, &old.blob, &st);
	if (r == -ESTALE && transfer_underway(fs->transfer, old.vid))
		return barrier_now(fs->barrier, CLK_NEVER);
	if (r == -ESTALE)
		return forget_replaced(fs, in, &old);
	if (r < 0)
		return r;
	old.passthrough = old.append_only = false;
	old.seal_ctime_ns = 0; /* a blob of its own: nobody can move it */
	barrier_note_blob(fs->barrier, old.blob, -1);
	r = tx_begin(fs);
	if (r < 0)
		return r;
	r = meta_version_set(fs->meta, &old);
	if (r == 0)
		r = blob_gained(fs, old.blob, old.size);
	if (r == 0)
		r = blob_left(fs, shared);
	if (r == 0)
		r = share_copy(fs, old.replaces, shared, old.blob);
	r = tx_end(fs, r, 0, false);
	return r < 0 ? r : barrier_now(fs->barrier, CLK_NEVER);
}

int unshare_for_cut(struct fs *fs, struct inode *in)
{
	const struct meta_version *v = &in->live->ver;

	if (v->state == META_UNFINISHED && v->replaces)
		return part_from_replaced(fs, in);
	if (v->state == META_PUBLISHED)
		return begin_in_place(fs, in, true);
	/* The losing side of a conflict is on its way beside, or kept. */
	if (v->state == META_CONFLICT)
		return begin_shared(fs, in);
	if (v->state != META_SEALED)
		return 0;
	return v->provisional ? withdraw_for_cut(fs, in) : begin_shared(fs, in);
}

int open_for_write(struct fs *fs, struct inode *in, int flags)
{
	bool trunc = flags & O_TRUNC;
	bool append = (flags & (O_ACCMODE | O_APPEND)) == (O_WRONLY | O_APPEND);
	struct live *l;
	int r = fs_is_broken(fs) ? -EIO : live_get(fs, in);

	if (r == 0)
		r = rest_word(fs, in);
	if (r < 0)
		return r;
	l = in->live;
	if (trunc && l->nopen == 0) {
		r = begin_over(fs, in);
	} else {
		if (!l->writing)
			r = begin_change(fs, in, append && !trunc);
		else if (!append && l->ver.append_only &&
			 l->ver.state != META_UNFINISHED)
			r = unshare_for_cut(fs, in);
		else if (!append && l->ver.replaces)
			r = part_from_replaced(fs, in);
		if (r == 0 && trunc)
			r = unshare_for_cut(fs, in);
		if (r == 0 && trunc) {
			r = live_open_blob(fs, in, true);
			if (r == 0)
				r = disk_truncate(fs->host->disk, l->wfd, 0);
		}
	}
	if (r < 0)
		return r;
	if ((flags & O_ACCMODE) != O_WRONLY)
		l->not_wronly = true;
	if (!append)
		l->not_append = true;
	return 0;
}
