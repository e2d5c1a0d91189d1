/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that cannot be in a bucket at once: a file, and a folder of the same
 * name, that is a marker or whatever is below.
 */
#include "config.h"

#include <string.h>

#include "transfer/fold_names.h"

/* A marker is its folder; *ret: it is one. */
static size_t name_len(const char *key, bool *ret)
{
	size_t n = strlen(key);

	*ret = n > 1 && key[n - 1] == '/';
	return n - *ret;
}

/* A file stands for all that would be below it. */
static int add_put(struct path_set *s, const char *key)
{
	bool marker;
	size_t n = name_len(key, &marker);

	return marker ? path_set_add(s, key, n) : path_set_cover(s, key, n);
}

static bool clashes(const struct path_set *puts, const char *key)
{
	bool marker;
	size_t n = name_len(key, &marker);

	/* A marker goes as well beside what is below its folder. */
	return marker ? path_set_has(puts, key, n) :
			path_set_touches(puts, key, n);
}

int names_cut_clashes(struct names *ns, const size_t *win, bool *cut,
		      bool *ret_new)
{
	struct path_set puts = { 0 };
	struct name *nm;
	int r = 0;

	for (nm = ns->touched; !r && nm; nm = nm->next)
		if (name_is_new(ns, nm))
			r = add_put(&puts, nm->key);
	for (nm = !r && puts.any ? ns->touched : NULL; nm; nm = nm->next) {
		/* Behind the last unit all windows end. */
		if (!name_goes(nm) || win[nm->del] >= ns->unit ||
		    cut[win[nm->del]] || !clashes(&puts, nm->key))
			continue;
		cut[win[nm->del]] = true;
		*ret_new = true;
	}
	path_set_release(&puts);
	return r;
}
