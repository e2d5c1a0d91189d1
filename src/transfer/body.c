/* SPDX-License-Identifier: Apache-2.0 */
/* Sending bodies: uploads in parts, begun, resumed, sent. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

#define LOG_MODULE "transfer"

int src_begin(struct blob_src *s, const struct meta_version *v)
{
	s->v = *v;
	s->fd = body_open(s->t, v);
	return s->fd < 0 ? s->fd : 0;
}

/* The version was given a blob of its own, since this one is to change. */
static bool has_parted(const struct blob_src *s)
{
	struct meta_version v;
	int r = meta_begin(s->t->meta);

	if (r < 0)
		return true;
	r = meta_version_get(s->t->meta, s->v.vid, &v);
	meta_end(s->t->meta);
	return r < 0 || v.blob != s->v.blob;
}

/* Bytes that were read before the blob moved are those that were sealed.  What
 * is appended to moves, and keeps them. */
bool src_moved(const struct blob_src *s)
{
	struct disk_stat st;

	if (s->v.append_only)
		return has_parted(s);
	if (!s->v.seal_ctime_ns)
		return false; /* nobody can change it */
	return disk_stat(s->t->host->disk, s->fd, &st) < 0 ||
	       st.size != s->v.size || st.ctime_ns != s->v.seal_ctime_ns;
}

ssize_t blob_read(void *arg, uint64_t off, void *p, size_t n)
{
	struct blob_src *s = arg;
	ssize_t got;

	if (s->t->stopping)
		return -ECANCELED;
	limit_take(s->t, n);
	got = disk_pread(s->t->host->disk, s->fd, p, n, s->base + off);
	if (got > 0)
		count_sent(s, (size_t)got);
	if (got == (ssize_t)n && src_moved(s)) {
		log_info("%s is being changed while it is sent: sent again",
			 s->it->key);
		return -EIO;
	}
	return got == (ssize_t)n ? got : got < 0 ? got : -EIO;
}

int body_open(struct transfer *t, const struct meta_version *v)
{
	int fd = cache_blob_open(t->cache, v->blob, O_RDONLY);

	if (fd == -ENOENT)
		return -ENODATA;
	return fd < 0 ? -EIO : fd;
}

/* Cache, mount and number: never given twice, and of two the later is told. */
void write_id_of(const struct transfer *t, const struct meta_version *v,
		 char ret[STORE_WRITE_ID_MAX])
{
	(void)snprintf(ret, STORE_WRITE_ID_MAX, "%s-%08x-%016llx",
		       t->opts.cache_id, v->epoch, (unsigned long long)v->vid);
}

void put_meta(const struct transfer *t, const struct meta_version *v,
	      struct store_meta *ret)
{
	*ret = (struct store_meta){ .has_mtime = true,
				    .has_mode = true,
				    .mtime_ns = v->mtime_ns,
				    .mode = S_IFREG | v->mode };
	write_id_of(t, v, ret->write_id);
}

/* The bytes of a part that was sent before are still the same. */
static bool is_part_same(const struct blob_src *s, const struct tpart *p,
			 uint64_t crc)
{
	return !p->known || p->crc64 == crc || src_moved(s);
}

struct resume {
	struct blob_src s;
	bool damaged;
};

/* A part the store has: kept if its size and checksum are those of our bytes
 * (or of the row that says we sent it, where the store tells no checksum). */
static int known_part(void *arg, const struct store_part *p)
{
	struct resume *r = arg;
	struct titem *it = r->s.it;
	struct tpart *q;
	struct body_crcs crc;
	uint64_t off, len;
	bool same;

	if (p->number < 1 || p->number > it->nparts)
		return 0;
	part_at(it, p->number - 1, &off, &len);
	if (p->size != len)
		return 0;
	q = &it->parts[p->number - 1];
	if (body_crc(r->s.t, NULL, r->s.fd, off, len, &crc) < 0)
		return -EIO;
	if (!is_part_same(&r->s, q, crc.crc64)) {
		r->damaged = true;
		return -EIO;
	}
	if (p->has_crc64)
		same = p->crc64 == crc.crc64;
	else if (p->has_crc32c && (r->s.t->store->caps & STORE_CAP_PARTS_CRC32C))
		same = p->crc32c == crc.crc32c;
	else
		same = q->crc64 == crc.crc64 && strcmp(q->etag, p->etag) == 0;
	if (!same)
		return 0;
	q->crc64 = crc.crc64;
	q->crc32c = crc.crc32c;
	q->has_crc32c = true;
	memcpy(q->etag, p->etag, sizeof(q->etag));
	q->state = PART_DONE;
	return 0;
}

static int row_part(void *arg, const struct meta_part *row)
{
	struct titem *it = arg;

	if (row->number < 1 || row->number > it->nparts || !row->etag[0])
		return 0;
	it->parts[row->number - 1].known = true;
	it->parts[row->number - 1].crc64 = row->crc64;
	memcpy(it->parts[row->number - 1].etag, row->etag,
	       sizeof(it->parts[0].etag) - 1);
	return 0;
}

static int resume(struct transfer *t, struct titem *it)
{
	struct resume r = { .s = { .t = t, .it = it } };
	int e = src_begin(&r.s, &it->v);

	if (e < 0)
		return e;
	e = store_mpu_list_parts(t->store, it->key, it->upload_id, known_part,
				 &r);
	src_end(&r.s);
	return r.damaged ? -EUCLEAN : e;
}

static int tx(struct transfer *t, int r)
{
	if (r == 0)
		r = meta_commit(t->meta);
	meta_end(t->meta);
	if (r == 0 && t->ev.committed)
		t->ev.committed(t->ev.arg);
	return r;
}

struct sweep {
	const struct meta_upload *up;
	char *ids[16]; /* NULL: known to a row */
	size_t n;
};

static int find_ours(void *arg, const char *key, const char *id,
		     int64_t begun_ns)
{
	struct sweep *s = arg;

	/* Stores tell whole seconds, by their own clock. */
	if (strcmp(key, s->up->key) != 0 || s->n == 16 ||
	    begun_ns < s->up->begun_real_ns - 60 * NS_PER_S)
		return 0;
	s->ids[s->n] = strdup(id);
	if (!s->ids[s->n])
		return -ENOMEM;
	s->n++;
	return 0;
}

static int leave_known(void *arg, const struct meta_upload *row)
{
	struct sweep *s = arg;
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (!s->ids[i] || strcmp(s->ids[i], row->id) != 0 ||
		    strcmp(s->up->key, row->key) != 0)
			continue;
		free(s->ids[i]);
		s->ids[i] = NULL;
	}
	return 0;
}

/* The answer to a begin was lost: uploads of that key begun since the intent
 * and known to no row are ours. */
int body_sweep(struct transfer *t, const struct meta_upload *up)
{
	struct sweep s = { .up = up };
	size_t i;
	int r = store_mpu_list(t->store, up->key, find_ours, &s), e;

	if (r == 0 && s.n)
		r = meta_begin(t->meta);
	if (r == 0 && s.n) {
		r = meta_upload_each(t->meta, leave_known, &s);
		meta_end(t->meta);
	}
	for (i = 0; i < s.n; i++) {
		e = r == 0 && s.ids[i] ?
			    store_mpu_abort(t->store, up->key, s.ids[i]) :
			    0;
		if (e < 0)
			r = e;
		free(s.ids[i]);
	}
	return r == -EOPNOTSUPP ? 0 : r;
}

/* The row of a begin went with the power?  It came after the seal. */
static int sweep_forgotten(struct transfer *t, const struct titem *it)
{
	struct meta_upload up = { .vid = it->vid,
				  .begun_real_ns = it->v.sealed_real_ns };

	if (!t->opts.forgotten || it->seq > t->found_seq)
		return 0;
	memcpy(up.key, it->key, strlen(it->key));
	return body_sweep(t, &up);
}

int parts_make(struct titem *it, uint64_t part_size, uint64_t copied)
{
	free(it->parts);
	it->lay = (struct plan_lay){ it->v.size, part_size, copied };
	it->nparts = plan_parts(&it->lay);
	it->parts_done = it->parts_going = 0;
	it->parts = calloc(it->nparts, sizeof(*it->parts));
	return it->parts ? 0 : -ENOMEM;
}

static int begin_anew(struct transfer *t, struct titem *it,
		      struct meta_upload *up)
{
	struct store_meta meta;
	int r;

	memset(up, 0, sizeof(*up));
	up->vid = it->vid;
	memcpy(up->key, it->key, strlen(it->key));
	up->begun_real_ns = clk_real(t->host->clk);
	up->part_size = plan_part_size(it->v.size, t->opts.part_size,
				       &t->store->limits);
	r = reuse_plan(t, it, up->part_size);
	if (r == 0)
		r = meta_begin(t->meta);
	if (r == 0) {
		r = meta_part_del_all(t->meta, up->vid);
		if (r == 0)
			r = meta_upload_set(t->meta, up);
		if (r == 0)
			r = reuse_rows(t, it);
		r = tx(t, r);
	}
	if (r < 0)
		return r;
	put_meta(t, &it->v, &meta);
	r = store_mpu_begin(t->store, it->key, &meta, it->lay.copied > 0,
			    up->id);
	if (r < 0)
		return r;
	r = meta_begin(t->meta);
	return r < 0 ? r : tx(t, meta_upload_set(t->meta, up));
}

static int load_upload(struct transfer *t, struct titem *it,
		       struct meta_upload *up, uint64_t *ret_copied)
{
	struct meta_version v;
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = meta_version_get(t->meta, it->vid, &v);
	if (r == 0) {
		lock_acquire(&t->lock);
		it->v = v; /* mode and mtime may have been set since */
		item_count(t, it);
		lock_release(&t->lock);
		r = reuse_row_sum(t, it->vid, ret_copied);
	}
	if (r == 0)
		r = meta_upload_get(t->meta, it->vid, up);
	return tx(t, r == -ENOENT ? 1 : r);
}

/* The upload that was begun is one of this content: 1, else 0. */
static int is_usable(struct transfer *t, struct titem *it,
		     const struct meta_upload *up, uint64_t copied)
{
	const struct plan_lay lay = { it->v.size, up->part_size, copied };
	unsigned n;
	int r;

	if (!up->id[0] || !up->part_size || strcmp(up->key, it->key) != 0 ||
	    copied > it->v.size)
		return 0;
	n = plan_parts(&lay);
	if (!n || n > t->store->limits.parts_max)
		return 0;
	r = parts_make(it, up->part_size, copied);
	return r < 0 || !copied ? (r < 0 ? r : 1) : reuse_check(t, it);
}

static int keep_id(struct titem *it, const struct meta_upload *up)
{
	free(it->upload_id);
	it->upload_id = strdup(up->id);
	return it->upload_id ? 0 : -ENOMEM;
}

/*
 * The store does not know the upload: it was aborted, or committed and the
 * answer lost.  1 if so: then all is sent, and the commit that follows finds
 * the object.
 */
static int is_committed(struct transfer *t, struct titem *it)
{
	struct store_obj now;
	unsigned i;
	int r = store_head(t->store, it->key, &now);

	if (r == -ENOENT || (r == 0 && !is_ours(t, it, &now)))
		return 0;
	for (i = 0; r == 0 && i < it->nparts; i++)
		it->parts[i].state = PART_DONE;
	return r < 0 ? r : 1;
}

/* Begin an upload in parts, or take up the one that was begun. */
int body_begin(struct transfer *t, struct titem *it)
{
	struct meta_upload up;
	uint64_t copied = 0, off, len;
	unsigned i;
	int r, got = load_upload(t, it, &up, &copied), usable = 0;

	if (got < 0)
		return got;
	if (got == 0)
		usable = is_usable(t, it, &up, copied);
	if (usable < 0)
		return usable;
	if (usable) {
		r = keep_id(it, &up);
		if (r < 0)
			return r;
		r = meta_begin(t->meta);
		if (r < 0)
			return r;
		(void)tx(t, meta_part_each(t->meta, it->vid, row_part, it));
		r = resume(t, it);
		if (r == -ENOENT)
			r = is_committed(t, it);
		else if (r == 0)
			r = 1;
		if (r < 0)
			return r;
		if (r == 1)
			goto count;
	} else if (got == 0 && !up.id[0]) {
		r = body_sweep(t, &up);
		if (r < 0)
			return r;
	} else if (got == 0) {
		r = store_mpu_abort(t->store, up.key, up.id);
		/* The row is all that is known of it. */
		if (r < 0 && r != -EACCES && r != -EOPNOTSUPP)
			return r;
		if (r < 0)
			log_info("an unfinished upload of %s is left behind",
				 up.key);
	}
	r = got == 0 ? 0 : sweep_forgotten(t, it);
	if (r == 0)
		r = begin_anew(t, it, &up);
	if (r == 0)
		r = keep_id(it, &up);
	if (r < 0)
		return r;
count:
	it->sent = 0;
	for (i = 0; i < it->nparts; i++) {
		if (it->parts[i].state != PART_DONE)
			continue;
		it->parts_done++;
		part_at(it, i, &off, &len);
		it->sent += len;
	}
	return 0;
}

/* What a row says of a part is that of the seal that stands: one that was
 * withdrawn meanwhile took its rows along. */
static int record_part(struct transfer *t, const struct meta_version *sent,
		       const struct meta_part *row)
{
	struct meta_version v;
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = meta_version_get(t->meta, row->vid, &v);
	if (r == 0 && (v.state == META_SEALED || v.state == META_CONFLICT) &&
	    v.seal_ctime_ns == sent->seal_ctime_ns)
		r = meta_part_set(t->meta, row);
	return tx(t, r == -ENOENT ? 0 : r);
}

int body_part(struct transfer *t, struct titem *it, unsigned i)
{
	struct tpart *p = &it->parts[i];
	struct meta_part row = { .vid = it->vid, .number = i + 1 };
	struct store_part got;
	struct blob_src s = { .t = t, .it = it };
	struct store_src src = { .read = blob_read,
				 .arg = &s,
				 .has_crc64 = true,
				 .beside_copies = it->lay.copied > 0 };
	struct meta_version v;
	struct body_crcs crc;
	int r;

	if (part_is_copied(it, i))
		return reuse_part(t, it, i);
	part_at(it, i, &s.base, &src.len);
	r = meta_begin(t->meta);
	if (r < 0)
		return r;
	r = meta_version_get(t->meta, it->vid, &v); /* its blob of today */
	meta_end(t->meta);
	if (r == 0)
		r = src_begin(&s, &v);
	if (r < 0)
		return r == -ENOENT ? -EAGAIN : r;
	r = body_crc(t, NULL, s.fd, s.base, src.len, &crc);
	src.crc64 = crc.crc64;
	src.crc32c = crc.crc32c;
	src.has_crc32c = t->store->caps & STORE_CAP_PARTS_CRC32C;
	if (r == 0 && !is_part_same(&s, p, src.crc64))
		r = -EUCLEAN;
	if (r == 0)
		r = store_mpu_part(t->store, it->key, it->upload_id, i + 1,
				   &src, &got);
	src_end(&s);
	if (r < 0)
		return r;
	p->crc64 = src.crc64;
	p->crc32c = src.crc32c;
	p->has_crc32c = src.has_crc32c;
	memcpy(p->etag, got.etag, sizeof(p->etag));
	row.off = s.base;
	row.len = src.len;
	row.crc64 = src.crc64;
	memcpy(row.etag, got.etag, sizeof(got.etag));
	return record_part(t, &s.v, &row);
}
