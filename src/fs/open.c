/* SPDX-License-Identifier: Apache-2.0 */
/* open(2), creat(2) and the last close. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "linger.h"
#include "used.h"

#define LOG_MODULE "fs"

static bool writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

/* The first open of an inode settles how all of them go until the last close:
 * the kernel allows no mixture. */
static void choose_io(struct fs *fs, struct inode *in, bool write)
{
	struct live *l = in->live;
	int id;

	if (l->nopen > 0)
		return;
	l->io = FS_IO_CACHED;
	if (!may_pass_through(fs) || (l->fetch && !l->writing) ||
	    (write && !room_is_ample(fs)))
		return;
	id = fs->kernel.backing_open(fs->kernel.arg, l->rfd);
	if (id <= 0) {
		if ((id == -EPERM || id == -EOPNOTSUPP || id == -ENOSYS) &&
		    !__atomic_exchange_n(&fs->through_refused, true,
					 __ATOMIC_RELAXED) &&
		    id != -ENOSYS)
			log_warn("the kernel refuses passthrough (%s): files "
				 "take the ordinary path",
				 strerror(-id));
		return;
	}
	l->backing_id = id;
	l->io = FS_IO_PASSTHROUGH;
}

/* A blob the kernel was given once is never punched or cut by us: its row
 * says so before the first byte can go around us. */
static int note_passthrough(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;
	struct meta_version v;
	int r;

	if (l->io != FS_IO_PASSTHROUGH || l->ver.passthrough)
		return 0;
	r = tx_begin(fs);
	if (r == 0) {
		v = l->ver;
		v.passthrough = true;
		r = tx_end(fs, meta_version_set(fs->meta, &v), 0, false);
	}
	if (r == 0)
		l->ver.passthrough = true;
	return r;
}

static void count_open(struct fs *fs, enum fs_io io)
{
	lock_acquire(&fs->count_lock);
	if (io == FS_IO_PASSTHROUGH)
		fs->opens_passthrough++;
	else
		fs->opens_cached++;
	fs->open_files++;
	lock_release(&fs->count_lock);
}

/* A copy less, for a handle that has no use for the page cache: it cannot
 * read, nor be mapped. */
static enum fs_io io_of(struct fs *fs, const struct live *l, int flags)
{
	if (l->io == FS_IO_CACHED && (flags & O_ACCMODE) == O_WRONLY &&
	    fs->kernel.direct_writes &&
	    fs->kernel.direct_writes(fs->kernel.arg))
		return FS_IO_DIRECT;
	return l->io;
}

/*
 * Reads are the kernel's and not seen, so atime moves as a file is opened to be
 * read; and, as with relatime, only if it is not later than the last change, or
 * a day old.
 */
static bool atime_is_due(const struct fs *fs, const struct inode *in, int flags,
			 int64_t now)
{
	return !writes(flags) && !(flags & O_NOATIME) && !fs->opts.noatime &&
	       (in->atime_ns <= in->mtime_ns || in->atime_ns <= in->ctime_ns ||
		now - in->atime_ns >= 24 * 3600 * NS_PER_S);
}

/* From here on it is open. */
static void note_use(struct fs *fs, struct inode *in, int flags)
{
	int64_t now = clk_real(fs->host->clk);

	lock_acquire(&fs->ns);
	in->pins++;
	used_note(fs, in);
	if (atime_is_due(fs, in, flags, now))
		in->atime_ns = now;
	lock_release(&fs->ns);
}

/* busy is held; in->live is ready to be used.  f is taken if that succeeds. */
static int attach(struct fs *fs, const struct fs_ctx *ctx, struct inode *in,
		  int flags, struct fs_file *f, struct fs_opened *ret)
{
	struct fs_who who = { .tgid = ctx->pid };
	struct live *l = in->live;
	int r = live_open_blob(fs, in, false);

	if (r == 0) {
		choose_io(fs, in, writes(flags));
		r = note_passthrough(fs, in);
	}
	if (r == 0 && l->io != FS_IO_PASSTHROUGH)
		r = live_open_blob(fs, in, writes(flags));
	if (r < 0)
		return r;
	if (l->io == FS_IO_PASSTHROUGH && l->wfd >= 0) {
		/* Our own writable descriptor would refuse us the lease. */
		cache_blob_close(fs->cache, l->wfd);
		l->wfd = -1;
	}
	if (fs->kernel.who)
		fs->kernel.who(fs->kernel.arg, ctx->pid, &who);
	f->in = in;
	f->flags = flags;
	f->writable = writes(flags);
	f->seals = f->writable || (flags & O_TRUNC);
	f->tgid = who.tgid;
	f->next = l->files;
	if (l->files)
		l->files->prev = f;
	l->files = f;
	l->nopen++;
	l->nwrite += f->writable;
	if (f->writable && l->nwrite == 1)
		writeout_add(fs, in);
	note_use(fs, in, flags);
	count_open(fs, l->io);
	if (f->writable && l->io == FS_IO_PASSTHROUGH)
		room_writer(fs, 1);
	if (f->writable && !l->snapped_at)
		l->snapped_at = clk_mono(fs->host->clk);
	if (f->writable)
		attn_add_soon(fs, in); /* a log is published while open */
	ret->file = f;
	ret->io = io_of(fs, l, flags);
	f->direct = ret->io == FS_IO_DIRECT;
	ret->backing_id = l->backing_id;
	ret->keep_cache = false;
	return 0;
}

/* O_TRUNC beside handles whose close is on its way: give them a moment. */
static void await_release(struct fs *fs, struct inode *in)
{
	int64_t end = clk_mono(fs->host->clk) + 50 * NS_PER_MS;
	const struct fs_file *f;

	while (in->live && in->live->nopen) {
		for (f = in->live->files; f; f = f->next)
			if (!f->flushed)
				return;
		busy_pause(fs, in, end);
		if (clk_mono(fs->host->clk) >= end)
			return;
	}
}

/*
 * O_TRUNC right after the last close: what was closed has its place in the line,
 * and is to keep it, but is not final while the kernel or a mapping holds the
 * blob.  Mostly that ends within a millisecond.
 */
static void await_final(struct fs *fs, struct inode *in)
{
	int64_t end = clk_mono(fs->host->clk) + 200 * NS_PER_MS;

	while (in->live && in->live->nopen == 0 && in->live->asking &&
	       in->provisional && clk_mono(fs->host->clk) < end)
		busy_pause(fs, in, end);
}

/* For so long what the store gave shows that it has that version. */
#define PROOF_NS NS_PER_S

/*
 * A download has a byte from the store before open(2) returns, its first or
 * one of late: what another writer replaced since it was listed is found out
 * while the name can still be looked up again.
 */
static int hydrate_for_reading(struct fs *fs, struct inode *in)
{
	int64_t now = clk_mono(fs->host->clk);
	struct live *l = in->live;
	struct disk_stat st;
	int r = live_hydrate(fs, in, false);

	/* Its end would be read as if it had never been. */
	if (r == 0 && !l->fetch && in->vid && l->ver.complete &&
	    l->ver.state != META_UNFINISHED && l->ver.state != META_TORN &&
	    live_stat(fs, in, &st) == 0 && st.size < l->ver.size)
		r = log_err(-EIO, "inode %llu: the cache disk lost bytes of it",
			    (unsigned long long)in->ino);
	if (r == 0 && l->fetch && l->nopen == 0 && l->ver.size > 0)
		r = fetch_wait(l->fetch, 0, 1, CLK_NEVER);
	if (r == 0 && l->fetch && l->nopen == 0)
		r = fetch_prove(l->fetch, now - PROOF_NS, CLK_NEVER);
	if (r == -ESTALE || r == -ENOMEM || r == -ENOSPC)
		return r;
	return r < 0 ? -EIO : 0;
}

#define RENEW_MAX 16 /* a bucket that lists what it has not */

/* The kernel will ask for this one in a moment: what that open would find out of
 * the bucket it finds here. */
static int make_ready(struct fs *fs, struct inode *in, int flags)
{
	int r = meta_complete(fs, in);

	if (r < 0 || in->kind != META_FILE)
		return r == -ENOENT ? -ESTALE : r;
	busy_begin(fs, in);
	r = in->live || inode_parent(fs, in) ? live_get(fs, in) : -ESTALE;
	if (r == 0 && !in->live->writing)
		r = hydrate_for_reading(fs, in);
	if (r == 0 && !in->live->writing && writes(flags))
		r = live_hydrate(fs, in, true);
	if (in->live && in->live->nopen == 0)
		(void)seal_settle(fs, in);
	busy_end(fs, in);
	return r;
}

/*
 * Another writer replaced it since it was listed.  The kernel, told ESTALE, asks
 * for the name and opens what it is given, but only once: so it is given a
 * version of which the first byte is here by then, whoever replaces it again.
 */
static void renew(struct fs *fs, const struct inode_tag *t, int flags)
{
	struct inode *dir = inode_get(fs, t->tag.parent), *in;
	int r = dir ? -ESTALE : 0, i;

	for (i = 0; r == -ESTALE && i < RENEW_MAX; i++) {
		r = dir_refresh_now(fs, dir);
		in = r == 0 ? child_pinned(fs, dir, t->name) : NULL;
		if (in && !(flags & O_TRUNC))
			r = make_ready(fs, in, flags);
		inode_put(fs, in);
	}
	if (r < 0)
		log_debug("inode %llu is stale, and what replaced it not here",
			  (unsigned long long)t->tag.ino);
	inode_put(fs, dir);
}

/* f is taken if that succeeds; it is there before anything is changed. */
static int open_busy(struct fs *fs, const struct fs_ctx *ctx, struct inode *in,
		     int flags, struct fs_file *f, struct fs_opened *ret)
{
	int r;

	if (!in->live && !inode_parent(fs, in)) /* unlinked, or replaced */
		return -ESTALE;
	if (flags & O_TRUNC) {
		await_release(fs, in);
		await_final(fs, in);
	}
	r = live_get(fs, in);
	if (r < 0)
		return r;
	if (writes(flags) || (flags & O_TRUNC))
		r = open_for_write(fs, in, flags);
	else if (!in->live->writing)
		r = hydrate_for_reading(fs, in);
	if (r == 0 && flags & O_TRUNC)
		r = attr_drop_setuid(fs, ctx, in);
	if (r == 0)
		r = attach(fs, ctx, in, flags, f, ret);
	if (r < 0 && in->live && in->live->nopen == 0)
		(void)seal_settle(fs, in);
	return r;
}

int fs_open(struct fs *fs, const struct fs_ctx *ctx, uint64_t ino, int flags,
	    struct fs_opened *ret)
{
	struct inode *in = inode_get(fs, ino);
	struct inode_tag t;
	struct fs_file *f;
	int r = 0;

	if (!in)
		return -ENOENT;
	inode_tag(fs, in, &t);
	if (in->kind != META_FILE)
		r = in->kind == META_DIR ? -EISDIR : -ELOOP;
	else if (fs->opts.ro && (writes(flags) || (flags & O_TRUNC)))
		r = -EROFS;
	if (r == 0 && (writes(flags) || (flags & O_TRUNC)))
		r = room_for_open(fs);
	if (r == 0)
		r = meta_complete(fs, in);
	if (r == 0 && in->kind != META_FILE) {
		inode_put(fs, in);
		return -ESTALE; /* a link: to be looked up as one */
	}
	if (r == 0) {
		f = calloc(1, sizeof(*f));
		r = f ? 0 : -ENOMEM;
	}
	if (r == 0) {
		busy_begin(fs, in);
		r = open_busy(fs, ctx, in, flags, f, ret);
		busy_end(fs, in);
		if (r < 0)
			free(f);
	}
	if (r == -ESTALE)
		renew(fs, &t, flags);
	if (r == 0 && (flags & O_SYNC) == O_SYNC && writes(flags))
		r = barrier_now(fs->barrier, CLK_NEVER);
	inode_put(fs, in);
	return r;
}

/* The rows of a new empty file: inode, name, and the version about to be
 * written. */
static int create_rows(struct fs *fs, const struct fs_ctx *ctx,
		       struct inode *dir, const char *name, mode_t mode,
		       struct meta_version *v, struct inode **ret)
{
	struct meta_inode row = { .kind = META_FILE,
				  .mode = mode & ~ctx->umask & 07777 };
	int r;

	row.vid = meta_version_next(fs->meta);
	r = child_add(fs, ctx, dir, name, &row, ret);
	if (r < 0)
		return r;
	(*ret)->state = META_UNFINISHED;
	v->ino = row.ino;
	v->mode = row.mode;
	r = dir_touch(fs, dir);
	return r < 0 ? r : version_add(fs, v);
}

/* What a new file needs, so that nothing can fail once its rows are there. */
struct fresh {
	uint64_t blob;
	int rfd, wfd; /* wfd -1: the kernel writes past the daemon */
	struct fs_file *f;
};

/* The kernel has not refused it, and has done it before. */
static bool passes_through(struct fs *fs)
{
	bool yes;

	lock_acquire(&fs->count_lock);
	yes = fs->opens_passthrough > 0;
	lock_release(&fs->count_lock);
	return yes && may_pass_through(fs);
}

static void fresh_drop(struct fs *fs, struct fresh *n)
{
	cache_blob_close(fs->cache, n->rfd);
	cache_blob_close(fs->cache, n->wfd);
	free(n->f);
	/* No row was ever committed for it. */
	if (n->blob && cache_blob_unlink(fs->cache, n->blob) < 0)
		log_debug("a blob of no use stays until the next mount");
}

static int fresh_make(struct fs *fs, const struct cache_tag *tag,
		      struct fresh *ret)
{
	struct fresh n = { .rfd = -1, .wfd = -1 };
	int r = cache_blob_new(fs->cache, tag, O_RDONLY, &n.blob, &n.rfd);

	if (r < 0)
		return r;
	if (!passes_through(fs)) {
		n.wfd = cache_blob_open(fs->cache, n.blob, O_RDWR);
		r = n.wfd < 0 ? n.wfd : 0;
	}
	n.f = r == 0 ? calloc(1, sizeof(*n.f)) : NULL;
	if (n.f) {
		*ret = n;
		return 0;
	}
	fresh_drop(fs, &n);
	return r < 0 ? r : -ENOMEM;
}

static int create_live(struct fs *fs, struct inode *in,
		       const struct meta_version *v, const struct fresh *n)
{
	struct live *l = calloc(1, sizeof(*l));
	struct disk_stat st;
	int r;

	if (!l)
		return -ENOMEM;
	r = disk_stat(fs->host->disk, n->rfd, &st);
	if (r == 0) /* as of an open; order=open waits for what was sealed */
		r = meta_op_last(fs->meta, &l->open_seq);
	if (r < 0) {
		free(l);
		return r;
	}
	l->rfd = n->rfd;
	l->wfd = n->wfd;
	l->ver = *v;
	l->writing = l->fresh = true;
	l->clean_size = st.size;
	l->clean_ctime = st.ctime_ns;
	lock_acquire(&fs->ns);
	in->live = l;
	lock_release(&fs->ns);
	return 0;
}

/*
 * The kernel asks for the attributes of what it has just made, to see whether it
 * may be opened, and many a program does.  What moves them until then goes
 * through the kernel, but for stores to a mapping.
 */
#define CREATED_TTL_NS (10 * NS_PER_MS)

int fs_create(struct fs *fs, const struct fs_ctx *ctx, uint64_t parent,
	      const char *name, mode_t mode, int flags, struct fs_entry *ret,
	      struct fs_opened *ret_open)
{
	struct cache_tag tag = { 0, parent, name };
	struct meta_version v = { .state = META_UNFINISHED,
				  .complete = true,
				  .passthrough = may_pass_through(fs) };
	char key[META_KEY_MAX + 1];
	struct inode *dir, *in = NULL;
	struct dentry *d;
	uint64_t there = 0;
	struct fresh n;
	int r;

	r = fs_is_broken(fs) ? -EIO : fs->opts.ro ? -EROFS : room_for_open(fs);
	if (r == 0)
		r = fresh_make(fs, &tag, &n);
	if (r < 0)
		return r;
	v.blob = n.blob;
	r = dir_begin(fs, parent, name, &dir);
	if (r < 0) {
		fresh_drop(fs, &n);
		return r;
	}
	r = name_check_new(fs, dir, name);
	d = dentry_find(dir, name);
	if (d) {
		there = d->ino;
		r = -EEXIST;
	}
	if (r == 0)
		r = key_of(fs, dir, name, key);
	v.sealed_real_ns = clk_real(fs->host->clk);
	if (r == 0)
		r = create_rows(fs, ctx, dir, name, mode, &v, &in);
	if (r == 0)
		r = create_live(fs, in, &v, &n);
	if (r == 0)
		in->busy = true; /* nobody else knows it yet */
	r = tx_end(fs, r, 0, false);
	if (r < 0 && in)
		child_undo(fs, dir, name, in);
	inode_put(fs, dir);
	if (r < 0) {
		fresh_drop(fs, &n);
		if (r != -EEXIST || (flags & O_EXCL))
			return r;
		r = fs_open(fs, ctx, there, flags, ret_open);
		if (r == 0) {
			entry_fill(fs, ret_open->file->in, ret);
			fs_ref(fs, there);
		}
		return r;
	}
	if ((flags & O_ACCMODE) != O_WRONLY)
		in->live->not_wronly = true;
	if ((flags & (O_ACCMODE | O_APPEND)) != (O_WRONLY | O_APPEND))
		in->live->not_append = true;
	r = attach(fs, ctx, in, flags, n.f, ret_open);
	if (r == 0) {
		n.f->seals = true;
		fs_ref(fs, in->ino);
		entry_fill(fs, in, ret);
		ret->attr.ttl_ns = CREATED_TTL_NS;
	} else {
		free(n.f);
	}
	busy_end(fs, in);
	return r;
}

void fs_release(struct fs *fs, struct fs_file *file)
{
	struct inode *in = file->in;
	struct live *l;

	busy_begin(fs, in);
	l = in->live;
	if (file->prev)
		file->prev->next = file->next;
	else
		l->files = file->next;
	if (file->next)
		file->next->prev = file->prev;
	reader_leave(file);
	l->nopen--;
	l->nwrite -= file->writable;
	if (file->writable && l->nwrite == 0)
		writeout_del(fs, in);
	if (file->writable && l->io == FS_IO_PASSTHROUGH)
		room_writer(fs, -1);
	if (l->nopen == 0) {
		live_backing_close(fs, in);
		l->io = FS_IO_CACHED;
		lock_acquire(&fs->ns);
		used_note(fs, in);
		lock_release(&fs->ns);
		if (seal_settle(fs, in) < 0 && in->live)
			ask_later(fs, in);
	} else if (file->seals && l->nwrite == 0) {
		attn_add(fs, in); /* readers do not hold it back */
	}
	busy_end(fs, in);
	lock_acquire(&fs->count_lock);
	fs->open_files--;
	lock_release(&fs->count_lock);
	inode_put(fs, in);
	free(file);
}
