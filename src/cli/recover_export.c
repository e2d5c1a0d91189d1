/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a kept version, copied out of the cache (recover.h). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/json.h"

#include "cmd.h"
#include "recover.h"

#define CHUNK (1U << 20)

static int read_write(int from, int to, size_t n, size_t *ret)
{
	char *buf = malloc(CHUNK);
	ssize_t got, put = 0;
	size_t done = 0;
	int r;

	if (!buf)
		return -ENOMEM;
	got = read(from, buf, n < CHUNK ? n : CHUNK);
	while (got > 0 && done < (size_t)got && put >= 0) {
		put = write(to, buf + done, (size_t)got - done);
		if (put > 0)
			done += (size_t)put;
	}
	r = got < 0 || put < 0 ? -errno : 0;
	free(buf);
	*ret = done;
	return r;
}

/* Exactly so many bytes, which the disk may share. */
static int copy(int from, int to, uint64_t size)
{
	bool plain = false;
	ssize_t n;
	size_t done;
	int r;

	while (size > 0) {
		n = plain ? -1 :
			    copy_file_range(from, NULL, to, NULL,
					    size < SSIZE_MAX ? (size_t)size :
							       SSIZE_MAX,
					    0);
		done = n > 0 ? (size_t)n : 0;
		if (n <= 0) { /* two file systems, or an old kernel */
			plain = true;
			r = read_write(from, to,
				       size < CHUNK ? (size_t)size : CHUNK,
				       &done);
			if (r < 0)
				return r;
			if (done == 0)
				return -ENODATA;
		}
		size -= done;
	}
	return 0;
}

static int finish(int fd, const struct json *k)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_NOW } };
	int64_t mode = 0600, mtime = 0;

	if (json_get_int(k, "mode", &mode) < 0 ||
	    json_get_int(k, "mtime_ns", &mtime) < 0)
		return -EBADMSG;
	if (mtime < 0) /* no time of a file of ours */
		mtime = 0;
	t[1].tv_sec = (time_t)(mtime / NS_PER_S);
	t[1].tv_nsec = (long)(mtime % NS_PER_S);
	if (fchmod(fd, (mode_t)mode & 0777) < 0 || futimens(fd, t) < 0 ||
	    fsync(fd) < 0)
		return -errno;
	return 0;
}

static int say(const char *what, int err)
{
	cmd_say("%s: %s%s", what,
		err == -ENODATA ? "some of its bytes are gone" :
				  strerror(-err),
		err == -EEXIST ? ": export to another name, or delete that" :
				 "");
	return CLI_FAILED;
}

static int copy_to(int from, const char *to, const struct json *k)
{
	int64_t size = 0;
	int fd, r;

	if (json_get_int(k, "size", &size) < 0 || size < 0)
		return say(to, -EBADMSG);
	fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return say(to, -errno);
	r = copy(from, fd, (uint64_t)size);
	if (r == 0)
		r = finish(fd, k);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0)
		return CLI_DONE;
	(void)unlink(to); /* half of it would look like all of it */
	return say(to, r);
}

int recover_export(const char *cache_dir, const struct json *k,
		   const char *dest)
{
	const char *path = json_get_str(k, "path");
	const char *where = json_get_str(k, "where"), *base;
	char from[PATH_MAX], to[PATH_MAX];
	struct stat st;
	int fd, status, n;

	if (!cache_dir || !path || !where)
		return say(dest, -EBADMSG);
	base = strrchr(path, '/');
	n = snprintf(from, sizeof(from), "%s/%s", cache_dir, where);
	if (n >= (int)sizeof(from))
		return say(where, -ENAMETOOLONG);
	if (stat(dest, &st) == 0 && S_ISDIR(st.st_mode))
		n = snprintf(to, sizeof(to), "%s/%s", dest,
			     base ? base + 1 : path);
	else
		n = snprintf(to, sizeof(to), "%s", dest);
	if (n >= (int)sizeof(to))
		return say(dest, -ENAMETOOLONG);
	fd = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return say(path, errno == ENOENT ? -ENODATA : -errno);
	status = copy_to(fd, to, k);
	(void)close(fd);
	if (status == CLI_DONE)
		recover_print_one(stdout, k, "is copied to", to);
	return status;
}
