/* SPDX-License-Identifier: Apache-2.0 */
/* The check of a bucket (ckptfs/fsck.h). */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/meta.h"
#include "ckptfs/text.h"

#include "fsck_bucket.h"

#define HADOOP_MARK "_$folder$"
#define CONFLICT "conflict/"
#define TRIAL "probe-"
#define TRIAL_NS (3600 * NS_PER_S) /* none takes so long */

void fsck_b_tell(struct fsck_b *b, enum fsck_word word, const char *fmt, ...)
{
	char text[META_KEY_MAX + 512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	b->sums->found += word != FSCK_NOTE;
	b->sums->mended += word == FSCK_MENDED;
	b->opts->told(b->opts->arg, word, text);
}

/* ---- keys */

struct keys {
	struct fsck_b *b;
	size_t nprefix;
	struct fsck_above *above;
};

static bool ends_in(const char *s, size_t n, const char *end)
{
	size_t m = strlen(end);

	return n > m && strcmp(s + n - m, end) == 0;
}

/* Who made this folder's marker? */
static int look_at_marker(struct fsck_b *b, const char *key)
{
	struct store_obj o;
	int r = store_head(b->store, key, &o);

	if (r == -ENOENT)
		return 0; /* gone meanwhile */
	if (r == 0 && !(o.has_meta && *o.meta.write_id))
		fsck_b_tell(b, FSCK_NOTE,
			    "%s: a folder that another program made", key);
	return r;
}

static int on_key(void *arg, const char *key, const struct store_obj *obj)
{
	struct keys *k = arg;
	struct fsck_b *b = k->b;
	const char *name = key + k->nprefix;
	size_t n = strlen(name);
	bool marker = n == 0 || name[n - 1] == '/';
	int r = 0;

	if (!obj)
		return 0;
	b->sums->objects++;
	b->sums->bytes += obj->size;
	if (fsck_key_shows(b, key, name))
		r = fsck_above_next(b, &k->above, key);
	if (r == 0 && marker && obj->size)
		fsck_b_tell(b, FSCK_FOUND,
			    "%s: it stands for a folder, and holds bytes that "
			    "no mount shows: copy them to another name with "
			    "the store's own tools",
			    key);
	else if (r == 0 && marker && !b->opts->real_folders)
		r = look_at_marker(b, key);
	if (r == 0 && ends_in(name, n, HADOOP_MARK))
		fsck_b_tell(b, FSCK_NOTE,
			    "%s: another program's mark of a folder; mounts "
			    "show it as a file",
			    key);
	if (r == 0 && b->reading)
		r = fsck_reading_add(b, key, obj);
	return r;
}

static int check_keys(struct fsck_b *b)
{
	struct keys k = { .b = b, .nprefix = strlen(b->opts->prefix) };
	int r = store_list(b->store, b->opts->prefix, NULL, false, on_key, &k);

	fsck_above_free(k.above);
	return r;
}

/* ---- what is ours */

/* One of a trial that is under way is not touched. */
static int on_trial(struct fsck_b *b, const char *key,
		    const struct store_obj *obj)
{
	struct store_cond cond = { .if_match = obj->etag };
	bool can = b->store->caps & STORE_CAP_DEL_COND;
	int r = -ENOTSUP;

	if (obj->mtime_ns > clk_real(b->host->clk) - TRIAL_NS)
		return 0;
	if (b->opts->fix)
		r = store_del(b->store, key, can ? &cond : NULL);
	fsck_b_tell(b, r == 0 ? FSCK_MENDED : FSCK_FOUND,
		    "%s: left by a mount that tried what it may do", key);
	return 0;
}

static int on_hidden(void *arg, const char *key, const struct store_obj *obj)
{
	struct keys *k = arg;
	const char *name = key + k->nprefix;

	if (!obj)
		return 0;
	if (strncmp(name, TRIAL, strlen(TRIAL)) == 0)
		return on_trial(k->b, key, obj);
	if (strncmp(name, CONFLICT, strlen(CONFLICT)) == 0)
		fsck_b_tell(k->b, FSCK_FOUND,
			    "%s: kept beside what another writer had put under "
			    "its name: compare the two, and delete this one "
			    "with the store's own tools",
			    key);
	return 0;
}

static int check_hidden(struct fsck_b *b)
{
	char prefix[META_KEY_MAX + sizeof(STORE_HIDDEN) + 2];
	struct keys k = { .b = b };

	k.nprefix = (size_t)snprintf(prefix, sizeof(prefix), "%s%s/",
				     b->opts->prefix, STORE_HIDDEN);
	return store_list(b->store, prefix, NULL, false, on_hidden, &k);
}

/* ---- uploads in parts */

struct upload {
	struct upload *next;
	int64_t begun_ns;
	char *key, *id;
};

static void uploads_free(struct upload *all)
{
	struct upload *u, *next;

	for (u = all; u; u = next) {
		next = u->next;
		free(u->key);
		free(u->id);
		free(u);
	}
}

static int on_upload(void *arg, const char *key, const char *id,
		     int64_t begun_ns)
{
	struct upload **all = arg, *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->next = *all;
	*all = u;
	u->begun_ns = begun_ns;
	u->key = strdup(key);
	u->id = strdup(id);
	return u->key && u->id ? 0 : -ENOMEM;
}

static void look_at_upload(struct fsck_b *b, const struct upload *u)
{
	int64_t age = clk_real(b->host->clk) - u->begun_ns;
	char words[TEXT_QTY_LEN];
	int r = -ENOTSUP;

	text_duration(age > 0 ? age : 0, words);
	if (age < b->opts->orphan_ns) {
		fsck_b_tell(b, FSCK_NOTE,
			    "%s: an upload in parts, begun %s ago, is not "
			    "ended yet",
			    u->key, words);
		return;
	}
	if (b->opts->fix && b->opts->end_orphans)
		r = store_mpu_abort(b->store, u->key, u->id);
	fsck_b_tell(b, r == 0 ? FSCK_MENDED : FSCK_FOUND,
		    "%s: an upload in parts, begun %s ago, was never ended",
		    u->key, words);
}

/* Who may do all the rest may not be let to list these. */
static void check_uploads(struct fsck_b *b)
{
	struct upload *all = NULL, *u;
	int r = store_mpu_list(b->store, b->opts->prefix, on_upload, &all);

	if (r < 0)
		fsck_b_tell(b, FSCK_FOUND,
			    "uploads in parts cannot be listed: %s",
			    *store_last_error() ? store_last_error()
						: strerror(-r));
	else if (b->opts->fix && !(b->store->caps & STORE_CAP_MPU_PREFIX))
		fsck_b_tell(b, FSCK_NOTE,
			    "this store lists uploads in parts by whole keys "
			    "alone: they were not looked for");
	for (u = r < 0 ? NULL : all; u; u = u->next) {
		b->sums->uploads++;
		look_at_upload(b, u);
	}
	uploads_free(all);
}

int fsck_bucket(struct store *store, const struct host *host,
		const struct fsck_bucket_opts *opts,
		struct fsck_bucket_sums *ret)
{
	struct fsck_b b = {
		.store = store, .host = host, .opts = opts, .sums = ret
	};
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	if (opts->read_data)
		r = fsck_reading_begin(&b);
	if (r == 0)
		r = check_keys(&b);
	fsck_reading_end(&b, r);
	if (r == 0)
		r = check_hidden(&b);
	if (r == 0 && opts->versions)
		r = fsck_versions(&b);
	if (r == 0)
		check_uploads(&b);
	return r;
}
