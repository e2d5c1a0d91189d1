/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount: read the options, clear the place, and become (or start) the daemon.
 * It is forked off before anything else exists in the process: no thread, no
 * database, no connection survives a fork.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ckptfs/buf.h"

#include "cmd.h"
#include "daemon.h"
#include "mountinfo.h"
#include "takeover.h"

#define OPTIONS_MAX (256U << 10)

struct words {
	const char *source, *point; /* borrowed */
	struct buf options; /* "k=v,…" */
	bool foreground, fake;
};

static void print_help(void)
{
	(void)puts(
		"usage: ckptfs mount SOURCE MOUNTPOINT [-o OPTION[=VALUE],…] "
		"[-f]\n\n"
		"SOURCE is s3://bucket, s3://bucket/prefix or file:///folder."
		"  The command returns\nwhen the mount is usable; a dead "
		"mount in its place is taken over, and what it had\nnot "
		"uploaded is sent.\n\n"
		"  -f  stay in the foreground and log to stderr\n"
		"  -o  options, as below; each also as --OPTION=VALUE, as "
		"CKPTFS_OPTION in the\n      environment, and in "
		"config_file\n");
	options_print(stdout, false);
	(void)puts("\nSizes take K M G T (powers of 1024), times ms s m h.\n"
		   "Exit status: 0 mounted, 1 failed, 2 wrong usage.");
}

static int add_option(struct words *w, const char *text)
{
	return buf_addf(&w->options, "%s%s", w->options.len ? "," : "", text);
}

/* --name=value, --name value or --flag, as -o has it; commas are its own. */
static int add_long(struct words *w, char **argv, int argc, int *i)
{
	const char *name = argv[*i] + 2, *p;
	int r = buf_addf(&w->options, "%s", w->options.len ? "," : "");

	for (p = name; r == 0 && *p; p++)
		r = buf_addf(&w->options, "%s%c",
			     *p == ',' || *p == '\\' ? "\\" : "", *p);
	if (r < 0 || strchr(name, '=') || options_is_flag(name) ||
	    *i + 1 >= argc)
		return r;
	r = buf_addf(&w->options, "=");
	for (p = argv[++*i]; r == 0 && *p; p++)
		r = buf_addf(&w->options, "%s%c",
			     *p == ',' || *p == '\\' ? "\\" : "", *p);
	return r;
}

/* -sfnv of mount(8): -f is to pretend, the others mean nothing here. */
static bool take_helper_flags(struct words *w, const char *a)
{
	if (strspn(a + 1, "sfnv") != strlen(a + 1))
		return false;
	if (strchr(a, 'f'))
		w->fake = true;
	return true;
}

/* -o and its neighbours; helper: as mount(8) calls us.  CLI_DONE; -1: help was
 * asked for. */
static int take_flag(struct words *w, int argc, char **argv, int *i,
		     bool helper)
{
	const char *a = argv[*i];
	int r = 0;

	if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0)
		return -1;
	if (strncmp(a, "-o", 2) == 0) {
		if (a[2])
			r = add_option(w, a + 2);
		else if (*i + 1 < argc)
			r = add_option(w, argv[++*i]);
		else
			return cmd_usage("mount", "-o needs options behind it");
	} else if (helper && take_helper_flags(w, a)) {
		return CLI_DONE;
	} else if (helper && (strcmp(a, "-t") == 0 || strcmp(a, "-N") == 0)) {
		++*i;
	} else if (strcmp(a, "-f") == 0 || strcmp(a, "--foreground") == 0) {
		w->foreground = true;
	} else if (strncmp(a, "--", 2) == 0 && a[2]) {
		r = add_long(w, argv, argc, i);
	} else {
		return cmd_usage("mount", "there is no flag %.100s", a);
	}
	if (r < 0) {
		cmd_say("%s", strerror(-r));
		return CLI_FAILED;
	}
	return CLI_DONE;
}

static int take_words(struct words *w, int argc, char **argv, bool helper)
{
	int i, r;

	for (i = 1; i < argc; i++) {
		if (argv[i][0] == '-' && argv[i][1]) {
			r = take_flag(w, argc, argv, &i, helper);
			if (r != CLI_DONE)
				return r;
		} else if (!w->source) {
			w->source = argv[i];
		} else if (!w->point) {
			w->point = argv[i];
		} else {
			return cmd_usage("mount", "what is %.100s?", argv[i]);
		}
	}
	if (!w->source || !w->point)
		return cmd_usage("mount", "give a source and a mount point, as "
					  "in ckptfs mount s3://bucket "
					  "/mnt/ckpt");
	return CLI_DONE;
}

static bool lies_in(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 &&
	       (path[n] == '/' || path[n] == '\0');
}

/* The daemon leaves this folder, and must not wait for itself. */
static int check_paths(struct daemon *d)
{
	int r = CLI_DONE;

	if (d->o->cache_dir &&
	    lies_in(d->o->cache_dir, d->point)) {
		cmd_say("cache_dir %s lies under the mount point",
			d->o->cache_dir);
		r = CLI_USAGE;
	}
	if (r == CLI_DONE && d->src.kind == SOURCE_DIR &&
	    lies_in(d->src.where, d->point)) {
		cmd_say("the source %s lies under the mount point",
			d->src.where);
		r = CLI_USAGE;
	}
	return r;
}

static int wait_for_daemon(int fd, pid_t pid)
{
	int status = say_listen(fd), how = 0;

	(void)close(fd);
	if (status == CLI_DONE)
		return status;
	if (status > 0) {
		(void)waitpid(pid, &how, 0);
		return status;
	}
	if (waitpid(pid, &how, 0) == pid && WIFSIGNALED(how))
		cmd_say("the daemon died of signal %d (%s); ckptfs mount -f "
			"shows more",
			WTERMSIG(how), strsignal(WTERMSIG(how)));
	else
		cmd_say("the daemon ended before the mount was usable; ckptfs "
			"mount -f shows more");
	return CLI_FAILED;
}

static int in_background(struct daemon *d)
{
	int fds[2], null;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		cmd_say("%s", strerror(errno));
		return CLI_FAILED;
	}
	(void)fflush(NULL);
	pid = fork();
	if (pid < 0) {
		cmd_say("%s", strerror(errno));
		return CLI_FAILED;
	}
	if (pid > 0) {
		(void)close(fds[1]);
		return wait_for_daemon(fds[0], pid);
	}
	(void)close(fds[0]);
	d->say.fd = fds[1];
	(void)setsid();
	/* stderr stays until the mount is usable: fusermount3 talks there. */
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
	}
	if (chdir("/") < 0)
		_exit(CLI_FAILED);
	d->null_fd = null;
	exit(daemon_run(d));
}

static int mount_words(struct words *w)
{
	struct options o;
	struct daemon d = { .o = &o, .say = { .fd = -1 }, .null_fd = -1 };
	char *point = NULL;
	int status;

	if (options_init(&o) < 0) {
		cmd_say("out of memory");
		return CLI_FAILED;
	}
	d.foreground = w->foreground;
	status = daemon_take_source(&d, "mount", w->source,
				    w->options.len ? w->options.p : NULL);
	if (status == CLI_DONE && !w->fake)
		status = takeover_point(w->point, &point);
	d.point = point;
	if (status == CLI_DONE && !w->fake)
		status = check_paths(&d);
	if (status == CLI_DONE && !w->fake)
		status = w->foreground ? daemon_run(&d) : in_background(&d);
	free(point);
	source_clear(&d.src);
	options_clear(&o);
	return status;
}

static int run(int argc, char **argv, bool helper)
{
	struct words w = { .options = BUF_INIT(OPTIONS_MAX) };
	int status = take_words(&w, argc, argv, helper);

	if (status < 0) {
		print_help();
		status = CLI_DONE;
	} else if (status == CLI_DONE) {
		status = mount_words(&w);
	}
	buf_clear(&w.options);
	return status;
}

int cmd_mount(int argc, char **argv)
{
	return run(argc, argv, false);
}

/* Exit statuses of mount(8). */
#define MOUNT_EX_USAGE 1
#define MOUNT_EX_FAIL 32

int cmd_mount_helper(int argc, char **argv)
{
	switch (run(argc, argv, true)) {
	case CLI_DONE:
		return 0;
	case CLI_USAGE:
		return MOUNT_EX_USAGE;
	default:
		return MOUNT_EX_FAIL;
	}
}
