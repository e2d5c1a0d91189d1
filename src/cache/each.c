/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/disk.h"
#include "ckptfs/log.h"

#include "blob.h"

#define LOG_MODULE "cache"

/* What one folder holds: collected first, so that fn may move and unlink. */
struct found {
	uint64_t *blob;
	size_t n, cap;
	unsigned dir;
};

/* The number that exactly `digits` lower case hex digits give. */
static bool parse_hex(const char *s, size_t digits, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i;

	if (strlen(s) != digits)
		return false;
	for (i = 0; i < digits; i++) {
		if (s[i] >= '0' && s[i] <= '9')
			v = v << 4 | (unsigned)(s[i] - '0');
		else if (s[i] >= 'a' && s[i] <= 'f')
			v = v << 4 | (unsigned)(s[i] - 'a' + 10);
		else
			return false;
	}
	*ret = v;
	return true;
}

static int found_add(struct found *f, uint64_t blob)
{
	size_t cap = f->cap ? 2 * f->cap : 64;
	uint64_t *p;

	if (f->n == f->cap) {
		p = realloc(f->blob, cap * sizeof(*p));
		if (!p)
			return -ENOMEM;
		f->blob = p;
		f->cap = cap;
	}
	f->blob[f->n++] = blob;
	return 0;
}

static int add_dir(void *arg, const char *name, bool is_dir)
{
	bool *there = arg;
	uint64_t v;

	if (is_dir && parse_hex(name, 2, &v))
		there[v] = true;
	else
		log_warn("%s/%s is no folder of ours", BLOB_ROOT, name);
	return 0;
}

static int add_blob(void *arg, const char *name, bool is_dir)
{
	struct found *f = arg;
	uint64_t v;

	if (!is_dir && parse_hex(name, 16, &v) &&
	    (v >> 8) % BLOB_DIRS == f->dir)
		return found_add(f, v);
	log_warn("%s/%02x/%s is no blob", BLOB_ROOT, f->dir, name);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int each_in(struct cache *c, unsigned dir, cache_blob_fn *fn, void *arg)
{
	struct found f = { .dir = dir };
	char path[16];
	size_t i;
	int r;

	snprintf(path, sizeof(path), BLOB_ROOT "/%02x", dir);
	r = disk_list(c->host->disk, path, add_blob, &f);
	if (r < 0) {
		(void)log_err(r, "list %s", path);
		goto out;
	}
	if (f.n)
		qsort(f.blob, f.n, sizeof(*f.blob), by_number);
	for (i = 0; i < f.n && r == 0; i++)
		r = fn(arg, f.blob[i]);
out:
	free(f.blob);
	return r;
}

int cache_blob_each(struct cache *c, cache_blob_fn *fn, void *arg)
{
	bool there[BLOB_DIRS] = { false };
	unsigned i;
	int r;

	r = disk_list(c->host->disk, BLOB_ROOT, add_dir, there);
	if (r < 0)
		return log_err(r, "list " BLOB_ROOT);
	for (i = 0; i < BLOB_DIRS && r == 0; i++)
		if (there[i])
			r = each_in(c, i, fn, arg);
	return r;
}
