/* SPDX-License-Identifier: Apache-2.0 */
/* Who has something open on a mount: by device number, from /proc alone. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/buf.h"

#include "cmd.h"
#include "mountinfo.h"

static bool lies_under(const char *path, const char *point)
{
	size_t n = strlen(point);

	return strncmp(path, point, n) == 0 &&
	       (path[n] == '/' || path[n] == '\0');
}

/* readlink of /proc/PID/… names the file without touching it. */
static bool link_holds(const char *link, const char *point)
{
	char target[PATH_MAX];
	ssize_t n = readlink(link, target, sizeof(target) - 1);

	if (n < 0)
		return false;
	target[n] = '\0';
	return lies_under(target, point);
}

static bool fds_hold(const char *pid, const char *point)
{
	char path[300];
	struct dirent *e;
	bool found = false;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	d = opendir(path);
	while (d && !found && (e = readdir(d))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%.16s/fd/%.20s", pid,
			       e->d_name);
		found = link_holds(path, point);
	}
	if (d)
		(void)closedir(d);
	return found;
}

static bool maps_hold(const char *pid, const char *point)
{
	char path[64], *line = NULL;
	const char *slash;
	size_t cap = 0;
	bool found = false;
	ssize_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/maps", pid);
	f = fopen(path, "re");
	while (f && !found && (n = getline(&line, &cap, f)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		slash = strchr(line, '/');
		found = slash && lies_under(slash, point);
	}
	free(line);
	if (f)
		(void)fclose(f);
	return found;
}

static bool holds(const char *pid, const char *point)
{
	static const char *const links[] = { "cwd", "root", "exe" };
	char path[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(links); i++) {
		(void)snprintf(path, sizeof(path), "/proc/%.16s/%s", pid,
			       links[i]);
		if (link_holds(path, point))
			return true;
	}
	return fds_hold(pid, point) || maps_hold(pid, point);
}

static int add_holder(struct buf *b, const char *pid)
{
	char path[64], name[64] = "?";
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	f = fopen(path, "re");
	if (f && fgets(name, sizeof(name), f))
		name[strcspn(name, "\n")] = '\0';
	if (f)
		(void)fclose(f);
	return buf_addf(b, "%s%s (%s)", b->len ? ", " : "", pid, name);
}

/* A number that became free is the next mount's at once: it is this mount only
 * with the same source. */
static bool is_mount(const char *line, const struct mount_entry *m)
{
	struct mount_entry e;
	bool same;

	if (mountinfo_parse(line, &e) < 0)
		return false;
	same = strcmp(e.dev, m->dev) == 0 && strcmp(e.type, m->type) == 0 &&
	       strcmp(e.source, m->source) == 0;
	mount_entry_clear(&e);
	return same;
}

static bool has_mounted(const char *pid, const struct mount_entry *m)
{
	char path[64], *line = NULL;
	size_t cap = 0;
	bool found = false;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/mountinfo", pid);
	f = fopen(path, "re");
	while (f && !found && getline(&line, &cap, f) > 0)
		found = is_mount(line, m);
	free(line);
	if (f)
		(void)fclose(f);
	return found;
}

int cmd_elsewhere(const struct mount_entry *m, struct buf *b)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int r = buf_add(b, "", 0);

	while (d && r == 0 && (e = readdir(d))) {
		if (isdigit((unsigned char)e->d_name[0]) &&
		    has_mounted(e->d_name, m))
			r = add_holder(b, e->d_name);
	}
	if (d)
		(void)closedir(d);
	return r == -EMSGSIZE ? 0 : r;
}

int cmd_holders(const char *point, struct buf *b)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int r = buf_add(b, "", 0);

	if (!d)
		return r;
	while (r == 0 && (e = readdir(d))) {
		if (isdigit((unsigned char)e->d_name[0]) &&
		    holds(e->d_name, point))
			r = add_holder(b, e->d_name);
	}
	(void)closedir(d);
	return r;
}
