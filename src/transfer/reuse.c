/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bucket has of a body already: of a log that grew, all but its end.
 * The server copies that part by part into the upload.  It is the same if the
 * object is one that we put there (its ETag goes with each copy) and its checksum
 * is that of as many bytes as they are here now: who wrote past the daemon, or
 * before it was told, is found by that.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "transfer"

void part_at(const struct titem *it, unsigned i, uint64_t *ret_off,
	     uint64_t *ret_len)
{
	plan_part(&it->lay, i, ret_off, ret_len);
}

bool part_is_copied(const struct titem *it, unsigned i)
{
	return i < plan_copies(&it->lay);
}

static bool is_log(struct transfer *t, const struct titem *it)
{
	const struct line_op *op;
	bool yes = it->v.append_only;

	lock_acquire(&t->lock);
	op = it->gone ? NULL : line_find(&t->line, it->seq);
	yes |= op && op->unordered;
	lock_release(&t->lock);
	return yes;
}

/* The object that may have the beginning of it: 1, or 0. */
static int source(struct transfer *t, const struct titem *it,
		  struct meta_object *ret)
{
	int r;

	if (!(t->store->caps & STORE_CAP_COPY_PART) || it->no_copies ||
	    !is_log(t, it))
		return 0;
	r = meta_begin(t->meta);
	if (r < 0)
		return r;
	r = meta_object_get(t->meta, it->key, ret);
	meta_end(t->meta);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return ret->bound && ret->has_crc64 && ret->size <= it->v.size;
}

/* The checksums of what is to be copied; and of all that the object has. */
static int read_crcs(struct transfer *t, struct titem *it, uint64_t size,
		     uint64_t *ret)
{
	struct blob_src s = { .t = t, .it = it };
	unsigned i, n = plan_copies(&it->lay);
	uint64_t whole = 0, off, len;
	struct body_crcs crc;
	int r = src_begin(&s, &it->v);

	if (r < 0)
		return r;
	for (i = 0; r == 0 && i <= n; i++) {
		if (i < n) {
			part_at(it, i, &off, &len);
		} else { /* of equal parts the last was not full */
			off = it->lay.copied;
			len = size - off;
		}
		r = body_crc(t, it, s.fd, off, len, &crc);
		if (r == 0 && i < n)
			it->parts[i].crc64 = crc.crc64;
		whole = crc64nvme_combine(whole, crc.crc64, len);
	}
	src_end(&s);
	*ret = whole;
	return r;
}

static bool is_plan_same(const struct transfer *t, const struct titem *it,
			 const struct meta_object *obj)
{
	return it->lay.copied ==
	       plan_copied(obj->size, it->lay.part_size, t->opts.part_size,
			   &t->store->limits);
}

int reuse_check(struct transfer *t, struct titem *it)
{
	struct meta_object obj;
	uint64_t crc = 0;
	int r = source(t, it, &obj);

	if (r > 0)
		r = is_plan_same(t, it, &obj);
	if (r > 0)
		r = read_crcs(t, it, obj.size, &crc);
	else
		return r;
	if (r < 0)
		return r;
	if (crc != obj.crc64) {
		log_info("%s: what was sent of it has changed: all of it is "
			 "sent again",
			 it->key);
		it->changed = true;
		return 0;
	}
	it->changed = false;
	free(it->copy_etag);
	it->copy_etag = strdup(obj.etag);
	return it->copy_etag ? 1 : -ENOMEM;
}

int reuse_plan(struct transfer *t, struct titem *it, uint64_t part_size)
{
	struct meta_object obj;
	uint64_t copied = 0;
	int r = source(t, it, &obj);

	if (r > 0)
		copied = plan_copied(obj.size, part_size, t->opts.part_size,
				     &t->store->limits);
	if (r >= 0)
		r = parts_make(it, part_size, copied);
	if (r < 0 || !copied)
		return r;
	if (plan_parts(&it->lay) <= t->store->limits.parts_max)
		r = reuse_check(t, it);
	return r ? (r < 0 ? r : 0) : parts_make(it, part_size, 0);
}

int reuse_rows(struct transfer *t, const struct titem *it)
{
	unsigned i, n = plan_copies(&it->lay);
	int r = 0;

	for (i = 0; r == 0 && i < n; i++) {
		struct meta_part row = { .vid = it->vid,
					 .number = i + 1,
					 .crc64 = it->parts[i].crc64 };

		part_at(it, i, &row.off, &row.len);
		r = meta_part_set(t->meta, &row);
	}
	return r;
}

static int add_row(void *arg, const struct meta_part *row)
{
	uint64_t *copied = arg;

	if (!row->etag[0])
		*copied += row->len;
	return 0;
}

int reuse_row_sum(struct transfer *t, uint64_t vid, uint64_t *ret)
{
	*ret = 0;
	return meta_part_each(t->meta, vid, add_row, ret);
}

int reuse_part(struct transfer *t, struct titem *it, unsigned i)
{
	struct tpart *p = &it->parts[i];
	struct store_part got;
	uint64_t off, len;
	int r;

	part_at(it, i, &off, &len);
	r = store_mpu_copy_part(t->store, it->key, it->upload_id, i + 1,
				it->key, it->copy_etag, off, len, &got);
	if (r < 0)
		return r;
	if (got.has_crc64 && got.crc64 != p->crc64) {
		store_set_error("what the server copied is not what is here");
		return -EBADMSG;
	}
	memcpy(p->etag, got.etag, sizeof(p->etag));
	return 0;
}
