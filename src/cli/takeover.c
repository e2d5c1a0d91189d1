/* SPDX-License-Identifier: Apache-2.0 */
/* The place for a mount: a dead mount there is taken away, a live one never
 * touched. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/json.h"

#include "cmd.h"
#include "mountinfo.h"
#include "takeover.h"

#define LOOK_TIMEOUT_MS 2000
#define STACKED_MOST 16
#define LOOKS 20
/* One that is stopped, or whose disk hangs, is silent for good. */
#define LOOKS_NS (8 * NS_PER_S)

/*
 * Nobody listens on its socket; is it dead?  statfs(2) always asks the daemon,
 * so a dead one answers at once, and a process of its own may wait for one that
 * hangs.
 */
static bool is_dead(const char *point)
{
	const struct timespec pause = { .tv_nsec = 10 * NS_PER_MS };
	struct statfs s;
	int status = 0, i;
	pid_t pid = fork(), done = 0;

	if (pid < 0)
		return false;
	if (pid == 0) {
		if (statfs(point, &s) < 0 &&
		    (errno == ENOTCONN || errno == ECONNABORTED))
			_exit(1);
		_exit(0);
	}
	for (i = 0; i < LOOK_TIMEOUT_MS / 10 && done == 0; i++) {
		done = waitpid(pid, &status, WNOHANG);
		if (done == 0)
			(void)nanosleep(&pause, NULL);
	}
	if (done == 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		return false;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static int detach(const char *point)
{
	int status = 0;
	pid_t pid;

	if (geteuid() == 0)
		return umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? -errno
									: 0;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		execlp("fusermount3", "fusermount3", "-u", "-z", point,
		       (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

enum life { DEAD, ALIVE, SILENT };

/* A killed daemon's socket may take connections until its last thread is gone,
 * but nobody answers there. */
static enum life look(const char *point, uid_t user, pid_t *ret_pid)
{
	struct client *c = NULL;
	struct json *answer = NULL;
	char *line = NULL;
	int r = client_open(point, user, &c);

	if (r == 0) {
		*ret_pid = client_pid(c);
		client_limit(c, LOOK_TIMEOUT_MS);
		r = client_ask(c, "{\"op\":\"ping\"}", NULL, NULL, &line,
			       &answer);
		json_free(answer);
		free(line);
		client_close(c);
	}
	if (r == 0)
		return ALIVE;
	return is_dead(point) ? DEAD : SILENT;
}

/* 0: no mount of ours is there any more; else an exit status. */
static int clear_point(const char *point, bool *ret_again)
{
	const struct timespec pause = { .tv_nsec = 100 * NS_PER_MS };
	int64_t end = clk_mono(&clk_system) + LOOKS_NS;
	struct mount_entry e;
	enum life life = SILENT;
	pid_t pid = 0;
	bool ours;
	int r, i;

	*ret_again = false;
	if (mountinfo_at(point, &e) < 0)
		return CLI_DONE;
	ours = strcmp(e.type, MOUNT_TYPE) == 0;
	for (i = 0; ours && i < LOOKS && life == SILENT; i++) {
		if (i > 0 && clk_mono(&clk_system) >= end)
			break;
		if (i > 0)
			(void)nanosleep(&pause, NULL);
		life = look(point, e.user, &pid);
	}
	mount_entry_clear(&e);
	if (!ours)
		return CLI_DONE;
	if (life == ALIVE) {
		cmd_say("%s is mounted already, by process %d: use it, or "
			"unmount it first (ckptfs umount %s)",
			point, (int)pid, point);
		return CLI_FAILED;
	}
	if (life == SILENT) {
		cmd_say("%s is mounted already, by a process that does not "
			"answer",
			point);
		return CLI_FAILED;
	}
	r = detach(point);
	if (r < 0) {
		cmd_say("the dead mount on %s cannot be taken away: %s", point,
			strerror(-r));
		return CLI_FAILED;
	}
	*ret_again = true;
	return CLI_DONE;
}

int takeover_point(const char *path, char **ret)
{
	struct stat st;
	bool again = true;
	size_t inside = 0;
	char *point = NULL;
	int r = mountinfo_resolve(path, &point, &inside), i;

	if (r < 0) {
		cmd_say("the mount point %s: %s%s", path, strerror(-r),
			r == -ENOENT ? "; make the folder first" : "");
		return CLI_FAILED;
	}
	if (inside && point[inside] != '\0') {
		cmd_say("%s lies inside another mount of ckptfs", path);
		r = CLI_FAILED;
	}
	for (i = 0; r == CLI_DONE && again && i < STACKED_MOST; i++)
		r = clear_point(point, &again);
	if (r == CLI_DONE && stat(point, &st) < 0) {
		cmd_say("the mount point %s: %s%s", point, strerror(errno),
			errno == ENOENT ? "; make the folder first" : "");
		r = CLI_FAILED;
	} else if (r == CLI_DONE && !S_ISDIR(st.st_mode)) {
		cmd_say("the mount point %s is not a folder", point);
		r = CLI_FAILED;
	}
	if (r == CLI_DONE)
		*ret = point;
	else
		free(point);
	return r;
}
