/* SPDX-License-Identifier: Apache-2.0 */
/* The file system as a whole: putting it together, taking it apart. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ahead.h"
#include "internal.h"
#include "unshown.h"
#include "used.h"

#define LOG_MODULE "fs"

struct find_blob {
	uint64_t blob; /* 0: any */
	struct meta_version *v;
	size_t n, cap;
};

static int match_blob(void *arg, const struct meta_version *v)
{
	struct find_blob *f = arg;
	struct meta_version *p;

	/* What the bucket has is fetched again, if need be. */
	if (!v->blob || (f->blob ? v->blob != f->blob : !v->complete) ||
	    (f->blob && v->state == META_PUBLISHED))
		return 0;
	if (f->n == f->cap) {
		f->cap = f->cap ? f->cap * 2 : 8;
		p = reallocarray(f->v, f->cap, sizeof(*p));
		if (!p)
			return -ENOMEM;
		f->v = p;
	}
	f->v[f->n++] = *v;
	return 0;
}

/* Status and listings go by memory. */
static void show_poisoned(struct fs *fs, const struct meta_version *v)
{
	struct inode *in = inode_find(fs, v->ino);

	if (!in || in->vid != v->vid)
		return;
	lock_acquire(&fs->ns);
	inode_show_version(in, v, 0);
	if (in->live && in->live->ver.vid == v->vid)
		in->live->ver = *v;
	lock_release(&fs->ns);
}

static int poison_row(struct fs *fs, struct meta_version *v)
{
	uint64_t seq = 0;
	int r;

	if (v->state == META_PUBLISHED) {
		v->complete = false;
		return meta_version_set(fs->meta, v);
	}
	v->state = META_POISONED;
	v->provisional = v->held = false;
	r = meta_version_set(fs->meta, v);
	/* What may be in the bucket stays in the line until that is known, for
	 * what comes after it there to see. */
	if (r == 0 && !transfer_begun(fs->transfer, v->vid))
		r = transfer_place(fs->transfer, v->vid, &seq);
	if (r == 0 && seq)
		r = transfer_withdraw(fs->transfer, seq);
	return r;
}

static int poison(struct fs *fs, uint64_t blob)
{
	struct find_blob f = { .blob = blob };
	size_t i;
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	r = blob ? meta_version_each(fs->meta, match_blob, &f) :
		   meta_version_each_unsafe(fs->meta, match_blob, &f);
	for (i = 0; r == 0 && i < f.n; i++)
		r = poison_row(fs, &f.v[i]);
	r = tx_commit(fs, r);
	for (i = 0; r == 0 && i < f.n; i++)
		show_poisoned(fs, &f.v[i]);
	free(f.v);
	return tx_close(fs, r, 0, true);
}

static int poisoned_all(void *arg)
{
	struct fs *fs = arg;
	int r = poison(fs, 0);

	log_line(LOG_LV_ERR, LOG_MODULE, -EIO,
		 "the cache disk failed to write what no barrier covers: the "
		 "mount takes no new data; see 'ckptfs status'");
	fs->failed = true;
	return r;
}

static int poisoned(void *arg, uint64_t blob)
{
	struct fs *fs = arg;
	int r = poison(fs, blob);

	/* No retry: a second fsync would succeed and mean nothing. */
	log_line(LOG_LV_ERR, LOG_MODULE, -EIO,
		 "the cache disk failed to write blob %llx: the mount takes no "
		 "new data; see 'ckptfs status'",
		 (unsigned long long)blob);
	fs->failed = true;
	return r;
}

bool fs_is_broken(struct fs *fs)
{
	return fs->failed || barrier_failed(fs->barrier) < 0;
}

static int root_load(struct fs *fs)
{
	struct meta_inode row;
	struct inode *in;
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	r = meta_inode_get(fs->meta, FS_ROOT_INO, &row);
	if (r == 0)
		r = inode_from_row(fs, &row, &in);
	if (r == 0) {
		in->uid = fs->opts.uid;
		in->gid = fs->opts.gid;
		in->mode = fs->opts.dir_mode;
		in->nlookup = 1;
		in->meta_known = true;
		r = dir_load(fs, in);
	}
	return tx_end(fs, r, 0, false);
}

static int parts_new(struct fs *fs)
{
	struct barrier_deps bd = { .host = fs->host,
				   .meta = fs->meta,
				   .cache = fs->cache,
				   .poison = poisoned,
				   .poison_all = poisoned_all,
				   .arg = fs };
	struct fetch_opts fo = { .max_downloads = fs->opts.max_downloads,
				 .limit = fs->opts.download_limit,
				 .chunk = fs->opts.download_chunk };
	struct transfer_events ev;
	int r = barrier_new(&bd, &fs->barrier);

	events_fill(fs, &ev);
	if (r == 0)
		r = transfer_new(fs->host, fs->meta, fs->cache, fs->store,
				 &fs->opts.transfer, &ev, &fs->transfer);
	if (r == 0)
		r = recover_open_versions(fs);
	if (r == 0)
		r = fetch_engine_new(fs->host, fs->store, &fo, &fs->fetch);
	if (r == 0)
		r = root_load(fs);
	if (r == 0)
		r = known_load(fs);
	if (r == 0)
		r = thr_start(fs->host->thr, "janitor", janitor_step, fs,
			      &fs->janitor);
	if (r == 0)
		r = thr_start(fs->host->thr, "lister", lister_step, fs,
			      &fs->lister);
	if (r == 0)
		r = thr_start(fs->host->thr, "room", keeper_step, fs,
			      &fs->keeper);
	if (r == 0)
		r = thr_start(fs->host->thr, "writeout", writeout_step, fs,
			      &fs->writeout);
	if (r == 0 && !fs->opts.ro)
		r = transfer_start(fs->transfer);
	/* The root at least is known from the start: what comes later may
	 * find the store away. */
	if (r == 0 && dir_refresh(fs, inode_find(fs, FS_ROOT_INO), true) < 0)
		log_warn("the bucket could not be listed; names in it show "
			 "once it can");
	return r;
}

int fs_new(const struct host *host, struct meta *meta, struct cache *cache,
	   struct store *store, const struct fs_opts *opts, struct fs **ret)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	int r;

	if (!fs)
		return -ENOMEM;
	fs->host = host;
	fs->meta = meta;
	fs->cache = cache;
	fs->store = store;
	fs->opts = *opts;
	fs->opts.transfer.epoch = opts->epoch;
	fs->same_boot = opts->same_boot;
	fs->opts.transfer.forgotten = !opts->same_boot;
	lock_init(&fs->ns, LOCK_NS, "names");
	lock_init(&fs->busy_lock, LOCK_LEAF, "busy");
	lock_init(&fs->count_lock, LOCK_LEAF, "counters");
	thr_cond_init(&fs->busy_cond);
	fs->prefix = strdup(opts->prefix);
	r = fs->prefix ? parts_new(fs) : -ENOMEM;
	if (r < 0) {
		fs_free(fs);
		return r;
	}
	*ret = fs;
	return 0;
}

void fs_set_kernel(struct fs *fs, const struct fs_kernel *k)
{
	fs->kernel = *k;
}

static void free_memory(struct fs *fs)
{
	struct inode *in, *tmp;
	struct blob_ref *b, *btmp;
	struct fs_file *f;

	HASH_ITER(hh, fs->inodes, in, tmp) {
		if (in->live) {
			while ((f = in->live->files) != NULL) {
				in->live->files = f->next;
				free(f);
			}
			in->live->nopen = 0;
			live_drop(fs, in);
		}
		inode_drop_memory(fs, in);
	}
	HASH_ITER(hh, fs->blobs, b, btmp) {
		HASH_DEL(fs->blobs, b);
		free(b);
	}
	free(fs->tx_refs);
	used_free(fs);
	unshown_free(fs);
}

/* Whoever still runs must not kick it any more. */
static void stop(struct fs *fs, struct thr_worker **worker)
{
	struct thr_worker *w;

	lock_acquire(&fs->ns);
	w = *worker;
	*worker = NULL;
	lock_release(&fs->ns);
	thr_stop(w);
}

void fs_free(struct fs *fs)
{
	if (!fs)
		return;
	lock_acquire(&fs->busy_lock);
	fs->stopping = true;
	thr_wake(&fs->busy_cond);
	lock_release(&fs->busy_lock);
	stop(fs, &fs->writeout);
	stop(fs, &fs->keeper);
	stop(fs, &fs->lister);
	stop(fs, &fs->janitor);
	ahead_free(fs);
	transfer_stop(fs->transfer);
	if (fs->barrier && !fs_is_broken(fs)) {
		used_write(fs);
		if (barrier_now(fs->barrier, CLK_NEVER) < 0)
			log_warn("the last barrier failed");
	}
	free_memory(fs);
	fetch_engine_free(fs->fetch);
	barrier_free(fs->barrier);
	transfer_free(fs->transfer); /* the barrier may still poison */
	thr_cond_fini(&fs->busy_cond);
	lock_fini(&fs->count_lock);
	lock_fini(&fs->busy_lock);
	lock_fini(&fs->ns);
	free(fs->prefix);
	free(fs);
}
