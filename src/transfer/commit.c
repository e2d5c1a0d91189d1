/* SPDX-License-Identifier: Apache-2.0 */
/* Visible commits: the moment the bucket changes. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

#define LOG_MODULE "transfer"

/* What we know the bucket to have under a key. */
static int known(struct transfer *t, const char *key, struct meta_object *ret)
{
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = meta_object_get(t->meta, key, ret);
	meta_end(t->meta);
	return r;
}

static void cond_of(struct transfer *t, int have, const struct meta_object *obj,
		    struct store_cond *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (t->opts.overwrite || !(t->store->caps & STORE_CAP_PUT_COND))
		return;
	if (have == 0)
		ret->if_match = obj->etag;
	else
		ret->if_absent = true;
}

bool is_ours(const struct transfer *t, const struct titem *it,
	     const struct store_obj *o)
{
	char mine[STORE_WRITE_ID_MAX];

	write_id_of(t, &it->v, mine);
	return o->has_meta && strcmp(o->meta.write_id, mine) == 0;
}

/* Checksums of what was sent, if all of it was sent in this life. */
struct sent {
	bool known;
	bool has_crc32c; /* sent in parts that go with it */
	uint64_t crc64;
	uint32_t crc32c;
};

/* Of this write-id, and the bytes it was sent with. */
static bool is_as_sent(const struct titem *it, const struct store_obj *o,
		       const struct sent *sent)
{
	if (it->kind != META_OP_PUT)
		return true;
	if (o->size != it->v.size)
		return false;
	if (sent->known && o->has_crc64)
		return o->crc64 == sent->crc64;
	return !sent->known || !sent->has_crc32c || !o->has_crc32c ||
	       o->crc32c == sent->crc32c;
}

/* Nothing was written, and the store's words say why. */
static bool is_refusal(int err)
{
	return err == -EINVAL || err == -EACCES || err == -EOPNOTSUPP ||
	       err == -ENOSPC;
}

/* NULL: a link or a marker, which has none. */
static const struct meta_version *version_of(const struct titem *it)
{
	return it->kind == META_OP_PUT ? &it->v : NULL;
}

/* The bucket holds something else than we thought: our own write whose answer
 * was lost, our own older or later one, or another writer's. */
static int resolve(struct transfer *t, struct titem *it, int err,
		   const struct sent *sent, struct store_obj *obj)
{
	struct store_obj now;
	char words[160];
	int r;

	if (is_refusal(err))
		return err;
	(void)snprintf(words, sizeof(words), "%s", store_last_error());
	r = store_head(t->store, it->key, &now);
	if (r == 0 && is_ours(t, it, &now)) {
		*obj = now;
		it->was_found = is_as_sent(it, &now, sent);
		if (it->was_found)
			return 0;
		/* What it was sealed as later, and sent though the disk
		 * recorded nothing any more; then the power went. */
		return it->v.epoch < t->opts.epoch ? -EBUSY : -EBADMSG;
	}
	if (r < 0 && r != -ENOENT)
		return r;
	if (err != -EEXIST && err != -ESTALE) {
		store_set_error("%s", words); /* not those of the look */
		return err;
	}
	if (r == 0 && own_age(t, it->seq, version_of(it), &now) !=
			      OWN_OLDER) {
		*obj = now;
		return -EBUSY; /* a conflict, or what is to be adopted */
	}
	return own_replace(t, it->key, r == 0 ? &now : NULL);
}

static int put_whole(struct transfer *t, struct titem *it,
		     const struct store_cond *cond, struct sent *sent,
		     struct store_obj *obj)
{
	struct store_meta meta;
	struct blob_src s = { .t = t, .it = it };
	struct store_src src = { .read = blob_read,
				 .arg = &s,
				 .len = it->v.size,
				 .has_crc64 = true };
	struct session session;
	struct body_crcs crc;
	int r = src_begin(&s, &it->v);

	if (r < 0)
		return r;
	r = body_crc(t, NULL, s.fd, 0, src.len, &crc);
	src.crc64 = crc.crc64;
	if (r == 0)
		r = sum_check(&s, src.crc64);
	*sent = (struct sent){ .known = r == 0, .crc64 = src.crc64 };
	put_meta(t, &it->v, &meta);
	if (r == 0 && t->store->caps & STORE_CAP_PUT_RESUME) {
		r = session_load(t, it, &session);
		src.session = &session.s;
	}
	if (r == 0)
		r = store_put(t->store, it->key, &src, &meta, cond, obj);
	src_end(&s);
	return r;
}

static int put_parts(struct transfer *t, struct titem *it,
		     const struct store_cond *cond, struct sent *sent,
		     struct store_obj *obj)
{
	struct store_part *parts = calloc(it->nparts, sizeof(*parts));
	struct store_meta meta;
	bool is_sent_here = true; /* else it is in the bucket already */
	bool both = (t->store->caps & STORE_CAP_PARTS_CRC32C) &&
		    !it->lay.copied;
	bool whole = true; /* crc32 is that of all */
	uint64_t crc = 0;
	uint32_t crc32 = 0;
	unsigned i;
	int r;

	if (!parts)
		return -ENOMEM;
	for (i = 0; i < it->nparts; i++) {
		uint64_t off;

		parts[i].number = i + 1;
		part_at(it, i, &off, &parts[i].size);
		parts[i].copied = part_is_copied(it, i);
		memcpy(parts[i].etag, it->parts[i].etag,
		       sizeof(parts[i].etag));
		parts[i].has_crc64 = true;
		is_sent_here &= it->parts[i].etag[0] != '\0';
		parts[i].crc64 = it->parts[i].crc64;
		parts[i].has_crc32c = both && it->parts[i].has_crc32c;
		whole &= parts[i].has_crc32c;
		parts[i].crc32c = it->parts[i].crc32c;
		crc = crc64nvme_combine(crc, parts[i].crc64, parts[i].size);
		crc32 = crc32c_combine(crc32, parts[i].crc32c, parts[i].size);
	}
	if (is_sent_here && it->v.summed && it->v.crc64 != crc) {
		free(parts);
		return -EUCLEAN;
	}
	*sent = (struct sent){ is_sent_here, whole, crc, crc32 };
	put_meta(t, &it->v, &meta);
	r = store_mpu_commit(t->store, it->key, it->upload_id, parts,
			     it->nparts, &meta, cond, obj);
	free(parts);
	if (r == 0 && obj->has_crc64 && obj->crc64 != crc)
		return -EBADMSG;
	return r;
}

static int reload_version(struct transfer *t, struct titem *it)
{
	struct meta_version v;
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = meta_version_get(t->meta, it->vid, &v);
	if (r == 0) {
		lock_acquire(&t->lock);
		it->v = v;
		item_count(t, it);
		lock_release(&t->lock);
	}
	meta_end(t->meta);
	return r == -ENOENT ? -EAGAIN : r; /* it left the line meanwhile */
}

/* Tried before, and it cannot be again, for its bytes are others by now: 1 if it
 * was committed then. */
static int was_committed(struct transfer *t, struct titem *it,
			 struct store_obj *ret)
{
	struct blob_src s = { .t = t, .it = it };
	struct store_obj now;
	bool moved;
	int r;

	if (!it->again || src_begin(&s, &it->v) < 0)
		return 0;
	moved = src_moved(&s);
	src_end(&s);
	if (!moved)
		return 0;
	r = store_head(t->store, it->key, &now);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (!is_ours(t, it, &now))
		return 0;
	it->was_found = true;
	*ret = now;
	return 1;
}

static int small_done(struct transfer *t, struct titem *it,
		      const struct store_obj *obj, uint64_t ino)
{
	struct meta_object row = { .ino = ino,
				   .vid = ino ? it->vid : 0,
				   .bound = it->seq };

	memcpy(row.key, it->key, strlen(it->key));
	memcpy(row.etag, obj->etag, sizeof(obj->etag));
	row.size = obj->size;
	row.mtime_ns = obj->mtime_ns;
	return record_done(t, it, &row, false);
}

/* Somebody decided about this side of a conflict, or the disk lost bytes of it.
 * Its upload is aborted; if it was put all the same, the delete behind it has to
 * know. */
static int give_up(struct transfer *t, struct titem *it)
{
	struct store_obj obj;
	int r = it->again ? store_head(t->store, it->key, &obj) : -ENOENT;

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && is_ours(t, it, &obj))
		return small_done(t, it, &obj,
				  transfer_beside(t, it->key) ? 0 : it->ino);
	lock_acquire(&t->lock);
	free(it->upload_id);
	it->upload_id = NULL;
	lock_release(&t->lock);
	return record_done(t, it, NULL, false);
}

static int put_it(struct transfer *t, struct titem *it, struct store_obj *obj)
{
	struct meta_object old;
	struct store_cond cond;
	struct sent sent = { 0 };
	int r, have;

	if (t->ev.still_sealed) {
		r = t->ev.still_sealed(t->ev.arg, it->ino, it->vid);
		if (r < 0)
			return r;
	}
	have = known(t, it->key, &old);
	if (have < 0 && have != -ENOENT)
		return have;
	if (have == 0 && t->ev.before_replace) {
		r = t->ev.before_replace(t->ev.arg, it->key);
		if (r < 0)
			return r;
	}
	r = reload_version(t, it);
	if (r < 0)
		return r;
	cond_of(t, have, &old, &cond);
	r = it->upload_id ? put_parts(t, it, &cond, &sent, obj) :
			    put_whole(t, it, &cond, &sent, obj);
	if (r < 0 && r != -ENOMEM && r != -EIO && r != -ECANCELED &&
	    r != -ENODATA && r != -EUCLEAN)
		r = resolve(t, it, r, &sent, obj);
	return r;
}

static int commit_put(struct transfer *t, struct titem *it)
{
	bool beside = transfer_beside(t, it->key) != NULL;
	struct meta_object row = { .ino = beside ? 0 : it->ino };
	struct store_obj obj = { 0 };
	int r;

	if (beside ? !beside_is_kept(t, it->vid) : put_is_lost(t, it->vid))
		return give_up(t, it);
	r = was_committed(t, it, &obj);
	if (r == 0)
		r = put_it(t, it, &obj);
	if (r == -EBUSY && !beside &&
	    own_age(t, it->seq, version_of(it), &obj) == OWN_LATER)
		return own_adopt(t, it, &obj);
	if (r < 0)
		return r;
	if (obj.size != it->v.size)
		return log_err(-EBADMSG, "%s: the store has %llu bytes, we "
			       "sent %llu",
			       it->key, (unsigned long long)obj.size,
			       (unsigned long long)it->v.size);
	memcpy(row.key, it->key, strlen(it->key));
	memcpy(row.etag, obj.etag, sizeof(obj.etag));
	row.vid = it->vid;
	row.bound = it->bound ? it->bound : it->seq;
	row.size = obj.size;
	row.mtime_ns = obj.mtime_ns;
	row.has_crc64 = obj.has_crc64;
	row.crc64 = obj.crc64;
	row.has_crc32c = obj.has_crc32c;
	row.crc32c = obj.crc32c;
	return record_done(t, it, &row, false);
}

struct mem_src {
	const char *p;
};

static ssize_t mem_read(void *arg, uint64_t off, void *p, size_t n)
{
	const struct mem_src *s = arg;

	memcpy(p, s->p + off, n);
	return (ssize_t)n;
}

/* What is there is not what the row names.  It may be a put of ours whose record
 * was lost, and whose seal was taken back: it goes, too.  Another writer's
 * stays, and so does what we put there after the delete. */
static int del_other(struct transfer *t, const struct titem *it)
{
	struct store_cond cond = { 0 };
	struct store_obj now;
	enum own_age age;
	int r = store_head(t->store, it->key, &now);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	age = own_age(t, it->seq, NULL, &now);
	if (age != OWN_OLDER) {
		log_warn("%s: %s: it is not deleted", it->key,
			 age == OWN_LATER ? "what was put there later stands" :
					    "another writer replaced the "
					    "object");
		return 0;
	}
	cond.if_match = now.etag;
	r = store_del(t->store, it->key, &cond);
	return r == -ESTALE ? -EAGAIN : r;
}

static int commit_del(struct transfer *t, struct titem *it)
{
	struct store_cond cond = { 0 };
	struct meta_object old;
	int r, have = known(t, it->key, &old);

	if (have < 0)
		return have == -ENOENT ? record_done(t, it, NULL, false) : have;
	if (t->ev.before_replace) {
		r = t->ev.before_replace(t->ev.arg, it->key);
		if (r < 0)
			return r;
	}
	if (t->store->caps & STORE_CAP_DEL_COND && !t->opts.overwrite)
		cond.if_match = old.etag;
	r = store_del(t->store, it->key, cond.if_match ? &cond : NULL);
	if (r == -ESTALE)
		r = del_other(t, it);
	return r < 0 ? r : record_done(t, it, NULL, true);
}

/*
 * Nobody wants it any more.  One that was put all the same, and its answer lost,
 * is put on record: what deletes it goes by that.  A link whose target nobody
 * knows, for its operation was queued by an older version, takes with it what it
 * was to replace: the delete before it may have been folded into it.
 */
static int not_wanted(struct transfer *t, struct titem *it)
{
	struct store_obj obj;
	int r = it->again ? store_head(t->store, it->key, &obj) : -ENOENT;

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && is_ours(t, it, &obj))
		return small_done(t, it, &obj, it->ino);
	return it->kind == META_OP_SYMLINK ? commit_del(t, it) :
					     record_done(t, it, NULL, false);
}

/* Its row; of a link that is gone since, but has its place, what is known. */
static int small_row(struct transfer *t, const struct titem *it,
		     struct meta_inode *ret)
{
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = meta_inode_get(t->meta, it->ino, ret);
	meta_end(t->meta);
	if (r == -ENOENT && it->kind == META_OP_SYMLINK && it->to[0]) {
		*ret = (struct meta_inode){ .mode = 0777 };
		memcpy(ret->target, it->to, strlen(it->to));
		r = 0;
	}
	return r;
}

/* A small object that is all in its row: a symbolic link, a folder's marker. */
static int commit_small(struct transfer *t, struct titem *it)
{
	struct meta_inode in;
	struct meta_object old;
	struct mem_src s = { .p = "" };
	struct store_src src = { .read = mem_read, .arg = &s };
	struct store_meta meta = { .has_mode = true };
	struct store_cond cond;
	struct store_obj obj = { 0 };
	bool marker = it->kind == META_OP_MARKER;
	uint64_t ino = it->ino;
	int r = small_row(t, it, &in), have;

	it->v = (struct meta_version){ .epoch = 0, .vid = it->seq };
	if (r == -ENOENT || (marker && t->ev.marker_wanted &&
			     !t->ev.marker_wanted(t->ev.arg, it->ino)))
		return not_wanted(t, it);
	if (r < 0)
		return r;
	s.p = marker ? "" : in.target;
	src.len = strlen(s.p);
	meta.has_mtime = in.ino != 0;
	meta.mtime_ns = in.mtime_ns;
	meta.mode = (marker ? S_IFDIR : S_IFLNK) | in.mode;
	write_id_of(t, &it->v, meta.write_id);
	have = known(t, it->key, &old);
	if (have < 0 && have != -ENOENT)
		return have;
	cond_of(t, have, &old, &cond);
	r = store_put(t->store, it->key, &src, &meta, &cond, &obj);
	if (r < 0 && r != -ENOMEM && r != -ECANCELED)
		r = resolve(t, it, r, &(struct sent){ 0 }, &obj);
	if (r == -EBUSY && marker) { /* somebody else's marker serves as well */
		r = store_head(t->store, it->key, &obj);
		if (r < 0)
			return r;
		ino = 0; /* not ours to delete once it is not needed */
	}
	if (r == -EBUSY && own_age(t, it->seq, NULL, &obj) == OWN_LATER)
		return own_adopt(t, it, &obj);
	return r < 0 ? r : small_done(t, it, &obj, ino);
}

int commit_item(struct transfer *t, struct titem *it)
{
	switch (it->kind) {
	case META_OP_PUT:
		return commit_put(t, it);
	case META_OP_SYMLINK:
	case META_OP_MARKER:
		return commit_small(t, it);
	case META_OP_DEL:
		return commit_del(t, it);
	case META_OP_RENAME:
		return commit_rename(t, it);
	case META_OP_RENAME_DIR:
		return commit_rename_dir(t, it);
	}
	return -EINVAL;
}
