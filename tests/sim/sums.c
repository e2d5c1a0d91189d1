/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "ckptfs/hash.h"

#include "simdisk_impl.h"
#include "sums.h"

struct sum {
	struct sum *next;
	char etag[STORE_ETAG_MAX];
	uint32_t crc32c;
};

struct sums {
	struct sum *first;
};

struct sums *sums_new(void)
{
	return sim_alloc(sizeof(struct sums));
}

void sums_free(struct sums *all)
{
	struct sum *s;

	while ((s = all->first) != NULL) {
		all->first = s->next;
		free(s);
	}
	free(all);
}

void sums_note(struct sums *all, const char *etag, uint32_t crc32c)
{
	struct sum *s = sim_alloc(sizeof(*s));

	memcpy(s->etag, etag, strlen(etag) + 1);
	s->crc32c = crc32c;
	s->next = all->first;
	all->first = s;
}

void sums_note_whole(struct sums *all, const char *etag,
		     const struct store_part *parts, size_t n)
{
	uint32_t crc = 0;
	size_t i;

	for (i = 0; i < n; i++)
		crc = crc32c_combine(crc, parts[i].crc32c, parts[i].size);
	sums_note(all, etag, crc);
}

static const struct sum *sum_of(const struct sums *all, const char *etag)
{
	const struct sum *s;

	for (s = all->first; s && strcmp(s->etag, etag) != 0; s = s->next)
		;
	return s;
}

void sums_note_copy(struct sums *all, const char *from_etag, const char *etag)
{
	const struct sum *s = sum_of(all, from_etag);

	if (s)
		sums_note(all, etag, s->crc32c);
}

void sums_give_object(const struct sums *all, const struct store_obj *o,
		      struct store_obj *ret)
{
	const struct sum *s = sum_of(all, o->etag);

	*ret = *o;
	if (!s)
		return;
	ret->has_crc64 = false;
	ret->crc64 = 0;
	ret->has_crc32c = true;
	ret->crc32c = s->crc32c;
}

void sums_give_part(const struct sums *all, const struct store_part *p,
		    struct store_part *ret)
{
	const struct sum *s = sum_of(all, p->etag);

	*ret = *p;
	if (!s)
		return;
	ret->has_crc64 = false;
	ret->crc64 = 0;
	ret->has_crc32c = true;
	ret->crc32c = s->crc32c;
}
