/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated disk: the table of operations. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "ckptfs/clock.h"

#include "simdisk_impl.h"

#define EXT4_MAGIC 0xef53

static bool rule_hits(const struct simdisk *d, const struct rule *r,
		      enum simdisk_op op)
{
	if (r->err == 0 || (r->op != op && r->op != SIM_ANY))
		return false;
	return r->for_ever ? d->calls[r->op] >= r->at
			   : d->calls[r->op] == r->at;
}

/* Lock, count and, by the rules, fail.  The lock is held in any case. */
static int enter(struct disk *base, enum simdisk_op op, struct simdisk **ret)
{
	struct simdisk *d = sim_of(base);
	unsigned i;

	sim_lock_disk(d);
	*ret = d;
	d->calls[op]++;
	d->calls[SIM_ANY]++;
	if (sim_is_halted(d))
		return -EIO;
	for (i = 0; i < SIM_RULES; i++)
		if (rule_hits(d, &d->rules[i], op))
			return d->rules[i].err;
	return 0;
}

/* The file behind fd for an operation that reads or writes. */
static int file_of(struct simdisk *d, int fd, bool write, struct node **ret)
{
	const struct handle *h = handle_find(d, fd);

	if (!h || h->external)
		return -EBADF;
	if (write ? !handle_writes(h) : (h->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	*ret = h->node;
	return 0;
}

static int any_of(struct simdisk *d, int fd, struct node **ret)
{
	const struct handle *h = handle_find(d, fd);

	if (!h || h->external)
		return -EBADF;
	*ret = h->node;
	return 0;
}

/* Find or make the file path. */
static int open_node(struct simdisk *d, const char *path, int flags,
		     struct node **ret)
{
	struct node *dir, *n;
	const char *last;
	int r;

	r = name_parent(d, path, &dir, &last);
	if (r < 0)
		return r;
	n = name_in(dir, last);
	if (n && (flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if (!n && !(flags & O_CREAT))
		return -ENOENT;
	if (n && n->is_dir &&
	    ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC))))
		return -EISDIR;
	if (!n) {
		n = node_new(d, false);
		name_link(d, dir, last, n);
		node_put(d, n);
	} else if (flags & O_TRUNC) {
		file_truncate(d, n, 0);
	}
	*ret = n;
	return 0;
}

static int sim_open(struct disk *base, const char *path, int flags, mode_t mode)
{
	struct simdisk *d;
	struct node *n;
	int r = enter(base, SIM_OPEN, &d);

	if (r == 0)
		r = open_node(d, path, flags, &n);
	if (r == 0)
		r = handle_new(d, n, flags, false);
	sim_unlock_disk(d);
	return r;
}

static int sim_dup(struct disk *base, int fd)
{
	const struct handle *h;
	struct simdisk *d;
	int r = enter(base, SIM_OPEN, &d);

	h = handle_find(d, fd);
	if (r == 0 && (!h || h->external))
		r = -EBADF;
	if (r == 0)
		r = handle_new(d, h->node, h->flags, false);
	sim_unlock_disk(d);
	return r;
}

static int sim_close(struct disk *base, int fd)
{
	struct simdisk *d = sim_of(base);
	struct handle *h;
	int r = -EBADF;

	sim_lock_disk(d);
	h = handle_find(d, fd);
	if (h && !h->external) {
		handle_free(d, h);
		r = 0;
	}
	sim_unlock_disk(d);
	return r;
}

static ssize_t sim_pread(struct disk *base, int fd, void *p, size_t n,
			 uint64_t off)
{
	struct simdisk *d;
	struct node *f;
	ssize_t r = enter(base, SIM_PREAD, &d);

	if (r == 0)
		r = file_of(d, fd, false, &f);
	if (r == 0)
		r = f->is_dir ? -EISDIR : file_read(d, f, p, n, off);
	sim_unlock_disk(d);
	return r;
}

static ssize_t sim_pwrite(struct disk *base, int fd, const void *p, size_t n,
			  uint64_t off)
{
	struct simdisk *d;
	struct node *f;
	ssize_t r = enter(base, SIM_PWRITE, &d);

	if (r == 0)
		r = file_of(d, fd, true, &f);
	if (r == 0)
		r = file_write(d, f, p, n, off);
	sim_unlock_disk(d);
	return r;
}

static int sim_truncate(struct disk *base, int fd, uint64_t size)
{
	struct simdisk *d;
	struct node *f;
	int r = enter(base, SIM_TRUNCATE, &d);

	if (r == 0)
		r = file_of(d, fd, true, &f);
	/* ftruncate(2) calls a descriptor without write access invalid. */
	if (r == -EBADF && handle_find(d, fd))
		r = -EINVAL;
	if (r == 0)
		file_truncate(d, f, size);
	sim_unlock_disk(d);
	return r;
}

static int sim_allocate(struct disk *base, int fd, uint64_t off, uint64_t len)
{
	struct simdisk *d;
	struct node *f;
	int r = enter(base, SIM_ALLOCATE, &d);

	if (r == 0)
		r = file_of(d, fd, true, &f);
	if (r == 0)
		r = file_allocate(d, f, off, len);
	sim_unlock_disk(d);
	return r;
}

static int sim_punch(struct disk *base, int fd, uint64_t off, uint64_t len)
{
	struct simdisk *d;
	struct node *f;
	int r = enter(base, SIM_PUNCH, &d);

	if (r == 0)
		r = file_of(d, fd, true, &f);
	if (r == 0 && (d->lacks & SIM_NO_PUNCH))
		r = -EOPNOTSUPP;
	if (r == 0 && len == 0)
		r = -EINVAL;
	if (r == 0)
		file_punch(d, f, off, len);
	sim_unlock_disk(d);
	return r;
}

static int sim_stat(struct disk *base, int fd, struct disk_stat *ret)
{
	struct simdisk *d;
	struct node *f;
	int r = enter(base, SIM_STAT, &d);

	if (r == 0)
		r = any_of(d, fd, &f);
	if (r == 0)
		*ret = (struct disk_stat){
			.size = f->size,
			.alloc = f->npages * SIM_PAGE,
			.atime_ns = f->atime_ns,
			.mtime_ns = f->mtime_ns,
			.ctime_ns = f->ctime_ns,
			.is_dir = f->is_dir,
		};
	sim_unlock_disk(d);
	return r;
}

static int64_t sim_seek(struct disk *base, int fd, uint64_t off, bool hole)
{
	struct simdisk *d;
	struct node *f;
	int64_t r = enter(base, SIM_SEEK, &d);

	if (r == 0)
		r = any_of(d, fd, &f);
	if (r == 0)
		r = file_seek(f, off, hole);
	sim_unlock_disk(d);
	return r;
}

/* A sync that fails has lost the bytes, unless the process is as good as dead:
 * then nothing happened. */
static bool sync_loses(const struct simdisk *d, int err)
{
	return err < 0 && !sim_is_halted(d);
}

static int sim_fdatasync(struct disk *base, int fd)
{
	struct simdisk *d;
	struct node *f;
	int fault = enter(base, SIM_FDATASYNC, &d), r;

	r = any_of(d, fd, &f);
	if (r == 0 && (fault == 0 || sync_loses(d, fault)))
		file_sync(f, fault < 0);
	sim_unlock_disk(d);
	return fault ? fault : r;
}

static int sim_syncfs(struct disk *base)
{
	struct simdisk *d;
	struct node *n;
	int fault = enter(base, SIM_SYNCFS, &d);

	if (fault == 0 || sync_loses(d, fault))
		for (n = d->nodes; n; n = n->next)
			file_sync(n, fault < 0);
	if (fault == 0)
		name_sync(d, NULL);
	sim_unlock_disk(d);
	return fault;
}

static int sim_writeback(struct disk *base, int fd, uint64_t off, uint64_t len)
{
	struct simdisk *d;
	struct node *f;
	int r = enter(base, SIM_WRITEBACK, &d);

	if (r == 0)
		r = any_of(d, fd, &f);
	sim_unlock_disk(d);
	return r;
}

static int sim_clone(struct disk *base, int from, int to)
{
	struct simdisk *d;
	struct node *a, *b;
	int r = enter(base, SIM_CLONE, &d);

	if (r == 0)
		r = file_of(d, from, false, &a);
	if (r == 0)
		r = file_of(d, to, true, &b);
	if (r == 0)
		r = (d->lacks & SIM_NO_CLONE) ? -EOPNOTSUPP
					      : file_clone(d, a, b);
	sim_unlock_disk(d);
	return r;
}

static ssize_t sim_copy(struct disk *base, int from, uint64_t from_off, int to,
			uint64_t to_off, size_t n)
{
	struct simdisk *d;
	struct node *a = NULL, *b = NULL;
	void *p = malloc(n + !n);
	ssize_t r = enter(base, SIM_PWRITE, &d);

	if (r == 0)
		r = file_of(d, from, false, &a);
	if (r == 0)
		r = file_of(d, to, true, &b);
	if (r == 0 && (!p || d->lacks & SIM_NO_CLONE ||
		       (a == b && from_off < to_off + n &&
			to_off < from_off + n)))
		r = -EOPNOTSUPP;
	if (r == 0)
		r = file_read(d, a, p, n, from_off);
	if (r > 0)
		r = file_write(d, b, p, (size_t)r, to_off);
	sim_unlock_disk(d);
	free(p);
	return r;
}

static int sim_lease(struct disk *base, int fd, enum disk_lease kind)
{
	struct simdisk *d;
	struct node *f = NULL;
	int r = enter(base, SIM_LEASE, &d);

	if (r == 0)
		r = any_of(d, fd, &f);
	if (r == 0 && ((d->lacks & SIM_NO_LEASE) || f->is_dir))
		r = -EOPNOTSUPP;
	if (r == 0 &&
	    (f->writers > 0 || (kind == DISK_LEASE_WRITE && f->opens > 1)))
		r = -EAGAIN;
	sim_unlock_disk(d);
	return r;
}

static int sim_set_xattr(struct disk *base, int fd, const char *name,
			 const void *value, size_t len)
{
	struct simdisk *d;
	struct node *f;
	int r = enter(base, SIM_SET_XATTR, &d);

	if (r == 0)
		r = any_of(d, fd, &f);
	if (r == 0 &&
	    ((d->lacks & SIM_NO_XATTR) || strncmp(name, "user.", 5) != 0))
		r = -EOPNOTSUPP;
	if (r == 0) {
		r = file_set_xattr(f, name, value, len);
		file_touch(d, f, false);
	}
	sim_unlock_disk(d);
	return r;
}

static ssize_t sim_get_xattr(struct disk *base, int fd, const char *name,
			     void *value, size_t len)
{
	struct simdisk *d;
	struct node *f;
	ssize_t r = enter(base, SIM_GET_XATTR, &d);

	if (r == 0)
		r = any_of(d, fd, &f);
	if (r == 0 &&
	    ((d->lacks & SIM_NO_XATTR) || strncmp(name, "user.", 5) != 0))
		r = -EOPNOTSUPP;
	if (r == 0)
		r = file_get_xattr(f, name, value, len);
	sim_unlock_disk(d);
	return r;
}

static int sim_mkdir(struct disk *base, const char *path, mode_t mode)
{
	struct simdisk *d;
	struct node *dir, *n;
	const char *last;
	int r = enter(base, SIM_MKDIR, &d);

	if (r == 0)
		r = name_parent(d, path, &dir, &last);
	if (r == 0 && name_in(dir, last))
		r = -EEXIST;
	if (r == 0) {
		n = node_new(d, true);
		name_link(d, dir, last, n);
		node_put(d, n);
	}
	sim_unlock_disk(d);
	return r;
}

static int sim_rename(struct disk *base, const char *from, const char *to)
{
	struct simdisk *d;
	int r = enter(base, SIM_RENAME, &d);

	if (r == 0)
		r = name_rename(d, from, to);
	sim_unlock_disk(d);
	return r;
}

static int sim_unlink(struct disk *base, const char *path)
{
	struct simdisk *d;
	int r = enter(base, SIM_UNLINK, &d);

	if (r == 0)
		r = name_unlink(d, path);
	sim_unlock_disk(d);
	return r;
}

static int find_dir(struct simdisk *d, const char *path, struct node **ret)
{
	struct node *n;
	int r = name_find(d, path, &n);

	if (r < 0)
		return r;
	if (!n->is_dir)
		return -ENOTDIR;
	*ret = n;
	return 0;
}

static int sim_sync_dir(struct disk *base, const char *path)
{
	struct simdisk *d;
	struct node *dir;
	int r = enter(base, SIM_SYNC_DIR, &d);

	if (r == 0)
		r = find_dir(d, path, &dir);
	if (r == 0)
		name_sync(d, dir);
	sim_unlock_disk(d);
	return r;
}

/* fn runs without the lock, on a copy: it may use the disk. */
static int sim_list(struct disk *base, const char *path, disk_list_fn *fn,
		    void *arg)
{
	struct item {
		char *name;
		bool is_dir;
	} *items = NULL;
	struct simdisk *d;
	struct node *dir;
	struct entry *e;
	size_t n = 0, i;
	int r = enter(base, SIM_LIST, &d);

	if (r == 0)
		r = find_dir(d, path, &dir);
	if (r == 0) {
		items = sim_alloc((HASH_COUNT(dir->cur) + 1) * sizeof(*items));
		for (e = dir->cur; e; e = e->hh.next, n++) {
			items[n].name = sim_strndup(e->name, strlen(e->name));
			items[n].is_dir = e->node->is_dir;
		}
	}
	sim_unlock_disk(d);
	for (i = 0; i < n; i++) {
		if (r == 0)
			r = fn(arg, items[i].name, items[i].is_dir);
		free(items[i].name);
	}
	free(items);
	return r;
}

static int sim_lock(struct disk *base, const char *path)
{
	struct simdisk *d;
	struct node *n;
	int r = enter(base, SIM_LOCK, &d);

	if (r == 0)
		r = open_node(d, path, O_RDWR | O_CREAT, &n);
	if (r == 0 && n->locked)
		r = -EWOULDBLOCK;
	if (r == 0) {
		r = handle_new(d, n, O_RDWR, false);
		handle_find(d, r)->locks = true;
		n->locked = true;
	}
	sim_unlock_disk(d);
	return r;
}

static int sim_space(struct disk *base, struct disk_space *ret)
{
	struct simdisk *d;
	int r = enter(base, SIM_SPACE, &d);

	if (r == 0) {
		uint64_t free_pages =
			d->capacity > d->used ? d->capacity - d->used : 0;

		ret->total = d->capacity * SIM_PAGE;
		ret->avail = free_pages * SIM_PAGE;
		ret->fs_magic = EXT4_MAGIC;
	}
	sim_unlock_disk(d);
	return r;
}

static int sim_boot_id(struct disk *base, char ret[40])
{
	struct simdisk *d = sim_of(base);

	sim_lock_disk(d);
	snprintf(ret, 40, "00000000-0000-4000-8000-%012u", d->boots);
	sim_unlock_disk(d);
	return 0;
}

static void sim_disk_free(struct disk *base)
{
	struct simdisk *d = sim_of(base);

	handles_drop(d, true);
	name_free_all(d);
	(void)pthread_mutex_destroy(&d->m);
	free(d);
}

const struct disk_ops simdisk_ops = {
	.name = "simulated",
	.open = sim_open,
	.dup = sim_dup,
	.close = sim_close,
	.pread = sim_pread,
	.pwrite = sim_pwrite,
	.truncate = sim_truncate,
	.allocate = sim_allocate,
	.punch = sim_punch,
	.stat = sim_stat,
	.seek = sim_seek,
	.fdatasync = sim_fdatasync,
	.syncfs = sim_syncfs,
	.writeback = sim_writeback,
	.clone = sim_clone,
	.copy = sim_copy,
	.lease = sim_lease,
	.set_xattr = sim_set_xattr,
	.get_xattr = sim_get_xattr,
	.mkdir = sim_mkdir,
	.rename = sim_rename,
	.unlink = sim_unlink,
	.sync_dir = sim_sync_dir,
	.list = sim_list,
	.lock = sim_lock,
	.space = sim_space,
	.boot_id = sim_boot_id,
	.free = sim_disk_free,
};
