/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One cache, one daemon: the file "lock" is locked as long as it lives, and
 * "holder" tells who that is and whether it is only draining.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/json.h"
#include "ckptfs/log.h"

#include "cmd.h"
#include "control.h"
#include "daemon.h"

#define LOG_MODULE "daemon"

#define PATH_MOST 4096
#define HOLDER_MAX 8192
#define PAUSE_NS (100 * NS_PER_MS)
/* An unmount is known to the kernel before the daemon has written it down. */
#define SETTLE_NS (1500 * NS_PER_MS)

FILE *daemon_create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		      0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (fd >= 0 && !f)
		(void)close(fd);
	return f;
}

void daemon_tell_holder(struct daemon *d, const char *state)
{
	struct buf b = BUF_INIT(HOLDER_MAX);
	struct json_w w = JSON_W_INIT(&b);
	char path[PATH_MOST], fresh[PATH_MOST];
	FILE *f;
	int r;

	json_w_object(&w, NULL);
	json_w_int(&w, "pid", getpid());
	json_w_str(&w, "mountpoint", d->point);
	json_w_str(&w, "state", state);
	if (d->control)
		json_w_str(&w, "socket", control_socket(d->control));
	json_w_close(&w);
	r = json_w_end(&w);
	(void)snprintf(path, sizeof(path), "%s/holder", d->cache_path);
	(void)snprintf(fresh, sizeof(fresh), "%s/holder.new", d->cache_path);
	(void)unlink(fresh); /* of one that died */
	f = r == 0 ? daemon_create(fresh) : NULL;
	if (f && (fputs(b.p, f) == EOF) + (fclose(f) == EOF) == 0)
		(void)rename(fresh, path);
	buf_clear(&b);
}

/* NULL: nobody said. */
static struct json *read_holder(const struct daemon *d)
{
	char path[PATH_MOST], text[HOLDER_MAX];
	struct json *j = NULL;
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/holder", d->cache_path);
	f = fopen(path, "re");
	if (!f)
		return NULL;
	n = fread(text, 1, sizeof(text), f);
	(void)fclose(f);
	return json_parse(text, n, &j) < 0 ? NULL : j;
}

static int refuse(struct daemon *d, const struct json *holder)
{
	const char *point = json_get_str(holder, "mountpoint");
	int64_t pid = 0;

	if (!point || json_get_int(holder, "pid", &pid) < 0)
		return say_error(&d->say, CLI_FAILED,
				 "another process uses the cache %s",
				 d->cache_path);
	return say_error(&d->say, CLI_FAILED,
			 "%s is mounted on %s already, by process %lld with "
			 "the cache %s: use that mount, unmount it first "
			 "(ckptfs umount %s), or give this one a cache_dir= "
			 "of its own",
			 d->src.name, point, (long long)pid, d->cache_path,
			 point);
}

static void tell_wait(struct daemon *d, const struct json *holder)
{
	int64_t pid = 0;
	const char *point = json_get_str(holder, "mountpoint");

	if (json_get_int(holder, "pid", &pid) < 0)
		pid = 0;
	say_info(&d->say,
		 "waiting for process %lld, which still uploads what was "
		 "written on %s (ckptfs status %s shows how far it is)",
		 (long long)pid, point ? point : "?", point ? point : "");
}

int daemon_lock(struct daemon *d)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int64_t refuse_at = clk_mono(&clk_system) + SETTLE_NS;
	struct json *holder;
	const char *state;
	bool told = false;
	int fd;

	while ((fd = disk_lock(d->host.disk, "lock")) == -EWOULDBLOCK) {
		holder = read_holder(d);
		state = json_get_str(holder, "state");
		if (state && strcmp(state, "draining") == 0) {
			if (!told)
				tell_wait(d, holder);
			told = true;
			refuse_at = clk_mono(&clk_system) + SETTLE_NS;
		} else if (clk_mono(&clk_system) > refuse_at) {
			fd = refuse(d, holder);
			json_free(holder);
			return fd;
		}
		json_free(holder);
		(void)nanosleep(&pause, NULL);
	}
	if (fd < 0)
		return say_error(&d->say, CLI_FAILED,
				 "the cache %s cannot be locked: %s",
				 d->cache_path, strerror(-fd));
	d->lock_fd = fd;
	/* Until there is a mount, that is what a second one should be told. */
	daemon_tell_holder(d, "mounting");
	return CLI_DONE;
}
