/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings of a folder store.  Keys are in byte order when the entries of each
 * folder are sorted with the '/' that follows a folder's name.
 */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dir.h"

struct entry {
	char *name; /* a folder's ends in '/' */
	struct stat st;
};

struct entries {
	struct entry *v;
	size_t n, cap;
};

struct walk {
	struct dir_store *d;
	const char *prefix, *after;
	bool delimited;
	store_list_fn *fn;
	void *arg;
	char key[STORE_KEY_MAX + 2]; /* of what is being looked at */
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name,
		      ((const struct entry *)b)->name);
}

static void entries_free(struct entries *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->v[i].name);
	free(e->v);
}

/* Whether anything at or below w->key, which ends in '/' for a folder, is to
 * be listed. */
static bool is_wanted(const struct walk *w)
{
	size_t n = strlen(w->key);

	if (strncmp(w->key, w->prefix, strlen(w->prefix)) != 0)
		return false;
	if (dir_key_check(w->key)) /* ours, or not to be asked for */
		return false;
	if (!w->after || strcmp(w->key, w->after) > 0)
		return true;
	return w->key[n - 1] == '/' && !w->delimited &&
	       !strncmp(w->key, w->after, n);
}

static int entries_add(struct entries *e, const char *name,
		       const struct stat *st)
{
	struct entry *v = e->v;

	if (e->n == e->cap) {
		size_t cap = e->cap ? 2 * e->cap : 32;

		v = reallocarray(e->v, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		e->v = v;
		e->cap = cap;
	}
	v[e->n].name = strdup(name);
	v[e->n].st = *st;
	if (!v[e->n].name)
		return -ENOMEM;
	e->n++;
	return 0;
}

/* Look at one name of the folder w->key[0, base). */
static int look(struct walk *w, int fd, size_t base, const char *name,
		struct entries *e)
{
	struct stat st;
	int n;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return 0;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : dir_sys();
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode) &&
	    !S_ISDIR(st.st_mode))
		return 0;
	n = snprintf(w->key + base, sizeof(w->key) - base, "%s%s", name,
		     S_ISDIR(st.st_mode) ? "/" : "");
	if (n < 0 || base + (size_t)n > STORE_KEY_MAX || !is_wanted(w))
		return 0;
	return entries_add(e, w->key + base, &st);
}

static int read_entries(struct walk *w, int fd, size_t base, struct entries *e)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	int r = 0;

	if (!dir) {
		r = dir_sys();
		dir_close(copy);
		return r;
	}
	while (!r) {
		struct dirent *de;

		errno = 0;
		de = readdir(dir);
		if (!de) {
			r = errno ? dir_sys() : 0;
			break;
		}
		r = look(w, fd, base, de->d_name, e);
	}
	closedir(dir);
	if (!r && e->n)
		qsort(e->v, e->n, sizeof(*e->v), by_name);
	return r;
}

/* The marker of the open folder w->key[0, base), if it is one. */
static int list_marker(struct walk *w, int fd, size_t base)
{
	struct dir_record rec;
	struct store_obj obj;
	struct stat st;

	w->key[base] = '\0';
	if (!base || !is_wanted(w) ||
	    (w->after && strcmp(w->key, w->after) <= 0))
		return 0;
	if (fstat(fd, &st))
		return dir_sys();
	if (!dir_record_read(w->d, fd, w->key, st.st_ino, &rec) &&
	    rec.kind == 'i')
		return 0;
	dir_obj_listed(&st, &obj);
	return w->fn(w->arg, w->key, &obj);
}

static int list_folder(struct walk *w, int fd, size_t base);

static int list_entry(struct walk *w, int fd, size_t base,
		      const struct entry *e)
{
	size_t n = strlen(e->name);
	char name[DIR_NAME_MAX + 1];
	struct store_obj obj;
	int sub, r;

	memcpy(w->key + base, e->name, n + 1);
	if (!S_ISDIR(e->st.st_mode)) {
		dir_obj_listed(&e->st, &obj);
		return w->fn(w->arg, w->key, &obj);
	}
	if (w->delimited)
		return w->fn(w->arg, w->key, NULL);
	snprintf(name, sizeof(name), "%.*s", (int)(n - 1), e->name);
	sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sub < 0) /* gone, or replaced by a file, since it was read */
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
			       ? 0
			       : dir_sys();
	r = list_folder(w, sub, base + n);
	close(sub);
	return r;
}

static int list_folder(struct walk *w, int fd, size_t base)
{
	struct entries e = { .n = 0 };
	int r = list_marker(w, fd, base);

	if (!r)
		r = read_entries(w, fd, base, &e);
	for (size_t i = 0; i < e.n && !r; i++) {
		r = dir_check(w->d);
		if (!r)
			r = list_entry(w, fd, base, &e.v[i]);
	}
	entries_free(&e);
	return r;
}

struct caller {
	store_list_fn *fn;
	void *arg;
	int stopped;
};

/* What the caller returns is no error of ours, to be narrowed. */
static int call(void *arg, const char *key, const struct store_obj *obj)
{
	struct caller *c = arg;

	c->stopped = c->fn(c->arg, key, obj);
	return c->stopped;
}

int dir_list(struct store *s, const char *prefix, const char *after,
	     bool delimited, store_list_fn *fn, void *arg)
{
	struct caller c = { .fn = fn, .arg = arg };
	struct walk w = { .d = (struct dir_store *)s,
			  .prefix = prefix,
			  .after = after,
			  .delimited = delimited,
			  .fn = call,
			  .arg = &c };
	const char *slash = strrchr(prefix, '/');
	size_t base = slash ? (size_t)(slash - prefix) + 1 : 0;
	int fd = -1, r = dir_check(w.d);

	if (r)
		return r;
	memcpy(w.key, prefix, base);
	if (base && dir_key_check(w.key))
		return 0;
	r = dir_walk(w.d, prefix, base ? base - 1 : 0, false, &fd);
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
		return 0;
	if (!r)
		r = list_folder(&w, fd, base);
	dir_close(fd);
	return c.stopped ? c.stopped : dir_err(r, true);
}
