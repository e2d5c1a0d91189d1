/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/disk_path.h"

static int open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
		.mode = (flags & O_CREAT) ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	long r;

	do {
		r = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : (int)r;
}

static int open_one(int dirfd, const char *name, int flags, mode_t mode)
{
	int fd;

	do {
		fd = openat(dirfd, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

/* For kernels and sandboxes without openat2: one component after another. */
static int open_walking(int dirfd, const char *path, int flags, mode_t mode)
{
	char name[256];
	int at = dirfd, next;
	size_t n;

	for (;;) {
		n = strcspn(path, "/");
		if (n >= sizeof(name)) {
			next = -ENAMETOOLONG;
			break;
		}
		memcpy(name, path, n);
		name[n] = '\0';
		if (path[n] == '\0') {
			next = open_one(at, name, flags, mode);
			break;
		}
		next = open_one(at, name, O_PATH | O_DIRECTORY, 0);
		if (next < 0)
			break;
		if (at != dirfd)
			(void)close(at);
		at = next;
		path += n + 1;
	}
	if (at != dirfd)
		(void)close(at);
	return next;
}

int path_open(int dirfd, const char *path, int flags, mode_t mode)
{
	int r = open_beneath(dirfd, path, flags, mode);

	/* Sandboxes answer system calls they do not know with EPERM. */
	if (r == -ENOSYS || r == -EPERM)
		r = open_walking(dirfd, path, flags, mode);
	return r;
}

int path_parent(int dirfd, const char *path, const char **ret_last)
{
	const char *slash = strrchr(path, '/');
	char *parent;
	int fd;

	if (!slash) {
		*ret_last = path;
		return dirfd;
	}
	parent = strndup(path, (size_t)(slash - path));
	if (!parent)
		return -ENOMEM;
	fd = path_open(dirfd, parent, O_PATH | O_DIRECTORY, 0);
	free(parent);
	if (fd >= 0)
		*ret_last = slash + 1;
	return fd;
}

/* The user may have put links into the way to the folder: those count. */
static int make_parents(char *path)
{
	char *p;

	for (p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST) {
			/* A parent we may not change is no fault if there. */
			if (access(path, F_OK) < 0)
				return -errno;
		}
		*p = '/';
	}
	return 0;
}

/* Of the folder itself, which a link must not lead elsewhere: -EPERM unless it
 * is ours alone.  What others put into it, they could have us follow. */
static int open_private(const char *path)
{
	struct stat st;
	int fd;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
	    (st.st_mode & 077) == 0)
		return fd;
	(void)close(fd);
	return -EPERM;
}

int path_make_folder(const char *path)
{
	char *copy;
	int fd, r;

	fd = open_private(path);
	if (fd != -ENOENT)
		return fd;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	r = make_parents(copy);
	free(copy);
	if (r < 0)
		return r;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	return open_private(path);
}
