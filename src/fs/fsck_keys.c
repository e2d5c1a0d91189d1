/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that no mount can show as they are. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/meta.h"

#include "fsck_bucket.h"

/* Why a component is no name; NULL: it is one.  name_shows() has the rule. */
static const char *why_not(const char *part, size_t n)
{
	if (n == 0)
		return "an empty part";
	if (n == 1 && part[0] == '.')
		return "a part \".\"";
	if (n == 2 && memcmp(part, "..", 2) == 0)
		return "a part \"..\"";
	if (n > META_NAME_MAX)
		return "a part of more than 255 bytes";
	return NULL;
}

bool fsck_key_shows(struct fsck_b *b, const char *key, const char *name)
{
	const char *p = name, *why = NULL;
	size_t n;

	/* A marker's last part is empty, and its folder the one before. */
	while (!why && *p) {
		n = strcspn(p, "/");
		why = why_not(p, n);
		p += n;
		if (*p == '/')
			p++;
	}
	if (!why)
		return true;
	fsck_b_tell(b, FSCK_FOUND,
		    "%s: no mount shows it, for it has %s: rename or delete it "
		    "with the store's own tools",
		    key, why);
	return false;
}

static bool is_above(const struct fsck_above *a, const char *key)
{
	return strncmp(key, a->key, a->n) == 0;
}

/*
 * Whatever lies between "a" and "a/b" in byte order begins with "a", too: so
 * the keys that the present one begins with are all there is to remember.
 */
int fsck_above_next(struct fsck_b *b, struct fsck_above **top, const char *key)
{
	struct fsck_above *a;
	size_t n = strlen(key);

	while (*top && !is_above(*top, key)) {
		a = *top;
		*top = a->up;
		free(a);
	}
	for (a = *top; a; a = a->up) {
		if (a->told || key[a->n] != '/')
			continue;
		a->told = true;
		fsck_b_tell(b, FSCK_FOUND,
			    "%s: an object, and a folder, too (%s): a mount "
			    "shows one of them: rename or delete the other "
			    "with the store's own tools",
			    a->key, key);
	}
	if (n && key[n - 1] == '/')
		return 0;
	a = malloc(sizeof(*a) + n + 1);
	if (!a)
		return -ENOMEM;
	*a = (struct fsck_above){ .up = *top, .n = n };
	memcpy(a->key, key, n + 1);
	*top = a;
	return 0;
}

void fsck_above_free(struct fsck_above *top)
{
	struct fsck_above *a = top, *up;

	for (; a; a = up) {
		up = a->up;
		free(a);
	}
}
