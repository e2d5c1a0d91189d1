/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/text.h"

#include "mountinfo.h"

#define FIELD_DEV 2
#define FIELD_POINT 4

/* The next word of *p, with \ooo undone; NULL: no more, or no memory. */
static char *take_word(const char **p)
{
	size_t n = strcspn(*p, " \n");
	char *word = n ? strndup(*p, n) : NULL, *to = word;
	const char *s = *p, *end = s + n;

	if (!word)
		return NULL;
	while (s < end) {
		if (*s == '\\' && end - s >= 4) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 |
				       (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
	*p = *end == ' ' ? end + 1 : end;
	return word;
}

static uid_t user_of(const char *options)
{
	const char *at = options ? strstr(options, "user_id=") : NULL;
	char digits[16];
	uint64_t v;
	size_t n;

	if (!at)
		return (uid_t)-1;
	at += strlen("user_id=");
	n = strspn(at, "0123456789");
	if (n == 0 || n >= sizeof(digits))
		return (uid_t)-1;
	memcpy(digits, at, n);
	digits[n] = '\0';
	return text_parse_u64(digits, &v) < 0 ? (uid_t)-1 : (uid_t)v;
}

int mountinfo_parse(const char *line, struct mount_entry *ret)
{
	struct mount_entry e = { .user = (uid_t)-1 };
	const char *p = line;
	char *word = NULL, *options = NULL;
	int i, r = -EBADMSG;

	for (i = 0; i <= FIELD_POINT; i++) {
		free(word);
		word = take_word(&p);
		if (!word)
			goto out;
		if (i == FIELD_DEV)
			(void)snprintf(e.dev, sizeof(e.dev), "%s", word);
	}
	e.point = word;
	word = NULL;
	/* Optional fields end with a dash. */
	do {
		free(word);
		word = take_word(&p);
	} while (word && strcmp(word, "-") != 0);
	if (!word)
		goto out;
	e.type = take_word(&p);
	e.source = take_word(&p);
	options = take_word(&p);
	if (!e.type || !e.source)
		goto out;
	e.user = user_of(options);
	*ret = e;
	memset(&e, 0, sizeof(e));
	r = 0;
out:
	free(word);
	free(options);
	mount_entry_clear(&e);
	return r;
}

void mount_entry_clear(struct mount_entry *e)
{
	free(e->point);
	free(e->type);
	free(e->source);
	memset(e, 0, sizeof(*e));
}

int mountinfo_each(mountinfo_fn *fn, void *arg)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct mount_entry e;
	char *line = NULL;
	size_t cap = 0;
	int r = 0;

	if (!f)
		return -errno;
	while (r == 0 && getline(&line, &cap, f) > 0) {
		if (mountinfo_parse(line, &e) < 0)
			continue;
		r = fn(arg, &e);
		mount_entry_clear(&e);
	}
	free(line);
	(void)fclose(f);
	return r;
}

struct at {
	const char *point;
	struct mount_entry *ret;
	bool found;
};

static int match_at(void *arg, const struct mount_entry *e)
{
	struct at *a = arg;
	struct mount_entry copy = { .user = e->user };

	if (strcmp(e->point, a->point) != 0)
		return 0;
	memcpy(copy.dev, e->dev, sizeof(copy.dev));
	copy.point = strdup(e->point);
	copy.type = strdup(e->type);
	copy.source = strdup(e->source);
	if (!copy.point || !copy.type || !copy.source) {
		mount_entry_clear(&copy);
		return -ENOMEM;
	}
	if (a->found)
		mount_entry_clear(a->ret);
	*a->ret = copy;
	a->found = true;
	return 0;
}

int mountinfo_at(const char *point, struct mount_entry *ret)
{
	struct mount_entry e = { .point = NULL };
	struct at a = { .point = point, .ret = &e };
	int r = mountinfo_each(match_at, &a);

	if (r == 0 && a.found) {
		*ret = e;
		return 0;
	}
	if (a.found)
		mount_entry_clear(&e);
	return r < 0 ? r : -ENOENT;
}
