/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "drive.h"
#include "memory.h"
#include "shrink.h"

/* Where a process says which promise was broken; NULL: it aborted. */
static const char **kind;

/* In a process of its own: it may abort. */
static bool fails(const struct prog *p)
{
	static struct drive d;
	pid_t pid;
	int status, null;

	*kind = NULL;
	pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0) {
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (null < 0 || dup2(null, 2) < 0)
			_exit(0);
		(void)alarm(20);
		if (drive_run(&d, p, false))
			_exit(0);
		*kind = d.kind;
		_exit(1);
	}
	return waitpid(pid, &status, 0) == pid && status != 0 &&
	       !(WIFEXITED(status) && WEXITSTATUS(status) == MEMORY_GAVE_UP);
}

static void without(const struct prog *p, unsigned at, unsigned n,
		    struct prog *ret)
{
	*ret = *p;
	ret->n -= n;
	memmove(&ret->op[at], &p->op[at + n],
		(p->n - at - n) * sizeof(p->op[0]));
}

/* One round: pieces of this size; whether any could go. */
static bool drop_pieces(struct prog *p, unsigned size, const char *broken,
			time_t end)
{
	static struct prog less;
	bool any = false;
	unsigned at = p->n;

	while (at > 0 && time(NULL) < end) {
		unsigned n = size < at ? size : at;

		at -= n;
		without(p, at, n, &less);
		if (!fails(&less) || *kind != broken)
			continue;
		*p = less;
		any = true;
	}
	return any;
}

void shrink(struct prog *p, unsigned seconds)
{
	time_t end = time(NULL) + (time_t)seconds;
	unsigned size = p->n / 2;
	const char *broken;

	kind = mmap(NULL, sizeof(*kind), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (kind == MAP_FAILED)
		abort();
	if (!fails(p))
		return; /* not by itself: tell it whole */
	broken = *kind;
	while (size >= 1 && time(NULL) < end)
		if (!drop_pieces(p, size, broken, end) || size > 1)
			size /= 2;
}
