/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ckptfs/cache.h"
#include "ckptfs/disk.h"
#include "ckptfs/log.h"
#include "ckptfs/options.h"
#include "ckptfs/source.h"

#include "cachedir.h"

#define LOG_MODULE "mount"

/* Never a cache or tmp folder by default: it holds what exists nowhere else. */
static char *base_dir(const struct options *o)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *s = NULL;
	int r;

	if (o->cache_dir)
		return strdup(o->cache_dir);
	if (geteuid() == 0)
		return strdup("/var/lib/ckptfs");
	if (state && *state == '/')
		r = asprintf(&s, "%s/ckptfs", state);
	else
		r = asprintf(&s, "%s/.local/state/ckptfs", home ? home : "/");
	return r < 0 ? NULL : s;
}

static int check_kind(const struct options *o, struct cachedir *c, char *err,
		      size_t size)
{
	struct disk_space sp;
	const char *name;
	int r = disk_space(c->disk, &sp);

	if (r < 0)
		return r;
	switch (cache_fs_kind(sp.fs_magic, &name)) {
	case CACHE_FS_GOOD:
		return 0;
	case CACHE_FS_OVERLAY:
		c->promise = "the cache lies on overlay: it goes with its "
			     "container";
		break;
	case CACHE_FS_VOLATILE:
		c->promise = "the cache lies in memory: a power cut or reboot "
			     "loses what is not in the bucket";
		break;
	case CACHE_FS_REMOTE:
		c->promise = "the cache lies on a network file system: what "
			     "fsync and leases promise does not hold";
		break;
	}
	log_warn("%s (%s)", c->promise, name);
	if (cache_fs_kind(sp.fs_magic, &name) == CACHE_FS_OVERLAY ||
	    o->volatile_cache == VOLATILE_OK)
		return 0;
	(void)snprintf(err, size,
		       "cache_dir %s is on %s: %s; choose another with "
		       "cache_dir=, or say volatile_cache=ok",
		       c->path, name, c->promise);
	return -EINVAL;
}

static void read_holder(struct cachedir *c, char *ret, size_t size)
{
	int fd = disk_open(c->disk, "holder", O_RDONLY, 0);
	ssize_t n = fd < 0 ? 0 : disk_pread(c->disk, fd, ret, size - 1, 0);

	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	disk_close(c->disk, fd);
}

static int take_lock(struct cachedir *c, char *err, size_t size)
{
	struct timespec t = { .tv_nsec = 100 * 1000 * 1000 };
	char who[1200];
	bool said = false;

	for (;;) {
		c->lock = disk_lock(c->disk, "lock");
		if (c->lock >= 0)
			return 0;
		if (c->lock != -EWOULDBLOCK)
			return c->lock;
		c->lock = -1;
		read_holder(c, who, sizeof(who));
		if (strncmp(who, "draining", 8) != 0)
			break;
		if (!said)
			log_info("this source was unmounted and is still being "
				 "drained (%s): waiting for that",
				 who);
		said = true;
		(void)nanosleep(&t, NULL);
	}
	(void)snprintf(err, size,
		       "this source is mounted already (%s): use that mount, "
		       "or 'ckptfs umount' it first",
		       who);
	return -EBUSY;
}

int cachedir_open(const struct options *o, const char *normal,
		  const char *mountpoint, struct cachedir *ret, char *err,
		  size_t size)
{
	struct cachedir c = { .lock = -1 };
	char digest[17], *base = base_dir(o);
	int r = -ENOMEM;

	err[0] = '\0';
	source_digest(normal, digest);
	if (!base || asprintf(&c.path, "%s/%s", base, digest) < 0)
		goto out;
	r = disk_system_open(c.path, &c.disk);
	if (r < 0) {
		(void)snprintf(err, size, "cache_dir %s: %s", c.path,
			       strerror(-r));
		goto out;
	}
	r = check_kind(o, &c, err, size);
	if (r == 0)
		r = take_lock(&c, err, size);
	if (r < 0)
		goto out;
	cachedir_say(&c, mountpoint, false);
	*ret = c;
	memset(&c, 0, sizeof(c));
	c.lock = -1;
out:
	if (r < 0 && !err[0])
		(void)snprintf(err, size, "cache_dir: %s", strerror(-r));
	cachedir_close(&c);
	free(base);
	return r;
}

void cachedir_say(struct cachedir *c, const char *mountpoint, bool draining)
{
	char text[1200];
	int fd = disk_open(c->disk, "holder", O_WRONLY | O_CREAT | O_TRUNC,
			   0600);

	if (fd < 0)
		return;
	(void)snprintf(text, sizeof(text), "%s pid %d on %s\n",
		       draining ? "draining" : "mounted", (int)getpid(),
		       mountpoint);
	if (disk_pwrite(c->disk, fd, text, strlen(text), 0) < 0)
		log_debug("the holder file cannot be written");
	disk_close(c->disk, fd);
}

void cachedir_close(struct cachedir *c)
{
	if (c->disk) {
		disk_close(c->disk, c->lock);
		disk_free(c->disk);
	}
	free(c->path);
	memset(c, 0, sizeof(*c));
}
