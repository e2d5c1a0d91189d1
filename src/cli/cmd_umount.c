/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drain with the mount usable, unmount, let the daemon finish what was written
 * in between, and wait for its end.  Never a lazy unmount: what only its
 * holder can finish is the holder's to close.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ckptfs/buf.h"
#include "ckptfs/clock.h"
#include "ckptfs/json.h"

#include "cmd.h"
#include "mountinfo.h"

#define HOLDERS_MAX 4096
#define ELSEWHERE_MAX 256
#define END_TIMEOUT_MS 60000
#define BUSY_TRIES 5

static void print_help(void)
{
	(void)puts("usage: ckptfs umount MOUNT [--timeout TIME]\n\n"
		   "Wait until everything is in the bucket, with the mount "
		   "usable, then unmount.  A\nmount that is in use stays, and "
		   "the processes that use it are named.\n\n"
		   "  --timeout TIME  unmount after so long (ms s m h); what "
		   "is not in the bucket then\n                  stays on the "
		   "cache disk and is sent by the next mount\n\n"
		   "Exit status: 0 all is in the bucket and unmounted, 1 "
		   "something is not, or it is in\nuse, 2 wrong usage, 3 timed "
		   "out.");
}

static int run_fusermount(const char *point)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		/* Its words would repeat ours. */
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		execlp("fusermount3", "fusermount3", "-u", point, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return -ENOENT;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

static bool is_mounted(const char *point)
{
	struct mount_entry e;
	bool is;

	if (mountinfo_at(point, &e) < 0)
		return false;
	is = strcmp(e.type, MOUNT_TYPE) == 0;
	mount_entry_clear(&e);
	return is;
}

static int unmount(const char *point)
{
	if (!is_mounted(point))
		return 0;
	if (geteuid() == 0)
		return umount2(point, UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
	return run_fusermount(point);
}

static int say_busy(const char *point, int err)
{
	struct buf b = BUF_INIT(HOLDERS_MAX);

	if (err == -ENOENT)
		cmd_say("%s: fusermount3 is missing: install the package fuse3",
			point);
	else if (err != -EBUSY)
		cmd_say("cannot unmount %s: %s", point, strerror(-err));
	else if (cmd_holders(point, &b) == 0 && b.len > 0)
		cmd_say("%s stays mounted, it is in use by %s", point, b.p);
	else
		cmd_say("%s stays mounted, it is in use by processes that this "
			"user cannot see",
			point);
	buf_clear(&b);
	return CLI_FAILED;
}

/* The answer to what was sent; its verdict, said aloud or not. */
static int hear(struct cmd_target *t, bool aloud)
{
	struct json *answer = NULL;
	char *line = NULL;
	int status = cmd_answer(t->client, true, &line, &answer);
	int64_t said;

	if (status == CLI_DONE && aloud)
		status = cmd_verdict(answer);
	else if (status == CLI_DONE &&
		 json_get_int(answer, "status", &said) == 0)
		status = (int)said;
	json_free(answer);
	free(line);
	return status;
}

static int sync_all(struct cmd_target *t, int64_t deadline, bool aloud)
{
	int status = cmd_send(t->client, "quiesce", NULL, cmd_left(deadline));

	return status != CLI_DONE ? status : hear(t, aloud);
}

static void short_pause(void)
{
	const struct timespec pause = { .tv_nsec = 100 * NS_PER_MS };

	(void)nanosleep(&pause, NULL);
}

/* It may be busy for a moment: a look of somebody's at it. */
static int unmount_soon(const char *point)
{
	int i, r = unmount(point);

	for (i = 0; r == -EBUSY && i < BUSY_TRIES; i++) {
		short_pause();
		r = unmount(point);
	}
	return r;
}

/* Who began with a mount namespace of its own has a copy of the mount, which
 * ours does not end: the daemon would not answer until he does.  Who is just
 * ending is waited for. */
static int say_elsewhere(const struct mount_entry *m)
{
	struct buf b = BUF_INIT(ELSEWHERE_MAX);
	int i, r = cmd_elsewhere(m, &b);

	for (i = 0; r == 0 && b.len > 0 && i < BUSY_TRIES; i++) {
		short_pause();
		buf_clear(&b);
		r = cmd_elsewhere(m, &b);
	}
	if (r < 0 || b.len == 0) {
		buf_clear(&b);
		return CLI_DONE;
	}
	cmd_say("%s is unmounted here, but its daemon goes on: other mount "
		"namespaces (containers, services, unshare) have it still: %s",
		m->point, b.p);
	buf_clear(&b);
	return CLI_FAILED;
}

static int umount_target(struct cmd_target *t, int64_t deadline)
{
	struct mount_entry e = { .user = 0 };
	int status, r;

	(void)sync_all(t, deadline, false);
	/* Asked before: without a mount the daemon ends when it has done. */
	status = cmd_send(t->client, "drain", NULL, cmd_left(deadline));
	if (status != CLI_DONE)
		return status;
	r = mountinfo_at(t->point, &e);
	if (r == 0)
		r = unmount_soon(t->point);
	else if (r == -ENOENT)
		r = 0;
	if (r == 0 && e.point)
		status = say_elsewhere(&e);
	mount_entry_clear(&e);
	if (r < 0)
		return say_busy(t->point, r);
	if (status != CLI_DONE)
		return status;
	status = hear(t, true);
	if (status == CLI_TIMEOUT)
		cmd_say("%s: timed out; the rest is sent by the next mount",
			t->point);
	if (client_wait_end(t->client, END_TIMEOUT_MS) < 0) {
		cmd_say("the daemon %d does not end",
			(int)client_pid(t->client));
		status = CLI_FAILED;
	}
	return status;
}

static int umount_one(const char *path, int64_t deadline)
{
	struct cmd_target t, again;
	int status = cmd_target_open(path, &t);
	bool stays;

	if (status != CLI_DONE)
		return status;
	if (*t.rest) {
		cmd_say("%s is no mount point; that is %s", path, t.point);
		cmd_target_close(&t);
		return CLI_USAGE;
	}
	status = umount_target(&t, deadline);
	stays = status == CLI_FAILED && is_mounted(t.point);
	cmd_target_close(&t);
	/* What else keeps it from being done: open files among it. */
	if (stays && cmd_target_open(path, &again) == CLI_DONE) {
		(void)sync_all(&again, clk_mono(&clk_system), true);
		cmd_target_close(&again);
	}
	return status;
}

int cmd_umount(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "timeout", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	int64_t timeout = CLK_NEVER;
	int c;

	while ((c = getopt_long(argc, argv, "ht:", longs, NULL)) != -1) {
		if (c == 'h') {
			print_help();
			return CLI_DONE;
		}
		if (c != 't')
			return cmd_usage("umount", "that is no way to call it");
		if (!cmd_timeout("umount", optarg, &timeout))
			return CLI_USAGE;
	}
	if (argc - optind != 1)
		return cmd_usage("umount", "which MOUNT?");
	return umount_one(argv[optind],
			  timeout == CLK_NEVER
				  ? CLK_NEVER
				  : clk_mono(&clk_system) + timeout);
}
