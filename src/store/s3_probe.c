/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this server does, found by asking it: vendors differ, and some answer
 * 200 to what they do not heed.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/hash.h"

#include "s3.h"
#include "trial.h"

/* An etag nothing has. */
#define NO_ETAG "00000000000000000000000000000000"

struct probe {
	struct s3 *s3;
	struct store *s;
	struct trial t;
	size_t len; /* how much of the text its key has, and */
	size_t next_len; /* will have once the upload is committed */
	bool is_crc64_slow;
};

static int put(struct probe *p)
{
	int r = trial_put(&p->t, p->t.key, NULL);

	if (r == 0)
		p->len = TRIAL_LEN;
	return r;
}

/* Write for the first time, with a checksum if the server stands it. */
static int first_put(struct probe *p)
{
	int r;

	p->s3->has_crc = true;
	r = put(p);
	if (r == 0 || !trial_is_answer(r))
		return r;
	p->s3->has_crc = false;
	return put(p);
}

/* Does the server look at the checksum? */
static int wrong_crc(struct probe *p)
{
	int r;

	if (!p->s3->has_crc)
		return 0;
	p->t.body.src.has_crc64 = true;
	p->t.body.src.crc64 = ~crc64nvme(0, TRIAL_TEXT, TRIAL_LEN);
	r = put(p);
	p->t.body.src.has_crc64 = false;
	if (r == 0)
		p->s3->has_crc = false;
	return trial_is_answer(r) ? 0 : r;
}

/* Look at key: caps are those it shows. */
static int head(struct probe *p, unsigned *ret_caps)
{
	uint64_t crc = crc64nvme(0, TRIAL_TEXT, p->len);
	struct store_obj o;
	int r = s3_head(p->s, p->t.key, &o);

	if (r)
		return r;
	if (o.size != p->len || strcmp(o.etag, p->t.obj.etag) != 0) {
		store_set_error("what was just written is not there");
		return -EPROTO;
	}
	*ret_caps = 0;
	if (strcmp(o.meta.write_id, p->t.meta.write_id) == 0)
		*ret_caps |= STORE_CAP_META;
	if (o.has_crc64 && o.crc64 == crc)
		*ret_caps |= STORE_CAP_CRC64;
	return 0;
}

static int shows(struct probe *p)
{
	unsigned caps = 0;
	int r = head(p, &caps);

	p->s->caps |= caps;
	return r;
}

static int conditions(struct probe *p)
{
	bool is_heeded = false;
	int r = trial_conditions(&p->t, NO_ETAG, &is_heeded);

	if (is_heeded)
		p->s->caps |= STORE_CAP_PUT_COND;
	return r;
}

/* A part sent, and in its place a range copied if the server can. */
static int upload_part(struct probe *p, const char *id, struct store_part *ret)
{
	struct store_part copied;
	int r = s3_mpu_part(p->s, p->t.key, id, 1, &p->t.body.src, ret);

	if (r)
		return r;
	r = s3_mpu_copy_part(p->s, p->t.key, id, 1, p->t.key, p->t.obj.etag, 0,
			     TRIAL_LEN - 1, &copied);
	if (r)
		return trial_is_answer(r) ? 0 : r;
	/* versitygw takes that of the whole source for that of a range. */
	if (copied.has_crc64 &&
	    copied.crc64 != crc64nvme(0, TRIAL_TEXT, TRIAL_LEN - 1))
		return s3_mpu_part(p->s, p->t.key, id, 1, &p->t.body.src, ret);
	*ret = copied;
	p->next_len = TRIAL_LEN - 1;
	p->s->caps |= STORE_CAP_COPY_PART;
	p->s3->has_copy_part = true;
	return 0;
}

static int upload_commit(struct probe *p, const char *id,
			 const struct store_part *part)
{
	const struct store_cond absent = { .if_absent = true };
	bool may_cond = p->s->caps & STORE_CAP_PUT_COND;
	struct store_obj o;
	int r = -EEXIST;

	if (may_cond)
		r = s3_mpu_commit(p->s, p->t.key, id, part, 1, &p->t.meta,
				  &absent, &o);
	if (!trial_is_answer(r))
		return r;
	if (r != -EEXIST)
		p->s->caps &= ~(unsigned)STORE_CAP_PUT_COND;
	if (r)
		r = s3_mpu_commit(p->s, p->t.key, id, part, 1, &p->t.meta,
				  NULL, &o);
	if (r == 0) {
		p->t.obj = o;
		p->len = p->next_len;
	}
	return r;
}

static int is_upload(void *arg, const char *key, const char *id,
		     int64_t begun_ns)
{
	const struct probe *p = arg;

	(void)id;
	(void)begun_ns;
	return strcmp(key, p->t.key) == 0;
}

/* Does a prefix find uploads?  MinIO heeds whole keys only. */
static int upload_list(struct probe *p)
{
	char prefix[STORE_KEY_MAX + 1];
	int r;

	snprintf(prefix, sizeof(prefix), "%.*s", (int)strlen(p->t.key) - 1,
		 p->t.key);
	r = s3_mpu_list(p->s, prefix, is_upload, p);
	if (r == 1)
		p->s->caps |= STORE_CAP_MPU_PREFIX;
	return r == 1 || trial_is_answer(r) ? 0 : r;
}

/* A whole upload.  *ret_caps: what key shows afterwards. */
static int upload_once(struct probe *p, unsigned *ret_caps)
{
	char id[STORE_UPLOAD_ID_MAX];
	struct store_part part;
	int r = put(p);

	if (r)
		return r;
	p->next_len = TRIAL_LEN;
	r = s3_mpu_begin(p->s, p->t.key, &p->t.meta, false, id);
	if (r)
		return r;
	r = upload_list(p);
	if (r == 0)
		r = upload_part(p, id, &part);
	if (r == 0)
		r = upload_commit(p, id, &part);
	if (r && s3_mpu_abort(p->s, p->t.key, id))
		store_set_error("an upload of %s is left behind", p->t.key);
	return r ? r : head(p, ret_caps);
}

/*
 * Is a checksum of the whole to be declared when an upload begins?  AWS wants
 * it so; versitygw knows it anyway, and only then copies parts rightly; MinIO
 * knows it only so, and then copies none: uploads with copies declare none
 * there.
 */
static int upload(struct probe *p)
{
	const unsigned shown = STORE_CAP_META | STORE_CAP_CRC64;
	const unsigned before = p->s->caps;
	unsigned caps = 0, with = 0, seen = 0;
	int r = -EOPNOTSUPP, r_with;

	p->s3->has_crc_parts = p->s3->is_copy_declared = p->s3->has_crc;
	if (p->s3->has_crc_parts)
		r = upload_once(p, &seen);
	if (!trial_is_answer(r))
		return r;
	r_with = r;
	with = p->s->caps & (seen | ~shown);
	if (r == 0 && (with & STORE_CAP_COPY_PART))
		goto out;
	p->s->caps = before;
	p->s3->has_crc_parts = p->s3->is_copy_declared = false;
	r = upload_once(p, &seen);
	if (!trial_is_answer(r))
		return r;
	caps = p->s->caps & (seen | ~shown);
	if (r_with == 0 && (r || !(caps & STORE_CAP_CRC64))) {
		p->s3->has_crc_parts = true;
		p->s->caps = with;
		if (r == 0)
			p->s->caps |= caps & STORE_CAP_COPY_PART;
		return 0;
	}
	with = caps;
out:
	if (r == 0 && (with & STORE_CAP_COPY_PART) && (with & STORE_CAP_CRC64))
		with |= STORE_CAP_COPY_CRC64;
	p->s->caps = with;
	return r;
}

/* A whole upload that declares CRC-32C.  1: the server checks it, of a part and
 * of the whole, and shows it. */
static int upload_crc32c(struct probe *p, const char *id)
{
	struct store_src wrong = p->t.body.src;
	struct store_part part;
	struct store_obj o;
	int r;

	wrong.has_crc64 = wrong.has_crc32c = true;
	wrong.crc64 = crc64nvme(0, TRIAL_TEXT, TRIAL_LEN);
	wrong.crc32c = ~crc32c(0, TRIAL_TEXT, TRIAL_LEN);
	r = s3_mpu_part(p->s, p->t.key, id, 1, &wrong, &part);
	if (r == 0 || !trial_is_answer(r))
		return r;
	r = s3_mpu_part(p->s, p->t.key, id, 1, &p->t.body.src, &part);
	if (r == 0) {
		part.crc32c = ~part.crc32c;
		r = s3_mpu_commit(p->s, p->t.key, id, &part, 1, &p->t.meta,
				  NULL, &o);
		part.crc32c = ~part.crc32c;
		if (r == 0 || !trial_is_answer(r))
			return r;
		r = s3_mpu_commit(p->s, p->t.key, id, &part, 1, &p->t.meta,
				  NULL, &o);
	}
	if (r)
		return r;
	r = s3_head(p->s, p->t.key, &p->t.obj);
	p->len = TRIAL_LEN;
	if (r)
		return r;
	return p->t.obj.has_crc32c &&
	       p->t.obj.crc32c == crc32c(0, TRIAL_TEXT, TRIAL_LEN);
}

/*
 * Where the server takes long over CRC-64, parts go with CRC-32C, for which
 * processors have an instruction.  versitygw tells a wrong one of a range that it
 * copies into such an upload: uploads with copies are not of this kind.
 */
static int parts_crc32c(struct probe *p)
{
	char id[STORE_UPLOAD_ID_MAX];
	int r;

	if (!p->is_crc64_slow || !p->s3->has_crc)
		return 0;
	p->s->caps |= STORE_CAP_PARTS_CRC32C;
	r = s3_mpu_begin(p->s, p->t.key, &p->t.meta, false, id);
	if (r == 0) {
		r = upload_crc32c(p, id);
		if (r == 1)
			return 0;
		if (s3_mpu_abort(p->s, p->t.key, id))
			store_set_error("an upload of %s is left behind",
					p->t.key);
	}
	p->s->caps &= ~(unsigned)STORE_CAP_PARTS_CRC32C;
	/* What key is by now, is not known. */
	return trial_is_answer(r) ? put(p) : r;
}

static int copy(struct probe *p)
{
	struct store_obj o;
	int r;

	r = s3_copy(p->s, p->t.key, p->t.obj.etag, p->t.other, NULL, NULL, &o);
	if (r == 0)
		p->s->caps |= STORE_CAP_COPY;
	return trial_is_answer(r) ? 0 : r;
}

/* MinIO takes them, and lists the one. */
static int file_and_dir(struct probe *p)
{
	return trial_file_and_dir(&p->t);
}

/* Those that ignore encoding-type write another character in their place. */
static int odd_names(struct probe *p)
{
	return trial_odd_names(&p->t);
}

static int deletes(struct probe *p)
{
	const struct store_cond wrong = { .if_match = NO_ETAG };
	int r = trial_deletes(&p->t, NO_ETAG);

	if (r)
		return r;
	/* Of what is not there: some do not look at the condition then. */
	r = s3_del(p->s, p->t.key, &wrong);
	p->s3->is_del_blind = r == 0;
	return trial_is_answer(r) ? 0 : r;
}

/* By table: for each byte a look, 12 % of its processor time under uploads. */
static bool is_crc64_slow(const struct http_resp *resp)
{
	const char *server = http_resp_header(resp, "Server");

	return server && strcmp(server, "VERSITYGW") == 0;
}

static int may_list(struct s3 *s3, const char *prefix, bool *ret_crc64_slow)
{
	struct s3_req q = { .method = "GET", .body_max = S3_XML_MAX };
	struct http_resp resp;
	int r;

	s3_req_query(&q, "list-type", "2");
	s3_req_query(&q, "max-keys", "1");
	if (*prefix)
		s3_req_query(&q, "prefix", prefix);
	r = s3_perform(s3, &q, &resp);
	*ret_crc64_slow = r == 0 && is_crc64_slow(&resp);
	http_resp_clear(&resp);
	return r;
}

int s3_probe(struct store *s, const char *prefix, bool read_only)
{
	static int (*const steps[])(struct probe *) = {
		first_put,    wrong_crc,    shows, conditions,
		upload,	      parts_crc32c, copy,  file_and_dir,
		odd_names,    deletes,
	};
	struct probe p = { .s3 = (struct s3 *)s, .s = s };
	size_t i;
	int r = may_list(p.s3, prefix, &p.is_crc64_slow);

	s->caps = 0;
	if (r)
		return r;
	if (read_only) {
		s->caps = STORE_CAP_META | STORE_CAP_FILE_AND_DIR;
		return 0;
	}
	s3_sweep_probes(s, prefix);
	r = trial_init(&p.t, s, prefix, clk_real(p.s3->clk));
	if (r)
		return r;
	for (i = 0; i < ARRAY_SIZE(steps) && r == 0; i++)
		r = steps[i](&p);
	if (r)
		trial_tidy(&p.t);
	return r;
}

/* Above the caps in a number that is kept: never change what a bit means. */
enum {
	FOUND_CRC = 32,
	FOUND_CRC_PARTS,
	FOUND_COPY_PART,
	FOUND_DEL_BLIND,
	FOUND_COPY_DECLARED,
};

uint64_t s3_findings(const struct store *s)
{
	const struct s3 *s3 = (const struct s3 *)s;

	return (uint64_t)s3->has_crc << FOUND_CRC |
	       (uint64_t)s3->has_crc_parts << FOUND_CRC_PARTS |
	       (uint64_t)s3->has_copy_part << FOUND_COPY_PART |
	       (uint64_t)s3->is_del_blind << FOUND_DEL_BLIND |
	       (uint64_t)s3->is_copy_declared << FOUND_COPY_DECLARED | s->caps;
}

void s3_recall(struct store *s, uint64_t findings)
{
	struct s3 *s3 = (struct s3 *)s;

	s->caps = (uint32_t)findings;
	s3->has_crc = findings >> FOUND_CRC & 1;
	s3->has_crc_parts = findings >> FOUND_CRC_PARTS & 1;
	s3->has_copy_part = findings >> FOUND_COPY_PART & 1;
	s3->is_del_blind = findings >> FOUND_DEL_BLIND & 1;
	s3->is_copy_declared = findings >> FOUND_COPY_DECLARED & 1;
}
