/* SPDX-License-Identifier: Apache-2.0 */
/* Markers of folders that other tools made. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "az.h"

bool az_is_folder(const struct http_resp *resp)
{
	const char *s = http_resp_header(resp, AZ_META AZ_FOLDER);

	return s && strcasecmp(s, "true") == 0;
}

int az_folder_find(struct az *az, const char *key, char ret[STORE_KEY_MAX + 1],
		   struct store_obj *obj)
{
	const size_t n = strlen(key);
	struct http_resp resp;
	int r;

	if (n < 2 || key[n - 1] != '/')
		return -ENOENT;
	snprintf(ret, STORE_KEY_MAX + 1, "%.*s", (int)n - 1, key);
	r = az_head_resp(az, ret, NULL, &resp);
	if (r == 0 && !az_is_folder(&resp)) {
		store_set_error("there is no such folder");
		r = -ENOENT;
	}
	if (r == 0)
		r = az_obj_of(&resp, obj);
	http_resp_clear(&resp);
	return r;
}

/* Where it belongs: behind "a-b", which sorts between "a" and "a/". */
static int insert(struct az_folders *f, const struct az_entry *e)
{
	struct az_entry marker = *e;
	size_t i;

	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 16;
		struct az_entry *v = reallocarray(f->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		f->v = v;
		f->cap = cap;
	}
	marker.is_prefix = f->delimited;
	marker.of = NULL;
	if (asprintf(&marker.key, "%s/", e->key) < 0)
		return -ENOMEM;
	for (i = f->n; i > 0 && strcmp(f->v[i - 1].key, marker.key) > 0; i--)
		f->v[i] = f->v[i - 1];
	f->v[i] = marker;
	f->n++;
	return 0;
}

/* Those before key (NULL: all). */
static int give_before(struct az_folders *f, const char *key)
{
	size_t i;
	int r = 0;

	for (i = 0; i < f->n && r == 0; i++) {
		if (key && strcmp(f->v[i].key, key) >= 0)
			break;
		r = f->fn(f->arg, &f->v[i]);
		free(f->v[i].key);
	}
	if (i)
		memmove(f->v, f->v + i, (f->n - i) * sizeof(*f->v));
	f->n -= i;
	return r;
}

int az_folders_take(struct az_folders *f, const struct az_entry *e)
{
	const size_t n = strlen(e->key);
	int r = give_before(f, e->key);

	if (r)
		return r;
	if (e->is_folder && !e->is_prefix && n && e->key[n - 1] != '/')
		return insert(f, e);
	return f->fn(f->arg, e);
}

int az_folders_end(struct az_folders *f, int r)
{
	if (r == 0)
		r = give_before(f, NULL);
	for (size_t i = 0; i < f->n; i++)
		free(f->v[i].key);
	free(f->v);
	return r;
}
