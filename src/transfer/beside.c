/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The losing side of a conflict: published beside the user's objects, below
 * .ckptfs/conflict/ of the mounted prefix, where no mount lists it, as
 * PATH/WRITE-ID.  So several of one path lie together, and a component is
 * never longer than it was.
 *
 * It is a put of the same version outside the line: sent, taken up after a
 * crash, committed under a condition and verified as any other.  The version
 * stays in conflict, and the object's row says where it lies.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "transfer"

#define BESIDE STORE_HIDDEN "/conflict/"
#define BESIDE_LEN (sizeof(BESIDE) - 1)

const char *transfer_beside(const struct transfer *t, const char *key)
{
	size_t n = strlen(t->prefix);

	if (strncmp(key, t->prefix, n) != 0 ||
	    strncmp(key + n, BESIDE, BESIDE_LEN) != 0)
		return NULL;
	return key + n + BESIDE_LEN;
}

/* A path that is too long loses its last components: the write-id is enough to
 * tell one from the other. */
static int key_of(const struct transfer *t, const struct meta_version *v,
		  const char *key, char ret[META_KEY_MAX + 1])
{
	size_t np = strlen(t->prefix), n, m, room;
	const char *path = key + np;
	char id[STORE_WRITE_ID_MAX];

	write_id_of(t, v, id);
	m = strlen(id);
	if (np + BESIDE_LEN + 1 + m > META_KEY_MAX)
		return -ENAMETOOLONG;
	room = META_KEY_MAX - np - BESIDE_LEN - 1 - m;
	n = strlen(path);
	if (n > room)
		for (n = room; n > 0 && path[n] != '/'; n--)
			;
	memcpy(ret, key, np);
	memcpy(ret + np, BESIDE, BESIDE_LEN);
	memcpy(ret + np + BESIDE_LEN, path, n);
	n += np + BESIDE_LEN;
	if (ret[n - 1] != '/')
		ret[n++] = '/';
	memcpy(ret + n, id, m + 1);
	return 0;
}

int transfer_beside_add(struct transfer *t, const struct meta_version *v,
			const char *key)
{
	struct meta_op op = { .kind = META_OP_PUT,
			      .ino = v->ino,
			      .vid = v->vid,
			      .final = true,
			      .cut = true,
			      .unordered = true };
	int r = v->blob ? key_of(t, v, key, op.key) : -ENODATA;

	return r < 0 ? r : meta_op_add(t->meta, &op);
}

struct find {
	const struct transfer *t;
	uint64_t vid;
	struct transfer_beside *ret;
	bool found;
};

static int match_object(void *arg, const struct meta_object *o)
{
	struct find *f = arg;

	if (o->vid != f->vid)
		return 0;
	memcpy(f->ret->key, o->key, sizeof(f->ret->key));
	f->ret->is_there = f->found = true;
	return 1;
}

static int match_op(void *arg, const struct meta_op *op)
{
	struct find *f = arg;

	if (op->kind != META_OP_PUT || op->vid != f->vid ||
	    !transfer_beside(f->t, op->key))
		return 0;
	memcpy(f->ret->key, op->key, sizeof(f->ret->key));
	memcpy(f->ret->why, op->why, sizeof(f->ret->why));
	f->ret->seq = op->seq;
	f->ret->parked = op->parked;
	f->found = true;
	return 1;
}

int transfer_beside_of(struct transfer *t, uint64_t vid,
		       struct transfer_beside *ret)
{
	struct find f = { .t = t, .vid = vid, .ret = ret };
	char dir[META_KEY_MAX + 1];
	size_t n = strlen(t->prefix);
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	if (n + BESIDE_LEN > META_KEY_MAX)
		return -ENOENT;
	memcpy(dir, t->prefix, n);
	memcpy(dir + n, BESIDE, BESIDE_LEN + 1);
	r = meta_object_each(t->meta, dir, match_object, &f);
	if (r >= 0 && !f.found)
		r = meta_op_each(t->meta, 0, match_op, &f);
	if (r < 0)
		return r;
	return f.found ? 0 : -ENOENT;
}

bool beside_is_kept(struct transfer *t, uint64_t vid)
{
	struct meta_version v;
	int r = meta_begin(t->meta);

	if (r < 0)
		return true; /* in doubt */
	r = meta_version_get(t->meta, vid, &v);
	meta_end(t->meta);
	return r == 0 ? v.state == META_CONFLICT : r != -ENOENT;
}
