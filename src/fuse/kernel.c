/* SPDX-License-Identifier: Apache-2.0 */
/* What fs asks of the kernel side: passthrough, forgetting, who a thread is. */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define LOG_MODULE "fuse"

/* linux/fuse.h of 6.9; older headers lack them. */
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

static int backing_open(void *arg, int fd)
{
	struct fuse_mount *m = arg;
	struct backing_map map = { .fd = fd };
	int id;

	if (!m->passthrough)
		return -EOPNOTSUPP;
	id = ioctl(fuse_session_fd(m->se), BACKING_OPEN, &map);
	return id > 0 ? id : id == 0 ? -EIO : -errno;
}

static void backing_close(void *arg, int id)
{
	struct fuse_mount *m = arg;
	uint32_t i = (uint32_t)id;

	if (ioctl(fuse_session_fd(m->se), BACKING_CLOSE, &i) < 0)
		log_debug("backing %d: %s", id, strerror(errno));
}

static void forget_entry(void *arg, uint64_t parent, const char *name)
{
	struct fuse_mount *m = arg;

	(void)fuse_lowlevel_notify_inval_entry(m->se, parent, name,
					       strlen(name));
}

static void forget_inode(void *arg, uint64_t ino)
{
	struct fuse_mount *m = arg;

	(void)fuse_lowlevel_notify_inval_inode(m->se, ino, 0, 0);
}

static long field(const char *text, const char *name)
{
	const char *p = strstr(text, name);

	return p ? strtol(p + strlen(name), NULL, 10) : 0;
}

static size_t slurp(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n = 0;

	if (f) {
		n = fread(buf, 1, size - 1, f);
		(void)fclose(f);
	}
	buf[n] = '\0';
	return n;
}

#define PF_EXITING 0x4
#define PF_SIGNALED 0x400

/* FUSE gives a thread's id. */
static void who(void *arg, pid_t tid, struct fs_who *ret)
{
	char path[64], buf[4096];
	unsigned long flags = 0;
	const char *p;
	int i;

	(void)arg;
	memset(ret, 0, sizeof(*ret));
	if (tid <= 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	if (slurp(path, buf, sizeof(buf)))
		ret->tgid = (pid_t)field(buf, "\nTgid:");
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	if (!slurp(path, buf, sizeof(buf)))
		return;
	p = strrchr(buf, ')'); /* the name may hold anything */
	for (i = 0; p && i < 7; i++)
		p = strchr(p + 1, ' ');
	if (p)
		flags = strtoul(p, NULL, 10);
	ret->exiting = flags & PF_EXITING;
	ret->signaled = flags & PF_SIGNALED;
}

void kernel_fill(struct fuse_mount *m, struct fs_kernel *ret)
{
	*ret = (struct fs_kernel){ .backing_open = m->opts.want_passthrough ?
							   backing_open :
							   NULL,
				   .backing_close = backing_close,
				   .forget_entry = forget_entry,
				   .forget_inode = forget_inode,
				   .who = who,
				   .arg = m };
}
