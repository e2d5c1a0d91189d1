/* SPDX-License-Identifier: Apache-2.0 */
/* The inode table and directory entries in memory. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "used.h"

#define LOG_MODULE "fs"

static struct inode *find_locked(struct fs *fs, uint64_t ino)
{
	struct inode *in;

	HASH_FIND(hh, fs->inodes, &ino, sizeof(ino), in);
	return in;
}

struct inode *inode_find(struct fs *fs, uint64_t ino)
{
	struct inode *in;

	lock_acquire(&fs->ns);
	in = find_locked(fs, ino);
	lock_release(&fs->ns);
	return in;
}

struct inode *inode_get(struct fs *fs, uint64_t ino)
{
	struct inode *in;

	lock_acquire(&fs->ns);
	in = find_locked(fs, ino);
	if (in)
		in->pins++;
	lock_release(&fs->ns);
	return in;
}

void inode_free(struct inode *in)
{
	struct dentry *d, *tmp;

	HASH_ITER(hh, in->children, d, tmp) {
		HASH_DEL(in->children, d);
		free(d);
	}
	free(in->live);
	free(in->name);
	free(in->key);
	free(in->target);
	free(in);
}

/* An unlinked inode that nobody knows any more leaves the memory. */
static void maybe_forget(struct fs *fs, struct inode *in)
{
	if (in->parent || in->ino == FS_ROOT_INO || in->nlookup || in->pins ||
	    in->live || in->on_attn)
		return;
	HASH_DEL(fs->inodes, in);
	inode_free(in);
}

void inode_put(struct fs *fs, struct inode *in)
{
	if (!in)
		return;
	lock_acquire(&fs->ns);
	assert(in->pins > 0);
	in->pins--;
	maybe_forget(fs, in);
	lock_release(&fs->ns);
}

void fs_ref(struct fs *fs, uint64_t ino)
{
	struct inode *in;

	lock_acquire(&fs->ns);
	in = find_locked(fs, ino);
	if (in)
		in->nlookup++;
	lock_release(&fs->ns);
}

void fs_forget(struct fs *fs, uint64_t ino, uint64_t n)
{
	struct inode *in;

	lock_acquire(&fs->ns);
	in = find_locked(fs, ino);
	if (in) {
		in->nlookup -= n < in->nlookup ? n : in->nlookup;
		maybe_forget(fs, in);
	}
	lock_release(&fs->ns);
}

void inode_drop_memory(struct fs *fs, struct inode *in)
{
	lock_acquire(&fs->ns);
	HASH_DEL(fs->inodes, in);
	lock_release(&fs->ns);
	inode_free(in);
}

static void copy_str(char *dst, size_t size, const char *src)
{
	size_t n = src ? strlen(src) : 0;

	assert(n < size);
	if (n)
		memcpy(dst, src, n);
	dst[n] = '\0';
}

uint64_t inode_parent(struct fs *fs, const struct inode *in)
{
	uint64_t parent;

	lock_acquire(&fs->ns);
	parent = in->parent;
	lock_release(&fs->ns);
	return parent;
}

void inode_tag(struct fs *fs, const struct inode *in, struct inode_tag *ret)
{
	lock_acquire(&fs->ns);
	copy_str(ret->name, sizeof(ret->name), in->name);
	ret->tag = (struct cache_tag){ in->ino, in->parent, ret->name };
	lock_release(&fs->ns);
}

int inode_set_str(char **p, const char *value)
{
	char *s = NULL;

	if (value && *value) {
		s = strdup(value);
		if (!s)
			return -ENOMEM;
	}
	free(*p);
	*p = s;
	return 0;
}

struct inode *inode_new(const struct meta_inode *row)
{
	struct inode *in = calloc(1, sizeof(*in));

	if (!in)
		return NULL;
	in->ino = row->ino;
	in->kind = row->kind;
	in->parent = row->parent;
	in->mode = row->mode;
	in->uid = row->uid;
	in->gid = row->gid;
	in->mtime_ns = row->mtime_ns;
	in->atime_ns = in->used_ns = row->mtime_ns;
	in->ctime_ns = row->ctime_ns;
	in->size = row->size;
	in->vid = row->vid;
	in->meta_known = row->meta_known;
	in->marker = row->marker;
	in->own = in->kind == META_DIR && row->meta_known &&
		  row->ino != FS_ROOT_INO;
	if (inode_set_str(&in->name, row->name) < 0 ||
	    inode_set_str(&in->key, row->key) < 0 ||
	    inode_set_str(&in->target, row->target) < 0) {
		inode_free(in);
		return NULL;
	}
	return in;
}

void inode_show(struct fs *fs, struct inode *in)
{
	HASH_ADD(hh, fs->inodes, ino, sizeof(in->ino), in);
}

int inode_from_row(struct fs *fs, const struct meta_inode *row,
		   struct inode **ret)
{
	struct inode *in = inode_find(fs, row->ino);

	if (in) {
		*ret = in;
		return 0;
	}
	in = inode_new(row);
	if (!in)
		return -ENOMEM;
	lock_acquire(&fs->ns);
	inode_show(fs, in);
	lock_release(&fs->ns);
	*ret = in;
	return 0;
}

void inode_to_row(const struct inode *in, struct meta_inode *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->ino = in->ino;
	ret->kind = in->kind;
	ret->parent = in->parent;
	copy_str(ret->name, sizeof(ret->name), in->name);
	ret->mode = in->mode;
	ret->uid = in->uid;
	ret->gid = in->gid;
	ret->mtime_ns = in->mtime_ns;
	ret->ctime_ns = in->ctime_ns;
	ret->size = in->size;
	ret->vid = in->vid;
	copy_str(ret->key, sizeof(ret->key), in->key);
	copy_str(ret->target, sizeof(ret->target), in->target);
	ret->meta_known = in->meta_known;
	ret->marker = in->marker;
}

int inode_save(struct fs *fs, const struct inode *in)
{
	return inode_save_vid(fs, in, in->vid);
}

int inode_save_vid(struct fs *fs, const struct inode *in, uint64_t vid)
{
	struct meta_inode row;

	inode_to_row(in, &row);
	row.vid = vid;
	return meta_inode_set(fs->meta, &row);
}

void inode_show_version(struct inode *in, const struct meta_version *v,
			uint64_t seq)
{
	in->vid = v->vid;
	in->state = v->state;
	in->provisional = v->provisional;
	in->held = v->held;
	in->sealed_real_ns = v->sealed_real_ns;
	in->seal_seq = seq;
}

void inode_let_go(struct inode *in, uint64_t seq)
{
	in->held = false;
	in->seal_seq = seq;
	if (in->live && in->live->ver.vid == in->vid)
		in->live->ver.held = false;
}

/* How much of the disk a version with holes takes; 0: it cannot be told. */
static uint64_t alloc_of(struct fs *fs, const struct meta_version *v)
{
	struct disk_stat st = { .alloc = 0 };
	int fd = cache_blob_open(fs->cache, v->blob, O_RDONLY);

	if (fd >= 0 && disk_stat(fs->host->disk, fd, &st) < 0)
		st.alloc = 0;
	cache_blob_close(fs->cache, fd);
	return st.alloc;
}

/* What the current version row says of the inode. */
int inode_load_version(struct fs *fs, struct inode *in)
{
	struct meta_version v = { .vid = 0 };
	uint64_t seq = 0, alloc = 0;
	int r = 0;

	if (in->vid)
		r = meta_version_get(fs->meta, in->vid, &v);
	if (r == -ENOENT)
		return log_err(-EIO, "inode %llu names version %llu, which "
			       "has no row",
			       (unsigned long long)in->ino,
			       (unsigned long long)in->vid);
	if (r == 0 && v.state == META_SEALED && !v.held)
		r = transfer_place(fs->transfer, in->vid, &seq);
	if (r < 0)
		return r;
	if (v.vid && v.sparse && v.blob)
		alloc = alloc_of(fs, &v);
	lock_acquire(&fs->ns);
	inode_show_version(in, &v, seq);
	used_load(in, &v);
	in->alloc = alloc;
	in->alloc_vid = alloc ? v.vid : 0;
	lock_release(&fs->ns);
	return 0;
}

bool inode_is_pending(struct fs *fs, const struct inode *in)
{
	bool written;

	lock_acquire(&fs->ns);
	written = in->live && in->live->writing;
	lock_release(&fs->ns);
	return written || in->seal_seq || in->held || in->provisional ||
	       (in->vid && in->state != META_PUBLISHED) ||
	       is_local_kind(in->kind);
}

struct dentry *dentry_find(const struct inode *dir, const char *name)
{
	struct dentry *d;

	HASH_FIND(hh, dir->children, name, strlen(name), d);
	return d;
}

struct dentry *dentry_new(const char *name, uint64_t ino)
{
	size_t n = strlen(name);
	struct dentry *d = malloc(sizeof(*d) + n + 1);

	if (!d)
		return NULL;
	memcpy(d->name, name, n + 1);
	d->ino = ino;
	return d;
}

void dentry_link(struct inode *dir, struct dentry *d)
{
	HASH_ADD_KEYPTR(hh, dir->children, d->name, strlen(d->name), d);
}

int dentry_add(struct fs *fs, struct inode *dir, const char *name, uint64_t ino)
{
	struct dentry *d = dentry_new(name, ino);

	if (!d)
		return -ENOMEM;
	lock_acquire(&fs->ns);
	dentry_link(dir, d);
	lock_release(&fs->ns);
	return 0;
}

void dentry_del(struct fs *fs, struct inode *dir, const char *name)
{
	struct dentry *d = dentry_find(dir, name);

	if (!d)
		return;
	lock_acquire(&fs->ns);
	HASH_DEL(dir->children, d);
	lock_release(&fs->ns);
	free(d);
}

struct load_arg {
	struct fs *fs;
	struct inode *dir;
	struct inode **added;
	size_t n, cap;
};

static int load_child(void *arg, const struct meta_inode *row)
{
	struct load_arg *a = arg;
	bool known = inode_find(a->fs, row->ino) != NULL;
	struct inode *in;
	int r = inode_from_row(a->fs, row, &in);

	if (r < 0)
		return r;
	/* Of one that is here and has no version the memory knows more. */
	if (known && !in->vid)
		return dentry_add(a->fs, a->dir, in->name, in->ino);
	if (a->n == a->cap) {
		size_t cap = a->cap ? a->cap * 2 : 64;
		struct inode **p = realloc(a->added, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		a->added = p;
		a->cap = cap;
	}
	a->added[a->n++] = in;
	return dentry_add(a->fs, a->dir, in->name, in->ino);
}

int dir_load(struct fs *fs, struct inode *dir)
{
	struct load_arg a = { .fs = fs, .dir = dir };
	size_t i;
	int r;

	meta_assert_begun(fs->meta);
	if (dir->loaded)
		return 0;
	r = meta_name_each(fs->meta, dir->ino, load_child, &a);
	for (i = 0; r == 0 && i < a.n; i++)
		r = inode_load_version(fs, a.added[i]);
	free(a.added);
	if (r < 0)
		return r;
	lock_acquire(&fs->ns);
	dir->loaded = true;
	dir->looked_ns = clk_mono(fs->host->clk);
	lock_release(&fs->ns);
	names_note(fs);
	return 0;
}

bool dir_is_empty(const struct inode *dir)
{
	return dir->children == NULL;
}

static int key_of_locked(struct fs *fs, const struct inode *dir,
			 const char *name, char ret[META_KEY_MAX + 1])
{
	char *end = ret + META_KEY_MAX, *p = end;
	size_t n = strlen(name), np = strlen(fs->prefix);

	/* From the last byte to the first, then moved to the front. */
	*p = '\0';
	if (n > META_KEY_MAX)
		return -ENAMETOOLONG;
	p -= n;
	memcpy(p, name, n);
	while (dir && dir->ino != FS_ROOT_INO) {
		n = dir->name ? strlen(dir->name) : 0;
		if (!n)
			return -ENOENT;
		if ((size_t)(p - ret) < n + 1)
			return -ENAMETOOLONG;
		*--p = '/';
		p -= n;
		memcpy(p, dir->name, n);
		dir = find_locked(fs, dir->parent);
	}
	if (!dir)
		return -ENOENT;
	if ((size_t)(p - ret) < np)
		return -ENAMETOOLONG;
	p -= np;
	memcpy(p, fs->prefix, np);
	memmove(ret, p, (size_t)(end - p) + 1);
	return 0;
}

int key_of(struct fs *fs, const struct inode *dir, const char *name,
	   char ret[META_KEY_MAX + 1])
{
	int r;

	lock_acquire(&fs->ns);
	r = key_of_locked(fs, dir, name, ret);
	lock_release(&fs->ns);
	return r;
}

int key_of_inode_locked(struct fs *fs, const struct inode *in,
			char ret[META_KEY_MAX + 1])
{
	const struct inode *dir = find_locked(fs, in->parent);

	if (in->ino == FS_ROOT_INO) {
		copy_str(ret, META_KEY_MAX + 1, fs->prefix);
		return 0;
	}
	return dir && in->name ? key_of_locked(fs, dir, in->name, ret) :
				 -ENOENT;
}

int key_of_inode(struct fs *fs, const struct inode *in,
		 char ret[META_KEY_MAX + 1])
{
	int r;

	lock_acquire(&fs->ns);
	r = key_of_inode_locked(fs, in, ret);
	lock_release(&fs->ns);
	return r;
}

const char *key_path(const struct fs *fs, const char *key)
{
	size_t n = strlen(fs->prefix);

	return strncmp(key, fs->prefix, n) == 0 ? key + n : key;
}

bool key_is_live(const struct fs *fs, const char *key)
{
	const char *globs = fs->opts.live ? fs->opts.live : TRANSFER_LIVE;

	return transfer_name_is_live(globs, key_path(fs, key));
}

int path_resolve(struct fs *fs, const char *path, struct inode **ret)
{
	struct inode *in = inode_get(fs, FS_ROOT_INO);
	char part[META_NAME_MAX + 1];
	struct fs_entry e;
	int r;

	while (*path == '/')
		path++;
	while (in && *path) {
		size_t n = strcspn(path, "/");

		if (n <= META_NAME_MAX) {
			memcpy(part, path, n);
			part[n] = '\0';
		}
		r = n <= META_NAME_MAX ? fs_lookup(fs, in->ino, part, &e)
				       : -ENAMETOOLONG;
		inode_put(fs, in);
		if (r < 0)
			return r;
		/* Pinned first: it may leave the memory at any time else. */
		in = inode_get(fs, e.attr.ino);
		fs_forget(fs, e.attr.ino, 1);
		path += n;
		while (*path == '/')
			path++;
	}
	*ret = in;
	return in ? 0 : -ENOENT;
}
