/* SPDX-License-Identifier: Apache-2.0 */
/* What the transfer engine tells and asks. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "fs"

/* It came to its end after one that is newer, and did not wait for it: that one
 * falls back on nothing any more. */
static int done_late(struct fs *fs, uint64_t current)
{
	struct meta_version v;
	int r = current ? meta_version_get(fs->meta, current, &v) : -ENOENT;

	if (r == 0 && v.state == META_PUBLISHED)
		r = version_drop_replaced(fs, &v);
	return r == -ENOENT ? 0 : r;
}

static int done_rows(struct fs *fs, uint64_t ino, uint64_t vid, bool published,
		     bool *ret_current, bool *ret_lost)
{
	struct meta_inode row;
	struct meta_version v;
	int r = meta_version_get(fs->meta, vid, &v), g;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	g = meta_inode_get(fs->meta, ino, &row);
	if (g < 0 && g != -ENOENT)
		return g;
	*ret_current = g == 0 && row.vid == vid;
	if (published && v.state == META_PUBLISHED)
		r = version_drop_replaced(fs, &v);
	if (r == 0 && published && g == 0 && !*ret_current)
		r = done_late(fs, row.vid);
	*ret_lost = v.state == META_CONFLICT;
	/* A newer version may still fall back on a published one; one that
	 * another's object kept out is kept for recover. */
	if (r == 0 && *ret_lost && g == 0)
		r = conflict_supersede(fs, &v);
	if (r == 0 && g == -ENOENT) {
		r = versions_drop(fs, &v);
	} else if (r == 0 && !*ret_current && v.state == META_SEALED) {
		r = version_leave_chain(fs, row.vid, &v);
		if (r == 0)
			r = version_drop(fs, &v);
	}
	return r == -ENOENT ? 0 : r;
}

/* The memory follows the rows: what is shown may have lost what it replaced.  In
 * a transaction, with busy held. */
static int done_memory(struct fs *fs, struct inode *in, uint64_t vid,
		       bool current)
{
	struct live *l = in->live;
	struct meta_inode row;
	struct meta_version v = { .vid = 0 };
	int r = meta_inode_get(fs->meta, in->ino, &row);

	if (r == 0 && current)
		r = meta_version_get(fs->meta, vid, &v);
	else if (r == 0 && l && l->ver.vid)
		r = meta_version_get(fs->meta, l->ver.vid, &v);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	lock_acquire(&fs->ns);
	r = inode_set_str(&in->key, row.key);
	if (current) {
		in->state = v.state;
		in->provisional = v.provisional;
		in->seal_seq = 0;
		if (l && l->ver.vid == vid)
			l->ver = v;
	} else if (v.vid) {
		l->ver.replaces = v.replaces;
	}
	lock_release(&fs->ns);
	return r;
}

/* Who has it open for writing learns of it by his next fsync or close.  busy is
 * held. */
static void tell_writers(struct inode *in)
{
	struct fs_file *f;

	for (f = in->live ? in->live->files : NULL; f; f = f->next)
		f->stale |= f->seals;
}

static void version_done(void *arg, uint64_t ino, uint64_t vid, bool published)
{
	struct fs *fs = arg;
	struct inode *in = inode_get(fs, ino);
	bool current = false, lost = false;
	int r;

	if (in)
		busy_begin(fs, in);
	r = tx_begin(fs);
	if (r == 0) {
		r = tx_commit(fs, done_rows(fs, ino, vid, published, &current,
					    &lost));
		if (r == 0 && in && lost)
			tell_writers(in);
		if (r == 0 && in)
			r = done_memory(fs, in, vid, current);
		r = tx_close(fs, r, 0, false);
	}
	if (r < 0)
		(void)log_err(r, "record that version %llu is done",
			      (unsigned long long)vid);
	if (in)
		busy_end(fs, in);
	inode_put(fs, in);
}

static void inode_row(void *arg, const struct meta_inode *row)
{
	struct fs *fs = arg;
	struct inode *in = inode_get(fs, row->ino);

	if (!in)
		return;
	lock_acquire(&fs->ns);
	(void)inode_set_str(&in->key, row->key);
	in->marker = row->marker;
	lock_release(&fs->ns);
	inode_put(fs, in);
}

static void inode_moved(void *arg, uint64_t ino)
{
	struct fs *fs = arg;
	struct inode *in = inode_get(fs, ino);
	struct meta_inode row;

	if (!in)
		return;
	if (tx_begin(fs) == 0) {
		if (meta_inode_get(fs->meta, ino, &row) == 0) {
			lock_acquire(&fs->ns);
			(void)inode_set_str(&in->key, row.key);
			in->marker = row.marker;
			if (in->kind != META_FILE)
				in->seal_seq = 0;
			lock_release(&fs->ns);
		}
		(void)tx_end(fs, 0, 0, false);
	}
	inode_put(fs, in);
}

static void blob_dead(void *arg, uint64_t blob)
{
	struct fs *fs = arg;

	barrier_dead(fs->barrier, blob);
}

static void committed(void *arg)
{
	struct fs *fs = arg;

	barrier_note_change(fs->barrier);
}

static int make_durable(void *arg, uint64_t commits)
{
	struct fs *fs = arg;

	return barrier_cover(fs->barrier, commits);
}

/* A version whose bytes moved leaves the line.  The current one is sealed
 * again when it is at rest; an older one is nobody's any more. */
static int unseal(struct fs *fs, uint64_t ino, uint64_t vid)
{
	struct inode *in = inode_get(fs, ino);
	uint64_t seq = 0;
	int r;

	if (in)
		busy_begin(fs, in);
	if (in && in->vid == vid && in->state == META_SEALED &&
	    live_get(fs, in) == 0) {
		/* Nobody knows any more how it was opened. */
		in->live->not_wronly = in->live->not_append = true;
		lock_acquire(&fs->ns);
		in->live->writing = true;
		lock_release(&fs->ns);
		if (seal_withdraw(fs, in) == 0 && in->live->nopen == 0)
			ask_later(fs, in);
	} else {
		r = tx_begin(fs);
		if (r == 0) {
			r = transfer_place(fs->transfer, vid, &seq);
			if (r == 0 && seq)
				r = transfer_withdraw(fs->transfer, seq);
			r = tx_end(fs, r, seq, true);
		}
		if (r < 0)
			(void)log_err(r, "take back a version that changed");
	}
	if (in)
		busy_end(fs, in);
	inode_put(fs, in);
	return -EAGAIN;
}

/* The last look before a version becomes visible. */
static int still_sealed(void *arg, uint64_t ino, uint64_t vid)
{
	struct fs *fs = arg;
	struct meta_version v;
	struct disk_stat st;
	int r, fd;

	r = tx_begin(fs);
	if (r == 0)
		r = tx_end(fs, meta_version_get(fs->meta, vid, &v), 0, false);
	if (r < 0)
		return r == -ENOENT ? -EAGAIN : r;
	if (!v.seal_ctime_ns || !v.blob)
		return 0;
	fd = cache_blob_open(fs->cache, v.blob, O_RDONLY);
	if (fd < 0)
		return fd == -ENOENT ? -ENODATA : -EIO;
	r = disk_stat(fs->host->disk, fd, &st);
	cache_blob_close(fs->cache, fd);
	if (r < 0)
		return -EIO;
	if (v.append_only ? st.size >= v.size :
			    st.size == v.size && st.ctime_ns == v.seal_ctime_ns)
		return 0;
	log_warn("version %llu changed after its last close: not published "
		 "until it is at rest",
		 (unsigned long long)vid);
	return unseal(fs, ino, vid);
}

/* Readers of an object about to go get all of it first. */
static int before_replace(void *arg, const char *key)
{
	struct fs *fs = arg;
	struct meta_object obj;
	struct inode *in = NULL;
	bool waits = false;
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	r = meta_object_get(fs->meta, key, &obj);
	(void)tx_end(fs, 0, 0, false);
	if (r == 0 && obj.ino)
		in = inode_get(fs, obj.ino);
	if (!in)
		return 0;
	if (!busy_try(fs, in)) {
		inode_put(fs, in);
		return -EAGAIN;
	}
	if (in->live && in->live->nopen && in->live->fetch &&
	    !fetch_settled(in->live->fetch)) {
		fetch_want_all(in->live->fetch, true);
		waits = true;
	}
	busy_end(fs, in);
	inode_put(fs, in);
	return waits ? -EAGAIN : 0;
}

static int any_name(void *arg, const struct meta_inode *row)
{
	(void)arg;
	return !is_local_kind(row->kind);
}

/* By the rows: in memory the names of a folder are only once somebody looked
 * into it.  In doubt it is wanted, for it shows no more than an empty folder.
 */
static bool marker_wanted(void *arg, uint64_t ino)
{
	struct fs *fs = arg;
	struct meta_inode row;
	bool yes = true;

	if (tx_begin(fs) < 0)
		return yes;
	if (meta_inode_get(fs->meta, ino, &row) == 0)
		yes = row.parent &&
		      meta_name_each(fs->meta, ino, any_name, NULL) <= 0;
	(void)tx_end(fs, 0, 0, false);
	return yes;
}

void events_fill(struct fs *fs, struct transfer_events *ret)
{
	*ret = (struct transfer_events){
		.version_done = version_done,
		.inode_row = inode_row,
		.inode_moved = inode_moved,
		.blob_dead = blob_dead,
		.committed = committed,
		.make_durable = make_durable,
		.marker_wanted = marker_wanted,
		.still_sealed = still_sealed,
		.before_replace = before_replace,
		.renamed_gone = renamed_gone,
		.arg = fs,
	};
}
