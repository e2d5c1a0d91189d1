/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/disk.h"
#include "ckptfs/log.h"

#include "blob.h"

#define LOG_MODULE "cache"

#define NUMBER_BITS 40
#define DIR_PATH_LEN sizeof(BLOB_ROOT "/00")
#define BLOB_PATH_LEN sizeof(BLOB_ROOT "/00/0123456789abcdef")
#define LOST_PATH_LEN sizeof(BLOB_LOST "/0123456789abcdef")

/* Blobs made in a row share a folder, so that a barrier has few to sync. */
static unsigned dir_of(uint64_t blob)
{
	return (blob >> 8) % BLOB_DIRS;
}

static void dir_path(unsigned dir, char ret[DIR_PATH_LEN])
{
	snprintf(ret, DIR_PATH_LEN, BLOB_ROOT "/%02x", dir % BLOB_DIRS);
}

static void blob_path(uint64_t blob, char ret[BLOB_PATH_LEN])
{
	snprintf(ret, BLOB_PATH_LEN, BLOB_ROOT "/%02x/%016" PRIx64,
		 dir_of(blob), blob);
}

void cache_blob_path(uint64_t blob, char ret[CACHE_BLOB_PATH_MAX])
{
	blob_path(blob, ret);
}

static int make_dir(struct disk *d, const char *path)
{
	int r = disk_mkdir(d, path, 0700);

	return r == -EEXIST ? 0 : r;
}

int cache_open(const struct host *host, uint32_t epoch, struct cache **ret)
{
	struct cache *c;
	int r;

	r = make_dir(host->disk, BLOB_ROOT);
	if (r == 0)
		r = make_dir(host->disk, BLOB_LOST);
	if (r < 0)
		return log_err(r, "make the blob folders");
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->host = host;
	c->epoch = epoch;
	lock_init(&c->lock, LOCK_LEAF, "cache");
	/* The last mount may have died before it synced what it made. */
	memset(&c->dirty, true, sizeof(c->dirty));
	*ret = c;
	return 0;
}

void cache_close(struct cache *c)
{
	if (!c)
		return;
	lock_fini(&c->lock);
	free(c);
}

static uint64_t next_blob(struct cache *c)
{
	uint64_t n;

	lock_acquire(&c->lock);
	n = ++c->last;
	lock_release(&c->lock);
	assert(n >> NUMBER_BITS == 0);
	return c->epoch << NUMBER_BITS | n;
}

/* Only a thread that saw made[dir] may do without marking its parent: so
 * whoever finds it unset marks it, also when another one made the folder. */
static int need_dir(struct cache *c, unsigned dir)
{
	char path[DIR_PATH_LEN];
	bool made;
	int r;

	lock_acquire(&c->lock);
	made = c->made[dir];
	lock_release(&c->lock);
	if (made)
		return 0;
	dir_path(dir, path);
	r = make_dir(c->host->disk, path);
	if (r < 0)
		return r;
	lock_acquire(&c->lock);
	c->made[dir] = true;
	c->dirty.root = true;
	lock_release(&c->lock);
	return 0;
}

static void write_tag(struct cache *c, int fd, const struct cache_tag *tag)
{
	char v[320];
	bool told;
	int n, r;

	n = snprintf(v, sizeof(v), "%" PRIx64 " %" PRIx64 " %.255s", tag->ino,
		     tag->parent, tag->name);
	r = disk_set_xattr(c->host->disk, fd, BLOB_TAG_XATTR, v, (size_t)n);
	if (r == 0)
		return;
	lock_acquire(&c->lock);
	told = c->untagged;
	c->untagged = true;
	lock_release(&c->lock);
	if (!told)
		log_line(LOG_LV_WARN, LOG_MODULE, r,
			 "the cache disk keeps no xattr: without its database "
			 "the cache cannot be rebuilt");
}

/* As write_tag() has it; nothing but a name that a file can have. */
static bool read_tag(const char *v, struct cache_owner *ret)
{
	char *end;
	size_t n;

	ret->ino = strtoull(v, &end, 16);
	if (end == v || *end != ' ')
		return false;
	v = end + 1;
	ret->parent = strtoull(v, &end, 16);
	if (end == v || *end != ' ')
		return false;
	v = end + 1;
	n = strlen(v);
	if (n == 0 || n >= sizeof(ret->name) || strchr(v, '/') ||
	    strcmp(v, ".") == 0 || strcmp(v, "..") == 0)
		return false;
	memcpy(ret->name, v, n + 1);
	return true;
}

int cache_blob_owner(struct cache *c, uint64_t blob, struct cache_owner *ret)
{
	char v[320];
	ssize_t n;
	int fd = cache_blob_open(c, blob, O_RDONLY);

	if (fd < 0)
		return fd;
	n = disk_get_xattr(c->host->disk, fd, BLOB_TAG_XATTR, v,
			   sizeof(v) - 1);
	cache_blob_close(c, fd);
	if (n == -EOPNOTSUPP)
		n = -ENODATA;
	if (n < 0)
		return (int)n;
	v[n] = '\0';
	return read_tag(v, ret) ? 0 : -ENODATA;
}

uint32_t cache_blob_epoch(uint64_t blob)
{
	return (uint32_t)(blob >> NUMBER_BITS);
}

int cache_blob_new(struct cache *c, const struct cache_tag *tag, int flags,
		   uint64_t *ret_blob, int *ret_fd)
{
	char path[BLOB_PATH_LEN];
	uint64_t blob;
	int r;

	do {
		blob = next_blob(c);
		r = need_dir(c, dir_of(blob));
		if (r < 0)
			return log_err(r, "make a blob folder");
		blob_path(blob, path);
		r = disk_open(c->host->disk, path, flags | O_CREAT | O_EXCL,
			      0600);
	} while (r == -EEXIST);
	if (r < 0)
		r = log_err(r, "make blob %s", path);
	/* Somebody deleted the folder: the name is not at fault. */
	if (r == -ENOENT)
		return -EIO;
	if (r < 0)
		return r;
	write_tag(c, r, tag);
	lock_acquire(&c->lock);
	c->dirty.dir[dir_of(blob)] = true;
	lock_release(&c->lock);
	*ret_blob = blob;
	*ret_fd = r;
	return 0;
}

int cache_blob_open(struct cache *c, uint64_t blob, int flags)
{
	char path[BLOB_PATH_LEN];

	blob_path(blob, path);
	return disk_open(c->host->disk, path, flags, 0);
}

void cache_blob_close(struct cache *c, int fd)
{
	disk_close(c->host->disk, fd);
}

int cache_blob_unlink(struct cache *c, uint64_t blob)
{
	char path[BLOB_PATH_LEN];
	int r;

	blob_path(blob, path);
	r = disk_unlink(c->host->disk, path);
	if (r < 0 && r != -ENOENT)
		return r;
	lock_acquire(&c->lock);
	c->dirty.dir[dir_of(blob)] = true;
	lock_release(&c->lock);
	return 0;
}

int cache_blob_lose(struct cache *c, uint64_t blob)
{
	char from[BLOB_PATH_LEN], to[LOST_PATH_LEN];
	int r;

	blob_path(blob, from);
	snprintf(to, sizeof(to), BLOB_LOST "/%016" PRIx64, blob);
	r = disk_rename(c->host->disk, from, to);
	if (r == -ENOENT)
		return r;
	if (r < 0)
		return log_err(r, "move blob %s to " BLOB_LOST, from);
	lock_acquire(&c->lock);
	c->dirty.lost = true;
	c->dirty.dir[dir_of(blob)] = true;
	lock_release(&c->lock);
	return 0;
}

int cache_blob_check(struct cache *c, uint64_t blob, uint64_t size, bool sparse)
{
	struct disk *d = c->host->disk;
	struct disk_stat st;
	int64_t hole;
	int r, fd;

	fd = cache_blob_open(c, blob, O_RDONLY);
	if (fd < 0)
		return fd == -ENOENT ? -ENODATA : fd;
	r = disk_stat(d, fd, &st);
	if (r < 0)
		goto out;
	if (st.size < size)
		r = -ENODATA;
	if (r < 0 || size == 0 || sparse)
		goto out;
	hole = disk_seek_hole(d, fd, 0);
	if (hole < 0)
		r = (int)hole;
	else if ((uint64_t)hole < size)
		r = -ENODATA;
out:
	disk_close(d, fd);
	return r;
}

/* ---- syncing names ---- */

static int sync_path(struct cache *c, const char *path)
{
	int r = disk_sync_dir(c->host->disk, path);

	/* A folder of an earlier mount that is not there gained no name. */
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return log_err(r, "sync the folder \"%s\"", path);
	return 0;
}

static int sync_all(struct cache *c, const struct blob_dirty *todo)
{
	char path[DIR_PATH_LEN];
	unsigned i;
	int r = 0;

	if (todo->top)
		r = sync_path(c, "");
	if (r == 0 && todo->root)
		r = sync_path(c, BLOB_ROOT);
	if (r == 0 && todo->lost)
		r = sync_path(c, BLOB_LOST);
	for (i = 0; r == 0 && i < BLOB_DIRS; i++) {
		if (!todo->dir[i])
			continue;
		dir_path(i, path);
		r = sync_path(c, path);
	}
	return r;
}

int cache_sync_names(struct cache *c)
{
	struct blob_dirty todo;
	int r;

	lock_acquire(&c->lock);
	r = c->failed;
	todo = c->dirty;
	memset(&c->dirty, false, sizeof(c->dirty));
	lock_release(&c->lock);
	if (r < 0)
		return r;
	r = sync_all(c, &todo);
	if (r < 0) {
		lock_acquire(&c->lock);
		c->failed = r;
		lock_release(&c->lock);
	}
	return r;
}
