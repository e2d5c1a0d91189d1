/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this server does.  Of Google's own it is known, and only whether we may
 * is asked, with one write, for a name is not to be written to twice in a second;
 * others are asked everything.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "ckptfs/clock.h"

#include "gcs.h"
#include "trial.h"

/* A generation nothing has. */
#define NO_ETAG "1"

#define ALWAYS                                                                 \
	(STORE_CAP_META | STORE_CAP_COMMIT_META | STORE_CAP_MPU_PREFIX |       \
	 STORE_CAP_PARTS_CRC32C)
#define GOOGLE                                                                 \
	(ALWAYS | STORE_CAP_PUT_COND | STORE_CAP_DEL_COND | STORE_CAP_COPY |   \
	 STORE_CAP_CRC64 | STORE_CAP_FILE_AND_DIR | STORE_CAP_ONE_LINE |       \
	 STORE_CAP_DEL_MANY | STORE_CAP_DEL_MANY_COND)

struct probe {
	struct gcs *g;
	struct store *s;
	struct trial t;
	bool is_cond; /* conditions are heeded so far */
};

static const struct store_cond absent = { .if_absent = true };

static int first_put(struct probe *p)
{
	return trial_put(&p->t, p->t.key, NULL);
}

static int shows(struct probe *p)
{
	struct store_obj o;
	int r = gcs_head(p->s, p->t.key, &o);

	if (r)
		return r;
	if (o.size != TRIAL_LEN || strcmp(o.etag, p->t.obj.etag) != 0 ||
	    strcmp(o.meta.write_id, p->t.meta.write_id) != 0) {
		store_set_error("what was just written is not there");
		return -EPROTO;
	}
	if (o.has_crc32c && o.crc32c == p->t.obj.crc32c)
		p->s->caps |= STORE_CAP_CRC64;
	return 0;
}

static int conditions(struct probe *p)
{
	return trial_conditions(&p->t, NO_ETAG, &p->is_cond);
}

/* An upload of one part onto what is there, first as if it were not. */
static int upload(struct probe *p)
{
	char id[STORE_UPLOAD_ID_MAX];
	struct store_part part;
	int r = gcs_mpu_begin(p->s, p->t.key, &p->t.meta, false, id);

	if (r)
		return r;
	r = gcs_mpu_part(p->s, p->t.key, id, 1, &p->t.body.src, &part);
	if (r == 0) {
		struct store_meta other = p->t.meta;

		other.write_id[0] = 'P';
		r = gcs_mpu_commit(p->s, p->t.key, id, &part, 1, &other,
				   &absent, &p->t.obj);
		p->is_cond &= r == -EEXIST;
		if (r == -EEXIST)
			r = gcs_mpu_commit(p->s, p->t.key, id, &part, 1,
					   &p->t.meta, NULL, &p->t.obj);
	}
	if (r && gcs_mpu_abort(p->s, p->t.key, id))
		store_set_error("an upload of %s is left behind", p->t.key);
	return r;
}

static int copy(struct probe *p)
{
	struct store_obj o;
	int r = gcs_copy(p->s, p->t.key, p->t.obj.etag, p->t.other, NULL, NULL,
			 &o);

	if (r)
		return trial_is_answer(r) ? 0 : r;
	p->s->caps |= STORE_CAP_COPY;
	r = gcs_copy(p->s, p->t.key, NO_ETAG, p->t.other, NULL, NULL, &o);
	p->g->is_source_blind = r == 0;
	if (!trial_is_answer(r))
		return r;
	if (!p->is_cond)
		return 0;
	p->s->caps |= STORE_CAP_PUT_COND; /* or it would not be sent */
	r = gcs_copy(p->s, p->t.key, NULL, p->t.other, NULL, &absent, &o);
	if (r != -EEXIST)
		p->s->caps &= ~(unsigned)STORE_CAP_PUT_COND;
	return trial_is_answer(r) ? 0 : r;
}

static int file_and_dir(struct probe *p)
{
	return trial_file_and_dir(&p->t);
}

static int odd_names(struct probe *p)
{
	int r = trial_odd_names(&p->t);

	return r ? r : trial_line_feed(&p->t);
}

static int deletes(struct probe *p)
{
	return trial_deletes(&p->t, NO_ETAG);
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

/* Google's own: may we write and delete? */
static int may_change(struct probe *p)
{
	int r = trial_put(&p->t, p->t.key, &absent);

	return r ? r : gcs_del(p->s, p->t.key, NULL);
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
		trial_tidy(&p->t);
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
	if (p.g->chunk)
		s->caps |= STORE_CAP_PUT_RESUME;
	if (read_only) {
		s->caps = STORE_CAP_META | STORE_CAP_FILE_AND_DIR;
		return 0;
	}
	gcs_sweep(p.g);
	r = trial_init(&p.t, s, prefix, clk_real(p.g->clk));
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
