/* SPDX-License-Identifier: Apache-2.0 */
/* Who closes a file: an opener or its child, and is it dying? */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "glue.h"

/* The kernel's PF_EXITING and PF_SIGNALED, in the 9th field of stat. */
#define EXITING 0x4UL
#define SIGNALED 0x400UL
#define FLAGS_BEHIND_NAME 7 /* blanks from ')' to the flags */

int who_parse_stat(const char *line, struct fs_who *ret)
{
	const char *p = strrchr(line, ')');
	unsigned long flags;
	char *end;
	int i;

	for (i = 0; p && i < FLAGS_BEHIND_NAME; i++) {
		p = strchr(p, ' ');
		if (p)
			p++;
	}
	if (!p)
		return -EBADMSG;
	errno = 0;
	flags = strtoul(p, &end, 10);
	if (end == p || errno)
		return -EBADMSG;
	ret->exiting = (flags & EXITING) != 0;
	ret->signaled = (flags & SIGNALED) != 0;
	return 0;
}

pid_t who_parse_tgid(const char *text)
{
	const char *p = strstr(text, "\nTgid:");
	long id;

	if (!p)
		return 0;
	id = strtol(p + strlen("\nTgid:"), NULL, 10);
	return id > 0 ? (pid_t)id : 0;
}

static bool read_proc(pid_t tid, const char *what, char *p, size_t n)
{
	char path[64];
	ssize_t got;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, p, n - 1);
	(void)close(fd);
	if (got <= 0)
		return false;
	p[got] = '\0';
	return true;
}

void who_find(pid_t tid, struct fs_who *ret)
{
	char text[2048];

	memset(ret, 0, sizeof(*ret));
	if (tid <= 0)
		return;
	if (read_proc(tid, "status", text, sizeof(text)))
		ret->tgid = who_parse_tgid(text);
	if (read_proc(tid, "stat", text, sizeof(text)))
		(void)who_parse_stat(text, ret);
}
