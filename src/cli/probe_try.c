/* SPDX-License-Identifier: Apache-2.0 */
/* Each thing a mount is allowed to do, tried once, and cleaned up. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/store.h"

#include "probe.h"

#define SIZE 4096

/* What is tried, and what is there by then. */
struct try {
	struct probe *p;
	struct store *s;
	char a[STORE_KEY_MAX], b[STORE_KEY_MAX], c[STORE_KEY_MAX];
	struct store_obj obj; /* at a */
	bool has_a;
	char found[STORE_KEY_MAX + 1]; /* an object of others; "": none */
};

static void key_of(const struct probe *p, const char *name,
		   char ret[STORE_KEY_MAX])
{
	(void)snprintf(ret, STORE_KEY_MAX, "%s-%s", p->key, name);
}

static int64_t now(void)
{
	return clk_mono(&clk_system);
}

/* r of a trial that began then; whether it worked. */
static bool tell(struct try *t, const char *name, const char *permission,
		 int64_t begun, int r)
{
	if (r < 0) {
		probe_fail(t->p, name, r, permission);
		return false;
	}
	probe_add(t->p, name, PROBE_OK, "%s", "allowed")->took_ns =
		now() - begun;
	return true;
}

static struct store_src bytes(uint64_t len)
{
	return (struct store_src){ .read = probe_read, .len = len };
}

static int put(struct try *t, const char *key, const struct store_cond *cond,
	       struct store_obj *ret)
{
	const struct store_src src = bytes(SIZE);
	const struct store_meta meta = { .write_id = "probe" };

	return store_put(t->s, key, &src, &meta, cond, ret);
}

static int on_entry(void *arg, const char *key, const struct store_obj *obj)
{
	struct try *t = arg;

	if (!obj || obj->size == 0)
		return 0;
	(void)snprintf(t->found, sizeof(t->found), "%s", key);
	return 1;
}

static void try_list(struct try *t)
{
	int64_t begun = now();
	int r = store_list(t->s, t->p->d.src.prefix, NULL, true, on_entry, t);

	(void)tell(t, "list", "s3:ListBucket", begun, r);
}

/* Of what is there: ours, else another's, else of what is not there, which
 * is refused where get is, too. */
static void try_get(struct try *t)
{
	const char *key = t->has_a ? t->a : *t->found ? t->found : t->b;
	struct probe_bytes b = { .at = 0 };
	struct store_obj o;
	int64_t begun = now();
	int r = store_get(t->s, key, NULL, 0, t->has_a ? SIZE : 1,
			  probe_compare, &b, &o);

	if (r == -ENOENT && !t->has_a)
		r = 0;
	if (tell(t, "get", "s3:GetObject", begun, r) && t->has_a &&
	    (b.is_wrong || b.at != SIZE))
		(void)probe_add(t->p, "get", PROBE_FAILED,
				"what comes back is not what was sent");
}

static void try_put(struct try *t)
{
	int64_t begun = now();
	int r = put(t, t->a, NULL, &t->obj);

	t->has_a = tell(t, "put", "s3:PutObject", begun, r);
}

static void try_condition(struct try *t)
{
	const struct store_cond absent = { .if_absent = true };
	int64_t begun = now();
	struct store_obj o;
	int r;

	if (!t->has_a || !(t->s->caps & STORE_CAP_PUT_COND))
		return;
	r = put(t, t->a, &absent, &o);
	if (r == 0)
		(void)probe_add(t->p, "condition", PROBE_FAILED,
				"an object was replaced in spite of its "
				"condition");
	else
		(void)tell(t, "condition", "s3:PutObject", begun,
			   r == -EEXIST ? 0 : r);
}

static void try_copy(struct try *t)
{
	int64_t begun = now();
	struct store_obj o;

	if (!t->has_a || !(t->s->caps & STORE_CAP_COPY))
		return;
	(void)tell(t, "copy", "s3:GetObject and s3:PutObject", begun,
		   store_copy(t->s, t->a, t->obj.etag, t->b, NULL, NULL, &o));
}

static int on_part(void *arg, const struct store_part *part)
{
	(void)part;
	++*(unsigned *)arg;
	return 0;
}

static void try_parts(struct try *t)
{
	const struct store_meta meta = { .write_id = "probe" };
	const struct store_src src = bytes(SIZE);
	char id[STORE_UPLOAD_ID_MAX];
	struct store_part part = { .number = 1 };
	struct store_obj o;
	unsigned n = 0;
	int64_t begun = now();
	int r = store_mpu_begin(t->s, t->c, &meta, false, id);

	if (r == 0) {
		r = store_mpu_part(t->s, t->c, id, 1, &src, &part);
		if (r == 0 && tell(t, "multipart", "s3:PutObject", begun, 0)) {
			begun = now();
			r = store_mpu_list_parts(t->s, t->c, id, on_part, &n);
			(void)tell(t, "list parts",
				   "s3:ListMultipartUploadParts", begun, r);
			r = store_mpu_commit(t->s, t->c, id, &part, 1, &meta,
					     NULL, &o);
		}
	}
	if (r < 0)
		(void)tell(t, "multipart", "s3:PutObject", begun, r);
	if (r < 0)
		return;
	begun = now();
	r = store_mpu_begin(t->s, t->c, &meta, false, id);
	if (r == 0)
		r = store_mpu_abort(t->s, t->c, id);
	(void)tell(t, "abort", "s3:AbortMultipartUpload", begun, r);
}

static void try_delete(struct try *t)
{
	const char *const keys[] = { t->a, t->b, t->c };
	int64_t begun = now();
	struct store_obj o;
	size_t i;
	int r = 0, e;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		e = store_del(t->s, keys[i], NULL);
		r = e ? e : r;
	}
	if (!tell(t, "delete", "s3:DeleteObject", begun, r)) {
		(void)probe_add(t->p, "left behind", PROBE_NOTE,
				"objects that begin with %s", t->p->key);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (store_head(t->s, keys[i], &o) == 0)
			(void)probe_add(t->p, "delete", PROBE_FAILED,
					"%s is still there", keys[i]);
}

void probe_permissions(struct probe *p)
{
	struct try t = { .p = p, .s = p->d.store };

	key_of(p, "a", t.a);
	key_of(p, "b", t.b);
	key_of(p, "c", t.c);
	try_list(&t);
	if (p->read_only) {
		try_get(&t);
		return;
	}
	try_put(&t);
	try_get(&t);
	try_condition(&t);
	try_copy(&t);
	try_parts(&t);
	try_delete(&t);
}
