/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads in parts, but for what makes them one object. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/rng.h"
#include "ckptfs/text.h"

#include "gcs.h"
#include "store_int.h"

#define META_KEY "key" /* of the object that is to be, percent-encoded */

bool gcs_id_is_valid(const char *id)
{
	return strlen(id) == GCS_ID_LEN &&
	       strspn(id, "0123456789abcdef") == GCS_ID_LEN;
}

static int fits(int n)
{
	if (n > 0 && n <= STORE_KEY_MAX)
		return 0;
	store_set_error("the prefix is too long for uploads below it");
	return -EINVAL;
}

int gcs_upload_name(const struct gcs *g, const char *id,
		    char ret[STORE_KEY_MAX + 1])
{
	return fits(snprintf(ret, STORE_KEY_MAX + 1, "%s" GCS_UPLOADS "%s",
			     g->prefix, id));
}

int gcs_part_name(const struct gcs *g, const char *id, unsigned level,
		  unsigned number, char ret[STORE_KEY_MAX + 1])
{
	char join[32] = "";

	if (level)
		snprintf(join, sizeof(join), "join-%u-", level);
	return fits(snprintf(ret, STORE_KEY_MAX + 1,
			     "%s" GCS_PARTS "%s/%s%05u", g->prefix, id, join,
			     number));
}

/* The key an upload is of.  0, -ENOENT: that is not to be understood. */
static int key_of(const struct json *upload, char ret[STORE_KEY_MAX + 1])
{
	const char *s = json_get_str(json_get(upload, "metadata"), META_KEY);
	struct buf b = BUF_INIT(STORE_KEY_MAX);
	int r = s ? text_unpercent(&b, s, strlen(s), false) : -ENOENT;

	if (r == 0 && b.len && strlen(b.p) == b.len)
		memcpy(ret, b.p, b.len + 1);
	else if (r != -ENOMEM)
		r = -ENOENT;
	buf_clear(&b);
	return r;
}

static int no_upload(void)
{
	store_set_error("there is no such upload");
	return -ENOENT;
}

/* *ret_is_there: an upload of that id, of whatever key. */
static int find(struct gcs *g, const char *key, const char *id,
		bool *ret_is_there)
{
	char name[STORE_KEY_MAX + 1], of[STORE_KEY_MAX + 1];
	struct json *j = NULL;
	int r;

	*ret_is_there = false;
	if (!gcs_id_is_valid(id))
		return no_upload();
	r = gcs_upload_name(g, id, name);
	if (r == 0)
		r = gcs_head_json(g, name, NULL, &j);
	*ret_is_there = r == 0;
	if (r == 0)
		r = key_of(j, of);
	json_free(j);
	if (r == -ENOENT || (r == 0 && strcmp(of, key) != 0))
		r = no_upload();
	return r;
}

int gcs_upload_find(struct gcs *g, const char *key, const char *id)
{
	bool is_there;

	return find(g, key, id, &is_there);
}

int gcs_mpu_begin(struct store *s, const char *key,
		  const struct store_meta *meta, bool copies,
		  char ret_id[STORE_UPLOAD_ID_MAX])
{
	static const struct store_cond absent = { .if_absent = true };
	struct gcs *g = (struct gcs *)s;
	char id[GCS_ID_LEN + 1], name[STORE_KEY_MAX + 1];
	struct buf encoded = BUF_INIT(3 * STORE_KEY_MAX);
	const struct store_src none = { .len = 0 };
	struct gcs_pair pair = { .name = META_KEY };
	const struct gcs_upload u = { .key = name,
				      .src = &none,
				      .meta = &pair,
				      .nmeta = 1,
				      .cond = &absent,
				      .is_begin = true };
	struct store_obj o;
	int r;

	(void)meta; /* that of the commit counts */
	(void)copies; /* all parts are objects */
	snprintf(id, sizeof(id), "%016" PRIx64 "%016" PRIx64,
		 rng_u64(&rng_system), rng_u64(&rng_system));
	r = gcs_upload_name(g, id, name);
	if (r == 0)
		r = text_percent(&encoded, key, strlen(key), true);
	pair.value = encoded.p;
	if (r == 0)
		r = gcs_upload(g, &u, &o);
	buf_clear(&encoded);
	if (r == -EEXIST) /* sent twice by itself, or a miracle */
		r = -EAGAIN;
	if (r == 0)
		memcpy(ret_id, id, sizeof(id));
	return r;
}

/* One that comes when the upload has ended belongs to nobody. */
static int still_wanted(struct gcs *g, const char *key, const char *id,
			const char *name)
{
	int r = gcs_upload_find(g, key, id);

	if (r == -ENOENT && gcs_id_is_valid(id)) {
		(void)!gcs_del(&g->store, name, NULL);
		r = no_upload();
	}
	return r;
}

int gcs_mpu_part(struct store *s, const char *key, const char *id,
		 unsigned number, const struct store_src *src,
		 struct store_part *ret)
{
	struct gcs *g = (struct gcs *)s;
	struct store_part part = { .number = number, .size = src->len };
	struct store_src known = *src;
	char name[STORE_KEY_MAX + 1];
	struct gcs_upload u = { .key = name, .src = &known };
	struct store_obj o;
	int r;

	if (!gcs_id_is_valid(id))
		return no_upload();
	r = gcs_part_name(g, id, 0, number, name);
	if (r == 0)
		r = store_src_crcs(src, &known.crc64, &u.crc32c);
	known.has_crc64 = true;
	if (r == 0)
		r = gcs_upload(g, &u, &o);
	if (r == 0)
		r = still_wanted(g, key, id, name);
	if (r)
		return r;
	part.has_crc64 = part.has_crc32c = true;
	part.crc64 = known.crc64;
	part.crc32c = u.crc32c;
	memcpy(part.etag, o.etag, sizeof(part.etag));
	*ret = part;
	return 0;
}

/* ---- what there is ---- */

struct parts {
	size_t skip; /* to the number in a key */
	store_part_fn *fn;
	void *arg;
};

static int give_part(void *arg, const char *key, const struct json *object)
{
	const struct parts *p = arg;
	struct store_part part = { .number = 0 };
	struct store_obj o;
	uint64_t number;
	int r;

	if (!object || text_parse_u64(key + p->skip, &number) || !number ||
	    number > GCS_PARTS_MAX)
		return 0; /* made of parts */
	r = gcs_obj_of(object, &o);
	if (r)
		return r;
	part.number = (unsigned)number;
	part.size = o.size;
	part.has_crc32c = o.has_crc32c;
	part.crc32c = o.crc32c;
	memcpy(part.etag, o.etag, sizeof(part.etag));
	return p->fn(p->arg, &part);
}

static int parts_prefix(const struct gcs *g, const char *id,
			char ret[STORE_KEY_MAX + 1])
{
	return fits(snprintf(ret, STORE_KEY_MAX + 1, "%s" GCS_PARTS "%s/",
			     g->prefix, id));
}

int gcs_parts_each(struct gcs *g, const char *id, store_part_fn *fn, void *arg)
{
	char prefix[STORE_KEY_MAX + 1];
	struct parts p = { .fn = fn, .arg = arg };
	struct gcs_listing l = { .prefix = prefix,
				 .fields = GCS_FIELDS,
				 .fn = give_part,
				 .arg = &p };
	int r = parts_prefix(g, id, prefix);

	p.skip = strlen(prefix);
	return r ? r : gcs_list_each(g, &l);
}

int gcs_mpu_list_parts(struct store *s, const char *key, const char *id,
		       store_part_fn *fn, void *arg)
{
	struct gcs *g = (struct gcs *)s;
	int r = gcs_upload_find(g, key, id);

	return r ? r : gcs_parts_each(g, id, fn, arg);
}

struct uploads {
	const char *prefix; /* of the keys */
	size_t skip; /* to the id in a name */
	store_upload_fn *fn;
	void *arg;
};

static int give_upload(void *arg, const char *name, const struct json *object)
{
	const struct uploads *u = arg;
	const char *date = json_get_str(object, "timeCreated");
	const char *id = name + u->skip;
	char key[STORE_KEY_MAX + 1];
	int64_t begun_ns;
	int r;

	if (!object || !gcs_id_is_valid(id))
		return 0;
	r = key_of(object, key);
	if (r == -ENOENT)
		return 0;
	if (r || strncmp(key, u->prefix, strlen(u->prefix)) != 0)
		return r;
	if (!date || text_parse_iso_date(date, &begun_ns))
		begun_ns = 0;
	return u->fn(u->arg, key, id, begun_ns);
}

int gcs_mpu_list(struct store *s, const char *prefix, store_upload_fn *fn,
		 void *arg)
{
	struct gcs *g = (struct gcs *)s;
	char names[STORE_KEY_MAX + 1];
	struct uploads u = { .prefix = prefix, .fn = fn, .arg = arg };
	struct gcs_listing l = { .prefix = names,
				 .fields = GCS_FIELDS,
				 .fn = give_upload,
				 .arg = &u };
	int r = gcs_upload_name(g, "", names);

	u.skip = strlen(names);
	return r ? r : gcs_list_each(g, &l);
}

/* ---- the end of one ---- */

struct keys {
	char **v;
	size_t n, cap;
};

static int note_key(void *arg, const char *key, const struct json *object)
{
	struct keys *k = arg;

	(void)object;
	if (k->n == k->cap) {
		size_t cap = k->cap ? 2 * k->cap : 64;
		char **v = reallocarray(k->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		k->v = v;
		k->cap = cap;
	}
	k->v[k->n] = strdup(key);
	if (!k->v[k->n])
		return -ENOMEM;
	k->n++;
	return 0;
}

/* All, or the first error. */
static int delete_all(struct gcs *g, const struct keys *k)
{
	struct store_del *dels = calloc(k->n + 1, sizeof(*dels));
	int *errs = calloc(k->n + 1, sizeof(*errs));
	int r = dels && errs ? 0 : -ENOMEM;

	for (size_t i = 0; i < k->n && r == 0; i++)
		dels[i].key = k->v[i];
	if (r == 0)
		r = gcs_del_many(&g->store, dels, k->n, errs);
	for (size_t i = 0; i < k->n && r == 0; i++)
		r = errs[i];
	free(dels);
	free(errs);
	return r;
}

static int remove_parts(struct gcs *g, const char *id)
{
	char prefix[STORE_KEY_MAX + 1];
	struct keys k = { .n = 0 };
	const struct gcs_listing l = {
		.prefix = prefix, .fields = "name", .fn = note_key, .arg = &k
	};
	int r = parts_prefix(g, id, prefix);

	if (r == 0)
		r = gcs_list_each(g, &l);
	if (r == 0)
		r = delete_all(g, &k);
	for (size_t i = 0; i < k.n; i++)
		free(k.v[i]);
	free(k.v);
	return r;
}

int gcs_upload_remove(struct gcs *g, const char *id)
{
	char name[STORE_KEY_MAX + 1];
	int r = gcs_upload_name(g, id, name);

	if (r == 0)
		r = gcs_del(&g->store, name, NULL);
	return r ? r : remove_parts(g, id);
}

int gcs_mpu_abort(struct store *s, const char *key, const char *id)
{
	struct gcs *g = (struct gcs *)s;
	bool is_there;
	int r;

	if (gcs_session_is(id))
		return gcs_session_cancel(g, id);
	if (!gcs_id_is_valid(id))
		return 0;
	r = find(g, key, id, &is_there);
	if (r == 0)
		return gcs_upload_remove(g, id);
	if (r != -ENOENT || is_there)
		return r == -ENOENT ? 0 : r;
	return remove_parts(g, id); /* perhaps not all that was sent is gone */
}
