/* SPDX-License-Identifier: Apache-2.0 */
/* The names and contents that the model speaks of. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/hash.h"

#include "model.h"
#include "simdisk_impl.h"

static const char *const dirs[DIRS] = { "", "d1", "d2", "d3" };
static const char *const names[NAMES] = { "a", "b.bin", "c",
					  "m", "t.tmp", "y.csv",
					  "w.safetensors", NULL };
#define TEMPORARY 4
/* The last name of a folder, and of the root. */
#define LAST_NAME "tmp1a2b_c"
#define CLASH_NAME "d3"

/* ---- names */

const char *dir_text(int dir)
{
	return dirs[dir];
}

/* Whoever has one may be in the midst of a call while others ask for more. */
const char *path_text(int path)
{
	static char text[PATHS][32];
	const char *dir = dirs[path / NAMES];
	const char *name = names[path % NAMES];
	char *t = text[path];

	if (!*t)
		(void)snprintf(t, sizeof(text[0]), "%s%s%s", dir,
			       *dir ? "/" : "", name	 ? name
			       : *dir	 ? LAST_NAME
					 : CLASH_NAME);
	return t;
}

int path_of(const char *text)
{
	int i;

	for (i = 0; i < PATHS; i++)
		if (strcmp(path_text(i), text) == 0)
			return i;
	return -1;
}

int dir_of(const char *text)
{
	int i;

	for (i = 0; i < DIRS; i++)
		if (strcmp(dirs[i], text) == 0)
			return i;
	return -1;
}

bool path_is_temporary(int path)
{
	return path % NAMES == TEMPORARY ||
	       (path % NAMES == NAMES - 1 && path != CLASH);
}

/* ---- content */

static struct bytes *bytes_new(unsigned n)
{
	struct bytes *b = sim_alloc(sizeof(*b) + n + 1);

	b->n = n;
	return b;
}

static struct bytes *find(const struct model *m, size_t n, uint64_t crc)
{
	struct bytes *b;

	for (b = m->all; b; b = b->next)
		if (b->n == n && b->crc == crc)
			return b;
	return NULL;
}

/* There is one of each content.  Takes b. */
static struct bytes *bytes_add(struct model *m, struct bytes *b)
{
	struct bytes *known;

	b->crc = crc64nvme(0, b->p, b->n);
	known = find(m, b->n, b->crc);
	if (known) {
		free(b);
		return known;
	}
	b->next = m->all;
	m->all = b;
	return b;
}

const struct bytes *model_bytes(struct model *m, const struct bytes *old,
				unsigned n, unsigned off, unsigned len)
{
	struct bytes *b = bytes_new(n);
	uint64_t seed = ++m->last_content, word = 0;
	unsigned i;

	if (old)
		memcpy(b->p, old->p, old->n < n ? old->n : n);
	for (i = off; i < off + len && i < n; i++) {
		if (i == off || i % 8 == 0) {
			seed = m->last_content ^ (uint64_t)(i / 8) << 32;
			word = sim_random(&seed);
		}
		b->p[i] = (unsigned char)(word >> 8 * (i % 8));
	}
	return bytes_add(m, b);
}

const struct bytes *model_known(const struct model *m, size_t n, uint64_t crc)
{
	return find(m, n, crc);
}

const struct bytes *model_keep(struct model *m, const void *p, size_t n)
{
	struct bytes *b = bytes_new((unsigned)n);

	memcpy(b->p, p, n);
	b->sealed = true; /* unless it is known: a link, or what a crash left */
	return bytes_add(m, b);
}

const struct bytes *model_made(struct model *m, const void *p, size_t n)
{
	struct bytes *b = bytes_new((unsigned)n);

	memcpy(b->p, p, n);
	return bytes_add(m, b);
}

const struct bytes *model_sealed(struct model *m, const struct bytes *b)
{
	if (b)
		find(m, b->n, b->crc)->sealed = true;
	return b;
}

const struct bytes *model_theirs(struct model *m, unsigned n)
{
	const struct bytes *b = model_bytes(m, NULL, n, 0, n);
	struct bytes *own = find(m, b->n, b->crc);

	own->theirs = own->sealed = true;
	return own;
}

void model_shown(struct model *m, const struct bytes *b)
{
	struct bytes *k;

	for (k = m->all; k; k = k->next)
		if (same_bytes(k, b))
			k->shown = true;
}

void model_behind(struct model *m, const struct bytes *b)
{
	if (b)
		find(m, b->n, b->crc)->behind = true;
}

bool same_bytes(const struct bytes *a, const struct bytes *b)
{
	return a == b || (a && b && a->n == b->n && a->crc == b->crc);
}
