/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far the kernel reads ahead of a program on the ordinary path.  It begins
 * with 128 KiB, which a daemon may only lower; root may raise it for a mount by
 * a file below /sys.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ckptfs/log.h"

#include "glue.h"

#define LOG_MODULE "fuse"

static int write_sysfs(unsigned major, unsigned minor)
{
	char path[64], text[16];
	ssize_t n, put;
	int fd;

	(void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
		       major, minor);
	n = snprintf(text, sizeof(text), "%u\n", GLUE_READAHEAD / 1024);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	put = write(fd, text, (size_t)n);
	if (close(fd) < 0 || put != n)
		return -EIO;
	return 0;
}

void glue_raise_readahead(const char *mountpoint)
{
	struct statx st;
	int r;

	/* Nobody answers requests yet: what the kernel knows must do. */
	if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC, 0, &st) < 0)
		r = -errno;
	else
		r = write_sysfs(st.stx_dev_major, st.stx_dev_minor);
	if (r < 0)
		log_debug("the kernel reads ahead by its own measure: %s",
			  strerror(-r));
}
