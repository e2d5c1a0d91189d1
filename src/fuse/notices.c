/* SPDX-License-Identifier: Apache-2.0 */
/* What fs asks of the kernel. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "ckptfs/log.h"

#include "glue.h"

#define LOG_MODULE "fuse"

/* As in linux/fuse.h since 6.9, which older systems' headers lack. */
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

struct notice {
	struct notice *next;
	uint64_t ino; /* the inode, or the parent of name */
	char name[]; /* "": the inode itself */
};

struct notices {
	struct fusefs *f;
	pthread_t thread;
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t more;
	struct notice *first, **last;
	bool stop;
	bool joined; /* by notices_end() */
};

static struct notice *take(struct notices *n)
{
	struct notice *one;

	(void)pthread_mutex_lock(&n->lock);
	while (!n->first && !n->stop)
		(void)pthread_cond_wait(&n->more, &n->lock);
	one = n->stop ? NULL : n->first;
	if (one) {
		n->first = one->next;
		if (!n->first)
			n->last = &n->first;
	}
	(void)pthread_mutex_unlock(&n->lock);
	return one;
}

static void *notices_main(void *arg)
{
	struct notices *n = arg;
	struct fuse_session *se = n->f->se;
	struct notice *one;
	int r;

	while ((one = take(n))) {
		if (one->name[0])
			r = fuse_lowlevel_notify_inval_entry(
				se, one->ino, one->name, strlen(one->name));
		else
			r = fuse_lowlevel_notify_inval_inode(se, one->ino, 0,
							     0);
		/* -ENOENT: it does not remember, which is as well. */
		if (r < 0 && r != -ENOENT)
			log_debug("the kernel keeps inode %llu: %s",
				  (unsigned long long)one->ino, strerror(-r));
		free(one);
	}
	return NULL;
}

int notices_start(struct fusefs *f)
{
	struct notices *n = calloc(1, sizeof(*n));
	sigset_t all, old;
	int r;

	if (!n)
		return -ENOMEM;
	n->f = f;
	n->last = &n->first;
	(void)pthread_mutex_init(&n->lock, NULL);
	(void)pthread_cond_init(&n->more, NULL);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&n->thread, NULL, notices_main, n);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0) {
		free(n);
		return r;
	}
	f->notices = n;
	return 0;
}

void notices_add(struct notices *n, uint64_t ino, const char *name)
{
	size_t len = name ? strlen(name) : 0;
	struct notice *one = calloc(1, sizeof(*one) + len + 1);

	/* Without memory the kernel remembers until its time is up. */
	if (!one)
		return;
	one->ino = ino;
	if (len)
		memcpy(one->name, name, len);
	(void)pthread_mutex_lock(&n->lock);
	*n->last = one;
	n->last = &one->next;
	(void)pthread_cond_signal(&n->more);
	(void)pthread_mutex_unlock(&n->lock);
}

void notices_end(struct notices *n)
{
	struct timespec until;

	if (!n)
		return;
	(void)pthread_mutex_lock(&n->lock);
	n->stop = true;
	(void)pthread_cond_signal(&n->more);
	(void)pthread_mutex_unlock(&n->lock);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	n->joined = pthread_timedjoin_np(n->thread, NULL, &until) == 0;
}

void notices_free(struct notices *n)
{
	struct notice *one;

	if (!n)
		return;
	if (!n->joined)
		(void)pthread_join(n->thread, NULL);
	while ((one = n->first)) {
		n->first = one->next;
		free(one);
	}
	(void)pthread_cond_destroy(&n->more);
	(void)pthread_mutex_destroy(&n->lock);
	free(n);
}

static int kernel_backing_open(void *arg, int fd)
{
	struct fusefs *f = arg;
	struct backing_map map = { .fd = fd };
	int id;

	if (!f->passthrough)
		return -ENOSYS;
	id = ioctl(fuse_session_fd(f->se), BACKING_OPEN, &map);
	return id < 0 ? -errno : id;
}

static void kernel_backing_close(void *arg, int id)
{
	struct fusefs *f = arg;
	uint32_t which = (uint32_t)id;

	/* After the unmount it is gone already. */
	(void)ioctl(fuse_session_fd(f->se), BACKING_CLOSE, &which);
}

static void kernel_forget_entry(void *arg, uint64_t parent, const char *name)
{
	struct fusefs *f = arg;

	notices_add(f->notices, parent, name);
}

static void kernel_forget_inode(void *arg, uint64_t ino)
{
	struct fusefs *f = arg;

	notices_add(f->notices, ino, NULL);
}

static void kernel_who(void *arg, pid_t tid, struct fs_who *ret)
{
	(void)arg;
	who_find(tid, ret);
}

static bool kernel_direct_writes(void *arg)
{
	const struct fusefs *f = arg;

	return f->direct_writes;
}

void glue_kernel(struct fusefs *f, struct fs_kernel *ret)
{
	ret->backing_open = kernel_backing_open;
	ret->backing_close = kernel_backing_close;
	ret->forget_entry = kernel_forget_entry;
	ret->forget_inode = kernel_forget_inode;
	ret->direct_writes = kernel_direct_writes;
	ret->who = kernel_who;
	ret->arg = f;
}
