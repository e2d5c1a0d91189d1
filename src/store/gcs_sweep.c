/* SPDX-License-Identifier: Apache-2.0 */
/* What those that were killed have left below the hidden folder. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"

#include "gcs.h"
#include "trial.h"

#define DEBRIS_MAX 256 /* at one mount */

struct debris {
	struct gcs *g;
	size_t skip; /* to what tells, in a key */
	char *v[DEBRIS_MAX];
	size_t n;
};

static int note(struct debris *d, const char *text, size_t len)
{
	if (d->n == DEBRIS_MAX)
		return 1;
	d->v[d->n] = strndup(text, len);
	if (!d->v[d->n])
		return 1;
	d->n++;
	return 0;
}

static int note_trial(void *arg, const char *key, const struct json *object)
{
	struct debris *d = arg;

	(void)object;
	if (!trial_is_old(key + d->skip, clk_real(d->g->clk)))
		return 0;
	return note(d, key, strlen(key));
}

/* ID/ of uploads that have parts. */
static int note_id(void *arg, const char *key, const struct json *object)
{
	struct debris *d = arg;
	const char *id = key + d->skip;
	const size_t n = strlen(id);

	if (object || n != GCS_ID_LEN + 1)
		return 0;
	return note(d, id, n - 1);
}

static void sweep(struct gcs *g, const char *what, bool delimited,
		  gcs_list_fn *fn, struct debris *d)
{
	char prefix[STORE_KEY_MAX + 1];
	const struct gcs_listing l = { .prefix = prefix,
				       .delimited = delimited,
				       .fields = "name",
				       .fn = fn,
				       .arg = d };
	int n = snprintf(prefix, sizeof(prefix), "%s%s", g->prefix, what);

	d->g = g;
	if (n < 0 || (size_t)n >= sizeof(prefix))
		return;
	d->skip = (size_t)n;
	/* Who may not list or delete leaves it to somebody who may. */
	(void)!gcs_list_each(g, &l);
}

void gcs_sweep(struct gcs *g)
{
	struct debris trials = { .n = 0 }, parts = { .n = 0 };
	size_t i;

	sweep(g, TRIAL_NAME, false, note_trial, &trials);
	for (i = 0; i < trials.n; i++) {
		(void)!gcs_del(&g->store, trials.v[i], NULL);
		free(trials.v[i]);
	}
	/* Its upload was made before them: if it is not there now, it has
	 * ended. */
	sweep(g, GCS_PARTS, true, note_id, &parts);
	for (i = 0; i < parts.n; i++) {
		struct store_obj o;
		char name[STORE_KEY_MAX + 1];

		if (gcs_id_is_valid(parts.v[i]) &&
		    gcs_upload_name(g, parts.v[i], name) == 0 &&
		    gcs_head(&g->store, name, &o) == -ENOENT)
			(void)!gcs_upload_remove(g, parts.v[i]);
		free(parts.v[i]);
	}
}
