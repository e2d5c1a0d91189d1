/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/buf.h"
#include "ckptfs/log.h"

#include "glue.h"

#define LOG_MODULE "fuse"

#define OPTION_MAX 8192
#define IDLE_THREADS 16
/* Many may wait for the bucket (close=remote, cold reads) at once. */
#define MAX_THREADS 256
#define POKE_SIGNAL SIGUSR1

/* The last words of libfuse, which it else prints on stderr. */
static _Thread_local char said[256];

static void keep_words(enum fuse_log_level level, const char *fmt, va_list ap)
	PRINTF_LIKE(2, 0);

static void keep_words(enum fuse_log_level level, const char *fmt, va_list ap)
{
	size_t n;

	if (level > FUSE_LOG_WARNING)
		return;
	(void)vsnprintf(said, sizeof(said), fmt, ap);
	n = strlen(said);
	while (n > 0 && said[n - 1] == '\n')
		said[--n] = '\0';
	log_warn("%s", said);
}

/* A comma or backslash in a value is not the end of it. */
static int add_escaped(struct buf *b, const char *s)
{
	int r = 0;

	for (; r == 0 && *s; s++) {
		if (*s == ',' || *s == '\\')
			r = buf_add(b, "\\", 1);
		if (r == 0)
			r = buf_add(b, s, 1);
	}
	return r;
}

static int make_args(const struct fusefs_opts *o, struct fuse_args *args)
{
	struct buf b = BUF_INIT(OPTION_MAX);
	int r = buf_addf(&b,
			 "-osubtype=ckptfs,default_permissions%s%s%s%s,"
			 "fsname=",
			 o->ro ? ",ro" : "",
			 o->allow_other ? ",allow_other" : "",
			 *o->mount_words ? "," : "", o->mount_words);

	if (r == 0)
		r = add_escaped(&b, o->source);
	if (r == 0 && (fuse_opt_add_arg(args, "ckptfs") < 0 ||
		       fuse_opt_add_arg(args, b.p) < 0))
		r = -ENOMEM;
	buf_clear(&b);
	return r;
}

static int fail(char err[FUSEFS_ERR_MAX], int r, const char *what)
{
	(void)snprintf(err, FUSEFS_ERR_MAX, "%s", what);
	return r;
}

/* What people run into before they ever see a mount. */
static int check_device(char err[FUSEFS_ERR_MAX])
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	int e = errno;

	if (fd >= 0) {
		(void)close(fd);
		return 0;
	}
	if (e == ENOENT || e == ENODEV || e == ENXIO)
		return fail(err, -ENOENT,
			    "there is no FUSE here (/dev/fuse is missing): "
			    "run modprobe fuse; in a container, give it "
			    "--device /dev/fuse --cap-add SYS_ADMIN");
	if (geteuid() == 0)
		return fail(err, -EPERM,
			    "/dev/fuse cannot be opened: in a container, give "
			    "it --device /dev/fuse --cap-add SYS_ADMIN");
	return fail(err, -EPERM,
		    "this user may not open /dev/fuse: have root run chmod "
		    "0666 /dev/fuse, or mount as root with allow_other");
}

static int check_helper(char err[FUSEFS_ERR_MAX])
{
	static const char *const places[] = { "/usr/bin/fusermount3",
					      "/bin/fusermount3",
					      "/usr/local/bin/fusermount3" };
	size_t i;

	if (geteuid() == 0)
		return 0;
	for (i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], X_OK) == 0)
			return 0;
	return fail(err, -ENOENT,
		    "fusermount3 is missing: install the package fuse3, or "
		    "mount as root");
}

static int open_session(struct fusefs *f, char err[FUSEFS_ERR_MAX])
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int r = make_args(&f->opts, &args);

	said[0] = '\0';
	if (r == 0) {
		f->se = fuse_session_new(&args, &glue_ops, sizeof(glue_ops), f);
		if (!f->se)
			r = -EINVAL;
	}
	fuse_opt_free_args(&args);
	if (r < 0)
		return fail(err, r, said[0] ? said : "libfuse gives up");
	r = notices_start(f);
	if (r < 0)
		return fail(err, r, "no thread can be started");
	errno = 0;
	if (fuse_session_mount(f->se, f->opts.mountpoint) != 0) {
		r = errno ? -errno : -EPERM;
		(void)snprintf(err, FUSEFS_ERR_MAX,
			       "cannot mount on %.200s: %s", f->opts.mountpoint,
			       said[0] ? said : strerror(-r));
		return r;
	}
	f->mounted = true;
	glue_raise_readahead(f->opts.mountpoint);
	return 0;
}

int fusefs_mount(struct fs *fs, const struct fusefs_opts *o,
		 char err[FUSEFS_ERR_MAX], struct fusefs **ret)
{
	struct fusefs *f;
	struct fs_kernel k;
	int r = check_device(err);

	if (r == 0)
		r = check_helper(err);
	if (r < 0)
		return r;
	f = calloc(1, sizeof(*f));
	if (!f)
		return fail(err, -ENOMEM, "out of memory");
	f->fs = fs;
	f->opts = *o;
	fuse_set_log_func(keep_words);
	r = open_session(f, err);
	if (r < 0) {
		fusefs_unmount(f);
		fusefs_free(f);
		return r;
	}
	glue_kernel(f, &k);
	fs_set_kernel(fs, &k);
	*ret = f;
	return 0;
}

/* Only there to interrupt the loop's wait. */
static void on_poke(int sig)
{
	(void)sig;
}

/*
 * The first request, INIT, before there are workers: what it settles says how
 * large a pipe a worker needs, and one that asks before may not have the pipe,
 * never asks again, and copies each write it gets.
 */
static void take_init(struct fuse_session *se)
{
	struct fuse_buf b = { .mem = NULL };
	int r;

	do
		r = fuse_session_receive_buf(se, &b);
	while (r == -EINTR && !fuse_session_exited(se));
	if (r > 0)
		fuse_session_process_buf(se, &b);
	free(b.mem);
}

int fusefs_loop(struct fusefs *f, bool *ret_unmounted)
{
	struct fuse_loop_config *cfg = fuse_loop_cfg_create();
	struct sigaction poke = { .sa_handler = on_poke };
	sigset_t set;
	int r;

	if (!cfg)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(cfg, 0);
	fuse_loop_cfg_set_idle_threads(cfg, IDLE_THREADS);
	fuse_loop_cfg_set_max_threads(cfg, MAX_THREADS);
	(void)sigaction(POKE_SIGNAL, &poke, NULL);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, POKE_SIGNAL);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	f->loop_thread = pthread_self();
	__atomic_store_n(&f->looping, true, __ATOMIC_SEQ_CST);
	take_init(f->se);
	r = fuse_session_loop_mt(f->se, cfg);
	__atomic_store_n(&f->looping, false, __ATOMIC_SEQ_CST);
	fuse_loop_cfg_destroy(cfg);
	*ret_unmounted = !__atomic_load_n(&f->exiting, __ATOMIC_SEQ_CST);
	return r < 0 ? r : 0;
}

void fusefs_exit(struct fusefs *f)
{
	struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	__atomic_store_n(&f->exiting, true, __ATOMIC_SEQ_CST);
	fuse_session_exit(f->se);
	/* A poke between its look at the flag and its wait would be lost. */
	while (__atomic_load_n(&f->looping, __ATOMIC_SEQ_CST)) {
		(void)pthread_kill(f->loop_thread, POKE_SIGNAL);
		(void)nanosleep(&pause, NULL);
	}
}

void fusefs_unmount(struct fusefs *f)
{
	notices_end(f->notices);
	if (f->mounted)
		fuse_session_unmount(f->se);
	f->mounted = false;
}

void fusefs_free(struct fusefs *f)
{
	if (!f)
		return;
	notices_free(f->notices);
	if (f->se)
		fuse_session_destroy(f->se);
	free(f);
}
