/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this server does.  Of Azure's own it is known, and only whether we may is
 * asked; emulators and others are asked everything.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"

#include "az.h"
#include "trial.h"

#define NO_ETAG "0x0" /* nothing has it */
#define DEBRIS_MAX 64 /* at one mount */

/* The service takes no control bytes, and a backslash for a slash.  An emulator
 * takes them, and then cannot list the container any more: not to be tried. */
#define ALWAYS                                                                 \
	(STORE_CAP_META | STORE_CAP_COMMIT_META | STORE_CAP_MPU_PREFIX |       \
	 STORE_CAP_ONE_LINE | STORE_CAP_PLAIN)
#define AZURE                                                                  \
	(ALWAYS | STORE_CAP_PUT_COND | STORE_CAP_DEL_COND | STORE_CAP_COPY |   \
	 STORE_CAP_FILE_AND_DIR)

struct probe {
	struct az *az;
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
	int r = az_head(p->s, p->t.key, &o);

	if (r)
		return r;
	if (o.size == TRIAL_LEN && strcmp(o.etag, p->t.obj.etag) == 0 &&
	    strcmp(o.meta.write_id, p->t.meta.write_id) == 0)
		return 0;
	store_set_error("what was just written is not there");
	return -EPROTO;
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
	int r = az_mpu_begin(p->s, p->t.key, &p->t.meta, false, id);

	if (r)
		return r;
	r = az_mpu_part(p->s, p->t.key, id, 1, &p->t.body.src, &part);
	if (r == 0) {
		struct store_meta other = p->t.meta;

		other.write_id[0] = 'P'; /* or it would be taken for done */
		r = az_mpu_commit(p->s, p->t.key, id, &part, 1, &other, &absent,
				  &p->t.obj);
		p->is_cond &= r == -EEXIST;
		if (r == -EEXIST)
			r = az_mpu_commit(p->s, p->t.key, id, &part, 1,
					  &p->t.meta, NULL, &p->t.obj);
	}
	if (r && az_mpu_abort(p->s, p->t.key, id))
		store_set_error("an upload of %s is left behind", p->t.key);
	return r;
}

static int copy(struct probe *p)
{
	struct store_obj o;
	int r = az_copy(p->s, p->t.key, NO_ETAG, p->t.other, NULL, NULL, &o);

	if (!trial_is_answer(r))
		return r;
	p->is_cond &= r == -ESTALE;
	r = az_copy(p->s, p->t.key, p->t.obj.etag, p->t.other, NULL, NULL, &o);
	if (r)
		return trial_is_answer(r) ? 0 : r;
	p->s->caps |= STORE_CAP_COPY;
	r = az_copy(p->s, p->t.key, NULL, p->t.other, NULL, &absent, &o);
	p->is_cond &= r == -EEXIST;
	if (p->is_cond)
		p->s->caps |= STORE_CAP_PUT_COND;
	return trial_is_answer(r) ? 0 : r;
}

static int file_and_dir(struct probe *p)
{
	return trial_file_and_dir(&p->t);
}

static int deletes(struct probe *p)
{
	return trial_deletes(&p->t, NO_ETAG);
}

static int may_list(struct az *az, const char *prefix)
{
	struct az_req q = { .method = "GET", .body_max = AZ_XML_MAX };
	struct http_resp resp;
	int r;

	az_req_query(&q, "restype", "container");
	az_req_query(&q, "comp", "list");
	az_req_query(&q, "maxresults", "1");
	if (*prefix)
		az_req_query(&q, "prefix", prefix);
	r = az_perform(az, &q, &resp);
	http_resp_clear(&resp);
	return r;
}

/* Azure's own: may we write and delete? */
static int may_change(struct probe *p)
{
	int r = trial_put(&p->t, p->t.key, &absent);

	return r ? r : az_del(p->s, p->t.key, NULL);
}

static int ask_all(struct probe *p)
{
	static int (*const steps[])(struct probe *) = {
		first_put, shows,	 conditions, upload,
		copy,	   file_and_dir, deletes,
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(steps) && r == 0; i++)
		r = steps[i](p);
	if (r)
		trial_tidy(&p->t);
	return r;
}

/* ---- what probes that were killed have left ---- */

struct debris {
	size_t skip; /* to what tells, in a key */
	int64_t now_ns;
	char *v[DEBRIS_MAX];
	size_t n;
};

static int note(void *arg, const struct az_entry *e)
{
	struct debris *d = arg;

	if (!trial_is_old(e->key + d->skip, d->now_ns))
		return 0;
	d->v[d->n] = strdup(e->key);
	return d->v[d->n] && ++d->n < DEBRIS_MAX ? 0 : 1;
}

static void sweep(struct az *az)
{
	char prefix[STORE_KEY_MAX + 1];
	struct debris d = { .now_ns = clk_real(az->clk) };
	const struct az_listing l = { .prefix = prefix, .fn = note, .arg = &d };
	int n = snprintf(prefix, sizeof(prefix), "%s" TRIAL_NAME, az->prefix);

	if (n < 0 || (size_t)n >= sizeof(prefix))
		return;
	d.skip = (size_t)n;
	/* Who may not list or delete leaves it to somebody who may. */
	(void)!az_list_each(az, &l);
	for (size_t i = 0; i < d.n; i++) {
		(void)!az_del(&az->store, d.v[i], NULL);
		free(d.v[i]);
	}
}

int az_probe(struct store *s, const char *prefix, bool read_only)
{
	struct probe p = { .az = (struct az *)s, .s = s };
	int r = may_list(p.az, prefix);

	s->caps = 0;
	if (r)
		return r;
	s->caps = p.az->where.is_azure ? AZURE : ALWAYS;
	if (read_only) {
		s->caps = STORE_CAP_META | STORE_CAP_FILE_AND_DIR;
		return 0;
	}
	sweep(p.az);
	r = trial_init(&p.t, s, prefix, clk_real(p.az->clk));
	if (r)
		return r;
	return p.az->where.is_azure ? may_change(&p) : ask_all(&p);
}
