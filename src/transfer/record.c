/* SPDX-License-Identifier: Apache-2.0 */
/* Results become rows, one transaction each. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "transfer"

/* ret: the row, if it changes. */
static int inode_key(struct transfer *t, const struct titem *it,
		     const struct meta_object *obj, bool drop_object,
		     struct meta_inode *ret)
{
	struct meta_inode in;
	int r = meta_inode_get(t->meta, it->ino, &in);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (it->kind == META_OP_MARKER || in.kind == META_DIR) {
		in.marker = obj && obj->ino;
	} else if (drop_object) {
		return 0; /* its inode is gone, or has another key */
	} else if (obj) {
		memset(in.key, 0, sizeof(in.key));
		memcpy(in.key, obj->key, strlen(obj->key));
	}
	*ret = in;
	return meta_inode_set(t->meta, &in);
}

static int version_published(struct transfer *t, const struct titem *it,
			     const struct meta_object *obj)
{
	struct meta_version v;
	int r = meta_version_get(t->meta, it->vid, &v);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (!transfer_beside(t, it->key) && v.state != META_POISONED) {
		v.state = META_PUBLISHED;
		v.provisional = v.held = false;
		v.complete = true;
		v.crc64 = obj->crc64;
		r = meta_version_set(t->meta, &v);
	}
	/* Sent as a whole after all, or by an earlier life: what was begun
	 * beside is to be aborted. */
	if (r < 0 || !(it->upload_id || it->has_session) || it->was_found)
		return r;
	r = meta_part_del_all(t->meta, it->vid);
	if (r == 0)
		r = meta_upload_del(t->meta, it->vid);
	return r == -ENOENT ? 0 : r;
}

int64_t commit_ends(struct transfer *t)
{
	int64_t now = clk_real(t->host->clk);

	lock_acquire(&t->lock);
	/* Later than the one before, unless the clock was set. */
	if (now <= t->last_end_real_ns && t->last_end_real_ns - now < NS_PER_S)
		now = t->last_end_real_ns + 1;
	t->last_end_real_ns = now;
	lock_release(&t->lock);
	return now;
}

bool put_is_lost(struct transfer *t, uint64_t vid)
{
	struct meta_version v;
	int r = meta_begin(t->meta);

	if (r < 0)
		return false;
	r = meta_version_get(t->meta, vid, &v);
	meta_end(t->meta);
	return r == 0 ? v.state == META_POISONED : r == -ENOENT;
}

/* The losing side of a conflict is in the bucket, or somebody decided about it. */
static void beside_done(struct transfer *t, const struct titem *it,
			const struct meta_object *obj)
{
	if (obj)
		log_info("%s: ours is in the bucket, beside what another "
			 "writer put there", it->key);
	if (!beside_is_kept(t, it->vid) && t->ev.version_done)
		t->ev.version_done(t->ev.arg, it->ino, it->vid, false);
}

/* The operation is done.  obj: what the bucket has under its key now (NULL:
 * no news); drop_object: nothing. */
int record_done(struct transfer *t, struct titem *it,
		const struct meta_object *obj, bool drop_object)
{
	struct meta_inode moved = { .ino = 0 };
	struct meta_object row;
	int r = line_tx(t);

	if (r < 0)
		return r;
	if (obj) {
		row = *obj;
		row.commit_end_ns = commit_ends(t);
		r = meta_object_set(t->meta, &row);
	} else if (drop_object) {
		have_goes(t, it->key);
		r = meta_object_del(t->meta, it->key);
	}
	if (r == -ENOENT)
		r = 0;
	if (r == 0 && obj && it->kind == META_OP_PUT)
		r = version_published(t, it, obj);
	if (r == 0 && (obj || drop_object) && !transfer_beside(t, it->key))
		r = inode_key(t, it, obj, drop_object, &moved);
	if (r == 0)
		r = line_row_done(t, it->seq);
	if (obj)
		have_tell(t, obj->key, true, obj->vid, obj->bound);
	else if (drop_object)
		have_tell(t, it->key, false, 0, 0);
	r = line_tx_end_moved(t, r == -ENOENT ? 0 : r, &moved);
	if (r < 0) {
		have_tell(t, it->key, true, 0, 0);
		return r;
	}
	lock_acquire(&t->lock);
	if (it->kind == META_OP_PUT || it->kind == META_OP_SYMLINK)
		t->stats.puts++;
	else if (it->kind == META_OP_DEL)
		t->stats.deletes++;
	t->stats.last_error[0] = '\0';
	lock_release(&t->lock);
	if (it->kind == META_OP_PUT && transfer_beside(t, it->key))
		beside_done(t, it, obj);
	else if (it->kind == META_OP_PUT && t->ev.version_done)
		t->ev.version_done(t->ev.arg, it->ino, it->vid, true);
	else if (t->ev.inode_moved)
		t->ev.inode_moved(t->ev.arg, it->ino);
	return 0;
}

/* In a transaction that has refreshed the line: it was chosen, and left the line
 * before it was begun.  The row of its number may be there all the same, as that
 * of its version under another name. */
static bool has_left(struct transfer *t, const struct titem *it)
{
	bool yes;

	lock_acquire(&t->lock);
	yes = it->gone;
	lock_release(&t->lock);
	return yes;
}

/* The store refuses this one for good: it stays, and says why. */
int record_park(struct transfer *t, struct titem *it, const char *why)
{
	struct line_change c = { 0 };
	struct meta_op op;
	int r = line_tx(t);

	if (r < 0)
		return r;
	if (has_left(t, it)) {
		meta_end(t->meta);
		return 0;
	}
	lock_acquire(&t->lock);
	r = line_park_near(&t->line, it->seq, &c);
	lock_release(&t->lock);
	if (r == 0)
		r = line_write(t, &c);
	line_change_release(&c);
	if (r == 0)
		r = meta_op_get(t->meta, it->seq, &op);
	if (r == 0) {
		(void)snprintf(op.why, sizeof(op.why), "%s", why);
		r = meta_op_set(t->meta, &op);
	}
	lock_acquire(&t->lock);
	it->parked = true;
	item_count(t, it);
	lock_release(&t->lock);
	transfer_kick(t, it->seq);
	return line_tx_end(t, r == -ENOENT ? 0 : r);
}

int transfer_retry(struct transfer *t, uint64_t seq)
{
	struct titem *it;
	struct meta_op op;
	int r = line_tx(t);

	if (r < 0)
		return r;
	r = meta_op_get(t->meta, seq, &op);
	if (r == 0 && !op.parked)
		r = -ENOENT;
	if (r == 0) {
		op.parked = false;
		memset(op.why, 0, sizeof(op.why));
		r = meta_op_set(t->meta, &op);
	}
	if (r == 0) {
		lock_acquire(&t->lock);
		it = item_find(t, seq);
		if (it) {
			it->attempts = 0;
			it->relisted = false;
			it->retry_at = 0;
			free(it->error);
			it->error = NULL;
		}
		lock_release(&t->lock);
		transfer_kick(t, seq);
	}
	return line_tx_end(t, r);
}

int transfer_give_up(struct transfer *t, uint64_t seq)
{
	struct meta_op op;
	int r = line_tx(t);

	if (r < 0)
		return r;
	r = meta_op_get(t->meta, seq, &op);
	if (r == 0 && !op.parked)
		r = -ENOENT;
	if (r == 0 && op.kind != META_OP_DEL && op.kind != META_OP_MARKER)
		r = -EOPNOTSUPP;
	if (r == 0)
		r = line_row_done(t, seq);
	r = line_tx_end(t, r);
	if (r == 0 && t->ev.inode_moved)
		t->ev.inode_moved(t->ev.arg, op.ino);
	return r;
}

/* What somebody deleted meanwhile, nobody wants beside it either. */
static int beside(struct transfer *t, const struct titem *it,
		  const struct meta_version *v)
{
	struct meta_inode in;
	int r = meta_inode_get(t->meta, it->ino, &in);

	if (r == 0 && in.parent)
		r = transfer_beside_add(t, v, it->key);
	if (r == -ENAMETOOLONG || r == -ENODATA)
		log_warn("%s: ours stays on this machine alone: %s", it->key,
			 strerror(-r));
	return r == -ENOENT || r == -ENAMETOOLONG || r == -ENODATA ? 0 : r;
}

/* Another writer's object stands under the name: the version is kept, leaves
 * the line, and is published beside it. */
int record_conflict(struct transfer *t, struct titem *it)
{
	struct meta_version v;
	int r = line_tx(t);

	if (r < 0)
		return r;
	if (meta_version_get(t->meta, it->vid, &v) == 0) {
		v.state = META_CONFLICT;
		r = meta_version_set(t->meta, &v);
		if (r == 0)
			r = beside(t, it, &v);
	}
	if (r == 0)
		r = line_row_done(t, it->seq);
	r = line_tx_end(t, r == -ENOENT ? 0 : r);
	log_warn("%s: another writer changed the object: theirs stays, ours is "
		 "kept and goes to .ckptfs/conflict/; see 'ckptfs status'",
		 it->key);
	if (r == 0 && t->ev.version_done)
		t->ev.version_done(t->ev.arg, it->ino, it->vid, false);
	return r;
}

/* A disk that has failed says nothing for sure any more: then the bucket is
 * the safer place, and what is queued goes there all the same. */
void record_durable(struct transfer *t, uint64_t commits)
{
	bool first;

	if (!t->ev.make_durable || commits <= meta_commits_durable(t->meta) ||
	    t->ev.make_durable(t->ev.arg, commits) == 0)
		return;
	lock_acquire(&t->lock);
	first = !t->undurable;
	t->undurable = true;
	lock_release(&t->lock);
	if (first)
		log_warn("the cache disk records nothing any more: what is "
			 "queued is still published");
}

/* From its first commit on a window is not changed: on record, and safe from a
 * power cut, before the request is sent. */
int record_begun(struct transfer *t, struct titem *it)
{
	struct line_change c = { 0 };
	uint64_t commits;
	bool first;
	int r = line_tx(t);

	if (r < 0)
		return r;
	if (has_left(t, it)) {
		meta_end(t->meta);
		return -ECANCELED;
	}
	lock_acquire(&t->lock);
	r = line_begin_near(&t->line, it->seq, &c);
	it->again = r == 0 && c.n == 0;
	lock_release(&t->lock);
	first = r == 0 && c.n > 0;
	if (r == 0)
		r = line_write(t, &c);
	line_change_release(&c);
	r = line_tx_end(t, r);
	if (r < 0)
		return r == -ENOENT ? -ECANCELED : r;
	lock_acquire(&t->lock);
	if (first)
		t->begun = meta_commits(t->meta);
	commits = t->begun;
	lock_release(&t->lock);
	record_durable(t, commits);
	return 0;
}
