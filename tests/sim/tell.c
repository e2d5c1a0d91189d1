/* SPDX-License-Identifier: Apache-2.0 */
/* The rows as they are: what --trace tells of a run that broke a promise. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "cache/blob.h"
#include "drive.h"

long long drive_size_of_blob(struct drive *d, uint64_t blob)
{
	struct simdisk *disk = sim_of(d->w.disk);
	struct node *n;
	char path[64];

	(void)snprintf(path, sizeof(path), BLOB_ROOT "/%02x/%016" PRIx64,
		       (unsigned)((blob >> 8) % BLOB_DIRS), blob);
	return name_find(disk, path, &n) < 0 ? -1 : (long long)n->size;
}

static int on_version(void *arg, const struct meta_version *v)
{
	static const char *const states[] = { "?",	"unfinished",
					      "sealed", "published",
					      "torn",	"conflict",
					      "parked", "poisoned" };
	struct drive *d = arg;
	struct meta_inode in;
	int r = meta_inode_get(d->w.meta, v->ino, &in);

	fprintf(stderr,
		"    version %" PRIu64 " of inode %" PRIu64 " (%s/%" PRIu64
		"%s): %s, %" PRIu64 " bytes, blob %" PRIx64 " has %lld, "
		"replaces %" PRIu64 "%s%s%s%s%s\n",
		v->vid, v->ino, r < 0 ? "gone" : in.name, r < 0 ? 0 : in.parent,
		r == 0 && in.vid == v->vid ? ", shown" : "", states[v->state],
		v->size, v->blob, drive_size_of_blob(d, v->blob), v->replaces,
		v->held ? ", held" : "", v->provisional ? ", provisional" : "",
		v->append_only ? ", appended" : "",
		v->complete ? ", complete" : "", v->sparse ? ", sparse" : "");
	return 0;
}

static int on_op(void *arg, const struct meta_op *op)
{
	static const char *const kinds[] = {
		"?",	"put",	 "delete", "rename", "rename folder",
		"link", "marker"
	};

	(void)arg;
	fprintf(stderr,
		"    operation %" PRIu64 " (%" PRIu64
		"): %s %s %s of inode %" PRIu64 ", version %" PRIu64
		"%s%s%s%s\n",
		op->seq, op->bound, kinds[op->kind], op->key, op->to, op->ino,
		op->vid, op->final ? "" : ", not final", op->cut ? ", cut" : "",
		op->begun ? ", begun" : "", op->parked ? ", parked" : "");
	return 0;
}

static int on_object(void *arg, const struct meta_object *o)
{
	(void)arg;
	fprintf(stderr,
		"    object %s: inode %" PRIu64 ", version %" PRIu64
		", %" PRIu64 " bytes, put by %" PRIu64 "\n",
		o->key, o->ino, o->vid, o->size, o->bound);
	return 0;
}

static int on_owed(void *arg, const char *key, uint64_t ino)
{
	(void)arg;
	fprintf(stderr, "    owed: delete of %s, by inode %" PRIu64 "\n", key,
		ino);
	return 0;
}

void drive_tell(struct drive *d)
{
	if (!d->w.meta || world_is_halted(&d->w) || meta_begin(d->w.meta) < 0)
		return;
	(void)!meta_version_each(d->w.meta, on_version, d);
	(void)!meta_op_each(d->w.meta, 0, on_op, d);
	(void)!meta_object_each(d->w.meta, "", on_object, d);
	(void)!meta_owed_each(d->w.meta, on_owed, d);
	meta_end(d->w.meta);
}
