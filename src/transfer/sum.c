/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checksums of what waits.  A body that is sent at once is read when it has just
 * been written.  One that waits, for the network or for its turn, may be read
 * days later, and a disk does not always give back what it was given: so a
 * worker with nothing else to do reads it early, and what is sent must be the
 * same.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "transfer"
#define CHUNK (1u << 20)
#define AFTER_NS (10 * NS_PER_S) /* what goes sooner is not read once more */
#define AGAIN_NS (60 * NS_PER_S)

static bool is_wanted(struct transfer *t, const struct titem *it)
{
	bool yes;

	lock_acquire(&t->lock);
	yes = !t->stopping && !(it && it->gone);
	lock_release(&t->lock);
	return yes;
}

int body_crc(struct transfer *t, const struct titem *it, int fd, uint64_t off,
	     uint64_t len, struct body_crcs *ret)
{
	const bool both = t->store->caps & STORE_CAP_PARTS_CRC32C;
	struct body_crcs crc = { 0 };
	char *buf = malloc(CHUNK);
	int r = 0;

	if (!buf)
		return -ENOMEM;
	while (r == 0 && len) {
		size_t n = len < CHUNK ? (size_t)len : CHUNK;

		if (!is_wanted(t, it))
			r = -ECANCELED;
		else if (disk_pread(t->host->disk, fd, buf, n, off) !=
			 (ssize_t)n)
			r = -EIO;
		if (r == 0)
			crc.crc64 = crc64nvme(crc.crc64, buf, n);
		if (r == 0 && both)
			crc.crc32c = crc32c(crc.crc32c, buf, n);
		off += n;
		len -= n;
	}
	free(buf);
	if (r == 0)
		*ret = crc;
	return r;
}

/* With the lock: when it is to be read, if ever. */
static int64_t when(const struct titem *it, const struct line_op *op)
{
	if (!it || op->kind != LINE_PUT || !op->final || it->busy ||
	    it->v.summed || !it->v.size || it->body == BODY_SENT)
		return CLK_NEVER;
	if (it->sum_at)
		return it->sum_at;
	return it->attempts || it->parked ? 0 : it->queued_mono + AFTER_NS;
}

bool plan_sum(struct transfer *t, struct action *a, int64_t *ret_at)
{
	int64_t now = clk_mono(t->host->clk), at;
	size_t i;

	*ret_at = CLK_NEVER;
	if (t->summing || !t->line.n)
		return false;
	if (now < t->sums_from) {
		*ret_at = t->sums_from;
		return false;
	}
	for (i = 0; i < t->line.n; i++) {
		const struct line_op *op = &t->line.ops[i];
		struct titem *it = item_find(t, op->seq);

		at = when(it, op);
		if (at <= now) {
			it->sum_at = now + AGAIN_NS;
			it->pins++;
			t->summing = true;
			*a = (struct action){ .act = ACT_SUM, .it = it };
			return true;
		}
		if (at < *ret_at)
			*ret_at = at;
	}
	t->sums_from = line_pause(t, t->line.n);
	if (*ret_at < t->sums_from)
		*ret_at = t->sums_from;
	return false;
}

/* It is still the version that was read, and as it was sealed. */
static bool is_same(const struct meta_version *now,
		    const struct meta_version *read)
{
	return now->state == META_SEALED && !now->provisional &&
	       now->blob == read->blob && now->size == read->size &&
	       now->seal_ctime_ns == read->seal_ctime_ns;
}

static int record(struct transfer *t, struct titem *it,
		  const struct meta_version *read, uint64_t crc)
{
	struct meta_version v;
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = meta_version_get(t->meta, it->vid, &v);
	if (r == 0 && !is_same(&v, read))
		r = -EAGAIN;
	if (r == 0) {
		v.summed = true;
		v.crc64 = crc;
		r = meta_version_set(t->meta, &v);
	}
	if (r == 0)
		r = meta_commit(t->meta);
	meta_end(t->meta);
	if (r < 0)
		return r;
	log_debug("%s: its checksum is known while it waits", it->key);
	if (t->ev.committed)
		t->ev.committed(t->ev.arg);
	lock_acquire(&t->lock);
	if (!it->gone && is_same(&it->v, read)) {
		it->v.summed = true;
		it->v.crc64 = crc;
	}
	lock_release(&t->lock);
	return 0;
}

/* Who has it mapped changes it unseen: not now. */
static bool is_mapped(struct transfer *t, const struct blob_src *s)
{
	return s->v.passthrough &&
	       disk_lease(t->host->disk, s->fd, DISK_LEASE_READ) == -EAGAIN;
}

void sum_take(struct transfer *t, struct titem *it)
{
	struct blob_src s = { .t = t, .it = it };
	struct meta_version v;
	struct body_crcs crc;
	int r = meta_begin(t->meta);

	if (r == 0) {
		r = meta_version_get(t->meta, it->vid, &v);
		meta_end(t->meta);
	}
	if (r == 0)
		r = src_begin(&s, &v);
	if (r == 0) {
		r = is_mapped(t, &s) ? -EAGAIN :
				       body_crc(t, it, s.fd, 0, v.size, &crc);
		if (r == 0)
			r = src_moved(&s) ? -EAGAIN : record(t, it, &v, crc.crc64);
		src_end(&s);
	}
	if (r < 0) /* whoever sends it says it, too */
		log_debug("%s: no checksum of it while it waits: %s", it->key,
			 strerror(-r));
	lock_acquire(&t->lock);
	t->summing = false;
	lock_release(&t->lock);
}

int sum_check(const struct blob_src *s, uint64_t crc)
{
	if (!s->v.summed || s->v.crc64 == crc)
		return 0;
	/* One that is being changed is sealed anew. */
	return src_moved(s) ? -EIO : -EUCLEAN;
}
