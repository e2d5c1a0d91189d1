/* SPDX-License-Identifier: Apache-2.0 */
/* Who closes a file: an opener or its child, and is it dying? */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "glue.h"

/* The kernel's PF_EXITING and PF_SIGNALED, in the 9th field of stat. */
#define EXITING 0x4UL
#define SIGNALED 0x400UL
#define FLAGS_BEHIND_NAME 7 /* blanks from ')' to the flags */
#define STATUS_BEHIND_FLAGS 43 /* to the exit status, the 52nd field */
#define STATUS_SIGNAL 0x7f

/* The number behind n blanks of *p, where *p is left. */
static bool number_behind(const char **p, int n, unsigned long *ret)
{
	const char *at = *p;
	char *end;

	for (; at && n > 0; n--) {
		at = strchr(at, ' ');
		if (at)
			at++;
	}
	if (!at)
		return false;
	errno = 0;
	*ret = strtoul(at, &end, 10);
	*p = at;
	return end != at && !errno;
}

int who_parse_stat(const char *line, struct fs_who *ret, int *ret_status)
{
	const char *p = strrchr(line, ')');
	unsigned long flags, status = 0;

	if (!number_behind(&p, FLAGS_BEHIND_NAME, &flags))
		return -EBADMSG;
	ret->exiting = (flags & EXITING) != 0;
	ret->signaled = (flags & SIGNALED) != 0;
	(void)number_behind(&p, STATUS_BEHIND_FLAGS, &status);
	*ret_status = (int)status;
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

/* Does the kernel tell us its exit status, and not 0 in its place?  The same
 * permission as for a look at its name spaces. */
static bool may_look(pid_t tid)
{
	char path[64], name[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)tid);
	return readlink(path, name, sizeof(name)) > 0;
}

bool who_has_memory(const char *text)
{
	return strstr(text, "\nVmSize:") != NULL;
}

/* The text of statm is short and made quickly, that of status is neither. */
bool who_statm_has_memory(const char *text)
{
	return *text >= '1' && *text <= '9';
}

/* That of most who call: a process with one thread, or by its first, that is
 * alive.  False: it has to be looked at closely. */
static bool is_plain(pid_t tid)
{
	char text[128];

	return tgkill(tid, tid, 0) == 0 &&
	       read_proc(tid, "statm", text, sizeof(text)) &&
	       who_statm_has_memory(text);
}

/*
 * A process gives up its memory before it closes what it leaves open, so one
 * that has memory is not dying.  Of such a one stat must not be read: while it
 * begins another program it holds a lock that stat waits for, and may itself
 * wait for our answer to the close of a file that ends there.
 */
void who_find(pid_t tid, struct fs_who *ret)
{
	char text[4096];
	int status = 0, r = -ENOENT;

	memset(ret, 0, sizeof(*ret));
	if (tid <= 0)
		return;
	if (is_plain(tid)) {
		ret->tgid = tid;
		return;
	}
	if (!read_proc(tid, "status", text, sizeof(text)))
		return;
	ret->tgid = who_parse_tgid(text);
	if (who_has_memory(text))
		return;
	if (read_proc(tid, "stat", text, sizeof(text)))
		r = who_parse_stat(text, ret, &status);
	/* When one thread calls exit(), the others, too, die by a signal. */
	if (r == 0 && ret->signaled && !(status & STATUS_SIGNAL) &&
	    (status || may_look(tid)))
		ret->signaled = false;
}
