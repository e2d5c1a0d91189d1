/* SPDX-License-Identifier: Apache-2.0 */
/* The live side of a file: its descriptors, its download, its version. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "linger.h"

#define LOG_MODULE "fs"

int live_get(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;
	int r = 0;

	if (l) {
		linger_end(fs, in);
		return 0;
	}
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->rfd = l->wfd = -1;
	if (in->vid) {
		r = tx_begin(fs);
		if (r == 0)
			r = tx_end(fs, meta_version_get(fs->meta, in->vid,
							&l->ver),
				   0, false);
	}
	if (r < 0) {
		free(l);
		/* unlinked between its lookup and this */
		return r == -ENOENT && inode_parent(fs, in) ? -EIO : r;
	}
	lock_acquire(&fs->ns);
	in->live = l;
	lock_release(&fs->ns);
	return 0;
}

void live_backing_close(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;

	if (l->backing_id && fs->kernel.backing_close)
		fs->kernel.backing_close(fs->kernel.arg, l->backing_id);
	l->backing_id = 0;
}

void live_close_blob(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;
	int rfd, wfd;

	live_backing_close(fs, in);
	lock_acquire(&fs->ns); /* getattr reads through rfd */
	rfd = l->rfd;
	wfd = l->wfd;
	l->rfd = l->wfd = -1;
	lock_release(&fs->ns);
	cache_blob_close(fs->cache, rfd);
	cache_blob_close(fs->cache, wfd);
}

void live_drop(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;

	if (!l)
		return;
	assert(l->nopen == 0);
	linger_end(fs, in);
	/* it writes to the blob's descriptor until it is dropped */
	if (l->fetch)
		fetch_drop(l->fetch);
	live_close_blob(fs, in);
	lock_acquire(&fs->ns);
	in->live = NULL;
	in->time_set = false;
	lock_release(&fs->ns);
	free(l);
}

int live_open_blob(struct fs *fs, struct inode *in, bool write)
{
	struct live *l = in->live;
	int fd;

	if (l->rfd < 0) {
		fd = cache_blob_open(fs->cache, l->ver.blob, O_RDONLY);
		if (fd < 0)
			return log_err(-EIO, "blob of inode %llu: %s",
				       (unsigned long long)in->ino,
				       strerror(-fd));
		lock_acquire(&fs->ns);
		l->rfd = fd;
		lock_release(&fs->ns);
	}
	if (write && l->wfd < 0) {
		fd = cache_blob_open(fs->cache, l->ver.blob, O_RDWR);
		if (fd < 0)
			return log_err(-EIO, "blob of inode %llu: %s",
				       (unsigned long long)in->ino,
				       strerror(-fd));
		l->wfd = fd;
	}
	return 0;
}

int live_stat(struct fs *fs, struct inode *in, struct disk_stat *ret)
{
	int r = live_open_blob(fs, in, false);

	return r < 0 ? r : disk_stat(fs->host->disk, in->live->rfd, ret);
}

bool may_pass_through(struct fs *fs)
{
	return fs->opts.passthrough != FS_PT_OFF && fs->kernel.backing_open &&
	       !__atomic_load_n(&fs->through_refused, __ATOMIC_RELAXED);
}

int live_switch(struct fs *fs, struct inode *in, struct meta_version *v,
		const struct meta_version *drop)
{
	struct live *l = in->live;
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	r = version_add(fs, v);
	if (r == 0)
		r = meta_op_last(fs->meta, &l->open_seq);
	if (r == 0)
		r = inode_save_vid(fs, in, v->vid);
	if (r == 0 && drop)
		r = version_drop(fs, drop);
	r = tx_commit(fs, r);
	if (r == 0) {
		lock_acquire(&fs->ns);
		in->vid = v->vid;
		in->state = v->state;
		in->provisional = in->held = false;
		in->seal_seq = 0;
		l->ver = *v;
		lock_release(&fs->ns);
	}
	return tx_close(fs, r, 0, false);
}

int live_complete(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;
	struct meta_version v = l->ver;
	int r;

	if (!l->fetch || l->ver.complete || !fetch_complete(l->fetch))
		return 0;
	if (l->lost) /* a second sync would succeed and mean nothing */
		return -EIO;
	r = disk_fdatasync(fs->host->disk, l->wfd >= 0 ? l->wfd : l->rfd);
	v.complete = true;
	if (r == 0)
		r = tx_begin(fs);
	if (r == 0)
		r = tx_end(fs, meta_version_set(fs->meta, &v), 0, false);
	l->lost = r < 0;
	if (r < 0)
		return r;
	lock_acquire(&fs->ns); /* beside its size, which readers look at */
	l->ver.complete = true;
	lock_release(&fs->ns);
	return 0;
}

/* Runs on a download worker, with nothing held: the whole file is here and
 * its checksum was right, or it never will be. */
static void fetched(void *arg, int err, uint64_t ino)
{
	struct fs *fs = arg;
	struct inode *in = inode_get(fs, ino);

	(void)err; /* the fetch knows */
	if (in)
		attn_add(fs, in); /* the janitor makes it durable and says so */
	inode_put(fs, in);
}

static int fetch_begin(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;
	struct meta_object obj;
	struct inode_tag t;
	struct fetch_spec spec = { .size = in->size,
				   .done = fetched,
				   .done_arg = fs,
				   .done_id = in->ino };
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	r = in->key ? meta_object_get(fs->meta, in->key, &obj) : -ENOENT;
	r = tx_end(fs, r, 0, false);
	/* Replaced or deleted by another writer, and listed since. */
	if (r == -ENOENT || (r == 0 && obj.ino && obj.ino != in->ino))
		r = -ESTALE;
	if (r < 0)
		return r;
	r = live_open_blob(fs, in, true);
	if (r < 0)
		return r;
	l->lost = false;
	spec.key = obj.key;
	spec.etag = obj.etag;
	spec.size = obj.size;
	spec.has_crc64 = obj.has_crc64;
	spec.crc64 = obj.crc64;
	spec.has_crc32c = obj.has_crc32c;
	spec.crc32c = obj.crc32c;
	spec.fd = l->wfd;
	inode_tag(fs, in, &t);
	spec.name = t.name;
	return fetch_start(fs->fetch, &spec, &l->fetch);
}

/* A blob to download into, and its row. */
static int cold_version(struct fs *fs, struct inode *in)
{
	struct inode_tag t;
	struct meta_version v = { .ino = in->ino,
				  .state = META_PUBLISHED,
				  .size = in->size,
				  .mtime_ns = in->mtime_ns,
				  .mode = in->mode };
	int r, fd = -1;

	if (in->live->ver.vid) { /* one that is here in part from before */
		v.blob = in->live->ver.blob;
		if (v.blob)
			return 0;
	}
	inode_tag(fs, in, &t);
	r = cache_blob_new(fs->cache, &t.tag, O_RDWR, &v.blob, &fd);
	if (r < 0)
		return r;
	cache_blob_close(fs->cache, fd);
	return live_switch(fs, in, &v, NULL);
}

int live_hydrate(struct fs *fs, struct inode *in, bool whole)
{
	struct live *l = in->live;
	int r = 0;

	if (l->ver.vid && (l->ver.state != META_PUBLISHED || l->ver.complete))
		return 0;
	if (!l->fetch) {
		r = cold_version(fs, in);
		if (r == 0)
			r = fetch_begin(fs, in);
	}
	if (r == 0 && whole)
		r = fetch_wait(l->fetch, 0, l->ver.size, CLK_NEVER);
	if (r == -ESTALE || r == -ENOMEM || r == -ENOSPC)
		return r;
	return r < 0 ? -EIO : 0;
}

bool is_whole(struct fs *fs, const struct inode *in, uint64_t *ret_size)
{
	struct meta_version v;
	bool whole = false;

	*ret_size = 0;
	if (tx_begin(fs) < 0)
		return false;
	if (in->vid && meta_version_get(fs->meta, in->vid, &v) == 0)
		whole = v.state != META_PUBLISHED || v.complete;
	*ret_size = in->size;
	(void)tx_end(fs, 0, 0, false);
	return whole;
}

uint64_t bytes_here(struct fs *fs, struct inode *in, uint64_t *ret_size)
{
	int64_t end = clk_mono(fs->host->clk) + 100 * NS_PER_MS;
	const struct live *l;
	uint64_t n = 0;

	if (is_whole(fs, in, ret_size))
		return *ret_size;
	/* Busy for so long: with the first byte that is to come. */
	if (!busy_begin_until(fs, in, end))
		return 0;
	l = in->live;
	if (l && l->fetch && !l->writing)
		n = fetch_progress(l->fetch);
	busy_end(fs, in);
	return n;
}
