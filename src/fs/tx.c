/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions, operations in the line, and how long blobs live. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "fs"

struct tx_ref {
	uint64_t blob, bytes;
	int delta;
};

int tx_begin(struct fs *fs)
{
	int r = meta_begin(fs->meta);

	if (r == 0)
		fs->ntx_refs = 0;
	return r;
}

static struct blob_ref *ref_find(struct fs *fs, uint64_t blob)
{
	struct blob_ref *b;

	HASH_FIND(hh, fs->blobs, &blob, sizeof(blob), b);
	return b;
}

/* How many rows will speak of a blob once this transaction is committed. */
static long refs_then(struct fs *fs, uint64_t blob)
{
	struct blob_ref *b = ref_find(fs, blob);
	long n = b ? (long)b->refs : 0;
	size_t i;

	for (i = 0; i < fs->ntx_refs; i++)
		if (fs->tx_refs[i].blob == blob)
			n += fs->tx_refs[i].delta;
	return n;
}

static int ref_note(struct fs *fs, uint64_t blob, int delta, uint64_t bytes)
{
	struct blob_ref *b;

	if (!blob)
		return 0;
	if (fs->ntx_refs == fs->cap_tx_refs) {
		size_t cap = fs->cap_tx_refs ? fs->cap_tx_refs * 2 : 16;
		struct tx_ref *p = realloc(fs->tx_refs, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		fs->tx_refs = p;
		fs->cap_tx_refs = cap;
	}
	/* Memory now, so that the commit cannot fail for want of it. */
	if (!ref_find(fs, blob)) {
		b = calloc(1, sizeof(*b));
		if (!b)
			return -ENOMEM;
		b->blob = blob;
		HASH_ADD(hh, fs->blobs, blob, sizeof(b->blob), b);
	}
	fs->tx_refs[fs->ntx_refs++] = (struct tx_ref){ .blob = blob,
						       .bytes = bytes,
						       .delta = delta };
	return 0;
}

static void keep_bytes(struct fs *fs, struct blob_ref *b, uint64_t bytes)
{
	lock_acquire(&fs->count_lock);
	fs->room.kept += bytes - b->bytes;
	fs->room.blobs += (bytes > 0) - (b->bytes > 0);
	lock_release(&fs->count_lock);
	b->bytes = bytes;
}

static void refs_apply(struct fs *fs, bool committed)
{
	size_t i;

	for (i = 0; i < fs->ntx_refs; i++) {
		struct blob_ref *b = ref_find(fs, fs->tx_refs[i].blob);

		if (!b)
			continue;
		if (committed)
			b->refs = (unsigned)((int)b->refs +
					     fs->tx_refs[i].delta);
		if (committed && fs->tx_refs[i].bytes > b->bytes)
			keep_bytes(fs, b, fs->tx_refs[i].bytes);
		if (b->refs > 0)
			continue;
		keep_bytes(fs, b, 0);
		if (committed && fs->tx_refs[i].delta < 0)
			barrier_dead(fs->barrier, b->blob);
		HASH_DEL(fs->blobs, b);
		free(b);
	}
	fs->ntx_refs = 0;
}

int tx_commit(struct fs *fs, int r)
{
	if (r == 0)
		r = meta_commit(fs->meta);
	refs_apply(fs, r == 0);
	return r;
}

int tx_close(struct fs *fs, int r, uint64_t kick_seq, bool kick)
{
	meta_end(fs->meta);
	if (r == 0) {
		barrier_note_change(fs->barrier);
		if (kick && fs->transfer)
			transfer_kick(fs->transfer, kick_seq);
	}
	return r;
}

int tx_end(struct fs *fs, int r, uint64_t kick_seq, bool kick)
{
	return tx_close(fs, tx_commit(fs, r), kick_seq, kick);
}

int op_add(struct fs *fs, enum meta_op_kind kind, uint64_t ino, uint64_t vid,
	   const char *key, const char *to, bool final, uint64_t *ret_seq)
{
	struct meta_op op = { .kind = kind, .ino = ino, .vid = vid,
			      .final = final, .cut = true };
	int r;

	if (strlen(key) > META_KEY_MAX || (to && strlen(to) > META_KEY_MAX))
		return -ENAMETOOLONG;
	memcpy(op.key, key, strlen(key) + 1);
	if (to)
		memcpy(op.to, to, strlen(to) + 1);
	r = kind == META_OP_DEL ? 0 :
				  transfer_make_room(fs->transfer,
						     to ? to : key, false, 0);
	if (r == 0)
		r = meta_op_add(fs->meta, &op);
	if (r == 0 && ret_seq)
		*ret_seq = op.seq;
	return r;
}

int op_put(struct fs *fs, struct inode *in, const struct meta_version *v,
	   const char *key, uint64_t open_seq, uint64_t *ret_seq)
{
	struct meta_op op = { .kind = META_OP_PUT,
			      .ino = in->ino,
			      .vid = v->vid,
			      .open_seq = open_seq,
			      .final = !v->provisional,
			      .cut = true };
	int r;

	memcpy(op.key, key, strlen(key) + 1);
	op.unordered = key_is_live(fs, key);
	r = transfer_make_room(fs->transfer, key, false, 0);
	if (r == 0)
		r = meta_op_add(fs->meta, &op);
	if (r == 0)
		*ret_seq = op.seq;
	return r;
}

int version_add(struct fs *fs, struct meta_version *v)
{
	int r = ref_note(fs, v->blob, 1, v->size);

	v->epoch = fs->opts.epoch;
	return r < 0 ? r : meta_version_add(fs->meta, v);
}

int version_drop(struct fs *fs, const struct meta_version *v)
{
	int r = conflict_drop(fs, v);

	if (r)
		return r < 0 ? r : 0;
	r = meta_version_del(fs->meta, v->vid);
	if (r < 0 && r != -ENOENT)
		return r;
	if (!v->blob)
		return 0;
	r = ref_note(fs, v->blob, -1, 0);
	if (r == 0 && refs_then(fs, v->blob) == 0)
		r = meta_dead_add(fs->meta, v->blob);
	return r;
}

bool version_is_kept(enum meta_state state)
{
	switch (state) {
	case META_UNFINISHED:
	case META_TORN:
	case META_CONFLICT:
	case META_PARKED:
	case META_POISONED:
		return true;
	case META_SEALED:
	case META_PUBLISHED:
		break;
	}
	return false;
}

int version_keep(struct fs *fs, struct meta_version *v)
{
	struct inode *in = inode_find(fs, v->ino);

	if (in)
		in->kept = true;
	v->replaces = 0;
	return meta_version_set(fs->meta, v);
}

int version_drop_replaced(struct fs *fs, struct meta_version *v)
{
	struct meta_version old;
	uint64_t seq;
	int r = 0;

	if (!v->replaces)
		return 0;
	while (r == 0 && v->replaces) {
		r = meta_version_get(fs->meta, v->replaces, &old);
		seq = 0;
		if (r == 0 && old.state == META_SEALED)
			r = transfer_place(fs->transfer, old.vid, &seq);
		if (r < 0 || seq)
			break;
		v->replaces = old.replaces;
		/* One that went on in the same blob is the newer one now. */
		if (version_is_kept(old.state) && old.blob != v->blob)
			r = version_keep(fs, &old);
		else
			r = version_drop(fs, &old);
	}
	if (r == -ENOENT)
		v->replaces = 0;
	return r < 0 && r != -ENOENT ? r : meta_version_set(fs->meta, v);
}

int versions_drop(struct fs *fs, struct meta_version *v)
{
	int r = version_drop_replaced(fs, v);

	return r < 0 ? r : version_drop(fs, v);
}

/* What it replaced itself is then replaced by the one above it. */
int version_leave_chain(struct fs *fs, uint64_t vid,
			const struct meta_version *out)
{
	struct meta_version v;
	int r = 0;

	while (r == 0 && vid) {
		r = meta_version_get(fs->meta, vid, &v);
		if (r == 0 && v.replaces == out->vid) {
			v.replaces = out->replaces;
			return meta_version_set(fs->meta, &v);
		}
		vid = v.replaces;
	}
	return r == -ENOENT ? 0 : r;
}

int blob_gained(struct fs *fs, uint64_t blob, uint64_t bytes)
{
	return ref_note(fs, blob, 1, bytes);
}

int blob_left(struct fs *fs, uint64_t blob)
{
	return ref_note(fs, blob, -1, 0);
}

int blob_sized(struct fs *fs, const struct meta_version *v)
{
	return ref_note(fs, v->blob, 0, v->size);
}

bool needs_delete(struct fs *fs, const struct inode *in, const char *key)
{
	struct meta_object o;

	if (is_local_kind(in->kind))
		return false;
	if (in->seal_seq || in->key || (in->kind == META_DIR && in->marker))
		return true;
	/* Another one's, that waits for its successor: never this name's. */
	if (transfer_owed(fs->transfer, key))
		return false;
	return meta_object_get(fs->meta, key, &o) == 0 ||
	       transfer_queued(fs->transfer, key);
}
