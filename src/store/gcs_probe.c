/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this server does.  Of Google's own it is known, and only whether we may
 * is asked; others are asked everything, and on a name of its own each time, for
 * one name is not to be written to twice in a second.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/clock.h"

#include "gcs.h"
#include "store_int.h"

static const char text[] = "ckptfs";
#define TEXT_LEN (sizeof(text) - 1)
/* What not every store takes in a name. */
#define ODD "-\x01\r\xef\xbf\xbe"
#define LINES "-\n"
/* A generation nothing has. */
#define NO_ETAG "1"

#define ALWAYS                                                                 \
	(STORE_CAP_META | STORE_CAP_COMMIT_META | STORE_CAP_MPU_PREFIX |       \
	 STORE_CAP_PARTS_CRC32C)
#define GOOGLE                                                                 \
	(ALWAYS | STORE_CAP_PUT_COND | STORE_CAP_DEL_COND | STORE_CAP_COPY |   \
	 STORE_CAP_CRC64 | STORE_CAP_FILE_AND_DIR | STORE_CAP_ONE_LINE)

struct probe {
	struct gcs *g;
	struct store *s;
	struct store_src body;
	struct store_meta meta;
	char key[STORE_KEY_MAX + 1]; /* there from the first step on */
	char other[STORE_KEY_MAX + 1];
	char below[STORE_KEY_MAX + 1]; /* as if key were a folder */
	char odd[STORE_KEY_MAX + 1], lines[STORE_KEY_MAX + 1];
	struct store_obj obj; /* what key is now */
	bool is_cond; /* conditions are heeded so far */
};

static const struct store_cond absent = { .if_absent = true };
static const struct store_cond wrong = { .if_match = NO_ETAG };

static ssize_t read_text(void *arg, uint64_t off, void *p, size_t n)
{
	(void)arg;
	memcpy(p, text + off, n);
	return (ssize_t)n;
}

/* An answer, rather than trouble with getting one? */
static bool is_answer(int r)
{
	return !store_err_is_transient(r) && r != -ECANCELED && r != -ENOMEM &&
	       r != -EIO;
}

static int put(struct probe *p, const char *key, const struct store_cond *cond)
{
	struct store_obj o;
	int r = gcs_put(p->s, key, &p->body, &p->meta, cond, &o);

	if (r == 0 && key == p->key)
		p->obj = o;
	return r;
}

static int first_put(struct probe *p)
{
	return put(p, p->key, NULL);
}

static int shows(struct probe *p)
{
	struct store_obj o;
	int r = gcs_head(p->s, p->key, &o);

	if (r)
		return r;
	if (o.size != TEXT_LEN || strcmp(o.etag, p->obj.etag) != 0 ||
	    strcmp(o.meta.write_id, p->meta.write_id) != 0) {
		store_set_error("what was just written is not there");
		return -EPROTO;
	}
	if (o.has_crc32c && o.crc32c == p->obj.crc32c)
		p->s->caps |= STORE_CAP_CRC64;
	return 0;
}

static int conditions(struct probe *p)
{
	int a = put(p, p->key, &absent), b = -ESTALE;

	if (is_answer(a))
		b = put(p, p->key, &wrong);
	p->is_cond = a == -EEXIST && b == -ESTALE;
	if (!is_answer(a))
		return a;
	return is_answer(b) ? 0 : b;
}

/* An upload of one part onto what is there, first as if it were not. */
static int upload(struct probe *p)
{
	char id[STORE_UPLOAD_ID_MAX];
	struct store_part part;
	int r = gcs_mpu_begin(p->s, p->key, &p->meta, false, id);

	if (r)
		return r;
	r = gcs_mpu_part(p->s, p->key, id, 1, &p->body, &part);
	if (r == 0) {
		struct store_meta other = p->meta;

		other.write_id[0] = 'P';
		r = gcs_mpu_commit(p->s, p->key, id, &part, 1, &other, &absent,
				   &p->obj);
		p->is_cond &= r == -EEXIST;
		if (r == -EEXIST)
			r = gcs_mpu_commit(p->s, p->key, id, &part, 1, &p->meta,
					   NULL, &p->obj);
	}
	if (r && gcs_mpu_abort(p->s, p->key, id))
		store_set_error("an upload of %s is left behind", p->key);
	return r;
}

static int copy(struct probe *p)
{
	struct store_obj o;
	int r = gcs_copy(p->s, p->key, p->obj.etag, p->other, NULL, NULL, &o);

	if (r)
		return is_answer(r) ? 0 : r;
	p->s->caps |= STORE_CAP_COPY;
	r = gcs_copy(p->s, p->key, NO_ETAG, p->other, NULL, NULL, &o);
	p->g->is_source_blind = r == 0;
	if (!is_answer(r))
		return r;
	if (!p->is_cond)
		return 0;
	p->s->caps |= STORE_CAP_PUT_COND; /* or it would not be sent */
	r = gcs_copy(p->s, p->key, NULL, p->other, NULL, &absent, &o);
	if (r != -EEXIST)
		p->s->caps &= ~(unsigned)STORE_CAP_PUT_COND;
	return is_answer(r) ? 0 : r;
}

/* 1 when the listing names it. */
static int is_it(void *arg, const char *key, const struct store_obj *obj)
{
	return obj && strcmp(key, arg) == 0;
}

/* May "a" and "a/b" both be there? */
static int file_and_dir(struct probe *p)
{
	struct store_obj o;
	int r = put(p, p->below, NULL);

	if (r == 0)
		r = gcs_head(p->s, p->key, &o);
	if (r == 0)
		r = gcs_list(p->s, p->key, NULL, false, is_it, p->below);
	if (r == 1)
		p->s->caps |= STORE_CAP_FILE_AND_DIR;
	return r == 1 || is_answer(r) ? 0 : r;
}

static int odd_names(struct probe *p)
{
	int r = put(p, p->odd, NULL);

	if (r == 0)
		r = gcs_list(p->s, p->key, NULL, false, is_it, p->odd);
	if (r == 1)
		p->s->caps |= STORE_CAP_CONTROL;
	if (r != 1 && !is_answer(r))
		return r;
	r = put(p, p->lines, NULL);
	if (r)
		p->s->caps |= STORE_CAP_ONE_LINE;
	return is_answer(r) ? 0 : r;
}

static int delete_others(struct probe *p)
{
	int r = gcs_del(p->s, p->below, NULL);

	if (r == 0)
		r = gcs_del(p->s, p->other, NULL);
	/* Who takes no such name may not look for it either. */
	if (r == 0 && p->s->caps & STORE_CAP_CONTROL)
		r = gcs_del(p->s, p->odd, NULL);
	if (r == 0 && !(p->s->caps & STORE_CAP_ONE_LINE))
		r = gcs_del(p->s, p->lines, NULL);
	return r;
}

static int deletes(struct probe *p)
{
	int r = delete_others(p);

	if (r)
		return r;
	r = gcs_del(p->s, p->key, &wrong);
	if (r == -ESTALE)
		p->s->caps |= STORE_CAP_DEL_COND;
	if (!is_answer(r))
		return r;
	return gcs_del(p->s, p->key, NULL);
}

/* Leave nothing behind, but keep the words of what went wrong. */
static void tidy(struct probe *p)
{
	char *why = strdup(store_last_error());
	int r = delete_others(p);

	if (r == 0)
		r = gcs_del(p->s, p->key, NULL);
	store_set_error("%s%s", why ? why : "",
			r ? " (and a trial object is left behind)" : "");
	free(why);
}

static int may_list(struct gcs *g, const char *prefix)
{
	struct gcs_req q = { .method = "GET", .body_max = GCS_JSON_MAX };
	struct json *j = NULL;
	int r;

	gcs_req_query(&q, "maxResults", "1");
	gcs_req_query(&q, "fields", "items(name)");
	if (*prefix)
		gcs_req_query(&q, "prefix", prefix);
	r = gcs_ask(g, &q, &j);
	json_free(j);
	return r;
}

static int names(struct probe *p, const char *prefix)
{
	uint64_t now = (uint64_t)clk_real(p->g->clk);
	int n = snprintf(p->key, sizeof(p->key),
			 "%s" GCS_PROBE "%" PRIx64 "-%x", prefix, now,
			 (unsigned)getpid());

	if (n < 0 || (size_t)n + sizeof(ODD) > sizeof(p->key))
		return -EINVAL;
	snprintf(p->other, sizeof(p->other), "%.*s-2", n, p->key);
	snprintf(p->below, sizeof(p->below), "%.*s/x", n, p->key);
	snprintf(p->odd, sizeof(p->odd), "%.*s" ODD, n, p->key);
	snprintf(p->lines, sizeof(p->lines), "%.*s" LINES, n, p->key);
	snprintf(p->meta.write_id, sizeof(p->meta.write_id), "probe-%" PRIx64,
		 now);
	return 0;
}

/* Google's own: may we write and delete? */
static int may_change(struct probe *p)
{
	int r = put(p, p->key, &absent);

	return r ? r : gcs_del(p->s, p->key, NULL);
}

static int ask_all(struct probe *p)
{
	static int (*const steps[])(struct probe *) = {
		first_put, shows,	 conditions, upload,
		copy,	   file_and_dir, odd_names,  deletes,
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(steps) && r == 0; i++)
		r = steps[i](p);
	if (r)
		tidy(p);
	return r;
}

int gcs_probe(struct store *s, const char *prefix, bool read_only)
{
	struct probe p = { .g = (struct gcs *)s, .s = s };
	int r = may_list(p.g, prefix);

	s->caps = 0;
	if (r)
		return r;
	s->caps = p.g->where.is_google ? GOOGLE : ALWAYS;
	if (read_only) {
		s->caps = STORE_CAP_META | STORE_CAP_FILE_AND_DIR;
		return 0;
	}
	gcs_sweep(p.g);
	p.body = (struct store_src){ .read = read_text, .len = TEXT_LEN };
	r = names(&p, prefix);
	if (r)
		return r;
	return p.g->where.is_google ? may_change(&p) : ask_all(&p);
}

/* Above the caps in a number that is kept: never change what a bit means. */
enum { FOUND_SOURCE_BLIND = 32 };

uint64_t gcs_findings(const struct store *s)
{
	const struct gcs *g = (const struct gcs *)s;

	return (uint64_t)g->is_source_blind << FOUND_SOURCE_BLIND | s->caps;
}

void gcs_recall(struct store *s, uint64_t findings)
{
	struct gcs *g = (struct gcs *)s;

	s->caps = (uint32_t)findings;
	g->is_source_blind = findings >> FOUND_SOURCE_BLIND & 1;
}
