/* SPDX-License-Identifier: Apache-2.0 */
/* Names and folders of a folder store.  No link is ever followed. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "ckptfs/rng.h"

#include "dir.h"

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static const char *const folder_names[DIR_FOLDERS] = { "tmp", "uploads",
						       "meta" };

static int narrow(int r)
{
	switch (r) {
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return -EACCES;
	case -ENOSPC:
	case -EDQUOT:
		return -ENOSPC;
	case -ENAMETOOLONG:
	case -EISDIR:
	case -EINVAL:
	case -EXDEV: /* another file system is mounted in the folder */
	case -ELOOP:
	case -ENOTDIR:
	case -EFBIG:
	case -EMLINK:
		return -EINVAL;
	case -EHOSTDOWN:
	case -EHOSTUNREACH:
	case -ENOTCONN:
		return -ETIMEDOUT;
	case -EEXIST:
	case -ESTALE:
	case -EBADMSG:
	case -EOPNOTSUPP:
	case -ECANCELED:
	case -ENOENT:
	case -ENOMEM:
	case -ETIMEDOUT:
		return r;
	default:
		return -EAGAIN; /* the disk's own EIO, too many open files … */
	}
}

int dir_err(int r, bool reading)
{
	if (!r)
		return 0;
	if (!store_last_error()[0])
		store_set_error("%s", strerror(-r));
	if (reading && (r == -ENOTDIR || r == -ELOOP || r == -EISDIR))
		return -ENOENT;
	return narrow(r);
}

int dir_check(struct dir_store *d)
{
	return __atomic_load_n(&d->stopped, __ATOMIC_ACQUIRE) ? -ECANCELED : 0;
}

void dir_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

void dir_random_name(char ret[DIR_TMP_NAME])
{
	snprintf(ret, DIR_TMP_NAME, "%016" PRIx64 "%016" PRIx64,
		 rng_u64(&rng_system), rng_u64(&rng_system));
}

bool dir_key_is_marker(const char *key)
{
	return key[strlen(key) - 1] == '/';
}

static bool is_ours(const char *key)
{
	const size_t n = sizeof(STORE_HIDDEN) - 1;

	if (strncmp(key, STORE_HIDDEN, n) != 0)
		return false;
	if (!key[n])
		return true;
	if (key[n] != '/')
		return false;
	key += n + 1;
	for (unsigned i = 0; i < DIR_FOLDERS; i++) {
		size_t len = strlen(folder_names[i]);

		if (!strncmp(key, folder_names[i], len) &&
		    (!key[len] || key[len] == '/'))
			return true;
	}
	return !strcmp(key, "lock");
}

int dir_key_check(const char *key)
{
	for (const char *p = key; *p;) {
		size_t n = strcspn(p, "/");

		if (!n || n > DIR_NAME_MAX || !strncmp(p, ".", n) ||
		    !strncmp(p, "..", n)) {
			store_set_error("no file can have this name");
			return -EINVAL;
		}
		p += n;
		p += *p == '/';
	}
	if (is_ours(key)) {
		store_set_error("the name is reserved");
		return -EINVAL;
	}
	return 0;
}

/* Make a folder an object needs; marked, so that it may go again. */
static int make_implicit(struct dir_store *d, int parent, const char *name,
			 const char *key, int *ret_fd)
{
	struct dir_record rec = { .kind = 'i' };
	struct stat st;
	bool is_new;
	int fd = -1, r;

	errno = 0;
	if (mkdirat(parent, name, 0777) && errno != EEXIST)
		return dir_sys();
	is_new = errno != EEXIST;
	fd = openat(parent, name, FOLDER_FLAGS);
	if (fd < 0 || fstat(fd, &st)) {
		r = dir_sys();
		goto out;
	}
	/* an unmarked folder only outlives its entries: no harm */
	if (is_new && dir_record_write(d, fd, key, st.st_ino, &rec))
		store_set_error("the folder could not be marked");
	r = fsync(parent) ? dir_sys() : 0;
	if (r)
		goto out;
	*ret_fd = fd;
	fd = -1;
out:
	dir_close(fd);
	return r;
}

int dir_walk(struct dir_store *d, const char *path, size_t len, bool make,
	     int *ret_fd)
{
	int fd = fcntl(d->root, F_DUPFD_CLOEXEC, 0), next;
	size_t at = 0;
	int r = fd < 0 ? dir_sys() : 0;

	while (!r && at < len) {
		char name[DIR_NAME_MAX + 1], key[STORE_KEY_MAX + 2];
		size_t n = strcspn(path + at, "/");

		n = n < len - at ? n : len - at;
		snprintf(name, sizeof(name), "%.*s", (int)n, path + at);
		at += n;
		snprintf(key, sizeof(key), "%.*s/", (int)at, path);
		at += at < len;
		next = openat(fd, name, FOLDER_FLAGS);
		r = next < 0 ? dir_sys() : 0;
		if (r == -ENOENT && make)
			r = make_implicit(d, fd, name, key, &next);
		dir_close(fd);
		fd = r ? -1 : next;
	}
	if (!r)
		*ret_fd = fd;
	return r;
}

/* The length of key without its last name (and the '/' before that). */
static size_t parent_len(const char *key, size_t len)
{
	while (len && key[len - 1] != '/')
		len--;
	return len ? len - 1 : 0;
}

int dir_place(struct dir_store *d, const char *key, bool make,
	      struct dir_place *p)
{
	size_t len = strlen(key) - dir_key_is_marker(key);
	size_t up = parent_len(key, len);
	size_t at = up ? up + 1 : 0;

	p->parent = -1;
	snprintf(p->name, sizeof(p->name), "%.*s", (int)(len - at), key + at);
	return dir_walk(d, key, up, make, &p->parent);
}

void dir_place_close(struct dir_place *p)
{
	dir_close(p->parent);
	p->parent = -1;
}

static bool is_implicit(struct dir_store *d, const struct dir_place *p,
			const char *key)
{
	int fd = openat(p->parent, p->name, FOLDER_FLAGS);
	struct dir_record rec;
	bool yes;

	if (fd < 0)
		return false;
	yes = !dir_record_read(d, fd, key, p->st.st_ino, &rec) &&
	      rec.kind == 'i';
	close(fd);
	return yes;
}

int dir_find(struct dir_store *d, const char *key, struct dir_place *p)
{
	bool ok;
	int r = dir_place(d, key, false, p);

	if (!r && fstatat(p->parent, p->name, &p->st, AT_SYMLINK_NOFOLLOW))
		r = dir_sys();
	if (!r) {
		if (dir_key_is_marker(key))
			ok = S_ISDIR(p->st.st_mode) && !is_implicit(d, p, key);
		else
			ok = S_ISREG(p->st.st_mode) || S_ISLNK(p->st.st_mode);
		r = ok ? 0 : -ENOENT;
	}
	if (r == -ENOTDIR || r == -ELOOP)
		r = -ENOENT;
	if (r)
		dir_place_close(p);
	return r;
}

int dir_prune_one(struct dir_store *d, const char *key, size_t len)
{
	struct dir_place p = { .parent = -1 };
	char folder[STORE_KEY_MAX + 2];
	int r;

	snprintf(folder, sizeof(folder), "%.*s/", (int)len, key);
	r = dir_place(d, folder, false, &p);
	if (!r && fstatat(p.parent, p.name, &p.st, AT_SYMLINK_NOFOLLOW))
		r = dir_sys();
	if (!r && !(S_ISDIR(p.st.st_mode) && is_implicit(d, &p, folder)))
		r = -ENOTEMPTY;
	if (!r && unlinkat(p.parent, p.name, AT_REMOVEDIR))
		r = errno == EEXIST ? -ENOTEMPTY : dir_sys();
	if (!r)
		dir_record_drop(d, folder, p.st.st_ino);
	dir_place_close(&p);
	return r;
}

int dir_prune(struct dir_store *d, const char *key)
{
	size_t len = strlen(key) - dir_key_is_marker(key);
	int fd = -1, r = 0;

	while ((len = parent_len(key, len))) {
		r = dir_prune_one(d, key, len);
		/* somebody else pruned it: the one above may be empty now */
		if (r && r != -ENOENT)
			break;
	}
	r = dir_walk(d, key, len, false, &fd);
	/* a failed call's errno is never 0, so neither is r */
	/* NOLINTNEXTLINE(clang-analyzer-unix.StdCLibraryFunctions) */
	if (!r && fsync(fd))
		r = dir_sys();
	dir_close(fd);
	return r == -ENOENT ? 0 : r;
}

static int open_folder(struct dir_store *d, enum dir_folder which, bool make)
{
	int fd = -1, hidden, r;

	if (make && mkdirat(d->root, STORE_HIDDEN, 0777) && errno != EEXIST)
		return dir_sys();
	hidden = openat(d->root, STORE_HIDDEN, FOLDER_FLAGS);
	if (hidden < 0)
		return dir_sys();
	if (make && mkdirat(hidden, folder_names[which], 0777) &&
	    errno != EEXIST) {
		r = dir_sys();
	} else {
		fd = openat(hidden, folder_names[which], FOLDER_FLAGS);
		r = fd < 0 ? dir_sys() : fd;
	}
	close(hidden);
	return r;
}

int dir_folder(struct dir_store *d, enum dir_folder which, bool make)
{
	int r;

	lock_acquire(&d->lock);
	r = d->folder[which];
	if (r < 0) {
		r = open_folder(d, which, make);
		if (r >= 0)
			d->folder[which] = r;
	}
	lock_release(&d->lock);
	return r;
}

int dir_lock(struct dir_store *d)
{
	int fd, r = dir_folder(d, DIR_TMP, true);

	if (r < 0)
		return r;
	/* a description of its own, so threads exclude each other too */
	fd = openat(d->root, STORE_HIDDEN "/lock",
		    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0)
		return dir_sys();
	do {
		r = flock(fd, LOCK_EX) ? dir_sys() : 0;
	} while (r == -EINTR);
	if (r) {
		close(fd);
		return r == -ENOLCK ? -EOPNOTSUPP : r;
	}
	return fd;
}

int dir_remove_tree(int parent, const char *name)
{
	struct dirent *e;
	DIR *dir;
	int fd;

	if (!unlinkat(parent, name, 0) || errno == ENOENT)
		return 0;
	fd = openat(parent, name, FOLDER_FLAGS);
	if (fd < 0)
		return dir_sys();
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)unlinkat(fd, e->d_name, 0);
	closedir(dir);
	return unlinkat(parent, name, AT_REMOVEDIR) ? dir_sys() : 0;
}
