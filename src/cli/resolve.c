/* SPDX-License-Identifier: Apache-2.0 */
/* realpath(3) that stops at the door of a mount of ours. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ckptfs/buf.h"

#include "mountinfo.h"

#define LINKS_MAX 40

struct points {
	char **p;
	size_t n;
};

static int collect(void *arg, const struct mount_entry *e)
{
	struct points *all = arg;
	char **grown;

	if (strcmp(e->type, MOUNT_TYPE) != 0)
		return 0;
	grown = realloc(all->p, (all->n + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	all->p = grown;
	all->p[all->n] = strdup(e->point);
	return all->p[all->n++] ? 0 : -ENOMEM;
}

static bool is_point(const struct points *all, const char *path)
{
	size_t i;

	for (i = 0; i < all->n; i++)
		if (all->p[i] && strcmp(all->p[i], path) == 0)
			return true;
	return false;
}

struct walk {
	struct points points;
	char done[PATH_MAX]; /* resolved so far, "" is the root */
	size_t point; /* bytes of done that are a mount point of ours */
	char todo[2 * PATH_MAX];
	unsigned links;
};

static void step_up(struct walk *w)
{
	char *slash = strrchr(w->done, '/');

	if (slash)
		*slash = '\0';
	if (strlen(w->done) < w->point)
		w->point = 0;
}

/* What the link at w->done says goes before the rest. */
static int follow(struct walk *w, const char *target, const char *rest)
{
	char all[sizeof(w->todo)];

	if (++w->links > LINKS_MAX)
		return -ELOOP;
	if (snprintf(all, sizeof(all), "%s/%s", target, rest) >=
	    (int)sizeof(all))
		return -ENAMETOOLONG;
	memcpy(w->todo, all, sizeof(all));
	if (*target == '/')
		w->done[0] = '\0';
	else
		step_up(w);
	return 0;
}

/* One component, n bytes at s; rest follows it. */
static int step(struct walk *w, const char *s, size_t n, const char *rest)
{
	size_t have = strlen(w->done);
	char target[PATH_MAX];
	ssize_t len;

	if (n == 1 && s[0] == '.')
		return 0;
	if (n == 2 && s[0] == '.' && s[1] == '.') {
		step_up(w);
		return 0;
	}
	if (have + 1 + n >= sizeof(w->done))
		return -ENAMETOOLONG;
	w->done[have] = '/';
	memcpy(w->done + have + 1, s, n);
	w->done[have + 1 + n] = '\0';
	if (w->point)
		return 0;
	if (is_point(&w->points, w->done)) {
		w->point = strlen(w->done);
		return 0;
	}
	len = readlink(w->done, target, sizeof(target) - 1);
	if (len < 0)
		return errno == EINVAL ? 0 : -errno;
	target[len] = '\0';
	return follow(w, target, rest);
}

static int walk(struct walk *w)
{
	char now[sizeof(w->todo)];
	char *s;
	size_t n;
	unsigned links;
	int r = 0;

again:
	memcpy(now, w->todo, sizeof(now));
	for (s = now; r == 0 && *s; s += n) {
		s += strspn(s, "/");
		n = strcspn(s, "/");
		if (n == 0)
			break;
		links = w->links;
		r = step(w, s, n, s + n);
		if (r == 0 && w->links != links)
			goto again;
	}
	return r;
}

int mountinfo_resolve(const char *path, char **ret, size_t *ret_point)
{
	struct walk *w = calloc(1, sizeof(*w));
	char cwd[PATH_MAX] = "";
	size_t i;
	int r = w ? 0 : -ENOMEM;

	if (r == 0 && *path == '\0')
		r = -ENOENT;
	if (r == 0 && *path != '/' && !getcwd(cwd, sizeof(cwd)))
		r = -errno;
	if (r == 0 && snprintf(w->todo, sizeof(w->todo), "%s/%s", cwd, path) >=
			      (int)sizeof(w->todo))
		r = -ENAMETOOLONG;
	if (r == 0)
		r = mountinfo_each(collect, &w->points);
	if (r == 0)
		r = walk(w);
	if (r == 0) {
		char *copy = strdup(w->done[0] ? w->done : "/");

		if (copy) {
			*ret = copy;
			*ret_point = w->point;
		} else {
			r = -ENOMEM;
		}
	}
	for (i = 0; w && i < w->points.n; i++)
		free(w->points.p[i]);
	if (w)
		free(w->points.p);
	free(w);
	return r;
}
