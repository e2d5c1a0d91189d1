/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names from the bucket: one LIST per folder and metadata_ttl, merged with
 * what is here.  What is not yet published wins, and a listing says nothing
 * about a key that a queued operation speaks of, nor about one of ours that
 * was committed after the listing began.
 *
 * A bucket may have an object "a" and others below "a/".  A name new to us is
 * then the folder; one that is a file here stays it as long as its object is
 * there.  What is not shown is not touched either, and shows once the other
 * one is gone.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unshown.h"

#define LOG_MODULE "fs"

struct seen {
	UT_hash_handle hh;
	bool is_dir, is_file; /* one or both */
	uint64_t size;
	int64_t mtime_ns;
	char etag[129];
	char name[];
};

/* What becomes of a name, in memory, once the rows are committed. */
struct turn {
	struct turn *next;
	struct inode *gone; /* or NULL */
	struct inode *in; /* the new one, not shown yet; or NULL */
	struct dentry *name; /* of it */
};

struct listing {
	struct turn *turns, **turns_end;
	struct fs *fs;
	struct inode *dir;
	char prefix[META_KEY_MAX + 2];
	size_t nprefix;
	int64_t began_real, began_mono;
	int64_t now_real; /* of the merge; nothing commits meanwhile */
	struct seen *seen;
	unsigned unshown; /* names */
	bool has_marker; /* the folder's own, and what it is */
	struct store_obj marker;
};

/* Our last commit of it may have ended after the listing began.  One of the
 * future ended before the clock was set back (of its own accord such a time is
 * at most a second ahead). */
static bool is_newer(const struct listing *l, const struct meta_object *o)
{
	return o->commit_end_ns >= l->began_real &&
	       o->commit_end_ns <= l->now_real + 2 * NS_PER_S;
}

static int take(void *arg, const char *key, const struct store_obj *obj)
{
	struct listing *l = arg;
	const char *name = key + l->nprefix;
	size_t n = strlen(name);
	bool is_dir = obj == NULL;
	struct seen *s;

	if (n == 0 && obj) {
		l->has_marker = true;
		l->marker = *obj;
	}
	if (is_dir && n > 0)
		n--; /* the '/' */
	if (!name_shows(l->dir, name, n, is_dir, &l->unshown))
		return 0;
	HASH_FIND(hh, l->seen, name, n, s);
	if (!s) {
		s = calloc(1, sizeof(*s) + n + 1);
		if (!s)
			return -ENOMEM;
		memcpy(s->name, name, n);
		HASH_ADD_KEYPTR(hh, l->seen, s->name, n, s);
	}
	if (obj) {
		s->is_file = true;
		s->size = obj->size;
		s->mtime_ns = obj->mtime_ns;
		memcpy(s->etag, obj->etag, sizeof(s->etag) - 1);
	} else {
		s->is_dir = true;
	}
	return 0;
}

static void seen_free(struct seen *all)
{
	struct seen *s, *tmp;

	HASH_ITER(hh, all, s, tmp) {
		HASH_DEL(all, s);
		free(s);
	}
}

/* Once for each that is shown. */
static void say_both(const struct seen *s, bool *said, bool is_dir,
		     const char *key)
{
	if (!s->is_dir || !s->is_file || *said)
		return;
	*said = true;
	log_warn("%s: the bucket has an object and a folder of this name: "
		 "the %s is shown, the other is left alone",
		 key, is_dir ? "folder" : "file");
}

static void turn_free(struct turn *t)
{
	if (t && t->in)
		inode_free(t->in);
	if (t)
		free(t->name);
	free(t);
}

static int turn_add(struct listing *l, struct inode *gone,
		    const struct meta_inode *row, bool said_both)
{
	struct turn *t = calloc(1, sizeof(*t));

	if (t && row) {
		t->in = inode_new(row);
		t->name = dentry_new(row->name, row->ino);
	}
	if (!t || (row && (!t->in || !t->name))) {
		turn_free(t);
		return -ENOMEM;
	}
	if (row)
		t->in->said_both = said_both;
	t->gone = gone;
	*l->turns_end = t;
	l->turns_end = &t->next;
	return 0;
}

/* What is rolled back shows nowhere: no name without its row. */
static void turns_take(struct listing *l, bool committed)
{
	struct fs *fs = l->fs;
	struct turn *t, *next;

	for (t = l->turns; t; t = next) {
		next = t->next;
		if (committed && t->gone)
			unlink_done(fs, l->dir, t->gone);
		if (committed && t->in) {
			lock_acquire(&fs->ns);
			inode_show(fs, t->in);
			dentry_link(l->dir, t->name);
			lock_release(&fs->ns);
			t->in = NULL;
			t->name = NULL;
		}
		turn_free(t);
	}
}

/* A name the bucket has and we have not. */
static int merge_new(struct listing *l, const struct seen *s, const char *key,
		     bool is_dir)
{
	struct fs *fs = l->fs;
	struct meta_inode row = {
		.kind = is_dir ? META_DIR : META_FILE,
		.parent = l->dir->ino,
		.mode = is_dir ? fs->opts.dir_mode : fs->opts.file_mode,
		.uid = fs->opts.uid,
		.gid = fs->opts.gid,
		.mtime_ns = s->mtime_ns,
		.ctime_ns = s->mtime_ns,
		.size = s->size,
	};
	struct meta_object obj = { .size = s->size, .mtime_ns = s->mtime_ns };
	bool said = false;
	int r;

	memcpy(row.name, s->name, strlen(s->name));
	if (is_dir)
		row.mtime_ns = row.ctime_ns = clk_real(fs->host->clk);
	else
		memcpy(row.key, key, strlen(key));
	r = meta_inode_add(fs->meta, &row);
	if (r == 0)
		r = meta_name_add(fs->meta, l->dir->ino, s->name, row.ino);
	if (r == 0 && !is_dir) {
		memcpy(obj.key, key, strlen(key));
		memcpy(obj.etag, s->etag, sizeof(obj.etag));
		obj.ino = row.ino;
		r = meta_object_set(fs->meta, &obj);
	}
	if (r < 0)
		return r;
	say_both(s, &said, is_dir, key);
	return turn_add(l, NULL, &row, said);
}

/* Take a name away because the bucket no longer has that object under it. */
static int merge_gone(struct listing *l, struct inode *in)
{
	struct fs *fs = l->fs;
	int r = unlink_inode(fs, l->dir, in, true);

	if (r == 0 && in->key)
		r = meta_object_del(fs->meta, in->key);
	/* Ours did not get there, or is gone from where it came from. */
	return r < 0 && r != -ENOENT ? r : turn_add(l, in, NULL, false);
}

/* Something in it is not in the bucket yet.  Otherwise it may be stale, too. */
static bool is_needed(struct fs *fs, const struct inode *dir)
{
	struct dentry *d, *tmp;

	HASH_ITER(hh, dir->children, d, tmp) {
		struct inode *in = inode_find(fs, d->ino);

		if (!in || inode_is_pending(fs, in))
			return true;
	}
	return false;
}

/*
 * The bucket has nothing below this folder, nor a marker that keeps it: 1 if
 * it is taken away.  What was in it goes first, when it is listed itself.
 */
static int merge_dir_gone(struct listing *l, struct inode *in)
{
	char key[META_KEY_MAX + 1];
	struct fs *fs = l->fs;
	struct meta_object obj;
	int r = key_of(fs, l->dir, in->name, key), there;

	if (r < 0 || strlen(key) + 1 > META_KEY_MAX)
		return 0;
	memcpy(key + strlen(key), "/", 2);
	if (inode_is_pending(fs, in) ||
	    transfer_covers(fs->transfer, key, l->began_mono))
		return 0;
	there = meta_object_get(fs->meta, key, &obj);
	if (there < 0 && there != -ENOENT)
		return there;
	if (there == 0 && is_newer(l, &obj))
		return 0;
	r = dir_load(fs, in);
	if (r < 0)
		return r;
	if (!dir_is_empty(in)) {
		if (!is_needed(fs, in))
			attn_add(fs, in);
		return 0;
	}
	r = unlink_inode(fs, l->dir, in, true);
	if (r == 0 && there == 0)
		r = meta_object_del(fs->meta, key);
	if (r == 0)
		r = turn_add(l, in, NULL, false);
	return r < 0 ? r : 1;
}

static int merge_known(struct listing *l, const struct seen *s,
		       struct inode *in, const char *key)
{
	struct meta_object obj;
	int r;

	if (inode_is_pending(l->fs, in))
		return 0;
	say_both(s, &in->said_both, in->kind == META_DIR, key);
	if (in->kind == META_DIR) {
		r = s->is_dir ? 0 : merge_dir_gone(l, in);
		return r <= 0 ? r : merge_new(l, s, key, false);
	}
	r = meta_object_get(l->fs->meta, key, &obj);
	if (r == 0 && (is_newer(l, &obj) ||
		       (s->is_file && !strcmp(obj.etag, s->etag) &&
			(!obj.ino || obj.ino == in->ino))))
		return 0;
	/* Another writer's, or ours did not get there: a new inode under the
	 * name, as after rename(2). */
	r = r == 0 || r == -ENOENT ? merge_gone(l, in) : r;
	return r < 0 ? r : merge_new(l, s, key, !s->is_file);
}

static int merge_one(struct listing *l, const struct seen *s)
{
	char key[META_KEY_MAX + 1];
	struct dentry *d;
	struct inode *in;
	int r = key_of(l->fs, l->dir, s->name, key);

	if (r < 0)
		return 0; /* longer than we can name */
	if (transfer_covers(l->fs->transfer, key, l->began_mono))
		return 0;
	d = dentry_find(l->dir, s->name);
	if (!d && s->is_dir &&
	    transfer_covers_below(l->fs->transfer, key, l->began_mono))
		return 0; /* what shows there may be on its way out */
	if (!d)
		return merge_new(l, s, key, s->is_dir);
	in = inode_find(l->fs, d->ino);
	return in ? merge_known(l, s, in, key) : 0;
}

/* Names that the bucket does not have any more. */
static int merge_missing(struct listing *l)
{
	struct fs *fs = l->fs;
	struct dentry *d, *tmp;
	int r = 0;

	HASH_ITER(hh, l->dir->children, d, tmp) {
		struct inode *in = inode_find(fs, d->ino);
		struct meta_object obj;
		struct seen *s;

		HASH_FIND(hh, l->seen, d->name, strlen(d->name), s);
		if (!s && in && in->kind == META_DIR) {
			r = merge_dir_gone(l, in);
			if (r < 0)
				return r;
			continue;
		}
		if (s || !in || !in->key || inode_is_pending(fs, in) ||
		    transfer_covers(fs->transfer, in->key, l->began_mono))
			continue;
		r = meta_object_get(fs->meta, in->key, &obj);
		if (r == 0 && !is_newer(l, &obj))
			r = merge_gone(l, in);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}

/* The folder's marker, which others may have made or removed. */
static int merge_marker(struct listing *l)
{
	struct meta_object row = { .size = l->marker.size,
				   .mtime_ns = l->marker.mtime_ns };
	struct fs *fs = l->fs;
	struct meta_object old;
	int r;

	if (l->dir->ino == FS_ROOT_INO || !l->dir->parent ||
	    transfer_covers(fs->transfer, l->prefix, l->began_mono))
		return 0;
	r = meta_object_get(fs->meta, l->prefix, &old);
	if (r < 0 && (r != -ENOENT || !l->has_marker))
		return r == -ENOENT ? 0 : r;
	if (r == 0 && (is_newer(l, &old) ||
		       (l->has_marker && !strcmp(old.etag, l->marker.etag))))
		return 0;
	memcpy(row.key, l->prefix, l->nprefix);
	memcpy(row.etag, l->marker.etag, sizeof(l->marker.etag));
	r = l->has_marker ? meta_object_set(fs->meta, &row) :
			    meta_object_del(fs->meta, l->prefix);
	if (r < 0 || !l->dir->marker)
		return r;
	lock_acquire(&fs->ns);
	l->dir->marker = false; /* no longer ours */
	lock_release(&fs->ns);
	return inode_save(fs, l->dir);
}

/* What its names begin with in the bucket. */
static int prefix_of(struct fs *fs, const struct inode *dir,
		     char ret[META_KEY_MAX + 2])
{
	int r = key_of_inode(fs, dir, ret);

	if (r == 0 && dir->ino != FS_ROOT_INO)
		memcpy(ret + strlen(ret), "/", 2);
	return r;
}

/* The clock was set back meanwhile: what we committed since does not look newer
 * than the listing. */
static bool is_set_back(const struct listing *l)
{
	const struct clk *clk = l->fs->host->clk;
	int64_t took = clk_mono(clk) - l->began_mono;

	return clk_real(clk) - l->began_real < took - NS_PER_S;
}

/* Its name is what it was when the listing began. */
static bool is_in_place(const struct listing *l)
{
	char now[META_KEY_MAX + 2];

	return prefix_of(l->fs, l->dir, now) == 0 &&
	       strcmp(now, l->prefix) == 0;
}

/* 1: done; 0: this says nothing of what the folder, or the time, is now. */
static int merge(struct listing *l)
{
	struct seen *s, *tmp;
	int r = tx_begin(l->fs);

	if (r < 0)
		return r;
	if (!is_in_place(l) || is_set_back(l)) {
		meta_end(l->fs->meta);
		return 0;
	}
	l->now_real = clk_real(l->fs->host->clk);
	r = dir_load(l->fs, l->dir);
	if (r == 0)
		r = merge_marker(l);
	HASH_ITER(hh, l->seen, s, tmp) {
		if (r < 0)
			break;
		r = merge_one(l, s);
		l->unshown += s->is_dir && s->is_file;
	}
	if (r == 0)
		r = merge_missing(l);
	r = tx_commit(l->fs, r);
	turns_take(l, r == 0);
	if (r == 0)
		unshown_note(l->fs, l->dir->ino, l->unshown);
	names_note(l->fs);
	r = tx_close(l->fs, r, 0, false);
	return r < 0 ? r : 1;
}

int list_once(struct fs *fs, struct inode *dir)
{
	struct listing l = { .fs = fs, .dir = dir };
	int r = prefix_of(fs, dir, l.prefix);

	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	l.turns_end = &l.turns;
	l.nprefix = strlen(l.prefix);
	l.began_real = clk_real(fs->host->clk);
	l.began_mono = clk_mono(fs->host->clk);
	r = store_list(fs->store, l.prefix, NULL, true, take, &l);
	if (r == 0)
		r = merge(&l);
	else
		(void)log_err(r, "list %s: %s", l.prefix, store_last_error());
	seen_free(l.seen);
	return r;
}
