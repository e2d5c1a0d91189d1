/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a simulated file: what is read, and what the disk holds. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "ckptfs/clock.h"

#include "simdisk_impl.h"

void file_touch(struct simdisk *d, struct node *n, bool bytes)
{
	int64_t now = clk_real(d->clk);

	/* Each change is seen, though the clock may stand still. */
	if (now <= d->last_ctime_ns)
		now = d->last_ctime_ns + 1;
	d->last_ctime_ns = now;
	n->ctime_ns = now;
	if (bytes)
		n->mtime_ns = now;
}

static struct page *page_find(const struct node *n, uint64_t index)
{
	struct page *pg;

	HASH_FIND(hh, n->pages, &index, sizeof(index), pg);
	return pg;
}

static struct page *page_make(struct node *n, uint64_t index)
{
	struct page *pg = page_find(n, index);

	if (!pg) {
		pg = sim_alloc(sizeof(*pg));
		pg->index = index;
		HASH_ADD(hh, n->pages, index, sizeof(index), pg);
	}
	return pg;
}

static bool takes_space(const struct page *pg)
{
	return pg && (pg->cur || pg->reserved);
}

/* Account for a page that took space or not before, and now does or not. */
static void recount(struct simdisk *d, struct node *n, bool before, bool after)
{
	int delta = (int)after - (int)before;

	n->npages += (uint64_t)(int64_t)delta;
	if (n->links || n->opens)
		d->used += (uint64_t)(int64_t)delta;
}

/* The page as it may be changed: what the disk holds is put aside. */
static void page_dirty(struct node *n, struct page *pg)
{
	if (!pg->dirty) {
		if (pg->cur) {
			pg->dur = sim_alloc(SIM_PAGE);
			memcpy(pg->dur, pg->cur, SIM_PAGE);
		}
		DL_APPEND(n->dirty, pg);
	}
	pg->dirty = true;
	pg->lost = false;
}

static void page_clean(struct node *n, struct page *pg)
{
	if (pg->dirty)
		DL_DELETE(n->dirty, pg);
	pg->dirty = pg->lost = false;
}

static void page_drop(struct simdisk *d, struct node *n, struct page *pg)
{
	bool before = takes_space(pg);

	if (pg->cur) {
		page_dirty(n, pg);
		free(pg->cur);
		pg->cur = NULL;
	}
	pg->reserved = false;
	recount(d, n, before, false);
}

static void page_free(struct node *n, struct page *pg)
{
	page_clean(n, pg);
	HASH_DEL(n->pages, pg);
	free(pg->cur);
	free(pg->dur);
	free(pg);
}

ssize_t file_read(struct simdisk *d, struct node *n, void *p, size_t len,
		  uint64_t off)
{
	unsigned char *to = p;
	size_t done = 0;

	n->atime_ns = clk_real(d->clk);
	if (off >= n->size)
		return 0;
	if (len > n->size - off)
		len = (size_t)(n->size - off);
	while (done < len) {
		uint64_t at = off + done;
		const struct page *pg = page_find(n, at / SIM_PAGE);
		size_t in = (size_t)(at % SIM_PAGE), step = SIM_PAGE - in;

		if (step > len - done)
			step = len - done;
		if (pg && pg->cur)
			memcpy(to + done, pg->cur + in, step);
		else
			memset(to + done, 0, step);
		done += step;
	}
	return (ssize_t)len;
}

/* A page with bytes of its own, or NULL: no space. */
static struct page *page_for_write(struct simdisk *d, struct node *n,
				   uint64_t index)
{
	struct page *pg = page_find(n, index);
	bool before = takes_space(pg);

	if (!before && d->used >= d->capacity)
		return NULL;
	pg = page_make(n, index);
	page_dirty(n, pg);
	if (!pg->cur)
		pg->cur = sim_alloc(SIM_PAGE);
	recount(d, n, before, true);
	return pg;
}

ssize_t file_write(struct simdisk *d, struct node *n, const void *p, size_t len,
		   uint64_t off)
{
	const unsigned char *from = p;
	size_t done = 0;

	if (off > INT64_MAX || len > INT64_MAX - off)
		return -EFBIG;
	while (done < len) {
		uint64_t at = off + done;
		struct page *pg = page_for_write(d, n, at / SIM_PAGE);
		size_t in = (size_t)(at % SIM_PAGE), step = SIM_PAGE - in;

		if (!pg)
			break;
		if (step > len - done)
			step = len - done;
		memcpy(pg->cur + in, from + done, step);
		done += step;
	}
	if (done == 0 && len > 0)
		return -ENOSPC;
	if (off + done > n->size)
		n->size = off + done;
	if (done > 0)
		file_touch(d, n, true);
	return (ssize_t)done;
}

/* Zero a range within one page. */
static void page_zero(struct simdisk *d, struct node *n, uint64_t index,
		      size_t from, size_t to)
{
	struct page *pg = page_find(n, index);

	if (!pg || from >= to)
		return;
	if (from == 0 && to == SIM_PAGE) {
		page_drop(d, n, pg);
	} else if (pg->cur) {
		page_dirty(n, pg);
		memset(pg->cur + from, 0, to - from);
	}
}

/* Zero [off, end); walks the pages there are, for files may be sparse. */
static void zero_range(struct simdisk *d, struct node *n, uint64_t off,
		       uint64_t end)
{
	struct page *pg, *tmp;

	HASH_ITER(hh, n->pages, pg, tmp)
	{
		uint64_t lo = pg->index * SIM_PAGE, hi = lo + SIM_PAGE;

		if (hi <= off || lo >= end)
			continue;
		page_zero(d, n, pg->index, off > lo ? (size_t)(off - lo) : 0,
			  end < hi ? (size_t)(end - lo) : SIM_PAGE);
	}
}

void file_truncate(struct simdisk *d, struct node *n, uint64_t size)
{
	if (size < n->size)
		zero_range(d, n, size, UINT64_MAX);
	n->size = size;
	file_touch(d, n, true);
}

int file_allocate(struct simdisk *d, struct node *n, uint64_t off, uint64_t len)
{
	uint64_t first = off / SIM_PAGE, last, i, want = 0;

	if (len == 0)
		return -EINVAL;
	last = (off + len - 1) / SIM_PAGE;
	for (i = first; i <= last; i++)
		want += !takes_space(page_find(n, i));
	if (want > d->capacity || d->used > d->capacity - want)
		return -ENOSPC;
	for (i = first; i <= last; i++) {
		struct page *pg = page_make(n, i);
		bool before = takes_space(pg);

		pg->reserved = true;
		recount(d, n, before, true);
	}
	file_touch(d, n, false);
	return 0;
}

void file_punch(struct simdisk *d, struct node *n, uint64_t off, uint64_t len)
{
	zero_range(d, n, off, off + len);
	file_touch(d, n, true);
}

static bool is_data(const struct node *n, uint64_t index)
{
	const struct page *pg = page_find(n, index);

	return pg && pg->cur;
}

/* The first page of bytes at or after index, or UINT64_MAX. */
static uint64_t next_data(const struct node *n, uint64_t index)
{
	uint64_t best = UINT64_MAX;
	const struct page *pg;

	for (pg = n->pages; pg; pg = pg->hh.next)
		if (pg->cur && pg->index >= index && pg->index < best)
			best = pg->index;
	return best;
}

int64_t file_seek(const struct node *n, uint64_t off, bool hole)
{
	uint64_t index = off / SIM_PAGE, at;

	if (off >= n->size)
		return -ENXIO;
	if (is_data(n, index) != hole)
		return (int64_t)off;
	if (!hole) {
		index = next_data(n, index);
		if (index == UINT64_MAX || index * SIM_PAGE >= n->size)
			return -ENXIO;
		return (int64_t)(index * SIM_PAGE);
	}
	while (is_data(n, index))
		index++;
	at = index * SIM_PAGE;
	return (int64_t)(at < n->size ? at : n->size);
}

int file_clone(struct simdisk *d, const struct node *from, struct node *to)
{
	uint64_t size = from->size > to->size ? from->size : to->size;
	const struct page *pg;
	ssize_t r;

	if (from == to)
		return 0;
	zero_range(d, to, 0, from->size);
	for (pg = from->pages; pg; pg = pg->hh.next) {
		if (!pg->cur)
			continue;
		r = file_write(d, to, pg->cur, SIM_PAGE, pg->index * SIM_PAGE);
		if (r < 0)
			return (int)r;
	}
	/* The last page was written whole. */
	to->size = size;
	file_touch(d, to, true);
	return 0;
}

static struct xattr *xattr_find(const struct node *n, const char *name)
{
	struct xattr *x;

	for (x = n->xattrs; x && strcmp(x->name, name) != 0; x = x->next)
		;
	return x;
}

int file_set_xattr(struct node *n, const char *name, const void *value,
		   size_t len)
{
	struct xattr *x = xattr_find(n, name);

	if (!x) {
		x = sim_alloc(sizeof(*x));
		x->name = sim_strndup(name, strlen(name));
		x->next = n->xattrs;
		n->xattrs = x;
	}
	free(x->value);
	x->value = sim_alloc(len + 1);
	memcpy(x->value, value, len);
	x->len = len;
	x->durable = false;
	return 0;
}

ssize_t file_get_xattr(const struct node *n, const char *name, void *value,
		       size_t len)
{
	const struct xattr *x = xattr_find(n, name);

	if (!x)
		return -ENODATA;
	if (len == 0)
		return (ssize_t)x->len;
	if (len < x->len)
		return -ERANGE;
	memcpy(value, x->value, x->len);
	return (ssize_t)x->len;
}

/* Bytes that came to the disk are in the file: it is no shorter from then on. */
static void size_reaches(struct node *n, uint64_t index)
{
	uint64_t end = (index + 1) * SIM_PAGE;

	if (end > n->size)
		end = n->size;
	if (end > n->dur_size)
		n->dur_size = end;
	if (n->dur_size == n->lost_size)
		n->lost_size = UINT64_MAX;
}

void file_sync(struct node *n, bool fails)
{
	struct page *pg, *tmp;
	struct xattr *x;
	bool lost = false;

	DL_FOREACH_SAFE(n->dirty, pg, tmp)
	{
		pg->lost |= fails;
		lost |= pg->lost;
		if (pg->lost)
			continue;
		free(pg->dur);
		pg->dur = NULL;
		page_clean(n, pg);
		if (pg->cur)
			size_reaches(n, pg->index);
		if (!pg->cur && !pg->reserved)
			page_free(n, pg);
	}
	if (fails && n->size != n->dur_size)
		n->lost_size = n->size;
	if (fails || lost || n->size == n->lost_size)
		return;
	n->dur_size = n->size;
	n->lost_size = UINT64_MAX;
	for (x = n->xattrs; x; x = x->next)
		x->durable = true;
}

static bool survives(struct simdisk *d, unsigned keep)
{
	return sim_random(&d->random) % 100 < keep;
}

static void page_power_cut(struct simdisk *d, struct node *n, struct page *pg,
			   unsigned keep)
{
	bool before = takes_space(pg);

	if (pg->dirty && (pg->lost || !survives(d, keep))) {
		free(pg->cur);
		pg->cur = pg->dur;
	} else {
		free(pg->dur);
	}
	pg->dur = NULL;
	page_clean(n, pg);
	pg->reserved = false;
	recount(d, n, before, takes_space(pg));
	if (!pg->cur)
		page_free(n, pg);
}

static void xattr_free(struct xattr *x)
{
	free(x->name);
	free(x->value);
	free(x);
}

void file_power_cut(struct simdisk *d, struct node *n, unsigned keep)
{
	struct xattr **xp = &n->xattrs, *x;
	struct page *pg, *tmp;

	HASH_ITER(hh, n->pages, pg, tmp)
	page_power_cut(d, n, pg, keep);
	if (n->size == n->lost_size || !survives(d, keep))
		n->size = n->dur_size;
	n->lost_size = UINT64_MAX;
	n->ctime_ns--; /* one that the disk had from before */
	zero_range(d, n, n->size, UINT64_MAX);
	while ((x = *xp) != NULL) {
		if (x->durable || survives(d, keep)) {
			xp = &x->next;
			continue;
		}
		*xp = x->next;
		xattr_free(x);
	}
	file_sync(n, false);
}

void file_release(struct node *n)
{
	struct page *pg, *tmp;
	struct xattr *x;

	HASH_ITER(hh, n->pages, pg, tmp)
	page_free(n, pg);
	while ((x = n->xattrs) != NULL) {
		n->xattrs = x->next;
		xattr_free(x);
	}
}
