/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept is thrown away, by order (kept.h).  If its name shows it, the
 * name falls back on what there is: the version it was opened over, else the
 * object the bucket has, else it goes, too.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "kept.h"

#define LOG_MODULE "fs"

struct discard {
	const struct kept *k;
	struct inode *in, *dir; /* pinned; NULL: it has no name */
	struct kept_fall fall;
	uint64_t fall_seq; /* its place in the line */
	char key[META_KEY_MAX + 1]; /* of its name */
	bool leaves; /* the bucket has something there that is to go, too */
	bool sent; /* it has, or may have, this version */
	const char *why;
};

static int no(struct discard *d, int err, const char *why)
{
	d->why = why;
	return err;
}

/* The object its inode was read from or published as, if it is still that. */
static int object_of(struct fs *fs, const struct meta_inode *row,
		     struct kept_fall *ret)
{
	struct meta_object o;
	int r = row->key[0] ? meta_object_get(fs->meta, row->key, &o) :
			      -ENOENT;

	if (r == 0 && o.ino == row->ino) {
		ret->kind = KEPT_BUCKET;
		ret->size = o.size;
		ret->mtime_ns = o.mtime_ns;
	}
	return r == -ENOENT ? 0 : r;
}

int kept_find_fall(struct fs *fs, const struct meta_inode *row,
		   const struct meta_version *v, struct kept_fall *ret)
{
	int r = -ENOENT;

	memset(ret, 0, sizeof(*ret));
	ret->kind = KEPT_STAYS;
	if (!row->parent || row->vid != v->vid)
		return 0;
	ret->kind = KEPT_GOES;
	if (v->replaces)
		r = meta_version_get(fs->meta, v->replaces, &ret->v);
	if (r == -ENOENT)
		return object_of(fs, row, ret);
	if (r < 0)
		return r;
	ret->has_v = true;
	ret->kind = KEPT_EARLIER;
	ret->size = ret->v.size;
	ret->mtime_ns = ret->v.mtime_ns;
	/* Both are one blob, and what is in it now is not the earlier one. */
	if (ret->v.blob == v->blob && ret->v.state != META_PUBLISHED)
		ret->kind = KEPT_BLOCKED;
	else if (ret->v.blob == v->blob || !ret->v.complete) {
		ret->kind = KEPT_GOES;
		return object_of(fs, row, ret);
	}
	return 0;
}

const char *kept_fall_words(enum kept_fall_kind kind)
{
	switch (kind) {
	case KEPT_STAYS:
		return "what its name shows is not touched";
	case KEPT_EARLIER:
		return "its name shows the version before it again";
	case KEPT_BUCKET:
		return "its name shows what the bucket has";
	case KEPT_GOES:
		return "its name goes, too";
	case KEPT_BLOCKED:
		break;
	}
	return "not before the version before it is in the bucket";
}

/* ---- rows */

static int set_back(struct fs *fs, struct discard *d, struct meta_version *v)
{
	struct kept_fall *f = &d->fall;
	char key[META_KEY_MAX + 1];
	struct meta_inode row;
	int r = version_drop(fs, v);

	inode_to_row(d->in, &row);
	row.vid = f->kind == KEPT_EARLIER ? f->v.vid : 0;
	row.size = f->size;
	row.mtime_ns = f->mtime_ns;
	row.meta_known = f->kind == KEPT_EARLIER;
	if (r == 0 && f->kind == KEPT_BUCKET && f->has_v)
		r = versions_drop(fs, &f->v);
	if (r == 0)
		r = meta_inode_set(fs->meta, &row);
	if (r == 0)
		r = owed_set_back(fs, d->in->ino);
	if (r == 0 && f->kind == KEPT_EARLIER && d->sent)
		r = publish_again(fs, &row, d->key);
	/* It may have become another one for that. */
	if (r == 0 && f->kind == KEPT_EARLIER)
		r = meta_inode_get(fs->meta, d->in->ino, &row);
	if (r == 0 && f->kind == KEPT_EARLIER)
		r = meta_version_get(fs->meta, row.vid, &f->v);
	if (r < 0 || f->kind != KEPT_EARLIER || f->v.state != META_SEALED)
		return r;
	if (!f->v.held)
		return transfer_place(fs->transfer, f->v.vid, &d->fall_seq);
	r = key_of_inode(fs, d->in, key);
	return r < 0 ? r :
		       held_shown(fs, d->in->ino, &f->v, key, &d->fall_seq);
}

/*
 * The bucket has, or is about to get, what was deleted before this file was made:
 * the delete went with the put that was to come in its place.  In a transaction
 * that has changed nothing of the line.
 */
static bool leaves_object(struct fs *fs, const struct kept *k, const char *key)
{
	struct meta_object o;

	if (transfer_owed(fs->transfer, key))
		return false;
	if (meta_object_get(fs->meta, key, &o) == 0)
		return o.ino != 0;
	return !k->parked && transfer_queued(fs->transfer, key);
}

/* Its put was under way when the disk lost it.  What lost a conflict lies
 * elsewhere. */
static bool was_sent(struct fs *fs, const struct meta_version *v,
		     const char *key)
{
	struct meta_object o;

	if (v->state != META_POISONED)
		return false;
	return transfer_begun(fs->transfer, v->vid) ||
	       (meta_object_get(fs->meta, key, &o) == 0 && o.vid == v->vid);
}

static int take_name(struct fs *fs, struct discard *d, struct meta_version *v)
{
	int r = dir_load(fs, d->dir);

	if (r == 0 && d->leaves)
		r = op_add(fs, META_OP_DEL, d->in->ino, 0, d->key, NULL, true,
			   NULL);
	if (r == 0)
		r = marker_due(fs, d->dir);
	if (r == 0)
		r = unlink_inode(fs, d->dir, d->in, false);
	if (r == 0 && d->in->seal_seq) /* it had a place a moment ago */
		r = versions_drop(fs, v);
	return r < 0 ? r : dir_touch(fs, d->dir);
}

static int rows(struct fs *fs, struct discard *d)
{
	struct meta_version v;
	struct meta_inode row;
	int r = meta_version_get(fs->meta, d->k->vid, &v);

	if (r == 0)
		r = meta_inode_get(fs->meta, v.ino, &row);
	if (r == -ENOENT || (r == 0 && v.state != d->k->row_state))
		return -ESTALE;
	if (r == 0)
		r = kept_find_fall(fs, &row, &v, &d->fall);
	if (r < 0)
		return r;
	if (d->fall.kind == KEPT_STAYS) {
		r = version_leave_chain(fs, row.vid, &v);
		if (r == 0)
			r = version_drop(fs, &v);
		return r < 0 ? r : kept_left(fs, v.ino, v.vid);
	}
	if (!d->in || !d->dir || d->in->vid != v.vid)
		return -ESTALE;
	if (d->fall.kind == KEPT_BLOCKED)
		return no(d, -EBUSY, "it went on from a version that is not in "
				     "the bucket yet: 'ckptfs sync' first");
	r = key_of_inode(fs, d->in, d->key);
	if (r == 0)
		d->leaves = leaves_object(fs, d->k, d->key);
	d->sent = !d->k->parked && was_sent(fs, &v, d->key);
	if (r == 0 && d->k->parked)
		r = transfer_withdraw(fs->transfer, d->k->seq);
	if (r < 0)
		return r;
	return d->fall.kind == KEPT_GOES ? take_name(fs, d, &v) :
					   set_back(fs, d, &v);
}

static void memory(struct fs *fs, struct discard *d)
{
	const struct meta_version none = { .vid = 0 };
	const struct kept_fall *f = &d->fall;
	struct inode *in = d->in;

	if (f->kind == KEPT_STAYS)
		return;
	if (f->kind == KEPT_GOES) {
		unlink_done(fs, d->dir, in);
		return;
	}
	lock_acquire(&fs->ns);
	inode_show_version(in, f->kind == KEPT_EARLIER ? &f->v : &none,
			   d->fall_seq);
	in->size = f->size;
	in->mtime_ns = f->mtime_ns;
	in->meta_known = f->kind == KEPT_EARLIER;
	lock_release(&fs->ns);
}

static int commit(struct fs *fs, struct discard *d)
{
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	r = tx_commit(fs, rows(fs, d));
	if (r == 0)
		memory(fs, d);
	r = tx_close(fs, r, d->k->parked ? d->k->seq : 0, true);
	return r == -ESTALE ? no(d, r, "it was changed meanwhile: list again") :
			      r;
}

static void tell_kernel(struct fs *fs, const struct discard *d,
			const char *name)
{
	if (d->fall.kind == KEPT_STAYS)
		return;
	if (fs->kernel.forget_inode)
		fs->kernel.forget_inode(fs->kernel.arg, d->in->ino);
	if (fs->kernel.forget_entry && d->fall.kind == KEPT_GOES)
		fs->kernel.forget_entry(fs->kernel.arg, d->dir->ino, name);
}

static int discard_version(struct fs *fs, struct discard *d)
{
	const char *base = strrchr(d->k->path, '/');
	int r = 0;

	d->in = inode_get(fs, d->k->ino); /* none, if it has no name */
	if (d->in)
		d->dir = inode_get(fs, inode_parent(fs, d->in));
	if (d->in)
		busy_begin(fs, d->in);
	if (d->in && d->in->live)
		r = no(d, -EBUSY, "the file is open or mapped: close it first");
	if (r == 0)
		r = commit(fs, d);
	if (r == 0 && d->fall.kind != KEPT_STAYS && d->dir)
		attn_add(fs, d->dir); /* what does the bucket have there? */
	if (d->in)
		busy_end(fs, d->in);
	if (r == 0) {
		log_warn("%s: version %s, %s, %llu bytes, is thrown away, by "
			 "order",
			 d->k->path, d->k->id, d->k->state,
			 (unsigned long long)d->k->size);
		tell_kernel(fs, d, base ? base + 1 : d->k->path);
	}
	inode_put(fs, d->dir);
	inode_put(fs, d->in);
	return r;
}

int kept_discard(struct fs *fs, const struct kept *k, const char **why)
{
	struct discard d = { .k = k };
	int r;

	if (k->held_open)
		r = no(&d, -EBUSY, "a process still has it mapped or open for "
				   "writing: end that first");
	else if (!k->vid)
		r = transfer_give_up(fs->transfer, k->seq);
	else if (!k->parked && !version_is_kept(k->row_state))
		r = no(&d, -EALREADY, "it is on its way: delete the file, if "
				      "it is not wanted");
	else
		r = discard_version(fs, &d);
	if (r == -EOPNOTSUPP)
		d.why = "undo it in the mount (rename it back, delete the "
			"link), or put right what the store refuses, and retry";
	*why = d.why;
	return r;
}
