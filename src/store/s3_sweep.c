/* SPDX-License-Identifier: Apache-2.0 */
/* What a probe left that was killed: trial objects, and an upload in parts. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"

#include "s3.h"
#include "trial.h"

#define DEBRIS_MAX 16 /* at one mount */

struct debris {
	const char *prefix;
	int64_t now_ns;
	char *keys[DEBRIS_MAX], *ids[DEBRIS_MAX]; /* id NULL: an object */
	size_t n;
};

static int note(struct debris *d, const char *key, const char *id)
{
	if (d->n == DEBRIS_MAX)
		return 1;
	if (!trial_is_old(key + strlen(d->prefix), d->now_ns))
		return 0;
	d->keys[d->n] = strdup(key);
	d->ids[d->n] = id ? strdup(id) : NULL;
	if (!d->keys[d->n] || (id && !d->ids[d->n])) {
		free(d->keys[d->n]);
		return 1;
	}
	d->n++;
	return 0;
}

static int note_object(void *arg, const char *key, const struct store_obj *obj)
{
	(void)obj;
	return note(arg, key, NULL);
}

static int note_upload(void *arg, const char *key, const char *id,
		       int64_t begun_ns)
{
	(void)begun_ns;
	return note(arg, key, id);
}

void s3_sweep_probes(struct store *s, const char *prefix)
{
	char start[STORE_KEY_MAX + 1];
	struct debris d = {
		.prefix = start, .now_ns = clk_real(((struct s3 *)s)->clk)
	};
	int n = snprintf(start, sizeof(start), "%s" TRIAL_NAME, prefix);
	size_t i;

	if (n < 0 || (size_t)n >= sizeof(start))
		return;
	/* Who may not list or delete leaves it to somebody who may. */
	if (s3_list(s, start, NULL, false, note_object, &d) >= 0)
		(void)!s3_mpu_list(s, start, note_upload, &d);
	for (i = 0; i < d.n; i++) {
		if (d.ids[i])
			(void)!s3_mpu_abort(s, d.keys[i], d.ids[i]);
		else
			(void)!s3_del(s, d.keys[i], NULL);
		free(d.keys[i]);
		free(d.ids[i]);
	}
}
