/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills a daemon, with SIGKILL, before the n-th system call that changes
 * anything, counted over all of its threads.  A daemon is what the program it is
 * preloaded into has forked.  Who maps the file CKPTFS_KILL_AT, too, sees the
 * count and says at which one it is to happen: tests/integration/kills.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct page {
	_Atomic uint64_t count; /* calls so far */
	_Atomic uint64_t at; /* die before this one; 0: never */
	char name[48]; /* which it was */
};

static struct page *page;
static bool is_daemon;

static void forked(void)
{
	is_daemon = true;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("CKPTFS_KILL_AT");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED
			 : mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE,
				MAP_SHARED, fd, 0);

	if (p == MAP_FAILED) {
		fprintf(stderr, "kill.so: CKPTFS_KILL_AT cannot be mapped\n");
		_exit(127);
	}
	page = p;
	close(fd);
	if (pthread_atfork(NULL, NULL, forked))
		_exit(127);
}

static void step(const char *name)
{
	uint64_t n, at;

	if (!page || !is_daemon)
		return;
	n = atomic_fetch_add(&page->count, 1) + 1;
	at = atomic_load(&page->at);
	if (!at || n < at)
		return;
	snprintf(page->name, sizeof(page->name), "%s", name);
	(void)kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static void *next(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (!p)
		abort();
	return p;
}

/* One that takes its arguments and gives its result as they are. */
#define STEP(type, name, params, args)                                         \
	type name params;                                                      \
	type name params                                                       \
	{                                                                      \
		static type(*real) params;                                     \
                                                                               \
		if (!real)                                                     \
			real = (type(*) params)next(#name);                    \
		step(#name);                                                   \
		return real args;                                              \
	}

STEP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
STEP(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))
STEP(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at),
     (fd, p, n, at))
STEP(ssize_t, pwrite64, (int fd, const void *p, size_t n, off64_t at),
     (fd, p, n, at))
STEP(ssize_t, splice,
     (int in, off64_t *at, int out, off64_t *to, size_t n, unsigned flags),
     (in, at, out, to, n, flags))
STEP(ssize_t, copy_file_range,
     (int in, off64_t *at, int out, off64_t *to, size_t n, unsigned flags),
     (in, at, out, to, n, flags))
STEP(ssize_t, send, (int fd, const void *p, size_t n, int flags),
     (fd, p, n, flags))
STEP(ssize_t, sendto,
     (int fd, const void *p, size_t n, int flags, const struct sockaddr *a,
      socklen_t len),
     (fd, p, n, flags, a, len))
STEP(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags),
     (fd, m, flags))
STEP(int, fsync, (int fd), (fd))
STEP(int, fdatasync, (int fd), (fd))
STEP(int, syncfs, (int fd), (fd))
STEP(int, ftruncate, (int fd, off_t n), (fd, n))
STEP(int, ftruncate64, (int fd, off64_t n), (fd, n))
STEP(int, fallocate, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))
STEP(int, fallocate64, (int fd, int mode, off64_t at, off64_t n),
     (fd, mode, at, n))
STEP(int, rename, (const char *from, const char *to), (from, to))
STEP(int, renameat, (int a, const char *from, int b, const char *to),
     (a, from, b, to))
STEP(int, renameat2,
     (int a, const char *from, int b, const char *to, unsigned flags),
     (a, from, b, to, flags))
STEP(int, unlink, (const char *path), (path))
STEP(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags))
STEP(int, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode))
STEP(int, fsetxattr,
     (int fd, const char *name, const void *p, size_t n, int flags),
     (fd, name, p, n, flags))

/* Of a request on the control socket each byte is a call, and changes nothing. */
ssize_t recv(int fd, void *p, size_t n, int flags)
{
	static ssize_t (*real)(int, void *, size_t, int);

	if (!real)
		real = (ssize_t(*)(int, void *, size_t, int))next("recv");
	if (n > 1)
		step("recv");
	return real(fd, p, n, flags);
}

/* Those that open what is there change nothing. */
#define OPENAT(name)                                                           \
	int name(int dir, const char *path, int flags, ...);                   \
	int name(int dir, const char *path, int flags, ...)                    \
	{                                                                      \
		static int (*real)(int, const char *, int, ...);               \
		mode_t mode = 0;                                               \
		va_list ap;                                                    \
                                                                               \
		if (!real)                                                     \
			real = (int (*)(int, const char *, int, ...))next(     \
				#name);                                        \
		if (!(flags & (O_CREAT | __O_TMPFILE)))                        \
			return real(dir, path, flags);                         \
		va_start(ap, flags);                                           \
		mode = va_arg(ap, mode_t);                                     \
		va_end(ap);                                                    \
		step(#name);                                                   \
		return real(dir, path, flags, mode);                           \
	}

OPENAT(openat)
OPENAT(openat64)

int fcntl64(int fd, int what, ...);
int fcntl64(int fd, int what, ...)
{
	static int (*real)(int, int, ...);
	va_list ap;
	void *arg;

	if (!real)
		real = (int (*)(int, int, ...))next("fcntl64");
	va_start(ap, what);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (what == F_SETLEASE)
		step("lease");
	return real(fd, what, arg);
}

int ioctl(int fd, unsigned long what, ...)
{
	static int (*real)(int, unsigned long, ...);
	va_list ap;
	void *arg;

	if (!real)
		real = (int (*)(int, unsigned long, ...))next("ioctl");
	va_start(ap, what);
	arg = va_arg(ap, void *);
	va_end(ap);
	step("ioctl");
	return real(fd, what, arg);
}
