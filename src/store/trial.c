/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/clock.h"

#include "trial.h"

#define OLD_NS (3600 * NS_PER_S) /* nobody probes that long */
/* What XML cannot hold, in UTF-8. */
#define ODD "-\x01\r\xef\xbf\xbe"
#define LINES "-\n"

int trial_init(struct trial *t, struct store *s, const char *prefix,
	       int64_t now_ns)
{
	int n;

	memset(t, 0, sizeof(*t));
	t->s = s;
	store_src_mem_init(&t->body, TRIAL_TEXT, TRIAL_LEN);
	n = snprintf(t->key, sizeof(t->key), "%s" TRIAL_NAME "%" PRIx64 "-%x",
		     prefix, (uint64_t)now_ns, (unsigned)getpid());
	if (n < 0 || (size_t)n + sizeof(ODD) > sizeof(t->key)) {
		store_set_error("the prefix is too long for trials below it");
		return -EINVAL;
	}
	snprintf(t->other, sizeof(t->other), "%.*s-2", n, t->key);
	snprintf(t->below, sizeof(t->below), "%.*s/x", n, t->key);
	snprintf(t->odd, sizeof(t->odd), "%.*s" ODD, n, t->key);
	snprintf(t->lines, sizeof(t->lines), "%.*s" LINES, n, t->key);
	snprintf(t->meta.write_id, sizeof(t->meta.write_id), "probe-%" PRIx64,
		 (uint64_t)now_ns);
	return 0;
}

bool trial_is_answer(int err)
{
	return !store_err_is_transient(err) && err != -ECANCELED &&
	       err != -ENOMEM && err != -EIO;
}

bool trial_is_old(const char *name, int64_t now_ns)
{
	uint64_t began;

	return sscanf(name, "%" SCNx64 "-", &began) == 1 && now_ns >= OLD_NS &&
	       began <= (uint64_t)(now_ns - OLD_NS);
}

int trial_put(struct trial *t, const char *key, const struct store_cond *cond)
{
	struct store_obj o;
	int r = t->s->ops->put(t->s, key, &t->body.src, &t->meta, cond, &o);

	if (r == 0 && key == t->key)
		t->obj = o;
	return r;
}

int trial_conditions(struct trial *t, const char *no_etag, bool *ret_is_heeded)
{
	const struct store_cond absent = { .if_absent = true };
	const struct store_cond wrong = { .if_match = no_etag };
	int a = trial_put(t, t->key, &absent), b;

	if (!trial_is_answer(a))
		return a;
	b = trial_put(t, t->key, &wrong);
	if (!trial_is_answer(b))
		return b;
	*ret_is_heeded = a == -EEXIST && b == -ESTALE;
	return 0;
}

/* 1 when the listing names it. */
static int is_it(void *arg, const char *key, const struct store_obj *obj)
{
	return obj && strcmp(key, arg) == 0;
}

/* 1: a listing gives this key back as it is. */
static int lists(struct trial *t, char *key)
{
	return t->s->ops->list(t->s, t->key, NULL, false, is_it, key);
}

int trial_file_and_dir(struct trial *t)
{
	struct store_obj o;
	int r = trial_put(t, t->below, NULL);

	if (r == 0)
		r = t->s->ops->head(t->s, t->key, &o);
	if (r == 0)
		r = lists(t, t->below);
	if (r == 1)
		t->s->caps |= STORE_CAP_FILE_AND_DIR;
	return r == 1 || trial_is_answer(r) ? 0 : r;
}

/* *ret_has: it may be there now. */
static int put_odd(struct trial *t, const char *key, bool *ret_has)
{
	int r = trial_put(t, key, NULL);

	*ret_has = r == 0 || !trial_is_answer(r);
	return r;
}

int trial_odd_names(struct trial *t)
{
	int r = put_odd(t, t->odd, &t->has_odd);

	if (r == 0)
		r = lists(t, t->odd);
	if (r == 1)
		t->s->caps |= STORE_CAP_CONTROL;
	return r == 1 || trial_is_answer(r) ? 0 : r;
}

int trial_line_feed(struct trial *t)
{
	int r = put_odd(t, t->lines, &t->has_lines);

	if (r)
		t->s->caps |= STORE_CAP_ONE_LINE;
	return trial_is_answer(r) ? 0 : r;
}

static int del(struct trial *t, const char *key)
{
	return t->s->ops->del(t->s, key, NULL);
}

/* All but key. */
static int delete_others(struct trial *t)
{
	int r = del(t, t->below);

	if (r == 0)
		r = del(t, t->other);
	/* Who takes no such name may not look for it either. */
	if (r == 0 && t->has_odd)
		r = del(t, t->odd);
	if (r == 0 && t->has_lines)
		r = del(t, t->lines);
	return r;
}

static int delete_one(struct trial *t, const char *no_etag)
{
	const struct store_cond wrong = { .if_match = no_etag };
	int r = t->s->ops->del(t->s, t->key, &wrong);

	if (r == -ESTALE)
		t->s->caps |= STORE_CAP_DEL_COND;
	if (!trial_is_answer(r))
		return r;
	return r ? 0 : trial_put(t, t->key, NULL); /* it is gone */
}

/* Here of one key. */
static int delete_many(struct trial *t, const char *no_etag)
{
	const struct store_del wrong = { .key = t->key, .if_match = no_etag };
	struct store_obj o;
	int err = 0, r;

	if (!t->s->ops->del_many)
		return 0;
	t->s->caps |= STORE_CAP_DEL_MANY; /* or it might not be tried */
	r = t->s->ops->del_many(t->s, &wrong, 1, &err);
	t->s->caps &= ~(unsigned)STORE_CAP_DEL_MANY;
	if (r || (err && err != -ESTALE))
		return trial_is_answer(r) ? 0 : r;
	r = t->s->ops->head(t->s, t->key, &o);
	if (err ? r == 0 : r == -ENOENT)
		t->s->caps |= STORE_CAP_DEL_MANY;
	if (err && r == 0)
		t->s->caps |= STORE_CAP_DEL_MANY_COND;
	return trial_is_answer(r) ? 0 : r;
}

int trial_deletes(struct trial *t, const char *no_etag)
{
	int r = delete_others(t);

	if (r == 0)
		r = delete_one(t, no_etag);
	if (r == 0)
		r = delete_many(t, no_etag);
	return r ? r : del(t, t->key);
}

void trial_tidy(struct trial *t)
{
	char *why = strdup(store_last_error());
	int r = delete_others(t);

	if (r == 0)
		r = del(t, t->key);
	store_set_error("%s%s", why ? why : "",
			r ? " (and a trial object is left behind)" : "");
	free(why);
}
