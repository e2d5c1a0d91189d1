/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transfer/line_hash.h"
#include "transfer/line_view.h"

struct path_node {
	UT_hash_handle hh;
	bool is; /* the path itself was put in */
	bool cover; /* it stands for all below it */
	bool below; /* something strictly below it was put in */
	bool oom;
};

static struct path_node *find(const struct path_set *s, const char *path,
			      size_t len)
{
	struct path_node *nd;

	HASH_FIND(hh, s->nodes, path, len, nd);
	return nd;
}

static struct path_node *get(struct path_set *s, const char *path, size_t len)
{
	struct path_node *nd = find(s, path, len);

	if (nd)
		return nd;
	nd = calloc(1, sizeof(*nd));
	if (!nd)
		return NULL;
	HASH_ADD_KEYPTR(hh, s->nodes, path, len, nd);
	if (nd->oom) {
		free(nd);
		return NULL;
	}
	return nd;
}

size_t path_parent_len(const char *path, size_t len)
{
	while (len > 0 && path[len - 1] != '/')
		len--;
	return len > 0 ? len - 1 : 0;
}

static int put(struct path_set *s, const char *path, size_t len, bool cover)
{
	struct path_node *nd;

	s->any = true;
	if (len == 0) {
		s->root |= cover;
		return 0;
	}
	nd = get(s, path, len);
	if (!nd)
		return -ENOMEM;
	nd->is = true;
	nd->cover |= cover;
	/* What is below a path is below all its folders: stop at the first
	 * that knows. */
	while ((len = path_parent_len(path, len)) > 0) {
		nd = get(s, path, len);
		if (!nd)
			return -ENOMEM;
		if (nd->below)
			break;
		nd->below = true;
	}
	return 0;
}

int path_set_add(struct path_set *s, const char *key, size_t len)
{
	return put(s, key, len, false);
}

int path_set_cover(struct path_set *s, const char *dir, size_t len)
{
	return put(s, dir, len, true);
}

bool path_set_has(const struct path_set *s, const char *key, size_t len)
{
	const struct path_node *nd;

	if (s->root)
		return true;
	if (!s->any || len == 0)
		return false;
	nd = find(s, key, len);
	if (nd && nd->is)
		return true;
	while ((len = path_parent_len(key, len)) > 0) {
		nd = find(s, key, len);
		if (nd && nd->cover)
			return true;
	}
	return false;
}

bool path_set_touches(const struct path_set *s, const char *dir, size_t len)
{
	const struct path_node *nd;

	if (len == 0)
		return s->any;
	if (path_set_has(s, dir, len))
		return true;
	nd = find(s, dir, len);
	return nd && nd->below;
}

void path_set_release(struct path_set *s)
{
	struct path_node *nd = s->nodes, *next;

	HASH_CLEAR(hh, s->nodes);
	for (; nd; nd = next) {
		next = nd->hh.next;
		free(nd);
	}
	memset(s, 0, sizeof(*s));
}

size_t path_dir_len(const char *key)
{
	return path_parent_len(key, strlen(key));
}

bool path_is_below(const char *key, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(key, dir, len) == 0 &&
	       (key[len] == '\0' || key[len] == '/');
}

bool path_clashes(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	if (n < m)
		return n && a[n - 1] != '/' && path_is_below(b, a);
	return m < n && m && b[m - 1] != '/' && path_is_below(a, b);
}

/* A marker's delete stands for its folder: what is put below goes after. */
static bool is_marker_del(const struct line_op *op, size_t *ret_len)
{
	size_t len = strlen(op->key);

	if (op->kind != LINE_DEL || len == 0 || op->key[len - 1] != '/')
		return false;
	*ret_len = len - 1;
	return true;
}

int path_set_add_op(struct path_set *s, const struct line_op *op)
{
	size_t len;
	int r;

	if (is_marker_del(op, &len))
		return path_set_cover(s, op->key, len);
	if (op->kind != LINE_RENAME && op->kind != LINE_RENAME_DIR)
		return path_set_add(s, op->key, strlen(op->key));
	r = put(s, op->key, strlen(op->key), op->kind == LINE_RENAME_DIR);
	if (r)
		return r;
	return put(s, op->to, strlen(op->to), op->kind == LINE_RENAME_DIR);
}

bool path_set_has_op(const struct path_set *s, const struct line_op *op)
{
	size_t len;

	if (is_marker_del(op, &len))
		return path_set_touches(s, op->key, len);
	if (op->kind == LINE_RENAME_DIR)
		return path_set_touches(s, op->key, strlen(op->key)) ||
		       path_set_touches(s, op->to, strlen(op->to));
	return path_set_has(s, op->key, strlen(op->key)) ||
	       (op->to && path_set_has(s, op->to, strlen(op->to)));
}
