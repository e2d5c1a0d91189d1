/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ckptfs/control.h"
#include "ckptfs/json.h"
#include "ckptfs/text.h"

#include "commands.h"
#include "mountinfo.h"
#include "unmount.h"
#include "wait.h"

static const char help[] =
	"usage: ckptfs umount MOUNT [--timeout TIME]\n"
	"Wait until everything is in the bucket, with the mount usable, then "
	"unmount.\nStatus 1: something is not in the bucket, or the mount is "
	"busy.\n";

int unmount_now(const char *mountpoint, bool lazy)
{
	pid_t pid;
	int st;

	if (geteuid() == 0)
		return umount2(mountpoint, lazy ? MNT_DETACH : 0) == 0 ? 0 :
									 -errno;
	pid = fork();
	if (pid == 0) {
		execlp("fusermount3", "fusermount3", lazy ? "-uz" : "-u",
		       mountpoint, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &st, 0) < 0)
		return -errno;
	return WIFEXITED(st) && WEXITSTATUS(st) == 0 ? 0 : -EBUSY;
}

static bool points_in(const char *link, const char *mountpoint)
{
	char to[4096];
	ssize_t n = readlink(link, to, sizeof(to) - 1);
	size_t m = strlen(mountpoint);

	if (n <= 0)
		return false;
	to[n] = '\0';
	return strncmp(to, mountpoint, m) == 0 &&
	       (to[m] == '/' || to[m] == '\0' || to[m] == ' ');
}

static bool any_link(const char *dir, const char *mountpoint)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[1024];
	bool found = false;

	while (d && !found && (e = readdir(d)) != NULL) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		found = points_in(path, mountpoint);
	}
	if (d)
		(void)closedir(d);
	return found;
}

static bool maps_it(const char *pid, const char *mountpoint)
{
	char path[300], *line = NULL;
	size_t cap = 0;
	bool found = false;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	f = fopen(path, "re");
	while (f && !found && getline(&line, &cap, f) > 0) {
		const char *p = strchr(line, '/');

		found = p && strncmp(p, mountpoint, strlen(mountpoint)) == 0;
	}
	free(line);
	if (f)
		(void)fclose(f);
	return found;
}

/* Who holds the mount: open files, working folders, mappings. */
static void list_holders(const char *mountpoint)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	char path[300];

	while (d && (e = readdir(d)) != NULL) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%s/fd", e->d_name);
		if (any_link(path, mountpoint)) {
			fprintf(stderr, "  pid %s has files open\n", e->d_name);
			continue;
		}
		(void)snprintf(path, sizeof(path), "/proc/%s/cwd", e->d_name);
		if (points_in(path, mountpoint))
			fprintf(stderr, "  pid %s works in it\n", e->d_name);
		else if (maps_it(e->d_name, mountpoint))
			fprintf(stderr, "  pid %s has files mapped\n",
				e->d_name);
	}
	if (d)
		(void)closedir(d);
}

static int take_pid(void *arg, const char *line, size_t n)
{
	struct json *j = NULL;
	int64_t v = 0;

	if (json_parse(line, n, &j) < 0)
		return -EPROTO;
	if (json_get_int(j, "pid", &v) == 0)
		*(pid_t *)arg = (pid_t)v;
	json_free(j);
	return 0;
}

static void await_end(pid_t pid)
{
	struct timespec t = { .tv_nsec = 20 * 1000 * 1000 };

	while (pid > 0 && kill(pid, 0) == 0)
		(void)nanosleep(&t, NULL);
}

static int umount_one(const char *mp, int64_t timeout)
{
	pid_t pid = 0;
	int r, status;

	if (control_call(mp, "{\"do\":\"status\"}", take_pid, &pid) < 0) {
		fprintf(stderr, "ckptfs: %s: the daemon is gone: detaching the "
			"dead mount; mount the source again to go on\n",
			mp);
		(void)unmount_now(mp, true);
		return EXIT_FAILED;
	}
	status = wait_for_bucket(mp, "drain", "", timeout);
	if (status != EXIT_DONE)
		fprintf(stderr, "ckptfs: unmounting all the same: what is "
			"listed stays in the cache and goes on at the next "
			"mount\n");
	r = unmount_now(mp, false);
	if (r < 0) {
		fprintf(stderr, "ckptfs: %s is busy:\n", mp);
		list_holders(mp);
		return EXIT_FAILED;
	}
	await_end(pid);
	return status;
}

int cmd_umount(int argc, char **argv)
{
	const char *which = NULL;
	int64_t timeout = -1;
	char *abs, *mp;
	int i, r;

	for (i = 1; i < argc; i++) {
		const char *t = NULL;

		if (strcmp(argv[i], "--help") == 0) {
			fputs(help, stdout);
			return EXIT_DONE;
		}
		if (strncmp(argv[i], "--timeout=", 10) == 0)
			t = argv[i] + 10;
		else if (strcmp(argv[i], "--timeout") == 0 && i + 1 < argc)
			t = argv[++i];
		else if (argv[i][0] == '-' || which)
			t = "";
		else
			which = argv[i];
		if (t && text_parse_duration(t, &timeout) < 0) {
			fputs(help, stderr);
			return EXIT_USAGE;
		}
	}
	if (!which) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	abs = absolute_path(which);
	mp = abs ? mountinfo_of(abs) : NULL;
	if (!mp || strcmp(mp, abs) != 0) {
		fprintf(stderr, "ckptfs: %s is not a ckptfs mount\n", which);
		r = EXIT_FAILED;
	} else {
		r = umount_one(mp, timeout);
	}
	free(mp);
	free(abs);
	return r;
}
