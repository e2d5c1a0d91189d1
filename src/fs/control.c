/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands ask: sync, what is pending, one file's state, numbers. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/text.h"

#include "bulk.h"

#define LOG_MODULE "fs"

static const char *skip_slashes(const char *path)
{
	while (*path == '/')
		path++;
	return path;
}

struct pend {
	struct fs *fs;
	const char *path;
	fs_pending_fn *fn;
	void *arg;
};

static int pend_op(void *arg, const struct transfer_item *it)
{
	struct pend *p = arg;
	const char *beside = transfer_beside(p->fs->transfer, it->key);
	struct fs_pending out = {
		.path = key_path(p->fs, it->to && *it->to ? it->to : it->key),
		.beside = "",
		.why = it->error && *it->error ? it->error :
						 transfer_why_text(it->why),
		.size = it->size,
		.sent = it->sent,
		.since_real_ns = it->since_real_ns,
		.at_risk = true,
		.missing = true,
		.held = it->why == TRANSFER_WHY_SEAL,
		.seq = it->seq,
	};

	if (!text_is_under(out.path, p->path) &&
	    !text_is_under(key_path(p->fs, it->key), p->path) &&
	    !(beside && text_is_under(beside, p->path)))
		return 0;
	if (it->why == TRANSFER_WHY_PARKED)
		out.state = "parked";
	else if (strcmp(it->verb, "put") != 0)
		out.state = it->verb;
	else if (it->sent || it->why == TRANSFER_WHY_UPLOADING ||
		 it->why == TRANSFER_WHY_COMMITTING)
		out.state = "uploading";
	else
		out.state = "queued";
	return p->fn(p->arg, &out);
}

const char *loose_state(const struct inode *in, const char **why, bool *at_risk)
{
	*at_risk = true;
	if (in->held) {
		*at_risk = false;
		*why = "kept local (temporary name)";
		return "temporary";
	}
	switch (in->state) {
	case META_UNFINISHED:
		*why = in->live && in->live->nopen ?
			       "open for writing" :
			       in->live ? "still mapped or held by a process" :
					  "was open when the daemon stopped";
		return in->live ? "open" : "unfinished";
	case META_TORN:
		*why = "its writer was killed or the file is cut short";
		return "torn";
	case META_CONFLICT:
		*why = "another writer changed the object";
		return "conflict";
	case META_PARKED:
		*why = "the store refuses it";
		return "parked";
	case META_POISONED:
		*why = "the cache disk failed to write it";
		return "poisoned";
	case META_SEALED:
	case META_PUBLISHED:
		break;
	}
	return NULL;
}

struct loose {
	char *path;
	uint64_t vid; /* in conflict; else 0 */
	const char *state, *why;
	uint64_t size;
	int64_t since;
	bool at_risk;
};

struct loose_all {
	struct loose *p;
	size_t n, cap;
};

static int loose_add(struct loose_all *all, const struct loose *o,
		     const char *path)
{
	if (all->n == all->cap) {
		size_t cap = all->cap ? all->cap * 2 : 16;
		struct loose *q = realloc(all->p, cap * sizeof(*q));

		if (!q)
			return -ENOMEM;
		all->p = q;
		all->cap = cap;
	}
	all->p[all->n] = *o;
	all->p[all->n].path = strdup(path);
	if (!all->p[all->n].path)
		return -ENOMEM;
	all->n++;
	return 0;
}

/* Files outside the line, as they are now. */
static int loose_gather(struct fs *fs, const char *under_path,
			struct loose_all *all)
{
	char key[META_KEY_MAX + 1];
	struct inode *in, *tmp;
	int r = 0;

	lock_acquire(&fs->ns);
	HASH_ITER(hh, fs->inodes, in, tmp) {
		struct loose o = { .size = in->size,
				   .since = in->sealed_real_ns };

		if (r < 0)
			break;
		if (in->kind != META_FILE || !in->vid || in->seal_seq ||
		    !in->parent)
			continue;
		o.state = loose_state(in, &o.why, &o.at_risk);
		o.vid = in->state == META_CONFLICT ? in->vid : 0;
		if (!o.state || key_of_inode_locked(fs, in, key) < 0 ||
		    !text_is_under(key_path(fs, key), under_path))
			continue;
		r = loose_add(all, &o, key_path(fs, key));
	}
	lock_release(&fs->ns);
	return r;
}

/* The bytes of a losing side are at risk by the row that sends them, if there
 * is one, and not at all once that is done. */
static const char *beside_of(struct fs *fs, struct loose *o,
			     struct transfer_beside *ret)
{
	int r = o->vid ? tx_begin(fs) : -ENOENT;

	if (r == 0)
		r = tx_end(fs, transfer_beside_of(fs->transfer, o->vid, ret), 0,
			   false);
	if (r < 0)
		return "";
	o->at_risk = false;
	if (ret->is_there)
		o->why = "another writer changed the object; ours lies beside "
			 "it";
	return ret->key;
}

/* Taken down first: fn is called with nothing held. */
static int loose_each(struct fs *fs, struct pend *p)
{
	struct loose_all all = { .n = 0 };
	int r = loose_gather(fs, p->path, &all);
	size_t i;

	for (i = 0; i < all.n; i++) {
		struct loose *o = &all.p[i];
		struct transfer_beside at;
		const char *beside = beside_of(fs, o, &at);
		struct fs_pending out = { .path = o->path,
					  .beside = beside,
					  .state = o->state,
					  .why = o->why,
					  .size = o->size,
					  .since_real_ns = o->since,
					  .at_risk = o->at_risk,
					  .missing = o->at_risk || *beside,
					  .held = strcmp(o->state, "open") == 0 };

		if (r == 0)
			r = p->fn(p->arg, &out);
		free(o->path);
	}
	free(all.p);
	return r;
}

int fs_each_pending(struct fs *fs, const char *path, fs_pending_fn *fn,
		    void *arg)
{
	struct pend p = { .fs = fs,
			  .path = skip_slashes(path),
			  .fn = fn,
			  .arg = arg };
	int r = transfer_each(fs->transfer, pend_op, &p);
	int more = r > 0 ? 0 : loose_each(fs, &p);

	return r ? r : more;
}

struct risk {
	uint64_t upto;
	unsigned left;
};

/* What came into the line later was not asked for. */
static int count_risk(void *arg, const struct fs_pending *p)
{
	struct risk *r = arg;

	r->left += p->missing && p->seq <= r->upto;
	return 0;
}

/*
 * Whoever kept a closed file mapped may have let go of it since the lease was
 * asked for, up to a second ago: nobody is to be told that he holds it then.
 */
static void look_again(struct fs *fs, struct inode *in)
{
	in->live->ask_at = 0;
	if (in->live->nopen)
		(void)rest_settle(fs, in);
	else if (seal_settle(fs, in) < 0)
		log_debug("a file is not at rest yet");
}

static void ask_again(struct fs *fs)
{
	struct inode **all, *in, *tmp;
	size_t n = 0, i;

	lock_acquire(&fs->ns);
	all = calloc(HASH_COUNT(fs->inodes) + 1, sizeof(*all));
	HASH_ITER(hh, fs->inodes, in, tmp) {
		if (!all || !in->live || !in->live->writing)
			continue;
		in->pins++;
		all[n++] = in;
	}
	lock_release(&fs->ns);
	for (i = 0; i < n; i++) {
		in = all[i];
		if (busy_try(fs, in)) { /* else somebody is at it */
			if (in->live && in->live->asking)
				look_again(fs, in);
			busy_end(fs, in);
		}
		inode_put(fs, in);
	}
	free(all);
}

int fs_sync(struct fs *fs, const char *path, uint64_t *upto,
	    int64_t deadline_mono_ns)
{
	char prefix[META_KEY_MAX + 1];
	struct risk risk = { .left = 0 };
	size_t n = strlen(fs->prefix);
	int r = 0;

	path = skip_slashes(path);
	if (n + strlen(path) > META_KEY_MAX)
		return -ENAMETOOLONG;
	memcpy(prefix, fs->prefix, n);
	memcpy(prefix + n, path, strlen(path) + 1);
	if (*upto == 0) {
		ask_again(fs);
		r = tx_begin(fs);
		if (r == 0)
			r = tx_end(fs, meta_op_last(fs->meta, upto), 0, false);
	}
	if (r == 0)
		r = transfer_wait(fs->transfer, prefix, *upto,
				  deadline_mono_ns);
	if (r == 0)
		r = barrier_now(fs->barrier, CLK_NEVER);
	if (r == 0) {
		risk.upto = *upto;
		r = fs_each_pending(fs, path, count_risk, &risk);
		if (r == 0 && risk.left)
			r = -EIO;
	}
	return r;
}

static int match_path(void *arg, const struct fs_pending *p)
{
	struct fs_file_info *i = arg;

	/* What lies beside it is told of by its own row. */
	if (strncmp(p->path, STORE_HIDDEN "/", sizeof(STORE_HIDDEN)) == 0)
		return 0;
	(void)snprintf(i->beside, sizeof(i->beside), "%s", p->beside);
	(void)snprintf(i->state, sizeof(i->state), "%s", p->state);
	(void)snprintf(i->why, sizeof(i->why), "%s", p->why);
	return 0;
}

/* How much of what is known at and below a path is here. */
static int count_here(struct fs *fs, const char *path, struct fs_file_info *ret)
{
	struct fs_bulk_sums sums;
	struct bulk b;
	struct inode *in;
	uint64_t size, here;
	size_t i;
	int r;

	bulk_begin(&b, fs, NULL, &sums);
	r = bulk_walk(&b, path, false);
	for (i = 0; r == 0 && i < b.n; i++) {
		in = inode_get_row(fs, b.ino[i]);
		if (!in)
			continue;
		here = bytes_here(fs, in, &size);
		inode_put(fs, in);
		ret->files++;
		ret->cached_files += here == size;
		ret->size += size;
		ret->cached += here;
	}
	bulk_end(&b);
	return r;
}

int fs_path_info(struct fs *fs, const char *path, struct fs_file_info *ret)
{
	struct meta_object obj;
	struct inode *in;
	int r = path_resolve(fs, path, &in);

	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	ret->is_dir = in->kind == META_DIR;
	r = count_here(fs, path, ret);
	if (r == 0)
		r = tx_begin(fs);
	if (r == 0) {
		(void)snprintf(ret->key, sizeof(ret->key), "%s",
			       in->key ? in->key : "");
		(void)snprintf(ret->state, sizeof(ret->state), "%s",
			       is_local_kind(in->kind) ? "local" :
			       in->kind != META_FILE   ? "published" :
			       in->vid		       ? "published" :
							 "cold");
		if (in->key && meta_object_get(fs->meta, in->key, &obj) == 0)
			(void)snprintf(ret->etag, sizeof(ret->etag), "%s",
				       obj.etag);
		r = tx_end(fs, 0, 0, false);
	}
	inode_put(fs, in);
	return r < 0 ? r : fs_each_pending(fs, path, match_path, ret);
}

void fs_stats(struct fs *fs, struct fs_stats *ret)
{
	struct disk_space sp;

	memset(ret, 0, sizeof(*ret));
	ret->cache_dirty = dirty_bytes(fs);
	if (disk_space(fs->host->disk, &sp) == 0)
		ret->disk_avail = sp.avail;
	lock_acquire(&fs->count_lock);
	ret->opens_passthrough = fs->opens_passthrough;
	ret->opens_cached = fs->opens_cached;
	ret->open_files = fs->open_files;
	ret->unshown = fs->n_unshown;
	ret->cache_used = fs->room.kept;
	ret->cache_files = fs->room.blobs;
	lock_release(&fs->count_lock);
	lock_acquire(&fs->ns);
	ret->names = HASH_COUNT(fs->inodes);
	lock_release(&fs->ns);
	fetch_stats(fs->fetch, &ret->fetch);
	ret->failed = fs_is_broken(fs);
	ret->unseen_writers =
		__atomic_load_n(&fs->unseen_writers, __ATOMIC_RELAXED);
	ret->through_refused =
		__atomic_load_n(&fs->through_refused, __ATOMIC_RELAXED);
	transfer_stats(fs->transfer, &ret->transfer);
}

void fs_set_upload_limit(struct fs *fs, uint64_t limit)
{
	transfer_set_limit(fs->transfer, limit);
}

void fs_set_download_limit(struct fs *fs, uint64_t limit)
{
	fetch_engine_set_limit(fs->fetch, limit);
}
